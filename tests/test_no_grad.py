"""Suspending the recording: for one thread or task, one block, one function."""

import asyncio
import contextvars
import threading

import numpy as np
import pytest

import autograd_core as ag


def records():
    """Whether an operation is recorded here and now, by each road there is."""
    x = ag.tensor([1.0, 2.0], requires_grad=True)
    made = [x * x, 2.0 * x, -x, np.exp(x), x.sum(), x[0], np.concatenate([x, x]), x > 0]
    recorded = {y.op is not None for y in made}
    assert len(recorded) == 1
    assert {y.requires_grad for y in made[:-1]} == recorded
    return recorded.pop()


def test_a_block():
    assert records()
    with ag.no_grad():
        assert not records()
    assert records()


def test_results_are_constants():
    x = ag.tensor([1.0, 2.0], requires_grad=True)
    with ag.no_grad():
        y = x * 3
    assert y.is_leaf and y.inputs == () and not y.requires_grad and y.data.tolist() == [3, 6]
    (y * x).sum().backward()
    assert x.grad.tolist() == [3, 6]


def test_leaves_made_inside_keep_what_they_were_asked():
    with ag.no_grad():
        x = ag.tensor(1.0, requires_grad=True)
    assert x.requires_grad and (x * 2).requires_grad


def test_nesting():
    with ag.no_grad():
        with ag.no_grad():
            assert not records()
        assert not records()
    assert records()


def test_one_object_used_twice():
    guard = ag.no_grad()
    for _ in range(2):
        with guard:
            with guard:
                assert not records()
            assert not records()
        assert records()


def test_an_exception_restores():
    with pytest.raises(ZeroDivisionError), ag.no_grad():
        1 // 0  # noqa: B018
    assert records()


def test_a_decorator():
    @ag.no_grad()
    def f(depth):
        """What f does."""
        assert not records()
        return f(depth - 1) if depth else records()

    assert f(2) is False
    assert records() and f.__name__ == "f" and f.__doc__ == "What f does."


def test_a_decorated_function_that_raises():
    @ag.no_grad()
    def f():
        raise KeyError("x")

    for _ in range(2):
        with pytest.raises(KeyError):
            f()
    assert records()


def test_backward_inside():
    x = ag.tensor(3.0, requires_grad=True)
    y = x * x
    with ag.no_grad():
        y.backward()
        x.data -= 0.5 * x.grad
    assert x.data == 0.0


def test_transforms_record_inside():
    x = np.array([1.0, 2.0])
    with ag.no_grad():
        assert ag.grad(lambda x: (x**3).sum())(x).tolist() == [3, 12]
        assert ag.hessian(lambda x: (x**3).sum())(x).tolist() == [[6, 0], [0, 12]]
        assert ag.jvp(np.square, (x,), (x,))[1].tolist() == [2, 8]
        assert ag.vjp(np.square, x)[1](x)[0].tolist() == [2, 8]
        assert ag.jacobian(np.square)(x).tolist() == [[2, 0], [0, 4]]
        assert not records()


@pytest.mark.parametrize("transform", [
    lambda f, x: ag.grad(f)(x), lambda f, x: ag.value_and_grad(f)(x)[0],
    lambda f, x: ag.jacobian(f)(x), lambda f, x: ag.hessian(f)(x),
    lambda f, x: ag.vjp(f, x)[0], lambda f, x: ag.vjp(f, x)[1](ag.tensor(1.0))[0],
    lambda f, x: ag.jvp(f, (x,), (ag.tensor([1.0, 1.0]),))[1], lambda f, x: ag.hvp(f, x, x),
], ids=["grad", "value", "jacobian", "hessian", "vjp", "vjp back", "jvp", "hvp"])
def test_transforms_inside_return_plain_arrays(transform):
    """Also where an argument, or a Tensor the function reaches, requires a gradient."""
    x, w = ag.tensor([1.0, 2.0], requires_grad=True), ag.tensor(3.0, requires_grad=True)
    with ag.no_grad():
        result = transform(lambda x: (x**3 * w).sum(), x)
    assert isinstance(result, np.ndarray | np.generic)


def test_a_suspension_inside_a_transform_cuts():
    def f(x):
        with ag.no_grad():
            constant = x * x
        return x * constant

    assert ag.grad(f)(3.0) == 9.0


def test_a_transform_inside_a_suspension_inside_a_transform():
    def f(x):
        with ag.no_grad():
            slope = ag.grad(lambda y: y**3)(x)  # 3 x², a constant to the outer transform
        return x * slope

    assert ag.grad(f)(3.0) == 27.0


# Threads, tasks, generators. ---------------------------------------------------------------------


def test_another_thread_goes_on_recording():
    inside, seen = threading.Event(), threading.Event()
    results = {}

    def suspended():
        with ag.no_grad():
            inside.set()
            assert seen.wait(10)
            results["suspended"] = records()
        results["after"] = records()

    thread = threading.Thread(target=suspended)
    thread.start()
    assert inside.wait(10)
    results["other"] = records()
    seen.set()
    thread.join()
    assert results == {"other": True, "suspended": False, "after": True}


def test_many_threads_at_once():
    failures = []
    barrier = threading.Barrier(8)

    def work(suspend):
        barrier.wait()
        for _ in range(200):
            if suspend:
                with ag.no_grad():
                    if records():
                        failures.append("recorded inside")
            if not records():
                failures.append("did not record outside")

    threads = [threading.Thread(target=work, args=(i % 2 == 0,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == [] and records()


def test_transforms_in_threads_do_not_see_each_other():
    results = []

    def work():
        results.append(ag.grad(lambda x: x * x)(3.0))

    def f(x):
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        return x * x

    assert ag.grad(f)(2.0) == 4.0
    assert results == [6.0] and type(results[0]) is np.float64


def test_asyncio_tasks():
    async def suspended(started, looked):
        with ag.no_grad():
            started.set()
            await looked.wait()
            return records()

    async def other(started, looked):
        await started.wait()
        result = records()
        looked.set()
        return result

    async def main():
        started, looked = asyncio.Event(), asyncio.Event()
        return await asyncio.gather(suspended(started, looked), other(started, looked))

    assert asyncio.run(main()) == [False, True]
    assert records()


def test_a_generator_that_is_run_to_its_end():
    def values():
        for i in range(3):
            with ag.no_grad():
                inside = records()
            yield i, inside, records()

    assert list(values()) == [(0, False, True), (1, False, True), (2, False, True)]
    assert records()


def test_a_decorated_coroutine():
    @ag.no_grad()
    async def f():
        await asyncio.sleep(0)
        return records()

    assert asyncio.run(f()) is False
    assert records()


def test_a_generator_cannot_be_decorated():
    """Its body would run after the call had returned, and record."""

    def generator():
        yield records()

    async def asynchronous():
        yield records()

    for f in (generator, asynchronous):
        with pytest.raises(TypeError, match=r"with ag\.no_grad\(\)"):
            ag.no_grad()(f)


def test_a_block_closed_in_another_context():
    def values():
        with ag.no_grad():
            yield

    suspended = values()
    contextvars.copy_context().run(next, suspended)
    suspended.close()
    assert records()
    assert while_another_thread_suspends(records)


def test_suspended_generators_that_end_in_another_order():
    def values():
        with ag.no_grad():
            yield

    def interleave():
        first, second = values(), values()
        next(first)
        next(second)
        first.close()
        second.close()
        return while_another_thread_suspends(records)

    assert contextvars.copy_context().run(interleave)


def while_another_thread_suspends(f):
    inside, done = threading.Event(), threading.Event()

    def suspend():
        with ag.no_grad():
            inside.set()
            done.wait(10)

    thread = threading.Thread(target=suspend)
    thread.start()
    inside.wait(10)
    try:
        return f()
    finally:
        done.set()
        thread.join()
