"""Activations: functions from pre-activations z to activations, element by element."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

import autograd_core as ag

from .lookup import by_name

__all__ = ["Activation", "get", "identity", "relu", "sigmoid", "tanh"]

Activation: TypeAlias = Callable[[Any], Any]


def identity(z: Any) -> Any:
    """z, for linear units."""
    return z


def relu(z: Any) -> Any:
    """max(z, 0), with slope 0 at 0.

    Source: Glorot, Bordes, Bengio, "Deep sparse rectifier neural networks" (2011).
    """
    return ag.relu(z)


def sigmoid(z: Any) -> Any:
    """1 / (1 + exp(-z)), in (0, 1); it does not overflow."""
    return ag.sigmoid(z)


def tanh(z: Any) -> Any:
    """(exp(z) - exp(-z)) / (exp(z) + exp(-z)) = 2 sigmoid(2z) - 1, in (-1, 1)."""
    return z.tanh() if isinstance(z, ag.Tensor) else np.tanh(z)


_BY_NAME: dict[str, Activation] = {
    "identity": identity,
    "linear": identity,
    "relu": relu,
    "sigmoid": sigmoid,
    "tanh": tanh,
}


def get(activation: str | Activation | None) -> Activation:
    """The activation of this name, or the function itself; ``None`` is the identity.

    Raises ``ValueError`` with the known names for an unknown one.
    """
    if activation is None:
        return identity
    return by_name("activation", activation, _BY_NAME)
