"""A kernel's program as calls of loop nests and matrix products on places in memory.

Element-wise work of one shape goes into one nest where nothing stands between it, with the
reductions that end it; what only a nest itself reads stays in registers. Reshaped, transposed and
broadcast values, and parts of arrays, are other ways of walking the same memory.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from ...op import OPS
from ...ops.indexing import HERE
from ..passes.updates import pack, unpack
from ..plan import Lifetime, lay_out
from ..program import Atom, Instruction, Program, Type, Var, is_elementwise
from .functions import COMPARISONS, FUNCTIONS, TESTS
from .loops import Access, Nest, Node, Reduction, copy_of, kind_of, number
from .products import Product

#: Multiplications in one product above which NumPy's BLAS is faster.
LARGE = 1 << 20
#: How many steps back a nest is looked for that an instruction may join.
_BACK = 16
#: Instructions in one nest: LLVM takes quadratic time over the values that are alive in a loop.
_MOST = 64
#: Instructions from which on a kernel is taken for a loop that Python has unrolled. Numbers are
#: then read from memory: nests that differ only in their numbers are one function.
_UNROLLED = 256
_FLOATS = ("f32", "f64")
_LOGIC = {"logical_and", "logical_or", "logical_xor", "bitwise_and", "bitwise_or", "bitwise_xor"}
_NOT = {"logical_not", "invert"}
_REDUCTIONS = {"sum", "max", "min"}
_CASTS = {"astype", "astype_discrete"}
_COPIES = {"reshape", "broadcast_to", "transpose", "getitem"}


class Place(NamedTuple):
    """Where a value lies: in the memory of ``base``, from an element on, with steps along axes."""

    base: Var
    offset: int
    strides: tuple[int, ...]


class Indexing(NamedTuple):
    """Elements of an array at places that index arrays name, taken, put or added to.

    ``parts``: per index array, its kind, its step, the step of the axis that it goes along, and
    how long that is. ``lines``: how many places; ``row``: elements at each, side by side in both.
    ``value_steps``: of the other array, along lines and in a row.
    """

    what: str
    kind: str
    parts: tuple[tuple[str, int, int, int], ...]
    lines: int
    row: int
    value_steps: tuple[int, int]


class Check(NamedTuple):
    """Whether ``size`` indices of a kind, ``step`` apart, all name one of ``places``."""

    kind: str
    size: int
    step: int
    places: int


Work: TypeAlias = Nest | Product | Indexing | Check


class Call(NamedTuple):
    """A function and the places of its arrays."""

    work: Work
    places: tuple[Place, ...]


# What kernels can do. ---------------------------------------------------------------------------


def strides_of(shape: Sequence[int]) -> tuple[int, ...]:
    """Steps, in elements, of an array whose elements lie side by side."""
    steps = [*accumulate(reversed(shape[1:]), lambda a, b: a * b, initial=1)] if shape else []
    return tuple(reversed(steps))


def is_view(instruction: Instruction) -> bool:
    """Whether an instruction gives another shape to what there is, or a part of it."""
    name = instruction.op.name
    return name in ("reshape", "transpose", "broadcast_to") or instruction.op is unpack or (
        name == "getitem" and len(instruction.args) == 1)


def root(x: Atom, views: Mapping[Var, Instruction]) -> Atom:
    """What a value is a view of, all the way: the value whose memory it walks."""
    while isinstance(x, Var) and x in views:
        x = views[x].args[0]
    return x


def _own_kind(x: Var) -> str:
    """The kind of a value that is part of a kernel."""
    kind = kind_of(x.type.dtype)
    assert kind is not None
    return kind


def _kind(x: Atom) -> str | None:
    if not isinstance(x, Var):
        return "number" if isinstance(x, (bool, int, float)) else None
    if x.type.weak and x.type.dtype.kind != "f":
        return None
    return kind_of(x.type.dtype)


def computed_in(instruction: Instruction) -> str | None:
    """The kind that an element-wise instruction computes in, as NumPy chooses it."""
    arrays = [a.type.dtype for a in instruction.args if isinstance(a, Var) and not a.type.weak]
    numbers = [a for a in instruction.args if not isinstance(a, Var)] + [
        0.0 for a in instruction.args if isinstance(a, Var) and a.type.weak]
    if not arrays:
        return "f64"
    return kind_of(np.result_type(*arrays, *numbers))


def accepts(instruction: Instruction) -> bool:
    """Whether an instruction can be part of a kernel."""
    name, args = instruction.op.name, instruction.args
    if instruction.op is not OPS.get(name) and instruction.op not in (pack, unpack):
        return False
    if len(instruction.outs) != 1 or not instruction.op.pure:
        return False
    out = instruction.out
    everything = [*args, out]
    kinds = [_kind(x) for x in args]
    made = _kind(out)
    if None in kinds or made is None or any(
        isinstance(x, Var) and (0 in x.type.shape or len(x.type.shape) > 8) for x in everything
    ):
        return False
    if is_view(instruction):
        return True
    if name in _CASTS:
        return made in _FLOATS or (made == "bool" and kinds[0] in (*_FLOATS, "bool"))
    if name == "where":
        return made in _FLOATS and kinds[0] in ("bool", "number") and (
            isinstance(args[0], Var)) and computed_in(
                Instruction(instruction.outs, instruction.op, args[1:])) == made
    if is_elementwise(instruction.op):
        within = computed_in(instruction)
        if name in FUNCTIONS:
            return made in _FLOATS and within == made
        if name in COMPARISONS or name in TESTS:
            return within in _FLOATS and made == "bool"
        if name in _LOGIC | _NOT:
            return all(k == "bool" for k in kinds) and made == "bool"
        return False
    if not all(isinstance(x, Var) for x in args):
        return name == "set" and _indexing(instruction) is not None
    if name in _REDUCTIONS:
        return made in _FLOATS and kinds[0] == made
    if name == "matmul":
        a, b = (x.type for x in args)
        large = math.prod(a.shape) * (b.shape[-1] if len(b.shape) > 1 else 1) > LARGE
        return made in _FLOATS and kinds == [made, made] and not large and (
            max(len(a.shape), len(b.shape)) <= 2)
    if instruction.op is pack or name == "concatenate":
        return made in (*_FLOATS, "bool") and all(k == made for k in kinds)
    if name in ("getitem", "set", "scatter"):
        return _indexing(instruction) is not None
    return False


def _indexing(instruction: Instruction) -> str | None:
    """How an instruction with index arrays names places: "elements" or "rows", if kernels can."""
    name, args, index = instruction.op.name, instruction.args, instruction.attrs["index"]
    arrays = args[_SKIPPED[name]:]
    whole = instruction.out.type if name != "getitem" else args[0].type
    if kind_of(whole.dtype) not in _FLOATS:
        return None
    if name == "set" and (not isinstance(args[0], Var) or args[0].type[:2] != whole[:2]):
        return None
    value = args[1] if name == "set" else args[0]
    if name != "getitem" and isinstance(value, Var) and value.type.dtype != whole.dtype:
        return None
    if not arrays:
        return "region"
    if not isinstance(index, tuple):
        return None
    if any(not isinstance(a, Var) or kind_of(a.type.dtype) not in ("i32", "i64")
           or len(a.type.shape) != 1 for a in arrays):
        return None
    if len(index) != len(arrays) or any(part is not HERE for part in index):
        return None
    if len({a.type.shape for a in arrays}) != 1:
        return None
    if len(arrays) == len(whole.shape):
        return "elements"
    return "rows" if len(arrays) == 1 and len(whole.shape) == 2 else None


# The schedule. ----------------------------------------------------------------------------------


class _Step:
    """A nest in the making, or one other instruction."""

    def __init__(self, shape: tuple[int, ...] | None, first: Instruction) -> None:
        self.shape = shape
        self.members = [first]


class Schedule:
    """The calls that compute a kernel's program, and where its values lie.

    ``inputs``: those that index arrays name places with, and how many places there are along each
    axis: to be checked beforehand. ``layout``: of the values that only the kernel knows.
    """

    def __init__(self, body: Program) -> None:
        self.body = body
        self.outs = {x for x in body.outputs if isinstance(x, Var)}
        self.maker = {i.out: i for i in body.instructions}
        self.views = {i.out: i for i in body.instructions if self._stays_view(i)}
        self.steps: list[_Step] = []
        self.step_of: dict[Var, int] = {}
        self.inside: dict[Var, tuple[Var, int]] = {}
        #: Numbers that are read from memory, by kind and bits.
        self.numbers: dict[tuple[str, str], Var] = {}
        #: What index arrays are asked before anything is done.
        self.checks: list[Call] = []
        for instruction in body.instructions:
            if instruction.out not in self.views:
                self._enter(instruction)
        self._sink()
        self._nest_parts()
        self.stored = self._stored()
        #: Copies of right factors with rows of neighbouring elements.
        self.packed: dict[tuple[Place, tuple[int, int]], Place] = {}
        self.calls: list[Call] = []
        #: The calls that read or write the memory of each value.
        self.touches: dict[Var, list[int]] = {}
        for step in self.steps:
            self.calls += self._calls(step)
        self._lay_out()

    # Grouping.

    def _stays_view(self, i: Instruction) -> bool:
        """Whether a value is a way to walk its operand's memory."""
        if not is_view(i) or not isinstance(i.args[0], Var):
            return False
        return i.op.name != "reshape" or self._reshaped(self._strides(i.args[0]),
                                                        i.args[0].type.shape,
                                                        i.out.type.shape) is not None

    def _strides(self, x: Var) -> tuple[int, ...]:
        made = self.maker.get(x)
        if made is not None and is_view(made) and isinstance(made.args[0], Var):
            found = self._walk(made, self._strides(made.args[0]), 0)
            if found is not None:
                return found[1]
        return strides_of(x.type.shape)

    def _walk(self, i: Instruction, strides: tuple[int, ...], offset: int
              ) -> tuple[int, tuple[int, ...]] | None:
        """Offset and steps of a view, from those of its operand; None if it must be copied."""
        (x,) = i.args
        shape, new = x.type.shape, i.out.type.shape
        if i.op is unpack:
            return offset + i.attrs["begin"] * (strides[0] if strides else 1), strides_of(new)
        name = i.op.name
        if name == "transpose":
            return offset, tuple(strides[a] for a in i.attrs["axes"])
        if name == "broadcast_to":
            lead = len(new) - len(shape)
            return offset, (0,) * lead + tuple(
                0 if n == 1 else s for n, s in zip(shape, strides, strict=True))
        if name == "reshape":
            steps = self._reshaped(strides, shape, new)
            return None if steps is None else (offset, steps)
        return self._indexed(i.attrs["index"], shape, strides, offset)

    @staticmethod
    def _reshaped(strides: tuple[int, ...], old: tuple[int, ...], new: tuple[int, ...]
                  ) -> tuple[int, ...] | None:
        if strides == strides_of(old):
            return strides_of(new)
        # NumPy knows when a reshape needs no copy: asked on an array that only has strides.
        probe = np.lib.stride_tricks.as_strided(np.empty(1, np.uint8), old, strides)
        try:
            probe = probe.view()
            reshaped = np.reshape(probe, new, copy=False) if _COPY_KEYWORD else None
        except ValueError:
            return None
        return None if reshaped is None else reshaped.strides

    @staticmethod
    def _indexed(index: Any, shape: tuple[int, ...], strides: tuple[int, ...], offset: int
                 ) -> tuple[int, tuple[int, ...]]:
        """Basic indexing: where it begins and how it steps, as NumPy finds it."""
        probe = np.lib.stride_tricks.as_strided(_NOWHERE, shape, strides)
        part = probe[_as_view(index)]
        moved = part.__array_interface__["data"][0] - probe.__array_interface__["data"][0]
        return offset + moved, part.strides

    def _enter(self, i: Instruction) -> None:
        shape = self._iterates(i)
        if shape is None:
            if i.op.name in ("getitem", "set", "scatter"):
                self._note_checks(i)
            self.step_of[i.out] = len(self.steps)
            self.steps.append(_Step(None, i))
            return
        latest = -1
        joins = True
        for x in i.args:
            root = self.root(x) if isinstance(x, Var) else None
            if root in self.step_of:
                n = self.step_of[root]
                if n >= latest:
                    direct = root is x and self._is_value(x, shape)
                    joins = direct if n > latest else joins and direct
                    latest = n
        for n in range(len(self.steps) - 1, max(latest, len(self.steps) - _BACK), -1):
            if self._open(n, shape):
                self._join(n, i)
                return
        if latest >= 0 and joins and self._open(latest, shape):
            self._join(latest, i)
            return
        self.step_of[i.out] = len(self.steps)
        self.steps.append(_Step(shape, i))

    def _open(self, n: int, shape: tuple[int, ...]) -> bool:
        """Whether a step is a nest over ``shape`` with room for another instruction."""
        return self.steps[n].shape == shape and len(self.steps[n].members) < _MOST

    def _join(self, n: int, i: Instruction) -> None:
        self.steps[n].members.append(i)
        self.step_of[i.out] = n

    def _iterates(self, i: Instruction) -> tuple[int, ...] | None:
        """The index space of what can be part of a nest."""
        name = i.op.name
        if name in _REDUCTIONS and i.op is OPS[name]:
            return i.args[0].type.shape  # type: ignore[no-any-return]
        if is_elementwise(i.op) or name == "where" or name in _CASTS or name == "broadcast_to":
            return i.out.type.shape
        if name == "reshape":
            return i.args[0].type.shape if isinstance(i.args[0], Var) else ()
        return None

    def _is_value(self, x: Var, shape: tuple[int, ...]) -> bool:
        """Whether ``x`` is what a nest over ``shape`` has in a register."""
        made = self.maker[x]
        return x.type.shape == shape and made.op.name not in (*_REDUCTIONS, "reshape")

    def root(self, x: Atom) -> Atom:
        return root(x, self.views)

    def _note_checks(self, i: Instruction) -> None:
        whole = i.args[0].type if i.op.name == "getitem" else i.out.type
        for a, n in zip(i.args[_SKIPPED[i.op.name]:], whole.shape, strict=False):
            place = self.place(a)
            check = Check(_own_kind(a), a.type.size, place.strides[0], n)
            self.checks.append(Call(check, (place,)))

    def _users(self) -> dict[Var, set[int]]:
        """The steps that read the memory or value of each root."""
        users: dict[Var, set[int]] = {}
        for n, step in enumerate(self.steps):
            for i in step.members:
                for x in i.args:
                    if isinstance(x, Var):
                        users.setdefault(self.root(x), set()).add(n)
        return users

    def _sink(self) -> None:
        """Move what only a later nest reads into it, where that stores no more than before."""
        users = self._users()
        needed = {self.root(x) for x in self.outs}
        through_views = {self.root(i.args[0]) for i in self.views.values()}
        for n in range(len(self.steps) - 1, -1, -1):
            step = self.steps[n]
            if step.shape is None:
                continue
            for i in reversed(step.members):
                x = i.out
                readers = users.get(x, set())
                if x in needed or x in through_views or len(readers) != 1 or n in readers:
                    continue
                (later,) = readers
                if self.steps[later].shape != step.shape or not self._is_value(x, step.shape):
                    continue
                own = {a for a in i.args if isinstance(a, Var) and self.step_of.get(a) == n}
                fresh = [a for a in own if a not in needed and a not in through_views
                         and users[a] == {n}]
                if len(fresh) > 1 or len(step.members) == 1:
                    continue
                step.members.remove(i)
                self.steps[later].members.insert(0, i)
                self.step_of[x] = later
                for a in i.args:
                    if isinstance(a, Var):
                        root = self.root(a)
                        users[root].add(later)
                        if not any(root is self.root(b) for j in step.members for b in j.args
                                   if isinstance(b, Var)):
                            users[root].discard(n)

    def _stored(self) -> set[Var]:
        """The values of nests that need memory: read elsewhere, or through views."""
        stored = {self.root(x) for x in self.outs}
        for n, step in enumerate(self.steps):
            for i in step.members:
                for x in i.args:
                    if not isinstance(x, Var):
                        continue
                    root = self.root(x)
                    if root is not x or self.step_of.get(root) != n:
                        stored.add(root)
        return stored

    # Places.

    def place(self, x: Var) -> Place:
        if x in self.views:
            i = self.views[x]
            base, offset, strides = self.place(i.args[0])
            found = self._walk(i, strides, offset)
            assert found is not None
            return Place(base, *found)
        offset, base = 0, x
        while base in self.inside:
            base, part = self.inside[base]
            offset += part
        return Place(base, offset, strides_of(x.type.shape))

    def _nest_parts(self) -> None:
        """Let what is packed or concatenated be made in its place."""
        for step in self.steps:
            (i, *others) = step.members
            if others or not (i.op is pack or (
                i.op.name == "concatenate" and i.attrs["axis"] % len(i.out.type.shape) == 0
            )):
                continue
            offset = 0
            for x in i.args:
                if x in self.step_of and x not in self.outs and x not in self.inside:
                    self.inside[x] = i.out, offset
                offset += x.type.size

    def _calls(self, step: _Step) -> Iterator[Call]:
        if step.shape is not None:
            yield self._nest(step)
            return
        (i,) = step.members
        name = i.op.name
        if name == "matmul":
            yield from self._product(i)
        elif i.op is pack:
            offset, to = 0, self.place(i.out)
            for x in i.args:
                if self.inside.get(x) != (i.out, offset):
                    yield self._copy(x, Place(
                        to.base, to.offset + offset, strides_of(x.type.shape)))
                offset += x.type.size
        elif name == "concatenate":
            axis = i.attrs["axis"] % len(i.out.type.shape)
            to = self.place(i.out)
            at, strides = 0, to.strides
            for x in i.args:
                if self.inside.get(x) != (i.out, at * strides[axis]):
                    yield self._copy(x, to._replace(offset=to.offset + at * strides[axis]))
                at += x.type.shape[axis]
        else:
            yield from self._index(i)

    def _copy(self, x: Atom, to: Place, shape: tuple[int, ...] = ()) -> Call:
        """An array, or a number over all of ``shape``, to a place."""
        kind = _own_kind(to.base)
        if not isinstance(x, Var):
            return Call(copy_of(kind, shape, float(x), to.strides).simplified(), (to,))
        place = self.place(x)
        return Call(copy_of(kind, x.type.shape, place.strides, to.strides).simplified(),
                    (place, to))

    def _nest(self, step: _Step) -> Call:
        shape = step.shape
        assert shape is not None
        loads: dict[tuple[Place, str], int] = {}
        nodes: list[Node] = []
        at: dict[Var, int] = {}
        stores: list[tuple[int, Access, Place]] = []
        reductions: list[tuple[Reduction, Place]] = []

        def operand(x: Atom, kind: str) -> tuple[str, Any]:
            if not isinstance(x, Var):
                return numeral(x, kind)
            if x in at:
                return "node", at[x]
            if x in self.body.constants and not x.type.shape:
                return numeral(self.body.constants[x], kind)
            base, offset, strides = self.place(x)
            walked = _walked(strides, x.type.shape, shape)
            own = _own_kind(x)
            key = Place(base, offset, walked), own
            where = "load", loads.setdefault(key, len(loads))
            if x.type.weak and own != kind:
                nodes.append(Node("copy", kind, (where,)))
                return "node", len(nodes) - 1
            return where

        def numeral(x: Any, kind: str) -> tuple[str, Any]:
            if len(self.body.instructions) < _UNROLLED or kind not in _FLOATS:
                return number(x)
            dtype = np.dtype(np.float32 if kind == "f32" else np.float64)
            cell = self.numbers.setdefault((kind, float(x).hex()), Var(Type(dtype, ())))
            place = Place(cell, 0, (0,) * len(shape))
            return "load", loads.setdefault((place, kind), len(loads))

        for i in step.members:
            name, x = i.op.name, i.out
            kind = _own_kind(x)
            if name in _REDUCTIONS:
                (source,) = i.args
                found = operand(source, kind)
                if found[0] != "node":
                    nodes.append(Node("copy", kind, (found,)))
                    found = "node", len(nodes) - 1
                reductions.append(self._reduction(i, found[1], kind))
                continue
            within = kind
            if name in COMPARISONS or name in TESTS:
                within = computed_in(i) or kind
            operands = tuple([operand(a, within) for a in i.args])
            if name in _CASTS or name in _COPIES:
                name = "copy"
            nodes.append(Node(name, kind, operands))
            at[x] = len(nodes) - 1
            if x in self.stored:
                place = self.place(x)
                strides = place.strides if x.type.shape == shape else strides_of(shape)
                stores.append((at[x], Access(kind, strides), place))
        nest = Nest(
            shape, tuple(Access(kind, place.strides) for place, kind in loads), tuple(nodes),
            tuple((i, a) for i, a, _ in stores), tuple(r for r, _ in reductions),
        )
        return Call(nest.simplified(), (
            *(place for place, _ in loads), *(p for _, _, p in stores),
            *(p for _, p in reductions)))

    def _reduction(self, i: Instruction, source: int, kind: str) -> tuple[Reduction, Place]:
        (x,) = i.args
        ndim = len(x.type.shape)
        axis = i.attrs["axis"]
        axes = range(ndim) if axis is None else axis if isinstance(axis, tuple) else (axis,)
        chosen = {int(a) % ndim for a in axes} if ndim else set()
        over = tuple(d in chosen for d in range(ndim))
        kept = [n for d, n in enumerate(x.type.shape) if d not in chosen]
        steps = iter(strides_of(kept))
        strides = tuple(0 if o else next(steps) for o in over)
        return Reduction(i.op.name, source, Access(kind, strides), over), self.place(i.out)

    def _product(self, i: Instruction) -> Iterator[Call]:
        a, b = i.args
        kind = _own_kind(i.out)
        left, right = self.place(a), self.place(b)
        m = a.type.shape[0] if len(a.type.shape) > 1 else 1
        k = a.type.shape[-1]
        n = b.type.shape[1] if len(b.type.shape) > 1 else 1
        row, step = left.strides if len(left.strides) > 1 else (0, left.strides[0])
        right_steps = right.strides if len(right.strides) > 1 else (right.strides[0], 1)
        out = self.place(i.out)
        if n == 1 and k >= 8:  # along the inner axis
            nest = Nest(
                (m, k), (Access(kind, (row, step)), Access(kind, (0, right_steps[0]))),
                (Node("multiply", kind, (("load", 0), ("load", 1))),), (),
                (Reduction("sum", 0, Access(kind, (1, 0)), (False, True)),),
            )
            yield Call(nest.simplified(), (left, right, out))
            return
        if right_steps[1] != 1 and n > 1:
            key = right, (k, n)
            to = self.packed.get(key)
            if to is None:  # a loop over time multiplies by the same matrix again and again
                to = Place(Var(Type(i.out.type.dtype, (k, n))), 0, strides_of((k, n)))
                self.packed[key] = to
                yield Call(copy_of(kind, (k, n), right_steps, to.strides).simplified(),
                           (right, to))
            right, right_steps = to, (n, 1)
        yield Call(Product(kind, (m, n, k), (row, step, right_steps[0], n)), (left, right, out))

    def _index(self, i: Instruction) -> Iterator[Call]:
        name, args, out = i.op.name, i.args, i.out
        arrays = args[_SKIPPED[name]:]
        how = _indexing(i)
        whole = args[0] if name == "getitem" else out
        target = self.place(whole)
        kind = _own_kind(whole)
        if name == "set":
            yield self._copy(args[0], target)
        elif name == "scatter":
            yield self._copy(0.0, target, out.type.shape)
        value = out if name == "getitem" else args[0] if name == "scatter" else args[1]
        if not isinstance(value, Var) or (
            value in self.body.constants and not value.type.shape
        ):
            other = Place(Var(Type(out.type.dtype, ())), 0, ())
            yield self._copy(self.body.constants.get(value, value), other)
        else:
            other = self.place(value)
        sizes = value.type.shape if isinstance(value, Var) and other.strides else ()
        if how == "region":
            offset, strides = self._indexed(i.attrs["index"], whole.type.shape, target.strides,
                                            target.offset)
            region = np.lib.stride_tricks.as_strided(
                _NOWHERE, whole.type.shape, target.strides)[_as_view(i.attrs["index"])].shape
            nest = copy_of(kind, region, _walked(other.strides, sizes, region), strides)
            yield Call(nest.simplified(), (other, Place(target.base, offset, strides)))
            return
        rows = how == "rows"
        row = whole.type.shape[-1] if rows else 1
        lines = arrays[0].type.shape[0]
        if rows and target.strides[1] != 1:  # only what is taken from can lie otherwise
            packed = Place(Var(Type(whole.type.dtype, whole.type.shape)), 0,
                           strides_of(whole.type.shape))
            yield self._copy(whole, packed)
            target = packed
        parts = tuple(
            (_own_kind(a), self.place(a).strides[0], step, n)
            for a, step, n in zip(arrays, target.strides, whole.type.shape, strict=False))
        steps = _walked(other.strides, sizes, (lines, row) if rows else (lines,))
        what = {"getitem": "take", "set": "put", "scatter": "add"}[name]
        work = Indexing(what, kind, parts, lines, row, (steps[0], steps[1] if rows else 0))
        yield Call(work, (target, other, *(self.place(a) for a in arrays)))

    # Memory.

    def _lay_out(self) -> None:
        """Give what only the kernel knows places in one block of memory."""
        known = {*self.body.inputs, *self.body.constants, *self.outs, *self.numbers.values()}
        for n, call in enumerate(self.calls):
            for place in call.places:
                self.touches.setdefault(place.base, []).append(n)
        first = {x: ns[0] for x, ns in self.touches.items() if x not in known}
        last = {x: ns[-1] for x, ns in self.touches.items() if x not in known}
        number = {x: k for k, x in enumerate(first)}
        lifetimes = []
        for x, n in first.items():
            before = next((number[y] for y in self._replaces(self.calls[n], x)
                           if y in number and last[y] == n and first[y] < n), None)
            lifetimes.append(Lifetime(x.type.nbytes, n, last[x], before))
        layout = lay_out(lifetimes)
        self.offsets = dict(zip(first, layout.offsets, strict=True))
        self.nbytes = layout.nbytes

    @staticmethod
    def _replaces(call: Call, x: Var) -> Iterator[Var]:
        """Values that a nest reads only where it then stores ``x``, of the same size."""
        work = call.work
        if not isinstance(work, Nest):
            return
        n = len(work.loads)
        for (_, to), place in zip(work.stores, call.places[n:], strict=False):
            if place.base is not x or to.strides != strides_of(work.shape):
                continue
            if sum(p.base is x for p in call.places) > 1 or math.prod(work.shape) != x.type.size:
                continue
            for access, source in zip(work.loads, call.places, strict=False):
                y = source.base
                if access == to and source.offset == 0 and y.type.size == x.type.size and (
                    sum(p.base is y for p in call.places) == 1
                ):
                    yield y

    def may_overwrite(self, x: Var, value: Var) -> bool:
        """Whether the out ``value`` may be written over the input ``x``: that is read before, or
        at the same place at the same time."""
        if value not in self.outs or value in self.inside or value.type[:2] != x.type[:2]:
            return False
        n, *others = [n for n in self.touches[value]
                      if any(p.base is value for p in self._results(self.calls[n]))]
        if others:  # made in parts
            return False
        reads = self.touches.get(x, [])
        if not reads or reads[-1] < n:
            return isinstance(self.calls[n].work, Nest)
        return reads[-1] == n and x in self._replaces(self.calls[n], value)

    @staticmethod
    def _results(call: Call) -> tuple[Place, ...]:
        if isinstance(call.work, Nest):
            return call.places[len(call.work.loads):]
        if isinstance(call.work, Product):
            return call.places[2:3]
        taken = isinstance(call.work, Indexing) and call.work.what == "take"
        return call.places[1:2] if taken else call.places[:1]


def _walked(strides: tuple[int, ...], sizes: tuple[int, ...], shape: tuple[int, ...]
            ) -> tuple[int, ...]:
    """Steps of an array that is broadcast to ``shape``."""
    return (0,) * (len(shape) - len(strides)) + tuple(
        0 if n == 1 else s for n, s in zip(sizes, strides, strict=True))


def _as_view(index: Any) -> Any:
    """A basic index whose result is a view also where it names one element."""
    parts = index if isinstance(index, tuple) else (index,)
    return parts if any(part is Ellipsis for part in parts) else (*parts, ...)


#: Operands of indexing before its arrays.
_SKIPPED = {"getitem": 1, "scatter": 1, "set": 2}
# Indexing never looks at the elements of what only has strides.
_NOWHERE = np.empty(1, np.uint8)
_COPY_KEYWORD = np.lib.NumpyVersion(np.__version__) >= "2.1.0"
