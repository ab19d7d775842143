"""Networks made to vanish, explode, die and saturate, and healthy ones that get no complaint."""

import copy
from itertools import pairwise

import matplotlib as mpl
import numpy as np
import pytest

import autograd_core as ag
import nn

mpl.use("Agg")

RNG = np.random.default_rng(0)
X = RNG.standard_normal((128, 8))
Y = X[:, :1] - 0.5 * X[:, 1:2]
DEEP = [8] + [32] * 8 + [1]


def scaled(model, factor, bias=None):
    for name, p in model.named_parameters():
        if name.endswith("weight"):
            p.assign(p.numpy(force=True) * factor)
        elif bias is not None:
            p.assign(np.full(p.shape, bias))
    return model


def dying():
    """The first layer's biases are so negative that no input makes a unit positive."""
    model = nn.MLP([8, 32, 32, 1], "relu", rng=0)
    model[0].bias.assign(np.where(np.arange(32) < 20, -100.0, 0.0))
    return model


SICK = {
    "deep sigmoid": (lambda: nn.MLP(DEEP, "sigmoid", rng=0), {"vanishing"}),
    "deep sigmoid as modules": (
        lambda: nn.Sequential(*[part for n, m in pairwise(DEEP)
                                for part in (nn.Linear(n, m, rng=0), nn.Sigmoid())]),
        {"vanishing"}),
    "neurons": (
        lambda: nn.Sequential(*[nn.Layer(n, m, "sigmoid", rng=0)
                                for n, m in pairwise([8] + [4] * 9 + [1])]),
        {"vanishing"}),
    "small weights": (lambda: scaled(nn.MLP(DEEP, "tanh", rng=0), 0.05), {"vanishing"}),
    "large weights": (lambda: scaled(nn.MLP(DEEP, "relu", rng=0), 6), {"exploding"}),
    "not finite": (lambda: scaled(nn.MLP(DEEP, "relu", rng=0), 1e9), {"exploding"}),
    "dead": (dying, {"dead"}),
    "all dead": (lambda: scaled(nn.MLP([8, 32, 1], "relu", rng=0), 1, bias=-100.0),
                 {"dead", "vanishing"}),
    "dead elu": (lambda: nn.Sequential(scaled(nn.Linear(8, 4, rng=0), 1, bias=-100.0), nn.ELU(),
                                       nn.Linear(4, 1, rng=0)), {"dead", "vanishing"}),
    "step": (lambda: nn.MLP([8, 16, 1], "step", rng=0), {"dead", "vanishing"}),
    "saturated tanh": (lambda: scaled(nn.MLP([8, 32, 32, 1], "tanh", rng=0), 20), {"saturated"}),
    "saturated sigmoid": (
        lambda: nn.Sequential(scaled(nn.Layer(8, 16, "sigmoid", rng=0), 1, bias=20.0),
                              nn.Linear(16, 1, rng=0)), {"saturated", "vanishing"}),
    "saturated hard tanh": (
        lambda: nn.Sequential(scaled(nn.Linear(8, 16, rng=0), 20), nn.Hardtanh(),
                              nn.Linear(16, 1, rng=0)), {"saturated"}),
}
HEALTHY = {
    "relu": lambda: nn.MLP(DEEP, "relu", rng=0),
    "tanh": lambda: nn.MLP([8, 32, 32, 32, 1], "tanh", rng=0),
    "leaky relu, dead or not": lambda: nn.Sequential(
        scaled(nn.Linear(8, 16, rng=0), 1, bias=-100.0), nn.LeakyReLU(), nn.Linear(16, 1, rng=0)),
    "gelu": lambda: nn.MLP([8, 32, 32, 1], "gelu", rng=0),
    "shallow sigmoid": lambda: nn.MLP([8, 32, 1], "sigmoid", rng=0),
    "one layer": lambda: nn.Linear(8, 1, rng=0),
    "one neuron": lambda: nn.Sequential(nn.Neuron(8, "tanh", rng=0), lambda y: y[:, None]),
    "saturated output": lambda: nn.Sequential(
        nn.MLP([8, 16], rng=0), scaled(nn.Linear(16, 1, rng=0), 30), nn.Sigmoid()),
    "normalised": lambda: nn.Sequential(
        nn.Linear(8, 16, rng=0), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 1, rng=0)),
    "residual": lambda: nn.Sequential(
        nn.Linear(8, 16, rng=0), *(nn.Residual(nn.Linear(16, 16, rng=i), nn.Tanh())
                                   for i in range(4)), nn.Linear(16, 1, rng=0)),
    "softmax inside": lambda: nn.Sequential(nn.Linear(8, 4, rng=0), nn.Softmax(),
                                            nn.Linear(4, 1, rng=0)),
}


@pytest.mark.parametrize("case", SICK)
def test_what_is_wrong_is_said(case):
    make, expected = SICK[case]
    with np.errstate(all="ignore"):
        diagnosis = nn.diagnose(make(), X, Y)
    assert set(diagnosis.problems) == expected and not diagnosis.healthy
    text = str(diagnosis)
    for kind, sentence in diagnosis.problems.items():
        assert f"{kind}: {sentence}" in text and len(sentence) > 60


@pytest.mark.parametrize("case", HEALTHY)
def test_a_healthy_network_gets_no_complaint(case):
    diagnosis = nn.diagnose(HEALTHY[case](), X, Y)
    assert diagnosis.problems == {} and diagnosis.healthy
    assert str(diagnosis).endswith("no complaints")


def test_the_numbers_are_those_of_the_network():
    model = nn.MLP([8, 5, 3, 1], "tanh", rng=0, dtype=np.float64)
    diagnosis = nn.diagnose(model, X, Y)
    W, b = zip(*[(layer.weight.numpy(force=True), layer.bias.numpy(force=True))
                 for layer in (model[0], model[2], model[4])], strict=True)
    z, h = [], [X]
    for i in range(3):
        z.append(h[-1] @ W[i] + b[i])
        h.append(np.tanh(z[-1]) if i < 2 else z[-1])
    delta = 2 * (h[3] - Y) / len(X)
    assert diagnosis.loss == pytest.approx(np.mean((h[3] - Y) ** 2))
    for i in (2, 1, 0):
        layer = diagnosis.layers[i]
        gradient = np.sqrt(np.sum((h[i].T @ delta) ** 2) + np.sum(delta.sum(0) ** 2))
        size = np.sqrt(np.sum(W[i] ** 2) + np.sum(b[i] ** 2))
        assert layer.mean == pytest.approx(h[i + 1].mean())
        assert layer.spread == pytest.approx(h[i + 1].std())
        assert layer.signal == pytest.approx(np.sqrt(np.mean(delta**2)))
        assert layer.gradient == pytest.approx(gradient)
        assert layer.ratio == pytest.approx(0.01 * gradient / size)
        if i < 2:
            slope = 1 - h[i + 1] ** 2
            assert layer.saturated == pytest.approx(np.mean(slope <= 0.05)) and layer.dead is None
        if i:
            delta = delta @ W[i].T * (1 - h[i] ** 2)
    assert [layer.name for layer in diagnosis.layers] == ["layers.0", "layers.2", "layers.4"]
    assert diagnosis.layers[0].kind == "Linear(8, 5) tanh"
    assert diagnosis.layers[2].saturated is diagnosis.layers[2].dead is None


def test_dead_units_are_counted():
    layer = nn.diagnose(dying(), X, Y).layers[0]
    assert layer.dead == pytest.approx(20 / 32, abs=0.04) and layer.saturated is None


def test_units_one_by_one_give_the_numbers_of_a_layer_of_them():
    together = nn.Sequential(nn.Linear(8, 6, rng=0), nn.Sigmoid(), nn.Linear(6, 1, rng=1))
    apart = nn.Sequential(nn.Layer(8, 6, "sigmoid", rng=0), nn.Linear(6, 1, rng=1))
    for i, neuron in enumerate(apart[0].neurons):
        neuron.weight.assign(together[0].weight.numpy(force=True)[:, i])
    a, b = (nn.diagnose(m, X, Y).layers for m in (together, apart))
    assert a[0].saturated == b[0].saturated < 1
    for x, y in zip(a, b, strict=True):
        assert (x.saturated is None) == (y.saturated is None)
        for name in ("mean", "spread", "signal", "gradient", "ratio"):
            assert vars(x)[name] == pytest.approx(vars(y)[name], rel=1e-4)


def test_the_update_is_that_of_the_optimizer():
    model = nn.Linear(8, 1, bias=False, rng=0)
    size = np.linalg.norm(model.weight.numpy(force=True))
    adam = nn.optim.Adam(model.parameters(), lr=0.5)  # its first step is lr for each weight
    (layer,) = nn.diagnose(model, X, Y, optimizer=adam).layers
    assert layer.ratio == pytest.approx(0.5 * np.sqrt(8) / size, rel=1e-3)
    adam.lr = 100.0
    problems = nn.diagnose(model, X, Y, optimizer=adam).problems
    assert "times as large as its weights" in problems["exploding"]


class Own(nn.Module):
    """A forward of one's own, with parts in containers, used twice, and drawing at random."""

    def __init__(self):
        self.parts = {"in": nn.Linear(8, 6, rng=0), "more": [nn.Linear(6, 6, rng=1)]}
        self.norm = nn.BatchNorm1d(6)
        self.out = nn.Linear(6, 1, rng=2)
        self.rng = np.random.default_rng(0)

    def forward(self, x):
        h = np.tanh(self.parts["in"](x))
        for _ in range(2):
            h = np.tanh(self.parts["more"][0](h))
        return self.out(self.norm(h + 0.01 * ag.random.normal(self.rng, 0, 1, size=h.shape,
                                                             dtype=np.float32)))


def test_a_model_is_left_as_it_was():
    model = Own().eval()
    model.out.train()
    for p in model.parameters():
        p.grad = np.full(p.shape, 0.5)
    own = {m: dict(vars(m)) for m in model.modules()}
    state, random = model.state_dict(), copy.deepcopy(model.rng.bit_generator.state)
    diagnosis = nn.diagnose(model, X, Y)
    assert [x.name for x in diagnosis.layers] == ["parts.in", "parts.more.0", "norm", "out"]
    assert all(np.array_equal(a, b) for a, b in zip(
        state.values(), model.state_dict().values(), strict=True))
    assert model.rng.bit_generator.state == random
    assert all((p.grad == 0.5).all() for p in model.parameters())
    assert not model.training and model.out.training
    for module, before in own.items():
        assert vars(module).keys() == before.keys()
        assert all(vars(module)[key] is x for key, x in before.items())


def test_it_is_left_as_it_was_after_an_error_too():
    model = nn.MLP([8, 4, 1], "relu", rng=0)
    layers = list(model.layers)
    with pytest.raises(ag.ShapeError):
        nn.diagnose(model, X[:, :5], Y)
    assert model.layers == layers and "forward" not in vars(model[0])


@pytest.mark.parametrize(("call", "error", "message"), [
    (lambda: nn.diagnose(nn.Sequential(nn.ReLU()), X, Y), ValueError, "no parameters"),
    (lambda: nn.diagnose(nn.Linear(8, 1), X * np.nan, Y), ValueError, "diagnose: X holds .* NaN"),
    (lambda: nn.diagnose(nn.Linear(8, 1), X, Y[:-1]), ag.ShapeError, "X has 128 samples"),
    (lambda: nn.DiagnosisLog(X, Y, every=0), ValueError, "every must be positive"),
])
def test_what_it_refuses(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_a_log_sees_the_epochs_and_does_not_change_the_training():
    models = [nn.MLP([8, 16, 1], "tanh", rng=0) for _ in range(2)]
    log = nn.DiagnosisLog(X, Y, every=2)
    for model, callbacks in zip(models, ([log], []), strict=True):
        nn.fit(model, X, Y, epochs=6, callbacks=callbacks, progress=False, seed=0)
    a, b = (m.state_dict() for m in models)
    assert all(np.array_equal(a[k], b[k]) for k in a)
    assert log.epochs == [2, 4, 6]
    assert log.diagnoses[0].loss > log.diagnoses[-1].loss
    other = nn.DiagnosisLog(X, Y)
    other.load_state_dict(log.state_dict())
    assert other.diagnoses == log.diagnoses and other.epochs == log.epochs


def test_plots():
    with np.errstate(all="ignore"):
        diagnosis = nn.diagnose(SICK["deep sigmoid"][0](), X, Y)
    axes = diagnosis.plot()
    assert len(axes) == 3 and len(axes[2].get_lines()) == 3
    assert axes[0].figure.get_suptitle() == "vanishing"
    log = nn.DiagnosisLog(X, Y)
    nn.fit(nn.MLP([8, 16, 1], "tanh", rng=0), X, Y, epochs=3, callbacks=[log], progress=False)
    axes = log.plot()
    assert [len(ax.get_lines()) for ax in axes] == [2, 2, 2]
    assert len(axes[0].get_lines()[0].get_xdata()) == 3
    mpl.pyplot.close("all")
