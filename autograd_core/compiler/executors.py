"""The seam behind which executors stand: what makes a callable of a program, by name.

An executor is its passes and a function ``prepare(program, n_arguments)`` whose result is called
with the first ``n_arguments`` inputs and bound to the others.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any, TypeAlias

from . import numpy_executor
from .passes import PASSES, Pass

__all__ = ["EXECUTORS"]

Executor: TypeAlias = tuple[Sequence[tuple[str, Pass]], Callable[..., Any]]


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
    return native.PASSES, native.prepare


#: By name: a function that gives an executor, and raises where something that it needs is missing.
EXECUTORS: dict[str, Callable[[], Executor]] = {
    "numpy": lambda: (PASSES, numpy_executor.prepare), "native": _native,
}
