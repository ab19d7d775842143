"""A node of the computation graph: plain data, no behaviour.

A node is a value together with how it came about: ``op`` applied to ``inputs`` with static
``attrs``. A leaf has no op. References point from a node to its inputs and never back, so that
Python's reference counting frees a graph the moment its output is dropped.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from heapq import heapify, heappop, heappush
from itertools import count
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from .errors import StaleGraphError, caller

if TYPE_CHECKING:
    from .op import Op

#: Any array type that speaks NumPy's protocols (NEP 13 and 18), NumPy scalars, Python numbers.
Array: TypeAlias = Any

#: The clock of the engine. A node is always younger than its inputs, so sorting by birth is a
#: topological order; an input younger than its consumer was replaced after the consumer's value
#: had been computed from it.
tick: Callable[[], int] = count().__next__


class Node:
    """What the graph walks see of a Tensor. All of it is read-only to users."""

    __slots__ = (
        "__weakref__",
        "_born",
        "_grad",
        "_label",
        "_lent",
        "_origin",
        "_requires",
        "_retain",
        "_value",
        "attrs",
        "inputs",
        "op",
    )

    #: The value: an ndarray, a NumPy scalar for shape (), or another library's array. Not called
    #: `_data`, since NumPy takes what has that name for a masked array and reads it: `masked * t`
    #: would go past this class, and lose the gradient.
    _value: Array
    #: The primitive that made this node; None for a leaf.
    op: Op | None
    #: Its operands: nodes, arrays (constants), Python scalars (which stay weakly typed).
    inputs: tuple[Any, ...]
    #: Its static arguments, by keyword.
    attrs: Mapping[str, Any]
    #: Whether a leaf that requires a gradient can be reached from here.
    _requires: bool
    #: When the value was computed or assigned, on the engine's clock.
    _born: int
    #: The accumulated gradient, a name, whether to keep a computed node's gradient, and where it
    #: was made: these are unset until somebody sets them, which spares every new node the stores.
    _grad: Array | None
    _label: str | None
    _retain: bool
    _origin: Any
    #: For a leaf whose array a user may be holding: what the graph last saw, in an array of the
    #: graph's own. Operations compute with it, so that a view they make stays as it is. Where a
    #: plan keeps the value, what fetches it; the same holds for ``_grad``. For a computed node that
    #: a replay computes together with many others: the shelf it lies on, and its number there.
    _lent: Any

    def _set_grad(self, value: Array | None) -> None:
        self._grad = value
        if type(self._lent) is tuple:  # the next replay has to take it away
            shelf, number = self._lent
            shelf.written.append(number)

    def settle(self) -> Array:
        """The value for an operation to read, after noticing whether a user wrote into it."""
        if self.op is not None:
            return self._value
        if isinstance(self._lent, Cell):
            return self._lent.fetch(self)
        if self.changed():
            self._born = tick()
            self._lent = self._value.copy()
        if _holders(self) <= _ALONE:
            self._lent = None  # nobody is left who could write
            return self._value
        return self._lent

    def changed(self) -> bool:
        """Whether this leaf's array was written into since the graph last read it."""
        if self.op is not None or isinstance(self._lent, Cell):
            return False
        seen: Any = self._lent
        now = self._value
        # Compared as bytes: a NaN equals itself, -0.0 differs from 0.0.
        return seen is not None and seen.tobytes() != now.tobytes()


class Cell:
    """In place of a node's ``_lent`` or ``_grad``: a plan keeps the array until somebody reads it.

    Arrays of a plan are overwritten by its next run, so what is read is a copy.
    """

    __slots__ = ()

    def fetch(self, node: Node) -> Array:
        """The array, for ``node`` to keep: after this it refers to the plan no longer."""
        raise NotImplementedError


class _Resident(Cell):
    """``_lent`` of a leaf whose array is memory that is updated in place, such as a plan's."""

    __slots__ = ()

    def fetch(self, node: Node) -> Array:
        node._value = node._value.copy()[()]
        node._lent = None
        return node._value


RESIDENT = _Resident()


def require(condition: Any, error: Exception) -> None:
    """Raise ``error`` unless ``condition`` holds everywhere; at each run where it is recorded."""
    if isinstance(condition, Node):
        condition.require(error)  # type: ignore[attr-defined]
    elif not np.all(condition):
        raise error


class Shelf:
    """Where the values and gradients of many nodes lie, as a few arrays, until one is asked for.

    A replay that computes 70,000 scalars as 50 arrays would spend nearly all its time on handing
    them to their nodes. So ``_value``, ``_born`` and ``_grad`` of these nodes stay unset, and a
    node fetches its own when it is read. A shelf does not know its nodes, lest a graph be a cycle.

    ``values``: arrays, and per node which of them and the position in its memory, or None for the
    whole. ``gradients``: likewise; an array is None where no gradient arrived. Births of the nodes
    lie between the tick ``time`` and the next one.
    """

    __slots__ = ("asked", "gradient_places", "gradients", "lost", "places", "step", "time",
                 "values", "written")

    def __init__(
        self, places: list[tuple[int, int | None]],
        gradient_places: list[tuple[int, int | None] | None],
    ) -> None:
        self.places = places
        self.gradient_places = gradient_places
        self.values: list[Array] = []
        self.gradients: list[Array | None] | None = None
        self.time = 0
        self.step = 1.0 / (len(places) + 1)
        #: The nodes whose value was asked for, and those whose gradient was asked for or written.
        self.asked: list[int] = []
        self.written: list[int] = []
        #: Whether another replay has taken nodes away.
        self.lost = False

    def hand(self, node: Node, number: int, name: str) -> Any:
        """Set what was asked for on the node, and return it."""
        if name == "_grad":
            self.written.append(number)
            node._grad = self._gradient(number)
            return node._grad
        self.asked.append(number)
        array, position = self.places[number]
        value = self.values[array]
        node._value = value if position is None else value.reshape(-1)[position]
        node._born = self.time + (number + 1) * self.step  # type: ignore[assignment]
        return node._value if name == "_value" else node._born

    def _gradient(self, number: int) -> Array | None:
        place = self.gradient_places[number]
        if place is None or self.gradients is None:
            return None
        g = self.gradients[place[0]]
        if g is None:
            return None
        # A copy, since scalars that are elements of this array may still ask for theirs.
        return np.copy(g)[()] if place[1] is None else g.reshape(-1)[place[1]]


def value_of(x: Any) -> Array:
    """The value of a node; anything else as it is."""
    return x._value if isinstance(x, Node) else x


def _holders(node: Node) -> int:
    return sys.getrefcount(node._value)


def _holders_of_an_unshared_array() -> int:
    """What ``_holders`` counts when only the node holds the array, on this interpreter."""
    node = Node()
    node._value = np.zeros(1)
    return _holders(node)


_ALONE = _holders_of_an_unshared_array()


def topological(outputs: Iterable[Node]) -> list[Node]:
    """Every node the outputs depend on, each after its inputs; iterative and linear.

    Follows the edges rather than the clock, so it also orders a graph whose leaves were
    assigned after it was built.
    """
    order: list[Node] = []
    done: set[Node] = set()
    stack: list[tuple[Node, bool]] = [(node, False) for node in reversed(list(outputs))]
    while stack:
        node, expanded = stack.pop()
        if expanded:
            order.append(node)
        elif node not in done:
            done.add(node)
            stack.append((node, True))
            for x in reversed(node.inputs):
                if isinstance(x, Node) and x not in done:
                    stack.append((x, False))
    return order


def in_order_of_birth(nodes: Sequence[Node]) -> list[Node]:
    """All these nodes, of a whole graph: each after its inputs, and of those that could come next
    the one that was computed first."""
    waiting = {node: len({x for x in node.inputs if isinstance(x, Node)}) for node in nodes}
    users: dict[Node, list[Node]] = {}
    for node in nodes:
        for x in {x for x in node.inputs if isinstance(x, Node)}:
            users.setdefault(x, []).append(node)
    ready = [(node._born, i, node) for i, node in enumerate(nodes) if not waiting[node]]
    heapify(ready)
    order: list[Node] = []
    while ready:
        _, _, node = heappop(ready)
        order.append(node)
        for user in users.get(node, ()):
            waiting[user] -= 1
            if not waiting[user]:
                heappush(ready, (user._born, len(nodes) + len(order), user))
    return order


def stale(node: Node, x: Node) -> StaleGraphError:
    """The error for a ``node`` whose input ``x`` no longer has the value it was computed from."""
    name = getattr(x, "_label", None) or ("a leaf" if x.op is None else f"the result of {x.op}")
    return StaleGraphError(
        f"backward: {name} of shape {np.shape(x._value)} was changed after "
        f"{node.op} had been computed from it, so the gradient would be wrong (at {caller()}); "
        "compute the output again, or call `Graph(output).fprop()` before going backward"
    )
