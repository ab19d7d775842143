"""The native executor: the NumPy executor, which calls kernels of machine code.

A kernel reads and writes the buffers of the plan where they lie; its own values live in a block
that all kernels of the plan use by turns. Its source line is one call, of what differs from call to
call::

    if kernel12(a0, a1, v31) is False: kernel12_again(kernel12_static, a0, a1, v31)

It refuses arrays whose elements do not lie side by side, and indices that name nothing, before it
has done anything: the second call copies the one, and has NumPy say what is wrong with the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...node import Array
from ..numpy_executor import (
    ARGUMENT,
    BOUND,
    BUFFER,
    FOREIGN,
    RETURNED,
    SCALAR,
    Executable,
    _Writer,
)
from ..program import Instruction, Program, Var, interpret
from .kernels import kernel
from .machine import Kernel, Operands, block, kernel_function
from .schedule import Schedule

__all__ = ["memory", "prepare"]


def prepare(program: Program, n_arguments: int | None = None) -> Executable:
    """An executable of ``program``, as that of the NumPy executor."""
    return _NativeWriter(program, n_arguments).finish()


def memory(
    program: Program, n_arguments: int | None = None
) -> tuple[dict[Var, tuple[int, int]], dict[Var, Var]]:
    """Where the values would lie that are not a kernel's own; see that of the NumPy executor."""
    return _NativeWriter(program, n_arguments).memory()


class _NativeWriter(_Writer):
    def __init__(self, program: Program, n_arguments: int | None) -> None:
        super().__init__(program, n_arguments)
        self.schedules = {n: Schedule(step.attrs["body"])
                          for n, step in enumerate(self.steps) if step.op is kernel}
        #: What all kernels keep their own values in, by turns.
        self.block = block(max((s.nbytes for s in self.schedules.values()), default=0))
        self.scratch = self.block.nbytes if self.schedules else 0
        #: Scalars that a kernel has made, where they lie.
        self.cells: dict[Var, str] = {}

    def _kind_of(self, step: Instruction, x: Var) -> int:
        if step.op is kernel:
            return BUFFER if x.type.shape else SCALAR
        return super()._kind_of(step, x)

    def _may_overwrite(self, step: Instruction, x: Var, value: Var) -> bool:
        if step.op is not kernel:
            return super()._may_overwrite(step, x, value)
        n = self.step_of[value]
        # What comes later may raise, and a parameter would be changed already.
        return all(
            later.op is kernel or self.kind[later.outs[0]] not in (FOREIGN, SCALAR)
            for later in self.steps[n + 1:]
        ) and self.schedules[n].may_overwrite(x, value)

    def emit(self, n: int, step: Instruction) -> None:
        if step.op is not kernel:
            super().emit(n, step)
            return
        schedule = self.schedules[n]
        table: dict[Var, str] = {}
        passed: dict[Var, tuple[str, bool]] = {}
        for x in step.args:
            kind, name = self.kind[x], self.names[x]
            if x in self.cells:
                table[x] = self.cells[x]
            elif not x.type.shape and not (kind == BOUND and x in self.static):
                if x.type.weak and kind == SCALAR and x not in self.static:
                    passed[x] = name, True
                else:
                    table[x] = self._cell(x)
                    # At each call: what is bound may be storage that another plan updates.
                    self.lines.append(f"{table[x]}[()] = {self.ref(x)}")
            elif kind in (ARGUMENT, FOREIGN, RETURNED) or x not in self.static:
                passed[x] = name, False
            elif x in self.contiguous:
                table[x] = name
            else:
                table[x] = f"{name}_rows"
                rows = self.known("ascontiguousarray", np.ascontiguousarray)
                self.setup.append(f"{name}_rows = {rows}({name})")
        for x in step.outs:
            if self.kind[x] == RETURNED:
                self.allocate(x)
                passed[x] = self.names[x], False
            elif not x.type.shape:
                table[x] = self.cells[x] = self._cell(x)
            else:
                table[x] = self.names[x]
        operands = Operands(tuple(table), tuple((x, number) for x, (_, number) in passed.items()))
        made = kernel_function(schedule, operands, self.block)
        names = ", ".join(table.values())
        self.setup += [
            f"kernel{n}_static = ({names}{',' if names else ''})",
            f"{self.known(f'kernel{n}_locate', made.locate)}(kernel{n}_static)",
        ]
        given = ", ".join(name for name, _ in passed.values())
        call = self.known(f"kernel{n}", made.run)
        retry = self.known(f"kernel{n}_again", _Again(made, step, operands))
        self.lines.append(f"if {call}({given}) is False: {retry}(kernel{n}_static, {given})")
        for x in step.outs:
            if not x.type.shape:
                self.lines.append(f"{self.names[x]} = " + (
                    f"{self.cells[x]}.item()" if x.type.weak else f"{self.cells[x]}[()]"))

    def _cell(self, x: Var) -> str:
        name = f"k{len(self.fixed)}"
        self.fixed.append((name, np.zeros((), x.type.dtype)))
        return name


class _Again:
    """What a call of a kernel does that has been refused."""

    def __init__(self, made: Kernel, step: Instruction, operands: Operands) -> None:
        self.kernel, self.step, self.operands = made, step, operands

    def __call__(self, statics: Sequence[Array], *given: Any) -> None:
        outs = set(self.step.outs)
        ordered = [
            x if number or var in outs else np.require(x, var.type.dtype, ["C", "A"])
            for x, (var, number) in zip(given, self.operands.passed, strict=True)
        ]
        if self.kernel.run(*ordered) is not False:
            return
        values = dict(zip(self.operands.fixed, statics, strict=True))
        values.update(zip((x for x, _ in self.operands.passed), ordered, strict=True))
        body: Program = self.step.attrs["body"]
        results, _ = interpret(body, [values[x] for x in body.inputs])
        for x, result in zip(self.step.outs, results, strict=True):
            values[x][...] = result
