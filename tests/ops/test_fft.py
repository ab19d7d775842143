"""numpy.fft on Tensors: every function, lengths, axes, norms; values to the bit, both derivatives.

The three primitives are tested from their records; here are the functions composed of them.
"""

from __future__ import annotations

import numpy as np
import pytest
from differences import close

import autograd_core as ag

RNG = np.random.default_rng(0)
#: What each takes: real numbers only, or complex ones too.
ONE = {"fft": "rc", "ifft": "rc", "rfft": "r", "irfft": "rc", "hfft": "rc", "ihfft": "r"}
TWO = {"fft2": "rc", "ifft2": "rc", "rfft2": "r", "irfft2": "rc"}
SEVERAL = {"fftn": "rc", "ifftn": "rc", "rfftn": "r", "irfftn": "rc"}
#: The functions that this file calls.
TESTED = {getattr(np.fft, name) for name in (*ONE, *TWO, *SEVERAL, "fftshift", "ifftshift")}
NORMS = (None, "backward", "ortho", "forward")


def sample(shape, kind, dtype=np.float64):
    x = RNG.standard_normal(shape)
    if kind == "c":
        x = x + 1j * RNG.standard_normal(shape)
    return x.astype(np.result_type(dtype, 1j) if kind == "c" else dtype)


def agrees(f, x):
    """The values are NumPy's, and the derivatives those of the values, to second order."""
    t = ag.tensor(x, requires_grad=True)
    y, expected = f(t), f(x)
    assert isinstance(y, ag.Tensor)
    assert y.dtype == expected.dtype
    # Before 2.1 NumPy goes through the axes in another order where none are named.
    np.testing.assert_allclose(y.data, expected, rtol=1e-14, atol=1e-14)
    # The function is linear: one product with its Jacobian in each mode tells all of it.
    v = sample(x.shape, "c" if x.dtype.kind == "c" else "r")
    w = sample(y.shape, "c" if y.dtype.kind == "c" else "r")
    y, back = ag.vjp(f, x)
    tangent, (g,) = ag.jvp(f, (x,), (v,))[1], back(w)
    assert g.dtype == x.dtype
    assert g.shape == x.shape
    close(tangent, f(v), 1e-13)
    close(np.sum(np.real(g * v)), np.sum(np.real(w * f(v))), 1e-13)
    # Of a square of it, the second derivative is not zero.
    ag.check_grads(lambda x: np.sum(np.abs(f(x)) ** 2), x, order=2)


@pytest.mark.parametrize("name", ONE)
@pytest.mark.parametrize("size", [1, 2, 5, 6])
@pytest.mark.parametrize("n", [None, 1, 2, 3, 4, 5, 8])
def test_lengths(name, size, n):
    """Odd and even, longer than the axis and shorter."""
    for kind in ONE[name]:
        if n is None and size == 1 and name in ("irfft", "hfft"):
            continue  # no points
        agrees(lambda x: getattr(np.fft, name)(x, n), sample(size, kind))


@pytest.mark.parametrize("name", ONE)
@pytest.mark.parametrize("axis", [0, 1, -1, -2])
@pytest.mark.parametrize("norm", NORMS)
def test_axes_and_norms(name, axis, norm):
    for kind in ONE[name]:
        x = sample((3, 4), kind)
        for view in (x, np.asfortranarray(x), x[::-1, ::-1], np.repeat(x, 2, 0)[::2]):
            f = lambda x: getattr(np.fft, name)(x, axis=axis, norm=norm)  # noqa: E731
            np.testing.assert_allclose(f(ag.tensor(view)).data, f(view), rtol=1e-15)
        agrees(f, x)
        agrees(lambda x: getattr(np.fft, name)(x, 5, axis, norm), x)


@pytest.mark.parametrize("name", [*TWO, *SEVERAL])
@pytest.mark.parametrize(("s", "axes"), [
    (None, None), (None, (0, 1)), (None, (2, 0)), (None, (1,)), (None, (1, 1)), ((3, 2), (0, 2)),
    ((2, 5), (-1, 1)), ((4, -1), (1, 0)),
])
@pytest.mark.parametrize("norm", [None, "ortho", "forward"])
def test_several_axes(name, s, axes, norm):
    f = getattr(np.fft, name)
    options = {} if axes is None else {"s": s, "axes": axes}
    for kind in {**TWO, **SEVERAL}[name]:
        agrees(lambda x: f(x, norm=norm, **options), sample((2, 3, 4), kind))


@pytest.mark.parametrize("name", ["fftshift", "ifftshift"])
@pytest.mark.parametrize("axes", [None, 0, (0, 1), -1])
@pytest.mark.parametrize("kind", "rc")
def test_shifts(name, axes, kind):
    for shape in ((3, 4), (2, 5)):
        agrees(lambda x: getattr(np.fft, name)(x, axes), sample(shape, kind))
    back = np.fft.ifftshift(np.fft.fftshift(ag.tensor(np.arange(5.0))))
    np.testing.assert_array_equal(back.data, np.arange(5.0))


@pytest.mark.parametrize("name", [*ONE, *TWO, *SEVERAL])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.int64, bool])
def test_dtypes(name, dtype):
    """Single precision stays single, half becomes single, integers become double."""
    f = getattr(np.fft, name)
    x = (4 * RNG.standard_normal((3, 4))).astype(dtype)
    assert f(ag.tensor(x)).dtype == f(x).dtype
    np.testing.assert_array_equal(f(ag.tensor(x)).data, f(x))
    if np.dtype(dtype).kind == "f":
        g = ag.grad(lambda x: np.sum(np.abs(f(x)) ** 2).astype(dtype))(x)
        assert g.dtype == dtype
        z = f(ag.tensor(x, requires_grad=True))
        np.sum(np.abs(z) ** 2).backward(create_graph=True)
        for node in ag.Graph(z).nodes:
            assert node.dtype.itemsize <= (8 if dtype != np.float64 else 16)


def test_what_is_known():
    """Parseval, the convolution theorem, the derivative of a spectral derivative."""
    x, k = RNG.standard_normal((2, 8))
    energy = lambda x: np.sum(np.abs(np.fft.fft(x, norm="ortho")) ** 2)  # noqa: E731
    close(ag.grad(energy)(x), 2 * x, 1e-13)
    circular = lambda x: np.fft.irfft(np.fft.rfft(x) * np.fft.rfft(k), 8)  # noqa: E731
    close(ag.jacobian(circular)(x), np.stack([np.roll(k, i) for i in range(8)], 1), 1e-13)
    close(ag.jacobian(lambda x: np.real(np.fft.ifft(np.fft.fft(x))))(x), np.eye(8), 1e-13)
    matrix = ag.jacobian(np.fft.fft, holomorphic=True)(x + 0j)
    close(matrix, np.exp(-2j * np.pi * np.outer(range(8), range(8)) / 8), 1e-13)
    close(ag.hessian(lambda x: np.sum(circular(x) ** 2))(x),
          2 * ag.jacobian(circular)(x).T @ ag.jacobian(circular)(x), 1e-12)


def test_the_imaginary_parts_that_an_inverse_drops_have_no_gradient():
    z = sample(3, "c")
    g = ag.grad(lambda z: np.fft.irfft(z)[1])(z)
    assert g[0].imag == g[2].imag == 0
    assert g[1].imag != 0
    g = ag.grad(lambda z: np.fft.irfft(z, 5)[1])(z)
    assert g[0].imag == 0
    assert g[1].imag != 0 != g[2].imag


@pytest.mark.parametrize("name", [*ONE, *TWO, *SEVERAL])
def test_compiled_and_replayed(name):
    f = getattr(np.fft, name)
    both = ag.value_and_grad(lambda x: np.sum(np.abs(f(x)) ** 3))
    compiled = ag.compile(both)
    for seed in range(3):
        x = np.random.default_rng(seed).standard_normal((3, 4))
        for actual, expected in zip(compiled(x), both(x), strict=True):
            close(actual, expected, 1e-11)
    t = ag.tensor(x, requires_grad=True)
    graph = ag.Graph(f(t))
    close(graph.fprop({t: x + 1}), f(x + 1), 1e-13)


@pytest.mark.parametrize(("call", "error"), [
    (lambda x: np.fft.fft(x, 0), ValueError), (lambda x: np.fft.fft(x, -1), ValueError),
    (lambda x: np.fft.fft(x, norm="unit"), ValueError),
    (lambda x: np.fft.fft(x, axis=2), IndexError),
    (lambda x: np.fft.rfft(x * 1j), TypeError), (lambda x: np.fft.ihfft(x * 1j), TypeError),
    (lambda x: np.fft.irfft(x[:, :1]), ValueError),
    (lambda x: np.fft.fftn(x, (2,), (0, 1)), ValueError),
    (lambda x: np.fft.fft(x, 2.5), TypeError), (lambda x: np.fft.rfftn(x, axes=()), IndexError),
    (lambda x: np.fft.fft2(x[0]), (IndexError, ValueError)),
    (lambda x: np.fft.fftshift(x, 5), IndexError),
])
def test_what_numpy_refuses_is_refused(call, error):
    x = np.ones((2, 3))
    for given in (x, ag.tensor(x, requires_grad=True)):
        with pytest.raises(error):
            call(given)


@pytest.mark.parametrize("name", [*ONE, *TWO, *SEVERAL])
def test_writing_is_refused(name):
    t = ag.tensor(np.ones((2, 3)), requires_grad=True)
    with pytest.raises(TypeError, match=rf"fft\.{name}: out= would write"):
        getattr(np.fft, name)(t, out=np.ones((2, 3), complex))


def test_a_wrong_rule_is_found():
    """The multiplicities are what is easily forgotten."""
    for wrong in (
        lambda g, y, x: np.real(np.fft.ifft(g, 4)) * 4,
        lambda g, y, x: np.fft.irfft(g, 4) * 4,
        lambda g, y, x: np.fft.irfft(np.conj(g), 4) * 4,
    ):
        f = ag.primitive(np.fft.rfft)
        f.defvjp(wrong)
        with pytest.raises(ag.GradientCheckError):
            ag.check_grads(f, RNG.standard_normal(4))
