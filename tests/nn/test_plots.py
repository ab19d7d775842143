"""Plots: what is drawn is the data, and the model is as it was."""

import subprocess
import sys

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import pytest

import autograd_core as ag
import nn

RNG = np.random.default_rng(0)
X = RNG.uniform(-1, 1, (40, 2))
XOR = (X[:, 0] * X[:, 1] > 0).astype(int)


@pytest.fixture(autouse=True)
def _close():
    yield
    plt.close("all")


def model(outputs=1):
    return nn.MLP([2, 4, outputs], activation="tanh", rng=0)


def bits(m):
    return [p.numpy(force=True).tobytes() for p in m.parameters()]


CALLS = {
    "learning_curves": lambda ax: nn.plots.learning_curves(history(), ax=ax),
    "several histories": lambda ax: nn.plots.learning_curves({"a": history(), "b": history()},
                                                             ax=ax),
    "gradient_norms": lambda ax: nn.plots.gradient_norms({"W": [1.0, 0.5]}, ax=ax),
    "activation": lambda ax: nn.plots.activation("relu", ax=ax),
    "decision_surface": lambda ax: nn.plots.decision_surface(model(), X, XOR, resolution=12, ax=ax),
    "three classes": lambda ax: nn.plots.decision_surface(
        model(3), X, RNG.integers(0, 3, 40), resolution=12, ax=ax),
    "regression": lambda ax: nn.plots.decision_surface(model(), X, X[:, 0], resolution=12, ax=ax),
    "confusion_matrix": lambda ax: nn.plots.confusion_matrix([0, 1, 2, 1], [0, 1, 1, 1], ax=ax),
    "weights": lambda ax: nn.plots.weights(nn.Linear(6, 5, rng=0), ax=ax),
    "tiles": lambda ax: nn.plots.weights(nn.Linear(6, 5, rng=0), shape=(2, 3), ax=ax),
    "loss_surface": lambda ax: nn.plots.loss_surface(model(), X, XOR[:, None], "bce_with_logits",
                                                     steps=4, ax=ax),
}


def history(metric=False):
    made = nn.History()
    for i in range(1, 6):
        made.append(loss=1 / i, val_loss=1.1 / i, **({"accuracy": i / 5} if metric else {}))
    return made


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("own", [False, True], ids=["new axes", "given axes"])
def test_each_returns_axes_with_title_and_labels_and_can_be_saved(name, own, tmp_path):
    given = plt.figure().subplots() if own else None
    figures = len(plt.get_fignums())
    ax = CALLS[name](given)
    assert ax is given or not own
    assert len(plt.get_fignums()) == figures + (not own), "no other figure, and none closed"
    assert ax.get_title()
    if name != "tiles":
        assert ax.get_xlabel()
    ax.figure.savefig(tmp_path / "plot.png", dpi=40)


def test_matplotlib_is_imported_when_it_is_used():
    code = "import sys, nn; print('matplotlib' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_learning_curves_hold_the_history():
    ax = nn.plots.learning_curves(history(metric=True))
    assert [line.get_label() for line in ax.get_lines()] == ["loss", "val_loss"]
    np.testing.assert_allclose(ax.get_lines()[0].get_ydata(), history()["loss"])
    assert ax.get_yscale() == "log"
    both = nn.plots.learning_curves({"one": history(), "other": history(True)}, name="accuracy")
    assert [line.get_label() for line in both.get_lines()] == ["other"]
    with pytest.raises(KeyError, match="curve 'nothing'"):
        nn.plots.learning_curves({"one": history()}, name="nothing")
    with pytest.raises(ValueError, match="no epochs"):
        nn.plots.learning_curves(nn.History())


def test_gradient_norms_of_a_training():
    monitor = nn.GradientMonitor()
    m = model()
    nn.fit(m, X, XOR[:, None], loss="bce_with_logits", epochs=3, callbacks=[monitor],
           progress=False, seed=0)
    ax = nn.plots.gradient_norms(monitor)
    assert [line.get_label() for line in ax.get_lines()] == [n for n, _ in m.named_parameters()]
    for line, values in zip(ax.get_lines(), monitor.norms.values(), strict=True):
        np.testing.assert_array_equal(line.get_ydata(), values)
        np.testing.assert_array_equal(line.get_xdata(), [1, 2, 3])
    with pytest.raises(ValueError, match="nothing was recorded"):
        nn.plots.gradient_norms(nn.GradientMonitor())


@pytest.mark.parametrize(("f", "derivative"), [
    ("tanh", lambda z: 1 - np.tanh(z) ** 2),
    ("relu", lambda z: (z > 0).astype(float)),
    (np.sin, np.cos),
    (nn.LeakyReLU(0.1), lambda z: np.where(z > 0, 1.0, 0.1)),
    (lambda z: z * z, lambda z: 2 * z),
])
def test_the_derivative_is_drawn(f, derivative):
    ax = nn.plots.activation(f, low=-3, high=2)
    line = ax.get_lines()[-1]
    z, slope = line.get_xdata(), line.get_ydata()
    seen = np.isfinite(slope)
    assert seen.mean() > 0.99
    np.testing.assert_allclose(slope[seen], derivative(z)[seen], atol=1e-12)
    assert (z[0], z[-1]) == (-3, 2)
    with pytest.raises(ValueError, match="low=1 is not below high=0"):
        nn.plots.activation(f, low=1, high=0)


def test_the_surface_is_the_model():
    m = model()
    ax = nn.plots.decision_surface(m, X, XOR, resolution=10)
    (picture,) = ax.get_images()
    left, right, bottom, top = picture.get_extent()
    row, column = 2, 7  # counted from the upper left corner
    x = left + (column + 0.5) / 10 * (right - left)
    y = top - (row + 0.5) / 10 * (top - bottom)
    expected = ag.sigmoid(nn.predict(m, np.array([[x, y]]))[0, 0])
    assert picture.get_array()[row, column] == pytest.approx(expected, rel=1e-5)
    wrong = int(((nn.predict(m, X)[:, 0] > 0) != XOR).sum())
    rings = [c for c in ax.collections if c.get_label() == "misread"]
    assert sum(len(c.get_offsets()) for c in rings) == wrong > 0
    with pytest.raises(ag.ShapeError, match=r"needs \(samples, 2\)"):
        nn.plots.decision_surface(m, X[:, :1], XOR)
    with pytest.raises(ag.ShapeError, match="decision_surface: X has 40 samples but y has 3"):
        nn.plots.decision_surface(m, X, XOR[:3])


def test_confusion_counts():
    labels, read = [0, 0, 0, 1, 2, 2], [0, 1, 0, 1, 2, 0]
    ax = nn.plots.confusion_matrix(labels, read)
    assert [t.get_text() for t in ax.texts] == list("210010101")
    assert "66.7% read right" in ax.get_title()
    scores = np.eye(4)[read]
    ax = nn.plots.confusion_matrix(labels, ag.tensor(scores, requires_grad=True), normalize=True,
                                   names=["a", "b", "c", "long name"])
    assert [t.get_text() for t in ax.texts][:2] == ["0.67", "0.33"]
    assert [t.get_text() for t in ax.get_xticklabels()][-1] == "long name"
    for args, error, match in [
        (([0, 1], [0]), ag.ShapeError, r"\(2,\) and predictions of shape \(1,\)"),
        (([0.5], [0]), TypeError, "must be integers"),
        (([-1], [0]), ValueError, "negative"),
        (([], []), ag.ShapeError, r"\(0,\)"),
    ]:
        with pytest.raises(error, match=match):
            nn.plots.confusion_matrix(*args)
    with pytest.raises(ValueError, match="1 names for 2 classes"):
        nn.plots.confusion_matrix([0, 1], [0, 1], names=["a"])


def test_tiles_are_the_columns_of_the_weights():
    layer = nn.Linear(6, 5, rng=0)
    ax = nn.plots.weights(layer, shape=(2, 3), columns=2)
    (picture,) = ax.get_images()
    image = np.ma.filled(picture.get_array(), np.nan)
    assert image.shape == (3 * 3 - 1, 2 * 4 - 1)
    w = layer.weight.numpy(force=True)
    np.testing.assert_allclose(image[3:5, 4:7], w[:, 3].reshape(2, 3))
    assert np.isnan(image[2]).all() and np.isnan(image[6:, 4:]).all()
    whole = nn.plots.weights(w).get_images()[0]
    np.testing.assert_allclose(whole.get_array(), w)
    assert whole.get_clim() == (-np.abs(w).max(), np.abs(w).max())
    with pytest.raises(ag.ShapeError, match=r"6 weights of a unit make no image of shape \(2, 2\)"):
        nn.plots.weights(layer, shape=(2, 2))
    with pytest.raises(ag.ShapeError, match="must be"):
        nn.plots.weights(np.zeros((2, 2, 2)))


# Landscapes. --------------------------------------------------------------------------------------


def grid_of(ax):
    """The vertices of the frame of the filled contours."""
    return ax.get_xlim(), ax.get_ylim()


def test_the_landscape_of_a_parabola_is_a_bowl_around_the_path():
    """Least squares in two parameters: all of the path lies in the plane."""
    data = RNG.standard_normal((30, 2))
    target = data @ np.array([[1.0], [-2.0]])
    m = nn.Linear(2, 1, bias=False, rng=0, dtype=np.float64)
    path = nn.plots.WeightPath()
    nn.fit(m, data, target, epochs=8, callbacks=[path], progress=False, seed=0,
           optimizer=nn.optim.SGD(m.parameters(), lr=0.05))
    assert len(path.points) == 9
    np.testing.assert_array_equal(path.points[-1], m.weight.numpy(force=True).ravel())
    before = bits(m)
    ax = nn.plots.loss_surface(m, data, target, "mse", path=path, steps=15)
    assert bits(m) == before
    track = next(line for line in ax.get_lines() if line.get_label() == "path")
    where = np.array(track.get_data()).T
    np.testing.assert_allclose(where[-1], 0, atol=1e-12)
    # Two parameters: the two components hold all of the path, distances included.
    steps = np.linalg.norm(np.diff(np.array(path.points), axis=0), axis=1)
    np.testing.assert_allclose(np.linalg.norm(np.diff(where, axis=0), axis=1), steps)
    shares = [float(label.split("(")[1].split("%")[0])
              for label in (ax.get_xlabel(), ax.get_ylabel())]
    assert sum(shares) == pytest.approx(100, abs=1)
    (x0, x1), (y0, y1) = grid_of(ax)
    assert ((where >= [x0, y0]) & (where <= [x1, y1])).all()


def test_random_directions_have_the_norms_of_the_units():
    from nn.plots import _filterwise

    m = nn.MLP([3, 5, 2], rng=0)
    directions = _filterwise(m, np.random.default_rng(0))
    for direction in directions:
        begin = 0
        for p in m.parameters():
            part = direction[begin:begin + p.size].reshape(p.shape)
            begin += p.size
            if p.ndim == 2:
                np.testing.assert_allclose(np.linalg.norm(part, axis=0),
                                           np.linalg.norm(p.numpy(force=True), axis=0), rtol=1e-6)
            else:
                assert not part.any()
    assert begin == directions.shape[1]
    np.testing.assert_array_equal(directions, _filterwise(m, np.random.default_rng(0)))
    neuron = _filterwise(nn.Neuron(3, rng=0), np.random.default_rng(0))
    assert np.linalg.norm(neuron, axis=1).all()


def test_the_middle_of_the_landscape_is_the_loss_of_the_model(monkeypatch):
    from nn import plots

    m, seen = model(), {}
    monkeypatch.setattr(plots, "_landscape",
                        lambda ax, a, b, heights: seen.update(a=a, b=b, heights=heights))
    nn.plots.loss_surface(m, X, XOR[:, None], "bce_with_logits", steps=5, span=0.5)
    with ag.no_grad():
        loss = nn.losses.bce_with_logits(m(X.astype(np.float32)), XOR[:, None]).item()
    assert seen["heights"][2, 2] == pytest.approx(loss, rel=1e-6)
    np.testing.assert_allclose(seen["a"], np.linspace(-0.5, 0.5, 5))
    assert np.ptp(seen["heights"]) > 0.01


def test_the_model_is_as_it_was_even_if_the_loss_fails():
    m = model()
    before = bits(m)

    def fails(prediction, target):
        raise RuntimeError("no loss")

    with pytest.raises(RuntimeError, match="no loss"):
        nn.plots.loss_surface(m, X, XOR[:, None], fails, steps=3)
    assert bits(m) == before and m.training
    for path, error, match in [
        ([np.zeros(3)] * 2, ag.ShapeError, "path of shape"),
        ([np.zeros(17)], ValueError, "two points"),
    ]:
        with pytest.raises(error, match=match):
            nn.plots.loss_surface(m, X, XOR[:, None], "mse", path=path)
    with pytest.raises(ValueError, match="steps must be 2"):
        nn.plots.loss_surface(m, X, XOR[:, None], "mse", steps=1)


def test_the_path_is_kept_in_checkpoints():
    path, other = nn.plots.WeightPath(), nn.plots.WeightPath()
    nn.fit(model(), X, XOR[:, None], loss="bce_with_logits", epochs=2, callbacks=[path],
           progress=False, seed=0)
    other.load_state_dict(path.state_dict())
    np.testing.assert_array_equal(other.points, path.points)
