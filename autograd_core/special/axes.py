"""Along axes: logsumexp, softmax, log_softmax."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..node import Array
from ..op import lift
from ..ops import reductions
from ..ops.flow import stop_gradient


def softmax(x: Array, axis: reductions.Axis = None) -> Array:
    """exp(x) / Σ exp(x) along ``axis``, by default over all elements; without overflow."""
    return reductions.softmax(x, axis)


def log_softmax(x: Array, axis: reductions.Axis = None) -> Array:
    """ln softmax(x) along ``axis``, by default over all elements; exact where softmax is 0."""
    return reductions.log_softmax(x, axis)


def logsumexp(
    a: Array, axis: reductions.Axis = None, b: Array | None = None, keepdims: bool = False,
    return_sign: bool = False,
) -> Any:
    """ln Σ b exp(a) along ``axis``, by default over all elements; without overflow.

    ``b`` are weights that broadcast against ``a``, 1 unless given; where a weight is 0, ``a`` does
    not count, even if infinite or the largest. A negative sum gives NaN, or with ``return_sign``
    the pair (ln |Σ b exp(a)|, its sign). Differentiable by ``a`` and ``b``.
    """
    a = lift(a)
    if b is None and not return_sign:
        return reductions.logsumexp(a, axis, keepdims)
    b = np.ones_like(a) if b is None else lift(b)
    unweighted = b == 0
    # The maximum cancels from the result, and so from its derivative.
    top = stop_gradient(np.max(np.where(unweighted, -math.inf, a), axis=axis, keepdims=True))
    top = np.where(np.isfinite(top), top, 0)
    exponent = a - top
    # What has weight 0 is not below the maximum, yet has a finite influence through its weight.
    largest = 700 if exponent.dtype.itemsize == 8 else 80
    exponent = np.where(unweighted, np.minimum(exponent, largest), exponent)
    total = np.sum(b * np.exp(exponent), axis=axis, keepdims=keepdims)
    size = np.log(np.absolute(total) if return_sign else total) + np.reshape(top, total.shape)
    return (size, np.sign(total)) if return_sign else size
