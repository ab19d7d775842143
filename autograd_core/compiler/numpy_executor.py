"""The NumPy executor: a program as straight-line Python source over buffers made beforehand.

Every operation that NumPy can direct with ``out=`` writes into a buffer of one arena, whose layout
follows from the lifetimes of the values; views are made once, when the inputs that outlive a call
are bound; an updated input is overwritten where it lies. What NumPy cannot direct (a
decomposition, say) is computed by its op's forward function, into an array of its own.

The source is what ``Executable.source`` shows::

    def bind(b2, b3, c5, v7, v8):
        v9 = b2.transpose((1, 0))
        def run(a0, a1):
            dot(a0, b2, v7)
            ...
            return (r12,)
        return run
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from ..node import Array
from ..op import OPS
from ..ops.indexing import HERE
from .passes.fuse import fused, masks
from .passes.updates import pack, unpack
from .plan import Lifetime, lay_out
from .program import Atom, Instruction, Program, Type, Var, is_elementwise, ufunc_of

#: Bytes of one array's part that a fused group works on at a time: several such parts fit into
#: the second level of any processor's cache.
BLOCK = 1 << 16

#: Axes of at most this many elements are summed by products with ones: longer ones are summed
#: pairwise, which rounds less.
SHORT = 1 << 10

#: Arrays of at most this many elements may be compared with a constant array of their size.
FULL = 1 << 15

#: Scalars are computed with Python's operators, several times faster than with ufuncs.
_INFIX = {"add": "+", "subtract": "-", "multiply": "*", "divide": "/", "less": "<",
          "greater": ">", "less_equal": "<=", "greater_equal": ">=", "equal": "==",
          "not_equal": "!="}
_REDUCTIONS = {"sum": np.add, "max": np.maximum, "min": np.minimum, "prod": np.multiply}
_WHERE, _FLOATS = OPS["where"], (np.dtype(np.float32), np.dtype(np.float64))

# What a value is in the source: passed at each call, bound, known, a buffer of the arena, an array
# made anew in each call because it is returned, a view, a Python name for a scalar or for whatever
# a forward function returned.
ARGUMENT, BOUND, CONSTANT, BUFFER, RETURNED, VIEW, SCALAR, FOREIGN = range(8)


def prepare(program: Program, n_arguments: int | None = None) -> Executable:
    """An executable of ``program``, whose first ``n_arguments`` inputs are given at each call.

    The other inputs are given to ``bind``. None: all are given at each call.
    """
    return _Writer(program, n_arguments).finish()


def memory(
    program: Program, n_arguments: int | None = None
) -> tuple[dict[Var, tuple[int, int]], dict[Var, Var]]:
    """Where the values of a program would lie, for those who want to see it.

    The place in the arena of each value that has one, as an offset and a number of bytes; and for
    each value that is written over an input, that input.
    """
    return _Writer(program, n_arguments).memory()


class Executable:
    """A program to call. Not safe for concurrent calls: it has one set of buffers."""

    def __init__(
        self, source: str, names: dict[str, Any], parameters: Sequence[str],
        fixed: Sequence[Array], buffers: Sequence[tuple[int, Type]], nbytes: int, scratch: int,
    ) -> None:
        self.source = source
        #: Bytes of all buffers: what the values that are alive together need at most.
        self.peak_bytes = nbytes + scratch
        arena = np.empty(nbytes + 64, np.uint8)
        begin = -arena.ctypes.data % 64
        self._arrays = [*fixed]
        for offset, t in buffers:
            start = begin + offset
            part = arena[start : start + t.nbytes].view(t.dtype).reshape(t.shape)
            self._arrays.append(part)
        self._code = compile(source, "<compiled program>", "exec")
        self._names, self._parameters = names, parameters
        self._kept: Callable[[int], Array]
        if len(parameters) == len(self._arrays):
            self.bind(())

    def bind(self, arrays: Sequence[Array]) -> None:
        """Set the inputs that are not passed at each call; those that the program updates are
        written in place from now on, at each call."""
        names = self._names
        names.update(zip(self._parameters, (*arrays, *self._arrays), strict=True))
        exec(self._code, names)  # text made here, from no data
        self.run, self._kept = names["run"], names["kept"]

    def __call__(self, *arguments: Array) -> tuple[Array, ...]:
        return self.run(*arguments)  # type: ignore[no-any-return]

    def kept(self, i: int) -> Array:
        """What the last call computed as kept value ``i``: a view, until the next call."""
        return self._kept(i)


class _Writer:
    """Writes the source of one program, in two passes: where values live, then the lines."""

    def __init__(self, program: Program, n_arguments: int | None) -> None:
        self.program = program
        self.n_arguments = len(program.inputs) if n_arguments is None else n_arguments
        self.steps = _updates_last(program)
        self.globals: dict[str, Any] = {}
        self.names: dict[Var, str] = {}
        self.kind: dict[Var, int] = {}
        self.static: set[Var] = set()  # exists before the call
        self.contiguous: set[Var] = set()
        self.holds: dict[Var, frozenset[Var]] = {}  # whose memory a value may share
        self.inside: dict[Var, tuple[Var, int]] = {}  # a buffer that is part of a packed one
        self.fixed: list[tuple[str, Array]] = []  # constants and cells of scalars
        self.setup: list[str] = []
        self.lines: list[str] = []
        self.scratch = 0
        self.literals: dict[Any, str] = {}
        self.step_of = {x: n for n, i in enumerate(self.steps) for x in i.outs}

    # Where values live. -----------------------------------------------------------------------

    def place(self) -> None:
        program = self.program
        updated = {x for x, _ in program.updates}
        for n, x in enumerate(program.inputs):
            dynamic = n < self.n_arguments
            self._enter(x, ARGUMENT if dynamic else BOUND, "a" if dynamic else "b", n)
            self.holds[x] = frozenset((x,))
            if x.type.shape == () and not dynamic and x not in updated:
                self.kind[x] = SCALAR
            if not dynamic:
                self.static.add(x)
                if x in updated:
                    self.contiguous.add(x)
        for n, (x, value) in enumerate(program.constants.items()):
            scalar = x.type.shape == ()
            self._enter(x, SCALAR if scalar else CONSTANT, "c", n)
            self.holds[x] = frozenset()
            self.static.add(x)
            self.contiguous.add(x)
            self.fixed.append((self.names[x], value if scalar else np.ascontiguousarray(value)))
        returned = {x for x in program.outputs if isinstance(x, Var)}
        for n, step in enumerate(self.steps):
            for k, x in enumerate(step.outs):
                name = f"v{n}" if len(step.outs) == 1 else f"v{n}_{k}"
                self.names[x] = name
                self.kind[x] = kind = self._kind_of(step, x)
                operands = [a for a in step.args if isinstance(a, Var)]
                held = frozenset().union(*(self.holds[a] for a in operands)) if kind in (
                    VIEW, FOREIGN) else frozenset()
                if kind == VIEW:
                    if all(a in self.static for a in operands):
                        self.static.add(x)
                    if step.op.name in ("reshape", "unpack") and operands[0] in self.contiguous:
                        self.contiguous.add(x)
                elif kind == BUFFER:
                    self.contiguous.add(x)
                    if x in returned:
                        self.kind[x] = RETURNED
                    else:
                        self.static.add(x)
                        held = frozenset((x,))
                self.holds[x] = held
        self._nest_packs()
        self.last = self._last_uses()
        self._update_in_place()

    def _enter(self, x: Var, kind: int, letter: str, n: int) -> None:
        self.names[x] = f"{letter}{n}"
        self.kind[x] = kind

    def _kind_of(self, step: Instruction, x: Var) -> int:
        op, shape = step.op, x.type.shape
        name = op.name
        if op is fused:
            return BUFFER if shape else SCALAR
        if not shape:
            return SCALAR
        operand = step.args[0] if step.args and isinstance(step.args[0], Var) else None
        in_memory = operand is not None and self.kind[operand] != SCALAR and (
            operand.type.shape != () or self.kind[operand] == ARGUMENT)
        if name in ("reshape", "unpack", "transpose"):
            if not in_memory:
                return BUFFER
            assert operand is not None
            if name == "reshape" and operand in self.static and operand not in self.contiguous:
                return BUFFER
            return VIEW
        if name == "broadcast_to":
            return VIEW if in_memory and operand in self.static else BUFFER
        if name == "getitem":
            return VIEW if len(step.args) == 1 and in_memory else FOREIGN
        if op is _WHERE and not masks(step.args[0]):
            return FOREIGN
        if name in _INTO or op is pack or is_elementwise(op):
            return BUFFER
        return FOREIGN

    def _nest_packs(self) -> None:
        """Let the parts of a packed array be made in their places."""
        for step in self.steps:
            if step.op is not pack or self.kind[step.out] != BUFFER:
                continue
            offset = 0
            for x in step.args:
                if self.kind.get(x) == BUFFER and x not in self.inside and (
                    x.type.dtype == step.out.type.dtype
                ):
                    self.inside[x] = (step.out, offset)
                offset += x.type.size

    def _owner(self, x: Var) -> Var:
        while x in self.inside:
            x = self.inside[x][0]
        return x

    def _last_uses(self) -> dict[Var, int]:
        """The last step at which the memory of a value is read."""
        last: dict[Var, int] = {}

        def use(x: Atom, n: int) -> None:
            if isinstance(x, Var):
                for owner in self.holds[x]:
                    last[self._owner(owner)] = n

        for n, step in enumerate(self.steps):
            for x in (*step.args, *step.outs):
                use(x, n)
        for x in self.program.results():
            use(x, len(self.steps))
        return last

    def _update_in_place(self) -> None:
        """Write new values where the old ones lie, if nobody reads the old ones any more."""
        self.in_place: dict[Var, Var] = {}
        self.copied: list[tuple[Var, Atom]] = []
        late: dict[Var, int] = {}
        for n, step in enumerate(self.steps):
            for a in step.args:
                if isinstance(a, Var):
                    for owner in self.holds[a]:
                        late[owner] = n
        for x in self.program.results():  # other inputs may be updated with what one holds now
            for owner in self.holds[x] if isinstance(x, Var) else ():
                late[owner] = len(self.steps)
        for x, value in self.program.updates:
            ok = (
                isinstance(value, Var) and self.kind[value] == BUFFER and self.kind[x] == BOUND
                and value not in self.in_place and value not in self.inside
                and value.type[:2] == x.type[:2]
            )
            if ok:
                n = self.step_of[value]
                step = self.steps[n]
                ok = late.get(x, -1) <= n and self._may_overwrite(step, x, value)
            if ok:
                self.in_place[value] = x
                self.names[value] = self.names[x]
            else:
                self.copied.append((x, value))

    def _may_overwrite(self, step: Instruction, x: Var, value: Var) -> bool:
        """Whether a step that reads the input ``x`` may write ``value`` over it."""
        if step.op is fused:
            return self._blocks_may_overwrite(step, x, value)
        return is_elementwise(step.op) and _spread(step) is None

    def _blocks_may_overwrite(self, step: Instruction, x: Var, value: Var) -> bool:
        """Whether a loop over blocks reads the input ``x`` only where it then writes ``value``.

        Through a view, a later block could read what an earlier one has overwritten.
        """
        views = any(isinstance(a, Var) and a is not x and x in self.holds[a] for a in step.args)
        return not views and not _reads_after(step.attrs["body"], x, value)

    def layout(self) -> tuple[list[Var], list[tuple[int, Type]], int]:
        """The buffers' places in the arena."""
        program = self.program
        buffers = [x for step in self.steps for x in step.outs
                   if self.kind[x] == BUFFER and x not in self.in_place]
        owners = [x for x in buffers if x not in self.inside]
        start = {x: self.step_of[x] for x in buffers}
        for x in buffers:
            owner = self._owner(x)
            start[owner] = min(start[owner], start[x])
        index = {x: i for i, x in enumerate(owners)}
        kept = {self._owner(o) for x in program.kept if isinstance(x, Var) for o in self.holds[x]}
        lifetimes = []
        for x in owners:
            end = len(self.steps) if x in kept else self.last.get(x, start[x])
            lifetimes.append(Lifetime(x.type.nbytes, start[x], end, self._successor(x, index)))
        layout = lay_out(lifetimes)
        places = []
        for x in buffers:
            offset, y = 0, x
            while y in self.inside:
                y, part = self.inside[y]
                offset += part * x.type.dtype.itemsize
            places.append((layout.offsets[index[y]] + offset, x.type))
        return buffers, places, layout.nbytes

    def memory(self) -> tuple[dict[Var, tuple[int, int]], dict[Var, Var]]:
        """See the function of this name."""
        self.place()
        buffers, places, _ = self.layout()
        within = {x: (offset, t.nbytes) for x, (offset, t) in zip(buffers, places, strict=True)}
        return within, dict(self.in_place)

    def _successor(self, x: Var, index: Mapping[Var, int]) -> int | None:
        """The operand whose memory ``x`` may take over, if an element-wise operation makes it."""
        step = self.steps[self.step_of[x]]
        if not is_elementwise(step.op) or _spread(step) is not None:
            return None
        n = self.step_of[x]
        for a in step.args:
            if isinstance(a, Var) and a in index and self.last[a] == n and (
                a.type.nbytes == x.type.nbytes and a.type.shape == x.type.shape
                and a.type.dtype == x.type.dtype
            ):
                return index[a]
        return None

    # The lines. -------------------------------------------------------------------------------

    def known(self, name: str, value: Any) -> str:
        """A global of the source."""
        self.globals[name] = value
        return name

    def ref(self, x: Atom) -> str:
        if isinstance(x, Var):
            name = self.names[x]
            return f"{name}_now" if self.kind[x] == BOUND and not x.type.shape else name
        if isinstance(x, float) and not math.isfinite(x):
            return self.known({math.inf: "inf", -math.inf: "neginf"}.get(x, "nan"), x)
        text = repr(x)
        return f"({text})" if text.startswith("-") else text

    def literal(self, x: Any, dtype: np.dtype[Any], shape: tuple[int, ...]) -> str:
        """An array full of a Python number."""
        key = (type(x), repr(x), dtype, shape)
        if key not in self.literals:
            self.literals[key] = f"k{len(self.fixed)}"
            self.fixed.append((self.literals[key], np.full(shape, x, dtype)))
        return self.literals[key]

    def operand(self, x: Atom, dtype: np.dtype[Any], lines: list[str]) -> str:
        """``x`` as an operand of a ufunc on arrays of ``dtype``.

        A Python number costs a ufunc more than an array of shape () does.
        """
        if dtype.kind not in "fc":
            return self.ref(x)
        if not isinstance(x, Var):
            return self.literal(x, dtype, ())
        name = f"k{len(self.fixed)}"
        self.fixed.append((name, np.empty((), dtype)))
        lines.append(f"{name}[()] = {self.ref(x)}")
        return name

    def elementwise(
        self, step: Instruction, out: str, lines: list[str],
        ref: Callable[[Atom], str] | None = None,
    ) -> None:
        """Lines that compute an element-wise instruction into ``out``; in a loop, ``ref`` tells
        how it names values, and what need not be repeated goes before it."""
        fused_block = ref is not None
        before = self.lines if fused_block else lines
        ref = ref or self.ref
        arrays = [a.type.dtype for a in step.args if isinstance(a, Var) and not a.type.weak]
        literals = [a for a in step.args if not isinstance(a, Var)] + [
            0.0 for a in step.args if isinstance(a, Var) and a.type.weak]
        dtype = np.result_type(*arrays, *literals) if arrays else np.dtype(object)

        def operand(a: Atom) -> str:
            if (isinstance(a, Var) and not a.type.weak) or step.op.name == "ldexp":
                return ref(a)
            return self.operand(a, dtype, before)

        if step.op is _WHERE:
            condition, a, b = step.args
            c = ref(condition)
            lines.append(f"copyto({out}, {operand(b)})")
            lines.append(f"copyto({out}, {operand(a)}, where={c})")
            self.known("copyto", np.copyto)
            return
        ufunc = ufunc_of(step.op)
        assert ufunc is not None
        name = self.known(f"np_{ufunc.__name__}", ufunc)
        operands = [operand(a) for a in step.args]
        spread = None if fused_block else _spread(step)
        if spread is not None:
            lines.append(f"{self.known('copyto', np.copyto)}({out}, {operands[spread]})")
            operands[spread] = out
        if ufunc not in (np.maximum, np.minimum):
            lines.append(f"{name}({', '.join(operands)}, {out})")
            return
        # Against an array of numbers they take half the time that they take against one number.
        shape = step.out.type.shape
        for k, a in enumerate(step.args):
            if not isinstance(a, Var) and dtype.kind == "f" and step.out.type.size <= FULL and (
                len(shape) > 0 and not fused_block
            ):
                operands[k] = self.literal(a, dtype, shape)
        # NumPy wants the keyword, since a third array could be meant as a third operand.
        lines.append(f"{name}({', '.join(operands)}, out={out})")

    def emit(self, n: int, step: Instruction) -> None:
        """The lines of one instruction."""
        lines = self.lines
        if step.op is fused:
            self.emit_fused(n, step)
            return
        x = step.out
        kind, name = self.kind[x], self.names[x]
        if kind == VIEW:
            text = f"{name} = {self.view(n, step)}"
            (self.setup if x in self.static else lines).append(text)
        elif kind == SCALAR:
            lines.append(f"{name} = {self.scalar(n, step)}")
            if step.op.name == "callback" and step.attrs["call"].bare is not None:
                check = self.known(f"f{n}_checked", step.attrs["call"].checked)
                lines.append(f"if type({name}) is not float: {name} = {check}({name})")
        elif kind == FOREIGN:
            lines.append(f"{name} = {self.foreign(n, step)}")
        else:
            if kind == RETURNED:
                self.allocate(x)
            if is_elementwise(step.op):
                self.elementwise(step, name, lines)
            else:
                _INTO[step.op.name](self, n, step, name)

    def allocate(self, x: Var) -> None:
        dtype = self.known(f"t_{x.type.dtype.name}", x.type.dtype)
        self.known("empty", np.empty)
        self.lines.append(f"{self.names[x]} = empty({x.type.shape!r}, {dtype})")

    def view(self, n: int, step: Instruction) -> str:
        x = self.ref(step.args[0])
        attrs = step.attrs
        if step.op is unpack:
            begin, shape = attrs["begin"], step.out.type.shape
            return f"{x}[{begin}:{begin + step.out.type.size}].reshape({shape!r})"
        if step.op.name == "reshape":
            return f"{x}.reshape({step.out.type.shape!r})"
        if step.op.name == "transpose":
            return f"{x}.transpose({_axis(attrs['axes'])!r})"
        if step.op.name == "broadcast_to":
            return f"{self.known('broadcast_to', np.broadcast_to)}({x}, {step.out.type.shape!r})"
        return f"{x}[{self.known(f'i{n}', attrs['index'])}]"

    def scalar(self, n: int, step: Instruction) -> str:
        """An expression for a value of shape ()."""
        op, name, args = step.op, step.op.name, step.args
        if name in _INFIX and all(_shapeless(a) for a in args):
            text = f"{self.ref(args[0])} {_INFIX[name]} {self.ref(args[1])}"
        elif name == "negative":
            text = f"-{self.ref(args[0])}"
        elif name == "sum" and self._is_short(args[0]):
            # A product with a vector of ones takes a third of the time of a reduction.
            line = self.ref(args[0])
            if len(args[0].type.shape) > 1:
                self.setup.append(f"{line}_line = {line}.reshape(-1)")
                line = f"{line}_line"
            ones = self.literal(1, args[0].type.dtype, (args[0].type.size,))
            text = f"{self.known('dot', np.dot)}({line}, {ones})"
        elif name in _REDUCTIONS and step.attrs.get("axis") is None and args[0].type.shape:
            reduce = self.known(f"{name}_reduce", _REDUCTIONS[name].reduce)
            text = f"{reduce}({self.ref(args[0])}, None)"
        elif name == "reshape":
            text = f"{self.ref(args[0])}.reshape(())[()]"
        elif name == "matmul" and args[0].type.dtype == args[1].type.dtype:
            text = f"{self.known('dot', np.dot)}({self.ref(args[0])}, {self.ref(args[1])})"
        else:
            text = self.foreign(n, step)
            if not step.out.type.weak and name != "callback":
                text = f"{text}[()]"  # some functions return an array of shape ()
        computed = op.name in _INFIX or op.name == "callback"  # by Python: a Python number already
        if step.out.type.weak and step.out.type.dtype.kind == "f" and not computed:
            return f"float({text})"
        return text

    def _is_short(self, x: Var) -> bool:
        """Whether ``x`` has few elements, side by side in memory that lasts."""
        return x.type.dtype in _FLOATS and 0 < x.type.size <= SHORT and (
            len(x.type.shape) == 1 or (x in self.static and x in self.contiguous))

    def foreign(self, n: int, step: Instruction) -> str:
        """A call of the op's own forward function."""
        f = partial(step.op.forward, **step.attrs) if step.attrs else step.op.forward
        if step.op.name == "getitem":
            text = self.index_text(step.args[1:], step.attrs["index"], n)
            result = f"{self.ref(step.args[0])}[{text}]"
            return result
        if step.op.name == "callback":
            f = step.attrs["call"]  # what the forward function calls
            f = f.bare or f
        return f"{self.known(f'f{n}', f)}({', '.join(map(self.ref, step.args))})"

    def index_text(self, arrays: Sequence[Atom], index: Any, n: int) -> str:
        """An index as source, its arrays in their places."""
        if not arrays:
            return self.known(f"i{n}", index)
        rest = iter(arrays)
        parts = []
        for k, part in enumerate(index):
            parts.append(self.ref(next(rest)) if part is HERE else self.known(f"i{n}_{k}", part))
        return f"{', '.join(parts)}," if len(parts) > 1 else parts[0]

    def emit_fused(self, n: int, step: Instruction) -> None:
        """A loop over blocks of the arrays."""
        body: Program = step.attrs["body"]
        whole = next(i.out.type.shape for i in body.instructions if i.out.type.shape)
        inner = {x: f"x{k}" for k, x in enumerate(body.inputs)}
        cut = [x for x in body.inputs if x.type.shape == whole or (
            len(x.type.shape) == len(whole) and x.type.shape[0] != 1)]
        outs = [x for x in step.outs if x.type.shape]
        flat = all(x.type.shape in (whole, ()) and (
            x in self.contiguous or x not in self.static or not x.type.shape) for x in body.inputs)
        rows = math.prod(whole) if flat else whole[0]
        per_row = 1 if flat else math.prod(whole[1:])
        width = max((x.type.dtype.itemsize for i in body.instructions for x in i.outs), default=8)
        height = max(1, min(rows, BLOCK // max(1, per_row * width)))
        for x in outs:
            if self.kind[x] == RETURNED:
                self.allocate(x)
        # Within a block: outs go to their arrays, the rest to scratch that is used over and over.
        last: dict[Var, int] = {}
        for k, i in enumerate(body.instructions):
            for a in i.args:
                if isinstance(a, Var):
                    last[a] = k
        scratch: list[tuple[str, np.dtype[Any]]] = []
        free: dict[np.dtype[Any], list[str]] = {}
        lines: list[str] = []
        inner.update((x, f"o{k}") for k, x in enumerate(outs))

        def ref(x: Atom) -> str:
            if isinstance(x, Var) and x in inner and (x.type.shape or x not in body.inputs):
                return inner[x]
            return self.ref(x)

        for k, i in enumerate(body.instructions):
            x = i.out
            if not x.type.shape:
                total = self.names[x]
                reduce = self.known("sum_reduce", np.add.reduce)
                lines.append(f"{total} += {reduce}({ref(i.args[0])}, None)")
            else:
                dying = [a for a in dict.fromkeys(i.args) if isinstance(a, Var)
                         and last.get(a) == k and inner.get(a, "").startswith("s")]
                same = [a for a in dying if i.op is not _WHERE and a.type[:2] == x.type[:2]]
                if x in outs:
                    same = []
                elif same:
                    inner[x] = inner[same[0]]
                elif free.get(x.type.dtype):
                    inner[x] = free[x.type.dtype].pop()
                else:
                    inner[x] = f"s{len(scratch)}"
                    scratch.append((inner[x], x.type.dtype))
                self.elementwise(i, inner[x], lines, ref)
                for a in dying:
                    if a not in same[:1]:
                        free.setdefault(a.type.dtype, []).append(inner[a])
        arrays = [*cut, *outs]
        tail = (height,) if flat else (height, *whole[1:])
        spaces = [np.empty(tail, dtype) for _, dtype in scratch]
        self.scratch += sum(space.nbytes for space in spaces)

        def blocks(*arrays: Array) -> list[tuple[Array, ...]]:
            parts = [a.reshape(-1) for a in arrays] if flat else list(arrays)
            return [
                (*(a[r : r + height] for a in parts), *(s[: min(height, rows - r)] for s in spaces))
                for r in range(0, rows, height)
            ]

        make = f"{self.known(f'blocks{n}', blocks)}({', '.join(self.names[a] for a in arrays)})"
        if all(a in self.static for a in arrays):
            self.setup.append(f"w{n} = {make}")
            make = f"w{n}"
        for x in body.inputs:  # those that all blocks read whole keep their names
            if x not in cut and x.type.shape:
                self.lines.append(f"{inner[x]} = {self.names[x]}")
        for x in step.outs:
            if not x.type.shape:
                zero = self.known(f"zero_{x.type.dtype.name}", x.type.dtype.type(0))
                self.lines.append(f"{self.names[x]} = {zero}")
        each = ", ".join([*(inner[x] for x in arrays), *(name for name, _ in scratch)])
        self.lines.append(f"for {each}, in {make}:")
        self.lines += [f"    {line}" for line in lines]

    def finish(self) -> Executable:
        self.place()
        buffers, places, nbytes = self.layout()
        for n, step in enumerate(self.steps):
            self.emit(n, step)
        self.finish_run()
        bound = [self.names[x] for x in self.program.inputs[self.n_arguments:]]
        arguments = [self.names[x] for x in self.program.inputs[: self.n_arguments]]
        parameters = [*bound, *(name for name, _ in self.fixed), *(self.names[x] for x in buffers)]
        kept = ", ".join(self.ref(x) for x in self.program.kept)
        # A kept scalar is a local of the run: it is stored for whoever asks later.
        loose = dict.fromkeys(self.names[x] for x in self.program.kept
                              if isinstance(x, Var) and x not in self.static)
        if loose:
            self.lines.insert(0, f"global {', '.join(loose)}")
            self.setup += [f"{name} = None" for name in loose]
        # Globals, not cells of a closure: CPython takes quadratic time to compile many of those.
        text = [*self.setup, f"def run({', '.join(arguments)}):"]
        text += [f"    {line}" for line in self.lines]
        text.append("def kept(i):")
        text.append(f"    return ({kept}{',' if kept else ''})[i]")
        return Executable(
            "\n".join(text), self.globals, parameters, [value for _, value in self.fixed], places,
            nbytes, self.scratch,
        )

    def finish_run(self) -> None:
        """Results that need a copy get it before the inputs change, which may be copies of each
        other."""
        updated = {x for x, _ in self.copied}
        for x in self.program.inputs:
            if self.kind[x] == BOUND and not x.type.shape:  # what it holds before the update
                self.lines.insert(0, f"{self.ref(x)} = {self.names[x]}[()]")
        returned = []
        for n, y in enumerate(self.program.outputs):
            text = self.ref(y)
            if isinstance(y, Var) and y.type.shape and self.kind[y] != RETURNED:
                self.lines.append(f"r{n} = {text}.copy()")
                text = f"r{n}"
            elif isinstance(y, Var) and not y.type.shape and not y.type.weak:
                text = f"{text}[()]"  # what was given, or is known, may be an array of shape ()
            returned.append(text)
        moves = []
        for n, (x, value) in enumerate(self.copied):
            text = self.ref(value)
            if isinstance(value, Var) and value.type.shape and (
                self.holds[value] & updated - {x}
            ):
                self.lines.append(f"u{n} = {text}.copy()")
                text = f"u{n}"
            moves.append(f"{self.known('copyto', np.copyto)}({self.names[x]}, {text})")
        self.lines += moves
        self.lines.append(f"return ({''.join(f'{text}, ' for text in returned)})")


def _spread(step: Instruction) -> int | None:
    """Which operand of an element-wise operation is to be copied into the result first.

    NumPy broadcasts small arrays, and makes numbers of truth values, faster when it copies than
    when it computes.
    """
    if len(step.args) != 2 or not all(isinstance(a, Var) for a in step.args):
        return None
    whole = step.out.type
    types = [a.type for a in step.args]
    for k, (t, other) in enumerate(zip(types, reversed(types), strict=True)):
        if other.shape != whole.shape or other.dtype != whole.dtype or t.shape == ():
            continue
        if t.dtype == whole.dtype and t.shape != whole.shape and whole.size <= SHORT:
            return k
        if t.dtype.kind == "b" and whole.dtype in _FLOATS and t.shape == whole.shape:
            return k
    return None


def _shapeless(x: Atom) -> bool:
    return not isinstance(x, Var) or not x.type.shape


def _reads_after(body: Program, x: Var, value: Var) -> bool:
    """Whether a fused body reads ``x`` after it made ``value``."""
    made = False
    for instruction in body.instructions:
        if made and x in instruction.args:
            return True
        made = made or value in instruction.outs
    return False


def _updates_last(program: Program) -> list[Instruction]:
    """The instructions, those that only updates need after all others.

    An update overwrites its input: what reads the input comes before, and so does what may raise.
    """
    needed = {x for x in (*program.outputs, *program.kept) if isinstance(x, Var)}
    first: list[Instruction] = []
    last: list[Instruction] = []
    for step in reversed(program.instructions):
        if not step.op.pure or any(x in needed for x in step.outs):
            needed.update(a for a in step.args if isinstance(a, Var))
            first.append(step)
        else:
            last.append(step)
    return first[::-1] + last[::-1]


# Operations that write into a given array. ------------------------------------------------------

_Emitter = Callable[[_Writer, int, Instruction, str], None]
_INTO: dict[str, _Emitter] = {}


def _into(*names: str) -> Callable[[_Emitter], _Emitter]:
    def enter(emitter: _Emitter) -> _Emitter:
        for name in names:
            _INTO[name] = emitter
        return emitter

    return enter


@_into("matmul")
def _matmul(w: _Writer, n: int, step: Instruction, out: str) -> None:
    a, b = step.args
    plain = a.type.dtype == b.type.dtype and max(len(a.type.shape), len(b.type.shape)) <= 2
    # For matrices np.dot is the same product with half the overhead.
    f = w.known("dot", np.dot) if plain else w.known("matmul", np.matmul)
    w.lines.append(f"{f}({w.ref(a)}, {w.ref(b)}, {out})")


def _axis(axis: Any) -> Any:
    """An axis as Python's integers, which read the same in the source."""
    if isinstance(axis, tuple):
        return tuple(map(int, axis))
    return None if axis is None else int(axis)


@_into("sum", "max", "min", "prod")
def _reduction(w: _Writer, n: int, step: Instruction, out: str) -> None:
    name, (x,) = step.op.name, step.args
    axis, keepdims = _axis(step.attrs["axis"]), bool(step.attrs["keepdims"])
    shape, dtype = x.type.shape, x.type.dtype
    one = axis[0] if isinstance(axis, tuple) and len(axis) == 1 else axis
    if name == "sum" and len(shape) == 2 and isinstance(one, int) and dtype in _FLOATS and (
        one % 2 == 0 or shape[1] <= SHORT
    ) and 0 not in shape and step.out.type.dtype == dtype:
        length = shape[one % 2]
        ones = w.literal(1, dtype, (length,))
        target = out
        if keepdims:
            target = f"{out}_line"
            line = f"{target} = {out}.reshape(-1)"
            (w.setup if step.out in w.static else w.lines).append(line)
        pair = (ones, w.ref(x)) if one % 2 == 0 else (w.ref(x), ones)
        w.lines.append(f"{w.known('dot', np.dot)}({pair[0]}, {pair[1]}, {target})")
        return
    reduce = w.known(f"{name}_reduce", _REDUCTIONS[name].reduce)
    w.lines.append(f"{reduce}({w.ref(x)}, {axis!r}, None, {out}, {keepdims!r})")


@_into("cumsum")
def _cumsum(w: _Writer, n: int, step: Instruction, out: str) -> None:
    f = w.known("add_accumulate", np.add.accumulate)
    w.lines.append(f"{f}({w.ref(step.args[0])}, {_axis(step.attrs['axis'])!r}, None, {out})")


@_into("astype", "astype_discrete")
def _astype(w: _Writer, n: int, step: Instruction, out: str) -> None:
    copyto = w.known("copyto", np.copyto)
    w.lines.append(f"{copyto}({out}, {w.ref(step.args[0])}, casting='unsafe')")


@_into("standard_normal", "standard_uniform", "standard_gamma")
def _draw(w: _Writer, n: int, step: Instruction, out: str) -> None:
    attrs = step.attrs
    dtype = w.known(f"t_{attrs['dtype'].name}", attrs["dtype"])
    method = {"standard_uniform": "random"}.get(step.op.name, step.op.name)
    draw = w.known(f"draw{n}", getattr(attrs["stream"].generator, method))
    parameters = "".join(f"{w.ref(x)}, " for x in step.args)
    w.lines.append(f"{draw}({parameters}{attrs['shape']!r}, {dtype}, {out})")


@_into("reshape")
def _reshape(w: _Writer, n: int, step: Instruction, out: str) -> None:
    (x,) = step.args
    copyto = w.known("copyto", np.copyto)
    target = f"{out}_as"
    line = f"{target} = {out}.reshape({x.type.shape!r})"
    (w.setup if step.out in w.static else w.lines).append(line)
    w.lines.append(f"{copyto}({target}, {w.ref(x)})")


@_into("broadcast_to")
def _broadcast(w: _Writer, n: int, step: Instruction, out: str) -> None:
    (x,) = step.args
    if _shapeless(x):
        w.lines.append(f"{out}.fill({w.ref(x)})")
    else:
        w.lines.append(f"{w.known('copyto', np.copyto)}({out}, {w.ref(x)})")


_into("transpose")(_broadcast)  # of what is not in memory: a scalar


@_into("where")
def _where(w: _Writer, n: int, step: Instruction, out: str) -> None:
    w.elementwise(step, out, w.lines)


@_into("concatenate")
def _concatenate(w: _Writer, n: int, step: Instruction, out: str) -> None:
    f = w.known("concatenate", np.concatenate)
    parts = "".join(f"{w.ref(x)}, " for x in step.args)
    w.lines.append(f"{f}(({parts}), {_axis(step.attrs['axis'])!r}, {out})")


@_into("pack")
def _pack(w: _Writer, n: int, step: Instruction, out: str) -> None:
    offset = 0
    for k, x in enumerate(step.args):
        if w.inside.get(x) != (step.out, offset):  # it may also be packed in other places
            target = f"{out}_{k}"
            end = offset + x.type.size
            line = f"{target} = {out}[{offset}:{end}].reshape({x.type.shape!r})"
            (w.setup if step.out in w.static else w.lines).append(line)
            w.lines.append(f"{w.known('copyto', np.copyto)}({target}, {w.ref(x)})")
        offset += x.type.size


@_into("scatter")
def _scatter(w: _Writer, n: int, step: Instruction, out: str) -> None:
    v, *arrays = step.args
    index = step.attrs["index"]
    text = w.index_text(arrays, index, n)
    w.lines.append(f"{out}.fill(0)")
    if _names_once(w.program, arrays):
        w.lines.append(f"{out}[{text}] = {w.ref(v)}")
    else:
        w.lines.append(f"{w.known('add_at', np.add.at)}({out}, ({text}), {w.ref(v)})")


def _names_once(program: Program, arrays: Sequence[Var]) -> bool:
    """Whether an index names no element twice: masks cannot, nor one with a constant part whose
    elements all differ."""
    if all(a.type.dtype == np.bool_ for a in arrays):
        return True
    for a in arrays:
        known = program.constants.get(a)
        if known is not None and known.ndim == 1 and len(known) == max(
            x.type.size for x in arrays
        ) and (known >= 0).all() and len(np.unique(known)) == len(known):
            return True
    return False


@_into("set")
def _set(w: _Writer, n: int, step: Instruction, out: str) -> None:
    x, v, *arrays = step.args
    text = w.index_text(arrays, step.attrs["index"], n)
    w.lines.append(f"{w.known('copyto', np.copyto)}({out}, {w.ref(x)})")
    w.lines.append(f"{out}[{text}] = {w.ref(v)}")


