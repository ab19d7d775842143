"""The gamma, beta and zeta functions, the incomplete ones among them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.special

from ..node import Array
from ..op import POSITIVE, REAL, Op, case, define, is_complex, lift, refuse_complex, zero
from .elementary import xlogy
from .entries import (
    BROADCAST,
    NUMBERS,
    at_single,
    by_slopes,
    enter,
    in_precision,
    like,
    missing,
    of,
    on_host,
    with_order,
)


def _rgamma_rule(g: Array, y: Array, x: Array) -> Array:
    """-ψ(x)/Γ(x); left of 1/2 through 1/Γ(x) = Γ(1-x) sin(πx)/π (DLMF 5.5), which has no pole."""
    left = x < 0.5
    u, v = np.where(left, x, 0), np.where(left, 1, x)
    reflected = gamma(1 - u) * (np.cos(math.pi * u) - psi(1 - u) * np.sin(math.pi * u) / math.pi)
    return g * np.where(left, reflected, -psi(v) * rgamma(v))


gamma: np.ufunc = enter(
    "gamma", (lambda g, y, x: g * (y * psi(x)),), "Γ(x) (DLMF 5.2)", (0.7, 3.0)
)
gammaln: np.ufunc = enter(
    "gammaln", (lambda g, y, x: g * psi(x),), "ln |Γ(x)| (DLMF 5.2)", POSITIVE
)
gammasgn: np.ufunc = enter("gammasgn", (zero,), "the sign of Γ(x) (DLMF 5.2)", POSITIVE)
rgamma: np.ufunc = enter("rgamma", (_rgamma_rule,), "1 / Γ(x) (DLMF 5.2)", REAL)
psi: np.ufunc = enter(
    "psi", (lambda g, y, x: g * polygamma(1, x),), "ψ(x) = Γ'(x) / Γ(x) (DLMF 5.2)", POSITIVE
)
digamma = psi


def _polygamma_forward(n: Array, x: Array) -> Array:
    """(-1)ⁿ⁺¹ n! ζ(n + 1, x) (DLMF 5.15), in the precision of x."""
    refuse_complex("polygamma", x)  # SciPy has no ζ of complex numbers
    if isinstance(n, (int, np.integer)):
        n = int(n)
        return psi(x) if n == 0 else (
            (-1.0) ** (n + 1) * float(scipy.special.gamma(n + 1.0)) * scipy.special.zeta(n + 1, x)
        )
    y = (-1.0) ** (n + 1) * gamma(n + 1.0) * scipy.special.zeta(n + 1, x)
    y = np.where(n == 0, psi(x), y)[()]
    return y.astype(x.dtype) if x.dtype.kind == "f" else y


_polygamma: Op = define(
    "polygamma", _polygamma_forward,
    (missing("polygamma", "n"), lambda g, y, n, x: g * _polygamma(n + 1, x)),
    "ψ⁽ⁿ⁾(x) (DLMF 5.15)", domain=(POSITIVE,), cases=with_order(1, 0, 2),
)


def polygamma(n: Array, x: Array) -> Array:
    """The n-th derivative of psi. Differentiable by ``x``; ``n`` is a whole number >= 0."""
    return _polygamma(n if isinstance(n, int) else lift(n), lift(x))


def _gamma_density_forward(a: Array, x: Array) -> Array:
    with np.errstate(invalid="ignore"):  # inf - inf at poles of Γ
        size = np.exp(in_precision(xlogy, a - 1, x) - x - of(gammaln, a))
    at_pole = np.logical_and(a <= 0, a == np.floor(a))
    return np.where(at_pole, 0, of(gammasgn, a) * size)[()]


#: The slope of gammainc in x. By x it recurs, which gives every order, also at x = 0.
gamma_density: Op = define(
    "gamma_density", _gamma_density_forward,
    (
        lambda g, y, a, x: g * (y * (of(np.log, x) - psi(a))),
        lambda g, y, a, x: g * (gamma_density(a - 1, x) - y),
    ),
    "xᵃ⁻¹ e⁻ˣ / Γ(a) (DLMF 8.2)", domain=(POSITIVE, POSITIVE), cases=BROADCAST,
)


#: Nodes and weights of Gauss and Legendre on [0, 1].
_NODES, _WEIGHTS = ((x + 1) / 2 if i == 0 else x / 2 for i, x in enumerate(
    np.polynomial.legendre.leggauss(48)))
#: So many terms of the series reach the last digit where it is used; e to the power of -_END is
#: beyond the last digit.
_TERMS, _END = 72, 40.0


def _psis(a: Array, order: int) -> list[Array]:
    """ψ and its derivatives up to this order."""
    return [psi(a), *(_polygamma_forward(j, a) for j in range(1, order + 1))]


def _slope_by_series(a: Array, x: Array, order: int) -> Array:
    """x Σ rₙ (ψ(a+n+1) - ln x), rₙ = xⁿ Γ(a) / Γ(a+n+1): all terms but a few are positive."""
    psis = _psis(a + 1, order)
    psis[0] = psis[0] - np.log(x)
    terms = [(-1) ** i * math.factorial(i) / a ** (i + 1) for i in range(order + 1)]  # of r₀
    total = np.zeros_like(x)
    for n in range(1, _TERMS + 1):
        for i in range(order + 1):
            total = total + math.comb(order, i) * terms[order - i] * psis[i]
        step = [(-1) ** i * math.factorial(i) / (a + n) ** (i + 1) for i in range(order + 1)]
        terms = [
            x * sum(math.comb(j, i) * terms[j - i] * step[i] for i in range(j + 1))
            for j in range(order + 1)
        ]
        psis = [p + d for p, d in zip(psis, step, strict=True)]
    return x * total


def _slope_by_integral(a: Array, x: Array, order: int, side: int) -> Array:
    """± ∫ (t/x)ᵃ⁻¹ eˣ⁻ᵗ (ln t - ψ(a)) dt from x up (``side`` 1) or down (-1): of one sign."""
    psis = _psis(a, order)

    def exponent(u: Array) -> Array:
        return -side * u + (a - 1) * np.log1p(side * u / x)

    # Newton's method for where the integrand ends: from the right it comes down monotonically,
    # since the exponent is concave.
    end = _END + 12 * np.sqrt(a) if side > 0 else np.minimum(0.999, 12 / np.sqrt(a - 1)) * x
    for _ in range(8):
        slope = (a - 1) / (x + side * end) - 1
        end = end - (exponent(end) + _END) / (side * slope)
        if side < 0:
            end = np.clip(end, 0, 0.999 * x)
    total = np.zeros_like(x)
    for node, weight in zip(_NODES.tolist(), _WEIGHTS.tolist(), strict=True):
        u = node * end
        log = np.log1p(side * u / x)
        inner = log**order * (log + np.log(x) - psis[0])
        for j in range(1, order + 1):
            inner = inner - math.comb(order, j) * log ** (order - j) * psis[j]
        total = total + weight * np.exp(exponent(u)) * inner
    return side * total * end


def _gamma_slope_everywhere(a: Array, x: Array, order: int) -> Array:
    """With arrays of another library, in their precision: each method everywhere, then a choice."""
    a, x = a + 0 * x, x + 0 * a
    inside = (a > 0) & (x > 0) & (x < math.inf)
    series = inside & (a < 30) & (x < a + 2)
    above = inside & ~series & (x > a - 0.5)
    below = inside & ~series & ~above
    zero = 0 * np.where(inside, a, 1)
    y = np.where((a > 0) & (x == 0), zero,
                 np.where((a > 0) & (x == math.inf), zero + math.inf, zero + math.nan))
    def only(where: Array, method: Callable[..., Array], at: float, *side: int) -> Array:
        """Where another method is right, this one computes at a place of its own."""
        return method(np.where(where, a, at), np.where(where, x, at + 5 * sum(side)), order, *side)

    y = np.where(series, only(series, _slope_by_series, 2.0), y)
    y = np.where(above, only(above, _slope_by_integral, 40.0, 1), y)
    return np.where(below, only(below, _slope_by_integral, 40.0, -1), y)


def _gamma_slope_forward(a: Array, x: Array, order: int) -> Array:
    refuse_complex("gamma_slope", a, x)
    if any(hasattr(v, "__array_function__") and not isinstance(v, (np.ndarray, np.generic))
           for v in (a, x)):
        return _gamma_slope_everywhere(a, x, order)
    dtype = np.result_type(a, x)
    a, x = (np.asarray(v, np.float64) for v in np.broadcast_arrays(a, x))
    y = np.where((a > 0) & (x == 0), 0.0, np.where((a > 0) & (x == np.inf), np.inf, np.nan))
    inside = (a > 0) & (x > 0) & (x < np.inf)
    series = inside & (a < 30) & (x < a + 2)
    above = inside & ~series & (x > a - 0.5)
    below = inside & ~series & ~above
    y[series] = _slope_by_series(a[series], x[series], order)
    y[above] = _slope_by_integral(a[above], x[above], order, 1)
    y[below] = _slope_by_integral(a[below], x[below], order, -1)
    return y.astype(dtype)[()]


def _gamma_slope_rule(g: Array, y: Array, a: Array, x: Array, order: int) -> Array:
    slope = (polygamma(order, a) if order else of(psi, a) - of(np.log, x)) - (
        y * ((a - 1) / x - 1))
    return g * (slope - order * gamma_slope_(a, x, order=order - 1) / x if order else slope)


#: How a quantile x of the gamma distribution moves with its shape a while P(a, x) stays; and the
#: derivatives of that by a. Figurnov, Mohamed & Mnih, "Implicit Reparameterization Gradients",
#: 2018, where ∂P/∂a is computed by other means.
gamma_slope_: Op = define(
    "gamma_slope", _gamma_slope_forward,
    (lambda g, y, a, x, order: g * gamma_slope_(a, x, order=order + 1), _gamma_slope_rule),
    "-(∂P/∂a) / (∂P/∂x), P = P(a, x) (DLMF 8.2)", domain=(POSITIVE, POSITIVE),
    cases=(*(case(*c.inputs, order=0) for c in BROADCAST), case((3,), (3,), order=1)),
)


def gamma_slope(a: Array, x: Array) -> Array:
    """∂x/∂a of the quantile x = P⁻¹(a, p) of the gamma distribution, at fixed p."""
    return gamma_slope_(lift(a), lift(x), order=0)


def gammainc_by_a(a: Array, x: Array) -> Array:
    """∂P/∂a, which is 0 at both ends."""
    if type(x) in NUMBERS:
        x = like(x, a)
    inside = np.logical_and(x > 0, x < np.inf)
    x = np.where(inside, x, 1.0)
    return np.where(inside, -gamma_density(a, x) * gamma_slope_(a, x, order=0), 0.0)


_INCOMPLETE = (*with_order(1.5, 3.0), *BROADCAST)
gammainc: np.ufunc = enter(
    "gammainc",
    (
        lambda g, y, a, x: g * gammainc_by_a(a, x),
        lambda g, y, a, x: g * gamma_density(a, x),
    ),
    "P(a, x) = 1/Γ(a) ∫₀ˣ tᵃ⁻¹ e⁻ᵗ dt (DLMF 8.2)", POSITIVE, POSITIVE, cases=_INCOMPLETE,
)
gammaincc: np.ufunc = enter(
    "gammaincc",
    (
        lambda g, y, a, x: -g * gammainc_by_a(a, x),
        lambda g, y, a, x: -g * gamma_density(a, x),
    ),
    "Q(a, x) = 1 - P(a, x) (DLMF 8.2)", POSITIVE, POSITIVE, cases=_INCOMPLETE,
)
beta: np.ufunc = enter(
    "beta",
    (
        lambda g, y, a, b: g * (y * (psi(a) - psi(a + b))),
        lambda g, y, a, b: g * (y * (psi(b) - psi(a + b))),
    ),
    "B(a, b) = Γ(a) Γ(b) / Γ(a + b) (DLMF 5.12)", POSITIVE, POSITIVE,
)
betaln: np.ufunc = enter(
    "betaln",
    (
        lambda g, y, a, b: g * (psi(a) - psi(a + b)),
        lambda g, y, a, b: g * (psi(b) - psi(a + b)),
    ),
    "ln |B(a, b)| (DLMF 5.12)", POSITIVE, POSITIVE,
)


def _multigammaln_forward(a: Array, d: int) -> Array:
    if np.any(a <= 0.5 * (d - 1)):
        raise ValueError(f"a > (d - 1) / 2 = {0.5 * (d - 1)} does not hold everywhere")
    y = gammaln(a)
    for j in range(1, d):
        y = y + gammaln(a - 0.5 * j)
    return y + 0.25 * d * (d - 1) * math.log(math.pi)


def _multigammaln_rule(g: Array, y: Array, a: Array, d: int) -> Array:
    slope = psi(a)
    for j in range(1, d):
        slope = slope + psi(a - 0.5 * j)
    return g * slope


_multigammaln = define(
    "multigammaln", _multigammaln_forward, (_multigammaln_rule,),
    "ln Γ_d(a) = d(d-1)/4 ln π + Σⱼ ln Γ(a - j/2), j < d (DLMF 35.3)", domain=((1.6, 4.0),),
    cases=(case((), d=1), case((3,), d=2), case((2, 3), d=3), case((0,), d=2), case((1, 2), d=4)),
)


def multigammaln(a: Array, d: int) -> Array:
    """ln Γ_d(a), the logarithm of the multivariate gamma function, element by element.

    ``d`` is the dimension, a positive integer; ValueError unless a > (d - 1) / 2.
    """
    if int(d) != d or d < 1:
        raise ValueError(f"multigammaln: the dimension d is a positive integer, got {d!r}")
    return _multigammaln(lift(a), d=int(d))


#: Terms that Euler and Maclaurin add up, before the integral over the rest, and Bernoulli numbers
#: for its corrections: B₂ₖ / (2k)!.
_SUMMED = 12
_CORRECTIONS = tuple(
    float(b) / math.factorial(2 * k)
    for k, b in enumerate(scipy.special.bernoulli(24)[2::2].tolist(), 1)
)


def _zeta_by_x(x: Array, q: Array, order: int) -> Array:
    """∂ⁿζ(x, q)/∂xⁿ by the formula of Euler and Maclaurin (DLMF 25.11.5), each of its terms.

    With p = _SUMMED + q: Σ (k + q)⁻ˣ + p¹⁻ˣ/(x-1) + p⁻ˣ/2 + Σ B₂ⱼ/(2j)! (x)₂ⱼ₋₁ p⁻ˣ⁻²ʲ⁺¹.
    """
    total: Any = 0.0
    for k in range(_SUMMED):
        total = total + (-np.log(k + q)) ** order * (k + q) ** -x
    p = _SUMMED + q
    # Derivatives over factorials: of p⁻ˣ times a function whose own ones are ``factor``.
    power = [(-np.log(p)) ** i / math.factorial(i) for i in range(order + 1)]

    def product(factor: list[Any]) -> Array:
        return math.factorial(order) * sum(
            power[order - i] * c for i, c in enumerate(factor[: order + 1]))

    rest = p * product([(-1) ** i / (x - 1) ** (i + 1) for i in range(order + 1)])
    rest = rest + 0.5 * product([1.0])
    rising: list[Any] = [x, 1.0]  # x (x + 1) ..., as a polynomial in what x is moved by
    for j, b in enumerate(_CORRECTIONS, 1):
        rest = rest + b * p ** (1.0 - 2 * j) * product(rising)
        for more in (2 * j - 1, 2 * j):
            rising = [(x + more) * c + (rising[i - 1] if i else 0.0)
                      for i, c in enumerate([*rising, 0.0])][: order + 2]
    return total + rest * p**-x


def of_product(factors: list[list[Array]]) -> list[Array]:
    """The derivatives of a product by those of its factors, up to the same order (Leibniz)."""
    first, *others = factors
    if not others:
        return first
    rest = of_product(others)
    return [sum(math.comb(n, i) * first[i] * rest[n - i] for i in range(n + 1))
            for n in range(len(first))]


def _reflected_zeta(x: Array, order: int) -> Array:
    """By ζ(x) = 2 (2π)ˣ⁻¹ sin(πx/2) Γ(1-x) ζ(1-x) (DLMF 25.4.1), where the sum loses digits."""
    orders, log, half = range(order + 1), math.log(2 * math.pi), 0.5 * math.pi
    gammas = [scipy.special.gamma(1 - x)]
    for n in range(order):
        gammas.append(sum(
            math.comb(n, i) * gammas[n - i] * (-1) ** (i + 1) * (
                scipy.special.polygamma(i, 1 - x)) for i in range(n + 1)))
    return of_product([
        [2 * log**n * np.exp((x - 1) * log) for n in orders],
        [half**n * np.sin(half * (x + n)) for n in orders],
        gammas,
        [(-1) ** n * (_zeta_by_x(1 - x, 1.0, n) if n else scipy.special.zeta(1 - x))
         for n in orders],
    ])[order]


def _hurwitz_forward(x: Array, q: Array, order: int) -> Array:
    if order == 0:
        return at_single(scipy.special.zeta(x, q), x, q)
    on_host("zeta", x, q)
    wide, q_wide = (np.asarray(v, np.float64) for v in (x, q))
    inside = (wide > 1) & (q_wide > 0)
    y = _zeta_by_x(np.where(inside, wide, 2.0), np.where(inside, q_wide, 1.0), order)
    return at_single(np.where(inside, y, np.nan)[()], x, q)


def _hurwitz_by_q(g: Array, y: Array, x: Array, q: Array, order: int) -> Array:
    slope = -x * _hurwitz(x + 1, q, order=order)
    return g * (slope - order * _hurwitz(x + 1, q, order=order - 1) if order else slope)


def _riemann_forward(x: Array, order: int) -> Array:
    if order == 0:
        return scipy.special.zeta(x)
    on_host("zeta", x)
    wide = np.asarray(x, np.complex128 if is_complex(x) else np.float64)
    left = wide.real < -0.5
    if left.any() and wide.dtype.kind == "c":
        raise NotImplementedError("zeta: of complex numbers right of -1/2 it has derivatives here")
    y = np.where(left, _reflected_zeta(np.where(left, wide, -1.0), order) if left.any() else 0,
                 _zeta_by_x(np.where(left, 2.0, wide), 1.0, order))
    return at_single(y[()], x)


_hurwitz: Op = define(
    "zeta", _hurwitz_forward,
    (lambda g, y, x, q, order: g * _hurwitz(x, q, order=order + 1), _hurwitz_by_q),
    "ζ(x, q) = Σ (k + q)⁻ˣ, k = 0, 1, ..., differentiated by x `order` times (DLMF 25.11)",
    domain=((1.6, 4.0), (0.8, 2.5)),
    cases=(*(case(*c.inputs, order=0) for c in BROADCAST if 1.5 not in c.inputs),
           case(2.0, (2, 3), order=0), case((2, 3), 2.0, order=0), case((3,), (3,), order=1),
           case((), (), order=2)),
)
_riemann: Op = define(
    "riemann_zeta", _riemann_forward,
    (lambda g, y, x, order: g * _riemann(x, order=order + 1),),
    "ζ(x) = Σ k⁻ˣ, differentiated `order` times (DLMF 25.2)", domain=((1.6, 4.0),),
    cases=(case((), order=0), case((2, 3), order=0), case((0,), order=0), case((1, 2), order=1),
           case((3,), order=2)),
    takes_complex=True,
)
zetac: np.ufunc = by_slopes(
    "zetac", "ζ(x) - 1 (DLMF 25.2)", (lambda y, x: _riemann(x, order=1),), (1.6, 4.0)
)


def zeta(x: Array, q: Array | None = None) -> Array:
    """The Riemann zeta function of ``x``, or that of Hurwitz: Σ (k + q)⁻ˣ over k = 0, 1, ...

    Differentiable by both.
    """
    x = x if isinstance(x, (int, float)) else lift(x)
    return _riemann(x, order=0) if q is None else _hurwitz(x, q, order=0)



loggamma: np.ufunc = by_slopes(
    "loggamma", "ln Γ(x), NaN for negative reals (DLMF 5.2)", (lambda y, x: psi(x),), POSITIVE
)
poch: np.ufunc = by_slopes(
    "poch", "(z)ₘ = Γ(z + m) / Γ(z) (DLMF 5.2)",
    (lambda y, z, m: y * (psi(z + m) - psi(z)), lambda y, z, m: y * psi(z + m)), POSITIVE, POSITIVE,
)
binom: np.ufunc = by_slopes(
    "binom", "Γ(n + 1) / Γ(k + 1) Γ(n - k + 1) (DLMF 1.2)",
    (
        lambda y, n, k: y * (psi(n + 1) - psi(n - k + 1)),
        lambda y, n, k: y * (psi(n - k + 1) - psi(k + 1)),
    ),
    (2.2, 4.0), (0.4, 1.8),
)


def _refuse_exact(function: str, exact: Any) -> None:
    if exact:
        raise NotImplementedError(
            f"{function}: exact=True computes with Python's integers, which have no derivative; "
            "leave it out"
        )


def comb(N: Array, k: Array, *, exact: bool = False, repetition: bool = False) -> Array:
    """N over k as :func:`binom`, 0 unless 0 <= k <= N."""
    _refuse_exact("comb", exact)
    N, k = lift(N), lift(k)
    if repetition:
        N = N + k - 1
    return np.where((k <= N) & (N >= 0) & (k >= 0), binom(N, k), 0.0)


def perm(N: Array, k: Array, exact: bool = False) -> Array:
    """N! / (N - k)! as :func:`poch`, 0 unless 0 <= k <= N."""
    _refuse_exact("perm", exact)
    N, k = lift(N), lift(k)
    return np.where((k <= N) & (N >= 0) & (k >= 0), poch(N - k + 1, k), 0.0)


def factorial(n: Array, exact: bool = False, extend: str = "zero") -> Array:
    """Γ(n + 1), and 0 for negative n."""
    _refuse_exact("factorial", exact)
    if extend != "zero":
        raise NotImplementedError(
            f"factorial: extend={extend!r} is not supported; use gamma(n + 1)")
    n = lift(n)
    if is_complex(n):
        raise ValueError("factorial: of complex numbers only by extend='complex'; use gamma(n + 1)")
    negative = n < 0
    return np.where(negative, 0.0, gamma(np.where(negative, 0.0, n) + 1))
