"""Functions that ask rather than compute, that are not differentiable, or that are refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..node import Array
from ..op import METADATA, NO_RULE, REFUSED, define, implements, refuse_options

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
_PLAIN = "it takes plain values; pass `t.detach().numpy()`"

_function: Callable[..., Any]
for _function in (np.copyto, np.put, np.putmask, np.place, np.put_along_axis, np.fill_diagonal):
    REFUSED[_function] = _WRITES
for _function in (
    np.save, np.savez, np.savez_compressed, np.savetxt,
    np.busday_count, np.busday_offset, np.is_busday, np.datetime_as_string,
):
    REFUSED[_function] = _PLAIN

#: What NumPy dispatches and nobody has written a rule for yet. By name, since older releases of
#: NumPy lack some of them. A function that is in no table at all is answered in the same way.
_WITHOUT_RULE = {
    np: """
        bincount bitwise_count digitize gcd geomspace histogram histogram2d
        histogram_bin_edges histogramdd in1d intersect1d iscomplex isin isnat isneginf
        isposinf isreal ix_ lcm lexsort linspace logspace nanargmax nanargmin nanmedian
        nanpercentile nanquantile nextafter packbits poly polyadd polyder polydiv polyfit
        polyint polymul polysub polyval ravel_multi_index roots setdiff1d setxor1d
        sort_complex spacing trapz trim_zeros union1d unique_all unique_counts
        unique_inverse unique_values unpackbits unravel_index
    """,
    np.linalg: """
        eig eigvals
    """,
    np.fft: """
        fft fft2 fftn fftshift hfft ifft ifft2 ifftn ifftshift ihfft irfft irfft2 irfftn
        rfft rfft2 rfftn
    """,
}
for _module, _names in _WITHOUT_RULE.items():
    for _name in _names.split():
        if hasattr(_module, _name):
            REFUSED.setdefault(getattr(_module, _name), NO_RULE)
