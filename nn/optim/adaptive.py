"""Optimisers that give every weight a rate of its own, from the gradients it has had."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Unpack

import numpy as np

from .optimizer import Array, Optimizer, Options, Parameters, Rate, between, scalars, zeros_for

__all__ = ["AMSGrad", "AdaDelta", "AdaGrad", "Adam", "AdamW", "Lion", "NAdam", "RMSProp"]


def _not_negative(name: str, setting: str, value: float) -> None:
    if not value >= 0:
        raise ValueError(f"{name}: {setting} must not be negative, got {value}")


def _check_betas(name: str, betas: tuple[float, float]) -> None:
    if len(betas) != 2 or not all(0 <= beta < 1 for beta in betas):
        raise ValueError(f"{name}: betas must be two numbers in [0, 1), got {betas}")


def _averaged(average: Array, new: Array, rho: float) -> Array:
    """ρ average + (1 - ρ) new; ``new``, made for this, is scaled in place."""
    new *= 1 - rho
    average = rho * average
    average += new
    return average


class AdaGrad(Optimizer):
    """Rates that fall with the squares of all gradients so far:

    s ← s + g²,  p ← p - lr g / (√s + ε).

    Source: Duchi, Hazan, Singer, "Adaptive subgradient methods for online learning and stochastic
    optimization" (2011), with the diagonal matrix of section 1.1.

    >>> p = nn.Parameter([1.0, -2.0])
    >>> optimizer = nn.optim.AdaGrad([p], lr=0.5)
    >>> np.square(p).sum().backward()
    >>> optimizer.step()
    >>> p
    tensor([ 0.5, -1.5], requires_grad=True)
    """

    elementwise = True

    def __init__(
        self, parameters: Parameters, lr: Rate = 0.01, eps: float = 1e-10,
        **options: Unpack[Options],
    ) -> None:
        self.eps = eps
        super().__init__(parameters, lr, **options)

    def check(self) -> None:
        _not_negative(type(self).__name__, "eps", self.eps)

    def start(self, value: Array) -> tuple[Array, ...]:
        return (zeros_for(value),)

    def update(
        self, value: Array, grad: Array, state: tuple[Array, ...], *coefficients: float
    ) -> tuple[Array, tuple[Array, ...]]:
        (lr,) = coefficients
        squares = state[0] + grad * grad
        spread = np.sqrt(squares)
        spread += self.eps
        change = grad / spread
        change *= lr
        return value - change, (squares,)


class RMSProp(Optimizer):
    """Rates from a moving average of the squared gradients:

    v ← ρ v + (1 - ρ) g²,  p ← p - lr g / (√v + ε);
    ``centered``: m ← ρ m + (1 - ρ) g and √(v - m²) in place of √v;
    with momentum μ: b ← μ b + g / (√v + ε),  p ← p - lr b.

    Source: Tieleman, Hinton, "Lecture 6.5: rmsprop", COURSERA (2012); centred: Graves, "Generating
    sequences with recurrent neural networks" (2013), equations 38 to 41. v - m² is a variance: it
    is taken as 0 where rounding makes it negative.

    Whether there is a momentum, and an average of the gradients, is settled when the optimiser is
    made.

    >>> p = nn.Parameter([1.0, -2.0])
    >>> optimizer = nn.optim.RMSProp([p], lr=0.05, rho=0.75)
    >>> np.square(p).sum().backward()
    >>> optimizer.step()
    >>> p
    tensor([ 0.9, -1.9], requires_grad=True)
    """

    elementwise = True

    def __init__(
        self, parameters: Parameters, lr: Rate = 0.01, rho: float = 0.99, eps: float = 1e-8,
        momentum: float = 0.0, centered: bool = False, **options: Unpack[Options],
    ) -> None:
        self.rho = rho
        self.eps = eps
        self.momentum = momentum
        self.centered = centered
        super().__init__(parameters, lr, **options)

    def check(self) -> None:
        between(type(self).__name__, "rho", self.rho)
        between(type(self).__name__, "momentum", self.momentum)
        _not_negative(type(self).__name__, "eps", self.eps)

    def start(self, value: Array) -> tuple[Array, ...]:
        count = 1 + bool(self.centered) + bool(self.momentum)
        return tuple(zeros_for(value) for _ in range(count))

    def update(
        self, value: Array, grad: Array, state: tuple[Array, ...], *coefficients: float
    ) -> tuple[Array, tuple[Array, ...]]:
        (lr,) = coefficients
        v = _averaged(state[0], grad * grad, self.rho)
        new = [v]
        if self.centered:
            mean = self.rho * state[1]
            mean += (1 - self.rho) * grad
            new.append(mean)
            spread = np.sqrt(np.maximum(v - mean * mean, 0))
        else:
            spread = np.sqrt(v)
        spread += self.eps
        change = grad / spread
        if self.momentum:
            velocity = self.momentum * state[-1]
            velocity += change
            new.append(velocity)
            return value - lr * velocity, tuple(new)
        change *= lr
        return value - change, tuple(new)


class AdaDelta(Optimizer):
    """Steps in the units of the weights, from a moving average of their squares:

    v ← ρ v + (1 - ρ) g²,  Δ = g √(u + ε) / √(v + ε),  u ← ρ u + (1 - ρ) Δ²,  p ← p - lr Δ.

    Source: Zeiler, "ADADELTA: an adaptive learning rate method" (2012), algorithm 1 (where lr = 1).

    >>> p = nn.Parameter([1.0, -2.0])
    >>> optimizer = nn.optim.AdaDelta([p], rho=0.75, eps=0.0025)
    >>> np.square(p).sum().backward()
    >>> optimizer.step()
    >>> p.numpy(force=True).round(3)
    array([ 0.9, -1.9])
    """

    elementwise = True

    def __init__(
        self, parameters: Parameters, lr: Rate = 1.0, rho: float = 0.9, eps: float = 1e-6,
        **options: Unpack[Options],
    ) -> None:
        self.rho = rho
        self.eps = eps
        super().__init__(parameters, lr, **options)

    def check(self) -> None:
        between(type(self).__name__, "rho", self.rho)
        if not self.eps > 0:
            raise ValueError(f"{type(self).__name__}: eps must be positive, got {self.eps}: the "
                             "first step is proportional to its root")

    def start(self, value: Array) -> tuple[Array, ...]:
        return zeros_for(value), zeros_for(value)

    def update(
        self, value: Array, grad: Array, state: tuple[Array, ...], *coefficients: float
    ) -> tuple[Array, tuple[Array, ...]]:
        (lr,) = coefficients
        v = _averaged(state[0], grad * grad, self.rho)
        change = np.sqrt(state[1] + self.eps)
        change /= np.sqrt(v + self.eps)
        change *= grad
        u = _averaged(state[1], change * change, self.rho)
        return value - lr * change, (v, u)


class Adam(Optimizer):
    """Adaptive moments:

    m ← β₁ m + (1 - β₁) g,  v ← β₂ v + (1 - β₂) g²,
    p ← p - lr m̂ / (√v̂ + ε)  with  m̂ = m / (1 - β₁ᵗ),  v̂ = v / (1 - β₂ᵗ).

    Source: Kingma, Ba, "Adam: a method for stochastic optimization" (2015), algorithm 1.

    >>> p = nn.Parameter([1.0, -2.0])
    >>> optimizer = nn.optim.Adam([p], lr=0.5)
    >>> np.square(p).sum().backward()
    >>> optimizer.step()
    >>> p.numpy(force=True).round(6)
    array([ 0.5, -1.5])
    """

    elementwise = True

    def __init__(
        self, parameters: Parameters, lr: Rate = 0.001, betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8, **options: Unpack[Options],
    ) -> None:
        self.betas = betas
        self.eps = eps
        super().__init__(parameters, lr, **options)

    def check(self) -> None:
        _check_betas(type(self).__name__, self.betas)
        _not_negative(type(self).__name__, "eps", self.eps)

    def start(self, value: Array) -> tuple[Array, ...]:
        return zeros_for(value), zeros_for(value)

    def coefficients(self, lr: float, step: int) -> tuple[float, ...]:
        # lr m̂ / (√v̂ + ε) = (lr c / b) m / (√v + ε c) with b = 1 - β₁ᵗ, c = √(1 - β₂ᵗ): the
        # corrections become two numbers instead of two divisions of whole arrays.
        c = math.sqrt(1 - self.betas[1] ** step)
        return lr * c / (1 - self.betas[0] ** step), self.eps * c

    def update(
        self, value: Array, grad: Array, state: tuple[Array, ...], *coefficients: float
    ) -> tuple[Array, tuple[Array, ...]]:
        rate, eps, *averaging = scalars(grad, *coefficients, *_averaging(self.betas))
        m, v = moments(grad, state, averaging)
        spread = np.sqrt(v)
        spread += eps
        change = m / spread
        change *= rate
        return value - change, (m, v)


def _averaging(betas: tuple[float, float]) -> tuple[float, float, float, float]:
    """β₁, 1 - β₁, β₂, 1 - β₂."""
    beta1, beta2 = betas
    return beta1, 1 - beta1, beta2, 1 - beta2


def moments(
    grad: Array, state: tuple[Array, ...], averaging: Sequence[Any]
) -> tuple[Array, Array]:
    """β₁ m + (1 - β₁) g and β₂ v + (1 - β₂) g²."""
    m, v = state[:2]
    beta1, rest1, beta2, rest2 = averaging
    m = beta1 * m
    m += rest1 * grad
    square = grad * grad
    square *= rest2
    v = beta2 * v
    v += square
    return m, v


class AMSGrad(Adam):
    """:class:`Adam` whose rates never rise: w ← max(w, v) stands in place of v.

    m and v as Adam's,  w ← max(w, v),
    p ← p - lr m̂ / (√ŵ + ε)  with  m̂ = m / (1 - β₁ᵗ),  ŵ = w / (1 - β₂ᵗ).

    Source: Reddi, Kale, Kumar, "On the convergence of Adam and beyond" (2018), algorithm 2, with
    Adam's corrections of the first steps, as PyTorch has it.

    >>> optimizer = nn.optim.AMSGrad([nn.Parameter([1.0])], lr=0.5)
    >>> len(optimizer.start(np.zeros(1)))
    3
    """

    def start(self, value: Array) -> tuple[Array, ...]:
        return zeros_for(value), zeros_for(value), zeros_for(value)

    elementwise = True

    def update(
        self, value: Array, grad: Array, state: tuple[Array, ...], *coefficients: float
    ) -> tuple[Array, tuple[Array, ...]]:
        rate, eps, *averaging = scalars(grad, *coefficients, *_averaging(self.betas))
        m, v = moments(grad, state, averaging)
        largest = np.maximum(state[2], v)
        spread = np.sqrt(largest)
        spread += eps
        change = m / spread
        change *= rate
        return value - change, (m, v, largest)


class AdamW(Adam):
    """:class:`Adam` with weight decay beside the step: p ← p - lr m̂ / (√v̂ + ε) - lr λ p.

    In :class:`Adam` the decay is part of the gradient, and so is divided by √v̂ too.

    Source: Loshchilov, Hutter, "Decoupled weight decay regularization" (2019), algorithm 2.

    >>> p = nn.Parameter([1.0, -2.0])
    >>> optimizer = nn.optim.AdamW([p], lr=0.5, weight_decay=0.1)
    >>> p.grad = np.zeros(2)
    >>> optimizer.step()
    >>> p
    tensor([ 0.95, -1.9 ], requires_grad=True)
    """

    decoupled = True

    def __init__(
        self, parameters: Parameters, lr: Rate = 0.001, betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8, weight_decay: float = 0.01, *, clip_norm: float | None = None,
        clip_value: float | None = None,
    ) -> None:
        super().__init__(parameters, lr, betas, eps, weight_decay=weight_decay,
                         clip_norm=clip_norm, clip_value=clip_value)


class NAdam(Adam):
    """:class:`Adam` with Nesterov's momentum:

    m and v as Adam's,  μₜ = β₁ (1 - ½ · 0.96^(t ψ)),  Πₜ = μ₁ ⋯ μₜ,
    p ← p - lr (μₜ₊₁ m / (1 - Πₜ₊₁) + (1 - μₜ) g / (1 - Πₜ)) / (√v̂ + ε)  with  v̂ = v / (1 - β₂ᵗ).

    ``momentum_decay`` is ψ. Source: Dozat, "Incorporating Nesterov momentum into Adam" (2016),
    algorithm 2; the schedule of μ is that of its section on the warm-up, ψ = 0.004.

    >>> p = nn.Parameter([1.0, -2.0])
    >>> optimizer = nn.optim.NAdam([p], lr=0.5)
    >>> np.square(p).sum().backward()
    >>> optimizer.step()
    >>> bool(p.numpy(force=True)[0] < 1)
    True
    """

    elementwise = True

    def __init__(
        self, parameters: Parameters, lr: Rate = 0.002, betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8, momentum_decay: float = 0.004, **options: Unpack[Options],
    ) -> None:
        self.momentum_decay = momentum_decay
        #: The last product of μ, by its settings: (t, Πₜ).
        self._products: dict[tuple[float, float], tuple[int, float]] = {}
        super().__init__(parameters, lr, betas, eps, **options)

    def check(self) -> None:
        super().check()
        _not_negative(type(self).__name__, "momentum_decay", self.momentum_decay)

    def _momentum(self, step: int) -> float:
        return self.betas[0] * (1 - 0.5 * 0.96 ** (step * self.momentum_decay))  # type: ignore[no-any-return]

    def _product(self, step: int) -> float:
        """μ₁ ⋯ μₜ, multiplied in this order whether or not the steps before were asked for."""
        key = (self.betas[0], self.momentum_decay)
        t, product = self._products.get(key, (0, 1.0))
        if t > step:
            t, product = 0, 1.0
        for k in range(t + 1, step + 1):
            product *= self._momentum(k)
        self._products[key] = step, product
        return product

    def coefficients(self, lr: float, step: int) -> tuple[float, ...]:
        c = math.sqrt(1 - self.betas[1] ** step)
        now, ahead = self._momentum(step), self._momentum(step + 1)
        product = self._product(step)
        return (
            lr * c * ahead / (1 - product * ahead), lr * c * (1 - now) / (1 - product),
            self.eps * c,
        )

    def update(
        self, value: Array, grad: Array, state: tuple[Array, ...], *coefficients: float
    ) -> tuple[Array, tuple[Array, ...]]:
        of_mean, of_gradient, eps, *averaging = scalars(
            grad, *coefficients, *_averaging(self.betas)
        )
        m, v = moments(grad, state, averaging)
        spread = np.sqrt(v)
        spread += eps
        change = of_mean * m
        change += of_gradient * grad
        change /= spread
        return value - change, (m, v)


class Lion(Optimizer):
    """Steps of one size, in the direction of the sign of a momentum:

    p ← p - lr (sign(β₁ m + (1 - β₁) g) + λ p),  m ← β₂ m + (1 - β₂) g.

    Rates are 3 to 10 times smaller than Adam's, weight decays λ as much larger. Source: Chen et
    al., "Symbolic discovery of optimization algorithms" (2023), algorithm 2.

    >>> p = nn.Parameter([1.0, -2.0])
    >>> optimizer = nn.optim.Lion([p], lr=0.1)
    >>> np.square(p).sum().backward()
    >>> optimizer.step()
    >>> p
    tensor([ 0.9, -1.9], requires_grad=True)
    """

    decoupled = True

    elementwise = True

    def __init__(
        self, parameters: Parameters, lr: Rate = 1e-4, betas: tuple[float, float] = (0.9, 0.99),
        **options: Unpack[Options],
    ) -> None:
        self.betas = betas
        super().__init__(parameters, lr, **options)

    def check(self) -> None:
        _check_betas(type(self).__name__, self.betas)

    def start(self, value: Array) -> tuple[Array, ...]:
        return (zeros_for(value),)

    def update(
        self, value: Array, grad: Array, state: tuple[Array, ...], *coefficients: float
    ) -> tuple[Array, tuple[Array, ...]]:
        (lr,), (m,), (beta1, beta2) = coefficients, state, self.betas
        direction = beta1 * m
        direction += (1 - beta1) * grad
        after = beta2 * m
        after += (1 - beta2) * grad
        return value - lr * np.sign(direction), (after,)
