"""Observers: what they are told, what they leave on the nodes, and that they cost nothing."""

import asyncio
import gc
import sys
import threading
import weakref

import numpy as np
import pytest

import autograd_core as ag
from autograd_core import observe
from autograd_core.backprop import pull, reach
from autograd_core.observe import Observer, observed, origin_of


def line():
    """The number of the line that calls this."""
    return sys._getframe(1).f_lineno


class Log(Observer):
    """All that it is told."""

    def __init__(self):
        self.nodes, self.values, self.walks = [], [], []

    def made(self, node, op, inputs, attrs):
        self.nodes.append((node, None if op is None else op.name))

    def read(self, node, what):
        self.values.append((node, what))

    def walked(self, seeds, route, result):
        self.walks.append((dict(seeds), dict(result)))

    @property
    def ops(self):
        return [name for _, name in self.nodes]


@pytest.fixture
def x():
    return ag.tensor([1.0, 2.0, 3.0], requires_grad=True, label="x")


# What is announced. -----------------------------------------------------------------------------


def test_every_node_is_announced_in_order(x):
    with Log() as log:
        a = x * 2.0
        b = np.exp(a) + a.tanh()
        c = b.sum()
        d = ag.tensor(1.0)
        np.add(c, d)
    assert log.ops == ["multiply", "exp", "tanh", "add", "sum", None, "add"]
    assert [node for node, _ in log.nodes][:1] == [a] and log.nodes[4][0] is c


def test_nothing_outside_of_the_block_is(x):
    log = Log()
    x * 1.0
    with log:
        pass
    x * 2.0
    assert log.nodes == []
    assert not hasattr(x * 1.0, "_origin")
    assert origin_of(x) is None


def test_what_is_not_recorded_is_announced_too(x):
    with Log() as log, ag.no_grad():
        y = np.exp(x * 2.0)
    assert log.ops == ["multiply", "exp"]
    assert y.op is None and y.inputs == () and not y.requires_grad
    assert origin_of(y) is not None


def test_several_observers_hear_the_same(x):
    with Log() as outer:
        x + 1.0
        with Log() as inner:
            x * 1.0
        x - 1.0
    assert outer.ops == ["add", "multiply", "subtract"]
    assert inner.ops == ["multiply"]


def test_reading_is_announced(x):
    y = x * 2.0
    with Log() as log:
        y.data, y.sum().item(), y.detach()
        repr(y)
    assert [what for _, what in log.values] == ["t.data", "t.item()", "t.numpy()"]


def test_walks_are_announced(x):
    y = (x * x).sum()
    with Log() as log:
        y.backward()
        ag.grad(lambda x: (x * x).sum())(np.ones(3))
    assert len(log.walks) == 2
    seeds, result = log.walks[0]
    assert set(seeds) == {y}
    np.testing.assert_array_equal(result[x], [2.0, 4.0, 6.0])


# Places and scopes. -----------------------------------------------------------------------------


def test_the_place_is_the_user_s_line(x):
    with Observer():
        a = x * 2.0; here = line()  # noqa: E702
        b = np.std(
            a
        )
    assert str(origin_of(a).place) == f"test_observe.py:{here}"
    assert origin_of(a).place.line == here
    assert origin_of(a).place.code is sys._getframe().f_code
    assert origin_of(b).place.line == here + 1
    inner = [n for n in ag.Graph(b).nodes if n.op is not None and n is not a]
    assert {origin_of(n).place.line for n in inner} == {here + 1}


def test_scopes_nest(x):
    with Observer():
        with ag.scope("MLP"):
            with ag.scope("layers.0"):
                a = x * 2.0
            b = a + 1.0
        c = b.sum()
    assert [origin_of(t).scopes for t in (a, b, c)] == [("MLP", "layers.0"), ("MLP",), ()]


def test_a_scope_decorates_and_recurs(x):
    @ag.scope("f")
    def f(x, n):
        return f(x * 2.0, n - 1) if n else x + 1.0

    with Observer():
        y = f(x, 2)
        z = x - 1.0
    assert [origin_of(t).scopes for t in ag.Graph(y).nodes[1:]] == [
        ("f",), ("f", "f"), ("f", "f", "f")]
    assert origin_of(z).scopes == ()


def test_a_scope_s_name_may_be_any_object(x):
    name = object()
    with Observer(), ag.scope(name):
        y = x * 2.0
    assert origin_of(y).scopes == (name,)


def test_a_scope_ends_with_an_error(x):
    with Observer():
        try:
            with ag.scope("broken"):
                raise ZeroDivisionError
        except ZeroDivisionError:
            y = x * 2.0
    assert origin_of(y).scopes == ()


def test_a_scope_that_began_unobserved_ends_so(x):
    with ag.scope("outer"):
        with Observer(), ag.scope("inner"):
            y = x * 2.0
        z = x * 2.0
    assert origin_of(y).scopes == ("inner",)
    assert origin_of(z) is None
    with Observer():
        assert origin_of(x * 2.0).scopes == ()


def test_what_a_rule_records_belongs_to_its_node(x):
    with Observer():
        with ag.scope("forward"):
            y = np.sin(x); here = line()  # noqa: E702
            z = (y * x).sum()
        with ag.scope("backward"):
            z.backward(create_graph=True)
    found = {}
    for node in ag.Graph(x.grad).nodes:
        origin = origin_of(node)
        if origin is not None and origin.rule is not None:
            assert origin.scopes == ("forward",)
            found.setdefault(origin.rule, []).append((node.op.name, origin.place.line))
    assert ("cos", here) in found[y, 0]
    assert {(op, i) for (node, i), _ in found.items() for op in [node.op.name]} == {
        ("sin", 0), ("multiply", 0), ("multiply", 1), ("sum", 0)}


def test_a_node_keeps_its_origin_through_replays(x):
    with Observer():
        a = x * 2.0
        y = a.sum()
    graph = ag.Graph(y)
    origins = [origin_of(node) for node in graph.nodes]
    for _ in range(4):
        graph.fprop({x: np.zeros(3)})
    assert [origin_of(node) for node in graph.nodes] == origins


def test_so_does_one_that_lies_on_a_shelf():
    with Observer(), ag.scope("neurons"):
        xs = [ag.Value(0.1 * i) for i in range(100)]
        y = sum((x.tanh() * x for x in xs), ag.Value(0.0))
    graph = ag.Graph(y)
    for _ in range(4):
        graph.fprop()
    assert graph._replay is not None
    assert {origin_of(node).scopes for node in graph.nodes} == {("neurons",)}


def test_gradients_of_a_replay_are_announced_by_node():
    xs = [ag.Value(0.1 * i) for i in range(100)]
    y = sum((x.tanh() * x for x in xs), ag.Value(0.0))
    graph = ag.Graph(y)
    for _ in range(4):
        graph.fprop()
    graph.bprop()
    expected = [node.grad for node in graph.nodes]
    with Log() as log:
        graph.bprop()
    assert [node.grad for node in graph.nodes] == pytest.approx(expected)
    assert set(log.walks[0][1]) == set(graph.nodes)


def test_an_observer_keeps_no_graph_alive(x):
    with Observer():
        y = (x * 2.0).sum()
        ref = weakref.ref(y.inputs[0])
        gc.disable()
        try:
            del y
            assert ref() is None
        finally:
            gc.enable()


# Compiled functions. ----------------------------------------------------------------------------


def test_compiled_functions_run_eagerly_for_observers(x):
    f = ag.compile(lambda x: np.exp(x * 2.0).sum())
    f(np.ones(3))
    with Log() as log:
        y = f(x)
    assert log.ops == ["multiply", "exp", "sum"]
    assert y.op.name == "sum"
    assert f.recompiles == 0


def test_a_recording_announces_its_nodes(x):
    log = Log()

    @ag.compile
    def f(x):
        with log:
            return np.exp(x * 2.0)

    f(np.ones(3))
    f(np.ones(3))
    assert log.ops == ["multiply", "exp"]
    assert "test_observe.py" in str(origin_of(log.nodes[0][0]).place)


def test_going_back_through_a_compiled_result_works_observed(x):
    f = ag.compile(lambda x: np.exp(x * 2.0).sum())
    y = f(x)
    with Log():
        y.backward()
    np.testing.assert_allclose(x.grad, 2 * np.exp(2 * np.array([1.0, 2.0, 3.0])))


# Threads and tasks. -----------------------------------------------------------------------------


def test_other_threads_are_not_observed(x):
    results = []
    with Log() as log, ag.scope("here"):
        def work():
            results.append((x * 2.0, observed()))

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        x + 1.0
    assert log.ops == ["add"]
    assert origin_of(results[0][0]) is None
    assert not results[0][1]


def test_tasks_have_scopes_of_their_own(x):
    async def work(name):
        with ag.scope(name):
            await asyncio.sleep(0)
            y = x * 2.0
            await asyncio.sleep(0)
            return origin_of(y).scopes

    async def main():
        return await asyncio.gather(*(work(f"task {i}") for i in range(3)))

    with Observer():
        assert asyncio.run(main()) == [(f"task {i}",) for i in range(3)]


def test_observers_may_end_in_any_order():
    def block():
        with Log() as log:
            yield log
            yield None

    a, b = block(), block()
    first, second = next(a), next(b)
    a.close()
    x = ag.tensor(1.0)
    assert first.ops == [] and second.ops == [None]
    assert origin_of(x) is not None
    b.close()
    assert observe.watching == 0 and not observed()


# What it costs. ---------------------------------------------------------------------------------


def program(x):
    y = x * 2.0 + 1.0
    y = np.exp(y).tanh() - np.sum(y, axis=0)
    y = np.where(y > 0, y, 0.0).sum()
    y.backward()
    y.backward(create_graph=True)
    return ag.grad(lambda x: (x * x).sum())(x.data)


def calls(f, *args):
    """The Python functions that ``f`` calls, by file."""
    files = []

    def profile(frame, event, arg):
        if event == "call":
            files.append(frame.f_code.co_filename)

    sys.setprofile(profile)
    try:
        f(*args)
    finally:
        sys.setprofile(None)
    return files


def test_unobserved_no_code_of_an_observer_runs(x):
    program(x)
    found = calls(program, x)
    assert len(found) > 50
    assert observe.__file__ not in found
    with Observer():
        assert observe.__file__ in calls(program, x)


def instructions(f, *args):
    """How many instructions of Python run inside of ``f``."""
    count = 0

    def trace(frame, event, arg):
        nonlocal count
        frame.f_trace_opcodes = True
        if event == "opcode":
            count += 1
        return trace

    gc.collect()
    gc.disable()  # it may run callbacks of others
    sys.settrace(trace)
    try:
        f(*args)
    finally:
        sys.settrace(None)
        gc.enable()
    return count


def test_after_an_observer_all_is_as_before(x):
    program(x)
    before = instructions(program, x)
    with Observer():
        during = instructions(program, x)
    assert instructions(program, x) == before < during


def test_recording_tests_for_it_no_more_than_for_other_modes(x):
    """One look at a module's variable where a node is recorded, and none besides."""
    for f in (ag.tensor(0.0).__mul__, ag.Tensor.exp, ag.Tensor.record):
        code = f.__code__
        assert code.co_names.count("_modes") == 1
        assert "observe" not in code.co_names and "watching" not in code.co_names


def test_a_scope_is_two_calls_and_no_more():
    def f():
        with ag.scope("x"):
            pass

    assert calls(f).count(observe.__file__) == 3  # made, entered and left


# Walks. -----------------------------------------------------------------------------------------


STEPS = (
    lambda a, b: a * b, lambda a, b: np.tanh(a) + b, lambda a, b: np.where(a > b, a, b),
    lambda a, b: a.sum() - b, lambda a, b: np.maximum(a, 0.1) * b,
)


@pytest.mark.parametrize("recorded", [False, True])
def test_an_observed_walk_is_the_same_walk(recorded):
    rng = np.random.default_rng(0)
    for _ in range(20):
        leaves = [ag.tensor(rng.normal(size=s), requires_grad=True) for s in ((), (3,), (2, 3))]
        pool = list(leaves)
        for _ in range(15):
            a, b = (pool[rng.integers(len(pool))] for _ in range(2))
            pool.append(STEPS[rng.integers(len(STEPS))](a, b))
        y = sum(t.sum() for t in pool[-3:])
        one = ag.tensor(1.0) if recorded else np.float64(1)
        plain = pull({y: one}, reach([y]), recorded=recorded)
        with Observer():
            watched = pull({y: one}, reach([y]), recorded=recorded)
        assert list(plain) == list(watched)
        for u, v in zip(plain.values(), watched.values(), strict=True):
            np.testing.assert_array_equal(getattr(u, "data", u), getattr(v, "data", v))


def test_a_chain_of_ten_thousand_nodes():
    x = ag.tensor(1.0, requires_grad=True)
    with Log() as log:
        y = x
        for _ in range(10_000):
            y = y * 1.0
        y.backward(create_graph=True)
    assert len(log.nodes) == 20_000
    assert x.grad.data == 1.0
