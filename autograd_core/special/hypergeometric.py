"""Hypergeometric functions, by their last argument."""

from __future__ import annotations

import numpy as np

from ..op import POSITIVE, REAL
from .entries import apply, by_slopes

hyp0f1: np.ufunc = by_slopes(
    "hyp0f1", "₀F₁(; v; x) (DLMF 16.3)", ("v", lambda y, v, x: apply(hyp0f1, v + 1, x) / v), REAL,
    given=((1.5, None), (2, None)),
)
hyp1f1: np.ufunc = by_slopes(
    "hyp1f1", "₁F₁(a; b; x) (DLMF 13.3)",
    ("a", "b", lambda y, a, b, x: a / b * apply(hyp1f1, a + 1, b + 1, x)), REAL,
    given=((1.5, 2.5, None), (2, 3, None)),
)
hyp2f1: np.ufunc = by_slopes(
    "hyp2f1", "₂F₁(a, b; c; x) (DLMF 15.5)",
    ("a", "b", "c", lambda y, a, b, c, x: a * b / c * apply(hyp2f1, a + 1, b + 1, c + 1, x)),
    (-2.0, 0.6),
    given=((1.5, 0.5, 2.5, None), (1, 2, 3, None)),
)
hyperu: np.ufunc = by_slopes(
    "hyperu", "U(a, b, x) (DLMF 13.3)",
    ("a", "b", lambda y, a, b, x: -a * apply(hyperu, a + 1, b + 1, x)),
    POSITIVE, given=((1.5, 2.5, None), (2, 1, None)),
)
