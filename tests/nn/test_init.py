"""Initial weights have the distributions their papers ask for."""

import math
from functools import partial

import numpy as np
import pytest

from nn import activations, init

SHAPES = [(400, 300), (50, 2000), (2000, 50), (1, 50_000), (50_000, 1), (50_000,)]
#: Variance from fan-in and fan-out.
VARIANCE = {
    init.he_normal: lambda i, o: 2 / i,
    init.he_uniform: lambda i, o: 2 / i,
    init.xavier_normal: lambda i, o: 2 / (i + o),
    init.xavier_uniform: lambda i, o: 2 / (i + o),
    init.lecun_normal: lambda i, o: 1 / i,
    init.lecun_uniform: lambda i, o: 1 / i,
    init.small_random: lambda i, o: 1e-4,
}
#: E[(x/σ)⁴].
KURTOSIS = {init.he_normal: 3.0, init.he_uniform: 1.8,
            init.xavier_normal: 3.0, init.xavier_uniform: 1.8,
            init.lecun_normal: 3.0, init.lecun_uniform: 1.8, init.small_random: 3.0}


def fans(shape):
    return shape[0], shape[1] if len(shape) > 1 else 1


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("scheme", VARIANCE)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_mean_variance_and_shape_of_the_distribution(scheme, shape, dtype):
    w = scheme(shape, np.random.default_rng(0), dtype)
    assert w.shape == shape and w.dtype == dtype
    w = w.astype(float)
    n, variance, kurtosis = w.size, VARIANCE[scheme](*fans(shape)), KURTOSIS[scheme]
    # five standard errors each
    assert abs(w.mean()) < 5 * math.sqrt(variance / n)
    assert w.var() == pytest.approx(variance, rel=5 * math.sqrt((kurtosis - 1) / n))
    assert (w**4).mean() / variance**2 == pytest.approx(kurtosis, rel=0.12)


@pytest.mark.parametrize("scheme", [init.he_uniform, init.xavier_uniform])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_uniform_weights_fill_their_bounds(scheme, shape):
    bound = math.sqrt(3 * VARIANCE[scheme](*fans(shape)))
    w = scheme(shape, np.random.default_rng(0), np.float64)
    assert bound * 0.99 < w.max() <= bound and -bound * 0.99 > w.min() >= -bound


def test_zeros():
    w = init.zeros((3, 2), np.random.default_rng(0), np.float32)
    assert w.shape == (3, 2) and w.dtype == np.float32 and not w.any()


@pytest.mark.parametrize("scheme", VARIANCE)
@pytest.mark.parametrize("shape", [(), (0, 3), (3, 0), (1,)], ids=str)
def test_degenerate_shapes(scheme, shape):
    w = np.asarray(scheme(shape, np.random.default_rng(0), np.float32))
    assert w.shape == shape and w.dtype == np.float32 and np.isfinite(w).all()


@pytest.mark.parametrize("scheme", VARIANCE)
def test_seeds_are_reproducible(scheme):
    def draw(seed):
        return scheme((5, 4), np.random.default_rng(seed), np.float64)

    assert np.array_equal(draw(1), draw(1)) and not np.array_equal(draw(1), draw(2))
    rng = np.random.default_rng(1)
    assert not np.array_equal(scheme((5, 4), rng), scheme((5, 4), rng))  # it moves on


def test_as_rng():
    generator = np.random.default_rng(3)
    assert init.as_rng(generator) is generator
    assert init.as_rng(3).random() == np.random.default_rng(3).random()
    assert init.as_rng(None).random() != init.as_rng(None).random()


@pytest.mark.parametrize(("name", "scheme"), [
    ("he", init.he_normal), ("he_normal", init.he_normal), ("he_uniform", init.he_uniform),
    ("xavier", init.xavier_uniform), ("xavier_normal", init.xavier_normal),
    ("xavier_uniform", init.xavier_uniform), ("zeros", init.zeros), (np.ones, np.ones),
])
def test_get(name, scheme):
    assert init.get(name) is scheme


def test_get_an_unknown_name():
    with pytest.raises(ValueError, match=r"init: unknown name 'glorott'; known .*'he'"):
        init.get("glorott")


def draw(scheme, shape=(6, 4), seed=0, dtype=np.float64):
    w = scheme(shape, np.random.default_rng(seed), dtype)
    assert w.shape == shape and w.dtype == dtype
    return w


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_fixed_values(dtype):
    assert not draw(init.zeros, dtype=dtype).any() and (draw(init.ones, dtype=dtype) == 1).all()
    assert (draw(init.constant(0.5), dtype=dtype) == 0.5).all()
    assert draw(init.given([[1, 2]]), (1, 2), dtype=dtype).tolist() == [[1, 2]]


def test_normal_and_uniform_with_their_own_numbers():
    w = draw(init.normal(0.5, mean=2.0), (300, 300))
    assert w.mean() == pytest.approx(2, abs=0.01) and w.std() == pytest.approx(0.5, rel=0.02)
    w = draw(init.uniform(-1, 3), (300, 300))
    assert -1 <= w.min() < -0.99 and 2.99 < w.max() < 3 and w.mean() == pytest.approx(1, abs=0.02)
    for make in (lambda: init.normal(-1), lambda: init.uniform(1, 0), lambda: init.sparse(0)):
        with pytest.raises(ValueError, match=r"must not|above|needs"):
            make()


@pytest.mark.parametrize("shape", [(6, 4), (4, 6), (5, 5), (3, 2, 4, 7)])
def test_orthogonal_rows_or_columns(shape):
    w = draw(init.orthogonal, shape)
    matrix = w.reshape(-1, shape[-1])
    product = matrix.T @ matrix if matrix.shape[0] >= matrix.shape[1] else matrix @ matrix.T
    np.testing.assert_allclose(product, np.eye(len(product)), atol=1e-12)
    np.testing.assert_allclose(
        draw(partial(init.orthogonal, gain=3.0), shape), 3 * w, rtol=1e-12)
    with pytest.raises(ValueError, match="needs a matrix"):
        draw(init.orthogonal, (4,))


def test_orthogonal_matrices_are_drawn_evenly():
    """Without the signs of R, the diagonal of Q would be negative only."""
    corners = [draw(init.orthogonal, (3, 3), seed)[0, 0] for seed in range(200)]
    assert abs(np.mean(corners)) < 5 * math.sqrt(1 / 3 / 200)
    assert np.var(corners) == pytest.approx(1 / 3, rel=0.3)


def test_sparse_weights_have_so_many_inputs_each():
    w = draw(init.sparse(3, std=2.0), (20, 50))
    assert ((w != 0).sum(0) == 3).all() and w[w != 0].std() == pytest.approx(2, rel=0.2)
    assert (draw(init.sparse(15), (6, 4)) != 0).all()
    assert len({tuple(column.nonzero()[0]) for column in w.T}) > 30


def test_the_fans_of_a_window_count_its_places():
    """(height, width, channels in, channels out), of 3 * 3 * 8 = 72 inputs each."""
    for scheme, variance in ((init.he_normal, 2 / 72), (init.xavier_uniform, 2 / (72 + 9 * 64)),
                             (init.lecun_normal, 1 / 72)):
        assert draw(scheme, (3, 3, 8, 64)).var() == pytest.approx(variance, rel=0.1)


def test_gains_multiply_and_keep_the_variance():
    """Of a standard normal input through weights and activation, ten layers deep."""
    for scheme in (init.he_normal, init.xavier_uniform, init.lecun_uniform):
        ratio = draw(partial(scheme, gain=3.0)) / draw(partial(scheme, gain=1.0))
        np.testing.assert_allclose(ratio, 3, rtol=1e-12)
    assert init.gain("leaky_relu", 0.5) == pytest.approx(math.sqrt(2 / 1.25))
    with pytest.raises(ValueError, match=r"gain: unknown name 'reul'; known are \['identity'"):
        init.gain("reul")
    rng = np.random.default_rng(0)
    for name in ("relu", "leaky_relu", "identity"):
        x = rng.standard_normal((50, 200))
        for _ in range(10):
            w = init.lecun_normal((200, 200), rng, np.float64, gain=init.gain(name))
            x = activations.get(name)(x @ w)
        assert 0.5 < (x**2).mean() < 2
