"""What modules hold: buffers, frozen parameters, tied weights, penalties on them; copies."""

import copy
import pickle
import subprocess
import sys

import numpy as np
import pytest

import autograd_core as ag
import nn


def value(t):
    return t.numpy(force=True)


def training_step(model, optimizer, loss):
    def step(*batch):
        optimizer.zero_grad()
        result = loss(model, *batch)
        result.backward()
        optimizer.step()
        return result.detach()

    return step


# Buffers. ----------------------------------------------------------------------------------------


def test_a_buffer_is_state_but_no_parameter():
    model = nn.Sequential(nn.Linear(3, 4, rng=0), nn.BatchNorm1d(4))
    assert [name for name, _ in model.named_buffers()] == [
        "layers.1.running_mean", "layers.1.running_var"]
    assert list(model.state_dict()) == [
        "layers.0.weight", "layers.0.bias", "layers.1.weight", "layers.1.bias",
        "layers.1.running_mean", "layers.1.running_var"]
    assert len(model.parameters()) == 4
    assert not any(b.requires_grad for _, b in model.named_buffers())
    with pytest.raises(TypeError, match=r"expected nn.Parameter, got Buffer"):
        nn.optim.SGD([model[1].running_mean])


def test_state_dicts_need_the_buffers():
    norm = nn.BatchNorm1d(2)
    state = norm.state_dict()
    del state["running_var"]
    with pytest.raises(KeyError, match="running_var"):
        norm.load_state_dict(state)
    with pytest.raises(ag.ShapeError, match=r"running_mean has shape \(2,\), the state has \(3,\)"):
        norm.load_state_dict(nn.BatchNorm1d(2).state_dict() | {"running_mean": np.ones(3)})


def test_running_estimates_follow_the_batches():
    norm = nn.BatchNorm1d(3, momentum=0.3, dtype=np.float64)
    mean, var = np.zeros(3), np.ones(3)
    for seed in range(5):
        x = np.random.default_rng(seed).standard_normal((6, 3)) * 2 + 1
        norm(x)
        mean = 0.7 * mean + 0.3 * x.mean(0)
        var = 0.7 * var + 0.3 * x.var(0, ddof=1)
    np.testing.assert_allclose(value(norm.running_mean), mean, rtol=1e-12)
    np.testing.assert_allclose(value(norm.running_var), var, rtol=1e-12)
    norm.eval()
    x = np.random.default_rng(9).standard_normal((1, 3))  # one sample will do now
    np.testing.assert_allclose(value(norm(x)), (x - mean) / np.sqrt(var + 1e-5), rtol=1e-12)
    np.testing.assert_allclose(value(norm.running_mean), mean, rtol=1e-12)


def test_running_estimates_follow_compiled_and_the_mode_is_noticed():
    eager, plain = (nn.BatchNorm1d(3, dtype=np.float64) for _ in range(2))
    f = ag.compile(plain)
    for seed in range(20):
        if seed in (5, 12):
            eager.train(seed == 12)
            plain.train(seed == 12)
        x = np.random.default_rng(seed).standard_normal((4, 3))
        np.testing.assert_allclose(value(f(x)), value(eager(x)), rtol=1e-12)
        for (_, a), (_, b) in zip(eager.named_buffers(), plain.named_buffers(), strict=True):
            np.testing.assert_allclose(value(b), value(a), rtol=1e-12)
    assert f.recompiles == 1  # one plan for each mode


def test_one_sample_cannot_be_normalised_by_its_batch():
    norm = nn.BatchNorm1d(3)
    before = norm.state_dict()
    with pytest.raises(ag.ShapeError, match="two samples or more"):
        norm(np.ones((1, 3), np.float32))
    with pytest.raises(ag.ShapeError, match=r"2 or 3 axes, the second of size 3"):
        norm(np.ones((4, 2), np.float32))
    assert all(np.array_equal(v, before[k]) for k, v in norm.state_dict().items())


def test_gradients_flow_through_the_batch_statistics_and_not_through_the_running_ones():
    norm = nn.BatchNorm1d(2, dtype=np.float64)
    x = ag.tensor(np.random.default_rng(0).standard_normal((4, 2)), requires_grad=True)
    norm(x).sum().backward()
    np.testing.assert_allclose(x.grad, 0, atol=1e-12)  # a shift of all changes nothing
    norm.eval()
    x.zero_grad()
    norm(x).sum().backward()
    expected = np.ones((4, 2)) / np.sqrt(value(norm.running_var) + 1e-5)
    np.testing.assert_allclose(x.grad, expected, rtol=1e-12)


# Frozen parameters. -------------------------------------------------------------------------------


@pytest.mark.parametrize("compiled", [False, True])
def test_frozen_parameters_stay_until_they_are_unfrozen(compiled):
    model = nn.MLP([3, 4, 1], "tanh", rng=0, dtype=np.float64)
    optimizer = nn.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    step = training_step(model, optimizer, lambda m, x, y: nn.losses.mse(m(x), y))
    step = ag.compile(step) if compiled else step
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((8, 3)), rng.standard_normal((8, 1))
    step(x, y)
    assert model[0].freeze() is model[0]  # with a gradient waiting, which must not be applied
    before = [np.array(value(p)) for p in model.parameters()]
    for _ in range(3):
        step(x, y)
    after = [np.array(value(p)) for p in model.parameters()]
    assert [np.array_equal(a, b) for a, b in zip(before, after, strict=True)] == [
        True, True, False, False]
    model.unfreeze()
    step(x, y)
    assert not np.array_equal(value(model[0].weight), after[0])


# Tied weights. ------------------------------------------------------------------------------------


class Autoencoder(nn.Module):
    """Decodes with the transposed weights of the encoder."""

    def __init__(self, n, hidden):
        self.encoder = nn.Linear(n, hidden, rng=0, init="xavier", dtype=np.float64)
        self.bias = nn.Parameter(np.zeros(n))

    def forward(self, x):
        return np.tanh(self.encoder(x)) @ self.encoder.weight.T + self.bias


class Twice(nn.Module):
    """The same layer stored twice."""

    def __init__(self):
        self.first = nn.Linear(3, 3, rng=0, init="xavier", dtype=np.float64)
        self.second = nn.Linear(3, 3, rng=1, init="xavier", dtype=np.float64)
        self.second.weight = self.first.weight

    def forward(self, x):
        return self.second(np.tanh(self.first(x)))


@pytest.mark.parametrize("make", [lambda: Autoencoder(6, 2), Twice], ids=["transposed", "stored"])
def test_tied_weights_train_as_one(make):
    """Against the gradient of a model whose weights are free: the two parts are added up."""
    n = 6 if isinstance(make(), Autoencoder) else 3
    rng = np.random.default_rng(0)
    x = rng.standard_normal((40, 2)) @ rng.standard_normal((2, n))
    losses = []
    models = [make() for _ in range(2)]
    for compiled, model in enumerate(models):
        assert len(model.parameters()) == 3
        optimizer = nn.optim.Adam(model.parameters(), lr=0.02)
        step = training_step(model, optimizer, lambda m, x: nn.losses.mse(m(x), x))
        step = ag.compile(step) if compiled else step
        losses.append([step(x).item() for _ in range(60)])
        assert losses[-1][-1] < 0.6 * losses[-1][0]
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-9)
    for p, q in zip(*(m.parameters() for m in models), strict=True):
        np.testing.assert_allclose(value(q), value(p), rtol=1e-8)


def test_the_gradient_of_a_tied_weight_is_the_sum_over_its_places():
    model = Twice()
    w, b, c = (np.array(value(p)) for p in model.parameters())
    x = np.random.default_rng(0).standard_normal((5, 3))
    (model(x) ** 2).sum().backward()

    def free(first, second):
        return ((np.tanh(x @ first + b) @ second + c) ** 2).sum()

    expected = ag.grad(free, 0)(w, w) + ag.grad(free, 1)(w, w)
    np.testing.assert_allclose(model.first.weight.grad, expected, rtol=1e-12)
    assert list(model.state_dict()) == ["first.weight", "first.bias", "second.bias"]


# Penalties. ---------------------------------------------------------------------------------------


def model_and_values():
    model = nn.Sequential(nn.Linear(3, 4, rng=0, dtype=np.float64), nn.Tanh(),
                          nn.Neuron(4, rng=1, dtype=np.float64))
    for p in model.parameters():
        p.assign(np.random.default_rng(p.size).standard_normal(p.shape)[()])
    return model, {n: np.array(value(p)) for n, p in model.named_parameters()}


PENALTIES = {
    "l1": (lambda m, **o: nn.penalties.l1(m, 0.1, **o), lambda w: 0.1 * np.abs(w).sum()),
    "l2": (lambda m, **o: nn.penalties.l2(m, 0.1, **o), lambda w: 0.05 * (w**2).sum()),
    "group": (lambda m, **o: nn.penalties.group(m, 0.1, **o),
              lambda w: 0.1 * np.sqrt(w.shape[-1] * (w**2).sum(-1)).sum() if w.ndim
              else 0.1 * abs(w)),
}


@pytest.mark.parametrize("name", PENALTIES)
def test_a_penalty_is_its_formula(name):
    penalty, formula = PENALTIES[name]
    model, values = model_and_values()
    weights = {n: w for n, w in values.items() if n.endswith("weight")}
    assert len(weights) == 2
    assert penalty(model).item() == pytest.approx(sum(map(formula, weights.values())), rel=1e-12)
    assert penalty(model, biases=True).item() == pytest.approx(
        sum(map(formula, values.values())), rel=1e-12)
    parameters = model.parameters()
    assert penalty(parameters).item() == penalty(model, biases=True).item()
    assert penalty(parameters[0]).item() == pytest.approx(formula(value(parameters[0])), rel=1e-12)


@pytest.mark.parametrize("name", PENALTIES)
def test_the_gradient_of_a_penalty(name):
    penalty, formula = PENALTIES[name]
    model, values = model_and_values()
    penalty(model).backward()
    for n, p in model.named_parameters():
        if n.endswith("bias"):
            assert p.grad is None
        else:
            np.testing.assert_allclose(p.grad, ag.grad(formula)(values[n]), rtol=1e-10)


@pytest.mark.parametrize("name", PENALTIES)
def test_a_penalty_is_flat_at_zero(name):
    p = nn.Parameter(np.zeros((2, 3), np.float32))
    result = PENALTIES[name][0](p)
    result.backward()
    assert result.item() == 0 and not p.grad.any() and result.dtype == np.float32


@pytest.mark.parametrize("name", PENALTIES)
def test_a_penalised_step_compiles(name):
    histories = []
    for compiled in (False, True):
        model, _ = model_and_values()
        optimizer = nn.optim.SGD(model.parameters(), lr=0.05)
        penalty = PENALTIES[name][0]
        step = training_step(model, optimizer,
                             lambda m, x, y, f=penalty: nn.losses.mse(m(x), y) + f(m))
        step = ag.compile(step) if compiled else step
        rng = np.random.default_rng(0)
        x, y = rng.standard_normal((8, 3)), rng.standard_normal(8)
        histories.append([step(x, y).item() for _ in range(20)])
    np.testing.assert_allclose(histories[1], histories[0], rtol=1e-11)


def test_lasso_and_group_lasso_leave_inputs_out():
    """Of ten inputs two matter; least squares uses them all."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((60, 10))
    y = x[:, :2] @ np.array([[2.0, -1.0], [1.0, 1.5]]) + 0.3 * rng.standard_normal((60, 2))

    def left(penalty):
        model = nn.Linear(10, 2, init="zeros", dtype=np.float64)
        optimizer = nn.optim.SGD(model.parameters(), lr=lambda step: 0.1 / (1 + step / 50))
        step = ag.compile(training_step(
            model, optimizer, lambda m, x, y: nn.losses.mse(m(x), y) + penalty(m)))
        for _ in range(400):
            step(x, y)
        return (np.abs(value(model.weight)).max(1) > 0.02).nonzero()[0].tolist()

    assert left(lambda m: nn.penalties.l1(m, 0.2)) == [0, 1]
    assert left(lambda m: nn.penalties.group(m, 0.2)) == [0, 1]
    assert len(left(lambda m: nn.penalties.l2(m, 0.01))) > 5


@pytest.mark.parametrize(("of", "strength", "message"), [
    ([], 0.1, "no parameters"), (nn.Tanh(), 0.1, "no parameters"),
    (nn.Parameter([1.0]), -0.1, "must not be negative"),
    (nn.Parameter([1.0]), float("nan"), "must not be negative"),
])
@pytest.mark.parametrize("name", PENALTIES)
def test_penalties_of_nothing(name, of, strength, message):
    with pytest.raises(ValueError, match=f"{name}: .*{message}"):
        getattr(nn.penalties, name)(of, strength)


# Copies, also in other processes. -----------------------------------------------------------------


class Compiled(nn.Module):
    """A module that compiles its own method, as one would for speed."""

    def __init__(self):
        self.linear = nn.Linear(3, 1, rng=0)
        self.run = ag.compile(self._run)

    def _run(self, x):
        return np.tanh(self.linear(x))

    def forward(self, x):
        return self.run(x)


COPIES = {"deepcopy": copy.deepcopy, "pickle": lambda x: pickle.loads(pickle.dumps(x))}
MODELS = {
    "mlp": lambda: nn.MLP([3, 8, 1], "tanh", rng=0),
    "layers": lambda: nn.Sequential(
        nn.Linear(3, 8, rng=0), nn.BatchNorm1d(8), nn.PReLU(), nn.Dropout(0.3, rng=5),
        nn.Linear(8, 1, rng=1)),
    "compiled within": Compiled,
}


@pytest.mark.parametrize("of", COPIES)
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("compiled", [True, False], ids=["compiled", "eager"])
def test_a_trained_model_is_copied_with_its_optimizer_and_both_go_on_alike(of, model, compiled):
    X = np.random.default_rng(0).standard_normal((40, 3)).astype(np.float32)
    model = MODELS[model]()
    optimizer = nn.optim.Adam(model.parameters(), nn.schedules.Cosine(0.05, 50))
    ema = nn.EMA(model, 0.9)

    def train(model, optimizer, ema):
        nn.fit(model, X, X[:, :1], optimizer=optimizer, ema=ema, epochs=2, batch_size=16,
               compile=compiled, progress=False, seed=1)
        return model.state_dict(), ema.state_dict(), optimizer.state_dict()["steps"]

    train(model, optimizer, ema)
    waiting = [p.grad is not None for p in model.parameters()]
    assert all(waiting)  # of a compiled step: in the buffer of its plan
    other = COPIES[of]((model, optimizer, ema))
    assert np.array_equal(nn.predict(model, X), nn.predict(other[0], X))
    before = model.state_dict()
    first = train(*other)
    assert all(np.array_equal(before[k], v) for k, v in model.state_dict().items())  # its own
    for a, b in zip(first, train(model, optimizer, ema), strict=True):
        if not isinstance(a, dict):
            assert a == b
            continue
        assert a.keys() == b.keys()
        for name in a:  # the copy records, where the first replays in another order
            np.testing.assert_allclose(a[name], b[name], rtol=2e-4, atol=1e-5)


def test_a_gradient_that_a_plan_holds_is_pickled():
    model = nn.Linear(3, 1, rng=0)
    nn.fit(model, np.ones((4, 3)), np.ones((4, 1)), epochs=3, progress=False)
    sent = pickle.loads(pickle.dumps(model))
    assert np.array_equal(sent.weight.grad, model.weight.grad)


def test_a_trained_model_predicts_in_another_process():
    model = nn.MLP([3, 8, 1], rng=0)
    X = np.random.default_rng(0).standard_normal((40, 3)).astype(np.float32)
    nn.fit(model, X, X[:, :1], epochs=2, progress=False)
    program = (
        "import pickle, sys, nn; model, X = pickle.load(sys.stdin.buffer); "
        "before = nn.predict(model, X); nn.fit(model, X, X[:, :1], epochs=1, progress=False); "
        "sys.stdout.buffer.write(pickle.dumps((before, model)))")
    done = subprocess.run([sys.executable, "-c", program], input=pickle.dumps((model, X)),
                          capture_output=True, check=True, timeout=60)
    predicted, trained = pickle.loads(done.stdout)
    assert np.array_equal(predicted, nn.predict(model, X))
    assert nn.losses.mse(nn.predict(trained, X), X[:, :1]) < nn.losses.mse(predicted, X[:, :1])
