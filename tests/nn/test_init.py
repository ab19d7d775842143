"""Initial weights have the distributions their papers ask for."""

import math

import numpy as np
import pytest

from nn import init

SHAPES = [(400, 300), (50, 2000), (2000, 50), (1, 50_000), (50_000, 1), (50_000,)]
#: Variance from fan-in and fan-out.
VARIANCE = {
    init.he_normal: lambda i, o: 2 / i,
    init.he_uniform: lambda i, o: 2 / i,
    init.xavier_normal: lambda i, o: 2 / (i + o),
    init.xavier_uniform: lambda i, o: 2 / (i + o),
}
#: E[(x/σ)⁴].
KURTOSIS = {init.he_normal: 3.0, init.he_uniform: 1.8,
            init.xavier_normal: 3.0, init.xavier_uniform: 1.8}


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
    with pytest.raises(ValueError, match=r"init: unknown name 'glorot'; known are \['he'"):
        init.get("glorot")
