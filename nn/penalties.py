"""Penalties: what is added to a loss so that weights stay small, or become 0.

    loss = nn.losses.cross_entropy(model(x), y) + nn.penalties.l2(model, 1e-4)

Each takes a module, whose parameters other than biases count (an affine map may sit where it
likes, and few biases overfit), or parameters, which all count. A shared parameter counts once.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from .module import Module, Parameter

__all__ = ["group", "l1", "l2"]

Penalised = Module | Parameter | Iterable[Parameter]


def _weights(name: str, of: Penalised, strength: float, biases: bool) -> list[Parameter]:
    if not strength >= 0:
        raise ValueError(f"{name}: the strength must not be negative, got {strength}")
    if isinstance(of, Parameter):
        found = [of]
    elif isinstance(of, Module):
        found = [p for full_name, p in of.named_parameters()
                 if biases or not full_name.rpartition(".")[2].startswith("bias")]
    else:
        found = list(of)
    if not found:
        raise ValueError(f"{name}: there are no parameters to penalise")
    return found


def _total(terms: Iterable[Any], strength: float) -> Any:
    first, *others = terms
    for term in others:
        first = first + term
    return strength * first


def l1(of: Penalised, strength: float, *, biases: bool = False) -> Any:
    """strength Σ |w|: weights that are not needed become 0. The slope is 0 at 0.

    Source: Tibshirani, "Regression shrinkage and selection via the lasso" (1996).

    >>> nn.penalties.l1(nn.Parameter([3.0, -4.0]), 0.1).item().__round__(6)
    0.7
    """
    weights = _weights("l1", of, strength, biases)
    return _total((np.absolute(w).sum() for w in weights), strength)


def l2(of: Penalised, strength: float, *, biases: bool = False) -> Any:
    """strength/2 Σ w²: its gradient, strength w, is weight decay under plain gradient descent.

    Source: Krogh, Hertz, "A simple weight decay can improve generalization" (1992).

    >>> nn.penalties.l2(nn.Parameter([3.0, -4.0]), 0.1).item()
    1.25
    """
    weights = _weights("l2", of, strength, biases)
    return _total((np.square(w).sum() for w in weights), 0.5 * strength)


def group(of: Penalised, strength: float, *, axis: int = -1, biases: bool = False) -> Any:
    """strength Σ_g √n ‖w_g‖ over groups g of n weights: whole groups become 0 together.

    A group is what lies along ``axis``: -1 for all that leaves one input of an ``nn.Linear``, so
    that inputs and hidden units are left out, -2 for all that enters one unit. Of an array with
    fewer axes than that, each element is a group. At w_g = 0 the slope is 0.

    Source: Yuan, Lin, "Model selection and estimation in regression with grouped variables" (2006).

    >>> nn.penalties.group(nn.Parameter([[3.0, 4.0], [0.0, 0.0]]), 1.0).item().__round__(6)
    7.071068
    """
    weights = _weights("group", of, strength, biases)
    return _total((_norms(w, axis) for w in weights), strength)


def _norms(w: Any, axis: int) -> Any:
    if not -w.ndim <= axis < w.ndim:
        return np.absolute(w).sum()
    return float(w.shape[axis]) ** 0.5 * np.linalg.norm(w, axis=axis).sum()
