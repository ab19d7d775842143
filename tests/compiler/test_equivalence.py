"""Compiled equals eager: every op, every NumPy function, what nn has, programs at random.

A test calls one compiled function several times, with new values and new shapes, and compares each
result with what the function returns without the compiler: values, types, dtypes, shapes. At the
end the compiler is broken on purpose, pass by pass, and these same tests must fail.
"""

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from programs import random_program, values

import autograd_core as ag
from autograd_core.compiler import compiled, numpy_executor
from autograd_core.compiler.program import interpret, substitute
from autograd_core.op import OPS
from tests.ops.differences import Call
from tests.ops.test_numpy_functions import ALL, Bound

TOLERANCE = {np.float64: 1e-9, np.float32: 3e-4}
each_dtype = pytest.mark.parametrize("dtype", [np.float64, np.float32], ids=["f64", "f32"])


def flat(nested):
    """The leaves of nested lists, tuples and dicts."""
    if isinstance(nested, dict):
        return [y for x in nested.values() for y in flat(x)]
    if isinstance(nested, (list, tuple)):
        return [y for x in nested for y in flat(x)]
    return [nested]


def same(actual, expected, tolerance=1e-9):
    """Both are alike: structure, types, dtypes, shapes; values up to rounding.

    A scalar is a NumPy scalar, also where NumPy itself returns an array of shape () eagerly.
    """
    ours, theirs = flat(actual), flat(expected)
    assert len(ours) == len(theirs)
    for x, y in zip(ours, theirs, strict=True):
        assert not (isinstance(x, np.ndarray) and x.shape == ()), "an array of shape ()"
        if isinstance(y, np.ndarray) and not y.shape:
            y = y[()]
        if type(y) is int:  # NumPy 2.0 counts in Python's integers
            x = x.item()
        assert type(x) is type(y), (type(x), type(y))
        if isinstance(y, ag.Tensor):
            assert x.requires_grad == y.requires_grad
            x, y = x.numpy(force=True), y.numpy(force=True)
        if isinstance(y, (np.ndarray, np.generic)):
            assert x.dtype == y.dtype and x.shape == y.shape
        if y is None:
            continue
        np.testing.assert_allclose(x, y, rtol=tolerance, atol=tolerance)


def check(f, *calls, tolerance=1e-9, **options):
    """``ag.compile(f)`` agrees with ``f`` at each of these tuples of arguments, in this order.

    Results are looked at once more when all calls are done: none may be overwritten.
    """
    compiled = ag.compile(f, **options)
    pairs = []
    with np.errstate(all="ignore"):
        for args in calls:
            expected, actual = f(*args), compiled(*args)
            same(actual, expected, tolerance)
            pairs.append((actual, expected))
    for actual, expected in pairs:
        same(actual, expected, tolerance)
    return compiled


# Every op. --------------------------------------------------------------------------------------


def alike(op):
    """The cases of an op by what is not an array: one function each, called with many shapes."""
    groups = {}
    for case in op.cases:
        fixed = tuple(repr(x) for x in case.inputs if not isinstance(x, tuple))
        places = tuple(isinstance(x, tuple) for x in case.inputs)
        groups.setdefault((repr(case.attrs), fixed, places, case.prepare), []).append(case)
    return groups.values()


def op_calls():
    return [pytest.param(op, cases, id=f"{op.name}-{i}")
            for op in OPS.values() if op.vjps is not None for i, cases in enumerate(alike(op))]


def with_derivatives(call):
    """The value of an op, its vector-Jacobian product, and the gradient of the latter's square."""

    def f(*xs):
        y, back = ag.vjp(call, *xs)
        weights = np.cos(np.arange(y.size)).reshape(y.shape).astype(y.dtype)

        def energy(*xs):
            return sum((g * g).sum() for g in ag.vjp(call, *xs)[1](weights))

        return y, back(weights), ag.grad(energy, tuple(range(len(xs))))(*xs)

    return f


@each_dtype
@pytest.mark.parametrize(("op", "cases"), op_calls())
def test_op_and_its_derivatives(op, cases, dtype):
    f = with_derivatives(Call(op, cases[0], dtype))
    calls = [Call(op, case, dtype, seed).xs for case in cases for seed in (0, 1)]
    compiled = check(f, *calls, Call(op, cases[0], dtype, 2).xs, tolerance=TOLERANCE[dtype])
    assert len(compiled.programs) == len({tuple(x.shape for x in xs) for xs in calls})


# NumPy's functions. -----------------------------------------------------------------------------


#: Rows whose result has a shape that depends on values: no plan can be made for them.
_SHAPED_BY_VALUES = {
    "unique0", "unique1", "unique2", "unique3", "unique4", "nonzero0", "nonzero1", "compress2",
    "piecewise5", "flatnonzero", "argwhere", "where6",
    "unique_counts0", "unique_counts1", "unique_inverse0", "unique_inverse1", "unique_all0",
    "unique_all1", "operator.sorted unique_values", "union1d0", "union1d1", "setdiff1d0",
    "setdiff1d1", "setxor1d0", "setxor1d1", "setxor1d2", "intersect1d0", "intersect1d1",
    "intersect1d2", "ix_0", "trim_zeros", "operator.trim_zeros f", "operator.trim_zeros b",
    "operator.trim_zeros fb",
}


def as_function(row, dtype):
    """A row as a function of its arrays, and values for three calls of it."""
    first, other = Bound(row, dtype), Bound(row, dtype, seed=7)

    def f(*xs):
        rest, plain = iter(xs), iter(first.values)
        values = [v if arg.plain else next(rest) for v, arg in zip(plain, first.args, strict=True)]
        return first(values)

    return f, [[b.values[i] for i in first.tracked] for b in (first, other, first)]


def numbered(rows):
    """Rows by the name of the function, numbered where it has several."""
    total, seen = Counter(map(str, rows)), Counter()
    names = {}
    for row in rows:
        name = str(row).removeprefix("numpy.")
        names[f"{name}{seen[name]}" if total[str(row)] > 1 else name] = row
        seen[name] += 1
    return names


ROWS = numbered(ALL)


@each_dtype
@pytest.mark.filterwarnings("ignore:`in1d`:DeprecationWarning")
@pytest.mark.parametrize("name", sorted(ROWS.keys() - _SHAPED_BY_VALUES))
def test_numpy_function(name, dtype):
    f, calls = as_function(ROWS[name], dtype)
    check(f, *calls, tolerance=TOLERANCE[dtype])


@each_dtype
@pytest.mark.parametrize("name", sorted(_SHAPED_BY_VALUES))
def test_a_shape_that_depends_on_values_is_refused(name, dtype):
    f, calls = as_function(ROWS[name], dtype)
    with pytest.raises(ag.CompileError, match="shape"):
        ag.compile(f)(*calls[0])


@pytest.mark.parametrize(
    "name", ["equal", "less", "isnan", "isfinite", "sign", "floor", "rint", "trunc"]
)
def test_what_has_no_derivative_is_computed_anew(name):
    ufunc = getattr(np, name)
    rng = np.random.default_rng(0)
    pair = (1.0,) if ufunc.nin == 2 else ()
    check(lambda x: np.where(ufunc(x, *pair), x, 2 * x) + np.argmax(x),
          *[(rng.normal(size=5),) for _ in range(3)])


# Programs at random. ----------------------------------------------------------------------------


def at_random(seed):
    """A random function of arrays with its vector-Jacobian product, and two calls of it."""
    rng = np.random.default_rng(seed)
    program = random_program(rng)

    def f(*xs):
        ys, back = ag.vjp(lambda *xs: interpret(program, xs)[0], *xs)
        return ys, back([np.cos(y) if np.size(y) else y for y in ys])

    return f, [values(program, rng), values(program, rng)]


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("seed", range(1000, 2000))
def test_random_programs(seed):
    f, calls = at_random(seed)
    check(f, *calls, tolerance=1e-3 if calls[0][0].dtype == np.float32 else 1e-8)


# A compiler that is wrong. ----------------------------------------------------------------------


def _operands_swapped(program):
    return program.replace(instructions=tuple(
        i.with_args(i.args[::-1]) if i.op.name == "subtract" else i for i in program.instructions))


def _signs_lost(program):
    lost = {i.out: i.args[0] for i in program.instructions if i.op.name == "negative"}
    return substitute(program, lost)


def _results_exchanged(program):
    return program.replace(outputs=program.outputs[::-1])


@pytest.mark.parametrize("fault", [_operands_swapped, _signs_lost, _results_exchanged])
def test_a_wrong_pass_is_noticed(fault, monkeypatch):
    executor = compiled.EXECUTORS["numpy"]()
    monkeypatch.setitem(compiled.EXECUTORS, "numpy",
                        lambda: executor._replace(passes=(*executor.passes, ("fault", fault))))
    calls = [(np.array([1.0, 2.0]), np.array([0.5, 0.25]))] * 2
    with pytest.raises(AssertionError):
        check(lambda a, b: (-np.sin(a) - np.exp(b), a * b), *calls)


def test_buffers_that_overlap_are_noticed(monkeypatch):
    correct = numpy_executor.lay_out

    def overlapping(lifetimes):
        layout = correct(lifetimes)
        return layout._replace(offsets=[0] * len(lifetimes))

    monkeypatch.setattr(numpy_executor, "lay_out", overlapping)
    calls = [(np.linspace(1.0, 2.0, 9).reshape(3, 3),)] * 2
    with pytest.raises(AssertionError):
        check(lambda a: np.sin(a) @ np.cos(a) + np.exp(-a), *calls)


# Working memory. --------------------------------------------------------------------------------


def alive_at_once(program):
    """The most bytes of computed arrays that are alive at one instruction, counted naively.

    Results do not count: they are allocated anew in each call. An array is alive from the
    instruction that makes it to the last that reads it or a view of it. At an instruction, what it
    makes counts beside what it reads, unless it could be written there.
    """
    views = {"reshape", "transpose", "unpack", "broadcast_to"}
    root = {}
    last = {}
    end = len(program.instructions)
    for n, i in enumerate(program.instructions):
        for x in i.outs:
            is_view = i.op.name in views or (i.op.name == "getitem" and len(i.args) == 1)
            root[x] = root.get(i.args[0]) if is_view else x
        for x in (*i.args, *i.outs):
            if root.get(x) is not None:
                last[root[x]] = n
    for x in program.results():
        if root.get(x) is not None:
            last[root[x]] = end
    most, alive = 0, set()
    for n, i in enumerate(program.instructions):
        dying = {root[x] for x in i.args if root.get(x) is not None and last[root[x]] == n}
        made = {x for x in i.outs if root[x] is x and x.type.shape and x not in program.outputs}
        both = alive | made
        overlap = max((x.type.nbytes for x in dying if x in alive), default=0)
        most = max(most, sum(x.type.nbytes for x in both) - overlap)
        alive = {x for x in both if last[x] > n}
    return most


@pytest.mark.parametrize("sizes", [(64, 128, 64, 10), (30, 50, 50, 50, 5), (8, 300, 1)])
def test_peak_memory(sizes):
    """Between what is alive at once (what may be written in place counted once) and twice that."""
    rng = np.random.default_rng(0)
    weights = [rng.normal(size=pair) for pair in pairwise(sizes)]

    def loss(weights, x):
        for w in weights:
            x = np.tanh(x @ w)
        return (x * x).mean()

    gradient = ag.compile(ag.grad(loss))
    gradient(weights, rng.normal(size=(32, sizes[0])))
    (_, program), = gradient.programs
    executable = gradient._last.executable
    alive = alive_at_once(program)
    assert alive <= executable.peak_bytes <= 2 * alive
    assert f"{executable.peak_bytes} bytes of working memory" in gradient.explain()
