"""The page of a training: what it records is true, and recording changes nothing."""

import base64
import json
import re

import numpy as np
import pytest

import autograd_core as ag
import nn

RNG = np.random.default_rng(3)
X = RNG.uniform(-1, 1, (60, 2))
XOR = (X[:, 0] * X[:, 1] > 0).astype(int)


def mlp(outputs=1, hidden=5, **about):
    return nn.MLP([2, hidden, outputs], activation="tanh", rng=0, **about)


def data_of(path):
    source = path.read_text("utf-8")
    return json.loads(re.search(r'id="data">(.*?)</script>', source, re.DOTALL)[1])


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    folder = tmp_path_factory.mktemp("playgrounds")
    rate = {"epochs": 12, "seed": 0}
    model = mlp()
    return {
        "binary": nn.playground(model, X, XOR, folder / "binary.html",
                                optimizer=nn.optim.Adam(model.parameters(), lr=0.05), **rate),
        "classes": nn.playground(mlp(3, 40), X, RNG.integers(0, 3, 60), folder / "classes.html",
                                 **rate),
        "number": nn.playground(mlp(), X, np.sin(3 * X[:, :1]), folder / "number.html", **rate),
    }


def with_state():
    """A model that draws at random in training and keeps running statistics."""
    return nn.Sequential(nn.Linear(2, 6, rng=0), nn.BatchNorm1d(6), nn.activations.tanh,
                         nn.Dropout(0.2, rng=1), nn.Linear(6, 1, rng=2))


@pytest.mark.parametrize("make", [mlp, with_state])
def test_the_training_is_that_of_fit(tmp_path, make):
    models = [make(), make()]
    optimizers = [nn.optim.Adam(m.parameters(), lr=0.05) for m in models]
    history = nn.fit(models[0], X, XOR[:, None], loss="bce_with_logits", optimizer=optimizers[0],
                     epochs=7, seed=1, progress=False)
    path = nn.playground(models[1], X, XOR, tmp_path / "p.html", optimizer=optimizers[1], epochs=7,
                         seed=1)
    states = [m.state_dict() for m in models]
    assert states[0].keys() == states[1].keys()
    for name, value in states[0].items():
        np.testing.assert_array_equal(value, states[1][name])
    assert data_of(path)["history"] == history["loss"]


def test_what_it_records_is_the_model(tmp_path):
    model = mlp()
    data = data_of(nn.playground(model, X, XOR, tmp_path / "p.html", epochs=5, seed=0))
    assert data["epochs"] == [0, 1, 2, 3, 4, 5]
    logits = nn.predict(model, X)
    assert data["accuracies"][-1] == np.mean((logits[:, 0] > 0) == XOR)
    model.zero_grad()
    loss = nn.losses.bce_with_logits(model(X.astype(np.float32)), XOR[:, None])
    loss.backward()
    assert data["losses"][-1] == pytest.approx(loss.item(), rel=1e-6)
    for (name, p), shown in zip(model.named_parameters(), data["parameters"], strict=True):
        assert shown["name"] == name and shown["shape"] == list(p.shape)
        assert shown["gradients"][-1] == pytest.approx(np.sqrt(np.mean(p.grad**2)), rel=1e-5)
        levels = np.frombuffer(base64.b64decode(shown["values"][-1]), np.int8)
        values = levels / 127 * shown["largest"]
        np.testing.assert_allclose(values, p.numpy(force=True).ravel(),
                                   atol=0.51 * shown["largest"] / 127)
    n, (x0, y0), (x1, y1) = data["grid"], data["low"], data["high"]
    along = (np.arange(n) + 0.5) / n
    grid = np.stack(np.meshgrid(x0 + along * (x1 - x0), y1 - along * (y1 - y0)), -1).reshape(-1, 2)
    surface = np.frombuffer(base64.b64decode(data["surfaces"][-1]), np.uint8)
    np.testing.assert_allclose(surface / 255, ag.sigmoid(nn.predict(model, grid)[:, 0]), atol=0.003)
    hidden = np.frombuffer(base64.b64decode(data["units"][0]["responses"][-1]), np.int8)
    assert hidden.size == 5 * data["unitGrid"] ** 2 and np.abs(hidden).max() == 127


def test_looking_leaves_gradients_modes_and_random_numbers_alone(tmp_path):
    class Noisy(nn.Module):
        def __init__(self):
            self.inner = mlp()
            self.modes = []

        def forward(self, x):
            self.modes.append(self.training)
            return self.inner(x)

    model = Noisy()
    nn.playground(model, X, XOR, tmp_path / "p.html", epochs=2, seed=0, compile=False)
    assert True in model.modes and False in model.modes
    assert model.training
    assert model.modes[0] is False, "the frame before any training is in evaluation mode"


def test_frames_are_spread_evenly_over_long_trainings(tmp_path):
    path = nn.playground(mlp(), X, XOR, tmp_path / "p.html", epochs=100, frames=10, seed=0)
    assert data_of(path)["epochs"] == list(range(0, 101, 10))
    assert len(data_of(path)["history"]) == 100
    path = nn.playground(mlp(), X, XOR, tmp_path / "p.html", epochs=0)
    assert data_of(path)["epochs"] == [0]


@pytest.mark.parametrize(("model", "y", "loss", "kind"), [
    (lambda: mlp(1), XOR, "bce_with_logits", "binary"),
    (lambda: mlp(1), XOR.astype(bool), "bce_with_logits", "binary"),
    (lambda: mlp(1), XOR[:, None].astype(float), "bce_with_logits", "binary"),
    (lambda: mlp(2), XOR, "cross_entropy", "classes"),
    (lambda: mlp(1), X[:, 0], "mse", "number"),
    (lambda: nn.Neuron(2, "identity"), X[:, 0], "mse", "number"),
    (lambda: nn.Neuron(2, "identity"), XOR, "bce_with_logits", "binary"),
])
def test_the_loss_fits_the_data(tmp_path, model, y, loss, kind):
    data = data_of(nn.playground(model(), X, y, tmp_path / "p.html", epochs=1, seed=0))
    assert (data["lossName"], data["kind"]) == (loss, kind)


def test_a_loss_of_one_s_own(tmp_path):
    def twice(prediction, target):
        return nn.losses.mse(prediction, target) * 2

    path = nn.playground(mlp(), X, X[:, 0], tmp_path / "p.html", epochs=1, loss=twice)
    assert data_of(path)["lossName"] == "twice"


def test_what_does_not_fit_is_refused_before_training(tmp_path):
    model = mlp()
    before = model.state_dict()
    path = tmp_path / "p.html"
    for args, error, match in [
        ((X[:, :1], XOR, path), ag.ShapeError, r"\(60, 1\).*needs \(samples, 2\)"),
        ((X, XOR[:5], path), ag.ShapeError, "60 samples but y has 5"),
        ((X, np.zeros((60, 2)), path), ag.ShapeError, "1 outputs, but y has"),
        ((X, XOR, tmp_path / "missing" / "p.html"), FileNotFoundError, "missing does not exist"),
    ]:
        with pytest.raises(error, match=match):
            nn.playground(model, *args)
    with pytest.raises(ValueError, match="frames must be positive"):
        nn.playground(model, X, XOR, path, frames=0)
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value, before[name])
    assert list(tmp_path.iterdir()) == []


def test_a_training_that_breaks_off_leaves_no_file(tmp_path):
    model = mlp()
    with pytest.raises(FloatingPointError), np.errstate(all="ignore"):
        nn.playground(model, X, 1e30 * X[:, 0], tmp_path / "p.html",
                      optimizer=nn.optim.SGD(model.parameters(), lr=1e30), epochs=5)
    assert list(tmp_path.iterdir()) == []


# In the browser. ----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["binary", "classes", "number"])
def test_it_steps_through_the_epochs(browser, pages, kind):
    data = data_of(pages[kind])
    browser.open(pages[kind])
    loss = "document.querySelector('#loss-now').textContent"
    first = browser.run(loss)
    assert first.startswith("epoch 0: ")
    picture = "surface.toDataURL()"
    before = browser.run(picture)
    browser.press("End")
    last = browser.run(loss)
    assert float(last.split(": ")[1]) == pytest.approx(data["history"][-1], rel=1e-3)
    assert browser.run("document.querySelector('#count').textContent") == "epoch 12"
    assert browser.run(picture) != before
    for row, parameter in zip(
        browser.run("[...document.querySelectorAll('.gradient .number')].map(e => e.textContent)"),
        data["parameters"], strict=True,
    ):
        assert float(row) == pytest.approx(parameter["gradients"][-1], rel=1e-2)
    browser.press("ArrowLeft", "Home", " ")
    browser.wait_for("Number(slider.value) > 1")
    browser.press(" ", "t")
    assert browser.console == [] and len(browser.requests) == 1
    if kind == "number":
        assert browser.run("document.querySelector('#score').textContent") == ""
    else:
        browser.press("End")
        assert f"{100 * data['accuracies'][-1]:.1f} %" in browser.run(
            "document.querySelector('#score').textContent")


def test_the_network_is_drawn_unit_by_unit_if_it_is_narrow(browser, pages):
    browser.open(pages["binary"])
    assert browser.run("document.querySelectorAll('#network .link').length") == 2 * 5 + 5
    dashed = "document.querySelectorAll('#network .link.minus').length"
    browser.press("End")
    weights = [np.frombuffer(base64.b64decode(p["values"][-1]), np.int8)
               for p in data_of(pages["binary"])["parameters"] if len(p["shape"]) == 2]
    assert browser.run(dashed) == sum(int((w < 0).sum()) for w in weights)
    browser.open(pages["classes"])
    assert browser.run("document.querySelectorAll('#network').length") == 0
    assert browser.run("document.querySelectorAll('.matrix svg rect').length") > 100


@pytest.mark.parametrize("width", [360, 800, 1300])
def test_it_fits_its_window(browser, pages, width):
    browser.open(pages["binary"], size=(width, 800))
    assert browser.run("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("kind", ["binary", "classes", "number"])
def test_contrast_passes_aa(browser, pages, kind, dark):
    browser.open(pages[kind], dark=dark)
    browser.press("End")
    found = browser.contrast()
    assert found["count"] > 20 and found["poor"] == []
