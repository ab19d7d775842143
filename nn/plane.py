"""A model over the plane: which points to ask it about, and how to read what it answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import autograd_core as ag

from . import losses
from .module import Module
from .training import predict

__all__ = ["Task", "bounds", "cells", "points_of"]

_MARGIN = 0.12


def points_of(caller: str, X: Any) -> np.ndarray:
    """``X`` as an array of shape (samples, 2)."""
    points = np.asarray(X)
    if points.ndim != 2 or points.shape[1] != 2 or not len(points):
        raise ag.ShapeError(
            f"{caller}: X has shape {points.shape}; a decision surface needs (samples, 2)")
    return points


def bounds(X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The lower left and the upper right corner of a frame around points."""
    low, high = X.min(0).astype(np.float64), X.max(0).astype(np.float64)
    span = np.where(high > low, high - low, 1.0)
    return low - _MARGIN * span, high + _MARGIN * span


def cells(low: np.ndarray, high: np.ndarray, n: int) -> np.ndarray:
    """The centres of n times n cells, row by row from the top."""
    along = (np.arange(n) + 0.5) / n
    x = low[0] + along * (high[0] - low[0])
    y = high[1] - along * (high[1] - low[1])
    return np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)


class Task:
    """What is learned: classes or numbers, and the loss that fits."""

    def __init__(
        self, caller: str, model: Module, X: np.ndarray, y: np.ndarray,
        loss: str | Callable[[Any, Any], Any] | None = None,
    ) -> None:
        if len(X) != len(y):
            raise ag.ShapeError(f"{caller}: X has {len(X)} samples but y has {len(y)}")
        shape = predict(model, X[:1]).shape
        self.outputs = shape[1] if len(shape) == 2 else 1
        if len(shape) > 2 or self.outputs < 1:
            raise ag.ShapeError(
                f"{caller}: the model gives shape {shape} for one sample; it must be (1,), "
                "(1, 1) or (1, classes)")
        whole = y.dtype.kind in "iub"
        if y.shape == (len(X),) and self.outputs > 1 and whole:
            self.kind, default = "classes", "cross_entropy"
            self.targets = y.astype(np.int64)
        elif y.size == len(X) and self.outputs == 1:
            binary = bool(np.isin(y, (0, 1)).all())
            self.kind, default = ("binary", "bce_with_logits") if binary else ("number", "mse")
            self.targets = y.reshape(len(X), *shape[1:])
            if self.targets.dtype.kind == "b":
                self.targets = self.targets.astype(np.int64)
        else:
            raise ag.ShapeError(
                f"{caller}: the model has {self.outputs} outputs, but y has dtype {y.dtype} and "
                f"shape {y.shape}; use integer labels of shape ({len(X)},), or one output")
        self.loss = losses.get(default if loss is None else loss)
        self.name = getattr(self.loss, "__name__", default)
        if self.kind == "binary" and self.loss is losses.mse:
            self.kind = "number"

    def surface(self, outputs: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """Per point the number, or the class and by how much it is likelier than the next."""
        raw = outputs.reshape(len(outputs), -1).astype(np.float64)
        if self.kind == "classes":
            shares = np.sort(np.asarray(ag.softmax(raw, axis=1)), axis=1)
            return raw.argmax(1).astype(np.float64), shares[:, -1] - shares[:, -2]
        return (ag.sigmoid(raw[:, 0]) if self.kind == "binary" else raw[:, 0]), None

    def accuracy(self, outputs: np.ndarray) -> float | None:
        raw = outputs.reshape(len(outputs), -1)
        if self.kind == "classes":
            return float((raw.argmax(1) == self.targets).mean())
        if self.kind == "binary":
            return float(((raw[:, 0] > 0) == (self.targets.reshape(-1) > 0.5)).mean())
        return None
