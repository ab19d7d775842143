"""Replaying a graph of scalars as a few array operations, forwards and backwards.

The graph is lowered to a program, its scalars are batched, and the batched program is recorded once
as a small graph of its own, of arrays. Going forwards evaluates that; going backwards walks it
with the rules of the ops, so that nothing here knows a derivative. The values and gradients of the
original nodes lie on a :class:`Shelf` and reach a node when somebody reads it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import numpy as np

from ..backprop import pull, reach
from ..errors import GradientError
from ..node import Array, Node, Shelf, tick, topological
from ..op import OPS
from ..tensor import Tensor, capturing, leaf, recording
from .passes.batch import Arrangement, Place, arrange
from .program import Instruction, Program, Type, Var, interpret

#: A replay pays if a graph has at least so many nodes, and so many times fewer array operations.
MANY, FEWER = 64, 4

_ADD, _GETITEM = OPS["add"], OPS["getitem"]


class Shelved(Tensor):
    """A Tensor while its value, birth and gradient lie on a shelf until somebody reads them.

    A class of its own, since one that defines ``__getattr__`` is slower in all its attributes.
    """

    __slots__ = ()

    def __getattr__(self, name: str) -> Any:
        if name in _SHELVED and type(self._lent) is tuple:
            shelf, number = self._lent
            return shelf.hand(self, number, name)
        raise AttributeError(f"'Tensor' object has no attribute {name!r}", name=name, obj=self)

    def __reduce_ex__(self, protocol: Any) -> Any:
        return object.__new__, (Tensor,), self.__getstate__()


Shelved.__name__ = Shelved.__qualname__ = "Tensor"  # as which it is printed
_SHELVED = frozenset(("_value", "_born", "_grad"))


def release(node: Node) -> None:
    """Take a node off the shelf it may lie on, for another replay; its gradient stays with it."""
    if type(node._lent) is tuple:
        shelf, _ = node._lent
        node._grad = getattr(node, "_grad", None)
        node._lent = None
        node.__class__ = Tensor
        shelf.lost = True


class Replay:
    """A graph's nodes, the array graph that computes them, and the shelf between the two."""

    def __init__(
        self, nodes: Sequence[Node], outputs: Sequence[Node], reached: set[Node],
        packs: Sequence[Sequence[Node]], arrays: Sequence[Node], var: Mapping[Node, Var],
        arranged: Arrangement,
    ) -> None:
        self.nodes = [node for node in nodes if node.op is not None]
        self.packs, self.arrays = packs, arrays
        leaves = [(x, x._requires, x in reached) for x in nodes if x.op is None]
        self.leaves = [(x, requires) for x, requires, _ in leaves]
        self.length = len(arranged.program.instructions)

        # Which arrays hold what: a number for each, then places by number.
        numbers: dict[Var, int] = {}

        def place(of: Mapping[Var, Place], node: Node) -> tuple[int, int | None]:
            x = var[node]
            array, position = of.get(x) or arranged.values.get(x) or (x, None)
            return numbers.setdefault(array, len(numbers)), position

        values = [place(arranged.values, node) for node in self.nodes]
        slopes = [place(arranged.slopes, node) if node in reached else None for node in self.nodes]
        self.shelf = Shelf(values, slopes)
        self.ends = {node: place(arranged.values, node) for node in outputs if node in reached}
        self.slopes = [place(arranged.values, x) if gets else None for x, _, gets in leaves]

        # The array graph.
        self.inner = [leaf(_stacked(pack), pack[0]._requires) for pack in packs]
        self.inner += [leaf(_value(x), x._requires) for x in arrays]
        with recording():
            self.results, _ = interpret(
                arranged.program.replace(outputs=tuple(numbers)), self.inner
            )
        made = [x for x in self.results if isinstance(x, Node)]
        self.steps = [x for x in topological(made) if x.op is not None]
        self.kept = {x for x in made if x._requires}
        self.route = reach([x for x in made if x._requires])
        self.all_written = True  # gradients of all nodes were set by others

    # Forwards.

    def compute(self, feed: Mapping[Node, Array]) -> dict[Node, Array] | None:
        """The values of the array graph; None where it does not fit the leaves any more.

        Nothing is changed yet. An operation that fails makes it unfit too: going node by node
        will find the node and say what is wrong.
        """
        if tick() * len(self.nodes) > 2**51:
            return None  # births between two ticks could not be told apart
        values: dict[Node, Array] = {}
        for pack, inner in zip(self.packs, self.inner, strict=False):
            given = [x._value if x._lent is None else x.settle() for x in pack] if not feed else [
                feed[x] if x in feed else _value(x) for x in pack
            ]
            if set(map(type, given)) != {inner._value.dtype.type}:
                return None
            values[inner] = np.array(given)
        for x, inner in zip(self.arrays, self.inner[len(self.packs):], strict=True):
            value = feed[x] if x in feed else _value(x)
            old = inner._value
            if type(value) is not type(old) or value.dtype != old.dtype or value.shape != old.shape:
                return None
            values[inner] = value
        try:
            for node in self.steps:
                raw = [values[x] if isinstance(x, Node) else x for x in node.inputs]
                values[node] = node.op.forward(*raw, **node.attrs)  # type: ignore[union-attr]
        except (ValueError, TypeError, IndexError):
            return None
        return values

    def commit(self, values: Mapping[Node, Array]) -> None:
        """Take over what :meth:`compute` gave: from now on the nodes have these values."""
        shelf = self.shelf
        if shelf.lost or not shelf.values:
            self._take()
        else:
            for number in shelf.asked:
                _forget_value(self.nodes[number])
        shelf.asked.clear()
        for inner, value in values.items():
            inner._value = value
        shelf.values = [x._value if isinstance(x, Node) else x for x in self.results]
        shelf.time = tick()

    def _take(self) -> None:
        """Put all nodes on the shelf."""
        shelf = self.shelf
        for number, node in enumerate(self.nodes):
            if type(node._lent) is not tuple or node._lent[0] is not shelf:
                release(node)
                node._lent = (shelf, number)
                node.__class__ = Shelved
            _forget_value(node)
        self.all_written = True
        shelf.lost = False

    # Backwards.

    def current(self) -> bool:
        """Whether the nodes' values are those on the shelf, and follow from the leaves."""
        shelf = self.shelf
        time = shelf.time
        return bool(shelf.values) and not shelf.lost and all(
            x._born < time and x._requires is requires
            and (x._lent is None or not x.changed())
            for x, requires in self.leaves
        )

    def pull(self, seeds: Mapping[Node, Array]) -> None:
        """Set the gradients of all nodes, given the cotangents of some."""
        shelf = self.shelf
        inner: dict[Node, Array] = {}
        for node, g in seeds.items():
            if node not in self.ends:
                continue
            number, position = self.ends[node]
            x = self.results[number]
            if position is not None:
                element = np.zeros(x._value.size, x._value.dtype)
                element[position] = g
                g = element.reshape(x._value.shape)
            inner[x] = inner[x] + g if x in inner else g
        found = pull(inner, self.route, keep=self.kept)
        gradients = [found.get(x) if isinstance(x, Node) else None for x in self.results]
        written: Any = range(len(self.nodes)) if self.all_written else shelf.written
        for number in written:
            _forget_gradient(self.nodes[number])
        self.all_written = False
        shelf.written.clear()
        shelf.gradients = [None if g is None else np.ascontiguousarray(g) if np.ndim(g) else g
                           for g in gradients]
        parts: dict[int, list[Any]] = {}
        for (node, _), place in zip(self.leaves, self.slopes, strict=True):
            if place is None:
                node._grad = None
                continue
            number, position = place
            g = shelf.gradients[number]
            if position is None or g is None:  # none arrived: a structural zero
                node._grad = np.zeros_like(node._value)[()] if g is None else np.copy(g)[()]
                continue
            if number not in parts:
                parts[number] = list(g.reshape(-1))
            node._grad = parts[number][position]


def _forget_value(node: Node) -> None:
    with suppress(AttributeError):  # it may lie on the shelf already
        del node._value, node._born


def _forget_gradient(node: Node) -> None:
    with suppress(AttributeError):
        del node._grad


def _value(x: Node) -> Array:
    return x._value if x._lent is None else x.settle()


def _stacked(pack: Sequence[Node]) -> Array:
    return np.array([_value(x) for x in pack])


def plan(nodes: Sequence[Node], outputs: Sequence[Node]) -> Replay | None:
    """A replay of this graph, whose values are up to date; None where it would not pay.

    It does not for small graphs, for those that batching hardly shortens, for those that draw at
    random, which a plan would do once too often, and for those with arrays of other libraries.
    """
    if len(nodes) < MANY or capturing() is not None or not all(
        isinstance(x._value, (np.ndarray, np.generic)) and (x.op is None or x.op.pure)
        for x in nodes
    ):
        return None
    arrays = sum(1 for x in nodes if x._value.shape)
    if FEWER * max(_depth(nodes), arrays) > len(nodes):
        return None
    # Values are computed once more: what there is to warn of was said the first time.
    with np.errstate(all="ignore"):
        try:
            reached = _reached(nodes, outputs)
        except (GradientError, ArithmeticError, ValueError, TypeError, IndexError):
            return None  # going forwards needs no rules; bprop will say what is wrong with one
        program, var, packs, leaves = lower(nodes, outputs, reached)
        mark = {var[x]: (x._requires, x in reached) for x in nodes}
        arranged = arrange(program, mark)
        if FEWER * len(arranged.program.instructions) > len(nodes):
            return None
        return Replay(nodes, outputs, reached, packs, leaves, var, arranged)


def _reached(nodes: Sequence[Node], outputs: Sequence[Node]) -> set[Node]:
    """The nodes that a gradient arrives at, whatever it is: not those behind a structural zero.

    They are kept apart from the others, since the rule of √x, say, makes a NaN of 0 · ∞.
    """
    seeds = {x: np.ones_like(x._value)[()] for x in outputs if x._requires}
    return set(pull(seeds, reach(outputs), keep=set(nodes))) if seeds else set()


def _depth(nodes: Sequence[Node]) -> int:
    """The longest path, where additions do not count: long sums of them become one step."""
    depth: dict[Node, int] = {}
    for node in nodes:
        below = max((depth[x] for x in node.inputs if isinstance(x, Node)), default=0)
        depth[node] = below + (node.op is not None and node.op is not _ADD)
    return max(depth.values())


def lower(
    nodes: Sequence[Node], outputs: Sequence[Node], reached: set[Node]
) -> tuple[Program, dict[Node, Var], list[list[Node]], list[Node]]:
    """A graph as a program, its values, and the leaves that are its inputs: packed, and arrays.

    Scalar leaves of one kind come as one input, of which each is an element.
    """
    types: dict[Any, Type] = {}
    var: dict[Node, Var] = {}
    kinds: dict[Any, list[Node]] = {}
    arrays: list[Node] = []
    for node in nodes:
        data = node._value
        key = (data.dtype, data.shape)
        if key not in types:
            types[key] = Type(data.dtype, tuple(data.shape))
        var[node] = Var(types[key])
        if node.op is None:
            if isinstance(data, np.generic):
                kinds.setdefault((data.dtype, node._requires, node in reached), []).append(node)
            else:
                arrays.append(node)
    packs = list(kinds.values())
    inputs = [Var(Type(pack[0]._value.dtype, (len(pack),))) for pack in packs]
    instructions = [
        Instruction((var[x],), _GETITEM, (packed,), {"index": i})
        for packed, pack in zip(inputs, packs, strict=True) for i, x in enumerate(pack)
    ]
    constants: dict[Var, Array] = {}
    seen: dict[int, Var] = {}

    def atom(x: Any) -> Any:
        if isinstance(x, Node):
            return var[x]
        if not isinstance(x, (np.ndarray, np.generic)):
            return x
        if id(x) not in seen:
            seen[id(x)] = Var(Type(x.dtype, tuple(x.shape)))
            constants[seen[id(x)]] = x
        return seen[id(x)]

    for node in nodes:
        if node.op is not None:
            args = tuple(atom(x) for x in node.inputs)
            instructions.append(Instruction((var[node],), node.op, args, node.attrs))
    inputs += [var[x] for x in arrays]
    # Scalar outputs are read from their arrays; that others are outputs is a use of them.
    results = tuple(var[x] for x in outputs if x._value.shape)
    program = Program(tuple(inputs), tuple(instructions), results, constants=constants)
    return program, var, packs, arrays
