"""The learning rules before back-propagation: one layer, one sample at a time."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

import autograd_core as ag

from .data import checked_data
from .history import History
from .module import Module, Parameter

__all__ = ["delta_fit", "delta_rule", "perceptron_fit", "perceptron_rule"]


def perceptron_rule(weight: Any, bias: Any, x: Any, target: Any, lr: float = 1.0) -> Any:
    """One correction of a perceptron, y = 1 if w · x + b > 0, else 0:

    w ← w + η (d - y) x,  b ← b + η (d - y).

    ``x`` of shape (n_in,); ``weight`` (n_in,) with ``bias`` and ``target`` d of shape (), or, for
    several units, (n_in, n_out) with (n_out,); targets are 0 or 1. Returns the new weight, the new
    bias and the error d - y, and changes nothing: Tensors make a graph.

    Source: Rosenblatt, "The perceptron: a probabilistic model for information storage and
    organization in the brain" (1958).

    >>> nn.perceptron_rule(np.zeros(2), 0.0, np.array([1.0, 2.0]), 1.0)
    (array([1., 2.]), np.float64(1.0), np.float64(1.0))
    """
    error = target - (x @ weight + bias > 0)
    return (*_corrected(weight, bias, x, error, lr), error)


def delta_rule(weight: Any, bias: Any, x: Any, target: Any, lr: float = 0.01) -> Any:
    """One correction of a linear unit, v = w · x + b, against the squared error ½ e²:

    Δw = μ e x,  Δb = μ e,  with  e = d - v.

    Shapes and results as :func:`perceptron_rule`; targets are any numbers.

    Source: Widrow, Hoff, "Adaptive switching circuits" (1960).

    >>> nn.delta_rule(np.zeros(2), 0.0, np.array([1.0, 2.0]), 0.5, lr=0.1)
    (array([0.05, 0.1 ]), np.float64(0.05), np.float64(0.5))
    """
    error = target - (x @ weight + bias)
    return (*_corrected(weight, bias, x, error, lr), error)


def _corrected(weight: Any, bias: Any, x: Any, error: Any, lr: float) -> tuple[Any, Any]:
    step = lr * error
    return weight + (x if len(weight.shape) == 1 else x[:, None]) * step, bias + step


def perceptron_fit(
    model: Module, X: Any, y: Any, *, lr: float = 1.0, epochs: int = 100,
    seed: int | np.random.Generator | None = None,
) -> History:
    """Train a perceptron by :func:`perceptron_rule` until it makes no mistake.

    ``model``: a module with a ``weight`` and a ``bias`` (``Neuron``, ``Linear``), of which only
    these are used; ``X`` of shape (samples, n_in), ``y`` of zeros and ones, of shape (samples,) for
    one unit. Samples come in their order, or in a new one each epoch if there is a ``seed``.
    ``history["errors"]`` counts the corrections of each epoch, ``history.converged`` says whether
    the last one had none.

    For classes that a plane separates with margin γ, max ‖x‖ = R, at most (R/γ)² corrections are
    made (Novikoff, "On convergence proofs for perceptrons", 1962). For others, XOR say, it never
    ends: after ``epochs`` a ``RuntimeWarning`` says so.

    Raises ``ValueError`` for targets other than 0 and 1, and what :func:`delta_fit` raises.

    >>> X = [[0, 0], [0, 1], [1, 0], [1, 1]]
    >>> nn.perceptron_fit(nn.Neuron(2, rng=0), X, [0, 0, 0, 1]).converged
    True
    """
    weight, bias, inputs, targets = _prepared("perceptron_fit", model, X, y, epochs)
    if not np.isin(targets, (0, 1)).all():
        wrong = targets[~np.isin(targets, (0, 1))][0]
        raise ValueError(f"perceptron_fit: targets are 0 or 1, got {wrong}")
    rng = None if seed is None else np.random.default_rng(seed)
    history = History()
    history.converged = False
    w, b = weight.numpy(force=True), bias.numpy(force=True)
    for _ in range(epochs):
        errors = 0
        for i in range(len(inputs)) if rng is None else rng.permutation(len(inputs)):
            w, b, error = perceptron_rule(w, b, inputs[i], targets[i], lr)
            errors += int(np.count_nonzero(error))
        history.append(errors=errors)
        if not errors:
            history.converged = True
            break
    weight.assign(w)
    bias.assign(b)
    if not history.converged:
        warnings.warn(
            f"perceptron_fit: {history['errors'][-1] if epochs else 'no'} mistakes remain after "
            f"{epochs} epochs; no plane may separate the classes (as for XOR, which needs a hidden "
            "layer), or more epochs are needed",
            RuntimeWarning, stacklevel=2,
        )
    return history


def delta_fit(
    model: Module, X: Any, y: Any, *, lr: float = 0.01, epochs: int = 100, tolerance: float = 0.0,
    seed: int | np.random.Generator | None = None,
) -> History:
    """Train a linear unit by :func:`delta_rule`, sample by sample.

    ``model``, ``X`` and the order of samples as for :func:`perceptron_fit`; ``y`` holds any
    numbers. ``history["loss"]`` is the mean of ½ e² before each correction. It ends early when that
    is at most ``tolerance``; ``history.converged`` says whether it did.

    It converges for μ < 2 / max ‖(x, 1)‖²; raises ``FloatingPointError`` where it diverges,
    :class:`ag.ShapeError` and ``TypeError`` for data or a model that do not fit, before anything is
    changed.

    >>> neuron = nn.Neuron(1, None, rng=0, dtype=np.float64)
    >>> history = nn.delta_fit(neuron, [[0.0], [1.0]], [1.0, 3.0], lr=0.3, tolerance=1e-12)
    >>> history.converged, neuron.weight.item(), neuron.bias.item()
    (True, 1.99999..., 1.00000...)
    """
    weight, bias, inputs, targets = _prepared("delta_fit", model, X, y, epochs)
    rng = None if seed is None else np.random.default_rng(seed)
    history = History()
    history.converged = False
    w, b = weight.numpy(force=True), bias.numpy(force=True)
    for epoch in range(1, epochs + 1):
        total = 0.0
        with np.errstate(over="ignore", invalid="ignore"):  # said below
            for i in range(len(inputs)) if rng is None else rng.permutation(len(inputs)):
                w, b, error = delta_rule(w, b, inputs[i], targets[i], lr)
                total += 0.5 * float(np.sum(np.square(error)))
        loss = total / len(inputs)
        if not np.isfinite(loss):
            raise FloatingPointError(
                f"delta_fit: the loss is {loss} in epoch {epoch}; the learning rate {lr} is too "
                "large for these inputs"
            )
        history.append(loss=loss)
        if loss <= tolerance:
            history.converged = True
            break
    weight.assign(w)
    bias.assign(b)
    return history


def _prepared(name: str, model: Module, X: Any, y: Any, epochs: int) -> tuple[
    Parameter, Parameter, np.ndarray, np.ndarray
]:
    if epochs < 0:
        raise ValueError(f"{name}: epochs={epochs} make no training")
    own = dict(model.named_parameters())
    if own.keys() != {"weight", "bias"}:
        raise TypeError(
            f"{name}: needs a module with a weight and a bias alone (nn.Neuron, nn.Linear), got "
            f"{sorted(own)}"
        )
    weight, bias = own["weight"], own["bias"]
    inputs, targets = checked_data(name, X, y, ("X", "y"), weight.dtype)
    targets = targets.astype(weight.dtype)
    expected = (len(inputs), *weight.shape[1:])
    if inputs.shape[1:] != weight.shape[:1] or targets.shape != expected:
        raise ag.ShapeError(
            f"{name}: a weight of shape {weight.shape} needs X of shape (samples, "
            f"{weight.shape[0]}) and y of shape {('samples', *weight.shape[1:])}, got "
            f"{inputs.shape} and {targets.shape}"
        )
    return weight, bias, inputs, targets

