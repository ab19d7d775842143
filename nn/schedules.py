"""Schedules: learning rates as functions of the number of steps taken, η(0), η(1), ...

An optimiser takes one in place of a number, and asks it before each step. Steps are batches;
:class:`PerEpoch` counts epochs instead. Schedules compose: ``Warmup(Cosine(0.1, 1000), 100)``,
``0.5 * schedule``, ``Sequence((Constant(0.1), 500), Exponential(0.1, 0.99))``. Where one has a
state, it is in ``state_dict()`` and so in a checkpoint.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from .metrics import larger_is_better

__all__ = [
    "Constant",
    "Cosine",
    "Exponential",
    "InverseTime",
    "LinearDecay",
    "OneCycle",
    "PerEpoch",
    "Product",
    "ReduceOnPlateau",
    "Schedule",
    "Sequence",
    "StepDecay",
    "Warmup",
]


class Schedule:
    """A learning rate that depends on the number of steps already taken.

    A subclass defines ``__call__(step)``; one that is made of others names them in ``parts()``, and
    one with a state keeps it in ``own_state()`` and ``set_own_state()``.

    >>> half = 0.5 * nn.schedules.Exponential(0.1, 0.9)
    >>> half(0), half(1)
    (0.05, 0.045000000000000005)
    """

    def __call__(self, step: int) -> float:
        """The rate of the step after ``step`` others."""
        raise NotImplementedError(f"{type(self).__name__} defines no __call__(self, step)")

    def parts(self) -> tuple[Schedule, ...]:
        """The schedules that this one is made of."""
        return ()

    def observe(self, history: Mapping[str, Any] | Any) -> None:
        """Called by ``nn.fit`` after each epoch; passed on to the parts."""
        for part in self.parts():
            part.observe(history)

    def own_state(self) -> dict[str, Any]:
        """Numbers that change while training goes on."""
        return {}

    def set_own_state(self, state: Mapping[str, Any]) -> None:
        """Go on from an :meth:`own_state`."""

    def state_dict(self) -> dict[str, Any]:
        """The state of this schedule and of its parts."""
        return {
            "schedule": type(self).__name__,
            "state": self.own_state(),
            "parts": [part.state_dict() for part in self.parts()],
        }

    def check_state(self, state: Mapping[str, Any]) -> None:
        """Raise ``ValueError`` unless ``state`` is of a schedule that is made like this one."""
        name = type(self).__name__
        if state["schedule"] != name or len(state["parts"]) != len(self.parts()) or (
            state["state"].keys() != self.own_state().keys()
        ):
            raise ValueError(
                f"{name}: the state is of the schedule {state['schedule']} with "
                f"{len(state['parts'])} parts, not of {self}"
            )
        for part, inner in zip(self.parts(), state["parts"], strict=True):
            part.check_state(inner)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a :meth:`state_dict`; ``ValueError`` if it is of another schedule."""
        self.check_state(state)
        self.set_own_state(state["state"])
        for part, inner in zip(self.parts(), state["parts"], strict=True):
            part.load_state_dict(inner)

    def __mul__(self, other: float | Callable[[int], float]) -> Product:
        return Product(self, as_schedule(other))

    __rmul__ = __mul__


@dataclass(frozen=True)
class Given(Schedule):
    """A function of the number of steps, as a schedule."""

    function: Callable[[int], float]

    def __call__(self, step: int) -> float:
        return self.function(step)


def as_schedule(rate: float | Callable[[int], float]) -> Schedule:
    """A number as a constant, a function or a schedule as a schedule."""
    if isinstance(rate, Schedule):
        return rate
    return Given(rate) if callable(rate) else Constant(float(rate))


def rate_at(rate: float | Callable[[int], float], step: int) -> float:
    """What a learning rate, a number or a function, is after so many steps."""
    return float(rate(step) if callable(rate) else rate)


def _positive(name: str, **values: float) -> None:
    for what, value in values.items():
        if not value > 0:
            raise ValueError(f"{name}: {what} must be positive, got {value}")


def _rate(name: str, **values: float) -> None:
    for what, value in values.items():
        if not 0 <= value < math.inf:
            raise ValueError(f"{name}: {what} must be a number that is not negative, got {value}")


@dataclass(frozen=True)
class Constant(Schedule):
    """η(k) = η₀.

    Source: Goodfellow, Bengio, Courville, "Deep learning" (2016), section 4.3.

    >>> nn.schedules.Constant(0.1)(1000)
    0.1
    """

    lr: float

    def __post_init__(self) -> None:
        _rate("Constant", lr=self.lr)

    def __call__(self, step: int) -> float:
        return self.lr


@dataclass(frozen=True)
class StepDecay(Schedule):
    """η(k) = η₀ γ^⌊k / n⌋: times ``factor`` γ after every ``every`` n steps.

    Source: He, Zhang, Ren, Sun, "Deep residual learning for image recognition" (2016), section 4.2,
    where γ is 1/10.

    >>> [nn.schedules.StepDecay(1.0, every=2, factor=0.5)(k) for k in range(5)]
    [1.0, 1.0, 0.5, 0.5, 0.25]
    """

    lr: float
    every: int
    factor: float = 0.1

    def __post_init__(self) -> None:
        _rate("StepDecay", lr=self.lr, factor=self.factor)
        _positive("StepDecay", every=self.every)

    def __call__(self, step: int) -> float:
        return self.lr * self.factor ** (step // self.every)


@dataclass(frozen=True)
class Exponential(Schedule):
    """η(k) = η₀ γᵏ.

    The sum of all rates, η₀ / (1 - γ), is finite: what is farther away is never reached.

    Source: Goodfellow, Bengio, Courville, "Deep learning" (2016), section 11.2.

    >>> [nn.schedules.Exponential(1.0, 0.5)(k) for k in range(3)]
    [1.0, 0.5, 0.25]
    """

    lr: float
    factor: float

    def __post_init__(self) -> None:
        _rate("Exponential", lr=self.lr, factor=self.factor)

    def __call__(self, step: int) -> float:
        return self.lr * self.factor**step


@dataclass(frozen=True)
class InverseTime(Schedule):
    """η(k) = η₀ / (1 + γ k)^p, with p in (½, 1], by default 1.

    For such p, Σ η(k) = ∞ and Σ η(k)² < ∞, the two conditions under which stochastic gradient
    descent converges (on a convex function, to its minimum).

    Raises ``ValueError`` for a power for which one of the sums fails.

    Source: Robbins, Monro, "A stochastic approximation method" (1951); Bottou, "Large-scale machine
    learning with stochastic gradient descent" (2010).

    >>> [nn.schedules.InverseTime(1.0, decay=1.0)(k) for k in range(4)]
    [1.0, 0.5, 0.3333333333333333, 0.25]
    """

    lr: float
    decay: float
    power: float = 1.0

    def __post_init__(self) -> None:
        _rate("InverseTime", lr=self.lr)
        _positive("InverseTime", decay=self.decay)
        if not 0.5 < self.power <= 1:
            raise ValueError(
                f"InverseTime: power must be in (0.5, 1], got {self.power}: otherwise the rates "
                "have a finite sum, or their squares an infinite one"
            )

    def __call__(self, step: int) -> float:
        return self.lr / (1 + self.decay * step) ** self.power  # type: ignore[no-any-return]


@dataclass(frozen=True)
class LinearDecay(Schedule):
    """η(k) = (1 - k/T) η₀ + (k/T) η_T until step T, then η_T.

    ``steps`` is T, ``end`` η_T, by default a hundredth of η₀.

    Source: Goodfellow, Bengio, Courville, "Deep learning" (2016), equation 8.14.

    >>> [nn.schedules.LinearDecay(1.0, steps=4, end=0.5)(k) for k in range(6)]
    [1.0, 0.875, 0.75, 0.625, 0.5, 0.5]
    """

    lr: float
    steps: int
    end: float | None = None

    def __post_init__(self) -> None:
        _rate("LinearDecay", lr=self.lr, **({} if self.end is None else {"end": self.end}))
        _positive("LinearDecay", steps=self.steps)

    def __call__(self, step: int) -> float:
        end = self.lr / 100 if self.end is None else self.end
        if step >= self.steps:
            return end
        part = step / self.steps
        return (1 - part) * self.lr + part * end


@dataclass(frozen=True)
class Cosine(Schedule):
    """η(k) = η_T + ½ (η₀ - η_T) (1 + cos(π k/T)) until step T, then η_T.

    ``steps`` is T, ``end`` η_T.

    Source: Loshchilov, Hutter, "SGDR: stochastic gradient descent with warm restarts" (2017),
    equation 5, without restarts.

    >>> [round(nn.schedules.Cosine(1.0, steps=2)(k), 6) for k in range(4)]
    [1.0, 0.5, 0.0, 0.0]
    """

    lr: float
    steps: int
    end: float = 0.0

    def __post_init__(self) -> None:
        _rate("Cosine", lr=self.lr, end=self.end)
        _positive("Cosine", steps=self.steps)

    def __call__(self, step: int) -> float:
        return _cosine(self.lr, self.end, min(1.0, step / self.steps))


def _cosine(start: float, end: float, part: float) -> float:
    """From ``start`` at 0 to ``end`` at 1, exact at both."""
    if part >= 1 or part <= 0:
        return end if part >= 1 else start
    return end + (start - end) * (1 + math.cos(math.pi * part)) / 2


@dataclass(frozen=True)
class Warmup(Schedule):
    """η(k) = (k + 1) / n · S(0) for the first ``steps`` n steps, then S(k - n).

    ``schedule`` S: a schedule, a function or a number.

    Source: Goyal et al., "Accurate, large minibatch SGD: training ImageNet in 1 hour" (2017),
    section 2.2.

    >>> [nn.schedules.Warmup(1.0, steps=4)(k) for k in range(6)]
    [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]
    """

    schedule: Any
    steps: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "schedule", as_schedule(self.schedule))
        _positive("Warmup", steps=self.steps)

    def parts(self) -> tuple[Schedule, ...]:
        return (self.schedule,)

    def __call__(self, step: int) -> float:
        if step < self.steps:
            return (step + 1) / self.steps * self.schedule(0)  # type: ignore[no-any-return]
        return self.schedule(step - self.steps)  # type: ignore[no-any-return]


@dataclass(frozen=True)
class OneCycle(Schedule):
    """Up to the largest rate and down to nearly none, in half waves of a cosine.

    From ``lr / divide`` to ``lr`` during the first ``rise`` of the ``steps``, then to
    ``lr / divide / final_divide`` at step ``steps``, where it stays; each half wave is
    a + ½ (b - a) (1 - cos(π u)) for u from 0 to 1.

    Source: Smith, Topin, "Super-convergence: very fast training of neural networks using large
    learning rates" (2018); the shape and the defaults are PyTorch's.

    >>> cycle = nn.schedules.OneCycle(1.0, steps=10, rise=0.5)
    >>> cycle(0), cycle(5), cycle(10)
    (0.04, 1.0, 4e-06)
    """

    lr: float
    steps: int
    rise: float = 0.3
    divide: float = 25.0
    final_divide: float = 1e4

    def __post_init__(self) -> None:
        _rate("OneCycle", lr=self.lr)
        _positive("OneCycle", steps=self.steps, divide=self.divide, final_divide=self.final_divide)
        if not 0 < self.rise < 1:
            raise ValueError(f"OneCycle: rise must be between 0 and 1, got {self.rise}")

    def __call__(self, step: int) -> float:
        top, low = self.rise * self.steps, self.lr / self.divide
        if step < top:
            return _cosine(low, self.lr, step / top)
        part = (step - top) / (self.steps - top)
        return _cosine(self.lr, low / self.final_divide, min(1.0, part))


class Sequence(Schedule):
    """One schedule after another: pairs (schedule, steps), and last a schedule that stays.

    Each starts at its own step 0.

    >>> s = nn.schedules
    >>> rate = s.Sequence((s.Constant(1.0), 2), s.Exponential(1.0, 0.5))
    >>> [rate(k) for k in range(5)]
    [1.0, 1.0, 1.0, 0.5, 0.25]
    """

    def __init__(self, *pieces: Any) -> None:
        if not pieces or isinstance(pieces[-1], tuple) or not all(
            isinstance(x, tuple) and len(x) == 2 for x in pieces[:-1]
        ):
            raise TypeError("Sequence: pairs (schedule, steps) are needed, and last a schedule")
        *timed, last = pieces
        for _, steps in timed:
            _positive("Sequence", steps=steps)
        self.pieces = tuple((as_schedule(rate), steps) for rate, steps in timed)
        self.last = as_schedule(last)

    def parts(self) -> tuple[Schedule, ...]:
        return (*(schedule for schedule, _ in self.pieces), self.last)

    def __call__(self, step: int) -> float:
        for schedule, steps in self.pieces:
            if step < steps:
                return schedule(step)
            step -= steps
        return self.last(step)

    def __repr__(self) -> str:
        return f"Sequence({', '.join(map(repr, (*self.pieces, self.last)))})"


@dataclass(frozen=True)
class PerEpoch(Schedule):
    """η(k) = S(⌊k / n⌋): a schedule of epochs, of ``steps_per_epoch`` n batches each.

    n is ⌈samples / batch size⌉.

    >>> [nn.schedules.PerEpoch(nn.schedules.Exponential(1.0, 0.5), 2)(k) for k in range(4)]
    [1.0, 1.0, 0.5, 0.5]
    """

    schedule: Any
    steps_per_epoch: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "schedule", as_schedule(self.schedule))
        _positive("PerEpoch", steps_per_epoch=self.steps_per_epoch)

    def parts(self) -> tuple[Schedule, ...]:
        return (self.schedule,)

    def __call__(self, step: int) -> float:
        return self.schedule(step // self.steps_per_epoch)  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Product(Schedule):
    """η(k) = S(k) T(k): what ``schedule * other`` makes.

    >>> (2 * nn.schedules.Constant(0.1))(0)
    0.2
    """

    first: Schedule
    second: Schedule

    def parts(self) -> tuple[Schedule, ...]:
        return self.first, self.second

    def __call__(self, step: int) -> float:
        return self.first(step) * self.second(step)


class ReduceOnPlateau(Schedule):
    """η(k) = S(k) γⁿ, where n counts how often a metric has stopped improving.

    ``lr`` S: a number or another schedule. After each epoch ``nn.fit`` shows it the history, of
    which it looks at ``monitor``: by default ``"val_loss"``, or ``"loss"`` without validation; in a
    loop of your own, call ``update(value)``. After ``patience`` epochs in a row that do not better
    the best by the relative ``threshold``, the rate is multiplied by ``factor`` γ, down to
    ``minimum`` at the least, and the next ``cooldown`` epochs do not count. ``mode``: whether
    better is ``"min"`` or ``"max"``, by default what the metric's name says.

    Raises ``KeyError`` for a metric that the history does not have.

    Source: Goodfellow, Bengio, Courville, "Deep learning" (2016), section 11.2; the options are
    those of PyTorch's and Keras' ReduceLROnPlateau.

    >>> rate = nn.schedules.ReduceOnPlateau(1.0, factor=0.5, patience=2)
    >>> for loss in (3.0, 2.0, 2.0, 2.0):
    ...     rate.update(loss)
    >>> rate(4)
    0.5
    """

    def __init__(
        self, lr: float | Callable[[int], float], factor: float = 0.1, patience: int = 10, *,
        threshold: float = 1e-4, cooldown: int = 0, minimum: float = 0.0,
        monitor: str | None = None, mode: str | None = None,
    ) -> None:
        if not 0 < factor < 1:
            raise ValueError(f"ReduceOnPlateau: factor must be between 0 and 1, got {factor}")
        if mode not in (None, "min", "max"):
            raise ValueError(f"ReduceOnPlateau: mode must be 'min' or 'max', got {mode!r}")
        _positive("ReduceOnPlateau", patience=patience)
        _rate("ReduceOnPlateau", threshold=threshold, cooldown=cooldown, minimum=minimum)
        self.schedule = as_schedule(lr)
        self.factor = factor
        self.patience = patience
        self.threshold = threshold
        self.cooldown = cooldown
        self.minimum = minimum
        self.monitor = monitor
        self.mode = mode
        self.scale = 1.0
        self.best: float | None = None
        self.waited = 0
        self.resting = 0

    def parts(self) -> tuple[Schedule, ...]:
        return (self.schedule,)

    def __call__(self, step: int) -> float:
        rate = self.schedule(step)
        return max(rate * self.scale, min(rate, self.minimum))

    def observe(self, history: Mapping[str, Any] | Any) -> None:
        super().observe(history)
        name = watched(self.monitor, history)
        if self.mode is None and larger_is_better(name):
            self.mode = "max"
        self.update(float(history[name][-1]))

    def update(self, value: float) -> None:
        """Take note of the metric of one more epoch."""
        if self.best is None or improved(value, self.best, self.mode or "min", self.threshold):
            self.best = value
            self.waited = 0
        elif not self.resting:
            self.waited += 1
        if self.resting:
            self.resting -= 1
            self.waited = 0
        if self.waited >= self.patience:
            self.scale *= self.factor
            self.waited = 0
            self.resting = self.cooldown

    def own_state(self) -> dict[str, Any]:
        return {
            "scale": self.scale, "best": self.best, "waited": self.waited, "resting": self.resting,
        }

    def set_own_state(self, state: Mapping[str, Any]) -> None:
        self.scale = float(state["scale"])
        self.best = None if state["best"] is None else float(state["best"])
        self.waited, self.resting = int(state["waited"]), int(state["resting"])

    def __repr__(self) -> str:
        return f"ReduceOnPlateau({self.schedule}, factor={self.factor}, patience={self.patience})"


def watched(monitor: str | None, history: Any) -> str:
    """The name to look at: what was asked for, or the loss of validation, or that of training."""
    if monitor is None:
        return "val_loss" if "val_loss" in history else "loss"
    if monitor not in history:
        known = sorted(getattr(history, "epochs", history))
        raise KeyError(f"the history has no {monitor!r} to monitor; it has {known}")
    return monitor


def improved(value: float, best: float, mode: str, relative: float = 0.0,
             absolute: float = 0.0) -> bool:
    """Whether ``value`` is better than ``best`` by more than a part of it, or than an amount."""
    margin = max(relative * abs(best), absolute)
    return value < best - margin if mode == "min" else value > best + margin
