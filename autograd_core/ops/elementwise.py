"""Element by element: arithmetic, powers, exponentials, trigonometry, comparison, selection.

A row reads: the name, the forward function, the rules, the formula. In a rule ``g`` is the
cotangent of the result ``y``; the other names are the inputs.
"""

from __future__ import annotations

import math
import operator
from functools import cache
from typing import Any

import numpy as np

from ..node import Array
from ..op import (
    POSITIVE,
    REAL,
    UNIT,
    case,
    conj,
    define,
    implements,
    lift,
    refuse_complex,
    refuse_options,
    same,
    zero,
)
from .shaping import astype
from .special import sigmoid

LN2, LN10 = math.log(2.0), math.log(10.0)

_BROADCAST = (
    case((), ()), case((3,), (3,)), case((2, 3), (3,)), case((3,), (2, 3)), case((2, 1), (1, 3)),
    case((), (2, 3)), case((2, 3), ()), case((0, 3), (3,)), case((1,), (1, 1)), case((2, 3), 1.5),
    case(1.5, (2, 3)),
)
_SHAPES = (case(()), case((3,)), case((2, 3)), case((0,)), case((1, 2)), case((2, 0, 3)))

# Arithmetic. ------------------------------------------------------------------------------------
# The forward functions are Python's operators: the same loops as NumPy's ufuncs on arrays, and
# several times faster on NumPy scalars.

add = define(
    "add", operator.add,
    (same, same),
    "a + b", domain=(REAL, REAL), cases=_BROADCAST, numpy=np.add,
)
subtract = define(
    "subtract", operator.sub,
    (same, lambda g, y, a, b: -g),
    "a - b", domain=(REAL, REAL), cases=_BROADCAST, numpy=np.subtract,
)
multiply = define(
    "multiply", operator.mul,
    (lambda g, y, a, b: g * b, lambda g, y, a, b: g * a),
    "a * b", domain=(REAL, REAL), cases=_BROADCAST, numpy=np.multiply,
)
divide = define(
    "divide", operator.truediv,
    (lambda g, y, a, b: g / b, lambda g, y, a, b: -(g * y) / b),
    "a / b", domain=(REAL, POSITIVE), cases=_BROADCAST, numpy=np.divide,
)
negative = define(
    "negative", operator.neg, (lambda g, y, x: -g,), "-x", cases=_SHAPES, numpy=np.negative
)


def _power_base(g: Array, y: Array, x: Array, n: Array) -> Array | None:
    """n x^(n-1), where x^0 is the constant 1 even at x = 0 and x^2 has the derivative 2x."""
    if type(n) in (int, float, complex):  # not NumPy's, whose value may be another at a replay
        if n == 0:
            return None
        if n == 1:
            return g
        return g * (x + x) if n == 2 else g * (n * x ** (n - 1))
    constant = n == 0
    return g * np.where(constant, 0, n * x ** np.where(constant, 1, n - 1))


def _power_exponent(g: Array, y: Array, x: Array, n: Array) -> Array:
    """x^n log x, where 0^n is the constant 0: its derivative is 0, not 0 times -inf."""
    if isinstance(x, (int, float, complex)):  # its logarithm is a Python number too, weakly typed
        if y.dtype.kind == "c":
            return g * (y * (complex(np.log(complex(x))) if x else 0.0))
        return g * (y * (math.log(x) if x > 0 else 0.0 if x == 0 else math.nan))  # type: ignore[operator, arg-type]
    at_zero = x == 0
    if y.dtype.kind == "c":  # the logarithm of a negative number is complex, as the power is
        x = astype(x, y.dtype)
    return g * (y * np.log(np.where(at_zero, 1, x)))


power = define(
    "power", operator.pow, (_power_base, _power_exponent),
    "x ** n", domain=(POSITIVE, REAL),
    cases=(*_BROADCAST, case((2, 3), 2), case((2, 3), 3), case((), -1), case((3,), 0)),
    numpy=np.power,
)
reciprocal = define(
    "reciprocal", np.reciprocal, (lambda g, y, x: -g * (y * y),),
    "1 / x", domain=(POSITIVE,), cases=_SHAPES, numpy=np.reciprocal,
)
floor_divide = define(
    "floor_divide", operator.floordiv, (zero, zero),
    "floor(a / b)", domain=(REAL, POSITIVE), cases=_BROADCAST, numpy=np.floor_divide,
)
remainder = define(
    "remainder", operator.mod,
    (same, lambda g, y, a, b: -g * np.floor_divide(a, b)),
    "a - b floor(a / b)", domain=(REAL, POSITIVE), cases=_BROADCAST, numpy=np.remainder,
)
fmod = define(
    "fmod", np.fmod,
    # The quotient is a whole number; dividing what was taken off gives it without a step's error.
    (same, lambda g, y, a, b: -g * np.rint((a - y) / b)),
    "a - b trunc(a / b)", domain=(REAL, POSITIVE), cases=_BROADCAST, numpy=np.fmod,
)


@implements(np.divmod)
def divmod(x1: Array, x2: Array) -> tuple[Array, Array]:
    return floor_divide(x1, x2), remainder(x1, x2)


@implements(np.positive)
def positive(x: Array) -> Array:
    return x


@implements(np.float_power)
def float_power(x1: Array, x2: Array) -> Array:
    """x1 ** x2 in double precision, as NumPy has it."""
    x1, x2 = lift(x1), lift(x2)
    wide = np.result_type(np.float64, x1.dtype, x2.dtype)
    return power(astype(x1, wide), astype(x2, wide))


# Powers, exponentials, logarithms. --------------------------------------------------------------

square = define(
    "square", np.square, (lambda g, y, x: g * (x + x),), "x²", cases=_SHAPES, numpy=np.square
)
sqrt = define(
    "sqrt", np.sqrt, (lambda g, y, x: 0.5 * g / y,),
    "√x", domain=(POSITIVE,), cases=_SHAPES, numpy=np.sqrt,
)
cbrt = define(
    "cbrt", np.cbrt, (lambda g, y, x: g / (3 * (y * y)),),
    "∛x", domain=(POSITIVE,), cases=_SHAPES, numpy=np.cbrt,
)
exp = define("exp", np.exp, (lambda g, y, x: g * y,), "eˣ", cases=_SHAPES, numpy=np.exp)
exp2 = define(
    "exp2", np.exp2, (lambda g, y, x: g * (y * LN2),), "2ˣ", cases=_SHAPES, numpy=np.exp2
)
expm1 = define(
    "expm1", np.expm1, (lambda g, y, x: g * (y + 1),), "eˣ - 1", cases=_SHAPES, numpy=np.expm1
)
log = define(
    "log", np.log, (lambda g, y, x: g / x,), "ln x",
    domain=(POSITIVE,), cases=_SHAPES, numpy=np.log,
)
log2 = define(
    "log2", np.log2, (lambda g, y, x: g / (x * LN2),), "log₂ x",
    domain=(POSITIVE,), cases=_SHAPES, numpy=np.log2,
)
log10 = define(
    "log10", np.log10, (lambda g, y, x: g / (x * LN10),), "log₁₀ x",
    domain=(POSITIVE,), cases=_SHAPES, numpy=np.log10,
)
log1p = define(
    "log1p", np.log1p, (lambda g, y, x: g / (1 + x),), "ln(1 + x)",
    domain=(POSITIVE,), cases=_SHAPES, numpy=np.log1p,
)


def _ahead(y: Array, a: Array, b: Array) -> Array:
    """a - b; -inf where both are, since nothing then comes from a."""
    return a - np.maximum(b, np.finfo(y.dtype).min)


logaddexp = define(
    "logaddexp", np.logaddexp,
    # eᵃ / (eᵃ + eᵇ), also where one of them is infinite.
    (lambda g, y, a, b: g * sigmoid(_ahead(y, a, b)),
     lambda g, y, a, b: g * sigmoid(_ahead(y, b, a))),
    "ln(eᵃ + eᵇ)", domain=(REAL, REAL), cases=_BROADCAST, numpy=np.logaddexp,
)
logaddexp2 = define(
    "logaddexp2", np.logaddexp2,
    (lambda g, y, a, b: g * sigmoid(LN2 * _ahead(y, a, b)),
     lambda g, y, a, b: g * sigmoid(LN2 * _ahead(y, b, a))),
    "log₂(2ᵃ + 2ᵇ)", domain=(REAL, REAL), cases=_BROADCAST, numpy=np.logaddexp2,
)

# Trigonometry. ----------------------------------------------------------------------------------

sin = define("sin", np.sin, (lambda g, y, x: g * np.cos(x),), "sin x", cases=_SHAPES, numpy=np.sin)
cos = define("cos", np.cos, (lambda g, y, x: g * -np.sin(x),), "cos x", cases=_SHAPES, numpy=np.cos)
tan = define(
    "tan", np.tan, (lambda g, y, x: g * (1 + y * y),), "tan x",
    domain=(UNIT,), cases=_SHAPES, numpy=np.tan,
)
arcsin = define(
    "arcsin", np.arcsin, (lambda g, y, x: g / np.sqrt(1 - x * x),), "arcsin x",
    domain=(UNIT,), cases=_SHAPES, numpy=np.arcsin,
)
arccos = define(
    "arccos", np.arccos, (lambda g, y, x: -g / np.sqrt(1 - x * x),), "arccos x",
    domain=(UNIT,), cases=_SHAPES, numpy=np.arccos,
)
arctan = define(
    "arctan", np.arctan, (lambda g, y, x: g / (1 + x * x),), "arctan x",
    cases=_SHAPES, numpy=np.arctan,
)
sinh = define(
    "sinh", np.sinh, (lambda g, y, x: g * np.cosh(x),), "sinh x", cases=_SHAPES, numpy=np.sinh
)
cosh = define(
    "cosh", np.cosh, (lambda g, y, x: g * np.sinh(x),), "cosh x", cases=_SHAPES, numpy=np.cosh
)
tanh = define(
    "tanh", np.tanh, (lambda g, y, x: g * (1.0 - y * y),), "tanh x", cases=_SHAPES, numpy=np.tanh
)
arcsinh = define(
    "arcsinh", np.arcsinh, (lambda g, y, x: g / np.sqrt(x * x + 1),), "arsinh x",
    cases=_SHAPES, numpy=np.arcsinh,
)
arccosh = define(
    "arccosh", np.arccosh, (lambda g, y, x: g / (np.sqrt(x - 1) * np.sqrt(x + 1)),), "arcosh x",
    domain=((1.2, 3.0),), cases=_SHAPES, numpy=np.arccosh,
)
arctanh = define(
    "arctanh", np.arctanh, (lambda g, y, x: g / (1 - x * x),), "artanh x",
    domain=(UNIT,), cases=_SHAPES, numpy=np.arctanh,
)
arctan2 = define(
    "arctan2", np.arctan2,
    (lambda g, y, a, b: g * _inverted(b, a), lambda g, y, a, b: -g * _inverted(a, b)),
    "the angle of (b, a)", domain=(POSITIVE, POSITIVE), cases=_BROADCAST, numpy=np.arctan2,
)
hypot = define(
    "hypot", np.hypot,
    (lambda g, y, a, b: g * _unit(a, y), lambda g, y, a, b: g * _unit(b, y)),
    "√(a² + b²)", domain=(POSITIVE, POSITIVE), cases=_BROADCAST, numpy=np.hypot,
)


def _unit(x: Array, length: Array) -> Array:
    """x / length, and 0 at length 0: the subgradient of least norm."""
    at_zero = length == 0
    return np.where(at_zero, 0, x / np.where(at_zero, 1, length))


def _inverted(x: Array, other: Array) -> Array:
    """x / (x² + other²), and 0 at the origin, where the angle has no derivative.

    By way of the length, since squares underflow.
    """
    length = np.hypot(x, other)
    return _unit(_unit(x, length), length)


@implements(np.deg2rad, np.radians)
def deg2rad(x: Array) -> Array:
    refuse_complex("deg2rad", x)
    return x * (math.pi / 180)


@implements(np.rad2deg, np.degrees)
def rad2deg(x: Array) -> Array:
    refuse_complex("rad2deg", x)
    return x * (180 / math.pi)


@cache
def _quadrature() -> tuple[tuple[float, float], ...]:
    """Nodes and weights of Gauss' rule on [0, 1]; as Python numbers, which widen nothing."""
    nodes, weights = np.polynomial.legendre.leggauss(32)
    return tuple(((t + 1) / 2, w / 2) for t, w in zip(nodes.tolist(), weights.tolist(),
                                                      strict=True))


def _turn(order: int, u: Array) -> Array:
    """cos(u + order π/2): the derivative of that order of cos u."""
    wave = np.sin(u) if order % 2 else np.cos(u)
    return wave if order % 4 in (0, 3) else -wave


def _sinc_forward(x: Array, order: int) -> Array:
    """The derivative of sin(u)/u, u = πx, of any order, by x.

    S(u) = ∫₀¹ tⁿ cos(ut + nπ/2) dt, which Gauss' quadrature gives to rounding where u is no
    larger than n or so; further out u S(u) + n S'(u) = sin(u + nπ/2), with S' of the order below,
    climbs from sin(u)/u without losing digits.
    """
    if order == 0:
        return np.sinc(x)
    u = math.pi * x
    close = np.absolute(u) < order + 8
    near: Any = 0.0
    for t, weight in _quadrature():
        near = near + weight * t**order * _turn(order, t * u)
    divisor = np.where(close, 1, u)
    far = np.sin(u) / divisor
    for n in range(1, order + 1):
        far = (-_turn(n + 1, u) - n * far) / divisor
    return math.pi**order * np.where(close, near, far)


def _sinc_rule(g: Array, y: Array, x: Array, order: int) -> Array:
    return g * sinc_(x, order=order + 1)


sinc_ = define(
    "sinc", _sinc_forward, (_sinc_rule,),
    "sin(πx) / πx, differentiated `order` times",
    cases=(case((), order=0), case((2, 3), order=0), case((0,), order=0), case((1, 2), order=1),
           case((3,), order=2)),
    takes_complex=True,
)


@implements(np.sinc)
def sinc(x: Array) -> Array:
    """sin(πx) / πx, with the right derivatives at 0 too: 0, -π²/3, 0, π⁴/5, ..."""
    return sinc_(x, order=0)


def _bessel_forward(x: Array, order: int) -> Array:
    """The modified Bessel function Iₙ(x) = (1/π) ∫₀^π exp(x cos θ) cos(nθ) dθ.

    The midpoint rule converges faster than any power for a periodic integrand: with 256 points
    on the circle its error is below rounding as far as x = 700, where Iₙ overflows. The symmetry
    of the cosine leaves a quarter of the circle.
    """
    if order == 0:
        return np.i0(x)
    points = 64
    hyperbolic = np.sinh if order % 2 else np.cosh
    total: Any = 0.0
    for k in range(points):
        theta = (k + 0.5) * math.pi / (2 * points)
        total = total + math.cos(order * theta) / points * hyperbolic(math.cos(theta) * x)
    return total


def _bessel_rule(g: Array, y: Array, x: Array, order: int) -> Array:
    above = bessel_(x, order=order + 1)
    return g * above if order == 0 else g * (0.5 * (above + bessel_(x, order=order - 1)))


bessel_ = define(
    "bessel_i", _bessel_forward, (_bessel_rule,), "I(x) of that order",
    cases=(case((), order=0), case((2, 3), order=0), case((0,), order=0), case((1, 2), order=1),
           case((3,), order=2)),
)


@implements(np.i0)
def i0(x: Array) -> Array:
    """The modified Bessel function I₀; I₀' = I₁, and Iₙ' = (Iₙ₋₁ + Iₙ₊₁) / 2."""
    return bessel_(x, order=0)


# Kinks and steps. -------------------------------------------------------------------------------

absolute = define(
    "absolute", np.absolute, (lambda g, y, x: g * conj(np.sign(x)),), "|x|",
    domain=(POSITIVE,), cases=_SHAPES, numpy=np.absolute,
)


@implements(np.fabs)
def fabs(x: Array) -> Array:
    refuse_complex("fabs", x)
    return absolute(x)


def _sign_rule(g: Array, y: Array, x: Array) -> Array | None:
    """None for a real x. That of a complex one turns: dy = i y Im(y* dx) / |x|, and 0 at 0."""
    if x.dtype.kind != "c":
        return None
    length = np.absolute(x)
    at_zero = length == 0
    return np.where(at_zero, 0, (g - np.conjugate(g * (y * y))) / np.where(at_zero, 1, 2 * length))


sign = define(
    "sign", np.sign, (_sign_rule,), "x / |x|: -1, 0 or 1 for a real x", domain=((0.1, 0.4),),
    cases=_SHAPES, numpy=np.sign,
)
_ufunc: np.ufunc
for _name, _ufunc, _formula in (
    ("floor", np.floor, "⌊x⌋"),
    ("ceil", np.ceil, "⌈x⌉"),
    ("trunc", np.trunc, "x without its fraction"),
    ("rint", np.rint, "the nearest integer"),
):
    define(_name, _ufunc, (zero,), _formula, domain=((0.1, 0.4),), cases=_SHAPES, numpy=_ufunc)
round_ = define(
    "round", np.round, (zero,), "x to `decimals` digits",
    domain=((0.1, 0.4),),
    cases=(case((2, 3), decimals=0), case((), decimals=0), case((0, 1), decimals=1)),
    takes_complex=True,
)


@implements(np.round, np.around)
def around(a: Array, decimals: int = 0, out: None = None) -> Array:
    refuse_options("round", out=out)
    return round_(a, decimals=decimals)


def _larger(g: Array, a: Array, b: Array) -> Array:
    """g where a > b, half of it where they are equal: tied operands share the gradient."""
    return np.where(a == b, 0.5 * g, g * (a > b))


maximum = define(
    "maximum", np.maximum,
    (lambda g, y, a, b: _larger(g, a, b), lambda g, y, a, b: _larger(g, b, a)),
    "the larger of a and b", domain=(REAL, REAL), cases=_BROADCAST, numpy=np.maximum,
)
minimum = define(
    "minimum", np.minimum,
    (lambda g, y, a, b: _larger(g, b, a), lambda g, y, a, b: _larger(g, a, b)),
    "the smaller of a and b", domain=(REAL, REAL), cases=_BROADCAST, numpy=np.minimum,
)


def _known(g: Array, other: Array, a: Array, less: Array) -> Array:
    """g where ``a`` was taken, half of it for a tie: a NaN is never taken before a number."""
    return np.where(a == other, 0.5 * g, g * ~(less | np.isnan(a)))


fmax = define(
    "fmax", np.fmax,
    (lambda g, y, a, b: _known(g, b, a, a < b), lambda g, y, a, b: _known(g, a, b, b < a)),
    "the larger of a and b that is not NaN", domain=(REAL, REAL), cases=_BROADCAST, numpy=np.fmax,
)
fmin = define(
    "fmin", np.fmin,
    (lambda g, y, a, b: _known(g, b, a, a > b), lambda g, y, a, b: _known(g, a, b, b > a)),
    "the smaller of a and b that is not NaN", domain=(REAL, REAL), cases=_BROADCAST, numpy=np.fmin,
)
copysign = define(
    "copysign", np.copysign, (lambda g, y, a, b: _signed(g * np.sign(a), b), zero),
    "|a| with the sign of b", domain=(POSITIVE, POSITIVE), cases=_BROADCAST, numpy=np.copysign,
)


def _signed(g: Array, b: Array) -> Array:
    return np.where(np.signbit(b), -g, g)


heaviside = define(
    "heaviside", np.heaviside, (zero, lambda g, y, a, b: g * (a == 0)),
    "0, b or 1 for a below, at or above 0", domain=(POSITIVE, REAL),
    cases=(*_BROADCAST, case(np.array([-1, 0, 2], np.float32), (2, 3))), numpy=np.heaviside,
)
fraction = define(
    "fraction", lambda x: np.modf(x)[0], (lambda g, y, x: g,), "x without its whole part",
    domain=((0.1, 0.4),), cases=_SHAPES,
)
whole = define(
    "whole", lambda x: np.modf(x)[1], (zero,), "x without its fraction",
    domain=((0.1, 0.4),), cases=_SHAPES,
)


@implements(np.modf)
def modf(x: Array) -> tuple[Array, Array]:
    return fraction(x), whole(x)


ldexp = define(
    "ldexp", np.ldexp, (lambda g, y, x, n: np.ldexp(g, n), zero), "x 2ⁿ",
    cases=(case((3,), np.array([-1, 0, 2])), case((2, 1), np.array([3, 1])), case((), 2),
           case((0,), 1), case((2, 3), np.array(-2))),
    numpy=np.ldexp,
)
exponent = define(
    "exponent", lambda x: np.frexp(x)[1], None, "n of x = m 2ⁿ with m from ½ up to 1"
)


@implements(np.frexp)
def frexp(x: Array) -> tuple[Array, Array]:
    """m and n of x = m 2ⁿ: the mantissa has the slope 2⁻ⁿ, the exponent none."""
    n = exponent(x)
    return ldexp(x, -n), n


nextafter = define(
    "nextafter", np.nextafter, (lambda g, y, a, b: g, zero),
    # The step is of a's own precision: it changes only where the exponent of a does.
    "the number next to a on the side of b", domain=(POSITIVE, POSITIVE), cases=_BROADCAST,
    numpy=np.nextafter,
)
define(
    "spacing", np.spacing, (zero,), "the distance to the next number", domain=((1.1, 1.9),),
    cases=_SHAPES, numpy=np.spacing,
)


@implements(np.fix)
def fix(x: Array, out: None = None) -> Array:
    refuse_options("fix", out=out)
    return np.trunc(x)


@implements(np.nan_to_num)
def nan_to_num(
    x: Array, copy: bool = True, nan: Any = 0.0, posinf: Any = None, neginf: Any = None
) -> Array:
    """What is replaced by a constant has the gradient 0."""
    if not copy:
        raise TypeError("nan_to_num: copy=False would write into a Tensor; use the result instead")
    x = lift(x)
    if x.dtype.kind in "biu":
        return x
    if x.dtype.kind == "c":
        parts = [nan_to_num(part, True, nan, posinf, neginf) for part in (np.real(x), np.imag(x))]
        return parts[0] + 1j * parts[1]
    largest = np.finfo(x.dtype)
    x = np.where(np.isnan(x), nan, x)
    x = np.where(x == math.inf, float(largest.max) if posinf is None else posinf, x)
    return np.where(x == -math.inf, float(largest.min) if neginf is None else neginf, x)


@implements(np.clip)
def clip(
    a: Array, a_min: Any = None, a_max: Any = None, out: None = None,
    *, min: Any = None, max: Any = None,
) -> Array:
    """min(max(a, a_min), a_max): on a bound, half of the gradient passes, as for any tie."""
    refuse_options("clip", out=out)
    low, high = (a_min if min is None else min), (a_max if max is None else max)
    if low is not None:
        a = maximum(a, low)
    return a if high is None else minimum(a, high)


def _where_forward(condition: Array, a: Array, b: Array) -> Array:
    return np.where(condition, a, b)


where_ = define(
    "where", _where_forward,
    (zero, lambda g, y, c, a, b: np.where(c, g, 0), lambda g, y, c, a, b: np.where(c, 0, g)),
    "a where c, else b", domain=(REAL, REAL, REAL),
    cases=(
        case(np.array([True, False, True]), (3,), (3,)),
        case(np.array([[True], [False]]), (2, 3), (3,)),
        case(np.array([True, False, True]), (), (2, 3)),
        case(np.array(False), (), ()),
        case(np.array([True, False, True]), (3,), 0.0),
    ),
    takes_complex=True,
)


@implements(np.where)
def where(condition: Array, x: Any = None, y: Any = None) -> Array:
    if x is None and y is None:
        return np.nonzero(condition)
    if x is None or y is None:
        raise ValueError("where: needs both x and y, or neither of them")
    return where_(condition, x, y)


# Questions: recorded, so that a replay asks them again, but without a derivative. ---------------

for _name, _forward, _ufunc, _formula in (
    ("equal", operator.eq, np.equal, "a == b"),
    ("not_equal", operator.ne, np.not_equal, "a != b"),
    ("less", operator.lt, np.less, "a < b"),
    ("less_equal", operator.le, np.less_equal, "a <= b"),
    ("greater", operator.gt, np.greater, "a > b"),
    ("greater_equal", operator.ge, np.greater_equal, "a >= b"),
    ("logical_and", np.logical_and, np.logical_and, "a and b"),
    ("logical_or", np.logical_or, np.logical_or, "a or b"),
    ("logical_xor", np.logical_xor, np.logical_xor, "either a or b"),
    ("logical_not", np.logical_not, np.logical_not, "not x"),
    ("bitwise_and", operator.and_, np.bitwise_and, "a & b"),
    ("bitwise_or", operator.or_, np.bitwise_or, "a | b"),
    ("bitwise_xor", operator.xor, np.bitwise_xor, "a ^ b"),
    ("invert", operator.invert, np.invert, "~x"),
    ("left_shift", operator.lshift, np.left_shift, "a << b"),
    ("right_shift", operator.rshift, np.right_shift, "a >> b"),
    ("bitwise_count", np.bitwise_count, np.bitwise_count, "how many bits of |x| are 1"),
    ("gcd", np.gcd, np.gcd, "the largest common divisor"),
    ("lcm", np.lcm, np.lcm, "the least common multiple"),
    ("isnan", np.isnan, np.isnan, "x is not a number"),
    ("isinf", np.isinf, np.isinf, "x is infinite"),
    ("isfinite", np.isfinite, np.isfinite, "x is finite"),
    ("signbit", np.signbit, np.signbit, "x is negative, -0.0 included"),
):
    define(_name, _forward, None, _formula, numpy=_ufunc)
