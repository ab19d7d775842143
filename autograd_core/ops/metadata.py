"""Functions that ask rather than compute, that are not differentiable, or that are refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..node import Array
from ..op import METADATA, REFUSED, define, implements, lift, refuse_options

METADATA.update(
    (
        np.shape, np.ndim, np.size, np.result_type, np.can_cast, np.min_scalar_type,
        np.common_type, np.iscomplexobj, np.isrealobj, np.may_share_memory, np.shares_memory,
        np.zeros_like, np.ones_like, np.empty_like,
        np.array_equal, np.array_equiv, np.allclose,
        np.array_repr, np.array_str, np.array2string,
        np.diag_indices_from, np.tril_indices_from, np.triu_indices_from, np.einsum_path,
    )
)

argsort_ = define(
    "argsort", lambda x, axis, kind: np.argsort(x, axis, kind), None, "the order that sorts x"
)
searchsorted_ = define(
    "searchsorted", lambda a, v, *sorter, side: np.searchsorted(a, v, side, *sorter), None,
    "where v belongs in a",
)
isclose_ = define(
    "isclose",
    lambda a, b, rtol, atol, equal_nan: np.isclose(a, b, rtol, atol, equal_nan), None, "a ≈ b",
)


def refuse_order(function: str, order: Any) -> None:
    """Raise for the names of fields, which arrays of numbers have not."""
    if order is not None:
        raise ValueError(f"{function}: order={order!r} names fields, of which a Tensor has none")


@implements(np.argsort)
def argsort(
    a: Array, axis: int = -1, kind: Any = None, order: None = None, *, stable: bool | None = None
) -> Array:
    refuse_order("argsort", order)
    return argsort_(a, axis=axis, kind="stable" if stable else kind)


@implements(np.searchsorted)
def searchsorted(a: Array, v: Array, side: str = "left", sorter: Any = None) -> Array:
    given = () if sorter is None else (lift(sorter),)
    return searchsorted_(a, v, *given, side=side)


@implements(np.isclose)
def isclose(
    a: Array, b: Array, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
) -> Array:
    return isclose_(a, b, rtol=rtol, atol=atol, equal_nan=equal_nan)


# Questions of one array, of several, of indices. -------------------------------------------------


def _question(function: Callable[..., Any], formula: str) -> None:
    op = define(function.__name__, lambda x: function(x), None, formula)

    def ask(x: Array, out: None = None) -> Array:
        refuse_options(function.__name__, out=out)
        return op(lift(x))

    implements(function)(ask)


_question(np.isneginf, "x is -inf")
_question(np.isposinf, "x is +inf")
_question(np.isreal, "x has no imaginary part")
_question(np.iscomplex, "x has an imaginary part")

isin_ = define("isin", lambda x, those, invert: np.isin(x, those, invert=invert), None, "x ∈ those")
digitize_ = define(
    "digitize", lambda x, bins, right: np.digitize(x, bins, right), None, "the bin that x is in"
)
nanargmax_ = define(
    "nanargmax", lambda x, axis, keepdims: np.nanargmax(x, axis, keepdims=keepdims), None,
    "the index of the largest x that is not NaN",
)
nanargmin_ = define(
    "nanargmin", lambda x, axis, keepdims: np.nanargmin(x, axis, keepdims=keepdims), None,
    "the index of the smallest x that is not NaN",
)
lexsort_ = define(
    "lexsort", lambda *keys, axis: np.lexsort(keys, axis), None,
    "the order that sorts by the last key, ties by the one before it, ...",
)
packbits_ = define(
    "packbits", lambda x, axis, bitorder: np.packbits(x, axis, bitorder), None, "eight x in a byte"
)
unpackbits_ = define(
    "unpackbits",
    lambda x, axis, count, bitorder: np.unpackbits(x, axis, count, bitorder), None,
    "the bits of x",
)
ravel_multi_index_ = define(
    "ravel_multi_index",
    lambda *index, dims, mode, order: np.ravel_multi_index(index, dims, mode, order), None,
    "the place in an array laid flat",
)
unravel_index_ = define(
    "unravel_index", lambda x, shape, order: np.stack(np.unravel_index(x, shape, order)), None,
    "the indices of a place in an array laid flat",
)


@implements(np.isin)
def isin(
    element: Array, test_elements: Array, assume_unique: bool = False, invert: bool = False, *,
    kind: Any = None,
) -> Array:
    return isin_(lift(element), lift(test_elements), invert=bool(invert))


@implements("in1d")
def in1d(
    ar1: Array, ar2: Array, assume_unique: bool = False, invert: bool = False, *, kind: Any = None
) -> Array:
    """isin with the result laid flat; in NumPy before 2.4."""
    return isin(np.ravel(lift(ar1)), ar2, assume_unique, invert, kind=kind)


@implements(np.digitize)
def digitize(x: Array, bins: Array, right: bool = False) -> Array:
    return digitize_(lift(x), lift(bins), right=bool(right))


@implements(np.nanargmax)
def nanargmax(
    a: Array, axis: int | None = None, out: None = None, *, keepdims: Any = np._NoValue
) -> Array:
    refuse_options("nanargmax", out=out)
    return nanargmax_(a, axis=axis, keepdims=keepdims is not np._NoValue and bool(keepdims))


@implements(np.nanargmin)
def nanargmin(
    a: Array, axis: int | None = None, out: None = None, *, keepdims: Any = np._NoValue
) -> Array:
    refuse_options("nanargmin", out=out)
    return nanargmin_(a, axis=axis, keepdims=keepdims is not np._NoValue and bool(keepdims))


@implements(np.lexsort)
def lexsort(keys: Any, axis: int = -1) -> Array:
    return lexsort_(*(lift(key) for key in keys), axis=axis)


@implements(np.packbits)
def packbits(a: Array, /, axis: int | None = None, bitorder: Any = "big") -> Array:
    return packbits_(a, axis=axis, bitorder=bitorder)


@implements(np.unpackbits)
def unpackbits(
    a: Array, /, axis: int | None = None, count: int | None = None, bitorder: Any = "big"
) -> Array:
    return unpackbits_(a, axis=axis, count=count, bitorder=bitorder)


@implements(np.ravel_multi_index)
def ravel_multi_index(multi_index: Any, dims: Any, mode: Any = "raise", order: str = "C") -> Array:
    parts = (lift(x) for x in multi_index)
    return ravel_multi_index_(*parts, dims=dims, mode=mode, order=order)


@implements(np.unravel_index)
def unravel_index(indices: Array, shape: Any, order: str = "C") -> tuple[Array, ...]:
    stacked = unravel_index_(lift(indices), shape=shape, order=order)
    return tuple(stacked[i] for i in range(stacked.shape[0]))


@implements(np.ix_)
def ix_(*args: Array) -> tuple[Array, ...]:
    """Each of one axis, along an axis of its own; of booleans, the places that hold."""
    grid = []
    for i, x in enumerate(map(lift, args)):
        if x.ndim != 1:
            raise ValueError(f"ix_: needs arrays of one axis, got shape {tuple(x.shape)}")
        if x.dtype == np.bool_:
            (x,) = np.nonzero(x)
        elif x.size == 0:
            x = x.astype(np.intp)
        grid.append(x.reshape(tuple(-1 if i == j else 1 for j in range(len(args)))))
    return tuple(grid)


# A refusal says what to do instead. -------------------------------------------------------------

#: Functions that write into their first argument, and how to compute what it would become.
_function: Callable[..., Any]
_WRITING: dict[Callable[..., Any], str] = {
    np.copyto: "`x = np.where(where, src, x)`",
    np.fill_diagonal: "`x = ag.fill_diagonal(x, val)`, which returns a new array",
    np.place: "`x = x.at[mask].set(vals)`, with as many values as the mask has places",
    np.put: "`x = x.reshape(-1).at[ind].set(v).reshape(x.shape)`",
    np.put_along_axis: "`x = ag.put_along_axis(x, indices, values, axis)`, which returns a new "
    "array",
    np.putmask: "`x = np.where(mask, values, x)`",
}
for _function, _instead in _WRITING.items():
    REFUSED[_function] = f"it writes into its first argument; write {_instead}"
_PLAIN = "it takes plain values; pass `t.detach().numpy()`"
for _function in (np.save, np.savez, np.savez_compressed, np.savetxt):
    REFUSED[_function] = _PLAIN
for _function in (
    np.busday_count, np.busday_offset, np.is_busday, np.datetime_as_string, np.isnat,
):
    REFUSED[_function] = "it is about dates, of which a Tensor holds none"
