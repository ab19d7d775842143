"""What layers require of sizes and inputs, checked before anything is computed."""

from __future__ import annotations

from typing import Any

import autograd_core as ag

__all__ = ["as_array", "check_features", "check_sizes"]


def check_sizes(name: str, *sizes: int) -> None:
    """Raise unless all sizes are positive."""
    if min(sizes) < 1:
        raise ValueError(f"{name}: sizes must be positive, got {' and '.join(map(str, sizes))}")


def as_array(x: Any) -> Any:
    """``x`` as something with a shape; lists may hold Tensors."""
    if isinstance(x, tuple) and x and isinstance(x[0], ag.Tensor) and x[0].ndim == 3:
        raise TypeError(
            "a layer was given a pair (outputs, state), as recurrent layers return it; pass one of "
            "them on, in the forward of a module of your own"
        )
    return x if hasattr(x, "shape") else ag.array(x)


def check_features(x: Any, n_in: int, name: str) -> Any:
    """The input as an array, its last axis checked."""
    x = as_array(x)
    shape = tuple(x.shape)
    if not shape or shape[-1] != n_in:
        raise ag.ShapeError(
            f"{name}: the input has shape {shape}, but its last axis must hold {n_in} features"
            + ("; a batch has shape (batch, features)" if len(shape) < 2 else "")
        )
    return x
