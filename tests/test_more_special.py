"""What of scipy.special goes beyond the classics: distributions, elliptic integrals, polynomials.

The generated tests of the ops go through their records: difference quotients to second order,
single precision, replays, the compiler. Here: SciPy's values by name, what is composed of several,
errors by argument, and derivatives known from elsewhere, at hard points above all.
"""

from __future__ import annotations

import inspect
import math
import re

import numpy as np
import pytest
import scipy.special
from test_special import NAMES, close, nth

import autograd_core as ag
from autograd_core import special
from autograd_core.op import OPS, UFUNCS, MissingRule, Op, zero
from tests.ops.differences import Call

pytestmark = pytest.mark.filterwarnings("error")

MORE = sorted(set(special.__all__) - set(NAMES))
RECORDS = {name: OPS[name] for name in MORE
           if name in OPS and isinstance(getattr(special, name), np.ufunc)}
RECORDS["round"] = OPS["round_scipy"]
theirs = scipy.special


def test_there_are_many():
    assert set(NAMES) < set(special.__all__)
    assert len(MORE) > 150 and len(RECORDS) > 120
    for name in MORE:
        assert hasattr(theirs, name) and inspect.getdoc(getattr(special, name)), name


@pytest.mark.parametrize("name", RECORDS)
def test_a_ufunc_is_scipys(name):
    """Values, of several results too; and single precision stays."""
    f = getattr(special, name)
    assert f is getattr(theirs, name)
    for case in RECORDS[name].cases:
        call = Call(RECORDS[name], case)
        leaves = [ag.tensor(x, requires_grad=True) for x in call.xs]
        y, expected = f(*call.fill(leaves)), f(*call.inputs)
        several = isinstance(expected, tuple)
        assert several == isinstance(y, tuple)
        for ours, numpy in zip(y if several else [y], expected if several else [expected],
                               strict=True):
            assert isinstance(ours, ag.Tensor)
            assert ours.shape == np.shape(numpy) and ours.dtype == numpy.dtype
            np.testing.assert_allclose(ours.data, numpy, rtol=1e-13, atol=1e-15)


def test_records_name_their_source():
    for name, op in RECORDS.items():
        assert re.search(r"\((DLMF \d|[A-Z].* \d{4}\))", op.formula), name


WITHOUT = [(name, i, rule._argument.removeprefix("its argument "))
           for name, op in RECORDS.items() for i, rule in enumerate(op.vjps)
           if isinstance(rule, MissingRule)]


@pytest.mark.parametrize(("name", "position", "argument"), WITHOUT)
def test_the_argument_without_a_rule_is_named(name, position, argument):
    op = RECORDS[name]
    call = Call(op, op.cases[-2])
    xs = [np.float64(x) if np.ndim(x) == 0 else x for x in call.inputs]
    whole = name in ("eval_hermite", "eval_hermitenorm")
    x = ag.tensor(np.float64(xs[position]), requires_grad=True)
    xs = [int(v) if i == 0 and name.startswith("bdtr") else v for i, v in enumerate(xs)]
    if whole or (name.startswith(("bdtr", "nbdtr", "pdtri"))):
        y = op.vjps[position]
        with pytest.raises(NotImplementedError, match=rf"{name}: .* argument {argument} "):
            y(1.0, 1.0, *xs)
        return
    xs[position] = x
    results = getattr(special, name)(*xs)
    y = np.real(results[0] if isinstance(results, tuple) else results).sum()
    with pytest.raises(NotImplementedError, match=rf"{name}: .* argument {argument} "):
        y.backward()


@pytest.mark.parametrize("name", [n for n, op in RECORDS.items() if zero in op.vjps])
def test_steps_have_gradient_zero(name):
    op = RECORDS[name]
    call = Call(op, op.cases[0])
    xs = [np.asarray(x, float) if zero is rule else x
          for x, rule in zip(call.inputs, op.vjps, strict=True)]
    position = tuple(op.vjps).index(zero)
    if name.startswith("bdtr"):
        xs[0] = np.array(1.5)
    g = ag.grad(lambda x: getattr(special, name)(
        *(x if i == position else v for i, v in enumerate(xs))).sum())(xs[position])
    assert not np.any(g)


# Written in Python. -----------------------------------------------------------------------------

X = np.array([0.3, 1.2, 2.5])
U = np.array([[0.1, -0.4], [0.6, 0.25]])
PYTHON = [  # name, arguments, keywords, and where the differentiable ones are
    ("comb", (np.array([4.5, 3.0, 6.0]), X), {}, (0, 1)),
    ("comb", (np.array([4.5, 3.2, 6.0]), X), {"repetition": True}, (0, 1)),
    ("perm", (np.array([4.5, 3.2, 6.0]), X), {}, (0, 1)), ("factorial", (X,), {}, (0,)),
    *((name, (1.5, X), {"n": n}, (1,)) for name in ("jvp", "yvp", "ivp", "kvp", "h1vp", "h2vp")
      for n in (0, 1, 3)),
    *((f"spherical_{k}n", (n, X), {"derivative": d}, (1,)) for k in "jyik"
      for n in (0, 2, np.array([[1], [4]])) for d in (False, True)),
    ("lqn", (3, 0.3), {}, (1,)), ("lqmn", (1, 2, 0.3), {}, (2,)),
    ("pbdv_seq", (2.5, 0.7), {}, (1,)), ("pbvv_seq", (2.5, 0.7), {}, (1,)),
    ("riccati_jn", (3, 1.5), {}, (1,)), ("riccati_yn", (3, 1.5), {}, (1,)),
    ("lmbda", (2.5, 1.5), {}, (1,)), ("lmbda", (0.5, 1.5), {}, (1,)),
    ("lambertw", (X,), {}, (0,)), ("lambertw", (-0.1, -1), {}, (0,)),
    ("lambertw", (X + 0.5j, 2), {}, (0,)),
    *(("diric", (X, n), {}, (0,)) for n in (1, 2, 5, 6)),
    ("assoc_laguerre", (X, 3, 0.5), {}, (0,)), ("softplus", (X - 1,), {}, (0,)),
    *(("legendre_p", (n, U), {"diff_n": d}, (1,)) for n in (0, 3) for d in (0, 2)),
    *(("assoc_legendre_p", (3, m, U), {"norm": norm, "diff_n": d}, (2,)) for m in (0, 2, -1)
      for norm in (False, True) for d in (0, 2)),
    *(("sph_legendre_p", (2, m, X), {"diff_n": d}, (2,)) for m in (0, 1, -2) for d in (0, 1, 2)),
    *(("sph_harm_y", (2, m, X, X[::-1]), {}, (2, 3)) for m in (0, 1, -2)),
    ("legendre_p_all", (3, U), {"diff_n": 1}, (1,)),
    ("assoc_legendre_p_all", (3, 2, U), {"diff_n": 1}, (2,)),
    ("sph_legendre_p_all", (3, 2, X), {}, (2,)), ("sph_harm_y_all", (3, 2, X, X[::-1]), {}, (2, 3)),
]


@pytest.mark.parametrize(("name", "args", "options", "places"), PYTHON,
                         ids=[f"{row[0]}-{i}" for i, row in enumerate(PYTHON)])
def test_a_function_in_python_is_scipys(name, args, options, places):
    f, expected = getattr(special, name), getattr(theirs, name)(*args, **options)
    given = [ag.tensor(x, requires_grad=True) if i in places else x for i, x in enumerate(args)]
    y = f(*given, **options)
    pairs = zip(y, expected, strict=True) if isinstance(y, tuple) else [(y, expected)]
    for ours, numpy in pairs:
        assert ours.shape == np.shape(numpy)
        np.testing.assert_allclose(ours.data, numpy, rtol=1e-11, atol=1e-12)

    def of(*xs):
        rest = iter(xs)
        return f(*(next(rest) if i in places else x for i, x in enumerate(args)), **options)

    ag.check_grads(of, *(np.asarray(args[i])[()] for i in places), order=2, rtol=1e-5)


def test_all_functions_in_python_are_called_here():
    called = {row[0] for row in PYTHON}
    assert {n for n in MORE if not isinstance(getattr(special, n), np.ufunc)} == called


# Derivatives known from elsewhere. --------------------------------------------------------------

pi = math.pi
SERIES = [  # what, f, x, and derivatives 1, 2, ... there
    ("boxcox by lambda at 0", lambda k: special.boxcox(2.0, k), 0.0,
     [math.log(2) ** 2 / 2, math.log(2) ** 3 / 3]),
    ("inv_boxcox by lambda at 0", lambda k: special.inv_boxcox(0.5, k), 0.0,
     [-0.125 * math.exp(0.5)]),
    ("exprel", special.exprel, 0.0, [1 / 2, 1 / 3, 1 / 4]),
    ("ellipk", special.ellipk, 0.0, [pi / 8, 9 * pi / 64, 3 * 2 * pi / 2 * 25 / 256]),
    ("ellipe", special.ellipe, 0.0, [-pi / 8, -3 * pi / 64]),
    ("ellipkm1", special.ellipkm1, 1.0, [-pi / 8, 9 * pi / 64]),
    ("F by m at 0", lambda m: special.ellipkinc(1.0, m), 0.0, [(1 - math.sin(2) / 2) / 4]),
    ("F by m, turns", lambda m: special.ellipkinc(5 * pi / 2, m), 0.25,
     [5 * (theirs.ellipe(0.25) - 0.75 * theirs.ellipk(0.25)) / (2 * 0.25 * 0.75)]),
    ("sn by m at 0", lambda m: special.ellipj(1.0, m)[0], 0.0,
     [-(1 - math.sin(1) * math.cos(1)) * math.cos(1) / 4]),
    ("agm", lambda a: special.agm(a, 1.0), 1.0, [1 / 2, -1 / 8]),
    ("elliprc", lambda x: special.elliprc(x, 1.0), 1.0, [-1 / 6, 3 / 20]),
    ("elliprj", lambda p: special.elliprj(1.0, 1.0, 1.0, p), 1.0, [-3 / 5]),
    ("lambertw", lambda x: np.real(special.lambertw(x)), 0.0, [1.0, -2.0, 9.0]),
    ("wrightomega", special.wrightomega, 1.0, [1 / 2, 1 / 8]),
    ("spence", special.spence, 1.0, [-1.0, 1 / 2, -2 / 3]),
    ("Si", lambda x: special.sici(x)[0], 0.0, [1.0, 0.0, -1 / 3]),
    ("Shi", lambda x: special.shichi(x)[0], 0.0, [1.0, 0.0, 1 / 3]),
    ("fresnel S", lambda x: special.fresnel(x)[0], 0.0, [0.0, 0.0, pi]),
    ("1 - J0 over t", lambda x: special.it2j0y0(x)[0], 1e-9, [2.5e-10, 1 / 4]),
    ("bei", special.bei, 0.0, [0.0, 1 / 2, 0.0, 0.0]),
    ("ber", special.ber, 0.0, [0.0, 0.0, 0.0, -3 / 8]),
    ("Ai", lambda x: special.airy(x)[0], 0.0, [-0.2588194037928068, 0.0, 0.3550280538878172]),
    ("P3 at 1", lambda x: special.eval_legendre(3, x), 1.0, [6.0, 15.0, 15.0, 0.0]),
    ("T4 at -1", lambda x: special.eval_chebyt(4, x), -1.0, [-16.0, 80.0]),
    ("He4", lambda x: special.eval_hermitenorm(4, x), 2.0, [8.0, 36.0, 48.0, 24.0, 0.0]),
    ("H0", lambda x: special.eval_hermite(0, x), 2.0, [0.0, 0.0]),
    ("diric at 0", lambda x: special.diric(x, 5), 0.0, [0.0, -2.0]),
    ("diric at 2 pi", lambda x: special.diric(x, 4), 2 * pi, [0.0, 1.25]),
    ("spherical_jn at 0", lambda x: special.spherical_jn(1, x), 0.0, [1 / 3, 0.0]),
    ("expn 0", lambda x: special.expn(0, x), 1.0, [-2 / math.e, 5 / math.e]),
    ("voigt, Gauss", lambda x: special.voigt_profile(x, 1.0, 0.0), 1.0,
     [-math.exp(-0.5) / math.sqrt(2 * pi), 0.0]),
    ("voigt, Lorentz", lambda x: special.voigt_profile(x, 0.0, 1.0), 1.0, [-1 / (2 * pi)]),
    ("voigt, Lorentz by gamma", lambda c: special.voigt_profile(0.0, 0.0, c), 1.0, [-1 / pi]),
    ("kolmogorov at 0", special.kolmogorov, 0.0, [0.0, 0.0]),
    ("kolmogorov far", special.kolmogorov, 3.0, [-24 * math.exp(-18)]),
    ("huber by r", lambda r: special.huber(1.0, r), 2.0, [1.0, 0.0]),
    ("pseudo_huber", lambda d: special.pseudo_huber(d, 0.0), 1.0, [0.0]),
    ("stdtr", lambda t: special.stdtr(1.0, t), 0.0, [1 / pi, 0.0, -2 / pi]),
    ("nctdtr at 0", lambda t: special.nctdtr(3.0, 1.0, t), 0.0,
     [2 / (pi * math.sqrt(3)) * math.exp(-0.5)]),
    ("chndtr, no shift", lambda x: special.chndtr(x, 2.0, 0.0), 1.0,
     [math.exp(-0.5) / 2, -math.exp(-0.5) / 4]),
    ("owens_t", lambda a: special.owens_t(0.0, a), 0.0, [1 / (2 * pi), 0.0]),
    ("tklmbda at the end", lambda x: special.tklmbda(x, 2.0), 0.6, [0.0]),
    ("tklmbda 1", lambda x: special.tklmbda(x, 1.0), 0.1, [0.5, 0.0]),
    ("log_wright_bessel", lambda x: special.log_wright_bessel(0.0, 1.0, x), 1.5, [1.0]),
    ("powm1 at 0", lambda b: special.powm1(0.0, b), 2.0, [0.0]),
]


@pytest.mark.filterwarnings("ignore:divide by zero:RuntimeWarning")
@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
@pytest.mark.parametrize(("f", "x", "expected"), [row[1:] for row in SERIES],
                         ids=[row[0] for row in SERIES])
def test_derivatives_known_from_elsewhere(f, x, expected):
    for n, value in enumerate(expected, 1):
        close(nth(f, n)(x), value, 1e-10)


def test_spherical_harmonics_at_the_pole():
    """Y of degree 1 and order 1 is -√(3/8π) sin θ e^(iφ)."""
    close(ag.grad(lambda t: np.real(special.sph_harm_y(1, 1, t, 0.0)))(0.0), -math.sqrt(3 / 8 / pi))
    close(ag.grad(lambda t: np.real(special.sph_harm_y(1, 0, t, 0.0)))(0.0), 0.0)
    for t in (-0.5, 3.5):
        ag.check_grads(lambda t: special.sph_harm_y(3, 1, t, 0.3), t, order=2)


@pytest.mark.parametrize("x", [40.0, 60.0, 1e5, 1e9])
def test_the_faddeeva_function_far_out(x):
    """w(x) ≈ i/√π x, whose slope the formula 2i/√π - 2x w(x) loses."""
    got = ag.grad(lambda x: np.imag(special.wofz(x)))(x)
    u = 1 / (x * x)
    np.testing.assert_allclose(got, -u / math.sqrt(pi) * (1 + 1.5 * u + 3.75 * u * u), rtol=2e-8)


INVERSES = [  # F, its inverse in the last argument, the parameters before, x
    ("gammainc", "gammaincinv", (2.5,), 1.7), ("gammaincc", "gammainccinv", (2.5,), 1.7),
    ("gdtr", "gdtrix", (1.2, 2.5), 1.7), ("chdtrc", "chdtri", (3.0,), 1.7),
    ("betainc", "betaincinv", (2.0, 3.5), 0.4), ("betaincc", "betainccinv", (2.0, 3.5), 0.4),
    ("fdtr", "fdtri", (3.0, 5.0), 1.7), ("stdtr", "stdtrit", (3.0,), 0.7),
    ("bdtr", "bdtri", (2, 5), 0.4), ("nbdtr", "nbdtri", (2, 5), 0.4), ("pdtr", "pdtri", (2,), 1.7),
    ("ncfdtr", "ncfdtri", (3.0, 5.0, 0.7), 1.7), ("nctdtr", "nctdtrit", (3.0, 0.7), 0.9),
    ("kolmogorov", "kolmogi", (), 0.8),
]


@pytest.mark.parametrize(("f", "inverse", "params", "x"), INVERSES)
def test_an_inverse_has_the_inverse_slope(f, inverse, params, x):
    f, inverse = getattr(special, f), getattr(special, inverse)
    last = len(params)
    p = f(*params, x)
    close(ag.grad(f, last)(*params, x) * ag.grad(inverse, last)(*params, p), 1.0, 1e-7)
    for i, v in enumerate(params):  # and where a parameter has a slope, so has the inverse
        if isinstance(v, float) and not isinstance(UFUNCS[f].vjps[i], MissingRule):
            along = ag.grad(f, i)(*params, x) / ag.grad(f, last)(*params, x)
            close(ag.grad(inverse, i)(*params, p), -along, 1e-6)


def test_several_results_are_a_tuple_and_one_node_each():
    x = ag.tensor([0.3, 1.1], requires_grad=True)
    ai, aip, bi, _ = theirs.airy(x)
    (ai * bi + aip).sum().backward()
    a, ap, b, bp = theirs.airy(x.data)
    close(x.grad, ap * b + a * bp + x.data * a)
    wronskian = ag.compile(lambda x: ag.grad(lambda x: (
        lambda s: s[0] * s[3] - s[1] * s[2])(theirs.airy(x)))(x))
    for point in (0.5, 1.0, -2.0):
        close(wronskian(np.float64(point)), 0.0)


def test_whole_numbers_are_refused():
    n = ag.tensor(5.0, requires_grad=True)
    for call in (lambda: special.comb(n, 2, exact=True), lambda: special.factorial(n, exact=True),
                 lambda: special.perm(n, 2, True), lambda: special.factorial(n, extend="complex")):
        with pytest.raises(NotImplementedError, match=r"exact|extend"):
            call()
    assert special.comb(ag.tensor(3.0), 5.0).item() == special.perm(3.0, 5.0) == 0
    assert special.factorial(-1.5) == 0
    assert ag.grad(special.factorial)(-1.5) == 0
    for call in (lambda: special.diric(1.0, 0), lambda: special.jvp(1, 1.0, -1),
                 lambda: special.legendre_p(1, 0.5, diff_n=-1), lambda: special.lmbda(-1, 0.5),
                 lambda: special.riccati_jn(2, np.ones(2))):
        with pytest.raises(ValueError, match=r"got|needs"):
            call()


@pytest.mark.parametrize("name", ["sici", "shichi", "itj0y0", "it2j0y0", "iti0k0", "it2i0k0"])
def test_results_apart(name):
    x = np.array([0.3, 1.4])
    f = getattr(theirs, name)
    for y, expected in zip(f(ag.tensor(x)), f(x), strict=True):
        np.testing.assert_array_equal(y.data, expected)
    ag.check_grads(f, x, order=2)


def test_every_record_is_reached():
    for name, op in RECORDS.items():
        entered = UFUNCS[getattr(special, name)]
        assert entered is op or not isinstance(entered, Op)
