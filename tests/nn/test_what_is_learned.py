"""Problems that lectures put to networks: XOR, a spiral, a long memory, an inverse."""

import math
from functools import partial

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import autograd_core as ag
import nn


def value(t):
    return t.numpy(force=True) if isinstance(t, ag.Tensor) else np.asarray(t)


def trained(model, loss, batches, lr):
    """The losses of one compiled Adam step per batch."""
    optimizer = nn.optim.Adam(model.parameters(), lr=lr)

    @ag.compile
    def step(x, y):
        optimizer.zero_grad()
        result = loss(model(x), y)
        result.backward()
        optimizer.step()
        return result.detach()

    return [step(x, y).item() for x, y in batches]


XOR = (np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32),
       np.array([[0], [1], [1], [0]], np.float32))


class SideBySide(nn.Module):
    """Several 2-8-1 networks, trained in one go as if each were alone.

    Adam goes element by element, and the loss is the sum of theirs.
    """

    def __init__(self, models):
        states = [model.state_dict() for model in models]
        self.layers = {name: nn.Parameter(np.stack([state[name] for state in states]))
                       for name in states[0]}

    def forward(self, x):
        w, b, v, c = self.layers.values()
        return np.tanh(x @ w + b[:, None]) @ v + c[:, None]


def test_xor_is_solved_from_every_one_of_a_hundred_seeds():
    models = [nn.MLP([2, 8, 1], "tanh", rng=seed) for seed in range(100)]
    together = SideBySide(models)
    targets = np.stack([XOR[1]] * 100)
    trained(together, lambda z, y: 100 * nn.losses.bce_with_logits(z, y), [(XOR[0], targets)] * 200,
            lr=0.1)
    for seed, model in enumerate(models):
        model.load_state_dict({name: value(p)[seed] for name, p in together.layers.items()})
        logits = model(XOR[0])
        assert ((value(logits) > 0) == XOR[1]).all(), seed
        assert nn.losses.bce_with_logits(logits, XOR[1]).item() < 0.05, seed


def test_one_of_them_alone():
    model = nn.MLP([2, 8, 1], "tanh", rng=0)
    losses = trained(model, nn.losses.bce_with_logits, [XOR] * 200, lr=0.1)
    assert ((value(model(XOR[0])) > 0) == XOR[1]).all() and losses[-1] < 0.05


def test_xor_is_beyond_a_linear_model():
    """Least squares says 1/2 everywhere: w = 0, b = 1/2."""
    model = nn.Linear(2, 1, rng=0)
    trained(model, nn.losses.mse, [XOR] * 400, lr=0.05)
    np.testing.assert_allclose(value(model.weight), 0, atol=1e-3)
    np.testing.assert_allclose(value(model.bias), 0.5, atol=1e-3)


def spiral(n, seed):
    """Three arms of n points each, every arm turned once around a third of the circle."""
    rng = np.random.default_rng(seed)
    radius = rng.uniform(0.05, 1, (3, n))
    angle = 4 * radius + 2 * math.pi / 3 * np.arange(3)[:, None] + rng.normal(0, 0.1, (3, n))
    points = np.stack([radius * np.sin(angle), radius * np.cos(angle)], -1)
    return points.reshape(-1, 2), np.repeat(np.arange(3), n)


def test_a_spiral_of_three_arms():
    (x, y), (new_x, new_y) = spiral(200, 0), spiral(200, 1)
    model = nn.MLP([2, 48, 48, 3], "relu", rng=0)
    nn.fit(model, x, y, loss="cross_entropy", epochs=60, batch_size=32, seed=0, progress=False,
           optimizer=nn.optim.Adam(model.parameters(), lr=0.01))
    assert (nn.predict(model, x).argmax(1) == y).mean() >= 0.99
    assert (nn.predict(model, new_x).argmax(1) == new_y).mean() >= 0.99
    linear = nn.Linear(2, 3, rng=0)
    nn.fit(linear, x, y, loss="cross_entropy", epochs=20, seed=0, progress=False)
    assert (nn.predict(linear, x).argmax(1) == y).mean() < 0.75


DIGITS = load_digits(return_X_y=True)


def read(trained_on, held_out, seed=0):
    """The share of digits that a 64-128-64-10 network reads after 30 epochs of batches of 32.

    Pixels from 0 to 1; Adam, whose rate falls along a cosine from 3e-3 to 0; labels smoothed by
    0.1. Over twenty splits at random that gives 98.5 % on average, from 97.5 to 99.4; 16 are at 98
    or above. More cannot be asked of each: of 360 digits, one standard deviation of luck is 0.6.
    Standardised pixels (as a whole or one by one), weight decay from 0.05 to 0.5, more smoothing,
    one cycle and other rates raised the average by 0.2 at most, or lowered it; at a constant rate
    of 2e-3 and without smoothing it is 97.7.
    """
    X, y = DIGITS[0] / 16, DIGITS[1]
    model = nn.MLP([64, 128, 64, 10], rng=seed)
    rate = nn.schedules.Cosine(3e-3, 30 * math.ceil(len(trained_on) / 32))
    nn.fit(model, X[trained_on], y[trained_on], epochs=30, batch_size=32, seed=seed, progress=False,
           loss=partial(nn.losses.cross_entropy, label_smoothing=0.1),
           optimizer=nn.optim.Adam(model.parameters(), rate))
    return (nn.predict(model, X[held_out]).argmax(1) == y[held_out]).mean()


def test_digits_are_read_at_98_percent():
    """Over five splits and seeds, 1,800 digits that the network has not seen; each at 97 %."""
    shares = []
    for seed in range(5):
        trained_on, held_out = train_test_split(
            np.arange(len(DIGITS[1])), test_size=0.2, random_state=seed)
        shares.append(read(trained_on, held_out, seed))
    assert np.mean(shares) >= 0.98 and min(shares) >= 0.97, shares


def test_digits_by_hands_not_seen_before_are_harder():
    """They are in the order of the people who wrote them: the last fifth is by others."""
    n = len(DIGITS[1])
    assert 0.92 < read(np.arange(n * 4 // 5), np.arange(n * 4 // 5, n)) < 0.97


class Adder(nn.Module):
    """Reads pairs of a number and a mark; after the last it says the sum of what was marked."""

    def __init__(self):
        self.lstm = nn.LSTM(2, 16, rng=0)
        self.head = nn.Linear(16, 1, rng=1)

    def forward(self, x):
        _, (h, _) = self.lstm(x)
        return self.head(h[0])


def sums_to_learn(rng, batch, steps):
    numbers = rng.uniform(0, 1, (batch, steps)).astype(np.float32)
    marks, rows = np.zeros_like(numbers), np.arange(batch)
    marks[rows, rng.integers(0, steps // 2, batch)] = 1
    marks[rows, rng.integers(steps // 2, steps, batch)] = 1
    return np.stack([numbers, marks], -1), (numbers * marks).sum(1, keepdims=True)


def test_an_lstm_adds_two_marked_numbers_in_a_sequence_of_fifty():
    """Hochreiter and Schmidhuber's problem; who says 1 every time is 1/6 off in the mean square."""
    rng = np.random.default_rng(0)
    model = Adder()
    trained(model, nn.losses.mse, (sums_to_learn(rng, 32, 50) for _ in range(900)), lr=0.02)
    x, y = sums_to_learn(np.random.default_rng(1), 500, 50)
    errors = nn.predict(model, x) - y
    assert (errors**2).mean() < 0.01 < ((1 - y) ** 2).mean() / 10
    assert (np.abs(errors) < 0.2).mean() > 0.95


def forth(y):
    """x from y; three y have one x in the middle."""
    return y + 0.3 * np.sin(2 * math.pi * y)


def branches(x):
    grid = np.linspace(0, 1, 100_000)
    crossings = np.flatnonzero(np.diff(np.sign(forth(grid) - x)))
    return grid[crossings]


def test_a_mixture_density_network_finds_the_branches_of_an_inverted_sine():
    """Bishop's problem: least squares lies between the branches, where there is nothing."""
    rng = np.random.default_rng(0)
    y = rng.uniform(0, 1, (1000, 1))
    x = forth(y) + rng.uniform(-0.05, 0.05, y.shape)
    x, y = x.astype(np.float32), y.astype(np.float32)
    mixture = nn.Sequential(nn.Linear(1, 24, rng=0, init="xavier"), nn.Tanh(),
                            nn.MixtureDensity(24, 1, components=5, rng=1))
    squares = nn.MLP([1, 24, 1], "tanh", rng=0)

    def drawn(seed):
        source = np.random.default_rng(seed)
        for _ in range(3000):
            chosen = source.integers(0, 1000, 100)
            yield x[chosen], y[chosen]

    trained(mixture, nn.losses.mdn_nll, drawn(1), lr=0.01)
    trained(squares, nn.losses.mse, drawn(2), lr=0.01)
    head = mixture[2]
    for at in (0.45, 0.5, 0.55):
        expected = branches(at)
        assert len(expected) == 3
        point = np.full((1, 1), at, np.float32)
        weights, means, scales = (value(part) for part in head.parameters_of(mixture(point)))
        for branch in expected:
            near = np.abs(means[0, :, 0] - branch) < 0.06
            assert weights[0, near].sum() > 0.1, (at, branch)
            assert scales[0, near, 0].min() < 0.12
        assert weights[0, (np.abs(means[0] - expected).min(1) < 0.06)].sum() > 0.9
        drawn_here = value(head.sample(mixture(np.full((2000, 1), at, np.float32)), rng=0))
        assert (np.abs(forth(drawn_here) - at) < 0.15).mean() > 0.9
    middle = np.linspace(0.3, 0.7, 41, dtype=np.float32)[:, None]
    off = np.abs(forth(nn.predict(squares, middle)) - middle)
    assert off.max() > 0.12  # what least squares says leads elsewhere
    mean = value(head.mean(mixture(middle)))
    assert np.abs(mean - nn.predict(squares, middle)).max() < 0.12  # it is the mixture's mean
