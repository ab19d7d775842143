"""By size: sorting, partitioning, medians and other quantiles, distinct values.

The order is a question, asked anew at each replay; what is put in order is taken by it, so a
sorted array's gradients go back to where its elements came from. Equal elements stay in their
order (a stable sort), so that ties have a gradient too: that of their place.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..node import Array, Node, require, value_of
from ..op import define, implements, lift, refuse_options
from .indexing import getitem, take_along_axis
from .metadata import argsort_
from .reductions import Axis
from .shaping import along, astype, moveaxis, normalise, ravel, reshape, transpose

argpartition_ = define(
    "argpartition", lambda x, kth, axis: np.argpartition(x, kth, axis), None,
    "an order with the kth elements in place",
)


@implements(np.sort)
def sort(
    a: Array, axis: int | None = -1, kind: Any = None, order: None = None,
    *, stable: bool | None = None,
) -> Array:
    """Always by a stable sort: of equal elements, the first keeps the first place."""
    refuse_options("sort", order=order)
    a, axis = along(a, axis)
    return take_along_axis(a, argsort_(a, axis=axis, kind="stable"), axis)


@implements(np.partition)
def partition(
    a: Array, kth: Any, axis: int | None = -1, kind: str = "introselect", order: None = None
) -> Array:
    """The kth elements in their sorted places; the order around them is NumPy's argpartition's."""
    refuse_options("partition", order=order)
    a, axis = along(a, axis)
    return take_along_axis(a, argpartition_(a, kth=_places(kth), axis=axis), axis)


@implements(np.argpartition)
def argpartition(
    a: Array, kth: Any, axis: int | None = -1, kind: str = "introselect", order: None = None
) -> Array:
    refuse_options("argpartition", order=order)
    a, axis = along(a, axis)
    return argpartition_(a, kth=_places(kth), axis=axis)


def _places(kth: Any) -> Any:
    return tuple(map(operator.index, kth)) if np.ndim(kth) else operator.index(kth)


# Quantiles. -------------------------------------------------------------------------------------


def _sorted_last(a: Array, axis: Axis) -> tuple[Array, tuple[int, ...]]:
    """``a`` sorted along one last axis that joins those reduced; and the shape with them kept."""
    axes = tuple(range(a.ndim)) if axis is None else tuple(normalise(axis, a.ndim, "axis"))
    if len(set(axes)) < len(axes):
        raise ValueError("repeated axis")
    rest = tuple(i for i in range(a.ndim) if i not in axes)
    last = transpose(a, rest + tuple(sorted(axes)))
    joined = reshape(last, (*(a.shape[i] for i in rest), -1 if a.size else _product(a, axes)))
    if joined.shape[-1] == 0:
        raise ValueError("a quantile of no elements")
    return sort(joined), tuple(1 if i in axes else n for i, n in enumerate(a.shape))


def _product(a: Array, axes: Sequence[int]) -> int:
    n = 1
    for i in axes:
        n *= a.shape[i]
    return n


def _at(ordered: Array, place: Any) -> Array:
    return getitem(ordered, (..., place))


def _undefined(result: Array, ordered: Array) -> Array:
    """NaN where there was one: sorted, it comes last."""
    last = _at(ordered, -1)
    return np.where(np.isnan(last), last, result) if last.dtype.kind == "f" else result


@implements(np.median)
def median(
    a: Array, axis: Axis = None, out: None = None, overwrite_input: bool = False,
    keepdims: bool = False,
) -> Array:
    """The middle element; of an even number, the mean of the middle two, which share equally."""
    refuse_options("median", out=out)
    a = lift(a)
    if a.dtype.kind == "b":
        a = astype(a, np.float64)
    ordered, kept = _sorted_last(a, axis)
    n = ordered.shape[-1]
    middle = np.mean(_at(ordered, slice((n - 1) // 2, n // 2 + 1)), axis=-1)
    result = _undefined(middle, ordered)
    return reshape(result, kept) if keepdims else result


def _symmetric(alpha: float, beta: float) -> Callable[[Any, int], Any]:
    return lambda q, n: n * q + (alpha + q * (1 - alpha - beta)) - 1


#: Where in the sorted array, counted from 0, a quantile lies: Hyndman and Fan (1996), 4 to 9.
_CONTINUOUS = {
    "linear": lambda q, n: (n - 1) * q,
    "interpolated_inverted_cdf": _symmetric(0, 1),
    "hazen": _symmetric(0.5, 0.5),
    "weibull": _symmetric(0, 0),
    "median_unbiased": _symmetric(1 / 3, 1 / 3),
    "normal_unbiased": _symmetric(3 / 8, 3 / 8),
}
#: As linear, but rounded to an element or to the middle of two.
_ROUNDED: dict[str, Callable[[Any], Any]] = {
    "lower": np.floor,
    "higher": np.ceil,
    "nearest": np.rint,
    "midpoint": lambda place: 0.5 * (np.floor(place) + np.ceil(place)),
}


@implements(np.quantile)
def quantile(
    a: Array, q: Any, axis: Axis = None, out: None = None, overwrite_input: bool = False,
    method: str = "linear", keepdims: bool = False, *, weights: None = None,
) -> Array:
    """Between the two elements around the place of q, which share as their distances tell.

    Differentiable by q too: the methods that interpolate are piecewise linear in it.
    """
    refuse_options("quantile", out=out, weights=weights)
    return _quantile("quantile", a, q, 1, axis, method, keepdims)


@implements(np.percentile)
def percentile(
    a: Array, q: Any, axis: Axis = None, out: None = None, overwrite_input: bool = False,
    method: str = "linear", keepdims: bool = False, *, weights: None = None,
) -> Array:
    """The quantile of q / 100."""
    refuse_options("percentile", out=out, weights=weights)
    return _quantile("percentile", a, q, 100, axis, method, keepdims)


def _quantile(
    name: str, a: Array, q: Any, whole: int, axis: Axis, method: str, keepdims: bool
) -> Array:
    a = lift(a)
    if method not in _CONTINUOUS and method not in _ROUNDED:
        raise (NotImplementedError if method.endswith("_cdf") or "closest" in method
               else ValueError)(f"{name}: method={method!r} is not supported on Tensors")
    plain = value_of(q)
    # How NumPy promotes the two differs by its version: an empty question has its answer.
    dtype = getattr(np, name)(
        np.zeros(1, a.dtype), plain if isinstance(plain, (int, float)) else
        np.zeros(np.shape(plain), getattr(plain, "dtype", np.float64)), method=method
    ).dtype
    if not isinstance(q, Node):
        q = np.asarray(q, np.float64)
    require((q >= 0) & (q <= whole), ValueError(f"{name}: q must be in the range [0, {whole}]"))
    if whole != 1:
        q = q / whole
    ordered, kept = _sorted_last(a, axis)
    n = ordered.shape[-1]
    place = _CONTINUOUS.get(method, _CONTINUOUS["linear"])(q, n)
    if method in _ROUNDED:
        place = _ROUNDED[method](place)
    if method in _CONTINUOUS and method != "linear":  # they may reach beyond the ends
        place = np.clip(place, 0, n - 1)
    below = np.floor(place)
    # The whole of the way is 1 only at the last element, whose neighbour is itself.
    way = place - below
    low = astype(below, np.intp)
    high = np.minimum(low + 1, n - 1)
    if np.ndim(q) == 0 and not isinstance(q, Node):
        low, high, way = int(low), int(high), float(way)  # NumPy's scalars would widen float32
    elif ordered.ndim > 1 or not isinstance(q, Node):
        way = astype(lift(way), dtype)
    first, second = _at(ordered, low), _at(ordered, high)
    if method in _ROUNDED and method != "midpoint":
        result = first
    else:
        # From the nearer end: NumPy's own way to make equal elements give that element.
        step = second - first
        result = np.where(way >= 0.5, second - step * (1 - way), first + step * way)
    result = _undefined(result, _spread(ordered, np.ndim(q)))
    result = astype(result, dtype)
    # The axes of q, now last, come first.
    behind = result.ndim - np.ndim(q)
    result = moveaxis(result, tuple(range(behind, result.ndim)), tuple(range(np.ndim(q))))
    return reshape(result, (*np.shape(q), *kept)) if keepdims else result


def _spread(ordered: Array, ndim: int) -> Array:
    """With axes for those of q in front of the last."""
    return reshape(ordered, (*ordered.shape[:-1], *(1,) * ndim, ordered.shape[-1]))


# Distinct values. -------------------------------------------------------------------------------

_FLAGS = ("index", "inverse", "counts")


def _unique_forward(x: Array, part: str, axis: int | None, equal_nan: bool) -> Array:
    asked: Any = {f"return_{part}": True}
    return np.unique(x, axis=axis, equal_nan=equal_nan, **asked)[1]


unique_ = define(
    "unique", _unique_forward, None, "the first index, the number, or the place of distinct x"
)


@implements(np.unique)
def unique(
    ar: Array, return_index: bool = False, return_inverse: bool = False,
    return_counts: bool = False, axis: int | None = None, *, equal_nan: bool = True,
    sorted: bool = True,
) -> Any:
    """The distinct values, sorted; of equal elements, the first has the gradient."""
    ar = lift(ar)
    options = {"axis": axis, "equal_nan": equal_nan}
    index = unique_(ar, part="index", **options)
    if axis is None:
        values = getitem(ravel(ar), index)
    else:
        (along,) = normalise(axis, ar.ndim, "axis")
        values = getitem(ar, (slice(None),) * along + (index,))
    asked = [
        index if part == "index" else unique_(ar, part=part, **options)
        for part, wanted in zip(_FLAGS, (return_index, return_inverse, return_counts), strict=True)
        if wanted
    ]
    return (values, *asked) if asked else values
