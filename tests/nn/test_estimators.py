"""The estimators by scikit-learn's own checks, and beside its classes of the same name."""

import pickle
import subprocess
import sys
import warnings

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_digits, load_iris, make_regression
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.neural_network import MLPClassifier as Theirs
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks
from sklearn.utils.validation import has_fit_parameter

import nn

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
QUICK = {"max_iter": 60, "learning_rate_init": 0.01, "random_state": 0}


@pytest.mark.filterwarnings("ignore")  # among them some that the checks provoke
@parametrize_with_checks([nn.MLPClassifier(**QUICK), nn.MLPRegressor(**QUICK)])
def test_the_protocol(estimator, check):
    check(estimator)


def test_they_are_loaded_when_asked_for():
    program = ("import sys, nn; print('sklearn' in sys.modules, hasattr(nn, 'MLPX'), "
               "'MLPRegressor' in dir(nn), nn.MLPClassifier.__name__, 'sklearn' in sys.modules)")
    out = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert out.stdout.split() == ["False", "False", "True", "MLPClassifier", "True"]


@pytest.mark.parametrize(("solver", "options"), [
    ("adam", {"learning_rate_init": 0.01}), ("lbfgs", {}),
    ("sgd", {"learning_rate_init": nn.schedules.Cosine(0.1, 500)}),
])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_each_solver_learns(solver, options, dtype):
    X, y = load_iris(return_X_y=True)
    X = StandardScaler().fit_transform(X).astype(dtype)
    names = np.array(["setosa", "versicolor", "virginica"])[y]
    model = nn.MLPClassifier((16,), "tanh", solver=solver, random_state=0, **options)
    assert model.fit(X, names).score(X, names) > 0.96
    assert model.predict(X).dtype == names.dtype and list(model.classes_) == sorted(set(names))
    shares = model.predict_proba(X)
    assert shares.dtype == dtype and model.coefs_[0].dtype == dtype
    np.testing.assert_allclose(shares.sum(1), 1, rtol=1e-5)
    np.testing.assert_allclose(np.log(shares), model.predict_log_proba(X), rtol=1e-2, atol=1e-2)
    assert [w.shape for w in model.coefs_] == [(4, 16), (16, 3)]
    assert [b.shape for b in model.intercepts_] == [(16,), (3,)]
    assert model.loss_curve_ == model.history_["loss"] and model.n_iter_ == len(model.loss_curve_)


@pytest.mark.parametrize("weights", [
    None, *(["some"] if has_fit_parameter(Theirs(), "sample_weight") else []),  # from 1.7 on
])
def test_one_step_is_that_of_scikit_learn(weights):
    """From the same weights, which another run of one step with no rate to speak of reads."""
    X, y = load_iris(return_X_y=True)
    w = {} if weights is None else {"sample_weight": np.random.default_rng(0).uniform(0, 4, len(X))}
    total = len(X) if weights is None else w["sample_weight"].sum()
    X = StandardScaler().fit_transform(X)
    options = {"solver": "sgd", "alpha": 5.0, "batch_size": len(X), "learning_rate_init": 0.05,
               "momentum": 0.0}
    theirs = Theirs((6,), "tanh", max_iter=1, random_state=0, nesterovs_momentum=False, **options)
    theirs.fit(X, y, **w)
    after = [w.copy() for w in (*theirs.coefs_, *theirs.intercepts_)]
    start = Theirs((6,), "tanh", max_iter=1, random_state=0, nesterovs_momentum=False,
                   **{**options, "learning_rate_init": 1e-300}).fit(X, y, **w)
    model = nn.MLP([4, 6, 3], "tanh", dtype=np.float64)
    for p, array in zip(model.parameters(), (start.coefs_[0], start.intercepts_[0],
                                             start.coefs_[1], start.intercepts_[1]), strict=True):
        p.assign(array)

    class Given(nn.MLPClassifier):
        """Starts where the other started."""

    import nn.estimators as module

    original = module.MLP
    module.MLP = lambda *args, **kwargs: model
    try:
        ours = Given((6,), "tanh", max_iter=1, random_state=0, **options).fit(X, y, **w)
    finally:
        module.MLP = original
    assert ours.loss_ == pytest.approx(
        theirs.loss_ - 0.5 * 5.0 / total * sum((c**2).sum() for c in start.coefs_), rel=1e-10)
    for a, b in zip((*ours.coefs_, *ours.intercepts_), after, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
@pytest.mark.parametrize("kind", [nn.MLPClassifier, nn.MLPRegressor])
def test_a_weight_of_two_is_two_samples_and_one_of_zero_none(kind, solver):
    """In the loss and in the share that the penalty has; the first steps, before rounding grows."""
    X, y = load_iris(return_X_y=True)
    counts = np.random.default_rng(0).integers(0, 3, len(X))

    def run(X, y, **weights):
        model = kind((6,), "tanh", solver=solver, alpha=3.0, max_iter=4, random_state=0,
                     batch_size=1000, learning_rate_init=0.03)
        return model.fit(X, y, **weights)

    weighted = run(X, y, sample_weight=counts)
    repeated = run(X.repeat(counts, axis=0), y.repeat(counts))
    plain = run(X, y)
    for a, b, c in zip(weighted.coefs_, repeated.coefs_, plain.coefs_, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-9)
        assert not np.allclose(a, c, rtol=1e-3)
    np.testing.assert_allclose(weighted.loss_curve_, repeated.loss_curve_, rtol=1e-6)


@pytest.mark.parametrize(("weights", "message"), [
    ([1.0, 1.0], r"sample_weight has shape \(2,\); it must be \(3,\)"),
    (np.ones((3, 1)), r"has shape \(3, 1\)"),
    ([1.0, -1.0, 1.0], r"must not be negative, got -1\.0"),
    (np.zeros(3), "zero everywhere"), ([1.0, np.nan, 1.0], "NaN or infinite"),
])
def test_bad_weights_are_refused(weights, message):
    with pytest.raises(ValueError, match=f"MLPRegressor: .*{message}"):
        nn.MLPRegressor().fit([[0.0], [1.0], [2.0]], [0.0, 1.0, 2.0], sample_weight=weights)


def test_regression_of_one_and_of_several_outputs():
    X, y = make_regression(200, 5, n_targets=2, random_state=0)
    X, y = StandardScaler().fit_transform(X), StandardScaler().fit_transform(y)
    model = nn.MLPRegressor((32,), solver="lbfgs", max_iter=500, random_state=0)
    assert model.fit(X, y).predict(X).shape == (200, 2) and model.score(X, y) > 0.99
    assert model.fit(X, y[:, 0]).predict(X).shape == (200,) and model.score(X, y[:, 0]) > 0.99


def test_in_pipelines_searches_and_other_processes():
    X, y = load_digits(return_X_y=True)
    X, y = X[:400], y[:400]
    pipeline = make_pipeline(StandardScaler(), nn.MLPClassifier((32,), **QUICK))
    assert cross_val_score(pipeline, X, y, cv=3).mean() > 0.85
    search = GridSearchCV(nn.MLPClassifier((16,), **QUICK), {"alpha": [1e-4, 1e3]}, cv=2).fit(X, y)
    assert search.best_params_ == {"alpha": 1e-4}
    model = clone(pipeline).fit(X, y)
    sent = pickle.loads(pickle.dumps(model))
    assert np.array_equal(sent.predict_proba(X), model.predict_proba(X))


def test_early_stopping_holds_out_a_share_and_ends():
    X, y = load_digits(return_X_y=True)
    model = nn.MLPClassifier((32,), early_stopping=True, n_iter_no_change=3, random_state=0,
                             learning_rate_init=0.01, batch_size=32).fit(X, y)
    assert "val_loss" in model.history_ and model.n_iter_ < 100
    best = int(np.argmin(model.history_["val_loss"]))
    assert model.history_.stopped and best <= model.n_iter_ - 3


def test_the_same_random_state_gives_the_same_bits():
    X, y = load_iris(return_X_y=True)

    def run(state):
        return nn.MLPClassifier((8,), max_iter=5, random_state=state).fit(X, y).coefs_[0].tolist()

    assert run(0) == run(0) != run(1)
    assert run(np.random.RandomState(3)) == run(np.random.RandomState(3))


def test_what_is_said_of_a_training_that_was_too_short():
    X, y = load_iris(return_X_y=True)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        nn.MLPClassifier((8,), max_iter=2).fit(X, y)
    (warning,) = caught
    assert warning.category is ConvergenceWarning and warning.filename == __file__


@pytest.mark.parametrize(("options", "message"), [
    ({"solver": "newton"}, "unknown solver 'newton'"), ({"alpha": -1.0}, "alpha must not be neg"),
    ({"max_iter": 0}, "max_iter must be positive"), ({"activation": "x"}, "unknown name 'x'"),
    ({"batch_size": 0}, "batch_size must be positive"),
    ({"learning_rate_init": -1.0}, "lr must not be negative"),
    ({"n_iter_no_change": 0}, "patience must be positive"),
])
def test_bad_parameters_are_refused_by_fit(options, message):
    model = nn.MLPClassifier(**options)  # not here: clone sets what it finds
    with pytest.raises(ValueError, match=message):
        model.fit([[0.0], [1.0]], [0, 1])
