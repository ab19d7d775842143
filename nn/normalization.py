"""Normalisation: activations brought to mean 0 and variance 1, then to a learned scale."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

import autograd_core as ag

from .checks import as_array, check_sizes
from .module import Buffer, Module, Parameter

__all__ = ["BatchNorm1d", "BatchNorm2d", "LayerNorm"]


def _check_eps(name: str, eps: float) -> None:
    if not eps > 0:
        raise ValueError(f"{name}: eps must be positive, got {eps}: a variance may be 0")


class LayerNorm(Module):
    """Each sample by its own mean and variance: y = γ (x - μ) / √(σ² + ε) + β.

    μ and σ² are those over the last axes of ``x``, of sizes ``shape``; σ² divides by their number.
    The same in training and evaluation. Parameters, with ``affine=True``: ``weight`` γ, initially
    1, and ``bias`` β, initially 0, both of that shape.

    Source: Ba, Kiros, Hinton, "Layer normalization" (2016), equation 4.

    >>> nn.LayerNorm(3)(np.array([[1.0, 2.0, 3.0]])).numpy(force=True).round(3)
    array([[-1.225,  0.   ,  1.225]])
    """

    def __init__(
        self, shape: int | Sequence[int], eps: float = 1e-5, affine: bool = True,
        dtype: Any = np.float32,
    ) -> None:
        self.shape = (shape,) if isinstance(shape, int) else tuple(shape)
        check_sizes("LayerNorm", *self.shape)
        _check_eps("LayerNorm", eps)
        self.eps = eps
        self.weight = Parameter(np.ones(self.shape, dtype), label="γ") if affine else None
        self.bias = Parameter(np.zeros(self.shape, dtype), label="β") if affine else None

    def forward(self, x: Any) -> Any:
        x = as_array(x)
        size = tuple(x.shape)
        if size[len(size) - len(self.shape) :] != self.shape or len(size) < len(self.shape):
            raise ag.ShapeError(
                f"LayerNorm: the input has shape {size}; its last axes must be {self.shape}"
            )
        axes = tuple(range(-len(self.shape), 0))
        centred = x - x.mean(axes, keepdims=True)
        variance = np.square(centred).mean(axes, keepdims=True)
        y = centred / np.sqrt(variance + self.eps)
        return y if self.weight is None else y * self.weight + self.bias

    def describe(self) -> str:
        return f"LayerNorm({', '.join(map(str, self.shape))})"


class _BatchNorm(Module):
    #: How many axes an input may have.
    axes: tuple[int, ...]

    def __init__(
        self,
        n: int,
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = True,
        dtype: Any = np.float32,
    ) -> None:
        name = type(self).__name__
        check_sizes(name, n)
        _check_eps(name, eps)
        if not 0 < momentum <= 1:
            raise ValueError(f"{name}: momentum must be in (0, 1], got {momentum}")
        self.n, self.eps, self.momentum = n, eps, momentum
        self.weight = Parameter(np.ones(n, dtype), label="γ") if affine else None
        self.bias = Parameter(np.zeros(n, dtype), label="β") if affine else None
        self.running_mean = Buffer(np.zeros(n, dtype), label="running mean")
        self.running_var = Buffer(np.ones(n, dtype), label="running variance")

    def forward(self, x: Any) -> Any:
        x = as_array(x)
        shape = tuple(x.shape)
        name = type(self).__name__
        if len(shape) not in self.axes or shape[1] != self.n:
            raise ag.ShapeError(
                f"{name}: the input has shape {shape}; it must have "
                f"{' or '.join(map(str, self.axes))} axes, the second of size {self.n}"
            )
        along = (1, self.n) + (1,) * (len(shape) - 2)
        if self.training:
            axes = (0, *range(2, len(shape)))
            count = math.prod(shape) // self.n
            if count < 2:
                raise ag.ShapeError(
                    f"{name}: an input of shape {shape} has one value per feature, which is its "
                    "own mean; in training a batch needs two samples or more"
                )
            mean = x.mean(axes, keepdims=True)
            centred = x - mean
            variance = np.square(centred).mean(axes, keepdims=True)
            with ag.no_grad():
                self._follow(self.running_mean, mean.reshape(self.n))
                self._follow(self.running_var, variance.reshape(self.n) * (count / (count - 1)))
        else:
            centred = x - self.running_mean.reshape(along)
            variance = self.running_var.reshape(along)
        y = centred / np.sqrt(variance + self.eps)
        if self.weight is None or self.bias is None:
            return y
        return y * self.weight.reshape(along) + self.bias.reshape(along)

    def _follow(self, running: Buffer, now: Any) -> None:
        """Move a running estimate towards that of this batch."""
        running.assign((1 - self.momentum) * running + self.momentum * now)

    def describe(self) -> str:
        return f"{type(self).__name__}({self.n})"


class BatchNorm1d(_BatchNorm):
    """Each feature by its mean and variance over the batch: y = γ (x - μ) / √(σ² + ε) + β.

    ``x`` has shape (batch, n) or (batch, n, length); μ and σ² are over all axes but the second. In
    training they are those of the batch, which must hold two values or more per feature; in
    evaluation the buffers ``running_mean`` and ``running_var``, which each training batch moves:
    r ← (1 - momentum) r + momentum s, where s is the batch's mean, or its variance divided by one
    less than the number of values. Buffers are part of the state dict. Parameters, with
    ``affine=True``: ``weight`` γ, initially 1, and ``bias`` β, initially 0, of shape (n,).

    Source: Ioffe, Szegedy, "Batch normalization" (2015), algorithms 1 and 2.

    >>> norm = nn.BatchNorm1d(2, momentum=0.5)
    >>> norm(np.array([[1.0, 10.0], [3.0, 30.0]], np.float32)).numpy(force=True).round(3).tolist()
    [[-1.0, -1.0], [1.0, 1.0]]
    >>> norm.running_mean.tolist()
    [1.0, 10.0]
    """

    axes = (2, 3)


class BatchNorm2d(_BatchNorm):
    """:class:`BatchNorm1d` for images of shape (batch, n, height, width), n being the channels.

    >>> nn.BatchNorm2d(3)(np.zeros((2, 3, 4, 4), np.float32)).shape
    (2, 3, 4, 4)
    """

    axes = (4,)
