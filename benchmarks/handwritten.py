"""Backpropagation as a careful person writes it in NumPy: the yardstick of every row.

Readable rather than compiled by hand: arrays are updated in place, what the forward pass
computed is kept for the backward pass, and nothing is computed twice or in vain; but
parameters stay separate arrays and nothing is planned ahead for one batch size.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np

from .workloads import Expression, Recurrent, Training


class Handwritten:
    """NumPy, forward and backward passes written out."""

    version = np.__version__

    def training(self, task: Training) -> Callable[[], float]:
        x, labels = task.inputs, task.labels
        parameters = task.initial()
        weights, biases = parameters[0::2], parameters[1::2]
        loss_and_slope = {
            "bce": bce_with_logits,
            "mse": mse,
            "cross_entropy": cross_entropy,
        }[task.loss]
        update = {"sgd": SGD, "adam": Adam}[task.optimizer](parameters, task.learning_rate)
        relu = task.activation == "relu"
        last = len(weights) - 1
        gradients = [np.empty_like(p) for p in parameters]

        def step() -> float:
            activations = [x]
            for i, (w, b) in enumerate(zip(weights, biases, strict=True)):
                z = activations[-1] @ w
                z += b
                if i < last:
                    np.maximum(z, 0.0, out=z) if relu else np.tanh(z, out=z)
                activations.append(z)
            loss, delta = loss_and_slope(activations.pop(), labels)
            for i in range(last, -1, -1):
                h = activations[i]
                np.matmul(h.T, delta, out=gradients[2 * i])
                np.add.reduce(delta, axis=0, out=gradients[2 * i + 1])
                if i > 0:
                    delta = delta @ weights[i].T
                    if relu:
                        delta *= h > 0.0
                    else:
                        h *= h  # no longer needed: make it the slope 1 - tanh(z)^2
                        np.subtract(1.0, h, out=h)
                        delta *= h
            update(gradients)
            return float(loss)

        return step

    def recurrent(self, task: Recurrent) -> Callable[[], float]:
        """The products with all inputs, and with all states but the first, are taken at once."""
        labels = task.labels
        parameters = task.initial()
        wx, wh, b, wo, bo = parameters
        update = SGD(parameters, task.learning_rate)
        gradients = [np.empty_like(p) for p in parameters]
        dwx, dwh, db, dwo, dbo = gradients
        rows = task.inputs.reshape(-1, task.features)  # of all steps, one below the other
        states = np.zeros((task.steps + 1, task.batch, task.hidden), np.float32)
        slopes = np.empty_like(states[1:])

        def step() -> float:
            np.matmul(rows, wx, out=states[1:].reshape(-1, task.hidden))
            states[1:] += b
            for before, z in pairwise(states):
                z += before @ wh
                np.tanh(z, out=z)
            last = states[-1]
            logits = last @ wo
            logits += bo
            loss, delta = cross_entropy(logits, labels)
            np.matmul(last.T, delta, out=dwo)
            np.add.reduce(delta, axis=0, out=dbo)
            np.multiply(states[1:], states[1:], out=slopes)
            np.subtract(1.0, slopes, out=slopes)
            delta = delta @ wo.T
            for slope in slopes[::-1]:  # dL/dz_t takes the place of dh_t/dz_t
                slope *= delta
                delta = slope @ wh.T
            deltas = slopes.reshape(-1, task.hidden)
            np.matmul(rows.T, deltas, out=dwx)
            np.matmul(states[:-1].reshape(-1, task.hidden).T, deltas, out=dwh)
            np.add.reduce(deltas, axis=0, out=db)
            update(gradients)
            return float(loss)

        return step

    def expression(self, task: Expression) -> Callable[[], np.ndarray]:
        x = task.x

        def step() -> np.ndarray:
            a = np.exp(x)
            b = a * a
            c = a + b
            slope = np.exp(c)
            slope += np.cos(c, out=c)
            b *= 2.0
            b += a  # dc/dx = a + 2 a^2
            slope *= b
            return slope

        return step


def bce_with_logits(z: np.ndarray, labels: np.ndarray) -> tuple[np.float32, np.ndarray]:
    """Mean of softplus(z) - z y, and its slope (sigmoid(z) - y) / n.

    Both from e = exp(-|z|), which cannot overflow.
    """
    e = np.exp(-np.abs(z))
    losses = np.maximum(z, 0.0)
    losses -= z * labels
    losses += np.log1p(e)
    slope = np.where(z >= 0.0, 1.0, e)
    e += 1.0
    slope /= e
    slope -= labels
    slope /= z.size
    return np.add.reduce(losses, axis=None) / z.size, slope


def mse(z: np.ndarray, labels: np.ndarray) -> tuple[np.float32, np.ndarray]:
    """Mean of (z - y)^2, and its slope 2 (z - y) / n. Overwrites z."""
    z -= labels
    flat = z.ravel()
    loss = (flat @ flat) / z.size
    z *= 2.0 / z.size
    return loss, z


def cross_entropy(z: np.ndarray, labels: np.ndarray) -> tuple[np.float32, np.ndarray]:
    """Mean of logsumexp(z) - z[label], and its slope (softmax(z) - onehot) / n. Overwrites z."""
    n = len(z)
    rows = np.arange(n)
    z -= np.maximum.reduce(z, axis=1, keepdims=True)
    chosen = z[rows, labels]
    slope = np.exp(z, out=z)
    total = np.add.reduce(slope, axis=1, keepdims=True)
    loss = (np.add.reduce(np.log(total), axis=None) - np.add.reduce(chosen)) / n
    slope /= total
    slope[rows, labels] -= 1.0
    slope /= n
    return loss, slope


class SGD:
    """p <- p - lr g."""

    def __init__(self, parameters: list[np.ndarray], learning_rate: float) -> None:
        self.parameters = parameters
        self.learning_rate = learning_rate

    def __call__(self, gradients: list[np.ndarray]) -> None:
        """Update the parameters; overwrites the gradients."""
        for p, g in zip(self.parameters, gradients, strict=True):
            g *= self.learning_rate
            p -= g


class Adam:
    """Kingma and Ba (2015), Algorithm 1, with both bias corrections folded into scalars."""

    def __init__(self, parameters: list[np.ndarray], learning_rate: float) -> None:
        self.learning_rate = learning_rate
        self.t = 0
        self.state = [(p, np.zeros_like(p), np.zeros_like(p), np.empty_like(p)) for p in parameters]

    def __call__(self, gradients: list[np.ndarray]) -> None:
        """Update the parameters; overwrites the gradients."""
        self.t += 1
        correction = (1.0 - 0.999**self.t) ** 0.5
        rate = self.learning_rate * correction / (1.0 - 0.9**self.t)
        eps = 1e-8 * correction
        for (p, m, v, scratch), g in zip(self.state, gradients, strict=True):
            np.multiply(g, g, out=scratch)
            scratch *= 0.001
            v *= 0.999
            v += scratch
            g *= 0.1
            m *= 0.9
            m += g
            np.sqrt(v, out=scratch)
            scratch += eps
            np.divide(m, scratch, out=scratch)
            scratch *= rate
            p -= scratch
