"""Optimisers: update rules written as expressions.

``update`` maps a parameter's value, its gradient and its state to new ones, in NumPy functions
and operators, element by element, and changes no argument: on arrays it computes, on Tensors it
records. ``step`` applies it to every parameter, and inside a compiled function becomes part of the
program. An augmented assignment such as ``m += g`` works on a result made the line before, which
saves an array.
"""

from .adaptive import AdaDelta, AdaGrad, Adam, AdamW, AMSGrad, Lion, NAdam, RMSProp
from .averaging import EMA
from .clip import clip_grad_norm, clip_grad_value
from .descent import SGD, Momentum, Nesterov
from .lbfgs import LBFGS
from .optimizer import Optimizer

__all__ = [
    "EMA",
    "LBFGS",
    "SGD",
    "AMSGrad",
    "AdaDelta",
    "AdaGrad",
    "Adam",
    "AdamW",
    "Lion",
    "Momentum",
    "NAdam",
    "Nesterov",
    "Optimizer",
    "RMSProp",
    "clip_grad_norm",
    "clip_grad_value",
]
