"""micrograd's `nn.py` and the loss of its demo, the class of the numbers being a parameter."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

from .workloads import Moons

Make = Callable[[float], Any]


class Neuron:
    """relu(w · x + b), or w · x + b, scalar by scalar."""

    def __init__(self, value: Make, initial: Iterator[float], nin: int, nonlin: bool) -> None:
        self.w = [value(next(initial)) for _ in range(nin)]
        self.b = value(next(initial))
        self.nonlin = nonlin

    def __call__(self, x: list[Any]) -> Any:
        act = sum((wi * xi for wi, xi in zip(self.w, x, strict=True)), self.b)
        return act.relu() if self.nonlin else act

    def parameters(self) -> list[Any]:
        return [*self.w, self.b]


class MLP:
    """Layers of neurons, all but the last with relu."""

    def __init__(self, value: Make, task: Moons) -> None:
        initial = iter(task.initial())
        last = len(task.sizes) - 2
        self.layers = [
            [Neuron(value, initial, nin, nonlin=i < last) for _ in range(nout)]
            for i, (nin, nout) in enumerate(pairwise(task.sizes))
        ]

    def __call__(self, x: list[Any]) -> Any:
        for layer in self.layers:
            x = [neuron(x) for neuron in layer]
        return x[0]

    def parameters(self) -> list[Any]:
        return [p for layer in self.layers for neuron in layer for p in neuron.parameters()]


def hinge_loss(model: MLP, value: Make, task: Moons) -> Any:
    """The max-margin loss of all points, and the squares of all parameters times alpha."""
    points, labels = task.data
    inputs = [list(map(value, point)) for point in points]
    scores = list(map(model, inputs))
    losses = [(1 + -yi * score).relu() for yi, score in zip(labels, scores, strict=True)]
    return sum(losses) * (1.0 / len(losses)) + task.alpha * sum(p * p for p in model.parameters())


def descend(parameters: list[Any], learning_rate: float) -> None:
    """p <- p - lr dp."""
    for p in parameters:
        p.data -= learning_rate * p.grad


def moons_step(value: Make, task: Moons) -> Callable[[], list[Any]]:
    """Build the graph afresh and differentiate it in each step, as the demo does."""
    model = MLP(value, task)
    parameters = model.parameters()

    def step() -> list[Any]:
        loss = hinge_loss(model, value, task)
        for p in parameters:
            p.grad = 0
        loss.backward()
        descend(parameters, task.learning_rate)
        return parameters

    return step
