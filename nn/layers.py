"""Layers, and networks of layers."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any, overload

import numpy as np

import autograd_core as ag

from . import activations
from .activations import Activation
from .checks import as_array, check_features, check_sizes
from .init import Initializer, Random, as_rng, normal
from .init import get as get_init
from .lookup import name_of, refuse_class
from .module import Module, Parameter

__all__ = [
    "MLP", "Bilinear", "Dropout", "Embedding", "Ensemble", "Flatten", "Linear", "Residual",
    "Sequential",
]


class Linear(Module):
    """The affine map y = x W + b.

    ``x`` has shape (..., n_in), ``y`` (..., n_out). Parameters: ``weight`` of shape
    (n_in, n_out) and, with ``bias=True``, ``bias`` of shape (n_out,), initially 0.

    Raises :class:`ag.ShapeError` for an input with another number of features. Source: Goodfellow,
    Bengio, Courville, "Deep learning" (2016), section 6.3, where x is a column.

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
        check_sizes("Linear", n_in, n_out)
        self.weight = Parameter(get_init(init)((n_in, n_out), as_rng(rng), dtype), label="W")
        self.bias = Parameter(np.zeros(n_out, dtype), label="b") if bias else None

    def forward(self, x: Any) -> Any:
        try:
            y = x @ self.weight
        except (ValueError, TypeError):
            check_features(x, self.weight.shape[0], "Linear")
            raise
        return y if self.bias is None else y + self.bias

    def describe(self) -> str:
        n_in, n_out = self.weight.shape
        return f"Linear({n_in}, {n_out}{'' if self.bias is not None else ', bias=False'})"


class Bilinear(Module):
    """A form that is linear in each of two inputs: yₖ = Σᵢⱼ uᵢ Wᵢⱼₖ vⱼ + bₖ.

    ``u`` of shape (..., n_first) and ``v`` of shape (..., n_second) give (..., n_out); the axes in
    front must be equal. Parameters: ``weight`` of shape (n_first, n_second, n_out) and, with
    ``bias=True``, ``bias`` of shape (n_out,), initially 0.

    Raises :class:`ag.ShapeError` for inputs of other shapes. Source: Tenenbaum, Freeman,
    "Separating style and content with bilinear models" (2000), equation 1.

    >>> nn.Bilinear(3, 4, 2, rng=0)(np.ones((5, 3), np.float32), np.ones((5, 4), np.float32)).shape
    (5, 2)
    """

    def __init__(
        self,
        n_first: int,
        n_second: int,
        n_out: int,
        bias: bool = True,
        *,
        init: str | Initializer = "xavier",
        rng: Random = None,
        dtype: Any = np.float32,
    ) -> None:
        check_sizes("Bilinear", n_first, n_second, n_out)
        # Each output is a sum of n_first n_second terms: that is its fan-in.
        weight = get_init(init)((n_first * n_second, n_out), as_rng(rng), dtype)
        self.weight = Parameter(weight.reshape(n_first, n_second, n_out), label="W")
        self.bias = Parameter(np.zeros(n_out, dtype), label="b") if bias else None

    def forward(self, u: Any, v: Any) -> Any:
        n_first, n_second, n_out = self.weight.shape
        u, v = check_features(u, n_first, "Bilinear"), check_features(v, n_second, "Bilinear")
        if u.shape[:-1] != v.shape[:-1]:
            raise ag.ShapeError(
                f"Bilinear: the inputs have shapes {tuple(u.shape)} and {tuple(v.shape)}; all axes "
                "but the last must be equal"
            )
        front = tuple(u.shape[:-1])
        of_u = u @ self.weight.reshape((n_first, n_second * n_out))
        y = (v[..., None, :] @ of_u.reshape((*front, n_second, n_out)))[..., 0, :]
        return y if self.bias is None else y + self.bias

    def describe(self) -> str:
        sizes = ", ".join(map(str, self.weight.shape))
        return f"Bilinear({sizes}{'' if self.bias is not None else ', bias=False'})"


class Embedding(Module):
    """A table with a vector for each of n things: y = weight[i].

    ``i``: integers in [0, n), of any shape (...); ``y`` has shape (..., n_features). Parameter:
    ``weight`` of shape (n, n_features), initially N(0, 1). The gradient of a row is the sum over
    all places where its number stands.

    Raises ``TypeError`` for numbers that are no integers and ``ValueError`` for one out of range,
    in compiled functions at every call. Source: Bengio, Ducharme, Vincent, Jauvin, "A neural
    probabilistic language model" (2003).

    >>> nn.Embedding(10, 4, rng=0)(np.array([[1, 2, 3], [4, 4, 4]])).shape
    (2, 3, 4)
    """

    def __init__(
        self,
        n: int,
        n_features: int,
        *,
        init: str | Initializer | None = None,
        rng: Random = None,
        dtype: Any = np.float32,
    ) -> None:
        check_sizes("Embedding", n, n_features)
        scheme = normal(1.0) if init is None else get_init(init)
        self.weight = Parameter(scheme((n, n_features), as_rng(rng), dtype), label="E")

    def forward(self, i: Any) -> Any:
        i = as_array(i)
        if i.dtype.kind not in "iu":
            raise TypeError(f"Embedding: what is looked up must be integers, got {i.dtype}")
        if isinstance(i, ag.Tensor):
            ag.callback(_check_range, i, self.weight.shape[0])
        else:
            _check_range(i, self.weight.shape[0])
        return self.weight[i]

    def describe(self) -> str:
        n, n_features = self.weight.shape
        return f"Embedding({n}, {n_features})"


def _check_range(i: Any, n: int) -> None:
    """Raise unless all are in [0, n): -1 would be the last row without a word."""
    fine = (i >= 0) & (i < n)
    if not fine.all():
        raise ValueError(f"Embedding: {i[~fine][0]} is out of range for {n} rows (0 to {n - 1})")


class Flatten(Module):
    """All axes from ``start`` on as one: (batch, a, b, ...) becomes (batch, a b ...).

    >>> nn.Flatten()(np.ones((5, 2, 3))).shape
    (5, 6)
    """

    def __init__(self, start: int = 1) -> None:
        if start < 0:
            raise ValueError(f"Flatten: start must not be negative, got {start}")
        self.start = start

    def forward(self, x: Any) -> Any:
        x = as_array(x)
        shape = tuple(x.shape)
        if len(shape) < self.start:
            raise ag.ShapeError(
                f"Flatten: the input has shape {shape}, without the {self.start} axes to be kept"
            )
        return x.reshape((*shape[: self.start], math.prod(shape[self.start :])))

    def describe(self) -> str:
        return f"Flatten({self.start})"


class Dropout(Module):
    """In training y = x m / (1 - rate), m being 0 with probability ``rate``, else 1; else y = x.

    m is drawn afresh for each element at each call, in compiled functions too. Units cannot rely
    on each other, as if many networks that share weights were trained and averaged. ``rng``: a
    generator or a seed for it.

    Raises ``ValueError`` for a rate outside of [0, 1). Source: Srivastava, Hinton, Krizhevsky,
    Sutskever, Salakhutdinov, "Dropout: a simple way to prevent neural networks from overfitting"
    (2014).

    >>> layer = nn.Dropout(0.5, rng=0)
    >>> layer(np.ones(8, np.float32)).tolist()
    [2.0, 2.0, 2.0, 0.0, 0.0, 0.0, 0.0, 0.0]
    >>> layer.eval()(np.ones(3, np.float32)).tolist()
    [1.0, 1.0, 1.0]
    """

    def __init__(self, rate: float = 0.5, *, rng: Random = None) -> None:
        if not 0 <= rate < 1:
            raise ValueError(f"Dropout: the rate must be in [0, 1), got {rate}")
        self.rate = float(rate)
        self.rng = as_rng(rng)

    def forward(self, x: Any) -> Any:
        x = as_array(x)
        if not self.training or not self.rate:
            return x
        return x * ag.random.dropout_mask(self.rng, self.rate, tuple(x.shape), x.dtype)

    def describe(self) -> str:
        return f"Dropout({self.rate})"


class Sequential(Module):
    """Functions one after another, y = fₙ(⋯ f₂(f₁(x))): modules, activations, any callables.

    Source: Goodfellow, Bengio, Courville, "Deep learning" (2016), chapter 6.

    >>> nn.Sequential(nn.Linear(2, 8), nn.activations.tanh, nn.Linear(8, 1))
    Sequential(
      0: Linear(2, 8)
      1: tanh
      2: Linear(8, 1)
    )
    """

    def __init__(self, *layers: Callable[[Any], Any]) -> None:
        for layer in layers:
            refuse_class("Sequential", layer)
            if not callable(layer):
                hint = "; pass the layers one by one" if isinstance(layer, (list, tuple)) else ""
                raise TypeError(f"Sequential: {layer!r} is not callable{hint}")
        self.layers = list(layers)

    def forward(self, x: Any) -> Any:
        for layer in self.layers:
            x = layer(x)
        return x

    def __len__(self) -> int:
        return len(self.layers)

    @overload
    def __getitem__(self, i: int) -> Callable[[Any], Any]: ...

    @overload
    def __getitem__(self, i: slice) -> Sequential: ...

    def __getitem__(self, i: int | slice) -> Callable[[Any], Any]:
        """One of the functions, or with a slice several of them, one after another."""
        return Sequential(*self.layers[i]) if isinstance(i, slice) else self.layers[i]

    def __iter__(self) -> Iterator[Callable[[Any], Any]]:
        return iter(self.layers)

    def __repr__(self) -> str:
        lines = [f"{self.describe()}("]
        for i, layer in enumerate(self.layers):
            shown = repr(layer) if isinstance(layer, Module) else name_of(layer)
            first, *rest = shown.split("\n")
            lines += [f"  {i}: {first}", *(f"  {line}" for line in rest)]
        return "\n".join([*lines, ")"])


class MLP(Sequential):
    """A multilayer perceptron: affine maps with an activation between them,

    h₀ = x,  hᵢ = g(hᵢ₋₁ Wᵢ + bᵢ) for the hidden layers,  y = o(hₙ₋₁ Wₙ + bₙ).

    ``sizes``: the number of features, of units in each hidden layer, and of outputs.
    ``activation``: of the hidden units; ``output``: of the output units, by default none, since
    the losses take logits. Weights start as He for relu, otherwise as Xavier, unless ``init``
    says; biases start at 0. ``rng``: a seed or a generator.

    Source: Rumelhart, Hinton, Williams, "Learning representations by back-propagating errors"
    (1986).

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
        if not hasattr(sizes, "__len__"):
            raise TypeError(f"MLP: sizes is a list, such as [2, 8, 1], got {sizes!r}")
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


class Residual(Module):
    """y = x + f(x), or with ``shortcut`` y = s(x) + f(x): f learns what is to be changed.

    ``f``: one or more functions one after another. The gradient reaches x undiminished by f.

    Raises :class:`ag.ShapeError` if the two terms have different shapes: they would broadcast.
    Source: He, Zhang, Ren, Sun, "Deep residual learning for image recognition" (2016), equations 1
    and 2.

    >>> nn.Residual(nn.Linear(4, 4, rng=0), nn.ReLU())(np.ones((2, 4), np.float32)).shape
    (2, 4)
    """

    def __init__(
        self, *f: Callable[[Any], Any], shortcut: Callable[[Any], Any] | None = None
    ) -> None:
        if not f:
            raise ValueError("Residual: needs a function to learn what is added")
        self.f = Sequential(*f)
        self.shortcut = shortcut

    def forward(self, x: Any) -> Any:
        x = as_array(x)
        change = self.f(x)
        start = x if self.shortcut is None else self.shortcut(x)
        if start.shape != change.shape:
            raise ag.ShapeError(
                f"Residual: shapes {tuple(start.shape)} and {tuple(change.shape)} cannot be added; "
                f"pass `shortcut=nn.Linear({start.shape[-1]}, {change.shape[-1]}, bias=False)`, say"
            )
        return start + change


class Ensemble(Module):
    """The mean of what several models predict: y = Σₘ g(fₘ(x)) / M.

    ``output``: an activation g of each model's prediction before the mean, "softmax" for the
    probabilities of models that return logits. The models' errors cancel as far as they differ.

    Source: Hansen, Salamon, "Neural network ensembles" (1990).

    >>> ensemble = nn.Ensemble([nn.Linear(3, 2, rng=i) for i in range(5)], output="softmax")
    >>> ensemble(np.ones((4, 3), np.float32)).sum(1).numpy(force=True).round(3).tolist()
    [1.0, 1.0, 1.0, 1.0]
    """

    def __init__(
        self,
        models: Iterable[Callable[[Any], Any]],
        output: str | Activation | None = None,
    ) -> None:
        self.models = list(models)
        if not self.models:
            raise ValueError("Ensemble: there are no models to average")
        self.output = activations.get(output)

    def forward(self, x: Any) -> Any:
        predictions = [self.output(model(x)) for model in self.models]
        total, *others = predictions
        for prediction in others:
            if prediction.shape != total.shape:
                raise ag.ShapeError(
                    f"Ensemble: predictions of shapes {tuple(total.shape)} and "
                    f"{tuple(prediction.shape)}"
                )
            total = total + prediction
        return total / len(predictions)
