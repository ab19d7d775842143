"""Gradients of a model's loss from values alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import nn


def slopes(f: Callable[[], Any], parameter: nn.Parameter, h: float = 1e-5) -> np.ndarray:
    """∂f/∂parameter by central differences, element by element; ``f`` returns a number."""
    start = np.array(parameter.numpy(force=True))
    result = np.zeros(start.shape)
    for i in np.ndindex(start.shape):
        values = []
        for side in (h, -h):
            moved = np.array(start)
            moved[i] += side
            parameter.assign(moved[()])
            values.append(float(f()))
        result[i] = (values[0] - values[1]) / (2 * h)
    parameter.assign(start[()])
    return result


def slopes_of_array(f: Callable[[np.ndarray], Any], x: np.ndarray, h: float = 1e-5) -> np.ndarray:
    """∂f/∂x by central differences for a function of an array that returns an array or number.

    Shape: that of ``f``'s result, then that of ``x``.
    """
    columns = []
    for i in np.ndindex(x.shape):
        forth, back = np.array(x), np.array(x)
        forth[i] += h
        back[i] -= h
        columns.append((np.asarray(f(forth)) - np.asarray(f(back))) / (2 * h))
    stacked = np.stack(columns, axis=-1)
    return stacked.reshape(*stacked.shape[:-1], *x.shape)
