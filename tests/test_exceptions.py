"""Bad calls of scipy.special and numpy.fft: on a Tensor the class of exception that an array gives.

Those of numpy and numpy.linalg are in ``ops/test_numpy_functions.py``.
"""

from __future__ import annotations

import inspect
import warnings

import numpy as np
import pytest
import scipy.special

import autograd_core as ag

X = np.array([[0.5, 1.0, 2.0], [1.5, 0.25, 3.0]])
UFUNCS = sorted(
    name for name in ag.special.__all__ if isinstance(getattr(scipy.special, name), np.ufunc)
)


def raised(call, *args):
    """The class of exception, or None."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            call(*args)
        except Exception as error:  # noqa: BLE001 - any that theirs raises
            return type(error)
    return None


def same(ours, theirs, x):
    """A handler written for theirs catches ours, of a Tensor that has a gradient or none."""
    expected = raised(theirs, x)
    assert expected is not None, "no bad call"
    for requires in (False, True) if x.dtype.kind in "fc" else (False,):
        got = raised(ours, ag.tensor(x, requires_grad=requires))
        assert got is not None, f"nothing raised; {expected.__name__} by an array"
        assert issubclass(got, expected), (got, expected)


@pytest.mark.parametrize("name", UFUNCS)
def test_a_ufunc_of_scipy(name):
    f = getattr(scipy.special, name)
    ones = [1] * (f.nin - 1)
    same(lambda t: f(*[t] * (f.nin + 2 + f.nout)), lambda x: f(*[x] * (f.nin + 2 + f.nout)), X)
    if f.nin > 1:
        same(f, f, X)
        for other in (np.ones(2), np.ones((3, 2))):
            same(lambda t, v=other: f(*ones[1:], v, t), lambda x, v=other: f(*ones[1:], v, x), X)
        same(lambda t: f(*ones, t, "text"), lambda x: f(*ones, x, "text"), X)
    same(lambda t: f(*ones, t, dtype="nothing"), lambda x: f(*ones, x, dtype="nothing"), X)
    same(lambda t: f(*ones, t, axis=5), lambda x: f(*ones, x, axis=5), X)
    if not any("D" in loop.partition("->")[0] for loop in f.types):
        same(lambda t: f(*ones, t), lambda x: f(*ones, x), X + 1j)


#: Functions that SciPy writes in Python, and what is wrong with the call.
CALLS = {
    "softmax, axis": lambda s, x: s.softmax(x, 5), "log_softmax, axis": lambda s, x: s.log_softmax(
        x, 5), "logsumexp, axis": lambda s, x: s.logsumexp(x, 5),
    "logsumexp, weights": lambda s, x: s.logsumexp(x, b=np.ones(2)),
    "multigammaln, d": lambda s, x: s.multigammaln(x, 1.5),
    "multigammaln, domain": lambda s, x: s.multigammaln(x, 9),
    "polygamma, shapes": lambda s, x: s.polygamma(np.ones(2, int), x),
    "zeta, shapes": lambda s, x: s.zeta(np.ones(2) + 1, x),
    "comb, shapes": lambda s, x: s.comb(x, np.ones(2)),
    "perm, shapes": lambda s, x: s.perm(x, np.ones(2)),
    "jvp, n": lambda s, x: s.jvp(1, x, -1), "yvp, n": lambda s, x: s.yvp(1, x, -1),
    "kvp, n": lambda s, x: s.kvp(1, x, -1), "ivp, n": lambda s, x: s.ivp(1, x, -1),
    "h1vp, n": lambda s, x: s.h1vp(1, x, -1), "h2vp, n": lambda s, x: s.h2vp(1, x, -1),
    "jvp, fraction": lambda s, x: s.jvp(1, x, 0.5),
    "jvp, shapes": lambda s, x: s.jvp(np.ones(2), x),
    "spherical_jn, shapes": lambda s, x: s.spherical_jn(np.ones(2, int), x),
    "riccati_jn, shape": lambda s, x: s.riccati_jn(2, x),
    "riccati_yn, order": lambda s, x: s.riccati_yn(-1, x[0, 0]),
    "riccati_jn, fraction": lambda s, x: s.riccati_jn(1.5, x[0, 0]),
    "lmbda, shape": lambda s, x: s.lmbda(1, x), "lmbda, order": lambda s, x: s.lmbda(-1, x[0, 0]),
    "legendre_p, diff_n": lambda s, x: s.legendre_p(2, x, diff_n=3),
    "sph_legendre_p, diff_n": lambda s, x: s.sph_legendre_p(2, 1, x, diff_n=-1),
    "sph_harm_y, shapes": lambda s, x: s.sph_harm_y(2, 1, x, np.ones(2)),
    "sph_harm_y, complex": lambda s, x: s.sph_harm_y(2, 1, x + 1j, 0.5),
    "lambertw, text": lambda s, x: s.lambertw(x, "k"),
    "factorial, complex": lambda s, x: s.factorial(x + 1j),
}


@pytest.mark.parametrize("what", CALLS)
def test_a_function_of_scipy_in_python(what):
    call = CALLS[what]
    same(lambda t: call(ag.special, t), lambda x: call(scipy.special, x), X)


TRANSFORMS = ["fft", "ifft", "rfft", "irfft", "hfft", "ihfft"]
SEVERAL = ["fft2", "ifft2", "rfft2", "irfft2", "fftn", "ifftn", "rfftn", "irfftn"]
BAD = {  # arguments after the array
    "axis": {"axis": 2}, "n": {"n": 0}, "n below 0": {"n": -1}, "fraction": {"n": 1.5},
    "text": {"n": "three"}, "norm": {"norm": "mine"}, "several axes": {"axis": (0, 1)},
    "no such option": {"size": 3},
}
BAD_SEVERAL = {
    "axes": {"axes": (0, 2)}, "s": {"s": (0, 2), "axes": (0, 1)},
    "lengths": {"s": (2,), "axes": (0, 1)}, "norm": {"norm": "mine"},
    "fraction": {"s": (1.5, 2), "axes": (0, 1)}, "axes, fraction": {"axes": (0.5, 1)},
    "no such option": {"size": 3},
}


@pytest.mark.parametrize(("name", "what"), [
    *((name, what) for name in TRANSFORMS for what in BAD),
    *((name, what) for name in SEVERAL for what in BAD_SEVERAL),
])
def test_a_transform(name, what):
    f = getattr(np.fft, name)
    options = BAD[what] if name in TRANSFORMS else BAD_SEVERAL[what]
    same(lambda t: f(t, **options), lambda x: f(x, **options), X)


@pytest.mark.parametrize("name", [*TRANSFORMS, *SEVERAL])
def test_a_transform_of_what_has_no_axis(name):
    f = getattr(np.fft, name)
    if raised(f, np.float64(1.0)) is not None:
        same(f, f, np.float64(1.0))


@pytest.mark.parametrize("name", ["rfft", "ihfft", "rfft2", "rfftn"])
def test_a_transform_of_real_numbers_given_complex_ones(name):
    f = getattr(np.fft, name)
    same(f, f, X + 1j)


@pytest.mark.parametrize("name", ["fftshift", "ifftshift"])
def test_a_shift(name):
    f = getattr(np.fft, name)
    for axes in (2, (0, 5), "ab", 0.5):
        same(lambda t, a=axes: f(t, a), lambda x, a=axes: f(x, a), X)


def test_a_wrong_class_is_found():
    def wrong(t):
        raise KeyError

    with pytest.raises(AssertionError):
        same(wrong, lambda x: np.fft.fft(x, 0), X)
    with pytest.raises(AssertionError):
        same(lambda t: t, lambda x: np.fft.fft(x, 0), X)
    assert inspect.isclass(raised(wrong, X))
