"""How the ufuncs of SciPy are entered in the tables, and what their rules share."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import scipy.special

from ..node import Array
from ..op import UFUNCS, Case, Interval, MissingRule, Rule, case, define, lift, zero

SQRT_PI, SQRT_2PI = math.sqrt(math.pi), math.sqrt(2 * math.pi)
#: Python's, which are weakly typed; np.float64 is a float too, but strong.
NUMBERS = frozenset((int, float, bool))

SHAPES = (case(()), case((3,)), case((2, 3)), case((0,)), case((1, 2)))
BROADCAST = (
    case((), ()), case((3,), (3,)), case((2, 3), (3,)), case((3,), (2, 3)), case((2, 1), (1, 3)),
    case((0, 3), (3,)), case((2, 3), 1.5), case(1.5, (2, 3)),
)


def with_order(*orders: float) -> tuple[Any, ...]:
    """Cases where the first argument, which has no rule, is a number or an array to broadcast."""
    column = np.array([[n] for n in orders], np.float32)
    return (
        *(case(n, (3,)) for n in orders), *(case(orders[0], *c.inputs) for c in SHAPES),
        case(column, (2,)),
    )


def missing(function: str, argument: str) -> MissingRule:
    return MissingRule(
        function, f"its argument {argument}",
        "none is known in closed form; if no gradient should flow there, "
        f"pass `ag.stop_gradient({argument})`",
    )


def enter(
    name: str, vjps: tuple[Rule, ...], formula: str, *domain: Interval,
    cases: tuple[Any, ...] | None = None, record: str | None = None,
    forward: Callable[..., Any] | None = None,
) -> np.ufunc:
    """Enter SciPy's ufunc of this name in the tables, and return it.

    With ``SCIPY_ARRAY_API=1`` SciPy hides its ufuncs in functions that accept no Tensor.
    """
    ufunc: np.ufunc = inspect.unwrap(getattr(scipy.special, name))
    if cases is None:
        cases = SHAPES if len(vjps) == 1 else BROADCAST
    if forward is None:
        alone = ufunc.nin == ufunc.nout == 1 and "f->f" in ufunc.types
        forward = ufunc if alone else partial(in_precision, ufunc)
    define(record or name, forward, vjps, formula, domain=domain, cases=cases, numpy=ufunc)
    return ufunc


def in_precision(ufunc: np.ufunc, *xs: Array) -> Array:
    """ufunc(a, b, ...), where a Python number has the precision of the array beside it.

    SciPy lists the loop for double precision first for some of its ufuncs, so that NumPy picks it
    for float32 and a Python number: `xlogy(x, 1.5)` is float64 for a float32 x.
    """
    beside = next((x for x in xs if type(x) not in NUMBERS), None)
    given = [like(x, beside) if type(x) in NUMBERS else x for x in xs]
    y = ufunc(*given) if ufunc.nout == 1 else np.stack(ufunc(*given))
    if y.dtype.itemsize > 4 and np.result_type(*given) in (np.float32, np.complex64):
        return y.astype(np.complex64 if y.dtype.kind == "c" else np.float32)
    return y


def like(number: float, x: Array) -> Array:
    """A Python number as a scalar of the precision of ``x``, if that is lower than its own."""
    dtype = getattr(x, "dtype", None)
    return number if dtype is None or dtype.kind != "f" or dtype.itemsize >= 8 else (
        dtype.type(number)
    )


def of(f: Callable[[Any], Any], x: Array) -> Array:
    """f(x), weakly typed for a Python number, so that single precision stays single."""
    return float(f(x)) if type(x) in NUMBERS else f(x)


def ratio(x: Array, y: Array) -> Array:
    """x / y, and 0 at (0, 0): the slope in y of x log y, which is constant where x is 0."""
    return x / np.where(np.logical_and(x == 0, y == 0), 1, y)

def apply(ufunc: np.ufunc, *xs: Array) -> Array:
    """A ufunc that has been entered, in a rule: beside Python numbers in the precision of arrays.

    SciPy's loops for integers and for mixed arguments are of double precision.
    """
    return UFUNCS[ufunc](*xs)


#: slope(y, *xs): the derivative of y = f(*xs) by one of the xs. A name instead: that of an argument
#: in which no derivative is known. None: a step, whose derivative is 0.
Slope = Callable[..., Any] | str | None
#: Enough where rules know no shapes.
FEW = (case(()), case((0,)), case((1, 2)))
BROADCAST_FEW = (
    case((), ()), case((2,), (2,)), case((1, 2), (2,)), case((2,), (1, 2)), case((2, 1), (1, 2)),
    case((0, 2), (2,)),
)


def cases_of(
    given: tuple[tuple[Any, ...], ...], nin: int, domain: tuple[Interval, ...]
) -> tuple[Case, ...]:
    """Cases with each of these values for the arguments; None for one to sample."""
    if not given:
        if nin == 1:
            return FEW
        if nin == 2:
            first, second = (0.5 * (low + high) for low, high in (domain * 2)[:2])
            return (*BROADCAST_FEW, case((2,), second), case(first, (2,)))
        given = ((None,) * nin,)
    shapes = (((2,), given[0]), *(((1, 2), values) for values in given[1:]),
              ((), given[-1]), ((0,), given[-1]))
    return tuple(case(*(shape if v is None else v for v in values)) for shape, values in shapes)


def _rule(name: str, slope: Slope) -> Rule:
    if slope is None:
        return zero
    if isinstance(slope, str):
        return missing(name, slope)
    return lambda g, y, *xs: g * slope(y, *xs)


def by_slopes(
    name: str, formula: str, slopes: tuple[Slope, ...], *domain: Interval,
    given: tuple[tuple[Any, ...], ...] = (), record: str | None = None, double: bool = False,
) -> np.ufunc:
    """Enter SciPy's ufunc of this name by its slopes in each argument.

    ``given``: values for the arguments in tests, None for those that are sampled in ``domain``.
    ``double``: whether SciPy's loop for single precision is not to be used.
    """
    cases = cases_of(given, len(slopes), domain)
    vjps = tuple(_rule(name, s) for s in slopes)
    forward = partial(in_double, name) if double else None
    return enter(name, vjps, formula, *domain, cases=cases, record=record, forward=forward)


def _rule_of_several(name: str, slopes: Slope) -> Rule:
    if slopes is None or isinstance(slopes, str):
        return _rule(name, slopes)
    return lambda g, y, *xs: sum(g[i] * s for i, s in enumerate(slopes(y, *xs)))


def together(
    name: str, formula: str, slopes: tuple[Slope, ...], *domain: Interval,
    given: tuple[tuple[Any, ...], ...] = (), double: bool = False,
) -> np.ufunc:
    """Enter SciPy's ufunc of this name with several results, as one op that stacks them.

    slopes(y, *xs) are those of the results y[0], y[1], ... in one argument.
    """
    rules = tuple(_rule_of_several(name, s) for s in slopes)
    return several(name, formula, rules, *domain, given=given, double=double)


def several(
    name: str, formula: str, rules: tuple[Rule, ...], *domain: Interval,
    given: tuple[tuple[Any, ...], ...] = (), double: bool = False,
) -> np.ufunc:
    """The same by rules for the stacked results."""
    ufunc = enter(name, rules, formula, *domain, cases=cases_of(given, len(rules), domain),
                  forward=partial(in_double, name) if double else None)
    op = UFUNCS[ufunc]

    def results(*xs: Any) -> tuple[Any, ...]:
        y = op(*(x if isinstance(x, (int, float, complex)) else lift(x) for x in xs))
        return tuple(y[i] for i in range(ufunc.nout))

    results.__doc__ = formula
    UFUNCS[ufunc] = results
    return ufunc


def apart(
    name: str, formula: str, slopes: tuple[Callable[[Any], Any], ...], *domain: Interval
) -> np.ufunc:
    """Enter a ufunc of one argument with several results as an op for each.

    For slopes that need no result, where one may be infinite and the others not.
    """
    ufunc: np.ufunc = inspect.unwrap(getattr(scipy.special, name))
    complex_too = any(loop.startswith("D") for loop in ufunc.types)
    ops = [
        define(f"{name}_{i}", partial(_result, ufunc, i), (_rule(name, partial(_of_x, slope)),),
               f"result {i} of {formula}", domain=domain, cases=FEW, takes_complex=complex_too)
        for i, slope in enumerate(slopes)
    ]

    def results(x: Any) -> tuple[Any, ...]:
        return tuple(op(x) for op in ops)

    results.__doc__ = formula
    UFUNCS[ufunc] = results
    return ufunc


def _result(ufunc: np.ufunc, i: int, x: Array) -> Array:
    return ufunc(x)[i]


def _of_x(slope: Callable[[Any], Any], y: Array, x: Array) -> Array:
    return slope(x)


def on_host(function: str, *xs: Array) -> None:
    """Raise for arrays of other libraries, where SciPy computes with NumPy's only."""
    for x in xs:
        if hasattr(x, "__array_function__") and not isinstance(x, (np.ndarray, np.generic)):
            raise NotImplementedError(
                f"{function}: SciPy computes it in double precision, with NumPy arrays only, got "
                f"{type(x).__name__}"
            )


def in_double(name: str, *xs: Array) -> Array:
    """SciPy's ufunc in double precision, the result in that of the arrays.

    Some loops for single precision lose all digits, or never end.
    """
    on_host(name, *xs)
    ufunc = inspect.unwrap(getattr(scipy.special, name))
    wide = [x.astype(np.float64) if getattr(x, "dtype", None) in (np.float16, np.float32) else x
            for x in xs]
    y = ufunc(*wide) if ufunc.nout == 1 else np.stack(ufunc(*wide))
    return at_single(y, *xs)


def number(f: Callable[..., Any], *xs: Array) -> Array:
    """f(*xs), weakly typed where all the xs are Python numbers."""
    return float(f(*xs)) if all(type(x) in NUMBERS for x in xs) else f(*xs)


def at_single(y: Array, *xs: Array) -> Array:
    """``y``, computed in double precision, in that of the arrays it was computed from."""
    dtypes = [x.dtype for x in xs if type(x) not in NUMBERS and x.dtype.kind in "fc"]
    if not dtypes or np.result_type(*dtypes) not in (np.float16, np.float32, np.complex64):
        return y
    return y.astype(np.complex64 if y.dtype.kind == "c" else np.float32)
