"""What may be given by name (activations, losses, initialisers), and what it is called."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

__all__ = ["by_name", "name_of", "refuse_class"]

F = TypeVar("F", bound=Callable[..., Any])


def by_name(kind: str, given: str | F, table: Mapping[str, F]) -> F:
    """The entry of this name, or what was given if it is no name.

    Raises ``ValueError`` with the known names for an unknown one, ``TypeError`` for what is no
    function, and for a class, which would make an object of what it is called with.
    """
    if not isinstance(given, str):
        refuse_class(kind, given)
        if not callable(given):
            raise TypeError(f"{kind}: expected a name or a function, got {given!r:.80}")
        return given
    if given not in table:
        raise ValueError(f"{kind}: unknown name {given!r}; known are {sorted(table)}")
    return table[given]


def refuse_class(where: str, given: Any) -> None:
    """Raise ``TypeError`` for a class where one of its objects is meant."""
    if isinstance(given, type):
        raise TypeError(f"{where}: got the class {given.__name__}; pass {given.__name__}()")


def name_of(f: Callable[..., Any]) -> str:
    """What a function is called in listings."""
    return getattr(f, "__name__", repr(f))
