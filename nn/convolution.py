"""Convolution and pooling, through sliding windows and matrix products.

Images have the shape (batch, channels, height, width).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

import autograd_core as ag

from .checks import as_array, check_sizes
from .init import Initializer, Random, as_rng
from .init import get as get_init
from .module import Module, Parameter

__all__ = ["AvgPool2d", "Conv2d", "MaxPool2d"]

Pair = int | tuple[int, int]
#: Before and after, for height and for width.
Frame = tuple[tuple[int, int], tuple[int, int]]


def _pair(name: str, what: str, value: Pair, least: int = 1) -> tuple[int, int]:
    pair = (value, value) if isinstance(value, int) else tuple(value)
    if len(pair) != 2 or min(pair) < least:
        raise ValueError(f"{name}: {what} is an integer from {least}, or two of them, got {value}")
    return pair


def _places(
    name: str, shape: tuple[int, ...], size: tuple[int, int], stride: tuple[int, int],
    padding: Frame, channels: int | None = None,
) -> tuple[int, int]:
    """How many windows fit along height and width."""
    if len(shape) != 4 or (channels is not None and shape[1] != channels):
        raise ag.ShapeError(
            f"{name}: the input has shape {shape}; it must be (batch, "
            f"{'channels' if channels is None else f'{channels} channels'}, height, width)"
        )
    rows, columns = (
        (n + before + after - k) // s + 1
        for n, k, s, (before, after) in zip(shape[2:], size, stride, padding, strict=True)
    )
    if rows < 1 or columns < 1:
        raise ag.ShapeError(
            f"{name}: no window of size {size} fits into an input of shape {shape} "
            f"with padding {padding}"
        )
    return rows, columns


def _framed(x: Any, padding: Frame, value: float = 0.0) -> Any:
    if not any(map(any, padding)):
        return x
    return np.pad(x, ((0, 0), (0, 0), *padding), constant_values=value)


def _windows(x: Any, size: tuple[int, int], stride: tuple[int, int]) -> Any:
    """All windows, of shape (batch, channels, rows, columns, *size)."""
    windows = np.lib.stride_tricks.sliding_window_view(x, size, axis=(2, 3))
    if stride != (1, 1):
        windows = windows[:, :, :: stride[0], :: stride[1]]
    return windows


class Conv2d(Module):
    """Cross-correlation with learned windows: y_o(i, j) = b_o + Σ_c Σ_m Σ_n W_ocmn x_c(si+m, sj+n).

    ``x`` of shape (batch, n_in, height, width) gives (batch, n_out, rows, columns), rows =
    ⌊(height + 2 padding - kernel) / stride⌋ + 1. ``kernel``, ``stride`` and ``padding`` (with
    zeros, on both sides) are integers, or pairs for height and width; ``padding="same"`` keeps
    height and width at stride 1. Parameters: ``weight`` of shape (n_out, n_in, *kernel) and, with
    ``bias=True``, ``bias`` of shape (n_out,), initially 0.

    Each window becomes a row of a matrix, so that all of it is one matrix product. Raises
    :class:`ag.ShapeError` for other shapes, or where no window fits. Source: LeCun et al.,
    "Backpropagation applied to handwritten zip code recognition" (1989); Goodfellow, Bengio,
    Courville, "Deep learning" (2016), equation 9.8.

    >>> nn.Conv2d(3, 8, 3, padding=1, rng=0)(np.zeros((2, 3, 10, 12), np.float32)).shape
    (2, 8, 10, 12)
    """

    def __init__(
        self,
        n_in: int,
        n_out: int,
        kernel: Pair,
        stride: Pair = 1,
        padding: Pair | str = 0,
        bias: bool = True,
        *,
        init: str | Initializer = "he",
        rng: Random = None,
        dtype: Any = np.float32,
    ) -> None:
        check_sizes("Conv2d", n_in, n_out)
        self.kernel = _pair("Conv2d", "kernel", kernel)
        self.stride = _pair("Conv2d", "stride", stride)
        if padding == "same":
            if self.stride != (1, 1):
                raise ValueError(f"Conv2d: padding='same' needs stride 1, got {self.stride}")
            height, width = self.kernel
            self.padding: Frame = ((height - 1) // 2, height // 2), ((width - 1) // 2, width // 2)
        elif isinstance(padding, str):
            raise ValueError(f"Conv2d: padding is a size or 'same', got {padding!r}")
        else:
            self.padding = _both_sides(_pair("Conv2d", "padding", padding, 0))
        weight = get_init(init)((*self.kernel, n_in, n_out), as_rng(rng), dtype)
        self.weight = Parameter(np.ascontiguousarray(weight.transpose(3, 2, 0, 1)), label="W")
        self.bias = Parameter(np.zeros(n_out, dtype), label="b") if bias else None

    def forward(self, x: Any) -> Any:
        x = as_array(x)
        n_out, n_in, *size = self.weight.shape
        rows, columns = _places("Conv2d", tuple(x.shape), self.kernel, self.stride,
                                self.padding, n_in)
        windows = _windows(_framed(x, self.padding), self.kernel, self.stride)
        length = n_in * math.prod(size)
        batch = x.shape[0]
        patches = windows.transpose(0, 2, 3, 1, 4, 5).reshape((batch * rows * columns, length))
        y = patches @ self.weight.reshape((n_out, length)).T
        if self.bias is not None:
            y = y + self.bias
        return y.reshape((batch, rows, columns, n_out)).transpose(0, 3, 1, 2)

    def describe(self) -> str:
        n_out, n_in, *_ = self.weight.shape
        options = "".join((
            f", stride={_short(self.stride)}" if self.stride != (1, 1) else "",
            _padding_shown(self.padding),
            ", bias=False" if self.bias is None else "",
        ))
        return f"Conv2d({n_in}, {n_out}, {_short(self.kernel)}{options})"


def _short(pair: tuple[int, ...]) -> str:
    return str(pair[0]) if len(set(pair)) == 1 else str(pair)


def _both_sides(pair: tuple[int, int]) -> Frame:
    return (pair[0], pair[0]), (pair[1], pair[1])


def _padding_shown(padding: Frame) -> str:
    if not any(map(any, padding)):
        return ""
    if any(before != after for before, after in padding):
        return ", padding='same'"
    return f", padding={_short((padding[0][0], padding[1][0]))}"


class _Pool2d(Module):
    #: What frames the input.
    edge = 0.0

    def __init__(self, kernel: Pair, stride: Pair | None = None, padding: Pair = 0) -> None:
        name = type(self).__name__
        self.kernel = _pair(name, "kernel", kernel)
        self.stride = self.kernel if stride is None else _pair(name, "stride", stride)
        pair = _pair(name, "padding", padding, 0)
        if any(2 * p > k for p, k in zip(pair, self.kernel, strict=True)):
            raise ValueError(
                f"{name}: padding {pair} is more than half of the window {self.kernel}: a window "
                "could lie outside of the input"
            )
        self.padding = _both_sides(pair)

    def reduce(self, x: Any, axes: tuple[int, int]) -> Any:
        raise NotImplementedError

    def forward(self, x: Any) -> Any:
        x = as_array(x)
        rows, columns = _places(type(self).__name__, tuple(x.shape), self.kernel, self.stride,
                                self.padding)
        x = _framed(x, self.padding, self.edge)
        if self.kernel != self.stride:
            return self.reduce(_windows(x, self.kernel, self.stride), (4, 5))
        # Windows that do not overlap are a reshape.
        (height, width), (batch, channels) = self.kernel, x.shape[:2]
        if x.shape[2:] != (rows * height, columns * width):
            x = x[:, :, : rows * height, : columns * width]
        return self.reduce(x.reshape((batch, channels, rows, height, columns, width)), (3, 5))

    def describe(self) -> str:
        options = "".join((
            f", stride={_short(self.stride)}" if self.stride != self.kernel else "",
            _padding_shown(self.padding),
        ))
        return f"{type(self).__name__}({_short(self.kernel)}{options})"


class MaxPool2d(_Pool2d):
    """The largest of each window, channel by channel.

    ``x`` of shape (batch, channels, height, width) gives (batch, channels, rows, columns), rows =
    ⌊(height + 2 padding - kernel) / stride⌋ + 1. ``stride`` is by default the size of the window;
    padding is with -∞ and at most half of a window. Values that tie share the gradient (in
    PyTorch, the first has it all).

    Source: Zhou, Chellappa, "Computation of optical flow using a neural network" (1988).

    >>> nn.MaxPool2d(2)(np.arange(16.0).reshape(1, 1, 4, 4)).tolist()
    [[[[5.0, 7.0], [13.0, 15.0]]]]
    """

    edge = -math.inf

    def reduce(self, x: Any, axes: tuple[int, int]) -> Any:
        return x.max(axes)


class AvgPool2d(_Pool2d):
    """The mean of each window, channel by channel; the zeros of the padding count.

    Shapes and options as in :class:`MaxPool2d`.

    Source: LeCun et al., "Backpropagation applied to handwritten zip code recognition" (1989).

    >>> nn.AvgPool2d(2)(np.arange(16.0).reshape(1, 1, 4, 4)).tolist()
    [[[[2.5, 4.5], [10.5, 12.5]]]]
    """

    def reduce(self, x: Any, axes: tuple[int, int]) -> Any:
        return x.mean(axes)
