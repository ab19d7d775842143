"""Primitives of the user: a function of arrays with derivative rules of its own."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from .errors import GradientError, caller
from .node import Array, Node
from .op import MissingRule, Op, Rule
from .tensor import constant, record

__all__ = ["Primitive", "primitive"]


class Primitive:
    """A function that the engine does not look into. See :func:`primitive`."""

    def __init__(self, f: Callable[..., Any]) -> None:
        functools.update_wrapper(self, f)
        self._forward = f
        self._op = self._make(())

    def _make(self, rules: tuple[Rule | None, ...]) -> Op:
        name = getattr(self._forward, "__name__", "primitive")
        return Op(name, self._compute, _Rules(name, rules), f"{name}(...)")

    def _compute(self, *arrays: Array, **attrs: Any) -> Array:
        """The function on plain arrays, its result as the graph can hold it."""
        y = self._forward(*arrays, **attrs)
        if isinstance(y, Node):
            raise TypeError(
                "the function of a primitive computes with plain arrays but returned a Tensor; "
                "pass every Tensor it uses as a positional argument"
            )
        if isinstance(y, (int, float, complex)):
            return np.asarray(y)[()]
        if not hasattr(y, "dtype"):
            raise TypeError(
                f"a primitive returns one array, got {type(y).__name__}; join several with "
                "np.stack or np.concatenate, or make a primitive of each"
            )
        return y

    def defvjp(self, *rules: Rule | None) -> Primitive:
        """Give one rule per argument, ``rule(g, y, *xs, **attrs)`` -> the cotangent of it.

        ``None`` stands for an argument without a rule. Returns the primitive itself.
        """
        self._op = self._make(rules)
        return self

    def __repr__(self) -> str:
        return f"<primitive {self._op.name}>"

    def __call__(self, *args: Any, **attrs: Any) -> Any:
        for name, value in attrs.items():
            if isinstance(value, Node):
                raise GradientError(
                    f"{self._op.name}: the keyword argument {name} is a Tensor (at {caller()}); "
                    "keyword arguments of a primitive are static: pass it by position"
                )
            if isinstance(value, np.ndarray):
                attrs[name] = constant(value)
        if any(isinstance(x, Node) for x in args):
            return record(self._op, args, attrs)
        return self._forward(*args, **attrs)


class _Rules(Sequence[Rule]):
    """Rules by position; in place of a missing one, a rule that raises when it is needed."""

    def __init__(self, name: str, rules: tuple[Rule | None, ...]) -> None:
        self._name = name
        self._rules = rules

    def __getitem__(self, position: Any) -> Any:
        rule = self._rules[position] if position < len(self._rules) else None
        if rule is None:
            return MissingRule(
                self._name, f"argument {position}",
                f"give one with `{self._name}.defvjp(...)`, or cut the path with "
                "`ag.stop_gradient`",
            )
        return partial(_own, rule)

    def __len__(self) -> int:
        return len(self._rules)


def _own(rule: Rule, *args: Any, **attrs: Any) -> Any:
    """A rule's result as an array that nothing else holds: it may return what it was given."""
    term = rule(*args, **attrs)
    return term.copy() if isinstance(term, np.ndarray) else term


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
