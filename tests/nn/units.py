"""Every layer, with its formula in plain NumPy: the table that the tests of layers go through."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import nn


@dataclass(frozen=True)
class Unit:
    """``formula(p, *inputs)`` computes what the module does from its state ``p``, by name.

    ``inputs``: shapes to sample, or functions from a generator to an array.
    """

    make: Callable[[Any], nn.Module]
    inputs: tuple[Any, ...]
    formula: Callable[..., np.ndarray]
    shows: str
    parameters: dict[str, tuple[int, ...]] = field(default_factory=dict)
    #: Whether training and evaluation compute the same.
    modes_agree: bool = True


def sample(unit: Unit, dtype: Any = np.float64, seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [x(rng) if callable(x) else rng.standard_normal(x).astype(dtype) for x in unit.inputs]


def shaken(module: nn.Module, seed: int = 5) -> nn.Module:
    """Parameters moved from where they start, so that a bias or a gain left out is found."""
    rng = np.random.default_rng(seed)
    for p in module.parameters():
        value = p.numpy(force=True)
        p.assign((value + 0.3 * rng.standard_normal(value.shape)).astype(value.dtype)[()])
    return module


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def _erf(z):
    return np.vectorize(math.erf)(z)


def _layer_norm(p, x, axes):
    mean = x.mean(axes, keepdims=True)
    return (x - mean) / np.sqrt(x.var(axes, keepdims=True) + 1e-5) * p["weight"] + p["bias"]


def _batch_norm(p, x):
    axes = (0, *range(2, x.ndim))
    along = (1, -1) + (1,) * (x.ndim - 2)
    y = (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + 1e-5)
    return y * p["weight"].reshape(along) + p["bias"].reshape(along)


def _convolved(x, w, b, stride, padding):
    """By the sums of the definition."""
    x = np.pad(x, ((0, 0), (0, 0), *padding))
    (n, _, height, width), (n_out, _, m, k) = x.shape, w.shape
    y = np.zeros((n, n_out, (height - m) // stride[0] + 1, (width - k) // stride[1] + 1))
    for i, j in np.ndindex(y.shape[2:]):
        window = x[:, :, i * stride[0] : i * stride[0] + m, j * stride[1] : j * stride[1] + k]
        y[:, :, i, j] = np.einsum("ncij,ocij->no", window, w) + b
    return y


def _pooled(x, size, stride, padding, reduce, edge):
    x = np.pad(x, ((0, 0), (0, 0), (padding[0],) * 2, (padding[1],) * 2), constant_values=edge)
    rows = (x.shape[2] - size[0]) // stride[0] + 1
    columns = (x.shape[3] - size[1]) // stride[1] + 1
    return np.array([[[[
        reduce(c[i * stride[0] : i * stride[0] + size[0], j * stride[1] : j * stride[1] + size[1]])
        for j in range(columns)] for i in range(rows)] for c in image] for image in x])


def _integers(rng):
    return rng.integers(0, 5, (4, 3))


def _neuron(f):
    return lambda p, x: f(x @ p["weight"] + p["bias"])


ACTIVATIONS = {
    "Identity()": (lambda d: nn.Identity(), lambda z: z),
    "Step()": (lambda d: nn.Step(), lambda z: np.where(z > 0, 1.0, 0.0)),
    "Sigmoid()": (lambda d: nn.Sigmoid(), sigmoid),
    "Tanh()": (lambda d: nn.Tanh(), lambda z: 2 * sigmoid(2 * z) - 1),
    "Hardtanh()": (lambda d: nn.Hardtanh(), lambda z: np.maximum(-1, np.minimum(1, z))),
    "ReLU()": (lambda d: nn.ReLU(), lambda z: np.maximum(z, 0)),
    "LeakyReLU(0.01)": (lambda d: nn.LeakyReLU(), lambda z: np.where(z > 0, z, 0.01 * z)),
    "LeakyReLU(0.3)": (lambda d: nn.LeakyReLU(0.3),
                       lambda z: np.maximum(0, z) + 0.3 * np.minimum(0, z)),
    "Absolute()": (lambda d: nn.Absolute(), lambda z: np.maximum(0, z) - np.minimum(0, z)),
    "ELU(1.0)": (lambda d: nn.ELU(), lambda z: np.where(z > 0, z, np.exp(z) - 1)),
    "ELU(0.5)": (lambda d: nn.ELU(0.5), lambda z: np.where(z > 0, z, 0.5 * (np.exp(z) - 1))),
    "SELU()": (lambda d: nn.SELU(), lambda z: 1.0507009873554805 * np.where(
        z > 0, z, 1.6732632423543772 * (np.exp(z) - 1))),
    "GELU()": (lambda d: nn.GELU(), lambda z: z * (1 + _erf(z / math.sqrt(2))) / 2),
    "GELU('tanh')": (lambda d: nn.GELU("tanh"), lambda z: z / 2 * (
        1 + np.tanh(math.sqrt(2 / math.pi) * (z + 0.044715 * z**3)))),
    "SiLU()": (lambda d: nn.SiLU(), lambda z: z * sigmoid(z)),
    "Softplus()": (lambda d: nn.Softplus(), lambda z: np.log(1 + np.exp(z))),
    "Softsign()": (lambda d: nn.Softsign(), lambda z: z / (1 + np.abs(z))),
    "Softmax(axis=-1)": (lambda d: nn.Softmax(),
                         lambda z: np.exp(z) / np.exp(z).sum(-1, keepdims=True)),
    "Softmax(axis=0)": (lambda d: nn.Softmax(0), lambda z: np.exp(z) / np.exp(z).sum(0)),
    "LogSoftmax(axis=-1)": (lambda d: nn.LogSoftmax(),
                            lambda z: z - np.log(np.exp(z).sum(-1, keepdims=True))),
    "Maxout(3)": (lambda d: nn.Maxout(3), lambda z: np.stack(
        [z[..., :3].max(-1), z[..., 3:].max(-1)], -1)),
}

UNITS: dict[str, Unit] = {
    name: Unit(make, ((4, 6),), lambda p, z, f=f: f(z), name)
    for name, (make, f) in ACTIVATIONS.items()
}
UNITS |= {
    "PReLU": Unit(
        lambda d: nn.PReLU(dtype=d), ((4, 3),),
        lambda p, z: np.maximum(0, z) + p["weight"] * np.minimum(0, z), "PReLU(1)",
        {"weight": (1,)},
    ),
    "PReLU per channel": Unit(
        lambda d: nn.PReLU(3, dtype=d), ((4, 3, 2, 2),),
        lambda p, z: np.maximum(0, z) + p["weight"][:, None, None] * np.minimum(0, z), "PReLU(3)",
        {"weight": (3,)},
    ),
    "Neuron": Unit(
        lambda d: nn.Neuron(3, "tanh", rng=0, dtype=d), ((4, 3),), _neuron(np.tanh),
        "Neuron(3, tanh)", {"weight": (3,), "bias": ()},
    ),
    "Perceptron": Unit(
        lambda d: nn.Perceptron(3, dtype=d), ((4, 3),), _neuron(lambda z: (z > 0) * 1.0),
        "Perceptron(3)", {"weight": (3,), "bias": ()},
    ),
    "LinearNeuron": Unit(
        lambda d: nn.LinearNeuron(3, dtype=d), ((4, 3),), _neuron(lambda z: z), "LinearNeuron(3)",
        {"weight": (3,), "bias": ()},
    ),
    "Layer": Unit(
        lambda d: nn.Layer(3, 2, "sigmoid", rng=0, dtype=d), ((4, 3),),
        lambda p, x: np.stack([
            sigmoid(x @ p[f"neurons.{i}.weight"] + p[f"neurons.{i}.bias"]) for i in range(2)], -1),
        "Layer(\n  neurons.0: Neuron(3, sigmoid)\n  neurons.1: Neuron(3, sigmoid)\n)",
        {"neurons.0.weight": (3,), "neurons.0.bias": (),
         "neurons.1.weight": (3,), "neurons.1.bias": ()},
    ),
    "MaxoutLayer": Unit(
        lambda d: nn.MaxoutLayer(3, 2, k=4, rng=0, dtype=d), ((5, 3),),
        lambda p, x: np.stack([(x @ p["weight"] + p["bias"])[:, :4].max(1),
                               (x @ p["weight"] + p["bias"])[:, 4:].max(1)], 1),
        "MaxoutLayer(3, 2, k=4)", {"weight": (3, 8), "bias": (8,)},
    ),
    "RBF": Unit(
        lambda d: nn.RBF(3, 2, rng=0, dtype=d), ((4, 3),),
        lambda p, x: np.stack([
            np.exp(-((p["weight"][:, i] - x) ** 2).sum(1) / p["sigma"][i] ** 2)
            for i in range(2)], 1),
        "RBF(3, 2)", {"weight": (3, 2), "sigma": (2,)},
    ),
    "Linear": Unit(
        lambda d: nn.Linear(3, 2, rng=0, dtype=d), ((2, 4, 3),),
        lambda p, x: np.einsum("abi,ij->abj", x, p["weight"]) + p["bias"], "Linear(3, 2)",
        {"weight": (3, 2), "bias": (2,)},
    ),
    "Bilinear": Unit(
        lambda d: nn.Bilinear(3, 4, 2, rng=0, dtype=d), ((5, 3), (5, 4)),
        lambda p, u, v: np.einsum("ai,ijk,aj->ak", u, p["weight"], v) + p["bias"],
        "Bilinear(3, 4, 2)", {"weight": (3, 4, 2), "bias": (2,)},
    ),
    "Bilinear without bias": Unit(
        lambda d: nn.Bilinear(3, 4, 2, bias=False, rng=0, dtype=d), ((2, 5, 3), (2, 5, 4)),
        lambda p, u, v: np.einsum("bai,ijk,baj->bak", u, p["weight"], v),
        "Bilinear(3, 4, 2, bias=False)", {"weight": (3, 4, 2)},
    ),
    "Embedding": Unit(
        lambda d: nn.Embedding(5, 2, rng=0, dtype=d), (_integers,),
        lambda p, i: np.eye(5)[i] @ p["weight"], "Embedding(5, 2)", {"weight": (5, 2)},
    ),
    "Flatten": Unit(
        lambda d: nn.Flatten(), ((2, 3, 2),), lambda p, x: np.stack([row.ravel() for row in x]),
        "Flatten(1)",
    ),
    "Residual": Unit(
        lambda d: nn.Residual(nn.Linear(3, 3, rng=0, dtype=d), nn.Tanh()), ((4, 3),),
        lambda p, x: x + np.tanh(x @ p["f.layers.0.weight"] + p["f.layers.0.bias"]),
        "Residual(\n  f: Sequential(\n    0: Linear(3, 3)\n    1: Tanh()\n  )\n)",
        {"f.layers.0.weight": (3, 3), "f.layers.0.bias": (3,)},
    ),
    "Residual with shortcut": Unit(
        lambda d: nn.Residual(nn.Linear(3, 2, rng=0, dtype=d),
                              shortcut=nn.Linear(3, 2, bias=False, rng=1, dtype=d)), ((4, 3),),
        lambda p, x: x @ p["shortcut.weight"] + x @ p["f.layers.0.weight"] + p["f.layers.0.bias"],
        "Residual(\n  f: Sequential(\n    0: Linear(3, 2)\n  )\n"
        "  shortcut: Linear(3, 2, bias=False)\n)",
        {"f.layers.0.weight": (3, 2), "f.layers.0.bias": (2,), "shortcut.weight": (3, 2)},
    ),
    "Ensemble": Unit(
        lambda d: nn.Ensemble([nn.Linear(3, 2, rng=i, dtype=d) for i in range(3)], "sigmoid"),
        ((4, 3),),
        lambda p, x: sum(sigmoid(x @ p[f"models.{i}.weight"] + p[f"models.{i}.bias"])
                         for i in range(3)) / 3,
        "Ensemble(\n  models.0: Linear(3, 2)\n  models.1: Linear(3, 2)\n"
        "  models.2: Linear(3, 2)\n)",
        {f"models.{i}.{name}": shape for i in range(3)
         for name, shape in {"weight": (3, 2), "bias": (2,)}.items()},
    ),
    "LayerNorm": Unit(
        lambda d: nn.LayerNorm(4, dtype=d), ((3, 2, 4),), lambda p, x: _layer_norm(p, x, -1),
        "LayerNorm(4)", {"weight": (4,), "bias": (4,)},
    ),
    "LayerNorm of two axes": Unit(
        lambda d: nn.LayerNorm((2, 4), dtype=d), ((3, 2, 4),),
        lambda p, x: _layer_norm(p, x, (1, 2)), "LayerNorm(2, 4)",
        {"weight": (2, 4), "bias": (2, 4)},
    ),
    "BatchNorm1d": Unit(
        lambda d: nn.BatchNorm1d(3, dtype=d), ((5, 3),), _batch_norm, "BatchNorm1d(3)",
        {"weight": (3,), "bias": (3,)}, modes_agree=False,
    ),
    "BatchNorm1d of sequences": Unit(
        lambda d: nn.BatchNorm1d(3, dtype=d), ((5, 3, 4),), _batch_norm, "BatchNorm1d(3)",
        {"weight": (3,), "bias": (3,)}, modes_agree=False,
    ),
    "BatchNorm2d": Unit(
        lambda d: nn.BatchNorm2d(3, dtype=d), ((2, 3, 2, 2),), _batch_norm, "BatchNorm2d(3)",
        {"weight": (3,), "bias": (3,)}, modes_agree=False,
    ),
    "Conv2d": Unit(
        lambda d: nn.Conv2d(2, 3, 2, rng=0, dtype=d), ((2, 2, 4, 3),),
        lambda p, x: _convolved(x, p["weight"], p["bias"], (1, 1), ((0, 0), (0, 0))),
        "Conv2d(2, 3, 2)", {"weight": (3, 2, 2, 2), "bias": (3,)},
    ),
    "Conv2d, strided and padded": Unit(
        lambda d: nn.Conv2d(2, 3, (3, 2), (2, 1), (1, 2), bias=False, rng=0, dtype=d),
        ((2, 2, 5, 4),),
        lambda p, x: _convolved(x, p["weight"], 0, (2, 1), ((1, 1), (2, 2))),
        "Conv2d(2, 3, (3, 2), stride=(2, 1), padding=(1, 2), bias=False)",
        {"weight": (3, 2, 3, 2)},
    ),
    "Conv2d of the same size": Unit(
        lambda d: nn.Conv2d(1, 2, (2, 3), padding="same", rng=0, dtype=d), ((2, 1, 3, 4),),
        lambda p, x: _convolved(x, p["weight"], p["bias"], (1, 1), ((0, 1), (1, 1))),
        "Conv2d(1, 2, (2, 3), padding='same')", {"weight": (2, 1, 2, 3), "bias": (2,)},
    ),
    "MaxPool2d": Unit(
        lambda d: nn.MaxPool2d(2), ((2, 2, 4, 5),),
        lambda p, x: _pooled(x, (2, 2), (2, 2), (0, 0), np.max, 0), "MaxPool2d(2)",
    ),
    "MaxPool2d that overlaps": Unit(
        lambda d: nn.MaxPool2d((3, 2), stride=1, padding=1), ((2, 2, 3, 4),),
        lambda p, x: _pooled(x, (3, 2), (1, 1), (1, 1), np.max, -np.inf),
        "MaxPool2d((3, 2), stride=1, padding=1)",
    ),
    "AvgPool2d": Unit(
        lambda d: nn.AvgPool2d((2, 3), padding=(0, 1)), ((2, 2, 4, 5),),
        lambda p, x: _pooled(x, (2, 3), (2, 3), (0, 1), np.mean, 0),
        "AvgPool2d((2, 3), padding=(0, 1))",
    ),
    "AvgPool2d that overlaps": Unit(
        lambda d: nn.AvgPool2d(3, stride=(1, 2)), ((2, 1, 4, 5),),
        lambda p, x: _pooled(x, (3, 3), (1, 2), (0, 0), np.mean, 0),
        "AvgPool2d(3, stride=(1, 2))",
    ),
    "MixtureDensity": Unit(
        lambda d: nn.MixtureDensity(3, 2, 4, rng=0, dtype=d), ((4, 3),),
        lambda p, x: x @ p["linear.weight"] + p["linear.bias"],
        "MixtureDensity(3, 2, 4)(\n  linear: Linear(3, 20)\n)",
        {"linear.weight": (3, 20), "linear.bias": (20,)},
    ),
}
