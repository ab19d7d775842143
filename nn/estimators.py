"""Multilayer perceptrons with scikit-learn's protocol: fit, predict, score, in its pipelines.

Loaded when ``nn.MLPClassifier`` or ``nn.MLPRegressor`` is first used, because scikit-learn, whose
classes these are built on, takes longer to import than all the rest.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from . import losses
from .callbacks import EarlyStopping
from .data import checked_weights
from .layers import MLP
from .optim import LBFGS, SGD, Adam, Optimizer
from .penalties import l2
from .training import fit, predict

try:
    from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.utils import check_random_state
    from sklearn.utils.multiclass import check_classification_targets
    from sklearn.utils.validation import check_is_fitted, validate_data
except ImportError as missing:
    raise ImportError(
        "nn.MLPClassifier and nn.MLPRegressor need scikit-learn 1.6 or newer: "
        "pip install 'autograd-core[sklearn]'"
    ) from missing

__all__ = ["MLPClassifier", "MLPRegressor"]

_SOLVERS = ("adam", "lbfgs", "sgd")


class _MLP(BaseEstimator):  # type: ignore[misc]
    """What the two have in common: parameters with scikit-learn's names, and their training."""

    def __init__(
        self, hidden_layer_sizes: int | Sequence[int] = (100,), activation: str = "relu", *,
        solver: str = "adam", alpha: float = 0.0001, batch_size: int | str = "auto",
        learning_rate_init: Any = 0.001, max_iter: int = 200, random_state: Any = None,
        tol: float = 1e-4, verbose: bool = False, early_stopping: bool = False,
        validation_fraction: float = 0.1, n_iter_no_change: int = 10, momentum: float = 0.9,
    ) -> None:
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.solver = solver
        self.alpha = alpha
        self.batch_size = batch_size
        self.learning_rate_init = learning_rate_init
        self.max_iter = max_iter
        self.random_state = random_state
        self.tol = tol
        self.verbose = verbose
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.momentum = momentum

    def _train(self, X: np.ndarray, y: np.ndarray, n_out: int, loss: str, weight: Any) -> None:
        name = type(self).__name__
        counted, heaviness = len(X), 1.0
        if weight is not None:
            weight = _checked_weight(name, weight, X)
            # Samples of weight 0 are as if they were not there.
            counted = int(np.count_nonzero(weight))
            heaviness = float(weight.sum(dtype=np.float64)) / counted
        if self.solver not in _SOLVERS:
            raise ValueError(f"{name}: unknown solver {self.solver!r}; known are {_SOLVERS}")
        if not self.alpha >= 0:
            raise ValueError(f"{name}: alpha must not be negative, got {self.alpha}")
        if self.max_iter < 1:
            raise ValueError(f"{name}: max_iter must be positive, got {self.max_iter}")
        hidden = self.hidden_layer_sizes
        sizes = [hidden] if isinstance(hidden, (int, np.integer)) else list(hidden)
        rng = np.random.default_rng(check_random_state(self.random_state).randint(2**31))
        self.model_ = MLP([X.shape[1], *sizes, n_out], self.activation, rng=rng, dtype=X.dtype)
        size = min(200, counted) if self.batch_size == "auto" else int(self.batch_size)
        if size < 1:
            raise ValueError(f"{name}: batch_size must be positive, got {self.batch_size}")
        if self.solver == "lbfgs" or size > counted:
            size = counted
        optimizer, loss_of = self._method(losses.get(loss), self.alpha / (size * heaviness))
        stopping = EarlyStopping(
            "val_loss" if self.early_stopping else "loss", self.n_iter_no_change,
            min_delta=self.tol, restore_best=self.early_stopping,
        )
        self.history_ = fit(
            self.model_, X, y, loss=loss_of, optimizer=optimizer, epochs=self.max_iter,
            batch_size=size, sample_weight=weight, callbacks=[stopping], progress=self.verbose,
            seed=rng, validation_split=self.validation_fraction if self.early_stopping else None,
        )
        self.model_.zero_grad()  # of use to nobody, and as large as the weights
        self.loss_curve_ = self.history_["loss"]
        self.loss_ = self.loss_curve_[-1]
        self.n_iter_ = len(self.history_)
        self.n_layers_ = len(sizes) + 2
        self.n_outputs_ = n_out
        if self.history_.stopped is None:
            warnings.warn(
                f"{name}: the loss was still improving after {self.max_iter} epochs; raise "
                "max_iter, or the learning rate",
                ConvergenceWarning, stacklevel=3,
            )

    def _method(self, loss: Any, decay: float) -> tuple[Optimizer, Any]:
        """The optimiser, and the loss that it minimises.

        The penalty is of the weights, not of the biases, and in proportion to the batch: as in
        scikit-learn.
        """
        weights = [p for p in self.model_.parameters() if p.ndim > 1]
        biases = [p for p in self.model_.parameters() if p.ndim < 2]
        if self.solver == "lbfgs":

            def penalised(prediction: Any, target: Any, *, sample_weight: Any = None) -> Any:
                error = loss(prediction, target, sample_weight=sample_weight)
                return error + l2(weights, decay)

            return LBFGS(self.model_.parameters(), iterations=1), penalised
        groups: Any = [{"params": weights, "weight_decay": decay}, {"params": biases}]
        if self.solver == "adam":
            return Adam(groups, self.learning_rate_init), loss
        return SGD(groups, self.learning_rate_init, self.momentum, self.momentum > 0), loss

    def _predicted(self, X: Any) -> np.ndarray:
        check_is_fitted(self, "model_")
        return predict(self.model_, validate_data(self, X, dtype=_DTYPES, reset=False))

    @property
    def coefs_(self) -> list[np.ndarray]:
        """The weights of each layer, of shape (n_in, n_out)."""
        return [p.numpy(force=True) for p in self.model_.parameters() if p.ndim > 1]

    @property
    def intercepts_(self) -> list[np.ndarray]:
        """The biases of each layer."""
        return [p.numpy(force=True) for p in self.model_.parameters() if p.ndim < 2]


_DTYPES = [np.float64, np.float32]


def _checked_weight(name: str, weight: Any, X: np.ndarray) -> np.ndarray:
    """One weight for each sample, not negative and not all 0."""
    array = np.asarray(weight)
    if array.shape != (len(X),):
        raise ValueError(
            f"{name}: sample_weight has shape {array.shape}; it must be {(len(X),)}, a weight for "
            "each sample"
        )
    return checked_weights(name, array, "sample_weight", "X", len(X), X.dtype)


class MLPClassifier(ClassifierMixin, _MLP):  # type: ignore[misc]
    """A multilayer perceptron that classifies, with scikit-learn's protocol.

    The loss is the cross-entropy of softmax outputs. Parameters have the names and meanings of
    scikit-learn's class of the same name: ``hidden_layer_sizes``; ``activation``, any of
    :mod:`nn.activations`; ``solver``, "adam", "sgd" with Nesterov's ``momentum``, or "lbfgs";
    ``alpha``, the L2 penalty ½ α ‖W‖², divided by the number of samples in a batch, or by their
    weight;
    ``batch_size``, where "auto" is min(200, samples); ``learning_rate_init``, also one of
    :mod:`nn.schedules`; ``max_iter`` epochs; ``random_state``. Training ends after
    ``n_iter_no_change`` epochs without an improvement by ``tol``, of the loss, or with
    ``early_stopping`` of the loss on a ``validation_fraction``, after which the best weights are
    taken. ``verbose`` shows a bar. The network computes in the dtype of X, float32 or else float64.

    After ``fit``: ``classes_``, ``model_`` (an :class:`nn.MLP`), ``history_``, ``loss_``,
    ``loss_curve_``, ``n_iter_``, ``coefs_``, ``intercepts_``, ``n_features_in_``.

    Raises ``ValueError`` for data and parameters that scikit-learn would refuse.

    >>> X = [[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]
    >>> classifier = nn.MLPClassifier((8,), "tanh", solver="lbfgs", random_state=0)
    >>> classifier.fit(X, ["same", "other", "other", "same"]).predict(X).tolist()
    ['same', 'other', 'other', 'same']
    """

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> MLPClassifier:
        """Train on ``X`` of shape (samples, features) and the labels ``y``; returns self.

        ``sample_weight``: numbers that are not negative, of shape (samples,): a sample of weight 2
        counts as two, one of weight 0 as none.
        """
        X, y = validate_data(self, X, y, dtype=_DTYPES)
        check_classification_targets(y)
        self.classes_, labels = np.unique(y, return_inverse=True)
        self._train(X, labels, len(self.classes_), "cross_entropy", sample_weight)
        return self

    def predict_proba(self, X: Any) -> np.ndarray:
        """The probability of each class, of shape (samples, classes)."""
        logits = self._predicted(X)
        odds = np.exp(logits - logits.max(axis=1, keepdims=True))
        shares: np.ndarray = odds / odds.sum(axis=1, keepdims=True)
        return shares

    def predict_log_proba(self, X: Any) -> np.ndarray:
        """Its logarithm, also where the probability is too small for a float."""
        logits = self._predicted(X)
        shifted = logits - logits.max(axis=1, keepdims=True)
        found: np.ndarray = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
        return found

    def predict(self, X: Any) -> np.ndarray:
        """The likeliest class of each sample."""
        chosen = self._predicted(X).argmax(axis=1)
        labels: np.ndarray = self.classes_[chosen]
        return labels


class MLPRegressor(RegressorMixin, _MLP):  # type: ignore[misc]
    """A multilayer perceptron for numbers, with scikit-learn's protocol.

    The loss is the mean squared error. Parameters and attributes as in :class:`MLPClassifier`, but
    for ``classes_``.

    >>> X = np.linspace(-1, 1, 50)[:, None]
    >>> regressor = nn.MLPRegressor((16,), "tanh", solver="lbfgs", random_state=0, max_iter=1000)
    >>> bool(regressor.fit(X, np.sin(3 * X[:, 0])).score(X, np.sin(3 * X[:, 0])) > 0.99)
    True
    """

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> MLPRegressor:
        """Train on ``X``, (samples, features), and ``y``, (samples,) or (samples, outputs).

        ``sample_weight`` as for :class:`MLPClassifier`.
        """
        X, y = validate_data(self, X, y, dtype=_DTYPES, multi_output=True, y_numeric=True)
        self._flat = y.ndim == 1
        targets = (y[:, None] if self._flat else y).astype(X.dtype)
        self._train(X, targets, targets.shape[1], "mse", sample_weight)
        return self

    def predict(self, X: Any) -> np.ndarray:
        """What is predicted for each sample, in the shape that ``y`` had."""
        values = self._predicted(X)
        return values[:, 0] if self._flat else values

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

