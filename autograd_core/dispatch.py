"""NumPy's two protocols: what happens when a NumPy function meets a Tensor.

The only file that knows them (NEP 13 ``__array_ufunc__``, NEP 18 ``__array_function__``). A call
is looked up in the tables of ``op`` and ends in ops that record themselves, in an answer about
shape or dtype, or in an error that says what to write instead. Nothing falls through to NumPy's
own implementation, which would build object arrays or lose the graph.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np

from .errors import MissingRuleError, MutationError, caller
from .node import Node
from .op import (
    FUNCTIONS,
    METADATA,
    NO_RULE,
    REFUSED,
    UFUNC_METHODS,
    UFUNCS,
    Op,
    load_special,
)
from .ops.products import along_core_axes
from .ops.shaping import astype

_NO_ATTRS: Mapping[str, Any] = {}
#: What records the op that a ufunc is, on one or two operands that need no further look; it
#: returns NotImplemented for others. The table of ufuncs, by way of Tensor's own operators.
DIRECT: dict[np.ufunc, Callable[..., Any]] = {}
#: Operands that need no further look.
_ORDINARY = (Node, np.ndarray, int, float, np.generic)
#: Functions of the values, though what they return is no array.
_READING = frozenset((
    np.array_equal, np.array_equiv, np.allclose, np.array_repr, np.array_str, np.array2string,
))
#: Libraries whose objects wrap arrays, and copy them on the way: a Tensor's copy is a node there.
_CONTAINERS = ("xarray",)
#: Functions that make an array from nothing but are told whose kind with ``like=``.
_LIKE = (np.eye, np.arange, np.zeros, np.ones, np.empty, np.full, np.identity, np.tri)


def is_foreign(x: Any) -> bool:
    """Whether ``x`` is of a container type that wraps arrays (xarray, pandas) and goes first.

    Such types speak the ufunc protocol only; the array types that a Tensor may hold (CuPy,
    Dask) speak both.
    """
    kind = type(x)
    return (
        hasattr(kind, "__array_ufunc__")
        and not hasattr(kind, "__array_function__")
        and not isinstance(x, np.generic)
    )


def copied_by_a_container() -> bool:
    """Whether ``copy.deepcopy``, which is running, was called by a library of such containers.

    Not by the user, who asks for a leaf of its own.
    """
    frame = sys._getframe(2)
    while frame.f_back is not None and frame.f_globals.get("__name__") == "copy":
        frame = frame.f_back
    return str(frame.f_globals.get("__name__")).partition(".")[0] in _CONTAINERS


def array_ufunc(self: Node, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
    """``Tensor.__array_ufunc__``."""
    if not options and method == "__call__" and ufunc in DIRECT:
        result = DIRECT[ufunc](*inputs)
        if result is not NotImplemented:
            return result
    if len(inputs) > 1:  # a single operand is a Tensor
        for x in inputs:
            if not isinstance(x, _ORDINARY) and is_foreign(x):
                return NotImplemented
    if method == "__call__" and not options:
        implementation = UFUNCS.get(ufunc)
        if type(implementation) is Op:
            return self.record(implementation, inputs, _NO_ATTRS)  # type: ignore[attr-defined]
        if implementation is not None:
            return implementation(*inputs)
    out = options.pop("out", None)
    if out is not None and any(x is not None for x in out):
        raise MutationError(
            f"{ufunc.__name__}: out= (or an in-place operator such as `a += t`) would write a "
            f"Tensor into a plain array and lose its graph (at {caller()}); "
            f"write `a = a + t`, or `y = np.{ufunc.__name__}(...)`"
        )
    if method == "__call__":
        implementation = UFUNCS.get(ufunc) or _loaded_late(ufunc)
        if implementation is not None:
            return _call_ufunc(ufunc, implementation, inputs, options)
    elif method == "at":
        name, value = ufunc.__name__, ", value" if ufunc.nin > 1 else ""
        raise MutationError(
            f"{name}.at writes into its first argument, which would lose the graph (at "
            f"{caller()}); use `y = x.at[index]."
            + ("add(value)`" if ufunc is np.add else f"apply(np.{name}{value})`")
            + ", with `x = ag.tensor(x)` if x is a plain array"
        )
    else:
        implementation = UFUNC_METHODS.get((ufunc, method))
        if implementation is not None:
            return implementation(*inputs, **options)
    name = ufunc.__name__ if method == "__call__" else f"{ufunc.__name__}.{method}"
    raise _refusal(ufunc, name)


def _loaded_late(ufunc: np.ufunc) -> Any:
    """What a ufunc of SciPy does: those are entered when the first of them meets a Tensor."""
    if "scipy.special" not in sys.modules:
        return None
    load_special()
    return UFUNCS.get(ufunc)


def _call_ufunc(
    ufunc: np.ufunc, implementation: Any, inputs: tuple[Any, ...], options: dict[str, Any]
) -> Any:
    if options:
        dtype, casting = options.pop("dtype", None), options.pop("casting", "same_kind")
        for option in ("order", "subok"):  # of the memory and the type of the result
            options.pop(option, None)
        if options.get("where") is True:
            options.pop("where")
        if ufunc.signature is not None:
            placing = {name: options.pop(name) for name in ("axes", "axis", "keepdims")
                       if name in options}
            if placing:
                implementation = partial(along_core_axes, ufunc, implementation, **placing)
        if options:
            raise NotImplementedError(
                f"{ufunc.__name__}: {', '.join(sorted(options))}= is not supported on Tensors"
                + ("; use `np.where(condition, f(x), y)`" if "where" in options else "")
            )
        if dtype is not None:
            # NumPy says what it does not cast: of operands that hold nothing.
            ufunc(*(np.empty((0, 0), x.dtype) if hasattr(x, "dtype") else x for x in inputs),
                  dtype=dtype, casting=casting)
            inputs = tuple(astype(x, dtype) if hasattr(x, "dtype") else x for x in inputs)
    return implementation(*inputs)


def array_function(
    self: Node, function: Any, types: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """``Tensor.__array_function__``."""
    implementation = FUNCTIONS.get(function)
    if implementation is not None:
        return implementation(*args, **kwargs)
    if function in METADATA:
        if function in _READING:
            for x in (*args, *kwargs.values()):
                if isinstance(x, Node):
                    x.read(f"np.{function.__name__}")  # type: ignore[attr-defined]
        args = tuple(_values(x) for x in args)
        return function(*args, **{name: _values(x) for name, x in kwargs.items()})
    if function in _LIKE:
        return function(*args, **kwargs, like=self._value)
    raise _refusal(function, f"{function.__module__}.{function.__name__}")


def _values(x: Any) -> Any:
    """The value of a node, also inside a list; everything else as it is."""
    if isinstance(x, Node):
        return x._value
    return type(x)(_values(item) for item in x) if type(x) in (list, tuple) else x


def _refusal(function: Any, name: str) -> TypeError | MissingRuleError:
    """The error for a function in no table but that of refusals, or in none at all."""
    reason = REFUSED.get(function, NO_RULE)
    error = MutationError if "writes" in reason else MissingRuleError
    return error(f"{name} cannot take a Tensor: {reason} (at {caller()})")
