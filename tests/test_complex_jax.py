"""Gradients and products of complex functions are JAX's, where it is installed."""

import numpy as np
import pytest

import autograd_core as ag

jax = pytest.importorskip("jax", reason="JAX is not installed: pip install -e '.[bench]'")
jnp = pytest.importorskip("jax.numpy")

RNG = np.random.default_rng(0)
Z = RNG.uniform(0.3, 1.2, 3) + 1j * RNG.uniform(-0.8, 0.8, 3)
A = RNG.standard_normal((3, 3)) + 1j * RNG.standard_normal((3, 3))
H = A + A.conj().T + np.diag([0.0, 10.0, 20.0])

#: A function of the module it computes with, and where to look at it.
FUNCTIONS = {
    "abs": (lambda np, z: np.abs(z), Z), "angle": (lambda np, z: np.angle(z), Z),
    "conj": (lambda np, z: np.conj(z) * z**2, Z), "real": (lambda np, z: np.real(z) * z, Z),
    "power": (lambda np, z: z**z, Z), "arcsin": (lambda np, z: np.arcsin(z), Z),
    "arccosh": (lambda np, z: np.arccosh(z), Z), "std": (lambda np, z: np.std(z), Z),
    "where": (lambda np, z: np.where(np.real(z) > 0.7, z, np.conj(z)), Z),
    "vdot": (lambda np, z: np.vdot(z, z[::-1]), Z), "det": (lambda np, a: np.linalg.det(a), A),
    "slogdet": (lambda np, a: np.linalg.slogdet(a)[1], A),
    "sign_of_det": (lambda np, a: np.linalg.slogdet(a)[0], A),
    "cholesky": (lambda np, a: np.linalg.cholesky(a @ np.conj(a.T)), A),
    "eigvalsh": (lambda np, a: np.linalg.eigvalsh(a + np.conj(a.T)), H),
    "svdvals": (lambda np, a: np.linalg.svd(a, compute_uv=False), A),
    "norm": (lambda np, a: np.linalg.norm(a), A), "fft": (lambda np, z: np.fft.fft(z), Z),
    "irfft": (lambda np, z: np.fft.irfft(z, 5), Z), "hfft": (lambda np, z: np.fft.hfft(z), Z),
    "rfft": (lambda np, z: np.fft.rfft(np.abs(z)), Z),
}


@pytest.fixture(autouse=True)
def double_precision():
    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", True)
    yield
    jax.config.update("jax_enable_x64", before)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_values_products_and_gradients(name):
    f, z = FUNCTIONS[name]

    def close(actual, expected):
        assert np.asarray(actual).dtype == np.asarray(expected).dtype
        np.testing.assert_allclose(actual, expected, rtol=1e-9, atol=1e-9)

    y, back = ag.vjp(lambda z: f(np, z), z)
    theirs, pull = jax.vjp(lambda z: f(jnp, z), z)
    close(y, theirs)
    rng = np.random.default_rng(1)
    w, v = rng.standard_normal(np.shape(y)), rng.standard_normal(z.shape) + 1j
    w = w + 1j * rng.standard_normal(np.shape(y)) if y.dtype.kind == "c" else w
    close(back(w)[0], pull(np.asarray(w))[0])
    close(ag.jvp(lambda z: f(np, z), (z,), (v,))[1], jax.jvp(lambda z: f(jnp, z), (z,), (v,))[1])


def test_the_convention_of_grad():
    ours = ag.grad(lambda z: np.sum(np.abs(z) ** 3 + np.imag(z**2)))(Z)
    theirs = jax.grad(lambda z: jnp.sum(jnp.abs(z) ** 3 + jnp.imag(z**2)))(Z)
    np.testing.assert_allclose(ours, theirs, rtol=1e-12)


@pytest.mark.parametrize("name", ["power", "det"])
def test_holomorphic(name):
    f, z = FUNCTIONS[name]
    ours = ag.jacobian(lambda z: f(np, z), holomorphic=True)(z)
    theirs = jax.jacobian(lambda z: f(jnp, z), holomorphic=True)(z)
    np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-9)
