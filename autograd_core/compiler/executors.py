"""The seam behind which executors stand: what makes a callable of a program, by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any, NamedTuple

from . import numpy_executor
from .passes import PASSES, Pass
from .program import Program, Var

__all__ = ["EXECUTORS", "Executor", "Memory"]

Memory = Callable[[Program, int | None], tuple[dict[Var, tuple[int, int]], dict[Var, Var]]]


class Executor(NamedTuple):
    """``passes`` make of a program what it runs. ``prepare(program, n_arguments)`` gives what is
    called with the first inputs and bound to the others. ``memory`` tells where values lie."""

    passes: Sequence[tuple[str, Pass]]
    prepare: Callable[..., Any]
    memory: Memory


def _native() -> Executor:
    try:
        native = import_module(".native", __package__)
    except ModuleNotFoundError as missing:
        if missing.name != "llvmlite":
            raise
        raise ModuleNotFoundError(
            "compile: executor='native' needs llvmlite; pip install 'autograd-core[native]', or "
            "use executor='numpy'", name="llvmlite",
        ) from None
    return Executor(native.PASSES, native.prepare, native.memory)


#: By name: a function that gives an executor, and raises where something that it needs is missing.
EXECUTORS: dict[str, Callable[[], Executor]] = {
    "numpy": lambda: Executor(PASSES, numpy_executor.prepare, numpy_executor.memory),
    "native": _native,
}
