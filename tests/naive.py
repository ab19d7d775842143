"""A second engine, written only to be compared with: numbers that carry their derivatives.

Nothing of the engine under test is used, and the way is another: forward, not backward; scalar by
scalar in Python floats, not by arrays; no graph. A number knows its value and its derivative by
each input element it depends on. Arrays of them are NumPy's arrays of objects, whose functions
call the methods of the elements: ``np.sin(x)`` calls ``x[i].sin()``.
"""

from __future__ import annotations

import math

import numpy as np


class Kink(Exception):
    """Two numbers are equal but not their derivatives: which is larger decides the slope."""


class Dual:
    """``value`` and ``slopes``: the derivative by each input element, by its number."""

    __slots__ = ("slopes", "value")

    def __init__(self, value, slopes=None):
        self.value = float(value)
        self.slopes = slopes or {}

    def chain(self, value, slope):
        """f(self), whose derivative here is ``slope``."""
        return Dual(value, {i: slope * d for i, d in self.slopes.items()})

    def combine(self, other, value, mine, others):
        """f(self, other) with the partial derivatives ``mine`` and ``others``."""
        slopes = {i: mine * d for i, d in self.slopes.items()}
        for i, d in other.slopes.items():
            slopes[i] = slopes.get(i, 0.0) + others * d
        return Dual(value, slopes)

    def __add__(self, other):
        if isinstance(other, np.ndarray):
            return NotImplemented  # the array goes element by element
        other = dual(other)
        return self.combine(other, self.value + other.value, 1.0, 1.0)

    def __sub__(self, other):
        if isinstance(other, np.ndarray):
            return NotImplemented  # the array goes element by element
        other = dual(other)
        return self.combine(other, self.value - other.value, 1.0, -1.0)

    def __mul__(self, other):
        if isinstance(other, np.ndarray):
            return NotImplemented  # the array goes element by element
        other = dual(other)
        return self.combine(other, self.value * other.value, other.value, self.value)

    def __truediv__(self, other):
        if isinstance(other, np.ndarray):
            return NotImplemented  # the array goes element by element
        other = dual(other)
        a, b = self.value, other.value
        return self.combine(other, a / b, 1 / b, -a / b**2)

    def __pow__(self, n):
        if isinstance(n, Dual):
            assert not n.slopes
            n = n.value
        return self.chain(self.value**n, n * self.value ** (n - 1) if n else 0.0)

    __radd__ = __add__
    __rmul__ = __mul__

    def __rsub__(self, other):
        return dual(other) - self

    def __rtruediv__(self, other):
        return dual(other) / self

    def __neg__(self):
        return self.chain(-self.value, -1.0)

    def __abs__(self):
        if self.value == 0 and any(self.slopes.values()):
            raise Kink
        return self if self.value >= 0 else -self

    def hypot(self, other):
        other = dual(other)
        h = math.hypot(self.value, other.value)
        if h == 0:
            raise Kink
        return self.combine(other, h, self.value / h, other.value / h)

    def square(self):
        return self * self

    def sin(self):
        return self.chain(math.sin(self.value), math.cos(self.value))

    def cos(self):
        return self.chain(math.cos(self.value), -math.sin(self.value))

    def tanh(self):
        t = math.tanh(self.value)
        return self.chain(t, 1 - t * t)

    def arctan(self):
        return self.chain(math.atan(self.value), 1 / (1 + self.value**2))

    def exp(self):
        y = math.exp(self.value)
        return self.chain(y, y)

    def log(self):
        return self.chain(math.log(self.value), 1 / self.value)

    def sqrt(self):
        y = math.sqrt(self.value)
        return self.chain(y, 0.5 / y)

    def conjugate(self):  # np.var asks for it
        return self

    # An order: which of two is taken. Equal numbers may be exchanged where their slopes agree.

    def _differ(self, other):
        other = dual(other)
        if self.value == other.value:
            for i in self.slopes.keys() | other.slopes.keys():
                if abs(self.slopes.get(i, 0.0) - other.slopes.get(i, 0.0)) > 1e-9:
                    raise Kink
        return self.value - other.value

    def __lt__(self, other):
        return self._differ(other) < 0

    def __le__(self, other):
        return self._differ(other) <= 0

    def __gt__(self, other):
        return self._differ(other) > 0

    def __ge__(self, other):
        return self._differ(other) >= 0


def array(x):
    """An array of numbers of this engine."""
    x = np.asarray(x, object)
    lifted = np.empty(x.shape, object)
    for i in np.ndindex(x.shape):
        lifted[i] = dual(x[i])
    return lifted


def dual(x):
    return x if isinstance(x, Dual) else Dual(x)
