"""Every entry works in vjp and in jvp, and in each of the two inside of the other."""

import dataclasses

import numpy as np
import pytest
from differences import Call, calls, close
from verify import cotangent

import autograd_core as ag
from autograd_core.op import OPS

CALLS = calls([op for op in OPS.values() if op.vjps is not None])


def directions(call, seed):
    rng = np.random.default_rng(seed)
    return tuple(np.asarray(rng.standard_normal(np.shape(x)))[()] for x in call.xs)


def inner(a, b):
    """Re Σ a b: what a cotangent and a direction make of each other, complex ones too."""
    return sum(np.real(np.sum(x * y)) for x, y in zip(a, b, strict=True))


def adjoint(op, case):
    """u · (J v) = (uᵀ J) · v, in its real part."""
    call = Call(op, case)
    v = directions(call, 3)
    y, tangent = ag.jvp(call, tuple(call.xs), v)
    z, back = ag.vjp(call, *call.xs)
    u = cotangent(y)
    np.testing.assert_array_equal(y, z)
    assert np.shape(tangent) == np.shape(y) and tangent.dtype == y.dtype
    close(inner([u], [tangent]), inner(back(u), v), 1e-10)


def nested(op, case):
    """The second derivative of uᵀf along v and w, in each of four ways."""
    call = Call(op, case)
    xs, v, w = tuple(call.xs), directions(call, 3), directions(call, 4)
    u = cotangent(call.forward(*xs))

    def forward(*xs):
        return inner([u], [ag.jvp(call, xs, v)[1]])

    def backward(*xs):
        return inner(ag.vjp(call, *xs)[1](u), v)

    found = {
        "jvp of jvp": ag.jvp(forward, xs, w)[1],
        "jvp of vjp": ag.jvp(backward, xs, w)[1],
        "vjp of jvp": inner(ag.vjp(forward, *xs)[1](1.0), w),
        "vjp of vjp": inner(ag.vjp(backward, *xs)[1](1.0), w),
    }
    for name, value in found.items():
        assert not isinstance(value, ag.Tensor), name
        np.testing.assert_allclose(value, found["vjp of vjp"], rtol=1e-9, atol=1e-9, err_msg=name)


@pytest.mark.parametrize(("op", "case"), CALLS)
@pytest.mark.parametrize("check", [adjoint, nested], ids=lambda f: f.__name__)
def test_both_modes_agree(op, case, check):
    check(op, case)


# Rules that are wrong in one of the ways only. --------------------------------------------------


def raw(x):
    return ag.stop_gradient(x) if isinstance(x, ag.Tensor) else x


def failures(check, name, *rules):
    op = dataclasses.replace(OPS[name], vjps=rules)
    count = 0
    for case in op.cases:
        try:
            check(op, case)
        except AssertionError:
            count += 1
    return count


@pytest.mark.parametrize(("name", "rules"), [
    ("sin", [lambda g, y, x: raw(g) * np.cos(x)]),
    ("sin", [lambda g, y, x: g * np.cos(x) * (1.0 if isinstance(x, ag.Tensor) else 1.001)]),
    ("multiply", [lambda g, y, a, b: g * b, lambda g, y, a, b: raw(g) * a]),
])
def test_a_rule_that_is_right_in_vjp_only(name, rules):
    assert failures(adjoint, name, *OPS[name].vjps) == 0
    assert failures(adjoint, name, *rules)


@pytest.mark.parametrize(("name", "rules"), [
    ("exp", [lambda g, y, x: g * (y if isinstance(g, ag.Tensor) and g.requires_grad else raw(y))]),
    ("square", [lambda g, y, x: raw(g) * 2 * x]),
])
def test_a_rule_that_is_wrong_when_nested(name, rules):
    assert failures(nested, name, *OPS[name].vjps) == 0
    assert failures(nested, name, *rules)
