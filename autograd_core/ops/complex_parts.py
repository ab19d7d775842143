"""Complex numbers: their parts, their conjugate, their angle; what is real among them.

None of these but the identity on real numbers is holomorphic. In the pairing of cotangents with
tangents, df = Re Σ g dz, the rules are those of linear functions over the real numbers: of
y = Re z, Re(g Re dz) = Re(g dz) for a real g; of y = Im z, Re(g Im dz) = Re(-i g dz); of y = z*,
Re(g dz*) = Re(g* dz).
"""

from __future__ import annotations

import numpy as np

from ..node import Array, value_of
from ..op import case, define, implements, lift
from .elementwise import rad2deg

_SHAPES = (case(()), case((3,)), case((2, 3)), case((0,)), case((1, 2)))


def _imag_rule(g: Array, y: Array, x: Array) -> Array | None:
    return g * -1j if x.dtype.kind == "c" else None


real_ = define(
    "real", np.real, (lambda g, y, x: g,), "Re x", cases=_SHAPES, takes_complex=True
)
imag_ = define(
    "imag", np.imag, (_imag_rule,), "Im x, 0 for a real x", cases=_SHAPES,
    takes_complex=True,
)
conjugate_ = define(
    "conjugate", np.conjugate, (lambda g, y, x: np.conjugate(g),), "x*", cases=_SHAPES,
    takes_complex=True,
)


@implements(np.real)
def real(val: Array) -> Array:
    """The real part; a real x itself."""
    return real_(val) if val.dtype.kind == "c" else val


@implements(np.imag)
def imag(val: Array) -> Array:
    """The imaginary part; zeros for a real x."""
    return imag_(val)


@implements(np.conjugate)
def conjugate(x: Array) -> Array:
    """x* = Re x - i Im x; a real x itself."""
    return conjugate_(x) if x.dtype.kind == "c" else x


@implements(np.angle)
def angle(z: Array, deg: bool = False) -> Array:
    """arctan2(Im z, Re z); for a real z 0 or π, a step at 0. At z = 0 the gradient is 0."""
    z = lift(z)
    turned = np.arctan2(imag_(z), real(z))
    return rad2deg(turned) if deg else turned


def _known_real_forward(x: Array, within: float) -> Array:
    if not _is_real(x, within):
        raise TypeError(
            "the result was real when this was recorded and now is complex; give the function "
            "complex numbers (`a + 0j`), so that its result is complex at every run"
        )
    return np.real(x)


#: What NumPy returns as real numbers for some values and as complex ones for others is decided
#: when it is recorded; a replay that would decide otherwise raises.
known_real_ = define(
    "known_real", _known_real_forward, (lambda g, y, x, within: g,), "x, whose Im x is negligible",
    cases=tuple(case(shape, within=0.0) for shape in ((), (3,), (2, 3), (0,), (1, 2))),
)


def _is_real(x: Array, within: float) -> bool:
    return bool((np.absolute(np.imag(x)) <= within).all())


def real_if_real(x: Array, within: float = 0.0) -> Array:
    """The real part if no imaginary part is larger than ``within``, otherwise x."""
    return known_real_(x, within=within) if _is_real(value_of(x), within) else x


@implements(np.real_if_close)
def real_if_close(a: Array, tol: float = 100) -> Array:
    """The real part if all imaginary parts are negligible."""
    a = lift(a)
    if a.dtype.kind != "c":
        return a
    return real_if_real(a, float(np.finfo(a.dtype).eps) * tol if tol > 1 else float(tol))
