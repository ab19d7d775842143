"""Random draws: nodes that depend on the state of a generator, and leave it another.

They are impure: computed anew they give other values, so that none may be left out, merged with
another or moved past another. Whoever draws in the same order of the same generator gets the same.
Outside the tables of ops, since no test can compare two calls of one.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from ..node import Array
from ..op import Op, load_special


class Stream:
    """A generator as a static argument of a node: in listings its kind, and not its address."""

    __slots__ = ("generator",)

    def __init__(self, generator: np.random.Generator) -> None:
        self.generator = generator

    def __repr__(self) -> str:
        return type(self.generator.bit_generator).__name__


def _filled(draw: Any, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """What ``draw(size, dtype)`` gives; generators return one value as a float of Python."""
    return draw(shape, dtype) if shape else dtype.type(draw(None, dtype))


def _normal(stream: Stream, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    return _filled(stream.generator.standard_normal, shape, dtype)


def _uniform(stream: Stream, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    return _filled(stream.generator.random, shape, dtype)


def _gamma(alpha: Array, stream: Stream, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    return _filled(partial(stream.generator.standard_gamma, alpha), shape, dtype)


def _gamma_rule(g: Array, y: Array, alpha: Array, **attrs: Any) -> Array:
    """The draw as a function of alpha at a fixed value of its distribution function."""
    return g * load_special().gamma_slope(alpha, y)


standard_normal = Op("standard_normal", _normal, None, "z ~ N(0, 1)", pure=False)
standard_uniform = Op("standard_uniform", _uniform, None, "u ~ U[0, 1)", pure=False)
standard_gamma = Op(
    "standard_gamma", _gamma, (_gamma_rule,), "z ~ Γ(alpha, 1)", domain=((0.4, 2.5),), pure=False
)
