"""Every rule of every op, at every case its record lists."""

from __future__ import annotations

import numpy as np
import pytest
import verify
from differences import Call, calls

import autograd_core as ag
from autograd_core.op import OPS, MissingRule, zero

DIFFERENTIABLE = [op for op in OPS.values() if op.vjps is not None]
CALLS = calls(DIFFERENTIABLE)


@pytest.mark.parametrize("op", DIFFERENTIABLE, ids=str)
def test_a_differentiable_op_lists_cases(op):
    assert op.cases, f"{op} has rules but no cases to test them at"


@pytest.mark.parametrize("op", DIFFERENTIABLE, ids=str)
def test_a_case_varies_something(op):
    for case in op.cases:
        assert any(isinstance(given, tuple) for given in case.inputs)


@pytest.mark.parametrize(("op", "case"), CALLS)
@pytest.mark.parametrize("check", verify.CHECKS, ids=lambda check: check.__name__)
def test_rule(op, case, check):
    check(op, case)


def complex_calls():
    """The cases of ops that take complex numbers: all inputs complex, and all but one."""
    found = []
    for op in DIFFERENTIABLE:
        for i, case in enumerate(op.cases if op.takes_complex else ()):
            if case.attrs.get("dtype") == np.float64:  # NumPy warns that this loses a part
                continue
            places = [k for k, given in enumerate(case.inputs) if isinstance(given, tuple)]
            several = len(places) > 1 and op.name not in REAL_INTO_COMPLEX
            for real in (None, *places) if several else (None,):
                dtypes = tuple(np.float64 if k == real else np.complex128
                               for k in range(len(case.inputs)))
                name = f"{op.name}-{i}" + ("" if real is None else f"-real{real}")
                found.append(pytest.param(op, case, dtypes, id=name))
    return found


#: Where the dtypes of the inputs differ, what is new is which part of a cotangent each gets.
MIXED = (verify.first_order, verify.single_precision)
#: SciPy has no polygamma of complex numbers: the rule of psi raises, and so do what rules use psi
#: when they are differentiated.
_FIRST = tuple(check for check in verify.CHECKS if check is not verify.second_order)
WITHOUT_POLYGAMMA = {"psi": (verify.forward,), "gamma": _FIRST, "rgamma": _FIRST,
                     "loggamma": _FIRST}

#: A complex value does not go into a real array.
REAL_INTO_COMPLEX = ("set",)


@pytest.mark.parametrize(("op", "case", "dtypes"), complex_calls())
def test_rule_of_complex_numbers(op, case, dtypes):
    mixed = np.float64 in dtypes
    for check in MIXED if mixed else WITHOUT_POLYGAMMA.get(op.name, verify.CHECKS):
        check(op, case, dtypes)


def test_what_takes_complex_numbers():
    """An op that says it does not is refused them, by NumPy or by itself."""
    takes = {op.name for op in DIFFERENTIABLE if op.takes_complex}
    assert {"add", "matmul", "where", "sum", "norm", "svd_left", "fft", "sign", "power"} <= takes
    for op in DIFFERENTIABLE:
        if op.takes_complex or op.name in REAL_BY_CONSTRUCTION:
            continue
        call = Call(op, op.cases[0], np.complex128)
        leaves = [ag.tensor(x, requires_grad=True) for x in call.xs]
        with pytest.raises(TypeError), np.errstate(all="ignore"):
            call(*leaves)


#: They get what other ops have made, never a user's array; the rules of custom_vjp are the user's.
REAL_BY_CONSTRUCTION = ("known_real", "undefined", "custom_vjp")


def _shapes(op, case):
    call = Call(op, case)
    return {np.shape(x) for x in call.xs} if len(call.xs) > 1 else set()


@pytest.mark.parametrize(
    ("op", "case"), [p for p in CALLS if len(_shapes(*p.values)) == 1]
)
def test_repeated_operand(op, case):
    if op.name in ("power", "arctan2"):  # x**x and the like stay within the domain of both
        assert op.domain[0][0] > 0
    verify.repeated(op, case)


@pytest.mark.parametrize(("op", "case"), [p for p in CALLS if zero in tuple(
    p.values[0].vjps[i] for i in Call(*p.values).places
)])
def test_a_structural_zero_gives_zeros(op, case):
    call = Call(op, case)
    y, back = ag.vjp(call, *call.xs)
    for i, x, g in zip(call.places, call.xs, back(verify.cotangent(y)), strict=True):
        if op.vjps[i] is zero:
            assert g.shape == x.shape
            assert g.dtype == x.dtype
            assert not g.any()


@pytest.mark.parametrize(("op", "case"), CALLS)
def test_check_grads_agrees(op, case):
    call = Call(op, case)
    ag.check_grads(call, *call.xs, order=2)


# Which shapes the cases must hold: the ones that break rules. -----------------------------------

def _given(op):
    return [[x for x in case.inputs if isinstance(x, tuple)] for case in op.cases]


def _prepared(op):
    """Whether its domain is of a shape: square matrices, say."""
    return any(case.prepare is not None for case in op.cases)


UNARY = [op for op in DIFFERENTIABLE if not isinstance(op.vjps, ag.op.EachInput)
         and len(op.vjps) == 1 and op.name not in ("scatter", "astype", "undefined")
         and not _prepared(op)]
BINARY = [op for op in DIFFERENTIABLE if not isinstance(op.vjps, ag.op.EachInput)
          and len(op.vjps) == 2 and op.name not in ("matmul", "set", "ldexp", "convolve",
                                                    "barrier")
          and not _prepared(op)
          and not any(isinstance(rule, MissingRule) for rule in op.vjps)]


@pytest.mark.parametrize("op", UNARY, ids=str)
def test_unary_cases_hold_the_breaking_shapes(op):
    shapes = [shape for (shape, *_) in _given(op)]
    assert any(0 in shape for shape in shapes) or op.name == "mean", "an empty array"
    assert any(1 in shape for shape in shapes), "an axis of size 1"
    assert any(len(shape) > 1 for shape in shapes), "several axes"
    along = ("softmax", "log_softmax", "cumsum", "cumprod", "pad", "unwrap", "windows",
             "overlap_add", "fft", "rfft", "irfft")
    assert () in shapes or op.name in along, "shape ()"


@pytest.mark.parametrize("op", BINARY, ids=str)
def test_binary_cases_broadcast_both_ways(op):
    pairs = [shapes for shapes in _given(op) if len(shapes) == 2]
    results = [(a, b, np.broadcast_shapes(a, b)) for a, b in pairs]
    assert any(a == () == b for a, b, _ in results)
    assert any(a == b != () for a, b, _ in results)
    assert any(a != y and b == y for a, b, y in results), "the first operand is broadcast"
    assert any(b != y and a == y for a, b, y in results), "the second operand is broadcast"
    assert any(a != y and b != y for a, b, y in results), "both are broadcast"
    assert any(0 in y for _, _, y in results), "an empty array"
    assert any(1 in a and a != y for a, b, y in results), "an axis of size 1 is stretched"
