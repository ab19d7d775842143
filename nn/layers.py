"""Neurons, layers of neurons, and networks of layers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

import autograd_core as ag

from . import activations
from .activations import Activation
from .init import Initializer, as_rng
from .init import get as get_init
from .module import Module, Parameter

__all__ = ["MLP", "Layer", "Linear", "Neuron", "Sequential"]

Random = np.random.Generator | int | None


def _check_features(x: Any, n_in: int, name: str) -> Any:
    """The input as an array, its last axis checked."""
    if not hasattr(x, "shape"):
        x = ag.array(x)
    shape = x.shape
    if not shape or shape[-1] != n_in:
        raise ag.ShapeError(
            f"{name}: the input has shape {shape}, but its last axis must hold {n_in} features"
            + ("; a batch has shape (batch, features)" if len(shape) < 2 else "")
        )
    return x


class Neuron(Module):
    """One unit: y = f(w · x + b).

    ``x`` has shape (n_in,) or (batch, n_in), or is a list of n_in scalars; ``y`` has shape () or
    (batch,). Parameters: ``weight`` of shape (n_in,), ``bias`` of shape ().
    """

    def __init__(
        self,
        n_in: int,
        activation: str | Activation | None = "sigmoid",
        *,
        init: str | Initializer = "xavier",
        rng: Random = None,
        dtype: Any = np.float32,
    ) -> None:
        if n_in < 1:
            raise ValueError(f"Neuron: n_in must be positive, got {n_in}")
        weight = get_init(init)((n_in, 1), as_rng(rng), dtype)
        self.weight = Parameter(weight[:, 0], label="w")
        self.bias = Parameter(np.zeros((), dtype), label="b")
        self.activation = activations.get(activation)

    def forward(self, x: Any) -> Any:
        x = _check_features(x, self.weight.shape[0], "Neuron")
        return self.activation(x @ self.weight + self.bias)

    def describe(self) -> str:
        return f"Neuron({self.weight.shape[0]}, {_name(self.activation)})"


class Layer(Module):
    """Units side by side on the same input, each its own :class:`Neuron`.

    ``x`` of shape (n_in,) or (batch, n_in) gives (n_out,) or (batch, n_out). It computes what
    ``Linear`` with an activation computes, unit by unit, so that every unit shows in the graph.
    """

    def __init__(
        self,
        n_in: int,
        n_out: int,
        activation: str | Activation | None = "sigmoid",
        *,
        init: str | Initializer = "xavier",
        rng: Random = None,
        dtype: Any = np.float32,
    ) -> None:
        if n_in < 1 or n_out < 1:
            raise ValueError(f"Layer: sizes must be positive, got {n_in} and {n_out}")
        source = as_rng(rng)
        weights = get_init(init)((n_in, n_out), source, dtype)
        self.neurons = [
            Neuron(n_in, activation, init=lambda *_, w=weights[:, i : i + 1]: w, rng=source,
                   dtype=dtype)
            for i in range(n_out)
        ]

    def forward(self, x: Any) -> Any:
        if not hasattr(x, "shape"):
            x = ag.array(x)
        return np.stack([neuron(x) for neuron in self.neurons], axis=-1)


class Linear(Module):
    """The affine map y = x W + b.

    ``x`` has shape (..., n_in), ``y`` (..., n_out). Parameters: ``weight`` of shape
    (n_in, n_out) and, with ``bias=True``, ``bias`` of shape (n_out,), initially 0.

    Raises :class:`ag.ShapeError` for an input with another number of features.

    >>> nn.Linear(3, 2, rng=0)(np.ones((5, 3), np.float32)).shape
    (5, 2)
    """

    def __init__(
        self,
        n_in: int,
        n_out: int,
        bias: bool = True,
        *,
        init: str | Initializer = "he",
        rng: Random = None,
        dtype: Any = np.float32,
    ) -> None:
        if n_in < 1 or n_out < 1:
            raise ValueError(f"Linear: sizes must be positive, got {n_in} and {n_out}")
        self.weight = Parameter(get_init(init)((n_in, n_out), as_rng(rng), dtype), label="W")
        self.bias = Parameter(np.zeros(n_out, dtype), label="b") if bias else None

    def forward(self, x: Any) -> Any:
        try:
            y = x @ self.weight
        except (ag.ShapeError, TypeError):
            _check_features(x, self.weight.shape[0], "Linear")
            raise
        return y if self.bias is None else y + self.bias

    def describe(self) -> str:
        n_in, n_out = self.weight.shape
        return f"Linear({n_in}, {n_out}{'' if self.bias is not None else ', bias=False'})"


class Sequential(Module):
    """Functions one after another: modules, activations, any callables.

    >>> nn.Sequential(nn.Linear(2, 8), nn.activations.tanh, nn.Linear(8, 1))
    Sequential(
      0: Linear(2, 8)
      1: tanh
      2: Linear(8, 1)
    )
    """

    def __init__(self, *layers: Callable[[Any], Any]) -> None:
        for layer in layers:
            if not callable(layer):
                raise TypeError(f"Sequential: {layer!r} is not callable")
        self.layers = list(layers)

    def forward(self, x: Any) -> Any:
        for layer in self.layers:
            x = layer(x)
        return x

    def __len__(self) -> int:
        return len(self.layers)

    def __getitem__(self, i: int) -> Callable[[Any], Any]:
        return self.layers[i]

    def __iter__(self) -> Iterator[Callable[[Any], Any]]:
        return iter(self.layers)

    def __repr__(self) -> str:
        lines = [f"{self.describe()}("]
        for i, layer in enumerate(self.layers):
            first, *rest = (repr(layer) if isinstance(layer, Module) else _name(layer)).split("\n")
            lines += [f"  {i}: {first}", *(f"  {line}" for line in rest)]
        return "\n".join([*lines, ")"])


class MLP(Sequential):
    """A multilayer perceptron: affine maps with an activation between them.

    ``sizes``: the number of features, of units in each hidden layer, and of outputs.
    ``activation``: of the hidden units; ``output``: of the output units, by default none, since
    the losses take logits. Weights start as He for relu, otherwise as Xavier, unless ``init``
    says; biases start at 0. ``rng``: a seed or a generator.

    >>> model = nn.MLP([2, 8, 1], activation="tanh", rng=0)
    >>> model(np.zeros((4, 2), np.float32)).shape
    (4, 1)
    """

    def __init__(
        self,
        sizes: Sequence[int],
        activation: str | Activation = "relu",
        output: str | Activation | None = None,
        *,
        init: str | Initializer | None = None,
        rng: Random = None,
        dtype: Any = np.float32,
    ) -> None:
        if len(sizes) < 2:
            raise ValueError(f"MLP: sizes needs an input and an output size, got {list(sizes)}")
        hidden, last = activations.get(activation), activations.get(output)
        if init is None:
            init = "he" if hidden is activations.relu else "xavier"
        source = as_rng(rng)
        layers: list[Callable[[Any], Any]] = []
        for i, (n_in, n_out) in enumerate(pairwise(sizes)):
            linear = Linear(n_in, n_out, init=init, rng=source, dtype=dtype)
            linear.weight.label, linear.bias.label = f"W{i + 1}", f"b{i + 1}"  # type: ignore[union-attr]
            layers.append(linear)
            act = hidden if i < len(sizes) - 2 else last
            if act is not activations.identity:
                layers.append(act)
        super().__init__(*layers)


def _name(f: Callable[..., Any]) -> str:
    return getattr(f, "__name__", repr(f))
