"""Losses: how far a batch of predictions is from its targets, as one number to minimise.

Each is the negative log-likelihood of an output unit, in the form that does not overflow, and
averages over the batch. Shapes must match exactly: a prediction of shape (64, 1) against a target
of shape (64,) would broadcast to (64, 64) and train on nonsense. An empty batch is an error.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import autograd_core as ag

from .lookup import by_name

__all__ = ["bce_with_logits", "cross_entropy", "get", "mse"]


def _same_shape(name: str, prediction: Any, target: Any) -> Any:
    """The target as an array in the prediction's dtype if it holds integers.

    Raises unless its shape is the prediction's.
    """
    if not hasattr(target, "shape"):
        target = np.asarray(target)
    if target.shape != prediction.shape:
        hint = ""
        if prediction.shape == (*target.shape, 1):
            hint = "; write `target[:, None]`, or `prediction[:, 0]`"
        elif target.shape == (*prediction.shape, 1):
            hint = "; write `target[:, 0]`, or `prediction[:, None]`"
        raise ag.ShapeError(
            f"{name}: the prediction has shape {tuple(prediction.shape)} but the target "
            f"{tuple(target.shape)}; they must be equal{hint}"
        )
    if 0 in target.shape:
        raise ag.ShapeError(f"{name}: an empty batch, of shape {tuple(target.shape)}, has no mean")
    if target.dtype.kind in "iub":  # int64 with float32 would make float64
        target = target.astype(prediction.dtype)
    return target


def mse(prediction: Any, target: Any) -> Any:
    """Mean squared error, Σ (prediction - target)² / n over all elements.

    The negative log-likelihood of a Gaussian of fixed variance, up to constants; minimised by the
    conditional mean. Both arguments have the same shape.
    """
    target = _same_shape("mse", prediction, target)
    return np.square(prediction - target).mean()


def bce_with_logits(logits: Any, target: Any) -> Any:
    """Binary cross-entropy of sigmoid(logits), averaged over all elements.

    -y ln σ(z) - (1 - y) ln(1 - σ(z)) = ln(1 + eᶻ) - y z. Both arguments have the same shape;
    targets are 0 or 1, or probabilities between.
    """
    target = _same_shape("bce_with_logits", logits, target)
    return (ag.softplus(logits) - logits * target).mean()


def cross_entropy(logits: Any, labels: Any) -> Any:
    """Cross-entropy of softmax(logits) with integer labels, averaged over the batch.

    -ln softmax(z)_y = ln Σ eᶻ - z_y. ``logits`` of shape (batch, classes), ``labels`` of shape
    (batch,) with integers in [0, classes).

    Raises :class:`ag.ShapeError` for other shapes, ``TypeError`` for labels that are no integers
    and ``ValueError`` for a label out of range.
    """
    if not hasattr(labels, "dtype"):
        labels = np.asarray(labels)
    shape = logits.shape
    if len(shape) != 2 or labels.shape != shape[:1]:
        raise ag.ShapeError(
            f"cross_entropy: logits of shape {tuple(shape)} and labels of shape "
            f"{tuple(labels.shape)}; they must be (batch, classes) and (batch,)"
            + ("; for one-hot targets pass `targets.argmax(1)`" if labels.shape == shape else "")
        )
    n, classes = shape
    if not n:
        raise ag.ShapeError(f"cross_entropy: an empty batch, of shape {tuple(shape)}, has no mean")
    ag.callback(check_labels, labels, classes)  # at every call, also where this is compiled
    # Not logsumexp(logits) - chosen: in float32, ln(e¹⁰⁰⁰ + e¹⁰⁰⁰) - 1000 has four digits of ln 2.
    return -ag.log_softmax(logits, axis=1)[np.arange(n), labels].mean()


#: Integers as unsigned ones of the same bytes, whichever their order.
_UNSIGNED = {
    np.dtype(f"{order}i{size}"): np.dtype(f"{order}u{size}")
    for order in "<>" for size in (1, 2, 4, 8)
}


def check_labels(labels: Any, classes: int) -> None:
    """Raise unless every label is an integer in [0, classes)."""
    dtype = labels.dtype
    if dtype.kind not in "iu":
        raise TypeError(f"cross_entropy: labels must be integers, got {dtype}")
    # One pass instead of two: seen as unsigned, a negative integer has its highest bit set.
    seen = labels.view(_UNSIGNED.get(dtype, dtype))
    limit = classes if dtype.kind == "u" else min(classes, 1 << (8 * dtype.itemsize - 1))
    if np.maximum.reduce(seen, None) >= limit:
        wrong = labels[(labels < 0) | (labels >= classes)][0]
        raise ValueError(
            f"cross_entropy: label {wrong} is out of range for {classes} classes (0 to "
            f"{classes - 1})"
        )


_BY_NAME = {"bce_with_logits": bce_with_logits, "cross_entropy": cross_entropy, "mse": mse}


def get(loss: Any) -> Any:
    """The loss of this name, or the function itself.

    Raises ``ValueError`` with the known names for an unknown one.
    """
    return by_name("loss", loss, _BY_NAME)
