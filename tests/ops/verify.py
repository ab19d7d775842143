"""What must hold of any differentiable op at any of its cases."""

from __future__ import annotations

from typing import Any

import numpy as np
from differences import Call, close, gradients, slope

import autograd_core as ag
from autograd_core.op import Case, Op


def cotangent(y: Any, seed: int = 1) -> Any:
    """A random cotangent of ``y``, of its shape and dtype."""
    return np.asarray(np.random.default_rng(seed).standard_normal(np.shape(y)), y.dtype)[()]


def forward(op: Op, case: Case) -> None:
    """Recording computes what the op's function computes."""
    call = Call(op, case)
    y = call(*(ag.tensor(x, requires_grad=True) for x in call.xs))
    assert isinstance(y, ag.Tensor)
    assert y.op is op
    assert y.requires_grad
    expected = call.forward(*call.xs)
    assert y.shape == np.shape(expected)
    assert y.dtype == expected.dtype
    np.testing.assert_array_equal(y.data, expected)


def first_order(op: Op, case: Case) -> None:
    """Every element of every gradient equals its difference quotient."""
    call = Call(op, case)
    y, back = ag.vjp(call, *call.xs)
    w = cotangent(y)
    numerical = gradients(lambda *xs: np.sum(w * call.forward(*xs)), call.xs)
    for x, g, expected in zip(call.xs, back(w), numerical, strict=True):
        assert np.shape(g) == np.shape(x)
        assert g.dtype == x.dtype
        close(g, expected)


def second_order(op: Op, case: Case) -> None:
    """The derivative of x ↦ wᵀJ(x), from recorded rules, equals that of the raw ones.

    The dependence of wᵀJ on the cotangent w is part of it: it is differentiated by as well.
    """
    call = Call(op, case)
    w = cotangent(ag.vjp(call, *call.xs)[0])
    rng = np.random.default_rng(2)
    vs = [np.asarray(rng.standard_normal(np.shape(x))) for x in call.xs]

    def along_vs(*args: Any) -> Any:
        *xs, w = args
        return sum((g * v).sum() for g, v in zip(ag.vjp(call, *xs)[1](w), vs, strict=True))

    args = [*call.xs, w]
    analytical = ag.grad(along_vs, tuple(range(len(args))))(*args)
    for g, expected in zip(analytical, gradients(along_vs, args), strict=True):
        close(g, expected)


def forward_mode(op: Op, case: Case) -> None:
    """The product with a tangent equals the slope of the function in its direction."""
    call = Call(op, case)
    rng = np.random.default_rng(3)
    directions = tuple(np.asarray(rng.standard_normal(np.shape(x)))[()] for x in call.xs)
    y, tangent = ag.jvp(call, tuple(call.xs), directions)
    np.testing.assert_array_equal(y, call.forward(*call.xs))
    expected = slope(
        lambda t: call.forward(*(x + t * v for x, v in zip(call.xs, directions, strict=True)))
    )
    assert np.shape(tangent) == np.shape(y)
    close(tangent, expected)


def both_modes(op: Op, case: Case) -> None:
    """A recorded reverse pass computes what the raw one does."""
    call = Call(op, case)
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


def strided(op: Op, case: Case) -> None:
    """Inputs that are views, reversed, transposed or with gaps, change nothing."""
    call = Call(op, case)
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


def single_precision(op: Op, case: Case) -> None:
    """float32 stays float32: the result, the gradients, and every node on the way to them."""
    call, exact = Call(op, case, np.float32), Call(op, case)
    leaves = [ag.tensor(x, requires_grad=True) for x in call.xs]
    y = call(*leaves)
    w = cotangent(ag.vjp(exact, *exact.xs)[0])
    if "dtype" not in case.attrs:
        assert y.dtype == np.float32
    ag.vjp(call, *call.xs)[1](w.astype(y.dtype))
    y.backward(w.astype(y.dtype), create_graph=True)
    expected = ag.vjp(exact, *exact.xs)[1](w)
    reached = [x.grad for x in leaves if x.grad is not None]
    for x, g in zip(leaves, expected, strict=True):
        if x.grad is not None:
            assert x.grad.dtype == np.float32
            assert x.grad.shape == x.shape
            close(x.grad.data, g, 2e-4)
    if "dtype" not in case.attrs:
        for node in ag.Graph([y, *reached]).nodes:
            assert node.dtype.kind != "f" or node.dtype == np.float32, node
            for x in node.inputs:
                drifts = getattr(x, "dtype", None) == np.float64 and np.ndim(x) > 0
                assert not drifts, f"{node.op} meets a float64 array"


def replay(op: Op, case: Case) -> None:
    """A graph recomputes its value from its leaves, also from changed ones."""
    call, other = Call(op, case), Call(op, case, seed=7)
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


def repeated(op: Op, case: Case) -> None:
    """f(x, x, ...): one leaf in several places gets the sum of what each place would get."""
    call = Call(op, case)
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
