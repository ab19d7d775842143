"""This project, as its users write it."""

from __future__ import annotations

from collections.abc import Callable
from operator import methodcaller
from typing import Any

import numpy as np

from .workloads import Expression, Scalars, Training, expression, scalar_expression


class Ours:
    """`autograd_core` and `nn`, eagerly."""

    def __init__(self) -> None:
        import autograd_core
        import nn

        self.ag: Any = autograd_core
        self.nn: Any = nn
        self.version: str = getattr(autograd_core, "__version__", "checkout")

    def training(self, task: Training) -> Callable[[], float]:
        nn = self.nn
        model = nn.MLP(task.sizes, activation=task.activation)
        for parameter, value in zip(model.parameters(), task.initial(), strict=True):
            parameter.data = value
        loss_of = {"bce": nn.losses.bce_with_logits, "cross_entropy": nn.losses.cross_entropy}[
            task.loss
        ]
        optimizer_of = {"sgd": nn.optim.SGD, "adam": nn.optim.Adam}[task.optimizer]
        optimizer = optimizer_of(model.parameters(), lr=task.learning_rate)
        x, labels = task.inputs, task.labels

        def step() -> float:
            optimizer.zero_grad()
            loss = loss_of(model(x), labels)
            loss.backward()
            optimizer.step()
            return float(loss.item())

        return step

    def expression(self, task: Expression) -> Callable[[], np.ndarray]:
        gradient = self.ag.grad(lambda x: expression(x, np))
        x = task.x
        return lambda: gradient(x)

    def scalars(self, task: Scalars) -> Callable[[], tuple[float, float]]:
        return scalar_step(self.ag.Value, task)


def scalar_step(value: Callable[[float], Any], task: Scalars) -> Callable[[], tuple[float, float]]:
    """Build and differentiate with `value` making the leaves, micrograd's interface assumed."""
    relu = methodcaller("relu")

    def step() -> tuple[float, float]:
        a, b = value(task.a), value(task.b)
        scalar_expression(a, b, relu).backward()
        return float(a.grad), float(b.grad)

    return step
