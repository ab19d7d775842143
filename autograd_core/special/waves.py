"""Parabolic cylinder, Mathieu and spheroidal wave functions, by their last argument.

SciPy gives each with its derivative, and the differential equation gives the derivative of that.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import scipy.special

from ..node import Array
from ..op import REAL, UNIT, Interval, lift
from .entries import number, together

# Parabolic cylinder functions. -------------------------------------------------------------------

pbdv: np.ufunc = together(
    "pbdv", "D_v, D_v' (DLMF 12.2)",
    ("v", lambda y, v, x: (y[1], (0.25 * (x * x) - v - 0.5) * y[0])), REAL,
    given=((1.5, None), (2, None)), double=True,
)
pbvv: np.ufunc = together(
    "pbvv", "V_v, V_v' (DLMF 12.2)",
    ("v", lambda y, v, x: (y[1], (0.25 * (x * x) - v - 0.5) * y[0])), REAL,
    given=((1.5, None), (2, None)), double=True,
)
pbwa: np.ufunc = together(
    "pbwa", "W(a, x), W' (DLMF 12.14)", ("a", lambda y, a, x: (y[1], (a - 0.25 * (x * x)) * y[0])),
    REAL, given=((1.5, None), (0.5, None)), double=True,
)



def _orders(name: str, v: float, x: Array) -> tuple[Array, Array]:
    """The orders from the part of v behind the point on, and one number."""
    x = lift(x)
    if x.shape != () or v < 0:
        raise ValueError(f"{name}: needs v >= 0 and one number x, got {v} and shape {x.shape}")
    whole = max(int(v), 1)
    return v - int(v) + np.arange(whole + 1), x


def pbdv_seq(v: float, x: Array) -> tuple[Array, Array]:
    """D_v of the orders v0, v0 + 1, ... v, 0 <= v0 < 1, and the derivatives (DLMF 12.2).

    Differentiable by ``x``, one number.
    """
    values: tuple[Array, Array] = pbdv(*_orders("pbdv_seq", v, x))
    return values


def pbvv_seq(v: float, x: Array) -> tuple[Array, Array]:
    """V_v of the orders v0, v0 + 1, ... v, 0 <= v0 < 1, and the derivatives (DLMF 12.2).

    Differentiable by ``x``, one number.
    """
    values: tuple[Array, Array] = pbvv(*_orders("pbvv_seq", v, x))
    return values


# Mathieu functions, angular ones of degrees. -----------------------------------------------------

_RADIANS = math.pi / 180
_MODIFIED: Interval = (0.3, 1.5)


def _angular(characteristic: str) -> Any:
    def slopes(y: Array, m: Array, q: Array, x: Array) -> Any:
        a = number(getattr(scipy.special, characteristic), m, q)
        return _RADIANS * y[1], (2 * q * np.cos(2 * _RADIANS * x) - a) * _RADIANS * y[0]

    return "m", "q", slopes


def _radial(characteristic: str) -> Any:
    def slopes(y: Array, m: Array, q: Array, x: Array) -> Any:
        a = number(getattr(scipy.special, characteristic), m, q)
        return y[1], (a - 2 * q * np.cosh(2 * x)) * y[0]

    return "m", "q", slopes


mathieu_cem: np.ufunc = together(
    "mathieu_cem", "ce_m, ce_m' (DLMF 28.2)", _angular("mathieu_a"), (20.0, 70.0),
    given=((2, 1.5, None),), double=True,
)
mathieu_sem: np.ufunc = together(
    "mathieu_sem", "se_m, se_m' (DLMF 28.2)", _angular("mathieu_b"), (20.0, 70.0),
    given=((2, 1.5, None),), double=True,
)
mathieu_modcem1: np.ufunc = together(
    "mathieu_modcem1", "Mc⁽¹⁾, Mc⁽¹⁾' (DLMF 28.20)", _radial("mathieu_a"), _MODIFIED,
    given=((2, 1.5, None),), double=True,
)
mathieu_modcem2: np.ufunc = together(
    "mathieu_modcem2", "Mc⁽²⁾, Mc⁽²⁾' (DLMF 28.20)", _radial("mathieu_a"), _MODIFIED,
    given=((2, 1.5, None),), double=True,
)
mathieu_modsem1: np.ufunc = together(
    "mathieu_modsem1", "Ms⁽¹⁾, Ms⁽¹⁾' (DLMF 28.20)", _radial("mathieu_b"), _MODIFIED,
    given=((2, 1.5, None),), double=True,
)
mathieu_modsem2: np.ufunc = together(
    "mathieu_modsem2", "Ms⁽²⁾, Ms⁽²⁾' (DLMF 28.20)", _radial("mathieu_b"), _MODIFIED,
    given=((2, 1.5, None),), double=True,
)

# Spheroidal wave functions. ----------------------------------------------------------------------


def _spheroidal(y: Array, m: Array, n: Array, cc: Array, value: Array, x: Array) -> Any:
    """From (1 - x²) S'' - 2x S' + (λ - c²x² - m²/(1 - x²)) S = 0; ``cc`` is c², or -c²."""
    r = 1 - x * x
    return y[1], (2 * x * y[1] - (value - cc * (x * x) - m * m / r) * y[0]) / r


def _prolate(y: Array, m: Array, n: Array, c: Array, x: Array) -> Any:
    return _spheroidal(y, m, n, c * c, number(scipy.special.pro_cv, m, n, c), x)


def _oblate(y: Array, m: Array, n: Array, c: Array, x: Array) -> Any:
    return _spheroidal(y, m, n, -c * c, number(scipy.special.obl_cv, m, n, c), x)


def _oblate_radial(y: Array, m: Array, n: Array, c: Array, value: Array, x: Array) -> Any:
    """The same with ix in place of x (DLMF 30.2)."""
    r = 1 + x * x
    return y[1], ((value - c * c * (x * x) - m * m / r) * y[0] - 2 * x * y[1]) / r


_MNC = ((1, 2, 1.5, None), (0, 1, 0.5, None))
_MNCV = ((1, 2, 1.5, scipy.special.pro_cv(1, 2, 1.5).item(), None),)
_MNCV_OBLATE = ((1, 2, 1.5, scipy.special.obl_cv(1, 2, 1.5).item(), None),)
_OUTSIDE: Interval = (1.3, 2.5)
pro_ang1: np.ufunc = together(
    "pro_ang1", "prolate S⁽¹⁾, S⁽¹⁾' (DLMF 30.2)", ("m", "n", "c", _prolate), UNIT,
    given=_MNC, double=True,
)
pro_rad1: np.ufunc = together(
    "pro_rad1", "prolate R⁽¹⁾, R⁽¹⁾' (DLMF 30.2)", ("m", "n", "c", _prolate), _OUTSIDE,
    given=_MNC, double=True,
)
obl_ang1: np.ufunc = together(
    "obl_ang1", "oblate S⁽¹⁾, S⁽¹⁾' (DLMF 30.2)", ("m", "n", "c", _oblate), UNIT,
    given=_MNC, double=True,
)
obl_rad1: np.ufunc = together(
    "obl_rad1", "oblate R⁽¹⁾, R⁽¹⁾' (DLMF 30.2)",
    ("m", "n", "c", lambda y, m, n, c, x: _oblate_radial(
        y, m, n, c, number(scipy.special.obl_cv, m, n, c), x)), (0.3, 1.5), given=_MNC, double=True,
)
pro_ang1_cv: np.ufunc = together(
    "pro_ang1_cv", "prolate S⁽¹⁾, S⁽¹⁾' (DLMF 30.2)",
    ("m", "n", "c", "cv", lambda y, m, n, c, v, x: _spheroidal(y, m, n, c * c, v, x)), UNIT,
    given=_MNCV, double=True,
)
pro_rad1_cv: np.ufunc = together(
    "pro_rad1_cv", "prolate R⁽¹⁾, R⁽¹⁾' (DLMF 30.2)",
    ("m", "n", "c", "cv", lambda y, m, n, c, v, x: _spheroidal(y, m, n, c * c, v, x)), _OUTSIDE,
    given=_MNCV, double=True,
)
obl_ang1_cv: np.ufunc = together(
    "obl_ang1_cv", "oblate S⁽¹⁾, S⁽¹⁾' (DLMF 30.2)",
    ("m", "n", "c", "cv", lambda y, m, n, c, v, x: _spheroidal(y, m, n, -c * c, v, x)), UNIT,
    given=_MNCV_OBLATE, double=True,
)
obl_rad1_cv: np.ufunc = together(
    "obl_rad1_cv", "oblate R⁽¹⁾, R⁽¹⁾' (DLMF 30.2)", ("m", "n", "c", "cv", _oblate_radial),
    (0.3, 1.5), given=_MNCV_OBLATE, double=True,
)
