"""What may be given by name: activations, losses, initialisers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

__all__ = ["by_name"]

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
