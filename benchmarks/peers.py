"""The peers, each written as its own documentation recommends and imported when it is loaded."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from typing import Any

import numpy as np

from .handwritten import SGD, Adam
from .neurons import moons_step
from .ours import scalar_step
from .workloads import (
    Digits,
    Expression,
    FirstCall,
    Moons,
    Recurrent,
    Scalars,
    Training,
    expression,
    scalar_expression,
)


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
            "mse": functional.mse_loss,
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

    def recurrent(self, task: Recurrent) -> Callable[[], float]:
        torch = self.torch
        parameters = [torch.from_numpy(p).requires_grad_() for p in task.initial()]
        wx, wh, b, wo, bo = parameters
        optimizer = torch.optim.SGD(parameters, lr=task.learning_rate)
        x, labels = torch.from_numpy(task.inputs), torch.from_numpy(task.labels)

        def step() -> float:
            optimizer.zero_grad(set_to_none=True)
            h = torch.zeros(task.batch, task.hidden)
            for t in range(task.steps):
                h = torch.tanh(x[t] @ wx + h @ wh + b)
            loss = torch.nn.functional.cross_entropy(h @ wo + bo, labels)
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
        update, state = self.update(task, self.loss_of(task))
        return self.stepping(task, state, self.jax.jit(update, donate_argnums=0))

    def first_call(self, task: FirstCall) -> Callable[[], float]:
        loss_of = self.loss_of(task.training)
        _, state = self.update(task.training, loss_of)

        def update_once(*arguments: Any) -> Any:
            update, _ = self.update(task.training, loss_of)  # JAX knows functions by identity
            return self.jax.jit(update, donate_argnums=0)(*arguments)

        return self.stepping(task.training, state, update_once)

    def recurrent(self, task: Recurrent) -> Callable[[], float]:
        jax, jnp = self.jax, self.jax.numpy

        def loss_of(parameters: list[Any], x: Any, labels: Any) -> Any:
            wx, wh, b, wo, bo = parameters

            def read(h: Any, x_t: Any) -> tuple[Any, None]:
                return jnp.tanh(x_t @ wx + h @ wh + b), None

            h, _ = jax.lax.scan(read, jnp.zeros((task.batch, task.hidden), x.dtype), x)
            return self.cross_entropy(h @ wo + bo, labels)

        update, state = self.update(task, loss_of)
        return self.stepping(task, state, jax.jit(update, donate_argnums=0))

    def loss_of(self, task: Training) -> Callable[..., Any]:
        """The loss of a perceptron's parameters."""
        jax, jnp = self.jax, self.jax.numpy
        activation = {"relu": jax.nn.relu, "tanh": jnp.tanh}[task.activation]

        def loss_of(parameters: list[Any], x: Any, labels: Any) -> Any:
            *hidden, last = zip(parameters[0::2], parameters[1::2], strict=True)
            for w, b in hidden:
                x = activation(x @ w + b)
            z = x @ last[0] + last[1]
            if task.loss == "bce":
                return jnp.mean(jax.nn.softplus(z) - z * labels)
            if task.loss == "mse":
                return jnp.mean((z - labels) ** 2)
            return self.cross_entropy(z, labels)

        return loss_of

    def cross_entropy(self, z: Any, labels: Any) -> Any:
        jax, jnp = self.jax, self.jax.numpy
        chosen = jnp.take_along_axis(z, labels[:, None], axis=1)[:, 0]
        return jnp.mean(jax.nn.logsumexp(z, axis=1) - chosen)

    def update(
        self, task: Training | Recurrent, loss_of: Callable[..., Any]
    ) -> tuple[Callable[..., Any], Any]:
        """A new function (state, x, labels) -> (loss, state), and the first state."""
        jax, jnp = self.jax, self.jax.numpy
        jax.config.update("jax_enable_x64", False)

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
        return {"sgd": sgd, "adam": adam}[task.optimizer], state

    def stepping(
        self, task: Training | Recurrent, state: Any, update: Callable[..., Any]
    ) -> Callable[[], float]:
        """Step after step from this state."""
        x, labels = self.jax.numpy.asarray(task.inputs), self.jax.numpy.asarray(task.labels)

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
            if task.loss == "mse":
                return anp.mean((z - labels) ** 2)
            return anp.mean(logsumexp(z, axis=1) - z[rows, labels])

        return self.stepping(task, loss_of)

    def recurrent(self, task: Recurrent) -> Callable[[], float]:
        anp = self.autograd.numpy
        logsumexp = self.autograd.scipy.special.logsumexp
        x, labels = task.inputs, task.labels
        rows = np.arange(task.batch)

        def loss_of(parameters: list[Any]) -> Any:
            wx, wh, b, wo, bo = parameters
            h = np.zeros((task.batch, task.hidden), np.float32)
            for t in range(task.steps):
                h = anp.tanh(x[t] @ wx + h @ wh + b)
            z = h @ wo + bo
            return anp.mean(logsumexp(z, axis=1) - z[rows, labels])

        return self.stepping(task, loss_of)

    def stepping(
        self, task: Training | Recurrent, loss_of: Callable[..., Any]
    ) -> Callable[[], float]:
        """Step after step from the initial parameters."""
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

    def moons(self, task: Moons) -> Callable[[], list[Any]]:
        return moons_step(self.value, task)


class ScikitLearn:
    """scikit-learn's `MLPClassifier` without its penalty, and with every epoch it is given."""

    def __init__(self) -> None:
        import sklearn
        import sklearn.exceptions
        import sklearn.neural_network

        self.sklearn: Any = sklearn
        self.version: str = sklearn.__version__

    def digits(self, task: Digits) -> Callable[[], Callable[[np.ndarray], np.ndarray]]:
        x, labels, _, _ = task.data

        def step() -> Callable[[np.ndarray], np.ndarray]:
            classifier = self.sklearn.neural_network.MLPClassifier(
                task.sizes[1:-1], activation="relu", solver="adam", alpha=0.0,
                batch_size=task.batch, learning_rate_init=task.learning_rate,
                max_iter=task.epochs, tol=0.0, n_iter_no_change=1000, random_state=0,
            )
            with warnings.catch_warnings():
                # that it could go on after the last epoch
                warnings.simplefilter("ignore", self.sklearn.exceptions.ConvergenceWarning)
                classifier.fit(x, labels)
            return classifier.predict  # type: ignore[no-any-return]

        return step
