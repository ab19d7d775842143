"""Checkpoints: the same numbers, without what lies in between."""

import dataclasses
import gc
import tracemalloc
import weakref
from collections import namedtuple
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

import autograd_core as ag
from autograd_core import batching, checkpointing
from autograd_core.recipe import Recipe

W = np.array([[0.5, -1.0, 0.2], [0.3, 0.8, -0.4], [1.0, 0.1, 0.6]])
X = np.array([0.3, -0.7, 1.1])
Pair = namedtuple("Pair", "a b")


@dataclasses.dataclass
class State:
    x: Any
    step: int
    name: str = "state"


def chain(segment, depth=4):
    def f(x):
        for _ in range(depth):
            x = segment(x)
        return x

    return f


SEGMENTS = {
    "element-wise": lambda x: np.sin(np.exp(-x * x)) + x,
    "products with a constant": lambda x: np.tanh(W @ x),
    "indexing": lambda x: np.concatenate([x[1:] * x[:-1], x[:1]]),
    "a reduction": lambda x: x / (1 + np.sum(x**2)),
    "one operation": lambda x: x * 0.5,
    "nothing": lambda x: x,
    "a mask": lambda x: np.where(x > 0, x, np.expm1(x)),
    "a branch of Python's": lambda x: np.sin(x) if x.sum() > 0 else np.cos(x),
    "a derivative inside": lambda x: ag.grad(lambda z: np.sum(np.cosh(z)))(x),
}
TRANSFORMS = {
    "grad": lambda f, x: ag.grad(lambda x: (f(x) * X).sum())(x),
    "value_and_grad": lambda f, x: ag.value_and_grad(lambda x: (f(x) ** 2).sum())(x),
    "vjp": lambda f, x: ag.vjp(f, x)[1](X),
    "jvp": lambda f, x: ag.jvp(f, (x,), (X[::-1],)),
    "jacobian": lambda f, x: ag.jacobian(f)(x),
    "columns": lambda f, x: ag.jacobian(lambda x: np.outer(f(x), X))(x),
    "hessian": lambda f, x: ag.hessian(lambda x: (f(x) ** 2).sum())(x),
    "hvp": lambda f, x: ag.hvp(lambda x: (f(x) ** 2).sum(), x, X),
    "ggnvp": lambda f, x: ag.ggnvp(f, lambda y: (y**4).sum(), x, X),
    "deriv of grad": lambda f, x: ag.deriv(lambda t: ag.grad(lambda x: f(x * t).sum())(x))(0.5),
}
EXECUTORS = ["numpy", "native"]


def equal(a, b, tolerance=0.0):
    if isinstance(a, tuple):
        for x, y in zip(a, b, strict=True):
            equal(x, y, tolerance)
    else:
        assert np.shape(a) == np.shape(b) and a.dtype == b.dtype
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(("segment", "transform"), [
    pytest.param(segment, transform, id=f"{a}-{b}")
    for a, segment in SEGMENTS.items() for b, transform in TRANSFORMS.items()
])
def test_derivatives_are_the_same(segment, transform):
    found = transform(chain(ag.checkpoint(segment)), X)
    equal(found, transform(chain(segment), X), 1e-13)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("segment", SEGMENTS.values(), ids=SEGMENTS)
def test_values_and_gradients_are_the_same_bits(segment, dtype):
    results = []
    for f in (segment, ag.checkpoint(segment)):
        x = ag.tensor(X.astype(dtype), requires_grad=True)
        y = chain(f)(x)
        y.backward(np.ones(3))
        results.append((y.data, x.grad))
    equal(*results)


@pytest.mark.parametrize("segment", SEGMENTS.values(), ids=SEGMENTS)
def test_checkpoints_nest(segment):
    f = chain(ag.checkpoint(chain(ag.checkpoint(segment), 2)), 2)
    equal(ag.hessian(lambda x: f(x).sum())(X),
          ag.hessian(lambda x: chain(segment)(x).sum())(X), 1e-13)


def test_derivatives_of_high_order():
    f, g = np.tanh, ag.checkpoint(lambda x: np.tanh(x))
    for _ in range(4):
        f, g = ag.grad(f), ag.grad(ag.checkpoint(g))
    np.testing.assert_allclose(g(0.3), f(0.3), rtol=1e-12)
    ag.check_grads(ag.checkpoint(lambda x: np.sin(x) * x), X, order=3, rtol=1e-4, atol=1e-4)


# What goes in and comes out. --------------------------------------------------------------------


def test_arguments_and_results_may_be_anything():
    @ag.checkpoint
    def f(p, state, *rest, scale, mode="plain"):
        assert mode == "plain" and rest == ("text", None)
        y = p["w"] @ state.x * scale
        return {"y": y, "state": State(np.tanh(y), state.step + 1)}, Pair(y > 0, 3), p["w"], "done"

    def loss(p, x, scale):
        out, pair, w, text = f(p, State(x, 1), "text", None, scale=scale)
        assert out["state"].step == 2 and out["state"].name == "state" and pair.b == 3
        assert text == "done" and w is p["w"]
        return (out["y"] * pair.a).sum() + (out["state"].x ** 2).sum() + w.sum()

    args = ({"w": W}, X, 2.0)
    found = ag.grad(loss, (0, 1, 2))(*args)
    f = f.__wrapped__
    expected = ag.grad(loss, (0, 1, 2))(*args)
    equal((found[0]["w"], *found[1:]), (expected[0]["w"], *expected[1:]), 1e-14)


def test_results_of_several_dtypes():
    @ag.checkpoint
    def f(x):
        y = np.sin(x)
        return y, y.astype(np.float32), y.sum(), np.argsort(y), y * 2.0, y.astype(np.float32)[0]

    y, single, total, order, twice, first = f(ag.tensor(X, requires_grad=True))
    assert [t.dtype for t in (y, single, total, order, twice, first)] == [
        np.float64, np.float32, np.float64, np.int64, np.float64, np.float32]
    assert not order.requires_grad and order.data.tolist() == np.argsort(np.sin(X)).tolist()
    assert total.shape == () and isinstance(total.data, np.float64)
    weigh = lambda f, x: sum((t * (i + 1.0)).sum()  # noqa: E731
                             for i, t in enumerate(f(x)) if t.dtype != np.int64)
    equal(ag.grad(lambda x: weigh(f, x))(X), ag.grad(lambda x: weigh(f.__wrapped__, x))(X), 1e-6)


def test_a_result_twice_a_result_unused_and_no_result():
    def f(x):
        y = x * x
        return y, y, np.exp(y)

    g = ag.checkpoint(f)
    assert ag.grad(lambda x: g(x)[0] + g(x)[1])(3.0) == 12.0
    assert ag.checkpoint(lambda x: None)(ag.tensor(1.0)) is None
    assert ag.grad(lambda x: ag.checkpoint(lambda x: 7.0)(x) * x)(2.0) == 7.0
    assert g(2.0)[0] == 4.0 and isinstance(g(2.0)[0], float)  # plain arguments, plain results


def test_it_keeps_the_name_and_takes_callables():
    class Block:
        def __init__(self):
            self.w = ag.tensor(2.0, requires_grad=True)

        def __call__(self, x):
            """Doc."""
            return np.sin(x * self.w)

    block = Block()
    f = ag.checkpoint(block)
    f(3.0).backward()
    np.testing.assert_allclose(block.w.grad, 3 * np.cos(6.0))
    assert not hasattr(f, "w")

    def named(x):
        """What it does."""

    assert ag.checkpoint(named).__name__ == "named"
    assert ag.checkpoint(named).__doc__ == "What it does."
    with pytest.raises(TypeError, match=r"checkpoint: a function is needed.*3"):
        ag.checkpoint(3)


# Closures. --------------------------------------------------------------------------------------


def test_parameters_that_it_closes_over():
    results = []
    for wrap in (lambda f: f, ag.checkpoint):
        w = ag.tensor(W, requires_grad=True, label="w")
        b = ag.tensor(X, requires_grad=True, label="b")
        frozen = ag.tensor(2.0)
        step = wrap(lambda x: np.tanh(w @ x + b) * frozen)  # noqa: B023
        chain(step)(X).sum().backward()
        results.append((w.grad, b.grad))
        assert frozen.grad is None
    equal(*results)


def test_closures_over_arguments_of_enclosing_transforms():
    def outer(wrap):
        def f(s):
            inner = wrap(lambda x: np.sin(s * x) * s)
            return ag.grad(lambda x: chain(inner, 2)(x).sum())(X).sum() * s

        return f

    for transform in (ag.grad, ag.deriv, lambda f: ag.grad(ag.grad(f))):
        np.testing.assert_allclose(transform(outer(ag.checkpoint))(0.7),
                                   transform(outer(lambda f: f))(0.7), rtol=1e-12)


def test_a_value_from_outside_leads_to_itself_and_on():
    """One input is computed from another: neither gets what belongs to the other."""
    def f(x, wrap):
        y = np.exp(x)
        return wrap(lambda: np.sin(x) * y + y * y)()

    for transform in (ag.grad, ag.deriv, lambda f: ag.grad(ag.grad(f))):
        expected = transform(lambda x: f(x, lambda g: g))(0.4)
        np.testing.assert_allclose(transform(lambda x: f(x, ag.checkpoint))(0.4), expected)


def test_leaves_made_inside():
    def f(x):
        c = ag.tensor(np.full(3, 2.0))
        return (x * c * ag.stop_gradient(x)).sum()

    assert ag.grad(ag.checkpoint(f))(X).tolist() == (2 * X).tolist()


# Once more, and the same. -----------------------------------------------------------------------


def test_python_code_runs_once():
    runs = []

    @ag.checkpoint
    def f(x):
        runs.append(1)
        return np.sin(x) * len(runs)

    assert ag.grad(lambda x: f(x).sum())(X).tolist() == np.cos(X).tolist()
    assert runs == [1]
    ag.hvp(lambda x: f(x).sum(), X, X)
    assert runs == [1, 1]


def test_what_it_looked_at_may_change():
    factor = [2.0]
    constant = np.ones(20)
    f = ag.checkpoint(lambda x: np.sin(x * factor[0]) * constant)
    x = ag.tensor(np.linspace(0, 1, 20), requires_grad=True)
    y = f(x)
    factor[0], constant[:] = 5.0, 7.0
    y.sum().backward()
    np.testing.assert_array_equal(x.grad, 2 * np.cos(2 * np.linspace(0, 1, 20)))


def test_a_leaf_that_was_replaced_is_noticed():
    for change in (lambda w: w.assign(3.0), lambda w: setattr(w, "data", 3.0)):
        w = ag.tensor(2.0, requires_grad=True)
        y = ag.checkpoint(lambda x: np.sin(x * w))(1.5)  # noqa: B023
        change(w)
        with pytest.raises(ag.StaleGraphError):
            y.backward()


def test_random_draws_are_the_same_on_the_way_back():
    def noisy(rng):
        def f(x):
            h = x * ag.random.normal(rng, 1.0, 0.3, x.shape)
            return np.sin(h) * ag.random.dropout_mask(rng, 0.5, x.shape)

        return f

    for transform in (TRANSFORMS["grad"], TRANSFORMS["hvp"], TRANSFORMS["jacobian"]):
        expected = transform(chain(noisy(np.random.default_rng(3))), X)
        found = transform(chain(ag.checkpoint(noisy(np.random.default_rng(3)))), X)
        equal(found, expected, 1e-14)


def test_a_draw_that_depends_on_what_is_inside():
    """Its slope goes on, by what its own operation tells, to what it was computed from."""
    def f(x, rng):
        return ag.random.gamma(rng, np.exp(x) + 1.0) * x

    x = np.array([0.2, 0.5, 1.0])
    found, expected = (
        ag.grad(lambda x, wrap=wrap: wrap(f)(x, np.random.default_rng(2)).sum())(x)
        for wrap in (ag.checkpoint, lambda f: f))
    np.testing.assert_allclose(found, expected, rtol=1e-14)


def test_a_replay_draws_afresh_and_goes_back_through_what_it_drew():
    rng = np.random.default_rng(0)
    x = ag.tensor(X, requires_grad=True)
    y = ag.checkpoint(lambda x: np.exp(x * ag.random.normal(rng, size=3)))(x)
    graph = ag.Graph(y.sum())
    seen = set()
    for _ in range(4):
        graph.fprop()
        graph.bprop()
        noise = np.log(y.data) / X
        seen.add(noise[0])
        np.testing.assert_allclose(x.grad, noise * y.data, rtol=1e-12)
    assert len(seen) == 4


def test_draws_of_a_compiled_function_inside():
    def build(wrap):
        rng = np.random.default_rng(1)
        inner = ag.compile(lambda x: x * ag.random.normal(rng, size=3))
        inner(np.ones(3))
        return wrap(lambda x: np.sin(inner(x)))

    f, g = build(lambda f: f), build(ag.checkpoint)
    for _ in range(2):
        a, b = (ag.tensor(X, requires_grad=True) for _ in range(2))
        y, z = f(a), g(b)
        y.sum().backward()
        z.sum().backward()
        equal((y.data, a.grad), (z.data, b.grad), 1e-14)


# Compiled. --------------------------------------------------------------------------------------


def compiled(f, x, executor):
    """What a compiled function returns when it is recorded, and from then on, and its plan."""
    g = ag.compile(f, executor=executor)
    first = g(x)
    again = g(x)
    equal(first, again, 1e-14)
    return again, g._last


@pytest.mark.parametrize("executor", EXECUTORS)
@pytest.mark.parametrize(("segment", "transform"), [
    pytest.param(segment, transform, id=f"{a}-{b}")
    for a, segment in SEGMENTS.items() for b, transform in TRANSFORMS.items()
    if a != "a branch of Python's"
])
def test_compiled_derivatives_are_the_same(segment, transform, executor):
    expected = transform(chain(segment), X)
    nested = ag.checkpoint(chain(ag.checkpoint(segment), 2))
    for f in (chain(ag.checkpoint(segment)), chain(nested, 2)):
        found, _ = compiled(lambda x, f=f: transform(f, x), X, executor)
        equal(found, expected, 1e-12)


@pytest.mark.parametrize("executor", EXECUTORS)
def test_compiled_segments_with_containers_and_parameters(executor):
    w = ag.tensor(W, requires_grad=True)

    def segment(pair, *, scale):
        a, b = pair
        h = np.tanh(w @ a) * scale
        return Pair(h, {"b": b * h.sum(), "sum": np.float64(2.0) * h.mean(), "mask": h > 0})

    def f(x, wrap):
        pair = (x, np.sin(x))
        for k in range(3):
            new = wrap(segment)(pair, scale=k + 1.0)
            pair = (new.a, np.where(new.b["mask"], new.b["b"], new.b["sum"]))
        return (pair[0] * pair[1]).sum()

    def gradients(x, wrap):
        w.zero_grad()
        x = ag.tensor(x, requires_grad=True)
        f(x, wrap).backward()
        return x.grad, w.grad.copy()

    expected = gradients(X, lambda f: f)
    slope = ag.compile(ag.grad(lambda x: f(x, ag.checkpoint)), executor=executor)
    for _ in range(2):  # a Tensor, since w requires a gradient
        equal(slope(X).detach().numpy(), expected[0], 1e-13)

    @ag.compile(executor=executor)
    def step(x):
        w.zero_grad()
        f(x, ag.checkpoint).backward()
        return w.grad

    for _ in range(2):
        equal(step(X), expected[1], 1e-13)


@pytest.mark.parametrize("executor", EXECUTORS)
@pytest.mark.parametrize("weights", [False, True])
def test_the_memory_of_a_compiled_chain_grows_with_its_square_root(weights, executor):
    x = np.random.default_rng(0).normal(size=(64, 64))
    w = np.random.default_rng(1).normal(size=(64, 64)) / 8

    def one(x, w):
        return 0.5 * np.tanh(x @ w) + 0.4 * np.sin(x.T)

    def peak(wrap, n):
        def segment(x, w):
            for _ in range(n):
                x = one(x, w)
            return x

        def f(x, w):
            for _ in range(n):
                x = wrap(segment)(x, w)
            return (x * x).sum()

        g = ag.compile(ag.grad(f, (0, 1) if weights else 0), executor=executor)
        g(x, w)
        found = g(x, w)
        equal(found, ag.grad(f, (0, 1) if weights else 0)(x, w), 1e-10)
        return g._last.executable.peak_bytes / x.nbytes

    sizes = np.array([3, 6, 12])
    plain = [peak(lambda f: f, n) for n in sizes]
    saved = [peak(ag.checkpoint, n) for n in sizes]
    # Without: a few arrays for each of the n² steps. With: the same for the n of one segment,
    # and one for each of the n segments.
    assert plain[2] >= sizes[2] ** 2
    assert saved[2] <= plain[2] / 3 and saved[2] <= 5 * sizes[2]
    growth = np.diff(saved) / np.diff(sizes)
    assert growth[1] <= 1.5 * max(growth[0], 1)


def test_without_barriers_nothing_is_computed_again(monkeypatch):
    """What the barrier is for: the passes would find that the second computation is the first."""
    x = np.ones((50, 50))

    def f(x):
        for _ in range(6):
            x = ag.checkpoint(lambda x: np.sin(np.sin(np.sin(x))))(x)
        return x.sum()

    def sines():
        _, plan = compiled(ag.grad(f), x, "numpy")
        return str(plan.after).count("= sin("), plan.executable.peak_bytes

    kept = sines()
    monkeypatch.setattr(checkpointing, "barrier", lambda x, after: x)
    merged = sines()
    assert merged[0] == 17 < kept[0] and kept[1] < merged[1]


@pytest.mark.parametrize("executor", EXECUTORS)
def test_compiled_draws_are_kept_and_effects_take_place_once(executor):
    rng = np.random.default_rng(0)
    total = ag.tensor(np.zeros(3))
    seen = []

    @ag.checkpoint
    def segment(x):
        noise = ag.random.normal(rng, size=3)
        total.assign(total + noise)
        ag.callback(lambda: seen.append(1))
        return np.sin(x * noise)

    @ag.compile(executor=executor)
    def step(x):
        x = ag.tensor(x, requires_grad=True) if not isinstance(x, ag.Tensor) else x
        return ag.value_and_grad(lambda x: segment(segment(x)).sum())(x)

    reference = np.random.default_rng(0)
    sums = np.zeros(3)
    for k in range(3):
        value, slope = step(X)
        a, b = reference.normal(size=3), reference.normal(size=3)
        sums += a + b
        inner = np.sin(X * a)
        np.testing.assert_allclose(value, np.sin(inner * b).sum(), rtol=1e-13)
        np.testing.assert_allclose(slope, np.cos(inner * b) * b * np.cos(X * a) * a, rtol=1e-12)
        np.testing.assert_allclose(total.data, sums, rtol=1e-13)
        assert len(seen) == 2 * (k + 1)


def test_a_segment_that_requires_no_gradient_is_left_as_it_is():
    f = ag.compile(lambda x: ag.checkpoint(np.sin)(x) * 2.0)
    f(X)
    equal(f(X), 2 * np.sin(X), 1e-15)
    assert "barrier" not in str(f._last.before) and "custom_vjp" not in str(f._last.before)


# As part of a graph. ----------------------------------------------------------------------------


def test_a_graph_with_checkpoints_replays():
    w, x = ag.tensor(W, requires_grad=True), ag.tensor(X, requires_grad=True)
    f = ag.checkpoint(lambda x: (np.tanh(w @ x), x > 0))

    def loss(x):
        h, mask = f(x)
        h, _ = f(np.where(mask, h, 0.5 * h))
        return (h**2).sum()

    graph = ag.Graph(loss(x))
    assert str(graph).count("= checkpoint(") == 2
    assert str(graph).count("= checkpoint_discrete(") == 1  # the mask
    assert "recipe=<2 operations>" in str(graph)
    for k in range(4):
        value = graph.fprop({x: X + k, w: W - k})
        graph.bprop()
        expected, (gx, gw) = ag.value_and_grad(
            lambda x, w: (lambda f: loss_of(f, x))(lambda x: (np.tanh(w @ x), x > 0)), (0, 1)
        )(X + k, W - k)
        np.testing.assert_allclose(value, expected, rtol=1e-13)
        equal((x.grad, w.grad), (gx, gw), 1e-13)
    assert ag.to_dot(graph).source.count("checkpoint")


def loss_of(f, x):
    h, mask = f(x)
    h, _ = f(np.where(mask, h, 0.5 * h))
    return (h**2).sum()


def test_without_recording_it_is_the_function():
    f = ag.checkpoint(lambda x: np.sin(x) * 2.0)
    x = ag.tensor(X, requires_grad=True)
    with ag.no_grad():
        y = f(x)
        assert not y.requires_grad and y.op is None
        equal(ag.grad(lambda x: f(x).sum())(X), 2 * np.cos(X), 1e-15)
    y = f(x)
    with ag.no_grad():
        y.backward(np.ones(3))
    equal(x.grad, 2 * np.cos(X), 1e-15)


def test_a_compiled_step_with_checkpoints():
    w = ag.tensor(W, requires_grad=True)

    def step(wrap):
        def f(x):
            w.zero_grad()
            loss = (chain(wrap(lambda x: np.tanh(w @ x)))(x) ** 2).sum()
            loss.backward()
            w.assign(w - 0.1 * w.grad)
            return loss

        return f

    start, values = w.data.copy(), []
    for f in (step(lambda f: f), step(ag.checkpoint),
              *(ag.compile(step(ag.checkpoint), executor=e) for e in EXECUTORS)):
        w.assign(start)
        values.append([f(X).item() for _ in range(3)])
    for found in values[1:]:
        np.testing.assert_allclose(found, values[0], rtol=1e-13)


def test_a_compiled_function_inside():
    inner = ag.compile(lambda x: np.tanh(W @ x))
    f = chain(ag.checkpoint(lambda x: inner(x) * 2.0))
    g = chain(lambda x: np.tanh(W @ x) * 2.0)
    equal(ag.grad(lambda x: f(x).sum())(X), ag.grad(lambda x: g(x).sum())(X), 1e-13)


def test_the_rows_of_a_jacobian_go_back_together(monkeypatch):
    asked = []
    original = Recipe.__call__

    def counted(self, inputs):
        asked.append(1)
        return original(self, inputs)

    monkeypatch.setattr(Recipe, "__call__", counted)
    f = chain(ag.checkpoint(lambda x: np.tanh(W @ x)), 3)
    ag.jacobian(f)(X)
    assert len(asked) == 3  # once for each segment
    assert set(batching.RULES) >= {checkpointing.checkpoint_, checkpointing.checkpoint_discrete}


def test_an_observer_sees_what_is_inside():
    """While values are watched, nothing is forgotten: the operation at fault is found."""
    f = ag.checkpoint(lambda x: np.sqrt(x - 1.0) * 2.0)
    with (pytest.raises(FloatingPointError, match="sqrt"), np.errstate(all="ignore"),
          ag.debug_nans()):
        ag.grad(lambda x: f(x).sum())(np.array([0.5, 2.0]))
    with ag.debug_nans():
        equal(ag.grad(lambda x: f(x).sum())(X + 2), 1 / np.sqrt(X + 1), 1e-14)


# Memory. ----------------------------------------------------------------------------------------

SIZE, INSIDE, DEPTH = 10_000, 8, 40
ARRAY = 8 * SIZE


def segment(x):
    for _ in range(INSIDE):
        x = np.sin(x)
    return x


def peak(f, *args):
    """The most bytes that were allocated at a time, in arrays of the size above."""
    gc.collect()
    tracemalloc.start()
    try:
        f(*args)
        return tracemalloc.get_traced_memory()[1] / ARRAY
    finally:
        tracemalloc.stop()


def test_a_deep_chain_holds_one_segment_at_a_time():
    x = np.linspace(0.1, 1.0, SIZE)
    stored, kept = (peak(ag.grad(lambda x, f=f: chain(f, DEPTH)(x).sum()), x)
                    for f in (segment, ag.checkpoint(segment)))
    assert stored > DEPTH * INSIDE
    # A value between any two segments, one segment, and a few cotangents and temporary arrays.
    assert kept < DEPTH + INSIDE + 8


def test_the_memory_grows_with_the_segments_alone():
    x = np.linspace(0.1, 1.0, SIZE)
    few, many = (peak(ag.grad(lambda x, d=d: chain(ag.checkpoint(segment), d)(x).sum()), x)
                 for d in (10, 20))
    assert 9 < many - few < 12


@pytest.mark.parametrize(("product", "each"), [
    (lambda f, x: ag.hvp(lambda x: f(x).sum(), x, x), 9), (lambda f, x: ag.jvp(f, (x,), (x,)), 4),
], ids=["hvp", "jvp"])
def test_products_hold_one_segment_at_a_time(product, each):
    """Per segment what goes in and out, values and cotangents and their tangents."""
    x = np.linspace(0.1, 1.0, SIZE)
    few, many = (peak(product, chain(ag.checkpoint(segment), depth), x) for depth in (10, 20))
    assert many - few < 10 * each
    few, many = (peak(product, chain(segment, depth), x) for depth in (10, 20))
    assert many - few > 10 * 2 * INSIDE > 10 * each


def test_parameters_and_several_results():
    w = ag.tensor(np.linspace(0.5, 1.0, SIZE), requires_grad=True)

    def layer(state):
        x, log = state
        for _ in range(INSIDE):
            x = np.sin(x * w)
        return x, log + x.sum()

    def run(f):
        def loss():
            x, log = chain(f, DEPTH)((np.ones(SIZE), 0.0))
            (x.sum() + log).backward()

        return loss

    stored, kept = peak(run(layer)), peak(run(ag.checkpoint(layer)))
    assert stored > 2 * DEPTH * INSIDE
    assert kept < 1.5 * DEPTH + 3 * INSIDE + 12


def test_a_plain_array_that_every_segment_uses_is_kept_once():
    a = np.linspace(0.5, 1.0, SIZE)
    x = np.linspace(0.1, 1.0, SIZE)

    def scaled(x):
        for _ in range(INSIDE):
            x = np.sin(x * a)
        return x

    kept = peak(ag.grad(lambda x: chain(ag.checkpoint(scaled), DEPTH)(x).sum()), x)
    assert kept < DEPTH + 4 * INSIDE + 12
    assert not len(checkpointing._constants)  # and by nobody once the graph is gone


@pytest.mark.parametrize("result", [
    lambda y: y, lambda y: (y * 1.0, y.sum()), lambda y: y > 0, lambda y: y[:1], lambda y: y.T,
], ids=["array", "several", "mask", "a part", "a view"])
def test_values_in_between_are_freed_at_once(result):
    inside = []

    @ag.checkpoint
    def f(x):
        y = np.exp(x)
        inside.append(weakref.ref(y))
        inside.append(weakref.ref(y.data.base if y.data.base is not None else y._value))
        return result(y * 2.0)

    gc.disable()
    try:
        y = f(ag.tensor(np.ones((50, 2)), requires_grad=True))
        assert [ref() for ref in inside] == [None, None]
        assert y is not None
    finally:
        gc.enable()


def test_a_checkpoint_leaves_nothing_behind():
    gc.disable()
    try:
        x = ag.tensor(X, requires_grad=True)
        y = chain(ag.checkpoint(np.sin))(x).sum()
        nodes = [weakref.ref(node) for node in ag.Graph(y).nodes]
        y.backward()
        del y
        assert [ref() for ref in nodes if ref() is not None] == [x]
    finally:
        gc.enable()


# Faults. ----------------------------------------------------------------------------------------


def test_a_recipe_that_forgets_a_step_is_found(monkeypatch):
    original = Recipe.__call__

    def wrong(self, inputs):
        kept, self.steps = self.steps, [
            (op, operands, attrs) if op.name != "sin" else (ag.op.OPS["cos"], operands, attrs)
            for op, operands, attrs in self.steps]
        try:
            return original(self, inputs)
        finally:
            self.steps = kept

    monkeypatch.setattr(Recipe, "__call__", wrong)
    with pytest.raises(AssertionError):
        test_values_and_gradients_are_the_same_bits(SEGMENTS["element-wise"], np.float64)


def test_constants_that_are_mixed_up_are_found(monkeypatch):
    monkeypatch.setattr(checkpointing, "_kept_once",
                        lambda x: x + 1 if isinstance(x, np.ndarray) else x)
    with pytest.raises(AssertionError):
        test_derivatives_are_the_same(SEGMENTS["products with a constant"], TRANSFORMS["grad"])


# Among many scalars. ----------------------------------------------------------------------------


def test_a_graph_of_many_scalars_replays_as_arrays_around_it():
    """Replayed as a plan from the third time on, with checkpoints and rules of one's own inside."""
    square = ag.custom_vjp(lambda x: (x * x, x)).defvjp(lambda x, g: (2 * g * x,))
    wave = ag.checkpoint(lambda x, y: np.sin(x) * y)
    weights = [ag.tensor(0.1 * i, requires_grad=True) for i in range(40)]

    def loss(weights):
        total = 0.0
        for a, b in pairwise(weights):
            total = total + wave(a, b) + square(a * 2.0 - b).tanh()
        return total

    graph = ag.Graph(loss(weights))
    for k in range(5):
        feed = {w: 0.1 * i - 0.3 * k for i, w in enumerate(weights)}
        values = list(feed.values())
        plain = lambda ws: sum(np.sin(a) * b + np.tanh((a * 2.0 - b) ** 2)  # noqa: E731
                               for a, b in pairwise(ws))
        np.testing.assert_allclose(graph.fprop(feed), plain(values), rtol=1e-12)
        graph.bprop()
        expected = ag.grad(plain)(values)
        np.testing.assert_allclose([w.grad for w in weights], expected, rtol=1e-9, atol=1e-12)
