"""Neural networks on `autograd_core`, built purely from graph primitives.

    import nn

    model = nn.MLP([64, 128, 10], activation="relu", rng=0)
    history = nn.fit(model, X, labels, loss=nn.losses.cross_entropy,
                     optimizer=nn.optim.Adam(model.parameters(), lr=1e-3), epochs=20, seed=0)

Nothing here defines a derivative: a layer, a loss or an optimiser is an expression in NumPy
functions and operators, and what the engine can do with an expression it can do with a network.
"""

from . import activations, init, losses, optim
from .io import load, save
from .layers import MLP, Layer, Linear, Neuron, Sequential
from .module import Module, Parameter
from .training import History, fit, predict

__all__ = [
    "MLP",
    "History",
    "Layer",
    "Linear",
    "Module",
    "Neuron",
    "Parameter",
    "Sequential",
    "activations",
    "fit",
    "init",
    "load",
    "losses",
    "optim",
    "predict",
    "save",
]
