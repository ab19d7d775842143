"""What the methods of ufuncs do: reduce, accumulate, reduceat, outer.

``np.add.reduce`` is ``np.sum`` with other defaults: along the first axis unless told. The entries
have the signatures of the methods, which all ufuncs share.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from ..node import Array, Node
from ..op import UFUNC_METHODS, UFUNCS, Op, define, lift, refuse_options
from . import reductions
from .indexing import getitem
from .reductions import Axis
from .shaping import (
    astype,
    broadcast_to,
    concatenate,
    lift_like,
    normalise,
    reshape,
    transpose,
)

Reduction = Callable[..., Array]


def _reduce(of: Reduction, *, cast: bool = True) -> Reduction:
    def reduce(
        array: Array, axis: Axis = 0, dtype: Any = None, out: Any = None, keepdims: Any = False,
        initial: Any = np._NoValue, where: Any = np._NoValue,
    ) -> Array:
        _refuse_out("reduce", out)
        options: dict[str, Any] = {"keepdims": keepdims}
        if where is not np._NoValue and where is not True:
            options["where"] = where
        if initial is not np._NoValue and initial is not None:
            options["initial"] = initial
        if dtype is not None and cast:
            array = astype(array, dtype)
        return of(array, axis, **options)

    return reduce


def _refuse_out(method: str, out: Any) -> None:
    refuse_options(method, out=out[0] if isinstance(out, tuple) else out)


def _accumulate(of: Reduction) -> Reduction:
    def accumulate(array: Array, axis: int = 0, dtype: Any = None, out: Any = None) -> Array:
        _refuse_out("accumulate", out)
        if array.ndim == 0:
            raise TypeError("accumulate: needs one axis or more, got shape ()")
        (axis,) = normalise(axis, array.ndim, "axis")
        return of(array if dtype is None else astype(array, dtype), axis)

    return accumulate


def _reduceat(of: Reduction) -> Reduction:
    def reduceat(
        array: Array, indices: Any, axis: int = 0, dtype: Any = None, out: Any = None
    ) -> Array:
        """From each index to the next; the element itself where the next is not further on."""
        _refuse_out("reduceat", out)
        if isinstance(indices, Node):
            raise NotImplementedError(
                "reduceat: indices are read once, so a Tensor's would be frozen; "
                "pass `t.detach().numpy()`"
            )
        (axis,) = normalise(axis, array.ndim, "axis")
        if dtype is not None:
            array = astype(array, dtype)
        before = (slice(None),) * axis
        size = array.shape[axis]
        starts = [int(i) for i in np.asarray(indices, np.intp)]
        pieces = []
        for start, after in zip(starts, [*starts[1:], size], strict=False):
            if not 0 <= start < size:
                raise IndexError(f"reduceat: index {start} out of bounds for size {size}")
            stop = after if after > start else start + 1
            piece = getitem(array, (*before, slice(start, stop)))
            pieces.append(of(piece, axis, keepdims=True))
        return concatenate(pieces or [getitem(array, (*before, slice(0, 0)))], axis)

    return reduceat


def _asked(ufunc: np.ufunc) -> tuple[Reduction, Reduction]:
    """Reduction and running reduction of a ufunc that asks, as ops without a derivative."""
    name = ufunc.__name__

    def forward(x: Array, *where: Array, axis: Axis, keepdims: bool, initial: Any) -> Array:
        some: Any = {"where": where[0]} if where else {}
        return ufunc.reduce(x, axis=axis, keepdims=keepdims, initial=initial, **some)

    reduced = define(f"{name}_reduce", forward, None, f"{name} of all x")

    def reduce(
        x: Array, axis: Axis = 0, keepdims: Any = False, initial: Any = np._NoValue,
        where: Any = None,
    ) -> Array:
        chosen = () if where is None else (lift(where),)
        return reduced(x, *chosen, axis=axis, keepdims=bool(keepdims), initial=initial)

    running = define(
        f"{name}_accumulate", lambda x, axis: ufunc.accumulate(x, axis=axis), None,
        f"running {name} of x",
    )
    return reduce, lambda x, axis: running(x, axis=axis)


_xor_reduce, _xor_accumulate = _asked(np.logical_xor)
_ufunc: np.ufunc
for _ufunc, _whole, _so_far in (
    (np.add, reductions.sum, reductions.cumsum),
    (np.multiply, reductions.prod, reductions.cumprod),
    (np.maximum, reductions.max, reductions.running_max),
    (np.minimum, reductions.min, reductions.running_min),
    (np.logical_and, reductions.all, _asked(np.logical_and)[1]),
    (np.logical_or, reductions.any, _asked(np.logical_or)[1]),
    (np.logical_xor, _xor_reduce, _xor_accumulate),
):
    # A truth has one type: the logical ones take dtype=bool, and nothing is to be cast.
    UFUNC_METHODS[(_ufunc, "reduce")] = _reduce(_whole, cast="logical" not in _ufunc.__name__)
    UFUNC_METHODS[(_ufunc, "accumulate")] = _accumulate(_so_far)
    UFUNC_METHODS[(_ufunc, "reduceat")] = _reduceat(_whole)


def _log_of_sums(
    x: Array, axis: Axis = 0, keepdims: Any = False, initial: Any = None, where: Any = None
) -> Array:
    if where is not None:
        x = np.where(where, x, -np.inf)
    if x.size:
        total = reductions.logsumexp(x, axis, bool(keepdims))
    else:
        total = reductions.sum(x, axis, keepdims=keepdims) - np.inf
    return total if initial is None else np.logaddexp(total, initial)


# The others, element by element. ----------------------------------------------------------------


def _folded(ufunc: np.ufunc) -> Reduction:
    """What ``reduce`` does: from the first element on, or from ``initial``.

    Where the order does not matter, pairs are taken at once, and again pairs of the results.
    """
    name = ufunc.__name__
    of: Any = UFUNCS[ufunc]

    def fold(
        x: Array, axis: Axis = 0, keepdims: Any = False, initial: Any = None, where: Any = None
    ) -> Array:
        x = _in_loop(ufunc, x)
        if x.ndim == 0 and axis in (0, -1):  # as NumPy has it
            axis = ()
        axes = list(range(x.ndim)) if axis is None else normalise(axis, x.ndim, "axis")
        if len(axes) > 1 and not _any_order(ufunc):
            raise ValueError(f"{name}.reduce: the order matters, so that one axis is taken")
        if where is not None and initial is None and ufunc.identity is None:
            raise ValueError(f"{name}.reduce: where= needs initial=, as there is no identity")
        rest = [i for i in range(x.ndim) if i not in axes]
        shape = tuple(x.shape[i] for i in rest)
        n = math.prod(x.shape[i] for i in axes)
        rows = reshape(transpose(x, (*axes, *rest)), (n, *shape))
        start = ufunc.identity if initial is None and (n == 0 or where is not None) else initial
        if start is None and n == 0:
            raise ValueError(f"{name}.reduce: no elements, and no identity")
        chosen = None if where is None else reshape(
            transpose(broadcast_to(lift(where), x.shape), (*axes, *rest)), (n, *shape)
        )
        if start is not None:
            start = broadcast_to(astype(lift_like(start, x), x.dtype), shape)
        if n == 0:  # recorded as a sum of nothing
            result = start + reductions.sum(rows, 0)
        elif _any_order(ufunc):
            neutral = start if ufunc.identity is None else ufunc.identity
            result = _by_pairs(of, rows if chosen is None else np.where(chosen, rows, neutral), n)
            result = result if start is None else of(start, result)
        else:
            result = start
            for i in range(n):
                if result is None:
                    result = rows[i]
                elif chosen is None:
                    result = of(result, rows[i])
                else:
                    result = np.where(chosen[i], of(result, rows[i]), result)
        return reshape(result, tuple(1 if i in axes else k for i, k in enumerate(x.shape))) if (
            keepdims) else result

    return fold


def _in_loop(ufunc: np.ufunc, x: Any) -> Array:
    """``x`` in the type that the ufunc computes with: the results are operands, too."""
    return astype(lift(x), np.float64) if ufunc is np.float_power else lift(x)


def _by_pairs(of: Any, rows: Array, n: int) -> Array:
    while n > 1:
        odd = rows[n - 1 :] if n % 2 else None
        rows = of(rows[0 : n - n % 2 : 2], rows[1:n:2])
        rows = rows if odd is None else concatenate([rows, odd])
        n = (n + 1) // 2
    return rows[0]


@cache
def _any_order(ufunc: np.ufunc) -> bool:
    """Whether NumPy reduces along several axes at once."""
    try:
        ufunc.reduce(np.ones((1, 1)), axis=(0, 1))
    except ValueError:
        return False
    return True


def _accumulated(ufunc: np.ufunc) -> Reduction:
    of: Any = UFUNCS[ufunc]

    def running(x: Array, axis: int) -> Array:
        results: list[Array] = []
        rows = np.moveaxis(_in_loop(ufunc, x), axis, 0)
        for i in range(rows.shape[0]):
            results.append(rows[i] if not results else of(results[-1], rows[i]))
        return np.moveaxis(np.stack(results), 0, axis) if results else x

    return running


for _ufunc in tuple(UFUNCS):
    _op = UFUNCS[_ufunc]
    if not (_ufunc.nin == 2 and _ufunc.nout == 1 and _ufunc.signature is None
            and (_ufunc, "reduce") not in UFUNC_METHODS
            and _ufunc is not np.ldexp):  # which takes two kinds of operands
        continue
    if isinstance(_op, Op) and _op.vjps is None:
        _all, _running = _asked(_ufunc)
    else:
        _all, _running = _folded(_ufunc), _accumulated(_ufunc)
    UFUNC_METHODS[(_ufunc, "reduce")] = _reduce(_all)
    UFUNC_METHODS[(_ufunc, "accumulate")] = _accumulate(_running)
    UFUNC_METHODS[(_ufunc, "reduceat")] = _reduceat(_all)
UFUNC_METHODS[(np.logaddexp, "reduce")] = _reduce(_log_of_sums)
UFUNC_METHODS[(np.logaddexp, "reduceat")] = _reduceat(_log_of_sums)


def outer_of(ufunc: np.ufunc) -> Any:
    def outer(a: Array, b: Array) -> Array:
        a, b = lift(a), lift(b)
        return ufunc(reshape(a, tuple(a.shape) + (1,) * b.ndim), b)

    return outer


for _ufunc in tuple(UFUNCS):
    if _ufunc.nin == 2 and _ufunc.nout == 1 and _ufunc.signature is None:
        UFUNC_METHODS[(_ufunc, "outer")] = outer_of(_ufunc)
