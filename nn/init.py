"""Initial weights. Each function is called as ``f(shape, rng, dtype)``, shape (fan-in, fan-out).

The scale is chosen so that activations and gradients keep their variance from layer to layer;
too small and they vanish with depth, too large and they explode.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from .lookup import by_name

__all__ = [
    "Initializer", "as_rng", "get", "he_normal", "he_uniform", "xavier_normal", "xavier_uniform",
    "zeros",
]

Shape: TypeAlias = tuple[int, ...]
Initializer: TypeAlias = Callable[[Shape, np.random.Generator, Any], np.ndarray]


def as_rng(rng: np.random.Generator | int | None) -> np.random.Generator:
    """A generator from a seed, from nothing (then unpredictable), or as given."""
    return np.random.default_rng(rng)


def _fans(shape: Shape) -> tuple[int, int]:
    """Fan-in and fan-out: how many units feed one unit, and how many it feeds."""
    if len(shape) == 0:
        return 1, 1
    return shape[0], shape[-1] if len(shape) > 1 else 1


def zeros(shape: Shape, rng: np.random.Generator, dtype: Any = np.float32) -> np.ndarray:
    """All zero: for biases. As weights it leaves all units of a layer alike for ever."""
    return np.zeros(shape, dtype)


def he_normal(shape: Shape, rng: np.random.Generator, dtype: Any = np.float32) -> np.ndarray:
    """N(0, 2 / fan_in), for rectifiers, which silence half of their inputs.

    Source: He, Zhang, Ren, Sun, "Delving deep into rectifiers" (2015), equation 10.
    """
    return _normal(shape, rng, dtype, math.sqrt(2.0 / max(1, _fans(shape)[0])))


def he_uniform(shape: Shape, rng: np.random.Generator, dtype: Any = np.float32) -> np.ndarray:
    """U(-a, a) with a = √(6 / fan_in): the variance of :func:`he_normal`."""
    return _uniform(shape, rng, dtype, math.sqrt(6.0 / max(1, _fans(shape)[0])))


def xavier_normal(shape: Shape, rng: np.random.Generator, dtype: Any = np.float32) -> np.ndarray:
    """N(0, 2 / (fan_in + fan_out)), for tanh and other units that are linear near 0.

    Source: Glorot, Bengio, "Understanding the difficulty of training deep feedforward neural
    networks" (2010), equation 12.
    """
    return _normal(shape, rng, dtype, math.sqrt(2.0 / max(1, sum(_fans(shape)))))


def xavier_uniform(shape: Shape, rng: np.random.Generator, dtype: Any = np.float32) -> np.ndarray:
    """U(-a, a) with a = √(6 / (fan_in + fan_out)).

    Source: Glorot, Bengio (2010), equation 16.
    """
    return _uniform(shape, rng, dtype, math.sqrt(6.0 / max(1, sum(_fans(shape)))))


def _normal(shape: Shape, rng: np.random.Generator, dtype: Any, scale: float) -> np.ndarray:
    return (rng.standard_normal(shape) * scale).astype(dtype)


def _uniform(shape: Shape, rng: np.random.Generator, dtype: Any, bound: float) -> np.ndarray:
    return rng.uniform(-bound, bound, shape).astype(dtype)


_BY_NAME: dict[str, Initializer] = {
    "he": he_normal,
    "he_normal": he_normal,
    "he_uniform": he_uniform,
    "xavier": xavier_uniform,
    "xavier_normal": xavier_normal,
    "xavier_uniform": xavier_uniform,
    "zeros": zeros,
}


def get(init: str | Initializer) -> Initializer:
    """The initialiser of this name, or the function itself.

    Raises ``ValueError`` with the known names for an unknown one.
    """
    return by_name("init", init, _BY_NAME)
