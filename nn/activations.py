"""Activations: functions from pre-activations z to activations, and the same as modules.

All but ``maxout``, ``softmax`` and ``log_softmax`` work element by element. They take Tensors,
arrays and numbers, keep float32, do not overflow, and at a kink have the slope that is written
beside them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

import autograd_core as ag

from .lookup import by_name
from .module import Module, Parameter

__all__ = [
    "ELU", "GELU", "SELU", "Absolute", "Activation", "Hardtanh", "Identity", "LeakyReLU",
    "LogSoftmax", "Maxout", "PReLU", "ReLU", "SiLU", "Sigmoid", "Softmax", "Softplus", "Softsign",
    "Step", "Tanh", "absolute", "elu", "gelu", "get", "hard_tanh", "identity", "leaky_relu",
    "log_softmax", "maxout", "prelu", "relu", "selu", "sigmoid", "silu", "softmax", "softplus",
    "softsign", "step", "tanh",
]

Activation: TypeAlias = Callable[[Any], Any]

#: SELU's numbers: with them the mean 0 and the variance 1 are a fixed point of a layer.
_SELU_ALPHA, _SELU_SCALE = 1.6732632423543772, 1.0507009873554805
#: √(2/π), of GELU's approximation.
_GELU_SLOPE = 0.7978845608028654


# Linear, and steps. -----------------------------------------------------------------------------


def identity(z: Any) -> Any:
    """z, for linear units.

    Source: the unit of Widrow, Hoff, "Adaptive switching circuits" (1960).
    """
    return z


def step(z: Any) -> Any:
    """1 where z > 0, else 0; the slope is 0 everywhere.

    Source: the unit of Rosenblatt, "The perceptron" (1958).

    >>> nn.activations.step(np.array([-1.0, 0.0, 2.0]))
    array([0., 0., 1.])
    """
    return np.heaviside(z, 0.0)


# Squashing functions. ---------------------------------------------------------------------------


def sigmoid(z: Any) -> Any:
    """σ(z) = 1 / (1 + exp(-z)) = (1 + tanh(z/2)) / 2, in (0, 1); σ' = σ (1 - σ) <= 1/4.

    Source: Rumelhart, Hinton, Williams, "Learning representations by back-propagating errors"
    (1986), equation 2.
    """
    return ag.sigmoid(z)


def tanh(z: Any) -> Any:
    """(exp(z) - exp(-z)) / (exp(z) + exp(-z)) = 2 σ(2z) - 1, in (-1, 1).

    Source: LeCun, Bottou, Orr, Müller, "Efficient backprop" (1998), section 4.4.
    """
    return z.tanh() if isinstance(z, ag.Tensor) else np.tanh(z)


def hard_tanh(z: Any) -> Any:
    """max(-1, min(1, z)), with slope 0 at -1 and 1.

    Source: Collobert, "Large scale machine learning" (2004).

    >>> nn.activations.hard_tanh(np.array([-3.0, 0.5, 2.0]))
    array([-1. ,  0.5,  1. ])
    """
    return np.where(np.absolute(z) < 1, z, np.sign(z))


def softsign(z: Any) -> Any:
    """z / (1 + |z|), in (-1, 1); it approaches its ends like 1/z, where tanh does like exp(-2z).

    Source: Bergstra, Desjardins, Lamblin, Bengio, "Quadratic polynomials learn better image
    features" (2009).
    """
    return z / (1 + np.absolute(z))


# Rectifiers. ------------------------------------------------------------------------------------


def relu(z: Any) -> Any:
    """max(z, 0), with slope 0 at 0.

    Source: Glorot, Bordes, Bengio, "Deep sparse rectifier neural networks" (2011).
    """
    return ag.relu(z)


def leaky_relu(z: Any, slope: float = 0.01) -> Any:
    """max(z, 0) + slope min(z, 0), with the slope of the left side at 0.

    Source: Maas, Hannun, Ng, "Rectifier nonlinearities improve neural network acoustic models"
    (2013).

    >>> nn.activations.leaky_relu(np.array([-2.0, 3.0]), slope=0.1)
    array([-0.2,  3. ])
    """
    return np.where(z > 0, z, slope * z)


def absolute(z: Any) -> Any:
    """|z|, absolute value rectification, with slope 0 at 0.

    Source: Jarrett, Kavukcuoglu, Ranzato, LeCun, "What is the best multi-stage architecture for
    object recognition?" (2009).
    """
    return np.absolute(z)


def prelu(z: Any, slope: Any) -> Any:
    """max(z, 0) + a min(z, 0), the slope a being learned; at 0 the slope is a.

    ``slope`` broadcasts against ``z``.

    Source: He, Zhang, Ren, Sun, "Delving deep into rectifiers" (2015), equation 1.
    """
    return np.where(z > 0, z, slope * z)


def elu(z: Any, alpha: float = 1.0) -> Any:
    """z where z > 0, else α (exp(z) - 1); the slope at 0 is α.

    Source: Clevert, Unterthiner, Hochreiter, "Fast and accurate deep network learning by
    exponential linear units" (2016), equation 3.
    """
    # The side that is not taken is fed with 0: it would overflow, and infinity times 0 is no
    # gradient.
    return np.where(z > 0, z, alpha * np.expm1(np.where(z > 0, 0, z)))


def selu(z: Any) -> Any:
    """λ elu(z, α) with α = 1.6733 and λ = 1.0507; the slope at 0 is λα.

    Source: Klambauer, Unterthiner, Mayr, Hochreiter, "Self-normalizing neural networks" (2017),
    equation 2. Its weights start as ``lecun_normal``.
    """
    return _SELU_SCALE * elu(z, _SELU_ALPHA)


def softplus(z: Any) -> Any:
    """ζ(z) = ln(1 + exp(z)), a smooth rectifier; ζ' = σ.

    Source: Dugas, Bengio, Bélisle, Nadeau, Garcia, "Incorporating second-order functional
    knowledge for better option pricing" (2001).
    """
    return ag.softplus(z)


def silu(z: Any) -> Any:
    """z σ(z), also called swish.

    Source: Elfwing, Uchibe, Doya, "Sigmoid-weighted linear units" (2018), equation 5.
    """
    return z * ag.sigmoid(z)


def gelu(z: Any, approximate: str = "none") -> Any:
    """z Φ(z) with Φ the distribution function of the standard normal.

    Exactly, for which SciPy is needed, or with ``approximate="tanh"`` as
    z/2 (1 + tanh(√(2/π) (z + 0.044715 z³))), which differs by less than 5e-4.

    Source: Hendrycks, Gimpel, "Gaussian error linear units" (2016).

    >>> nn.activations.gelu(np.array([-1.0, 0.0, 1.0]), approximate="tanh").round(4)
    array([-0.1588,  0.    ,  0.8412])
    """
    if approximate == "none":
        return z * ag.special.ndtr(z)
    if approximate != "tanh":
        raise ValueError(f"gelu: approximate is 'none' or 'tanh', got {approximate!r}")
    # The square is cut off where tanh has long been 1: the cube of a large number overflows.
    inner = np.where(np.absolute(z) < 100, z, 0)
    bend = _GELU_SLOPE * z * (1 + 0.044715 * inner * inner)
    return 0.5 * z * (1 + np.tanh(bend))


# Of several values together. --------------------------------------------------------------------


def maxout(z: Any, k: int) -> Any:
    """The largest of each group of k values that follow one another on the last axis:

    yᵢ = max(z_ki, ..., z_ki+k-1).

    Shape (..., n) gives (..., n / k). Values that tie share the gradient.

    Source: Goodfellow, Warde-Farley, Mirza, Courville, Bengio, "Maxout networks" (2013).

    >>> nn.activations.maxout(np.array([1.0, 5.0, 2.0, 0.0]), 2)
    array([5., 2.])
    """
    shape = tuple(z.shape)
    if k < 1 or not shape or shape[-1] % k:
        raise ag.ShapeError(
            f"maxout: an input of shape {shape} cannot be divided into groups of {k} on its last "
            "axis"
        )
    return z.reshape((*shape[:-1], shape[-1] // k, k)).max(-1)


def softmax(z: Any, axis: int = -1) -> Any:
    """exp(zᵢ) / Σⱼ exp(zⱼ) along ``axis``: probabilities that sum to 1.

    Shifting all z by one number changes nothing; the largest is shifted to 0, so that nothing
    overflows. For training use :func:`nn.losses.cross_entropy` on z itself.

    Source: Bridle, "Probabilistic interpretation of feedforward classification network outputs"
    (1990).
    """
    return ag.softmax(z, axis=axis)


def log_softmax(z: Any, axis: int = -1) -> Any:
    """zᵢ - ln Σⱼ exp(zⱼ) along ``axis``, without passing through a probability of 0.

    Source: Goodfellow, Bengio, Courville, "Deep learning" (2016), equation 6.30.
    """
    return ag.log_softmax(z, axis=axis)


# As modules. ------------------------------------------------------------------------------------


class _Plain(Module):
    """An activation without anything to set."""

    function: Activation

    def forward(self, z: Any) -> Any:
        return type(self).function(z)

    def describe(self) -> str:
        return f"{type(self).__name__}()"


class Identity(_Plain):
    """:func:`identity` as a module."""

    function = staticmethod(identity)


class Step(_Plain):
    """:func:`step` as a module."""

    function = staticmethod(step)


class Sigmoid(_Plain):
    """:func:`sigmoid` as a module."""

    function = staticmethod(sigmoid)


class Tanh(_Plain):
    """:func:`tanh` as a module."""

    function = staticmethod(tanh)


class Hardtanh(_Plain):
    """:func:`hard_tanh` as a module."""

    function = staticmethod(hard_tanh)


class Softsign(_Plain):
    """:func:`softsign` as a module."""

    function = staticmethod(softsign)


class ReLU(_Plain):
    """:func:`relu` as a module."""

    function = staticmethod(relu)


class Absolute(_Plain):
    """:func:`absolute` as a module."""

    function = staticmethod(absolute)


class SELU(_Plain):
    """:func:`selu` as a module."""

    function = staticmethod(selu)


class Softplus(_Plain):
    """:func:`softplus` as a module."""

    function = staticmethod(softplus)


class SiLU(_Plain):
    """:func:`silu` as a module."""

    function = staticmethod(silu)


class LeakyReLU(Module):
    """:func:`leaky_relu` as a module."""

    def __init__(self, slope: float = 0.01) -> None:
        self.slope = slope

    def forward(self, z: Any) -> Any:
        return leaky_relu(z, self.slope)

    def describe(self) -> str:
        return f"LeakyReLU({self.slope})"


class PReLU(Module):
    """:func:`prelu` with slopes that are learned, one for all features or one for each.

    ``n``: 1, or the number of features on axis 1 (axis 0 of an input with one axis), where images
    have their channels. Parameter: ``weight`` of shape (n,), initially ``start``.

    >>> nn.PReLU(2, start=0.5)(np.array([[-1.0, 4.0]])).tolist()
    [[-0.5, 4.0]]
    """

    def __init__(self, n: int = 1, start: float = 0.25, dtype: Any = np.float32) -> None:
        if n < 1:
            raise ValueError(f"PReLU: the number of slopes must be positive, got {n}")
        self.weight = Parameter(np.full(n, start, dtype), label="a")

    def forward(self, z: Any) -> Any:
        n, shape = self.weight.shape[0], tuple(z.shape)
        if n == 1:
            return prelu(z, self.weight)
        axis = min(1, len(shape) - 1)
        if axis < 0 or shape[axis] != n:
            raise ag.ShapeError(
                f"PReLU: {n} slopes for an input of shape {shape}; axis 1 must have size {n}"
            )
        return prelu(z, self.weight.reshape((n,) + (1,) * (len(shape) - axis - 1)))

    def describe(self) -> str:
        return f"PReLU({self.weight.shape[0]})"


class ELU(Module):
    """:func:`elu` as a module."""

    def __init__(self, alpha: float = 1.0) -> None:
        self.alpha = alpha

    def forward(self, z: Any) -> Any:
        return elu(z, self.alpha)

    def describe(self) -> str:
        return f"ELU({self.alpha})"


class GELU(Module):
    """:func:`gelu` as a module."""

    def __init__(self, approximate: str = "none") -> None:
        if approximate not in ("none", "tanh"):
            raise ValueError(f"GELU: approximate is 'none' or 'tanh', got {approximate!r}")
        self.approximate = approximate

    def forward(self, z: Any) -> Any:
        return gelu(z, self.approximate)

    def describe(self) -> str:
        return "GELU()" if self.approximate == "none" else f"GELU({self.approximate!r})"


class Maxout(Module):
    """:func:`maxout` as a module."""

    def __init__(self, k: int) -> None:
        if k < 1:
            raise ValueError(f"Maxout: the size of a group must be positive, got {k}")
        self.k = k

    def forward(self, z: Any) -> Any:
        return maxout(z, self.k)

    def describe(self) -> str:
        return f"Maxout({self.k})"


class Softmax(Module):
    """:func:`softmax` as a module."""

    def __init__(self, axis: int = -1) -> None:
        self.axis = axis

    def forward(self, z: Any) -> Any:
        return softmax(z, self.axis)

    def describe(self) -> str:
        return f"{type(self).__name__}(axis={self.axis})"


class LogSoftmax(Softmax):
    """:func:`log_softmax` as a module."""

    def forward(self, z: Any) -> Any:
        return log_softmax(z, self.axis)


_BY_NAME: dict[str, Activation] = {
    "linear": identity,
    **{f.__name__: f for f in (
        absolute, elu, gelu, hard_tanh, identity, leaky_relu, log_softmax, relu, selu, sigmoid,
        silu, softmax, softplus, softsign, step, tanh,
    )},
}


def get(activation: str | Activation | None) -> Activation:
    """The activation of this name, or the function itself; ``None`` is the identity.

    Raises ``ValueError`` with the known names for an unknown one.
    """
    if activation is None:
        return identity
    return by_name("activation", activation, _BY_NAME)
