"""Where gradients flow and where they stop."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..node import Array
from ..op import Case, Jointly, case, define, same, zero

identity = define(
    "identity", lambda x: x, (lambda g, y, x: g,), "x",
    cases=(case((2, 3)), case(()), case((0, 1))),
    takes_complex=True,
)
stop_gradient = define("stop_gradient", lambda x: x, None, "x, as a constant")
#: What keeps a second computation from being merged with the first, and from being done early.
barrier = define(
    "barrier", lambda x, after: x, (same, zero), "x, once the other value is there",
    cases=(case((2, 3), (4,)), case((), (2,)), case((0, 1), ())),
    takes_complex=True,
)


class _Square:
    """The rule of a square, for the tests."""

    def pull(self, needed: Sequence[int], g: Array, y: Array, xs: Sequence[Array]) -> list[Any]:
        return [g * (2 * xs[0]) if i == 0 else None for i in needed]

    def __repr__(self) -> str:
        return "square"


#: The last input, of which the others are told the gradient by a rule that the call brings along.
custom_vjp = define(
    "custom_vjp", lambda *xs, call: xs[-1],
    Jointly(lambda needed, g, y, *xs, call: call.pull(needed, g, y, xs)),
    "y, with a rule of its own for the other inputs",
    cases=tuple(Case((shape,), {"call": _Square()}, lambda x: (x, stop_gradient(x * x)))
                for shape in ((2, 3), (), (0, 1))),
)
