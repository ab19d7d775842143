"""Element by element: arithmetic, powers, exponentials, trigonometry, comparison, selection.

A row reads: the name, the forward function, the rules, the formula. In a rule ``g`` is the
cotangent of the result ``y``; the other names are the inputs.
"""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np

from ..node import Array
from ..op import POSITIVE, REAL, UNIT, case, define, implements, refuse_options, zero

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
    (lambda g, y, a, b: g, lambda g, y, a, b: g),
    "a + b", domain=(REAL, REAL), cases=_BROADCAST, numpy=np.add,
)
subtract = define(
    "subtract", operator.sub,
    (lambda g, y, a, b: g, lambda g, y, a, b: -g),
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
    if isinstance(n, (int, float)):
        if n == 0:
            return None
        if n == 1:
            return g
        return g * (2 * x) if n == 2 else g * (n * x ** (n - 1))
    constant = n == 0
    return g * np.where(constant, 0, n * x ** np.where(constant, 1, n - 1))


def _power_exponent(g: Array, y: Array, x: Array, n: Array) -> Array:
    """x^n log x, where 0^n is the constant 0: its derivative is 0, not 0 times -inf."""
    if isinstance(x, (int, float)):  # its logarithm is a Python number too, weakly typed
        return g * (y * (math.log(x) if x > 0 else 0.0 if x == 0 else math.nan))
    at_zero = x == 0
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
    (lambda g, y, a, b: g, lambda g, y, a, b: -g * np.floor_divide(a, b)),
    "a - b floor(a / b)", domain=(REAL, POSITIVE), cases=_BROADCAST, numpy=np.remainder,
)


@implements(np.positive)
def positive(x: Array) -> Array:
    return x


# Powers, exponentials, logarithms. --------------------------------------------------------------

square = define(
    "square", np.square, (lambda g, y, x: g * (2 * x),), "x²", cases=_SHAPES, numpy=np.square
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
logaddexp = define(
    "logaddexp", np.logaddexp,
    (lambda g, y, a, b: g * np.exp(a - y), lambda g, y, a, b: g * np.exp(b - y)),
    "ln(eᵃ + eᵇ)", domain=(REAL, REAL), cases=_BROADCAST, numpy=np.logaddexp,
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
    "tanh", np.tanh, (lambda g, y, x: g * (1 - y * y),), "tanh x", cases=_SHAPES, numpy=np.tanh
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
    (lambda g, y, a, b: g * b / (a * a + b * b), lambda g, y, a, b: -g * a / (a * a + b * b)),
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


@implements(np.deg2rad, np.radians)
def deg2rad(x: Array) -> Array:
    return x * (math.pi / 180)


@implements(np.rad2deg, np.degrees)
def rad2deg(x: Array) -> Array:
    return x * (180 / math.pi)


# Kinks and steps. -------------------------------------------------------------------------------

absolute = define(
    "absolute", np.absolute, (lambda g, y, x: g * np.sign(x),), "|x|",
    domain=(POSITIVE,), cases=_SHAPES, numpy=np.absolute,
)
implements(np.fabs)(absolute)
_ufunc: np.ufunc
for _name, _ufunc, _formula in (
    ("sign", np.sign, "-1, 0 or 1"),
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
    ("isnan", np.isnan, np.isnan, "x is not a number"),
    ("isinf", np.isinf, np.isinf, "x is infinite"),
    ("isfinite", np.isfinite, np.isfinite, "x is finite"),
    ("signbit", np.signbit, np.signbit, "x is negative, -0.0 included"),
):
    define(_name, _forward, None, _formula, numpy=_ufunc)
