"""Neurons, and layers of them: units as the lectures draw them."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import activations
from .activations import Activation
from .checks import as_array, check_features, check_sizes
from .init import Initializer, Random, as_rng
from .init import get as get_init
from .lookup import name_of
from .module import Module, Parameter

__all__ = ["RBF", "Layer", "LinearNeuron", "MaxoutLayer", "Neuron", "Perceptron"]


class Neuron(Module):
    """One unit: y = f(w · x + b).

    ``x`` has shape (n_in,) or (batch, n_in), or is a list of n_in scalars; ``y`` has shape () or
    (batch,). Parameters: ``weight`` of shape (n_in,), ``bias`` of shape ().

    Source: McCulloch, Pitts, "A logical calculus of the ideas immanent in nervous activity" (1943),
    with a graded activation.

    >>> nn.Neuron(2, "relu", init=nn.init.given([[2.0], [1.0]]))([3.0, -1.0]).item()
    5.0
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
            raise ValueError(f"{type(self).__name__}: n_in must be positive, got {n_in}")
        weight = get_init(init)((n_in, 1), as_rng(rng), dtype)
        self.weight = Parameter(weight[:, 0], label="w")
        self.bias = Parameter(np.zeros((), dtype), label="b")
        self.activation = activations.get(activation)

    def forward(self, x: Any) -> Any:
        x = check_features(x, self.weight.shape[0], type(self).__name__)
        return self.activation(x @ self.weight + self.bias)

    def describe(self) -> str:
        return f"Neuron({self.weight.shape[0]}, {name_of(self.activation)})"


class Perceptron(Neuron):
    """A threshold unit: y = 1 if w · x + b > 0, else 0.

    Its slope is 0 everywhere: it learns by the perceptron rule, or by gradient descent on
    :func:`nn.losses.perceptron` of its :meth:`score`. It starts with zeros unless ``init`` says
    otherwise. Shapes and parameters as in :class:`Neuron`.

    Source: Rosenblatt, "The perceptron: a probabilistic model for information storage and
    organization in the brain" (1958).

    >>> nand = nn.Perceptron(2, init=nn.init.given([[-2], [-2]]))
    >>> nand.bias.assign(3)
    >>> nand(np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32)).tolist()
    [1.0, 1.0, 1.0, 0.0]
    """

    def __init__(
        self, n_in: int, *, init: str | Initializer = "zeros", rng: Random = None,
        dtype: Any = np.float32,
    ) -> None:
        super().__init__(n_in, activations.step, init=init, rng=rng, dtype=dtype)

    def score(self, x: Any) -> Any:
        """w · x + b, of which the sign decides."""
        return check_features(x, self.weight.shape[0], "Perceptron") @ self.weight + self.bias

    def describe(self) -> str:
        return f"Perceptron({self.weight.shape[0]})"


class LinearNeuron(Neuron):
    """A linear unit: y = w · x + b.

    Gradient descent on its squared error is the delta rule w ← w + μ (d - y) x. It starts with
    zeros unless ``init`` says otherwise. Shapes and parameters as in :class:`Neuron`.

    Source: Widrow, Hoff, "Adaptive switching circuits" (1960).
    """

    def __init__(
        self, n_in: int, *, init: str | Initializer = "zeros", rng: Random = None,
        dtype: Any = np.float32,
    ) -> None:
        super().__init__(n_in, activations.identity, init=init, rng=rng, dtype=dtype)

    def describe(self) -> str:
        return f"LinearNeuron({self.weight.shape[0]})"


class Layer(Module):
    """Units side by side on the same input, yᵢ = f(wᵢ · x + bᵢ), each its own :class:`Neuron`.

    ``x`` of shape (n_in,) or (batch, n_in) gives (n_out,) or (batch, n_out). It computes what
    ``Linear`` with an activation computes, unit by unit, so that every unit shows in the graph.

    Source: Rumelhart, Hinton, Williams, "Learning representations by back-propagating errors"
    (1986), equations 1 and 2.
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
        check_sizes("Layer", n_in, n_out)
        source = as_rng(rng)
        weights = get_init(init)((n_in, n_out), source, dtype)
        self.neurons = [
            Neuron(n_in, activation, init=lambda *_, w=weights[:, i : i + 1]: w, rng=source,
                   dtype=dtype)
            for i in range(n_out)
        ]

    def forward(self, x: Any) -> Any:
        x = as_array(x)
        return np.stack([neuron(x) for neuron in self.neurons], axis=-1)


class MaxoutLayer(Module):
    """Units that each take the largest of k affine maps: yᵢ = maxⱼ (x · wᵢⱼ + bᵢⱼ), j = 1, ..., k.

    A unit learns its own convex, piecewise linear activation. ``x`` of shape (..., n_in) gives
    (..., n_out). Parameters: ``weight`` of shape (n_in, n_out k), the maps of one unit side by
    side, and ``bias`` of shape (n_out k,).

    Source: Goodfellow, Warde-Farley, Mirza, Courville, Bengio, "Maxout networks" (2013).

    >>> nn.MaxoutLayer(3, 2, k=4, rng=0)(np.ones((5, 3), np.float32)).shape
    (5, 2)
    """

    def __init__(
        self,
        n_in: int,
        n_out: int,
        k: int = 2,
        *,
        init: str | Initializer = "xavier",
        rng: Random = None,
        dtype: Any = np.float32,
    ) -> None:
        check_sizes("MaxoutLayer", n_in, n_out, k)
        self.k = k
        self.weight = Parameter(get_init(init)((n_in, n_out * k), as_rng(rng), dtype), label="W")
        self.bias = Parameter(np.zeros(n_out * k, dtype), label="b")

    def forward(self, x: Any) -> Any:
        x = check_features(x, self.weight.shape[0], "MaxoutLayer")
        return activations.maxout(x @ self.weight + self.bias, self.k)

    def describe(self) -> str:
        n_in, n = self.weight.shape
        return f"MaxoutLayer({n_in}, {n // self.k}, k={self.k})"


class RBF(Module):
    """Radial basis functions: yᵢ = exp(-‖W_:,i - x‖² / σᵢ²), 1 at the unit's centre.

    ``x`` of shape (..., n_in) gives (..., n_out). Parameters: ``weight`` of shape (n_in, n_out),
    the centres as columns, initially N(0, 1), as inputs are when they have been standardised; or
    inputs of the training set, with ``init=nn.init.given(X[chosen].T)``; and ``sigma`` of shape
    (n_out,), the widths, initially √n_in, the distance at which inputs lie from each other.

    Source: Broomhead, Lowe, "Multivariable functional interpolation and adaptive networks" (1988);
    Goodfellow, Bengio, Courville, "Deep learning" (2016), section 6.3.3.

    >>> unit = nn.RBF(2, 1, init=nn.init.given([[1.0], [2.0]]))
    >>> unit(np.array([[1.0, 2.0], [2.0, 3.0]], np.float32)).numpy(force=True).round(4)
    array([[1.    ],
           [0.3679]], dtype=float32)
    """

    def __init__(
        self,
        n_in: int,
        n_out: int,
        *,
        init: str | Initializer | None = None,
        sigma: float | None = None,
        rng: Random = None,
        dtype: Any = np.float32,
    ) -> None:
        check_sizes("RBF", n_in, n_out)
        if sigma is None:
            sigma = float(n_in) ** 0.5
        if not sigma > 0:
            raise ValueError(f"RBF: sigma must be positive, got {sigma}")
        scheme = _standard_normal if init is None else get_init(init)
        self.weight = Parameter(scheme((n_in, n_out), as_rng(rng), dtype), label="W")
        self.sigma = Parameter(np.full(n_out, sigma, dtype), label="sigma")

    def forward(self, x: Any) -> Any:
        x = check_features(x, self.weight.shape[0], "RBF")
        # Not ‖w‖² - 2 w · x + ‖x‖², whose digits cancel near the centre, where the unit is active.
        distance = np.square(x[..., None] - self.weight).sum(-2)
        return np.exp(-distance / np.square(self.sigma))

    def describe(self) -> str:
        n_in, n_out = self.weight.shape
        return f"RBF({n_in}, {n_out})"


def _standard_normal(
    shape: tuple[int, ...], rng: np.random.Generator, dtype: Any = np.float32
) -> np.ndarray:
    return rng.standard_normal(shape).astype(dtype)
