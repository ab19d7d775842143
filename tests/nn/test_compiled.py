"""Training under the compiler: the numbers of eager mode, and nothing frozen that may change."""

import math
import warnings

import numpy as np
import pytest

import autograd_core as ag
import nn

STEPS = 20
OPTIMIZERS = {
    "sgd": lambda ps, lr=0.1: nn.optim.SGD(ps, lr=lr),
    "momentum": lambda ps, lr=0.1: nn.optim.SGD(ps, lr=lr, momentum=0.9),
    "nadam": lambda ps, lr=0.1: nn.optim.NAdam(ps, lr=lr),
    "adam": lambda ps, lr=0.1: nn.optim.Adam(ps, lr=lr),
}
each_optimizer = pytest.mark.parametrize("kind", OPTIMIZERS)
each_dtype = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def value(t):
    return t.numpy(force=True)


def close(actual, expected, dtype=np.float64):
    tolerance = {"rtol": 1e-12, "atol": 1e-14} if dtype == np.float64 else {
        "rtol": 2e-4, "atol": 2e-6}
    assert np.asarray(actual).dtype == np.asarray(expected).dtype
    np.testing.assert_allclose(actual, expected, **tolerance)


def batches(n, features=3, classes=None, dtype=np.float64, size=8):
    rng = np.random.default_rng(0)
    for _ in range(n):
        x = rng.standard_normal((size, features)).astype(dtype)
        y = rng.integers(0, classes, size) if classes else x[:, :1] * 2 - 1
        yield x, y


def training_step(model, optimizer, loss):
    def step(x, y):
        optimizer.zero_grad()
        result = loss(model(x), y)
        result.backward()
        optimizer.step()
        return result.detach()

    return step


def twins(kind, dtype=np.float64, sizes=(3, 8, 1), **options):
    """Two equal models with an optimiser each."""
    for _ in range(2):
        model = nn.MLP(list(sizes), "tanh", rng=0, dtype=dtype)
        yield model, OPTIMIZERS[kind](model.parameters(), **options)


def agree(model, other, dtype=np.float64):
    for p, q in zip(model.parameters(), other.parameters(), strict=True):
        close(value(p), value(q), dtype)


def states_agree(optimizer, other, dtype=np.float64):
    a, b = optimizer.state_dict(), other.state_dict()
    assert a["steps"] == b["steps"]
    for x, y in zip(a["state"], b["state"], strict=True):
        assert (x is None) == (y is None)
        for s, t in zip(x or (), y or (), strict=True):
            close(s, t, dtype)


# Optimisers. -------------------------------------------------------------------------------------


@each_optimizer
@each_dtype
@pytest.mark.parametrize(("loss", "classes"), [
    (nn.losses.mse, None), (nn.losses.cross_entropy, 4),
], ids=["mse", "cross_entropy"])
def test_twenty_steps_are_those_of_eager_mode(kind, dtype, loss, classes):
    (a, first), (b, second) = twins(kind, dtype, (3, 8, classes or 1), lr=0.01)
    step, eager = ag.compile(training_step(a, first, loss)), training_step(b, second, loss)
    for x, y in batches(STEPS, classes=classes, dtype=dtype):
        close(step(x, y).item(), eager(x, y).item(), dtype)
        agree(a, b, dtype)
        for p, q in zip(a.parameters(), b.parameters(), strict=True):
            close(p.grad, q.grad, dtype)
        states_agree(first, second, dtype)
    assert first.steps == STEPS and step.recompiles == 0


@each_optimizer
def test_scalars_train_too(kind):
    """Parameters and states of shape () are NumPy scalars in eager mode."""
    ps = [nn.Parameter(2.0) for _ in range(2)]
    optimizers = [OPTIMIZERS[kind]([p]) for p in ps]

    def make(p, optimizer):
        def step():
            optimizer.zero_grad()
            loss = np.square(p - 0.5)
            loss.backward()
            optimizer.step()
            return loss.detach()

        return step

    step, eager = ag.compile(make(ps[0], optimizers[0])), make(ps[1], optimizers[1])
    for _ in range(STEPS):
        assert step().item() == pytest.approx(eager().item(), rel=1e-12, abs=1e-15)
    assert value(ps[0]) == pytest.approx(value(ps[1]), rel=1e-12)
    assert ps[0].shape == ()
    states_agree(*optimizers)


@each_optimizer
def test_a_schedule_is_asked_at_every_call(kind):
    asked = []

    def schedule(step):
        asked.append(step)
        return 0.1 * 0.8**step

    (a, first), (b, second) = twins(kind)
    first.lr, second.lr = schedule, lambda step: 0.1 * 0.8**step
    step, eager = (ag.compile(training_step(a, first, nn.losses.mse)),
                   training_step(b, second, nn.losses.mse))
    for x, y in batches(STEPS):
        step(x, y)
        eager(x, y)
    agree(a, b)
    assert asked == list(range(STEPS)) and step.recompiles == 0


@each_optimizer
def test_the_rate_may_change_between_calls(kind):
    (a, first), (b, second) = twins(kind)
    step, eager = (ag.compile(training_step(a, first, nn.losses.mse)),
                   training_step(b, second, nn.losses.mse))
    for i, (x, y) in enumerate(batches(6)):
        first.lr = second.lr = 0.1 / (1 + i)
        step(x, y)
        eager(x, y)
    agree(a, b)
    assert step.recompiles == 0
    first.lr = 0.0
    before = [np.array(value(p)) for p in a.parameters()]
    step(x, y)
    assert all(map(np.array_equal, map(value, a.parameters()), before))


@pytest.mark.parametrize(("kind", "name", "changed"), [
    ("momentum", "momentum", 0.5), ("adam", "betas", (0.5, 0.9)), ("adam", "eps", 0.1),
])
def test_another_setting_that_changes_is_noticed(kind, name, changed):
    (a, first), (b, second) = twins(kind)
    step, eager = (ag.compile(training_step(a, first, nn.losses.mse)),
                   training_step(b, second, nn.losses.mse))
    for i, (x, y) in enumerate(batches(6)):
        if i == 3:
            setattr(first, name, changed)
            setattr(second, name, changed)
        step(x, y)
        eager(x, y)
    agree(a, b)
    assert step.recompiles == 1


@each_optimizer
def test_a_state_is_saved_and_loaded_in_the_middle(kind):
    (a, first), (b, second) = twins(kind)
    step, other = (ag.compile(training_step(m, o, nn.losses.mse))
                   for m, o in ((a, first), (b, second)))
    data = list(batches(12))
    for x, y in data[:4]:
        step(x, y)
    saved, weights = first.state_dict(), a.state_dict()
    kept = [None if s is None else [part.copy() for part in s] for s in saved["state"]]
    for x, y in data[4:8]:
        step(x, y)
    after = [np.array(value(p)) for p in a.parameters()]
    for s, k in zip(saved["state"], kept, strict=True):  # copies, which later steps leave alone
        assert all(map(np.array_equal, s, k))
    other(*data[11])  # its own first step, which the loaded state replaces
    b.load_state_dict(weights)
    second.load_state_dict(saved)
    assert second.steps == 4
    for x, y in data[4:8]:
        other(x, y)
    for p, expected in zip(b.parameters(), after, strict=True):
        assert np.array_equal(value(p), expected)
    assert second.steps == first.steps == 8


@each_optimizer
def test_eager_and_compiled_steps_may_alternate(kind):
    (a, first), (b, second) = twins(kind)
    plain, eager = (training_step(m, o, nn.losses.mse) for m, o in ((a, first), (b, second)))
    step = ag.compile(plain)
    for i, (x, y) in enumerate(batches(12)):
        (step if i % 3 else plain)(x, y)
        eager(x, y)
        agree(a, b)
    states_agree(first, second)


def test_a_parameter_without_gradient_is_left_alone():
    used, unused = nn.Parameter([1.0]), nn.Parameter([2.0])
    optimizer = nn.optim.Adam([used, unused])

    @ag.compile
    def step():
        optimizer.zero_grad()
        (used * used).sum().backward()
        optimizer.step()

    for _ in range(3):
        step()
    assert used.tolist() != [1.0] and unused.tolist() == [2.0]
    state = optimizer.state_dict()["state"]
    assert len(state[0]) == 2 and state[1] is None


def test_a_frozen_parameter_stays():
    model = nn.MLP([3, 4, 1], "tanh", rng=0, dtype=np.float64)
    optimizer = nn.optim.Adam(model.parameters(), lr=0.1)
    step = ag.compile(training_step(model, optimizer, nn.losses.mse))
    (x, y), = batches(1)
    step(x, y)
    frozen, *others = model.parameters()
    frozen.requires_grad = False
    before = [np.array(value(p)) for p in (frozen, *others)]
    step(x, y)
    assert np.array_equal(value(frozen), before[0])
    assert not any(map(np.array_equal, map(value, others), before[1:]))
    frozen.requires_grad = True
    step(x, y)
    assert not np.array_equal(value(frozen), before[0])


def test_two_steps_in_one_call():
    p, q = nn.Parameter([2.0]), nn.Parameter([2.0])
    first, second = (nn.optim.Adam([t], lr=lambda step: 0.1 / (1 + step)) for t in (p, q))

    def make(t, optimizer):
        def twice():
            for _ in range(2):
                optimizer.zero_grad()
                (t**2).sum().backward()
                optimizer.step()

        return twice

    step, eager = ag.compile(make(p, first)), make(q, second)
    for _ in range(5):
        step()
        eager()
    assert first.steps == second.steps == 10
    close(value(p), value(q))


def test_an_own_optimizer_need_only_say_its_update():
    class Lion(nn.optim.Optimizer):
        """p ← p - lr sign(β m + (1 - β) g), m ← γ m + (1 - γ) g; without a word on compiling."""

        def __init__(self, parameters, lr=0.01, betas=(0.9, 0.99)):
            self.betas = betas
            super().__init__(parameters, lr)

        def start(self, value):
            return (np.zeros_like(value),)

        def update(self, value, grad, state, *coefficients):
            (lr,), (m,), (beta, gamma) = coefficients, state, self.betas
            direction = np.sign(beta * m + (1 - beta) * grad)
            new = value - lr * direction
            assert not getattr(new, "requires_grad", False)  # an update is not differentiated
            return new, (gamma * m + (1 - gamma) * grad,)

    models = [nn.MLP([3, 4, 1], "tanh", rng=0, dtype=np.float64) for _ in range(2)]
    optimizers = [Lion(m.parameters()) for m in models]
    eager, step = (training_step(m, o, nn.losses.mse)
                   for m, o in zip(models, optimizers, strict=True))
    step = ag.compile(step)
    for x, y in batches(STEPS):
        eager(x, y)
        step(x, y)
    agree(*models)
    states_agree(*optimizers)


# Labels, and the mode of a module. ---------------------------------------------------------------


@pytest.mark.parametrize("label", [4, -1, 100])
def test_labels_are_checked_at_every_call_before_anything_changes(label):
    model = nn.MLP([3, 4, 4], "tanh", rng=0)
    optimizer = nn.optim.Adam(model.parameters())
    step = ag.compile(training_step(model, optimizer, nn.losses.cross_entropy))
    data = list(batches(2, classes=4, dtype=np.float32))
    step(*data[0])
    before = [np.array(value(p)) for p in model.parameters()]
    state = optimizer.state_dict()
    x, y = data[1]
    with pytest.raises(ValueError, match=rf"label {label} is out of range for 4 classes"):
        step(x, np.where(np.arange(8) == 5, label, y))
    assert all(map(np.array_equal, map(value, model.parameters()), before))
    after = optimizer.state_dict()
    assert after["steps"] == state["steps"] == 1
    for s, t in zip(after["state"], state["state"], strict=True):
        assert all(map(np.array_equal, s, t))
    step(x, y)
    assert optimizer.steps == 2


def test_labels_are_checked_while_recording():
    loss = ag.compile(nn.losses.cross_entropy)
    with pytest.raises(ValueError, match="label 3 is out of range for 3 classes"):
        loss(np.zeros((2, 3)), np.array([0, 3]))
    with pytest.raises(TypeError, match="labels must be integers"):
        loss(np.zeros((2, 3)), np.array([0.0, 1.0]))
    assert loss(np.zeros((2, 3)), np.array([0, 1])) == pytest.approx(math.log(3))


class Doubling(nn.Module):
    """y = w x, doubled in training."""

    def __init__(self):
        self.w = nn.Parameter(3.0)

    def forward(self, x):
        y = self.w * x
        return 2 * y if self.training else y


def test_the_mode_of_a_module_is_noticed():
    model = Doubling()
    f = ag.compile(model)
    assert f(np.float64(1.0)).item() == 6
    model.eval()
    assert f(np.float64(1.0)).item() == 3
    model.train()
    assert f(np.float64(2.0)).item() == 12
    assert f.recompiles == 1  # one plan for each mode


def test_a_mode_that_nobody_looks_at_records_nothing_anew():
    model = nn.Linear(3, 1, rng=0)
    f = ag.compile(model)
    x = np.ones((2, 3), np.float32)
    f(x)
    model.eval()
    f(x)
    assert f.recompiles == 0


# fit. --------------------------------------------------------------------------------------------


def problem(n=50, classes=None):
    rng = np.random.default_rng(1)
    X = rng.standard_normal((n, 3))
    scores = X @ rng.standard_normal((3, classes or 1))
    return X, scores.argmax(1) if classes else scores


def fit(model, X, y, **options):
    return nn.fit(model, X, y, **{"progress": False, "seed": 0, **options})


@each_optimizer
@each_dtype
@pytest.mark.parametrize(("loss", "classes"), [
    ("mse", None), ("cross_entropy", 4), ("bce_with_logits", None),
])
def test_fit_compiled_is_fit_eager(kind, dtype, loss, classes):
    X, y = problem(classes=classes)
    if loss == "bce_with_logits":
        y = (y > 0).astype(int)
    runs = []
    for compile in (True, False):
        model = nn.MLP([3, 8, classes or 1], "tanh", rng=0, dtype=dtype)
        optimizer = OPTIMIZERS[kind](model.parameters(), lr=lambda step: 0.05 / (1 + 0.1 * step))
        history = fit(model, X, y, loss=loss, optimizer=optimizer, epochs=4, batch_size=16,
                      validation_data=(X[:9], y[:9]), compile=compile)  # a last batch of two
        runs.append((model, optimizer, history))
    (a, first, compiled), (b, second, eager) = runs
    agree(a, b, dtype)
    states_agree(first, second, dtype)
    for name in ("loss", "val_loss"):
        close(compiled[name], eager[name], dtype)


def test_fit_compiles_by_default_once_for_each_size_of_batch():
    calls = []

    class Counted(nn.Linear):
        def forward(self, x):
            calls.append(len(x))
            return super().forward(x)

    X, y = problem(50)
    fit(Counted(3, 1, rng=0), X, y, epochs=5, batch_size=16)
    assert calls == [16, 2]
    calls.clear()
    fit(Counted(3, 1, rng=0), X, y, epochs=5, batch_size=16, compile=False)
    assert calls == [16, 16, 16, 2] * 5


def test_callbacks_change_the_rate_and_freeze():
    X, y = problem()
    weights = []
    for compile in (True, False):
        model = nn.MLP([3, 8, 1], "tanh", rng=0, dtype=np.float64)
        optimizer = nn.optim.Adam(model.parameters(), lr=0.1)
        frozen = []

        def change(epoch, history, model=model, optimizer=optimizer, frozen=frozen):
            optimizer.lr = 0.1 / epoch
            if epoch == 3:
                model.layers[0].weight.requires_grad = False
                frozen.append(np.array(value(model.layers[0].weight)))

        fit(model, X, y, optimizer=optimizer, epochs=6, callbacks=[change], compile=compile)
        assert np.array_equal(value(model.layers[0].weight), *frozen)
        weights.append(model)
    agree(*weights)


class Looks(nn.Module):
    """Python decides by a value in the forward pass, after the first Linear."""

    def __init__(self):
        self.linear = nn.Linear(3, 1, rng=0, dtype=np.float64)

    def forward(self, x):
        y = self.linear(x)
        return y if y.mean() > 0 else 2 * y


def looking_loss(prediction, target):
    loss = nn.losses.mse(prediction, target)
    return loss if float(ag.stop_gradient(loss).detach()) > 0.1 else 2 * loss


@pytest.mark.parametrize(("model", "loss"), [
    (Looks, "mse"),
    (lambda: nn.Linear(3, 1, rng=0, dtype=np.float64), looking_loss),
], ids=["model", "loss"])
def test_what_cannot_be_compiled_runs_eagerly_after_one_warning(model, loss):
    X, y = problem()
    runs = []
    for compile in (True, False):
        trained = model()
        optimizer = nn.optim.Adam(trained.parameters(), lr=0.1)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            history = fit(trained, X, y, loss=loss, optimizer=optimizer, epochs=3, batch_size=16,
                          compile=compile)
        runs.append((trained, optimizer, history))
        assert len(caught) == compile
        if compile:
            assert caught[0].filename == __file__  # it points at the call
            assert "cannot be compiled and runs eagerly" in str(caught[0].message)
            assert "test_compiled.py:" in str(caught[0].message)  # and names the line that looked
    (a, first, fallen_back), (b, second, eager) = runs
    assert fallen_back["loss"] == eager["loss"] and first.steps == second.steps
    assert all(map(np.array_equal, map(value, a.parameters()), map(value, b.parameters())))


def test_a_step_that_cannot_be_compiled_is_not_counted_twice():
    class Curious(nn.optim.SGD):
        """Looks at a parameter when the step has been recorded and counted."""

        def step(self):
            super().step()
            self.parameters[0].item()

    p = nn.Linear(1, 1, bias=False, rng=0)
    optimizer = Curious(p.parameters(), lr=lambda step: 0.1 / (1 + step))
    X = np.ones((4, 1))
    with pytest.warns(UserWarning, match="cannot be compiled and runs eagerly"):
        fit(p, X, X, optimizer=optimizer, epochs=3)
    assert optimizer.steps == 3


def test_what_was_trained_stays_when_another_size_of_batch_cannot_be_compiled():

    class Later(nn.Module):
        def __init__(self):
            self.linear = nn.Linear(3, 1, rng=0, dtype=np.float64)

        def forward(self, x):
            y = self.linear(x)
            return y if len(x) > 2 or y.mean() > 0 else 2 * y

    X, y = problem(50)
    runs = []
    for compile in (True, False):
        model = Later()
        optimizer = nn.optim.Adam(model.parameters(), lr=0.1)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            fit(model, X, y, optimizer=optimizer, epochs=2, batch_size=16, compile=compile)
        assert len(caught) == compile
        runs.append((model, optimizer))
    (a, first), (b, second) = runs
    assert first.steps == second.steps == 8
    agree(a, b)
    states_agree(first, second)


def test_an_error_in_the_model_is_no_reason_to_run_eagerly():
    class Broken(nn.Module):
        def __init__(self):
            self.linear = nn.Linear(3, 1, rng=0)

        def forward(self, x):
            raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        fit(Broken(), *problem())


def test_a_compiled_model_is_saved_loaded_and_used_as_any_other():
    X, y = problem()
    model, other = (nn.MLP([3, 8, 1], "tanh", rng=i, dtype=np.float64) for i in range(2))
    fit(model, X, y, epochs=2)
    other.load_state_dict(model.state_dict())
    assert np.array_equal(nn.predict(model, X), nn.predict(other, X))
    before = [np.array(value(p)) for p in model.parameters()]
    fit(model, X, y, epochs=1)
    assert all(map(np.array_equal, map(value, other.parameters()), before))
    loss = nn.losses.mse(model(X), y)
    model.zero_grad()
    loss.backward()
    assert all(p.grad.shape == p.shape for p in model.parameters())
