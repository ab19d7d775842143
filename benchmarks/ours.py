"""This project, as its users write it: compiled, and eagerly."""

from __future__ import annotations

from collections.abc import Callable
from operator import methodcaller
from typing import Any

import numpy as np

from .neurons import MLP, descend, hinge_loss, moons_step
from .workloads import (
    Digits,
    Expression,
    FirstCall,
    Loop,
    Moons,
    Recurrent,
    Scalars,
    Training,
    expression,
    scalar_expression,
)


class OursEager:
    """`autograd_core` and `nn`, eagerly."""

    def __init__(self) -> None:
        import autograd_core
        import nn

        self.ag: Any = autograd_core
        self.nn: Any = nn
        self.version: str = getattr(autograd_core, "__version__", "checkout")

    def compile(self, f: Callable[..., Any]) -> Callable[..., Any]:
        """What is done to a function before it is called again and again: here, nothing."""
        return f

    def training(self, task: Training) -> Callable[[], float]:
        step = self.compile(self.training_step(task))
        x, labels = task.inputs, task.labels
        return lambda: float(step(x, labels).item())

    def parts(self, task: Training) -> tuple[Any, Any, Any]:
        """A model with the task's initial parameters, its loss and its optimiser."""
        nn = self.nn
        model = nn.MLP(task.sizes, activation=task.activation)
        for parameter, value in zip(model.parameters(), task.initial(), strict=True):
            parameter.data = value
        loss_of = {
            "bce": nn.losses.bce_with_logits,
            "mse": nn.losses.mse,
            "cross_entropy": nn.losses.cross_entropy,
        }[task.loss]
        optimizer_of = {"sgd": nn.optim.SGD, "adam": nn.optim.Adam}[task.optimizer]
        return model, loss_of, optimizer_of(model.parameters(), lr=task.learning_rate)

    def training_step(self, task: Training) -> Callable[[Any, Any], Any]:
        return self.step_of(*self.parts(task))

    def step_of(self, model: Any, loss_of: Any, optimizer: Any) -> Callable[[Any, Any], Any]:
        """A training step as one writes it."""

        def step(x: Any, labels: Any) -> Any:
            optimizer.zero_grad()
            loss = loss_of(model(x), labels)
            loss.backward()
            optimizer.step()
            return loss

        return step

    def recurrent(self, task: Recurrent) -> Callable[[], float]:
        nn = self.nn
        parameters = [nn.Parameter(value) for value in task.initial()]
        wx, wh, b, wo, bo = parameters
        optimizer = nn.optim.SGD(parameters, lr=task.learning_rate)

        @self.compile
        def step(x: Any, labels: Any) -> Any:
            optimizer.zero_grad()
            h = np.zeros((task.batch, task.hidden), np.float32)
            for t in range(task.steps):
                h = np.tanh(x[t] @ wx + h @ wh + b)
            loss = nn.losses.cross_entropy(h @ wo + bo, labels)
            loss.backward()
            optimizer.step()
            return loss

        x, labels = task.inputs, task.labels
        return lambda: float(step(x, labels).item())

    def expression(self, task: Expression) -> Callable[[], np.ndarray]:
        gradient = self.compile(self.ag.grad(lambda x: expression(x, np)))
        x = task.x
        return lambda: gradient(x)

    def scalars(self, task: Scalars) -> Callable[[], tuple[float, float]]:
        return scalar_step(self.ag.Value, task)

    def moons(self, task: Moons) -> Callable[[], list[Any]]:
        return moons_step(self.ag.Value, task)

    def digits(self, task: Digits) -> Callable[[], Callable[[np.ndarray], np.ndarray]]:
        return self.fit(task, compile=False)

    def fit(
        self, task: Digits, compile: bool | str
    ) -> Callable[[], Callable[[np.ndarray], np.ndarray]]:
        nn = self.nn
        x, labels, _, _ = task.data

        def step() -> Callable[[np.ndarray], np.ndarray]:
            model = nn.MLP(task.sizes, activation="relu", rng=0)
            nn.fit(
                model, x, labels,
                loss=nn.losses.cross_entropy,
                optimizer=nn.optim.Adam(model.parameters(), lr=task.learning_rate),
                epochs=task.epochs, batch_size=task.batch, seed=0,
                progress=False, compile=compile,
            )
            return lambda images: nn.predict(model, images).argmax(axis=1)

        return step


class Ours(OursEager):
    """The same through `ag.compile`, scalar graphs replayed by `ag.Graph`.

    In the row of graphs that are built afresh in each step there is nothing to compile: there it
    is the eager engine.
    """

    def __init__(self, executor: str = "numpy") -> None:
        super().__init__()
        self.executor = executor
        if not hasattr(self.ag, "compile"):
            raise ImportError(
                "this autograd_core has no `ag.compile`; measure `--only 'ours eager'` and peers"
            )

    def compile(self, f: Callable[..., Any]) -> Callable[..., Any]:
        return self.ag.compile(f, executor=self.executor)  # type: ignore[no-any-return]

    def moons(self, task: Moons) -> Callable[[], list[Any]]:
        """The graph is built once; each step computes it from the leaves' present values."""
        value = self.ag.Value
        model = MLP(value, task)
        parameters = model.parameters()
        graph = self.ag.Graph(hinge_loss(model, value, task))

        def step() -> list[Any]:
            graph.fprop()
            graph.bprop()
            descend(parameters, task.learning_rate)
            return parameters

        return step

    def digits(self, task: Digits) -> Callable[[], Callable[[np.ndarray], np.ndarray]]:
        return self.fit(task, compile=self.executor)

    def loop(self, task: Loop) -> Callable[[], Callable[[np.ndarray], np.ndarray]]:
        nn = self.nn
        x, labels = task.data

        def step() -> Callable[[np.ndarray], np.ndarray]:
            model, loss_of, optimizer = self.parts(task.training)
            nn.fit(
                model, x, labels, loss=loss_of, optimizer=optimizer, epochs=task.epochs,
                batch_size=task.training.batch, seed=0, progress=False,
            )
            return lambda inputs: nn.predict(model, inputs)

        return step

    def first_call(self, task: FirstCall) -> Callable[[], float]:
        step = self.training_step(task.training)
        x, labels = task.training.inputs, task.training.labels
        return lambda: float(self.compile(step)(x, labels).item())


class OursNative:
    """The same as machine code."""

    def __init__(self) -> None:
        self.ours = Ours("native")
        self.ours.compile(lambda x: x)  # raises where LLVM is missing
        self.version = self.ours.version

    def training(self, task: Training) -> Callable[[], float]:
        return self.ours.training(task)

    def recurrent(self, task: Recurrent) -> Callable[[], float]:
        return self.ours.recurrent(task)

    def expression(self, task: Expression) -> Callable[[], np.ndarray]:
        return self.ours.expression(task)

    def digits(self, task: Digits) -> Callable[[], Callable[[np.ndarray], np.ndarray]]:
        return self.ours.digits(task)

    def first_call(self, task: FirstCall) -> Callable[[], float]:
        """As in a new process that has loaded LLVM: loops compiled before are forgotten."""
        from autograd_core.compiler.native import machine

        step = self.ours.first_call(task)

        def afresh() -> float:
            machine._known.clear()
            return step()

        return afresh


class BareLoop:
    """The compiled step of `Ours` in the shortest loop there is, with as many threads as `nn.fit`
    gives itself: what `nn.fit` adds to it is what it costs."""

    def __init__(self) -> None:
        self.ours = Ours()
        self.version = self.ours.version

    def loop(self, task: Loop) -> Callable[[], Callable[[np.ndarray], np.ndarray]]:
        from nn.threads import limited_threads

        ours, size, (x, labels) = self.ours, task.training.batch, task.data
        ready = [(x[i : i + size], labels[i : i + size]) for i in range(0, len(x), size)]

        def step() -> Callable[[np.ndarray], np.ndarray]:
            model, loss_of, optimizer = ours.parts(task.training)
            take = ours.compile(ours.step_of(model, loss_of, optimizer))
            with limited_threads(0):
                for _ in range(task.epochs):
                    for batch, target in ready:
                        take(batch, target)
            return lambda inputs: ours.nn.predict(model, inputs)

        return step


def scalar_step(value: Callable[[float], Any], task: Scalars) -> Callable[[], tuple[float, float]]:
    """Build and differentiate with `value` making the leaves, micrograd's interface assumed."""
    relu = methodcaller("relu")

    def step() -> tuple[float, float]:
        a, b = value(task.a), value(task.b)
        scalar_expression(a, b, relu).backward()
        return float(a.grad), float(b.grad)

    return step
