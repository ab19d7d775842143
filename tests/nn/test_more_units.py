"""Units: what their formulas do not say."""

import numpy as np
import pytest

import autograd_core as ag
import nn

XOR = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32)


def value(t):
    return t.numpy(force=True) if isinstance(t, ag.Tensor) else np.asarray(t)


def test_the_oracle_solves_xor_exactly():
    network = nn.networks.xor_oracle()
    assert repr(network) == repr(nn.MLP([2, 2, 1]))
    assert value(network(XOR)).tolist() == [[0], [1], [1], [0]]
    hidden, relu, output = network
    assert value(hidden(XOR)).tolist() == [[0, -1], [1, 0], [1, 0], [2, 1]]
    assert value(relu(hidden(XOR))).tolist() == [[0, 0], [1, 0], [1, 0], [2, 1]]
    assert value(output.weight).tolist() == [[1], [-2]] and value(output.bias).tolist() == [0]
    assert {p.dtype for p in nn.networks.xor_oracle(np.float64).parameters()} == {
        np.dtype(np.float64)}
    loss = nn.losses.mse(network(XOR), np.array([[0], [1], [1], [0]]))
    loss.backward()  # it is a minimum
    assert loss.item() == 0 and not any(p.grad.any() for p in network.parameters())


def test_given_weights_make_the_same_network():
    network = nn.Sequential(
        nn.Linear(2, 2, init=nn.init.given([[1, 1], [1, 1]])), nn.ReLU(),
        nn.Linear(2, 1, init=nn.init.given([[1], [-2]])),
    )
    network[0].bias.assign(np.array([0, -1]))
    assert value(network(XOR)).tolist() == [[0], [1], [1], [0]]
    with pytest.raises(ValueError, match=r"weights of shape \(2, 2\) where \(2, 3\) is asked"):
        nn.Linear(2, 3, init=nn.init.given(np.ones((2, 2))))


def test_a_perceptron_that_starts_with_zeros_learns_by_its_criterion():
    """One sample at a time at rate 1 is the perceptron rule, written out here."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((40, 2))
    labels = (x @ [1.0, -2.0] + 0.3 > 0).astype(int)
    unit = nn.Perceptron(2, dtype=np.float64)
    optimizer = nn.optim.SGD(unit.parameters(), lr=1.0)
    w, b = np.zeros(2), 0.0
    for _ in range(30):
        for row, label in zip(x, labels, strict=True):
            sign = 2 * label - 1
            optimizer.zero_grad()
            nn.losses.perceptron(unit.score(row), np.array(sign)).backward()
            optimizer.step()
            if sign * (w @ row + b) <= 0:
                w, b = w + sign * row, b + sign
        np.testing.assert_allclose(value(unit.weight), w, rtol=1e-12)
    assert (value(unit(x)) == labels).all() and value(unit.bias) == b


def test_a_perceptrons_output_has_slope_zero():
    unit = nn.Perceptron(2)
    unit(np.ones((3, 2), np.float32)).sum().backward()
    assert not unit.weight.grad.any()


def test_a_linear_neuron_learns_by_the_delta_rule():
    rng = np.random.default_rng(0)
    x, d = rng.standard_normal((5, 3)), rng.standard_normal(5)
    unit = nn.LinearNeuron(3, dtype=np.float64)
    optimizer = nn.optim.SGD(unit.parameters(), lr=0.1)
    w, b = np.zeros(3), 0.0
    for row, target in zip(x, d, strict=True):
        optimizer.zero_grad()
        (0.5 * nn.losses.mse(unit(row), np.array(target))).backward()
        optimizer.step()
        error = target - (w @ row + b)
        w, b = w + 0.1 * error * row, b + 0.1 * error
        np.testing.assert_allclose(value(unit.weight), w, rtol=1e-12)


def test_an_rbf_unit_is_exact_near_its_centre():
    """‖w‖² - 2 w · x + ‖x‖² would have no digits left: 1e-4² against 1e8."""
    unit = nn.RBF(2, 1, init=nn.init.given([[1e4], [1e4]]), sigma=1.0, dtype=np.float64)
    x = np.array([[1e4 + 1e-4, 1e4]])
    assert 1 - value(unit(x))[0, 0] == pytest.approx(1e-8, rel=1e-3)
    assert value(unit(np.full((1, 2), 1e4)))[0, 0] == 1
    with pytest.raises(ValueError, match="sigma must be positive"):
        nn.RBF(2, 1, sigma=0)


def test_centres_taken_from_the_data():
    x = np.random.default_rng(0).standard_normal((6, 2))
    layer = nn.RBF(2, 6, init=nn.init.given(x.T), dtype=np.float64)
    np.testing.assert_array_equal(np.diagonal(value(layer(x))), 1)


@pytest.mark.parametrize("wrap", [np.array, ag.tensor], ids=["array", "tensor"])
@pytest.mark.parametrize(("i", "error", "message"), [
    ([0, 5], ValueError, r"5 is out of range for 5 rows \(0 to 4\)"),
    ([-1, 0], ValueError, "-1 is out of range"),
    ([0.0, 1.0], TypeError, "must be integers, got float64"),
    ([True, False], TypeError, "must be integers, got bool"),
])
def test_what_an_embedding_refuses(wrap, i, error, message):
    with pytest.raises(error, match=f"Embedding: .*{message}"):
        nn.Embedding(5, 2, rng=0)(wrap(i))


def test_an_embedding_refuses_at_every_compiled_call():
    table = nn.Embedding(5, 2, rng=0)
    f = ag.compile(lambda i: table(i).sum())
    f(np.array([1, 2]))
    with pytest.raises(ValueError, match="7 is out of range"):
        f(np.array([1, 7]))


def test_the_gradient_of_a_row_adds_up():
    table = nn.Embedding(4, 2, rng=0)
    table(np.array([[1, 1], [3, 1]])).sum().backward()
    assert table.weight.grad.tolist() == [[0, 0], [3, 3], [0, 0], [1, 1]]


def test_what_flattens_an_empty_batch_keeps_its_features():
    assert nn.Flatten()(np.ones((0, 3, 4))).shape == (0, 12)
    assert nn.Flatten(0)(np.ones((2, 3))).shape == (6,)
    with pytest.raises(ag.ShapeError, match="without the 1 axes"):
        nn.Flatten()(np.ones(()))


@pytest.mark.parametrize("call", [
    lambda: nn.Residual(nn.Linear(3, 2, rng=0))(np.ones((4, 3), np.float32)),
    lambda: nn.Residual(nn.Linear(3, 1, rng=0))(np.ones((4, 3), np.float32)),
    lambda: nn.Bilinear(3, 2, 1)(np.ones((4, 3)), np.ones((1, 2))),
    lambda: nn.Bilinear(3, 2, 1)(np.ones((4, 2)), np.ones((4, 2))),
    lambda: nn.Ensemble([nn.Linear(3, 1), nn.Linear(3, 2)])(np.ones((4, 3))),
    lambda: nn.LayerNorm(3)(np.ones((4, 2))),
    lambda: nn.LayerNorm((2, 3))(np.ones(3)),
    lambda: nn.BatchNorm2d(3)(np.ones((4, 3))),
    lambda: nn.RBF(3, 2)(np.ones((4, 2))),
    lambda: nn.MaxoutLayer(3, 2)(np.ones((4, 2))),
    lambda: nn.Perceptron(3)(np.ones((4, 2))),
])
def test_shapes_that_would_broadcast_or_do_not_fit_raise(call):
    with pytest.raises(ag.ShapeError):
        call()


@pytest.mark.parametrize("make", [
    lambda: nn.Bilinear(0, 1, 1), lambda: nn.Embedding(0, 1), lambda: nn.LayerNorm(0),
    lambda: nn.BatchNorm1d(-1), lambda: nn.RBF(1, 0), lambda: nn.MaxoutLayer(1, 1, 0),
    lambda: nn.MixtureDensity(1, 0), lambda: nn.Perceptron(0), lambda: nn.LinearNeuron(0),
    lambda: nn.Ensemble([]), lambda: nn.Residual(), lambda: nn.LayerNorm(2, eps=0),
    lambda: nn.BatchNorm1d(2, momentum=0), lambda: nn.BatchNorm1d(2, eps=-1),
])
def test_sizes_and_settings_that_make_no_sense(make):
    with pytest.raises(ValueError, match=r"must|no models|needs a function"):
        make()


def test_a_residual_block_passes_the_gradient_on():
    block = nn.Residual(nn.Linear(3, 3, init="zeros"), nn.Tanh())
    x = ag.tensor(np.ones((2, 3), np.float32), requires_grad=True)
    block(x).sum().backward()
    assert (x.grad == 1).all()


def test_an_ensemble_is_better_than_its_members():
    """The squared error of the mean is at most the mean of the squared errors."""
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, (80, 1))
    y = np.sin(3 * x) + 0.4 * rng.standard_normal((80, 1))
    grid = np.linspace(-1, 1, 50)[:, None]
    members = []
    for i in range(4):
        model = nn.MLP([1, 12, 1], "tanh", rng=i, dtype=np.float64)
        chosen = np.random.default_rng(i).integers(0, 80, 80)
        nn.fit(model, x[chosen], y[chosen], epochs=40, seed=i, progress=False,
               optimizer=nn.optim.Adam(model.parameters(), lr=0.02))
        members.append(model)
    errors = [((nn.predict(m, grid) - np.sin(3 * grid)) ** 2).mean() for m in members]
    ensemble = nn.Ensemble(members)
    error = ((nn.predict(ensemble, grid) - np.sin(3 * grid)) ** 2).mean()
    assert error < np.mean(errors)
    assert len(ensemble.parameters()) == 16


def test_a_mixture_density_starts_with_components_that_differ():
    head = nn.MixtureDensity(2, components=5, rng=0)
    _, means, scales = head.parameters_of(head(np.zeros((1, 2), np.float32)))
    np.testing.assert_allclose(value(means).ravel(), np.linspace(-1, 1, 5))
    assert (value(scales) == 1).all()


def test_samples_of_a_mixture_have_its_distribution():
    head = nn.MixtureDensity(1, 2, components=2, rng=0, dtype=np.float64)
    row = np.concatenate([np.log([0.2, 0.8]), [-3, 0, 2, 1], np.log([0.5, 1, 0.1, 2])])
    raw = np.tile(row, (20_000, 1))
    y = head.sample(raw, rng=0)
    assert y.shape == (20_000, 2)
    first = y[:, 0] < 0
    assert first.mean() == pytest.approx(0.2, abs=0.015)
    np.testing.assert_allclose(y[first].mean(0), [-3, 0], atol=0.06)
    np.testing.assert_allclose(y[~first].mean(0), [2, 1], atol=0.06)
    np.testing.assert_allclose(y[first].std(0), [0.5, 1], rtol=0.05)
    np.testing.assert_allclose(y[~first].std(0), [0.1, 2], rtol=0.05)
    np.testing.assert_allclose(value(head.mean(raw))[0], [0.2 * -3 + 0.8 * 2, 0.8], rtol=1e-12)
    assert np.array_equal(y, head.sample(raw, rng=0))


def test_samples_are_drawn_afresh_at_every_compiled_call():
    head = nn.MixtureDensity(1, components=2, rng=0)
    source = np.random.default_rng(0)
    f = ag.compile(lambda raw: head.sample(raw, source))
    raw = np.zeros((3, 6), np.float32)
    first, second = value(f(raw)), value(f(raw))
    assert not np.array_equal(first, second) and first.dtype == np.float32
    again = np.random.default_rng(0)
    np.testing.assert_allclose(first, value(head.sample(raw, again)), rtol=1e-6)
    np.testing.assert_allclose(second, value(head.sample(raw, again)), rtol=1e-6)


# Dropout. -----------------------------------------------------------------------------------------


def test_dropout_keeps_the_mean_and_drops_at_its_rate():
    x = np.ones((200, 200), np.float32)
    for rate in (0.1, 0.5, 0.9):
        y = value(nn.Dropout(rate, rng=0)(x))
        assert y.dtype == np.float32
        assert set(np.unique(y).round(4)) == {0, np.float32(1 / (1 - rate)).round(4)}
        assert (y == 0).mean() == pytest.approx(rate, abs=0.01)


def test_dropout_does_nothing_in_evaluation_or_at_rate_zero():
    x = ag.tensor(np.ones(5))
    assert nn.Dropout(0.5).eval()(x) is x and nn.Dropout(0.0)(x) is x
    for rate in (-0.1, 1.0, float("nan")):
        with pytest.raises(ValueError, match=r"rate must be in \[0, 1\)"):
            nn.Dropout(rate)


def test_dropout_passes_the_gradient_where_it_passes_the_value():
    x = ag.tensor(np.random.default_rng(0).standard_normal((6, 4)), requires_grad=True)
    y = nn.Dropout(0.5, rng=3)(x)
    y.sum().backward()
    np.testing.assert_allclose(x.grad * value(x), value(y))
    assert set(np.unique(x.grad)) == {0, 2}


def test_dropout_draws_afresh_at_every_call_eager_compiled_and_replayed():
    x = ag.tensor(np.ones((4, 8)))
    eager, plain, replayed = (nn.Dropout(0.5, rng=1) for _ in range(3))
    assert repr(eager) == "Dropout(0.5)"
    f, graph = ag.compile(plain), ag.Graph(replayed(x))
    draws = []
    for i in range(4):
        draws.append(value(eager(x)))
        np.testing.assert_array_equal(value(f(x)), draws[-1])
        np.testing.assert_array_equal(graph.outputs[0].numpy() if not i else graph.fprop(),
                                      draws[-1])
    assert len({d.tobytes() for d in draws}) == 4
    plain.eval()
    assert value(f(x)).all() and f.recompiles == 1


def test_training_with_dropout_compiled_is_eager_training():
    histories = []
    for compiled in (False, True):
        source = np.random.default_rng(0)
        model = nn.Sequential(nn.Dropout(0.2, rng=source), nn.Linear(4, 16, rng=0), nn.ReLU(),
                              nn.Dropout(0.5, rng=source), nn.Linear(16, 1, rng=1))
        optimizer = nn.optim.Adam(model.parameters(), lr=0.01)

        def step(x, y, model=model, optimizer=optimizer):
            optimizer.zero_grad()
            loss = nn.losses.mse(model(x), y)
            loss.backward()
            optimizer.step()
            return loss.detach()

        run = ag.compile(step) if compiled else step
        rng = np.random.default_rng(1)
        histories.append([
            run(rng.standard_normal((8, 4)).astype(np.float32), np.ones((8, 1), np.float32)).item()
            for _ in range(20)])
    np.testing.assert_allclose(histories[1], histories[0], rtol=1e-4)


# Convolution and pooling. -------------------------------------------------------------------------


@pytest.mark.parametrize(("make", "error", "message"), [
    (lambda: nn.Conv2d(1, 1, 0), ValueError, "kernel is an integer from 1"),
    (lambda: nn.Conv2d(1, 1, (1, 2, 3)), ValueError, "kernel"),
    (lambda: nn.Conv2d(1, 1, 2, stride=0), ValueError, "stride"),
    (lambda: nn.Conv2d(1, 1, 2, padding=-1), ValueError, "padding is an integer from 0"),
    (lambda: nn.Conv2d(1, 1, 2, padding="full"), ValueError, "size or 'same'"),
    (lambda: nn.Conv2d(1, 1, 2, stride=2, padding="same"), ValueError, "needs stride 1"),
    (lambda: nn.MaxPool2d(3, padding=2), ValueError, "more than half"),
    (lambda: nn.Conv2d(3, 1, 2)(np.ones((2, 2, 4, 4))), ag.ShapeError, "3 channels"),
    (lambda: nn.Conv2d(3, 1, 2)(np.ones((3, 4, 4))), ag.ShapeError, r"shape \(3, 4, 4\)"),
    (lambda: nn.Conv2d(1, 1, 5)(np.ones((2, 1, 4, 9))), ag.ShapeError, r"no window of size \(5, 5"),
    (lambda: nn.AvgPool2d(5)(np.ones((2, 1, 4, 9))), ag.ShapeError, "no window"),
])
def test_what_convolution_and_pooling_refuse(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_an_empty_batch_of_images():
    assert nn.Conv2d(1, 2, 3)(np.ones((0, 1, 4, 4))).shape == (0, 2, 2, 2)
    assert nn.MaxPool2d(2)(np.ones((0, 1, 4, 4))).shape == (0, 1, 2, 2)


def test_a_tie_in_a_window_shares_the_gradient():
    x = ag.tensor(np.ones((1, 1, 2, 2)), requires_grad=True)
    nn.MaxPool2d(2)(x).sum().backward()
    assert (x.grad == 0.25).all()


def test_a_convolutional_network_learns_bars():
    """Horizontal or vertical: which pixels are lit does not say, only how they lie."""
    rng = np.random.default_rng(0)
    x, y = np.zeros((200, 1, 6, 6), np.float32), rng.integers(0, 2, 200)
    for image, vertical in zip(x, y, strict=True):
        line = rng.integers(0, 6)
        (image[0, :, line] if vertical else image[0, line])[...] = 1
    model = nn.Sequential(nn.Conv2d(1, 4, 3, rng=0), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
                          nn.Linear(16, 2, rng=1))
    nn.fit(model, x[:150], y[:150], loss="cross_entropy", epochs=15, progress=False, seed=0,
           optimizer=nn.optim.Adam(model.parameters(), lr=0.02))
    assert (nn.predict(model, x[150:]).argmax(1) == y[150:]).mean() > 0.97
