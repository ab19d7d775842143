"""Machine code for a schedule, as a function that Python calls.

Nests, tiles of products and checks that differ only in where their arrays lie are one function,
compiled once in the life of the process. A product is a table of its tiles. A kernel has no code of
its own either: it is a table of the functions to call and the pointers to call them with, which one
driver walks. The driver is a builtin function of Python (`METH_FASTCALL`), whose arguments are the
arrays that differ from call to call: it reads where they lie, and refuses those whose elements do
not lie side by side.
"""

from __future__ import annotations

import ctypes
import sys
import threading
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, Literal, NamedTuple, TypeAlias

import llvmlite
import llvmlite.binding as llvm
import numpy as np
from llvmlite import ir

from ...node import Array
from ..program import Var
from .functions import F64, I1, I8, I32, I64
from .loops import BYTES, LLVM_TYPE, Nest, counted, nest_function, work_function
from .products import Product, Tile, tile_function, tiles
from .schedule import Check, Indexing, Schedule, Work

__all__ = ["Kernel", "Operands", "block", "kernel_function"]

llvmlite.ir_layer_typed_pointers_enabled = False

#: Places in NumPy's array object, by its C interface (`PyArrayObject_fields` in ndarraytypes.h):
#: of the pointer to the elements, and of the flags; and the flags that are asked for: C order,
#: aligned.
_HEAD = object.__basicsize__
_DATA, _FLAGS = _HEAD, _HEAD + 48
_ORDERED = 0x0001 | 0x0100
#: Operations of a kernel above which other threads may run meanwhile.
_LONG = 200_000

_FASTCALL = 0x0080


class _Method(ctypes.Structure):
    """`PyMethodDef`."""

    _fields_ = (("name", ctypes.c_char_p), ("meth", ctypes.c_void_p), ("flags", ctypes.c_int),
                ("doc", ctypes.c_char_p))


class _Processor(NamedTuple):
    triple: str
    data_layout: str
    vector_bytes: int
    registers: int


@cache
def processor() -> _Processor:
    """The processor at hand: how wide its vectors are and how many it holds in registers.

    Raises ``NotImplementedError`` where Python's or NumPy's objects are not as kernels read them.
    """
    if sys.implementation.name != "cpython" or not getattr(sys, "_is_gil_enabled", lambda: True)():
        raise NotImplementedError(
            "compile: executor='native' needs CPython with its global lock; use executor='numpy'")
    array = np.empty(1)
    if ctypes.c_void_p.from_address(id(array) + _DATA).value != array.ctypes.data:
        raise NotImplementedError(
            "compile: executor='native' does not know how this NumPy lays out its arrays; use "
            "executor='numpy'")
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    target, features = _target(), llvm.get_host_cpu_features()
    size, registers = 16, 32 if "aarch64" in target.triple else 16
    if features.get("avx512f") and features.get("avx512vl"):
        size, registers = 64, 32
    elif features.get("avx2") and features.get("fma"):
        size = 32
    return _Processor(target.triple, str(target.target_data), size, registers)


def _target() -> Any:
    """LLVM's description of the processor: each engine takes one for itself."""
    return llvm.Target.from_default_triple().create_target_machine(
        cpu=llvm.get_host_cpu_name(), features=llvm.get_host_cpu_features().flatten(), opt=1,
        jit=True)


# Functions, by what they do. --------------------------------------------------------------------

Code: TypeAlias = Work | Tile | Literal["driver", "product"]

_lock = threading.Lock()
#: Where the code of each lies, and the engines that own it, for good: the same few dozen functions
#: serve every kernel.
_known: dict[Code, int] = {}
_engines: list[Any] = []


def _module() -> ir.Module:
    module = ir.Module("kernel")
    module.triple, module.data_layout, *_ = processor()
    return module


def _engine(module: ir.Module) -> Any:
    """Machine code of a module.

    As it stands: it is written in vectors and straight lines, of which LLVM's passes make nothing
    faster, in ten times the time.
    """
    parsed = llvm.parse_assembly(str(module))
    parsed.verify()
    engine = llvm.create_mcjit_compiler(parsed, _target())
    engine.finalize_object()
    return engine


class _Functions:
    """LLVM functions under construction, of what has not been compiled yet."""

    def __init__(self) -> None:
        self.module = _module()
        self.new: dict[Code, str] = {}

    def add(self, key: Code) -> None:
        """See to it that there is a function for ``key``."""
        if isinstance(key, Product):
            self.add("product")
            for _, bands in _tiles(key):
                for _, _, tile in bands:
                    self.add(tile)
            return
        if key in _known or key in self.new:
            return
        name = f"{type(key).__name__.lower()}{len(self.new)}"
        self.new[key] = name
        size = processor().vector_bytes
        if isinstance(key, Nest):
            nest_function(self.module, name, key, size)
        elif isinstance(key, Tile):
            tile_function(self.module, name, key, size)
        elif isinstance(key, Indexing):
            index_function(self.module, name, key)
        elif isinstance(key, Check):
            check_function(self.module, name, key)
        elif key == "product":
            product_function(self.module, name)
        else:
            driver_function(self.module, name)

    def compile(self) -> None:
        """Make machine code of them, and note where it lies."""
        if not self.new:
            return
        engine = _engine(self.module)
        _engines.append(engine)
        for key, name in self.new.items():
            _known[key] = engine.get_function_address(name)


def _tiles(product: Product) -> list[tuple[int, list[tuple[int, int, Tile]]]]:
    return tiles(product, processor().vector_bytes, processor().registers)


#: What `product_function` reads of each product, for good, as the code of its tiles.
_tables: dict[Product, Array] = {}


def _table_of(product: Product) -> int:
    """Where the description of a product lies, whose tiles have been compiled."""
    table = _tables.get(product)
    if table is None:
        size = BYTES[product.kind]
        a_row, _, _, c_row = product.steps
        entries = [
            (_known[tile], row * a_row * size, column * size, (row * c_row + column) * size, count,
             tile.rows * a_row * size, tile.rows * c_row * size)
            for column, bands in _tiles(product) for row, count, tile in bands
        ]
        words = [len(entries), *product.steps, product.shape[2],
                 *(word for entry in entries for word in entry)]
        table = _tables[product] = np.array(words, np.int64)
    return int(table.ctypes.data)


def product_function(module: ir.Module, name: str) -> None:
    """A function of a product's factors, its result and its table: how many entries, its steps,
    its inner length; and for each entry a tile, where it begins in the three in bytes, how many
    there are below each other, and the bytes from one to the next in the left one and the result.
    """
    pointer = ir.PointerType()
    b, (left, right, out, table) = work_function(module, name, 4)

    def word(base: Any, k: int, typ: Any = I64) -> Any:
        return b.load(b.gep(base, [ir.Constant(I64, k)], source_etype=I64), typ=typ)

    def moved(p: Any, by: Any) -> Any:
        return b.gep(p, [by], source_etype=I8)

    count, a_row, a_step, b_step, c_row, inner = (word(table, k) for k in range(6))
    signature = ir.FunctionType(
        ir.VoidType(), [pointer, I64, I64, pointer, I64, pointer, I64, I64])

    def entry(i: Any) -> None:
        start = b.add(ir.Constant(I64, 6), b.mul(i, ir.Constant(I64, 7)))
        here = b.gep(table, [start], source_etype=I64)
        tile = word(here, 0, pointer)
        a_at, b_at, c_at, repeats, a_next, c_next = (word(here, k) for k in range(1, 7))
        columns, first, result = moved(right, b_at), moved(left, a_at), moved(out, c_at)

        def one(_: Any, rows: Any, cells: Any) -> list[Any]:
            _call_address(b, tile, signature,
                          [rows, a_row, a_step, columns, b_step, cells, c_row, inner])
            return [moved(rows, a_next), moved(cells, c_next)]

        counted(b, repeats, one, carried=[first, result])

    counted(b, count, entry)
    b.ret_void()


def _call_address(b: ir.IRBuilder, address: Any, signature: Any, arguments: Sequence[Any]) -> Any:
    """A call of what lies at an address."""
    return b.call(_Typed(address, signature), arguments)


class _Typed:
    """A pointer that is known to point to a function."""

    def __init__(self, pointer: Any, signature: Any) -> None:
        self.pointer, self.function_type, self.ftype = pointer, signature, signature
        self.type, self.args, self.attributes = pointer.type, (), ()

    def get_reference(self) -> str:
        return self.pointer.get_reference()  # type: ignore[no-any-return]


def index_function(module: ir.Module, name: str, work: Indexing) -> None:
    """A function of the array, the other one, and its index arrays."""
    b, (whole, other, *indices) = work_function(module, name, 2 + len(work.parts))
    scalar, align = LLVM_TYPE[work.kind], BYTES[work.kind]

    def scaled(i: Any, step: int) -> Any:
        return b.mul(i, ir.Constant(I64, step))

    def line(i: Any) -> None:
        place: Any = ir.Constant(I64, 0)
        for source, (kind, step, stride, n) in zip(indices, work.parts, strict=True):
            place = b.add(place, scaled(_index_at(b, source, kind, scaled(i, step), n), stride))
        base = scaled(i, work.value_steps[0])

        def element(j: Any) -> None:
            here = b.gep(whole, [b.add(place, j)], source_etype=scalar)
            there = b.gep(other, [b.add(base, scaled(j, work.value_steps[1]))],
                          source_etype=scalar)
            if work.what == "take":
                b.store(b.load(here, typ=scalar, align=align), there, align=align)
                return
            value = b.load(there, typ=scalar, align=align)
            if work.what == "add":
                value = b.fadd(b.load(here, typ=scalar, align=align), value)
            b.store(value, here, align=align)

        counted(b, work.row, element)

    counted(b, work.lines, line)
    b.ret_void()


def _index_at(b: ir.IRBuilder, array: Any, kind: str, place: Any, n: int) -> Any:
    """An index, counted from the end if it is negative."""
    scalar = LLVM_TYPE[kind]
    i = b.load(b.gep(array, [place], source_etype=scalar), typ=scalar, align=BYTES[kind])
    if kind != "i64":
        i = b.sext(i, I64)
    zero = ir.Constant(I64, 0)
    return b.select(b.icmp_signed("<", i, zero), b.add(i, ir.Constant(I64, n)), i)


def check_function(module: ir.Module, name: str, work: Check) -> None:
    """A function of the index array: whether it names a place that there is not."""
    b, (array,) = work_function(module, name, 1, I1)

    def one(i: Any) -> None:
        place = _index_at(b, array, work.kind, b.mul(i, ir.Constant(I64, work.step)), work.places)
        with b.if_then(b.icmp_unsigned(">=", place, ir.Constant(I64, work.places)), likely=False):
            b.ret(ir.Constant(I1, 1))

    counted(b, work.size, one)
    b.ret(ir.Constant(I1, 0))


# Kernels. ---------------------------------------------------------------------------------------

#: Words at the head of a kernel's table: how many arguments it takes, how many pointers follow from
#: them, how many checks and calls it makes, and whether it is so long that other threads may run.
_HEADER = 5


class Operands(NamedTuple):
    """How a kernel finds its arrays: those of ``fixed`` stay where they are, those of ``passed``
    are arguments, arrays or (True) floats."""

    fixed: tuple[Var, ...]
    passed: tuple[tuple[Var, bool], ...]


class Kernel(NamedTuple):
    """A kernel as Python calls it: ``run(*passed)`` returns None, or False if it has refused an
    argument.

    ``fixed``: where in its ``table`` the pointers into fixed operands stand: rows of (word,
    operand, bytes from its start). ``memory`` lives as long as the kernel does.
    """

    run: Callable[..., Any]
    table: Array
    fixed: Array
    memory: Any

    def locate(self, arrays: Sequence[Array]) -> None:
        """Note where the fixed operands lie, before the first call."""
        words, operands, offsets = self.fixed.T
        addresses = np.array([x.ctypes.data for x in arrays], np.int64)
        self.table[words] = addresses[operands] + offsets


def block(nbytes: int) -> Array:
    """Memory for the values of kernels that run one after the other, from the start of a line of
    the cache."""
    whole = np.empty(nbytes + 64, np.uint8)
    return whole[-whole.ctypes.data % 64 :]


def kernel_function(schedule: Schedule, operands: Operands, scratch: Array) -> Kernel:
    """A kernel that runs a schedule; its own values lie in ``scratch``."""
    checks, calls = schedule.checks, schedule.calls
    with _lock:
        functions = _Functions()
        for call in (*checks, *calls):
            functions.add(call.work)
        functions.add("driver")
        functions.compile()
    passed = {x: k for k, (x, number) in enumerate(operands.passed) if not number}
    numbers = {x: k for k, (x, number) in enumerate(operands.passed) if number}
    fixed = {x: k for k, x in enumerate(operands.fixed)}
    cells = np.zeros(len(operands.passed))
    kept = np.zeros(len(schedule.numbers))
    at = {x: kept.ctypes.data + 8 * k for k, x in enumerate(schedule.numbers.values())}
    for k, (kind, bits) in enumerate(schedule.numbers):
        kept[k : k + 1].view(np.float32 if kind == "f32" else np.float64)[0] = float.fromhex(bits)
    own = scratch.ctypes.data

    # Pointers stand behind what is walked, whose length is known only when all have been seen.
    pointers: list[int] = []
    from_passed, from_fixed, starts = [], [], []
    for call in (*checks, *calls):
        starts.append(len(pointers))
        for place in call.places:
            offset = place.offset * place.base.type.dtype.itemsize
            if place.base in passed:
                from_passed.append((passed[place.base], len(pointers), offset))
                pointers.append(0)
            elif place.base in fixed:
                from_fixed.append((len(pointers), fixed[place.base], offset))
                pointers.append(0)
            elif place.base in at:
                pointers.append(at[place.base])
            elif place.base in numbers:
                pointers.append(cells.ctypes.data + 8 * numbers[place.base])
            else:
                pointers.append(own + schedule.offsets[place.base] + offset)
        if isinstance(call.work, Product):
            pointers.append(_table_of(call.work))
    walked = len(operands.passed) + 3 * len(from_passed) + 2 * len(starts)
    table = np.empty(_HEADER + walked + len(pointers), np.int64)
    first = _HEADER + walked
    here = table.ctypes.data + 8 * first
    table[:] = [
        len(operands.passed), len(from_passed), len(checks), len(calls),
        sum(_effort(call.work) for call in calls) > _LONG,
        *(cells.ctypes.data + 8 * k if number else 0
          for k, (_, number) in enumerate(operands.passed)),
        *(word for k, slot, offset in from_passed for word in (k, here + 8 * slot, offset)),
        *(word for call, start in zip((*checks, *calls), starts, strict=True)
          for word in (_known["product" if isinstance(call.work, Product) else call.work],
                       here + 8 * start)),
        *pointers,
    ]
    where = np.array(from_fixed, np.int64).reshape(-1, 3)
    where[:, 0] += first
    return Kernel(_builtin(_method(), table), table, where, (cells, kept, scratch))


@cache
def _method() -> _Method:
    """The driver, as Python describes its builtin functions. It outlives all that are made of it,
    also when the interpreter ends: a function that is freed looks at it once more."""
    method = _Method(b"kernel", _known["driver"], _FASTCALL, None)
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(method))
    return method


def _builtin(method: _Method, own: Any) -> Callable[..., Any]:
    """A builtin function, of which ``own`` is the self."""
    make = ctypes.pythonapi.PyCFunction_NewEx
    make.restype, make.argtypes = ctypes.py_object, (
        ctypes.c_void_p, ctypes.py_object, ctypes.c_void_p)
    return make(ctypes.addressof(method), own, None)  # type: ignore[no-any-return]


def driver_function(module: ir.Module, name: str) -> None:
    """What all kernels call: a builtin function whose self is the kernel's table.

    For each argument one word, the cell of a float or 0; for each pointer into an argument three:
    which, where to put it, bytes from its start; for each check and call two: function, pointers.
    """
    pointer = ir.PointerType()
    f = ir.Function(module, ir.FunctionType(pointer, [pointer, pointer, I64]), name)
    b = ir.IRBuilder(f.append_basic_block("entry"))
    table = b.load(_bytes(b, f.args[0], _DATA), typ=pointer)
    arguments = f.args[1]
    state = b.alloca(pointer)

    def at(base: Any, i: Any, typ: Any) -> Any:
        return b.load(b.gep(base, [i], source_etype=I64), typ=typ)

    def several(begin: Any, count: Any, size: int, body: Callable[[list[Any], Any], None],
                *types: Any) -> Any:
        """``body`` with each entry of ``count``, of ``size`` words; where the next ones begin."""
        def one(i: Any) -> None:
            start = b.add(begin, b.mul(i, ir.Constant(I64, size)))
            body([at(table, b.add(start, ir.Constant(I64, k)), typ)
                  for k, typ in enumerate(types)], i)

        with b.if_then(b.icmp_signed(">", count, ir.Constant(I64, 0))):
            counted(b, count, one)
        return b.add(begin, b.mul(count, ir.Constant(I64, size)))

    def take(words: list[Any], i: Any) -> None:
        (cell,) = words
        given = at(arguments, i, pointer)
        with b.if_else(b.icmp_signed("!=", cell, ir.Constant(I64, 0))) as (number, array):
            with number:
                api = _address(ctypes.pythonapi.PyFloat_AsDouble)
                value = _call_address(b, api, ir.FunctionType(F64, [pointer]), [given])
                b.store(value, b.inttoptr(cell, pointer))
            with array:
                flags = b.load(_bytes(b, given, _FLAGS), typ=I32, align=4)
                ordered = ir.Constant(I32, _ORDERED)
                _refuse(b, b.icmp_unsigned("!=", b.and_(flags, ordered), ordered))

    def point(words: list[Any], i: Any) -> None:
        k, slot, offset = words
        start = b.load(_bytes(b, at(arguments, k, pointer), _DATA), typ=I64)
        b.store(b.add(start, offset), slot)

    def check(words: list[Any], i: Any) -> None:
        function, pointers = words
        _refuse(b, _call_address(b, function, ir.FunctionType(I1, [pointer]), [pointers]))

    def call(words: list[Any], i: Any) -> None:
        function, pointers = words
        _call_address(b, function, ir.FunctionType(ir.VoidType(), [pointer]), [pointers])

    passed, pointed, checks, calls, long = (
        at(table, ir.Constant(I64, k), I64) for k in range(_HEADER))
    place = several(ir.Constant(I64, _HEADER), passed, 1, take, I64)
    place = several(place, pointed, 3, point, I64, pointer, I64)
    place = several(place, checks, 2, check, pointer, pointer)
    others_run = b.icmp_signed("!=", long, ir.Constant(I64, 0))
    with b.if_then(others_run):
        b.store(_call_address(b, _address(ctypes.pythonapi.PyEval_SaveThread),
                              ir.FunctionType(pointer, []), []), state)
    several(place, calls, 2, call, pointer, pointer)
    with b.if_then(others_run):
        _call_address(b, _address(ctypes.pythonapi.PyEval_RestoreThread),
                      ir.FunctionType(ir.VoidType(), [pointer]), [b.load(state, typ=pointer)])
    b.ret(_object(b, None))


def _bytes(b: ir.IRBuilder, pointer: Any, n: int) -> Any:
    return b.gep(pointer, [ir.Constant(I64, n)], source_etype=I8) if n else pointer


def _address(f: Any) -> Any:
    value = ctypes.cast(f, ctypes.c_void_p).value
    return ir.Constant(I64, value).inttoptr(ir.PointerType())


def _object(b: ir.IRBuilder, x: Any) -> Any:
    """A new reference to an object that lives as long as the process."""
    result = ir.Constant(I64, id(x)).inttoptr(ir.PointerType())
    _call_address(b, _address(ctypes.pythonapi.Py_IncRef),
                  ir.FunctionType(ir.VoidType(), [ir.PointerType()]), [result])
    return result


def _refuse(b: ir.IRBuilder, condition: Any) -> None:
    with b.if_then(condition, likely=False):
        b.ret(_object(b, False))


def _effort(work: Work) -> int:
    if isinstance(work, Nest):
        return len(work.nodes) * int(np.prod(work.shape))
    if isinstance(work, Product):
        return int(np.prod(work.shape))
    if isinstance(work, Indexing):
        return work.lines * work.row
    return work.size
