"""Groups of numbers that grow together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator


class Groups:
    """Disjoint groups, each number at first in one of its own; a forest with halved paths."""

    def __init__(self, members: Iterable[int]) -> None:
        self._parent = {n: n for n in members}

    def join(self, a: int, b: int) -> None:
        """Make the groups of ``a`` and ``b`` one."""
        self._parent[self._root(a)] = self._root(b)

    def _root(self, n: int) -> int:
        parent = self._parent
        while parent[n] != n:
            parent[n] = parent[parent[n]]
            n = parent[n]
        return n

    def __iter__(self) -> Iterator[list[int]]:
        """The groups by their first members, each in order."""
        groups: dict[int, list[int]] = {}
        for n in sorted(self._parent):
            groups.setdefault(self._root(n), []).append(n)
        return iter(groups.values())
