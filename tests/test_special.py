"""``ag.special``: SciPy's values, derivatives to second order, hard points, errors, late loading.

The generated tests of the ops go through its records as well: finite differences at every case,
single precision, other arrays, planted faults.
"""

from __future__ import annotations

import inspect
import math
import pickle
import subprocess
import sys

import numpy as np
import pytest
import scipy.special

import autograd_core as ag
from autograd_core import special
from autograd_core.op import OPS, UFUNCS

pytestmark = pytest.mark.filterwarnings("error")

inf, nan, pi = math.inf, math.nan, math.pi
EULER = 0.5772156649015329
APERY = 1.2020569031595943  # ζ(3)

NAMES = [
    "erf", "erfc", "erfinv", "erfcinv", "erfcx", "expit", "logit", "log_expit", "log_ndtr",
    "ndtr", "ndtri", "gamma", "gammaln", "gammasgn", "gammainc", "gammaincc", "digamma",
    "psi", "polygamma", "beta", "betaln", "rgamma", "i0", "i0e", "i1", "i1e", "iv", "ive",
    "j0", "j1", "jn", "jv", "y0", "y1", "yn", "logsumexp", "softmax", "log_softmax", "xlogy",
    "xlog1py", "entr", "rel_entr", "kl_div", "multigammaln", "zeta", "sinc", "cbrt", "exp2",
    "exp10", "expm1", "log1p", "cosm1", "sindg", "cosdg", "tandg", "erfi", "dawsn", "exp1", "expi",
    "betainc", "k0", "k1", "kv", "k0e", "k1e", "kve", "yv",
]
UFUNC_NAMES = [n for n in NAMES if isinstance(getattr(scipy.special, n), np.ufunc)]
#: Those that NumPy has under the same name, or the engine under another.
RECORDED_AS = {"digamma": "psi", "jn": "jv", "i0": "bessel_i0", **{
    n: f"{n}_scipy" for n in ("cbrt", "exp2", "expm1", "log1p")}}


def nth(f, n):
    """The n-th derivative of a function of one number."""
    for _ in range(n):
        f = ag.grad(f)
    return f


def close(actual, expected, tolerance=1e-12):
    np.testing.assert_allclose(actual, expected, rtol=tolerance, atol=tolerance)


# What there is. ---------------------------------------------------------------------------------

def test_the_names_are_complete():
    assert set(NAMES) <= set(special.__all__)  # of the others: test_more_special.py
    assert ag.special is special
    assert "special" in dir(ag)


@pytest.mark.parametrize("name", NAMES)
def test_the_name_is_documented(name):
    assert inspect.getdoc(getattr(ag.special, name))


@pytest.mark.parametrize("name", UFUNC_NAMES)
def test_a_ufunc_of_scipy_is_that_ufunc(name):
    """So a call of scipy.special's own records as well."""
    assert getattr(special, name) is getattr(scipy.special, name)
    assert UFUNCS[getattr(special, name)].name == RECORDED_AS.get(name, name)


def test_records_name_their_source():
    ops = [op for op in OPS.values() if op.name in NAMES
           and UFUNCS.get(getattr(special, op.name, None)) is op]
    assert len(ops) > 30
    for op in ops:
        assert "DLMF" in op.formula, op


# Values. ----------------------------------------------------------------------------------------

IN = {  # where to sample the arguments; (0.2, 0.8) unless listed
    "erf": [(-3, 3)], "erfc": [(-3, 3)], "erfcx": [(-3, 3)], "expit": [(-9, 9)],
    "log_expit": [(-9, 9)], "log_ndtr": [(-9, 9)], "ndtr": [(-9, 9)], "gamma": [(-2.9, 5)],
    "gammaln": [(-2.9, 5)], "gammasgn": [(-2.9, 5)], "rgamma": [(-2.9, 5)], "psi": [(-2.9, 5)],
    "digamma": [(-2.9, 5)], "i0": [(-4, 4)], "i1": [(-4, 4)], "i0e": [(-4, 4)], "i1e": [(-4, 4)],
    "j0": [(-9, 9)], "j1": [(-9, 9)], "y0": [(0.1, 9)], "y1": [(0.1, 9)],
    "gammainc": [(0.1, 5), (0, 9)], "gammaincc": [(0.1, 5), (0, 9)], "beta": [(0.1, 5)] * 2,
    "betaln": [(0.1, 5)] * 2, "xlogy": [(-2, 2), (0.1, 3)], "xlog1py": [(-2, 2), (0.1, 3)],
    "rel_entr": [(0.1, 3)] * 2, "kl_div": [(0.1, 3)] * 2, "iv": [(0, 3), (0.1, 5)],
    "ive": [(0, 3), (0.1, 5)], "kv": [(0, 3), (0.1, 5)], "kve": [(0, 3), (0.1, 5)],
    "yv": [(0, 3), (0.1, 5)], "jv": [(0, 3), (0.1, 5)], "jn": [(0, 3), (0.1, 5)],
}
ORDERED = {"yn": 3, "polygamma": 2}  # whole orders, from 0


def sample(name, shapes, seed=0):
    rng = np.random.default_rng(seed)
    where = IN.get(name, [(0.2, 0.8)])
    if name in ORDERED:
        return rng.integers(0, ORDERED[name], shapes[0]), rng.uniform(0.5, 5, shapes[1])
    return tuple(np.asarray(rng.uniform(*w, s))[()] for w, s in zip(where, shapes, strict=False))


SHAPES = [
    ((), ()), ((3,), (3,)), ((2, 3), (3,)), ((3,), (2, 3)), ((2, 1), (1, 3)), ((), (2, 3)),
    ((2, 3), ()), ((0,), (0,)), ((0, 3), (3,)), ((1,), (1, 1)), ((1, 0, 2), (2,)),
]
ELEMENTWISE = [*(n for n in UFUNC_NAMES if n != "betainc"), "polygamma"]


@pytest.mark.parametrize("shapes", SHAPES, ids=str)
@pytest.mark.parametrize("name", ELEMENTWISE)
def test_values_and_shapes_are_scipys(name, shapes):
    ours, theirs = getattr(ag.special, name), getattr(scipy.special, name)
    xs = sample(name, shapes)
    expected = theirs(*xs)
    y = ours(*(ag.tensor(x) for x in xs))
    assert isinstance(y, ag.Tensor)
    assert y.shape == np.shape(expected) and y.dtype == expected.dtype
    np.testing.assert_array_equal(y.data, expected)
    np.testing.assert_array_equal(ours(*xs), expected)
    assert not isinstance(ours(*xs), ag.Tensor)
    # The last argument has a gradient, of its own shape.
    x = ag.tensor(xs[-1], requires_grad=True)
    ours(*xs[:-1], x).sum().backward()
    assert np.shape(x.grad) == np.shape(xs[-1])
    assert np.isfinite(x.grad).all()


@pytest.mark.parametrize("name", [n for n in NAMES if n != "sinc"])
def test_single_precision_stays(name):
    """On Tensors also beside a Python number, where SciPy's ufuncs widen some."""
    f = getattr(ag.special, name)
    x = ag.tensor(np.array([0.3, 0.6], np.float32), requires_grad=True)
    given = {"multigammaln": (x + 1, 2), "zeta": (2, x + 1)}.get(name)
    if given is None:
        n = 2 if name == "polygamma" else getattr(f, "nin", 1)
        given = (*(1,) * (n - 1), x)
    y = f(*given)
    assert y.dtype == np.float32
    if name != "gammasgn":
        y.sum().backward()
        assert x.grad.dtype == np.float32
    if getattr(f, "nin", 1) == 2 and name not in ("jv", "jn", "iv", "ive", "yn", "kv", "kve",
                                                      "yv"):
        assert f(x, 1.5).dtype == np.float32


@pytest.mark.parametrize("axis", [None, 0, 1, -1, (0, 1)])
@pytest.mark.parametrize("name", ["logsumexp", "softmax", "log_softmax"])
def test_along_axes(name, axis):
    x = np.random.default_rng(0).normal(0, 30, (4, 5))
    ours, theirs = getattr(ag.special, name), getattr(scipy.special, name)
    close(ours(ag.tensor(x), axis=axis).data, theirs(x, axis=axis), 1e-14)
    close(ours(x, axis), theirs(x, axis), 1e-14)
    close(ours(x.tolist()), theirs(x), 1e-14)
    ag.check_grads(lambda x: ours(x, axis=axis), x / 30, order=2)


@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("axis", [None, 0, 1, (0, 1)])
def test_logsumexp_with_weights_and_signs(axis, keepdims):
    rng = np.random.default_rng(1)
    a, b = rng.normal(0, 9, (4, 5)), rng.normal(0, 1, (4, 5))
    b[1, 2] = 0
    options = {"axis": axis, "keepdims": keepdims}
    for weights in (np.abs(b), np.abs(b[0]), 2.0):
        y = ag.special.logsumexp(ag.tensor(a), b=weights, **options)
        expected = scipy.special.logsumexp(a, b=weights, **options)
        assert y.shape == np.shape(expected)
        close(y.data, expected, 1e-13)
    sizes, signs = ag.special.logsumexp(ag.tensor(a), b=b, return_sign=True, **options)
    for ours, theirs in zip(
        (sizes, signs), scipy.special.logsumexp(a, b=b, return_sign=True, **options), strict=True
    ):
        close(ours.data, theirs, 1e-13)
    size, sign = ag.special.logsumexp(a, return_sign=True, **options)
    close(size, scipy.special.logsumexp(a, **options), 1e-13)
    assert np.all(sign == 1)
    ag.check_grads(lambda a, b: ag.special.logsumexp(a, b=b, **options), a / 9, np.abs(b) + 0.1)
    ag.check_grads(
        lambda a, b: ag.special.logsumexp(a, b=b, return_sign=True, **options)[0], a / 9, b + 5
    )


def test_logsumexp_at_its_edges():
    lse = ag.special.logsumexp
    a = np.array([-inf, 0.0, 1.0])
    close(ag.grad(lse)(a), scipy.special.softmax(a))
    weighted = ag.grad(lambda a: lse(a, b=np.array([1.0, 2.0, 3.0])))(a)
    close(weighted, np.array([0, 2, 3 * math.e]) / (2 + 3 * math.e))
    # What has no weight does not count, however large; its weight still has an influence.
    large = np.array([1.0, 800.0, inf])
    assert lse(ag.tensor(large), b=[1.0, 0.0, 0.0]).data == 1.0
    by_weight = ag.grad(lambda b: lse(np.array([1.0, 5.0]), b=b))(np.array([1.0, 0.0]))
    close(by_weight, [1, math.exp(4)])
    assert lse(np.array([1e4, 1e4 - 1])) == scipy.special.logsumexp([1e4, 1e4 - 1])
    assert lse(ag.tensor([-inf, -inf])).data == -inf
    np.testing.assert_array_equal(ag.grad(lse)(np.array([-inf, -inf])), [0, 0])


def test_softmax_far_out():
    x = np.array([1e4, 0.0, -1e4])
    np.testing.assert_array_equal(ag.special.softmax(ag.tensor(x)).data, [1, 0, 0])
    np.testing.assert_array_equal(ag.special.log_softmax(ag.tensor(x)).data, [0, -1e4, -2e4])
    np.testing.assert_array_equal(
        ag.jacobian(ag.special.log_softmax)(x), [[0, 0, 0], [-1, 1, 0], [-1, 0, 1]]
    )


@pytest.mark.parametrize("d", [1, 2, 3, 5])
def test_multigammaln_is_scipys(d):
    a = np.array([[2.5, 3.0], [7.5, 20.0]])
    close(ag.special.multigammaln(ag.tensor(a), d).data, scipy.special.multigammaln(a, d), 1e-14)
    close(ag.special.multigammaln(2.5, d), scipy.special.multigammaln(2.5, d), 1e-14)
    ag.check_grads(lambda a: ag.special.multigammaln(a, d), a)


@pytest.mark.parametrize("n", [0, 1, 2, 5, np.int64(3), np.array([0, 1, 2])])
def test_polygamma_is_scipys(n):
    x = np.array([0.3, 1.0, 4.5])
    np.testing.assert_array_equal(
        ag.special.polygamma(n, ag.tensor(x)).data, scipy.special.polygamma(n, x)
    )
    close(ag.elementwise_grad(lambda x: ag.special.polygamma(n, x))(x),
          scipy.special.polygamma(n + 1, x))
    single = ag.special.polygamma(n, x.astype(np.float32))
    assert single.dtype == np.float32
    close(single, scipy.special.polygamma(n, x.astype(np.float32)), 1e-6)


def test_zeta_is_scipys():
    x = np.array([1.5, 2.0, 7.0])
    q = np.array([[0.5], [2.0]])
    np.testing.assert_array_equal(ag.special.zeta(x), scipy.special.zeta(x))
    np.testing.assert_array_equal(ag.special.zeta(-1.5), scipy.special.zeta(-1.5))
    np.testing.assert_array_equal(ag.special.zeta(x, q), scipy.special.zeta(x, q))
    np.testing.assert_array_equal(
        ag.special.zeta(x, ag.tensor(q)).data, scipy.special.zeta(x, q))
    assert ag.special.zeta([1.5, 2.0], 1.0).shape == (2,)


# Derivatives in closed form. --------------------------------------------------------------------

def _bessel(f, v, x):
    """The first two derivatives of J_v or Y_v, from Bessel's equation and one neighbour."""
    first = v / x * f(v, x) - f(v + 1, x)
    return first, -first / x - (1 - v * v / (x * x)) * f(v, x)


def _modified(v, x):
    first = v / x * scipy.special.iv(v, x) + scipy.special.iv(v + 1, x)
    return first, -first / x + (1 + v * v / (x * x)) * scipy.special.iv(v, x)


def _normal(x):
    return math.exp(-x * x / 2) / math.sqrt(2 * pi)


def _scaled_erfc(x):
    y = scipy.special.erfcx(x)
    first = 2 * x * y - 2 / math.sqrt(pi)
    return first, 2 * y + 2 * x * first


def _inverse(x, y, slope):
    """Of an inverse function with f' = slope(y) and f'' = -c y f'."""
    return 1 / slope, y / slope**2


CLOSED = [  # (what, f, x, f'(x), f''(x)), from other expressions than the rules'
    ("erf", special.erf, 0.0, 2 / math.sqrt(pi), 0.0),
    ("erf", special.erf, 0.7, 2 / math.sqrt(pi) * math.exp(-0.49),
     -2.8 / math.sqrt(pi) * math.exp(-0.49)),
    ("erfc", special.erfc, -1.1, -2 / math.sqrt(pi) * math.exp(-1.21),
     -4.4 / math.sqrt(pi) * math.exp(-1.21)),
    ("erfcx", special.erfcx, 1.5, *_scaled_erfc(1.5)),
    ("erfcx", special.erfcx, 0.0, -2 / math.sqrt(pi), 2.0),
    ("erfinv", special.erfinv, 0.0, math.sqrt(pi) / 2, 0.0),
    ("erfcinv", special.erfcinv, 1.0, -math.sqrt(pi) / 2, 0.0),
    ("ndtr", special.ndtr, 0.8, _normal(0.8), -0.8 * _normal(0.8)),
    ("ndtri", special.ndtri, scipy.special.ndtr(0.8), *_inverse(0, 0.8, _normal(0.8))),
    ("log_ndtr", special.log_ndtr, 0.0, math.sqrt(2 / pi), -2 / pi),
    ("expit", special.expit, math.log(3), 3 / 16, -3 / 32),
    ("log_expit", special.log_expit, math.log(3), 1 / 4, -3 / 16),
    ("logit", special.logit, 0.25, 16 / 3, -128 / 9),
    ("gamma", special.gamma, 1.0, -EULER, EULER**2 + pi**2 / 6),
    ("gamma", special.gamma, 2.0, 1 - EULER, (1 - EULER) ** 2 + pi**2 / 6 - 1),
    ("gammaln", special.gammaln, 0.5, -EULER - 2 * math.log(2), pi**2 / 2),
    ("gammaln", special.gammaln, -0.5, -EULER - 2 * math.log(2) + 2, pi**2 / 2 + 4),
    ("psi", special.psi, 1.0, pi**2 / 6, -2 * APERY),
    ("psi", special.psi, -0.5, pi**2 / 2 + 4, -14 * APERY + 16),
    ("polygamma 2", lambda x: special.polygamma(2, x), 1.0, pi**4 / 15,
     -24 * 1.03692775514337),
    ("rgamma", special.rgamma, 1.0, EULER, EULER**2 - pi**2 / 6),
    ("rgamma", special.rgamma, 0.0, 1.0, 2 * EULER),
    ("rgamma", special.rgamma, -1.0, -1.0, 2 - 2 * EULER),
    ("gammainc", lambda x: special.gammainc(2.0, x), 1.5, 1.5 * math.exp(-1.5),
     -0.5 * math.exp(-1.5)),
    ("gammaincc", lambda x: special.gammaincc(2.0, x), 1.5, -1.5 * math.exp(-1.5),
     0.5 * math.exp(-1.5)),
    ("beta", lambda x: special.beta(x, 2.0), 1.5, -4 / 1.5**2 / 2.5**2,
     2 * (3 * 1.5 * 2.5 + 1) / (1.5 * 2.5) ** 3),
    ("betaln", lambda x: special.betaln(x, 1.0), 1.5, -1 / 1.5, 1 / 1.5**2),
    ("zeta", lambda q: special.zeta(2.0, q), 1.0, -2 * APERY, pi**4 / 15),
    ("j0", special.j0, 1.3, *_bessel(scipy.special.jv, 0, 1.3)),
    ("j1", special.j1, 1.3, *_bessel(scipy.special.jv, 1, 1.3)),
    ("jv", lambda x: special.jv(2.5, x), 1.3, *_bessel(scipy.special.jv, 2.5, 1.3)),
    ("jn", lambda x: special.jn(3, x), -1.3, *_bessel(scipy.special.jv, 3, -1.3)),
    ("y0", special.y0, 1.3, *_bessel(scipy.special.yv, 0, 1.3)),
    ("y1", special.y1, 1.3, *_bessel(scipy.special.yv, 1, 1.3)),
    ("yn", lambda x: special.yn(3, x), 1.3, *_bessel(scipy.special.yv, 3, 1.3)),
    ("i0", special.i0, -1.3, *_modified(0, -1.3)),
    ("i1", special.i1, 1.3, *_modified(1, 1.3)),
    ("iv", lambda x: special.iv(0.5, x), 1.3, *_modified(0.5, 1.3)),
    ("entr", special.entr, 0.5, math.log(2) - 1, -2.0),
    ("xlogy", lambda y: special.xlogy(3.0, y), 2.0, 1.5, -0.75),
    ("xlog1py", lambda y: special.xlog1py(3.0, y), 1.0, 1.5, -0.75),
    ("rel_entr", lambda x: special.rel_entr(x, 2.0), 1.0, 1 - math.log(2), 1.0),
    ("kl_div", lambda x: special.kl_div(x, 2.0), 1.0, -math.log(2), 1.0),
    ("betainc", lambda x: special.betainc(2.0, 3.0, x), 0.5, 1.5, -3.0),
    ("betainc", lambda x: special.betainc(1.0, 1.0, x), 0.0, 1.0, 0.0),
    ("cosm1", special.cosm1, 0.0, 0.0, -1.0),
    ("sindg", special.sindg, 30.0, pi / 180 * math.sqrt(3) / 2, -((pi / 180) ** 2) / 2),
    ("dawsn", special.dawsn, 0.0, 1.0, 0.0),
    ("erfi", special.erfi, 0.0, 2 / math.sqrt(pi), 0.0),
    ("exp1", special.exp1, 1.0, -math.exp(-1), 2 * math.exp(-1)),
    ("expi", special.expi, 1.0, math.e, 0.0),
    ("kv 1/2", lambda x: special.kv(0.5, x), 1.0, -1.5 * math.sqrt(pi / 2) / math.e,
     2.75 * math.sqrt(pi / 2) / math.e),
    # Hard points.
    ("j0", special.j0, 0.0, 0.0, -0.5),
    ("j1", special.j1, 0.0, 0.5, 0.0),
    ("jv 2", lambda x: special.jv(2, x), 0.0, 0.0, 0.25),
    ("i0", special.i0, 0.0, 0.0, 0.5),
    ("i1", special.i1, 0.0, 0.5, 0.0),
    ("iv 2", lambda x: special.iv(2, x), 0.0, 0.0, 0.25),
    ("i1e", special.i1e, 0.0, 0.5, 0.0),
    ("expit", special.expit, 1000.0, 0.0, 0.0),
    ("expit", special.expit, -1000.0, 0.0, 0.0),
    ("log_expit", special.log_expit, 1000.0, 0.0, 0.0),
    ("log_expit", special.log_expit, -1000.0, 1.0, 0.0),
    ("log_ndtr", special.log_ndtr, -40.0, 40.02496884720726, -0.9993773316216),
    ("log_ndtr", special.log_ndtr, 40.0, 0.0, 0.0),
    ("gammainc 1", lambda x: special.gammainc(1.0, x), 0.0, 1.0, -1.0),
    ("gammainc 2", lambda x: special.gammainc(2.0, x), 0.0, 0.0, 1.0),
    ("gammainc 3", lambda x: special.gammainc(3.0, x), 0.0, 0.0, 0.0),
]


@pytest.mark.parametrize(
    ("f", "x", "first", "second"),
    [pytest.param(*row, id=f"{what}({row[1]:.4g})") for what, *row in CLOSED],
)
def test_derivatives_in_closed_form(f, x, first, second):
    with np.errstate(divide="ignore"):  # log 0 within gammainc at 0
        close(ag.grad(f)(x), first)
        close(nth(f, 2)(x), second)


@pytest.mark.parametrize("name", sorted({what for what, *_ in CLOSED if " " not in what}))
def test_third_order(name):
    """Far enough from the edges that difference quotients are good."""
    f = getattr(ag.special, name)
    xs = sample(name, ((3,), (3,)), seed=3)
    if name in ("gamma", "gammaln", "psi", "i0e", "i1e"):
        xs = (np.array([1.2, 1.7, 2.5]),)
    if name in ("erfinv", "erfcinv", "ndtri", "logit"):
        xs = (np.array([0.4, 0.5, 0.6]),)
    if name in ("iv", "jv", "jn", "yn", "zeta"):
        x = np.array([1.2, 1.7, 2.5])
        ag.check_grads(lambda x: f(2, x), x, order=3, atol=1e-4, rtol=1e-4)
    elif name == "betainc":
        x = np.array([0.3, 0.5, 0.7])
        ag.check_grads(lambda x: f(2, 3.5, x), x, order=3, atol=1e-4, rtol=1e-4)
    else:
        ag.check_grads(f, *xs, order=3, atol=1e-4, rtol=1e-4)


# Hard points beside those. ----------------------------------------------------------------------

def at(f, position, *xs):
    """The gradient by one argument, where a logarithm of 0 may warn."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return ag.grad(f, position)(*xs)


def test_entropies_at_zero():
    s = ag.special
    assert s.xlogy(0.0, 0.0) == s.xlog1py(0.0, -1.0) == s.entr(0.0) == s.rel_entr(0.0, 0.0) == 0
    assert at(s.xlogy, 0, 0.0, 0.0) == at(s.xlog1py, 0, 0.0, -1.0) == -inf
    assert at(s.xlogy, 1, 0.0, 0.0) == at(s.xlog1py, 1, 0.0, -1.0) == 0
    assert at(s.xlogy, 0, 0.0, 2.0) == math.log(2)
    assert at(s.xlogy, 1, 0.0, 2.0) == 0
    assert at(s.xlogy, 1, 3.0, 0.0) == inf
    assert at(s.entr, 0, 0.0) == inf
    assert at(s.entr, 0, 1.0) == -1
    assert at(s.rel_entr, 0, 0.0, 2.0) == at(s.kl_div, 0, 0.0, 2.0) == -inf
    assert at(s.rel_entr, 1, 0.0, 2.0) == at(s.rel_entr, 1, 0.0, 0.0) == 0
    assert at(s.kl_div, 1, 0.0, 2.0) == at(s.kl_div, 1, 0.0, 0.0) == 1
    assert at(s.kl_div, 0, 2.0, 2.0) == 0


@pytest.mark.parametrize(
    ("name", "mixed"), [("xlogy", 0.5), ("xlog1py", 1 / 3), ("rel_entr", -0.5), ("kl_div", -0.5)]
)
def test_mixed_derivatives_where_the_factor_is_zero(name, mixed):
    f = getattr(ag.special, name)
    close(at(lambda x, y: at(f, 0, x, y), 1, 0.0, 2.0), mixed)
    close(at(lambda x, y: at(f, 1, x, y), 0, 0.0, 2.0), mixed)


def test_the_entropy_of_a_distribution_with_zeros():
    p = np.array([0.0, 0.25, 0.75])
    weights = ag.grad(lambda q: ag.special.rel_entr(p, q).sum())(np.array([0.1, 0.3, 0.6]))
    np.testing.assert_array_equal(weights, [0, -0.25 / 0.3, -0.75 / 0.6])
    np.testing.assert_array_equal(
        ag.grad(lambda q: ag.special.rel_entr(p, q).sum())(p), [0, -1, -1])


def test_logit_and_the_inverses_at_their_ends():
    s = ag.special
    assert at(s.logit, 0, 0.0) == at(s.logit, 0, 1.0) == inf
    assert at(lambda x: at(s.logit, 0, x), 0, 0.0) == -inf
    assert at(s.erfinv, 0, 1.0) == at(s.erfinv, 0, -1.0) == inf
    assert at(s.erfcinv, 0, 0.0) == at(s.erfcinv, 0, 2.0) == -inf
    assert at(s.ndtri, 0, 0.0) == at(s.ndtri, 0, 1.0) == inf
    close(ag.grad(s.logit)(1e-300), 1e300, 1e-15)


def test_far_out_nothing_cancels():
    s = ag.special
    np.testing.assert_allclose(ag.grad(s.expit)(40.0), math.exp(-40), rtol=1e-15)
    np.testing.assert_allclose(nth(s.expit, 2)(40.0), -math.exp(-40), rtol=1e-15)
    np.testing.assert_allclose(ag.grad(s.log_expit)(40.0), math.exp(-40), rtol=1e-15)
    np.testing.assert_allclose(ag.grad(s.log_ndtr)(-1e9), 1e9, rtol=1e-15)
    np.testing.assert_allclose(ag.grad(s.log_ndtr)(-1e4), 1e4 + 1e-4, rtol=1e-15)
    np.testing.assert_allclose(ag.grad(s.log_ndtr)(10.0), _normal(10), rtol=1e-14)
    for x in (49.9, 50.1, 1e3, 1e6, 1e9):  # both sides of where the series takes over
        u = 1 / (2 * x * x)
        expected = -2 * u / math.sqrt(pi) * (1 - 3 * u + 15 * u**2 - 105 * u**3 + 945 * u**4)
        np.testing.assert_allclose(ag.grad(s.erfcx)(x), expected, rtol=1e-11)
        np.testing.assert_allclose(
            nth(s.erfcx, 2)(x), 2 / x**3 / math.sqrt(pi) * (1 - 6 * u + 45 * u**2), rtol=1e-6)
    assert ag.grad(s.erfcx)(-30.0) == -inf
    np.testing.assert_allclose(
        ag.grad(s.gammainc, 1)(1e5, 1e5), 1 / math.sqrt(2 * pi * 1e5), rtol=1e-5)


@pytest.mark.parametrize("n", range(6))
def test_rgamma_at_the_poles_of_gamma(n):
    """1/Γ is entire: near -n it is (-1)ⁿ n! (x + n)."""
    assert ag.special.rgamma(-float(n)) == 0
    close(ag.grad(ag.special.rgamma)(-float(n)), (-1) ** n * math.factorial(n))


def test_gamma_near_and_at_poles():
    s = ag.special
    assert at(s.gammaln, 0, 0.0) == at(s.gamma, 0, 0.0) == -inf
    assert np.isnan(at(s.gammaln, 0, -1.0)) and np.isnan(at(s.gamma, 0, -1.0))
    np.testing.assert_allclose(ag.grad(s.gammaln)(1e-8), -1e8 - EULER, rtol=1e-14)
    np.testing.assert_allclose(ag.grad(s.gammaln)(-2 + 1e-6), -1e6, rtol=1e-5)
    np.testing.assert_allclose(nth(s.gammaln, 2)(-2 + 1e-6), 1e12, rtol=1e-5)
    assert ag.grad(s.gammasgn)(-0.5) == 0


def test_kinks():
    """e^-|x| has one at 0, with the slope 0 by the convention for abs."""
    s = ag.special
    assert ag.grad(s.i0e)(0.0) == ag.grad(lambda x: s.ive(0, x))(0.0) == 0
    for x in (-2.0, 2.0):
        close(ag.grad(s.i0e)(x), ag.grad(lambda x: np.exp(-np.abs(x)) * s.i0(x))(x))
        close(ag.grad(s.i1e)(x), ag.grad(lambda x: np.exp(-np.abs(x)) * s.i1(x))(x))
        close(ag.grad(lambda x: s.ive(2, x))(x),
              ag.grad(lambda x: np.exp(-np.abs(x)) * s.iv(2, x))(x))


def test_sinc_is_numpys():
    assert ag.special.sinc is scipy.special.sinc is np.sinc


def test_sinc_at_zero():
    assert ag.grad(ag.special.sinc)(0.0) == 0
    close(nth(ag.special.sinc, 2)(0.0), -pi**2 / 3)


#: a, b, x, and the slopes of I_x(a, b) by a, by b and by both: from mpmath with 40 digits.
BETA_SLOPES = [
    (2.0, 3.0, 0.3, -0.2460937277467, 0.1295450609649, -0.03028663896608),
    (1.5, 0.5, 0.7, -0.1856497995805, 0.589621750536, -0.1625421644344),
    (0.5, 0.5, 0.1, -0.5926200221434, 0.2768155243584, -0.4734212308642),
    (100.0, 0.5, 0.994, -0.002404283584316, 0.5859365566454, -0.003480656137051),
    (0.01, 3.0, 0.2, -0.4931145372517, 0.002233338596573, 0.2226460900805),
    (0.01, 0.01, 0.5, -25.00400942763, 25.00400942763, 0.0),
    (50.0, 70.0, 0.42, -0.04297156736061, 0.03087525207334, 0.0002979162003968),
    (1000.0, 2000.0, 0.33, -0.009603762624452, 0.004765531619658, -4.710137787055e-05),
    (3.0, 200.0, 0.01, -0.2317147521486, 0.002720079827144, -0.0005975600299688),
    (0.3, 40.0, 0.002, -1.231941079581, 0.003641471947824, 0.003493031906329),
    (0.7, 2.5, 0.9999, -1.246759601614e-10, 5.233992892711e-10, 1.140730164954e-09),
]


@pytest.mark.parametrize("row", BETA_SLOPES, ids=str)
def test_the_incomplete_beta_function_moves_with_its_parameters(row):
    (a, b, x), (by_a, by_b, by_both) = row[:3], row[3:]
    f = ag.special.betainc
    close(ag.grad(f, (0, 1))(a, b, x), (by_a, by_b), 1e-8)
    mixed = ag.grad(lambda a: ag.grad(f, 1)(a, b, x))(a)
    scale = max(abs(by_both), abs(by_a * by_b))
    assert abs(mixed - by_both) < 1e-7 * scale
    assert abs(ag.grad(lambda b: ag.grad(f)(a, b, x))(b) - by_both) < 1e-7 * scale


def test_the_slopes_of_the_incomplete_beta_function_at_its_ends():
    for x in (0.0, 1.0):
        assert ag.grad(ag.special.betainc, (0, 1))(2.0, 3.0, x) == (0, 0)
    assert np.isnan(ag.grad(ag.special.betainc)(-1.0, 3.0, 0.5))


def test_the_slope_of_students_distribution_is_smooth_at_0():
    """The Hessian there, by differences of 40 digits; it is odd in t."""
    hessian = ag.hessian(lambda v: ag.special.stdtr(v[0], v[1]))(np.array([3.0, 0.0]))
    by_both = ag.grad(lambda df: ag.grad(ag.special.stdtr, 1)(df, 0.0))(3.0)
    close(hessian, [[0, by_both], [by_both, 0]], 1e-15)
    near = ag.grad(lambda t: ag.grad(ag.special.stdtr)(3.0, t))(1e-6)
    close(by_both, near, 1e-9)


#: x, ζ'(x), ζ''(x): from mpmath, as those below.
ZETA_SLOPES = [
    (1.0001, -99999999.927207, 2000000000000.7),
    (2.0, -0.93754825431584, 1.9892802342989),
    (30.0, -6.4554895388e-10, 4.4746260164732e-10),
    (0.5, -3.9226461392092, -16.008357013929),
    (0.0, -0.91893853320467, -2.0063564559086),
    (-0.4, -0.42700798873871, -0.73310180662257),
    (-1.5, -0.076309255320551, -0.12415334379228),
    (-2.0, -0.030448457058393, -0.065763516187425),
    (-15.0, -0.40031930280773, -0.70357032957231),
]
HURWITZ_SLOPES = [
    (1.5, 0.3, 3.2920377617312, -56.985596470792),
    (3.0, 7.0, -0.02796196587102, 0.0067611271601095),
    (2.0, 100.0, -0.056282644552473, 0.00046464104741547),
]


@pytest.mark.parametrize(("x", "first", "second"), ZETA_SLOPES)
def test_zeta_has_derivatives(x, first, second):
    for f in (ag.special.zeta, ag.special.zetac):
        assert math.isclose(ag.grad(f)(x), first, rel_tol=1e-12)
        assert math.isclose(nth(f, 2)(x), second, rel_tol=1e-12)


@pytest.mark.parametrize(("x", "q", "by_x", "by_both"), HURWITZ_SLOPES)
def test_zeta_has_derivatives_by_both(x, q, by_x, by_both):
    f = ag.special.zeta
    assert math.isclose(ag.grad(f)(x, q), by_x, rel_tol=1e-13)
    assert math.isclose(ag.grad(lambda q: ag.grad(f)(x, q))(q), by_both, rel_tol=1e-13)
    assert math.isclose(ag.grad(lambda x: ag.grad(f, 1)(x, q))(x), by_both, rel_tol=1e-13)
    assert np.isnan(ag.grad(f)(0.5, q))  # where SciPy has no value


def test_zeta_of_complex_numbers():
    ag.check_grads(ag.special.zeta, np.array([2 + 1j, 0.5 + 14j]))
    with pytest.raises(NotImplementedError, match="right of -1/2"):
        ag.grad(ag.special.zeta, holomorphic=True)(-3 + 1j)


SEQUENCES = {
    "lqn": ((0, 0.3), (3, 0.3), (2, 2.5), (3, 0.3 + 0.4j)),
    "lqmn": ((0, 0, 0.3), (2, 3, 0.3), (1, 2, 2.5), (2, 2, 0.3 + 0.4j)),
    "pbdv_seq": ((0.0, 0.7), (2.5, 0.7), (3.0, -0.4)),
    "pbvv_seq": ((0.5, 0.7), (2.5, 0.7), (3.0, -0.4)),
}


@pytest.mark.parametrize(
    ("name", "args"), [(name, args) for name, calls in SEQUENCES.items() for args in calls])
def test_functions_of_all_degrees(name, args):
    f, (*whole, z) = getattr(ag.special, name), args
    for mine, theirs in zip(f(*args), getattr(scipy.special, name)(*args), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-14)
    ag.check_grads(lambda z: f(*whole, z), z, order=3)
    if name.startswith("lq"):
        single = np.dtype(np.complex64 if np.iscomplexobj(z) else np.float32)
        assert [y.dtype for y in f(*whole, ag.tensor(single.type(z)))] == [single] * 2
    with pytest.raises(ValueError, match=f"{name}: .*one number"):
        f(*whole, ag.tensor([z, z]))


# Errors. ----------------------------------------------------------------------------------------

ORDERS = [
    ("jv", "v", (1.5, 2.0)), ("jn", "v", (1.5, 2.0)), ("iv", "v", (1.5, 2.0)),
    ("ive", "v", (1.5, 2.0)), ("yn", "n", (1.0, 2.0)), ("polygamma", "n", (1.0, 2.0)),
]


@pytest.mark.parametrize(("name", "argument", "xs"), ORDERS)
def test_a_missing_rule_is_an_error_when_asked_for(name, argument, xs):
    f = getattr(ag.special, name)
    with pytest.raises(ag.MissingRuleError, match=rf"argument {argument} .*test_special\.py:\d+"):
        ag.grad(f)(*xs)
    with pytest.raises(NotImplementedError):
        ag.jvp(f, xs, tuple(1.0 for _ in xs))
    if len(xs) == 2:  # the other argument does not mind
        assert np.isfinite(ag.grad(f, 1)(*xs))
        assert np.isfinite(nth(lambda x: f(ag.stop_gradient(xs[0]), x), 2)(xs[1]))


#: a, x, and how the quantile x of the gamma distribution moves with a, to first and second order:
#: computed with 40 digits from differences of the distribution function.
SLOPES = [
    (0.01, 1e-08, 1.78597954727163e-5, -0.00178435833392),
    (0.3, 0.1, 0.789404403118272, -2.30087064672),
    (0.3, 2.2, 3.68176960792017, -8.72424607397),
    (0.3, 9.0, 5.41084636090755, -10.9116697003),
    (1.0, 1.0, 1.17356302722473, -0.768782257528),
    (2.5, 4.4, 1.39911911330449, -0.290035112063),
    (2.5, 4.6, 1.42738699601089, -0.293699304886),
    (29.9, 20.0, 0.816891712361468, -0.0147291772131),
    (29.9, 31.8, 1.03688649795589, -0.0173542302216),
    (30.0, 12.0, 0.614166995551462, -0.011895005143),
    (30.0, 29.4, 0.995449999654932, -0.0168317482073),
    (30.0, 29.6, 0.998839738571969, -0.0168701754407),
    (30.0, 70.0, 1.49085270767477, -0.0216360160595),
    (1000.0, 900.0, 0.94840263817941, -0.000482685924481),
    (1000.0, 1100.0, 1.04858667856162, -0.00051613980229),
    (1000000.0, 1002000.0, 1.00099950083242, None),
]


@pytest.mark.parametrize(("a", "x", "first", "by_a"), SLOPES)
def test_how_a_quantile_moves_with_the_shape(a, x, first, by_a):
    slope = ag.special.gamma_slope
    close(slope(a, x), first, 1e-12)
    close(ag.grad(ag.special.gammainc)(a, x),
          -first * math.exp((a - 1) * math.log(x) - x - math.lgamma(a)), 1e-9)
    if by_a is not None:
        close(ag.grad(slope)(a, x), by_a, 1e-9)


def test_quantiles_move_as_differences_say():
    a, p = 2.2, np.array([1e-6, 0.1, 0.5, 0.9, 1 - 1e-6])
    h = 1e-4
    x, up, down = (scipy.special.gammaincinv(a + d, p) for d in (0, h, -h))
    close(ag.special.gamma_slope(a, x), (up - down) / (2 * h), 1e-7)
    total = ag.elementwise_grad(ag.special.gamma_slope)(a + 0 * x, x) + (
        ag.elementwise_grad(ag.special.gamma_slope, 1)(a, x) * ag.special.gamma_slope(a, x))
    close(total, (up - 2 * x + down) / h**2, 1e-5)


def test_where_the_methods_meet_there_is_no_step():
    for a, x in ((2.5, 4.5), (29.99, 31.99), (30.0, 29.5), (30.0, 20.0), (30.0, 33.0)):
        near = np.array([[a * (1 - 1e-12), x], [a * (1 + 1e-12), x],
                         [a, x * (1 - 1e-12)], [a, x * (1 + 1e-12)]])
        found = ag.special.gamma_slope(*near.T)
        close(found, found[0], 1e-11)


def test_slopes_at_the_ends():
    close(ag.special.gamma_slope(2.0, np.array([0.0, np.inf])), [0.0, np.inf])
    assert np.isnan(ag.special.gamma_slope(np.array([2.0, -1.0, 0.0]), -1.0)).all()
    for f in (ag.special.gammainc, ag.special.gammaincc):
        for a in (0.5, 1.0, 2.0):
            for x in (0.0, np.inf):
                assert ag.grad(f)(a, x) == 0


def test_the_slope_of_gammainc_has_a_gradient_by_a():
    def slope(a):
        return ag.grad(ag.special.gammainc, 1)(a, 1.5)

    ag.check_grads(slope, 2.2)
    close(ag.grad(slope)(2.0), 1.5 * math.exp(-1.5) * (math.log(1.5) - 1 + EULER))


def test_a_ufunc_without_a_rule():
    t = ag.tensor([0.5], requires_grad=True)
    for f in (scipy.special.mathieu_a, scipy.special.obl_cv, scipy.special.pro_cv):
        with pytest.raises(ag.MissingRuleError, match=f"{f.__name__} cannot take a Tensor"):
            f(*[t] * f.nin)


def test_options_of_a_ufunc():
    t = ag.tensor([0.5, 0.7], requires_grad=True)
    with pytest.raises(ag.MutationError, match="out="):
        ag.special.erf(t, out=np.empty(2))
    assert ag.special.erf(t, dtype=np.float32).dtype == np.float32


def test_scipys_functions_in_python_lose_no_gradient():
    """They convert, which raises."""
    t = ag.tensor([0.5, 0.7], requires_grad=True)
    for f in (scipy.special.softmax, scipy.special.logsumexp):
        with pytest.raises((TypeError, NotImplementedError)):
            f(t)
    with pytest.raises(TypeError):
        scipy.special.polygamma(1, t)


def test_shapes_that_do_not_fit():
    with pytest.raises(ag.ShapeError, match="xlogy"):
        ag.special.xlogy(ag.tensor(np.ones(2)), ag.tensor(np.ones(3)))


@pytest.mark.parametrize("d", [0, -1, 1.5])
def test_multigammaln_wants_a_dimension(d):
    with pytest.raises(ValueError, match="positive integer"):
        ag.special.multigammaln(ag.tensor(3.0), d)


def test_multigammaln_outside_its_domain():
    with pytest.raises(ValueError, match=r"multigammaln.*a > "):
        ag.special.multigammaln(ag.tensor([3.0, 0.4]), 2)


def test_a_wrong_rule_is_found():
    """The same function with the density's normalisation forgotten, and with a raw value."""
    wrong = ag.primitive(scipy.special.erf).defvjp(lambda g, y, x: g * np.exp(-x * x))
    right = ag.primitive(scipy.special.erf).defvjp(
        lambda g, y, x: g * (2 / math.sqrt(pi)) * np.exp(-x * x))
    frozen = ag.primitive(scipy.special.gammaln).defvjp(
        lambda g, y, x: g * special.psi(ag.stop_gradient(x)))
    x = np.array([0.3, 0.8])
    ag.check_grads(right, x)
    with pytest.raises(ag.GradientCheckError, match="order 1"):
        ag.check_grads(wrong, x)
    with pytest.raises(ag.GradientCheckError, match="order 2"):
        ag.check_grads(frozen, x)


# Graphs. ----------------------------------------------------------------------------------------

def test_records_in_listings_drawings_and_replays():
    x = ag.tensor([0.5, 1.5], requires_grad=True)
    y = (scipy.special.erf(x) * ag.special.gammaln(x)).sum()
    graph = ag.Graph(y)
    assert "erf(" in str(graph) and "gammaln(" in str(graph)
    assert "gammaln" in ag.to_dot(y).source
    x.data = np.array([2.5, 0.1])
    graph.fprop()
    expected = scipy.special.erf(x.data) * scipy.special.gammaln(x.data)
    np.testing.assert_array_equal(y.data, expected.sum())


def test_arrays_beside_tensors():
    """Plain operands, lists and Python numbers on either side."""
    t = ag.tensor([0.5, 1.5], requires_grad=True)
    for other in (2.0, 2, np.float64(2), np.array([2.0, 2.0]), [2.0, 2.0]):
        close(scipy.special.xlogy(t, other).data, t.data * math.log(2))
        close(scipy.special.xlogy(other, t).data, 2 * np.log(t.data))
    single = ag.tensor(np.ones(2, np.float32))  # as in NumPy, np.float64 is not weakly typed
    assert scipy.special.xlogy(np.float64(2), single).dtype == np.float64
    with pytest.raises(TypeError):
        scipy.special.erf([t, t])


def test_transforms():
    x = np.array([0.5, 1.5])
    close(ag.jacobian(ag.special.psi)(x), np.diag(scipy.special.polygamma(1, x)))
    close(ag.hessian(lambda x: ag.special.gammaln(x).sum())(x),
          np.diag(scipy.special.polygamma(1, x)))
    close(ag.jvp(ag.special.erf, (x,), (np.ones(2),))[1], ag.elementwise_grad(ag.special.erf)(x))
    assert ag.grad(lambda x: x * ag.grad(lambda y: ag.special.xlogy(x, y))(2.0))(5.0) == 5.0


# Loading. ---------------------------------------------------------------------------------------

def run(code, **environment):
    import os

    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False,
        env={**os.environ, **environment},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_scipy_is_loaded_when_special_is_asked_for():
    assert run(
        "import sys, autograd_core as ag; print('scipy' in sys.modules);"
        "print('special' in dir(ag), 'scipy' in sys.modules);"
        "print(ag.special.erf(0.0)); print('scipy.special' in sys.modules)"
    ) == ["False", "True", "False", "0.0", "True"]


@pytest.mark.parametrize("statement", [
    "from autograd_core import special", "import autograd_core.special as special",
    "import autograd_core; special = autograd_core.special",
])
def test_ways_to_import(statement):
    assert run(
        f"{statement}\nimport autograd_core as ag; print(ag.special is special);"
        "print(ag.grad(special.erf)(0.0))"
    ) == ["True", str(np.float64(2 / math.sqrt(pi)))]


def test_a_scipy_ufunc_meets_a_tensor_first():
    assert run(
        "import sys, scipy.special, autograd_core as ag;"
        "print('autograd_core.special' in sys.modules);"
        "t = ag.tensor(0.0, requires_grad=True);"
        "y = scipy.special.xlogy(2.0, scipy.special.expit(t)); y.backward(); print(t.grad)"
    ) == ["False", "1.0"]


def test_an_unknown_ufunc_does_not_load_scipy():
    assert run(
        "import sys, numpy as np, autograd_core as ag\n"
        "try: np.frompyfunc(abs, 1, 1)(ag.tensor(1.0))\n"
        "except ag.MissingRuleError: print('scipy' in sys.modules)"
    ) == ["False"]


def test_a_record_travels_between_processes():
    data = pickle.dumps(OPS["gammaln"])
    assert pickle.loads(data) is OPS["gammaln"]
    assert run(
        f"import pickle; op = pickle.loads({data!r}); print(op, op(3.0))"
    ) == ["gammaln", str(scipy.special.gammaln(3.0))]


def test_scipys_ufuncs_behind_wrappers():
    """With this switch SciPy replaces its ufuncs by functions that know array libraries."""
    assert run(
        "import autograd_core as ag; print(ag.grad(ag.special.gammaln)(2.0));"
        "print(ag.grad(ag.special.rgamma)(0.0))", SCIPY_ARRAY_API="1",
    ) == [str(scipy.special.psi(2.0)), "1.0"]


def test_without_scipy():
    assert run(
        "import sys; sys.modules['scipy'] = None; import autograd_core as ag\n"
        "try: ag.special\n"
        "except ImportError as e: print('pip install autograd-core[special]' in str(e))"
    ) == ["True"]
