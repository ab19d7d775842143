"""Isomorphic scalars become arrays.

Code written neuron by neuron makes thousands of scalar instructions, of which most do the same:
they apply one op, at one depth of the graph, to different operands. Such a group becomes one
instruction on arrays of one axis, after its operands were gathered from the arrays that hold them:

    %1 = multiply(%a, %x)            %7 = getitem(%pool, %index, index=(·,))
    %2 = multiply(%b, %y)    ->      %8 = multiply(%7, ...)
    ...

A running sum, s = s + x, would be as deep as it is long, with one lonely addition at each level.
Chains of additions become a cumulative sum instead, which makes all partial sums and rounds as the
chain does; chains of equal depth and length become the rows of a matrix.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from ...node import Array
from ...op import OPS, Op
from ...ops.indexing import HERE
from ..program import ELEMENTWISE, Atom, Instruction, Program, Type, Var, uses

_ADD, _GETITEM, _RESHAPE = OPS["add"], OPS["getitem"], OPS["reshape"]
_CONCATENATE, _CUMSUM = OPS["concatenate"], OPS["cumsum"]
_SCALARWISE = ELEMENTWISE | {
    OPS[name] for name in ("relu", "sigmoid", "softplus", "where", "identity", "stop_gradient",
                           "astype", "round", "sinc", "fraction", "whole")
}
#: Where Python numbers may differ within a group: they become a constant array. Other ops
#: (a power, above all) have rules that look at the number, so it belongs to the group's key.
_VARYING = {
    OPS[name] for name in ("add", "subtract", "multiply", "divide", "maximum", "minimum", "equal",
                           "not_equal", "less", "less_equal", "greater", "greater_equal")
}
#: So many instructions make a group: an array instruction and its gathers cost about as much.
WORTH = 4
#: A program with fewer scalar instructions than this is left as it is: Python's own arithmetic is
#: fast enough there.
MANY = 64
#: So many additions make a chain.
LONG = 3

_NOTHING: Mapping[Any, Any] = MappingProxyType({})


class Place(NamedTuple):
    """An element of an array, in the order of its memory."""

    array: Var
    position: int


@dataclass(frozen=True)
class Arrangement:
    """A batched program and where the scalars went.

    ``values``: the places of the scalars that are no values of the program by themselves any more.
    ``slopes``: where the gradient with respect to one is found, if not at the place of its value: a
    partial sum inside a cumulative sum also acts through the sums after it, and what acts in just
    that way is the summand at its place.
    """

    program: Program
    values: Mapping[Var, Place]
    slopes: Mapping[Var, Place]


def batch(program: Program, many: int = MANY) -> Program:
    """``program`` with groups of like scalar instructions as instructions on arrays."""
    if sum(i.op in _SCALARWISE and not i.out.type.shape for i in program.instructions) < many:
        return program
    return arrange(program).program


def arrange(program: Program, mark: Mapping[Var, Hashable] = _NOTHING) -> Arrangement:
    """Batch, and tell where the scalars went; values of different ``mark`` stay apart."""
    layout = _Layout(program)
    for step in _schedule(program, mark):
        if isinstance(step, Instruction):
            layout.alone(step)
        elif isinstance(step[0], _Chain):
            layout.chains(step)
        elif step[0].op is _GETITEM:
            layout.elements(step)
        else:
            layout.group(step)
    return layout.finish()


# Which instructions go together. ----------------------------------------------------------------


class _Chain(NamedTuple):
    """s₁ = x₀ + x₁, s₂ = s₁ + x₂, ..."""

    sums: Sequence[Var]
    summands: Sequence[Atom]


def _schedule(program: Program, mark: Mapping[Var, Hashable]) -> list[Any]:
    """Instructions and groups (lists of instructions or of chains), in an order of computation.

    A group holds values of one level, the longest path from the inputs, none of which can depend on
    another. A chain is one step of such a path. That makes no circles, because a partial sum within
    a chain is used by the next one only. What is impure is not deeper than what is impure and comes
    later: it keeps its order.
    """
    chain_of = _chains(program, mark)
    level: dict[Var, int] = {}
    steps: list[tuple[int, Any]] = []
    groups: dict[Hashable, list[Any]] = {}
    impure = 0  # the height of the last such instruction

    def depth(operands: Iterable[Atom]) -> int:
        return 1 + max((level.get(x, 0) for x in operands if isinstance(x, Var)), default=0)

    def enter(key: Hashable, height: int, member: Any) -> None:
        if key not in groups:
            groups[key] = []
            steps.append((height, groups[key]))
        groups[key].append(member)

    for instruction in program.instructions:
        out = instruction.outs[0]
        chain = chain_of.get(out)
        if chain is not None:
            if out is chain.sums[-1]:
                height = depth(chain.summands)
                level.update((x, height) for x in chain.sums)
                key: Hashable = (_CUMSUM, len(chain.sums), out.type, mark.get(out), height)
                enter(key, height, chain)
            continue
        height = depth(instruction.args)
        if not instruction.op.pure:
            height = impure = max(height, impure)
        for x in instruction.outs:
            level[x] = height
        signature = _signature(instruction)
        if signature is None:
            steps.append((height, instruction))
        else:
            enter((signature, mark.get(out), height), height, instruction)

    makers = {x: i for i in program.instructions for x in i.outs} if chain_of else {}
    result: list[Any] = []
    for _, step in sorted(steps, key=lambda entry: entry[0]):
        if isinstance(step, Instruction):
            result.append(step)
            continue
        size = sum(len(m.sums) if isinstance(m, _Chain) else 1 for m in step)
        if size >= WORTH:
            result.append(step)
        elif isinstance(step[0], _Chain):
            result += [makers[x] for chain in step for x in chain.sums]
        else:
            result += step
    return result


def _signature(instruction: Instruction) -> Hashable | None:
    """What instructions of one group have in common; None for one that stays alone."""
    op, args, attrs = instruction.op, instruction.args, instruction.attrs
    if len(instruction.outs) != 1 or instruction.outs[0].type.shape != ():
        return None
    if op is _GETITEM:
        return (op, args[0]) if len(args) == 1 and _element(instruction) is not None else None
    if op not in _SCALARWISE:
        return None
    parts: list[Hashable] = [op, instruction.outs[0].type.dtype]
    floating = all(x.type.dtype.kind == "f" for x in args if isinstance(x, Var))
    for x in args:
        if not isinstance(x, Var):
            parts.append((type(x), "" if op in _VARYING and floating else repr(x)))
        elif x.type.shape == () and not x.type.weak:
            parts.append(x.type.dtype)
        else:
            return None
    if attrs:
        items = tuple(attrs.items())
        try:
            hash(items)
        except TypeError:  # an attribute that cannot be compared
            return None
        parts.append(items)
    return tuple(parts)


def _element(instruction: Instruction) -> int | None:
    """The position in an array that ``x[1, 2]`` reads; None for indices of another form."""
    shape = instruction.args[0].type.shape
    index = instruction.attrs["index"]
    index = index if isinstance(index, tuple) else (index,)
    if not shape or len(index) != len(shape) or not all(
        isinstance(i, (int, np.integer)) for i in index
    ):
        return None
    position = 0
    for i, n in zip(index, shape, strict=True):
        position = position * n + int(i) % n
    return position


def _chains(program: Program, mark: Mapping[Var, Hashable]) -> dict[Var, _Chain]:
    """The long chains of additions, by each of their partial sums."""
    count: dict[Var, int] = {}
    for instruction in program.instructions:
        for x in instruction.args:
            if isinstance(x, Var):
                count[x] = count.get(x, 0) + 1
    before: dict[Var, Var] = {}  # the partial sum that an addition continues
    operands: dict[Var, tuple[Atom, ...]] = {}
    for instruction in program.instructions:
        if instruction.op is not _ADD:
            continue
        out = instruction.out
        if out.type.dtype.kind != "f" or not all(
            x.type == out.type if isinstance(x, Var) else isinstance(x, (int, float))
            for x in instruction.args
        ) or out.type.shape != ():
            continue
        operands[out] = instruction.args
        for x in instruction.args:
            if x in operands and count[x] == 1 and mark.get(x) == mark.get(out):
                before[out] = x
                break
    followed = set(before.values())
    result: dict[Var, _Chain] = {}
    for out in operands:
        if out in followed:
            continue
        sums = [out]
        while sums[-1] in before:
            sums.append(before[sums[-1]])
        if len(sums) < LONG:
            continue
        sums.reverse()
        summands = list(operands[sums[0]])
        for last, x in pairwise(sums):
            a, b = operands[x]
            summands.append(b if a is last else a)
        chain = _Chain(sums, summands)
        result.update((x, chain) for x in sums)
    return result


# Laying them out. -------------------------------------------------------------------------------


class _Layout:
    """The batched program while it grows."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.inputs = set(program.inputs)
        self.instructions: list[Instruction] = []
        self.constants: dict[Var, Array] = dict(program.constants)
        self.values: dict[Var, Place] = {}
        self.slopes: dict[Var, Place] = {}
        self.made: set[Var] = set()  # scalars taken out of their array again
        self.known: dict[Hashable, Var] = {}  # gathered before
        self.uses = uses(program)

    def emit(self, op: Op, args: tuple[Atom, ...], type: Type, **attrs: Any) -> Var:
        out = Var(type)
        self.instructions.append(Instruction((out,), op, args, attrs))
        return out

    def once(self, op: Op, args: tuple[Atom, ...], type: Type, **attrs: Any) -> Var:
        """The same, unless it was there before; attributes follow from operands and type."""
        key = (op, args, type, repr(attrs))
        if key not in self.known:
            self.known[key] = self.emit(op, args, type, **attrs)
        return self.known[key]

    def constant(self, value: Array) -> Var:
        value.flags.writeable = False
        x = Var(Type(value.dtype, value.shape))
        self.constants[x] = value
        return x

    def finish(self) -> Arrangement:
        for x in self.program.results():
            if isinstance(x, Var):
                self.scalar(x)
        needed = {x for i in self.instructions for x in i.args if isinstance(x, Var)}
        needed.update(x for x in self.program.results() if isinstance(x, Var))
        program = self.program.replace(
            instructions=tuple(self.instructions),
            constants={x: value for x, value in self.constants.items() if x in needed},
        )
        return Arrangement(program, self.values, self.slopes)

    # The kinds of steps.

    def alone(self, instruction: Instruction) -> None:
        for x in instruction.args:
            if isinstance(x, Var):
                self.scalar(x)
        self.instructions.append(instruction)

    def group(self, members: Sequence[Instruction]) -> None:
        first, n = members[0], len(members)
        columns = [[m.args[i] for m in members] for i in range(len(first.args))]
        uniform = [_uniform(column) for column in columns]
        if all(uniform):  # one of them has to give the result its length
            uniform[next(i for i, x in enumerate(first.args) if isinstance(x, Var))] = False
        operands = tuple(
            (self.scalar(column[0]) if isinstance(column[0], Var) else column[0]) if same
            else self.gather(column) if isinstance(column[0], Var)
            else self.constant(np.array(column, _beside(first, i)))
            for i, (column, same) in enumerate(zip(columns, uniform, strict=True))
        )
        out = self.emit(first.op, operands, Type(first.out.type.dtype, (n,)), **first.attrs)
        self.put([m.out for m in members], out)

    def elements(self, members: Sequence[Instruction]) -> None:
        """Scalars read from one array."""
        array = members[0].args[0]
        positions = [_element(m) for m in members]
        flat = self.flat(array)
        # Where the elements are all that is ever done with an array, they are its elements.
        # Otherwise they need a place of their own, where their gradients can be told apart.
        apart = self.uses[array] > len(members)
        out = self.take(flat, np.array(positions, np.intp), apart)
        self.put([m.out for m in members], out)

    def chains(self, members: Sequence[_Chain]) -> None:
        length = len(members[0].summands)
        dtype = members[0].sums[0].type.dtype
        size = len(members) * length
        flat = self.gather([x for chain in members for x in chain.summands], dtype)
        shape = (len(members), length)
        summands = self.emit(_RESHAPE, (flat,), Type(dtype, shape), shape=shape)
        sums = self.emit(_CUMSUM, (summands,), Type(dtype, shape), axis=1)
        result = self.emit(_RESHAPE, (sums,), Type(dtype, (size,)), shape=(size,))
        for row, chain in enumerate(members):
            for i, x in enumerate(chain.sums):
                position = row * length + i + 1
                self.values[x] = Place(result, position)
                self.slopes[x] = Place(summands, position)

    def put(self, scalars: Sequence[Var], array: Var) -> None:
        for position, x in enumerate(scalars):
            self.values[x] = Place(array, position)

    # Getting at values.

    def scalar(self, x: Var) -> Var:
        """``x`` as a value of the program."""
        if x in self.values and x not in self.made and x not in self.inputs:
            self.made.add(x)
            array, position = self.values[x]
            self.instructions.append(Instruction((x,), _GETITEM, (array,), {"index": position}))
        return x

    def flat(self, x: Var) -> Var:
        if len(x.type.shape) == 1:
            return x
        shape = (x.type.size,)
        return self.once(_RESHAPE, (x,), Type(x.type.dtype, shape), shape=shape)

    def gather(self, scalars: Sequence[Atom], dtype: Any = None) -> Var:
        """These scalars as an array; ``dtype`` is that of Python numbers among them."""
        places: list[Place | None] = []
        numbers: list[Any] = []
        sources: dict[Var, int] = {}
        for x in scalars:
            if not isinstance(x, Var) or x in self.constants:
                places.append(None)
                numbers.append(self.constants[x] if isinstance(x, Var) else x)
                continue
            place = self.values.get(x)
            if place is None:
                place = self.values[x] if self.pooled(x) else Place(self.flat(x), 0)
            places.append(place)
            sources.setdefault(place.array, 0)
        if numbers:
            x = next(x for x in scalars if not isinstance(x, Var) or x in self.constants)
            fixed = self.constant(np.array(
                numbers, dtype if dtype is not None or not isinstance(x, Var) else x.type.dtype
            ))
            sources[fixed] = 0
        start = 0
        for source in sources:
            sources[source] = start
            start += source.type.size
        rest = iter(range(len(numbers)))
        index = np.array([
            sources[fixed] + next(rest) if place is None else sources[place.array] + place.position
            for place in places
        ], np.intp)
        (whole, *others) = sources
        if others:
            type = Type(whole.type.dtype, (start,))
            whole = self.once(_CONCATENATE, tuple(sources), type, axis=0)
        return self.take(whole, index, False)

    def pooled(self, x: Var) -> bool:
        """Lay all scalar inputs of one type out in an array, if ``x`` is one of them."""
        if x not in self.inputs:
            return False
        alike = [y for y in self.program.inputs if y.type == x.type]
        parts = tuple(self.flat(y) for y in alike)
        pool = self.emit(_CONCATENATE, parts, Type(x.type.dtype, (len(parts),)), axis=0)
        self.put(alike, pool)
        return True

    def take(self, array: Var, index: Array, apart: bool) -> Var:
        """``array[index]``; with ``apart``, always a value of its own."""
        n, first = len(index), int(index[0])
        type = Type(array.type.dtype, (n,))
        if (np.diff(index) == 1).all():
            if n < array.type.size:
                make = self.emit if apart else self.once
                return make(_GETITEM, (array,), type, index=slice(first, first + n))
            return self.emit(_RESHAPE, (array,), type, shape=(n,)) if apart else array
        key = (array, index.tobytes())
        if apart or key not in self.known:
            self.known[key] = self.emit(_GETITEM, (array, self.constant(index)), type,
                                        index=(HERE,))
        return self.known[key]


def _uniform(column: Sequence[Atom]) -> bool:
    first = column[0]
    if isinstance(first, Var):
        return all(x is first for x in column)
    return len({repr(x) for x in column}) == 1  # apart: -0.0 and 0.0


def _beside(instruction: Instruction, position: int) -> np.dtype[Any]:
    """The dtype that a Python number gets beside the other operand."""
    other = instruction.args[1 - position]
    return np.result_type(other.type.dtype, instruction.args[position])
