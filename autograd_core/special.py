"""SciPy's special functions, differentiable: ``ag.special``.

    ag.grad(ag.special.gammaln)(3.0)                # psi(3)
    scipy.special.erf(t)                            # on a Tensor, the same as ag.special.erf(t)

What SciPy implements as a ufunc is that very ufunc: it speaks NumPy's protocol and so records on
Tensors, with SciPy's options, values and documentation elsewhere. What SciPy implements in
Python cannot take a Tensor and is written here, in SciPy's signature: ``logsumexp``, ``softmax``
and ``log_softmax`` (the engine's, equal to SciPy's up to rounding), ``polygamma``,
``multigammaln`` and ``zeta``. Loaded when first used, because SciPy takes longer to load than all
the rest. In the formulas DLMF is https://dlmf.nist.gov, by section.

At the edges, where a rule needs a decision:

=========================  =======================================================================
``xlogy, xlog1py``         ∂/∂y = x/y is 0 at (0, 0): 0 log y is the constant 0. ∂/∂x there is
                           log 0 = -inf. (PyTorch: 0 and NaN, for ∂/∂x and ∂/∂y of xlogy.)
``entr``                   -log 0 - 1 = +inf at 0, the limit from the right
``rel_entr, kl_div``       ∂/∂x at (0, y > 0) is log 0 = -inf; ∂/∂y at (0, 0) is that of a function
                           constant, or equal to y, there: 0, or 1
``rgamma``                 (-1)ⁿ n! at the poles -n of gamma: 1/Γ is entire
``gamma, gammaln``         what psi gives at the poles: -inf at 0, NaN at -1, -2, ...
``i0e``                    0 at 0: the kink of e^-|x|, as for abs
``i1, j1``                 1/2 at 0
``expit, log_ndtr, erfcx`` no cancellation and no 0/0 far out in the first derivative; the second of
                           log_ndtr has 8 digits at -1e4 and loses 2 more for each power of ten
``i0e, i1e, ive``          their slopes cancel far out: 8 digits at 1e8
orders of Bessel           no rule in closed form: :class:`MissingRuleError` if asked for, like the
functions, ``polygamma``,  gradient of zeta by its exponent
=========================  =======================================================================
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy import sinc

try:
    import scipy.special
except ImportError as cause:
    raise ImportError(
        "ag.special needs SciPy: `pip install autograd-core[special]`"
    ) from cause

from .errors import caller
from .node import Array
from .op import (
    POSITIVE,
    REAL,
    Interval,
    MissingRule,
    Op,
    Rule,
    case,
    define,
    lift,
    refuse_complex,
    zero,
)
from .ops import reductions
from .ops.flow import stop_gradient

__all__ = [
    "beta",
    "betainc",
    "betaln",
    "cbrt",
    "cosdg",
    "cosm1",
    "dawsn",
    "digamma",
    "entr",
    "erf",
    "erfc",
    "erfcinv",
    "erfcx",
    "erfi",
    "erfinv",
    "exp1",
    "exp2",
    "exp10",
    "expi",
    "expit",
    "expm1",
    "gamma",
    "gammainc",
    "gammaincc",
    "gammaln",
    "gammasgn",
    "i0",
    "i0e",
    "i1",
    "i1e",
    "iv",
    "ive",
    "j0",
    "j1",
    "jn",
    "jv",
    "k0",
    "k0e",
    "k1",
    "k1e",
    "kl_div",
    "kv",
    "kve",
    "log1p",
    "log_expit",
    "log_ndtr",
    "log_softmax",
    "logit",
    "logsumexp",
    "multigammaln",
    "ndtr",
    "ndtri",
    "polygamma",
    "psi",
    "rel_entr",
    "rgamma",
    "sinc",
    "sindg",
    "softmax",
    "tandg",
    "xlog1py",
    "xlogy",
    "y0",
    "y1",
    "yn",
    "yv",
    "zeta",
]

SQRT_PI, SQRT_2PI = math.sqrt(math.pi), math.sqrt(2 * math.pi)
#: Python's, which are weakly typed; np.float64 is a float too, but strong.
_NUMBERS = frozenset((int, float, bool))

_SHAPES = (case(()), case((3,)), case((2, 3)), case((0,)), case((1, 2)))
_BROADCAST = (
    case((), ()), case((3,), (3,)), case((2, 3), (3,)), case((3,), (2, 3)), case((2, 1), (1, 3)),
    case((0, 3), (3,)), case((2, 3), 1.5), case(1.5, (2, 3)),
)


def _with_order(*orders: float) -> tuple[Any, ...]:
    """Cases where the first argument, which has no rule, is a number or an array to broadcast."""
    column = np.array([[n] for n in orders], np.float32)
    return (
        *(case(n, (3,)) for n in orders), *(case(orders[0], *c.inputs) for c in _SHAPES),
        case(column, (2,)),
    )


def _missing(function: str, argument: str) -> MissingRule:
    return MissingRule(
        function, f"its argument {argument}",
        "none is known in closed form; if no gradient should flow there, "
        f"pass `ag.stop_gradient({argument})`",
    )


def _enter(
    name: str, vjps: tuple[Rule, ...], formula: str, *domain: Interval,
    cases: tuple[Any, ...] | None = None, record: str | None = None,
) -> np.ufunc:
    """Enter SciPy's ufunc of this name in the tables, and return it.

    With ``SCIPY_ARRAY_API=1`` SciPy hides its ufuncs in functions that accept no Tensor.
    """
    ufunc: np.ufunc = inspect.unwrap(getattr(scipy.special, name))
    if cases is None:
        cases = _SHAPES if len(vjps) == 1 else _BROADCAST
    forward = ufunc if ufunc.nin == 1 else partial(_in_precision, ufunc)
    define(record or name, forward, vjps, formula, domain=domain, cases=cases, numpy=ufunc)
    return ufunc


def _in_precision(ufunc: np.ufunc, *xs: Array) -> Array:
    """ufunc(a, b, ...), where a Python number has the precision of the array beside it.

    SciPy lists the loop for double precision first for some of its ufuncs, so that NumPy picks it
    for float32 and a Python number: `xlogy(x, 1.5)` is float64 for a float32 x.
    """
    beside = next((x for x in xs if type(x) not in _NUMBERS), None)
    given = [_like(x, beside) if type(x) in _NUMBERS else x for x in xs]
    y = ufunc(*given)
    return y.astype(np.result_type(*given)) if y.dtype == np.complex128 else y


def _like(number: float, x: Array) -> Array:
    """A Python number as a scalar of the precision of ``x``, if that is lower than its own."""
    dtype = getattr(x, "dtype", None)
    return number if dtype is None or dtype.kind != "f" or dtype.itemsize >= 8 else (
        dtype.type(number)
    )


def _of(f: Callable[[Any], Any], x: Array) -> Array:
    """f(x), weakly typed for a Python number, so that single precision stays single."""
    return float(f(x)) if type(x) in _NUMBERS else f(x)


def _ratio(x: Array, y: Array) -> Array:
    """x / y, and 0 at (0, 0): the slope in y of x log y, which is constant where x is 0."""
    return x / np.where(np.logical_and(x == 0, y == 0), 1, y)


# Error functions and the normal distribution. ---------------------------------------------------

erf: np.ufunc = _enter(
    "erf", (lambda g, y, x: g * (2 / SQRT_PI * np.exp(-(x * x))),),
    "2/√π ∫₀ˣ exp(-t²) dt (DLMF 7.2)", REAL,
)
erfc: np.ufunc = _enter(
    "erfc", (lambda g, y, x: g * (-2 / SQRT_PI * np.exp(-(x * x))),),
    "1 - erf x (DLMF 7.2)", REAL,
)


def _erfcx_rule(g: Array, y: Array, x: Array) -> Array:
    """2x erfcx(x) - 2/√π, whose digits cancel far out; there by its series (DLMF 7.12)."""
    far = x > 50
    near = np.where(far, 0, x)
    u = 1 / np.square(np.where(far, x, 50))
    series = 1 - u * (1.5 - u * (3.75 - u * (13.125 - u * 59.0625)))
    return g * np.where(far, -u * series / SQRT_PI, 2 * near * erfcx(near) - 2 / SQRT_PI)


erfcx: np.ufunc = _enter("erfcx", (_erfcx_rule,), "exp(x²) erfc x (DLMF 7.2)", REAL)
erfinv: np.ufunc = _enter(
    "erfinv", (lambda g, y, x: g * (SQRT_PI / 2 * np.exp(y * y)),),
    "erf⁻¹ x (DLMF 7.17)", (-0.7, 0.7),
)
erfcinv: np.ufunc = _enter(
    "erfcinv", (lambda g, y, x: g * (-SQRT_PI / 2 * np.exp(y * y)),),
    "erfc⁻¹ x (DLMF 7.17)", (0.4, 1.6),
)
ndtr: np.ufunc = _enter(
    "ndtr", (lambda g, y, x: g * (1 / SQRT_2PI * np.exp(-0.5 * (x * x))),),
    "Φ(x) = erfc(-x/√2) / 2 (DLMF 7.20)", REAL,
)
ndtri: np.ufunc = _enter(
    "ndtri", (lambda g, y, x: g * (SQRT_2PI * np.exp(0.5 * (y * y))),),
    "Φ⁻¹(x) (DLMF 7.20)", (0.25, 0.75),
)
#: The slope of log_ndtr, without a quotient of two vanishing numbers.
_inverse_mills = define(
    "inverse_mills",
    lambda x: math.sqrt(2 / math.pi) / erfcx(-math.sqrt(0.5) * x),
    (lambda g, y, x: -g * (y * (x + y)),),
    "Φ'(x) / Φ(x) (DLMF 7.8)", cases=_SHAPES, takes_complex=True,
)
log_ndtr: np.ufunc = _enter(
    "log_ndtr", (lambda g, y, x: g * _inverse_mills(x),), "ln Φ(x) (DLMF 7.20)", REAL
)

# The logistic function. -------------------------------------------------------------------------

expit: np.ufunc = _enter(
    "expit", (lambda g, y, x: g * (y * expit(-x)),), "1 / (1 + e⁻ˣ) (DLMF 4.2)", REAL
)
log_expit: np.ufunc = _enter(
    "log_expit", (lambda g, y, x: g * expit(-x),), "-ln(1 + e⁻ˣ) (DLMF 4.2)", REAL
)
logit: np.ufunc = _enter(
    "logit", (lambda g, y, x: g * (1 / x + 1 / (1 - x)),), "ln(x / (1 - x)) (DLMF 4.2)", (0.2, 0.8)
)

# Gamma, beta, zeta. -----------------------------------------------------------------------------


def _rgamma_rule(g: Array, y: Array, x: Array) -> Array:
    """-ψ(x)/Γ(x); left of 1/2 through 1/Γ(x) = Γ(1-x) sin(πx)/π (DLMF 5.5), which has no pole."""
    left = x < 0.5
    u, v = np.where(left, x, 0), np.where(left, 1, x)
    reflected = gamma(1 - u) * (np.cos(math.pi * u) - psi(1 - u) * np.sin(math.pi * u) / math.pi)
    return g * np.where(left, reflected, -psi(v) * rgamma(v))


gamma: np.ufunc = _enter(
    "gamma", (lambda g, y, x: g * (y * psi(x)),), "Γ(x) (DLMF 5.2)", (0.7, 3.0)
)
gammaln: np.ufunc = _enter(
    "gammaln", (lambda g, y, x: g * psi(x),), "ln |Γ(x)| (DLMF 5.2)", POSITIVE
)
gammasgn: np.ufunc = _enter("gammasgn", (zero,), "the sign of Γ(x) (DLMF 5.2)", POSITIVE)
rgamma: np.ufunc = _enter("rgamma", (_rgamma_rule,), "1 / Γ(x) (DLMF 5.2)", REAL)
psi: np.ufunc = _enter(
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
    (_missing("polygamma", "n"), lambda g, y, n, x: g * _polygamma(n + 1, x)),
    "ψ⁽ⁿ⁾(x) (DLMF 5.15)", domain=(POSITIVE,), cases=_with_order(1, 0, 2),
)


def polygamma(n: Array, x: Array) -> Array:
    """The n-th derivative of psi. Differentiable by ``x``; ``n`` is a whole number >= 0."""
    return _polygamma(n if isinstance(n, int) else lift(n), lift(x))


def _gamma_density_forward(a: Array, x: Array) -> Array:
    with np.errstate(invalid="ignore"):  # inf - inf at poles of Γ
        size = np.exp(_in_precision(xlogy, a - 1, x) - x - _of(gammaln, a))
    at_pole = np.logical_and(a <= 0, a == np.floor(a))
    return np.where(at_pole, 0, _of(gammasgn, a) * size)[()]


#: The slope of gammainc in x. By x it recurs, which gives every order, also at x = 0.
_gamma_density: Op = define(
    "gamma_density", _gamma_density_forward,
    (
        lambda g, y, a, x: g * (y * (_of(np.log, x) - psi(a))),
        lambda g, y, a, x: g * (_gamma_density(a - 1, x) - y),
    ),
    "xᵃ⁻¹ e⁻ˣ / Γ(a) (DLMF 8.2)", domain=(POSITIVE, POSITIVE), cases=_BROADCAST,
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


def _gamma_slope_forward(a: Array, x: Array, order: int) -> Array:
    refuse_complex("gamma_slope", a, x)
    for v in (a, x):
        if hasattr(v, "__array_function__") and not isinstance(v, (np.ndarray, np.generic)):
            raise NotImplementedError(
                f"gamma_slope: computed in double precision, with NumPy arrays only, got "
                f"{type(v).__name__} (at {caller()})"
            )
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
    slope = (polygamma(order, a) if order else _of(psi, a) - _of(np.log, x)) - (
        y * ((a - 1) / x - 1))
    return g * (slope - order * _gamma_slope(a, x, order=order - 1) / x if order else slope)


#: How a quantile x of the gamma distribution moves with its shape a while P(a, x) stays; and the
#: derivatives of that by a. Figurnov, Mohamed & Mnih, "Implicit Reparameterization Gradients",
#: 2018, where ∂P/∂a is computed by other means.
_gamma_slope: Op = define(
    "gamma_slope", _gamma_slope_forward,
    (lambda g, y, a, x, order: g * _gamma_slope(a, x, order=order + 1), _gamma_slope_rule),
    "-(∂P/∂a) / (∂P/∂x), P = P(a, x) (DLMF 8.2)", domain=(POSITIVE, POSITIVE),
    cases=(*(case(*c.inputs, order=0) for c in _BROADCAST), case((3,), (3,), order=1)),
)


def gamma_slope(a: Array, x: Array) -> Array:
    """∂x/∂a of the quantile x = P⁻¹(a, p) of the gamma distribution, at fixed p."""
    return _gamma_slope(lift(a), lift(x), order=0)


def _gammainc_by_a(a: Array, x: Array) -> Array:
    """∂P/∂a, which is 0 at both ends."""
    if type(x) in _NUMBERS:
        x = _like(x, a)
    inside = np.logical_and(x > 0, x < np.inf)
    x = np.where(inside, x, 1.0)
    return np.where(inside, -_gamma_density(a, x) * _gamma_slope(a, x, order=0), 0.0)


_INCOMPLETE = (*_with_order(1.5, 3.0), *_BROADCAST)
gammainc: np.ufunc = _enter(
    "gammainc",
    (
        lambda g, y, a, x: g * _gammainc_by_a(a, x),
        lambda g, y, a, x: g * _gamma_density(a, x),
    ),
    "P(a, x) = 1/Γ(a) ∫₀ˣ tᵃ⁻¹ e⁻ᵗ dt (DLMF 8.2)", POSITIVE, POSITIVE, cases=_INCOMPLETE,
)
gammaincc: np.ufunc = _enter(
    "gammaincc",
    (
        lambda g, y, a, x: -g * _gammainc_by_a(a, x),
        lambda g, y, a, x: -g * _gamma_density(a, x),
    ),
    "Q(a, x) = 1 - P(a, x) (DLMF 8.2)", POSITIVE, POSITIVE, cases=_INCOMPLETE,
)
beta: np.ufunc = _enter(
    "beta",
    (
        lambda g, y, a, b: g * (y * (psi(a) - psi(a + b))),
        lambda g, y, a, b: g * (y * (psi(b) - psi(a + b))),
    ),
    "B(a, b) = Γ(a) Γ(b) / Γ(a + b) (DLMF 5.12)", POSITIVE, POSITIVE,
)
betaln: np.ufunc = _enter(
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


_hurwitz: Op = define(
    "zeta", lambda x, q: scipy.special.zeta(x, q),
    (_missing("zeta", "x"), lambda g, y, x, q: g * (-x * _hurwitz(x + 1, q))),
    "ζ(x, q) = Σ (k + q)⁻ˣ, k = 0, 1, ... (DLMF 25.11)", domain=((0.8, 2.5),),
    cases=_with_order(2.0, 3.5),
)
_riemann = Op(  # in no table: it has no rule that tests could try
    "riemann_zeta", scipy.special.zeta, (_missing("zeta", "x"),), "ζ(x) = Σ k⁻ˣ (DLMF 25.2)"
)


def zeta(x: Array, q: Array | None = None) -> Array:
    """The Riemann zeta function of ``x``, or that of Hurwitz: Σ (k + q)⁻ˣ over k = 0, 1, ...

    Differentiable by ``q``.
    """
    return _riemann(x) if q is None else _hurwitz(x, q)


# Bessel functions. ------------------------------------------------------------------------------
# Differences and sums of neighbours rather than quotients by x: right at 0 too.

j0: np.ufunc = _enter("j0", (lambda g, y, x: -g * j1(x),), "J₀(x) (DLMF 10.6)", REAL)
j1: np.ufunc = _enter(
    "j1", (lambda g, y, x: g * (0.5 * (j0(x) - jv(2, x))),), "J₁(x) (DLMF 10.6)", REAL
)
jv: np.ufunc = _enter(
    "jv",
    (_missing("jv", "v"), lambda g, y, v, x: g * (0.5 * (jv(v - 1, x) - jv(v + 1, x)))),
    "J_v(x) (DLMF 10.6)", POSITIVE, cases=_with_order(2, 0.0, 1.5),
)
jn = jv
y0: np.ufunc = _enter("y0", (lambda g, y, x: -g * y1(x),), "Y₀(x) (DLMF 10.6)", POSITIVE)
y1: np.ufunc = _enter(
    "y1", (lambda g, y, x: g * (0.5 * (y0(x) - yn(2.0, x))),), "Y₁(x) (DLMF 10.6)", POSITIVE
)
yn: np.ufunc = _enter(
    "yn",
    (_missing("yn", "n"), lambda g, y, n, x: g * (0.5 * (yn(n - 1.0, x) - yn(n + 1.0, x)))),
    "Yₙ(x) (DLMF 10.6)", (0.8, 2.5), cases=_with_order(2, 0, 1),
)
# The record's name leaves "i0" to np.i0, which is another function.
i0: np.ufunc = _enter(
    "i0", (lambda g, y, x: g * i1(x),), "I₀(x) (DLMF 10.29)", REAL, record="bessel_i0"
)
i1: np.ufunc = _enter(
    "i1", (lambda g, y, x: g * (0.5 * (i0(x) + iv(2, x))),), "I₁(x) (DLMF 10.29)", REAL
)
iv: np.ufunc = _enter(
    "iv",
    (_missing("iv", "v"), lambda g, y, v, x: g * (0.5 * (iv(v - 1, x) + iv(v + 1, x)))),
    "I_v(x) (DLMF 10.29)", POSITIVE, cases=_with_order(2, 0.0, 1.5),
)
i0e: np.ufunc = _enter(
    "i0e", (lambda g, y, x: g * (i1e(x) - np.sign(x) * y),), "e^-|x| I₀(x) (DLMF 10.29)", POSITIVE
)
i1e: np.ufunc = _enter(
    "i1e", (lambda g, y, x: g * (0.5 * (i0e(x) + ive(2, x)) - np.sign(x) * y),),
    "e^-|x| I₁(x) (DLMF 10.29)", POSITIVE,
)
ive: np.ufunc = _enter(
    "ive",
    (
        _missing("ive", "v"),
        # Of a complex x the exponent is its real part, which is not holomorphic.
        lambda g, y, v, x: g * (0.5 * (ive(v - 1, x) + ive(v + 1, x)))
        - np.sign(np.real(x)) * np.real(g * y),
    ),
    "e^-|Re x| I_v(x) (DLMF 10.29)", POSITIVE, cases=_with_order(2, 0.0, 1.5),
)

# Entropies. -------------------------------------------------------------------------------------

xlogy: np.ufunc = _enter(
    "xlogy",
    (lambda g, y, a, b: g * _of(np.log, b), lambda g, y, a, b: g * _ratio(a, b)),
    "a ln b, 0 where a is 0 (DLMF 4.2)", POSITIVE, POSITIVE,
)
xlog1py: np.ufunc = _enter(
    "xlog1py",
    (lambda g, y, a, b: g * _of(np.log1p, b), lambda g, y, a, b: g * _ratio(a, 1 + b)),
    "a ln(1 + b), 0 where a is 0 (DLMF 4.2)", POSITIVE, POSITIVE,
)
entr: np.ufunc = _enter(
    "entr", (lambda g, y, x: -g * (np.log(x) + 1),), "-x ln x, 0 where x is 0 (DLMF 4.2)", POSITIVE
)
rel_entr: np.ufunc = _enter(
    "rel_entr",
    (
        lambda g, y, a, b: g * (np.log(a) - _of(np.log, b) + 1),
        lambda g, y, a, b: -g * _ratio(a, b),
    ),
    "a ln(a / b), 0 where a is 0 (DLMF 4.2)", POSITIVE, POSITIVE,
)
kl_div: np.ufunc = _enter(
    "kl_div",
    (
        lambda g, y, a, b: g * (np.log(a) - _of(np.log, b)),
        lambda g, y, a, b: g * (1 - _ratio(a, b)),
    ),
    "a ln(a / b) - a + b (DLMF 4.2)", POSITIVE, POSITIVE,
)

# SciPy's own names for what NumPy has, and elementary functions beside them. ----------------------

_RADIANS = math.pi / 180
cbrt: np.ufunc = _enter(
    "cbrt", (lambda g, y, x: g / (3 * (y * y)),), "∛x (DLMF 4.2)", POSITIVE, record="cbrt_scipy"
)
exp2: np.ufunc = _enter(
    "exp2", (lambda g, y, x: g * (y * math.log(2)),), "2ˣ (DLMF 4.2)", REAL, record="exp2_scipy"
)
exp10: np.ufunc = _enter(
    "exp10", (lambda g, y, x: g * (y * math.log(10)),), "10ˣ (DLMF 4.2)", (-1.0, 1.0)
)
expm1: np.ufunc = _enter(
    "expm1", (lambda g, y, x: g * (y + 1),), "eˣ - 1 (DLMF 4.2)", REAL, record="expm1_scipy"
)
log1p: np.ufunc = _enter(
    "log1p", (lambda g, y, x: g / (1 + x),), "ln(1 + x) (DLMF 4.2)", POSITIVE, record="log1p_scipy"
)
cosm1: np.ufunc = _enter(
    "cosm1", (lambda g, y, x: g * -np.sin(x),), "cos x - 1 (DLMF 4.14)", REAL
)
sindg: np.ufunc = _enter(
    "sindg", (lambda g, y, x: g * (_RADIANS * cosdg(x)),), "sin x° (DLMF 4.14)", REAL
)
cosdg: np.ufunc = _enter(
    "cosdg", (lambda g, y, x: g * (-_RADIANS * sindg(x)),), "cos x° (DLMF 4.14)", REAL
)
tandg: np.ufunc = _enter(
    "tandg", (lambda g, y, x: g * (_RADIANS * (1 + y * y)),), "tan x° (DLMF 4.14)", REAL
)

# Integrals. -------------------------------------------------------------------------------------

erfi: np.ufunc = _enter(
    "erfi", (lambda g, y, x: g * (2 / SQRT_PI * np.exp(x * x)),),
    "2/√π ∫₀ˣ exp(t²) dt (DLMF 7.5)", (-1.0, 1.0),
)
dawsn: np.ufunc = _enter(
    "dawsn", (lambda g, y, x: g * (1 - 2 * (x * y)),), "exp(-x²) ∫₀ˣ exp(t²) dt (DLMF 7.2)", REAL
)
exp1: np.ufunc = _enter(
    "exp1", (lambda g, y, x: -g * np.exp(-x) / x,), "∫ₓ^∞ e⁻ᵗ/t dt (DLMF 6.2)", POSITIVE
)
expi: np.ufunc = _enter(
    "expi", (lambda g, y, x: g * np.exp(x) / x,), "-⨍₋ₓ^∞ e⁻ᵗ/t dt (DLMF 6.2)", POSITIVE
)


def _beta_density(a: Array, b: Array, x: Array) -> Array:
    both_numbers = type(a) in _NUMBERS and type(b) in _NUMBERS
    size = float(betaln(a, b)) if both_numbers else betaln(a, b)
    return np.exp(_in_precision(xlogy, a - 1, x) + _in_precision(xlog1py, b - 1, -x) - size)


betainc: np.ufunc = _enter(
    "betainc",
    (_missing("betainc", "a"), _missing("betainc", "b"),
     lambda g, y, a, b, x: g * _beta_density(a, b, x)),
    "Iₓ(a, b) = 1/B(a, b) ∫₀ˣ tᵃ⁻¹ (1 - t)ᵇ⁻¹ dt (DLMF 8.17)", POSITIVE, POSITIVE, (0.2, 0.8),
    cases=(case(2.0, 3.0, (3,)), case(1.5, 2.5, (2, 3)), case(1.0, 1.0, ()), case(2.0, 0.5, (0,)),
           case(2.0, 3.0, (1, 2))),
)

# Modified Bessel functions of the second kind. ---------------------------------------------------

k0: np.ufunc = _enter("k0", (lambda g, y, x: -g * k1(x),), "K₀(x) (DLMF 10.29)", POSITIVE)
k1: np.ufunc = _enter(
    "k1", (lambda g, y, x: g * (-0.5 * (k0(x) + kv(2, x))),), "K₁(x) (DLMF 10.29)", POSITIVE
)
kv: np.ufunc = _enter(
    "kv",
    (_missing("kv", "v"), lambda g, y, v, x: g * (-0.5 * (kv(v - 1, x) + kv(v + 1, x)))),
    "K_v(x) (DLMF 10.29)", POSITIVE, cases=_with_order(2, 0.0, 1.5),
)
k0e: np.ufunc = _enter(
    "k0e", (lambda g, y, x: g * (y - k1e(x)),), "eˣ K₀(x) (DLMF 10.29)", POSITIVE
)
k1e: np.ufunc = _enter(
    "k1e", (lambda g, y, x: g * (y - 0.5 * (k0e(x) + kve(2, x))),), "eˣ K₁(x) (DLMF 10.29)",
    POSITIVE,
)
kve: np.ufunc = _enter(
    "kve",
    (_missing("kve", "v"), lambda g, y, v, x: g * (y - 0.5 * (kve(v - 1, x) + kve(v + 1, x)))),
    "eˣ K_v(x) (DLMF 10.29)", POSITIVE, cases=_with_order(2, 0.0, 1.5),
)
yv: np.ufunc = _enter(
    "yv",
    (_missing("yv", "v"), lambda g, y, v, x: g * (0.5 * (yv(v - 1, x) - yv(v + 1, x)))),
    "Y_v(x) (DLMF 10.6)", (0.8, 2.5), cases=_with_order(2, 0.0, 1.5),
)

# Along axes. ------------------------------------------------------------------------------------


def softmax(x: Array, axis: reductions.Axis = None) -> Array:
    """exp(x) / Σ exp(x) along ``axis``, by default over all elements; without overflow."""
    return reductions.softmax(x, axis)


def log_softmax(x: Array, axis: reductions.Axis = None) -> Array:
    """ln softmax(x) along ``axis``, by default over all elements; exact where softmax is 0."""
    return reductions.log_softmax(x, axis)


def logsumexp(
    a: Array, axis: reductions.Axis = None, b: Array | None = None, keepdims: bool = False,
    return_sign: bool = False,
) -> Any:
    """ln Σ b exp(a) along ``axis``, by default over all elements; without overflow.

    ``b`` are weights that broadcast against ``a``, 1 unless given; where a weight is 0, ``a`` does
    not count, even if infinite or the largest. A negative sum gives NaN, or with ``return_sign``
    the pair (ln |Σ b exp(a)|, its sign). Differentiable by ``a`` and ``b``.
    """
    a = lift(a)
    if b is None and not return_sign:
        return reductions.logsumexp(a, axis, keepdims)
    b = np.ones_like(a) if b is None else lift(b)
    unweighted = b == 0
    # The maximum cancels from the result, and so from its derivative.
    top = stop_gradient(np.max(np.where(unweighted, -math.inf, a), axis=axis, keepdims=True))
    top = np.where(np.isfinite(top), top, 0)
    exponent = a - top
    # What has weight 0 is not below the maximum, yet has a finite influence through its weight.
    largest = 700 if exponent.dtype.itemsize == 8 else 80
    exponent = np.where(unweighted, np.minimum(exponent, largest), exponent)
    total = np.sum(b * np.exp(exponent), axis=axis, keepdims=keepdims)
    size = np.log(np.absolute(total) if return_sign else total) + np.reshape(top, total.shape)
    return (size, np.sign(total)) if return_sign else size
