"""Numerical against analytical derivatives."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from .containers import flatten
from .errors import GradientCheckError
from .node import value_of
from .transforms import jvp, vjp

__all__ = ["GradientCheck", "check_grads"]

ALL = "all arguments"


class GradientCheck(NamedTuple):
    """One comparison that :func:`check_grads` made: two numbers that must agree.

    ``argument``: the one that was moved, as ``x`` or ``params['w']``, or ``all arguments``.
    ``order``: of the derivative. ``mode``: ``"vjp"`` or ``"jvp"`` against differences, or
    ``"adjoint"``, jvp against vjp (which then stands under ``numerical``). ``allowed``: how much
    they may differ.
    """

    argument: str
    order: int
    mode: str
    analytical: float
    numerical: float
    allowed: float

    @property
    def difference(self) -> float:
        """The absolute difference of the two numbers."""
        return abs(self.analytical - self.numerical)

    @property
    def agrees(self) -> bool:
        """Whether the numbers agree; NaN agrees with nothing."""
        return self.difference <= self.allowed


class _Tolerance(NamedTuple):
    eps: float
    atol: float
    rtol: float


def check_grads(
    f: Callable[..., Any],
    *args: Any,
    order: int = 2,
    eps: float | None = None,
    atol: float | None = None,
    rtol: float | None = None,
    seed: int = 0,
) -> tuple[GradientCheck, ...]:
    """Compare the derivatives of ``f`` at ``args`` with central differences, up to ``order``.

    For random directions v and u it compares u·J v, from vjp and from jvp, with
    u·(f(x + εv) - f(x - εv)) / 2ε, moving one argument at a time and then all together; it
    compares the two modes through the adjoint identity u·(J v) = (uᵀJ)·v; and for the next order
    it does the same with the function x ↦ uᵀJ(x). ``args`` and the result may be nested containers
    of floating-point or complex arrays, for which a·b is Re Σ a b and directions are complex. The
    tolerances default to what central differences can deliver in the arguments' precision.

    Returns the comparisons, a tuple of :class:`GradientCheck`.

    Raises :class:`GradientCheckError` (an ``AssertionError``) with both numbers and the name of the
    argument; the comparison is its attribute ``check``.

    >>> checks = ag.check_grads(np.tanh, np.array([0.1, -0.5]))
    >>> checks[0].order, checks[0].mode, checks[0].difference < 1e-6
    (1, 'vjp', True)
    >>> checks = ag.check_grads(np.sin, 1.0 + 2.0j)
    """
    leaves, _ = flatten(args)
    single = any(np.real(_value(x)).dtype.itemsize < 8 for x in leaves)
    tolerance = _Tolerance(
        eps if eps is not None else (1e-2 if single else 1e-5),
        atol if atol is not None else (1e-2 if single else 1e-6),
        rtol if rtol is not None else (1e-2 if single else 1e-6),
    )
    name, rng = getattr(f, "__name__", str(f)), np.random.default_rng(seed)
    names = _names(f, args)
    checks: list[GradientCheck] = []
    derivative = f
    for level in range(1, order + 1):
        weights = _check(checks, derivative, args, names, name, level, tolerance, rng)
        if level < order:
            derivative = _derivative(derivative, weights)
    return tuple(checks)


def _derivative(f: Callable[..., Any], weights: Any) -> Callable[..., Any]:
    """x ↦ uᵀJ(x)."""
    return lambda *xs: vjp(f, *xs)[1](weights)


def _check(
    checks: list[GradientCheck], f: Callable[..., Any], args: tuple[Any, ...],
    names: Sequence[str], name: str, level: int, tolerance: _Tolerance, rng: np.random.Generator,
) -> Any:
    """Add the comparisons for ``f``; returns the weights u of its results."""
    leaves, rebuild = flatten(args)
    leaves = [_value(x) for x in leaves]
    directions = [_random(x, rng) for x in leaves]
    outputs, back = vjp(f, *args)
    flat, structure = flatten(outputs)
    weights = [_random(_value(y), rng) for y in flat]
    backward, _ = flatten(back(structure(weights)))

    def along(chosen: Sequence[Any]) -> float:
        """u·(f(x + εv) - f(x - εv)) / 2ε."""
        plus, minus = (
            flatten(f(*rebuild([x + side * tolerance.eps * v
                                for x, v in zip(leaves, chosen, strict=True)])))[0]
            for side in (1, -1)
        )
        return _inner(weights, [(_value(a) - _value(b)) / (2 * tolerance.eps)
                                for a, b in zip(plus, minus, strict=True)])

    def forward(chosen: Sequence[Any]) -> list[Any]:
        return flatten(jvp(f, args, rebuild(chosen))[1])[0]

    def compare(
        argument: str, mode: str, analytical: float, numerical: float, allowed: float | None = None
    ) -> None:
        if allowed is None:
            allowed = tolerance.atol + tolerance.rtol * abs(numerical)
        check = GradientCheck(argument, level, mode, analytical, numerical, allowed)
        checks.append(check)
        if not check.agrees:
            raise GradientCheckError(
                f"{mode} of {name} by {argument}, order {level}: analytical {analytical!r}, "
                f"{'from vjp' if mode == 'adjoint' else 'numerical'} {numerical!r} "
                f"(difference {check.difference:.3g}, allowed {allowed:.3g})", check
            )

    several = len(leaves) > 1
    for one, chosen in _one_by_one(names, directions) if several else ():
        compare(one, "vjp", _inner(backward, chosen), along(chosen))
    argument = ALL if several else names[0]
    numerical, adjoint = along(directions), _inner(backward, directions)
    compare(argument, "vjp", adjoint, numerical)
    tangents = forward(directions)
    product = _inner(weights, tangents)
    # Both modes compute with the same rules: they differ by rounding, in relation to the summands.
    scale = _size(weights, tangents) + _size(backward, directions)
    close = 1e-3 * (tolerance.atol + tolerance.rtol * scale)
    agree = GradientCheck(argument, level, "adjoint", product, adjoint, close).agrees
    for one, chosen in _one_by_one(names, directions) if several and not agree else ():
        compare(one, "jvp", _inner(weights, forward(chosen)), along(chosen))  # which one is it?
    compare(argument, "jvp", product, numerical)
    compare(argument, "adjoint", product, adjoint, close)
    return structure(weights)


def _one_by_one(names: Sequence[str], directions: Sequence[Any]) -> Iterator[tuple[str, list[Any]]]:
    """For each argument that can be moved, its name and the directions with all others at rest."""
    for i, (name, v) in enumerate(zip(names, directions, strict=True)):
        if v.size:
            yield name, [w if i == j else np.zeros_like(w) for j, w in enumerate(directions)]


def _names(f: Callable[..., Any], args: tuple[Any, ...]) -> list[str]:
    """What to call each leaf of the arguments: ``x``, ``params['w']``."""
    try:
        parameters = list(inspect.signature(f).parameters.values())
    except (TypeError, ValueError):  # no signature, as many of NumPy's functions
        parameters = []
    leaves, rebuild = flatten(args)
    paths: list[str] = [""] * len(leaves)
    for i, numbered in enumerate(rebuild(list(range(len(leaves))))):
        rest = next((k for k, p in enumerate(parameters) if p.kind is p.VAR_POSITIONAL), len(args))
        if i >= rest:
            name = f"{parameters[rest].name}[{i - rest}]"
        else:
            name = parameters[i].name if i < len(parameters) else f"argument {i}"
        _walk(numbered, name, paths)
    return paths


def _walk(numbered: Any, path: str, paths: list[str]) -> None:
    if isinstance(numbered, dict):
        for key, value in numbered.items():
            _walk(value, f"{path}[{key!r}]", paths)
    elif isinstance(numbered, tuple) and hasattr(numbered, "_fields"):
        for field, value in zip(numbered._fields, numbered, strict=True):
            _walk(value, f"{path}.{field}", paths)
    elif isinstance(numbered, (list, tuple)):
        for i, value in enumerate(numbered):
            _walk(value, f"{path}[{i}]", paths)
    elif isinstance(numbered, int):
        paths[numbered] = path


def _value(x: Any) -> Any:
    """The value, also of a Tensor: differences of a function that closes over Tensors."""
    return np.asarray(value_of(x))


def _random(x: Any, rng: np.random.Generator) -> Any:
    """A direction in the space of ``x``: complex for a complex x."""
    v = rng.standard_normal(x.shape)
    if x.dtype.kind == "c":
        v = v + 1j * rng.standard_normal(x.shape)
    return np.asarray(v, x.dtype)


def _inner(a: Sequence[Any], b: Sequence[Any]) -> float:
    """Re Σ a b."""
    return float(sum(np.sum(np.real(_value(x) * _value(y)), dtype=float)
                     for x, y in zip(a, b, strict=True)))


def _size(a: Sequence[Any], b: Sequence[Any]) -> float:
    """Σ |a| |b|."""
    return float(sum(np.sum(np.abs(_value(x) * _value(y)), dtype=float)
                     for x, y in zip(a, b, strict=True)))
