"""An array type that lives "elsewhere", as a GPU library's arrays do.

It speaks NumPy's two protocols and has the operators, methods and attributes such arrays have. It
refuses what they refuse, being turned into an ndarray and being mixed with one, and it is strict
where they would only be slow: it never holds float64, so an operation that silently widens single
precision fails loudly.
"""

from __future__ import annotations

from typing import Any

import numpy as np

_WIDE = (np.float64, np.complex128, np.longdouble)


class DeviceError(AssertionError):
    """Something a device array does not do."""


class DeviceArray(np.lib.mixins.NDArrayOperatorsMixin):
    """Made by :func:`to_device`; read back by :func:`from_device`. Shape () is an array too."""

    __slots__ = ("_hidden",)

    def __init__(self, hidden: np.ndarray) -> None:
        if hidden.dtype in _WIDE:
            raise DeviceError(f"a device array of dtype {hidden.dtype}")
        self._hidden = hidden

    # Conversion is refused: it would be a copy through the host at each use.

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        raise DeviceError("implicit conversion of a device array to numpy.ndarray")

    def __iter__(self) -> Any:
        return (self[i] for i in range(self.shape[0]))

    # The protocols.

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        outs = kwargs.get("out", ())
        for x in (*inputs, *outs):
            if hasattr(x, "__array_ufunc__") and not isinstance(
                x, DeviceArray | np.ndarray | np.generic
            ):
                return NotImplemented
        if outs:
            kwargs["out"] = tuple(_inside(x) for x in outs)
        if method == "at":  # its index may be made of ndarrays, as in x[index]
            target, index, *values = inputs
            ufunc.at(_inside(target), _index(index), *map(_inside, values))
            return None
        result = getattr(ufunc, method)(*map(_inside, inputs), **kwargs)
        return outs[0] if len(outs) == 1 else _outside(result)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if not all(issubclass(t, DeviceArray | np.ndarray) for t in types):
            return NotImplemented
        return _outside(function(*_inside(args), **_inside(kwargs)))

    # What an array has.

    @property
    def shape(self) -> tuple[int, ...]:
        return self._hidden.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        return self._hidden.dtype

    @property
    def ndim(self) -> int:
        return self._hidden.ndim

    @property
    def size(self) -> int:
        return self._hidden.size

    @property
    def T(self) -> DeviceArray:
        return DeviceArray(self._hidden.T)

    @property
    def real(self) -> DeviceArray:
        return DeviceArray(self._hidden.real)

    def __len__(self) -> int:
        return len(self._hidden)

    def __bool__(self) -> bool:
        return bool(self._hidden)

    def __float__(self) -> float:
        return float(self._hidden)

    def __int__(self) -> int:
        return int(self._hidden)

    def __index__(self) -> int:
        return self._hidden.__index__()

    def __getitem__(self, index: Any) -> DeviceArray:
        return _outside(self._hidden[_index(index)])

    def __setitem__(self, index: Any, value: Any) -> None:
        self._hidden[_index(index)] = _inside(value)

    def item(self) -> Any:
        return self._hidden.item()

    def tolist(self) -> Any:
        return self._hidden.tolist()

    def __repr__(self) -> str:
        return f"DeviceArray({self._hidden!r})"


def _method(name: str) -> Any:
    def call(self: DeviceArray, *args: Any, **kwargs: Any) -> Any:
        return _outside(getattr(self._hidden, name)(*_inside(args), **_inside(kwargs)))

    call.__name__ = name
    return call


for _name in (
    "all", "any", "argmax", "argmin", "argsort", "astype", "clip", "copy", "cumprod", "cumsum",
    "diagonal", "dot", "flatten", "max", "mean", "min", "nonzero", "prod", "ravel", "repeat",
    "reshape", "round", "squeeze", "std", "sum", "swapaxes", "take", "trace", "transpose", "var",
    "view",
):
    setattr(DeviceArray, _name, _method(_name))


def _inside(x: Any) -> Any:
    """What NumPy computes with: a device array's values; a host array is refused."""
    if isinstance(x, DeviceArray):
        return x._hidden
    if isinstance(x, np.ndarray) and x.ndim:
        raise DeviceError(f"a device array mixed with an ndarray of shape {x.shape}")
    if type(x) in (list, tuple):
        return type(x)(map(_inside, x))
    if type(x) is dict:
        return {name: _inside(value) for name, value in x.items()}
    return x


def _index(index: Any) -> Any:
    """An index; arrays in it may be of either kind."""
    if type(index) is tuple:
        return tuple(map(_index, index))
    return index._hidden if isinstance(index, DeviceArray) else index


def _outside(x: Any) -> Any:
    """A result as a device array; shapes, dtypes and bools are not results."""
    if isinstance(x, np.ndarray | np.generic):
        return DeviceArray(np.asarray(x))
    if type(x) in (list, tuple):
        return type(x)(map(_outside, x))
    if hasattr(x, "_fields"):  # a named tuple
        return type(x)(*map(_outside, x))
    return x


def to_device(x: Any) -> DeviceArray:
    """A copy of ``x`` on the device, floating point in single precision."""
    value = np.array(x)
    return DeviceArray(value.astype(np.float32) if value.dtype.kind == "f" else value)


def from_device(x: DeviceArray) -> np.ndarray:
    """A copy of a device array's values."""
    assert type(x) is DeviceArray, f"expected a device array, got {type(x).__name__}"
    return x._hidden.copy()
