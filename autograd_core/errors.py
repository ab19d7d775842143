"""What can go wrong, by name.

Each error subclasses the builtin a NumPy user would catch, and its message names the operation,
the operands, the place in the caller's code, and what to write instead.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from os.path import basename, dirname
from types import CodeType
from typing import Any, NamedTuple

import numpy as np

__all__ = [
    "CompileError",
    "ConversionError",
    "GradientCheckError",
    "GradientError",
    "MissingRuleError",
    "MutationError",
    "NonFiniteError",
    "Place",
    "RenderError",
    "ShapeError",
    "StaleGraphError",
    "caller",
    "describe",
    "explain",
    "place",
]


class ShapeError(ValueError):
    """Operands whose shapes do not fit the operation."""


class GradientError(TypeError):
    """A gradient that does not exist: of integers, of a non-scalar without a seed, ..."""


class ConversionError(TypeError):
    """A conversion to plain Python or NumPy that would cut a gradient off silently."""


class CompileError(TypeError):
    """Something that a compiled function cannot do, such as a decision by a value it computes."""


class MutationError(TypeError):
    """An attempt to write into a Tensor, or from a Tensor into an array."""


class MissingRuleError(NotImplementedError):
    """A function that has no derivative rule here, or none for the argument asked for."""


class StaleGraphError(RuntimeError):
    """A value was replaced after the graph had been computed from it."""


class NonFiniteError(FloatingPointError):
    """An operation made nan or inf out of finite values, and it reached a result or a gradient.

    ``node``: the node of the operation. ``input``: None if computing its value did it; otherwise
    the number of the input whose cotangent did. ``path``: the nodes from there to the output.
    ``place``: the line that made the node, ``train.py:17`` as text; None if that was before the
    block. ``graph``: the path as a :class:`Graph` to be drawn, with what comes in from the side as
    leaves; of a long path its two ends.
    """

    def __init__(
        self, message: str, *, node: Any, input: int | None, path: tuple[Any, ...],
        place: Place | None, draw: Callable[[], Any],
    ) -> None:
        super().__init__(message)
        self.node, self.input, self.path, self.place = node, input, path, place
        self._draw = draw

    @property
    def graph(self) -> Any:
        return self._draw()


class GradientCheckError(AssertionError):
    """The analytical and the numerical derivative differ; ``check`` holds both."""

    def __init__(self, message: str, check: Any = None) -> None:
        super().__init__(message)
        #: The :class:`GradientCheck` that failed.
        self.check = check


class RenderError(ValueError):
    """A picture that cannot be made."""


#: Frames in these folders are not the caller's: ours, and NumPy's on the way to us.
_INSIDE = (dirname(__file__), dirname(np.__file__))


def caller() -> str:
    """The nearest place outside this package and NumPy, as ``train.py:17``.

    Built only when raising.
    """
    frame = sys._getframe(1)
    while frame is not None:
        name = frame.f_code.co_filename
        if not name.startswith(_INSIDE):
            return f"{basename(name)}:{frame.f_lineno}"
        frame = frame.f_back  # type: ignore[assignment]
    return "unknown place"


class Place(NamedTuple):
    """A line of source code; as text, ``train.py:17``."""

    code: CodeType
    line: int

    def __str__(self) -> str:
        return f"{basename(self.code.co_filename)}:{self.line}"


_is_inside: dict[CodeType, bool] = {}


def place() -> Place:
    """The nearest place outside this package and NumPy: cheaper than its text, for every node."""
    frame = sys._getframe(1)
    while True:
        code = frame.f_code
        inside = _is_inside.get(code)
        if inside is None:
            inside = _is_inside[code] = code.co_filename.startswith(_INSIDE)
        if not inside or frame.f_back is None:
            return Place(code, frame.f_lineno)
        frame = frame.f_back


def describe(value: Any) -> str:
    """An operand as an error shows it: ``float32(2, 3)`` for arrays, the value for scalars."""
    shape, dtype = getattr(value, "shape", None), getattr(value, "dtype", None)
    if shape is None or dtype is None:
        text = repr(value)
        return text if len(text) <= 60 else f"{type(value).__name__} {text[:50]}..."
    return f"{dtype}{tuple(shape)}"


def explain(
    name: str, inputs: Sequence[Any], attrs: Mapping[str, Any], cause: Exception
) -> Exception:
    """The error to raise in place of NumPy's ``cause`` from ``name(*inputs, **attrs)``.

    It is of a kind that a handler written for NumPy's own error catches.
    """
    call = ", ".join([describe(x) for x in inputs] + [f"{k}={v!r}" for k, v in attrs.items()])
    reason = _reason(name, inputs, str(cause)) or cause
    message = f"{name}({call}): {reason} (at {caller()})"
    for kind in (np.exceptions.AxisError, np.linalg.LinAlgError, IndexError, TypeError):
        if isinstance(cause, kind):
            return kind(message)
    return ShapeError(message)


def _reason(name: str, inputs: Sequence[Any], cause: str) -> str | None:
    """What is wrong with the shapes, and the likely fix, where we can tell better than NumPy."""
    if len(inputs) != 2:
        return None
    a, b = (tuple(getattr(x, "shape", ())) for x in inputs)
    if name == "matmul":
        if not a or not b:
            return "matmul needs at least one axis on each side; did you mean `*`?"
        inner = b[-2] if len(b) > 1 else b[-1]
        if a[-1] != inner:
            reason = f"{a} @ {b}: inner sizes {a[-1]} and {inner} differ"
            if len(b) > 1 and a[-1] == b[-1]:
                return f"{reason}; did you mean `x @ w.T`?"
            if len(a) > 1 and a[-2] == inner:
                return f"{reason}; did you mean `x.T @ w`?"
            return reason
        return None
    if "operands could not be broadcast together" not in cause:
        return None  # not an element-wise operation
    for axis, (m, n) in enumerate(zip(reversed(a), reversed(b), strict=False), start=1):
        if m != n and 1 not in (m, n):
            return (
                f"shapes {a} and {b} do not broadcast: axis -{axis} has sizes {m} and {n}; "
                "reshape one of them or add an axis with `x[:, None]`"
            )
    return None
