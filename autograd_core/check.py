"""Numerical against analytical derivatives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .containers import flatten
from .errors import GradientCheckError
from .node import value_of
from .transforms import jvp, vjp

__all__ = ["check_grads"]


def check_grads(
    f: Callable[..., Any],
    *args: Any,
    order: int = 2,
    eps: float | None = None,
    atol: float | None = None,
    rtol: float | None = None,
    seed: int = 0,
) -> None:
    """Compare the derivatives of ``f`` at ``args`` with central differences, up to ``order``.

    For random directions v and u it compares u·J v, from vjp and from jvp, with
    u·(f(x + εv) - f(x - εv)) / 2ε; for the next order, the same for the function x ↦ uᵀJ(x).
    ``args`` and the result may be nested containers of floating-point arrays. The tolerances
    default to what central differences can deliver in the arguments' precision.

    Raises :class:`GradientCheckError` (an ``AssertionError``) with both numbers.

    >>> ag.check_grads(np.tanh, np.array([0.1, -0.5]))
    """
    leaves, _ = flatten(args)
    single = any(_value(x).dtype.itemsize < 8 for x in leaves)
    eps = eps if eps is not None else (1e-2 if single else 1e-5)
    atol = atol if atol is not None else (1e-2 if single else 1e-6)
    rtol = rtol if rtol is not None else (1e-2 if single else 1e-6)
    _check(f, args, order, 1, eps, atol, rtol, np.random.default_rng(seed))


def _check(
    f: Callable[..., Any], args: tuple[Any, ...], order: int, level: int,
    eps: float, atol: float, rtol: float, rng: np.random.Generator,
) -> None:
    leaves, rebuild = flatten(args)
    leaves = [_value(x) for x in leaves]
    directions = [np.asarray(rng.standard_normal(x.shape), x.dtype) for x in leaves]
    outputs, back = vjp(f, *args)
    flat, structure = flatten(outputs)
    flat = [_value(y) for y in flat]
    weights = [np.asarray(rng.standard_normal(y.shape), y.dtype) for y in flat]

    forward, _ = flatten(jvp(f, args, rebuild(directions))[1])
    backward, _ = flatten(back(structure(weights)))
    plus, minus = (
        flatten(f(*rebuild([x + side * eps * v for x, v in zip(leaves, directions, strict=True)])))
        for side in (1, -1)
    )
    numerical = _inner(weights, [(_value(a) - _value(b)) / (2 * eps)
                                 for a, b in zip(plus[0], minus[0], strict=True)])
    for name, analytical in (
        ("vjp", _inner(backward, directions)),
        ("jvp", _inner(weights, forward)),
    ):
        if not abs(analytical - numerical) <= atol + rtol * abs(numerical):
            raise GradientCheckError(
                f"{name} of {getattr(f, '__name__', f)}, order {level}: analytical {analytical!r}, "
                f"numerical {numerical!r} (difference {abs(analytical - numerical):.3g}, allowed "
                f"{atol + rtol * abs(numerical):.3g})"
            )
    if level < order:
        def derivative(*xs: Any) -> Any:
            return vjp(f, *xs)[1](structure(weights))

        _check(derivative, args, order, level + 1, eps, atol, rtol, rng)


def _value(x: Any) -> Any:
    """The value, also of a Tensor: differences of a function that closes over Tensors."""
    return np.asarray(value_of(x))


def _inner(a: list[Any], b: list[Any]) -> float:
    return float(sum(np.sum(_value(x) * _value(y), dtype=float)
                     for x, y in zip(a, b, strict=True)))
