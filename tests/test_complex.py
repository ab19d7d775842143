"""Complex numbers through the whole engine: the convention, dtypes, errors, other executors.

The rules themselves are tested from their records in tests/ops; here are the transforms, and
functions against what is known about them: analytic derivatives, complex steps, JAX's values.
"""

import io
import re
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np
import pytest

import autograd_core as ag

RNG = np.random.default_rng(0)
Z = RNG.uniform(0.3, 1.5, 4) + 1j * RNG.uniform(-0.8, 0.8, 4)
M = RNG.uniform(-1, 1, (3, 3)) + 1j * RNG.uniform(-1, 1, (3, 3))
LA = np.linalg


def close(actual, expected, tolerance=1e-12):
    np.testing.assert_allclose(actual, expected, rtol=tolerance, atol=tolerance)


# The convention. --------------------------------------------------------------------------------

#: Real functions of z = x + iy, and ∂f/∂x - i ∂f/∂y.
REAL = [
    (lambda z: np.real(z), lambda z: 1 + 0 * z),
    (lambda z: np.imag(z), lambda z: -1j + 0 * z),
    (lambda z: np.abs(z), lambda z: np.conj(z) / np.abs(z)),
    (lambda z: np.abs(z) ** 2, lambda z: 2 * np.conj(z)),
    (lambda z: np.real(z * np.conj(z)), lambda z: 2 * np.conj(z)),
    (lambda z: np.real(z) ** 2 * np.imag(z), lambda z: 2 * z.real * z.imag - 1j * z.real**2),
    (lambda z: np.angle(z), lambda z: -1j / z),
    (lambda z: np.log(np.abs(z)), lambda z: 1 / z),
    (lambda z: np.real(np.exp(z)), np.exp),
    (lambda z: np.imag(z**3), lambda z: -3j * z**2),
    (lambda z: z.real + z.conj().imag + z.conjugate().real, lambda z: 2 + 1j + 0 * z),
]


@pytest.mark.parametrize(("f", "expected"), REAL)
def test_the_gradient_of_a_real_function(f, expected):
    for z in (Z, Z[0], Z.astype(np.complex64), Z.reshape(2, 2).T):
        g = ag.grad(lambda z: f(z).sum())(z)
        assert g.dtype == z.dtype
        assert np.shape(g) == np.shape(z)
        close(g, expected(z), 1e-12 if z.dtype == complex else 1e-5)
        t = ag.tensor(z, requires_grad=True)
        f(t).sum().backward()
        close(t.grad, g, 1e-12)
        assert t.grad.dtype == z.dtype


def test_descent_along_the_conjugate():
    target, z = 1.0 - 2.0j, 3.0 + 4.0j
    for _ in range(60):
        z = z - 0.2 * np.conj(ag.grad(lambda z: np.abs(z - target) ** 2)(z))
    close(z, target)


#: Functions that are holomorphic where they are looked at, and their derivatives.
HOLOMORPHIC = [
    (np.exp, np.exp), (np.sin, np.cos), (np.log, lambda z: 1 / z),
    (np.sqrt, lambda z: 0.5 / np.sqrt(z)),
    (lambda z: z**3, lambda z: 3 * z**2), (lambda z: z**-0.5, lambda z: -0.5 * z**-1.5),
    (lambda z: z ** (1 + 2j), lambda z: (1 + 2j) * z**2j),
    (lambda z: 2.0**z, lambda z: np.log(2) * 2.0**z),
    (lambda z: (-2.0) ** z, lambda z: (np.log(2) + 1j * np.pi) * (-2 + 0j) ** z),
    (lambda z: 1j**z, lambda z: 0.5j * np.pi * 1j**z), (np.tanh, lambda z: 1 / np.cosh(z) ** 2),
    (np.arctan, lambda z: 1 / (1 + z * z)), (np.arcsin, lambda z: 1 / np.sqrt(1 - z * z)),
    (np.arccosh, lambda z: 1 / (np.sqrt(z - 1) * np.sqrt(z + 1))),
    (lambda z: (1 + z) / (2 - z), lambda z: 3 / (2 - z) ** 2),
    (ag.sigmoid, lambda z: np.exp(-z) / (1 + np.exp(-z)) ** 2),
    (np.reciprocal, lambda z: -1 / z**2),
    (np.sinc, lambda z: np.cos(np.pi * z) / z - np.sin(np.pi * z) / (np.pi * z**2)),
]


@pytest.mark.parametrize(("f", "slope"), HOLOMORPHIC)
def test_holomorphic_functions(f, slope):
    z = Z[0]
    close(ag.grad(f, holomorphic=True)(z), slope(z))
    value, derivative = ag.value_and_grad(f, holomorphic=True)(z)
    close(value, f(z))
    close(derivative, slope(z))
    close(ag.elementwise_grad(f, holomorphic=True)(Z), slope(Z))
    close(ag.jacobian(f, holomorphic=True)(Z), np.diag(slope(Z)))
    second = ag.grad(ag.grad(f, holomorphic=True), holomorphic=True)(z)
    close(second, ag.grad(slope, holomorphic=True)(z), 1e-11)
    hessian = ag.hessian(lambda z: f(z).sum(), holomorphic=True)(Z)
    close(hessian, np.diag(ag.elementwise_grad(slope, holomorphic=True)(Z)), 1e-11)
    close(ag.jvp(f, (Z,), (1j + 0 * Z,))[1], 1j * slope(Z))
    narrow = ag.grad(f, holomorphic=True)(np.complex64(z))
    assert narrow.dtype == np.complex64
    close(narrow, slope(z), 1e-5)


#: Analytic functions that NumPy computes for complex numbers too, with where to look at them.
ANALYTIC = {
    "sin": (np.sin, 0.7), "cos": (np.cos, 0.7), "tan": (np.tan, 0.7), "exp": (np.exp, 0.7),
    "exp2": (np.exp2, 0.7), "expm1": (np.expm1, 0.7), "log": (np.log, 0.7), "log2": (np.log2, 0.7),
    "log10": (np.log10, 0.7), "log1p": (np.log1p, 0.7), "sqrt": (np.sqrt, 0.7),
    "square": (np.square, 0.7), "reciprocal": (np.reciprocal, 0.7), "sinh": (np.sinh, 0.7),
    "cosh": (np.cosh, 0.7), "tanh": (np.tanh, 0.7), "arcsin": (np.arcsin, 0.3),
    "arccos": (np.arccos, 0.3), "arctan": (np.arctan, 0.7), "arcsinh": (np.arcsinh, 0.7),
    "arccosh": (np.arccosh, 1.7), "arctanh": (np.arctanh, 0.3), "sinc": (np.sinc, 0.7),
    "power": (lambda x: x**2.5, 0.7), "exponent": (lambda x: 2.5**x, 0.7),
    "both": (lambda x: x**x, 0.7),
    "det": (lambda x: LA.det(np.stack([x * LA_, np.eye(3)])[0]), 0.7),
    "inv": (lambda x: LA.inv(np.eye(3) + x * LA_)[0, 1], 0.4),
    "solve": (lambda x: LA.solve(np.eye(3) + x * LA_, np.ones(3))[1], 0.4),
    "matrix_power": (lambda x: LA.matrix_power(np.eye(3) + x * LA_, -3)[1, 2], 0.4),
    "prod": (lambda x: np.prod(x + np.arange(4.0)), 0.7),
    "cumprod": (lambda x: np.cumprod(x + np.arange(4.0)).sum(), 0.7),
    "cumsum": (lambda x: (np.cumsum(x * np.arange(4.0)) ** 2).sum(), 0.7),
    "einsum": (lambda x: np.einsum("ij,jk->", LA_ * x, LA_ * x), 0.7),
    "convolve": (lambda x: (np.convolve(x * np.arange(3.0), [x, x]) ** 2).sum()
                 if not isinstance(x, ag.Tensor)
                 else (np.convolve(x * np.arange(3.0), ag.array([x, x])) ** 2).sum(), 0.7),
    "logsumexp": (lambda x: ag.logsumexp(x * np.arange(3.0)), 0.7),
    "softmax": (lambda x: ag.softmax(x * np.arange(3.0))[1], 0.7),
    "log_softmax": (lambda x: ag.log_softmax(x * np.arange(3.0))[1], 0.7),
    "sigmoid": (ag.sigmoid, 0.7), "eigvals": (lambda x: np.max(LA.eigvals(SPREAD + x * LA_)), 0.1),
}
LA_ = np.array([[0.3, 1.0, -0.2], [0.5, -0.7, 0.1], [0.2, 0.4, 0.9]])
SPREAD = np.diag([1.0, 4.0, 9.0])


@pytest.mark.parametrize("name", ANALYTIC)
def test_complex_steps(name):
    """f'(x) = Im f(x + ih) / h, without a difference that would round."""
    f, x = ANALYTIC[name]
    h = 1e-30
    step = np.imag(np.asarray(f(x + 1j * h)))
    step = step if name != "eigvals" else np.imag(f(x + 1e-10j)) * 1e-20
    close(ag.grad(f)(x), step / h, 1e-13 if name not in ("eigvals", "sinc") else 1e-9)
    # The derivative is itself analytic: the step goes through our own gradient.
    derivative = ag.grad(f, holomorphic=True)(x + 1e-20j)
    close(derivative.real, ag.grad(f)(x), 1e-12)
    close(derivative.imag / 1e-20, ag.grad(ag.grad(f))(x), 1e-9)


# Real and complex together, dtypes. -------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_real_argument_has_a_real_gradient(dtype):
    x = np.array([0.5, 1.5], dtype)
    f = lambda x: np.sum(np.abs(np.exp(1j * x) + x) ** 2)  # noqa: E731
    g = ag.grad(f)(x)
    assert g.dtype == dtype
    close(g, 2 * (np.cos(x) - x * np.sin(x) + x), 1e-5 if dtype == np.float32 else 1e-13)
    tangent = ag.jvp(lambda x: np.exp(1j * x), (x,), (np.ones(2, dtype),))[1]
    assert tangent.dtype == np.result_type(dtype, 1j)
    close(tangent, 1j * np.exp(1j * x), 1e-6)
    h = ag.hessian(f)(x)
    assert h.dtype == dtype
    close(h, ag.jacobian(lambda x: 2 * (np.cos(x) - x * np.sin(x) + x))(x), 1e-5)


def test_containers_of_both():
    params = {"x": np.array([1.0, 2.0]), "z": [Z[:2], Z[2]]}
    g = ag.grad(lambda p: np.sum(np.abs(p["x"] * p["z"][0] + p["z"][1]) ** 2))(params)
    assert g["x"].dtype == float
    assert g["z"][0].dtype == g["z"][1].dtype == complex
    s = params["x"] * Z[:2] + Z[2]
    close(g["x"], 2 * np.real(np.conj(s) * Z[:2]))
    close(g["z"][0], 2 * np.conj(s) * params["x"])
    close(g["z"][1], 2 * np.conj(s).sum())


def test_products_with_the_jacobian_in_both_modes():
    """f = z²z* has no complex derivative: the products are linear over the real numbers only."""
    f = lambda z: z**2 * np.conj(z)  # noqa: E731
    v, w = RNG.standard_normal((2, 4)) + 1j * RNG.standard_normal((2, 4))
    _, back = ag.vjp(f, Z)
    close(ag.jvp(f, (Z,), (v,))[1], 2 * Z * np.conj(Z) * v + Z**2 * np.conj(v))
    close(back(w)[0], 2 * Z * np.conj(Z) * w + np.conj(Z**2 * w))
    close(np.sum(np.real(w * ag.jvp(f, (Z,), (v,))[1])), np.sum(np.real(back(w)[0] * v)))
    hvp = ag.hvp(lambda z: np.sum(np.abs(z) ** 4), Z, v)
    g = ag.grad(lambda z: np.sum(np.abs(z) ** 4))
    close(hvp, (g(Z + 1e-6 * v) - g(Z - 1e-6 * v)) / 2e-6, 1e-7)


def test_a_jacobian_of_real_results():
    j = ag.jacobian(lambda z: np.abs(z) ** 2)(Z)
    assert j.dtype == complex
    close(j, np.diag(2 * np.conj(Z)))
    both = ag.jacobian(lambda x: np.exp(x), holomorphic=True)(Z.astype(np.complex64))
    assert both.dtype == np.complex64


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.complex64])
def test_python_numbers_on_either_side(dtype):
    """Python itself computes 2j * np.float64(1), and its result is no NumPy scalar."""
    x = dtype(0.5)
    for f in (lambda t: 2j * t, lambda t: t * 2j, lambda t: 1j + t, lambda t: 1j - t,
              lambda t: t - 1j, lambda t: 1j / t, lambda t: t / 1j, lambda t: 2j**t,
              lambda t: t**2j, lambda t: np.multiply(2j, t), lambda t: np.where(True, 2j, t) * t):
        y = f(ag.tensor(x))
        assert isinstance(y.data, np.generic)
        assert y.dtype == np.asarray(f(x)).dtype or dtype == np.float64
        close(y.data, f(x), 1e-6)
        close(ag.Graph(y).fprop(), f(x), 1e-6)
        close(ag.compile(f)(x), f(x), 1e-6)
        g = ag.grad(lambda t, f=f: np.abs(f(t)) ** 2)(x)
        assert g.dtype == dtype


def test_the_derivative_of_a_curve():
    """By a real number it is a velocity in the complex plane."""
    close(ag.deriv(lambda t: np.exp(2j * t))(0.5), 2j * np.exp(1j))
    close(ag.deriv(lambda t: np.stack([np.exp(1j * t), t**2 + 0j]))(1.0), [1j * np.exp(1j), 2])
    close(ag.deriv(ag.deriv(lambda t: np.exp(2j * t)))(0.5), -4 * np.exp(1j))
    close(ag.deriv(np.sin, holomorphic=True)(1 + 2j), np.cos(1 + 2j))
    both = lambda z: (z**2, np.stack([z, 1 / z]))  # noqa: E731
    square, pair = ag.deriv(both, holomorphic=True)(2j)
    close(square, 4j)
    close(pair, [1, 0.25])
    close(ag.deriv(lambda z: np.abs(z) ** 2)(1 + 2j), 2 - 4j)
    close(ag.deriv(np.sin, holomorphic=True)(Z), np.cos(Z))
    with pytest.raises(ag.GradientError, match="deriv: the function's result is complex"):
        ag.deriv(np.sin)(1j)
    g, aux = ag.grad_and_aux(lambda z: (z**2, z), holomorphic=True)(1j)
    close(g, 2j)
    close(aux, 1j)
    close(ag.ggnvp(lambda z: z**2, lambda y: np.sum(np.abs(y) ** 2), Z, np.ones(4) + 0j),
          8 * np.abs(Z) ** 2)


def test_casting():
    g = ag.grad(lambda x: np.sum(np.real(x.astype(complex) * (2 + 1j))))(np.ones(2))
    assert g.dtype == float
    close(g, [2, 2])
    with pytest.warns(np.exceptions.ComplexWarning):
        g = ag.grad(lambda z: z.astype(float).sum())(Z)
    close(g, np.ones(4) + 0j)
    assert ag.grad(lambda z: np.abs(z * np.float32(2)))(np.complex64(1j)).dtype == np.complex64


def test_nested_transforms():
    inner = lambda z: ag.grad(lambda w: np.abs(w * z) ** 2)(1.0 + 1.0j)  # noqa: E731
    # The inner gradient is 2 |z|² w*, with w = 1 + i.
    close(ag.grad(lambda z: np.real(inner(z)))(Z[0]), 4 * np.conj(Z[0]))
    close(ag.jvp(inner, (Z[0],), (1j,))[1], 2 * (1 - 1j) * 2 * np.real(np.conj(Z[0]) * 1j))


def test_a_point_without_derivative():
    zero = np.zeros(3, complex)
    for f in (np.abs, np.sign, np.angle, LA.norm, lambda z: LA.norm(z, axis=0), np.std):
        y, back = ag.vjp(f, zero)
        (g,) = back(np.ones_like(y))
        assert not g.any()
        assert g.dtype == complex
    close(ag.grad(lambda z: np.real(z**2).sum())(zero), zero)
    close(ag.grad(ag.grad(lambda z: z**2, holomorphic=True), holomorphic=True)(0j), 2)
    for n in (0, 0.0, 0j, np.complex128(0)):
        close(ag.grad(lambda z, n=n: z**n, holomorphic=True)(0j), 0)


# Errors. ----------------------------------------------------------------------------------------


TRANSFORMS = [ag.grad, ag.value_and_grad, ag.jacobian, ag.elementwise_grad]


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_a_complex_result_needs_holomorphic(transform):
    message = r"result is complex.*test_complex\.py.*holomorphic=True"
    for f, z in ((lambda z: z, 1j), (lambda x: x * 1j, 1.0)):
        with pytest.raises(TypeError, match=message) as caught:
            transform(f)(z)
        assert isinstance(caught.value, ag.GradientError)
        assert str(caught.value).startswith(transform.__name__)
    with pytest.raises(ag.GradientError, match=r"complex arguments, got dtype float64.*x \+ 0j"):
        transform(lambda x: x * 1j, holomorphic=True)(1.0)
    with pytest.raises(ag.GradientError, match="result is real, of dtype float64"):
        transform(lambda z: np.abs(z), holomorphic=True)(1j)


def test_a_hessian_of_complex_arguments_is_refused():
    with pytest.raises(ag.GradientError, match="jacobian: the function's result is complex"):
        ag.hessian(lambda z: np.abs(z) ** 2)(1j)


@pytest.mark.parametrize("f", [
    lambda z: np.abs(z) > 1, lambda z: np.argmax(np.abs(z) * np.ones(2)),
])
def test_no_gradient_of_booleans_and_integers(f):
    with pytest.raises(ag.GradientError, match="needs floating-point values"):
        ag.grad(f)(1j)


def test_backward_of_a_complex_output_needs_a_cotangent():
    z = ag.tensor(Z[0], requires_grad=True)
    y = z**2
    with pytest.raises(ag.GradientError, match=r"output is complex.*y\.backward\(1 \+ 0j\)"):
        y.backward()
    assert z.grad is None
    y.backward(1 + 0j)
    close(z.grad, 2 * Z[0])
    y.backward(2)  # a real cotangent is a complex one
    close(z.grad, 6 * Z[0])
    with pytest.raises(ag.GradientError, match="bprop: the output is complex"):
        ag.Graph(y).bprop()
    with pytest.raises(ag.GradientError, match="grad has dtype complex128 but the output float64"):
        np.abs(z).backward(1j)


def test_cotangents_and_tangents_of_real_numbers_are_real():
    _, back = ag.vjp(np.abs, 1j)
    with pytest.raises(ag.GradientError, match=r"a cotangent is complex.*an output that is real"):
        back(1j)
    with pytest.raises(ag.GradientError, match=r"a tangent is complex.*a primal that is real"):
        ag.jvp(np.exp, (1.0,), (1j,))


@pytest.mark.parametrize("call", [
    np.floor, np.hypot, np.arctan2, np.logaddexp, np.cbrt, np.fabs, np.i0, np.unwrap, np.copysign,
    np.fft.rfft, ag.softplus, np.mod, np.heaviside, np.spacing,
    lambda t, *_: np.interp(t, [0.0, 1.0], [0.0, 1.0]),
])
def test_what_numpy_has_for_real_numbers_only(call):
    t = ag.tensor(Z, requires_grad=True)
    with pytest.raises((TypeError, NotImplementedError)):
        call(*[t] * (getattr(call, "nin", 1)))


# Functions against NumPy. -----------------------------------------------------------------------

FUNCTIONS = {
    "real": np.real, "imag": np.imag, "conj": np.conj, "conjugate": np.conjugate,
    "angle": np.angle, "degrees": lambda z: np.angle(z, deg=True), "iscomplex": np.iscomplex,
    "isreal": np.isreal, "real_if_close": np.real_if_close,
    "real_if_real": lambda z: np.real_if_close(np.abs(z) + 0j),
    "real_if_within": lambda z: np.real_if_close(z, tol=0.5),
    "nan_to_num": lambda z: np.nan_to_num(np.where(np.real(z) > 0.8, np.nan, z) * (1 + 1j)),
    "nan_to_num2": lambda z: np.nan_to_num(z * np.inf, posinf=3.0, neginf=-2.0, nan=1.5),
    "sinc": np.sinc, "abs": np.abs, "sign": np.sign, "var": np.var,
    "std": lambda z: np.std(z, ddof=1),
    "nanvar": lambda z: np.nanvar(np.where(np.real(z) > 1.4, np.nan, z)),
    "var_where": lambda z: np.var(z, where=np.real(z) > 0.6), "mean": np.mean, "median": np.median,
    "average": lambda z: np.average(z, weights=np.arange(1.0, 5.0)), "ptp": np.ptp, "max": np.max,
    "sort": np.sort, "cov": lambda z: np.cov(np.stack([z, z**2])),
    "corrcoef": lambda z: np.corrcoef(np.stack([z, z**2])), "vdot": lambda z: np.vdot(z, z[::-1]),
    "vdot_real": lambda z: np.vdot(z, np.arange(4.0)), "inner": lambda z: np.inner(z, z[::-1]),
    "vecdot": lambda z: np.vecdot(z, z[::-1]), "outer": lambda z: np.outer(z, z),
    "correlate": lambda z: np.correlate(z, z[:2]),
    "correlate_long": lambda z: np.correlate(z[:2], z),
    "correlate_same": lambda z: np.correlate(z, z[1:] * 1j, "same"),
    "correlate_full": lambda z: np.correlate(z[:3], z * 1j, "full"),
    "kron": lambda z: np.kron(z, z),
    "trapezoid": np.trapezoid, "gradient": np.gradient, "diff": np.diff, "unique": np.unique,
    "interp": lambda z: np.interp(np.real(z), np.arange(3.0), z[:3]),
    "clip": lambda z: np.clip(z, 0.5, 1),
    "maximum": lambda z: np.maximum(z, z[::-1]), "round": lambda z: np.round(z, 1), "prod": np.prod,
    "cross": lambda z: np.cross(z[:3], z[1:]), "pad": lambda z: np.pad(z, 1),
    "tri": lambda z: np.tril(np.outer(z, z)),
    "einsum": lambda z: np.einsum("i,i,j->j", z, z, z), "vander": np.vander,
    "roll": lambda z: np.roll(z, 1),
    "float_power": lambda z: np.float_power(z, 2), "divide": lambda z: 1 / z,
    "floordiv": lambda z: z**2j,
    "norm": LA.norm, "norm3": lambda z: LA.norm(z, 3), "norm0": lambda z: LA.norm(z, 0),
    "norminf": lambda z: LA.norm(z, np.inf), "vector_norm": LA.vector_norm,
}
if hasattr(np, "vecmat"):
    FUNCTIONS["vecmat"] = lambda z: np.vecmat(z, np.outer(z, z))
    FUNCTIONS["matvec"] = lambda z: np.matvec(np.outer(z, z), z)


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("dtype", [np.complex128, np.complex64])
def test_values_are_numpys(name, dtype):
    f, z = FUNCTIONS[name], Z.astype(dtype)
    with np.errstate(all="ignore"):
        y, expected = f(ag.tensor(z)), f(z)
    ours, theirs = (v if isinstance(v, (tuple, list)) else [v] for v in (y, expected))
    for actual, value in zip(ours, theirs, strict=True):
        assert isinstance(actual, ag.Tensor)
        assert actual.dtype == np.asarray(value).dtype
        close(actual.data, value, 1e-13 if dtype == np.complex128 else 1e-5)


@pytest.mark.parametrize("name", [
    name for name in FUNCTIONS if name not in ("iscomplex", "isreal", "unique", "round", "norm0",
                                               "nan_to_num2", "norminf", "clip", "real_if_real")
])
def test_gradients_are_checked(name):
    with np.errstate(all="ignore"):
        ag.check_grads(FUNCTIONS[name], Z, order=2, rtol=1e-5)


# Elsewhere: compiled, replayed, drawn, user's primitives. ---------------------------------------


def loss(z, w):
    y = np.fft.fft(z * np.exp(1j * w)) + np.conj(z) ** 2
    return np.sum(np.abs(y) ** 2) + np.sum(np.real(LA.inv(np.diag(z) + np.outer(z, w))))


def test_compiled():
    step = ag.compile(ag.value_and_grad(loss, (0, 1)))
    for k in range(4):
        z, w = Z * (1 + 0.1 * k), np.arange(4.0) / (k + 2)
        value, gradients = step(z, w)
        expected, wanted = ag.value_and_grad(loss, (0, 1))(z, w)
        close(value, expected)
        for g, e in zip(gradients, wanted, strict=True):
            assert g.dtype == e.dtype
            close(g, e, 1e-11)


@pytest.mark.parametrize("name", sorted(FUNCTIONS.keys() - {"unique"}))
def test_functions_compiled(name):
    f = FUNCTIONS[name]

    def energy(z):
        y = f(z)
        y = y[0] if isinstance(y, (tuple, list)) else y
        return np.sum(np.real(y * np.conj(y))) if y.dtype.kind in "fc" else np.sum(np.real(z))

    both = ag.value_and_grad(energy)
    compiled = ag.compile(both)
    with np.errstate(all="ignore"):
        for z in (Z, Z * 1.01, Z.astype(np.complex64)):
            (value, g), (expected, wanted) = compiled(z), both(z)
            assert g.dtype == wanted.dtype
            assert value.dtype == expected.dtype
            close(value, expected, 1e-10 if z.dtype == complex else 1e-4)
            close(g, wanted, 1e-10 if z.dtype == complex else 1e-3)


def test_a_compiled_training_of_complex_parameters():
    target = RNG.standard_normal(4) + 1j * RNG.standard_normal(4)
    runs = []
    for wrap in (lambda f: f, ag.compile):
        z = ag.tensor(Z, requires_grad=True)

        @wrap
        def step(z=z):
            loss = np.sum(np.abs(z - target) ** 2)
            loss.backward()
            z.assign(z - 0.1 * np.conj(z.grad))
            z.zero_grad()
            return loss

        losses = [float(step().item()) for _ in range(10)]
        runs.append((losses, z.data))
    close(runs[0][0], runs[1][0])
    close(runs[0][1], runs[1][1])
    assert runs[0][0][-1] < 0.1 * runs[0][0][0]


def test_replayed():
    z, w = ag.tensor(Z, requires_grad=True), ag.tensor(np.arange(4.0), requires_grad=True)
    graph = ag.Graph(loss(z, w))
    for k in range(4):
        other = Z * (1 + 0.2j * k)
        close(graph.fprop({z: other}), loss(other, np.arange(4.0)))
        graph.bprop()
        g = ag.grad(loss, (0, 1))(other, np.arange(4.0))
        close(z.grad, g[0], 1e-11)
        close(w.grad, g[1], 1e-11)
        assert z.grad.dtype == complex
        assert w.grad.dtype == float


def test_many_scalars_are_replayed_as_arrays():
    """More nodes than a replay needs to be batched, complex and real scalars among each other."""
    leaves = [ag.tensor(z, requires_grad=True) for z in np.resize(Z, 80)]
    real = [ag.tensor(float(i), requires_grad=True) for i in range(80)]
    total = sum(np.abs(z * (x + 1j)) ** 2 for z, x in zip(leaves, real, strict=True))
    graph = ag.Graph(total)
    for _ in range(4):
        graph.fprop({leaves[0]: 2.0 + 1.0j})
        graph.bprop()
    for z, x in zip(leaves, real, strict=True):
        close(z.grad, 2 * np.conj(z.data) * np.abs(x.data + 1j) ** 2)
        close(x.grad, 2 * np.abs(z.data) ** 2 * x.data)


def test_drawn_and_listed():
    z = ag.tensor(Z, requires_grad=True, label="z")
    y = np.sum(np.abs(np.conj(z) * np.real(z)))
    y.backward()
    text = str(ag.Graph(y))
    assert "%z = leaf : c128[4]  requires gradient" in text
    assert "conjugate(%z) : c128[4]" in text
    assert "real(%z) : f64[4]" in text
    source = ag.to_dot(y).source
    assert "conjugate" in source
    assert repr(z).startswith("tensor([") and "complex128" in repr(z)


def test_a_primitive_of_the_user():
    square = ag.primitive(lambda z: z * np.conj(z))
    square.defvjp(lambda g, y, z: 2 * np.real(g) * np.conj(z))
    close(ag.grad(lambda z: np.real(square(z)))(Z[0]), 2 * np.conj(Z[0]))
    ag.check_grads(square, Z)


def test_accumulation_and_retained_gradients():
    z = ag.tensor(Z, requires_grad=True)
    y = z * 2j
    y.retain_grad()
    np.sum(np.abs(y) ** 2).backward()
    close(y.grad, 2 * np.conj(y.data))
    close(z.grad, 4j * np.conj(y.data))
    np.sum(np.real(z)).backward()
    close(z.grad, 4j * np.conj(y.data) + 1)
    z.zero_grad()
    np.sum(np.abs(z) ** 4).backward(create_graph=True)
    first = z.grad
    z.zero_grad()
    np.sum(np.real(first * 1j)).backward()
    close(z.grad, ag.grad(lambda z: np.real(np.sum(4j * z * np.conj(z) ** 2)))(Z), 1e-11)


def test_the_documentation_runs():
    text = (Path(__file__).parent.parent / "docs" / "complex.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert blocks
    for block in blocks:
        out = io.StringIO()
        with redirect_stdout(out):
            exec(compile(block, "docs/complex.md", "exec"), {})
        expected = re.findall(r"print\(.*#.*?(\([-\d]+[+-]\d+j\))$", block, re.MULTILINE)
        assert out.getvalue().split() == expected
    for name in ("grad", "hessian"):
        assert "complex" in getattr(ag, name).__doc__
