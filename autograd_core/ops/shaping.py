"""Shapes: reshaping, reordering, broadcasting, joining, splitting, repeating, padding, casting."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from ..node import Array, Node, value_of
from ..op import EachInput, case, define, implements, lift, refuse_options
from .indexing import getitem

Shape = tuple[int, ...]

# Views. -----------------------------------------------------------------------------------------

reshape_ = define(
    "reshape", lambda x, shape: x.reshape(shape),
    (lambda g, y, x, shape: g.reshape(x.shape),), "x with another shape",
    cases=(case((2, 3), shape=(3, 2)), case((), shape=(1, 1)), case((1, 1), shape=()),
           case((0, 3), shape=(3, 0)), case((2, 3, 2), shape=(2, -1))),
    takes_complex=True,
)


def _transpose_rule(g: Array, y: Array, x: Array, axes: Shape) -> Array:
    back = [0] * len(axes)
    for position, axis in enumerate(axes):
        back[axis] = position
    return g.transpose(tuple(back))


transpose_ = define(
    "transpose", lambda x, axes: x.transpose(axes), (_transpose_rule,), "x with axes reordered",
    cases=(case((2, 3), axes=(1, 0)), case((2, 3, 4), axes=(2, 0, 1)), case((), axes=()),
           case((0, 2), axes=(1, 0)), case((1, 2, 1), axes=(1, 2, 0))),
    takes_complex=True,
)

#: Below this size a broadcast cotangent is cheaper to fill than to describe by strides.
FILL = 1 << 14


def _broadcast_forward(x: Array, shape: Shape) -> Array:
    if (type(x) is np.ndarray or isinstance(x, np.generic)) and math.prod(shape) <= FILL:
        out = np.empty(shape, x.dtype)
        out[...] = x
        return out
    return np.broadcast_to(x, shape)


broadcast_ = define(
    "broadcast_to", _broadcast_forward, (lambda g, y, x, shape: g,), "x repeated to a shape",
    cases=(case((3,), shape=(2, 3)), case((), shape=(2, 2)), case((2, 1), shape=(2, 3)),
           case((1,), shape=(0,)), case((0, 1), shape=(2, 0, 3))),
    takes_complex=True,
)


def integers(sizes: Any) -> Shape:
    """A size or several as a tuple; unlike ``int``, this refuses 1.5."""
    return tuple(map(operator.index, sizes if np.ndim(sizes) else (sizes,)))


@implements(np.reshape)
def reshape(
    a: Array, /, shape: Any = None, order: str = "C", *, copy: bool | None = None
) -> Array:
    a = lift(a)
    sizes = integers(shape)
    if order == "A":
        order = "F" if _is_column_major(a) else "C"
    if order == "F":
        return transpose(reshape_(transpose(a), shape=sizes[::-1]))
    if order != "C":
        raise ValueError(f"reshape: order must be 'C', 'F' or 'A', got {order!r}")
    return reshape_(a, shape=sizes)


def _is_column_major(a: Array) -> bool:
    flags = getattr(value_of(a), "flags", None)
    return flags is not None and flags.f_contiguous and not flags.c_contiguous


@implements(np.ravel)
def ravel(a: Array, order: str = "C") -> Array:
    """Laid flat; in the order of memory (``"K"``) only where that is by rows or by columns."""
    a = lift(a)
    if order == "K":
        flags = getattr(value_of(a), "flags", None)
        if flags is not None and not flags.forc:
            raise NotImplementedError(
                "ravel: order='K' of an array that lies neither by rows nor by columns is not "
                "supported on Tensors; use 'C'"
            )
        order = "A"
    return reshape(a, (-1,), order)


@implements(np.transpose, np.permute_dims)
def transpose(a: Array, axes: Sequence[int] | None = None) -> Array:
    a = lift(a)
    n = a.ndim
    if axes is None:
        order = tuple(range(n - 1, -1, -1))
    else:
        order = tuple(i % n if -n <= i < n else i for i in map(operator.index, axes))
    return transpose_(a, axes=order)


@implements(np.matrix_transpose, np.linalg.matrix_transpose)
def matrix_transpose(x: Array, /) -> Array:
    if x.ndim < 2:
        raise ValueError(f"matrix_transpose: needs two axes or more, got shape {x.shape}")
    return swapaxes(x, -1, -2)


@implements(np.swapaxes)
def swapaxes(a: Array, axis1: int, axis2: int) -> Array:
    i, j = normalise((axis1, axis2), a.ndim, "axis")
    order = list(range(a.ndim))
    order[i], order[j] = j, i
    return transpose_(a, axes=tuple(order))


def normalise(axis: int | Sequence[int], ndim: int, name: str) -> list[int]:
    """Axes as non-negative integers, or the error NumPy gives."""
    axes = [axis] if isinstance(axis, (int, np.integer)) else list(axis)
    for i in axes:
        if not -ndim <= i < ndim:
            raise np.exceptions.AxisError(int(i), ndim, name)
    return [int(i) % ndim for i in axes]


@implements(np.moveaxis)
def moveaxis(a: Array, source: Any, destination: Any) -> Array:
    a = lift(a)
    sources = normalise(source, a.ndim, "source")
    places = normalise(destination, a.ndim, "destination")
    if len(sources) != len(places):
        raise ValueError(f"moveaxis: {len(sources)} sources but {len(places)} destinations")
    order = [i for i in range(a.ndim) if i not in sources]
    for place, i in sorted(zip(places, sources, strict=True)):
        order.insert(place, i)
    return transpose_(a, axes=tuple(order))


@implements(np.rollaxis)
def rollaxis(a: Array, axis: int, start: int = 0) -> Array:
    """``axis`` in front of the one that is now at ``start``."""
    (axis,) = normalise(axis, a.ndim, "axis")
    if not -a.ndim <= start <= a.ndim:
        raise np.exceptions.AxisError(start, a.ndim + 1, "start")
    start = start + a.ndim if start < 0 else start
    order = [i for i in range(a.ndim) if i != axis]
    order.insert(start - (axis < start), axis)
    return transpose_(a, axes=tuple(order))


@implements(np.expand_dims)
def expand_dims(a: Array, axis: int | Sequence[int]) -> Array:
    a = lift(a)
    extra = 1 if isinstance(axis, (int, np.integer)) else len(axis)
    places = normalise(axis, a.ndim + extra, "axis")
    if len(set(places)) < len(places):
        raise ValueError(f"expand_dims: repeated axis in {axis}")
    old = iter(a.shape)
    return reshape_(a, shape=tuple(1 if i in places else next(old) for i in range(a.ndim + extra)))


@implements(np.squeeze)
def squeeze(a: Array, axis: int | Sequence[int] | None = None) -> Array:
    if axis is None:
        return reshape_(a, shape=tuple(n for n in a.shape if n != 1))
    gone = normalise(axis, a.ndim, "axis")
    for i in gone:
        if a.shape[i] != 1:
            raise ValueError(f"squeeze: axis {i} of shape {a.shape} has size {a.shape[i]}, not 1")
    return reshape_(a, shape=tuple(n for i, n in enumerate(a.shape) if i not in gone))


def _at_least(ndim: int, x: Array) -> Array:
    """NumPy's placing of new axes: in front, except that a third axis comes last."""
    x = lift(x)
    if x.ndim >= ndim:
        return x
    if ndim == 3 and x.ndim == 2:
        return reshape(x, (*x.shape, 1))
    if ndim == 3 and x.ndim == 1:
        return reshape(x, (1, *x.shape, 1))
    return reshape(x, (1,) * (ndim - x.ndim) + tuple(x.shape))


@implements(np.atleast_1d)
def atleast_1d(*arys: Array) -> Any:
    return _each([_at_least(1, x) for x in arys])


@implements(np.atleast_2d)
def atleast_2d(*arys: Array) -> Any:
    return _each([_at_least(2, x) for x in arys])


@implements(np.atleast_3d)
def atleast_3d(*arys: Array) -> Any:
    return _each([_at_least(3, x) for x in arys])


def _each(results: list[Array]) -> Any:
    return results[0] if len(results) == 1 else tuple(results)


@implements(np.broadcast_to)
def broadcast_to(array: Array, shape: Any, subok: bool = False) -> Array:
    sizes = integers(shape)
    return array if array.shape == sizes else broadcast_(array, shape=sizes)


@implements(np.broadcast_arrays)
def broadcast_arrays(*args: Array, subok: bool = False) -> tuple[Array, ...]:
    arrays = [lift(x) for x in args]
    shape = np.broadcast_shapes(*(x.shape for x in arrays))
    return tuple(broadcast_to(x, shape) for x in arrays)


def expand_reduced(g: Array, x: Array, axis: Any, keepdims: bool) -> Array:
    """The result of reducing ``x``, with the reduced axes back as size 1."""
    if keepdims or x.ndim == 0:
        return g
    if axis is None:
        return g.reshape((1,) * x.ndim)
    gone = normalise(axis, x.ndim, "axis")
    return g.reshape(tuple(1 if i in gone else n for i, n in enumerate(x.shape)))


@implements(np.flip)
def flip(m: Array, axis: int | Sequence[int] | None = None) -> Array:
    axes = range(m.ndim) if axis is None else normalise(axis, m.ndim, "axis")
    back = slice(None, None, -1)
    return getitem(m, tuple(back if i in axes else slice(None) for i in range(m.ndim)))


@implements(np.fliplr)
def fliplr(m: Array) -> Array:
    return flip(m, 1)


@implements(np.flipud)
def flipud(m: Array) -> Array:
    return flip(m, 0)


@implements(np.rot90)
def rot90(m: Array, k: int = 1, axes: Any = (0, 1)) -> Array:
    """A quarter turn k times, from the first axis towards the second."""
    if len(axes) != 2:
        raise ValueError(f"rot90: needs two axes, got {axes}")
    i, j = normalise(axes, m.ndim, "axes")
    if i == j:
        raise ValueError(f"rot90: needs two different axes, got {axes}")
    k %= 4
    if k == 0:
        return getitem(m, ...)
    if k == 2:
        return flip(m, (i, j))
    return swapaxes(flip(m, j), i, j) if k == 1 else flip(swapaxes(m, i, j), j)


@implements(np.roll)
def roll(a: Array, shift: Any, axis: Any = None) -> Array:
    if axis is None:
        return reshape(roll(ravel(a), shift, 0), a.shape)
    axes = normalise(axis, a.ndim, "axis")
    for steps, i in np.broadcast(shift, axes):
        cut = -operator.index(steps) % a.shape[i] if a.shape[i] else 0
        if cut:
            before = (slice(None),) * i
            tail, head = (*before, slice(cut, None)), (*before, slice(None, cut))
            a = concatenate([getitem(a, tail), getitem(a, head)], i)
    return a


# Joining and splitting. -------------------------------------------------------------------------


def _concatenate_rule(position: int, g: Array, y: Array, *xs: Array, axis: int) -> Array:
    start = sum(x.shape[axis] for x in xs[:position])
    stop = start + xs[position].shape[axis]
    return g[(slice(None),) * (axis % g.ndim) + (slice(start, stop),)]


concatenate_ = define(
    "concatenate", lambda *xs, axis: np.concatenate(xs, axis), EachInput(_concatenate_rule),
    "inputs end to end",
    cases=(case((2,), (3,), axis=0), case((2, 3), (2, 1), (2, 0), axis=1),
           case((2, 2), (1, 2), axis=-2), case((2, 3), axis=0),
           case((1, 2), (2, 2), (1, 2), axis=0)),
    takes_complex=True,
)


@implements(np.concatenate, np.concat)
def concatenate(
    arrays: Sequence[Array], /, axis: int | None = 0, out: None = None, *,
    dtype: Any = None, casting: str = "same_kind",
) -> Array:
    refuse_options("concatenate", out=out)
    parts = [lift(x) for x in arrays]
    if axis is None:
        parts, axis = [ravel(x) for x in parts], 0
    while len(parts) > 64:  # a rule adds up the sizes of the inputs before its own
        parts = [concatenate_(*parts[i : i + 64], axis=axis) for i in range(0, len(parts), 64)]
    joined = concatenate_(*parts, axis=axis)
    return joined if dtype is None else astype(joined, dtype)


@implements(np.stack)
def stack(
    arrays: Sequence[Array], axis: int = 0, out: None = None, *,
    dtype: Any = None, casting: str = "same_kind",
) -> Array:
    refuse_options("stack", out=out)
    parts = [lift(x) for x in arrays]
    shapes = {tuple(x.shape) for x in parts}
    if len(shapes) > 1:
        raise ValueError(f"stack: all arrays must have one shape, got {sorted(shapes)}")
    if not parts:
        raise ValueError("stack: needs at least one array")
    return concatenate([expand_dims(x, axis) for x in parts], axis, dtype=dtype)


@implements(np.vstack)
def vstack(tup: Sequence[Array], *, dtype: Any = None, casting: str = "same_kind") -> Array:
    return concatenate([_at_least(2, x) for x in tup], 0, dtype=dtype)


@implements(np.hstack)
def hstack(tup: Sequence[Array], *, dtype: Any = None, casting: str = "same_kind") -> Array:
    parts = [_at_least(1, x) for x in tup]
    return concatenate(parts, 0 if parts and parts[0].ndim == 1 else 1, dtype=dtype)


@implements(np.dstack)
def dstack(tup: Sequence[Array]) -> Array:
    return concatenate([_at_least(3, x) for x in tup], 2)


@implements(np.column_stack)
def column_stack(tup: Sequence[Array]) -> Array:
    parts = [lift(x) for x in tup]
    return concatenate([x if x.ndim >= 2 else reshape(x, (-1, 1)) for x in parts], 1)


@implements(np.block)
def block(arrays: Any) -> Array:
    """Nested lists: the innermost are joined along the last axis, those around along the one
    before, and so on.
    """
    depth = _list_depth(arrays, "arrays")
    ndim = max(depth, max(lift(x).ndim for x in _leaves(arrays)))

    def join(nested: Any, level: int) -> Array:
        if level == depth:
            x = lift(nested)
            return reshape(x, (1,) * (ndim - x.ndim) + tuple(x.shape)) if x.ndim < ndim else x
        return concatenate([join(item, level + 1) for item in nested], level - depth)

    return join(arrays, 0)


def _list_depth(nested: Any, where: str) -> int:
    if type(nested) is tuple:
        raise TypeError(f"block: {where} is a tuple; only lists say how to join")
    if type(nested) is not list:
        return 0
    if not nested:
        raise ValueError(f"block: {where} is an empty list")
    depths = {_list_depth(item, f"{where}[{i}]") for i, item in enumerate(nested)}
    if len(depths) > 1:
        raise ValueError(f"block: lists in {where} are nested to different depths")
    return 1 + depths.pop()


def _leaves(nested: Any) -> list[Any]:
    return [x for item in nested for x in _leaves(item)] if type(nested) is list else [nested]


@implements(np.meshgrid)
def meshgrid(
    *xi: Array, copy: bool = True, sparse: bool = False, indexing: str = "xy"
) -> tuple[Array, ...]:
    if indexing not in ("xy", "ij"):
        raise ValueError(f"meshgrid: indexing must be 'xy' or 'ij', got {indexing!r}")
    arrays = [lift(x) for x in xi]
    n = len(arrays)
    places = list(range(n))
    if indexing == "xy" and n > 1:
        places[:2] = 1, 0
    open_ = [reshape(x, [-1 if i == place else 1 for i in range(n)])
             for x, place in zip(arrays, places, strict=True)]
    return tuple(open_) if sparse else broadcast_arrays(*open_)


def split_at(a: Array, cuts: Sequence[int], axis: int) -> list[Array]:
    """The pieces of ``a`` between ``cuts``, as slices."""
    (axis,) = normalise(axis, a.ndim, "axis")
    before = (slice(None),) * axis
    edges = [0, *cuts, a.shape[axis]]
    return [
        getitem(a, (*before, slice(start, stop)))
        for start, stop in pairwise(edges)
    ]


@implements(np.array_split)
def array_split(ary: Array, indices_or_sections: Any, axis: int = 0) -> list[Array]:
    if np.ndim(indices_or_sections) > 0:
        return split_at(ary, integers(indices_or_sections), axis)
    (axis,) = normalise(axis, ary.ndim, "axis")
    size, parts = ary.shape[axis], int(indices_or_sections)
    if parts <= 0:
        raise ValueError(f"array_split: the number of sections must be positive, got {parts}")
    each, rest = divmod(size, parts)
    return split_at(ary, [i * each + min(i, rest) for i in range(1, parts)], axis)


@implements(np.split)
def split(ary: Array, indices_or_sections: Any, axis: int = 0) -> list[Array]:
    if np.ndim(indices_or_sections) == 0 and ary.shape[axis] % int(indices_or_sections):
        raise ValueError(
            f"split: axis {axis} of shape {ary.shape} does not divide into "
            f"{indices_or_sections} equal parts; np.array_split allows unequal ones"
        )
    return array_split(ary, indices_or_sections, axis)


@implements(np.hsplit)
def hsplit(ary: Array, indices_or_sections: Any) -> list[Array]:
    if ary.ndim < 1:
        raise ValueError("hsplit: needs one axis or more, got shape ()")
    return split(ary, indices_or_sections, 1 if ary.ndim > 1 else 0)


@implements(np.vsplit)
def vsplit(ary: Array, indices_or_sections: Any) -> list[Array]:
    if ary.ndim < 2:
        raise ValueError(f"vsplit: needs two axes or more, got shape {ary.shape}")
    return split(ary, indices_or_sections, 0)


@implements(np.dsplit)
def dsplit(ary: Array, indices_or_sections: Any) -> list[Array]:
    if ary.ndim < 3:
        raise ValueError(f"dsplit: needs three axes or more, got shape {tuple(ary.shape)}")
    return split(ary, indices_or_sections, 2)


@implements("unstack")
def unstack(x: Array, /, *, axis: int = 0) -> tuple[Array, ...]:
    (axis,) = normalise(axis, x.ndim, "axis")
    return tuple(getitem(x, (slice(None),) * axis + (i,)) for i in range(x.shape[axis]))


# Repeating and padding. -------------------------------------------------------------------------


@implements(np.tile)
def tile(A: Array, reps: Any) -> Array:
    counts = integers(reps)
    n = max(A.ndim, len(counts))
    counts = (1,) * (n - len(counts)) + counts
    shape = (1,) * (n - A.ndim) + tuple(A.shape)
    # Each axis of size s repeated r times is an (r, s) pair, broadcast along r.
    pairs = reshape(A, tuple(k for s in shape for k in (1, s)))
    spread = broadcast_to(pairs, tuple(k for r, s in zip(counts, shape, strict=True)
                                       for k in (r, s)))
    return reshape(spread, tuple(r * s for r, s in zip(counts, shape, strict=True)))


def along(a: Array, axis: int | None) -> tuple[Array, int]:
    """The array and its axis to work along: all of it, flat, for ``None``."""
    a = lift(a)
    if axis is None:
        return ravel(a), 0
    (axis,) = normalise(axis, a.ndim, "axis")
    return a, axis


@implements(np.repeat)
def repeat(a: Array, repeats: Any, axis: int | None = None) -> Array:
    a, axis = along(a, axis)
    shape = tuple(a.shape)
    if np.ndim(repeats) == 0:
        times = operator.index(repeats)
        wide = broadcast_to(expand_dims(a, axis + 1),
                            (*shape[: axis + 1], times, *shape[axis + 1 :]))
        return reshape(wide, (*shape[:axis], shape[axis] * times, *shape[axis + 1 :]))
    source = np.repeat(np.arange(shape[axis]), np.asarray(repeats))
    return getitem(a, (slice(None),) * axis + (source,))


def _pad_forward(x: Array, widths: tuple[tuple[int, int], ...]) -> Array:
    shape = tuple(n + before + after for n, (before, after) in zip(x.shape, widths, strict=True))
    out = np.zeros_like(x, shape=shape)
    out[_inside(x, widths)] = x
    return out


def _inside(x: Array, widths: tuple[tuple[int, int], ...]) -> tuple[slice, ...]:
    return tuple(slice(before, before + n) for n, (before, _) in zip(x.shape, widths, strict=True))


pad_ = define(
    "pad", _pad_forward, (lambda g, y, x, widths: g[_inside(x, widths)],), "x framed by zeros",
    cases=(case((3,), widths=((1, 2),)), case((2, 2), widths=((0, 1), (2, 0))),
           case((0,), widths=((1, 1),)), case((1, 2), widths=((0, 0), (1, 1)))),
    takes_complex=True,
)

#: The modes of np.pad that only copy elements: padding an array of positions says which.
_COPYING = ("edge", "reflect", "symmetric", "wrap")
#: Those that pad with a statistic of the elements at an end.
_STATISTICS: dict[str, Any] = {
    "maximum": np.max, "mean": np.mean, "median": np.median, "minimum": np.min
}

#: Each mode and the option that belongs to it.
_PAD_OPTIONS = {
    "constant": "constant_values", "empty": "", "edge": "", "wrap": "", "linear_ramp": "end_values",
    "reflect": "reflect_type", "symmetric": "reflect_type", **dict.fromkeys(
        _STATISTICS, "stat_length"),
}


@implements(np.pad)
def pad(array: Array, pad_width: Any, mode: Any = "constant", **options: Any) -> Array:
    array = lift(array)
    if isinstance(pad_width, dict):
        pad_width = [pad_width.get(i, pad_width.get(i - array.ndim, 0)) for i in range(array.ndim)]
        pad_width = [(w, w) if np.ndim(w) == 0 else w for w in pad_width]
    pairs = np.asarray(pad_width)
    if pairs.dtype.kind not in "iu":
        raise TypeError(f"pad: widths are integers, got {pairs.dtype}")
    if (pairs < 0).any():
        raise ValueError("pad: a width must not be negative")
    pairs = np.broadcast_to(pairs, (array.ndim, 2))
    widths = tuple((int(before), int(after)) for before, after in pairs)
    if callable(mode):
        return _pad_by(mode, pad_(array, widths=widths), widths, options)
    if mode not in _PAD_OPTIONS:
        raise ValueError(f"pad: {mode!r} is not a mode")
    if not options.keys() <= {_PAD_OPTIONS[mode]}:
        raise ValueError(f"pad: options {sorted(options)} do not belong to mode {mode!r}")
    odd = options.pop("reflect_type", "even") == "odd" and mode in ("reflect", "symmetric")
    lengths, ends = options.pop("stat_length", None), options.pop("end_values", 0)
    values = options.pop("constant_values", 0)
    if mode in ("constant", "empty"):
        values = _joined(values, array)
        if values.ndim == 0:
            return _pad_with(array, widths, values)
        sides = broadcast_to(values, (array.ndim, 2))
        for axis, width in enumerate(widths):
            for end in (0, 1):
                one = tuple((width[0] * (1 - end), width[1] * end) if i == axis else (0, 0)
                            for i in range(array.ndim))
                array = _pad_with(array, one, sides[axis, end])
        return array
    if array.dtype.kind in "biu" and (odd or mode not in _COPYING):
        return _pad_integers(array, widths, mode, odd, lengths, ends)
    each = np.broadcast_to(np.asarray(lengths, object), (array.ndim, 2))
    for axis, width in enumerate(widths):
        if width == (0, 0):
            continue
        n = array.shape[axis]
        if n == 0:
            raise ValueError(f"pad: axis {axis} is empty, so that mode={mode!r} has no elements")
        if mode in _STATISTICS:
            array = _pad_statistic(array, axis, width, mode, each[axis])
        elif mode == "linear_ramp" or odd:
            # What is padded is linear in the elements, up to the values at the ends: NumPy's
            # padding of the unit vectors is its matrix.
            more: dict[str, Any] = {"reflect_type": "odd"} if odd else {"end_values": 0}
            eye = np.eye(n, dtype=array.dtype, like=value_of(array))
            matrix = np.pad(eye, (width, (0, 0)), mode, **more)
            padded = moveaxis(np.tensordot(matrix, array, ((1,), (axis,))), 0, axis)
            if mode == "linear_ramp":
                pair = broadcast_to(_joined(ends, array), (array.ndim, 2))[axis]
                for end in (0, 1):  # how much of the value at this end there is at each place
                    unit = np.pad(np.zeros_like(eye, shape=(n,)), width, mode,
                                  end_values=(1 - end, end))
                    part = unit.reshape([-1 if i == axis else 1 for i in range(array.ndim)])
                    padded = padded + pair[end] * part
            array = padded
        else:
            source = np.pad(np.arange(n), width, mode)
            array = getitem(array, (slice(None),) * axis + (source,))
    return array


#: Of integers, which NumPy rounds in ways of its own: nothing to differentiate.
pad_integers_ = define(
    "pad_integers", lambda x, widths, mode, options: np.pad(x, widths, mode, **dict(options)), None,
    "x framed by integers",
)


def _pad_integers(
    array: Array, widths: tuple[tuple[int, int], ...], mode: str, odd: bool, lengths: Any, ends: Any
) -> Array:
    def pairs(value: Any) -> Any:
        return tuple(map(tuple, np.broadcast_to(np.asarray(value), (array.ndim, 2)).tolist()))

    options: tuple[tuple[str, Any], ...] = ()
    if odd:
        options = (("reflect_type", "odd"),)
    elif mode == "linear_ramp":
        options = (("end_values", pairs(ends)),)
    elif lengths is not None:
        options = (("stat_length", pairs(lengths)),)
    return pad_integers_(array, widths=widths, mode=mode, options=options)


def _pad_by(
    function: Callable[..., Any], framed: Array, widths: tuple[tuple[int, int], ...],
    options: dict[str, Any],
) -> Array:
    """Each vector along an axis as the function returns it. (NumPy's writes into it.)"""
    for axis, width in enumerate(widths):
        last = moveaxis(framed, axis, -1)
        outside = tuple(last.shape[:-1])
        if 0 in last.shape:
            continue
        vectors = []
        for i in np.ndindex(outside):
            vector = function(getitem(last, i), width, axis, options)
            if getattr(vector, "shape", None) != last.shape[-1:]:
                raise TypeError(
                    f"pad: a function as the mode returns the padded vector, of shape "
                    f"{last.shape[-1:]}, on Tensors, which it cannot write into; "
                    "end it with `return vector.at[:n].set(value)`"
                )
            vectors.append(vector)
        framed = moveaxis(reshape(stack(vectors), last.shape), -1, axis)
    return framed


def _joined(values: Any, like: Array) -> Array:
    """Nested tuples of numbers, some of them perhaps nodes, as an array of the dtype of another."""
    if isinstance(values, (tuple, list)):
        return stack([_joined(x, like) for x in values])
    return astype(lift_like(values, like), like.dtype)


def _pad_with(array: Array, widths: tuple[tuple[int, int], ...], value: Any) -> Array:
    framed = pad_(array, widths=widths)
    if not isinstance(value, Node) and not np.any(value):
        return framed
    outside = np.ones_like(framed, dtype=bool)
    outside[_inside(array, widths)] = False
    return np.where(outside, value, framed)


def _pad_statistic(
    array: Array, axis: int, width: tuple[int, int], mode: str, lengths: Any
) -> Array:
    parts = [array]
    n = array.shape[axis]
    for end, (size, length) in enumerate(zip(width, lengths, strict=True)):
        length = n if length is None else min(operator.index(length), n)
        if length < 0:
            raise ValueError(f"pad: stat_length must not be negative, got {length}")
        chunk = slice(0, length) if end == 0 else slice(n - length, n)
        piece = getitem(array, (slice(None),) * axis + (chunk,))
        value = _STATISTICS[mode](piece, axis=axis, keepdims=True)
        shape = tuple(size if i == axis else k for i, k in enumerate(array.shape))
        parts.insert(0 if end == 0 else len(parts), broadcast_to(value, shape))
    return concatenate(parts, axis)


# Sliding windows. -------------------------------------------------------------------------------


def _windows_forward(x: Array, shape: Shape, axes: Shape) -> Array:
    return np.lib.stride_tricks.sliding_window_view(x, shape, axes)


def _windows_rule(g: Array, y: Array, x: Array, shape: Shape, axes: Shape) -> Array:
    return overlap_(g, shape=shape, axes=axes, whole=tuple(x.shape))


def _overlap_forward(v: Array, shape: Shape, axes: Shape, whole: Shape) -> Array:
    """One addition for each place in the window, of what all windows hold there."""
    out = np.zeros_like(v, shape=whole)
    everything = [slice(0, n) for n in v.shape[: len(whole)]]
    for place in np.ndindex(*shape):
        index = list(everything)
        for axis, k in zip(axes, place, strict=True):  # an axis may be named twice
            index[axis] = slice(index[axis].start + k, index[axis].stop + k)
        part = out[tuple(index)]
        np.add(part, v[(..., *place)], out=part)
    return out


windows_ = define(
    "windows", _windows_forward, (_windows_rule,), "all windows of x",
    cases=(case((5,), shape=(3,), axes=(0,)), case((2, 4, 5), shape=(2, 3), axes=(1, 2)),
           case((3, 4), shape=(2,), axes=(0,)), case((3,), shape=(3,), axes=(0,)),
           case((5,), shape=(2, 3), axes=(0, 0)), case((0, 3), shape=(2,), axes=(1,)),
           case((1, 3), shape=(1, 2), axes=(0, 1))),
    takes_complex=True,
)
overlap_ = define(
    "overlap_add", _overlap_forward,
    (lambda g, y, v, shape, axes, whole: windows_(g, shape=shape, axes=axes),),
    "windows, added up where they were",
    cases=(case((3, 3), shape=(3,), axes=(0,), whole=(5,)),
           case((2, 3, 3, 2, 3), shape=(2, 3), axes=(1, 2), whole=(2, 4, 5)),
           case((2, 2, 3), shape=(2, 3), axes=(0, 0), whole=(5,)),
           case((0, 2, 2), shape=(2,), axes=(1,), whole=(0, 3)),
           case((1, 2, 1, 2), shape=(1, 2), axes=(0, 1), whole=(1, 3))),
    takes_complex=True,
)


@implements(np.lib.stride_tricks.sliding_window_view)
def sliding_window_view(
    x: Array, window_shape: Any, axis: Any = None, *, subok: bool = False, writeable: bool = False
) -> Array:
    if writeable:
        raise TypeError("sliding_window_view: writeable=True would write behind the graph's back")
    shape = integers(window_shape)
    axes = range(x.ndim) if axis is None else normalise(axis, x.ndim, "axis")
    if len(shape) != len(axes):
        raise ValueError(
            f"sliding_window_view: {len(shape)} window sizes for {len(axes)} axes, of shape "
            f"{tuple(x.shape)}"
        )
    return windows_(x, shape=shape, axes=tuple(axes))


# Casting. ---------------------------------------------------------------------------------------

astype_ = define(
    "astype", lambda x, dtype: x.astype(dtype), (lambda g, y, x, dtype: g,),
    "x in another dtype",
    cases=(case((2, 3), dtype=np.dtype(np.float64)), case((), dtype=np.dtype(np.float64)),
           case((0, 1), dtype=np.dtype(np.float64)),),
    takes_complex=True,
)
#: To integers or booleans: a step function, so nothing to differentiate.
astype_discrete = define(
    "astype_discrete", lambda x, dtype: x.astype(dtype), None, "x in a dtype without gradient"
)


@implements("astype")
def astype(x: Array, dtype: Any, /, *, copy: bool = True, device: Any = None) -> Array:
    target = np.dtype(dtype)
    if target == x.dtype:
        return x
    return (astype_ if target.kind in "fc" else astype_discrete)(x, dtype=target)


@implements(np.copy)
def copy(a: Array, order: str = "K", subok: bool = False) -> Array:
    """Nodes never change, so a copy is the node itself."""
    return a


def lift_like(x: Any, like: Array) -> Array:
    """``x`` as an array of the dtype, and in the library, of ``like``; arrays as they are."""
    if hasattr(x, "shape"):
        return x
    here = value_of(like)
    kin: Any = {} if isinstance(here, np.generic) else {"like": here}
    return np.asarray(x, like.dtype, **kin)


@implements(np.full_like)
def full_like(
    a: Array, fill_value: Any, dtype: Any = None, order: str = "K", subok: bool = True,
    shape: Any = None, *, device: Any = None,
) -> Array:
    """Recorded where the value to fill with is a Tensor; ``a`` gives shape and dtype only."""
    like = value_of(a)
    if not isinstance(fill_value, Node):
        return np.full_like(like, fill_value, dtype, shape=shape)
    target = like.dtype if dtype is None else np.dtype(dtype)
    return broadcast_to(astype(fill_value, target), like.shape if shape is None else shape)
