"""The checkers themselves: a wrong rule must be found, and at the order at which it is wrong."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest
import verify
from differences import Call

import autograd_core as ag
from autograd_core.op import OPS, EachInput, case, zero

X = np.array([0.3, -0.7, 1.1])
Y = np.array([1.4, 0.6, -0.9])


def primitive(f, *rules):
    """A primitive with these rules."""
    made = ag.primitive(f)
    made.defvjp(*rules)
    return made


def raw(x):
    """The value, cut off from the graph: right once, wrong when differentiated again."""
    return ag.stop_gradient(x) if isinstance(x, ag.Tensor) else x


@ag.primitive
def opaque_cos(x):
    """cos, with a derivative that claims to be zero."""
    return np.cos(x)


opaque_cos.defvjp(lambda g, y, x: None)


def sin(x):
    return np.sin(x)


def product(a, b):
    return a * b


def cube(x):
    return x**3


def halves(x):
    return x.reshape(-1)[: x.size // 2] * 1.0


# (what is wrong, the primitive, its arguments, the order at which it shows)
WRONG = [
    ("sign", primitive(sin, lambda g, y, x: -g * np.cos(x)), (X,), 1),
    ("factor", primitive(sin, lambda g, y, x: 2 * g * np.cos(x)), (X,), 1),
    ("factor off by a millionth of ten", primitive(
        sin, lambda g, y, x: (1 + 1e-5) * g * np.cos(x)), (X,), 1),
    ("another function", primitive(sin, lambda g, y, x: g * np.sin(x)), (X,), 1),
    ("forgets the cotangent", primitive(sin, lambda g, y, x: np.cos(x)), (X,), 1),
    ("squares the cotangent", primitive(sin, lambda g, y, x: g * g * np.cos(x)), (X,), 1),
    ("claims to be flat", primitive(sin, lambda g, y, x: None), (X,), 1),
    ("constant in x", primitive(sin, lambda g, y, x: g * np.cos(0.3)), (X,), 1),
    ("missing term", primitive(
        lambda x: np.sin(x) * x, lambda g, y, x: g * np.cos(x) * x), (X,), 1),
    ("operands swapped", primitive(
        product, lambda g, y, a, b: g * a, lambda g, y, a, b: g * b), (X, Y), 1),
    ("forgets one operand", primitive(
        product, lambda g, y, a, b: g * b, lambda g, y, a, b: None), (X, Y), 1),
    ("one of two rules", primitive(
        product, lambda g, y, a, b: g * b, lambda g, y, a, b: g * a * 1.01), (X, Y), 1),
    ("elements in another order", primitive(
        lambda x: x[::-1] * 1.0, lambda g, y, x: g), (X,), 1),
    ("sum instead of mean", primitive(
        np.mean, lambda g, y, x: g * np.ones(3)), (X,), 1),
    ("off only where x is negative", primitive(
        cube, lambda g, y, x: g * 3 * x * np.abs(x)), (X,), 1),
    # A product with a tangent differentiates by the cotangent, already at first order.
    ("a raw cotangent", primitive(cube, lambda g, y, x: raw(g) * 3 * x**2), (X,), 1),
    ("reads a raw value", primitive(cube, lambda g, y, x: g * 3 * raw(x) ** 2), (X,), 2),
    ("half of a square is raw", primitive(cube, lambda g, y, x: g * 3 * raw(x) * x), (X,), 2),
    ("reads the raw result", primitive(
        lambda x: np.exp(x), lambda g, y, x: g * raw(y)), (X,), 2),
    ("uses a primitive with a wrong rule", primitive(
        sin, lambda g, y, x: g * opaque_cos(x)), (X,), 2),
    ("second operand raw", primitive(
        product, lambda g, y, a, b: g * raw(b), lambda g, y, a, b: g * a), (X, Y), 2),
]
IDS = [what for what, *_ in WRONG]
RIGHT = [
    (primitive(sin, lambda g, y, x: g * np.cos(x)), (X,)),
    (primitive(product, lambda g, y, a, b: g * b, lambda g, y, a, b: g * a), (X, Y)),
    (primitive(cube, lambda g, y, x: g * 3 * x**2), (X,)),
    (primitive(lambda x: np.exp(x), lambda g, y, x: g * y), (X,)),
    (primitive(lambda x: x[::-1] * 1.0, lambda g, y, x: g[::-1]), (X,)),
]


@pytest.mark.parametrize(("what", "f", "args", "order"), WRONG, ids=IDS)
def test_check_grads_finds_it(what, f, args, order):
    with pytest.raises(ag.GradientCheckError, match=f"order {order}"):
        ag.check_grads(f, *args, order=2)


@pytest.mark.parametrize(
    ("what", "f", "args", "order"), [fault for fault in WRONG if fault[-1] == 2],
    ids=[fault[0] for fault in WRONG if fault[-1] == 2],
)
def test_what_is_wrong_at_second_order_passes_at_first(what, f, args, order):
    ag.check_grads(f, *args, order=1)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("f", "args"), RIGHT)
def test_check_grads_accepts_right_rules(f, args, seed):
    ag.check_grads(f, *args, order=3, atol=1e-5, rtol=1e-5, seed=seed)


@pytest.mark.parametrize("seed", range(5))
def test_check_grads_finds_a_single_wrong_element(seed):
    """Random directions have no blind spot: one element of many is enough."""
    wrong = np.ones(50)
    wrong[17] = 1.001
    f = primitive(sin, lambda g, y, x: g * np.cos(x) * wrong)
    with pytest.raises(ag.GradientCheckError, match="order 1"):
        ag.check_grads(f, np.linspace(-1, 1, 50), seed=seed)


def test_check_grads_names_both_numbers():
    f = primitive(sin, lambda g, y, x: 2 * g * np.cos(x))
    with pytest.raises(ag.GradientCheckError) as raised:
        ag.check_grads(f, np.float64(0.0))
    message = str(raised.value)
    assert "sin" in message
    assert "analytical" in message
    assert "numerical" in message


def test_check_grads_does_not_accept_nan():
    f = primitive(sin, lambda g, y, x: g * np.nan)
    with pytest.raises(ag.GradientCheckError, match="order 1"):
        ag.check_grads(f, X)


def test_a_rule_of_the_wrong_shape_raises():
    """The walker sums what was broadcast, so only an impossible shape is an error."""
    f = primitive(sin, lambda g, y, x: np.ones((4, 5)))
    with pytest.raises(ValueError, match="sin"):
        ag.grad(lambda x: f(x).sum())(X)


def test_check_grads_looks_through_containers():
    def right(p):
        return {"y": p["a"] * p["b"][0], "z": [np.sin(p["a"])]}

    half = primitive(sin, lambda g, y, x: 0.5 * g * np.cos(x))

    def wrong(p):
        return {"y": p["a"] * p["b"][0], "z": [half(p["a"])]}

    p = {"a": X, "b": [Y]}
    ag.check_grads(right, p)
    with pytest.raises(ag.GradientCheckError):
        ag.check_grads(wrong, p)


# The generated tests, on mutated records. -------------------------------------------------------

def _with_rules(name, *rules):
    return dataclasses.replace(OPS[name], vjps=rules)


def _fails(check, op, cases=None, dtype=np.float64):
    """How many of an op's cases a check rejects."""
    failures = 0
    for c in cases or op.cases:
        try:
            check(op, c, dtype)
        except AssertionError:
            failures += 1
    return failures


def test_the_checks_pass_on_the_records_as_they_are():
    for name in ("sin", "multiply", "tanh"):
        for check in verify.CHECKS:
            assert _fails(check, OPS[name]) == 0


@pytest.mark.parametrize(
    ("name", "rules"),
    [
        ("sin", [lambda g, y, x: g * np.sin(x)]),
        ("sin", [lambda g, y, x: 1.0001 * g * np.cos(x)]),
        ("sin", [lambda g, y, x: None]),
        ("multiply", [lambda g, y, a, b: g * a, lambda g, y, a, b: g * b]),
        ("divide", [lambda g, y, a, b: g / b, lambda g, y, a, b: g * y / b]),
        ("power", [OPS["power"].vjps[0], lambda g, y, a, b: g * y]),
        ("tanh", [lambda g, y, x: g * (1 - y)]),
        ("sum", [lambda g, y, x, axis, keepdims: None]),
        ("matmul", [OPS["matmul"].vjps[0], lambda g, y, a, b: None]),
        ("transpose", [lambda g, y, x, axes: g.reshape(x.shape)]),
        ("reshape", [lambda g, y, x, shape: g.reshape(x.shape) * 2]),
        ("max", [lambda g, y, x, axis, keepdims: np.ones_like(x)]),
    ],
)
def test_a_wrong_rule_fails_at_first_order(name, rules):
    op = _with_rules(name, *rules)
    assert _fails(verify.first_order, op)


@pytest.mark.parametrize(
    ("name", "rules"),
    [
        ("sin", [lambda g, y, x: g * np.cos(raw(x))]),
        ("exp", [lambda g, y, x: g * raw(y)]),
        ("tanh", [lambda g, y, x: g * (1 - raw(y) * y)]),
        ("square", [lambda g, y, x: raw(g) * 2 * x]),
        ("multiply", [lambda g, y, a, b: g * raw(b), lambda g, y, a, b: g * a]),
        ("divide", [lambda g, y, a, b: g / b, lambda g, y, a, b: -g * raw(y) / b]),
    ],
)
def test_a_rule_wrong_at_second_order_only(name, rules):
    op = _with_rules(name, *rules)
    assert _fails(verify.first_order, op) == 0
    assert _fails(verify.second_order, op)


def _scaled(rule, factor=1.001):
    def wrong(g, y, *xs, **attrs):
        term = rule(g, y, *xs, **attrs)
        return None if term is None else factor * term

    return wrong


#: The slope of radians by seconds is 5e-6: a thousandth of it is below what differences resolve.
FACTORS = {("radian", 2): 2.0}


class _ScaledAt(EachInput):
    """The rules of an op with any number of inputs, one of them wrong."""

    def __init__(self, rules, position):
        self.rules, self.position = rules, position

    def __getitem__(self, i):
        return _scaled(self.rules[i]) if i == self.position else self.rules[i]


RULES = [
    pytest.param(op, i, id=f"{op.name}-{i}")
    for op in OPS.values() if op.vjps is not None
    for i in sorted({i for c in op.cases for i in Call(op, c).places})
    if op.vjps[i] is not zero and op.name != "undefined"  # whose derivative is NaN
]


@pytest.mark.parametrize(("op", "position"), RULES)
def test_no_rule_of_any_op_can_be_off_by_a_thousandth(op, position):
    """The cases of each op are sensitive to each of its rules, backwards and forwards."""
    if isinstance(op.vjps, EachInput):
        rules = _ScaledAt(op.vjps, position)
    else:
        factor = FACTORS.get((op.name, position), 1.001)
        rules = [_scaled(r, factor) if i == position else r for i, r in enumerate(op.vjps)]
    wrong = dataclasses.replace(op, vjps=rules)
    dtype = np.complex128 if op.name in FLAT_IF_REAL else np.float64
    assert _fails(verify.first_order, wrong, dtype=dtype)
    assert _fails(verify.forward_mode, wrong, dtype=dtype)


#: Of a real number the derivative is 0.
FLAT_IF_REAL = ("sign", "imag", "slogdet_sign")


def _conjugated(rule):
    def wrong(g, y, *xs, **attrs):
        term = rule(g, y, *xs, **attrs)
        return None if term is None else np.conjugate(term)

    return wrong


COMPLEX_RULES = [
    p for p in RULES if p.values[0].takes_complex and not isinstance(p.values[0].vjps, EachInput)
    # SciPy has no derivative of psi; the cotangent of a real part, or of what is cast to a real
    # dtype, is real.
    and p.values[0].name not in ("psi", "real", "astype")
]


@pytest.mark.parametrize(("op", "position"), COMPLEX_RULES)
def test_no_rule_of_any_op_can_be_conjugated(op, position):
    wrong = dataclasses.replace(op, vjps=[
        _conjugated(r) if i == position else r for i, r in enumerate(op.vjps)])
    assert _fails(verify.first_order, wrong, op.cases[:3], np.complex128)


def test_a_wrong_forward_is_found():
    """The rules are those of sin, the values are not."""
    op = dataclasses.replace(OPS["sin"], forward=lambda x: np.sin(x) * 1.001)
    assert _fails(verify.first_order, op)
    assert _fails(verify.forward_mode, op)


@pytest.mark.parametrize(
    "rule",
    [
        lambda g, y, x: g * np.cos(x) * np.float64(1),
        lambda g, y, x: g * np.cos(x) * np.ones(np.shape(x)),
        lambda g, y, x: g * (np.cos(x) / np.sqrt(np.float64(1))),
        lambda g, y, x: (g * np.cos(x.astype(np.float64))),
    ],
)
def test_a_drift_to_double_precision_is_found(rule):
    """The walker casts back, so values and dtypes of the gradients are right: the nodes tell."""
    op = _with_rules("sin", rule)
    assert _fails(verify.first_order, op) == 0
    assert _fails(verify.second_order, op) == 0
    assert _fails(verify.single_precision, op)


def test_a_forward_that_drifts_is_found():
    op = dataclasses.replace(OPS["sin"], forward=lambda x: np.sin(x) * np.float64(1))
    assert _fails(verify.single_precision, op)


def test_a_forward_that_is_no_function_of_its_inputs_is_found_by_replay():
    calls = itertools.count()
    op = dataclasses.replace(OPS["sin"], forward=lambda x: np.sin(x) + 0.001 * next(calls))
    assert _fails(verify.replay, op)


def test_a_rule_that_assumes_contiguous_memory_is_found():
    def rule(g, y, x):
        """Reads the elements in the order of memory instead of that of the axes."""
        value = raw(x)
        value = value.data if isinstance(value, ag.Tensor) else value
        return g * np.cos(np.ravel(value, order="K").reshape(np.shape(value)))

    op = _with_rules("sin", rule)
    assert _fails(verify.first_order, op) == 0
    assert _fails(verify.strided, op)


def test_a_rule_with_modes_of_its_own_is_found():
    op = _with_rules("sin", lambda g, y, x: g * np.cos(x) * (
        2.0 if isinstance(x, ag.Tensor) else 1.0
    ))
    assert _fails(verify.first_order, op) == 0
    assert _fails(verify.both_modes, op)


def test_a_wrong_product_with_tangents_is_found():
    op = _with_rules("multiply", lambda g, y, a, b: raw(g) * b, lambda g, y, a, b: g * a)
    assert _fails(verify.first_order, op) == 0
    assert _fails(verify.forward_mode, op)


def test_a_repeated_operand_is_found():
    """Wrong only where both operands are one Tensor."""
    op = _with_rules(
        "multiply", lambda g, y, a, b: g * b * (2.0 if a is b else 1.0),
        lambda g, y, a, b: g * a,
    )
    assert _fails(verify.first_order, op) == 0
    assert _fails(verify.repeated, op, [case((3,), (3,))])
