"""Machine code for a schedule, as a function that Python calls.

Nests and products that differ only in where their arrays lie are one function, compiled once in the
life of the process; a kernel is a function in straight line that calls them with its pointers. It
is a builtin function of Python (`METH_FASTCALL`), whose arguments are the arrays that differ from
call to call: it reads where they lie, and refuses those whose elements do not lie side by side.
"""

from __future__ import annotations

import ctypes
import sys
import threading
from collections.abc import Sequence
from functools import cache, reduce
from typing import Any, NamedTuple

import llvmlite
import llvmlite.binding as llvm
import numpy as np
from llvmlite import ir

from ..program import Var
from .functions import F64, I8, I32, I64
from .loops import BYTES, LLVM_TYPE, Nest, counted, nest_function
from .products import Product, Tile, tile_function, tiles
from .schedule import Indexing, Schedule, Work

__all__ = ["kernel_function"]

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

_lock = threading.Lock()
#: Where the code of each nest, product and tile lies, and the engines that own it, for good: the
#: same few dozen serve every kernel. The code of a kernel itself goes with its function.
_known: dict[Work | Tile, int] = {}
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
        self.new: dict[Work | Tile, str] = {}

    def add(self, key: Work | Tile) -> None:
        """See to it that there is a function for ``key``."""
        if key in _known or key in self.new:
            return
        name = f"{type(key).__name__.lower()}{len(self.new)}"
        self.new[key] = name
        size = processor().vector_bytes
        if isinstance(key, Nest):
            nest_function(self.module, name, key, size)
        elif isinstance(key, Tile):
            tile_function(self.module, name, key, size)
        elif isinstance(key, Product):
            self._product(name, key)
        else:
            index_function(self.module, name, key)

    def _product(self, name: str, product: Product) -> None:
        """A product, tile by tile."""
        pointer = ir.PointerType()
        f = ir.Function(self.module, ir.FunctionType(ir.VoidType(), [pointer] * 3), name)
        b = ir.IRBuilder(f.append_basic_block("entry"))
        left, right, out = f.args
        a_row, a_step, b_step, c_row = product.steps
        scalar = LLVM_TYPE[product.kind]
        inner = ir.Constant(I64, product.shape[2])
        found = tiles(product, processor().vector_bytes, processor().registers)
        for row, column, tile in found:
            def moved(p: Any, by: int) -> Any:
                return b.gep(p, [ir.Constant(I64, by)], source_etype=scalar) if by else p

            self.add(tile)
            arguments = [
                moved(left, row * a_row), ir.Constant(I64, a_row), ir.Constant(I64, a_step),
                moved(right, column), ir.Constant(I64, b_step),
                moved(out, row * c_row + column), ir.Constant(I64, c_row), inner,
            ]
            if tile in _known:
                _call_known(b, tile, arguments)
            else:
                b.call(self.module.globals[self.new[tile]], arguments)
        b.ret_void()

    def compile(self) -> None:
        """Make machine code of them, and note where it lies."""
        if not self.new:
            return
        engine = _engine(self.module)
        _engines.append(engine)
        for key, name in self.new.items():
            _known[key] = engine.get_function_address(name)


def _call_address(b: ir.IRBuilder, address: Any, signature: Any, arguments: Sequence[Any]) -> Any:
    """A call of what lies at an address."""
    return b.call(_Typed(address, signature), arguments)


def _call_known(b: ir.IRBuilder, key: Work | Tile, arguments: Sequence[Any]) -> None:
    """A call of a function that has been compiled."""
    address = ir.Constant(I64, _known[key]).inttoptr(ir.PointerType())
    _call_address(b, address, ir.FunctionType(ir.VoidType(), [x.type for x in arguments]),
                  arguments)


class _Typed:
    """A pointer that is known to point to a function."""

    def __init__(self, pointer: Any, signature: Any) -> None:
        self.pointer, self.function_type, self.ftype = pointer, signature, signature
        self.type, self.args, self.attributes = pointer.type, (), ()

    def get_reference(self) -> str:
        return self.pointer.get_reference()  # type: ignore[no-any-return]


def index_function(module: ir.Module, name: str, work: Indexing) -> None:
    """A function of (the array, the other one, its index arrays)."""
    pointer = ir.PointerType()
    f = ir.Function(module, ir.FunctionType(
        ir.VoidType(), [pointer] * (2 + len(work.parts))), name)
    b = ir.IRBuilder(f.append_basic_block("entry"))
    scalar, align = LLVM_TYPE[work.kind], BYTES[work.kind]
    whole, other, *indices = f.args

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


# Kernels. ---------------------------------------------------------------------------------------


class Operands(NamedTuple):
    """How a kernel finds its arrays: those of ``table`` at addresses that stand in a table, those
    of ``passed`` are arguments, arrays or (True) floats."""

    table: tuple[Var, ...]
    passed: tuple[tuple[Var, bool], ...]


def kernel_function(schedule: Schedule, operands: Operands, table: np.ndarray[Any, Any],
                    scratch: np.ndarray[Any, Any]) -> Any:
    """A builtin function that runs a schedule, and what has to live as long as it does.

    It returns None, or False if it has refused an argument.
    """
    with _lock:
        functions = _Functions()
        for call in schedule.calls:
            functions.add(call.work)
        functions.compile()
        module = _module()
        _main(module, schedule, operands, table, scratch)
        engine = _engine(module)
    method = _Method(b"kernel", engine.get_function_address("main"), _FASTCALL, None)
    make = ctypes.pythonapi.PyCFunction_NewEx
    make.restype, make.argtypes = ctypes.py_object, (
        ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)
    function = make(ctypes.addressof(method), None, None)
    return function, (method, engine)


def _main(module: ir.Module, schedule: Schedule, operands: Operands, table: Any, scratch: Any
          ) -> None:
    pointer = ir.PointerType()
    f = ir.Function(module, ir.FunctionType(pointer, [pointer, pointer, I64]), "main")
    b = ir.IRBuilder(f.append_basic_block("entry"))
    arguments = f.args[1]
    bases: dict[Var, Any] = {}
    refusals = []
    for k, (x, number) in enumerate(operands.passed):
        given = b.load(b.gep(arguments, [ir.Constant(I64, k)], source_etype=pointer), typ=pointer)
        if number:
            cell = b.alloca(F64)
            api = _address(ctypes.pythonapi.PyFloat_AsDouble)
            value = _call_address(b, api, ir.FunctionType(F64, [pointer]), [given])
            b.store(value, cell)
            bases[x] = cell
            continue
        flags = b.load(_bytes(b, given, _FLAGS), typ=I32, align=4)
        ordered = ir.Constant(I32, _ORDERED)
        refusals.append(b.icmp_unsigned("!=", b.and_(flags, ordered), ordered))
        bases[x] = b.load(_bytes(b, given, _DATA), typ=pointer)
    at = ir.Constant(I64, table.ctypes.data).inttoptr(pointer)
    for k, x in enumerate(operands.table):
        bases[x] = b.load(b.gep(at, [ir.Constant(I64, k)], source_etype=pointer), typ=pointer)
    if refusals:
        _refuse(b, reduce(b.or_, refusals))
    for array, n in schedule.checks:
        place = schedule.place(array)
        start = _bytes(b, bases[place.base],
                       place.offset * array.type.dtype.itemsize)
        _check(b, start, array, place.strides[0], n)
    work = sum(_effort(call.work) for call in schedule.calls)
    state = None
    if work > _LONG:
        state = _call_address(b, _address(ctypes.pythonapi.PyEval_SaveThread),
                              ir.FunctionType(pointer, []), [])
    own = ir.Constant(I64, scratch.ctypes.data).inttoptr(pointer)
    for call in schedule.calls:
        places = []
        for place in call.places:
            offset = place.offset * place.base.type.dtype.itemsize
            if place.base in bases:
                places.append(_bytes(b, bases[place.base], offset))
            else:
                places.append(_bytes(b, own, schedule.offsets[place.base] + offset))
        _call_known(b, call.work, places)
    if state is not None:
        _call_address(b, _address(ctypes.pythonapi.PyEval_RestoreThread),
                      ir.FunctionType(ir.VoidType(), [pointer]), [state])
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


def _check(b: ir.IRBuilder, array: Any, x: Var, step: int, n: int) -> None:
    """Refuse if an index does not name one of ``n`` places."""
    kind = "i64" if x.type.dtype.itemsize == 8 else "i32"

    def one(i: Any) -> None:
        place = _index_at(b, array, kind, b.mul(i, ir.Constant(I64, step)), n)
        _refuse(b, b.icmp_unsigned(">=", place, ir.Constant(I64, n)))

    counted(b, x.type.size, one)


def _effort(work: Work) -> int:
    if isinstance(work, Nest):
        return len(work.nodes) * int(np.prod(work.shape))
    if isinstance(work, Product):
        return int(np.prod(work.shape))
    return work.lines * work.row


