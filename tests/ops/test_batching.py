"""Operations on stacks: what an op makes of each value, it makes of all of them at once."""

import math

import numpy as np
import pytest
from differences import Call, calls, close

import autograd_core as ag
from autograd_core import batching
from autograd_core.op import OPS

N = 3
DIFFERENTIABLE = [op for op in OPS.values() if op.vjps is not None]
CALLS = calls(DIFFERENTIABLE)


def stacks_of(call):
    """N samples of each input that varies, prepared as the op takes them, and which vary."""
    samples = [Call(call.op, call.case, seed=seed) for seed in range(N)]
    prepared = [sample.prepared(sample.xs) for sample in samples]
    varies = [isinstance(x, np.ndarray | np.floating) and x.dtype.kind == "f"
              for x in prepared[0]]
    return prepared, varies


def check_stacks(call, which):
    """The stack for these operands equals the op on one value after the other."""
    prepared, _ = stacks_of(call)
    op, attrs = call.op, call.case.attrs
    xs = [np.stack([p[i] for p in prepared]) if s else prepared[0][i] for i, s in enumerate(which)]
    y = batching.apply(op, xs, which, N, attrs)
    expected = [op.forward(*[p[i] if s else prepared[0][i] for i, s in enumerate(which)], **attrs)
                for p in prepared]
    assert y.shape == (N, *np.shape(expected[0])) and y.dtype == np.asarray(expected[0]).dtype
    close(y, np.stack(expected), 1e-12)


@pytest.mark.parametrize(("op", "case"), CALLS)
def test_an_op_on_stacks(op, case):
    """Each operand a stack by itself, and all of them."""
    call = Call(op, case)
    _, varies = stacks_of(call)
    for which in {tuple(v and i == j for i, v in enumerate(varies))
                  for j in range(len(varies))} | {tuple(varies)}:
        if any(which):
            check_stacks(call, list(which))


def jacobian_by_rows(f, xs):
    """∂f/∂x for each of ``xs``, by one reverse pass for each element of the result."""
    y, back = ag.vjp(f, *xs)
    rows = []
    for i in range(np.size(y)):
        seed = np.zeros(np.size(y))
        seed[i] = 1.0
        rows.append(back(seed.reshape(np.shape(y)).astype(y.dtype)[()]))
    return [np.reshape([row[k] for row in rows], np.shape(y) + np.shape(x))
            for k, x in enumerate(xs)]


def check_jacobian(op, case, dtype=np.float64, holomorphic=False):
    call = Call(op, case, dtype)

    def f(*xs):
        """The op; its parts, where it makes complex numbers of real ones."""
        y = call(*xs)
        apart = y.dtype.kind == "c" and not holomorphic
        return np.stack([np.real(y), np.imag(y)]) if apart else y

    expected = jacobian_by_rows(f, call.xs)
    found = ag.jacobian(f, tuple(range(len(call.xs))), holomorphic=holomorphic)(*call.xs)
    for a, b, x in zip(found, expected, call.xs, strict=True):
        assert np.shape(a) == np.shape(b) and a.dtype == x.dtype
        close(a, b, 1e-11)


@pytest.mark.parametrize(("op", "case"), CALLS)
def test_the_jacobian_of_an_op_is_the_one_taken_row_by_row(op, case):
    check_jacobian(op, case)


#: Of real numbers these are complex functions, but not holomorphic ones.
_NOT_HOLOMORPHIC = ("absolute", "sign", "real", "imag", "conjugate", "irfft", "norm")


@pytest.mark.parametrize("name", [
    *_NOT_HOLOMORPHIC, "fft", "matmul", "multiply", "exp", "where", "getitem", "set", "sum", "prod",
    "inv", "solve", "det", "einsum", "concatenate", "transpose", "general_eigenvalues",
])
def test_jacobians_of_complex_arguments(name):
    """Of parts, where rows are all there is; of a holomorphic function, columns too."""
    for case in OPS[name].cases[:5]:
        check_jacobian(OPS[name], case, np.complex128)
        if name not in _NOT_HOLOMORPHIC:
            check_jacobian(OPS[name], case, np.complex128, holomorphic=True)
    tall = lambda z: np.concatenate([z**2, np.conj(z) * z, np.exp(z)])  # noqa: E731
    z = np.array([1 + 2j, 0.5 - 1j])
    parts = ag.jacobian(lambda z: np.real(tall(z)))(z)
    close(parts[:2], np.diag(2 * z), 1e-13)
    close(parts[2:4], np.diag(2 * np.conj(z)), 1e-13)
    wide = ag.jacobian(lambda z: np.concatenate([z**2, np.exp(z), z**3]), holomorphic=True)(z)
    close(wide, np.concatenate([np.diag(2 * z), np.diag(np.exp(z)), np.diag(3 * z**2)]), 1e-13)


@pytest.mark.parametrize("name", ["getitem", "matmul", "sum", "concatenate", "einsum", "exp",
                                  "where", "solve", "logsumexp", "pad"])
def test_jacobians_of_jacobians(name):
    """Recorded: the stacks of rows are differentiated again, and a second axis stacked."""
    op = OPS[name]
    for case in op.cases[:4]:
        call = Call(op, case)
        if any(np.size(x) == 0 for x in call.xs):
            continue
        x, *rest = call.xs
        f = lambda x, call=call, rest=rest: np.sin(call(x, *rest))  # noqa: E731
        eps = 1e-5
        slope = ag.jacobian(f)
        second = ag.jacobian(slope)(x)
        for i in np.ndindex(np.shape(x)):
            step = np.zeros(np.shape(x))
            step[i] = eps
            numerical = (slope(x + step) - slope(x - step)) / (2 * eps)
            close(second[(..., *i)], numerical, 1e-7)


def test_columns_where_there_are_fewer_of_them():
    """Chosen by shape, which shows in how many stacked values each way computes."""
    counts = []
    original = batching.run

    def counted(recipe, inputs, stacked, n):
        counts.append(n)
        return original(recipe, inputs, stacked, n)

    w = np.arange(12.0).reshape(4, 3)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(batching, "run", counted)
        np.testing.assert_allclose(ag.jacobian(lambda x: w @ x)(np.ones(3)), w)
        np.testing.assert_allclose(ag.jacobian(lambda x: w.T @ x)(np.ones(4)), w.T)
        np.testing.assert_allclose(ag.jacobian(lambda x: np.cumsum(x))(np.ones(4)),
                                   np.tri(4))
    assert counts == [3, 3, 4]


def test_one_walk_for_all_rows():
    """The cosine's rule runs once, however many rows there are."""
    asked = []
    rule = OPS["sin"].vjps[0]

    def counted(g, y, x):
        asked.append(g.shape)
        return rule(g, y, x)

    object.__setattr__(OPS["sin"], "vjps", (counted,))
    try:
        result = ag.jacobian(lambda x: np.sin(x) @ np.eye(50))(np.zeros(50))
    finally:
        object.__setattr__(OPS["sin"], "vjps", (rule,))
    assert asked == [(50,)]
    np.testing.assert_array_equal(result, np.eye(50))


@pytest.mark.parametrize("together", [1, 7, 64, 1 << 18])
def test_rows_come_in_blocks(together, monkeypatch):
    monkeypatch.setattr("autograd_core.transforms.TOGETHER", together)
    x = np.linspace(-1.0, 1.0, 6)
    expected = np.diag(1 - np.tanh(x) ** 2)
    np.testing.assert_allclose(ag.jacobian(np.tanh)(x), expected)
    np.testing.assert_allclose(ag.jacobian(lambda x: np.concatenate([x, x]).reshape(3, 4))(x),
                               np.vstack([np.eye(6)] * 2).reshape(3, 4, 6))


def test_a_primitive_of_the_user_is_asked_row_by_row_for_plain_arrays():
    @ag.primitive
    def wave(x):
        return np.array([math.sin(v) for v in x])

    wave.defvjp(lambda g, y, x: g * np.array([math.cos(v) for v in x]))
    x = np.array([0.1, 0.2, 0.3])
    np.testing.assert_allclose(ag.jacobian(lambda x: wave(x) * 2.0)(x), 2 * np.diag(np.cos(x)))
    tall = ag.jacobian(lambda x: np.concatenate([wave(x), x]))(x)
    np.testing.assert_allclose(tall, np.vstack([np.diag(np.cos(x)), np.eye(3)]))


# Rules that are wrong. --------------------------------------------------------------------------


def _fails(check, op):
    failures = 0
    for case in op.cases:
        try:
            check(op, case)
        except (AssertionError, ValueError, IndexError, TypeError):
            failures += 1
    return failures


def _all_stacked(op, case):
    call = Call(op, case)
    _, varies = stacks_of(call)
    check_stacks(call, varies)


def _forgets_the_axis(op, xs, stacks, n, **attrs):
    return op(*xs, **attrs)


def _of_the_first(op, xs, stacks, n, **attrs):
    one = op(*[x[0] if s else x for x, s in zip(xs, stacks, strict=True)], **attrs)
    return np.broadcast_to(one, (n, *np.shape(one)))


def _in_reverse(op, xs, stacks, n, **attrs):
    rows = [op(*[x[i] if s else x for x, s in zip(xs, stacks, strict=True)], **attrs)
            for i in range(n)]
    return np.stack(rows[::-1])


@pytest.mark.parametrize("wrong", [_forgets_the_axis, _of_the_first, _in_reverse])
@pytest.mark.parametrize("op", [op for op in batching.RULES if op.cases and op.name in (
    "sum", "mean", "reshape", "transpose", "broadcast_to", "concatenate", "getitem", "scatter",
    "cumsum", "einsum", "pad", "multiply", "where")], ids=str)
def test_a_wrong_rule_is_found(op, wrong, monkeypatch):
    assert _fails(_all_stacked, op) == 0
    monkeypatch.setitem(batching.RULES, op, wrong)
    assert _fails(_all_stacked, op)


@pytest.mark.parametrize("wrong", [_of_the_first, _in_reverse])
@pytest.mark.parametrize(("rule_of", "seen_in"), [
    ("multiply", "exp"), ("broadcast_to", "sum"), ("scatter", "getitem"),
    ("getitem", "concatenate"), ("matmul", "matmul"),
    ("transpose", "transpose"), ("reshape", "reshape"),
])
def test_a_wrong_rule_shows_in_jacobians(rule_of, seen_in, wrong, monkeypatch):
    monkeypatch.setitem(batching.RULES, OPS[rule_of], wrong)
    assert _fails(check_jacobian, OPS[seen_in])


def test_rules_are_used():
    """No rule declines everything: each is asked for the cases of its op and computes some."""
    for op, rule in batching.RULES.items():
        if not op.cases:
            continue
        used = 0
        for case in op.cases:
            call = Call(op, case)
            prepared, varies = stacks_of(call)
            xs = [np.stack([p[i] for p in prepared]) if s else prepared[0][i]
                  for i, s in enumerate(varies)]
            used += rule(op, xs, varies, N, **case.attrs) is not None
        assert used, op

