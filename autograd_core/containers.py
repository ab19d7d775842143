"""Nested containers of arrays: tuples, named tuples, lists and dicts, to any depth."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from typing import Any

import numpy as np

from .errors import ShapeError, caller

#: Leaves that need no further look.
_PLAIN = frozenset((float, int, np.ndarray, np.float64, np.float32))

__all__ = ["aligned", "flatten", "map_leaves"]


def flatten(nested: Any) -> tuple[list[Any], Callable[[Sequence[Any]], Any]]:
    """The leaves of ``nested`` in order, and a function that puts others in their place.

    Dicts are read in their own order; ``None`` is a container without leaves.

    >>> leaves, rebuild = flatten({"w": 1.0, "rest": (2.0, [3.0])})
    >>> leaves
    [1.0, 2.0, 3.0]
    >>> rebuild([10.0, 20.0, 30.0])
    {'w': 10.0, 'rest': (20.0, [30.0])}
    """
    if type(nested) is tuple and all(type(x) in _PLAIN for x in nested):  # nearly always
        return list(nested), tuple
    leaves: list[Any] = []
    map_leaves(leaves.append, nested)

    def rebuild(replacements: Sequence[Any]) -> Any:
        rest = iter(replacements)
        return map_leaves(lambda _: next(rest), nested)

    return leaves, rebuild


def map_leaves(f: Callable[[Any], Any], nested: Any) -> Any:
    """``nested`` with ``f`` applied to each leaf."""
    if nested is None:
        return None
    if isinstance(nested, dict):
        items = {key: map_leaves(f, value) for key, value in nested.items()}
        if type(nested) is dict:
            return items
        other = copy(nested)  # a subclass may need more than items to be made
        for key, value in items.items():
            other[key] = value
        return other
    if isinstance(nested, tuple) and hasattr(nested, "_fields"):
        return type(nested)(*(map_leaves(f, value) for value in nested))
    if isinstance(nested, (list, tuple)):
        return type(nested)(map_leaves(f, value) for value in nested)
    return f(nested)


def aligned(pattern: Any, nested: Any, what: str) -> list[Any]:
    """The leaves of ``nested`` in the order of ``pattern``, which has the same structure.

    Dicts are matched by key, whatever their order. Raises :class:`ShapeError` where the
    structures differ; ``what`` names ``nested`` in the message.

    >>> aligned({"w": 0, "b": 0}, {"b": 2.0, "w": 1.0}, "the gradient")
    [1.0, 2.0]
    """
    if isinstance(pattern, dict):
        if not isinstance(nested, dict) or nested.keys() != pattern.keys():
            raise _unlike(pattern, nested, what)
        return [x for key in pattern for x in aligned(pattern[key], nested[key], what)]
    if isinstance(pattern, (list, tuple)):
        if not isinstance(nested, (list, tuple)) or len(nested) != len(pattern):
            raise _unlike(pattern, nested, what)
        parts = zip(pattern, nested, strict=True)
        return [x for part, other in parts for x in aligned(part, other, what)]
    if pattern is None:
        if nested is not None:
            raise _unlike(pattern, nested, what)
        return []
    return [nested]


def _unlike(pattern: Any, nested: Any, what: str) -> ShapeError:
    return ShapeError(
        f"{what} must have the structure of what it belongs to: {_outline(nested)} where "
        f"{_outline(pattern)} is needed (at {caller()})"
    )


def _outline(x: Any) -> str:
    if isinstance(x, dict):
        return f"a dict with the keys {list(x)}"
    if isinstance(x, (list, tuple)):
        return f"a {type(x).__name__} of length {len(x)}"
    return "None" if x is None else f"a {type(x).__name__}"
