"""The reference executor: a program evaluated op after op with the forward functions of its ops.

Slow and simple: what other executors are tested against.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .program import Program, interpret

__all__ = ["Interpreter", "prepare"]


class Interpreter:
    """A program behind the seam of executors. See :func:`prepare`."""

    def __init__(self, program: Program, n_arguments: int) -> None:
        self._program = program.replace(outputs=(*program.outputs, *program.kept))
        self._n_outputs = len(program.outputs)
        self._bound: list[Any] = []
        self._kept: list[Any] = []
        rest = program.inputs[n_arguments:]
        self._targets = [rest.index(x) for x, _ in program.updates]
        self.source = str(program)
        self.peak_bytes = sum(x.type.nbytes for i in program.instructions for x in i.outs)

    def bind(self, arrays: Sequence[Any]) -> None:
        """Give the arrays for the inputs after the arguments; updated ones are written into."""
        self._bound = list(arrays)

    def run(self, *arguments: Any) -> tuple[Any, ...]:
        """One call: the outputs."""
        bound = [x[()] if isinstance(x, np.ndarray) else x for x in self._bound]
        outputs, updates = interpret(self._program, (*arguments, *bound))
        outputs = [_own(x) for x in outputs]
        updates = [_own(x) for x in updates]
        for i, value in zip(self._targets, updates, strict=True):
            self._bound[i][...] = value
        self._kept = outputs[self._n_outputs:]
        return tuple(outputs[:self._n_outputs])

    __call__ = run

    def kept(self, i: int) -> Any:
        """Kept value ``i`` of the last run."""
        return self._kept[i]


def _own(x: Any) -> Any:
    return x.copy()[()] if isinstance(x, np.ndarray) else x


def prepare(program: Program, n_arguments: int) -> Interpreter:
    """An executor of ``program``, whose first ``n_arguments`` inputs are given at each call."""
    return Interpreter(program, n_arguments)
