"""What is measured: each row of the table as plain data, the same for every contender."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
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
    loss: str  # "bce", "mse": labels like outputs; "cross_entropy": labels (batch,); of logits
    optimizer: str  # "sgd", or "adam" with betas 0.9 and 0.999 and eps 1e-8
    learning_rate: float

    @cached_property
    def inputs(self) -> np.ndarray:
        """Shape (batch, sizes[0])."""
        return np.random.default_rng(0).standard_normal((self.batch, self.sizes[0]), np.float32)

    @cached_property
    def labels(self) -> np.ndarray:
        """float32 zeros and ones for "bce", float32 for "mse", classes for "cross_entropy"."""
        rng = np.random.default_rng(1)
        if self.loss == "bce":
            return rng.integers(0, 2, (self.batch, 1)).astype(np.float32)
        if self.loss == "mse":
            return rng.standard_normal((self.batch, self.sizes[-1]), np.float32)
        return rng.integers(0, self.sizes[-1], self.batch)

    def initial(self) -> list[np.ndarray]:
        """Fresh arrays, weight (n_in, n_out) and bias (n_out,) by turns.

        Biases are not zero, so that a contender that drops one is found out.
        """
        rng = np.random.default_rng(2)
        gain = 2.0 if self.activation == "relu" else 1.0
        parameters = []
        for n_in, n_out in pairwise(self.sizes):
            scale = (gain / n_in) ** 0.5
            parameters.append(rng.standard_normal((n_in, n_out), np.float32) * np.float32(scale))
            parameters.append(rng.standard_normal(n_out, np.float32) * np.float32(0.1))
        return parameters

    def timed(self) -> Training:
        """The same task at a rate that can be stepped for ever."""
        return replace(self, learning_rate=TIMED_LEARNING_RATE)

    def check(self, steps: dict[str, Callable[[], float]]) -> None:
        """The losses of the first steps agree, and are seen to fall."""
        require_learning(steps, 6)


@dataclass(frozen=True)
class FirstCall:
    """Everything there is to do before the second step of a training, by a compiler.

    A step makes the training's step afresh, records and compiles it, and runs it once. The
    parameters and the optimiser's state are those that the step before left behind.
    """

    kind: ClassVar[str] = "first_call"
    operations: ClassVar[int] = 1
    training: Training

    def timed(self) -> FirstCall:
        return FirstCall(self.training.timed())

    def check(self, steps: dict[str, Callable[[], float]]) -> None:
        """The losses agree, and are seen to fall: no call forgets what the last has learned."""
        require_learning(steps, 3)


@dataclass(frozen=True)
class Recurrent:
    """One SGD step of a tanh RNN that reads sequences and names the class of each, in float32.

    h_t = tanh(x_t Wx + h_(t-1) Wh + b) with h_0 = 0; logits = h_T Wo + bo; mean cross-entropy.
    """

    kind: ClassVar[str] = "recurrent"
    operations: ClassVar[int] = 1
    optimizer: ClassVar[str] = "sgd"
    steps: int = 64
    batch: int = 32
    features: int = 32
    hidden: int = 64
    classes: int = 10
    learning_rate: float = 0.1

    @cached_property
    def inputs(self) -> np.ndarray:
        """Shape (steps, batch, features)."""
        shape = (self.steps, self.batch, self.features)
        return np.random.default_rng(0).standard_normal(shape, np.float32)

    @cached_property
    def labels(self) -> np.ndarray:
        """Integer classes, shape (batch,)."""
        return np.random.default_rng(1).integers(0, self.classes, self.batch)

    def initial(self) -> list[np.ndarray]:
        """Fresh arrays Wx, Wh, b, Wo, bo.

        Wh is large enough for gradients to reach the first input, so that a contender that cuts
        the sequence short is found out.
        """
        rng = np.random.default_rng(2)

        def normal(scale: float, *shape: int) -> np.ndarray:
            return rng.standard_normal(shape, np.float32) * np.float32(scale)

        n = self.hidden
        return [
            normal(0.5 * self.features**-0.5, self.features, n),
            normal(1.2 * n**-0.5, n, n),
            normal(0.1, n),
            normal(n**-0.5, n, self.classes),
            normal(0.1, self.classes),
        ]

    def timed(self) -> Recurrent:
        return replace(self, learning_rate=TIMED_LEARNING_RATE)

    def check(self, steps: dict[str, Callable[[], float]]) -> None:
        """The losses of the first steps agree, and are seen to fall."""
        require_learning(steps, 6)


@dataclass(frozen=True)
class Moons:
    """One step on all points of micrograd's two-moons demo: scalar neurons, hinge loss, L2, SGD.

    A step returns the parameters, scalars with `.data` and `.grad`, after the update; where the
    gradient is that of the step.
    """

    kind: ClassVar[str] = "moons"
    operations: ClassVar[int] = 1
    points: int = 100
    sizes: tuple[int, ...] = (2, 16, 16, 1)
    alpha: float = 1e-4
    learning_rate: float = 0.5

    @cached_property
    def data(self) -> tuple[list[list[float]], list[float]]:
        """Points and labels -1 or 1, as scikit-learn's `make_moons(noise=0.1)` makes them."""
        rng = np.random.default_rng(0)
        upper = self.points // 2
        t, u = np.linspace(0, np.pi, upper), np.linspace(0, np.pi, self.points - upper)
        x = np.hstack([[np.cos(t), np.sin(t)], [1 - np.cos(u), 0.5 - np.sin(u)]]).T
        x += rng.normal(0.0, 0.1, x.shape)
        return x.tolist(), [-1.0] * upper + [1.0] * (self.points - upper)

    def initial(self) -> list[float]:
        """Weights and biases, neuron by neuron, each neuron's bias after its weights."""
        rng = np.random.default_rng(2)
        count = sum((n + 1) * m for n, m in pairwise(self.sizes))
        return rng.uniform(-1.0, 1.0, count).tolist()

    def timed(self) -> Moons:
        return replace(self, learning_rate=TIMED_LEARNING_RATE)

    def check(self, steps: dict[str, Callable[[], list[Any]]]) -> None:
        """The gradients of the first three steps agree, and the parameters after them."""
        found = {}
        for name, step in steps.items():
            runs = [[float(p.grad) for p in step()] for _ in range(2)]
            parameters = step()
            runs += [[float(getattr(p, a)) for p in parameters] for a in ("grad", "data")]
            found[name] = np.array(runs)
            if np.allclose(found[name][-1], self.initial()):
                raise WrongBenchmarkError(f"{name} does not learn: its parameters stay")
        require_agreement(found, rtol=1e-7, atol=1e-12)


@dataclass(frozen=True)
class Digits:
    """The whole training of a classifier of scikit-learn's handwritten digits, in float32.

    relu, cross-entropy, Adam with betas 0.9 and 0.999 and eps 1e-8, shuffled batches; from making
    the model to the end. A step returns the classifier, a function from images to classes.
    """

    kind: ClassVar[str] = "digits"
    operations: ClassVar[int] = 1
    sizes: tuple[int, ...] = (64, 128, 64, 10)
    epochs: int = 30
    batch: int = 32
    learning_rate: float = 2e-3

    @cached_property
    def data(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Images (n, 64) in [0, 1] and their classes; those held out, a fifth, likewise."""
        from sklearn.datasets import load_digits

        images, labels = load_digits(return_X_y=True)
        images = (images / images.max()).astype(np.float32)
        held_out = np.arange(len(images)) % 5 == 0
        return images[~held_out], labels[~held_out], images[held_out], labels[held_out]

    def timed(self) -> Digits:
        return self

    def check(self, steps: dict[str, Callable[[], Callable[[np.ndarray], np.ndarray]]]) -> None:
        """Everybody reads at least 95 of 100 digits that it has not seen.

        Samples are shuffled and weights drawn, so that numbers cannot agree.
        """
        _, _, images, labels = self.data
        for name, step in steps.items():
            accuracy = (step()(images) == labels).mean()
            if not accuracy >= 0.95:
                raise WrongBenchmarkError(f"{name} reads {accuracy:.1%} of the digits held out")


@dataclass(frozen=True)
class Loop:
    """A whole training, by a training loop that does everything for its users or by a bare one.

    Both compile the same step and take it `epochs` times on each of `batches`, their recording
    included. The bare loop does nothing else: its batches lie ready, it neither shuffles them nor
    looks at a loss. A step returns what was learned, a function from inputs to outputs.
    """

    kind: ClassVar[str] = "loop"
    training: Training
    batches: int
    epochs: int

    @property
    def operations(self) -> int:
        """Times are per step of the optimiser."""
        return self.batches * self.epochs

    @cached_property
    def data(self) -> tuple[np.ndarray, np.ndarray]:
        """Inputs, and classes by the signs of the first two features; for "bce" of the first."""
        shape = (self.batches * self.training.batch, self.training.sizes[0])
        x = np.random.default_rng(0).standard_normal(shape, np.float32)
        if self.training.loss == "bce":
            return x, (x[:, :1] > 0).astype(np.float32)
        return x, (x[:, 0] > 0) + 2 * (x[:, 1] > 0)

    def timed(self) -> Loop:
        return self

    def check(self, steps: dict[str, Callable[[], Callable[[np.ndarray], np.ndarray]]]) -> None:
        """Everybody tells at least nine of ten samples; shuffling keeps numbers from agreeing."""
        x, labels = self.data
        for name, step in steps.items():
            outputs = step()(x)
            told = outputs > 0 if self.training.loss == "bce" else outputs.argmax(axis=1)
            if not (told == labels).mean() >= 0.9:
                raise WrongBenchmarkError(f"{name} tells {(told == labels).mean():.1%} of the data")


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


Task = Training | FirstCall | Recurrent | Moons | Digits | Loop | Expression | Scalars


@dataclass(frozen=True)
class Row:
    """A line of the table."""

    name: str
    title: str
    task: Task


TINY = Training((2, 8, 1), 4, "tanh", "bce", "sgd", 0.1)
SMALL = Training((64, 128, 64, 10), 32, "relu", "cross_entropy", "adam", 1e-3)

ROWS = (
    Row("tiny", "2-8-1, batch 4, tanh, BCE, SGD", TINY),
    Row("small", "64-128-64-10, batch 32, relu, CE, Adam", SMALL),
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
    Row(
        "large",
        "1024-4096-4096-1024, batch 256, relu, MSE, SGD",
        Training((1024, 4096, 4096, 1024), 256, "relu", "mse", "sgd", 1.0),
    ),
    Row("rnn", "tanh RNN, 64 steps of 32, batch 32, 64 hidden, CE, SGD", Recurrent()),
    Row("expression-10", "expression, 10 values", Expression(10)),
    Row("expression-1k", "expression, 1,000 values", Expression(1_000)),
    Row("expression-1m", "expression, 1,000,000 values", Expression(1_000_000)),
    Row("scalars", "1,000 scalar operations, per operation", Scalars()),
    Row("moons", "two moons, 100 points, 2-16-16-1 of scalar neurons, SGD", Moons()),
    Row("digits", "digits, 64-128-64-10, Adam, 30 epochs of batch 32: all of it", Digits()),
    Row("first-call", "64-128-64-10 as above, the first call", FirstCall(SMALL)),
    Row("fit-tiny", "2-8-1 as above, a step in nn.fit", Loop(TINY, 500, 5)),
    Row("fit-small", "64-128-64-10 as above, a step in nn.fit", Loop(SMALL, 50, 20)),
)


class WrongBenchmarkError(AssertionError):
    """Two contenders of a row do not compute the same thing."""


def require_learning(steps: dict[str, Callable[[], float]], count: int) -> None:
    """Raise unless the losses of the first `count` steps fall, and agree."""
    losses = {name: np.array([step() for _ in range(count)]) for name, step in steps.items()}
    for name, values in losses.items():
        if not values[-1] < 0.99 * values[0]:
            raise WrongBenchmarkError(f"{name} does not learn: losses {values}")
    # 1 - 0.999^t computed in float32, as under `jit`, is only good to some 1e-4 at first
    require_agreement(losses, rtol=1e-4)


def require_agreement(results: dict[str, np.ndarray], rtol: float, atol: float = 0.0) -> None:
    """Raise unless every result equals the first to `rtol` or `atol`."""
    reference, *others = results
    for name in others:
        if not np.allclose(results[name], results[reference], rtol=rtol, atol=atol):
            raise WrongBenchmarkError(
                f"{name} and {reference} differ:\n{results[name]}\n{results[reference]}"
            )
