"""Data as training takes it: arrays of numbers with samples along the first axis."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

import autograd_core as ag

from .layers import Embedding
from .module import Module

__all__ = ["batches", "checked_data", "checked_weights", "looks_up", "split"]

#: Samples are gathered for so many bytes at a time, and batches are slices of that: one gather for
#: many small batches, and never a copy of all the data.
_GATHERED = 1 << 20


def _checked(function: str, x: Any, name: str, dtype: np.dtype[Any]) -> np.ndarray:
    """Data as an array in the model's dtype (integer targets stay integers), without NaN."""
    array = np.asarray(x)
    if array.dtype.kind not in "fiub":
        raise TypeError(f"{function}: {name} must hold numbers, got dtype {array.dtype}")
    if array.ndim == 0:
        raise ag.ShapeError(f"{function}: {name} must have a first axis of samples, got a scalar")
    if array.dtype.kind == "f":
        with np.errstate(over="ignore"):  # what is too large for the dtype becomes infinite
            array = array.astype(dtype, copy=False)
        bad = ~np.isfinite(array)
        if bad.any():
            first = tuple(int(i) for i in np.argwhere(bad)[0])
            raise ValueError(
                f"{function}: {name} holds {int(bad.sum())} values that are NaN or infinite in "
                f"{dtype}, the first at index {first}; remove or fill them, for instance with "
                "np.nan_to_num"
            )
    return array


def checked_data(
    function: str, X: Any, y: Any, names: tuple[str, str], dtype: np.dtype[Any],
    integers: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """Inputs in ``dtype`` and their targets, of one length; ``integers`` may stay such.

    Raises ``TypeError``, ``ValueError`` and :class:`ag.ShapeError` for what is no such data.
    """
    inputs = _checked(function, X, names[0], dtype)
    targets = _checked(function, y, names[1], dtype)
    if inputs.dtype.kind != "f" and not (integers and inputs.dtype.kind in "iu"):
        inputs = inputs.astype(dtype)
    if len(inputs) != len(targets):
        raise ag.ShapeError(
            f"{function}: {names[0]} has {len(inputs)} samples but {names[1]} has {len(targets)}"
        )
    if not len(inputs):
        raise ag.ShapeError(f"{function}: {names[0]} has no samples")
    return inputs, targets


def checked_weights(
    function: str, weights: Any, name: str, of: str, samples: int, dtype: np.dtype[Any]
) -> np.ndarray:
    """Weights of so many samples in ``dtype``: finite, not negative, and some of them positive.

    Raises ``TypeError``, ``ValueError`` and :class:`ag.ShapeError` for what is no such thing.
    """
    array = _checked(function, weights, name, dtype)
    if len(array) != samples:
        raise ag.ShapeError(f"{function}: {of} has {samples} samples but {name} has {len(array)}")
    array = array.astype(dtype, copy=False)
    if (array < 0).any():
        first = tuple(int(i) for i in np.argwhere(array < 0)[0])
        raise ValueError(
            f"{function}: {name} must not be negative, got {array[first]} at index {first}"
        )
    if not array.any():
        raise ValueError(f"{function}: {name} is zero everywhere: no sample counts")
    return array


def looks_up(model: Any) -> bool:
    """Whether a model takes integers for what they are: rows of an ``Embedding``."""
    return isinstance(model, Module) and any(isinstance(m, Embedding) for m in model.modules())


def split(
    samples: int, fraction: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Which samples to train on, and the ``fraction`` of them, chosen at random, to hold out.

    Raises ``ValueError`` if one of the two would be empty.
    """
    if not 0 < fraction < 1:
        raise ValueError(f"fit: validation_split must be between 0 and 1, got {fraction}")
    held_out = round(fraction * samples)
    if not 0 < held_out < samples:
        raise ValueError(
            f"fit: validation_split={fraction} of {samples} samples leaves {samples - held_out} to "
            f"train on and {held_out} to validate with"
        )
    order = rng.permutation(samples)
    # In their own order, so that what follows does not depend on how the set was drawn.
    return np.sort(order[held_out:]), np.sort(order[:held_out])


def batches(
    arrays: Sequence[np.ndarray], order: np.ndarray, size: int
) -> Iterator[Iterator[tuple[np.ndarray, ...]]]:
    """Batches of ``size`` samples of each array in this order, in blocks; the last maybe smaller.

    They are read-only, and nothing is ever written into them again: a graph may keep one.
    """
    bytes_each = sum(x.nbytes for x in arrays) // len(arrays[0])
    block = size * max(1, _GATHERED // max(1, bytes_each * size))
    for begin in range(0, len(order), block):
        chosen = order[begin : begin + block]
        gathered = [x.take(chosen, axis=0) for x in arrays]
        for x in gathered:
            x.flags.writeable = False  # need not be copied
        count = len(chosen) // size
        # Walked through by NumPy: of a small network, slices would be a tenth of a step.
        yield zip(*[x[: count * size].reshape(count, size, *x.shape[1:]) for x in gathered],
                  strict=True)
        if count * size < len(chosen):
            yield iter([tuple(x[count * size :] for x in gathered)])
