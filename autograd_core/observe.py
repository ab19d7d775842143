"""Watching a computation: every node is announced as it is made, and knows where that was.

    with Observer():
        y = model(x)
    origin_of(y)        # Origin(place=train.py:17, scopes=("MLP", "layers.1"), rule=None)

An :class:`Observer` is told of the nodes that its thread or task makes, of values that Python reads
and of walks backwards. What it sees of a node it leaves on the node itself, so that nothing keeps a
graph alive which nobody else does, and a replay, which changes values, changes nothing of it.
While nobody observes, nothing here runs.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import ContextDecorator
from contextvars import ContextVar
from typing import Any, NamedTuple

from .errors import Place, place
from .node import Array, Node

__all__ = ["Observer", "Origin", "origin_of", "scope"]

#: How many observers there are in any thread or task: while none, nobody looks further.
watching = 0
#: Those of the current thread or task, the innermost last.
observers: ContextVar[tuple[Observer, ...]] = ContextVar("autograd_core.observers", default=())
#: Who else counts them, to run no code of theirs while there are none.
counters: list[Callable[[int], None]] = []
_lock = threading.Lock()

_scopes: ContextVar[tuple[Any, ...]] = ContextVar("autograd_core.scopes", default=())
#: The node and the number of its input whose cotangent a walk is recording.
rule: ContextVar[tuple[Node, int] | None] = ContextVar("autograd_core.rule", default=None)


class Origin(NamedTuple):
    """Where a node was made."""

    #: The nearest line outside of this package and NumPy; of what a rule made, that of its node.
    place: Place
    #: The names of the :class:`scope` blocks around it, outermost first.
    scopes: tuple[Any, ...] = ()
    #: If a walk backwards recorded it: the node whose rule it belongs to, and the number of the
    #: input that this rule is for.
    rule: tuple[Node, int] | None = None
    #: If it was made where nothing is recorded, and an observer wants to know: by what.
    made: tuple[Any, Sequence[Any], Mapping[str, Any]] | None = None


def origin_of(node: Node) -> Origin | None:
    """Where ``node`` was made; None if nobody observed that."""
    return getattr(node, "_origin", None)


def observed() -> bool:
    """Whether somebody observes the current thread or task."""
    return watching > 0 and bool(observers.get())


def announce(
    node: Node, op: Any, inputs: Sequence[Any], attrs: Mapping[str, Any]
) -> None:
    """Tell the observers of a new node, and what computed it, which it may have to forget."""
    for observer in observers.get():
        observer.note(node)
        observer.made(node, op, inputs, attrs)


def reading(node: Node, what: str) -> None:
    """Tell the observers that a value is about to leave the graph."""
    for observer in observers.get():
        observer.read(node, what)


class Observer:
    """A block whose nodes are observed: all those that the current thread or task makes in it.

    By itself it sees to it that they get an :class:`Origin`. Subclasses override what they want to
    be told of. Functions made by :func:`compile` run eagerly for observers, on Tensors in place of
    arrays, as when they are recorded.
    """

    def __enter__(self) -> Any:
        _count(+1)
        observers.set((*observers.get(), self))
        return self

    def __exit__(self, *exc: object) -> None:
        # Not always the innermost: generators that are suspended inside may end in any order.
        kept = list(observers.get())
        if self in kept:
            kept.reverse()
            kept.remove(self)
            kept.reverse()
        observers.set(tuple(kept))
        _count(-1)

    def note(self, node: Node) -> None:
        if getattr(node, "_origin", None) is None:
            part = rule.get()
            before = None if part is None else origin_of(part[0])
            node._origin = (
                Origin(place(), _scopes.get(), part) if before is None else
                Origin(before.place, before.scopes, part)
            )

    def made(
        self, node: Node, op: Any, inputs: Sequence[Any], attrs: Mapping[str, Any]
    ) -> None:
        """``node`` was computed by ``op(*inputs, **attrs)``; a leaf has no op.

        Where nothing is recorded the node itself has none of these.
        """

    def read(self, node: Node, what: str) -> None:
        """Python is about to read the value of ``node``."""

    def walked(
        self, seeds: Mapping[Node, Array], route: Any, result: Mapping[Node, Array]
    ) -> None:
        """A walk backwards along ``route`` from ``seeds`` has come to this ``result``."""


def _count(change: int) -> None:
    global watching
    with _lock:
        watching += change
    for counter in counters:
        counter(change)


class scope(ContextDecorator):
    """A block, or decorator, that names the part of the graph built in it.

    Blocks nest: a node's scopes are the names of the blocks that it was made in, which pictures and
    messages show as ``MLP > layers.1``. ``name`` is a string, or anything with a ``str``; equal
    names are one part. It costs nothing to speak of while nobody observes.

    >>> with ag.scope("encoder"), ag.scope("attention"):
    ...     y = np.tanh(ag.tensor(0.0))
    """

    __slots__ = ("_before", "_name")

    def __init__(self, name: Any) -> None:
        self._name = name
        self._before: tuple[Any, ...] | None = None

    def _recreate_cm(self) -> scope:
        return scope(self._name)

    def __enter__(self) -> None:
        if watching:
            self._before = _scopes.get()
            _scopes.set((*self._before, self._name))

    def __exit__(self, *exc: object) -> None:
        if self._before is not None:
            _scopes.set(self._before)
            self._before = None
