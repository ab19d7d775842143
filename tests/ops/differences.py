"""Derivatives from values alone, and inputs to take them at: what the op tests are built on.

Nothing here knows a rule. A central difference over four points,

    f'(x) ≈ (8 (f(x + h) - f(x - h)) - (f(x + 2h) - f(x - 2h))) / 12h ,

has an error of h⁴/30 · f⁽⁵⁾, so that h = 1e-3 leaves about ten digits in double precision.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from autograd_core import special
from autograd_core.op import Case, Op

_ = special  # loaded late otherwise: its records are to be among those that the tests go through

STEP = 1e-3
_STENCIL = ((1, 8.0), (-1, -8.0), (2, -1.0), (-2, 1.0))


def slope(f: Callable[[float], Any], step: float = STEP) -> Any:
    """The derivative at 0 of a function of one number; its values may be arrays, and complex."""
    return sum(weight * _wide(f(k * step)) for k, weight in _STENCIL) / (12 * step)


def _wide(x: Any) -> np.ndarray:
    return np.asarray(x, complex if np.iscomplexobj(x) else float)


def pairing(a: Any, b: Any) -> Any:
    """Re Σ a b: how a cotangent pairs with a tangent."""
    return np.sum(np.real(a * b))


def gradients(
    f: Callable[..., Any], xs: Sequence[np.ndarray], step: float = STEP
) -> list[np.ndarray]:
    """∂f/∂x for each array in ``xs``, element by element; ``f`` returns a real number.

    By a complex z = x + iy: ∂f/∂x - i ∂f/∂y.
    """
    results = []
    for position, x in enumerate(xs):
        g = np.zeros_like(_wide(x))
        for i in np.ndindex(np.shape(x)):

            def along(t: complex, i: tuple[int, ...] = i, position: int = position) -> Any:
                moved = [np.array(_wide(x)) for x in xs]
                moved[position][i] += t
                return f(*(m[()] for m in moved))

            g[i] = slope(along, step)
            if np.iscomplexobj(g):
                g[i] -= 1j * slope(lambda t, along=along: along(1j * t), step)
        results.append(g)
    return results


#: How far from the real axis tests sample. The branch cuts and poles of all functions of NumPy lie
#: on the axes, beyond what a domain's real interval and this reach.
IMAGINARY = (-0.4, 0.4)


def sample(
    shape: tuple[int, ...], interval: tuple[float, float], rng: np.random.Generator,
    dtype: Any = np.float64,
) -> Any:
    """A random array in ``interval``; a NumPy scalar for shape ()."""
    dtype = np.dtype(dtype)
    if dtype.kind == "c":
        real, imaginary = (np.asarray(rng.uniform(*ends, shape)) for ends in (interval, IMAGINARY))
        return (real + 1j * imaginary).astype(dtype)[()]
    return rng.uniform(*interval, shape).astype(dtype)[()] if shape else np.dtype(dtype).type(
        rng.uniform(*interval)
    )


class Call:
    """An op on the inputs of one of its cases: which of them vary, and their values.

    ``dtype``: of what is sampled, or one for each of the inputs.
    """

    def __init__(self, op: Op, case: Case, dtype: Any = np.float64, seed: int = 0) -> None:
        dtypes = dtype if isinstance(dtype, tuple) else (dtype,) * len(case.inputs)
        self.op = op
        self.case = case
        rng = np.random.default_rng(seed)
        self.places = [i for i, given in enumerate(case.inputs) if isinstance(given, tuple)]
        self.inputs = [
            sample(given, op.domain[min(i, len(op.domain) - 1)], rng, dtypes[i])
            if isinstance(given, tuple)
            else given
            for i, given in enumerate(case.inputs)
        ]
        self.xs = [self.inputs[i] for i in self.places]

    def fill(self, xs: Sequence[Any]) -> list[Any]:
        """All inputs, with ``xs`` in the places that vary."""
        full = list(self.inputs)
        for i, x in zip(self.places, xs, strict=True):
            full[i] = x
        return full

    def prepared(self, xs: Sequence[Any]) -> Sequence[Any]:
        """All inputs, as the op takes them."""
        full = self.fill(xs)
        return full if self.case.prepare is None else self.case.prepare(*full)

    def __call__(self, *xs: Any) -> Any:
        """The op, recorded where ``xs`` are nodes."""
        return self.determined(self.op(*self.prepared(xs), **self.case.attrs))

    def determined(self, y: Any) -> Any:
        """What of a result the inputs determine."""
        return y if self.case.settle is None else self.case.settle(y)

    def forward(self, *xs: Any) -> Any:
        """The op's function on plain arrays."""
        return self.determined(self.op.forward(*self.prepared(xs), **self.case.attrs))


def calls(ops: Sequence[Op]) -> list[Any]:
    """Every case of every op, named for a test's parameters."""
    import pytest

    return [
        pytest.param(op, case, id=f"{op.name}-{i}")
        for op in ops
        for i, case in enumerate(op.cases)
    ]


def close(actual: Any, expected: Any, tolerance: float = 1e-7) -> None:
    """Equal up to ``tolerance``, absolute and relative; NaN and infinities where expected."""
    np.testing.assert_allclose(actual, expected, rtol=tolerance, atol=tolerance)
