"""Counting: occurrences, histograms, their edges. Differentiable by weights and edges.

Which bin an element falls into is a question, asked anew at each replay.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..node import Array, Node, require, value_of
from ..op import define, implements, lift
from . import reductions
from .calculus import diff, linspace
from .indexing import at_add
from .shaping import astype, ravel, reshape, stack

bincount_ = define(
    "bincount", lambda x, size: np.bincount(x, minlength=size), None, "how often x is 0, 1, 2, ..."
)


@implements(np.bincount)
def bincount(x: Any, /, weights: Any = None, minlength: int = 0) -> Array:
    """How often, or with which weight in all, each number occurs; weights in double precision.

    The largest number says how many there are: where a replay finds another one, it raises.
    """
    x = lift(x)
    size = np.bincount(value_of(x), minlength=minlength).shape[0]
    if isinstance(x, Node):
        longest = reductions.max(x, initial=-1) + 1
        require(np.maximum(longest, minlength) == size,
                ValueError("bincount: the largest number has changed, and so the size"))
    if weights is None:
        return bincount_(x, size=size)
    weights = astype(lift(weights), np.float64)
    if weights.shape != x.shape:
        raise ValueError(
            f"bincount: weights of shape {tuple(weights.shape)} for numbers of shape "
            f"{tuple(x.shape)}"
        )
    return at_add(np.zeros(size), x, weights)


bin_count_ = define(
    "bin_count",
    lambda x, bins, between: np.intp(np.histogram_bin_edges(x, bins, between).shape[0] - 1), None,
    "how many bins a rule of thumb makes",
)


def _edges(name: str, x: Array, bins: Any, between: Any, dtype: Any) -> Array:
    """The edges of the bins along one axis: those given, or of a number of equal bins."""
    if isinstance(bins, str):
        if name == "histogramdd":
            raise TypeError(f"{name}: bins={bins!r}: a rule for their number is for one axis")
        asked = bin_count_(x, bins=bins, between=None if between is None else tuple(
            float(value_of(end)) for end in between))
        bins = int(value_of(asked))
        require(asked == bins, ValueError(f"{name}: how many bins the values ask for has changed"))
    if np.ndim(bins) == 1:
        edges = lift(bins)
        require(edges[1:] >= edges[:-1], ValueError(f"{name}: the edges of bins must increase"))
        return edges
    if np.ndim(bins):
        raise ValueError(f"{name}: edges of bins have one axis, got {np.ndim(bins)}")
    count = operator.index(bins)
    if count < 1:
        raise ValueError(f"{name}: needs one bin or more, got {count}")
    if between is None:
        between = (np.min(x), np.max(x)) if x.size else (0, 1)
    first, last = (lift(end) for end in between)
    require((first <= last) & np.isfinite(first) & np.isfinite(last),
            ValueError(f"{name}: the bins need a finite range that ascends"))
    flat = first == last
    first, last = np.where(flat, first - 0.5, first), np.where(flat, last + 0.5, last)
    return linspace(first, last, count + 1, dtype=dtype)


def _place(x: Array, edges: Array) -> tuple[Array, Array]:
    """The bin of each element, and whether it is in any; the last one holds its upper end too."""
    place = np.searchsorted(edges, x, side="right") - 1
    inside = (x >= edges[0]) & (x <= edges[-1])
    return np.clip(place, 0, edges.shape[0] - 2), inside


def _tally(place: Array, inside: Array, weights: Any, size: int) -> Array:
    """Per bin the number, or the weight in all, of the elements in it."""
    w = np.where(inside, 1 if weights is None else weights, 0)
    return at_add(np.zeros_like(value_of(w), shape=(size,)), place, w)


def _weights(name: str, a: Array, weights: Any) -> tuple[Array, Any]:
    a = lift(a)
    if a.dtype == np.bool_:
        a = a.astype(np.uint8)
    if weights is None:
        return ravel(a), None
    weights = lift(weights)
    if weights.shape != a.shape:
        raise ValueError(
            f"{name}: weights of shape {tuple(weights.shape)} for values of shape {tuple(a.shape)}"
        )
    return ravel(a), ravel(weights)


def _refuse_rule(name: str, bins: Any, weights: Any) -> None:
    if isinstance(bins, str) and weights is not None:
        raise TypeError(f"{name}: bins={bins!r} is for values without weights")


@implements(np.histogram_bin_edges)
def histogram_bin_edges(
    a: Array, bins: Any = 10, range: Any = None, weights: Any = None
) -> Array:
    """Equal bins from the smallest to the largest element, or over ``range``."""
    a, weights = _weights("histogram_bin_edges", a, weights)
    _refuse_rule("histogram_bin_edges", bins, weights)
    return _edges("histogram_bin_edges", a, bins, range, _edge_dtype(a, range))


def _edge_dtype(a: Array, between: Any) -> Any:
    ends = [] if between is None else [
        end.dtype if hasattr(end, "dtype") else end for end in between
    ]
    dtype = np.result_type(a.dtype, *ends)
    return dtype if dtype.kind in "fc" else np.result_type(dtype, float)


@implements(np.histogram)
def histogram(
    a: Array, bins: Any = 10, range: Any = None, density: bool | None = None, weights: Any = None
) -> tuple[Array, Array]:
    """How many elements, or how much weight, fall into each bin; and the edges of the bins."""
    a, weights = _weights("histogram", a, weights)
    _refuse_rule("histogram", bins, weights)
    edges = _edges("histogram", a, bins, range, _edge_dtype(a, range))
    n = _tally(*_place(a, edges), weights, edges.shape[0] - 1)
    return (n / diff(edges) / np.sum(n) if density else n), edges


@implements(np.histogramdd)
def histogramdd(
    sample: Any, bins: Any = 10, range: Any = None, density: bool | None = None,
    weights: Any = None,
) -> tuple[Array, list[Array]]:
    """The same of points: one a row, or their coordinates as a list of arrays."""
    if len(getattr(sample, "shape", ())) == 2:
        sample = sample.T
    columns = [lift(x) for x in sample]
    if isinstance(bins, (int, np.integer)):
        bins = [bins] * len(columns)
    if len(bins) != len(columns):
        raise ValueError(f"histogramdd: bins for {len(bins)} axes, coordinates of {len(columns)}")
    ranges: Sequence[Any] = [None] * len(columns) if range is None else range
    if len(ranges) != len(columns):
        raise ValueError(f"histogramdd: ranges of {len(ranges)} axes for {len(columns)}")
    edges, place, inside = [], 0, True
    for x, how, between in zip(columns, bins, ranges, strict=True):
        edges.append(_edges("histogramdd", x, how, between, None))
        here, within = _place(x, edges[-1])
        place, inside = place * (edges[-1].shape[0] - 1) + here, inside & within
    shape = tuple(e.shape[0] - 1 for e in edges)
    n = _tally(place, inside, None if weights is None else lift(weights), math.prod(shape))
    n = reshape(n.astype(np.float64), shape)
    if density:
        total = np.sum(n)
        for i, e in enumerate(edges):
            n = n / reshape(diff(e), [-1 if i == k else 1 for k, _ in enumerate(edges)])
        n = n / total
    return n, edges


@implements(np.histogram2d)
def histogram2d(
    x: Array, y: Array, bins: Any = 10, range: Any = None, density: bool | None = None,
    weights: Any = None,
) -> tuple[Array, Array, Array]:
    """The same of points in the plane."""
    x, y = lift(x), lift(y)
    if x.shape[0] != y.shape[0]:
        raise ValueError(f"histogram2d: {x.shape[0]} and {y.shape[0]} coordinates")
    if not isinstance(bins, (int, np.integer, str)):
        given: Any = bins
        if len(given) != 2:
            bins = [given[0], given[0]] if len(given) == 1 else [given, given]
    n, (along_x, along_y) = histogramdd(stack([x, y], 1), bins, range, density, weights)
    return n, along_x, along_y
