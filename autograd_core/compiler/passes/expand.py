"""Composites become the elementary ops they are computed with.

So that an executor computes everything with ``out=`` in buffers of its own, fuses over what used to
be the borders of an op, and the forward and the backward pass share what both compute.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ...op import OPS
from ..program import Atom, Program, Var, substitute
from .sketch import Sketch, Value, lower


def _power(x: Any, n: Any) -> Any:
    """Small powers as products; to rounding, since a product rounds more than once."""
    if not isinstance(x, Value) or x.dtype.kind != "f" or isinstance(n, (Value, bool, complex)):
        return None
    if n == 1:
        return x
    if n == -1:
        return 1 / x
    if n == 2:
        return x * x
    if n == 3:
        return x * x * x
    if n == 4:
        square = x * x
        return square * square
    # NumPy does this for arrays; for scalars it does not, and 0.5 differs at -0.0 and -inf.
    return np.sqrt(x) if n == 0.5 and x.shape else None


def _forward(name: str) -> Callable[..., Any]:
    """A composite's own forward function: it is written in NumPy functions, so that it takes
    stand-ins as well as arrays. What it does with complex numbers stays as it is.
    """
    forward = OPS[name].forward
    return lambda x, **attrs: None if x.dtype.kind == "c" else forward(x, **attrs)


#: What to put in place of an op: a function of stand-ins, or of None to leave it as it is.
EXPANSIONS: Mapping[str, Callable[..., Any]] = {
    "identity": OPS["identity"].forward,
    "stop_gradient": OPS["stop_gradient"].forward,
    "custom_vjp": OPS["custom_vjp"].forward,
    "relu": _forward("relu"),
    "sigmoid": _forward("sigmoid"),
    "softplus": _forward("softplus"),
    "softmax": _forward("softmax"),
    "log_softmax": _forward("log_softmax"),
    "logsumexp": _forward("logsumexp"),
    # Half precision, which NumPy averages in single precision, stays as it is.
    "mean": lambda x, axis, keepdims:
        OPS["mean"].forward(x, axis, keepdims) if x.dtype.itemsize >= 4 else None,
    "square": lambda x: x * x if x.dtype.kind != "b" else None,
    "reciprocal": lambda x: 1 / x if x.dtype.kind == "f" else None,
    "power": _power,
    "astype": lambda x, dtype: x if x.dtype == dtype else None,
    "astype_discrete": lambda x, dtype: x if x.dtype == dtype else None,
}


def expand(program: Program) -> Program:
    """Without the ops in ``EXPANSIONS``, but for those that cannot be expanded."""
    sketch = Sketch()
    new: dict[Var, Atom] = {}
    names = dict(program.names)
    for instruction in program.instructions:
        expansion = EXPANSIONS.get(instruction.op.name)
        args = tuple([new.get(x, x) if isinstance(x, Var) else x for x in instruction.args])
        if expansion is not None and instruction.op is OPS.get(instruction.op.name) and not any(
            x.type.weak for x in args if isinstance(x, Var)
        ):
            begin = len(sketch.instructions)
            y = lower(expansion(*map(sketch.lift, args), **instruction.attrs))
            if isinstance(y, Var) and y.type == instruction.out.type:
                new[instruction.out] = y
                if instruction.out in names:
                    names.setdefault(y, names[instruction.out])
                continue
            del sketch.instructions[begin:]
        sketch.add(instruction.with_args(args) if args != instruction.args else instruction)
    if not new:
        return program
    return substitute(program.replace(instructions=tuple(sketch.instructions), names=names), new)
