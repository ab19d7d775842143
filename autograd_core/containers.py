"""Nested containers of arrays: tuples, named tuples, lists, dicts and dataclasses, to any depth."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from typing import Any

import numpy as np

from .errors import ShapeError, caller
from .node import Node

#: Leaves that need no further look.
_PLAIN = frozenset((float, int, np.ndarray, np.float64, np.float32))

__all__ = [
    "aligned", "fields_of", "flatten", "map_leaves", "pack", "unpack", "with_fields", "with_items",
]


def flatten(nested: Any) -> tuple[list[Any], Callable[[Sequence[Any]], Any]]:
    """The leaves of ``nested`` in order, and a function that puts others in their place.

    Dicts are read in their own order; ``None`` is a container without leaves. The fields of a
    dataclass that hold no array, Tensor or float are no leaves: they stay as they are.

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
    if type(nested) in _PLAIN or isinstance(nested, Node):
        return f(nested)
    if isinstance(nested, dict):
        return with_items(nested, {key: map_leaves(f, value) for key, value in nested.items()})
    if isinstance(nested, tuple) and hasattr(nested, "_fields"):
        return type(nested)(*(map_leaves(f, value) for value in nested))
    if isinstance(nested, (list, tuple)):
        return type(nested)(map_leaves(f, value) for value in nested)
    fields = fields_of(nested)
    if fields is not None:
        return with_fields(nested, {name: map_leaves(f, value) for name, value in fields.items()
                                    if _holds_arrays(value)})
    return f(nested)


def aligned(pattern: Any, nested: Any, what: str) -> list[Any]:
    """The leaves of ``nested`` in the order of ``pattern``, which has the same structure.

    Dicts are matched by key, whatever their order. Raises :class:`ShapeError` where the
    structures differ; ``what`` names ``nested`` in the message.

    >>> aligned({"w": 0, "b": 0}, {"b": 2.0, "w": 1.0}, "the gradient")
    [1.0, 2.0]
    """
    if type(pattern) in _PLAIN or isinstance(pattern, Node):
        return [nested]
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
    fields = fields_of(pattern)
    if fields is not None:
        if type(nested) is not type(pattern):
            raise _unlike(pattern, nested, what)
        others = fields_of(nested) or {}
        return [x for name, value in fields.items() if _holds_arrays(value)
                for x in aligned(value, others.get(name), what)]
    return [nested]


def pack(arrays: Sequence[Any]) -> Any:
    """Arrays of one dtype laid end to end, as one array of one axis; a single one as it is."""
    if len(arrays) == 1:
        return arrays[0]
    return np.concatenate([x.reshape(-1) for x in arrays])


def unpack(packed: Any, shapes: Sequence[tuple[int, ...]]) -> list[Any]:
    """What :func:`pack` has packed, arrays of these shapes; for cotangents too, and recorded."""
    if len(shapes) == 1:
        return [packed]
    parts, start = [], 0
    for shape in shapes:
        stop = start + math.prod(shape)
        part = packed[start:stop] if shape else packed[start]
        parts.append(part if len(shape) < 2 else part.reshape(shape))
        start = stop
    return parts


# Parts of containers. ---------------------------------------------------------------------------


def with_items(old: dict[Any, Any], items: dict[Any, Any]) -> dict[Any, Any]:
    """A dict like ``old``, of its class, with these items."""
    if type(old) is dict:
        return items
    new = copy(old)  # a subclass may need more than items to be made
    for key, value in items.items():
        new[key] = value
    return new


def fields_of(x: Any) -> dict[str, Any] | None:
    """The fields of a dataclass' instance that are set, by name; None for anything else.

    Array types may be dataclasses, too: they are arrays.
    """
    kind = type(x)
    if not hasattr(kind, "__dataclass_fields__") or hasattr(kind, "__array_ufunc__"):
        return None
    return {field.name: getattr(x, field.name) for field in dataclasses.fields(x)
            if hasattr(x, field.name)}


def with_fields(old: Any, changed: Mapping[str, Any]) -> Any:
    """An instance like ``old``, a dataclass', in which these fields are changed.

    It is made without its constructor, which may convert or check what Tensors cannot be converted
    to or checked for; and only its fields are set, since anything else, such as a cached property,
    may have been computed from them.
    """
    new = object.__new__(type(old))
    for name, value in {**(fields_of(old) or {}), **changed}.items():
        object.__setattr__(new, name, value)  # also if it is frozen
    return new


def _holds_arrays(x: Any) -> bool:
    """Whether there is an array, a Tensor or a number of floating point in it."""
    if isinstance(x, (Node, np.ndarray, float, complex, np.inexact)):
        return True
    if isinstance(x, dict):
        return any(map(_holds_arrays, x.values()))
    if isinstance(x, (list, tuple)):
        return any(map(_holds_arrays, x))
    fields = fields_of(x)
    if fields is not None:
        return any(map(_holds_arrays, fields.values()))
    return hasattr(x, "__array_function__")


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
