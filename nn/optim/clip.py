"""Gradients of limited size, eagerly and in a compiled step."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

import autograd_core as ag

from ..module import Parameter

__all__ = ["clip_grad_norm", "clip_grad_value", "clipped_norm", "clipped_value", "global_norm"]


def global_norm(gradients: Iterable[Any]) -> Any:
    """√Σ ‖g‖² over all arrays, in float64, so that squares of float32 do not overflow."""
    total: Any = 0.0
    for g in gradients:
        flat = g.reshape(-1).astype(np.float64, copy=False)
        total = total + flat @ flat
    return np.sqrt(total)


def clipped_norm(gradients: Sequence[Any], limit: float) -> tuple[Any, list[Any]]:
    """The global norm, and the gradients (None where there is none) scaled to at most ``limit``."""
    given = [g for g in gradients if g is not None]
    norm = global_norm(given)
    if not ag.is_compiling() and norm <= limit:  # times 1.0, without computing it
        return norm, list(gradients)
    # A norm that is not finite makes NaN of all: scaled by 0, the explosion would go unseen.
    scale = np.where(np.isfinite(norm), limit / np.maximum(norm, limit), np.nan)
    return norm, [None if g is None else g * scale.astype(g.dtype) for g in gradients]


def clipped_value(gradients: Sequence[Any], limit: float) -> list[Any]:
    """The gradients (None where there is none), each element limited to [-limit, limit]."""
    return [None if g is None else np.clip(g, -limit, limit) for g in gradients]


def _positive(name: str, limit: float) -> None:
    if not limit > 0:
        raise ValueError(f"{name}: a gradient is clipped to a positive size, got {limit}")


def _gradients(parameters: Iterable[Parameter]) -> tuple[list[Parameter], list[Any]]:
    found = [p for p in parameters if p.grad is not None]
    return found, [p.grad for p in found]


def clip_grad_norm(parameters: Iterable[Parameter], max_norm: float) -> Any:
    """Scale all gradients together so that their norm is at most ``max_norm``:

    g ← g · c / max(c, ‖g‖),  ‖g‖ = √Σ_p ‖g_p‖².

    Between ``backward`` and ``step``; sets ``.grad`` and returns the norm before. In a compiled
    function it is recorded, and the norm is a Tensor. A norm that is not finite makes all gradients
    NaN, for the loss to show it. An optimiser does the same with ``clip_norm=``.

    Raises ``ValueError`` unless ``max_norm`` is positive.

    Source: Pascanu, Mikolov, Bengio, "On the difficulty of training recurrent neural networks"
    (2013), algorithm 1.

    >>> p = nn.Parameter([0.0, 0.0])
    >>> p.grad = np.array([30.0, 40.0])
    >>> nn.optim.clip_grad_norm([p], 1.0), p.grad
    (50.0, array([0.6, 0.8]))
    """
    _positive("clip_grad_norm", max_norm)
    with ag.no_grad():
        found, gradients = _gradients(parameters)
        norm, scaled = clipped_norm(gradients, max_norm)
        for parameter, g in zip(found, scaled, strict=True):
            parameter.grad = g
    return norm if isinstance(norm, ag.Tensor) else float(norm)


def clip_grad_value(parameters: Iterable[Parameter], limit: float) -> None:
    """Limit each element of all gradients to [-limit, limit].

    Between ``backward`` and ``step``; sets ``.grad``. It changes the direction, which
    :func:`clip_grad_norm` keeps. An optimiser does the same with ``clip_value=``.

    Raises ``ValueError`` unless ``limit`` is positive.

    Source: Mikolov, "Statistical language models based on neural networks" (2012), section 3.2.

    >>> p = nn.Parameter([0.0, 0.0])
    >>> p.grad = np.array([-3.0, 0.5])
    >>> nn.optim.clip_grad_value([p], 1.0)
    >>> p.grad
    array([-1. ,  0.5])
    """
    _positive("clip_grad_value", limit)
    with ag.no_grad():
        found, gradients = _gradients(parameters)
        for parameter, g in zip(found, clipped_value(gradients, limit), strict=True):
            parameter.grad = g
