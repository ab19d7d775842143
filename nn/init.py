"""Initial weights. Each function is called as ``f(shape, rng, dtype)``.

``shape`` is (fan-in, fan-out), with the size of a window in front for convolutions: (height,
width, channels in, channels out). The scale is chosen so that activations and gradients keep their
variance from layer to layer; too small and they vanish with depth, too large and they explode.

Where a layer takes ``init=``, it takes a name, one of these functions, or what a function with
options returns: ``nn.Linear(64, 10, init=nn.init.normal(0.01))``. A gain is set with
``functools.partial(nn.init.xavier_uniform, gain=nn.init.gain("tanh"))``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from .lookup import by_name

__all__ = [
    "Initializer", "Random", "as_rng", "constant", "gain", "get", "given", "he_normal",
    "he_uniform", "kaiming_normal", "kaiming_uniform", "lecun_normal", "lecun_uniform", "normal",
    "ones", "orthogonal", "small_random", "sparse", "uniform", "xavier_normal", "xavier_uniform",
    "zeros",
]

Shape: TypeAlias = tuple[int, ...]
Initializer: TypeAlias = Callable[[Shape, np.random.Generator, Any], np.ndarray]
#: What ``rng=`` takes everywhere: a generator, a seed, or None for an unpredictable one.
Random: TypeAlias = np.random.Generator | int | None


def as_rng(rng: Random) -> np.random.Generator:
    """A generator from a seed, from nothing (then unpredictable), or as given."""
    return np.random.default_rng(rng)


def _fans(shape: Shape) -> tuple[int, int]:
    """Fan-in and fan-out: how many numbers feed one unit, and how many units one number feeds."""
    if len(shape) < 2:
        return (shape[0] if shape else 1), 1
    window = math.prod(shape[:-2])
    return window * shape[-2], window * shape[-1]


# Of one value, or given. ------------------------------------------------------------------------


def zeros(shape: Shape, rng: np.random.Generator, dtype: Any = np.float32) -> np.ndarray:
    """All zero: for biases. As weights it leaves all units of a layer alike for ever.

    Source: Goodfellow, Bengio, Courville, "Deep learning" (2016), section 8.4.
    """
    return np.zeros(shape, dtype)


def ones(shape: Shape, rng: np.random.Generator, dtype: Any = np.float32) -> np.ndarray:
    """All one: for what multiplies."""
    return np.ones(shape, dtype)


def constant(value: float) -> Initializer:
    """All ``value``: a small positive one lets rectifiers start active.

    Source: Goodfellow, Bengio, Courville, "Deep learning" (2016), section 8.4, of biases of 0.1.

    >>> nn.init.constant(0.1)((2,), np.random.default_rng(0), np.float64)
    array([0.1, 0.1])
    """

    def init(shape: Shape, rng: np.random.Generator, dtype: Any = np.float32) -> np.ndarray:
        return np.full(shape, value, dtype)

    return init


def given(weights: Any) -> Initializer:
    """These weights, for those of a published network.

    Raises ``ValueError`` where another shape is asked for.

    >>> nn.Linear(2, 2, init=nn.init.given([[1, 1], [1, 1]]))(np.array([1.0, 2.0])).tolist()
    [3.0, 3.0]
    """
    array = np.array(weights)

    def init(shape: Shape, rng: np.random.Generator, dtype: Any = np.float32) -> np.ndarray:
        if array.shape != tuple(shape):
            raise ValueError(f"given: weights of shape {array.shape} where {tuple(shape)} is asked")
        return array.astype(dtype)

    return init


# Of a fixed scale. ------------------------------------------------------------------------------


def normal(std: float = 0.01, mean: float = 0.0) -> Initializer:
    """N(mean, std²), whatever the shape."""
    if not std >= 0:
        raise ValueError(f"normal: std must not be negative, got {std}")

    def init(shape: Shape, rng: np.random.Generator, dtype: Any = np.float32) -> np.ndarray:
        return _normal(shape, rng, dtype, std, mean)

    return init


def uniform(low: float = -0.01, high: float = 0.01) -> Initializer:
    """U(low, high), whatever the shape."""
    if not low <= high:
        raise ValueError(f"uniform: low={low} is above high={high}")

    def init(shape: Shape, rng: np.random.Generator, dtype: Any = np.float32) -> np.ndarray:
        return rng.uniform(low, high, shape).astype(dtype)

    return init


def small_random(shape: Shape, rng: np.random.Generator, dtype: Any = np.float32) -> np.ndarray:
    """N(0, 0.01²): units differ, and sigmoids start where they are steep. For shallow networks.

    Source: Krizhevsky, Sutskever, Hinton, "ImageNet classification with deep convolutional neural
    networks" (2012), section 5.
    """
    return _normal(shape, rng, dtype, 0.01)


def sparse(nonzero: int = 15, std: float = 1.0) -> Initializer:
    """N(0, std²) for ``nonzero`` inputs of each unit, drawn at random, and 0 for the others.

    Units then differ much, and what they sum does not grow with the fan-in. With fewer inputs, all.

    Source: Martens, "Deep learning via Hessian-free optimization" (2010), section 5.
    """
    if nonzero < 1:
        raise ValueError(f"sparse: each unit needs an input, got nonzero={nonzero}")

    def init(shape: Shape, rng: np.random.Generator, dtype: Any = np.float32) -> np.ndarray:
        n_out = shape[-1] if len(shape) > 1 else 1
        weights = np.zeros((math.prod(shape) // n_out if n_out else 0, n_out), dtype)
        for unit in range(n_out):
            chosen = rng.permutation(len(weights))[:nonzero]
            weights[chosen, unit] = rng.standard_normal(len(chosen)) * std
        return weights.reshape(shape)

    return init


# Of a scale that follows from the fans. ---------------------------------------------------------

#: E[f(z)²]^(-1/2) or so for standard normal z: how much larger weights must be behind each.
_GAINS: dict[str, float] = {
    "identity": 1.0, "linear": 1.0, "sigmoid": 1.0, "tanh": 5 / 3, "relu": math.sqrt(2),
    "selu": 0.75, "leaky_relu": math.sqrt(2 / (1 + 0.01**2)),
}


def gain(activation: str, slope: float | None = None) -> float:
    """By what to multiply the scale of weights whose units have this activation.

    √2 for relu, which halves the variance; √(2 / (1 + slope²)) for leaky_relu, whose ``slope`` is
    0.01 by default; 5/3 for tanh; 3/4 for selu; 1 for sigmoid and identity.

    Raises ``ValueError`` for another one. Source: He et al. (2015), equation 14, for the
    rectifiers; the others are PyTorch's.

    >>> round(nn.init.gain("relu"), 4)
    1.4142
    """
    if slope is not None and activation == "leaky_relu":
        return math.sqrt(2 / (1 + slope**2))
    if activation not in _GAINS:
        raise ValueError(f"gain: unknown name {activation!r}; known are {sorted(_GAINS)}")
    return _GAINS[activation]


def he_normal(
    shape: Shape, rng: np.random.Generator, dtype: Any = np.float32, gain: float = math.sqrt(2.0)
) -> np.ndarray:
    """N(0, 2 / fan_in), for rectifiers, which silence half of their inputs; gain²/fan_in.

    Source: He, Zhang, Ren, Sun, "Delving deep into rectifiers" (2015), equation 10.
    """
    return _normal(shape, rng, dtype, gain / math.sqrt(max(1, _fans(shape)[0])))


def he_uniform(
    shape: Shape, rng: np.random.Generator, dtype: Any = np.float32, gain: float = math.sqrt(2.0)
) -> np.ndarray:
    """U(-a, a) with a = √(6 / fan_in): the variance of :func:`he_normal`."""
    return _uniform(shape, rng, dtype, gain / math.sqrt(max(1, _fans(shape)[0])))


def xavier_normal(
    shape: Shape, rng: np.random.Generator, dtype: Any = np.float32, gain: float = 1.0
) -> np.ndarray:
    """N(0, 2 / (fan_in + fan_out)), for tanh and other units that are linear near 0.

    Source: Glorot, Bengio, "Understanding the difficulty of training deep feedforward neural
    networks" (2010), equation 12.
    """
    return _normal(shape, rng, dtype, gain * math.sqrt(2.0 / max(1, sum(_fans(shape)))))


def xavier_uniform(
    shape: Shape, rng: np.random.Generator, dtype: Any = np.float32, gain: float = 1.0
) -> np.ndarray:
    """U(-a, a) with a = √(6 / (fan_in + fan_out)).

    Source: Glorot, Bengio (2010), equation 16.
    """
    return _uniform(shape, rng, dtype, gain * math.sqrt(2.0 / max(1, sum(_fans(shape)))))


def lecun_normal(
    shape: Shape, rng: np.random.Generator, dtype: Any = np.float32, gain: float = 1.0
) -> np.ndarray:
    """N(0, 1 / fan_in): what is summed has the variance of the inputs. For selu.

    Source: LeCun, Bottou, Orr, Müller, "Efficient backprop" (1998), equation 16.
    """
    return _normal(shape, rng, dtype, gain / math.sqrt(max(1, _fans(shape)[0])))


def lecun_uniform(
    shape: Shape, rng: np.random.Generator, dtype: Any = np.float32, gain: float = 1.0
) -> np.ndarray:
    """U(-a, a) with a = √(3 / fan_in): the variance of :func:`lecun_normal`."""
    return _uniform(shape, rng, dtype, gain / math.sqrt(max(1, _fans(shape)[0])))


def orthogonal(
    shape: Shape, rng: np.random.Generator, dtype: Any = np.float32, gain: float = 1.0
) -> np.ndarray:
    """gain times a matrix with orthonormal rows or columns, whichever are fewer: WᵀW = gain² I.

    Drawn evenly among all of them; all axes but the last make one. Its powers neither grow nor
    vanish, which is what recurrent weights are for.

    Raises ``ValueError`` for fewer than two axes. Source: Saxe, McClelland, Ganguli, "Exact
    solutions to the nonlinear dynamics of learning in deep linear neural networks" (2014).
    """
    if len(shape) < 2:
        raise ValueError(f"orthogonal: needs a matrix, got shape {tuple(shape)}")
    rows, columns = math.prod(shape[:-1]), shape[-1]
    q, r = np.linalg.qr(rng.standard_normal((max(rows, columns), min(rows, columns))))
    q *= np.where(np.diagonal(r) < 0, -1, 1)  # else the signs are those of the algorithm
    return (gain * (q if rows >= columns else q.T)).reshape(shape).astype(dtype)


kaiming_normal, kaiming_uniform = he_normal, he_uniform


def _normal(
    shape: Shape, rng: np.random.Generator, dtype: Any, scale: float, mean: float = 0.0
) -> np.ndarray:
    return (rng.standard_normal(shape) * scale + mean).astype(dtype)


def _uniform(shape: Shape, rng: np.random.Generator, dtype: Any, std: float) -> np.ndarray:
    bound = math.sqrt(3.0) * std
    return rng.uniform(-bound, bound, shape).astype(dtype)


_BY_NAME: dict[str, Initializer] = {
    "he": he_normal,
    "kaiming": he_normal,
    "kaiming_normal": he_normal,
    "kaiming_uniform": he_uniform,
    "lecun": lecun_normal,
    "xavier": xavier_uniform,
    "glorot": xavier_uniform,
    "glorot_normal": xavier_normal,
    "glorot_uniform": xavier_uniform,
    "normal": normal(),
    "sparse": sparse(),
    "uniform": uniform(),
    **{f.__name__: f for f in (
        he_normal, he_uniform, lecun_normal, lecun_uniform, ones, orthogonal, small_random,
        xavier_normal, xavier_uniform, zeros,
    )},
}


def get(init: str | Initializer) -> Initializer:
    """The initialiser of this name, or the function itself.

    Raises ``ValueError`` with the known names for an unknown one, ``TypeError`` for what is no
    function.
    """
    if isinstance(init, (int, float, list, np.ndarray)):
        raise TypeError(
            "init: expected a name or a function, got a number or weights; write "
            "nn.init.constant(number) or nn.init.given(weights)"
        )
    return by_name("init", init, _BY_NAME)
