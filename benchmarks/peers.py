"""The peers, each written as its own documentation recommends and imported when it is loaded."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from typing import Any

import numpy as np

from .handwritten import SGD, Adam
from .ours import scalar_step
from .workloads import Expression, Scalars, Training, expression, scalar_expression


class Torch:
    """PyTorch eager, on the CPU, with the defaults of `torch.optim`."""

    def __init__(self) -> None:
        import torch

        self.torch: Any = torch
        self.version: str = torch.__version__
        self.threads: int = torch.get_num_threads()

    def training(self, task: Training) -> Callable[[], float]:
        torch = self.torch
        activation = {"relu": torch.nn.ReLU, "tanh": torch.nn.Tanh}[task.activation]
        initial = [torch.from_numpy(p) for p in task.initial()]
        layers: list[Any] = []
        for w, b in zip(initial[0::2], initial[1::2], strict=True):
            linear = torch.nn.Linear(*w.shape)
            with torch.no_grad():
                linear.weight.copy_(w.T)
                linear.bias.copy_(b)
            layers += [linear, activation()]
        model = torch.nn.Sequential(*layers[:-1])
        functional = torch.nn.functional
        loss_of = {
            "bce": functional.binary_cross_entropy_with_logits,
            "cross_entropy": functional.cross_entropy,
        }[task.loss]
        optimizer_of = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam}[task.optimizer]
        optimizer = optimizer_of(model.parameters(), lr=task.learning_rate)
        x, labels = torch.from_numpy(task.inputs), torch.from_numpy(task.labels)

        def step() -> float:
            optimizer.zero_grad(set_to_none=True)
            loss = loss_of(model(x), labels)
            loss.backward()
            optimizer.step()
            return float(loss.item())

        return step

    def expression(self, task: Expression) -> Callable[[], Any]:
        torch = self.torch
        x = torch.from_numpy(task.x.copy()).requires_grad_()

        def step() -> Any:
            x.grad = None
            expression(x, torch).backward()
            return x.grad

        return step

    def scalars(self, task: Scalars) -> Callable[[], tuple[float, float]]:
        leaf = partial(self.torch.tensor, dtype=self.torch.float64, requires_grad=True)
        return scalar_step(leaf, task)


class Jax:
    """JAX under `jit`, on the CPU, the training state donated.

    It takes no part in the scalar row: tracing and compiling afresh at each step is not what
    it is for.
    """

    def __init__(self) -> None:
        import jax

        jax.config.update("jax_platforms", "cpu")
        self.jax: Any = jax
        self.version: str = jax.__version__

    def training(self, task: Training) -> Callable[[], float]:
        jax, jnp = self.jax, self.jax.numpy
        jax.config.update("jax_enable_x64", False)
        activation = {"relu": jax.nn.relu, "tanh": jnp.tanh}[task.activation]

        def loss_of(parameters: list[Any], x: Any, labels: Any) -> Any:
            *hidden, last = zip(parameters[0::2], parameters[1::2], strict=True)
            for w, b in hidden:
                x = activation(x @ w + b)
            z = x @ last[0] + last[1]
            if task.loss == "bce":
                return jnp.mean(jax.nn.softplus(z) - z * labels)
            chosen = jnp.take_along_axis(z, labels[:, None], axis=1)[:, 0]
            return jnp.mean(jax.nn.logsumexp(z, axis=1) - chosen)

        def sgd(parameters: list[Any], x: Any, labels: Any) -> tuple[Any, list[Any]]:
            loss, gradients = jax.value_and_grad(loss_of)(parameters, x, labels)
            pairs = zip(parameters, gradients, strict=True)
            return loss, [p - task.learning_rate * g for p, g in pairs]

        def adam(state: Any, x: Any, labels: Any) -> tuple[Any, Any]:
            parameters, ms, vs, t = state
            loss, gradients = jax.value_and_grad(loss_of)(parameters, x, labels)
            t = t + 1.0
            ms = [0.9 * m + 0.1 * g for m, g in zip(ms, gradients, strict=True)]
            vs = [0.999 * v + 0.001 * g * g for v, g in zip(vs, gradients, strict=True)]
            correction = jnp.sqrt(1.0 - 0.999**t)
            rate = task.learning_rate * correction / (1.0 - 0.9**t)
            parameters = [
                p - rate * m / (jnp.sqrt(v) + 1e-8 * correction)
                for p, m, v in zip(parameters, ms, vs, strict=True)
            ]
            return loss, (parameters, ms, vs, t)

        state: Any = [jnp.asarray(p) for p in task.initial()]
        if task.optimizer == "adam":
            zeros = [[jnp.zeros_like(p) for p in state] for _ in range(2)]
            state = (state, *zeros, jnp.float32(0.0))
        update = jax.jit({"sgd": sgd, "adam": adam}[task.optimizer], donate_argnums=0)
        x, labels = jnp.asarray(task.inputs), jnp.asarray(task.labels)

        def step() -> float:
            nonlocal state
            loss, state = update(state, x, labels)
            return float(loss)

        return step

    def expression(self, task: Expression) -> Callable[[], Any]:
        jax = self.jax
        jax.config.update("jax_enable_x64", True)
        gradient = jax.jit(jax.grad(lambda x: expression(x, jax.numpy)))
        x = jax.numpy.asarray(task.x)
        return lambda: gradient(x).block_until_ready()


class HipsAutograd:
    """HIPS autograd, with the hand-written optimisers' in-place updates."""

    def __init__(self) -> None:
        import autograd
        import autograd.numpy
        import autograd.scipy.special

        self.autograd: Any = autograd
        self.version: str = version("autograd")

    def training(self, task: Training) -> Callable[[], float]:
        anp = self.autograd.numpy
        logsumexp = self.autograd.scipy.special.logsumexp
        x, labels = task.inputs, task.labels
        rows = np.arange(task.batch)
        relu = task.activation == "relu"

        def loss_of(parameters: list[Any]) -> Any:
            z = x
            last = len(parameters) - 2
            for i in range(0, len(parameters), 2):
                z = z @ parameters[i] + parameters[i + 1]
                if i < last:
                    z = anp.maximum(z, 0.0) if relu else anp.tanh(z)
            if task.loss == "bce":
                return anp.mean(anp.logaddexp(0.0, z) - z * labels)
            return anp.mean(logsumexp(z, axis=1) - z[rows, labels])

        parameters = task.initial()
        value_and_grad = self.autograd.value_and_grad(loss_of)
        update = {"sgd": SGD, "adam": Adam}[task.optimizer](parameters, task.learning_rate)

        def step() -> float:
            loss, gradients = value_and_grad(parameters)
            update(gradients)
            return float(loss)

        return step

    def expression(self, task: Expression) -> Callable[[], np.ndarray]:
        gradient = self.autograd.grad(lambda x: expression(x, self.autograd.numpy))
        x = task.x
        return lambda: gradient(x)

    def scalars(self, task: Scalars) -> Callable[[], tuple[float, float]]:
        anp = self.autograd.numpy

        def f(a: Any, b: Any) -> Any:
            return scalar_expression(a, b, relu=lambda v: anp.maximum(v, 0.0))

        gradient = self.autograd.grad(f, (0, 1))
        return lambda: gradient(task.a, task.b)


class Micrograd:
    """micrograd's `Value`; scalars only."""

    def __init__(self) -> None:
        from micrograd.engine import Value

        self.value: Any = Value
        self.version: str = version("micrograd")

    def scalars(self, task: Scalars) -> Callable[[], tuple[float, float]]:
        return scalar_step(self.value, task)
