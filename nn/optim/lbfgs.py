"""L-BFGS: a quasi-Newton method for losses of all the data at once."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

import autograd_core as ag

from ..schedules import rate_at
from .optimizer import Array, Optimizer

__all__ = ["LBFGS", "strong_wolfe"]

#: f and f' along a line.
Slope = tuple[float, float]


class LBFGS(Optimizer):
    """Limited-memory BFGS with a line search that meets the strong Wolfe conditions:

    p ← p + α d,  d = -H g,  where H approximates the inverse Hessian from the last ``history``
    pairs s = Δp, y = Δg (two-loop recursion), and α satisfies
    f(p + α d) ≤ f(p) + c₁ α gᵀd  and  |∇f(p + α d)ᵀd| ≤ c₂ |gᵀd|,  c₁ = 10⁻⁴, c₂ = 0.9.

    ``step(closure)`` makes up to ``iterations`` of these and returns the loss before them.
    ``closure()`` computes the loss of all the data, and the gradients into ``.grad``; it may be
    compiled, the step itself cannot. It is called several times a step. ``lr`` is the length tried
    first. It ends when no element of the gradient exceeds ``tolerance`` or no step lowers the loss.

    The inner products are computed in float64 from parameters of any dtype. Groups, weight decay
    and clipping are for other optimisers: a penalty belongs into the loss here.

    Raises ``TypeError`` for a step without a closure, :class:`ag.CompileError` in a compiled
    function.

    Source: Liu, Nocedal, "On the limited memory BFGS method for large scale optimization" (1989);
    Nocedal, Wright, "Numerical optimization" (2006), algorithms 7.4, 7.5, 3.5 and 3.6.

    >>> p = nn.Parameter([-1.2, 1.0])
    >>> optimizer = nn.optim.LBFGS([p], iterations=100)
    >>> def closure():
    ...     optimizer.zero_grad()
    ...     loss = (1 - p[0]) ** 2 + 100 * (p[1] - p[0] ** 2) ** 2
    ...     loss.backward()
    ...     return loss
    >>> round(optimizer.step(closure), 6)
    24.2
    >>> p.numpy(force=True).round(6)
    array([1., 1.])
    """

    def __init__(
        self, parameters: Any, lr: float | Callable[[int], float] = 1.0, *, iterations: int = 20,
        history: int = 10, tolerance: float = 1e-9,
    ) -> None:
        if iterations < 1 or history < 1:
            raise ValueError(
                f"LBFGS: iterations and history must be positive, got {iterations} and {history}"
            )
        self.iterations = iterations
        self.history = history
        self.tolerance = tolerance
        self._pairs: list[tuple[Array, Array]] = []
        super().__init__(parameters, lr)
        if len(self.groups) > 1 or len(self.groups[0]) > 1:
            raise ValueError("LBFGS: groups with settings of their own have no meaning here")

    def step(self, closure: Callable[[], Any] | None = None) -> float:  # type: ignore[override]
        """Up to ``iterations`` steps; returns the loss before them."""
        if ag.is_compiling():
            raise ag.CompileError(
                "LBFGS: a step decides by values and cannot be compiled; compile the closure, "
                "which computes the loss and the gradients"
            )
        if closure is None:
            raise TypeError(
                "LBFGS: step(closure) needs a function that computes the loss and the gradients"
            )
        lr = rate_at(self.lr, self.steps)
        place = self._place()
        first = value = _number(closure())
        slope = self._slope()
        if not (math.isfinite(value) and np.isfinite(slope).all()):
            raise FloatingPointError(f"LBFGS: the loss is {value}, or its gradient is not finite")
        for _ in range(self.iterations):
            if np.abs(slope).max(initial=0.0) <= self.tolerance:
                break
            direction = -self._times_hessian(slope)
            along = float(direction @ slope)
            if not along < 0:  # by rounding; start again from the gradient
                self._pairs.clear()
                direction, along = -slope, -float(slope @ slope)
            seen: dict[float, Array] = {}

            def on_line(alpha: float, direction: Array = direction, place: Array = place,
                        seen: dict[float, Array] = seen) -> Slope:
                self._go(place + alpha * direction)
                f = _number(closure())
                seen[alpha] = g = self._slope()
                return f, float(g @ direction)

            # Nothing is known of the curvature yet: a first step of length lr at most.
            scale = lr if self._pairs else lr * min(1.0, 1 / np.abs(slope).sum())
            alpha, f = strong_wolfe(on_line, (value, along), float(scale))
            if not alpha or not f < value:
                self._go(place)
                if not self._pairs:
                    break
                self._pairs.clear()
                continue
            reached = place + alpha * direction
            self._go(reached)
            # Where float32 has rounded the step away, what was done is what counts.
            reached = self._place()
            s, y = reached - place, seen[alpha] - slope
            if float(s @ y) > 1e-10 * float(y @ y):
                self._pairs.append((s, y))
                del self._pairs[: -self.history]
            place, slope, value = reached, seen[alpha], f
        self.steps += 1
        return first

    def changes(self) -> list[Array | None]:
        """The step before the line search: lr times the direction."""
        lr = rate_at(self.lr, self.steps)
        change = -lr * self._times_hessian(self._slope())
        ends = np.cumsum([p.size for p in self.parameters])[:-1]
        return [
            part.reshape(p.shape).astype(p.dtype)
            for p, part in zip(self.parameters, np.split(change, ends), strict=True)
        ]

    def _times_hessian(self, slope: Array) -> Array:
        """H g by the two-loop recursion."""
        q = slope.copy()
        used = []
        for s, y in reversed(self._pairs):
            rho = 1 / float(s @ y)
            a = rho * float(s @ q)
            q -= a * y
            used.append((rho, a))
        if self._pairs:
            s, y = self._pairs[-1]
            q *= float(s @ y) / float(y @ y)
        for (s, y), (rho, a) in zip(self._pairs, reversed(used), strict=True):
            q += s * (a - rho * float(y @ q))
        return q

    def _place(self) -> Array:
        """All parameters as one vector."""
        return np.concatenate(
            [p.numpy(force=True).reshape(-1).astype(np.float64) for p in self.parameters]
        )

    def _slope(self) -> Array:
        """All gradients as one vector."""
        parts = []
        for p in self.parameters:
            g: Any = p.grad
            if g is None:
                parts.append(np.zeros(p.size))
                continue
            array = g.numpy(force=True) if isinstance(g, ag.Tensor) else g
            parts.append(array.reshape(-1).astype(np.float64))
        return np.concatenate(parts)

    def _go(self, place: Array) -> None:
        """Set all parameters from one vector."""
        begin = 0
        for p in self.parameters:
            p.assign(place[begin : begin + p.size].reshape(p.shape))
            begin += p.size

    def state_dict(self) -> dict[str, Any]:
        """A copy of the number of steps, the settings, and the pairs (s, y)."""
        state = super().state_dict()
        state["pairs"] = [(s.copy(), y.copy()) for s, y in self._pairs]
        return state

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        pairs = [
            tuple(np.array(x, np.float64) for x in pair) for pair in state.get("pairs", ())
        ]
        size = sum(p.size for p in self.parameters)
        for pair in pairs:
            if [x.shape for x in pair] != [(size,)] * 2:
                raise ValueError(
                    f"LBFGS: the state has pairs of shapes {[x.shape for x in pair]}, where "
                    f"{[(size,)] * 2} are needed"
                )
        super().load_state_dict(state)
        self._pairs = [(s, y) for s, y in pairs]


def _number(loss: Any) -> float:
    return float(loss.numpy(force=True) if isinstance(loss, ag.Tensor) else loss)


def strong_wolfe(
    f: Callable[[float], Slope], start: Slope, first: float, *, c1: float = 1e-4, c2: float = 0.9,
    evaluations: int = 25,
) -> tuple[float, float]:
    """A step length that meets the strong Wolfe conditions, and the value there.

    ``f(α)`` returns the value and the slope at α > 0, ``start`` is both at 0, where the slope is
    negative; ``first`` is tried first. Where ``evaluations`` of f do not suffice, the best of those
    tried that lowers the value; (0, f(0)) if none does. A value that is no number counts as +∞.

    Source: Nocedal, Wright, "Numerical optimization" (2006), algorithms 3.5 and 3.6, with the
    cubic interpolation of equation 3.59.
    """
    f0, slope0 = start
    best = (0.0, f0)
    left = evaluations

    def at(alpha: float) -> Slope:
        nonlocal best, left
        left -= 1
        value, slope = f(alpha)
        if not (math.isfinite(value) and math.isfinite(slope)):
            return math.inf, math.inf
        if value < best[1]:
            best = (alpha, value)
        return value, slope

    # Bracketing: from 0 outwards, until an interval must hold an acceptable point.
    low: tuple[float, float, float] = (0.0, f0, slope0)
    alpha = first
    high: tuple[float, float, float] | None = None
    while left > 0:
        value, slope = at(alpha)
        here = (alpha, value, slope)
        if value > f0 + c1 * alpha * slope0 or (low[0] > 0 and value >= low[1]):
            high = here
            break
        if abs(slope) <= -c2 * slope0:
            return alpha, value
        if slope >= 0:
            low, high = here, low
            break
        low, alpha = here, _outwards(low, here)
    if high is None:
        return best
    # Zooming: low has the lowest value so far that decreases enough, and slopes towards high.
    while left > 0:
        alpha = _between(low, high)
        if alpha in (low[0], high[0]):
            break  # the interval is as small as floats can tell
        value, slope = at(alpha)
        here = (alpha, value, slope)
        if value > f0 + c1 * alpha * slope0 or value >= low[1]:
            high = here
            continue
        if abs(slope) <= -c2 * slope0:
            return alpha, value
        if slope * (high[0] - low[0]) >= 0:
            high = low
        low = here
    return best


def _cubic(a: tuple[float, float, float], b: tuple[float, float, float]) -> float:
    """The minimum of the cubic with these values and slopes; NaN where there is none."""
    if not (math.isfinite(a[1]) and math.isfinite(b[1])) or a[0] == b[0]:
        return math.nan
    d1 = a[2] + b[2] - 3 * (a[1] - b[1]) / (a[0] - b[0])
    square = d1 * d1 - a[2] * b[2]
    if not square >= 0:
        return math.nan
    d2 = math.copysign(math.sqrt(square), b[0] - a[0])
    below = b[2] - a[2] + 2 * d2
    return b[0] - (b[0] - a[0]) * (b[2] + d2 - d1) / below if below else math.nan


def _outwards(before: tuple[float, float, float], here: tuple[float, float, float]) -> float:
    """The next length to try: between twice and ten times as far."""
    far = _cubic(before, here)
    return min(max(far, 2 * here[0]), 10 * here[0]) if math.isfinite(far) else 2 * here[0]


def _between(low: tuple[float, float, float], high: tuple[float, float, float]) -> float:
    """The cubic's minimum, kept off the ends by a tenth of the interval; else the middle."""
    begin, end = sorted((low[0], high[0]))
    margin = (end - begin) / 10
    alpha = _cubic(low, high)
    if not math.isfinite(alpha):
        return (begin + end) / 2
    return min(max(alpha, begin + margin), end - margin)


