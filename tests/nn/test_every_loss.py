"""Every loss is its formula, under every option, in value and in slope, eager and compiled."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

import autograd_core as ag
import nn
from nn import losses

N, CLASSES = 5, 3


def normal(rng, dtype, *shape):
    return rng.standard_normal(shape).astype(dtype)


def unit(rng, dtype, *shape):
    return rng.uniform(0.05, 0.95, shape).astype(dtype)


def signs(rng, dtype, *shape):
    return rng.choice([-1.0, 1.0], shape).astype(dtype)


def logs_of_probabilities(rng, dtype, *shape):
    z = rng.standard_normal(shape)
    return (z - np.log(np.exp(z).sum(-1, keepdims=True))).astype(dtype)


def distributions(rng, dtype, *shape):
    return np.exp(logs_of_probabilities(rng, dtype, *shape))


def labels(rng, dtype, *shape):
    return rng.integers(0, CLASSES, shape)


def counts(rng, dtype, *shape):
    return rng.poisson(3, shape)


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def each_row(f):
    return lambda a, b: np.array([f(*rows) for rows in zip(a, b, strict=True)])


def mixture(raw, t):
    k, d = 2, len(t)
    weights = np.exp(raw[:k]) / np.exp(raw[:k]).sum()
    means, scales = raw[k : k + k * d].reshape(k, d), np.exp(raw[k + k * d :]).reshape(k, d)
    densities = np.exp(-((t - means) ** 2) / (2 * scales**2)) / (math.sqrt(2 * math.pi) * scales)
    return -math.log((weights * densities.prod(1)).sum())


@dataclass(frozen=True)
class Loss:
    """``formula(prediction, target)`` gives the losses one by one."""

    f: Callable[..., Any]
    prediction: tuple[Any, tuple[int, ...]]
    target: tuple[Any, tuple[int, ...]]
    formula: Callable[[Any, Any], np.ndarray]
    options: dict[str, Any] = field(default_factory=dict)

    def sample(self, dtype=np.float64, seed=0):
        rng = np.random.default_rng(seed)
        return [make(rng, dtype, *shape) for make, shape in (self.prediction, self.target)]

    def __call__(self, *args, **options):
        return self.f(*args, **self.options, **options)


def smoothed(y, epsilon):
    return y * (1 - epsilon) + epsilon / 2


def smoothed_nll(log_p, y, epsilon):
    q = np.eye(CLASSES)[y] * (1 - epsilon) + epsilon / CLASSES
    return -(q * log_p).sum(-1)


def log_softmax(z):
    return z - np.log(np.exp(z).sum(-1, keepdims=True))


GRID, BATCH = (N, 2), (N, CLASSES)
EVERY: dict[str, Loss] = {
    "mse": Loss(losses.mse, (normal, GRID), (normal, GRID), lambda p, t: (p - t) ** 2),
    "mae": Loss(losses.mae, (normal, GRID), (normal, GRID), lambda p, t: np.abs(p - t)),
    "huber": Loss(losses.huber, (normal, GRID), (normal, GRID), lambda p, t: np.where(
        np.abs(p - t) <= 1, (p - t) ** 2 / 2, np.abs(p - t) - 0.5)),
    "huber 0.3": Loss(losses.huber, (normal, GRID), (normal, GRID), lambda p, t: np.where(
        np.abs(p - t) <= 0.3, (p - t) ** 2 / 2, 0.3 * (np.abs(p - t) - 0.15)), {"delta": 0.3}),
    "pinball": Loss(losses.pinball, (normal, GRID), (normal, GRID),
                    lambda p, t: np.abs(p - t) / 2),
    "pinball 0.9": Loss(losses.pinball, (normal, GRID), (normal, GRID), lambda p, t: np.where(
        t >= p, 0.9 * (t - p), 0.1 * (p - t)), {"quantile": 0.9}),
    "bce": Loss(losses.bce, (unit, GRID), (unit, GRID),
                lambda p, y: -(y * np.log(p) + (1 - y) * np.log(1 - p))),
    "bce smoothed": Loss(
        losses.bce, (unit, GRID), (unit, GRID),
        lambda p, y: -(smoothed(y, 0.1) * np.log(p) + (1 - smoothed(y, 0.1)) * np.log(1 - p)),
        {"label_smoothing": 0.1}),
    "bce_with_logits": Loss(
        losses.bce_with_logits, (normal, GRID), (unit, GRID),
        lambda z, y: -(y * np.log(sigmoid(z)) + (1 - y) * np.log(1 - sigmoid(z)))),
    "bce_with_logits smoothed": Loss(
        losses.bce_with_logits, (normal, GRID), (unit, GRID),
        lambda z, y: -(smoothed(y, 0.3) * np.log(sigmoid(z))
                       + (1 - smoothed(y, 0.3)) * np.log(1 - sigmoid(z))),
        {"label_smoothing": 0.3}),
    "cross_entropy": Loss(losses.cross_entropy, (normal, BATCH), (labels, (N,)),
                          lambda z, y: smoothed_nll(log_softmax(z), y, 0)),
    "cross_entropy smoothed": Loss(
        losses.cross_entropy, (normal, BATCH), (labels, (N,)),
        lambda z, y: smoothed_nll(log_softmax(z), y, 0.2), {"label_smoothing": 0.2}),
    "cross_entropy of sequences": Loss(
        losses.cross_entropy, (normal, (N, 4, CLASSES)), (labels, (N, 4)),
        lambda z, y: smoothed_nll(log_softmax(z), y, 0)),
    "nll": Loss(losses.nll, (logs_of_probabilities, BATCH), (labels, (N,)),
                lambda p, y: smoothed_nll(p, y, 0)),
    "nll smoothed": Loss(losses.nll, (logs_of_probabilities, BATCH), (labels, (N,)),
                         lambda p, y: smoothed_nll(p, y, 0.2), {"label_smoothing": 0.2}),
    "gaussian_nll": Loss(
        lambda p, t, **o: losses.gaussian_nll(p[:, :2], t, np.exp(p[:, 2:]), **o),
        (normal, (N, 4)), (normal, GRID),
        lambda p, t: (p[:, 2:] + (t - p[:, :2]) ** 2 / np.exp(p[:, 2:])) / 2),
    "gaussian_nll of logarithms": Loss(
        lambda p, t, **o: losses.gaussian_nll(p[:, :2], t, log_variance=p[:, 2:], full=True, **o),
        (normal, (N, 4)), (normal, GRID),
        lambda p, t: -np.log(np.exp(-((t - p[:, :2]) ** 2) / (2 * np.exp(p[:, 2:])))
                             / np.sqrt(2 * math.pi * np.exp(p[:, 2:])))),
    "poisson_nll": Loss(losses.poisson_nll, (normal, GRID), (counts, GRID),
                        lambda z, t: np.exp(z) - t * z),
    "poisson_nll of rates": Loss(losses.poisson_nll, (unit, GRID), (counts, GRID),
                                 lambda r, t: r - t * np.log(r), {"log_input": False}),
    "hinge": Loss(losses.hinge, (normal, GRID), (signs, GRID),
                  lambda z, t: np.maximum(0, 1 - t * z)),
    "perceptron": Loss(losses.perceptron, (normal, GRID), (signs, GRID),
                       lambda z, t: np.maximum(0, -t * z)),
    "kl_div": Loss(losses.kl_div, (logs_of_probabilities, BATCH), (distributions, BATCH),
                   lambda q, p: (p * (np.log(p) - q)).sum(-1)),
    "mdn_nll": Loss(losses.mdn_nll, (normal, (N, 2 * (1 + 2 * 3))), (normal, (N, 3)),
                    each_row(mixture)),
}
each_loss = pytest.mark.parametrize("name", EVERY)


def value(t):
    return t.numpy(force=True) if isinstance(t, ag.Tensor) else np.asarray(t)


def test_the_table_holds_every_loss():
    public = set(losses.__all__) - {"get", "check_labels"}
    assert {name.split()[0] for name in EVERY} == public
    for name in public - {"gaussian_nll"}:  # which takes three arguments
        assert losses.get(name) is getattr(losses, name)


# Values. -----------------------------------------------------------------------------------------


@each_loss
@pytest.mark.parametrize("wrapped", [False, True])
def test_it_is_its_formula(name, wrapped):
    loss = EVERY[name]
    prediction, target = loss.sample()
    expected = loss.formula(prediction, target)
    given = ag.tensor(prediction, requires_grad=True) if wrapped else prediction
    options = {"rtol": 1e-12, "atol": 1e-14}
    np.testing.assert_allclose(value(loss(given, target, reduction="none")), expected, **options)
    np.testing.assert_allclose(value(loss(given, target, reduction="sum")), expected.sum(),
                               **options)
    np.testing.assert_allclose(value(loss(given, target)), expected.mean(), **options)


@each_loss
def test_weights_of_samples(name):
    """A sample of weight 2 counts as two samples, one of weight 0 as none."""
    loss = EVERY[name]
    prediction, target = loss.sample()
    expected = loss.formula(prediction, target)
    times = np.array([2, 0, 1, 1, 3])
    whole = loss(np.repeat(prediction, times, 0), np.repeat(target, times, 0))
    for weights in (times, times.astype(np.float32), ag.tensor(times * 1.0)):
        assert value(loss(prediction, target, sample_weight=weights)) == pytest.approx(
            value(whole), rel=1e-12)
    across = times.reshape(-1, *[1] * (expected.ndim - 1)) * expected
    np.testing.assert_allclose(
        value(loss(prediction, target, sample_weight=times, reduction="none")), across, rtol=1e-12,
        atol=1e-14)
    assert value(loss(prediction, target, sample_weight=times, reduction="sum")) == pytest.approx(
        across.sum(), rel=1e-12)
    own = np.random.default_rng(3).uniform(0, 2, expected.shape)
    assert value(loss(prediction, target, sample_weight=own)) == pytest.approx(
        (own * expected).sum() / own.sum(), rel=1e-12)


@pytest.mark.parametrize("name", ["cross_entropy", "nll", "cross_entropy of sequences"])
def test_weights_of_classes(name):
    loss = EVERY[name]
    prediction, target = loss.sample()
    weights = np.array([1.0, 3.0, 0.5])
    expected, w = loss.formula(prediction, target), weights[target]
    for given in (weights, weights.tolist(), ag.tensor(weights)):
        assert value(loss(prediction, target, class_weight=given)) == pytest.approx(
            (w * expected).sum() / w.sum(), rel=1e-12)
    both = np.array([2, 0, 1, 1, 3.0]).reshape(-1, *[1] * (w.ndim - 1))
    assert value(loss(prediction, target, class_weight=weights, sample_weight=both.ravel())
                 ) == pytest.approx((both * w * expected).sum() / (both * w).sum(), rel=1e-12)


@pytest.mark.parametrize("name", ["bce", "bce_with_logits"])
def test_weights_of_the_two_classes(name):
    loss = EVERY[name]
    prediction, y = loss.sample()
    ones, zeros = np.ones_like(y), np.zeros_like(y)
    of_one, of_zero = loss.formula(prediction, ones), loss.formula(prediction, zeros)
    expected = 3 * y * of_one + 0.5 * (1 - y) * of_zero
    scale = 3 * y + 0.5 * (1 - y)
    np.testing.assert_allclose(
        value(loss(prediction, y, class_weight=[0.5, 3], reduction="none")), expected, rtol=1e-12)
    assert value(loss(prediction, y, class_weight=[0.5, 3])) == pytest.approx(
        expected.sum() / scale.sum(), rel=1e-12)


# Slopes. -----------------------------------------------------------------------------------------


@each_loss
@pytest.mark.parametrize("options", [{}, {"reduction": "sum"}, {"sample_weight": [2, 0, 1, 1, 3]}],
                         ids=str)
def test_its_derivatives_are_those_of_differences(name, options):
    loss = EVERY[name]
    prediction, target = loss.sample()
    ag.check_grads(lambda p: loss(p, target, **options), prediction, order=2)


@pytest.mark.parametrize("name", ["mse", "mae", "huber", "pinball", "bce", "bce_with_logits",
                                  "kl_div", "mdn_nll", "gaussian_nll"])
def test_targets_have_gradients_too(name):
    loss = EVERY[name]
    prediction, target = loss.sample()
    if name == "kl_div":
        ag.check_grads(lambda t: loss(prediction, t / t.sum(-1, keepdims=True)), target)
    else:
        ag.check_grads(lambda t: loss(prediction, t), target)


@each_loss
def test_single_precision_stays(name):
    loss = EVERY[name]
    prediction, target = loss.sample(np.float32)
    leaf = ag.tensor(prediction, requires_grad=True)
    weights = np.array([2, 0, 1, 1, 3])
    for options in ({}, {"sample_weight": weights}):
        result = loss(leaf, target, **options)
        widths = {n.dtype for n in ag.Graph(result).nodes if n.dtype.kind == "f"}
        assert widths == {np.dtype(np.float32)}
        leaf.zero_grad()
        result.backward()
        assert leaf.grad.dtype == np.float32
    double = loss(prediction.astype(float), target)
    assert value(loss(leaf, target)) == pytest.approx(value(double), rel=1e-5)


# At the hard points. ------------------------------------------------------------------------------


def slope(f, x):
    return ag.grad(f)(x)


def test_slopes_at_kinks():
    zero = np.zeros(())
    assert slope(lambda p: losses.mae(p, zero), 0.0) == 0
    assert slope(lambda p: losses.huber(p, zero), 1.0) == 1
    assert slope(lambda p: losses.huber(p, zero), -1.0) == -1
    assert ag.grad(ag.grad(lambda p: losses.huber(p, zero)))(0.0) == 1
    for q in (0.1, 0.5, 0.9):
        assert slope(lambda p, q=q: losses.pinball(p, zero, quantile=q), 0.0) == 0
        assert slope(lambda p, q=q: losses.pinball(p, zero, quantile=q), 1.0) == -(q - 1)
        assert slope(lambda p, q=q: losses.pinball(p, zero, quantile=q), -1.0) == -q
    for t in (-1.0, 1.0):
        t = np.array(t)
        assert slope(lambda z, t=t: losses.hinge(z, t), float(t)) == 0
        assert slope(lambda z, t=t: losses.hinge(z, t), 0.0) == -t
        assert slope(lambda z, t=t: losses.perceptron(z, t), 0.0) == -t  # undecided is wrong
        assert slope(lambda z, t=t: losses.perceptron(z, t), float(t)) == 0


@pytest.mark.parametrize("q", [0.05, 0.5, 0.8])
def test_pinball_is_least_at_the_quantile(q):
    """And its slope there counts: (1 - q) of those below, -q of those above."""
    targets = np.random.default_rng(0).exponential(size=201)

    def total(c):
        return losses.pinball(c * np.ones(201), targets, quantile=q, reduction="sum")

    costs = [float(total(c)) for c in targets]
    best = targets[np.argmin(costs)]
    assert best == np.quantile(targets, q, method="inverted_cdf")
    below, above = (targets < best).sum(), (targets > best).sum()
    assert slope(total, float(best)) == pytest.approx((1 - q) * below - q * above, abs=1e-9)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("p", "y", "expected", "slope"), [
    (0.0, 0.0, 0.0, 1.0), (1.0, 1.0, 0.0, -1.0), (0.0, 1.0, 100.0, 0.0), (1.0, 0.0, 100.0, 0.0),
    (0.5, 1.0, math.log(2), -2.0), (1e-30, 0.0, 1e-30, 1.0),
])
def test_bce_at_the_ends(p, y, expected, slope, dtype):
    leaf = ag.tensor(np.array([p], dtype), requires_grad=True)
    loss = losses.bce(leaf, np.array([y], dtype))
    loss.backward()
    assert loss.item() == pytest.approx(expected, rel=1e-6, abs=0)
    assert leaf.grad[0] == pytest.approx(slope, rel=1e-6)


def test_bce_agrees_with_that_of_logits():
    z, y = np.linspace(-15, 15, 31), np.random.default_rng(0).uniform(0, 1, 31)
    assert value(losses.bce(ag.sigmoid(z), y)) == pytest.approx(
        value(losses.bce_with_logits(z, y)), rel=1e-10)


def test_kl_div_of_certain_targets():
    """0 ln 0 is 0, in slope as in value."""
    p, log_q = np.array([[0.0, 1.0, 0.0]]), np.log([[0.25, 0.5, 0.25]])
    assert value(losses.kl_div(log_q, p)) == pytest.approx(math.log(2))
    np.testing.assert_array_equal(slope(lambda q: losses.kl_div(q, p), log_q), -p)
    assert np.isfinite(slope(lambda t: losses.kl_div(log_q, t), p)).all()
    assert value(losses.kl_div(np.log(np.full((1, 3), 1 / 3)), np.full((1, 3), 1 / 3))) == (
        pytest.approx(0, abs=1e-15))


def test_mdn_nll_far_from_all_components():
    """A density that rounds to 0 has a logarithm nevertheless, and a slope."""
    raw = np.array([[0.0, 0.0, -1.0, 1.0, 0.0, 0.0]])  # means -1 and 1
    leaf = ag.tensor(raw, requires_grad=True)
    loss = losses.mdn_nll(leaf, np.array([[101.0]]))
    loss.backward()
    assert loss.item() == pytest.approx(5000 + math.log(2) + math.log(2 * math.pi) / 2, rel=1e-12)
    np.testing.assert_allclose(leaf.grad[0, 2:4], [0, -100], atol=1e-12)


def test_extreme_logits_of_cross_entropy_with_options():
    z = ag.tensor([[1000.0, 0.0, -1000.0]], requires_grad=True)
    loss = losses.cross_entropy(z, np.array([2]), label_smoothing=0.3, class_weight=[1, 1, 2.0])
    loss.backward()
    # 0.7 * 2 * 2000 + 0.1 (1000 + 2 * 2000), divided by the weight of the label
    assert loss.item() == pytest.approx((2800 + 500) / 2) and np.isfinite(z.grad).all()


# Compiled. ----------------------------------------------------------------------------------------


@each_loss
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("weighted", [False, True])
def test_compiled_is_eager_for_twenty_steps(name, dtype, weighted):
    """The predictions themselves are what is trained, through a form that keeps their domain."""
    loss = EVERY[name]
    start, _ = loss.sample(dtype)
    domain = loss.prediction[0]
    fit = {normal: lambda z: z, unit: ag.sigmoid,
           logs_of_probabilities: lambda z: ag.log_softmax(z, axis=-1)}[domain]

    def training():
        p = nn.Parameter(start)
        optimizer = nn.optim.SGD([p], lr=0.05)

        def step(target, weights):
            optimizer.zero_grad()
            options = {"sample_weight": weights} if weighted else {}
            result = loss(fit(p), target, **options)
            result.backward()
            optimizer.step()
            return result.detach()

        return p, step

    (p, eager), (q, plain) = training(), training()
    step = ag.compile(plain)
    tolerance = {"rtol": 1e-11, "atol": 1e-13} if dtype == np.float64 else {
        "rtol": 1e-4, "atol": 1e-5}
    for seed in range(20):
        _, target = loss.sample(dtype, seed)
        weights = np.random.default_rng(seed).uniform(0, 2, N).astype(dtype)
        np.testing.assert_allclose(step(target, weights).item(),
                                   eager(ag.tensor(target), weights).item(), **tolerance)
    np.testing.assert_allclose(value(q), value(p), **tolerance)
    np.testing.assert_allclose(q.grad, p.grad, **tolerance)
    assert step.recompiles == 0


# Bad input. ---------------------------------------------------------------------------------------

BAD = {
    "bce prediction": ("bce", "prediction", 1.5, "prediction is a probability.* 1.5"),
    "bce target": ("bce", "target", -0.25, "target is a probability.* -0.25"),
    "bce_with_logits": ("bce_with_logits", "target", 2.0, "target is a probability.* 2.0"),
    "not a number": ("bce_with_logits", "target", math.nan, "target is a probability.* nan"),
    "cross_entropy": ("cross_entropy", "target", 3, "label 3 is out of range for 3 classes"),
    "nll": ("nll", "target", -1, "nll: label -1 is out of range for 3 classes"),
    "hinge": ("hinge", "target", 0.0, r"targets are -1 or 1.* 0.0.*`2 \* labels - 1`"),
    "perceptron": ("perceptron", "target", 2.0, "targets are -1 or 1.* 2.0"),
    "kl_div": ("kl_div", "target", 1.25, "p is a probability.* 1.25"),
    "poisson_nll": ("poisson_nll", "target", -1, "target must not be negative, got -1"),
    "a rate": ("poisson_nll of rates", "prediction", 0.0, "rate must be positive, got 0.0"),
}


@pytest.mark.parametrize("case", BAD)
@pytest.mark.parametrize("wrap", [np.asarray, ag.tensor], ids=["array", "tensor"])
def test_what_is_out_of_range_raises(case, wrap):
    name, which, wrong, message = BAD[case]
    loss = EVERY[name]
    prediction, target = loss.sample()
    (prediction if which == "prediction" else target)[(2,) + (0,) * (
        (prediction if which == "prediction" else target).ndim - 1)] = wrong
    with pytest.raises(ValueError, match=message) as caught:
        loss(wrap(prediction), wrap(target))
    assert str(caught.value).startswith(name.split()[0])


@pytest.mark.parametrize("case", [c for c in BAD if BAD[c][1] == "target"])
def test_and_does_so_compiled_before_anything_changes(case):
    name, _, wrong, message = BAD[case]
    loss = EVERY[name]
    prediction, target = loss.sample()
    p = nn.Parameter(prediction)
    optimizer = nn.optim.Adam([p])

    @ag.compile
    def step(target):
        optimizer.zero_grad()
        result = loss(p, target)
        result.backward()
        optimizer.step()
        return result.detach()

    step(target)
    before = np.array(value(p))
    bad = target.copy()
    bad[(2,) + (0,) * (target.ndim - 1)] = wrong
    with pytest.raises(ValueError, match=message):
        step(bad)
    assert np.array_equal(value(p), before) and optimizer.steps == 1
    step(target)
    assert optimizer.steps == 2 and not np.array_equal(value(p), before)


@pytest.mark.parametrize(("weights", "error", "message"), [
    (np.ones(4), ag.ShapeError, r"sample_weight has shape \(4,\).*\(5,\) or \(5, 2\)"),
    (np.ones((5, 1)), ag.ShapeError, "sample_weight has shape"),
    (1.0, ag.ShapeError, "sample_weight has shape"),
    ([1, 1, -1, 1, 1], ValueError, "finite and not negative, got -1"),
    ([1, 1, math.inf, 1, 1], ValueError, "finite and not negative, got inf"),
    ([1, 1, math.nan, 1, 1], ValueError, "finite and not negative, got nan"),
    (np.zeros(5), ValueError, "0 everywhere"),
], ids=str)
def test_weights_that_make_no_sense(weights, error, message):
    with pytest.raises(error, match=message):
        losses.mse(*EVERY["mse"].sample(), sample_weight=weights)


def test_weights_are_checked_compiled():
    f = ag.compile(lambda p, t, w: losses.mse(p, t, sample_weight=w))
    p, t = EVERY["mse"].sample()
    f(p, t, np.ones(5))
    with pytest.raises(ValueError, match="not negative"):
        f(p, t, -np.ones(5))


@pytest.mark.parametrize(("call", "error", "message"), [
    (lambda p, t: losses.mse(p, t, reduction="average"), ValueError, "'mean', 'sum' or 'none'"),
    (lambda p, t: losses.huber(p, t, delta=0), ValueError, "delta must be positive"),
    (lambda p, t: losses.pinball(p, t, quantile=0), ValueError, "quantile must be between 0 and 1"),
    (lambda p, t: losses.pinball(p, t, quantile=1.0), ValueError, "between 0 and 1, got 1.0"),
    (lambda p, t: losses.gaussian_nll(p, t), TypeError, "either variance or log_variance"),
    (lambda p, t: losses.gaussian_nll(p, t, t**2, log_variance=t), TypeError, "either"),
    (lambda p, t: losses.gaussian_nll(p, t, -(t**2)), ValueError, "variance must be positive"),
    (lambda p, t: losses.gaussian_nll(p, t, np.ones(5)), ag.ShapeError, r"variance \(5,\)"),
    (lambda p, t: losses.bce_with_logits(p, p > 0, label_smoothing=2), ValueError, "label_smooth"),
    (lambda p, t: losses.bce_with_logits(p, p > 0, class_weight=[1, 2, 3]), ag.ShapeError,
     r"class_weight has shape \(3,\); there are 2"),
    (lambda p, t: losses.bce_with_logits(p, p > 0, class_weight=[1, -2]), ValueError, "negative"),
    (lambda p, t: losses.mdn_nll(p, t[:, 0]), ag.ShapeError, r"target\[:, None\]"),
    (lambda p, t: losses.mdn_nll(p, t), ag.ShapeError, r"2 columns.*targets of 2.*K \(1 \+ 2 \* 2"),
    (lambda p, t: losses.kl_div(p, t[:, :1]), ag.ShapeError, "must be equal"),
])
def test_other_nonsense(call, error, message):
    prediction, target = EVERY["mse"].sample()
    with pytest.raises(error, match=message):
        call(prediction, target)


@pytest.mark.parametrize("name", [n for n in EVERY if " " not in n])
def test_a_shape_that_differs_raises(name):
    loss = EVERY[name]
    prediction, target = loss.sample()
    for wrong in (target[:-1], target[..., None]):
        with pytest.raises(ag.ShapeError):
            loss(ag.tensor(prediction), wrong)


def test_an_empty_batch_has_a_sum():
    empty = np.ones((0, 2))
    assert losses.mse(empty, empty, reduction="sum") == 0
    with pytest.raises(ag.ShapeError, match="has no mean"):
        losses.mse(empty, empty)
