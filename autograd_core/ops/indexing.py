"""Indexing and its adjoint, in every form NumPy takes; functional updates ``x.at[index]``.

An index is stored as static data with the marker ``HERE`` in place of each array in it; the
arrays themselves are inputs of the node, so that a replay uses their current values.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..node import Array, Node, require, value_of
from ..op import Case, case, define, implements, lift, refuse_options


class _Here:
    """Stands in a stored index for "the next array input"."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "·"


HERE = _Here()
Index = Any


def _fill(index: Index, arrays: tuple[Array, ...]) -> Index:
    """A stored index with its arrays put back."""
    if not arrays:
        return index
    rest = iter(arrays)
    return tuple(next(rest) if part is HERE else part for part in index)


def _may_repeat(arrays: tuple[Array, ...]) -> bool:
    """Whether an index can name an element twice: only integer arrays can."""
    return any(a.dtype != np.bool_ for a in arrays)


def parse(index: Index) -> tuple[Index, tuple[Array, ...]]:
    """An index as written, as its static part and its arrays.

    A basic index (integers, slices, None, ...) comes back as it is.
    """
    parts = index if type(index) is tuple else (index,)
    arrays: list[Array] = []
    static: list[Any] = []
    for part in parts:
        if part is None or part is Ellipsis or isinstance(part, (slice, int, np.integer)):
            if isinstance(part, bool):
                arrays.append(np.asarray(part))
                static.append(HERE)
            else:
                static.append(_plain(part) if isinstance(part, slice) else part)
        elif isinstance(part, Node) or hasattr(part, "__array_function__"):
            arrays.append(part)
            static.append(HERE)
        elif isinstance(part, (list, tuple, np.generic)):
            array = np.asarray(part)
            arrays.append(array if array.size else array.astype(np.intp))
            static.append(HERE)
        else:
            raise IndexError(
                f"an index holds integers, slices, None, ..., and arrays of integers or booleans; "
                f"got {part!r} of type {type(part).__name__}"
            )
    for array in arrays:
        if array.dtype.kind not in "iub":
            raise IndexError(
                f"arrays used as indices must be of integers or booleans, got {array.dtype}"
            )
    return (tuple(static) if type(index) is tuple or arrays else static[0]), tuple(arrays)


def _plain(part: slice) -> slice:
    """A slice whose ends are integers, also where they were given as integer Tensors."""
    ends = (part.start, part.stop, part.step)
    if not any(isinstance(end, Node) for end in ends):
        return part
    return slice(*(None if end is None else int(end) for end in ends))


# The primitives. --------------------------------------------------------------------------------


def _getitem_rule(g: Array, y: Array, x: Array, *arrays: Array, index: Index) -> Array:
    return scatter_(g, *arrays, index=index, shape=x.shape)


def _add_to(total: Array, g: Array, *arrays: Array, index: Index) -> None:
    """What the rule spreads, added in place: a loop over the parts of an array would otherwise
    fill as many arrays of its size with zeros as it has parts."""
    where = _fill(index, arrays)
    if _may_repeat(arrays):
        np.add.at(total, where, g)
    else:
        total[where] += g


def _scatter_forward(v: Array, *arrays: Array, index: Index, shape: tuple[int, ...]) -> Array:
    plain = isinstance(v, (np.ndarray, np.generic))
    out = np.zeros(shape, v.dtype) if plain else np.zeros_like(v, shape=shape)
    where = _fill(index, arrays)
    if _may_repeat(arrays):
        np.add.at(out, where, v)
    else:
        out[where] = v
    return out


def _set_forward(x: Array, v: Array, *arrays: Array, index: Index) -> Array:
    out = np.copy(x)
    if not np.can_cast(getattr(v, "dtype", type(v)), out.dtype, "same_kind"):
        raise TypeError(f"cannot put values of {v.dtype} into an array of {out.dtype}; "
                        "use `x.astype(...)` first")
    out[_fill(index, arrays)] = v
    return out


def _set_target_rule(
    g: Array, y: Array, x: Array, v: Array, *arrays: Array, index: Index
) -> Array:
    return set_(g, 0, *arrays, index=index)


def _set_value_rule(
    g: Array, y: Array, x: Array, v: Array, *arrays: Array, index: Index
) -> Array:
    taken = getitem_(g, *arrays, index=index)
    if not _may_repeat(arrays):
        return taken
    # Where an index names an element twice the last value stays, and only it has an influence.
    order = np.arange(math.prod(taken.shape), like=value_of(x)).reshape(taken.shape)
    last = set_(np.zeros_like(x, dtype=np.intp), order, *arrays, index=index)
    return np.where(getitem_(last, *arrays, index=index) == order, taken, 0)


def _cases(*indices: tuple[tuple[int, ...], Any], op: str) -> tuple[Case, ...]:
    """Cases for these (shape, index) pairs, for getitem, its adjoint or a functional update."""
    cases = []
    for shape, index in indices:
        static, arrays = parse(index)
        taken = np.empty(shape)[index].shape
        if op == "get":
            cases.append(case(shape, *arrays, index=static))
        elif op == "scatter":
            cases.append(case(taken, *arrays, index=static, shape=shape))
        else:
            cases.append(case(shape, taken, *arrays, index=static))
    return tuple(cases)


_INDICES: tuple[tuple[tuple[int, ...], Any], ...] = (
    ((3,), 1),
    ((3,), -1),
    ((2, 3), (1, 2)),
    ((4,), slice(None, None, -2)),
    ((2, 3), (slice(None), None, slice(1, 3))),
    ((2, 3, 2), (Ellipsis, 0)),
    ((0, 3), slice(None)),
    ((1, 2), (0, slice(None, None, -1))),
    ((), ()),
    ((), None),
    ((4,), np.array([0, 2, 2, -1])),
    ((3, 4), (np.array([[0, 1], [2, 2]]), slice(1, 3))),
    ((3, 4), (np.array([0, 0, 2]), np.array([1, 1, 3]))),
    ((3, 2, 4), (np.array([0, 2]), slice(None), np.array([1, 1]))),
    ((2, 3), np.array([[True, False, True], [False, False, True]])),
    ((3, 2), (np.array([True, False, True]), 1)),
    ((3,), np.array([], np.intp)),
)

getitem_ = define(
    "getitem", lambda x, *arrays, index: x[_fill(index, arrays)],
    (_getitem_rule,), "x[index]", cases=_cases(*_INDICES, op="get"), accumulate=_add_to,
    takes_complex=True,
)
scatter_ = define(
    "scatter", _scatter_forward,
    (lambda g, y, v, *arrays, index, shape: getitem_(g, *arrays, index=index),),
    "zeros, plus v at [index]", cases=_cases(*_INDICES, op="scatter"),
    takes_complex=True,
)
set_ = define(
    "set", _set_forward, (_set_target_rule, _set_value_rule),
    "x with x[index] = v", domain=((-2.0, 2.0), (-2.0, 2.0)), cases=_cases(*_INDICES, op="set"),
    takes_complex=True,
)


# What users call. -------------------------------------------------------------------------------


def getitem(x: Array, index: Index) -> Array:
    """``x[index]``; recorded if x or an array in the index is a node."""
    static, arrays = parse(index)
    return getitem_(x, *arrays, index=static)


def at_set(x: Array, index: Index, value: Array) -> Array:
    """A new array equal to ``x`` except that ``[index]`` holds ``value``."""
    static, arrays = parse(index)
    return set_(x, lift(value), *arrays, index=static)


def at_add(x: Array, index: Index, value: Array) -> Array:
    """A new array equal to ``x`` with ``value`` added at ``[index]``, repeats adding up."""
    static, arrays = parse(index)
    target = getitem_(x, *arrays, index=static)
    spread = np.broadcast_to(lift(value), target.shape)
    return x + scatter_(spread, *arrays, index=static, shape=tuple(x.shape))


occurrence_ = define(
    "occurrence", lambda places: _occurrence_forward(places), None,
    "how often the same stood before",
)


def _occurrence_forward(places: Array) -> Array:
    order = np.argsort(places, kind="stable")
    ordered = places[order]
    count = np.arange(places.size, like=places)
    starts = np.where(np.concatenate([ordered[:1] != ordered[:1], ordered[1:] == ordered[:-1]]),
                      0, count)
    rank = np.empty_like(count)
    rank[order] = count - np.maximum.accumulate(starts)
    return rank


def at_apply(x: Array, index: Index, ufunc: np.ufunc, *value: Array) -> Array:
    """What ``ufunc.at(x, index, *value)`` makes of ``x``, as a new array.

    In as many rounds as the index names an element, of each time the first, the second, ...
    """
    if ufunc.nin != 1 + len(value) or ufunc.nout != 1:
        raise TypeError(
            f"at[...].apply: {ufunc.__name__} of {ufunc.nin} operands and {ufunc.nout} results; "
            f"of {1 + len(value)} operands and one result is needed"
        )
    static, arrays = parse(index)
    numbered = np.arange(x.size, like=value_of(x)).reshape(x.shape)
    places = getitem_(numbered, *arrays, index=static)
    values = [np.broadcast_to(lift(v), places.shape).reshape((-1,)) for v in value]
    flat, places = x.reshape((-1,)), places.reshape((-1,))
    occurrence = occurrence_(places)
    rank = value_of(occurrence)
    require(occurrence == rank, ValueError(
        "at[...].apply: which elements the index repeats has changed"))
    for k in range(int(rank.max()) + 1 if rank.size else 0):
        now = np.flatnonzero(rank == k)
        there = places[now]
        new = ufunc(flat[there], *(v[now] for v in values))
        flat = at_set(flat, there, new)
    return flat.reshape(x.shape)


def _normal(axis: int, ndim: int) -> int:
    if not -ndim <= axis < ndim:
        raise np.exceptions.AxisError(axis, ndim)
    return axis % ndim


@implements(np.take)
def take(
    a: Array, indices: Any, axis: int | None = None, out: None = None, mode: str = "raise"
) -> Array:
    refuse_options("take", out=out)
    if mode not in ("raise", "wrap", "clip"):
        raise ValueError(f"take: mode must be 'raise', 'wrap' or 'clip', got {mode!r}")
    a = lift(a)
    if axis is None:
        a, axis = a.reshape((-1,)), 0
    axis = _normal(axis, a.ndim)
    chosen: Any = indices if isinstance(indices, Node) else np.asarray(indices)
    if mode != "raise":
        n = a.shape[axis]
        if n == 0 and chosen.size:
            raise IndexError(f"take: no elements along axis {axis} of shape {tuple(a.shape)}")
        chosen = chosen % n if mode == "wrap" else np.clip(chosen, 0, n - 1)
    return getitem(a, (slice(None),) * axis + (chosen,))


@implements(np.take_along_axis)
def take_along_axis(arr: Array, indices: Array, axis: int | None = -1) -> Array:
    if axis is None:
        arr, indices, axis = arr.reshape((-1,)), lift(indices).reshape((-1,)), 0
    if arr.ndim != np.ndim(indices):
        raise ValueError(
            f"take_along_axis: indices of {np.ndim(indices)} axes for an array of {arr.ndim}"
        )
    return getitem(arr, index_along_axis(arr, indices, _normal(axis, arr.ndim)))


def index_along_axis(arr: Array, indices: Array, axis: int) -> tuple[Array, ...]:
    """The index that takes ``indices`` along ``axis`` and each place of the other axes."""
    n = arr.ndim
    return tuple(
        indices if i == axis
        else np.arange(size, like=arr).reshape([-1 if j == i else 1 for j in range(n)])
        for i, size in enumerate(arr.shape)
    )


nonzero_ = define("nonzero", lambda x: np.stack(np.nonzero(x)), None, "where x is not zero")


@implements(np.nonzero)
def nonzero(a: Array) -> tuple[Array, ...]:
    positions = nonzero_(a)
    return tuple(positions[i] for i in range(positions.shape[0]))


@implements(np.diagonal)
def diagonal(a: Array, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Array:
    last = np.moveaxis(a, (axis1, axis2), (-2, -1))
    rows, columns = last.shape[-2:]
    length = max(0, min(rows + min(offset, 0), columns - max(offset, 0)))
    along = np.arange(length)
    return getitem(last, (..., along + max(-offset, 0), along + max(offset, 0)))


@implements(np.trace)
def trace(
    a: Array, offset: int = 0, axis1: int = 0, axis2: int = 1, dtype: Any = None, out: None = None
) -> Array:
    return np.sum(diagonal(a, offset, axis1, axis2), axis=-1, dtype=dtype, out=out)


@implements(np.diag)
def diag(v: Array, k: int = 0) -> Array:
    if v.ndim == 2:
        return diagonal(v, k)
    if v.ndim != 1:
        raise ValueError(f"diag: needs one or two axes, got shape {v.shape}")
    n = v.shape[0] + abs(k)
    along = np.arange(v.shape[0])
    static, arrays = parse((along + max(-k, 0), along + max(k, 0)))
    return scatter_(v, *arrays, index=static, shape=(n, n))


@implements(np.diagflat)
def diagflat(v: Array, k: int = 0) -> Array:
    return diag(lift(v).reshape((-1,)), k)


def _triangle(m: Array, k: int) -> Array:
    """Where the elements on and below a diagonal are; a vector stands for the rows of a square."""
    rows, columns = (m.shape * 2)[-2:] if m.ndim == 1 else m.shape[-2:]
    return np.tri(rows, columns, k, dtype=bool, like=m)


@implements(np.tril)
def tril(m: Array, k: int = 0) -> Array:
    return np.where(_triangle(m, k), m, 0)


@implements(np.triu)
def triu(m: Array, k: int = 0) -> Array:
    return np.where(_triangle(m, k - 1), 0, m)


@implements(np.extract)
def extract(condition: Array, arr: Array) -> Array:
    return getitem(arr.reshape((-1,)), np.nonzero(np.ravel(condition))[0])
