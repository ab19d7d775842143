"""Loop nests of element-wise work and reductions, as LLVM functions of pointers.

A nest is described by plain data, so that nests that differ only in where their arrays lie are one
function, compiled once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial, reduce
from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir

from .functions import (
    COMPARISONS,
    F32,
    F64,
    FUNCTIONS,
    I1,
    I8,
    I32,
    I64,
    TESTS,
    Lanes,
    integer_in_all,
)

#: Elements of an axis that are summed in one go; sums of such stretches are added up in turn, so
#: that rounding errors do not grow with the length.
STRETCH = 1 << 12

LLVM_TYPE = {"f32": F32, "f64": F64, "bool": I8, "i32": I32, "i64": I64}
BYTES = {"f32": 4, "f64": 8, "bool": 1, "i32": 4, "i64": 8}


def kind_of(dtype: np.dtype[Any]) -> str | None:
    """How nests name a dtype; None if they do not know it."""
    if not dtype.isnative:
        return None
    return {"f4": "f32", "f8": "f64", "b1": "bool", "i4": "i32", "i8": "i64"}.get(
        f"{dtype.kind}{dtype.itemsize}")


class Access(NamedTuple):
    """An array as a nest sees it: its kind, and how many elements a step along each axis goes."""

    kind: str
    strides: tuple[int, ...]


class Node(NamedTuple):
    """One operation on all elements; operands are ("load", i), ("node", i) or ("number", x),
    x written as a hexadecimal float.

    ``kind`` is what it computes in, "f32", "f64" or "bool"; ``name`` that of its op.
    """

    name: str
    kind: str
    operands: tuple[tuple[str, Any], ...]


class Reduction(NamedTuple):
    """A node's values reduced into an array that does not move along the axes ``over``."""

    name: str
    source: int
    access: Access
    over: tuple[bool, ...]


class Nest(NamedTuple):
    """Work on all elements of an index space; arrays are numbered: loads, stores, reductions."""

    shape: tuple[int, ...]
    loads: tuple[Access, ...]
    nodes: tuple[Node, ...]
    stores: tuple[tuple[int, Access], ...]
    reductions: tuple[Reduction, ...]

    def simplified(self) -> Nest:
        """The same work on fewer axes: those of one element dropped, neighbours merged where
        every array allows it."""
        strides = [a.strides for a in self.loads] + [a.strides for _, a in self.stores] + [
            r.access.strides for r in self.reductions]
        flags = [r.over for r in self.reductions]
        axes: list[tuple[int, list[int], list[bool]]] = []
        for d, n in enumerate(self.shape):
            if n == 1:
                continue
            now, over = [s[d] for s in strides], [f[d] for f in flags]
            if axes:
                before, outer, other = axes[-1]
                if over == other and all(o == i * n for o, i in zip(outer, now, strict=True)):
                    axes[-1] = before * n, now, over
                    continue
            axes.append((n, now, over))
        if not axes:
            axes = [(1, [0] * len(strides), [False] * len(flags))]

        def access(k: int, kind: str) -> Access:
            return Access(kind, tuple(now[k] for _, now, _ in axes))

        n, m = len(self.loads), len(self.loads) + len(self.stores)
        return Nest(
            tuple(size for size, _, _ in axes),
            tuple(access(k, a.kind) for k, a in enumerate(self.loads)), self.nodes,
            tuple((i, access(n + k, a.kind)) for k, (i, a) in enumerate(self.stores)),
            tuple(r._replace(access=access(m + k, r.access.kind),
                             over=tuple(over[k] for _, _, over in axes))
                  for k, r in enumerate(self.reductions)),
        )


def counted(
    b: ir.IRBuilder, count: int | Any, body: Callable[..., Sequence[Any] | None], step: int = 1,
    carried: Sequence[Any] = (),
) -> list[Any]:
    """``body(i, *carried)`` for i = 0, step, ... below ``count``, at least once.

    It returns what is carried to the next round; the last of that is the result.
    """
    if isinstance(count, int):
        if count <= step:
            return list(body(ir.Constant(I64, 0), *carried) or ())
        count = ir.Constant(I64, count)
    before = b.block
    block = b.append_basic_block("loop")
    b.branch(block)
    b.position_at_end(block)
    i = b.phi(I64)
    i.add_incoming(ir.Constant(I64, 0), before)
    now = [b.phi(x.type) for x in carried]
    for phi, x in zip(now, carried, strict=True):
        phi.add_incoming(x, before)
    new = list(body(i, *now) or ())
    following = b.add(i, ir.Constant(I64, step))
    i.add_incoming(following, b.block)
    for phi, x in zip(now, new, strict=True):
        phi.add_incoming(x, b.block)
    after = b.append_basic_block("after")
    b.cbranch(b.icmp_signed("<", following, count), block, after)
    b.position_at_end(after)
    return new


def number(x: float) -> tuple[str, Any]:
    """A number as an operand, by its bits: 0.0 is not -0.0."""
    return "number", float(x).hex()


def copy_of(kind: str, shape: tuple[int, ...], source: tuple[int, ...] | float,
            target: tuple[int, ...]) -> Nest:
    """A nest that copies an array of these strides, or a number, to another of those."""
    loads: tuple[Access, ...] = ()
    if isinstance(source, float):
        operand = number(source)
    else:
        loads, operand = (Access(kind, source),), ("load", 0)
    return Nest(shape, loads, (Node("copy", kind, (operand,)),), ((0, Access(kind, target)),), ())


def work_function(module: ir.Module, name: str, count: int, result: Any = None
                  ) -> tuple[ir.IRBuilder, list[Any]]:
    """A function of a row of ``count`` pointers, as all work is called; and those pointers."""
    pointer = ir.PointerType()
    f = ir.Function(module, ir.FunctionType(result or ir.VoidType(), [pointer]), name)
    b = ir.IRBuilder(f.append_basic_block("entry"))
    (row,) = f.args
    return b, [b.load(b.gep(row, [ir.Constant(I64, k)], source_etype=pointer), typ=pointer)
               for k in range(count)]


def nest_function(module: ir.Module, name: str, nest: Nest, vector_bytes: int) -> None:
    """A function of one pointer per array that does the work of ``nest``, which is simplified."""
    count = len(nest.loads) + len(nest.stores) + len(nest.reductions)
    b, pointers = work_function(module, name, count)
    _NestWriter(b, pointers, nest, vector_bytes).write()


class _NestWriter:
    def __init__(self, b: ir.IRBuilder, pointers: Sequence[Any], nest: Nest, vector_bytes: int
                 ) -> None:
        self.nest, self.b = nest, b
        kinds = {a.kind for a in nest.loads} | {n.kind for n in nest.nodes} | {
            a.kind for _, a in nest.stores}
        wide = bool(kinds & {"f64", "i64"})
        self.width = min(vector_bytes // (8 if wide else 4),
                         max(1, 1 << (nest.shape[-1] - 1).bit_length()))
        arrays = list(nest.loads) + [a for _, a in nest.stores] + [
            r.access for r in nest.reductions]
        self.arrays = list(zip(pointers, arrays, strict=True))
        self.steady: dict[int, Any] = {}
        #: Results between stretches of a long axis, by number, and where they are kept.
        self.running: dict[int, Any] = {}
        self.cells: dict[int, Any] = {}

    def lanes(self, kind: str) -> Lanes:
        return Lanes(self.b, kind == "f64", self.width)

    def index(self, n: int) -> Any:
        return ir.Constant(I64, n)

    def at(self, pointer: Any, access: Access, axis: int, i: Any) -> Any:
        """``pointer`` moved to place ``i`` of an axis."""
        stride = access.strides[axis]
        if not stride or (isinstance(i, ir.Constant) and i.constant == 0):
            return pointer
        moved = i if stride == 1 else self.b.mul(i, self.index(stride))
        return self.b.gep(pointer, [moved], source_etype=LLVM_TYPE[access.kind])

    def write(self) -> None:
        nest = self.nest
        n = len(nest.loads) + len(nest.stores)
        if nest.shape[-1] > 2 * STRETCH:  # on the stack, once: not in a loop
            self.cells = {k: self.b.alloca(F64) for k, r in enumerate(nest.reductions)
                          if r.over[-1]}
        for k, r in enumerate(nest.reductions):
            if self._added_to(r):
                self._fill(self.arrays[n + k][0], r)
        self._axis(0, [pointer for pointer, _ in self.arrays])
        self.b.ret_void()

    def _added_to(self, r: Reduction) -> bool:
        """Whether a result is put together from more than one walk along the innermost axis."""
        return not r.over[-1] or any(
            over and n > 1 for over, n in zip(r.over[:-1], self.nest.shape, strict=False)
        )

    def _identity(self, r: Reduction) -> float:
        return {"sum": 0.0, "max": -math.inf, "min": math.inf}[r.name]

    def _fill(self, pointer: Any, r: Reduction) -> None:
        """Set a result to what leaves all else unchanged."""
        scalar = LLVM_TYPE[r.access.kind]
        # It is contiguous: its own axes in their order.
        total = math.prod(n for n, over in zip(self.nest.shape, r.over, strict=True) if not over)
        identity = ir.Constant(scalar, self._identity(r))

        def one(i: Any) -> None:
            self.b.store(identity, self.b.gep(pointer, [i], source_etype=scalar),
                         align=BYTES[r.access.kind])

        counted(self.b, total, one)

    def _axis(self, axis: int, pointers: list[Any]) -> None:
        if axis == len(self.nest.shape) - 1:
            self._innermost(pointers)
            return

        def inside(i: Any) -> None:
            self._axis(axis + 1, [self.at(p, a, axis, i) for p, (_, a) in zip(
                pointers, self.arrays, strict=True)])

        counted(self.b, self.nest.shape[axis], inside)

    def _innermost(self, pointers: list[Any]) -> None:
        n = self.nest.shape[-1]
        last = len(self.nest.shape) - 1
        if not any(r.over[-1] for r in self.nest.reductions) or n <= 2 * STRETCH:
            self._stretch(pointers, n)
            return

        # In double precision from stretch to stretch: there may be thousands.
        for k, r in enumerate(self.nest.reductions):
            if r.over[-1]:
                self.running[k] = self.cells[k]
                self.b.store(ir.Constant(F64, self._identity(r)), self.running[k])

        def part(i: Any) -> None:
            self._stretch([self.at(p, a, last, i) for p, (_, a) in zip(
                pointers, self.arrays, strict=True)], STRETCH)

        counted(self.b, n // STRETCH * STRETCH, part, STRETCH)
        if n % STRETCH:
            begin = self.index(n - n % STRETCH)
            self._stretch([self.at(p, a, last, begin) for p, (_, a) in zip(
                pointers, self.arrays, strict=True)], n % STRETCH)
        for k, cell in sorted(self.running.items()):
            total = self.b.load(cell, typ=F64)
            if self.nest.reductions[k].access.kind == "f32":
                total = self.b.fptrunc(total, F32)
            self._deliver(pointers, k, total)
        self.running.clear()

    def _stretch(self, pointers: list[Any], n: int) -> None:
        """``n`` elements along the innermost axis."""
        nest, width = self.nest, self.width
        whole, rest = divmod(n, width)
        # What is the same for the whole stretch is loaded before it.
        self.steady = {k: load(self.b, pointers[k], a.kind, 0, width, None)
                       for k, a in enumerate(nest.loads) if not a.strides[-1]}
        along = [k for k, r in enumerate(nest.reductions) if r.over[-1]]
        copies = 4 if along and len(nest.nodes) <= 6 and whole >= 16 else 1
        totals: list[list[Any]] = []  # per copy, the accumulator of each reduction
        if whole:
            totals = [[self._start(k) for k in along] for _ in range(copies)]
            totals = self._vectors(pointers, whole // copies, totals, 0)
            if whole % copies:
                begin = whole // copies * copies * width
                totals[:1] = self._vectors(pointers, whole % copies, totals[:1], begin)
        if rest:
            found = self._vector(pointers, self.index(whole * width), rest)
            totals.append([found[k] for k in along])
        for position, k in enumerate(along):
            total = reduce(partial(self._added, k), [t[position] for t in totals])
            self._finish(pointers, k, self._across(k, total))

    def _start(self, k: int) -> Any:
        r = self.nest.reductions[k]
        return self.lanes(r.access.kind).const(self._identity(r))

    def _combined(self, v: Lanes, r: Reduction, x: Any, y: Any) -> Any:
        return {"sum": v.add, "max": v.maximum, "min": v.minimum}[r.name](x, y)

    def _added(self, k: int, x: Any, y: Any) -> Any:
        """Two accumulators of a reduction put together."""
        r = self.nest.reductions[k]
        return self._combined(self.lanes(r.access.kind), r, x, y)

    def _across(self, k: int, x: Any) -> Any:
        """The lanes of an accumulator put together."""
        r, width = self.nest.reductions[k], self.width
        while width > 1:
            width //= 2
            halves = []
            for begin in (0, width):
                places = ir.Constant(ir.VectorType(I32, width),
                                     [ir.Constant(I32, begin + i) for i in range(width)])
                halves.append(self.b.shuffle_vector(
                    x, ir.Constant(x.type, ir.Undefined), places))
            x = self._combined(Lanes(self.b, r.access.kind == "f64", width), r, *halves)
        return self.b.extract_element(x, ir.Constant(I32, 0))

    def _finish(self, pointers: list[Any], k: int, total: Any) -> None:
        """Add what a stretch has come to."""
        if k not in self.running:
            self._deliver(pointers, k, total)
            return
        r, v = self.nest.reductions[k], Lanes(self.b, True, 1)
        if r.access.kind == "f32":
            total = self.b.fpext(total, F64)
        before = self.b.load(self.running[k], typ=F64)
        both = self._combined(v, r, v.splat(before), v.splat(total))
        self.b.store(self.b.extract_element(both, ir.Constant(I32, 0)), self.running[k])

    def _deliver(self, pointers: list[Any], k: int, total: Any) -> None:
        """Put a result where it belongs."""
        r = self.nest.reductions[k]
        pointer = pointers[len(self.nest.loads) + len(self.nest.stores) + k]
        if self._added_to(r):
            v = Lanes(self.b, r.access.kind == "f64", 1)
            align = BYTES[r.access.kind]
            before = self.b.load(pointer, typ=v.scalar, align=align)
            one = self._combined(v, r, v.splat(before), v.splat(total))
            total = self.b.extract_element(one, ir.Constant(I32, 0))
        self.b.store(total, pointer, align=BYTES[r.access.kind])

    def _vectors(
        self, pointers: list[Any], count: int, totals: list[list[Any]], begin: int
    ) -> list[list[Any]]:
        """``count`` whole vectors for each list of accumulators, which are returned."""
        along = [k for k, r in enumerate(self.nest.reductions) if r.over[-1]]
        copies = len(totals)

        def added(i: Any, *carried: Any) -> list[Any]:
            new: list[Any] = []
            for c in range(copies):
                offset = self.b.add(i, self.index(begin + c * self.width))
                found = self._vector(pointers, offset, None)
                own = carried[c * len(along) : (c + 1) * len(along)]
                new += [self._added(k, x, found[k]) for k, x in zip(along, own, strict=True)]
            return new

        step = copies * self.width
        flat = counted(self.b, count * step, added, step, [x for one in totals for x in one])
        return [flat[c * len(along) : (c + 1) * len(along)] for c in range(copies)]

    def _vector(self, pointers: list[Any], offset: Any, rest: int | None) -> list[Any]:
        """The work on one vector, of which only the first ``rest`` lanes count; what it adds to
        each reduction."""
        nest = self.nest
        last = len(nest.shape) - 1
        moved = [self.at(p, a, last, offset) for p, (_, a) in zip(
            pointers, self.arrays, strict=True)]
        loads = [self.steady[k] if k in self.steady else
                 load(self.b, p, a.kind, a.strides[-1], self.width, rest)
                 for k, (p, a) in enumerate(zip(moved, nest.loads, strict=False))]
        values: list[Any] = []
        for node in nest.nodes:
            values.append(self._node(node, loads, values))
        at = len(nest.loads)
        for (i, a), p in zip(nest.stores, moved[at:], strict=False):
            value = self._converted(values[i], nest.nodes[i].kind, a.kind)
            store(self.b, value, p, a.kind, a.strides[-1], self.width, rest)
        found: list[Any] = []
        at += len(nest.stores)
        for k, r in enumerate(nest.reductions):
            v = self.lanes(r.access.kind)
            x = self._converted(values[r.source], nest.nodes[r.source].kind, r.access.kind)
            if r.over[-1]:
                if rest is not None:
                    mask = ir.Constant(v.masks, [int(i < rest) for i in range(self.width)])
                    x = v.where(mask, x, self._identity(r))
            else:
                p, kind = moved[at + k], r.access.kind
                now = load(self.b, p, kind, r.access.strides[-1], self.width, rest)
                store(self.b, self._combined(v, r, now, x), p, kind, r.access.strides[-1],
                      self.width, rest)
            found.append(x)
        return found

    def _node(self, node: Node, loads: list[Any], values: list[Any]) -> Any:
        b, nest = self.b, self.nest
        kinds = [nest.loads[i].kind if where == "load" else
                 nest.nodes[i].kind if where == "node" else node.kind
                 for where, i in node.operands]
        inner = node.kind
        if node.name in COMPARISONS or node.name in TESTS:  # of floats, answered by truth values
            inner = "f64" if "f64" in kinds or "i64" in kinds or "i32" in kinds else "f32"

        def operand(k: int, kind: str) -> Any:
            where, i = node.operands[k]
            if where == "number":
                number = float.fromhex(i)
                if kind == "bool":
                    masks = ir.VectorType(I1, self.width)
                    return ir.Constant(masks, [int(bool(number))] * self.width)
                return self.lanes(kind).const(number)
            x = loads[i] if where == "load" else values[i]
            return self._converted(x, kinds[k], kind)

        v = self.lanes(inner)
        if node.name == "where":
            return b.select(operand(0, "bool"), operand(1, node.kind), operand(2, node.kind))
        if node.name == "copy":
            return operand(0, node.kind)
        if node.name in COMPARISONS:
            return v.is_(COMPARISONS[node.name], operand(0, inner), operand(1, inner))
        if node.name == "isnan":
            return v.isnan(operand(0, inner))
        if node.name in ("isinf", "isfinite"):
            size = v.abs(operand(0, inner))
            return v.is_("==" if node.name == "isinf" else "<", size, math.inf)
        if node.kind == "bool":
            xs = [operand(k, "bool") for k in range(len(node.operands))]
            if len(xs) == 1:
                return b.xor(xs[0], ir.Constant(xs[0].type, [1] * self.width))
            return {"and": b.and_, "or": b.or_, "xor": b.xor}[node.name.rsplit("_")[-1]](*xs)
        return FUNCTIONS[node.name](
            v, *[operand(k, node.kind) for k in range(len(node.operands))])

    def _converted(self, x: Any, old: str, new: str) -> Any:
        b = self.b
        if old == new:
            return x
        if new == "bool":
            if old in ("i32", "i64"):
                return b.icmp_signed("!=", x, ir.Constant(x.type, [0] * self.width))
            return self.lanes(old).is_("!=", x, 0.0)
        target = ir.VectorType(LLVM_TYPE[new], self.width)
        if old == "bool":
            # Of a mask, the bits of 1.0: cheaper than converting integers.
            v = self.lanes(new)
            return v.where(x, 1.0, 0.0)
        if old in ("i32", "i64"):
            return b.sitofp(x, target)
        return b.fpext(x, target) if new == "f64" else b.fptrunc(x, target)


def load(b: ir.IRBuilder, pointer: Any, kind: str, stride: int, width: int, rest: int | None
         ) -> Any:
    """A vector of elements ``stride`` apart; truth values as masks."""
    scalar, align = LLVM_TYPE[kind], BYTES[kind]
    vector = ir.VectorType(scalar, width)
    v = Lanes(b, kind == "f64", width)
    zero = v.const(0.0) if kind in ("f32", "f64") else integer_in_all(8 * align, width, 0)
    if stride == 0:
        one = b.load(pointer, typ=scalar, align=align)
        x = v.splat(one)
    elif stride == 1 and (rest is None or kind in ("f32", "f64")):
        if rest is None:
            x = b.load(pointer, typ=vector, align=align)
        else:
            x = _masked(b, "load", vector, [pointer], rest, zero, align)
    else:
        x = zero
        for i in range(width if rest is None else rest):
            place = b.gep(pointer, [ir.Constant(I64, i * stride)], source_etype=scalar)
            x = b.insert_element(x, b.load(place, typ=scalar, align=align), ir.Constant(I32, i))
    return b.icmp_unsigned("!=", x, zero) if kind == "bool" else x


def store(b: ir.IRBuilder, x: Any, pointer: Any, kind: str, stride: int, width: int,
          rest: int | None) -> None:
    scalar, align = LLVM_TYPE[kind], BYTES[kind]
    vector = ir.VectorType(scalar, width)
    if kind == "bool":
        x = b.zext(x, vector)
    if stride == 1 and rest is None:
        b.store(x, pointer, align=align)
    elif stride == 1 and kind in ("f32", "f64"):
        assert rest is not None
        _masked(b, "store", vector, [x, pointer], rest, None, align)
    else:
        for i in range(width if rest is None else rest):
            place = b.gep(pointer, [ir.Constant(I64, i * stride)], source_etype=scalar)
            b.store(b.extract_element(x, ir.Constant(I32, i)), place, align=align)


def _masked(b: ir.IRBuilder, what: str, vector: Any, operands: Sequence[Any], rest: int,
            otherwise: Any, align: int) -> Any:
    """A load or store of the first ``rest`` elements."""
    module, width = b.module, vector.count
    masks = ir.VectorType(I1, width)
    kind = f"v{width}{'f64' if vector.element == F64 else 'f32'}"
    name = f"llvm.masked.{what}.{kind}.p0"
    f = module.globals.get(name)
    pointer = ir.PointerType()
    if f is None:
        if what == "load":
            signature = ir.FunctionType(vector, [pointer, I32, masks, vector])
        else:
            signature = ir.FunctionType(ir.VoidType(), [vector, pointer, I32, masks])
        f = ir.Function(module, signature, name)
    mask = ir.Constant(masks, [int(i < rest) for i in range(width)])
    arguments = [*operands, ir.Constant(I32, align), mask]
    if otherwise is not None:
        arguments.append(otherwise)
    return b.call(f, arguments)
