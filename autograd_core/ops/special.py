"""Smooth steps and ramps that people build networks from, in forms that do not overflow."""

from __future__ import annotations

import numpy as np

from ..node import Array
from ..op import POSITIVE, case, define, is_complex, refuse_complex

_SHAPES = (case(()), case((3,)), case((2, 3)), case((0,)), case((1, 2)))


def _sigmoid_forward(x: Array) -> Array:
    """1 / (1 + e^-x) as e^min(x, 0) / (1 + e^-|x|): no overflow, tiny results to full precision."""
    if x.dtype.kind == "c" if type(x) is np.ndarray else is_complex(x):
        return 0.5 + 0.5 * np.tanh(0.5 * x)
    return np.exp(np.minimum(x, 0)) / (1 + np.exp(-np.absolute(x)))


sigmoid = define(
    "sigmoid", _sigmoid_forward, (lambda g, y, x: g * (y * (1 - y)),), "1 / (1 + e⁻ˣ)",
    cases=_SHAPES, takes_complex=True,
)
_NOTHING = np.float64(0.0)


def _relu_forward(x: Array) -> Array:
    """max(x, 0). Python decides for a scalar: NumPy would take ten times as long to."""
    if type(x) is np.float64:
        return x if x > 0 or x != x else _NOTHING
    return np.maximum(x, 0)


relu = define(
    "relu", _relu_forward, (lambda g, y, x: g * (x > 0),), "max(x, 0)",
    domain=(POSITIVE,), cases=_SHAPES, takes_complex=True,
)


def _softplus_forward(x: Array) -> Array:
    """max(x, 0) + ln(1 + e^-|x|); as one call where calls, not elements, are what costs time."""
    if type(x) is not np.ndarray or x.dtype.kind == "c":
        refuse_complex("softplus", x)
    if getattr(x, "size", 0) <= 64:
        return np.logaddexp(x, 0)
    return np.maximum(x, 0) + np.log1p(np.exp(-np.absolute(x)))


softplus = define(
    "softplus", _softplus_forward,
    # The slope is sigmoid(x) = 1 - e^-y, which costs a third and is as exact.
    (lambda g, y, x: g * -np.expm1(-y),), "ln(1 + eˣ)",
    cases=_SHAPES,
)
