"""Nested containers of arrays: tuples, named tuples, lists and dicts, to any depth."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

__all__ = ["flatten", "map_leaves"]


def flatten(nested: Any) -> tuple[list[Any], Callable[[Sequence[Any]], Any]]:
    """The leaves of ``nested`` in order, and a function that puts others in their place.

    Dicts are read in their own order; ``None`` is a container without leaves.

    >>> leaves, rebuild = flatten({"w": 1.0, "rest": (2.0, [3.0])})
    >>> leaves
    [1.0, 2.0, 3.0]
    >>> rebuild([10.0, 20.0, 30.0])
    {'w': 10.0, 'rest': (20.0, [30.0])}
    """
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
        return items if type(nested) is dict else type(nested)(items)
    if isinstance(nested, tuple) and hasattr(nested, "_fields"):
        return type(nested)(*(map_leaves(f, value) for value in nested))
    if isinstance(nested, list | tuple):
        return type(nested)(map_leaves(f, value) for value in nested)
    return f(nested)
