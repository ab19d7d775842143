"""Products: many small matrix products with a common factor become one large one.

A loop over time multiplies by the same matrices at every step, and its gradients are sums over the
steps. With the rows of all steps one below the other, ``rows(x1, x2, ...)``,

    x1 @ w, x2 @ w, ...           are the parts of   rows(x1, x2, ...) @ w
    x1.T @ g1 + x2.T @ g2 + ...   is                 rows(x1, x2, ...).T @ rows(g1, g2, ...)
    sum(g1, 0) + sum(g2, 0) + ... is                 sum(rows(g1, g2, ...), 0)

which holds to rounding, since sums are taken in another order. The first is possible where no
``x`` depends on another one's product. Rows that are computed are computed in their places, so that
putting them one below the other costs nothing; those of an array's successive parts are the array.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from heapq import heappop, heappush
from typing import Any, NamedTuple

import numpy as np

from ...op import OPS, Op
from ...ops.flow import barrier
from ..program import Atom, Instruction, Program, Type, Var, uses
from .dead import dead
from .sums import sums
from .updates import pack, unpack

__all__ = ["products"]

_ADD, _MATMUL, _SUM = OPS["add"], OPS["matmul"], OPS["sum"]
_TRANSPOSE, _GETITEM, _RESHAPE = OPS["transpose"], OPS["getitem"], OPS["reshape"]

#: Fewer are left alone: the rows of two or three seldom repay being put together.
_FEW = 4
#: Multiplications in one product above which its own overhead no longer counts.
_LARGE = 1 << 20
#: Instructions that may be looked at in order to join products of a common right factor: trying
#: one factor takes a walk over the program.
_EFFORT = 1 << 21


class _Term(NamedTuple):
    """A term of a sum: ``left.T @ right``, or ``sum(right, 0)`` where ``left`` is None."""

    left: Var | None
    right: Var
    value: Var


def products(program: Program) -> Program:
    """With one product in place of many, in both ways.

    Not where something is checkpointed: rows that are put together are all there at once.
    """
    if any(i.op is barrier for i in program.instructions):
        return program
    result = _joined(_summed(program))
    return program if result is program else dead(result)


# Sums of products. ------------------------------------------------------------------------------


def _summed(program: Program) -> Program:
    """With one product in place of each sum of products."""
    maker = _Makers(program)
    constants = dict(program.constants)
    found = _sums(program, maker, constants)
    if not found:
        return program
    program = program.replace(constants=constants)
    for shared in (True, False):
        rows = _Rows(maker, shared)
        instead: dict[int, list[Instruction]] = {}
        for x, terms, others in found:
            instead[maker.place(x)] = _sum_of(x, terms, others, rows)
        result = _ordered(program, instead)
        if result is not None:
            return result
    return program


def _sums(
    program: Program, maker: _Makers, constants: dict[Var, Any]
) -> list[tuple[Var, list[_Term], list[Var]]]:
    """Sums with many terms that can be taken in one: the sum, these terms, and the others.

    Longer ones first, so that rows of a shorter one may be a part of theirs.
    """
    found = []
    for x, addends in sums(program):
        terms: list[_Term] = []
        others: list[Var] = []
        for y, alone in addends:
            term = _term(y, maker, constants) if alone else None
            if term is None:
                others.append(y)
            else:
                terms.append(term)
        for pairs in (True, False):
            kind = [t for t in terms if (t.left is not None) is pairs]
            if len(kind) < _FEW:
                others += [t.value for t in kind]
                terms = [t for t in terms if t not in kind]
        if terms:
            terms.sort(key=lambda t: maker.place(t.right if t.left is None else t.left))
            found.append((x, terms, others))
    return sorted(found, key=lambda entry: (entry[1][0].left is None, -len(entry[1])))


def _term(x: Var, maker: _Makers, constants: dict[Var, Any]) -> _Term | None:
    """What ``x`` is as a term of a sum that can be taken in one."""
    made = maker.get(x)
    if made is None:
        return None
    if made.op is _SUM:
        (g,) = made.args
        axis = made.attrs["axis"]
        axis = axis[0] if isinstance(axis, tuple) and len(axis) == 1 else axis
        columns = len(g.type.shape) == 2 and isinstance(axis, int) and axis % 2 == 0
        if columns and not made.attrs["keepdims"] and g.type.dtype == x.type.dtype:
            return _Term(None, g, x)
        return None
    if not _is_small_product(made):
        return None
    turned, right = made.args
    if turned in constants:
        left = Var(Type(turned.type.dtype, turned.type.shape[::-1]))
        constants[left] = np.ascontiguousarray(constants[turned].T)
        return _Term(left, right, x)
    transposed = maker.get(turned)
    if transposed is not None and transposed.op is _TRANSPOSE:
        return _Term(transposed.args[0], right, x)
    return None


def _sum_of(
    x: Var, terms: list[_Term], others: Sequence[Var], rows: _Rows
) -> list[Instruction]:
    """The instructions that make the sum ``x``."""
    made: list[Instruction] = []
    parts = [*others]
    pairs = [(t.left, t.right) for t in terms if t.left is not None]
    if pairs:
        left = rows.of([a for a, _ in pairs], made)
        right = rows.of([b for _, b in pairs], made)
        turned = _make(made, _TRANSPOSE, left.type.shape[::-1], left, axes=(1, 0))
        parts.append(_make(made, _MATMUL, x.type.shape, turned, right))
    single = [t.right for t in terms if t.left is None]
    if single:
        whole = rows.of(rows.in_known_order(single), made)
        parts.append(_make(made, _SUM, x.type.shape, whole, axis=0, keepdims=False))
    total = parts[0]
    for part in parts[1:]:
        total = _make(made, _ADD, x.type.shape, total, part)
    last = made.pop()  # it makes the sum itself
    return [*made, Instruction((x,), last.op, last.args, last.attrs)]


# Products with a common right factor. -----------------------------------------------------------


def _joined(program: Program) -> Program:
    """With one product in place of those of many left factors with one right factor."""
    members: dict[Var, list[Var]] = {}
    for i in program.instructions:
        if _is_small_product(i):
            members.setdefault(i.args[1], []).append(i.out)
    groups = sorted((g for g in members.values() if len(g) >= _FEW), key=len, reverse=True)
    for group in groups[: _EFFORT // max(1, len(program))]:
        program = _join(program, set(group))
    return program


def _join(program: Program, group: set[Var]) -> Program:
    """With one product in place of those that make the members of ``group``, where one of them
    depends on another without the former."""
    chosen: list[Instruction] = []
    behind: set[Var] = set()  # what depends on a member
    for i in program.instructions:
        depends = any(a in behind for a in i.args if isinstance(a, Var))
        if i.outs[0] in group:
            if not depends:
                chosen.append(i)
            behind.add(i.out)
        elif depends:
            behind.update(i.outs)
    if len(chosen) < _FEW:
        return program
    maker = _Makers(program)
    made: list[Instruction] = []
    whole = _Rows(maker, True).of([i.args[0] for i in chosen], made)
    factor = chosen[0].args[1]
    shape = (whole.type.shape[0], factor.type.shape[1])
    product = _make(made, _MATMUL, shape, whole, factor)
    instead: dict[int, list[Instruction]] = {}
    bias, sums = _common_bias(program, chosen, behind)
    if bias is not None:
        product = _make(made, _ADD, shape, product, bias)
        instead = {maker.place(i.out): [i] for i in sums}
    line = _make(made, _RESHAPE, (math.prod(shape),), product, shape=(math.prod(shape),))
    begin = 0
    for i in chosen:
        made.append(Instruction((i.out,), unpack, (line,),
                                {"begin": begin, "shape": i.out.type.shape}))
        begin += i.out.type.size
    places = [maker.place(i.out) for i in chosen]
    instead |= {place: [] for place in places[1:]}
    instead[places[0]] = made
    return _ordered(program, instead) or program


def _common_bias(
    program: Program, chosen: list[Instruction], behind: set[Var]
) -> tuple[Var | None, list[Instruction]]:
    """The bias ``b`` if every product ``p`` is used as ``(p + y) + b`` only; the sums ``p' + y``
    to put in place of ``(p + y) + b`` when ``b`` has been added to all products at once."""
    members = {i.out for i in chosen}
    count = uses(program)
    inner: dict[Var, Instruction] = {}  # p + y, by its value
    bias: Var | None = None
    sums: list[Instruction] = []
    for i in program.instructions:
        if i.op is not _ADD:
            continue
        x, y = i.args if i.args[0] in members or i.args[0] in inner else i.args[::-1]
        if x in members and count[x] == 1 and count[i.out] == 1:
            inner[i.out] = i
        elif x in inner and isinstance(y, Var) and y not in behind:
            if (bias is not None and y is not bias) or y.type != Type(
                x.type.dtype, x.type.shape[1:]
            ):
                return None, []
            bias = y
            sums.append(Instruction(i.outs, _ADD, inner[x].args))
    return (bias, sums) if len(sums) == len(chosen) else (None, [])


# What both need. --------------------------------------------------------------------------------


class _Makers:
    """The instruction that makes a value, and its place in the program."""

    def __init__(self, program: Program) -> None:
        self._made = {i.out: (n, i) for n, i in enumerate(program.instructions)
                      if len(i.outs) == 1}

    def get(self, x: Atom) -> Instruction | None:
        return self._made[x][1] if x in self._made else None

    def place(self, x: Atom) -> int:
        return self._made[x][0] if x in self._made else -1

    def packs(self) -> Iterator[tuple[Var, list[Var]]]:
        """Lines of elements that are put together already, and of what."""
        for _, i in self._made.values():
            if i.op is pack:
                yield i.out, list(i.args)


class _Rows:
    """Matrices one below the other; the same ones, or a part of them, are put together once."""

    def __init__(self, maker: _Makers, shared: bool) -> None:
        self._maker = maker
        self._shared = shared
        #: Where a matrix begins: the line of all elements, its matrices, and the number of this.
        self._known: dict[Var, tuple[Var, list[Var], int]] = {
            x: (line, parts, n) for line, parts in maker.packs() for n, x in enumerate(parts)
        } if shared else {}

    def of(self, parts: list[Var], made: list[Instruction]) -> Var:
        """The matrix of all rows of ``parts``; what makes it is appended to ``made``."""
        columns = parts[0].type.shape[1]
        shape = (sum(x.type.shape[0] for x in parts), columns)
        array = self._array(parts, made)
        if array is not None:
            return _make(made, _RESHAPE, shape, array, shape=shape)
        size = (math.prod(shape),)
        line = self._part(parts, made) if self._shared else None
        if line is None:
            line = _make(made, pack, size, *parts)
            for n, x in enumerate(parts):
                self._known.setdefault(x, (line, parts, n))
        return _make(made, _RESHAPE, shape, line, shape=shape)

    def in_known_order(self, parts: list[Var]) -> list[Var]:
        """The same matrices, in the order in which they were put together before."""
        if not all(x in self._known for x in parts):
            return parts
        if len({self._known[x][0] for x in parts}) > 1:
            return parts
        return sorted(parts, key=lambda x: self._known[x][2])

    def _part(self, parts: list[Var], made: list[Instruction]) -> Var | None:
        """These matrices as a part of those that were put together before."""
        known = self._known.get(parts[0])
        if known is None:
            return None
        line, matrices, n = known
        if matrices[n : n + len(parts)] != parts:
            return None
        if len(matrices) == len(parts):
            return line
        begin = sum(x.type.size for x in matrices[:n])
        size = (sum(x.type.size for x in parts),)
        return _make(made, unpack, size, line, begin=begin, shape=size)

    def _array(self, parts: list[Var], made: list[Instruction]) -> Var | None:
        """The array that these are successive parts of along its first axis."""
        source: Var | None = None
        first = 0
        for n, x in enumerate(parts):
            taken = self._maker.get(x)
            if taken is None or taken.op is not _GETITEM or len(taken.args) > 1:
                return None
            array, index = taken.args[0], taken.attrs["index"]
            if type(index) is tuple and len(index) == 1:
                (index,) = index
            if type(index) is not int or (source is not None and array is not source):
                return None
            index %= array.type.shape[0]
            if source is None:
                source, first = array, index
            if index != first + n:
                return None
        assert source is not None
        if len(parts) == source.type.shape[0]:
            return source
        shape = (len(parts), *source.type.shape[1:])
        return _make(made, _GETITEM, shape, source, index=slice(first, first + len(parts), None))


def _make(
    made: list[Instruction], op: Op, result: tuple[int, ...], /, *args: Var, **attrs: Any
) -> Var:
    """The value of another instruction, whose result has this shape."""
    out = Var(Type(args[0].type.dtype, result))
    made.append(Instruction((out,), op, args, attrs))
    return out


def _is_small_product(i: Instruction) -> bool:
    """Whether this is a product of matrices of one dtype that takes little time."""
    if i.op is not _MATMUL or not all(isinstance(a, Var) and len(a.type.shape) == 2
                                      for a in i.args):
        return False
    a, b = i.args
    multiplications: int = a.type.size * b.type.shape[1]
    return bool(a.type.dtype == b.type.dtype == i.out.type.dtype and 0 < multiplications <= _LARGE)


def _ordered(program: Program, instead: Mapping[int, list[Instruction]]) -> Program | None:
    """``program`` with other instructions at some places, each after what makes its operands.

    The order stays where it can. None where instructions wait for each other.
    """
    instructions: list[Instruction] = []
    for n, i in enumerate(program.instructions):
        instructions += instead.get(n, (i,))
    maker = {x: n for n, i in enumerate(instructions) for x in i.outs}
    waiting: list[int] = []
    followers: dict[int, list[int]] = {}
    effect: int | None = None
    for n, i in enumerate(instructions):
        before = {maker[a] for a in i.args if isinstance(a, Var) and a in maker}
        if not i.op.pure:  # effects keep their order
            if effect is not None:
                before.add(effect)
            effect = n
        waiting.append(len(before))
        for m in before:
            followers.setdefault(m, []).append(n)
    ready = [n for n, k in enumerate(waiting) if not k]
    order: list[Instruction] = []
    while ready:
        n = heappop(ready)
        order.append(instructions[n])
        for m in followers.get(n, ()):
            waiting[m] -= 1
            if not waiting[m]:
                heappush(ready, m)
    return program.replace(instructions=tuple(order)) if len(order) == len(instructions) else None
