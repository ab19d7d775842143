"""What must hold of any differentiable op at any of its cases."""

from __future__ import annotations

from typing import Any

import numpy as np
from differences import Call, close, gradients, pairing, slope

import autograd_core as ag
from autograd_core.op import Case, Op


def cotangent(y: Any, seed: int = 1) -> Any:
    """A random cotangent of ``y``, of its shape and dtype."""
    rng = np.random.default_rng(seed)
    w = rng.standard_normal(np.shape(y))
    if y.dtype.kind == "c":
        w = w + 1j * rng.standard_normal(np.shape(y))
    return np.asarray(w, y.dtype)[()]


def forward(op: Op, case: Case, dtype: Any = np.float64) -> None:
    """Recording computes what the op's function computes."""
    call = Call(op, case, dtype)
    y = call(*(ag.tensor(x, requires_grad=True) for x in call.xs))
    assert isinstance(y, ag.Tensor)
    assert y.op is op or case.settle is not None
    assert y.requires_grad
    expected = call.forward(*call.xs)
    assert y.shape == np.shape(expected)
    assert y.dtype == expected.dtype
    np.testing.assert_array_equal(y.data, expected)


def first_order(op: Op, case: Case, dtype: Any = np.float64) -> None:
    """Every element of every gradient equals its difference quotient."""
    call = Call(op, case, dtype)
    y, back = ag.vjp(call, *call.xs)
    w = cotangent(y)
    numerical = gradients(lambda *xs: pairing(w, call.forward(*xs)), call.xs)
    for x, g, expected in zip(call.xs, back(w), numerical, strict=True):
        assert np.shape(g) == np.shape(x)
        assert g.dtype == x.dtype
        close(g, expected)


def second_order(op: Op, case: Case, dtype: Any = np.float64) -> None:
    """The derivative of x ↦ wᵀJ(x), from recorded rules, equals that of the raw ones.

    The dependence of wᵀJ on the cotangent w is part of it: it is differentiated by as well.
    """
    call = Call(op, case, dtype)
    w = cotangent(ag.vjp(call, *call.xs)[0])
    vs = [cotangent(x, 2 + i) for i, x in enumerate(call.xs)]

    def along_vs(*args: Any) -> Any:
        *xs, w = args
        return sum(pairing(g, v) for g, v in zip(ag.vjp(call, *xs)[1](w), vs, strict=True))

    args = [*call.xs, w]
    analytical = ag.grad(along_vs, tuple(range(len(args))))(*args)
    for g, expected in zip(analytical, gradients(along_vs, args), strict=True):
        close(g, expected)


def forward_mode(op: Op, case: Case, dtype: Any = np.float64) -> None:
    """The product with a tangent equals the slope of the function in its direction."""
    call = Call(op, case, dtype)
    directions = tuple(cotangent(x, 3 + i) for i, x in enumerate(call.xs))
    y, tangent = ag.jvp(call, tuple(call.xs), directions)
    np.testing.assert_array_equal(y, call.forward(*call.xs))
    expected = slope(
        lambda t: call.forward(*(x + t * v for x, v in zip(call.xs, directions, strict=True)))
    )
    assert np.shape(tangent) == np.shape(y)
    close(tangent, expected)


def both_modes(op: Op, case: Case, dtype: Any = np.float64) -> None:
    """A recorded reverse pass computes what the raw one does."""
    call = Call(op, case, dtype)
    results = []
    for recorded in (False, True):
        leaves = [ag.tensor(x, requires_grad=True) for x in call.xs]
        y = call(*leaves)
        y.backward(cotangent(y), create_graph=recorded)
        results.append([x.grad for x in leaves])
    for raw, node in zip(*results, strict=True):
        if raw is None:
            assert node is None
        else:
            assert isinstance(node, ag.Tensor)
            assert not isinstance(raw, ag.Tensor)
            close(node.data, raw, 1e-14)


def strided(op: Op, case: Case, dtype: Any = np.float64) -> None:
    """Inputs that are views, reversed, transposed or with gaps, change nothing."""
    call = Call(op, case, dtype)
    y, back = ag.vjp(call, *call.xs)
    w = cotangent(y)
    plain = back(w)
    for view in (_with_gaps, _reversed, _column_major):
        ys, back = ag.vjp(call, *(view(x) for x in call.xs))
        close(ys, y, 1e-13)
        for g, expected in zip(back(view(w)), plain, strict=True):
            assert np.shape(g) == np.shape(expected)
            close(g, expected, 1e-13)


def _with_gaps(x: Any) -> Any:
    if np.ndim(x) == 0:
        return np.asarray(x)
    wide = np.full(tuple(2 * n for n in np.shape(x)), np.nan, x.dtype)
    view = wide[(slice(None, None, 2),) * wide.ndim]
    view[...] = x
    return view


def _reversed(x: Any) -> Any:
    back = (slice(None, None, -1),) * np.ndim(x)
    return np.array(np.asarray(x)[back])[back]


def _column_major(x: Any) -> Any:
    return np.asfortranarray(x) if np.ndim(x) else np.asarray(x)


#: What may come of single precision, real or complex.
_SINGLE = {"f": np.dtype(np.float32), "c": np.dtype(np.complex64)}


def halved(dtype: Any) -> Any:
    """A dtype, or several, in single precision."""
    if isinstance(dtype, tuple):
        return tuple(map(halved, dtype))
    return _SINGLE[np.dtype(dtype).kind]


def single_precision(op: Op, case: Case, dtype: Any = np.float64) -> None:
    """float32 stays float32: the result, the gradients, and every node on the way to them."""
    call, exact = Call(op, case, halved(dtype)), Call(op, case, dtype)
    leaves = [ag.tensor(x, requires_grad=True) for x in call.xs]
    y = call(*leaves)
    w = cotangent(ag.vjp(exact, *exact.xs)[0])
    if "dtype" not in case.attrs:
        assert y.dtype == _SINGLE[y.dtype.kind]
    ag.vjp(call, *call.xs)[1](w.astype(y.dtype))
    y.backward(w.astype(y.dtype), create_graph=True)
    expected = ag.vjp(exact, *exact.xs)[1](w)
    reached = [x.grad for x in leaves if x.grad is not None]
    for x, g in zip(leaves, expected, strict=True):
        if x.grad is not None:
            assert x.grad.dtype == x.dtype
            assert x.grad.shape == x.shape
            close(x.grad.data, g, 2e-4)
    if "dtype" not in case.attrs:
        for node in ag.Graph([y, *reached]).nodes:
            assert node.dtype == _SINGLE.get(node.dtype.kind, node.dtype), node
            for x in node.inputs:
                drifts = getattr(x, "dtype", None) in _DOUBLE and np.ndim(x) > 0
                assert not drifts, f"{node.op} meets a float64 array"


_DOUBLE = (np.float64, np.complex128)


def replay(op: Op, case: Case, dtype: Any = np.float64) -> None:
    """A graph recomputes its value from its leaves, also from changed ones."""
    call, other = Call(op, case, dtype), Call(op, case, dtype, seed=7)
    leaves = [ag.tensor(x, requires_grad=True) for x in call.xs]
    y = call(*leaves)
    before = np.array(y.data)
    graph = ag.Graph(y)
    np.testing.assert_array_equal(graph.fprop(), before)
    for leaf, x in zip(leaves, other.xs, strict=True):
        leaf.data = x
    np.testing.assert_array_equal(graph.fprop(), other.forward(*other.xs))
    np.testing.assert_array_equal(y.data, other.forward(*other.xs))
    w = cotangent(y)
    graph.bprop(w)
    for leaf, g in zip(leaves, ag.vjp(other, *other.xs)[1](w), strict=True):
        close(0 if leaf.grad is None else leaf.grad, g, 1e-14)


def repeated(op: Op, case: Case, dtype: Any = np.float64) -> None:
    """f(x, x, ...): one leaf in several places gets the sum of what each place would get."""
    call = Call(op, case, dtype)
    x = call.xs[0]
    y, back = ag.vjp(lambda x: call(*[x] * len(call.xs)), x)
    w = cotangent(y)
    (g,) = back(w)
    apart = ag.vjp(call, *[x] * len(call.xs))[1](w)
    close(g, sum(apart), 1e-13)


#: What is checked at every case of every differentiable op.
CHECKS = (
    forward, first_order, second_order, forward_mode, both_modes, strided, single_precision,
    replay,
)
