"""Program: a computation as a flat list of frozen instructions over typed values.

What the compiler's parts hand to each other. A program is in single assignment form: every value
is made once, by an instruction that stands before all its uses. Passes are functions from program
to program, an executor makes a callable of one, :func:`verify` checks one, and :func:`interpret`
evaluates one with the forward functions of its ops: the meaning against which all else is tested.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from .. import ops
from ..node import Array
from ..op import UFUNCS, Op

_NOTHING: Mapping[Any, Any] = MappingProxyType({})


class Type(NamedTuple):
    """What is known of a value before it is computed.

    ``weak``: a Python number, which does not widen what it is combined with.
    """

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    weak: bool = False

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        return self.size * self.dtype.itemsize

    def __str__(self) -> str:
        kind = self.dtype.kind
        name = "bool" if kind == "b" else f"{kind}{8 * self.dtype.itemsize}"
        return f"{name}[{','.join(map(str, self.shape))}]{'~' if self.weak else ''}"


def type_of(x: Any) -> Type:
    """The type of an array, a NumPy scalar or a Python number."""
    if isinstance(x, (bool, int, float, complex)) and not isinstance(x, np.generic):
        return Type(np.dtype(type(x)), (), True)
    return Type(x.dtype, tuple(x.shape))


class Var:
    """A value of a program: an input, a constant, or what an instruction makes."""

    __slots__ = ("type",)

    def __init__(self, type: Type) -> None:
        self.type = type

    def __repr__(self) -> str:
        return f"<Var {self.type}>"


#: An operand: a value of the program, or a Python number.
Atom: TypeAlias = Any


class Instruction:
    """``outs = op(*args, **attrs)``. Frozen; nearly all have one out."""

    __slots__ = ("args", "attrs", "op", "outs")

    outs: tuple[Var, ...]
    op: Op
    args: tuple[Atom, ...]
    attrs: Mapping[str, Any]

    def __init__(
        self, outs: tuple[Var, ...], op: Op, args: tuple[Atom, ...],
        attrs: Mapping[str, Any] = _NOTHING,
    ) -> None:
        set_ = object.__setattr__
        set_(self, "outs", outs)
        set_(self, "op", op)
        set_(self, "args", args)
        set_(self, "attrs", attrs)

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"an instruction is frozen: cannot set {name!r}")

    @property
    def out(self) -> Var:
        (out,) = self.outs
        return out

    def with_args(self, args: Iterable[Atom]) -> Instruction:
        return Instruction(self.outs, self.op, tuple(args), self.attrs)

    def __repr__(self) -> str:
        return f"<Instruction {self.op}>"


@dataclass(frozen=True)
class Program:
    """Instructions between inputs and results.

    ``inputs``: given at each call. ``constants``: values known beforehand; arrays or NumPy scalars.
    ``outputs``: the results, in arrays that the next call does not overwrite. ``updates``: pairs of
    an input and the value that takes its place after the call. ``kept``: values that stay readable
    until the next call. ``packed``: for an input that is the concatenation of what used to be
    several inputs, those. ``names``: hints for listings.
    """

    inputs: tuple[Var, ...]
    instructions: tuple[Instruction, ...]
    outputs: tuple[Atom, ...]
    updates: tuple[tuple[Var, Atom], ...] = ()
    kept: tuple[Atom, ...] = ()
    constants: Mapping[Var, Array] = field(default_factory=dict)
    packed: Mapping[Var, tuple[Var, ...]] = field(default_factory=dict)
    names: Mapping[Var, str] = field(default_factory=dict)

    def replace(self, **changes: Any) -> Program:
        return replace(self, **changes)

    def results(self) -> Iterator[Atom]:
        """All that must be computed: outputs, new values of inputs, and what is kept."""
        yield from self.outputs
        for _, value in self.updates:
            yield value
        yield from self.kept

    def __len__(self) -> int:
        return len(self.instructions)

    def __str__(self) -> str:
        return listing(self)


def is_elementwise(op: Op) -> bool:
    """Whether each element of the result depends on the elements at its place only."""
    return op in ELEMENTWISE


def ufunc_of(op: Op) -> np.ufunc | None:
    """The ufunc that computes an op, if one does."""
    return _UFUNC_OF.get(op)


# The engine's tables of ops are complete once its families are imported; those of SciPy come late
# and are computed by their forward functions.
_ = ops
_UFUNC_OF: dict[Op, np.ufunc] = {
    op: ufunc for ufunc, op in reversed(UFUNCS.items())
    if isinstance(op, Op) and ufunc.signature is None and ufunc.nout == 1
}
#: Ops that compute element by element, with broadcasting: those of ufuncs, and a few more.
ELEMENTWISE: set[Op] = set(_UFUNC_OF)


def substitute(program: Program, new: Mapping[Var, Atom]) -> Program:
    """``program`` with other operands in place of values; ``new`` must not lead in circles."""
    if not new:
        return program

    def final(x: Atom) -> Atom:
        while isinstance(x, Var) and x in new:
            x = new[x]
        return x

    def rewritten(instruction: Instruction) -> Instruction:
        for x in instruction.args:
            if isinstance(x, Var) and x in new:
                return instruction.with_args(map(final, instruction.args))
        return instruction

    return program.replace(
        instructions=tuple(map(rewritten, program.instructions)),
        outputs=tuple(map(final, program.outputs)),
        updates=tuple((x, final(value)) for x, value in program.updates),
        kept=tuple(map(final, program.kept)),
    )


def uses(program: Program) -> dict[Var, int]:
    """How often each value is used, by instructions and as a result."""
    count: dict[Var, int] = {}
    for instruction in program.instructions:
        for x in instruction.args:
            if isinstance(x, Var):
                count[x] = count.get(x, 0) + 1
    for x in program.results():
        if isinstance(x, Var):
            count[x] = count.get(x, 0) + 1
    return count


def interpret(program: Program, inputs: Sequence[Array]) -> tuple[list[Array], list[Array]]:
    """The outputs, and the new values of the updated inputs, by evaluating op after op.

    Given Tensors, it records, so that a program can be differentiated.
    """
    values: dict[Var, Any] = dict(program.constants)
    values.update(zip(program.inputs, inputs, strict=True))

    def value(x: Atom) -> Any:
        return values[x] if isinstance(x, Var) else x

    for instruction in program.instructions:
        result = instruction.op(*map(value, instruction.args), **instruction.attrs)
        if len(instruction.outs) == 1:
            if isinstance(result, np.generic) and instruction.out.type.weak:
                result = result.item()
            values[instruction.out] = result
        else:
            values.update(zip(instruction.outs, result, strict=True))
    return [value(x) for x in program.outputs], [value(x) for _, x in program.updates]


def evaluated(*xs: Array, body: Program) -> Array | tuple[Array, ...]:
    """The outputs of ``body``: what an op that stands for a whole program computes."""
    outputs, _ = interpret(body, xs)
    return outputs[0] if len(outputs) == 1 else tuple(outputs)


# Listings. --------------------------------------------------------------------------------------


def listing(program: Program) -> str:
    """One line an instruction, ``%7 = matmul(%x, %w1) : f32[32,128]``; deterministic."""
    names = naming(program)
    lines = [f"{names[x]} = input : {x.type}" + _packing(program, x, names)
             for x in program.inputs]
    lines += [f"{names[x]} = constant {_value(v)}: {x.type}" for x, v in program.constants.items()]
    lines += [line(instruction, names) for instruction in program.instructions]
    lines += [f"update {names[x]} <- {_atom(value, names)}" for x, value in program.updates]
    if program.kept:
        lines.append("keep " + ", ".join(_atom(x, names) for x in program.kept))
    lines.append("return " + ", ".join(_atom(x, names) for x in program.outputs))
    return "\n".join(lines)


def naming(program: Program) -> dict[Var, str]:
    """A name for each value: its hint where that is free, otherwise a number in order."""
    names: dict[Var, str] = {}
    taken: set[str] = set()
    count = 0

    def enter(x: Var) -> None:
        nonlocal count
        hint = program.names.get(x)
        if hint and hint.isidentifier() and hint not in taken:
            taken.add(hint)
            names[x] = f"%{hint}"
        else:
            count += 1
            names[x] = f"%{count}"

    for x in (*program.inputs, *program.constants):
        enter(x)
    for instruction in program.instructions:
        for x in instruction.outs:
            enter(x)
    return names


def line(instruction: Instruction, names: Mapping[Var, str]) -> str:
    parts = [_atom(x, names) for x in instruction.args]
    parts += [f"{name}={_attr(value)}" for name, value in instruction.attrs.items()]
    outs = ", ".join(names.get(x, "%?") for x in instruction.outs)
    types = ", ".join(str(x.type) for x in instruction.outs)
    return f"{outs} = {instruction.op}({', '.join(parts)}) : {types}"


def _packing(program: Program, x: Var, names: Mapping[Var, str]) -> str:
    parts = program.packed.get(x)
    if not parts:
        return ""
    return " = " + " ++ ".join(program.names.get(part, str(part.type)) for part in parts)


def _atom(x: Atom, names: Mapping[Var, str]) -> str:
    return names.get(x, "%?") if isinstance(x, Var) else repr(x)


def _attr(value: Any) -> str:
    if isinstance(value, Program):
        return "{" + "; ".join(
            line for line in listing(value).splitlines() if " = input : " not in line
        ) + "}"
    if callable(value):
        return getattr(value, "__name__", type(value).__name__)
    if isinstance(value, np.ndarray):
        return f"<{type_of(value)}>"
    return repr(value)


def _value(x: Array) -> str:
    return f"{x!s} " if np.ndim(x) == 0 else ""


# Verification. ----------------------------------------------------------------------------------


class InvalidProgramError(AssertionError):
    """A pass or the recording made a program that means nothing: a fault of the compiler."""


def verify(program: Program) -> Program:
    """``program`` itself, after checking that it is well-formed.

    Every operand is an input, a constant, or was made before, every value is made once, types fit
    the operations that a checker knows, updates keep the type of the input.
    """
    known: set[Var] = set()
    names = naming(program)

    def fail(what: str, instruction: Instruction | None = None) -> None:
        where = f" in `{line(instruction, names)}`" if instruction is not None else ""
        raise InvalidProgramError(f"{what}{where}\n{listing(program)}")

    def operand(x: Atom, instruction: Instruction | None = None) -> None:
        if isinstance(x, Var):
            if x not in known:
                fail(f"{names.get(x, '%?')} is used before it is made", instruction)
        elif not isinstance(x, (bool, int, float, complex)) or isinstance(x, np.generic):
            fail(f"an operand is {type(x).__name__}, not a value or a Python number", instruction)

    for x in (*program.inputs, *program.constants):
        if x in known:
            fail(f"{names[x]} is given twice")
        known.add(x)
    for x, constant in program.constants.items():
        if type_of(constant) != x.type:
            fail(f"constant {names[x]} has type {type_of(constant)}, declared {x.type}")
    for instruction in program.instructions:
        for x in instruction.args:
            operand(x, instruction)
        for x in instruction.outs:
            if x in known:
                fail(f"{names[x]} is made twice", instruction)
        check = CHECKS.get(instruction.op.name)
        if check is None and instruction.op in ELEMENTWISE:
            check = _broadcasts
        if check is not None:
            wrong = check(instruction)
            if wrong:
                fail(wrong, instruction)
        known.update(instruction.outs)
    for x in program.results():
        operand(x)
    updated: set[Var] = set()
    for x, value in program.updates:
        if x not in program.inputs or x in updated:
            fail(f"{names.get(x, '%?')} is updated but no input, or twice")
        updated.add(x)
        if isinstance(value, Var) and value.type[:2] != x.type[:2]:
            fail(f"{names[x]} of type {x.type} is updated with {value.type}")
    for x, parts in program.packed.items():
        if x not in program.inputs or x.type.size != sum(p.type.size for p in parts):
            fail(f"{names.get(x, '%?')} does not pack its parts")
    return program


def _shape(x: Atom) -> tuple[int, ...]:
    return x.type.shape if isinstance(x, Var) else ()


def _broadcasts(instruction: Instruction) -> str | None:
    try:
        shape = np.broadcast_shapes(*map(_shape, instruction.args))
    except ValueError as cause:
        return str(cause)
    if shape != instruction.out.type.shape:
        return f"operands broadcast to {shape}"
    return None


def _reshapes(instruction: Instruction) -> str | None:
    (x,) = instruction.args
    return None if x.type.size == instruction.out.type.size else "the number of elements changes"


def _transposes(instruction: Instruction) -> str | None:
    (x,) = instruction.args
    axes = instruction.attrs["axes"]
    shape = tuple(x.type.shape[a] for a in axes)
    return None if shape == instruction.out.type.shape else f"the result has shape {shape}"


def _multiplies(instruction: Instruction) -> str | None:
    a, b = map(_shape, instruction.args)
    if not a or not b:
        return "matmul of a scalar"
    inner = b[-2] if len(b) > 1 else b[0]
    return None if a[-1] == inner else f"inner sizes {a[-1]} and {inner} differ"


#: What the verifier knows of ops, by name: a function from an instruction to what is wrong.
CHECKS: dict[str, Callable[[Instruction], str | None]] = {
    "reshape": _reshapes,
    "transpose": _transposes,
    "matmul": _multiplies,
}
