"""Fourier transforms: three primitives along one axis, of which all of numpy.fft is composed.

With w = exp(-2πi/n) and a factor that the norm decides:

- ``fft_``: yₖ = Σⱼ wʲᵏ xⱼ, or with w* for the inverse. The matrix wʲᵏ is symmetric, so the rule is
  the transform itself.
- ``rfft_``: the half of it, k ≤ n/2, that determines the rest where x is real.
- ``irfft_``: yⱼ = Re Σₖ mₖ w⁻ʲᵏ xₖ over that half, where mₖ, 1 or 2, counts how often a term stands
  in the whole. So the rule of each of the last two is made of the other and of m.

An axis is cropped, or padded with zeros, to its length before.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..node import Array, value_of
from ..op import case, conj, define, implements, lift, refuse_options
from .indexing import getitem
from .shaping import normalise, pad_, roll

#: The norm with which the transform in the other direction has the same factor.
_OTHER = {"backward": "forward", "forward": "backward", "ortho": "ortho"}


def _rule(g: Array, y: Array, x: Array, axis: int, norm: str, inverse: bool) -> Array:
    return fft_(g, axis=axis, norm=norm, inverse=inverse)


def _cases(*shapes: tuple[tuple[int, ...], int], **attrs: Any) -> Any:
    return tuple(case(shape, axis=axis, norm=norm, **attrs)
                 for (shape, axis), norm in zip(shapes, ("backward", "ortho", "forward") * 3,
                                                strict=False))


fft_ = define(
    "fft",
    lambda x, axis, norm, inverse: (np.fft.ifft if inverse else np.fft.fft)(x, None, axis, norm),
    (_rule,), "Σⱼ wʲᵏ xⱼ",
    cases=_cases(((4,), 0), ((2, 3), 0), ((2, 5), 1), ((1, 2), 0), ((0, 2), 1), inverse=False)
    + _cases(((3,), 0), ((3, 2), 1), ((2, 1, 4), 2), inverse=True),
    takes_complex=True,
)


def _multiplicity(x: Array, axis: int, n: int) -> Array:
    """m, along the axis of ``x``: all but the terms 0 and n/2 stand twice in the whole."""
    value = value_of(x)
    m = np.full(n // 2 + 1, 2, np.real(value).dtype, like=value)
    m[0] = 1
    if n % 2 == 0:
        m[-1] = 1
    return m.reshape(tuple(-1 if i == axis else 1 for i in range(x.ndim)))


def _rfft_rule(g: Array, y: Array, x: Array, axis: int, norm: str) -> Array:
    n = x.shape[axis]
    half = conj(g) / _multiplicity(g, axis, n)
    return irfft_(half, axis=axis, points=n, norm=_OTHER[norm])


def _irfft_rule(g: Array, y: Array, x: Array, axis: int, points: int, norm: str) -> Array:
    return conj(rfft_(g, axis=axis, norm=_OTHER[norm])) * _multiplicity(g, axis, points)


rfft_ = define(
    "rfft", lambda x, axis, norm: np.fft.rfft(x, None, axis, norm), (_rfft_rule,),
    "Σⱼ wʲᵏ xⱼ for k ≤ n/2, of a real x",
    cases=_cases(((4,), 0), ((5,), 0), ((2, 3), 0), ((2, 6), 1), ((1, 2), 0), ((0, 3), 1)),
)
irfft_ = define(
    "irfft", lambda x, axis, points, norm: np.fft.irfft(x, points, axis, norm), (_irfft_rule,),
    "Re Σₖ mₖ w⁻ʲᵏ xₖ",
    cases=_cases(((3,), 0), ((3, 2), 0), points=4) + _cases(((3,), 0), ((2, 3), 1), points=5)
    + _cases(((1,), 0), points=1) + _cases(((2, 2), 1), ((0, 2), 1), points=2),
    takes_complex=True,
)


# Lengths, axes, norms. --------------------------------------------------------------------------


def _norm(name: str, norm: str | None, other: bool = False) -> str:
    norm = "backward" if norm is None else norm
    if norm not in _OTHER:
        raise ValueError(f"{name}: norm is 'backward', 'ortho' or 'forward', got {norm!r}")
    return _OTHER[norm] if other else norm


def _axis(a: Array, axis: int) -> int:
    (axis,) = normalise(operator.index(axis), a.ndim, "axis")
    return axis


def _sized(a: Array, n: int, axis: int) -> Array:
    """``a`` cropped, or padded with zeros, to length ``n``."""
    length = a.shape[axis]
    if n < length:
        return getitem(a, (slice(None),) * axis + (slice(0, n),))
    if n > length:
        return pad_(a, widths=tuple((0, n - length if i == axis else 0) for i in range(a.ndim)))
    return a


def _points(name: str, n: Any) -> int:
    points = operator.index(n)
    if points < 1:
        raise ValueError(f"{name}: a transform of {points} points; it needs one or more")
    return points


# Along one axis. --------------------------------------------------------------------------------


def _complex(name: str, a: Array, n: int | None, axis: int, norm: str | None, inverse: bool,
             out: None) -> Array:
    refuse_options(f"fft.{name}", out=out)
    a = lift(a)
    axis = _axis(a, axis)
    a = _sized(a, _points(name, a.shape[axis] if n is None else n), axis)
    return fft_(a, axis=axis, norm=_norm(name, norm), inverse=inverse)


@implements(np.fft.fft)
def fft(
    a: Array, n: int | None = None, axis: int = -1, norm: str | None = None, out: None = None
) -> Array:
    return _complex("fft", a, n, axis, norm, False, out)


@implements(np.fft.ifft)
def ifft(
    a: Array, n: int | None = None, axis: int = -1, norm: str | None = None, out: None = None
) -> Array:
    return _complex("ifft", a, n, axis, norm, True, out)


def _to_half(name: str, a: Array, n: int | None, axis: int, norm: str) -> Array:
    a = lift(a)
    axis = _axis(a, axis)
    a = _sized(a, _points(name, a.shape[axis] if n is None else n), axis)
    return rfft_(a, axis=axis, norm=norm)


def _from_half(name: str, a: Array, n: int | None, axis: int, norm: str) -> Array:
    a = lift(a)
    axis = _axis(a, axis)
    n = _points(name, 2 * (a.shape[axis] - 1) if n is None else n)
    return irfft_(_sized(a, n // 2 + 1, axis), axis=axis, points=n, norm=norm)


@implements(np.fft.rfft)
def rfft(
    a: Array, n: int | None = None, axis: int = -1, norm: str | None = None, out: None = None
) -> Array:
    refuse_options("fft.rfft", out=out)
    return _to_half("rfft", a, n, axis, _norm("rfft", norm))


@implements(np.fft.irfft)
def irfft(
    a: Array, n: int | None = None, axis: int = -1, norm: str | None = None, out: None = None
) -> Array:
    refuse_options("fft.irfft", out=out)
    return _from_half("irfft", a, n, axis, _norm("irfft", norm))


@implements(np.fft.hfft)
def hfft(
    a: Array, n: int | None = None, axis: int = -1, norm: str | None = None, out: None = None
) -> Array:
    """The real spectrum of a signal that is Hermitian, given by its half."""
    refuse_options("fft.hfft", out=out)
    return _from_half("hfft", np.conjugate(lift(a)), n, axis, _norm("hfft", norm, other=True))


@implements(np.fft.ihfft)
def ihfft(
    a: Array, n: int | None = None, axis: int = -1, norm: str | None = None, out: None = None
) -> Array:
    refuse_options("fft.ihfft", out=out)
    return np.conjugate(_to_half("ihfft", a, n, axis, _norm("ihfft", norm, other=True)))


# Along several axes. ----------------------------------------------------------------------------


def _lengths(
    name: str, a: Array, s: Sequence[int] | None, axes: Sequence[int] | None, inverse_real: bool
) -> list[tuple[int, int]]:
    """The axes and their lengths. In ``s``, -1 stands for the axis as long as it is."""
    if axes is None:
        count = a.ndim if s is None else len(s)
        axes = range(a.ndim - count, a.ndim)
    places = normalise([operator.index(i) for i in axes], a.ndim, "axes")
    sizes = [a.shape[i] for i in places] if s is None else list(s)
    if len(sizes) != len(places):
        raise ValueError(f"{name}: {len(sizes)} lengths in s for {len(places)} axes")
    if not places:
        return []
    if s is None and inverse_real:
        sizes[-1] = 2 * (sizes[-1] - 1)
    return [(i, a.shape[i] if n is None or n == -1 else n)
            for i, n in zip(places, sizes, strict=True)]


Several = Callable[..., Array]


def _each(name: str, one: Several, a: Array, s: Any, axes: Any, norm: str | None) -> Array:
    for axis, n in reversed(_lengths(name, a, s, axes, False)):
        a = one(a, n, axis, norm)
    return a


def _fftn(name: str, a: Array, s: Any, axes: Any, norm: str | None) -> Array:
    return _each(name, fft, a, s, axes, norm)


def _ifftn(name: str, a: Array, s: Any, axes: Any, norm: str | None) -> Array:
    return _each(name, ifft, a, s, axes, norm)


def _rfftn(name: str, a: Array, s: Any, axes: Any, norm: str | None) -> Array:
    *others, (axis, n) = _last(name, _lengths(name, a, s, axes, False))
    a = rfft(a, n, axis, norm)
    for axis, n in reversed(others):
        a = fft(a, n, axis, norm)
    return a


def _irfftn(name: str, a: Array, s: Any, axes: Any, norm: str | None) -> Array:
    *others, (last, length) = _last(name, _lengths(name, a, s, axes, True))
    for axis, n in others:
        a = ifft(a, n, axis, norm)
    return irfft(a, length, last, norm)


def _last(name: str, lengths: list[tuple[int, int]]) -> list[tuple[int, int]]:
    if not lengths:
        raise IndexError(f"{name}: needs at least one axis")
    return lengths


def _enter(name: str, default: Any, transform: Several) -> None:
    """Enter a transform along several axes, under NumPy's name and with its default axes."""

    def function(
        a: Array, s: Any = None, axes: Any = default, norm: str | None = None, out: None = None
    ) -> Array:
        refuse_options(f"fft.{name}", out=out)
        return transform(name, lift(a), s, axes, norm)

    function.__name__ = function.__qualname__ = name
    implements(getattr(np.fft, name))(function)


for _name, _transform in (
    ("fft", _fftn), ("ifft", _ifftn), ("rfft", _rfftn), ("irfft", _irfftn)
):
    _enter(f"{_name}n", None, _transform)
    _enter(f"{_name}2", (-2, -1), _transform)


# The zero frequency in the middle. --------------------------------------------------------------


def _shift(x: Array, axes: Any, back: bool) -> Array:
    x = lift(x)
    places = normalise(range(x.ndim) if axes is None else axes, x.ndim, "axes")
    steps = [x.shape[i] // 2 for i in places]
    return roll(x, [-n if back else n for n in steps], places)


@implements(np.fft.fftshift)
def fftshift(x: Array, axes: Any = None) -> Array:
    return _shift(x, axes, False)


@implements(np.fft.ifftshift)
def ifftshift(x: Array, axes: Any = None) -> Array:
    return _shift(x, axes, True)
