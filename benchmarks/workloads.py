"""What is measured: each row of the table as plain data, the same for every contender."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

TIMED_LEARNING_RATE = 1e-6
"""The timed steps hardly move. At a real rate the network would fit its one batch within the
warm-up, gradients would vanish, and Adam's moments would decay into subnormal numbers, whose
arithmetic some processors do many times slower. The work per step is the same at any rate."""


@dataclass(frozen=True)
class Training:
    """One optimiser step of a multilayer perceptron on one fixed batch, in float32.

    A step is forward, mean loss, backward, update, and the loss as a Python float (before the
    update). Every layer but the last is followed by `activation`.
    """

    kind: ClassVar[str] = "training"
    operations: ClassVar[int] = 1
    sizes: tuple[int, ...]
    batch: int
    activation: str  # "relu" or "tanh"
    loss: str  # "bce": on logits, labels (batch, 1); "cross_entropy": on logits, labels (batch,)
    optimizer: str  # "sgd", or "adam" with betas 0.9 and 0.999 and eps 1e-8
    learning_rate: float

    @cached_property
    def inputs(self) -> np.ndarray:
        """Shape (batch, sizes[0])."""
        return np.random.default_rng(0).standard_normal((self.batch, self.sizes[0]), np.float32)

    @cached_property
    def labels(self) -> np.ndarray:
        """float32 zeros and ones for "bce", integer classes for "cross_entropy"."""
        rng = np.random.default_rng(1)
        if self.loss == "bce":
            return rng.integers(0, 2, (self.batch, 1)).astype(np.float32)
        return rng.integers(0, self.sizes[-1], self.batch)

    def initial(self) -> list[np.ndarray]:
        """Fresh arrays, weight (n_in, n_out) and bias (n_out,) by turns.

        Biases are not zero, so that a contender that drops one is found out.
        """
        rng = np.random.default_rng(2)
        gain = 2.0 if self.activation == "relu" else 1.0
        parameters = []
        for n_in, n_out in zip(self.sizes[:-1], self.sizes[1:], strict=True):
            scale = (gain / n_in) ** 0.5
            parameters.append(rng.standard_normal((n_in, n_out), np.float32) * np.float32(scale))
            parameters.append(rng.standard_normal(n_out, np.float32) * np.float32(0.1))
        return parameters

    def timed(self) -> Training:
        """The same task at a rate that can be stepped for ever."""
        return replace(self, learning_rate=TIMED_LEARNING_RATE)

    def check(self, steps: dict[str, Callable[[], float]]) -> None:
        """The losses of the first steps agree, and are seen to fall."""
        losses = {name: np.array([step() for _ in range(6)]) for name, step in steps.items()}
        for name, values in losses.items():
            if not values[-1] < 0.99 * values[0]:
                raise WrongBenchmarkError(f"{name} does not learn: losses {values}")
        # 1 - 0.999^t computed in float32, as under `jit`, is only good to some 1e-4 at first
        require_agreement(losses, rtol=1e-4)


@dataclass(frozen=True)
class Expression:
    """The gradient of sum(exp(c) + sin(c)), c = a + a^2, a = exp(x), in float64."""

    kind: ClassVar[str] = "expression"
    operations: ClassVar[int] = 1
    size: int

    @cached_property
    def x(self) -> np.ndarray:
        """Values in [-1, 0.5], where exp(c) stays below 100."""
        return np.random.default_rng(0).uniform(-1.0, 0.5, self.size)

    def timed(self) -> Expression:
        return self

    def check(self, steps: dict[str, Callable[[], Any]]) -> None:
        """The gradients agree, in float64."""
        gradients = {name: np.asarray(step()) for name, step in steps.items()}
        for name, gradient in gradients.items():
            if gradient.dtype != np.float64:
                raise WrongBenchmarkError(f"{name} computes in {gradient.dtype}, not float64")
        require_agreement(gradients, rtol=1e-9)


def expression(x: Any, np: Any) -> Any:
    """The function `Expression` differentiates; `np` is NumPy or a library that spells like it."""
    a = np.exp(x)
    b = a**2
    c = a + b
    return np.sum(np.exp(c) + np.sin(c))


@dataclass(frozen=True)
class Scalars:
    """A scalar expression of 1,000 operations, built and differentiated afresh in each step."""

    kind: ClassVar[str] = "scalars"
    operations: ClassVar[int] = 1000
    a: float = -0.4
    b: float = 0.3

    def timed(self) -> Scalars:
        return self

    def check(self, steps: dict[str, Callable[[], tuple[float, float]]]) -> None:
        """The gradients agree with each other and with central differences."""
        h = 1e-6

        def f(a: float, b: float) -> float:
            return scalar_expression(a, b, relu=lambda v: max(v, 0.0))

        by_a = (f(self.a + h, self.b) - f(self.a - h, self.b)) / (2 * h)
        by_b = (f(self.a, self.b + h) - f(self.a, self.b - h)) / (2 * h)
        gradients = {name: np.array(step()) for name, step in steps.items()}
        require_agreement({"central differences": np.array([by_a, by_b])} | gradients, rtol=1e-6)


def scalar_expression(a: Any, b: Any, relu: Callable[[Any], Any]) -> Any:
    """1,000 scalar operations, 20 in each of 50 terms, over any type with Python's operators.

    The terms are in the manner of the example in micrograd's README. They are summed rather
    than nested, because micrograd recurses over the graph.
    """
    total = 0.0
    for i in range(50):
        c = a * (0.02 * i - 0.5) + b
        d = c * b + b**3
        c = c + c + 1.0
        c = c + 1.0 + c - a
        d = d + d * 2.0 + relu(b + c)
        e = c - d
        f = e**2
        total = total + f / (f + 1.0)
    return total


Task = Training | Expression | Scalars


@dataclass(frozen=True)
class Row:
    """A line of the table."""

    name: str
    title: str
    task: Task


ROWS = (
    Row(
        "tiny",
        "2-8-1, batch 4, tanh, BCE, SGD",
        Training((2, 8, 1), 4, "tanh", "bce", "sgd", 0.1),
    ),
    Row(
        "small",
        "64-128-64-10, batch 32, relu, CE, Adam",
        Training((64, 128, 64, 10), 32, "relu", "cross_entropy", "adam", 1e-3),
    ),
    Row(
        "medium",
        "784-512-256-10, batch 128, relu, CE, Adam",
        Training((784, 512, 256, 10), 128, "relu", "cross_entropy", "adam", 1e-3),
    ),
    Row(
        "deep",
        "64-32x64-10, batch 32, tanh, CE, Adam",
        Training((64, *[64] * 32, 10), 32, "tanh", "cross_entropy", "adam", 1e-3),
    ),
    Row("expression-10", "expression, 10 values", Expression(10)),
    Row("expression-1k", "expression, 1,000 values", Expression(1_000)),
    Row("expression-1m", "expression, 1,000,000 values", Expression(1_000_000)),
    Row("scalars", "1,000 scalar operations, per operation", Scalars()),
)


class WrongBenchmarkError(AssertionError):
    """Two contenders of a row do not compute the same thing."""


def require_agreement(results: dict[str, np.ndarray], rtol: float) -> None:
    """Raise unless every result equals the first to `rtol`."""
    reference, *others = results
    for name in others:
        if not np.allclose(results[name], results[reference], rtol=rtol, atol=0.0):
            raise WrongBenchmarkError(
                f"{name} and {reference} differ:\n{results[name]}\n{results[reference]}"
            )
