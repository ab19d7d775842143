"""Elementary functions on vectors of floats, as LLVM instructions.

Each is a polynomial on a reduced argument, in the precision of its operand, and keeps IEEE
arithmetic at the ends: infinities, NaN, signed zeros, subnormal numbers. Coefficients are
Chebyshev fits of the functions named, with errors below a unit in the last place of the result;
the reductions are those of W. J. Cody and W. Waite, *Software Manual for the Elementary Functions*
(1980). The tests hold each to a few units in the last place of the exact value.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cache, reduce
from typing import Any

from llvmlite import ir

I1, I8, I32, I64 = (ir.IntType(n) for n in (1, 8, 32, 64))
F32, F64 = ir.FloatType(), ir.DoubleType()


# LLVM's text of a constant is made once for each object.
@cache
def _float_in_all(double: bool, width: int, bits: str) -> Any:
    scalar = F64 if double else F32
    one = ir.Constant(scalar, float.fromhex(bits))
    return ir.Constant(ir.VectorType(scalar, width), [one] * width)


@cache
def integer_in_all(bits: int, width: int, x: int) -> Any:
    """An integer in every lane of a vector."""
    kind = ir.IntType(bits)
    return ir.Constant(ir.VectorType(kind, width), [ir.Constant(kind, x)] * width)


class Lanes:
    """Arithmetic on vectors of ``width`` floats of one kind, in a function under construction."""

    def __init__(self, builder: ir.IRBuilder, double: bool, width: int) -> None:
        self.b = builder
        self.double, self.width = double, width
        self.scalar = F64 if double else F32
        self.integer = I64 if double else I32
        self.type = ir.VectorType(self.scalar, width)
        self.integers = ir.VectorType(self.integer, width)
        self.masks = ir.VectorType(I1, width)
        #: Bits of the significand, the bias of the exponent, the precision, 1.5 * 2**significand.
        self.bits, self.bias = (52, 1023) if double else (23, 127)
        self.eps = 2.0 ** -self.bits
        self.magic = 1.5 * 2.0 ** self.bits

    def const(self, x: float) -> Any:
        return _float_in_all(self.double, self.width, float(x).hex())

    def int(self, x: int) -> Any:
        return integer_in_all(64 if self.double else 32, self.width, x)

    def value(self, x: Any) -> Any:
        return self.const(x) if isinstance(x, (int, float)) else x

    def splat(self, x: Any) -> Any:
        """A scalar in every lane."""
        undefined = ir.Constant(ir.VectorType(x.type, self.width), ir.Undefined)
        one = self.b.insert_element(undefined, x, ir.Constant(I32, 0))
        return self.b.shuffle_vector(one, undefined, integer_in_all(32, self.width, 0))

    def intrinsic(self, name: str, *xs: Any) -> Any:
        kind = f"v{self.width}{'f64' if self.double else 'f32'}"
        module = self.b.module
        full = f"llvm.{name}.{kind}"
        f = module.globals.get(full)
        if f is None:
            f = ir.Function(module, ir.FunctionType(self.type, [self.type] * len(xs)), full)
        return self.b.call(f, xs)

    def add(self, x: Any, y: Any) -> Any:
        return self.b.fadd(self.value(x), self.value(y))

    def sub(self, x: Any, y: Any) -> Any:
        return self.b.fsub(self.value(x), self.value(y))

    def mul(self, x: Any, y: Any) -> Any:
        return self.b.fmul(self.value(x), self.value(y))

    def div(self, x: Any, y: Any) -> Any:
        return self.b.fdiv(self.value(x), self.value(y))

    def fma(self, x: Any, y: Any, z: Any) -> Any:
        return self.intrinsic("fma", self.value(x), self.value(y), self.value(z))

    def sqrt(self, x: Any) -> Any:
        return self.intrinsic("sqrt", x)

    def abs(self, x: Any) -> Any:
        return self.intrinsic("fabs", x)

    def neg(self, x: Any) -> Any:
        return self.b.fneg(x)

    def with_sign(self, x: Any, sign: Any) -> Any:
        return self.intrinsic("copysign", x, sign)

    def is_(self, relation: str, x: Any, y: Any) -> Any:
        """An ordered comparison: false where either is NaN; ``!=`` is the unordered one."""
        x, y = self.value(x), self.value(y)
        if relation == "!=":
            return self.b.fcmp_unordered("!=", x, y)
        return self.b.fcmp_ordered(relation, x, y)

    def isnan(self, x: Any) -> Any:
        return self.b.fcmp_unordered("uno", x, x)

    def where(self, mask: Any, x: Any, y: Any) -> Any:
        return self.b.select(mask, self.value(x), self.value(y))

    def poly(self, x: Any, coefficients: Sequence[float]) -> Any:
        """c0 + c1 x + c2 x^2 + ..., by Horner's rule."""
        return reduce(lambda y, c: self.fma(y, x, self.const(c)), reversed(coefficients[:-1]),
                      self.const(coefficients[-1]))

    def maximum(self, x: Any, y: Any) -> Any:
        """NumPy's: NaN if either is."""
        return self.where(self.b.or_(self.is_(">=", x, y), self.isnan(x)), x, y)

    def minimum(self, x: Any, y: Any) -> Any:
        return self.where(self.b.or_(self.is_("<=", x, y), self.isnan(x)), x, y)

    def as_bits(self, x: Any) -> Any:
        return self.b.bitcast(x, self.integers)

    def as_floats(self, x: Any) -> Any:
        return self.b.bitcast(x, self.type)


# Exponentials. ----------------------------------------------------------------------------------

#: (exp(r) - 1 - r) / r**2 for abs(r) <= ln(2) / 2.
_EXP = {
    False: (0.50000000151568124018, 0.16666666683501193737, 0.041666448365716592297,
            0.0083333090865152563161, 0.0013935451843874688739, 0.00019892991763014593422),
    True: (0.49999999999999999998, 0.16666666666666666667, 0.041666666666666678976,
           0.0083333333333333341538, 0.0013888888888877397697, 0.00019841269841262181842,
           0.000024801587340818260645, 2.7557319250135433051e-6, 2.7557258688623930226e-7,
           2.5052068034668043454e-8, 2.0919802534908384295e-9, 1.6087737571667882192e-10),
}
#: ln(2) in two parts, the first with so few bits that its products with exponents are exact.
_LN2 = {
    False: (float.fromhex("0x1.62e4p-1"), float.fromhex("0x1.7f7d1cf79abcap-20")),
    True: (float.fromhex("0x1.62e42fefa3800p-1"), float.fromhex("0x1.ef35793c76730p-45")),
}
#: Beyond these the result is infinite, or rounds to zero.
_EXP_RANGE = {False: (-104.0, 89.0), True: (-746.0, 710.0)}


def _reduced(v: Lanes, x: Any) -> tuple[Any, Any]:
    """k and exp(r) - 1 with x = k ln 2 + r, for x in the range."""
    shifted = v.fma(x, 1 / math.log(2), v.magic)
    k = v.b.sub(v.as_bits(shifted), v.as_bits(v.const(v.magic)))
    number = v.sub(shifted, v.magic)
    high, low = _LN2[v.double]
    r = v.fma(number, -low, v.fma(number, -high, x))
    return k, v.fma(v.mul(r, r), v.poly(r, _EXP[v.double]), r)


def _scales(v: Lanes, k: Any) -> tuple[Any, Any]:
    """Two powers of two whose product is 2**k, also where that is subnormal or infinite."""
    even = 4 * v.bias  # shifts of positive numbers are faster
    half = v.b.sub(v.b.lshr(v.b.add(k, v.int(even)), v.int(1)), v.int(even // 2))
    rest = v.b.sub(k, half)

    def power(n: Any) -> Any:
        return v.as_floats(v.b.shl(v.b.add(n, v.int(v.bias)), v.int(v.bits)))

    return power(half), power(rest)


def _clamped(v: Lanes, x: Any) -> Any:
    low, high = _EXP_RANGE[v.double]
    x = v.where(v.is_("<", x, low), low, x)  # NaN stays
    return v.where(v.is_(">", x, high), high, x)


def exp(v: Lanes, x: Any) -> Any:
    k, less = _reduced(v, _clamped(v, x))
    a, b = _scales(v, k)
    return v.mul(v.mul(v.add(less, 1.0), a), b)


def expm1(v: Lanes, x: Any) -> Any:
    """2^k (exp(r) - 1) + (2^k - 1), and x itself where that is all there is."""
    k, less = _reduced(v, _clamped(v, x))
    a, b = _scales(v, k)
    power = v.mul(a, b)
    # From 2^k that overflows, half of everything first.
    near = v.fma(less, power, v.sub(power, 1.0))
    far = v.sub(v.mul(v.mul(v.add(less, 1.0), a), b), 1.0)
    large = v.b.icmp_signed(">", k, v.int(v.bits + 2))
    y = v.where(large, far, near)
    return v.where(v.is_("<", v.abs(x), v.eps / 4), x, y)


def tanh(v: Lanes, x: Any) -> Any:
    """e / (e + 2) with e = exp(2 abs(x)) - 1, and the sign of x."""
    y = v.abs(x)
    y = v.where(v.is_(">", y, 22.0), 22.0, y)
    e = expm1(v, v.add(y, y))
    return v.with_sign(v.div(e, v.add(e, 2.0)), x)


# Logarithms. ------------------------------------------------------------------------------------

#: 2 (artanh(s) / s - 1) / s**2 in s**2, for (1 + s) / (1 - s) between sqrt(1/2) and sqrt(2).
_LOG = {
    False: (0.6666666654988317655, 0.40000125594554367087, 0.28550396959618013579,
            0.23341943388714560866),
    True: (0.66666666666666666448, 0.40000000000000941266, 0.28571428570764450117,
           0.22222222400547757297, 0.18181794700897799585, 0.15386290534658991988,
           0.13267418596474883398, 0.13100721383503491392),
}
_SQRT_HALF = {False: 0x3F3504F3, True: 0x3FE6A09E667F3BCD}


def _split(v: Lanes, x: Any) -> tuple[Any, Any]:
    """e and m with x = 2**e * m, m between sqrt(1/2) and sqrt(2), for normal x > 0."""
    bits = v.as_bits(x)
    one = v.bias << v.bits
    raised = v.b.add(bits, v.int(one - _SQRT_HALF[v.double]))
    q = v.b.lshr(raised, v.int(v.bits))
    whole = v.b.shl(v.b.sub(q, v.int(v.bias)), v.int(v.bits))
    m = v.as_floats(v.b.sub(bits, whole))
    # An integer becomes a float in the low bits of a larger one.
    number = v.as_floats(v.b.add(q, v.as_bits(v.const(v.magic))))
    return v.sub(number, v.magic + v.bias), m


def _log_near_one(v: Lanes, e: Any, f: Any, correction: Any = None) -> Any:
    """e ln 2 + ln(1 + f)."""
    s = v.div(f, v.add(f, 2.0))
    z = v.mul(s, s)
    r = v.mul(z, v.poly(z, _LOG[v.double]))
    half = v.mul(v.mul(f, f), 0.5)
    high, low = _LN2[v.double]
    small = v.fma(s, v.add(half, r), v.mul(e, low))
    if correction is not None:
        small = v.add(small, correction)
    return v.fma(e, high, v.sub(f, v.sub(half, small)))


def _at_ends(v: Lanes, x: Any, y: Any) -> Any:
    """What a logarithm of ``x`` is at zero, below it, at infinity and NaN; ``y`` elsewhere."""
    y = v.where(v.is_("==", x, 0.0), -math.inf, y)
    y = v.where(v.is_("<", x, 0.0), math.nan, y)
    return v.where(v.b.or_(v.is_("==", x, math.inf), v.isnan(x)), x, y)


def log(v: Lanes, x: Any) -> Any:
    tiny = v.is_("<", x, 2.0 ** (2 - v.bias))
    lift = v.bits + 2
    e, m = _split(v, v.where(tiny, v.mul(x, 2.0 ** lift), x))
    e = v.sub(e, v.where(tiny, float(lift), 0.0))
    return _at_ends(v, x, _log_near_one(v, e, v.sub(m, 1.0)))


def log1p(v: Lanes, x: Any) -> Any:
    u = v.add(x, 1.0)
    e, m = _split(v, u)
    near = v.is_("==", e, 0.0)
    f = v.where(near, x, v.sub(m, 1.0))
    # What rounding 1 + x has lost, relative to u.
    lost = v.where(v.is_(">", x, 1.0), v.sub(1.0, v.sub(u, x)), v.sub(x, v.sub(u, 1.0)))
    correction = v.where(near, 0.0, v.div(lost, u))
    y = _at_ends(v, u, _log_near_one(v, e, f, correction))
    return v.where(v.is_("<", v.abs(x), v.eps / 4), x, y)


def logaddexp(v: Lanes, x: Any, y: Any) -> Any:
    """The larger plus log1p(exp(-abs(x - y))); equal ones plus ln 2, infinite ones too."""
    apart = v.sub(x, y)
    larger = v.where(v.is_(">", apart, 0.0), x, y)
    result = v.add(larger, log1p(v, exp(v, v.neg(v.abs(apart)))))
    result = v.where(v.isnan(apart), apart, result)
    return v.where(v.is_("==", x, y), v.add(x, math.log(2)), result)


# Circular functions. ----------------------------------------------------------------------------

_SIN = (-0.16666666666666664365, 0.0083333333333306993363, -0.00019841269836385434484,
        2.7557315910939001563e-6, -2.5051092308431316672e-8, 1.5915309183057952557e-10)
_COS = (0.041666666666666666666, -0.0013888888888888887736, 0.000024801587301584368969,
        -2.7557319221189104203e-7, 2.0876755717584403743e-9, -1.1470449354466772619e-11,
        4.7451988072028758106e-14)
#: pi / 2 in three parts.
_PI_2 = tuple(map(float.fromhex, (
    "0x1.921fb54442d18p+0", "0x1.1a62633145c07p-54", "-0x1.f1976b7ed8fbcp-110")))
#: Beyond this many quarter turns the C library reduces the argument.
_TURNS = 2.0 ** 28


def _circular(v: Lanes, x: Any, name: str) -> Any:
    if not v.double:  # in double precision, half of the lanes at a time
        return _in_halves(v, x, lambda w, part: _circular(w, part, name))
    shifted = v.fma(x, 2 / math.pi, v.magic)
    turns = v.b.sub(v.as_bits(shifted), v.as_bits(v.const(v.magic)))
    if name == "cos":
        turns = v.b.add(turns, v.int(1))
    number = v.sub(shifted, v.magic)
    r = x
    for part in _PI_2:
        r = v.fma(number, -part, r)
    z = v.mul(r, r)
    sin = v.fma(v.mul(r, z), v.poly(z, _SIN), r)
    cos = v.fma(v.mul(z, z), v.poly(z, _COS), v.fma(z, -0.5, 1.0))
    odd = v.b.icmp_unsigned("!=", v.b.and_(turns, v.int(1)), v.int(0))
    y = v.where(odd, cos, sin)
    flipped = v.b.shl(v.b.and_(turns, v.int(2)), v.int(62))
    y = v.as_floats(v.b.xor(v.as_bits(y), flipped))
    if name == "sin":
        y = v.where(v.is_("==", x, 0.0), x, y)
    far = v.b.xor(v.is_("<", v.abs(x), _TURNS), ir.Constant(v.masks, [1] * v.width))
    return _lane_by_lane(v, far, x, y, name)


def _in_halves(v: Lanes, x: Any, f: Callable[[Lanes, Any], Any]) -> Any:
    half = max(1, v.width // 2)
    undefined = ir.Constant(v.type, ir.Undefined)
    parts = []
    for k in range(v.width // half):
        places = ir.Constant(ir.VectorType(I32, half),
                             [ir.Constant(I32, k * half + i) for i in range(half)])
        w = Lanes(v.b, True, half)
        part = v.b.fpext(v.b.shuffle_vector(x, undefined, places), w.type)
        parts.append(v.b.fptrunc(f(w, part), ir.VectorType(F32, half)))
    if len(parts) == 1:
        return parts[0]
    every = ir.Constant(ir.VectorType(I32, v.width), [ir.Constant(I32, i) for i in range(v.width)])
    return v.b.shuffle_vector(*parts, every)


def _lane_by_lane(v: Lanes, chosen: Any, x: Any, y: Any, name: str) -> Any:
    """``y``, but the C library's value in the lanes that are chosen, if there are any."""
    b = v.b
    flat = b.bitcast(chosen, ir.IntType(v.width))
    before = b.block
    with b.if_then(b.icmp_unsigned("!=", flat, ir.Constant(flat.type, 0)), likely=False):
        f = b.module.globals.get(name)
        if f is None:
            f = ir.Function(b.module, ir.FunctionType(v.scalar, [v.scalar]), name)
        slow = y
        for i in range(v.width):
            place = ir.Constant(I32, i)
            exact = b.call(f, [b.extract_element(x, place)])
            exact = b.select(b.extract_element(chosen, place), exact, b.extract_element(y, place))
            slow = b.insert_element(slow, exact, place)
        within = b.block
    result = b.phi(v.type)
    result.add_incoming(y, before)
    result.add_incoming(slow, within)
    return result


def sin(v: Lanes, x: Any) -> Any:
    return _circular(v, x, "sin")


def cos(v: Lanes, x: Any) -> Any:
    return _circular(v, x, "cos")


def sign(v: Lanes, x: Any) -> Any:
    y = v.where(v.is_(">", x, 0.0), 1.0, v.where(v.is_("<", x, 0.0), -1.0, 0.0))
    return v.where(v.isnan(x), x, y)


#: By name of the op: a function of lanes and as many operands as the op has.
FUNCTIONS: dict[str, Callable[..., Any]] = {
    "add": Lanes.add, "subtract": Lanes.sub, "multiply": Lanes.mul, "divide": Lanes.div,
    "negative": Lanes.neg, "absolute": Lanes.abs, "sqrt": Lanes.sqrt,
    "square": lambda v, x: v.mul(x, x), "reciprocal": lambda v, x: v.div(1.0, x),
    "maximum": Lanes.maximum, "minimum": Lanes.minimum, "sign": sign,
    "exp": exp, "expm1": expm1, "tanh": tanh, "log": log, "log1p": log1p, "logaddexp": logaddexp,
    "sin": sin, "cos": cos,
    "floor": lambda v, x: v.intrinsic("floor", x), "ceil": lambda v, x: v.intrinsic("ceil", x),
    "rint": lambda v, x: v.intrinsic("rint", x), "trunc": lambda v, x: v.intrinsic("trunc", x),
    "copysign": Lanes.with_sign,
}
#: Questions, which are answered by masks.
COMPARISONS = {
    "less": "<", "less_equal": "<=", "greater": ">", "greater_equal": ">=", "equal": "==",
    "not_equal": "!=",
}
#: And those of one operand.
TESTS = {"isnan", "isinf", "isfinite"}
