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
from .flow import stop_gradient
from .indexing import getitem, take_along_axis
from .metadata import argsort_, isin, refuse_order
from .reductions import Axis, weights_along
from .shaping import (
    along,
    astype,
    broadcast_to,
    concatenate,
    moveaxis,
    normalise,
    ravel,
    reshape,
    transpose,
)

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
    refuse_order("sort", order)
    a, axis = along(a, axis)
    return take_along_axis(a, argsort_(a, axis=axis, kind="stable"), axis)


@implements(np.sort_complex)
def sort_complex(a: Array) -> Array:
    """Sorted along the last axis, by the real parts first; complex always."""
    ordered = sort(a)
    if ordered.dtype.kind == "c":
        return ordered
    single = ordered.dtype.char in "bhBH"
    return astype(ordered, np.complex64 if single else np.complex128)


@implements(np.partition)
def partition(
    a: Array, kth: Any, axis: int | None = -1, kind: str = "introselect", order: None = None
) -> Array:
    """The kth elements in their sorted places; the order around them is NumPy's argpartition's."""
    refuse_order("partition", order)
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


def _joined(a: Array, axis: Axis) -> tuple[Array, tuple[int, ...]]:
    """``a`` with the axes to reduce joined into one at the end; the shape with them kept."""
    axes = tuple(range(a.ndim)) if axis is None else tuple(normalise(axis, a.ndim, "axis"))
    if len(set(axes)) < len(axes):
        raise ValueError("repeated axis")
    rest = tuple(i for i in range(a.ndim) if i not in axes)
    last = transpose(a, rest + tuple(sorted(axes)))
    joined = reshape(last, (*(a.shape[i] for i in rest), -1 if a.size else _product(a, axes)))
    if joined.shape[-1] == 0:
        raise ValueError("a quantile of no elements")
    return joined, tuple(1 if i in axes else n for i, n in enumerate(a.shape))


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
    return np.where(np.isnan(last), last, result) if last.dtype.kind in "fc" else result


def _known(ordered: Array) -> Array:
    """How many elements are not NaN, at least 1, with the last axis kept."""
    return np.maximum(np.sum(~np.isnan(ordered), axis=-1, keepdims=True), 1)


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
    joined, kept = _joined(a, axis)
    ordered = sort(joined)
    n = ordered.shape[-1]
    middle = np.mean(_at(ordered, slice((n - 1) // 2, n // 2 + 1)), axis=-1)
    result = _undefined(middle, ordered)
    return reshape(result, kept) if keepdims else result


@implements(np.nanmedian)
def nanmedian(
    a: Array, axis: Axis = None, out: None = None, overwrite_input: bool = False,
    keepdims: Any = np._NoValue,
) -> Array:
    """The median of the elements that are not NaN; NaN where all are."""
    refuse_options("nanmedian", out=out)
    a = lift(a)
    if a.dtype.kind != "f":
        return median(a, axis, keepdims=keepdims is not np._NoValue and bool(keepdims))
    joined, kept = _joined(a, axis)
    ordered = sort(joined)
    n = _known(ordered)
    middle = (take_along_axis(ordered, (n - 1) // 2, -1) + take_along_axis(ordered, n // 2, -1)) / 2
    return reshape(middle, kept) if keepdims is not np._NoValue and keepdims else middle[..., 0]


def _symmetric(alpha: float, beta: float) -> Callable[[Any, Any], Any]:
    return lambda q, n: n * q + (alpha + q * (1 - alpha - beta)) - 1


def _averaged(q: Any, n: Any) -> Any:
    place = n * q - 1
    whole = np.ceil(place)
    return np.where(place == whole, place + 0.5, whole)


def _closest(q: Any, n: Any) -> Any:
    """Of two elements as close, the one whose place, counted from 1, is even."""
    place = n * q - 1.5
    below = np.floor(place)
    return np.where((place == below) & (below % 2 == 1), below, below + 1)


#: Where in the sorted array, counted from 0, a quantile lies; the part behind the point is the way
#: to the next element. Hyndman and Fan (1996), 1 to 9, and four of NumPy's own.
_PLACES: dict[str, Callable[[Any, Any], Any]] = {
    "inverted_cdf": lambda q, n: np.ceil(n * q - 1),
    "averaged_inverted_cdf": _averaged,
    "closest_observation": _closest,
    "interpolated_inverted_cdf": _symmetric(0, 1),
    "hazen": _symmetric(0.5, 0.5),
    "weibull": _symmetric(0, 0),
    "linear": lambda q, n: (n - 1) * q,
    "median_unbiased": _symmetric(1 / 3, 1 / 3),
    "normal_unbiased": _symmetric(3 / 8, 3 / 8),
    "lower": lambda q, n: np.floor((n - 1) * q),
    "higher": lambda q, n: np.ceil((n - 1) * q),
    "nearest": lambda q, n: np.rint((n - 1) * q),
    "midpoint": lambda q, n: 0.5 * (np.floor((n - 1) * q) + np.ceil((n - 1) * q)),
}
#: Those that never leave the array.
_INSIDE = ("linear", "lower", "higher", "nearest", "midpoint")
#: Those that always name an element: nothing to interpolate.
_STEPS = ("inverted_cdf", "closest_observation", "lower", "higher", "nearest")


@implements(np.quantile)
def quantile(
    a: Array, q: Any, axis: Axis = None, out: None = None, overwrite_input: bool = False,
    method: str = "linear", keepdims: bool = False, *, weights: Any = None,
) -> Array:
    """Between the two elements around the place of q, which share as their distances tell.

    Differentiable by q too: the methods that interpolate are piecewise linear in it. Weights only
    choose an element: their gradient is 0.
    """
    refuse_options("quantile", out=out)
    return _quantile("quantile", a, q, 1, axis, method, keepdims, weights)


@implements(np.percentile)
def percentile(
    a: Array, q: Any, axis: Axis = None, out: None = None, overwrite_input: bool = False,
    method: str = "linear", keepdims: bool = False, *, weights: Any = None,
) -> Array:
    """The quantile of q / 100."""
    refuse_options("percentile", out=out)
    return _quantile("percentile", a, q, 100, axis, method, keepdims, weights)


@implements(np.nanquantile)
def nanquantile(
    a: Array, q: Any, axis: Axis = None, out: None = None, overwrite_input: bool = False,
    method: str = "linear", keepdims: Any = np._NoValue, *, weights: Any = None,
) -> Array:
    """The quantile of the elements that are not NaN; NaN where all are."""
    refuse_options("nanquantile", out=out)
    kept = keepdims is not np._NoValue and bool(keepdims)
    return _quantile("nanquantile", a, q, 1, axis, method, kept, weights)


@implements(np.nanpercentile)
def nanpercentile(
    a: Array, q: Any, axis: Axis = None, out: None = None, overwrite_input: bool = False,
    method: str = "linear", keepdims: Any = np._NoValue, *, weights: Any = None,
) -> Array:
    """The quantile of q / 100 of the elements that are not NaN; NaN where all are."""
    refuse_options("nanpercentile", out=out)
    kept = keepdims is not np._NoValue and bool(keepdims)
    return _quantile("nanpercentile", a, q, 100, axis, method, kept, weights)


def _quantile(
    name: str, a: Array, q: Any, whole: int, axis: Axis, method: str, keepdims: bool, weights: Any
) -> Array:
    a = lift(a)
    if method not in _PLACES:
        raise ValueError(f"{name}: {method!r} is not a method; one of {', '.join(_PLACES)} is")
    if weights is not None and method != "inverted_cdf":
        raise ValueError(f"{name}: weights go with method='inverted_cdf', not {method!r}")
    dtype = _dtype_of_quantile(name, a, q, method)
    if not isinstance(q, Node):
        q = np.asarray(q, np.float64)
    require((q >= 0) & (q <= whole), ValueError(f"{name}: q must be in the range [0, {whole}]"))
    if whole != 1:
        q = q / whole
    joined, kept = _joined(a, axis)
    order = argsort_(joined, axis=-1, kind="stable")
    ordered = take_along_axis(joined, order, -1)
    known = name.startswith("nan") and a.dtype.kind == "f"
    if weights is not None:
        weights = weights_along(name, a, weights, axis)
        require(weights >= 0, ValueError(f"{name}: weights must not be negative"))
        shares = take_along_axis(_joined(broadcast_to(weights, a.shape), axis)[0], order, -1)
        place = _weighted_place(name, ordered, shares, reshape(lift(q), (-1,)), known)
        result = _taken(ordered, place, q)
    elif known:
        result = _of_known(ordered, q, method, dtype)
    else:
        result = _between(ordered, q, method, dtype)
    if not known:
        result = _undefined(result, _spread(ordered, np.ndim(q)))
    result = astype(result, dtype)
    # The axes of q, now last, come first.
    behind = result.ndim - np.ndim(q)
    result = moveaxis(result, tuple(range(behind, result.ndim)), tuple(range(np.ndim(q))))
    return reshape(result, (*np.shape(q), *kept)) if keepdims else result


def _dtype_of_quantile(name: str, a: Array, q: Any, method: str) -> Any:
    """How NumPy promotes the two differs by its version: a question of one element answers."""
    plain = value_of(q)
    return getattr(np, name)(
        np.zeros(1, a.dtype), plain if isinstance(plain, (int, float)) else
        np.zeros(np.shape(plain), getattr(plain, "dtype", np.float64)), method=method
    ).dtype


def _interpolated(first: Array, second: Array, way: Any, method: str) -> Array:
    """From the nearer end: NumPy's own way to make equal elements give that element."""
    if method in _STEPS:
        return first
    step = second - first
    return np.where(way >= 0.5, second - step * (1 - way), first + step * way)


def _between(ordered: Array, q: Any, method: str, dtype: Any) -> Array:
    n = ordered.shape[-1]
    place = _PLACES[method](q, n)
    if method not in _INSIDE:
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
    return _interpolated(_at(ordered, low), _at(ordered, high), way, method)


def _of_known(ordered: Array, q: Any, method: str, dtype: Any) -> Array:
    """Where how many elements count differs from row to row."""
    q = lift(q)
    count = _known(ordered)
    n = astype(count, q.dtype)
    place = np.clip(_PLACES[method](reshape(q, (-1,)), n), 0, n - 1)
    below = np.floor(place)
    low = astype(below, np.intp)
    first = take_along_axis(ordered, low, -1)
    second = take_along_axis(ordered, np.minimum(low + 1, count - 1), -1)
    result = _interpolated(first, second, astype(place - below, dtype), method)
    return reshape(result, (*ordered.shape[:-1], *np.shape(q)))


def _weighted_place(name: str, ordered: Array, shares: Array, q: Array, known: bool) -> Array:
    """The first element up to which there is a part of at least q of the weight."""
    if known:
        shares = np.where(np.isnan(ordered), 0, shares)
    so_far = np.cumsum(astype(stop_gradient(shares), np.float64), axis=-1)
    total = so_far[..., -1:]
    if known:
        total = np.where(np.isnan(ordered[..., :1]), 1, total)
    require((total > 0) & np.isfinite(total),
            ValueError(f"{name}: the weights include NaN or inf, or are all zero"))
    # What has no weight is no place to stop at, not even for q = 0.
    part = np.where(so_far == 0, -1, so_far / total)
    before = np.sum(part[..., None, :] < q[:, None], axis=-1)
    return np.minimum(before, ordered.shape[-1] - 1)


def _taken(ordered: Array, place: Array, q: Any) -> Array:
    return reshape(take_along_axis(ordered, place, -1), (*ordered.shape[:-1], *np.shape(q)))


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


_VALUES_AND: Any = {
    name: type(getattr(np, name)(np.zeros(1)))
    for name in ("unique_all", "unique_counts", "unique_inverse")
}


@implements(np.unique_values)
def unique_values(x: Array, /) -> Array:
    """The distinct values, sorted, every NaN for itself."""
    return unique(x, equal_nan=False)


@implements(np.unique_counts)
def unique_counts(x: Array, /) -> Any:
    return _VALUES_AND["unique_counts"](*unique(x, return_counts=True, equal_nan=False))


@implements(np.unique_inverse)
def unique_inverse(x: Array, /) -> Any:
    return _VALUES_AND["unique_inverse"](*unique(x, return_inverse=True, equal_nan=False))


@implements(np.unique_all)
def unique_all(x: Array, /) -> Any:
    return _VALUES_AND["unique_all"](*unique(x, True, True, True, equal_nan=False))


# Sets. ------------------------------------------------------------------------------------------


@implements(np.union1d)
def union1d(ar1: Array, ar2: Array) -> Array:
    return unique(concatenate([lift(ar1), lift(ar2)], None))


@implements(np.setdiff1d)
def setdiff1d(ar1: Array, ar2: Array, assume_unique: bool = False) -> Array:
    ar1 = ravel(lift(ar1)) if assume_unique else unique(ar1)
    return getitem(ar1, isin(ar1, ar2, invert=True))


@implements(np.setxor1d)
def setxor1d(ar1: Array, ar2: Array, assume_unique: bool = False) -> Array:
    """What is in one of the two only, sorted."""
    parts = [ravel(lift(x)) if assume_unique else unique(x) for x in (ar1, ar2)]
    ordered = sort(concatenate(parts))
    if ordered.size == 0:
        return ordered
    differs = ordered[1:] != ordered[:-1]
    end = np.ones_like(value_of(ordered), dtype=bool, shape=(1,))
    return getitem(ordered, concatenate([end, differs]) & concatenate([differs, end]))


shared_ = define(
    "shared",
    lambda a, b, unique, which: np.intersect1d(a, b, unique, return_indices=True)[which], None,
    "the places of the values that a and b have in common",
)


@implements(np.intersect1d)
def intersect1d(
    ar1: Array, ar2: Array, assume_unique: bool = False, return_indices: bool = False
) -> Any:
    """The values in both, sorted; those of the first have the gradient."""
    ar1, ar2 = lift(ar1), lift(ar2)
    first = shared_(ar1, ar2, unique=assume_unique, which=1)
    values = getitem(ravel(ar1), first)
    if not return_indices:
        return values
    return values, first, shared_(ar1, ar2, unique=assume_unique, which=2)
