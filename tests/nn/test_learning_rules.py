"""The perceptron rule and the delta rule."""

import numpy as np
import pytest

import autograd_core as ag
import nn

X = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], float)
AND, OR, XOR = [0, 0, 0, 1], [0, 1, 1, 1], [0, 1, 1, 0]


def value(t):
    return t.numpy(force=True)


def points(n=40, seed=0):
    """Classes that a plane separates with a margin."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n * 4, 3))
    score = x @ np.array([1.0, -2.0, 0.5]) + 0.3
    chosen = np.abs(score) > 0.4
    return x[chosen][:n], (score[chosen][:n] > 0).astype(int)


def test_the_rules_are_their_equations():
    rng = np.random.default_rng(0)
    w, b, x, d = rng.standard_normal(3), 0.25, rng.standard_normal(3), 1.0
    y = float(w @ x + b > 0)
    new_w, new_b, error = nn.perceptron_rule(w, b, x, d, 0.5)
    assert error == d - y
    assert np.array_equal(new_w, w + 0.5 * (d - y) * x) and new_b == b + 0.5 * (d - y)
    e = d - (w @ x + b)
    new_w, new_b, error = nn.delta_rule(w, b, x, d, 0.1)
    assert error == pytest.approx(e)
    np.testing.assert_allclose(new_w, w + 0.1 * e * x)
    assert new_b == pytest.approx(b + 0.1 * e)


def test_the_delta_rule_descends_the_gradient_of_half_the_squared_error():
    rng = np.random.default_rng(0)
    w, b, x, d = rng.standard_normal((3, 2)), np.ones(2), rng.standard_normal(3), np.ones(2)
    slope_w, slope_b = ag.grad(lambda w, b: 0.5 * np.square(d - (x @ w + b)).sum(), (0, 1))(w, b)
    new_w, new_b, _ = nn.delta_rule(w, b, x, d, 0.1)
    np.testing.assert_allclose(new_w, w - 0.1 * slope_w, rtol=1e-12)
    np.testing.assert_allclose(new_b, b - 0.1 * slope_b, rtol=1e-12)


@pytest.mark.parametrize("rule", [nn.perceptron_rule, nn.delta_rule])
def test_rules_record_and_compile(rule):
    w, b, x = np.array([1.0, -2.0]), np.float64(0.5), np.array([0.5, 3.0])
    expected = rule(w, b, x, 1.0, 0.1)
    leaves = [ag.tensor(v, requires_grad=True) for v in (w, b)]
    found = rule(*leaves, x, 1.0, 0.1)
    assert all(isinstance(t, ag.Tensor) for t in found)
    assert leaves[0] in ag.Graph(found[0]).inputs
    for a, t, c in zip(expected, found, ag.compile(rule)(w, b, x, 1.0, 0.1), strict=True):
        np.testing.assert_allclose(value(t), a)
        np.testing.assert_allclose(c, a)


@pytest.mark.parametrize("targets", [AND, OR])
@pytest.mark.parametrize("make", [
    lambda: nn.Neuron(2, rng=0), lambda: nn.Perceptron(2), lambda: nn.Linear(2, 1, rng=0),
])
def test_a_perceptron_learns_what_a_line_separates(make, targets):
    model = make()
    shape = (-1, 1) if isinstance(model, nn.Linear) else (-1,)
    history = nn.perceptron_fit(model, X, np.reshape(targets, shape))
    assert history.converged and history["errors"][-1] == 0 < sum(history["errors"]) < 40
    score = X @ value(model.weight) + value(model.bias)
    assert np.array_equal(np.ravel(score) > 0, np.array(targets) == 1)


def test_the_number_of_corrections_is_bounded_by_novikoff():
    x, d = points()
    model = nn.Perceptron(3, dtype=np.float64)
    history = nn.perceptron_fit(model, x, d, epochs=1000)
    whole = np.hstack([x, np.ones((len(x), 1))])
    separating = np.array([1.0, -2.0, 0.5, 0.3])
    margin = (np.abs(whole @ separating) / np.linalg.norm(separating)).min()
    radius = np.linalg.norm(whole, axis=1).max()
    assert history.converged and sum(history["errors"]) <= (radius / margin) ** 2


def test_xor_never_converges_and_says_so():
    model = nn.Perceptron(2)
    with pytest.warns(RuntimeWarning, match="no plane may separate the classes") as caught:
        history = nn.perceptron_fit(model, X, XOR, epochs=50)
    assert caught[0].filename == __file__
    assert history.converged is False and len(history) == 50 and min(history["errors"]) > 0


def test_several_units_learn_at_once():
    model = nn.Linear(2, 2, rng=0)
    history = nn.perceptron_fit(model, X, np.transpose([AND, OR]))
    assert history.converged
    assert np.array_equal(value(model(X)) > 0, np.transpose([AND, OR]) == 1)


def test_the_order_follows_from_the_seed():
    x, d = points()

    def run(seed):
        model = nn.Perceptron(3)
        nn.perceptron_fit(model, x, d, seed=seed, epochs=500)
        return value(model.weight).tolist()

    assert run(1) == run(1) != run(2)
    assert run(None) == run(None)


def test_the_delta_rule_finds_the_least_squares():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((50, 3))
    y = x @ np.array([1.0, -2.0, 3.0]) + 0.5
    model = nn.LinearNeuron(3, dtype=np.float64)
    history = nn.delta_fit(model, x, y, lr=0.05, epochs=500, tolerance=1e-20)
    assert history.converged and len(history) < 500
    np.testing.assert_allclose(value(model.weight), [1, -2, 3], rtol=1e-8)
    assert value(model.bias) == pytest.approx(0.5)


def test_the_delta_rule_on_xor_ends_at_one_half():
    """The best that a linear unit can: 1/2 everywhere (Goodfellow et al., section 6.1)."""
    model = nn.LinearNeuron(2, init=nn.init.given([[1.0], [-1.0]]), dtype=np.float64)
    history = nn.delta_fit(model, X, XOR, lr=0.01, epochs=2000)
    np.testing.assert_allclose(value(model(X)), 0.5, atol=0.02)
    assert history.converged is False


def test_a_rate_that_is_too_large_is_reported_and_nothing_is_changed():
    model = nn.LinearNeuron(2, dtype=np.float64)
    with pytest.raises(FloatingPointError, match=r"learning rate 5\.0 is too large"):
        nn.delta_fit(model, X, AND, lr=5.0, epochs=1000)
    assert value(model.weight).tolist() == [0, 0]


@pytest.mark.parametrize(("call", "error", "message"), [
    (lambda: nn.perceptron_fit(nn.Perceptron(2), X, [0, 1, 2, 0]), ValueError, "0 or 1, got 2"),
    (lambda: nn.perceptron_fit(nn.Perceptron(3), X, AND), ag.ShapeError,
     r"weight of shape \(3,\) needs X .*got \(4, 2\)"),
    (lambda: nn.delta_fit(nn.Linear(2, 1), X, AND), ag.ShapeError, r"\(4, 2\) and \(4,\)"),
    (lambda: nn.delta_fit(nn.MLP([2, 2, 1]), X, AND), TypeError, "a weight and a bias alone"),
    (lambda: nn.perceptron_fit(nn.Perceptron(2), X * np.nan, AND), ValueError, "NaN"),
    (lambda: nn.delta_fit(nn.Perceptron(2), X, AND, epochs=-1), ValueError, "epochs=-1"),
])
def test_what_they_refuse(call, error, message):
    with pytest.raises(error, match=message):
        call()
