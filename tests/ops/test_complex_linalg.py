"""np.linalg of complex matrices, and the spectra of general ones.

The rules are tested from their records; here is what the functions composed of them make of
complex matrices, the phases of vectors, and the points where eigenvalues repeat.
"""

from __future__ import annotations

import numpy as np
import pytest
from differences import close, slope

import autograd_core as ag

LA = np.linalg
#: The functions that no other file calls.
TESTED = {LA.eig, LA.eigvals}
RNG = np.random.default_rng(5)


def h(a):
    return np.conj(np.swapaxes(a, -1, -2))


def matrix(*shape, seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal(shape) + 1j * rng.standard_normal(shape)


def eye(a):
    return np.eye(a.shape[-2], a.shape[-1], dtype=a.dtype)


def regular(a):
    return 0.3 * a + 2 * eye(a)


def definite(a):
    return a @ h(a) + eye(a)


def hermitian(a):
    return 0.1 * (a + h(a)) + np.diag(np.arange(a.shape[-1]) * 3.0)


def at_phase(v):
    """Eigenvectors with a first component that is positive."""
    return v * np.exp(-1j * np.angle(v[..., :1, :]))


def parts(usv):
    """What of a singular value decomposition does not depend on the phases."""
    u, s, vt = usv
    phase = np.exp(-1j * np.angle(u[..., :1, :]))
    return u * phase, s, np.conj(np.swapaxes(phase, -1, -2)) * vt


def cubed(u, s, vt):
    return (u * s[..., None, :] ** 3) @ vt


# Everything that takes a matrix, on complex ones. ------------------------------------------------

FUNCTIONS = {
    "inv": (LA.inv, regular), "det": (LA.det, regular), "slogdet": (LA.slogdet, regular),
    "solve": (lambda a: LA.solve(a, a[..., :1]), regular),
    "solve_vector": (lambda a: LA.solve(a, np.real(a[0])), regular),
    "solve_real": (lambda a: LA.solve(np.real(a), a), regular),
    "tensorinv": (lambda a: LA.tensorinv(a.reshape(a.shape[-1], 1, -1), 1), regular),
    "tensorsolve": (lambda a: LA.tensorsolve(a.reshape(3, 3, 1), a[0] * 1j), regular),
    "cholesky": (LA.cholesky, definite), "upper": (lambda a: LA.cholesky(a, upper=True), definite),
    "qr": (LA.qr, regular), "r": (lambda a: LA.qr(a, "r"), regular),
    "eigh": (lambda a: at_phase(LA.eigh(a)[1]), hermitian),
    "eigh_upper": (lambda a: at_phase(LA.eigh(a, "U")[1]), hermitian),
    "eigvalsh": (LA.eigvalsh, hermitian), "projectors": (
        lambda a: LA.eigh(a)[1][..., :1] @ h(LA.eigh(a)[1][..., :1]), hermitian),
    "svd": (lambda a: parts(LA.svd(a, False)), regular), "svdvals": (LA.svdvals, regular),
    "together": (lambda a: cubed(*LA.svd(a, False)), regular),
    "eig": (LA.eig, hermitian), "eigvals": (LA.eigvals, regular),
    "pinv": (LA.pinv, regular),
    "lstsq": (lambda a: LA.lstsq(a, np.conj(a[:, :1]), None)[:2], regular),
    "norm": (LA.norm, regular), "nuc": (lambda a: LA.norm(a, "nuc"), regular),
    "two": (lambda a: LA.norm(a, 2), regular), "one": (lambda a: LA.norm(a, 1), regular),
    "inf": (lambda a: LA.norm(a, -np.inf), regular), "cond": (LA.cond, regular),
    "cond_fro": (lambda a: LA.cond(a, "fro"), regular),
    "cond_one": (lambda a: LA.cond(a, -1), regular),
    "matrix_norm": (lambda a: LA.matrix_norm(a, ord="fro"), regular),
    "matrix_power": (lambda a: LA.matrix_power(a, -2), regular), "trace": (LA.trace, regular),
    "multi_dot": (lambda a: LA.multi_dot([a, h(a), a]), regular),
}
OBLONG = {"qr", "r", "svd", "svdvals", "together", "pinv", "lstsq", "norm", "nuc", "two", "one",
          "inf", "cond"}
#: Functions of one matrix.
SINGLE = {"solve_vector", "tensorinv", "tensorsolve", "lstsq", "norm", "nuc", "two", "one", "inf",
          "multi_dot"}


CASES = [(name, shape) for name in FUNCTIONS for shape in ((3, 3), (4, 2), (2, 4), (2, 3, 3))
         if (shape[-1] == shape[-2] or name in OBLONG)
         and not (len(shape) > 2 and name in SINGLE)
         and not (name == "lstsq" and shape == (2, 4))]  # whose residual is empty


@pytest.mark.parametrize(("name", "shape"), CASES)
def test_values_and_derivatives(name, shape):
    f, prepare = FUNCTIONS[name]
    a = prepare(matrix(*shape))
    ours, theirs = f(ag.tensor(a)), f(a)
    several = isinstance(theirs, tuple)
    pairs = zip(ours, theirs, strict=True) if several else [(ours, theirs)]
    for y, expected in pairs:
        if isinstance(y, ag.Tensor):
            if name.startswith("cond"):  # before 2.1, NumPy gives it an imaginary part of 0
                expected = np.real(expected)
            assert y.dtype == np.asarray(expected).dtype
            close(y.data, expected, 1e-12)
    ag.check_grads(lambda x: f(prepare(x)), matrix(*shape), order=2, rtol=1e-4)
    single = prepare(matrix(*shape)).astype(np.complex64)
    y, back = ag.vjp(f, single)
    for part in y if several else [y]:
        assert part.dtype in (np.complex64, np.float32)
    (g,) = back(tuple(np.ones_like(v) for v in y) if several else np.ones_like(y))
    assert g.dtype == np.complex64


def test_the_rank_of_a_complex_matrix():
    assert LA.matrix_rank(ag.tensor(np.outer([1, 1j], [1j, 2]))).item() == 1


def test_hermitian_gradients():
    a, step = hermitian(matrix(3, 3)), hermitian(matrix(3, 3, seed=1))
    for f in (lambda a: np.real(LA.cholesky(a + 20 * np.eye(3))).sum(), lambda a: LA.eigvalsh(a)[0],
              lambda a: np.abs(LA.eigh(a)[1]).sum()):
        g = ag.grad(f)(a)
        close(g, h(g), 1e-14)
        close(np.sum(np.real(g * step)), slope(lambda t, f=f: f(a + t * step)), 1e-8)
    v = LA.eigh(a)[1][:, 1]
    close(ag.grad(lambda a: LA.eigvalsh(a)[1])(a), np.outer(v.conj(), v), 1e-13)


def test_the_gradient_of_a_singular_complex_determinant():
    """The matrix of cofactors."""
    a = np.outer([1, 1j, 2], [1j, 2, 1 - 1j]) + np.diag([0, 0, 1])
    cofactors = [[(-1) ** (i + j) * LA.det(np.delete(np.delete(a, i, 0), j, 1)) for j in range(3)]
                 for i in range(3)]
    close(ag.grad(LA.det, holomorphic=True)(a), cofactors, 1e-13)
    ag.check_grads(LA.det, a)


def test_a_phase_that_is_left_open_does_not_matter():
    """The same function of eigenvectors, at two phases."""
    a = hermitian(matrix(3, 3))
    weights = matrix(3, 3, seed=2)

    def f(a, turn):
        v = LA.eigh(a)[1] * turn
        return np.abs(np.sum(weights * at_phase(v)))

    expected = ag.grad(f)(a, 1.0)
    close(ag.grad(f)(a, np.exp(1j * np.array([0.3, 1.0, 2.0]))), expected, 1e-12)


# General matrices. ------------------------------------------------------------------------------


def rotation(t):
    return np.array([[np.cos(t), -np.sin(t)], [np.sin(t), np.cos(t)]])


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex64, np.complex128])
def test_dtypes(dtype):
    """Real matrices have real or complex eigenvalues, as NumPy has it."""
    rng = np.random.default_rng(0)
    symmetric = rng.standard_normal((3, 3))
    symmetric = symmetric + symmetric.T
    for a in (symmetric, rng.standard_normal((4, 4)), np.stack([np.diag([1.0, 2.0]), rotation(1)])):
        a = a.astype(dtype)
        t = ag.tensor(a, requires_grad=True)
        w, v = LA.eig(t)
        expected = LA.eig(a)
        assert type(LA.eig(t)) is type(expected)
        assert w.dtype == LA.eigvals(t).dtype == expected[0].dtype
        assert v.dtype == expected[1].dtype
        np.testing.assert_array_equal(w.data, expected[0])
        np.testing.assert_array_equal(v.data, expected[1])
        (np.sum(np.abs(w)) + np.sum(np.abs(v))).backward()
        assert t.grad.dtype == dtype
    assert LA.eigvals(ag.tensor(np.array([[2, 1], [1, 3]]))).dtype == float


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("kind", ["real", "complex"])
@pytest.mark.parametrize("shape", [(1, 1), (2, 2), (4, 4), (2, 3, 3), (0, 0)])
def test_eigenvectors_as_numpy_normalises_them(seed, kind, shape):
    """Of unit length, the largest component real: with all that follows for the derivative."""
    a = matrix(*shape, seed=seed)
    a = a if kind == "complex" else a.real
    direction = matrix(*shape, seed=seed + 100)
    direction = direction if kind == "complex" else direction.real
    for part in (0, 1):
        f = lambda a, part=part: LA.eig(a)[part]  # noqa: E731
        moved = [f(a + t * direction) for t in (-1e-6, 0, 1e-6)]
        if a.size and max(np.abs(m - moved[1]).max() for m in moved) > 1e-3:
            continue  # LAPACK changed a sign, or the order
        tangent = ag.jvp(f, (a,), (direction,))[1]
        close(tangent, (moved[2] - moved[0]) / 2e-6, 1e-6 * max(1, np.abs(tangent).max(initial=0)))
        w = matrix(*moved[1].shape, seed=7)
        w = w if moved[1].dtype.kind == "c" else w.real
        _, back = ag.vjp(f, a)
        close(np.sum(np.real(back(w)[0] * direction)), np.sum(np.real(w * tangent)), 1e-9)


def test_what_is_known_of_eigenvalues():
    a = np.random.default_rng(3).standard_normal((4, 4))
    close(ag.grad(lambda a: np.real(np.sum(LA.eigvals(a))))(a), np.eye(4), 1e-12)
    close(ag.grad(lambda a: np.real(np.prod(LA.eigvals(a))))(a), ag.grad(LA.det)(a), 1e-12)
    close(ag.grad(lambda a: np.real(np.sum(LA.eigvals(a) ** 3)))(a), 3 * (a @ a).T, 1e-11)
    close(ag.hessian(lambda a: np.real(np.sum(LA.eigvals(a) ** 2)))(a).reshape(16, 16),
          ag.hessian(lambda a: np.trace(a @ a))(a).reshape(16, 16), 1e-10)

    def again(a):
        w, v = LA.eig(a)
        return np.real((v * w) @ LA.inv(v))

    close(ag.jacobian(again)(a).reshape(16, 16), np.eye(16), 1e-11)
    # Of a symmetric matrix they are those of eigh.
    s = a + a.T
    g = ag.grad(lambda s: np.max(LA.eigvals(s)))(s)
    close(g, ag.grad(lambda s: LA.eigvalsh(s)[-1])(s), 1e-12)


def with_eigenvalues(w, seed, kind=float):
    """Not symmetric, with these eigenvalues."""
    p = matrix(len(w), len(w), seed=seed)
    p = p if kind is complex else p.real
    return p @ np.diag(np.asarray(w, kind)) @ LA.inv(p)


REPEATED = [np.eye(3), np.zeros((2, 2)), np.diag([1.0, 2.0, 2.0]), 1j * np.eye(2),
            np.array([[1.0, 1.0], [0.0, 1.0 + 1e-9]]), np.array([[0.0, 1.0], [1e-18, 0.0]])] + [
    with_eigenvalues([1.0, 2.0, 2.0], s) for s in range(6)] + [
    with_eigenvalues([1j, 2.0, 1j, 3.0], s, complex) for s in range(4)]


@pytest.mark.parametrize("a", REPEATED)
def test_repeated_eigenvalues_give_nan(a):
    n = len(a)
    w, v = LA.eig(a)
    gaps = np.abs(w[:, None] - w) + 9 * np.eye(n)
    repeated = np.flatnonzero(gaps.min(0) < 1e-5)
    assert repeated.size
    step = matrix(n, n)
    step = step if a.dtype.kind == "c" else step.real
    for i in repeated:
        for part in (lambda a, i=i: np.abs(LA.eigvals(a)[i] + 3),
                     lambda a, i=i: np.abs(LA.eig(a)[1][0, i] + 3)):
            assert np.isnan(ag.grad(part)(a)).all()
            assert np.isnan(ag.jvp(part, (a,), (step,))[1])
    for i in set(range(n)) - set(repeated):
        g = ag.grad(lambda a, i=i: np.real(LA.eigvals(a)[i]))(a)
        assert np.isfinite(g).all()
        left = LA.inv(v)[i] if LA.cond(v) < 1e12 else None
        if left is not None:
            full = np.outer(left, v[:, i])
            close(g, full if a.dtype.kind == "c" else full.real, 1e-9)
        tangent = ag.jvp(lambda a, i=i: LA.eigvals(a)[i], (a,), (np.ones_like(a),))[1]
        close(np.real(tangent), np.sum(np.real(g)), 1e-9)


def test_the_largest_eigenvalue_of_a_matrix_of_low_rank():
    """0 is repeated, which does not matter to the others: the usual case of a dominant one."""
    a = np.outer([1.0, 2.0, 3.0, 4.0], [1.0, 0.5, 2.0, 1.0])
    g = ag.grad(lambda a: np.max(np.real(LA.eigvals(a))))(a)
    x, y = np.array([1.0, 2.0, 3.0, 4.0]), np.array([1.0, 0.5, 2.0, 1.0])
    close(g, np.outer(y, x) / (x @ y), 1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_a_defective_matrix(seed):
    """Its eigenvalues come out apart by half the digits, and their slopes would be of that size."""
    q = LA.qr(matrix(3, 3, seed=seed).real)[0]
    for block in ([[0, 1, 0], [0, 0, 0], [0, 0, 5]], [[1, 1, 0], [0, 1, 1], [0, 0, 1]],
                  [[0, 1, 0], [1e-18, 0, 0], [0, 0, 5]]):
        a = q @ np.array(block, float) @ q.T
        w = LA.eigvals(a)
        for i in np.flatnonzero(np.abs(w) < 4):
            assert np.isnan(ag.grad(lambda a, i=i: np.real(LA.eigvals(a)[i]))(a)).all()
    jordan = np.array([[0.0, 1.0], [0.0, 0.0]])
    assert np.isnan(ag.grad(lambda a: LA.eigvals(a)[0])(jordan)).all()


def test_the_undefined_derivative():
    """0 where nothing is asked for, NaN where something is; so is its derivative."""
    from autograd_core.ops.linalg import undefined_

    x = np.array([0.0, 1.0, -2.0])
    np.testing.assert_array_equal(undefined_(x), [0, np.nan, np.nan])
    _, back = ag.vjp(undefined_, np.zeros(3))
    np.testing.assert_array_equal(back(x)[0], [0, np.nan, np.nan])
    np.testing.assert_array_equal(ag.jvp(undefined_, (np.zeros(3),), (x,))[1], [0, np.nan, np.nan])


def test_batches_do_not_spoil_each_other():
    a = np.stack([np.eye(3), with_eigenvalues([1.0, 2.0, 4.0], 0)])
    g = ag.grad(lambda a: np.sum(np.real(LA.eigvals(a)) ** 2))(a)
    assert np.isnan(g[0]).all()
    assert np.isfinite(g[1]).all()


def test_replays_and_compiled_functions_decide_once():
    """Real eigenvalues, as recorded; complex ones later are an error and never cut to their real
    parts. A complex matrix has complex ones at every run."""
    real, turning = np.diag([1.0, 2.0]), rotation(1.0)
    t = ag.tensor(real, requires_grad=True)
    graph = ag.Graph(LA.eigvals(t))
    np.testing.assert_array_equal(graph.fprop({t: np.diag([3.0, 4.0])}), [3, 4])
    with pytest.raises(TypeError, match=r"known_real.*now is complex.*a \+ 0j"):
        graph.fprop({t: turning})
    f = ag.compile(LA.eigvals)
    close(f(real), [1, 2])
    close(f(np.diag([5.0, 4.0])), [5, 4])
    with pytest.raises(TypeError, match="now is complex"):
        f(turning)
    f = ag.compile(lambda a: LA.eigvals(a + 0j))
    close(f(real), [1, 2])
    close(f(turning), LA.eigvals(turning))
    g = ag.compile(ag.grad(lambda a: np.sum(np.abs(LA.eig(a + 0j)[1]))))
    for a in (with_eigenvalues([1.0, 2.0, 4.0], 0), with_eigenvalues([1.0, 5.0, 4.0], 1)):
        close(g(a), ag.grad(lambda a: np.sum(np.abs(LA.eig(a + 0j)[1])))(a), 1e-10)
    t = ag.tensor(np.array([1.0 + 0j]))
    graph = ag.Graph(np.real_if_close(t))
    assert graph.fprop().dtype == float
    with pytest.raises(TypeError, match="now is complex"):
        graph.fprop({t: np.array([1j])})


@pytest.mark.parametrize("call", [LA.eig, LA.eigvals])
def test_what_numpy_refuses_is_refused(call):
    for a, error in ((np.ones((2, 3)), LA.LinAlgError), (np.ones(2), LA.LinAlgError),
                     (np.full((2, 2), np.nan), LA.LinAlgError)):
        with pytest.raises(error):
            call(a)
        with pytest.raises(error, match="eig"):
            call(ag.tensor(a))
