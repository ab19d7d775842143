"""Random draws as nodes: distributions, gradients, replays, compiled functions."""

import tracemalloc

import numpy as np
import pytest

import autograd_core as ag
from autograd_core.compiler.passes import PASSES, batch, fuse, updates
from autograd_core.compiler.program import Instruction, Program, Type, Var, verify
from autograd_core.op import OPS, Op
from autograd_core.ops.random import Stream, standard_normal
from autograd_core.random import Draws

random = ag.random


def generator(seed=0):
    return np.random.default_rng(seed)


#: Every function, as a draw of n values.
DRAWS = {
    "normal": lambda rng, n, dtype=None: random.normal(rng, size=n, dtype=dtype),
    "uniform": lambda rng, n, dtype=None: random.uniform(rng, size=n, dtype=dtype),
    "gamma": lambda rng, n, dtype=None: random.gamma(rng, 2.5, size=n, dtype=dtype),
    "gumbel": lambda rng, n, dtype=None: random.gumbel(rng, size=n, dtype=dtype),
    "bernoulli": lambda rng, n, dtype=None: random.bernoulli(rng, 0.3, size=n, dtype=dtype),
    "dropout_mask": lambda rng, n, dtype=None: random.dropout_mask(
        rng, 0.3, n, np.float64 if dtype is None else dtype),
    "categorical": lambda rng, n, dtype=None: random.categorical(
        rng, np.log(np.array([0.2, 0.3, 0.5], dtype or float)), size=n),
    "gumbel_softmax": lambda rng, n, dtype=None: random.gumbel_softmax(
        rng, np.zeros((n, 3), dtype or float)),
}
each = pytest.mark.parametrize("name", DRAWS)


# Distributions. ---------------------------------------------------------------------------------

N = 40_000


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("draw", "cdf"), [
    (lambda rng, dtype: random.normal(rng, 1.0, 2.0, N, dtype), "norm(1, 2)"),
    (lambda rng, dtype: random.uniform(rng, -1.0, 3.0, N, dtype), "uniform(-1, 4)"),
    (lambda rng, dtype: random.gumbel(rng, N, dtype), "gumbel_r()"),
    (lambda rng, dtype: random.gamma(rng, 0.5, 3.0, N, dtype), "gamma(0.5, 0, 3)"),
    (lambda rng, dtype: random.gamma(rng, 7, 1, N, dtype), "gamma(7)"),
])
def test_the_distribution_is_the_one_named(draw, cdf, dtype):
    stats = pytest.importorskip("scipy.stats")
    x = draw(generator(), dtype)
    assert x.dtype == dtype
    expected = eval(f"stats.{cdf}", {"stats": stats})
    assert stats.kstest(np.asarray(x.data, float), expected.cdf).pvalue > 0.01


def test_a_planted_fault_in_a_distribution_is_seen():
    stats = pytest.importorskip("scipy.stats")
    x = random.normal(generator(), 1.0, 2.0, N).data
    assert stats.kstest(x * 1.03, stats.norm(1, 2).cdf).pvalue < 1e-3


def test_indices_are_drawn_with_their_probabilities():
    p = np.array([[0.1, 0.2, 0.7], [0.5, 0.5, 0.0]])
    with np.errstate(divide="ignore"):
        drawn = random.categorical(generator(), np.log(p), size=(N, 2)).data
    assert drawn.dtype == np.intp
    for i, row in enumerate(p):
        share = np.bincount(drawn[:, i], minlength=3) / N
        np.testing.assert_allclose(share, row, atol=4 * 0.5 / N**0.5)
        assert (share[row == 0] == 0).all()


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.5, 0.9, 1.0])
def test_a_dropout_mask_is_zero_or_scaled(rate):
    mask = random.dropout_mask(generator(), rate, N).data
    assert mask.dtype == np.float32
    kept = mask != 0
    assert abs(kept.mean() - (1 - rate)) < 4 * 0.5 / N**0.5
    np.testing.assert_array_equal(mask[kept], np.float32(1 / (1 - rate) if rate < 1 else 0))
    if rate < 1:
        assert abs(mask.mean() - 1) < 4 * (rate / (1 - rate) / N) ** 0.5 + 1e-6


@pytest.mark.parametrize("dtype", [bool, np.int64, np.float32, np.float16])
def test_coins_are_of_any_dtype(dtype):
    x = random.bernoulli(generator(), np.array([0.0, 0.25, 1.0]), (N, 3), dtype).data
    assert x.dtype == dtype
    np.testing.assert_allclose(x.astype(float).mean(0), [0, 0.25, 1], atol=4 * 0.5 / N**0.5)


def test_gumbel_draws_are_finite_at_the_ends_of_the_uniform_ones():
    class Ends:
        def random(self, size, dtype):
            return np.array([0, 1 - np.finfo(dtype).epsneg], dtype)

    for dtype in (np.float32, np.float64):
        forward = ag.random.standard_uniform.forward
        u = forward(Stream(Ends()), (2,), np.dtype(dtype))
        x = -np.log(-np.log(np.maximum(u, np.finfo(dtype).tiny)))
        assert np.isfinite(x).all()
    assert np.isfinite(random.gumbel(generator(), 100_000, np.float16).data).all()


def test_a_low_temperature_gives_nearly_one_hot():
    y = random.gumbel_softmax(generator(), np.zeros((200, 4)), 0.01).data
    assert np.median(y.max(axis=-1)) > 0.999
    np.testing.assert_allclose(y.sum(axis=-1), 1)
    hot = random.categorical(generator(), np.zeros((200, 4))).data
    np.testing.assert_array_equal(y.argmax(axis=-1), hot)  # of the same noise


# Shapes, dtypes and errors. ---------------------------------------------------------------------


@pytest.mark.parametrize(("loc", "scale", "size", "shape"), [
    (0.0, 1.0, None, ()), (0.0, 1.0, 3, (3,)), (0.0, 1.0, (2, 0), (2, 0)),
    (np.zeros(3), 1.0, None, (3,)), (np.zeros(3), np.ones((2, 1)), None, (2, 3)),
    (np.zeros(3), 1.0, (4, 3), (4, 3)), (np.zeros((2, 1)), np.ones(3), (5, 2, 3), (5, 2, 3)),
    ([0.0, 1.0], 2, None, (2,)), (0.0, 1.0, np.int64(2), (2,)), (0.0, 1.0, [2, 3], (2, 3)),
])
@pytest.mark.parametrize("draw", [random.normal, random.uniform, lambda rng, loc, scale, size:
                                  random.gamma(rng, np.add(loc, 1), scale, size)])
def test_shapes_broadcast(draw, loc, scale, size, shape):
    for wrap in (lambda x: x, lambda x: ag.tensor(x, dtype=float)):
        y = draw(generator(), wrap(loc), wrap(scale), size)
        assert isinstance(y, ag.Tensor)
        assert y.shape == shape


def test_the_axis_of_choices_may_be_any():
    logits = generator(3).normal(size=(4, 2, 5))
    last = random.categorical(generator(), np.moveaxis(logits, 0, -1)).data
    np.testing.assert_array_equal(random.categorical(generator(), logits, axis=0).data, last)
    assert random.categorical(generator(), logits, 1, size=(7, 4, 5)).shape == (7, 4, 5)
    y = random.gumbel_softmax(generator(), logits, axis=0)
    np.testing.assert_allclose(y.sum(axis=0).data, 1)


@pytest.mark.parametrize(("parameters", "dtype", "expected"), [
    ((0.0, 1.0), None, np.float64), ((np.float32(0), 1.0), None, np.float32),
    ((np.zeros(2, np.float32), np.ones(2)), None, np.float64),
    ((np.zeros(2, int), 1), None, np.float64), ((0.0, 1.0), np.float32, np.float32),
    ((np.zeros(2), np.ones(2)), "float32", np.float32), ((0, 1), np.float16, np.float16),
    ((0, np.float32(1)), np.longdouble, np.longdouble),
])
@pytest.mark.parametrize("draw", [random.normal, random.uniform])
def test_the_dtype_follows_the_parameters(draw, parameters, dtype, expected):
    y = draw(generator(), *parameters, dtype=dtype)
    assert y.dtype == expected
    wide = [x for x in ag.Graph(y).nodes if x.dtype.itemsize > np.dtype(expected).itemsize]
    assert not wide or expected == np.float16


@each
@pytest.mark.parametrize("wrong", [0, np.int64(3), None, np.random, "x"])
def test_a_seed_is_no_generator(name, wrong):
    with pytest.raises(TypeError, match=r"write `rng = np\.random\.default_rng\((seed|0|3)\)`"):
        DRAWS[name](wrong, 2)


def test_an_old_generator_is_refused():
    with pytest.raises(TypeError, match=r"a numpy\.random\.Generator"):
        random.normal(np.random.RandomState(0))


@pytest.mark.parametrize(("call", "error", "message"), [
    (lambda r: random.normal(r, np.zeros(3), 1.0, 2), ag.ShapeError, r"\(3,\).*size \(2,\)"),
    (lambda r: random.normal(r, np.zeros(3), np.ones(2)), ag.ShapeError, "each other"),
    (lambda r: random.normal(r, np.zeros((2, 1)), 1.0, 3), ag.ShapeError, r"size \(3,\)"),
    (lambda r: random.normal(r, 0.0, -1.0), ValueError, "scale is negative"),
    (lambda r: random.normal(r, size=-1), ValueError, "negative size"),
    (lambda r: random.normal(r, size=2.5), TypeError, "size is an integer"),
    (lambda r: random.normal(r, dtype=int), TypeError, "floating point, got dtype int64"),
    (lambda r: random.normal(r, dtype=complex), TypeError, "imaginary"),
    (lambda r: random.normal(r, 1j), TypeError, "real numbers"),
    (lambda r: random.normal(r, "a"), TypeError, "real numbers"),
    (lambda r: random.gamma(r, 0.0), ValueError, "shape is not positive"),
    (lambda r: random.gamma(r, [1.0, -1.0]), ValueError, "shape is not positive"),
    (lambda r: random.gamma(r, 1.0, -1.0), ValueError, "scale is negative"),
    (lambda r: random.gamma(r, ag.tensor(-1.0)), ValueError, "shape < 0"),
    (lambda r: random.bernoulli(r, 1.5), ValueError, "between 0 and 1"),
    (lambda r: random.dropout_mask(r, -0.1, 3), ValueError, "rate -0.1"),
    (lambda r: random.dropout_mask(r, ag.tensor(0.1), 3), TypeError, "static_argnames"),
    (lambda r: random.categorical(r, 1.0), ag.ShapeError, "need an axis"),
    (lambda r: random.categorical(r, np.zeros((2, 0))), ag.ShapeError, "nothing to choose"),
    (lambda r: random.categorical(r, np.zeros((2, 3)), 2), np.exceptions.AxisError, "axis 2"),
    (lambda r: random.categorical(r, np.zeros((2, 3)), size=3), ag.ShapeError, r"\(2,\).*\(3,\)"),
    (lambda r: random.gumbel_softmax(r, np.zeros(2), 0.0), ValueError, "not positive"),
])
def test_errors_come_before_anything_is_drawn(call, error, message):
    rng = generator()
    before = rng.bit_generator.state
    with pytest.raises(error, match=message) as caught:
        call(rng)
    assert "test_random.py:" in str(caught.value)
    assert rng.bit_generator.state == before


# Gradients. -------------------------------------------------------------------------------------


def test_location_and_scale():
    loc, scale = ag.tensor([1.0, 2.0], requires_grad=True), ag.tensor(3.0, requires_grad=True)
    w = np.array([1.0, 10.0])
    (random.normal(generator(), loc, scale) * w).sum().backward()
    z = generator().standard_normal(2)
    np.testing.assert_allclose(loc.grad, w)
    np.testing.assert_allclose(scale.grad, (w * z).sum())
    low, high = ag.tensor([0.0, 1.0], requires_grad=True), ag.tensor(3.0, requires_grad=True)
    (random.uniform(generator(), low, high) * w).sum().backward()
    u = generator().random(2)
    np.testing.assert_allclose(low.grad, w * (1 - u))
    np.testing.assert_allclose(high.grad, (w * u).sum())


def test_the_gradient_of_an_expectation():
    """d/dμ E[x²] = 2μ and d/dσ E[x²] = 2σ, estimated from one draw of many."""
    mean, gradient = ag.value_and_grad(
        lambda m, s: (random.normal(generator(), m, s, 200_000) ** 2).mean(), (0, 1)
    )(1.5, 0.5)
    assert abs(mean - (1.5**2 + 0.5**2)) < 0.02
    np.testing.assert_allclose(gradient, (3.0, 1.0), atol=0.02)


@pytest.mark.parametrize("a", [0.2, 1.0, 5.0, 50.0])
def test_the_gradient_in_the_shape_of_a_gamma_distribution(a):
    """What a draw would have been at another shape, its place in the distribution kept."""
    special = pytest.importorskip("scipy.special")
    w = np.array([1.0, 2.0, 3.0])
    shape, scale = ag.tensor(a, requires_grad=True), ag.tensor([2.0] * 3, requires_grad=True)
    y = random.gamma(generator(), shape, scale)
    (y * w).sum().backward()
    z = generator().standard_gamma(a, 3)
    h = 1e-4 * a
    up, down = (special.gammaincinv(a + d, special.gammainc(a, z)) for d in (h, -h))
    np.testing.assert_allclose(y.data, 2 * z)
    np.testing.assert_allclose(shape.grad, (2 * w * (up - down) / (2 * h)).sum(), rtol=1e-5)
    np.testing.assert_allclose(scale.grad, w * z)


def test_the_gradient_of_the_moments_of_a_gamma_distribution():
    """d/da E[z] = 1, d/da E[z²] = 2a + 1 and d²/da² E[z²] = 2, estimated from many draws."""
    pytest.importorskip("scipy")
    a = 1.5

    def mean(a, power):
        return (random.gamma(generator(), a, size=40_000) ** power).mean()

    np.testing.assert_allclose(ag.grad(mean)(a, 1), 1, atol=0.02)
    np.testing.assert_allclose(ag.grad(mean)(a, 2), 2 * a + 1, atol=0.1)
    np.testing.assert_allclose(ag.grad(ag.grad(mean))(a, 2), 2, atol=0.05)


def test_tiny_shapes_draw_zeros_whose_gradient_is_zero():
    pytest.importorskip("scipy")
    a = ag.tensor(np.full(200, 1e-3), requires_grad=True)
    z = random.gamma(generator(), a)
    z.sum().backward()
    assert (z.data == 0).any()
    assert np.isfinite(a.grad).all() and (a.grad[z.data == 0] == 0).all()


def test_a_compiled_gamma_draw_and_its_gradient():
    pytest.importorskip("scipy")
    a = np.array([0.5, 2.0], np.float32)

    def f(a, rng):
        return (random.gamma(rng, a, 2.0, size=(3, 2)) ** 2).sum()

    first, second, third = generator(), generator(), generator()
    inside = ag.compile(lambda a: ag.grad(f)(a, second))
    outside = ag.compile(lambda a: f(a, third))
    for _ in range(3):
        expected = ag.grad(f)(a, first)
        assert expected.dtype == np.float32
        np.testing.assert_allclose(inside(a), expected, rtol=1e-5)
        np.testing.assert_allclose(ag.grad(outside)(a), expected, rtol=1e-5)
    assert first.bit_generator.state == second.bit_generator.state == third.bit_generator.state


def test_the_jacobian_of_a_gamma_draw():
    pytest.importorskip("scipy")
    a = np.array([0.5, 2.0])
    jacobian = ag.jacobian(lambda a: random.gamma(generator(), a))(a)
    z = generator().standard_gamma(a)
    np.testing.assert_allclose(jacobian, np.diag(ag.special.gamma_slope(a, z)))


def test_relaxed_samples_to_second_order():
    logits = generator(1).normal(size=(2, 3))
    ag.check_grads(lambda x, t: random.gumbel_softmax(generator(), x, t), logits, 0.7, order=2)


@each
def test_discrete_draws_and_noise_need_no_gradient(name):
    assert not DRAWS[name](generator(), 3).requires_grad


# Replays. ---------------------------------------------------------------------------------------


def noisy(x, rng):
    """Draws that are used in another order than they were made in."""
    b = random.normal(rng, size=3)
    a = random.normal(rng, x, 2.0)
    mask = random.dropout_mask(rng, 0.5, 3, np.float64)
    deep = random.gamma(rng, np.exp(a))
    return (mask * (a - 2 * b) ** 2 * deep).sum() + random.uniform(rng)


def test_a_replay_draws_afresh_as_rebuilding_would():
    first, second = generator(), generator()
    x = ag.tensor([1.0, 2.0, 3.0], requires_grad=True)
    y = noisy(x, first)
    graph = ag.Graph(y)
    noisy(x, second)
    for _ in range(4):
        x.grad = None
        again = noisy(x, second)
        again.backward()
        expected = x.grad
        assert graph.fprop() == again.data
        graph.bprop()
        np.testing.assert_array_equal(x.grad, expected)
    assert first.bit_generator.state == second.bit_generator.state


def test_going_backward_uses_what_was_drawn():
    rng = generator()
    x = ag.tensor([1.0, 2.0, 3.0], requires_grad=True)
    y = noisy(x, rng)
    before = rng.bit_generator.state
    y.backward()
    once = x.grad
    y.backward()
    np.testing.assert_array_equal(x.grad, 2 * once)
    assert rng.bit_generator.state == before


def test_a_graph_of_many_scalars_draws_each_of_them():
    def f(xs, rng):
        total = 0.0
        for x in xs:
            total = total + x * random.normal(rng) + x.tanh()
        return total

    xs = [ag.Value(0.1 * i) for i in range(100)]
    first, second = generator(), generator()
    graph = ag.Graph(f(xs, first))
    f(xs, second)
    for _ in range(5):  # past the third, from which graphs of scalars are batched
        np.testing.assert_allclose(graph.fprop(), f(xs, second).data, rtol=1e-13)
    assert first.bit_generator.state == second.bit_generator.state


def test_nothing_is_kept_under_no_grad():
    with ag.no_grad():
        y = random.normal(generator(), np.zeros(3))
    assert y.op is None and y.inputs == ()
    np.testing.assert_array_equal(y.data, random.normal(generator(), np.zeros(3)).data)


def test_a_listing_shows_no_address():
    lines = [str(ag.Graph(noisy(ag.tensor(np.ones(3)), generator()))) for _ in range(2)]
    assert lines[0] == lines[1]
    assert "stream=PCG64" in lines[0]


# Compiled. --------------------------------------------------------------------------------------


@each
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n", [1, 5])
def test_compiled_draws_are_the_eager_ones(name, dtype, n):
    first, second = generator(), generator()
    compiled = ag.compile(lambda: DRAWS[name](second, n, dtype))
    for _ in range(3):
        expected, result = DRAWS[name](first, n, dtype), compiled()
        assert type(result) is type(expected)
        assert result.dtype == expected.dtype
        close = np.testing.assert_array_equal
        if name == "gumbel_softmax":  # a sum, which rounds in another order
            def close(x, y):
                np.testing.assert_allclose(x, y, rtol=1e-6)
        close(result.data, expected.data)
    assert first.bit_generator.state == second.bit_generator.state
    assert compiled.recompiles == 0


def test_scalars_are_drawn_too():
    first, second = generator(), generator()
    f = ag.compile(lambda: (random.normal(second), random.uniform(second, dtype=np.float32)))
    for _ in range(3):
        expected = random.normal(first), random.uniform(first, dtype=np.float32)
        for x, y in zip(f(), expected, strict=True):
            assert type(x.data) is type(y.data)
            assert x.data == y.data


def test_python_floats_stay_weak():
    for x in (np.zeros(2, np.float32), np.zeros(2)):
        f = ag.compile(lambda x, s: random.normal(generator(), x, s))
        for _ in range(2):
            assert f(x, 2.0).dtype == x.dtype


def test_the_generator_may_be_an_argument():
    f = ag.compile(lambda rng, x: random.normal(rng, x))
    rng, other = generator(), generator()
    for _ in range(3):
        np.testing.assert_array_equal(f(rng, np.zeros(2)).data, other.standard_normal(2))
    rng.bit_generator.state = generator(9).bit_generator.state
    np.testing.assert_array_equal(f(rng, np.zeros(2)).data, generator(9).standard_normal(2))
    assert f.recompiles == 0
    another = generator(5)
    np.testing.assert_array_equal(f(another, np.zeros(2)).data, generator(5).standard_normal(2))


def test_equal_draws_are_not_merged_and_unused_ones_not_dropped():
    rng, other = generator(), generator()

    @ag.compile
    def f(x):
        a = random.normal(rng, size=3)
        random.normal(rng, size=2)
        return x + a - random.normal(rng, size=3)

    for _ in range(3):
        expected = other.standard_normal(3)
        other.standard_normal(2)
        expected = expected - other.standard_normal(3)
        np.testing.assert_array_equal(f(np.zeros(3)).data, expected)


def test_a_training_step_draws_and_keeps_nothing():
    """Dropout in a training step: the same parameters as eagerly, and no allocation of draws."""
    def step(w, rng, x):
        h = np.tanh(x @ w) * random.dropout_mask(rng, 0.5, (x.shape[0], w.shape[1]), np.float64)
        noise = random.normal(rng, size=h.shape)
        loss = ((h + 0.1 * noise) ** 2).mean()
        loss.backward()
        w.assign(w - 0.1 * w.grad)
        w.zero_grad()

    x = generator(1).normal(size=(100, 80))
    start = generator(2).normal(size=(80, 100))
    ws = [ag.tensor(start, requires_grad=True) for _ in range(2)]
    rngs = generator(), generator()
    compiled = ag.compile(lambda x: step(ws[1], rngs[1], x))
    for _ in range(20):
        step(ws[0], rngs[0], x)
        compiled(x)
    np.testing.assert_allclose(ws[1].data, ws[0].data, rtol=1e-12)
    tracemalloc.start()
    compiled(x)
    before = tracemalloc.get_traced_memory()[0]
    tracemalloc.reset_peak()
    compiled(x)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak - before < x.nbytes / 8


def test_going_back_through_a_compiled_function_repeats_its_draws():
    def f(x, rng):
        return (random.normal(rng, x, np.exp(x)) ** 2 * random.uniform(rng, size=3)).sum()

    g = ag.compile(f)
    x = np.array([0.1, -0.2, 0.3])
    first, second = generator(), generator()
    for _ in range(3):
        expected = ag.value_and_grad(lambda x: f(x, first))(x)
        result = ag.value_and_grad(lambda x: g(x, second))(x)
        for a, b in zip(result, expected, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-13)
        np.testing.assert_allclose(
            ag.hessian(lambda x: g(x, second))(x), ag.hessian(lambda x: f(x, first))(x),
            rtol=1e-12)
        np.testing.assert_allclose(
            ag.jvp(lambda x: g(x, second), (x,), (x,)), ag.jvp(lambda x: f(x, first), (x,), (x,)),
            rtol=1e-12)
        assert first.bit_generator.state == second.bit_generator.state


def test_a_replay_of_compiled_results_draws_them_jointly():
    @ag.compile
    def f(x):
        z = random.normal(rng, x)
        return z * 1.0, z * 2.0

    rng = generator()
    x = ag.tensor(np.zeros(3), requires_grad=True)
    graph = ag.Graph(f(x))
    seen = []
    for _ in range(4):
        a, b = graph.fprop()
        np.testing.assert_array_equal(b, 2 * a)
        graph.bprop([a, b])
        np.testing.assert_allclose(x.grad, a + 2 * b)
        seen.append(a[0])
    assert len(set(seen)) == 4


def test_whoever_recomputes_a_result_knows_that_it_was_drawn():
    """What another computation would not give again is impure: a checkpoint keeps it."""
    x = ag.tensor(np.zeros(3), requires_grad=True)
    rng = generator()
    drawn = ag.compile(lambda x: random.normal(rng, x, 2.0) * x)
    assert not drawn(x).op.pure and not drawn(x).op.pure
    assert ag.compile(lambda x: x * 2.0)(x).op.pure


def test_checkpoints_draw_once():
    def f(x, rng):
        mask = random.dropout_mask(rng, 0.5, 3, np.float64)
        return (random.normal(rng, x, np.exp(x)) * mask).sum() ** 2

    rngs = [generator() for _ in range(4)]
    compiled = ag.compile(f)
    ways = [
        ag.value_and_grad(lambda x: f(x, rngs[0])),
        ag.value_and_grad(ag.checkpoint(lambda x: f(x, rngs[1]))),
        ag.value_and_grad(ag.checkpoint(lambda x: compiled(x, rngs[2]))),
        ag.compile(lambda x: ag.value_and_grad(ag.checkpoint(lambda x: f(x, rngs[3])))(x)),
    ]
    x = np.array([0.1, 0.2, 0.3])
    for _ in range(3):
        expected, *others = (way(x) for way in ways)
        for found in others:
            for a, b in zip(found, expected, strict=True):
                np.testing.assert_allclose(a, b, rtol=1e-12)
    assert all(rng.bit_generator.state == rngs[0].bit_generator.state for rng in rngs)


def test_reading_a_draw_while_recording_is_an_error():
    f = ag.compile(lambda: 1.0 if random.uniform(generator()) > 0.5 else 0.0)
    with pytest.raises(ag.CompileError, match="needs the value"):
        f()


def test_scalar_code_draws_in_its_order():
    """Scalars of one kind are batched; draws among them, one of them deep, keep their order."""
    def f(xs, rng):
        total = 0.0
        for x in xs:
            deep = (x * random.normal(rng)).tanh().exp()
            total = total + deep * random.uniform(rng, 0.0, deep) + random.normal(rng)
        return total

    first, second = generator(), generator()
    xs = [0.01 * i for i in range(60)]
    g = ag.compile(lambda xs: f([np.multiply(x, 1.0) for x in xs], second))
    for _ in range(3):
        np.testing.assert_allclose(
            g(xs).data, f([ag.tensor(x) for x in xs], first).data, rtol=1e-12)
    assert first.bit_generator.state == second.bit_generator.state


# The order, pass by pass. -----------------------------------------------------------------------


noise = Op("noise", lambda x: x, None, "noise", pure=False)


class Writer:
    """A program with draws in it."""

    def __init__(self, rng):
        self.rng = rng
        self.stream = Stream(rng)
        self.instructions = []

    def draw(self, *shape):
        dtype = np.dtype(np.float64)
        out = Var(Type(dtype, shape))
        self.instructions.append(Instruction((out,), standard_normal, (), {
            "stream": self.stream, "shape": shape, "dtype": dtype}))
        return out

    def noise(self, x):
        """A draw with a parameter."""
        out = Var(x.type)
        self.instructions.append(Instruction((out,), noise, (x,), {}))
        return out

    def __call__(self, name, *args):
        shape = np.broadcast_shapes(*(x.type.shape for x in args))
        out = Var(Type(np.dtype(np.float64), shape))
        self.instructions.append(Instruction((out,), OPS[name], args, {}))
        return out


def order(program):
    return [i.out for i in program.instructions if not i.op.pure]


@pytest.mark.parametrize("seed", range(30))
def test_passes_keep_draws_in_order(seed):
    choose = generator(seed)
    w = Writer(generator())
    shapes = [(), (3,), (40_000,)]
    x = [Var(Type(np.dtype(np.float64), shape)) for shape in shapes]
    pool = list(x)
    for _ in range(int(choose.integers(10, 120))):
        shape = shapes[choose.integers(3)]
        if choose.random() < 0.3:
            pool.append(w.draw(*shape) if choose.random() < 0.5 else
                        w.noise(pool[choose.integers(len(pool))]))
            continue
        name = str(choose.choice(["add", "multiply", "tanh", "exp"]))
        fit = [v for v in pool if v.type.shape in ((), shape)]
        args = [fit[choose.integers(len(fit))] for _ in range(1 if name in ("tanh", "exp") else 2)]
        pool.append(w(name, *args))
    chosen = [pool[choose.integers(len(pool))] for _ in range(4)]
    targets = [v for v in x if v.type.shape]
    news = [next((v for v in reversed(pool) if v.type.shape == t.type.shape), t) for t in targets]
    program = Program(tuple(x), tuple(w.instructions), tuple(chosen),
                      updates=tuple(zip(targets, news, strict=True)))
    before = order(program)
    every = ("batch", lambda program: batch(program, 1))  # however few scalars there are
    for name, step in (every, *PASSES):
        program = step(program)
        verify(program)
        assert order(program) == before, name


def test_packed_updates_do_not_pass_a_draw():
    """SGD with noise, where the second draw is of what the first update made."""
    w = Writer(generator())
    a, b = (Var(Type(np.dtype(np.float64), (3,))) for _ in range(2))
    new_a = w("add", a, w.draw(3))
    scaled = w("tanh", new_a)
    z = w.noise(scaled)
    new_b = w("add", b, w.draw(3))
    program = Program((a, b), tuple(w.instructions), (z,), updates=((a, new_a), (b, new_b)))
    after = verify(updates(program))
    assert order(after) == order(program)


def test_fusing_does_not_pass_a_draw():
    """The second group needs the third draw, and stands where the first draw's reader stood."""
    w = Writer(generator())
    x = Var(Type(np.dtype(np.float64), (40_000,)))
    first = w("tanh", x)
    early = w.draw(2)
    late = w.draw(40_000)
    joined = w("add", w("multiply", first, x), late)
    program = Program((x,), tuple(w.instructions), (joined, early))
    after = verify(fuse(program))
    assert len(after) < len(program)
    assert order(after) == [early, late]


# Repeating. -------------------------------------------------------------------------------------


def test_a_block_can_be_repeated():
    rng, other = generator(), generator(1)
    f = ag.compile(lambda: random.normal(rng, size=2))
    f()
    draws = Draws()
    random.normal(other)

    def all_of_it():
        return [random.normal(rng, size=2).data, f().data,
                random.uniform(other, dtype=np.float32).data]

    for _ in range(2):
        with draws.noted():
            once = all_of_it()
        states = rng.bit_generator.state, other.bit_generator.state
        with draws.repeated():
            again = all_of_it()
        for x, y in zip(once, again, strict=True):
            np.testing.assert_array_equal(x, y)
        assert (rng.bit_generator.state, other.bit_generator.state) == states


def test_blocks_nest_and_end_with_an_error():
    rng = generator()
    outer, inner = Draws(), Draws()
    with outer.noted():
        x = random.normal(rng).data
        y = None

        def failing():
            nonlocal y
            with inner.noted():
                y = random.normal(rng).data
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            failing()
        random.normal(rng)
    with outer.repeated():
        assert random.normal(rng).data == x
    with inner.repeated():
        assert random.normal(rng).data == y
    assert ag.random._blocks == 0
