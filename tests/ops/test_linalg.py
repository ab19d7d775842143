"""np.linalg on Tensors: every function and its spellings, the points where formulas break, errors.

The rows are checked as those of the table of NumPy's functions are. A row's function makes its
matrices of what was sampled: symmetric ones, nonsingular ones. Difference quotients go through
that, so that a symmetric matrix stays symmetric.
"""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
import test_fake_device as device
import test_numpy_functions as table
from differences import close, slope
from test_numpy_functions import Row, arr, ints, pos, x

import autograd_core as ag
from autograd_core.ops.linalg import pinv_

LA = np.linalg
inf, nan = np.inf, np.nan

# What is sampled, made into a matrix that suits. -------------------------------------------------


def eye(a, rows=None, columns=None):
    rows = a.shape[-2] if rows is None else rows
    return np.eye(rows, columns, dtype=a.dtype, like=a)


def mt(a):
    return np.swapaxes(a, -1, -2)


def regular(a):
    """Nonsingular, of full rank if it is oblong."""
    return 0.3 * a + 2 * eye(a, *a.shape[-2:])


def definite(a):
    return a @ mt(a) + eye(a)


def spread(a):
    """With singular values that are far apart."""
    steps = 1 + 3 * np.arange(a.shape[-1], dtype=a.dtype, like=a)
    return 0.1 * a + eye(a, *a.shape[-2:]) * steps


def symmetric(a):
    """Symmetric, with eigenvalues that are far apart."""
    a = spread(a)
    return 0.5 * (a + mt(a))


def lower(a):
    """Symmetric in its lower triangle, with something else above."""
    return np.tril(symmetric(a)) + np.triu(eye(a) * 0 + 7, 1)


def plain(a):
    return a


ROWS: list[Row] = []
TESTED = set()


def row(function, prepare, *args, **kwargs):
    """A call of ``function`` whose first argument goes through ``prepare``."""
    def call(first, *rest, **options):
        return function(prepare(first), *rest, **options)

    call.__name__ = call.__qualname__ = function.__name__
    call.__module__ = "numpy.linalg"
    TESTED.add(function)
    ROWS.append(Row(call, args, kwargs))


def solution(a, b, rcond=None):
    """lstsq without the rank, which is a plain number."""
    y, residuals, rank, s = LA.lstsq(a, b, rcond)
    assert rank == min(a.shape)
    return y, residuals, s


TESTED.add(LA.lstsq)
SQUARE = ((3, 3), (1, 1), (2, 2, 2), (2, 1, 2, 2))
for _shape in SQUARE:
    row(LA.inv, regular, x(*_shape))
    row(LA.det, plain, x(*_shape))
    row(LA.det, regular, x(*_shape))
    row(LA.slogdet, regular, x(*_shape))
    row(LA.cholesky, definite, x(*_shape))
    row(LA.eigvalsh, symmetric, x(*_shape))
    row(LA.eigh, symmetric, x(*_shape))
row(LA.det, plain, x(4, 4))
row(LA.slogdet, lambda a: -regular(a), x(3, 3))
row(LA.cholesky, definite, x(2, 2), upper=True)
row(LA.cholesky, definite, x(2, 3, 3), upper=True)
row(LA.eigvalsh, symmetric, x(3, 3), "U")
row(LA.eigh, symmetric, x(3, 3), UPLO="U")
row(LA.eigh, symmetric, x(2, 2), UPLO="l")

row(LA.solve, regular, x(3, 3), x(3))
row(LA.solve, regular, x(3, 3), x(3, 2))
row(LA.solve, regular, x(3, 3), arr(3))
row(LA.solve, regular, arr(3, 3), x(3))
row(LA.solve, regular, x(2, 2), [1.0, 2.0])
row(LA.solve, regular, x(2, 2), np.array([1, 2]))
row(LA.solve, regular, x(4, 2, 2), x(2))
row(LA.solve, regular, x(2, 2, 2), x(2, 2))  # one matrix, as one axis makes a vector
row(LA.solve, regular, x(2, 2, 2), x(2, 2, 1))
row(LA.solve, regular, x(2, 2), x(3, 2, 1))
row(LA.solve, regular, x(2, 1, 2, 2), x(3, 2, 1))
row(LA.solve, regular, x(1, 1), x(1))
row(LA.inv, lambda a: a + 3 * np.eye(2, dtype=int), ints(2, 2, low=0, high=2))
row(LA.tensorinv, lambda a: regular(a.reshape(4, 4)).reshape(2, 2, 4), x(2, 2, 4))
row(LA.tensorinv, regular, x(3, 3), ind=1)
row(LA.tensorinv, lambda a: regular(a.reshape(4, 4)).reshape(4, 2, 2), x(4, 4), 1)
row(LA.tensorsolve, lambda a: regular(a.reshape(4, 4)).reshape(2, 2, 4), x(2, 2, 4), x(2, 2))
row(LA.tensorsolve, regular, x(3, 3), arr(3))
row(LA.tensorsolve, lambda a: regular(a.reshape(4, 4)).reshape(2, 4, 2).transpose(0, 2, 1),
    x(4, 4), x(4), axes=(0, 1))
row(LA.matrix_power, regular, x(3, 3), -1)
row(LA.matrix_power, regular, x(2, 2, 2), -3)

for _shape in ((3, 3), (1, 1), (3, 2), (2, 3), (2, 3, 1), (2, 1, 2, 2)):
    row(LA.pinv, regular, x(*_shape))
    row(LA.svd, spread, x(*_shape), full_matrices=False)
    row(LA.svd, spread, x(*_shape), compute_uv=False)
    row(LA.svdvals, spread, x(*_shape))
    row(LA.qr, regular, x(*_shape))
    row(LA.qr, regular, x(*_shape), "r")
    row(LA.matrix_rank, spread, x(*_shape))
row(LA.svd, spread, x(2, 2))
row(LA.svd, spread, x(2, 3), True, False)
row(LA.qr, regular, x(2, 3), mode="complete")
row(LA.qr, regular, x(2, 2), mode="complete")
row(LA.pinv, regular, x(3, 2), 1e-10)
row(LA.pinv, regular, x(2, 3), rtol=1e-10)
row(LA.pinv, regular, x(2, 3), rtol=None)
# Of rank 1, to stay so: an outer product, with the other singular values cut off.
row(LA.pinv, lambda a: a[:, None] * a[:2], pos(3), rcond=1e-8)
row(LA.pinv, regular, x(2, 3, 2), np.array([1e-8, 1e-6]))
row(LA.pinv, spread, x(2, 3, 3), rcond=np.array([0.9, 1e-6]))
row(LA.pinv, regular, x(2, 3, 2), rtol=[1e-8, 1e-6])
row(LA.matrix_rank, spread, x(2, 3, 3), np.array([2.0, 5.0]))
row(LA.matrix_rank, spread, x(2, 3, 3), rtol=[0.5, 0.7])
row(LA.matrix_rank, spread, x(3, 3), 2.0)
row(LA.matrix_rank, spread, x(3, 3), rtol=0.5)
row(LA.matrix_rank, symmetric, x(3, 3), hermitian=True)
for _args in ((x(3, 2), x(3)), (x(3, 2), x(3, 2)), (x(2, 3), x(2)), (x(2, 3), arr(2, 2)),
              (x(2, 2), x(2)), (x(3, 1), x(3))):
    row(solution, regular, *_args)
row(lambda a, b: LA.lstsq(a, b)[:2], regular, arr(3, 2), x(3))
row(solution, regular, x(3, 2), x(3), rcond=None)

# Norms, in every order.
for _order in (None, 2, 1, inf, -inf, 3, 2.5, -1, -2, 0.5):
    row(LA.norm, plain, pos(3), _order)
    row(LA.norm, plain, x(2, 3), ord=_order, axis=1)
    row(LA.norm, plain, x(2, 3), _order, 0, True)
    row(LA.norm, plain, x(2, 3, 2), _order, axis=(-2,))
    if _order is not None:
        row(LA.vector_norm, plain, x(2, 3), ord=_order)
        row(LA.vector_norm, plain, x(2, 3, 2), axis=(2, 0), ord=_order)
for _order in (None, "fro", "nuc", 2, -2, 1, -1, inf, -inf):
    row(LA.norm, spread, x(2, 3), _order)
    row(LA.norm, spread, x(3, 3), _order, keepdims=True)
    row(LA.norm, plain, x(2, 3, 2), _order, (0, 2))
    row(LA.norm, plain, x(2, 3, 2), _order, (2, 0))
    row(LA.norm, plain, x(2, 3, 2), _order, axis=(-1, 1), keepdims=True)
    if _order is not None:
        row(LA.matrix_norm, plain, x(2, 3, 2), ord=_order)
        row(LA.matrix_norm, plain, x(3, 2), ord=_order, keepdims=True)
row(LA.norm, plain, x())
row(LA.norm, plain, x(2, 3, 2))
row(LA.norm, plain, x(2, 3, 2), keepdims=True)
row(LA.norm, plain, x(2, 2), "f")
row(LA.norm, plain, x(2, 3), axis=np.int64(1))
row(LA.norm, plain, ints(2, 3))
row(LA.norm, plain, x(0))
if np.lib.NumpyVersion(np.__version__) >= "2.4.0":  # earlier ones refuse these
    row(LA.norm, plain, x(0), inf)
row(LA.norm, plain, x(2, 0), axis=1)
if np.lib.NumpyVersion(np.__version__) >= "2.4.0":
    row(LA.norm, plain, x(0, 2), 2)
row(LA.vector_norm, plain, x(3))
row(LA.vector_norm, plain, x(2, 3), keepdims=True)
row(LA.vector_norm, plain, x(2, 3), axis=-1)
row(LA.vector_norm, plain, x())
row(LA.matrix_norm, plain, x(2, 3))
for _order in (None, 2, -2, "fro", 1, -1, inf, -inf, "nuc"):
    row(LA.cond, spread, x(3, 3), _order)
    row(LA.cond, spread, x(2, 2, 2), p=_order)
row(LA.cond, spread, x(3, 2))

row(LA.cross, plain, x(3), x(3))
row(LA.cross, plain, x(2, 3), arr(3))
row(LA.cross, plain, x(3, 2), x(3, 2), axis=0)
row(LA.trace, plain, x(3, 3))
row(LA.trace, plain, x(2, 3, 4), offset=1)
row(LA.trace, plain, x(2, 3, 3), dtype=np.float64)
row(LA.diagonal, plain, x(3, 3))
row(LA.diagonal, plain, x(2, 3, 4), offset=-1)

PARAMS = pytest.mark.parametrize("row", ROWS, ids=str)


@PARAMS
@pytest.mark.parametrize("dtype", [np.float64, np.float32], ids=["f64", "f32"])
def test_value(row, dtype):
    table.test_value(row, dtype)


@PARAMS
def test_containers_are_those_of_numpy(row):
    table.test_containers_are_those_of_numpy(row)


@PARAMS
def test_gradient(row):
    table.test_gradient(row)


@PARAMS
def test_second_order(row):
    table.test_second_order(row)


@PARAMS
def test_single_precision_stays(row):
    table.test_single_precision_stays(row)


@PARAMS
def test_replay(row):
    table.test_replay(row)


@pytest.mark.parametrize("row", [r for r in ROWS if device._suits_the_device(r)], ids=str)
def test_on_the_device(row):
    device.test_numpy_function(row)


@pytest.mark.parametrize(
    ("prepare", "f"),
    [
        (regular, LA.inv), (regular, LA.det), (regular, LA.slogdet), (regular, LA.pinv),
        (regular, lambda a: LA.solve(a, a[0])), (regular, lambda a: LA.pinv(a[:, :2])),
        (regular, lambda a: LA.lstsq(a[:, :2], a[:, 2])[0]), (regular, LA.qr),
        (definite, LA.cholesky), (symmetric, LA.eigh), (spread, LA.svd),
        (spread, lambda a: LA.svd(a[:2], full_matrices=False)), (plain, LA.norm),
        (spread, lambda a: LA.norm(a, 2)), (spread, LA.cond),
    ],
)
def test_third_order(prepare, f):
    a = np.random.default_rng(4).uniform(-2, 2, (3, 3))
    ag.check_grads(lambda a: f(prepare(a)), a, order=3, atol=1e-5, rtol=1e-5)


# Determinants, where dividing by them fails. -----------------------------------------------------

def leibniz(a):
    """The determinant as the polynomial that it is."""
    n = len(a)
    total = 0.0
    for p in permutations(range(n)):
        term = LA.det(np.eye(n)[list(p)])
        for i in range(n):
            term = term * a[i, p[i]]
        total = total + term
    return total


def of_rank(n, rank, seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, rank)) @ rng.standard_normal((rank, n))


def cofactors(a):
    """By their definition, from minors."""
    n = len(a)
    return np.array([
        [(-1) ** (i + j) * LA.det(np.delete(np.delete(a, i, 0), j, 1)) for j in range(n)]
        for i in range(n)
    ])


SINGULAR = [
    of_rank(3, 2), of_rank(3, 1), np.zeros((3, 3)), of_rank(4, 3), of_rank(4, 2),
    np.array([[1.0, 2.0], [2.0, 4.0]]), np.zeros((1, 1)), np.zeros((2, 2)),
    np.diag([1.0, 0.0, 1.0]), np.diag([1.0, 0.0, 0.0]), np.arange(9.0).reshape(3, 3),
]


@pytest.mark.parametrize("a", [*SINGULAR, -np.eye(3), of_rank(4, 4), -of_rank(3, 3)])
def test_two_derivatives_of_a_determinant(a):
    """The gradient is the matrix of cofactors, and the Hessian holds minors, for every matrix."""
    close(ag.grad(LA.det)(a), cofactors(a), 1e-12)
    close(ag.grad(LA.det)(a), ag.grad(leibniz)(a), 1e-12)
    close(ag.hessian(LA.det)(a), ag.hessian(leibniz)(a), 1e-12)


def test_a_batch_with_singular_matrices():
    a = np.stack([np.eye(3), of_rank(3, 2), np.zeros((3, 3)), of_rank(3, 3)])
    close(ag.grad(lambda a: LA.det(a).sum())(a), [cofactors(m) for m in a], 1e-13)


def test_the_third_derivative_of_a_determinant():
    v = np.random.default_rng(3).standard_normal((3, 3))

    def third(f, a):
        first = lambda a: np.sum(v * ag.grad(f)(a))  # noqa: E731
        second = lambda a: np.sum(v * v * ag.grad(first)(a))  # noqa: E731
        return ag.grad(second)(a)

    close(third(LA.det, of_rank(3, 3)), third(leibniz, of_rank(3, 3)), 1e-11)
    with pytest.raises(LA.LinAlgError, match=r"third derivative of det.*\(3, 3\).*singular"):
        third(LA.det, np.zeros((3, 3)))


@pytest.mark.parametrize("small", [1e-4, 1e-8, 1e-14, 1e-100])
def test_near_singularity(small):
    a = np.diag([2.0, small])
    np.testing.assert_allclose(ag.grad(LA.det)(a), [[small, 0], [0, 2]], rtol=1e-14)
    np.testing.assert_allclose(
        ag.grad(lambda a: LA.slogdet(a)[1])(a), [[0.5, 0], [0, 1 / small]], rtol=1e-14
    )


def test_slogdet_of_a_singular_matrix():
    t = ag.tensor(np.zeros((2, 2)), requires_grad=True)
    sign, logabsdet = LA.slogdet(t)
    assert sign.item() == 0
    assert logabsdet.item() == -inf
    sign.backward()
    assert not t.grad.any()
    with pytest.raises(LA.LinAlgError, match="slogdet: no gradient"):
        logabsdet.backward()


def test_log_determinant_of_a_large_matrix():
    """It neither overflows nor loses digits, and d ln det = tr(a⁻¹ da)."""
    a = np.random.default_rng(0).standard_normal((60, 60)) * 1e6
    close(ag.grad(lambda a: LA.slogdet(a).logabsdet)(a) * 1e6, LA.inv(a).T * 1e6, 1e-12)
    sizes = ag.grad(lambda a: LA.slogdet(a)[1])(np.eye(400) * 10.0)
    close(sizes, np.eye(400) / 10, 1e-15)


# Spectra. ----------------------------------------------------------------------------------------

def with_eigenvalues(w, seed):
    rng = np.random.default_rng(seed)
    q = LA.qr(rng.standard_normal((len(w), len(w))))[0]
    a = (q * w) @ q.T
    return 0.5 * (a + a.T)


REPEATED = [with_eigenvalues([1.0, 2.0, 2.0], s) for s in range(8)] + [
    with_eigenvalues([-1.0] * 4 + [3.0] * 3, s) for s in range(8)
] + [with_eigenvalues([0.0, 0.0, 1e6], s) for s in range(4)] + [np.eye(2), np.zeros((3, 3))]


@pytest.mark.parametrize("a", REPEATED)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_repeated_eigenvalues(a, dtype):
    """Their vectors are not a function of the matrix: NaN. The sum of them all is its trace."""
    a = a.astype(dtype)
    weights = np.random.default_rng(1).standard_normal(a.shape).astype(dtype)
    g = ag.grad(lambda a: np.sum(weights * LA.eigh(a)[1]))(a)
    assert g.dtype == dtype
    assert np.isnan(g).any()
    tolerance = 1e-13 if dtype is np.float64 else 1e-4
    close(ag.grad(lambda a: LA.eigvalsh(a).sum())(a), np.eye(len(a)), tolerance)
    close(ag.grad(lambda a: LA.eigh(a)[0].sum())(a), np.eye(len(a)), tolerance)
    assert np.isnan(ag.hessian(lambda a: np.sum(LA.eigvalsh(a) ** 3))(a)).any()


@pytest.mark.parametrize("a", [*REPEATED, np.eye(3, 2), np.ones((3, 3)), np.zeros((2, 3))])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_repeated_singular_values(a, dtype):
    a = a.astype(dtype)
    for i in (0, 2):
        def f(a, i=i):
            part = LA.svd(a, full_matrices=False)[i]
            weights = np.random.default_rng(1).standard_normal(part.shape).astype(dtype)
            return np.sum(weights * part)

        g = ag.grad(f)(a)
        assert g.dtype == dtype
        assert np.isnan(g).any()
    close(ag.grad(lambda a: np.sum(LA.svdvals(a) ** 2))(a), 2 * a, 1e-3 if a.max() > 1e5 else 1e-5)


def test_one_repeated_matrix_does_not_spoil_a_batch():
    a = np.stack([np.eye(3), with_eigenvalues([1.0, 2.0, 4.0], 0)])
    g = ag.grad(lambda a: np.sum(LA.eigh(a)[1][..., 0]))(a)
    assert np.isnan(g[0]).all()
    assert np.isfinite(g[1]).all()


def test_the_gradient_of_an_eigenvalue():
    """∂w/∂A = v vᵀ: symmetric, whichever triangle is read."""
    a = with_eigenvalues([1.0, 2.0, 4.0], 5)
    v = LA.eigh(a)[1]
    for uplo in "LU":
        for i in range(3):
            g = ag.grad(lambda a, i=i, uplo=uplo: LA.eigvalsh(a, uplo)[i])(a)
            close(g, np.outer(v[:, i], v[:, i]), 1e-14)


def test_one_triangle_is_read():
    a = with_eigenvalues([1.0, 2.0, 4.0], 5)
    low = np.tril(a) + np.triu(np.full((3, 3), 9.0), 1)
    t = ag.tensor(low, requires_grad=True)
    close(LA.eigvalsh(t).data, [1, 2, 4], 1e-13)
    close(LA.eigvalsh(t.T, "U").data, [1, 2, 4], 1e-13)
    np.testing.assert_array_equal(LA.cholesky(t).data, LA.cholesky(a))
    np.testing.assert_allclose(LA.cholesky(t.T, upper=True).data, LA.cholesky(a).T, rtol=1e-15)


def test_symmetric_gradients():
    a = with_eigenvalues([1.0, 2.0, 4.0], 5)
    weights = np.random.default_rng(0).standard_normal((3, 3))
    step = np.array([[1.0, 2.0, 0.5], [2.0, -1.0, 3.0], [0.5, 3.0, 0.2]])
    for f in (LA.cholesky, lambda a: LA.cholesky(a, upper=True), lambda a: LA.eigh(a)[1]):
        g = ag.grad(lambda a, f=f: np.sum(weights * f(a)))(a)
        close(g, g.T, 1e-15)
        close(np.sum(g * step), slope(lambda t, f=f: np.sum(weights * f(a + t * step))), 1e-8)


@pytest.mark.parametrize("shape", [(6, 6), (8, 5), (5, 8), (2, 4, 4)])
def test_factors_put_together_again(shape):
    """A product of all the factors is the matrix, whose gradient is the weight."""
    rng = np.random.default_rng(0)
    a, weights = rng.standard_normal(shape), rng.standard_normal(shape)

    def svd(a):
        u, s, vt = LA.svd(a, full_matrices=False)
        return (u * s[..., None, :]) @ vt

    def qr(a):
        q, r = LA.qr(a)
        return q @ r

    for f in (svd, qr, lambda a: LA.pinv(LA.pinv(a)), lambda a: a @ LA.pinv(a) @ a):
        close(f(a), a, 1e-12)
        close(ag.grad(lambda a, f=f: np.sum(weights * f(a)))(a), weights, 1e-11)
        close(ag.jvp(f, (a,), (weights,))[1], weights, 1e-11)


def test_symmetric_factors_put_together_again():
    rng = np.random.default_rng(0)
    a = rng.standard_normal((2, 5, 5))
    a = a @ mt(a) + np.eye(5)
    weights = rng.standard_normal((2, 5, 5))
    weights = weights + mt(weights)

    def eigh(a):
        w, v = LA.eigh(a)
        return (v * w[..., None, :]) @ mt(v)

    def cholesky(a):
        c = LA.cholesky(a)
        return c @ mt(c)

    for f in (eigh, cholesky, lambda a: LA.inv(LA.inv(a))):
        close(f(a), a, 1e-12)
        close(ag.grad(lambda a, f=f: np.sum(weights * f(a)))(a), weights, 1e-10)


def test_pseudo_inverse_along_matrices_of_constant_rank():
    """Where all singular values but the largest are cut off, an outer product stays one."""
    u, v = np.array([1.0, 2.0, -1.0]), np.array([0.5, 1.0])

    def f(u):
        return np.sum(LA.pinv(u[:, None] * v, rcond=1e-10) * np.arange(6.0).reshape(2, 3))

    numerical = [slope(lambda t, e=e: f(u + t * e)) for e in np.eye(3)]
    close(ag.grad(f)(u), numerical, 1e-8)


# Norms. ------------------------------------------------------------------------------------------

@pytest.mark.parametrize("order", [None, 1, 2, 3, 1.5, 10, inf])
def test_a_norm_is_flat_at_the_zero_vector(order):
    zero = np.zeros(3)
    assert not ag.grad(lambda a: LA.norm(a, order))(zero).any()
    assert not ag.grad(lambda a: LA.norm(a, order, axis=1).sum())(np.zeros((2, 3))).any()
    if order in (None, 2):
        assert not ag.hessian(lambda a: LA.norm(a, order))(zero).any()
        assert ag.hessian(lambda a: LA.norm(a, order) ** 2)(zero).shape == (3, 3)
        rows = np.array([[0.0, 0.0], [3.0, 4.0]])
        g = ag.grad(lambda a: LA.norm(a, order, axis=1).sum())(rows)
        close(g, [[0, 0], [0.6, 0.8]], 1e-15)


@pytest.mark.parametrize("order", [None, "fro", "nuc", 1, 2, inf])
def test_a_norm_is_flat_at_the_zero_matrix(order):
    assert not ag.grad(lambda a: LA.norm(a, order))(np.zeros((3, 3))).any()
    assert not ag.grad(lambda a: LA.matrix_norm(a, ord=order or "fro"))(np.zeros((2, 3))).any()


def test_ties_share():
    close(ag.grad(lambda a: LA.norm(a, inf))(np.array([2.0, -2.0, 1.0])), [0.5, -0.5, 0], 0)
    close(ag.grad(lambda a: LA.norm(a, 2))(np.eye(4)), np.eye(4) / 4, 1e-15)
    close(ag.grad(lambda a: LA.norm(a, "nuc"))(np.eye(4)), np.eye(4), 1e-15)
    close(ag.grad(lambda a: LA.norm(a, 1))(np.array([0.0, -2.0])), [0, -1], 0)


def test_counting_has_no_slope():
    t = ag.tensor([0.0, 2.0, nan], requires_grad=True)
    assert LA.norm(t, 0).item() == LA.norm(t.detach().numpy(), 0) == 2
    assert not ag.grad(lambda a: LA.norm(a, 0) + 0 * a.sum())(np.array([0.0, 2.0])).any()
    assert LA.matrix_rank(t.at[2].set(0.0)).item() == 1
    assert not LA.matrix_rank(t).requires_grad


def test_the_condition_of_a_singular_matrix():
    """inf, and no number for its gradient; that of others in a stack is theirs."""
    for order in (None, -2, 1, -1, inf, -inf, "fro"):
        for a in (np.ones((2, 2)), np.zeros((2, 2)), np.diag([1.0, 0.0])):
            t = ag.tensor(a, requires_grad=True)
            expected = LA.cond(a, order)
            y = LA.cond(t, order)
            assert y.item() == expected or y.item() > 1e15 or y.item() < 1e-15
            if y.item() == inf:
                with np.errstate(all="ignore"):
                    y.backward()
                assert not np.isfinite(t.grad).all()
    regular, singular = np.array([[2.0, 1.0], [0.5, 3.0]]), np.diag([1.0, 0.0])
    for order in (1, "fro"):
        alone = ag.grad(lambda a, order=order: LA.cond(a, order))(regular)
        together = ag.grad(lambda a, order=order: LA.cond(a, order)[0])(
            np.stack([regular, singular]))
        close(together, [alone, np.zeros((2, 2))], 1e-15)
        close(LA.cond(ag.tensor(singular * nan), order).data, nan, 0)


# What is cut off. --------------------------------------------------------------------------------

def test_factors_come_from_one_decomposition():
    """The cache of the factors is one node, whichever of them are used, at any order."""
    t = ag.tensor(with_eigenvalues([1.0, 2.0, 4.0], 5), requires_grad=True)
    w, v = LA.eigh(t)
    (np.sum(w) + np.sum(v[0] ** 2 * w)).backward(create_graph=True)
    graph = ag.Graph([w, v, t.grad])
    assert [str(node.op) for node in graph.nodes].count("eigh") == 1


# Errors: those of NumPy, with the operation and the shapes. --------------------------------------

def tensor(*shape, of=0.0):
    return ag.tensor(np.full(shape, of), requires_grad=True)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda f: LA.inv(f(2, 2)), LA.LinAlgError, r"inv\(float64\(2, 2\)\): Singular.*\.py:"),
        (lambda f: LA.inv(f(2, 3)), LA.LinAlgError, r"inv\(float64\(2, 3\)\).*square"),
        (lambda f: LA.inv(f(2)), LA.LinAlgError, r"inv\(float64\(2,\)\)"),
        (lambda f: LA.solve(f(2, 2), np.ones(2)), LA.LinAlgError, "solve.*Singular"),
        (lambda f: LA.solve(f(2, 2), np.ones(3)), ValueError, "solve.*mismatch"),
        (lambda f: LA.solve(f(2, 3), np.ones(2)), LA.LinAlgError, "solve.*square"),
        (lambda f: LA.solve(f(2, 2), np.ones((2, 3, 1))), ValueError, "solve"),
        (lambda f: LA.det(f(2, 3)), LA.LinAlgError, r"det\(float64\(2, 3\)\)"),
        (lambda f: LA.slogdet(f(3)), LA.LinAlgError, r"slogdet\(float64\(3,\)\)"),
        (lambda f: LA.cholesky(f(2, 2, of=-1.0)), LA.LinAlgError, "cholesky.*positive definite"),
        (lambda f: LA.cholesky(f(2, 3)), LA.LinAlgError, r"cholesky.*\(2, 3\)"),
        (lambda f: LA.cholesky(f(2), upper=True), LA.LinAlgError, r"cholesky.*\(2,\)"),
        (lambda f: LA.qr(f(2)), LA.LinAlgError, r"qr.*\(2,\)"),
        (lambda f: LA.qr(f(2, 2), "fast"), ValueError, "qr.*fast"),
        (lambda f: LA.eigh(f(2, 3)), LA.LinAlgError, r"eigh\(float64\(2, 3\)"),
        (lambda f: LA.eigvalsh(f(2, 2), "X"), ValueError, "UPLO"),
        (lambda f: LA.svd(f(2)), LA.LinAlgError, "svd"),
        (lambda f: LA.svdvals(f(2)), LA.LinAlgError, "svd"),
        (lambda f: LA.svdvals(f(2, 2, of=nan)), LA.LinAlgError, "svd.*converge"),
        (lambda f: LA.pinv(f(2)), LA.LinAlgError, "pinv"),
        (lambda f: LA.pinv(f(2, 2), 0.1, rtol=0.1), ValueError, "pinv"),
        (lambda f: LA.lstsq(f(2, 2), np.ones(3)), LA.LinAlgError, "lstsq"),
        (lambda f: LA.lstsq(f(2), np.ones(2)), LA.LinAlgError, r"lstsq.*\(2,\)"),
        (lambda f: LA.norm(f(2, 2), 3), ValueError, "norm: 3 is not"),
        (lambda f: LA.norm(f(2), "fro"), ValueError, "norm: 'fro' is not"),
        (lambda f: LA.norm(f(2, 2, 2), 2), ValueError, "norm: order 2.*3 axes"),
        (lambda f: LA.norm(f(2, 2), axis=2), np.exceptions.AxisError, "axis"),
        (lambda f: LA.norm(f(2, 2), axis=(1, -1)), ValueError, "norm.*axes"),
        (lambda f: LA.norm(f(0), -inf), ValueError, "min"),
        (lambda f: LA.norm(f(2, 2), axis="x"), (TypeError, ValueError), "."),
        (lambda f: LA.cond(f(2)), LA.LinAlgError, r"cond.*\(2,\)"),
        (lambda f: LA.cond(f(0, 0)), LA.LinAlgError, "cond.*empty"),
        (lambda f: LA.cond(f(2, 3), 1), LA.LinAlgError, "cond.*square"),
        (lambda f: LA.matrix_rank(f(2, 2), 1.0, rtol=1.0), ValueError, "rank"),
        (lambda f: LA.tensorinv(f(2, 2), 0), ValueError, "tensorinv"),
        (lambda f: LA.tensorinv(f(2, 3), 1), LA.LinAlgError, r"inv\(float64\(2, 3\)"),
        (lambda f: LA.tensorsolve(f(2, 3), np.ones(2)), LA.LinAlgError, r"tensorsolve.*\(2, 3\)"),
        (lambda f: LA.cross(f(2), f(2)), ValueError, r"cross.*\(2,\)"),
        (lambda f: LA.matrix_power(f(2, 2), -1), LA.LinAlgError, "Singular"),
        (lambda f: LA.trace(f(2)), ValueError, "."),
        (lambda f: LA.diagonal(f(2)), ValueError, "."),
    ],
)
def test_what_numpy_refuses_is_refused(call, error, message):
    with pytest.raises((ValueError, TypeError, IndexError)) as numpy:
        call(lambda *shape, of=0.0: np.full(shape, of))
    with pytest.raises(error, match=message) as raised:
        call(tensor)
    assert isinstance(raised.value, LA.LinAlgError) or not isinstance(numpy.value, LA.LinAlgError)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda t: LA.qr(t, "raw"), NotImplementedError, "use mode='reduced'"),
        (lambda t: LA.lstsq(t, np.ones(3)), LA.LinAlgError, r"rank 0.*lstsq\(a, b, rcond\)"),
    ],
)
def test_what_is_refused_here_says_what_to_write(call, error, message):
    with pytest.raises(error, match=message):
        call(tensor(3, 2))


COMPLETED = {
    "qr": (lambda a: LA.qr(a, "complete"), lambda a: LA.qr(a), "mode='reduced'"),
    "svd": (LA.svd, lambda a: LA.svd(a, False), "full_matrices=False"),
}


@pytest.mark.parametrize("shape", [(4, 2), (3, 1), (2, 4, 3), (2, 4)])
@pytest.mark.parametrize("name", COMPLETED)
def test_what_completes_a_basis_has_no_gradient(name, shape):
    whole, thin, instead = COMPLETED[name]
    if shape[-2] < shape[-1] and name == "qr":
        return  # nothing is added
    a = spread(np.random.default_rng(3).uniform(-2, 2, shape))
    k = min(shape[-2:])

    def part(factors):
        """Of each factor what the matrix determines."""
        *first, last = factors
        return (first[0][..., :k], *first[1:], last[..., :k, :])

    def loss(factors):
        return sum((np.cos(np.arange(y.size)).reshape(y.shape) * y).sum() for y in part(factors))

    for y, expected in zip(whole(ag.tensor(a)), whole(a), strict=True):
        np.testing.assert_allclose(y.data, expected, rtol=1e-13, atol=1e-14)
    np.testing.assert_allclose(ag.grad(lambda a: loss(whole(a)))(a),
                               ag.grad(lambda a: loss(thin(a)))(a), rtol=1e-12)
    ag.check_grads(lambda a: loss(whole(a)), a, order=1)
    added = 0 if shape[-2] > shape[-1] else -1

    def through(a):
        y = whole(a)[added]
        return (y[..., k:] if added == 0 else y[..., k:, :]).sum()

    with pytest.raises(NotImplementedError, match=rf"{name}: no .*rule.*test_linalg.*{instead}"):
        ag.grad(through)(a)
    assert np.isnan(ag.jvp(through, (a,), (np.ones_like(a),))[1])
    compiled = ag.compile(ag.grad(lambda a: loss(whole(a))))
    for scale in (1.0, 2.0):
        np.testing.assert_allclose(compiled(scale * a),
                                   ag.grad(lambda a: loss(thin(a)))(scale * a), rtol=1e-12)


def test_a_pseudo_inverse_that_leaves_out_what_is_not_0():
    """Its vectors turn with those that are left out: not the derivative at constant rank."""
    a = np.array([[1.0, 0.3, 0.1], [0.2, 0.8, -0.4], [0.1, 0.0, 0.05]])
    s = LA.svdvals(a)
    assert s[2] < 0.1 * s[0] < s[1]
    for given, f in ((a, lambda a: LA.pinv(a, 0.1)), (a[:2], lambda a: LA.pinv(a, 0.7)),
                     (a, lambda a: LA.pinv(0.5 * (a + a.T), 0.2, True)),
                     (a, lambda a: LA.lstsq(a, np.array([1.0, 2.0, -1.0]), 0.1)[0]),
                     (a, lambda a: LA.lstsq(a, np.eye(3), 1e-9)[0])):
        np.testing.assert_allclose(ag.compile(f)(given), f(given), rtol=1e-12, atol=1e-13)
        ag.check_grads(f, given, order=2)
    with pytest.raises(ag.GradientCheckError):
        ag.check_grads(ag.primitive(lambda a: LA.pinv(a, 0.1)).defvjp(
            lambda g, y, a: pinv_.vjps[0](g, y, a, None)), a)
    compiled = ag.compile(lambda a: LA.pinv(a, 0.1))
    compiled(a)
    with pytest.raises(LA.LinAlgError, match="has changed"):
        compiled(np.eye(3))


def test_least_squares_at_a_rank():
    """Of rank 1 to stay so: the derivative along matrices of that rank."""
    b = np.array([1.0, 2.0, -1.0])

    def f(v):
        x, residuals, rank, s = LA.lstsq(v[:, None] * v[:2], b, rcond=1e-8)
        assert rank == 1 and residuals.shape == (0,)
        return x, s[:1]

    v = np.array([0.5, -1.0, 2.0])
    for y, expected in zip(f(ag.tensor(v)), f(v), strict=True):
        np.testing.assert_allclose(y.data, expected, rtol=1e-12)
    ag.check_grads(f, v, order=1)
    ag.check_grads(lambda v: f(v)[0], v, order=2)
    x, _, rank, _ = LA.lstsq(ag.tensor(np.diag([1.0, 1e-17])), np.ones(2), rcond=-1)
    assert rank == 1 and x.data.tolist() == [1.0, 0.0]


def both(a):
    """Hermitian, by both triangles."""
    return 0.5 * (a + np.conj(np.swapaxes(a, -1, -2)))


def test_hermitian_ways():
    rng = np.random.default_rng(1)
    for a in (rng.normal(size=(3, 3)), rng.normal(size=(2, 3, 3)) * (1 + 1j)):
        a = a + np.conj(np.swapaxes(a, -1, -2))
        for y, expected in zip(LA.svd(ag.tensor(a), hermitian=True), LA.svd(a, hermitian=True),
                               strict=True):
            np.testing.assert_allclose(y.data, expected, rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(LA.svd(ag.tensor(a), False, False, True).data,
                                   LA.svd(a, False, False, True), rtol=1e-12)
        np.testing.assert_allclose(LA.pinv(ag.tensor(a), hermitian=True).data,
                                   LA.pinv(a, hermitian=True), rtol=1e-10)
        ag.check_grads(lambda a: LA.pinv(both(a), hermitian=True), a, order=2)
        ag.check_grads(lambda a: LA.svd(both(a), False, False, True), a, order=2)

        def parts(a):
            u, s, vt = LA.svd(both(a), hermitian=True)
            return np.abs(u) ** 2, s, np.abs(vt) ** 2, u[..., :1] @ vt[..., :1, :]

        ag.check_grads(parts, a, order=2, rtol=1e-4)
    a = np.array([[2.0, 7.0], [1.0, 3.0]])  # reads the lower triangle, as NumPy does
    np.testing.assert_allclose(LA.pinv(ag.tensor(a), hermitian=True).data,
                               LA.pinv(a, hermitian=True), rtol=1e-12)


def test_going_back_through_dependent_columns():
    with pytest.raises(LA.LinAlgError, match="qr: no gradient"):
        ag.grad(lambda a: LA.qr(a)[0].sum())(np.zeros((3, 2)))


# Wrong rules are found. --------------------------------------------------------------------------

def primitive(f, rule):
    """A function of one matrix with this rule, on matrices that suit it."""
    made = ag.primitive(f)
    made.defvjp(rule)
    return made


_PREPARED = regular(np.random.default_rng(2).uniform(-2, 2, (3, 3)))


@pytest.mark.parametrize(
    ("f", "order"),
    [
        (primitive(LA.inv, lambda g, y, a: -(y @ g @ y)), 1),
        (primitive(LA.inv, lambda g, y, a: mt(y) @ g @ mt(y)), 1),
        (primitive(LA.inv, lambda g, y, a: -(mt(y) @ g @ ag.stop_gradient(mt(y)))), 2),
        (primitive(LA.det, lambda g, y, a: g * y * LA.inv(a)), 1),
        (primitive(LA.det, lambda g, y, a: g * ag.stop_gradient(y * LA.inv(a).T)), 2),
        (primitive(LA.pinv, lambda g, y, a: -(y.T @ g @ y.T) * 1.001), 1),
        (primitive(LA.norm, lambda g, y, a: 2 * g * a / y), 1),
        (primitive(LA.svdvals, lambda g, y, a: g[0] * LA.svd(a)[0]), 1),
    ],
)
def test_a_wrong_rule_is_found(f, order):
    for below in range(1, order):
        ag.check_grads(f, _PREPARED, order=below)
    with pytest.raises(ag.GradientCheckError):
        ag.check_grads(f, _PREPARED, order=order)
