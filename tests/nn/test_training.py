"""fit and predict: what they show a model, what they return, and what they refuse."""

import builtins
import sys
import warnings
from collections import Counter

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import autograd_core as ag
import nn

XOR = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32)
XOR_TARGETS = np.array([[0], [1], [1], [0]], np.float32)


def problem(n=20, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, 3))
    return X, (X @ np.array([[1.0], [-2.0], [0.5]]) + 0.25)


def fit(model, X, y, **options):
    return nn.fit(model, X, y, **{"progress": False, "seed": 0, **options})


def weights(model):
    return {name: np.array(w) for name, w in model.state_dict().items()}


def same(a, b):
    return a.keys() == b.keys() and all(np.array_equal(a[k], b[k]) for k in a)


class Spy(nn.Module):
    """A linear model that writes down what it is shown, and in which mode, compiled or not."""

    def __init__(self, n_in=1):
        self.linear = nn.Linear(n_in, 1, rng=0)
        self.seen = []
        self.modes = []

    def forward(self, x):
        mode = self.training

        def look(value):
            self.seen.append(np.array(value))
            self.modes.append(mode)

        ag.callback(look, x)
        return self.linear(x)


# What a model is shown. --------------------------------------------------------------------------


@pytest.mark.parametrize(("samples", "batch_size", "sizes"), [
    (10, 4, [4, 4, 2]), (8, 4, [4, 4]), (3, 32, [3]), (5, 1, [1] * 5), (1, 1, [1]),
])
def test_every_sample_is_used_once_in_every_epoch(samples, batch_size, sizes):
    X = np.arange(samples, dtype=float)[:, None]
    model, targets = Spy(), []

    def loss(prediction, target):
        ag.callback(lambda t: targets.append(np.array(t)), target)
        return nn.losses.mse(prediction, target)

    fit(model, X, 100 + X, loss=loss, epochs=3, batch_size=batch_size,
        optimizer=nn.optim.SGD(model.parameters(), lr=0.0))
    assert [len(batch) for batch in model.seen] == sizes * 3
    for epoch in range(3):
        part = slice(epoch * len(sizes), (epoch + 1) * len(sizes))
        seen = np.concatenate(model.seen[part])
        assert sorted(seen.ravel()) == sorted(X.ravel())
        assert np.array_equal(np.concatenate(targets[part]), 100 + seen)  # each with its own
    assert all(model.modes)


def test_the_order_changes_from_epoch_to_epoch():
    model = Spy()
    fit(model, np.arange(50.0)[:, None], np.zeros((50, 1)), epochs=2, batch_size=50,
        optimizer=nn.optim.SGD(model.parameters(), lr=0.0))
    first, second = model.seen
    assert not np.array_equal(first, second)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_data_is_cast_to_the_dtype_of_the_model_and_labels_are_not(dtype):
    model = nn.Linear(2, 3, rng=0, dtype=dtype)
    seen = []

    def loss(prediction, target):
        seen.append((prediction.dtype, target.dtype))
        return nn.losses.cross_entropy(prediction, target)

    fit(model, np.ones((4, 2), np.int64), [0, 1, 2, 0], loss=loss, epochs=1)
    fit(model, [[True, False]] * 4, np.array([0, 1, 2, 0], np.uint8), loss=loss, epochs=1)
    assert seen == [(dtype, np.int64), (dtype, np.uint8)]
    assert {p.dtype for p in model.parameters()} == {np.dtype(dtype)}


def test_the_data_of_the_caller_is_left_alone():
    X, y = problem()
    kept = X.copy(), y.copy()
    fit(nn.Linear(3, 1, rng=0, dtype=np.float64), X, y, epochs=2)
    assert np.array_equal(X, kept[0]) and np.array_equal(y, kept[1])
    X[0] = y[0] = 5.0  # and can still be written into


def test_what_is_in_a_tensor_is_data_too():
    X, y = problem()
    a, b = nn.Linear(3, 1, rng=0), nn.Linear(3, 1, rng=0)
    assert fit(a, X, y)["loss"] == fit(b, ag.tensor(X), ag.tensor(y))["loss"]


# Weights of samples. -----------------------------------------------------------------------------


def written_out(model, X, y, w, epochs, batch_size, seed, loss):
    """The steps one would write, with weights."""
    optimizer, rng = nn.optim.SGD(model.parameters(), lr=0.1), np.random.default_rng(seed)
    history = []
    for _ in range(epochs):
        order, total = rng.permutation(len(X)), 0.0
        for i in range(0, len(X), batch_size):
            chosen = order[i : i + batch_size]
            optimizer.zero_grad()
            value = loss(model(X[chosen]), y[chosen], sample_weight=w[chosen])
            value.backward()
            optimizer.step()
            total += value.item() * w[chosen].sum()
        history.append(total / w.sum())
    return history


@pytest.mark.parametrize("compile", [True, False], ids=["compiled", "eager"])
@pytest.mark.parametrize("kind", ["per sample", "per element", "classes"])
def test_weights_go_with_their_samples(kind, compile):
    X, y = problem(22)
    rng = np.random.default_rng(5)
    loss, n_out = nn.losses.mse, 1
    w = rng.uniform(0.1, 3.0, 22)
    if kind == "per element":
        n_out, y, w = 2, np.hstack([y, -y]), rng.uniform(0.1, 3.0, (22, 2))
        w[3, 0] = w[4, 1] = 0.0
    elif kind == "classes":
        n_out, y, loss = 3, rng.integers(0, 3, 22), nn.losses.cross_entropy
    a, b = (nn.MLP([3, 4, n_out], "tanh", rng=0, dtype=np.float64) for _ in range(2))
    history = fit(a, X, y, loss=loss, sample_weight=w, epochs=3, batch_size=8, compile=compile,
                  optimizer=nn.optim.SGD(a.parameters(), lr=0.1), seed=7)
    expected = written_out(b, X, y, w, 3, 8, 7, loss)
    for name, value in weights(a).items():
        np.testing.assert_allclose(value, weights(b)[name], rtol=1e-10, atol=1e-14)
    assert history["loss"] == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("compile", [True, False], ids=["compiled", "eager"])
def test_a_weight_of_two_counts_as_two_samples_and_one_of_zero_as_none(compile):
    X, y = problem(9)
    times = np.array([2, 0, 1, 3, 1, 0, 2, 1, 1])

    def train(X, y, w):
        model = nn.MLP([3, 4, 1], "tanh", rng=0, dtype=np.float64)
        history = fit(model, X, y, sample_weight=w, epochs=20, batch_size=None, compile=compile,
                      optimizer=nn.optim.SGD(model.parameters(), lr=0.1))
        return weights(model), history["loss"]

    a, first = train(X, y, times)
    b, second = train(X.repeat(times, 0), y.repeat(times, 0), None)
    for name, value in a.items():
        np.testing.assert_allclose(value, b[name], rtol=1e-10, atol=1e-14)
    assert first == pytest.approx(second, rel=1e-10)
    # Also where a batch would hold nothing else.
    model = Spy(3)
    fit(model, X, y, sample_weight=times, epochs=2, batch_size=1, compile=compile)
    assert sum(model.modes) == 2 * (times > 0).sum()  # those in training


def test_equal_weights_change_nothing_and_small_ones_are_enough():
    X, y = problem()
    found = []
    for w in (None, np.full(20, 0.5), [1e-30] * 20, np.ones(20, bool), ag.tensor(np.ones(20))):
        model = nn.Linear(3, 1, rng=0, dtype=np.float64)
        fit(model, X, y, sample_weight=w, epochs=3, batch_size=6)
        found.append(model.weight.numpy(force=True))
    for other in found[1:]:
        np.testing.assert_allclose(other, found[0], rtol=1e-9)


def test_validation_is_weighted_by_its_own_weights():
    X, y = problem()
    Xv, yv = problem(7, seed=1)
    w = np.array([0.0, 0.0, 1.0, 2.0, 0.5, 3.0, 0.0])
    a, b = (nn.Linear(3, 1, rng=0, dtype=np.float64) for _ in range(2))
    first = fit(a, X, y, epochs=2, validation_data=(Xv, yv, w), metrics="mae")
    second = fit(b, X, y, epochs=2, validation_data=(Xv, yv, None), metrics="mae")
    assert same(weights(a), weights(b)) and first["val_mae"] == second["val_mae"]
    prediction = nn.predict(a, Xv)
    assert first["val_loss"][-1] == pytest.approx(
        nn.losses.mse(prediction, yv, sample_weight=w), rel=1e-12)
    assert second["val_loss"][-1] == pytest.approx(nn.losses.mse(prediction, yv), rel=1e-12)


def test_a_share_is_held_out_with_its_weights():
    X = np.arange(1.0, 21.0)[:, None]
    model = nn.Linear(1, 1, bias=False, dtype=np.float64)
    model.weight.assign([[0.0]])
    # The loss of a sample is its number squared, and so is its weight.
    history = fit(model, X, X, sample_weight=X[:, 0] ** 2, validation_split=0.25, epochs=1, seed=3,
                  optimizer=nn.optim.SGD(model.parameters(), lr=0.0))
    kept, out = nn.training.split(20, 0.25, np.random.default_rng(3))
    for name, part in (("loss", kept), ("val_loss", out)):
        x = X[part, 0]
        assert history[name][0] == pytest.approx((x**4).sum() / (x**2).sum(), rel=1e-12)


def test_weights_reach_losses_of_ones_own_and_second_order_methods():
    X, y = problem()
    w = np.random.default_rng(2).uniform(0.5, 2.0, 20)

    def loss(prediction, target, sample_weight=None):
        return (sample_weight[:, None] * np.square(prediction - target)).sum() / sample_weight.sum()

    found = []
    for of in (loss, "mse", lambda p, t, **options: nn.losses.mse(p, t, **options)):
        model = nn.Linear(3, 1, rng=0, dtype=np.float64)
        fit(model, X, y + X**2 @ np.ones((3, 1)), loss=of, sample_weight=w, batch_size=None,
            optimizer=nn.optim.LBFGS(model.parameters()), epochs=5)
        found.append(np.append(model.weight.numpy(force=True), model.bias.numpy(force=True)))
    A = np.hstack([X, np.ones((20, 1))])
    best = np.linalg.solve(A.T * w @ A, A.T * w @ (y + X**2 @ np.ones((3, 1))))[:, 0]
    for solution in found:
        np.testing.assert_allclose(solution, best, rtol=1e-6)


# What the loop costs. ----------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"metrics": "mae"}], ids=["plain", "metrics"])
def test_a_step_of_fit_is_hardly_more_than_the_step(options):
    """Calls of Python in the modules of the loop, per step; the step itself lies elsewhere."""

    def calls(epochs):
        found = Counter()

        def note(frame, event, argument):
            if event == "call" and frame.f_code.co_filename in (nn.training.__file__,
                                                                nn.data.__file__):
                found[frame.f_code.co_name] += 1

        model, (X, y) = nn.Linear(3, 1, rng=0), problem(2000)
        before = sys.getprofile()
        sys.setprofile(note)
        try:
            fit(model, X, y, batch_size=4, epochs=epochs, **options)
        finally:
            sys.setprofile(before)
        return found.total()

    assert (calls(3) - calls(2)) / 500 < 1.1


# The same seed, the same bits. -------------------------------------------------------------------


@pytest.mark.parametrize("loss", ["mse", "bce_with_logits"])
def test_the_same_seed_gives_the_same_bits(loss):
    X, y = problem()
    y = (y > 0).astype(float)

    def run(seed):
        model = nn.MLP([3, 8, 1], "tanh", rng=1)
        history = fit(model, X, y, loss=loss, epochs=4, batch_size=6, seed=seed)
        return weights(model), history["loss"]

    (a, losses_a), (b, losses_b), (c, losses_c) = run(3), run(3), run(4)
    assert same(a, b) and losses_a == losses_b
    assert not same(a, c) and losses_a != losses_c
    assert same(run(np.random.default_rng(3))[0], a)
    assert not same(run(None)[0], run(None)[0])


def test_the_global_random_state_is_not_touched():
    X, y = problem()
    before = np.random.get_state()[1].copy()
    fit(nn.Linear(3, 1, rng=0), X, y, epochs=1)
    assert np.array_equal(np.random.get_state()[1], before)


# What comes back. --------------------------------------------------------------------------------


def test_the_loss_falls():
    X, y = problem()
    model = nn.Linear(3, 1, rng=0)
    history = fit(model, X, y, epochs=60, batch_size=5,
                  optimizer=nn.optim.SGD(model.parameters(), lr=0.1))
    assert len(history) == len(history["loss"]) == 60
    assert history["loss"][-1] < 1e-6 < history["loss"][0]
    np.testing.assert_allclose(model.weight.tolist(), [[1.0], [-2.0], [0.5]], atol=1e-3)


def test_the_defaults_are_mse_and_adam():
    X, y = problem()
    a, b = nn.Linear(3, 1, rng=0), nn.Linear(3, 1, rng=0)
    fit(a, X, y, epochs=3)
    fit(b, X, y, epochs=3, loss=nn.losses.mse, optimizer=nn.optim.Adam(b.parameters()))
    assert same(weights(a), weights(b))


@pytest.mark.parametrize("compile", [True, False])
def test_an_epoch_is_the_steps_one_would_write(compile):
    X, y = problem(10)
    a, b = (nn.MLP([3, 4, 1], rng=0, dtype=np.float64) for _ in range(2))
    fit(a, X, y, epochs=2, batch_size=4, optimizer=nn.optim.SGD(a.parameters(), lr=0.1), seed=7,
        compile=compile)
    optimizer, rng = nn.optim.SGD(b.parameters(), lr=0.1), np.random.default_rng(7)
    for _ in range(2):
        order = rng.permutation(10)
        for i in (0, 4, 8):
            chosen = order[i : i + 4]
            optimizer.zero_grad()
            nn.losses.mse(b(X[chosen]), y[chosen]).backward()
            optimizer.step()
    if compile:
        for name, w in weights(a).items():
            np.testing.assert_allclose(w, weights(b)[name], rtol=1e-12, atol=1e-15)
    else:
        assert same(weights(a), weights(b))


def test_the_loss_of_an_epoch_is_the_mean_over_its_samples():
    """Also where the last batch is smaller than the others."""
    X, y = problem(10)
    model = nn.Linear(3, 1, rng=0, dtype=np.float64)
    whole = nn.losses.mse(model(X), y).item()
    history = fit(model, X, y, epochs=2, batch_size=4,
                  optimizer=nn.optim.SGD(model.parameters(), lr=0.0))
    assert history["loss"] == pytest.approx([whole, whole], rel=1e-12)


def test_validation_and_metrics():
    X, y = problem()
    Xv, yv = problem(7, seed=1)
    model = nn.Linear(3, 1, rng=0, dtype=np.float64)
    shown = []

    def worst(prediction, target):
        assert type(prediction) is type(target) is np.ndarray
        shown.append((prediction.shape, target.shape))
        return np.abs(prediction - target).max()

    history = fit(model, X, y, epochs=3, validation_data=(Xv, yv), metrics={"worst": worst})
    assert list(history.epochs) == ["loss", "worst", "val_loss", "val_worst"]
    assert [len(values) for values in history.epochs.values()] == [3, 3, 3, 3]
    assert shown == [((20, 1), (20, 1)), ((7, 1), (7, 1))] * 3
    prediction = nn.predict(model, Xv)
    assert history["val_loss"][-1] == pytest.approx(nn.losses.mse(prediction, yv), rel=1e-12)
    assert history["val_worst"][-1] == pytest.approx(np.abs(prediction - yv).max(), rel=1e-12)


def test_validation_does_not_change_the_training():
    X, y = problem()
    a, b = nn.MLP([3, 4, 1], rng=0), nn.MLP([3, 4, 1], rng=0)
    first = fit(a, X, y, epochs=3)
    second = fit(b, X, y, epochs=3, validation_data=problem(5, 1))
    assert same(weights(a), weights(b)) and first["loss"] == second["loss"]


def test_validation_runs_in_evaluation_mode_and_training_goes_on_in_training_mode():
    model = Spy()
    X = np.arange(4.0)[:, None]
    fit(model, X, X, epochs=2, validation_data=(X[:3], X[:3]))
    shown = list(zip(map(len, model.seen), model.modes, strict=True))
    assert shown == [(1, False), *[(4, True), (3, False)] * 2]  # the first: does it fit at all?


def test_fit_switches_to_training_mode():
    model = Spy().eval()
    fit(model, np.ones((2, 1)), np.ones((2, 1)), epochs=1)
    assert model.modes == [True]


def test_no_epochs_change_nothing():
    model = nn.Linear(3, 1, rng=0)
    before = weights(model)
    history = fit(model, *problem(), epochs=0)
    assert same(weights(model), before) and len(history) == 0 and history.epochs == {}


def test_history():
    history = nn.History()
    assert repr(history) == "History(0 epochs)" and "loss" not in history
    history.append(loss=2.0, val_loss=3.0)
    history.append(loss=1.0, val_loss=2.5)
    assert history["loss"] == [2.0, 1.0] and "val_loss" in history and len(history) == 2
    assert repr(history) == "History(2 epochs: loss 1, val_loss 2.5)"


# Callbacks. --------------------------------------------------------------------------------------


def test_callbacks_are_called_in_order_after_every_epoch():
    calls = []
    history = fit(
        nn.Linear(3, 1), *problem(), epochs=3, validation_data=problem(4),
        callbacks=(c for c in (lambda e, h: calls.append(("a", e, len(h["val_loss"]))),
                               lambda e, h: calls.append(("b", e, h)))),
    )
    assert calls == [("a", 1, 1), ("b", 1, history), ("a", 2, 2), ("b", 2, history),
                     ("a", 3, 3), ("b", 3, history)]


def test_a_callback_that_returns_true_ends_the_training():
    calls = []

    def stop(epoch, history):
        calls.append(("stop", epoch))
        return epoch == 2

    history = fit(nn.Linear(3, 1), *problem(), epochs=9,
                  callbacks=[stop, lambda e, h: calls.append(("after", e))])
    assert len(history) == 2
    assert calls == [("stop", 1), ("after", 1), ("stop", 2), ("after", 2)]


@pytest.mark.parametrize("result", [None, False, 0, "yes", 1, np.float64(0.5)])
def test_only_true_ends_the_training(result):
    assert len(fit(nn.Linear(3, 1), *problem(), epochs=3, callbacks=[lambda e, h: result])) == 3


def test_an_error_in_a_callback_is_the_callers():
    def broken(epoch, history):
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        fit(nn.Linear(3, 1), *problem(), callbacks=[broken])


# The progress bar. -------------------------------------------------------------------------------


def test_the_bar_is_shown_on_stderr(capsys):
    nn.fit(nn.Linear(3, 1), *problem(), epochs=4, validation_data=problem(3))
    out, err = capsys.readouterr()
    assert out == "" and "4/4" in err and "loss=" in err and "val_loss=" in err


def test_no_bar_is_shown_when_none_is_wanted(capsys):
    nn.fit(nn.Linear(3, 1), *problem(), epochs=2, progress=False)
    assert capsys.readouterr() == ("", "")


@pytest.fixture
def without_tqdm(monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm", None)


@pytest.mark.usefixtures("without_tqdm")
def test_without_tqdm_training_goes_on_with_a_warning_that_says_what_to_install():
    with pytest.warns(UserWarning, match=r"tqdm: pip install .*progress=False") as caught:
        history = nn.fit(nn.Linear(3, 1), *problem(), epochs=2)
    assert len(history) == 2 and len(caught) == 1
    assert caught[0].filename == __file__  # it points at the call


@pytest.mark.usefixtures("without_tqdm")
def test_without_tqdm_and_without_a_bar_there_is_no_warning():
    nn.fit(nn.Linear(3, 1), *problem(), epochs=1, progress=False)  # a warning would be an error


def test_tqdm_is_not_imported_for_no_bar(monkeypatch):
    real = builtins.__import__

    def guarded(name, *args, **kwargs):
        assert name.split(".")[0] != "tqdm"
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", guarded)
    fit(nn.Linear(3, 1), *problem(), epochs=1)


# Bad input: raised before any parameter has changed. ---------------------------------------------

X, Y = problem(70)
LABELS = np.arange(70) % 3


def poked(array, value, index=-1):
    changed = np.array(array)
    changed[index] = value
    return changed


BAD = {
    "NaN in X": ({"X": poked(X, np.nan)}, ValueError, r"fit: X holds 3 values .*\(69, 0\)"),
    "inf in X": ({"X": poked(X, np.inf, (5, 2))}, ValueError, r"fit: X holds 1 .*\(5, 2\)"),
    "-inf in X": ({"X": poked(X, -np.inf, (5, 2))}, ValueError, r"fit: X holds 1"),
    "NaN in y": ({"y": poked(Y, np.nan)}, ValueError, r"fit: y holds 1 .*\(69, 0\)"),
    "inf in y": ({"y": poked(Y, np.inf)}, ValueError, r"fit: y holds 1"),
    "too large for float32": (
        {"X": poked(X, 1e300, (5, 2))}, ValueError, r"X holds 1 .*infinite in float32.*\(5, 2\)",
    ),
    "NaN in validation X": (
        {"validation_data": (poked(X, np.nan), Y)}, ValueError, "validation X holds 3",
    ),
    "NaN in validation y": (
        {"validation_data": (X, poked(Y, np.nan))}, ValueError, "validation y holds 1",
    ),
    "lengths": ({"y": Y[:-1]}, ag.ShapeError, "X has 70 samples but y has 69"),
    "validation lengths": (
        {"validation_data": (X, Y[1:])}, ag.ShapeError, "X has 70 samples but .* y has 69",
    ),
    "empty": ({"X": X[:0], "y": Y[:0]}, ag.ShapeError, "X has no samples"),
    "empty lists": ({"X": [], "y": []}, ag.ShapeError, "X has no samples"),
    "empty validation": (
        {"validation_data": (X[:0], Y[:0])}, ag.ShapeError, "validation X has no samples",
    ),
    "strings in X": ({"X": [["a"]] * 70}, TypeError, "X must hold numbers, got dtype <U1"),
    "strings in y": ({"y": ["a"] * 70}, TypeError, "y must hold numbers, got dtype <U1"),
    "None": ({"y": None}, TypeError, "y must hold numbers, got dtype object"),
    "complex": ({"X": X + 1j}, TypeError, "X must hold numbers, got dtype complex128"),
    "dates": ({"X": np.zeros((70, 3), "M8[s]")}, TypeError, "X must hold numbers"),
    "ragged": ({"X": [[1.0, 2.0, 3.0], [1.0]]}, ValueError, "inhomogeneous"),
    "a scalar": ({"X": 1.0}, ag.ShapeError, "X must have a first axis of samples"),
    "features": ({"X": X[:, :2]}, ag.ShapeError, r"Linear: .*\(32, 2\).* 3 features"),
    "target shape": ({"y": Y[:, 0]}, ag.ShapeError, r"mse: .*\(32, 1\).*\(32,\)"),
    "one-hot": (
        {"y": np.eye(3)[LABELS], "loss": "cross_entropy"},
        ag.ShapeError, r"cross_entropy: .*\(32, 3\)",
    ),
    "float labels": (
        {"y": LABELS.astype(float), "loss": "cross_entropy"},
        TypeError, "labels must be integers",
    ),
    # found before the first step, though the label is in the last batch
    "label out of range": (
        {"y": poked(LABELS, 9), "loss": "cross_entropy", "batch_size": 1},
        ValueError, "label 9 is out",
    ),
    "validation label out of range": (
        {"y": LABELS * 0, "validation_data": (X, poked(LABELS, 9)), "loss": "cross_entropy"},
        ValueError, "label 9 is out",
    ),
    "negative weight": (
        {"sample_weight": poked(np.ones(70), -1.0, 69)},
        ValueError, r"sample_weight must not be negative, got -1.0 at index \(69,\)",
    ),
    "weight that is NaN": (
        {"sample_weight": poked(np.ones(70), np.nan, 3)},
        ValueError, "sample_weight holds 1 values",
    ),
    "no weight": (
        {"sample_weight": np.zeros(70)}, ValueError, "sample_weight is zero everywhere",
    ),
    "weights that vanish in float32": (
        {"sample_weight": np.full(70, 1e-60)}, ValueError, "sample_weight is zero everywhere",
    ),
    "number of weights": (
        {"sample_weight": np.ones(69)}, ag.ShapeError, "X has 70 samples but sample_weight has 69",
    ),
    "a scalar weight": ({"sample_weight": 1.0}, ag.ShapeError, "sample_weight must have a first"),
    "shape of weights": (
        {"sample_weight": np.ones((70, 2))},
        ag.ShapeError, r"mse: sample_weight has shape \(1, 2\)",
    ),
    "weights that are words": (
        {"sample_weight": ["a"] * 70}, TypeError, "sample_weight must hold numbers",
    ),
    "weights for a loss that takes none": (
        {"sample_weight": np.ones(70), "loss": lambda p, t: np.square(p - t).mean()},
        TypeError, r"the loss <lambda> takes no sample_weight; write it as",
    ),
    "validation weights for a loss that takes none": (
        {"validation_data": (X, Y, np.ones(70)), "loss": lambda p, t: np.square(p - t).mean()},
        TypeError, "takes no sample_weight",
    ),
    "validation weights": (
        {"validation_data": (X, Y, np.zeros(70))},
        ValueError, "validation sample_weight is zero everywhere",
    ),
    "shape of validation weights": (
        {"validation_data": (X, Y, np.ones((70, 3)))},
        ag.ShapeError, "mse: sample_weight has shape",
    ),
    "number of validation weights": (
        {"validation_data": (X, Y, np.ones(2))},
        ag.ShapeError, "validation X has 70 samples but validation sample_weight has 2",
    ),
    "parts of validation data": (
        {"validation_data": (X, Y, X, Y)}, ValueError, r"\(X, y, sample_weight\), got 4 parts",
    ),
    "negative epochs": ({"epochs": -1}, ValueError, "epochs=-1"),
    "fractional epochs": ({"epochs": 1.5}, TypeError, ""),
    "no batch": ({"batch_size": 0}, ValueError, "batch_size=0"),
    "negative batch": ({"batch_size": -4}, ValueError, "batch_size=-4"),
    "fractional batch": ({"batch_size": 2.5}, TypeError, ""),
    "unknown loss": ({"loss": "l1"}, ValueError, "unknown name 'l1'"),
    "validation target shape": (
        {"validation_data": (X, Y[:, 0])}, ag.ShapeError, r"mse: .*\(1, 1\).*\(1,\)",
    ),
    "validation features": (
        {"validation_data": (X[:, :2], Y)}, ag.ShapeError, r"Linear: .*\(1, 2\).* 3 features",
    ),
    "unknown metric": ({"metrics": ["f0"]}, ValueError, "metric: unknown name 'f0'"),
    "validation twice": (
        {"validation_data": (X, Y), "validation_split": 0.5}, ValueError, "either validation_data",
    ),
    "a split that leaves nothing": (
        {"validation_split": 0.001}, ValueError, "leaves 70 to train on and 0 to validate",
    ),
    "a split of all": ({"validation_split": 1.0}, ValueError, "between 0 and 1"),
    "a callback that cannot be called": ({"callbacks": ["x"]}, TypeError, "a callback is a func"),
    "nothing to resume from": ({"resume": "nowhere"}, FileNotFoundError, "no nowhere to resume"),
    "resume without a checkpoint": ({"resume": True}, ValueError, "needs one nn.Checkpoint"),
    "validation data is no pair": ({"validation_data": X}, (TypeError, ValueError), ""),
    "seed": ({"seed": -1}, ValueError, ""),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_raises_before_any_parameter_has_changed(case):
    options, error, message = BAD[case]
    n_out = 3 if options.get("loss") == "cross_entropy" else 1
    model = nn.Linear(3, n_out, rng=0)
    before = weights(model)
    options = {"X": X, "y": Y, **options}
    with pytest.raises(error, match=message or None):
        fit(model, options.pop("X"), options.pop("y"), **options)
    assert same(weights(model), before)


def test_a_model_without_parameters_cannot_be_fitted():
    with pytest.raises(ValueError, match="no parameters to train"):
        fit(nn.Sequential(nn.activations.tanh), X, Y)


def test_a_loss_that_is_no_scalar_raises_before_any_parameter_has_changed():
    model = nn.Linear(3, 1, rng=0)
    before = weights(model)
    with pytest.raises(ag.GradientError, match=r"shape \(32, 1\)"):
        fit(model, X, Y, loss=lambda p, t: np.square(p - t))
    assert same(weights(model), before)


def test_a_loss_that_diverges_stops_with_the_rate_in_the_message():
    model = nn.Linear(3, 1, rng=0)
    with np.errstate(all="ignore"), pytest.raises(
        FloatingPointError, match=r"in epoch \d+; the learning rate \(1000000\.0\)"
    ):
        fit(model, X, Y, epochs=50, optimizer=nn.optim.SGD(model.parameters(), lr=1e6))


def test_finite_losses_are_no_divergence():
    model = nn.Linear(3, 1, rng=0, dtype=np.float64)
    assert len(fit(model, X * 1e10, Y, epochs=2)) == 2


# predict. ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch_size", [1, 3, 20, 1000])
def test_batches_give_what_the_whole_gives(batch_size):
    model = nn.MLP([3, 8, 2], rng=0, dtype=np.float64)
    X, _ = problem()
    prediction = nn.predict(model, X, batch_size=batch_size)
    assert type(prediction) is np.ndarray and prediction.shape == (20, 2)
    np.testing.assert_allclose(prediction, model(X).detach().numpy(), rtol=1e-12)


def test_predict_shows_batches_of_the_size_asked_for():
    model = Spy()
    nn.predict(model, np.arange(7)[:, None], batch_size=3)
    assert [len(batch) for batch in model.seen] == [3, 3, 1]
    assert [batch.dtype for batch in model.seen] == [np.float32] * 3


def test_predict_of_nothing():
    assert nn.predict(nn.Linear(3, 2), np.ones((0, 3))).shape == (0, 2)


@pytest.mark.parametrize("batch_size", [0, -1])
def test_predict_needs_a_batch_size(batch_size):
    with pytest.raises(ValueError, match="predict: batch_size must be positive"):
        nn.predict(nn.Linear(3, 2), np.ones((4, 3)), batch_size=batch_size)


def test_predict_records_nothing():
    outputs = []

    class Watched(nn.Linear):
        def forward(self, x):
            outputs.append(super().forward(x))
            return outputs[-1]

    nn.predict(Watched(3, 2), np.ones((4, 3)))
    (y,) = outputs
    assert not y.requires_grad and y.inputs == () and y.op is None


def test_predict_takes_any_function():
    assert nn.predict(lambda x: x * 2, np.arange(3.0)).tolist() == [0, 2, 4]


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("fails", [False, True])
def test_predict_restores_the_mode_also_after_an_error(training, fails):
    seen = []

    class Model(nn.Module):
        def __init__(self):
            self.inner = nn.Linear(1, 1)
            self.frozen = nn.Linear(1, 1)

        def forward(self, x):
            seen.append((self.training, self.inner.training))
            if fails:
                raise LookupError("mine")
            return self.inner(x)

    model = Model().train(training)
    model.frozen.eval()
    if fails:
        with pytest.raises(LookupError, match="mine"):
            nn.predict(model, np.ones((2, 1)))
    else:
        nn.predict(model, np.ones((2, 1)))
    assert seen == [(False, False)]
    assert model.training is model.inner.training is training
    assert not model.frozen.training  # each module its own mode
    x = ag.tensor(1.0, requires_grad=True)
    assert (x * x).requires_grad  # recording is on again


# It learns. --------------------------------------------------------------------------------------


def test_xor_is_learned_unit_by_unit():
    model = nn.Sequential(nn.Layer(2, 4, "tanh", rng=0), nn.Neuron(4, None, rng=1))
    fit(model, XOR, XOR_TARGETS[:, 0], loss="bce_with_logits", epochs=400, batch_size=4,
        optimizer=nn.optim.Adam(model.parameters(), lr=0.1))
    assert np.array_equal(nn.predict(model, XOR) > 0, XOR_TARGETS[:, 0] == 1)


def test_xor_cannot_be_learned_by_a_linear_model():
    model = nn.Linear(2, 1, rng=0)
    history = fit(model, XOR, XOR_TARGETS, loss="bce_with_logits", epochs=300, batch_size=4,
                  optimizer=nn.optim.Adam(model.parameters(), lr=0.1))
    assert history["loss"][-1] == pytest.approx(np.log(2), abs=1e-3)


def test_handwritten_digits_are_read_after_a_few_epochs():
    images, labels = load_digits(return_X_y=True)
    x, x_held_out, y, y_held_out = train_test_split(
        images / 16, labels, test_size=0.2, random_state=42, stratify=labels
    )
    model = nn.MLP([64, 128, 10], rng=0)
    history = fit(
        model, x, y, loss="cross_entropy", epochs=15, batch_size=32,
        optimizer=nn.optim.Adam(model.parameters(), lr=3e-3),
        validation_data=(x_held_out, y_held_out),
        metrics={"accuracy": lambda p, t: (p.argmax(1) == t).mean()},
    )
    assert history["val_accuracy"][-1] >= 0.97


def test_training_gives_no_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit(nn.MLP([3, 4, 1], rng=0), *problem(), epochs=2, validation_data=problem(3))


def test_an_optimizer_of_another_model_is_refused():
    model, other = nn.Linear(2, 1, rng=0), nn.Linear(2, 1, rng=0)
    with pytest.raises(ValueError, match="none of the model's parameters"):
        nn.fit(model, np.ones((4, 2)), np.ones((4, 1)), progress=False,
               optimizer=nn.optim.SGD(other.parameters()))


def test_predict_needs_an_axis_of_samples():
    with pytest.raises(ag.ShapeError, match="first axis of samples"):
        nn.predict(nn.Linear(2, 1, rng=0), 3.0)
