"""The native executor: its functions to the last places, its loops, products and memory, and that
what cannot be machine code is left to NumPy.

That it computes what the eager engine computes is also held by test_compile.py, which runs with it.
"""

import copy
import gc
import math
import sys
import threading
import weakref

import numpy as np
import pytest

llvmlite = pytest.importorskip("llvmlite")

from programs import program_of, random_program  # noqa: E402

import autograd_core as ag  # noqa: E402
import nn  # noqa: E402
from autograd_core.compiler import executors, native  # noqa: E402
from autograd_core.compiler.native import machine, products, schedule  # noqa: E402
from autograd_core.compiler.native.functions import FUNCTIONS  # noqa: E402
from autograd_core.compiler.native.kernels import kernel  # noqa: E402
from autograd_core.compiler.program import verify  # noqa: E402
from tests.compiler.test_equivalence import at_random, check  # noqa: E402

each_dtype = pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["f32", "f64"])
RNG = np.random.default_rng(0)


def compiled(f, **options):
    return ag.compile(f, executor="native", **options)


def compare(f, *calls, tolerance=1e-9):
    """``f`` in machine code agrees with ``f``, at each of these arguments, in this order."""
    return check(f, *calls, tolerance=tolerance, executor="native")


def kernels_of(f):
    """The kernels of a compiled function's last recording, and how many other instructions it
    has, views aside."""
    _, program = f.programs[-1]
    inside = [i for i in program.instructions if i.op is kernel]
    others = [i for i in program.instructions if i.op is not kernel and not schedule.is_view(i)]
    return inside, others


def trained(sizes, batch, make_optimizer=lambda ps: nn.optim.Adam(ps)):
    """A compiled training step of a small network, after its recording and one replay."""
    model = nn.MLP(sizes, activation="tanh", rng=0)
    optimizer = make_optimizer(model.parameters())

    @compiled
    def step(x, y):
        optimizer.zero_grad()
        loss = nn.losses.mse(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    for _ in range(2):
        step(np.ones((batch, sizes[0]), np.float32), np.ones((batch, sizes[-1]), np.float32))
    return step


def replayed(f, *args):
    """The result of a call that is not the recording itself."""
    f(*args)
    return f(*args)


# Functions. -------------------------------------------------------------------------------------

#: Where a function is looked at, the error allowed there in units in the last place, and the
#: same in single precision.
FUNCTION_TABLE = [
    ("exp", (-100, 100), 1.5), ("exp", (-1, 1), 1.0), ("exp", (-745, -700), 2.0),
    ("expm1", (-40, 80), 2.0), ("expm1", (-0.5, 0.5), 2.0), ("expm1", (-1e-5, 1e-5), 1.0),
    ("tanh", (-12, 12), 3.0), ("tanh", (-0.5, 0.5), 3.0), ("tanh", (-1e-5, 1e-5), 2.0),
    ("log", (1e-300, 1e300), 1.0), ("log", (0.5, 2.0), 1.5), ("log", (0.99, 1.01), 1.5),
    ("log1p", (-0.9, 10.0), 1.5), ("log1p", (-1e-3, 1e-3), 1.0), ("log1p", (1e3, 1e30), 1.0),
    ("sin", (-10, 10), 1.5), ("sin", (-1e6, 1e6), 1.5), ("sin", (-1e-4, 1e-4), 1.0),
    ("cos", (-10, 10), 1.5), ("cos", (-1e6, 1e6), 1.5), ("sin", (1e9, 1e15), 1.5),
    ("sqrt", (0.0, 1e10), 0.5),
]


def units(actual, exact):
    """Errors in units in the last place of the exact value."""
    spacing = np.spacing(np.abs(exact).astype(actual.dtype))
    return np.abs((actual.astype(np.longdouble) - exact) / spacing)


@each_dtype
@pytest.mark.parametrize(("name", "between", "allowed"), FUNCTION_TABLE)
def test_functions_are_exact_to_the_last_places(name, between, allowed, dtype):
    low, high = between
    if dtype == np.float32:
        low, high = max(low, -85.0 if name == "exp" else -1e30), min(high, 1e30)
        if low >= high:
            pytest.skip("a range of double precision")
        if name in ("exp", "expm1"):
            high = min(high, 85.0)
        low = 1e-30 if name == "log" and low < 1e-30 else low
    if low > 0 and high / low > 1e3:
        x = np.exp(RNG.uniform(math.log(low), math.log(high), 20_003)).astype(dtype)
    else:
        x = RNG.uniform(low, high, 20_003).astype(dtype)
    if np.finfo(np.longdouble).nmant < 60:
        pytest.skip("no arithmetic more precise than double precision to compare with")
    ufunc = getattr(np, name)
    exact = ufunc(x.astype(np.longdouble))
    actual = replayed(compiled(ufunc), x)
    assert actual.dtype == dtype
    assert units(actual, exact).max() <= allowed


SPECIAL = [0.0, -0.0, math.inf, -math.inf, math.nan, 1.0, -1.0, 5e-324, -5e-324, 1e-310, 2e-45,
           1e-40, 710.0, -746.0, 89.0, -104.0, 1e30, -1e30, 1e300, 0.5, 2.0, -2.0]


@each_dtype
@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_functions_keep_ieee_arithmetic_at_the_ends(name, dtype):
    ufunc = getattr(np, name)
    with np.errstate(all="ignore"):
        x = np.array(SPECIAL, dtype)
        operands = [x] if ufunc.nin == 1 else [np.repeat(x, len(x)), np.tile(x, len(x))]
        expected = ufunc(*operands)
        actual = replayed(compiled(ufunc), *operands)
    np.testing.assert_allclose(actual, expected, rtol=8 * np.finfo(dtype).eps,
                               atol=float(np.finfo(dtype).smallest_subnormal))
    # Which of 0.0 and -0.0 is the larger NumPy leaves to the processor.
    if name not in ("maximum", "minimum"):
        zero = expected == 0
        same_sign = np.signbit(actual) == np.signbit(expected)
        assert same_sign[zero].all(), operands[0][zero][~same_sign[zero]]


@pytest.mark.parametrize("shape", [(1,), (3,), (8,), (17,), (5, 7), (2, 3, 4), ()])
@pytest.mark.parametrize("f", [
    lambda x, y: (x > y) & (x < 2.0) | ~(y >= 0.5),
    lambda x, y: np.where(np.isnan(x) | np.isinf(y), 0.0, x) * (x != y),
    lambda x, y: np.where(x == y, 1.0, np.logical_xor(np.isfinite(x), y <= 1.0) * 2.0),
    lambda x, y: (x > 0).astype(np.float32) + (y > 0).astype(np.float64),
    lambda x, y: (np.sign(x) * np.floor(y) + np.ceil(x) - np.rint(y), np.trunc(x)),
    lambda x, y: np.maximum(np.minimum(x, 0.5), y),
], ids=range(6))
def test_questions_and_choices(f, shape):
    x, y = RNG.normal(size=(2, *shape))
    if shape:
        x.flat[0], y.flat[-1] = np.nan, np.inf
    compare(f, (x, y), (y, x), (x, x))


@each_dtype
def test_kinds_mix_as_in_numpy(dtype):
    x = RNG.normal(size=(3, 5)).astype(dtype)
    whole = np.arange(5)
    half = np.arange(3, dtype=np.int32)[:, None]
    mask = x > 0
    compare(lambda x, n, m, b: (x * n + m, b * x, (n > 0.5) * x, x / 3, n.astype(np.float32)),
            *[(x, whole, half, mask)] * 2, tolerance=1e-6)
    compare(lambda x, s: (x * s, (x * 0.1 > s) * s, s * 2.0), (x, 0.3), (x, -0.1))


# Loops and sums. --------------------------------------------------------------------------------

SHAPES = [(1,), (7,), (16,), (33,), (4097,), (20_000,), (3, 1), (1, 5), (4, 10), (32, 64),
          (2, 9000), (5, 3, 9)]


@each_dtype
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_sums_and_extremes_over_every_choice_of_axes(shape, dtype):
    x = RNG.normal(size=shape).astype(dtype)
    axes = [None, *range(len(shape)), *([(0, -1)] if len(shape) > 1 else [])]

    def f(x):
        y = np.exp(x)
        return [(y.sum(axis=a), y.max(axis=a, keepdims=True), np.min(y * y, axis=a), x.sum(a))
                for a in axes]

    g = compare(f, *[(x,)] * 3, tolerance=2e-4 if dtype == np.float32 else 1e-9)
    inside, others = kernels_of(g)
    assert len(inside) == 1 and not others


def test_long_sums_round_little():
    """Sums are taken in stretches that are then added up: a plain loop is a thousand times off."""
    x = np.full(3_000_000, 0.1, np.float32)
    total = replayed(compiled(lambda x: (x * 1.0).sum()), x)
    assert abs(float(total) - 3e6 * float(np.float32(0.1))) < 0.5
    # NumPy, in pairs: 0.25 off.


def test_extremes_of_nan_are_nan():
    x = np.arange(40.0).reshape(4, 10)
    x[1, 9] = np.nan
    compare(lambda x: (x.max(-1), x.min(0), x.max()), (x,), (x[::-1].copy(),))


LAYOUTS = {
    "C": lambda x: x, "Fortran": np.asfortranarray, "backwards": lambda x: x[::-1, ::-1],
    "every second": lambda x: np.repeat(np.repeat(x, 2, 0), 3, 1)[::2, ::3],
    "unaligned": lambda x: np.frombuffer(
        b"\0" + x.tobytes(), np.uint8)[1:].view(x.dtype).reshape(x.shape),
    "read-only": lambda x: _locked(x.copy()),
}


def _locked(x):
    x.flags.writeable = False
    return x


@pytest.mark.parametrize("layout", LAYOUTS)
def test_arguments_in_any_layout(layout):
    x = RNG.normal(size=(6, 9))
    y = LAYOUTS[layout](x)
    compare(lambda x: (np.tanh(x) @ x.T, x.sum(0), x[1:, ::2].T + 1.0), (x,), (y,), (x,), (y,))


VIEWS = [
    lambda x: x.T, lambda x: x[::-1], lambda x: x[1:, ::-2], lambda x: x[2], lambda x: x[:, 1],
    lambda x: x[1, 2], lambda x: x.reshape(2, -1), lambda x: x.T.reshape(-1),
    lambda x: x[:, ::2].reshape(-1), lambda x: x[:, None, :], lambda x: x[..., 3],
    lambda x: np.broadcast_to(x[0], (5, 6)), lambda x: x.reshape(4, 3, 2).transpose(2, 0, 1),
    lambda x: x.T[::-1, 1:3],
]


@pytest.mark.parametrize("view", VIEWS, ids=range(len(VIEWS)))
@pytest.mark.parametrize("made", [False, True], ids=["of an argument", "of what is computed"])
def test_views_walk_memory(view, made):
    """Forwards; and backwards, where a part of an array gives its gradient to all of it."""
    x = RNG.normal(size=(4, 6))

    def f(x):
        y = view(np.exp(x) if made else x)
        return np.sin(y), y + 1.0, (y * y).sum()

    g = compare(f, (x,), (x + 1.0,))
    inside, others = kernels_of(g)
    assert len(inside) == 1 and not others
    compare(ag.grad(lambda x: (np.sin(view(np.exp(x) if made else x)) ** 2).sum()),
            (x,), (x + 1.0,))


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_arrays_end_to_end(axis):
    a, b = RNG.normal(size=(2, 3, 4))

    def f(a, b):
        whole = np.concatenate([np.exp(a), b, a * b], axis)
        return np.concatenate([whole, whole * 2.0]), whole.sum(), np.stack([a * 2.0, b])

    compare(f, (a, b), (b, a))
    compare(ag.grad(lambda a, b: (f(a, b)[0] ** 2).sum(), (0, 1)), (a, b), (b, a))


# Products. --------------------------------------------------------------------------------------

SIZES = [(1, 1, 1), (1, 9, 5), (5, 1, 9), (2, 8, 1), (4, 8, 2), (3, 17, 4), (6, 16, 8), (7, 24, 33),
         (13, 5, 64), (32, 10, 64), (2, 100, 7), (65, 31, 12)]


@each_dtype
@pytest.mark.parametrize(("m", "n", "k"), SIZES)
def test_products(m, n, k, dtype):
    a, b = RNG.normal(size=(m, k)).astype(dtype), RNG.normal(size=(k, n)).astype(dtype)
    forms = {
        "plain": (lambda a, b: a @ b, a, b),
        "left": (lambda a, b: a.T @ b, a.T.copy(), b),
        "right": (lambda a, b: a @ b.T, a, b.T.copy()),
        "both": (lambda a, b: a.T @ b.T, a.T.copy(), b.T.copy()),
        "part": (lambda a, b: a[::2, 1:] @ b[1:, ::-1],
                 np.repeat(np.hstack([a[:, :1], a]), 2, 0), np.vstack([b[:1], b])),
        "rows": (lambda a, b: (a[0] @ b, a @ b[:, 0], a[0] @ b[:, 0]), a, b),
    }
    tolerance = 1e-4 if dtype == np.float32 else 1e-9
    for f, x, y in forms.values():
        g = compare(f, (x, y), (x * 2.0, y), tolerance=tolerance)
        inside, others = kernels_of(g)
        assert len(inside) == 1 and not others


def test_large_products_are_left_to_blas():
    a = RNG.normal(size=(128, 128))
    f = compare(lambda a: np.exp(-(np.tanh(a) @ a)), (a,), (a * 0.5,))
    inside, (product,) = kernels_of(f)
    assert len(inside) == 2 and product.op.name == "matmul"


def test_gradients_that_blas_computes_are_not_copied():
    """They are written where the update reads them."""
    step = trained([128, 128, 3], 128)
    inside, others = kernels_of(step)
    assert [i.op.name for i in others if i.op.pure] == ["matmul", "matmul", "pack"]
    source = step._last.executable.source
    assert source.count("if kernel") == 2 and "copyto" not in source
    # Of Adam, nothing is computed before all gradients are there.
    early = inside[0].attrs["body"].instructions
    assert not any(i.op.name == "sqrt" or 0.999 in i.args for i in early)
    copies = [c for i in inside for c in schedule.Schedule(i.attrs["body"]).calls
              if [n.name for n in getattr(c.work, "nodes", ())] == ["copy"]]
    assert sum(np.prod(c.work.shape) for c in copies) < 1000


def test_a_factor_of_many_products_is_transposed_once():
    w = RNG.normal(size=(8, 8))

    def f(x, w):
        for _ in range(5):
            x = np.tanh(x @ w.T)
        return x

    g = compare(f, (w[:3], w), (w[2:5], w))
    ((only,), _) = kernels_of(g)
    calls = schedule.Schedule(only.attrs["body"]).calls
    copies = [c for c in calls if isinstance(c.work, schedule.Nest)
              and [n.name for n in c.work.nodes] == ["copy"]]
    assert len(copies) == 1


# Indexing by arrays. ----------------------------------------------------------------------------


@pytest.mark.parametrize("integers", [np.int32, np.int64])
def test_indices(integers):
    x = RNG.normal(size=(5, 4))
    rows, columns = np.array([0, 4, -1, 2, 2], integers), np.array([3, 0, 1, -4, -4], integers)

    def f(x, rows, columns):
        y, x = ag.tensor(1.0) * np.exp(x), ag.tensor(1.0) * x
        return (y[rows, columns], y[rows], x.T[columns, rows], x.T[columns],
                y.at[rows, columns].set(2.0), y.at[rows].set(x))

    g = compare(f, *[(x, rows, columns)] * 2)
    inside, others = kernels_of(g)
    assert len(inside) == 1 and not others
    for parts, alone in ((slice(4), True), (slice(6), False)):  # `set` asks who comes last
        h = compare(ag.grad(lambda x, rows, columns, parts=parts: sum(
            (y ** 2).sum() for y in f(x, rows, columns)[parts])), *[(x, rows, columns)] * 2)
        assert not kernels_of(h)[1] or not alone


@pytest.mark.parametrize("wrong", [5, -6, 2**40])
def test_an_index_that_names_nothing_is_numpys_error_before_anything_is_changed(wrong):
    p = ag.tensor(RNG.normal(size=(5, 4)), requires_grad=True)

    @compiled
    def step(i):
        p.zero_grad()
        loss = (p[i] ** 2).sum()
        loss.backward()
        p.assign(p - 0.1 * p.grad)
        return loss

    good, bad = np.array([0, 1, 4]), np.array([0, wrong, 1])
    for _ in range(3):
        step(good)
    assert len(kernels_of(step)[0]) == 1
    before = p.numpy(force=True)
    with pytest.raises(IndexError, match="out of bounds"):
        step(bad)
    assert np.array_equal(p.numpy(force=True), before)
    assert step(good).item() == pytest.approx((before[good] ** 2).sum())


# What is left to NumPy. -------------------------------------------------------------------------

LEFT = {
    "a function": lambda x: np.exp(x) * np.arctan(x) + 1.0,
    "a decomposition": lambda x: np.linalg.inv(np.exp(x) + 5.0 * np.eye(4)) * 2.0,
    "complex": lambda x: np.abs(np.fft.fft(np.tanh(x))) + x,
    "integers": lambda x: x * (np.argsort(x, axis=0) // 2),
    "sorting": lambda x: np.sort(x * 2.0, axis=0) - x,
    "batches": lambda x: np.exp(x).reshape(2, 2, 4) @ x.reshape(2, 4, 2),
    "half": lambda x: (x.astype(np.float16) * 2).astype(np.float64) + x,
    "a mask as an index": lambda x: x[np.arange(4) > 1] * 2.0,
    "nothing": lambda x: np.zeros((0, 3)) + x[:0, :3],
    "power": lambda x: np.exp(x) ** 1.5,
}


@pytest.mark.parametrize("name", LEFT)
def test_what_is_left_to_numpy(name):
    x = RNG.normal(size=(4, 4))
    f = compare(LEFT[name], (x,), (x.T.copy(),), (x[::-1],))
    assert kernels_of(f)[1]


def test_the_pass_as_text():
    """Before and after: kernels take their own way through a transposed argument, and NumPy does
    what they cannot between them."""
    before = program_of(lambda x, w: np.exp(np.arctan(np.tanh(x @ w.T) * 2.0)).sum(0),
                        x=np.ones((2, 3)), w=np.ones((3, 3)))
    assert str(before).splitlines()[2:] == [
        "%1 = transpose(%w, axes=(1, 0)) : f64[3,3]",
        "%2 = matmul(%x, %1) : f64[2,3]",
        "%3 = tanh(%2) : f64[2,3]",
        "%4 = multiply(%3, 2.0) : f64[2,3]",
        "%5 = arctan(%4) : f64[2,3]",
        "%6 = exp(%5) : f64[2,3]",
        "%7 = sum(%6, axis=0, keepdims=False) : f64[3]",
        "return %7",
    ]
    after = verify(native.kernels(before))
    assert str(after).splitlines()[2:] == [
        "%1 = kernel(%x, %w, body={%3 = transpose(%2, axes=(1, 0)) : f64[3,3]; "
        "%4 = matmul(%1, %3) : f64[2,3]; %5 = tanh(%4) : f64[2,3]; "
        "%6 = multiply(%5, 2.0) : f64[2,3]; return %6}) : f64[2,3]",
        "%2 = arctan(%1) : f64[2,3]",
        "%3 = kernel(%2, body={%2 = exp(%1) : f64[2,3]; "
        "%3 = sum(%2, axis=0, keepdims=False) : f64[3]; return %3}) : f64[3]",
        "return %3",
    ]


def test_the_same_seed_gives_the_same_bits():
    x = RNG.normal(size=(40, 4)).astype(np.float32)
    weights = []
    for _ in range(2):
        model = nn.MLP([4, 9, 3], rng=0)
        nn.fit(model, x, x[:, :3] > 0, loss="bce_with_logits", epochs=3, batch_size=16, seed=1,
               progress=False, compile="native")
        weights.append([p.numpy(force=True) for p in model.parameters()])
    assert all(map(np.array_equal, *weights))


def test_kernels_are_as_few_as_can_be():
    """Instructions take turns only where they must."""
    f = compiled(lambda x: np.exp(np.arctan(np.exp(x)) * 2.0) + np.arctan(x) * np.sin(x))
    x = np.linspace(-1.0, 1.0, 5)
    f(x)
    inside, others = kernels_of(f)
    assert len(inside) == 2 and len(others) == 2
    np.testing.assert_allclose(f(x), f.__wrapped__(x))


def test_dropout_and_normalisation_train():
    class Net(nn.Module):
        def __init__(self):
            self.inner, self.outer = nn.Linear(6, 16, rng=0), nn.Linear(16, 3, rng=1)
            self.norm, self.drop = nn.LayerNorm(16), nn.Dropout(0.3, rng=2)

        def forward(self, x):
            return self.outer(self.drop(self.norm(np.tanh(self.inner(x)))))

    x = RNG.normal(size=(32, 6)).astype(np.float32)
    y = RNG.integers(0, 3, 32)
    histories = [nn.fit(Net(), x, y, loss="cross_entropy", epochs=10, batch_size=8, seed=0,
                        progress=False, compile=how)["loss"] for how in (False, True, "native")]
    np.testing.assert_allclose(histories[0], histories[1], rtol=1e-4)
    np.testing.assert_allclose(histories[0], histories[2], rtol=1e-4)


# Whole programs. --------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("seed", range(150))
def test_random_programs(seed):
    """With their gradients; compared with the meaning of a program, op by op."""
    f, calls = at_random(seed)
    compare(f, *calls, tolerance=1e-3 if calls[0][0].dtype == np.float32 else 1e-8)


@pytest.mark.parametrize("seed", range(40))
def test_the_pass_keeps_a_program_well_formed(seed):
    program = random_program(np.random.default_rng(seed))
    for _, step in native.PASSES:
        program = verify(step(program))


OPTIMIZERS = [
    lambda ps: nn.optim.SGD(ps, lr=0.1), lambda ps: nn.optim.SGD(ps, lr=0.1, momentum=0.9),
    lambda ps: nn.optim.Adam(ps, lr=0.01), lambda ps: nn.optim.RMSProp(ps, lr=0.01),
    lambda ps: nn.optim.AdaGrad(ps, lr=0.05), lambda ps: nn.optim.Lion(ps, lr=0.01),
]


@each_dtype
@pytest.mark.parametrize("activation", ["tanh", "relu", "sigmoid", "softplus", "gelu", "elu"])
@pytest.mark.parametrize("loss", ["mse", "cross_entropy", "bce_with_logits", "huber"])
def test_twenty_steps_equal_eager(activation, loss, dtype):
    rng = np.random.default_rng(1)
    x = rng.normal(size=(9, 5)).astype(dtype)
    y = rng.integers(0, 3, 9) if loss == "cross_entropy" else (
        rng.uniform(size=(9, 3)) > 0.5).astype(dtype)
    models = [nn.MLP([5, 11, 7, 3], activation=activation, rng=0, dtype=dtype) for _ in range(2)]
    k = ["tanh", "relu", "sigmoid", "softplus", "gelu", "elu"].index(activation)
    optimizers = [OPTIMIZERS[k](m.parameters()) for m in models]

    def step_of(model, optimizer):
        def step(x, y):
            optimizer.zero_grad()
            value = getattr(nn.losses, loss)(model(x), y)
            value.backward()
            optimizer.step()
            return value.detach()

        return step

    eager, ours = [step_of(*pair) for pair in zip(models, optimizers, strict=True)]
    ours = compiled(ours)
    tolerance = 2e-3 if dtype == np.float32 else 1e-8
    for _ in range(20):
        assert ours(x, y).item() == pytest.approx(eager(x, y).item(), rel=tolerance)
        for p, q in zip(*[m.parameters() for m in models], strict=True):
            np.testing.assert_allclose(q.numpy(force=True), p.numpy(force=True), rtol=tolerance,
                                       atol=tolerance / 10)
            np.testing.assert_allclose(q.grad, p.grad, rtol=tolerance, atol=tolerance)


def test_updates_are_made_where_the_parameters_lie():
    step = trained([5, 11, 3], 4)
    source = step._last.executable.source
    assert "copyto" not in source and ".copy()" not in source
    assert sum(line.strip().startswith("if kernel") for line in source.splitlines()) == 1


UPDATES = {
    "through a view": lambda p: p + p.T, "backwards": lambda p: p[::-1] * 0.5,
    "a row": lambda p: p * p[0], "of its sum": lambda p: p / p.sum(),
    "of its products": lambda p: p @ p * 0.1, "itself": lambda p: p * 1.0,
}


@pytest.mark.parametrize("name", UPDATES)
def test_an_update_reads_what_was_there_before(name):
    start = RNG.uniform(0.5, 1.0, size=(17, 17))
    ours, theirs = ag.tensor(start), start
    f = compiled(lambda: ours.assign(UPDATES[name](ours)))
    for _ in range(4):
        f()
        theirs = UPDATES[name](theirs)
        np.testing.assert_allclose(ours.data, theirs, rtol=1e-12)


def test_what_another_leaf_held_before_goes_to_the_next():
    p, old, older = (ag.tensor(RNG.normal(size=5)) for _ in range(3))

    @compiled
    def shift():
        older.assign(old)
        old.assign(p)
        p.assign(p * 2.0)

    history = [p.numpy(), old.numpy(), older.numpy()]
    for _ in range(4):
        shift()
        history = [history[0] * 2.0, history[0], history[1]]
        for t, expected in zip((p, old, older), history, strict=True):
            np.testing.assert_allclose(t.data, expected)


# Faults on purpose. -----------------------------------------------------------------------------


def test_buffers_that_overlap_are_noticed(monkeypatch):
    correct = schedule.lay_out
    monkeypatch.setattr(schedule, "lay_out", lambda lifetimes: correct(lifetimes)._replace(
        offsets=[0] * len(lifetimes)))
    x = np.linspace(1.0, 2.0, 9).reshape(3, 3)
    with pytest.raises(AssertionError):
        compare(lambda a: np.sin(a) @ np.cos(a) + np.exp(-a), (x,), (x,))


def test_a_nest_that_swaps_operands_is_noticed(monkeypatch):
    subtract = FUNCTIONS["subtract"]
    monkeypatch.setitem(FUNCTIONS, "subtract", lambda v, x, y: subtract(v, y, x))
    monkeypatch.setattr(machine, "_known", {})
    x = np.linspace(1.0, 2.0, 9)
    with pytest.raises(AssertionError):
        compare(lambda a: a - np.sin(a), (x,), (x,))


# The function that Python calls. ----------------------------------------------------------------


def test_results_belong_to_the_caller_and_references_are_kept():
    f = compiled(lambda x: (np.exp(x), np.exp(x).sum()))
    x = np.linspace(0.0, 1.0, 100)
    f(x)
    before = sys.getrefcount(x), sys.getrefcount(None)
    results = [f(x * k)[0] for k in range(50)]
    for k, y in enumerate(results):
        np.testing.assert_allclose(y, np.exp(x * k))
    assert sys.getrefcount(x) == before[0]
    if sys.version_info < (3, 12):  # later, None is immortal
        assert abs(sys.getrefcount(None) - before[1]) < 1000


def test_memory_is_given_back_with_the_function():
    f = compiled(lambda x: np.exp(x) + 1.0)
    f(np.ones(1000)), f(np.ones(1000))
    executable = weakref.ref(f._last.executable)
    (again,) = [x for x in vars_of(f) if type(x).__name__ == "_Again"]
    table = weakref.ref(again.kernel.table)
    scratch = weakref.ref(again.kernel.memory[-1])
    del f, again
    gc.collect()
    assert executable() is None and table() is None and scratch() is None


def vars_of(f):
    """What the source of the last plan names."""
    return f._last.executable.run.__globals__.values()


def test_threads_take_turns():
    f = compiled(lambda x: (np.tanh(x) @ np.tanh(x).T).sum())
    xs = [RNG.normal(size=(60, 60)) for _ in range(4)]
    f(xs[0])
    expected = [(np.tanh(x) @ np.tanh(x).T).sum() for x in xs]
    wrong = []

    def work(k):
        for _ in range(50):
            if not np.isclose(f(xs[k]), expected[k]):
                wrong.append(k)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong


def test_the_same_code_serves_the_same_loops():
    """What differs only in where its arrays lie is compiled once."""
    x = np.ones((3, 37))
    compiled(lambda x: np.exp(np.sin(x)) * 1.25)(x)
    known = len(machine._known)
    compiled(lambda y: np.exp(np.sin(y)) * 1.25)(x * 2.0)
    assert len(machine._known) == known
    compiled(lambda y: np.exp(np.sin(y)) * 1.5)(x)
    assert len(machine._known) == known + 1


def test_a_kernel_of_known_loops_is_a_table_and_no_code():
    x = np.ones((3, 41))
    compiled(lambda x: np.exp(np.sin(x)).sum() * 1.25)(x)
    engines = len(machine._engines)
    f = compiled(lambda y: np.exp(np.sin(y)).sum() * 1.25)
    np.testing.assert_allclose(replayed(f, x), np.exp(np.sin(x)).sum() * 1.25)
    assert len(machine._engines) == engines


def test_products_of_other_sizes_are_tables_and_no_code():
    rng = np.random.default_rng(0)
    f = compiled(lambda a, b: a @ b)
    f(rng.normal(size=(32, 64)), rng.normal(size=(64, 64)))
    engines = len(machine._engines)
    for m, k, n in ((64, 64, 64), (128, 7, 128), (32, 1, 64)):
        a, b = rng.normal(size=(m, k)), rng.normal(size=(k, n))
        np.testing.assert_allclose(replayed(compiled(lambda a, b: a @ b), a, b), a @ b, rtol=1e-12,
                                   atol=1e-12)
    assert len(machine._engines) == engines


def test_what_describes_the_driver_outlives_its_functions():
    """An interpreter that ends frees it before functions that are left in a cycle; they read it."""
    f = compiled(lambda x: np.exp(x) * 3.5)
    f(np.ones(4))
    described = weakref.ref(machine._method())
    machine._method.cache_clear()
    gc.collect()
    assert described() is not None
    np.testing.assert_allclose(f(np.zeros(4)), np.full(4, 3.5))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_an_unrolled_loop_is_a_few_functions_however_long(dtype):
    def loop(n):
        def f(x):
            for k in range(n):
                x = np.sin(x) * (0.5 + 0.001 * k) + x * w[k % 5]
            return x.sum()
        return f

    w = np.random.default_rng(0).normal(size=(5, 7)).astype(dtype) / 2
    x = np.linspace(-1.0, 1.0, 7, dtype=dtype)
    made = []
    for n in (200, 400, 800):
        before = len(machine._known)
        g = compiled(ag.value_and_grad(loop(n)))
        value, slope = replayed(g, x)
        expected, gradient = ag.value_and_grad(loop(n))(x)
        rtol = 1e-4 if dtype is np.float32 else 1e-11
        np.testing.assert_allclose(value, expected, rtol=rtol)
        np.testing.assert_allclose(slope, gradient, rtol=rtol)
        made.append(len(machine._known) - before)
    assert max(made) < 20  # of 30 to 120 nests


@pytest.mark.parametrize("highest", [6, 12])
def test_tiles_cover_a_product_with_few_heights(highest):
    for m in range(1, 200):
        bands = products._bands(m, highest)
        row = 0
        for first, count, height in bands:
            assert first == row and count > 0 and 0 < height <= highest
            row += count * height
        assert row == m and len(bands) <= 2
    # 32, 64 and 128 rows, the usual batches and layers, share theirs.
    assert len({height for m in (32, 64, 128) for *_, height in products._bands(m, highest)}) == 1


def test_numbers_differ_by_their_bits():
    x = np.array([1.0, -1.0])
    assert np.signbit(replayed(compiled(lambda x: x * 0.0), x)).tolist() == [False, True]
    assert np.signbit(replayed(compiled(lambda x: x * -0.0), x)).tolist() == [True, False]


def test_compiled_functions_keep_their_executor():
    f = compiled(named)
    sent = copy.deepcopy(f)
    assert sent._executor == "native"
    g = ag.grad(compiled(lambda x: (np.exp(x) ** 2).sum()))
    for _ in range(3):
        np.testing.assert_allclose(g(np.ones(3)), 2 * np.exp(2.0))


def named(x):
    return np.exp(x)


def test_it_is_drawn_and_explained():
    f = compiled(lambda x: np.exp(x) * 2.0)
    f(np.ones(3))
    assert "kernel(" in f.explain()
    assert "kernel" in ag.to_dot(f).source
    step = trained([3, 4, 1], 5, lambda ps: nn.optim.SGD(ps, lr=0.1))
    assert "updated in place" in ag.to_dot(step).source
    assert "matmul" in ag.to_dot(step, stage="products").source
    with pytest.raises(ag.RenderError, match="'kernels'"):
        ag.to_dot(step, stage="fuse")


def test_an_unknown_executor_is_an_error_that_names_the_others():
    with pytest.raises(ValueError, match=r"executor='gpu'.*'numpy', 'native'"):
        ag.compile(np.exp, executor="gpu")
    with pytest.raises(ValueError, match="executor='gpu'"):
        nn.fit(nn.Linear(2, 1, rng=0), np.ones((4, 2)), np.ones((4, 1)), loss="mse",
               compile="gpu", progress=False)


def test_without_llvmlite_the_error_says_what_to_install(monkeypatch):
    for name in [n for n in sys.modules if n.startswith("autograd_core.compiler.native")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "llvmlite", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'autograd-core\[native\]'"):
        executors.EXECUTORS["native"]()
