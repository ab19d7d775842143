"""Callbacks and what else fit does around the steps: when, with what, and at which cost."""

import csv
import os
import signal
import subprocess
import sys
import textwrap
import time

import matplotlib as mpl
import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import autograd_core as ag
import nn

mpl.use("Agg")
RNG = np.random.default_rng(0)
X = RNG.standard_normal((40, 3))
Y = X[:, :1] - 2 * X[:, 1:2]


def fit(model, **options):
    return nn.fit(model, X, Y, **{"progress": False, "seed": 0, "batch_size": 16, **options})


def weights(model):
    return {name: np.array(w) for name, w in model.state_dict().items()}


def same(a, b):
    return a.keys() == b.keys() and all(np.array_equal(a[k], b[k]) for k in a)


class Spy(nn.Callback):
    """Writes down what it is called with."""

    def __init__(self, ends=0):
        self.calls, self.ends = [], ends

    def on_train_begin(self, training):
        self.calls.append(("train begin", training.epoch))

    def on_epoch_begin(self, training):
        self.calls.append(("epoch begin", training.epoch, len(training.history)))

    def on_batch_end(self, training, loss):
        self.calls.append(("batch end", training.epoch, type(loss)))

    def on_epoch_end(self, training):
        self.calls.append(("epoch end", training.epoch, len(training.history)))
        return training.epoch == self.ends

    def on_train_end(self, training):
        self.calls.append(("train end", training.epoch))


def test_hooks_are_called_in_their_order():
    spy = Spy()
    fit(nn.Linear(3, 1, rng=0), epochs=2, callbacks=[spy])
    epoch = [[("epoch begin", e, e - 1), *[("batch end", e, float)] * 3, ("epoch end", e, e)]
             for e in (1, 2)]
    assert spy.calls == [("train begin", 0), *epoch[0], *epoch[1], ("train end", 2)]


def test_objects_and_functions_are_called_in_the_order_given_and_checkpoints_last(tmp_path):
    calls = []

    class Named(nn.Callback):
        def __init__(self, name):
            self.name = name

        def on_epoch_end(self, training):
            calls.append(self.name)

    class Noted(nn.Checkpoint):
        def on_epoch_end(self, training):
            calls.append("checkpoint")

    fit(nn.Linear(3, 1), epochs=1, callbacks=[
        Noted(tmp_path / "c"), Named("a"), lambda epoch, history: calls.append("f"), Named("b")])
    assert calls == ["a", "f", "b", "checkpoint"]


def test_a_training_is_ended_by_true_or_by_stop():
    spy = Spy(ends=2)
    history = fit(nn.Linear(3, 1), epochs=9, callbacks=[spy])
    assert len(history) == 2 and history.stopped == "a callback ended it"
    assert spy.calls[-1] == ("train end", 2)

    class Stop(nn.Callback):
        def on_batch_end(self, training, loss):
            training.stop("enough")

    history = fit(nn.Linear(3, 1), epochs=9, callbacks=[Stop()])
    assert len(history) == 1 and history.stopped == "enough" and not history.interrupted


# Early stopping. ---------------------------------------------------------------------------------


class Scripted(nn.Callback):
    """Replaces the metric by a script, and keeps the weights of each epoch."""

    def __init__(self, values, name="val_loss"):
        self.values, self.name, self.kept = values, name, []

    def on_epoch_end(self, training):
        training.history.epochs.setdefault(self.name, []).append(self.values[training.epoch - 1])
        self.kept.append(weights(training.model))


@pytest.mark.parametrize(("values", "options", "epochs", "best"), [
    ([5, 4, 3, 2, 1, 0], {}, 6, 6),
    ([5, 4, 4, 4, 3, 2], {"patience": 2}, 4, 2),
    ([5, 4, 4.5, 3, 3.5, 3.5], {"patience": 2}, 6, 4),
    ([5, 4.95, 4.92, 3, 2, 1], {"patience": 2, "min_delta": 0.1}, 3, 1),
    ([1, 2, 3, 2, 2, 5], {"patience": 2, "mode": "max"}, 5, 3),
    ([5, np.nan, np.nan, 1, 1, 1], {"patience": 2}, 3, 1),
])
def test_early_stopping_goes_back_to_the_best_weights(values, options, epochs, best):
    model = nn.Linear(3, 1, rng=0)
    script, stopping = Scripted(values), nn.EarlyStopping(**options)
    history = fit(model, epochs=6, callbacks=[script, stopping])
    assert len(history) == epochs and stopping.best_epoch == best
    assert stopping.best == values[best - 1]
    assert same(weights(model), script.kept[best - 1])
    assert (history.stopped is None) == (best + stopping.patience > epochs)


def test_what_is_better_follows_from_the_name():
    model = nn.Linear(3, 1, rng=0)
    script = Scripted([0.1, 0.5, 0.4, 0.3], "val_accuracy")
    stopping = nn.EarlyStopping("val_accuracy", patience=2, restore_best=False)
    assert len(fit(model, epochs=9, callbacks=[script, stopping])) == 4
    assert stopping.best_epoch == 2 and same(weights(model), script.kept[-1])


def test_the_training_loss_is_watched_where_nothing_is_validated():
    stopping = nn.EarlyStopping(patience=1)
    model = nn.Linear(3, 1, rng=0)
    fit(model, epochs=3, callbacks=[stopping])
    assert stopping.best is not None
    with pytest.raises(KeyError, match=r"no 'f1' to monitor; it has \['loss'\]"):
        fit(model, epochs=3, callbacks=[nn.EarlyStopping("f1")])


def test_an_early_stopping_may_be_used_again():
    stopping = nn.EarlyStopping(patience=2)
    for _ in range(2):
        script = Scripted([3, 1, 2, 2, 2])
        assert len(fit(nn.Linear(3, 1, rng=0), epochs=5, callbacks=[script, stopping])) == 4


def test_running_statistics_are_restored_too():
    model = nn.Sequential(nn.Linear(3, 4, rng=0), nn.BatchNorm1d(4), nn.Linear(4, 1, rng=0))
    script = Scripted([1, 2, 3])
    fit(model, epochs=3, callbacks=[script, nn.EarlyStopping(patience=5)])
    assert len(weights(model)) > 6 and same(weights(model), script.kept[0])


# Logs. -------------------------------------------------------------------------------------------


def test_rates_are_logged_for_every_group():
    model = nn.Linear(3, 1, rng=0)
    optimizer = nn.optim.SGD(
        [{"params": [model.weight]}, {"params": [model.bias], "lr": 0.5}],
        lr=nn.schedules.PerEpoch(nn.schedules.Exponential(0.1, 0.5), 3))
    history = fit(model, epochs=3, optimizer=optimizer, callbacks=[nn.LearningRateLog()])
    assert history["lr"] == [0.05, 0.025, 0.0125] and history["lr_1"] == [0.5] * 3


def test_the_csv_holds_the_history(tmp_path):
    path = tmp_path / "log.csv"
    history = fit(nn.Linear(3, 1, rng=0), epochs=3, validation_data=(X, Y), callbacks=[
        nn.LearningRateLog(), nn.CSVLog(path)])
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["epoch", "loss", "val_loss", "lr"]
    for i, row in enumerate(rows):
        assert int(row["epoch"]) == i + 1
        assert all(float(row[name]) == history[name][i] for name in ("loss", "val_loss", "lr"))
    assert os.listdir(tmp_path) == ["log.csv"]


@pytest.mark.parametrize("compile", [True, False])
def test_the_gradient_monitor_has_norms_and_ratios(compile):
    model = nn.Linear(3, 1, rng=0, dtype=np.float64)
    model.bias.requires_grad = False
    monitor, seen = nn.GradientMonitor(), []

    class Own(nn.Callback):
        def on_epoch_end(self, training):
            w, g = model.weight.numpy(force=True), np.asarray(model.weight.grad)
            seen.append((np.linalg.norm(g), 0.1 * np.linalg.norm(g) / np.linalg.norm(w)))

    optimizer = nn.optim.SGD(model.parameters(), 0.1)
    fit(model, epochs=3, callbacks=[monitor, Own()], optimizer=optimizer, compile=compile)
    np.testing.assert_allclose(monitor.norms["weight"], [a for a, _ in seen])
    np.testing.assert_allclose(monitor.ratios["weight"], [b for _, b in seen])
    assert np.isnan(monitor.norms["bias"]).all() and np.isnan(monitor.ratios["bias"]).all()
    axes = monitor.plot()
    assert [len(ax.get_lines()) for ax in axes] == [2, 2]
    other = nn.GradientMonitor()
    other.load_state_dict(monitor.state_dict())
    assert repr(other.norms) == repr(monitor.norms)
    mpl.pyplot.close("all")


def test_the_history_is_a_table_and_a_picture():
    history = fit(nn.Linear(3, 1, rng=0), epochs=12, validation_data=(X, Y), metrics="mae")
    history.append(late=1.0)
    lines = str(history).splitlines()
    assert lines[0].split() == ["epoch", "loss", "mae", "val_loss", "val_mae", "late"]
    assert len(lines) == 13 and len({len(line) for line in lines}) == 1
    assert lines[1].split()[0] == "1" and len(lines[1].split()) == 5
    assert float(lines[-1].split()[1]) == pytest.approx(history["loss"][-1], rel=1e-3)
    assert str(nn.History()) == "no epochs"
    ax = history.plot()
    assert {line.get_label() for line in ax.get_lines()} == {"loss", "val_loss"}
    assert ax.get_yscale() == "log" and ax.get_xlabel() == "epoch"
    assert [each.get_ylabel() for each in ax.figure.axes] == ["loss", "mae, late"]
    figure = mpl.figure.Figure()
    given = figure.subplots()
    assert history.plot(ax=given) is given
    only = nn.History()
    only.append(loss=-1.0)
    assert only.plot().get_yscale() == "linear"
    mpl.pyplot.close("all")


@pytest.mark.parametrize("curves", [
    {"loss": np.geomspace(1, 0.1, 30), "accuracy": 1 - np.geomspace(0.5, 0.05, 30)},
    {"loss": np.geomspace(1, 0.1, 30), "mae": np.geomspace(2, 0.1, 30)},
    {"loss": np.linspace(0.1, 1, 30), "accuracy": np.linspace(0.2, 0.9, 30)},
    {"loss": np.linspace(1, 0.1, 30), "val_loss": np.linspace(1.1, 0.4, 30)},
    {"accuracy": np.linspace(0.5, 1, 30)},
])
@pytest.mark.parametrize("epochs", [1, 2, 30])
def test_the_legend_covers_no_curve(curves, epochs):
    history = nn.History()
    for i in range(epochs):
        history.append(**{name: float(values[i]) for name, values in curves.items()})
    ax = history.plot()
    ax.figure.canvas.draw()
    box = ax.get_legend().get_window_extent()
    for each in ax.figure.axes:
        for line in each.get_lines():
            x, y = line.get_transform().transform(line.get_xydata()).T
            steps = np.linspace(0, len(x) - 1, 50 * len(x))
            x, y = (np.interp(steps, np.arange(len(x)), z) for z in (x, y))
            assert not ((x > box.x0) & (x < box.x1) & (y > box.y0) & (y < box.y1)).any()
    assert not ax.get_ylabel() or ax.yaxis.label.get_window_extent().x0 >= 0  # not cut off
    mpl.pyplot.close("all")


# Validation that is split off, averages, Ctrl-C. -------------------------------------------------


def test_a_split_holds_out_a_share_at_random():
    shown = []

    class Model(nn.Linear):
        def forward(self, x):
            ag.callback(lambda v: shown.append((self.training, np.array(v))), x)
            return super().forward(x)

    data = np.arange(20.0)[:, None]
    model = Model(1, 1, rng=0)
    nn.fit(model, data, data, epochs=2, validation_split=0.25, batch_size=4, seed=3,
           optimizer=nn.optim.SGD(model.parameters(), 0.0), progress=False)
    training = np.concatenate([v for mode, v in shown if mode]).ravel()
    held_out = next(v for mode, v in reversed(shown) if not mode).ravel()
    assert len(held_out) == 5 and len(training) == 30
    assert sorted({*training}) == sorted({*data.ravel()} - {*held_out})
    assert held_out.tolist() != list(range(15, 20))

    def loss(seed):
        return nn.fit(nn.Linear(1, 1, rng=0), data, data, epochs=1, validation_split=0.25,
                      seed=seed, progress=False)["val_loss"]

    assert loss(1) == loss(1) != loss(2)


@pytest.mark.parametrize("compile", [True, False])
def test_the_average_of_the_weights_is_validated_and_the_weights_go_on(compile):
    a, b = (nn.MLP([3, 4, 1], rng=0, dtype=np.float64) for _ in range(2))
    ema = nn.EMA(a, 0.9)
    history = fit(a, epochs=3, ema=ema, validation_data=(X, Y), compile=compile)
    plain = fit(b, epochs=3, validation_data=(X, Y), compile=compile)
    assert same(weights(a), weights(b)) and history["loss"] == plain["loss"]
    assert history["val_loss"] != plain["val_loss"]
    with ema.applied():
        averaged = nn.losses.mse(nn.predict(a, X), Y)
    assert history["val_loss"][-1] == pytest.approx(float(averaged), rel=1e-12)


def test_early_stopping_takes_the_average_back_too():
    """What was validated was the average: that of the best epoch is what is to be kept."""
    model, seen = nn.Linear(3, 1, rng=0), []
    ema = nn.EMA(model, 0.5)

    class Watch(nn.Callback):
        def on_epoch_end(self, training):
            training.history.append(x=[2.0, 1.0, 3.0, 3.0][training.epoch - 1])
            seen.append((model.state_dict(), ema.state_dict()))

    fit(model, epochs=4, ema=ema, callbacks=[Watch(), nn.EarlyStopping("x")])
    for now, then, last in zip((model.state_dict(), ema.state_dict()), seen[1], seen[3],
                               strict=True):
        assert all(np.array_equal(now[n], then[n]) for n in now)
        assert not any(np.array_equal(now[n], last[n]) for n in now)


@pytest.mark.parametrize("compile", [False, True])
def test_the_average_follows_lbfgs(compile):
    model = nn.Linear(3, 1, rng=0)
    ema, seen = nn.EMA(model, 0.5), [model.state_dict()]
    fit(model, epochs=3, ema=ema, compile=compile, batch_size=None,
        optimizer=nn.optim.LBFGS(model.parameters(), iterations=1),
        callbacks=[lambda epoch, history: seen.append(model.state_dict())])
    for name, average in ema.state_dict().items():
        expected = seen[0][name]
        for state in seen[1:]:
            expected = 0.5 * expected + 0.5 * state[name]
        np.testing.assert_allclose(average, expected, rtol=1e-6)


@pytest.fixture
def interruptible():
    """A process that was started in the background ignores Ctrl-C."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("where", ["epoch", "batch"])
def test_an_interrupt_that_is_raised_keeps_what_was_learned(where):
    model = nn.Linear(3, 1, rng=0)
    before = weights(model)
    ended = []

    class Interrupts(nn.Callback):
        def on_epoch_end(self, training):
            if where == "epoch" and training.epoch == 2:
                raise KeyboardInterrupt

        def on_train_end(self, training):
            ended.append(training.epoch)

    class InBatch(Interrupts):
        def on_batch_end(self, training, loss):
            if training.epoch == 3:
                raise KeyboardInterrupt

    history = fit(model, epochs=9, callbacks=[Interrupts() if where == "epoch" else InBatch()])
    assert history.interrupted and history.stopped == "interrupted" and len(history) == 2
    assert not same(weights(model), before) and len(ended) == 1
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_ctrl_c_ends_a_training_between_two_steps():
    """A signal to a process in the middle of a long training: it returns, whole, and goes on."""
    program = textwrap.dedent("""
        import os, signal, threading, numpy as np, nn
        signal.signal(signal.SIGINT, signal.default_int_handler)  # also in the background
        X = np.random.default_rng(0).standard_normal((64, 3))
        model = nn.MLP([3, 8, 1], rng=0)
        optimizer = nn.optim.Adam(model.parameters())
        class Started(nn.Callback):
            def on_epoch_end(self, training):
                if training.epoch == 5:
                    threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT)).start()
        h = nn.fit(model, X, X[:, :1], optimizer=optimizer, epochs=10**9, batch_size=8,
                   callbacks=[Started()], progress=False)
        print(h.interrupted, len(h) >= 5, optimizer.steps // 8 >= len(h),
              signal.getsignal(signal.SIGINT) is signal.default_int_handler)
    """)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True,
                          timeout=60)
    assert done.stdout.split() == ["True"] * 4, done.stderr


def test_a_handler_of_someone_else_is_left_alone():
    mine = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        fit(nn.Linear(3, 1), epochs=1)
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, mine)


# Threads, and the work for each batch. -----------------------------------------------------------


def blas_threads(model, data):
    threadpoolctl = pytest.importorskip("threadpoolctl")
    seen = []

    class Look(nn.Callback):
        def on_batch_end(self, training, loss):
            seen.append({pool["num_threads"] for pool in threadpoolctl.threadpool_info()
                         if pool["user_api"] == "blas"})

    with threadpoolctl.threadpool_limits(2, "blas"):
        nn.fit(model, data, np.zeros((len(data), 1)), epochs=1, callbacks=[Look()], progress=False,
               batch_size=len(data))
        after = {pool["num_threads"] for pool in threadpoolctl.threadpool_info()
                 if pool["user_api"] == "blas"}
    return seen[0], after


def test_small_products_use_one_thread_and_large_ones_what_they_find():
    small = np.zeros((32, 8))
    assert blas_threads(nn.Linear(8, 1), small) == ({1}, {2})
    large = np.zeros((64, 1024))
    assert nn.threads.THREADS_PAY < 64 * 1024 * 128
    assert blas_threads(nn.MLP([1024, 128, 1]), large) == ({2}, {2})


def test_without_threadpoolctl_nothing_is_limited(monkeypatch):
    monkeypatch.setitem(sys.modules, "threadpoolctl", None)
    assert len(fit(nn.Linear(3, 1), epochs=1)) == 1


@pytest.mark.parametrize(("shape", "expected"), [
    ((100, 8), 32 * 40), ((10, 8), 10 * 40), ((100, 7, 8), 32 * 8 * 40),
    ((100, 3, 5, 5), 32 * 25 * 40),
])
def test_the_largest_product_is_estimated(shape, expected):
    parameters = nn.MLP([8, 5, 1], rng=0).parameters()
    assert nn.threads.largest_product(parameters, shape, 32) == expected


def calls_per_batch(run):
    """Python and C functions called, by the number of batches."""
    run(10)()  # what is done once in a process: imports, caches
    counts = []
    for batches in (200, 400):
        count = 0

        def tracer(frame, event, arg):
            nonlocal count
            count += event in ("call", "c_call")

        prepared = run(batches)
        sys.setprofile(tracer)
        try:
            prepared()
        finally:
            sys.setprofile(None)
        counts.append(count)
    return (counts[1] - counts[0]) / 200


def test_fit_calls_at_most_a_tenth_more_for_each_batch_than_a_bare_loop():
    data = np.zeros((3200, 4), np.float32)

    def by_fit(batches):
        model = nn.Linear(4, 1, rng=0)
        x = data[: batches * 8]
        return lambda: nn.fit(model, x, x[:, :1], batch_size=8, epochs=1, progress=False,
                              optimizer=nn.optim.SGD(model.parameters()))

    def bare(batches):
        model = nn.Linear(4, 1, rng=0)
        optimizer = nn.optim.SGD(model.parameters())

        @ag.compile
        def step(x, y):
            optimizer.zero_grad()
            loss = nn.losses.mse(model(x), y)
            loss.backward()
            optimizer.step()
            return loss.detach()

        def loop():
            order = np.random.default_rng(0).permutation(batches * 8)
            for i in range(0, batches * 8, 8):
                chosen = order[i : i + 8]
                step(data.take(chosen, axis=0), data[:, :1].take(chosen, axis=0)).item()

        return loop

    loop = calls_per_batch(bare)
    assert loop > 10 and 10 < calls_per_batch(by_fit) <= 1.1 * loop


def test_predict_compiles_where_there_are_many_batches():
    calls = []

    class Counted(nn.Linear):
        def forward(self, x):
            calls.append(len(x))
            return super().forward(x)

    model, data = Counted(3, 2, rng=0), RNG.standard_normal((16 * 4 + 1, 3))
    expected = data.astype(np.float32) @ model.weight.numpy(force=True)
    np.testing.assert_allclose(nn.predict(model, data, batch_size=4), expected, rtol=1e-5)
    assert calls == [4, 1]
    calls.clear()
    nn.predict(model, data, batch_size=4, compile=False)
    assert calls == [4] * 16 + [1]
    calls.clear()
    nn.predict(model, data[:8], batch_size=4, compile=True)
    assert calls == [4]


def test_predict_runs_eagerly_what_cannot_be_compiled():
    class Looks(nn.Linear):
        def forward(self, x):
            y = super().forward(x)
            return y if float(y.mean()) > 1e9 else -y

    model, data = Looks(3, 2, rng=0), RNG.standard_normal((64, 3))
    expected = -(data.astype(np.float32) @ model.weight.numpy(force=True))
    np.testing.assert_allclose(nn.predict(model, data, 2), expected, rtol=1e-5)
    with pytest.warns(UserWarning, match="cannot be compiled and runs eagerly") as caught:
        nn.predict(model, data, 2, compile=True)
    assert caught[0].filename == __file__


def test_integers_stay_what_they_are_for_an_embedding():
    model = nn.Sequential(nn.Embedding(5, 2, rng=0), nn.Flatten(), nn.Linear(6, 1, rng=0))
    data = RNG.integers(0, 5, (30, 3))
    history = nn.fit(model, data, (data == 2).sum(1, keepdims=True), epochs=30, progress=False,
                     validation_data=(data, (data == 2).sum(1, keepdims=True)), seed=0,
                     optimizer=nn.optim.Adam(model.parameters(), 0.05))
    assert history["val_loss"][-1] < 0.05 and nn.predict(model, data).shape == (30, 1)


def test_the_bar_moves_within_an_epoch_and_ends_full(monkeypatch, capsys):
    clock = iter(np.arange(0.0, 1000.0, 0.3))
    monkeypatch.setattr(time, "monotonic", lambda: float(next(clock)))
    fit(nn.Linear(3, 1), epochs=2, progress=True, metrics="mae")
    err = capsys.readouterr().err
    assert "100%" in err and "2/2" in err and "loss=" in err and "mae=" in err


@pytest.mark.parametrize("compile", [True, False])
def test_lbfgs_trains_by_fit_on_all_samples(compile):
    model = nn.MLP([3, 8, 1], "tanh", rng=0, dtype=np.float64)
    optimizer = nn.optim.LBFGS(model.parameters())
    with pytest.raises(ValueError, match="needs all 40 samples at once"):
        fit(model, optimizer=optimizer)
    history = fit(model, optimizer=optimizer, batch_size=None, epochs=10, compile=compile,
                  metrics="mae")
    assert history["loss"][-1] < 1e-3 < history["loss"][0] and len(history["mae"]) == 10


def test_digits_are_read_at_98_percent():
    images, labels = load_digits(return_X_y=True)
    x, x_held_out, y, y_held_out = train_test_split(
        images / 16, labels, test_size=0.2, random_state=42, stratify=labels)
    model = nn.MLP([64, 128, 64, 10], rng=0)
    history = nn.fit(
        model, x, y, loss="cross_entropy", epochs=30, batch_size=32, metrics="accuracy", seed=0,
        optimizer=nn.optim.Adam(model.parameters(), nn.schedules.OneCycle(1e-2, 30 * 45)),
        progress=False, validation_data=(x_held_out, y_held_out))
    assert history["val_accuracy"][-1] >= 0.98
