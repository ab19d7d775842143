"""Primitives of the user: a function of arrays with derivative rules of its own."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from .node import Node
from .op import Op, Rule
from .tensor import record

__all__ = ["Primitive", "primitive"]


class Primitive:
    """A function that the engine does not look into. See :func:`primitive`."""

    def __init__(self, f: Callable[..., Any]) -> None:
        functools.update_wrapper(self, f)
        self._forward = f
        self._op = self._make(())

    def _make(self, rules: tuple[Rule | None, ...]) -> Op:
        name = getattr(self._forward, "__name__", "primitive")
        return Op(name, self._forward, _Padded(rules), f"{name}(...)")

    def defvjp(self, *rules: Rule | None) -> Primitive:
        """Give one rule per argument, ``rule(g, y, *xs, **attrs)`` -> the cotangent of it.

        ``None`` stands for an argument without a rule. Returns the primitive itself.
        """
        self._op = self._make(rules)
        return self

    def __repr__(self) -> str:
        return f"<primitive {self._op.name}>"

    def __call__(self, *args: Any, **attrs: Any) -> Any:
        if any(isinstance(x, Node) for x in args):
            return record(self._op, args, attrs)
        return self._forward(*args, **attrs)


class _Padded(tuple[Any, ...]):
    """Rules by position; an argument beyond them has none."""

    __slots__ = ()

    def __getitem__(self, i: Any) -> Any:
        return super().__getitem__(i) if not isinstance(i, int) or i < len(self) else None


def primitive(f: Callable[..., Any]) -> Primitive:
    """Make ``f`` a primitive: it is called with plain arrays and differentiated by given rules.

    Positional arguments are arrays, keyword arguments static. A rule gets the cotangent ``g`` of
    the result ``y`` and the arguments; written in NumPy functions it can itself be
    differentiated. Without a rule for an argument, asking for that gradient raises
    :class:`MissingRuleError`. Usable as a decorator.

    >>> @ag.primitive
    ... def cube(x):
    ...     return x**3
    >>> cube.defvjp(lambda g, y, x: g * 3 * x**2)
    <primitive cube>
    >>> ag.grad(ag.grad(cube))(2.0)
    np.float64(12.0)
    """
    return Primitive(f)
