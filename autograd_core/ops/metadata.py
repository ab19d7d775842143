"""Functions that ask rather than compute, that are not differentiable, or that are refused."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..node import Array
from ..op import METADATA, REFUSED, define, implements, refuse_options

METADATA.update(
    (
        np.shape, np.ndim, np.size, np.result_type, np.can_cast, np.min_scalar_type,
        np.common_type, np.iscomplexobj, np.isrealobj, np.may_share_memory, np.shares_memory,
        np.zeros_like, np.ones_like, np.empty_like,
        np.array_equal, np.array_equiv, np.allclose,
        np.array_repr, np.array_str, np.array2string,
    )
)

argsort_ = define(
    "argsort", lambda x, axis, kind: np.argsort(x, axis, kind), None, "the order that sorts x"
)
searchsorted_ = define(
    "searchsorted", lambda a, v, side: np.searchsorted(a, v, side), None, "where v belongs in a"
)
isclose_ = define(
    "isclose",
    lambda a, b, rtol, atol, equal_nan: np.isclose(a, b, rtol, atol, equal_nan), None, "a ≈ b",
)


@implements(np.argsort)
def argsort(
    a: Array, axis: int = -1, kind: Any = None, order: None = None, *, stable: bool | None = None
) -> Array:
    refuse_options("argsort", order=order)
    return argsort_(a, axis=axis, kind="stable" if stable else kind)


@implements(np.searchsorted)
def searchsorted(a: Array, v: Array, side: str = "left", sorter: None = None) -> Array:
    refuse_options("searchsorted", sorter=sorter)
    return searchsorted_(a, v, side=side)


@implements(np.isclose)
def isclose(
    a: Array, b: Array, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
) -> Array:
    return isclose_(a, b, rtol=rtol, atol=atol, equal_nan=equal_nan)


# A refusal says what to do instead. -------------------------------------------------------------

_WRITES = "it writes into its first argument; use `y = x.at[index].set(value)`"
_FILES = "it takes plain values; pass `t.detach().numpy()`"
_NO_RULE = "it has no derivative rule yet; `ag.primitive` adds one"

for _function in (np.copyto, np.put, np.putmask, np.place, np.put_along_axis, np.fill_diagonal):
    REFUSED[_function] = _WRITES
for _function in (np.save, np.savez, np.savez_compressed, np.savetxt):
    REFUSED[_function] = _FILES
