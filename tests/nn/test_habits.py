"""What people write who come from PyTorch, Keras or scikit-learn: it works, or is answered."""

from operator import attrgetter

import numpy as np
import pytest

import autograd_core as ag
import nn

X = np.random.default_rng(0).standard_normal((12, 3)).astype(np.float32)
Y, LABELS = X[:, :1], np.arange(12) % 2


def fit(model=None, y=Y, **options):
    model = nn.Linear(3, 1, rng=0) if model is None else model
    return nn.fit(model, X, y, **{"epochs": 2, "progress": False, "seed": 0, **options})


def frozen():
    return nn.Linear(3, 1, rng=0).freeze()


LOGITS = np.zeros((4, 2), np.float32)


@pytest.mark.parametrize(("call", "error", "message"), [
    # Classes in the place of objects.
    (lambda: nn.Sequential(nn.Linear(3, 2), nn.ReLU), TypeError, r"class ReLU; pass ReLU\(\)"),
    (lambda: nn.MLP([3, 2, 1], nn.Tanh), TypeError, r"activation: .* class Tanh; pass Tanh\(\)"),
    (lambda: nn.Neuron(3, nn.Sigmoid), TypeError, r"class Sigmoid; pass Sigmoid\(\)"),
    (lambda: fit(callbacks=[nn.EarlyStopping]), TypeError, r"fit: .* pass EarlyStopping\(\)"),
    (lambda: fit(optimizer=nn.optim.Adam), TypeError, r"such as nn\.optim\.Adam\(model\.param"),
    # Names in the place of objects, and other things in the place of functions.
    (lambda: fit(optimizer="adam"), TypeError, r"Adam\(model\.parameters\(\)\); got 'adam'"),
    (lambda: fit(loss=3), TypeError, "loss: expected a name or a function, got 3"),
    (lambda: nn.Linear(3, 2, init=0.1), TypeError, r"nn\.init\.constant\(number\)"),
    (lambda: nn.Linear(3, 2, init=np.ones((3, 2))), TypeError, r"nn\.init\.given\(weights\)"),
    # Lists, and what should be one.
    (lambda: nn.Sequential([nn.Linear(3, 2)]), TypeError, "pass the layers one by one"),
    (lambda: nn.MLP(3, 2, 1), TypeError, r"sizes is a list, such as \[2, 8, 1\], got 3"),
    (lambda: nn.optim.SGD(nn.Linear(3, 2)), TypeError, r"got a module; pass `model\.parameters"),
    (lambda: nn.optim.SGD([{"params": nn.Parameter([1.0, 2.0])}]), TypeError,
     r"a single one in no list; pass `\[parameter\]`"),
    # Shapes.
    (lambda: nn.losses.cross_entropy(LOGITS, np.zeros((4, 1), int)), ag.ShapeError,
     r"write `labels\[:, 0\]`"),
    (lambda: nn.losses.cross_entropy(LOGITS, np.zeros(4, int), class_weight="balanced"),
     ag.ShapeError, "a number for each, in a list"),
    (lambda: nn.losses.cross_entropy(LOGITS, np.zeros(4, int), class_weight={0: 1, 1: 2}),
     ag.ShapeError, "a number for each, in a list"),
    (lambda: nn.predict(nn.Linear(3, 2, rng=0), X[0]), ag.ShapeError,
     r"of 3 samples, an X of shape \(3,\), .* shape \(2,\); one sample alone is X\[None\]"),
    # Outputs and states together.
    (lambda: nn.predict(nn.LSTM(3, 2, rng=0), X[None]), TypeError, "returned a tuple of 2"),
    (lambda: nn.Sequential(nn.LSTM(3, 2, rng=0), nn.Linear(2, 1, rng=0))(X[None]), TypeError,
     r"a pair \(outputs, state\), as recurrent layers return it"),
    # Nothing to learn.
    (lambda: fit(frozen()), ValueError, "all parameters are frozen"),
    (lambda: fit()["val_loss"], KeyError, r"no 'val_loss'; it has \['loss'\]"),
])
def test_the_message_says_what_to_write_instead(call, error, message):
    with pytest.raises(error, match=message):
        call()


@pytest.mark.parametrize(("name", "there"), [
    ("CrossEntropyLoss", "losses.cross_entropy"), ("MSELoss", "losses.mse"),
    ("BCEWithLogitsLoss", "losses.bce_with_logits"), ("KLDivLoss", "losses.kl_div"),
    ("GaussianNLLLoss", "losses.gaussian_nll"), ("Adam", "optim.Adam"),
    ("RMSprop", "optim.RMSProp"), ("Cosine", "schedules.Cosine"), ("relu", "activations.relu"),
    ("xavier_uniform", "init.xavier_uniform"), ("accuracy", "metrics.accuracy"),
    ("LeakyRelu", "LeakyReLU"), ("L1Loss", None), ("Conv9d", None),
])
def test_what_is_elsewhere_is_found(name, there):
    with pytest.raises(AttributeError) as caught:
        getattr(nn, name)
    hint = f"; there is nn.{there}" if there else ""
    assert str(caught.value) == f"module 'nn' has no attribute '{name}'{hint}"
    if there:
        attrgetter(there)(nn)


def test_python_can_suggest_names_that_are_nearly_right():
    """By what the error says of itself."""
    with pytest.raises(AttributeError) as caught:
        nn.Linaer  # noqa: B018
    assert (caught.value.name, caught.value.obj) == ("Linaer", nn)


def test_a_slice_of_a_network_is_a_network():
    model = nn.MLP([3, 4, 5, 2], rng=0)
    first, rest = model[:2], model[2:]
    assert type(first) is type(rest) is nn.Sequential and (len(first), len(rest)) == (2, 3)
    assert first[0] is model[0] and rest[-1] is model[-1]
    np.testing.assert_array_equal(rest(first(X)).numpy(force=True), model(X).numpy(force=True))


@pytest.mark.parametrize("name", ["normal", "uniform", "sparse"])
def test_what_has_options_goes_by_name_with_its_defaults(name):
    by_name, called = (nn.Linear(30, 4, init=init, rng=0)
                       for init in (name, getattr(nn.init, name)()))
    assert np.array_equal(by_name.weight.numpy(force=True), called.weight.numpy(force=True))


def test_one_callback_needs_no_list():
    epochs = []
    fit(callbacks=lambda epoch, history: epochs.append(epoch))
    assert epochs == [1, 2]
    stopping = nn.EarlyStopping()
    fit(callbacks=stopping)
    assert stopping.best_epoch == 2


def test_a_history_is_a_dict_of_lists():
    history = fit(metrics="mse")
    assert list(history) == list(history.keys()) == ["loss", "mse"]
    assert dict(history) == history.epochs and len(dict(history)["mse"]) == len(history) == 2


@pytest.mark.parametrize("loss", [
    "mse", "mae", "huber", "pinball", "bce", "bce_with_logits", "poisson_nll", "kl_div", "mdn_nll"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("of", [np.float32, np.float64, np.int64, bool])
def test_a_target_does_not_decide_the_precision(loss, dtype, of):
    """Data are float64 by themselves; all of a float32 network's gradients stay float32."""
    prediction = ag.tensor(np.full((4, 3), 0.5, dtype), requires_grad=True)
    target = np.zeros((4, 1) if loss == "mdn_nll" else (4, 3), of)
    target[0] = 1
    value = getattr(nn.losses, loss)(prediction, target)
    seen = {node.dtype for node in ag.Graph(value).nodes if node.requires_grad}
    value.backward()
    assert value.dtype == prediction.grad.dtype == dtype and seen == {np.dtype(dtype)}


def test_predictions_that_are_integers_do_not_round_the_targets():
    assert nn.losses.mae(np.array([1, 2]), np.array([1.5, 2.5])) == 0.5
