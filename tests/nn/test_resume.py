"""A training that is stopped after any epoch and resumed ends with the bits of one that is not."""

import copy
import json
import os
import random
import re
import struct
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import safetensors.numpy

import autograd_core as ag
import nn

RNG = np.random.default_rng(0)
X = RNG.standard_normal((50, 3))
Y = X[:, :1] - 2 * X[:, 1:2]


class Noisy(nn.Module):
    """Draws at random in training and keeps running statistics, as layers do."""

    def __init__(self):
        self.first = nn.Linear(3, 8, rng=0)
        self.norm = nn.BatchNorm1d(8)
        self.last = nn.Linear(8, 1, rng=1)
        self.rng = np.random.default_rng(5)

    def forward(self, x):
        h = np.tanh(self.norm(self.first(x)))
        if self.training:
            h = h * ag.random.dropout_mask(self.rng, 0.3, h.shape, dtype=np.float32)
        return self.last(h)


def mlp():
    return nn.MLP([3, 8, 1], "tanh", rng=0)


def layers():
    return nn.Sequential(nn.Linear(3, 8, rng=0), nn.BatchNorm1d(8), nn.Tanh(),
                         nn.Dropout(0.3, rng=5), nn.Linear(8, 1, rng=1))


class Listed(nn.Module):
    """Dropouts in a list, and generators in a tuple, a dict and both."""

    def __init__(self):
        self.layers = [nn.Linear(3, 8, rng=0), nn.Linear(8, 8, rng=1), nn.Linear(8, 1, rng=2)]
        self.dropouts = [nn.Dropout(0.3, rng=5), {"second": (nn.Dropout(0.2, rng=6),)}]
        self.noise = (np.random.default_rng(7), {"b": [np.random.default_rng(8)]})

    def forward(self, x):
        a, (b,) = self.dropouts[0], self.dropouts[1]["second"]
        h = a(np.tanh(self.layers[0](x)))
        if self.training:
            for rng in (self.noise[0], self.noise[1]["b"][0]):
                h = h + 0.1 * ag.random.normal(rng, size=h.shape, dtype=np.float32)
        return self.layers[2](b(np.tanh(self.layers[1](h))))


S = nn.schedules
#: Model, optimiser, further arguments of fit.
RUNS = {
    "sgd": (mlp, lambda ps: nn.optim.SGD(ps, 0.05), {}),
    "momentum, schedule": (
        mlp, lambda ps: nn.optim.Nesterov(ps, S.Warmup(S.Cosine(0.05, 25), 5)), {}),
    "adam": (mlp, lambda ps: nn.optim.Adam(ps, 0.02), {}),
    "adam, dropout, normalisation": (Noisy, lambda ps: nn.optim.Adam(ps, 0.02), {}),
    "generators in containers": (Listed, lambda ps: nn.optim.Adam(ps, 0.02), {}),
    "the layers that draw and average": (layers, lambda ps: nn.optim.Momentum(ps, 0.02), {}),
    "nadam, clipped, groups": (mlp, lambda ps: nn.optim.NAdam(
        [{"params": ps[:2], "lr": 0.05}, {"params": ps[2:]}], 0.02, clip_norm=0.5), {}),
    "rmsprop, plateau, validation": (
        mlp, lambda ps: nn.optim.RMSProp(ps, S.ReduceOnPlateau(0.01, 0.5, 1, threshold=0.5),
                                         momentum=0.5, centered=True),
        {"validation_split": 0.2, "metrics": "mae"}),
    "average": (mlp, lambda ps: nn.optim.AdamW(ps, 0.02),
                {"ema": lambda model: nn.EMA(model, 0.9), "validation_split": 0.2}),
    "rate changed by hand": (mlp, lambda ps: nn.optim.SGD(ps, 0.05, momentum=0.9), {"halve": True}),
    "l-bfgs": (mlp, lambda ps: nn.optim.LBFGS(ps, iterations=3), {"batch_size": None}),
    "one batch": (mlp, lambda ps: nn.optim.Adam(ps, 0.02), {"batch_size": 64}),
}


class Halve(nn.Callback):
    def on_epoch_end(self, training):
        if training.epoch == 2:
            training.optimizer.lr *= 0.5


def train(run, path, epochs, resume, compile, seed=3):
    """Everything that a run leaves: weights, optimiser, history, what random state comes next."""
    make, optimizer_of, options = RUNS[run]
    options = dict(options)
    model = make()
    optimizer = optimizer_of(model.parameters())
    if "ema" in options:
        options["ema"] = options["ema"](model)
    stopping = nn.EarlyStopping("loss", patience=50, restore_best=False)
    callbacks = [nn.Checkpoint(path), nn.GradientMonitor(), stopping]
    if options.pop("halve", False):
        callbacks.append(Halve())
    rng = np.random.default_rng(seed)
    history = nn.fit(model, X, Y, optimizer=optimizer, epochs=epochs, progress=False, seed=rng,
                     compile=compile, resume=resume, callbacks=callbacks,
                     **{"batch_size": 16, **options})
    left = {
        "weights": model.state_dict(), "optimizer": optimizer.state_dict(),
        "history": history.epochs, "rng": rng.bit_generator.state, "best": stopping.best,
        "norms": callbacks[1].norms, "own": [
            m.rng.bit_generator.state for m in model.modules() if hasattr(m, "rng")],
        "noise": [rng.bit_generator.state for rng in (
            model.noise[0], model.noise[1]["b"][0])] if hasattr(model, "noise") else [],
    }
    if "ema" in options:
        left["ema"] = options["ema"].state_dict()
    return left


def differences(a, b, where=""):
    """Where two nested states differ in a bit."""
    if isinstance(a, dict) and isinstance(b, dict) and a.keys() == b.keys():
        return [d for key in a for d in differences(a[key], b[key], f"{where}.{key}")]
    if isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)) and len(a) == len(b):
        return [d for i, (x, y) in enumerate(zip(a, b, strict=True))
                for d in differences(x, y, f"{where}.{i}")]
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        same = a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    else:
        same = type(a) is type(b) and (a == b or (a != a and b != b))
    return [] if same else [f"{where}: {a} and {b}"]


@pytest.mark.parametrize("run", RUNS)
@pytest.mark.parametrize("compile", [True, False], ids=["compiled", "eager"])
def test_a_resumed_training_ends_with_the_same_bits(run, compile, tmp_path):
    path = tmp_path / "run.safetensors"
    whole = train(run, tmp_path / "whole.safetensors", 5, False, compile)
    for stop in (1, 3):
        train(run, path, stop, False, compile)
        resumed = train(run, path, 5, path, compile, seed=99)  # the seed is in the file
        assert differences(whole, resumed) == []
    # And stopped after each epoch.
    path.unlink()
    for epochs in range(1, 6):
        resumed = train(run, path, epochs, True, compile)
    assert differences(whole, resumed) == []


def test_a_resumed_training_replays_from_its_first_batch(tmp_path):
    """A recording computes as the eager engine does, and a plan in an order of its own.

    So the step is recorded for each size of batch before the training goes on; in a training that
    is not resumed, when such a batch comes.
    """
    recorded = []

    class Counted(nn.MLP):
        def forward(self, x):
            if self.training:
                recorded.append(len(x))
            return super().forward(x)

    class Begin(nn.Callback):
        def on_train_begin(self, training):
            recorded.append("begin")

    for epochs, expected in ((2, ["begin", 16, 2]), (4, [2, 16, "begin"])):
        recorded.clear()
        nn.fit(Counted([3, 8, 1], rng=0), X, Y, epochs=epochs, batch_size=16, progress=False,
               resume=True, callbacks=[Begin(), nn.Checkpoint(tmp_path / "run")])
        assert recorded == expected


def test_the_comparison_finds_a_bit():
    a = {"x": [np.ones(3), 1.0, (None, "b")]}
    assert differences(a, copy.deepcopy(a)) == []
    for change in (lambda t: t["x"][0].__setitem__(1, np.nextafter(1, 2)),
                   lambda t: t["x"].__setitem__(1, 1), lambda t: t["x"].pop(),
                   lambda t: t.__setitem__("y", 1)):
        b = copy.deepcopy(a)
        change(b)
        assert differences(a, b)


def test_a_finished_training_is_not_trained_further(tmp_path):
    path = tmp_path / "run"
    first = train("adam", path, 3, False, True)
    assert differences(first, train("adam", path, 3, True, True)) == []
    assert differences(first, train("adam", path, 2, True, True)) == []


def test_early_stopping_resumes_with_its_best_weights(tmp_path):
    values = [3.0, 1.0, 2.0, 2.0, 2.0]

    class Script(nn.Callback):
        def on_epoch_end(self, training):
            training.history.epochs.setdefault("x", []).append(values[training.epoch - 1])

    def run(epochs, path):
        model, stopping = mlp(), nn.EarlyStopping("x", patience=3)
        history = nn.fit(model, X, Y, epochs=epochs, seed=0, progress=False, resume=True,
                         callbacks=[Script(), stopping, nn.Checkpoint(path)])
        return model.state_dict(), len(history), stopping.best_epoch

    whole = run(9, tmp_path / "whole")
    run(3, tmp_path / "parts")
    assert differences(whole, run(9, tmp_path / "parts")) == [] and whole[1:] == (5, 2)


def test_a_training_that_was_ended_is_not_trained_further(tmp_path):
    """A script that is run again ends as it did: no epoch more, the best weights, the reason."""
    values = [3.0, 1.0, 2.0, 2.0]

    class Script(nn.Callback):
        def on_epoch_end(self, training):
            training.history.append(x=values[training.epoch - 1])

    def run(patience):
        model = mlp()
        ema = nn.EMA(model, 0.5)
        history = nn.fit(model, X, Y, epochs=4, seed=0, progress=False, resume=True, ema=ema,
                         callbacks=[Script(), nn.EarlyStopping("x", patience=patience),
                                    nn.Checkpoint(tmp_path / "run")])
        return model.state_dict(), ema.state_dict(), history.epochs, history.stopped

    first = run(1)
    assert first[2]["x"] == [3.0, 1.0, 2.0] and first[3] == "x has not improved for 1 epochs"
    for _ in range(2):
        assert differences(first, run(1)) == []
    assert run(3)[2]["x"] == values  # who has more patience goes on


# Checkpoints. ------------------------------------------------------------------------------------


def files(folder):
    return sorted(os.listdir(folder))


def test_checkpoints_are_written_when_asked_for(tmp_path):
    nn.fit(mlp(), X, Y, epochs=5, progress=False,
           callbacks=[nn.Checkpoint(tmp_path / "e{epoch}.st", every=2)])
    assert files(tmp_path) == ["e0002.st", "e0004.st"]
    checkpoint = nn.Checkpoint(tmp_path / "e{epoch}.st")
    assert checkpoint.latest() == tmp_path / "e0004.st"
    assert nn.Checkpoint(tmp_path / "f{epoch}.st").latest() is None
    assert nn.Checkpoint(tmp_path / "missing" / "f{epoch}.st").latest() is None


def test_only_the_best_is_kept(tmp_path):
    values = [3.0, 2.0, 2.5, 1.0, 4.0]

    class Script(nn.Callback):
        def on_epoch_end(self, training):
            training.history.epochs.setdefault("val_loss", []).append(values[training.epoch - 1])

    nn.fit(mlp(), X, Y, epochs=5, progress=False,
           callbacks=[nn.Checkpoint(tmp_path / "{epoch}", best_only=True), Script()])
    assert files(tmp_path) == ["0001", "0002", "0004"]


def test_the_weights_of_a_checkpoint_are_loaded_alone(tmp_path):
    path, model = tmp_path / "run", Noisy()
    nn.fit(model, X, Y, epochs=2, progress=False, callbacks=[nn.Checkpoint(path)])
    other = nn.load(Noisy(), path)
    assert differences(model.state_dict(), other.state_dict()) == []
    names = set(safetensors.numpy.load_file(path))
    assert set(model.state_dict()) < names
    assert all(name.startswith("@") for name in names - set(model.state_dict()))


@pytest.mark.parametrize(("make", "options", "error", "message"), [
    (lambda: nn.MLP([3, 9, 1], "tanh"), {}, ag.ShapeError,
     r"layers\.0\.weight has shape \(3, 9\), the state has \(3, 8\)"),
    (lambda: nn.MLP([3, 8, 8, 1], "tanh"), {}, KeyError, r"missing .*layers\.4"),
    (mlp, {"optimizer": lambda ps: nn.optim.SGD(ps, 0.1)}, ValueError, "another optimizer, Adam"),
    (mlp, {"optimizer": lambda ps: nn.optim.Adam(ps, S.Constant(0.1))}, ValueError,
     "the rate is the schedule Constant"),
    (mlp, {"callbacks": [nn.EarlyStopping()]}, ValueError,
     r"with the callbacks \['Checkpoint'\], now there are \['EarlyStopping', 'Checkpoint'\]"),
    (mlp, {"ema": True}, ValueError, "saved without an EMA"),
    (mlp, {"seed": np.random.Generator(np.random.MT19937(0))}, ValueError,
     "state of a PCG64 generator, not of a MT19937"),
    (Noisy, {}, KeyError, "missing"),
])
def test_a_file_of_another_training_changes_nothing(make, options, error, message, tmp_path):
    path = tmp_path / "run"
    nn.fit(mlp(), X, Y, epochs=1, progress=False, callbacks=[nn.Checkpoint(path)])
    model = make()
    optimizer = options.pop("optimizer", lambda ps: nn.optim.Adam(ps))(model.parameters())
    if options.pop("ema", None):
        options["ema"] = nn.EMA(model)
    callbacks = [*options.pop("callbacks", ()), nn.Checkpoint(path)]
    before, state = model.state_dict(), optimizer.state_dict()
    with pytest.raises(error, match=message):
        nn.fit(model, X, Y, epochs=3, progress=False, resume=path, optimizer=optimizer,
               callbacks=callbacks, **options)
    assert differences(before, model.state_dict()) == []
    assert differences(state, optimizer.state_dict()) == []


def test_weights_alone_are_nothing_to_resume(tmp_path):
    path = nn.save(mlp(), tmp_path / "weights")
    with pytest.raises(KeyError, match=r"holds no training to resume; nn\.Checkpoint writes"):
        nn.fit(mlp(), X, Y, resume=path, progress=False)
    with pytest.raises(FileNotFoundError, match=r"no .*nothing to resume from"):
        nn.fit(mlp(), X, Y, resume=tmp_path / "nothing", progress=False)


# Trainings of one's own. -------------------------------------------------------------------------


@pytest.mark.parametrize("bits", [
    np.random.PCG64, np.random.MT19937, np.random.Philox, np.random.SFC64, np.random.PCG64DXSM])
def test_a_loop_of_ones_own_is_saved_and_goes_on(bits, tmp_path):
    def make(seed):
        model = Noisy()
        optimizer = nn.optim.Adam(model.parameters(), S.ReduceOnPlateau(0.01, 0.5, 1))
        return model, optimizer, np.random.Generator(bits(seed)), nn.EMA(model, 0.5), nn.History()

    def steps(model, optimizer, rng, ema, history):
        for _ in range(3):
            chosen = rng.integers(0, 50, 16)
            optimizer.zero_grad()
            loss = nn.losses.mse(model(X[chosen].astype(np.float32)), Y[chosen].astype(np.float32))
            loss.backward()
            optimizer.step()
            ema.update()
            optimizer.lr.update(1.0)
            history.append(loss=loss.item())
        return [model.state_dict(), optimizer.state_dict(), rng.bit_generator.state,
                ema.state_dict(), history.epochs]

    first, second = make(0), make(1)
    steps(*first)
    model, optimizer, rng, ema, history = first
    path = nn.save(model, tmp_path / "run", optimizer=optimizer, rng=rng, ema=ema, history=history,
                   epoch=3)
    steps(*second)
    model, optimizer, rng, ema, history = second
    nn.load(model, path, optimizer=optimizer, rng=rng, ema=ema, history=history)
    assert differences(steps(*first), steps(*second)) == []


def test_what_was_not_saved_cannot_be_loaded(tmp_path):
    model = mlp()
    path = nn.save(model, tmp_path / "w", epoch=3)
    before = model.state_dict()
    for name, part in (("optimizer", nn.optim.SGD(model.parameters())), ("ema", nn.EMA(model)),
                       ("rng", np.random.default_rng(0)), ("history", nn.History())):
        with pytest.raises(KeyError, match=f"holds no {name}; it was saved without"):
            nn.load(model, path, **{name: part})
    path = nn.save(nn.MLP([3, 8, 1], rng=1), tmp_path / "w", rng=np.random.default_rng(0),
                   optimizer=nn.optim.SGD(model.parameters()))
    with pytest.raises(ValueError, match="PCG64 generator, not of a Philox"):
        nn.load(model, path, rng=np.random.Generator(np.random.Philox(0)))
    with pytest.raises(ValueError, match="another optimizer, SGD"):
        nn.load(model, path, optimizer=nn.optim.Adam(model.parameters()))
    assert differences(before, model.state_dict()) == []


def test_a_mismatched_state_of_the_optimizer_names_the_parameter_and_both_shapes(tmp_path):
    model, other = nn.Linear(3, 2, rng=0), nn.Linear(3, 4, rng=0)
    optimizer = nn.optim.Adam(other.parameters())
    for p in other.parameters():
        p.grad = np.ones(p.shape, np.float32)
    optimizer.step()
    path = nn.save(model, tmp_path / "w", optimizer=optimizer)
    with pytest.raises(ValueError, match=(
        r"Adam: a state of shapes \[\(3, 4\), \(3, 4\)\] for parameter 0 \(W\) of shape \(3, 2\)"
    )):
        nn.load(model, path, optimizer=nn.optim.Adam(model.parameters()))


def test_a_file_holds_data_and_nothing_else(tmp_path):
    path = tmp_path / "run"
    nn.fit(Noisy(), X, Y, epochs=1, progress=False, callbacks=[nn.Checkpoint(path)])
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    metadata = json.loads(content[8 : 8 + length])["__metadata__"]
    assert json.loads(metadata["training"])["dict"]["epoch"] == 1
    assert b"pickle" not in content and b"numpy" not in content


@pytest.mark.parametrize("spoil", [
    lambda t: t[: len(t) // 2], lambda t: "[]", lambda t: '{"eval": "1"}',
    lambda t: t.replace("@", "#"), lambda t: '{"dict": 3}',
])
def test_metadata_that_say_nothing_are_refused(spoil, tmp_path):
    path = nn.save(mlp(), tmp_path / "w", epoch=1, rng=np.random.default_rng(0),
                   optimizer=nn.optim.LBFGS(mlp().parameters()))
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    metadata = json.loads(content[8 : 8 + length])["__metadata__"]
    tensors = safetensors.numpy.load(content)
    safetensors.numpy.save_file(tensors, path, {**metadata, "training": spoil(
        metadata["training"].replace('"epoch"', '"x": {"array": "@9"}, "epoch"'))})
    with pytest.raises((ValueError, KeyError), match=r"cannot be read|holds no rng"):
        nn.load(mlp(), path, rng=np.random.default_rng(0))


@pytest.mark.parametrize("state", [
    np.random.RandomState(0), np.random.PCG64(0), random.Random(0)], ids=lambda s: type(s).__name__)
@pytest.mark.parametrize("held", [lambda s: s, lambda s: [{"a": s}]], ids=["plain", "in a list"])
def test_a_random_state_that_would_be_lost_is_refused_before_the_training(state, held, tmp_path):
    model = nn.MLP([3, 8, 1], rng=0)
    model.noise = held(state)
    before = model.state_dict()
    with pytest.raises(TypeError, match=rf"MLP holds a {type(state).__name__} \(0\.noise"):
        nn.fit(model, X, Y, epochs=1, progress=False, callbacks=[nn.Checkpoint(tmp_path / "run")])
    with pytest.raises(TypeError, match=r"hold a np\.random\.Generator"):
        nn.save(model, tmp_path / "run", epoch=1)
    assert differences(before, model.state_dict()) == [] and files(tmp_path) == []
    nn.fit(model, X, Y, epochs=1, progress=False)  # where nothing is saved, nothing is lost


# Killed at any moment. ---------------------------------------------------------------------------


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_process_that_is_killed_leaves_the_old_file_or_the_new_one(tmp_path):
    """It writes files whose tensors all hold one number, as fast as it can, until it is killed."""
    program = textwrap.dedent("""
        import os, random, signal, sys, time, numpy as np, nn
        path = sys.argv[1]
        model, other = nn.MLP([64, 256, 10], rng=0), nn.MLP([64, 256, 10], rng=0)
        optimizer = nn.optim.SGD(model.parameters())
        def write(i):
            for p in model.parameters():
                p.assign(np.full(p.shape, i, np.float32))
            nn.save(model, path, optimizer=optimizer, epoch=i)
        write(0)
        last, moved = 0, 0
        for _ in range(40):
            ours, theirs = os.pipe()
            child = os.fork()
            if not child:
                i = last
                while True:
                    i += 1
                    write(i)
                    os.write(theirs, b"%d " % i)
            os.close(theirs)
            time.sleep(random.uniform(0.0, 0.02))
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            with os.fdopen(ours) as pipe:
                written = [last, *map(int, pipe.read().split())]
            nn.load(other, path)
            found = [p.numpy(force=True) for p in other.parameters()]
            (value,) = {float(x) for array in found for x in np.unique(array)}
            assert value in (written[-1], written[-1] + 1), (value, written)
            moved += value > last
            last = int(value)
        print(moved)
    """)
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path / "w")], timeout=120,
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 0  # some were killed in the midst of their work
    left = [name for name in os.listdir(tmp_path) if name != "w"]
    assert all(re.fullmatch(r"\.[0-9a-f]{16}\.partial", name) for name in left)
