"""What may be given by name (activations, losses, initialisers), and what it is called."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

__all__ = ["by_name", "name_of"]

F = TypeVar("F", bound=Callable[..., Any])


def by_name(kind: str, given: str | F, table: Mapping[str, F]) -> F:
    """The entry of this name, or what was given if it is no name.

    Raises ``ValueError`` with the known names for an unknown one.
    """
    if not isinstance(given, str):
        return given
    if given not in table:
        raise ValueError(f"{kind}: unknown name {given!r}; known are {sorted(table)}")
    return table[given]


def name_of(f: Callable[..., Any]) -> str:
    """What a function is called in listings."""
    return getattr(f, "__name__", repr(f))
