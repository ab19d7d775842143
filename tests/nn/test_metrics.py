"""Metrics against scikit-learn's, and by name."""

import numpy as np
import pytest
import sklearn.metrics

import autograd_core as ag
import nn
from nn.metrics import named

RNG = np.random.default_rng(0)
SCORES = RNG.standard_normal((50, 4))
LABELS = RNG.integers(0, 4, 50)


@pytest.mark.parametrize("prediction", [SCORES, SCORES.astype(np.float32)])
def test_accuracy_of_scores_against_labels_and_one_hot_rows(prediction):
    expected = sklearn.metrics.accuracy_score(LABELS, prediction.argmax(1))
    assert nn.metrics.accuracy(prediction, LABELS) == expected
    assert nn.metrics.accuracy(prediction, np.eye(4)[LABELS]) == expected
    assert nn.metrics.accuracy(prediction[:, None], LABELS[:, None]) == expected  # sequences


@pytest.mark.parametrize("shape", [(50,), (50, 1)])
def test_accuracy_of_two_classes(shape):
    score, label = SCORES[:, 0].reshape(shape), (LABELS > 1).reshape(shape)
    assert nn.metrics.accuracy(score, label) == np.mean((score > 0) == label)
    assert nn.metrics.accuracy(score, label, 0.5) == np.mean((score > 0.5) == label)
    assert nn.metrics.accuracy(score.reshape(50, 1), label.reshape(50)) == np.mean(
        (score > 0) == label)


@pytest.mark.parametrize("outputs", [1, 3])
def test_errors_and_r2(outputs):
    p, t = RNG.standard_normal((2, 30, outputs))
    for name, theirs in (("mae", sklearn.metrics.mean_absolute_error),
                         ("mse", sklearn.metrics.mean_squared_error),
                         ("r2", sklearn.metrics.r2_score)):
        assert named(name, True)[name](p, t) == pytest.approx(theirs(t, p), rel=1e-12)
    assert nn.metrics.rmse(p, t) == pytest.approx(np.sqrt(nn.metrics.mse(p, t)))
    same = np.ones(3)
    assert nn.metrics.r2(same, same) == 1 and nn.metrics.r2(np.zeros(3), same) == 0


@pytest.mark.parametrize("metric", [nn.metrics.accuracy, nn.metrics.mae, nn.metrics.r2])
def test_shapes_must_match(metric):
    with pytest.raises(ag.ShapeError, match=r"\(4, 3\) against targets of shape \(3,\)"):
        metric(np.zeros((4, 3)), np.zeros(3))


def test_metrics_by_name():
    def own(prediction, target):
        return 1.0

    assert named(None, True) == {}
    assert named("mae", True) == named(["mae"], True) == {"mae": nn.metrics.mae}
    assert named(own, True) == {"own": own}
    assert list(named([own, "r2"], True)) == ["own", "r2"]
    assert named({"error": "mae", "x": own}, True) == {"error": nn.metrics.mae, "x": own}
    p, t = np.array([0.4, 0.6]), np.array([0, 1])
    assert named("accuracy", True)["accuracy"](p, t) == 0.5
    assert named("accuracy", False)["accuracy"](p, t) == 1.0
    with pytest.raises(ValueError, match="metric: unknown name 'f0'"):
        named("f0", True)


@pytest.mark.parametrize(("loss", "output"), [("bce_with_logits", None), ("bce", "sigmoid")])
def test_fit_reads_scores_as_the_loss_does(loss, output):
    X = RNG.standard_normal((60, 2))
    y = (X[:, :1] > 0).astype(float)
    model = nn.MLP([2, 8, 1], "tanh", output, rng=0)
    history = nn.fit(model, X, y, loss=loss, epochs=30, metrics="accuracy", progress=False, seed=0,
                     optimizer=nn.optim.Adam(model.parameters(), 0.02), validation_data=(X, y))
    assert history["val_accuracy"][-1] > 0.95 and history["accuracy"][-1] > 0.9


@pytest.mark.parametrize("compile", [True, False])
def test_metrics_of_the_training_data_are_of_the_predictions_as_they_were_made(compile):
    X = RNG.standard_normal((10, 2))
    model = nn.Linear(2, 1, rng=0, dtype=np.float64)
    seen = []

    def metric(prediction, target):
        seen.append((np.array(prediction), np.array(target)))
        return nn.metrics.mse(prediction, target)

    history = nn.fit(model, X, X[:, :1], epochs=3, batch_size=4, metrics=metric, progress=False,
                     compile=compile)
    assert list(history.epochs) == ["loss", "metric"]
    np.testing.assert_allclose(history["metric"], history["loss"], rtol=1e-12)
    for prediction, target in seen:
        assert prediction.shape == target.shape == (10, 1)
        assert sorted(target.ravel()) == sorted(X[:, 0])
