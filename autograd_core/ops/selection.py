"""Choosing by condition, and inserting and deleting: composites of indexing and where."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..node import Array, Node, require, value_of
from ..op import define, implements, lift, refuse_options
from .elementwise import where_
from .indexing import at_set, getitem, index_along_axis, take_along_axis
from .shaping import (
    along,
    astype,
    broadcast_to,
    concatenate,
    integers,
    lift_like,
    normalise,
    ravel,
    reshape,
    stack,
)

# By condition. ----------------------------------------------------------------------------------


@implements(np.compress)
def compress(condition: Array, a: Array, axis: int | None = None, out: None = None) -> Array:
    refuse_options("compress", out=out)
    condition = lift(condition)
    if condition.ndim != 1:
        raise ValueError(f"compress: the condition needs one axis, got shape {condition.shape}")
    a, axis = along(a, axis)
    return getitem(a, (slice(None),) * axis + (np.nonzero(condition)[0],))


@implements(np.choose)
def choose(a: Array, choices: Any, out: None = None, mode: str = "raise") -> Array:
    refuse_options("choose", out=out)
    a = lift(a)
    if a.dtype.kind not in "iub":
        raise TypeError(f"choose: needs integers, got {a.dtype}")
    dtype = np.result_type(*(x if isinstance(x, (int, float)) else lift(x).dtype for x in choices))
    first = next((x for x in choices if hasattr(x, "shape")), np.zeros(0, dtype))
    parts = [astype(lift_like(x, first), dtype) for x in choices]
    n = len(parts)
    if mode == "raise":
        require((a >= 0) & (a < n), ValueError(f"choose: an index out of bounds for {n} choices"))
    elif mode == "wrap":
        a = a % n
    elif mode == "clip":
        a = np.clip(a, 0, n - 1)
    else:
        raise ValueError(f"choose: mode must be 'raise', 'wrap' or 'clip', got {mode!r}")
    shape = np.broadcast_shapes(a.shape, *(x.shape for x in parts))
    wide = stack([broadcast_to(x, shape) for x in parts])
    return take_along_axis(wide, broadcast_to(astype(a, np.intp), shape)[None], 0)[0]


@implements(np.select)
def select(
    condlist: Sequence[Array], choicelist: Sequence[Array], default: Any = 0
) -> Array:
    """The choice of the first condition that holds."""
    if len(condlist) != len(choicelist):
        raise ValueError(f"select: {len(condlist)} conditions for {len(choicelist)} choices")
    if len(condlist) == 0:
        raise ValueError("select: needs one condition or more")
    for condition in condlist:
        if np.result_type(value_of(lift(condition))) != np.bool_:
            raise TypeError("select: conditions must be booleans")
    result = default
    for condition, choice in zip(reversed(condlist), reversed(choicelist), strict=True):
        result = where_(lift(condition), _operand(choice), _operand(result))
    return result


def _operand(x: Any) -> Any:
    return x if isinstance(x, (int, float, complex)) else lift(x)


@implements(np.piecewise)
def piecewise(
    x: Array, condlist: Any, funclist: Sequence[Any], *args: Any, **kw: Any
) -> Array:
    """Each function is evaluated, and differentiated, on its own elements only.

    So a function's infinite slope elsewhere does not spoil the gradient, as it does where
    ``np.where`` computes both branches of everything. Of several conditions that hold, the last
    decides; a function more than conditions is the default.

    >>> import autograd_core as ag
    >>> ag.grad(lambda x: np.piecewise(x, [x > 0], [np.sqrt, 0.0]).sum())(np.array([0.0, 4.0]))
    array([0.  , 0.25])
    """
    x = lift(x)
    conditions = _conditions(x, condlist)
    functions = list(funclist)
    if len(functions) == len(conditions) + 1:
        somewhere = conditions[0]
        for condition in conditions[1:]:
            somewhere = np.logical_or(somewhere, condition)
        conditions.append(np.logical_not(somewhere))
    elif len(functions) != len(conditions):
        raise ValueError(
            f"piecewise: {len(functions)} functions for {len(conditions)} conditions; as many, "
            "or one more as the default, are needed"
        )
    y: Array = np.zeros_like(value_of(x))
    later: Array | None = None
    for condition, function in reversed(list(zip(conditions, functions, strict=True))):
        mine = condition if later is None else np.logical_and(condition, np.logical_not(later))
        later = condition if later is None else np.logical_or(condition, later)
        piece = function(getitem(x, (mine,)), *args, **kw) if callable(function) else function
        y = at_set(y, (mine,), astype(lift(piece), x.dtype))
    return y


def _conditions(x: Array, given: Any) -> list[Array]:
    """The conditions as boolean arrays: a list of them, or a single one as NumPy allows."""
    single = np.ndim(given) == 0 if not isinstance(given, (list, tuple)) else (
        not (len(given) and (isinstance(given[0], list) or np.ndim(given[0]) > 0)) and x.ndim != 0
    )
    if not isinstance(given, (list, tuple)) and np.ndim(given) == 1 and x.ndim != 0:
        single = True
    conditions = [given] if single else list(given)
    return [astype(lift(c), np.bool_) for c in conditions]


# What NumPy writes into its argument: here, the array that it would become. -----------------------


def fill_diagonal(a: Array, val: Any, wrap: bool = False) -> Array:
    """``a`` with ``val`` on its diagonal, as ``np.fill_diagonal`` leaves it: a new array.

    ``a``: of two axes, or of more of one size. ``val``: a scalar, or an array whose elements are
    used in turn. With ``wrap`` the diagonal of a tall matrix begins again below a free row.
    Differentiable by both. Raises ``ValueError`` for other shapes.

    >>> ag.grad(lambda a: (ag.fill_diagonal(a, 7.0) ** 2).sum())(np.ones((2, 2)))
    array([[0., 2.],
           [2., 0.]])
    """
    a = lift(a)
    if a.ndim < 2:
        raise ValueError(f"fill_diagonal: needs two axes or more, got shape {tuple(a.shape)}")
    if a.ndim > 2 and len(set(a.shape)) > 1:
        raise ValueError(
            f"fill_diagonal: more than two axes need one size, got shape {tuple(a.shape)}"
        )
    size = int(a.size)
    if a.ndim == 2:
        step, end = a.shape[1] + 1, size if wrap else a.shape[1] ** 2
    else:
        step, end = sum(math.prod(a.shape[i:]) for i in range(1, a.ndim)) + 1, size
    places = np.arange(0, min(end, size), step)
    values = resize(val, (places.size,)) if np.ndim(val) else val
    return reshape(at_set(ravel(a), places, astype(lift(values), a.dtype)), a.shape)


def put_along_axis(arr: Array, indices: Array, values: Any, axis: int | None) -> Array:
    """``arr`` with ``values`` at the indices along ``axis``, as ``np.put_along_axis`` leaves it.

    A new array, of which ``np.take_along_axis(..., indices, axis)`` is ``values``; of repeated
    indices the last value stays. Differentiable by ``arr`` and ``values``.

    >>> x = np.array([[3.0, 9.0], [4.0, 1.0]])
    >>> ag.put_along_axis(x, np.argmax(x, axis=1)[:, None], 0.0, axis=1)
    array([[3., 0.],
           [0., 1.]])
    """
    arr = lift(arr)
    if axis is None:
        flat = at_set(ravel(arr), ravel(lift(indices)), astype(lift(values), arr.dtype))
        return reshape(flat, arr.shape)
    (axis,) = normalise(axis, arr.ndim, "axis")
    return at_set(arr, index_along_axis(arr, lift(indices), axis),
                  astype(lift(values), arr.dtype))


# Inserting and deleting: the positions are fixed, what stands there is differentiated. ----------


def _positions(name: str, obj: Any, size: int) -> Any:
    """What np.insert and np.delete take for positions: a number, or an array of them."""
    if isinstance(obj, Node):
        raise NotImplementedError(
            f"{name}: positions are read once, so a Tensor's would be frozen; "
            "pass `t.detach().numpy()`"
        )
    return np.arange(*obj.indices(size)) if isinstance(obj, slice) else obj


@implements(np.append)
def append(arr: Array, values: Array, axis: int | None = None) -> Array:
    if axis is None:
        return concatenate([ravel(lift(arr)), ravel(lift(values))])
    return concatenate([lift(arr), lift(values)], axis)


@implements(np.delete)
def delete(arr: Array, obj: Any, axis: int | None = None) -> Array:
    arr, axis = along(arr, axis)
    kept = np.delete(np.arange(arr.shape[axis]), _positions("delete", obj, arr.shape[axis]))
    return getitem(arr, (slice(None),) * axis + (kept,))


@implements(np.insert)
def insert(arr: Array, obj: Any, values: Any, axis: int | None = None) -> Array:
    arr, axis = along(arr, axis)
    size = arr.shape[axis]
    obj = _positions("insert", obj, size)
    values = astype(lift_like(values, arr), arr.dtype)
    if values.ndim < arr.ndim:
        values = reshape(values, (1,) * (arr.ndim - values.ndim) + tuple(values.shape))
    places = np.asarray(obj)
    if places.dtype == np.bool_:
        places = np.flatnonzero(places)
    if places.size == 1:
        if places.ndim == 0 and np.ndim(obj) == 0:
            # As NumPy has it, a number takes rows to insert where a list takes one row each.
            values = np.moveaxis(values, 0, axis)
        count = values.shape[axis]
        places = np.full(count, places.item())
    else:
        count = places.size
    values = broadcast_to(
        values, tuple(count if i == axis else n for i, n in enumerate(arr.shape))
    )
    source = np.insert(np.arange(size), places.astype(np.intp), size + np.arange(count))
    return getitem(concatenate([arr, values], axis), (slice(None),) * axis + (source,))


@implements(np.resize)
def resize(a: Array, new_shape: Any) -> Array:
    """The elements over and over, until the new shape is full."""
    a = ravel(lift(a))
    shape = integers(new_shape)
    if any(n < 0 for n in shape):
        raise ValueError(f"resize: a negative size in {shape}")
    count = math.prod(shape)
    if a.size == 0:
        return broadcast_to(np.sum(a), shape)
    return reshape(getitem(a, np.arange(count) % a.size), shape)


# Positions: recorded, without a derivative. -----------------------------------------------------

flatnonzero_ = define(
    "flatnonzero", lambda x: np.flatnonzero(x), None, "where x, laid flat, is not zero"
)


@implements(np.flatnonzero)
def flatnonzero(a: Array) -> Array:
    return flatnonzero_(a)


kept_ = define(
    "kept", lambda x, axis, trim: _kept_forward(x, axis, trim), None,
    "the places along an axis that are left without the zeros at its ends",
)


def _kept_forward(x: Array, axis: int, trim: str) -> Array:
    others = tuple(i for i in range(x.ndim) if i != axis)
    (some,) = np.nonzero(np.any(x != 0, axis=others))
    if some.size == 0:
        return np.arange(0)
    start = int(some[0].item()) if "f" in trim else 0
    stop = int(some[-1].item()) + 1 if "b" in trim else x.shape[axis]
    return np.arange(start, stop, like=x)


@implements(np.trim_zeros)
def trim_zeros(filt: Array, trim: str = "fb", axis: Any = None) -> Array:
    """Without the zeros at the ends of an axis, or of all."""
    filt = lift(filt)
    if trim.lower() not in ("fb", "bf", "f", "b"):
        raise ValueError(f"trim_zeros: trim is 'f', 'b' or 'fb', got {trim!r}")
    axes = range(filt.ndim) if axis is None else normalise(axis, filt.ndim, "axis")
    kept = {i: kept_(filt, axis=i, trim=trim.lower()) for i in axes}
    for i, places in kept.items():
        filt = getitem(filt, (slice(None),) * i + (places,))
    return filt


@implements(np.argwhere)
def argwhere(a: Array) -> Array:
    return np.stack(np.nonzero(a), axis=-1) if a.ndim else getitem(
        reshape(flatnonzero_(a), (-1, 1)), (slice(None), slice(0, 0))
    )


# Function by function. --------------------------------------------------------------------------


@implements(np.apply_along_axis)
def apply_along_axis(
    func1d: Callable[..., Any], axis: int, arr: Array, *args: Any, **kwargs: Any
) -> Array:
    """func1d on every vector along ``axis``, its results in the axis' place."""
    arr = lift(arr)
    (axis,) = normalise(axis, arr.ndim, "axis")
    last = np.moveaxis(arr, axis, -1)
    outside = tuple(last.shape[:-1])
    if math.prod(outside) == 0:
        raise ValueError("apply_along_axis: cannot apply to no vectors at all")
    results = [
        lift(func1d(getitem(last, i), *args, **kwargs)) for i in np.ndindex(outside)
    ]
    inside = tuple(results[0].shape)
    together = reshape(stack(results), outside + inside)
    places = range(axis, axis + len(inside))
    return np.moveaxis(together, tuple(range(len(outside), together.ndim)), tuple(places))


@implements(np.apply_over_axes)
def apply_over_axes(func: Callable[..., Any], a: Array, axes: Any) -> Array:
    """func(a, axis) for one axis after the other, each kept."""
    a = lift(a)
    for axis in normalise(axes if np.ndim(axes) else [axes], a.ndim, "axis"):
        result = func(a, axis)
        a = result if result.ndim == a.ndim else np.expand_dims(result, axis)
    return a


