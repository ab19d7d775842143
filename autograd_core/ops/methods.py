"""What the methods of ufuncs do: reduce, accumulate, reduceat, outer.

``np.add.reduce`` is ``np.sum`` with other defaults: along the first axis unless told. The entries
have the signatures of the methods, which all ufuncs share.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..node import Array, Node
from ..op import UFUNC_METHODS, UFUNCS, define, lift, refuse_options
from . import reductions
from .indexing import getitem
from .reductions import Axis
from .shaping import astype, concatenate, normalise, reshape

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
    """Reduction and running reduction of a logical ufunc, as ops without a derivative."""
    name = ufunc.__name__
    reduced = define(
        f"{name}_reduce", lambda x, axis, keepdims: ufunc.reduce(x, axis=axis, keepdims=keepdims),
        None, f"{name} of all x",
    )
    running = define(
        f"{name}_accumulate", lambda x, axis: ufunc.accumulate(x, axis=axis), None,
        f"running {name} of x",
    )
    return (
        lambda x, axis, keepdims: reduced(x, axis=axis, keepdims=bool(keepdims)),
        lambda x, axis: running(x, axis=axis),
    )


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
UFUNC_METHODS[(np.logaddexp, "reduce")] = _reduce(
    lambda x, axis, keepdims: reductions.logsumexp(x, axis, bool(keepdims))
)


def _outer(ufunc: np.ufunc) -> Any:
    def outer(a: Array, b: Array) -> Array:
        a, b = lift(a), lift(b)
        return ufunc(reshape(a, tuple(a.shape) + (1,) * b.ndim), b)

    return outer


for _ufunc in tuple(UFUNCS):
    if _ufunc.nin == 2 and _ufunc.nout == 1 and _ufunc.signature is None:
        UFUNC_METHODS[(_ufunc, "outer")] = _outer(_ufunc)
