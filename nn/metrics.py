"""Metrics: how good predictions are, as people read it. Plain NumPy, of (prediction, target)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

import numpy as np

import autograd_core as ag

from .lookup import by_name

__all__ = ["Metric", "accuracy", "larger_is_better", "mae", "mse", "named", "r2", "rmse"]

Metric: TypeAlias = Callable[[np.ndarray, np.ndarray], float]


def accuracy(prediction: np.ndarray, target: np.ndarray, threshold: float = 0.0) -> float:
    """The share of samples of which the class is right.

    ``prediction`` of shape (samples, classes) against labels (samples,) or one-hot rows: the class
    of the highest score. Of any other shape, equal to the target's or with one more axis of 1: a
    score above ``threshold`` (0 for logits, 0.5 for probabilities) is class 1, all else class 0.

    Raises :class:`ag.ShapeError` for other shapes.

    >>> nn.metrics.accuracy(np.array([[2.0, 1.0], [0.0, 3.0]]), np.array([0, 0]))
    0.5
    >>> nn.metrics.accuracy(np.array([-1.0, 2.0]), np.array([0, 1]))
    1.0
    """
    prediction, target = np.asarray(prediction), np.asarray(target)
    if prediction.ndim == target.ndim + 1 and prediction.shape[:-1] == target.shape:
        if prediction.shape[-1] > 1:
            return float(np.mean(prediction.argmax(-1) == target))
        prediction = prediction[..., 0]
    if prediction.shape != target.shape:
        raise ag.ShapeError(
            f"accuracy: predictions of shape {prediction.shape} against targets of shape "
            f"{target.shape}"
        )
    if target.ndim > 1 and target.shape[-1] > 1 and np.all(np.sum(target, axis=-1) == 1):
        return float(np.mean(prediction.argmax(-1) == target.argmax(-1)))
    return float(np.mean((prediction > threshold) == (target > 0.5)))


def _difference(name: str, prediction: np.ndarray, target: np.ndarray) -> np.ndarray:
    if prediction.shape != target.shape:
        raise ag.ShapeError(
            f"{name}: predictions of shape {prediction.shape} against targets of shape "
            f"{target.shape}"
        )
    difference: np.ndarray = np.subtract(prediction, target, dtype=np.float64)
    return difference


def mae(prediction: np.ndarray, target: np.ndarray) -> float:
    """The mean absolute error, Σ |prediction - target| / n.

    >>> nn.metrics.mae(np.array([1.0, 3.0]), np.array([1.0, 1.0]))
    1.0
    """
    return float(np.mean(np.abs(_difference("mae", prediction, target))))


def mse(prediction: np.ndarray, target: np.ndarray) -> float:
    """The mean squared error, Σ (prediction - target)² / n.

    >>> nn.metrics.mse(np.array([1.0, 3.0]), np.array([1.0, 1.0]))
    2.0
    """
    return float(np.mean(np.square(_difference("mse", prediction, target))))


def rmse(prediction: np.ndarray, target: np.ndarray) -> float:
    """The root of the mean squared error, in the units of the target.

    >>> nn.metrics.rmse(np.array([2.0, 0.0]), np.array([0.0, 2.0]))
    2.0
    """
    return float(np.sqrt(np.mean(np.square(_difference("rmse", prediction, target)))))


def r2(prediction: np.ndarray, target: np.ndarray) -> float:
    """The share of the variance that is explained, 1 - Σ (prediction - target)² / Σ (target - ȳ)².

    Summed over the samples for each output, then averaged over the outputs. Of a target without
    variance: 1 if it is met exactly, else 0.

    >>> nn.metrics.r2(np.array([0.0, 1.0]), np.array([0.0, 2.0]))
    0.5
    """
    error = np.sum(np.square(_difference("r2", prediction, target)), axis=0)
    spread = np.sum(np.square(target - np.mean(target, axis=0, dtype=np.float64)), axis=0)
    exact = np.where(error == 0, 1.0, 0.0)
    return float(np.mean(np.where(spread > 0, 1 - error / np.where(spread > 0, spread, 1), exact)))


_BY_NAME: dict[str, Metric] = {
    "accuracy": accuracy, "mae": mae, "mse": mse, "r2": r2, "rmse": rmse,
}
_LARGER = ("accuracy", "r2")


def larger_is_better(name: str) -> bool:
    """Whether a metric of this name, maybe on validation data, improves when it grows."""
    return name.removeprefix("val_") in _LARGER


def _name(metric: Metric) -> str:
    return getattr(metric, "__name__", type(metric).__name__)


def named(
    metrics: str | Metric | Iterable[str | Metric] | Mapping[str, str | Metric] | None,
    logits: bool,
) -> dict[str, Metric]:
    """Metrics by name: what was given, where a name stands for the function of that name.

    ``logits``: whether a score of two classes above 0, and not above ½, means class 1.
    """
    given: Any = {} if metrics is None else metrics
    if isinstance(given, str) or callable(given):
        given = [given]
    if not isinstance(given, Mapping):
        given = {m if isinstance(m, str) else _name(m): m for m in given}
    found: dict[str, Metric] = {
        name: by_name("metric", metric, _BY_NAME) for name, metric in given.items()
    }
    if not logits:
        for name, metric in found.items():
            if metric is accuracy:
                found[name] = lambda prediction, target: accuracy(prediction, target, 0.5)
    return found
