"""Optimisers against their published recurrences, written here number by number."""

import gc
import math
import sys

import numpy as np
import pytest

import autograd_core as ag
import nn
from nn.optim import SGD, Adam

STEPS = 20
KINDS = {
    "sgd": lambda ps, lr=0.1: SGD(ps, lr=lr),
    "momentum": lambda ps, lr=0.1: SGD(ps, lr=lr, momentum=0.9),
    "nesterov": lambda ps, lr=0.1: nn.optim.Nesterov(ps, lr=lr),
    "adagrad": lambda ps, lr=0.1: nn.optim.AdaGrad(ps, lr=lr),
    "rmsprop": lambda ps, lr=0.1: nn.optim.RMSProp(ps, lr=lr, momentum=0.5),
    "adadelta": lambda ps, lr=0.1: nn.optim.AdaDelta(ps, lr=lr),
    "adam": lambda ps, lr=0.1: Adam(ps, lr=lr),
    "amsgrad": lambda ps, lr=0.1: nn.optim.AMSGrad(ps, lr=lr),
    "nadam": lambda ps, lr=0.1: nn.optim.NAdam(ps, lr=lr),
    "lion": lambda ps, lr=0.1: nn.optim.Lion(ps, lr=lr),
}
each_kind = pytest.mark.parametrize("kind", KINDS)


def normal(shape, seed=0, dtype=np.float64):
    return np.asarray(np.random.default_rng(seed).standard_normal(shape), dtype)[()]


def value(t):
    return t.numpy(force=True)


# Side by side. -----------------------------------------------------------------------------------


class Normed(Adam):
    """A step of length lr for each parameter: no element goes its own way."""

    def update(self, value, grad, state, *coefficients):
        return value - coefficients[0] * grad / np.sqrt((grad * grad).sum()), state


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("decay", [0.0, 0.1])
@pytest.mark.parametrize("kind", [*KINDS, "normed"])
def test_parameters_side_by_side_go_where_each_goes_alone(kind, decay, dtype, monkeypatch):
    """To the bit, also where some have no gradient for a while, are large, or change otherwise."""
    monkeypatch.setattr(nn.optim.optimizer, "_SMALL", 40)
    monkeypatch.setattr(nn.optim.optimizer, "_BLOCK", 16)
    make = KINDS.get(kind, lambda ps: Normed(ps, lr=0.1))
    shapes = [(3, 4), (4,), (), (5, 20), (2, 1), (7, 9), (1,)]
    together, alone = ([nn.Parameter(normal(shape, k, dtype)) for k, shape in enumerate(shapes)]
                       for _ in range(2))
    optimizers = [make(together), *(make([p]) for p in alone)]
    for optimizer in optimizers:
        optimizer.weight_decay = decay
    rng = np.random.default_rng(1)
    for step in range(8):
        for k, (p, q) in enumerate(zip(together, alone, strict=True)):
            g = np.asarray(rng.standard_normal(p.shape), dtype)
            p.grad = q.grad = None if step in (2, 3) and k in (1, 4) else g
        if step == 5:
            together[0].data[1] = 7.0
            alone[0].data[1] = 7.0
        for optimizer in optimizers:
            optimizer.step()
        for p, q in zip(together, alone, strict=True):
            assert value(p).dtype == dtype
            np.testing.assert_array_equal(value(p), value(q))
    states = [optimizer.state_dict()["state"] for optimizer in optimizers]
    for own, (other,) in zip(states[0], states[1:], strict=True):
        for x, y in zip(own, other, strict=True):
            np.testing.assert_array_equal(x, y)


def test_small_parameters_of_a_group_are_updated_in_one_call(monkeypatch):
    calls = []
    update = Adam.update
    monkeypatch.setattr(Adam, "update", lambda self, value, *rest: (
        calls.append(value.shape), update(self, value, *rest))[1])
    ps = [nn.Parameter(np.ones(shape)) for shape in [(3, 4), (4,), (200, 200), (5,)]]
    for p in ps:
        p.grad = np.ones(p.shape)
    Adam(ps).step()
    assert sorted(calls) == [(21,), (200, 200)]
    calls.clear()
    Adam([{"params": ps[:2]}, {"params": ps[2:], "lr": 0.1}]).step()
    assert sorted(calls) == [(5,), (16,), (200, 200)]


def test_a_parameter_may_get_another_shape_or_dtype():
    ps = [nn.Parameter(np.ones(3)), nn.Parameter(np.ones(2))]
    optimizer = SGD(ps, lr=1.0)
    for data in (np.ones(3), np.ones((4, 1)), np.ones(2, np.float32)):
        ps[0].data = data
        for p in ps:
            p.grad = np.ones(p.shape)
        before = value(ps[1])
        optimizer.step()
        np.testing.assert_array_equal(value(ps[0]), np.zeros_like(data))
        assert value(ps[0]).dtype == data.dtype
        np.testing.assert_array_equal(value(ps[1]), before - 1)


# The recurrences. --------------------------------------------------------------------------------


def sgd(p, gradients, lr):
    for g in gradients:
        p = p - lr * g
    return p


def momentum(p, gradients, lr, mu):
    v = 0.0
    for g in gradients:
        v = mu * v + g
        p = p - lr * v
    return p


def adam(p, gradients, lr, beta1, beta2, eps):
    """Kingma, Ba (2015), algorithm 1, line by line."""
    m = v = 0.0
    for t, g in enumerate(gradients, start=1):
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        m_hat = m / (1 - beta1**t)
        v_hat = v / (1 - beta2**t)
        p = p - lr * m_hat / (math.sqrt(v_hat) + eps)
    return p


@pytest.mark.parametrize("shape", [(), (1,), (3, 4), (0,)])
@pytest.mark.parametrize(("make", "recurrence"), [
    (lambda ps: SGD(ps, lr=0.3), lambda p, gs: sgd(p, gs, 0.3)),
    (lambda ps: SGD(ps), lambda p, gs: sgd(p, gs, 0.01)),
    (lambda ps: SGD(ps, 0.3, momentum=0.9), lambda p, gs: momentum(p, gs, 0.3, 0.9)),
    (lambda ps: SGD(ps, 0.3, momentum=0.5), lambda p, gs: momentum(p, gs, 0.3, 0.5)),
    (lambda ps: Adam(ps), lambda p, gs: adam(p, gs, 0.001, 0.9, 0.999, 1e-8)),
    (lambda ps: Adam(ps, 0.3, betas=(0.7, 0.8), eps=0.1),
     lambda p, gs: adam(p, gs, 0.3, 0.7, 0.8, 0.1)),
    (lambda ps: Adam(ps, 0.3, betas=(0.0, 0.5)),
     lambda p, gs: adam(p, gs, 0.3, 0.0, 0.5, 1e-8)),
], ids=["sgd", "sgd-default", "momentum", "momentum-half", "adam-default", "adam", "adam-no-mean"])
def test_twenty_steps_follow_the_recurrence(make, recurrence, shape):
    start = normal(shape)
    gradients = [normal(shape, seed=t) for t in range(1, STEPS + 1)]
    p = nn.Parameter(start)
    optimizer = make([p])
    for g in gradients:
        p.grad = g
        optimizer.step()
    expected = np.empty(shape)
    for i in np.ndindex(shape):
        expected[i] = recurrence(float(start[i]), [float(g[i]) for g in gradients])
    assert p.shape == shape
    np.testing.assert_allclose(value(p), expected, rtol=1e-12, atol=1e-12)
    assert optimizer.steps == STEPS


def test_the_first_step_of_adam_has_the_length_of_the_rate():
    """m̂ / √v̂ is the sign of the gradient, whatever its size."""
    p = nn.Parameter([1.0, 1.0, 1.0])
    p.grad = np.array([1e-3, 1.0, -1e3])
    Adam([p], lr=0.1).step()
    np.testing.assert_allclose(value(p), [0.9, 0.9, 1.1], rtol=1e-5)


# Large arrays, updated in blocks. ----------------------------------------------------------------


@each_kind
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    "layout", ["plain", "gradient transposed", "value transposed", "broadcast"]
)
def test_blocks_give_the_same_bits(kind, dtype, layout, monkeypatch):
    monkeypatch.setattr(nn.optim.optimizer, "_BLOCK", 1 << 10)
    shape = (61, 37)  # more than two blocks, the last one incomplete
    start = normal(shape, dtype=dtype)
    if layout == "value transposed":
        start = np.asfortranarray(start)
    p = nn.Parameter(start)
    optimizer = KINDS[kind]([p])
    update, sizes = optimizer.update, []
    optimizer.update = lambda v, *rest: sizes.append(v.size) or update(v, *rest)
    expected, state = start, optimizer.start(start)
    for t in range(1, 4):
        g = normal(shape, seed=t, dtype=dtype)
        if layout == "gradient transposed":
            g = normal(shape[::-1], seed=t, dtype=dtype).T
        if layout == "broadcast":
            g = np.broadcast_to(normal((1, shape[1]), seed=t, dtype=dtype), shape)
        p.grad = g
        optimizer.step()
        assert sum(sizes) == start.size and len(set(sizes)) == 2  # blocks, and the rest
        sizes.clear()
        expected, state = update(expected, g, state, *optimizer.coefficients(0.1, t))
        assert value(p).dtype == dtype and np.array_equal(value(p), expected)
    saved = optimizer.state_dict()["state"][0]
    assert len(saved) == len(state) and all(map(np.array_equal, saved, state))


@each_kind
def test_a_step_does_not_write_into_arrays_it_was_given(kind, monkeypatch):
    monkeypatch.setattr(nn.optim.optimizer, "_BLOCK", 1 << 10)
    for shape in [(3,), (61, 37)]:
        p = nn.Parameter(normal(shape))
        before, g = value(p), normal(shape, seed=1)
        kept = before.copy(), g.copy()
        p.grad = g
        KINDS[kind]([p]).step()
        assert np.array_equal(before, kept[0]) and np.array_equal(g, kept[1])
        assert not np.array_equal(value(p), before)


# Which parameters, which rate. -------------------------------------------------------------------


@each_kind
def test_a_parameter_without_gradient_is_left_alone(kind):
    with_gradient, without = nn.Parameter([1.0]), nn.Parameter([2.0])
    array = value(without)
    optimizer = KINDS[kind]([with_gradient, without])
    with_gradient.grad = np.array([1.0])
    optimizer.step()
    assert with_gradient.tolist() != [1.0]
    assert value(without) is array and optimizer.state_dict()["state"][1] is None


@each_kind
def test_zero_gradient_first_is_no_move(kind):
    p = nn.Parameter([1.0])
    p.grad = np.zeros(1)
    KINDS[kind]([p]).step()
    assert p.tolist() == [1.0]


@each_kind
def test_zero_grad(kind):
    p = nn.Parameter([1.0])
    p.grad = np.ones(1)
    KINDS[kind]([p]).zero_grad()
    assert p.grad is None


@each_kind
def test_a_schedule_is_asked_with_the_steps_taken(kind):
    rates = [0.1, 0.05, 0.025, 0.0, 0.4]
    asked = []

    def schedule(step):
        asked.append(step)
        return rates[step]

    start, gradients = normal((3,)), [normal((3,), seed=t) for t in range(5)]
    p = nn.Parameter(start)
    optimizer = KINDS[kind]([p], schedule)
    expected = start
    state = optimizer.start(start)
    for t, g in enumerate(gradients):
        before = value(p)
        p.grad = g
        optimizer.step()
        expected, state = optimizer.update(
            expected, g, state, *optimizer.coefficients(rates[t], t + 1)
        )
        assert np.array_equal(value(p), expected)
        assert np.array_equal(value(p), before) == (rates[t] == 0)
    assert asked == [0, 1, 2, 3, 4]


def test_the_rate_may_be_changed_between_steps():
    p = nn.Parameter([1.0])
    optimizer = SGD([p], lr=0.5)
    p.grad = np.ones(1)
    optimizer.step()
    optimizer.lr = 0.25
    optimizer.step()
    assert p.tolist() == [0.25]


def test_the_gradient_may_be_a_recorded_tensor():
    p = nn.Parameter([1.0, 2.0])
    (p**3).sum().backward(create_graph=True)
    assert isinstance(p.grad, ag.Tensor)
    SGD([p], lr=0.1).step()
    np.testing.assert_allclose(value(p), [0.7, 0.8], rtol=1e-12)


# Going on from a saved state. --------------------------------------------------------------------


@each_kind
def test_a_loaded_state_goes_on_identically(kind):
    shapes = [(), (3,), (2, 2), (4,)]

    def fresh():
        ps = [nn.Parameter(normal(shape)) for shape in shapes]
        return ps, KINDS[kind](ps, lambda step: 0.1 / (1 + step))

    def step(ps, optimizer, t):
        for p in ps[:-1]:  # the last one never gets a gradient
            p.grad = normal(p.shape, seed=t)
        optimizer.step()

    ps, optimizer = fresh()
    for t in range(5):
        step(ps, optimizer, t)
    saved = optimizer.state_dict()
    others, other = fresh()
    for p, q in zip(ps, others, strict=True):
        q.data = value(p)
    other.load_state_dict(saved)
    assert other.steps == saved["steps"] == 5
    for t in range(5, 10):
        step(ps, optimizer, t)
        step(others, other, t)
    for p, q in zip(ps, others, strict=True):
        assert q.shape == p.shape and np.array_equal(value(p), value(q))
    assert saved["steps"] == 5  # a copy


def test_state_dict_is_a_copy_both_ways():
    p = nn.Parameter([1.0])
    optimizer = SGD([p], lr=1.0, momentum=0.5)
    p.grad = np.ones(1)
    optimizer.step()
    saved = optimizer.state_dict()
    saved["state"][0][0][:] = 100
    assert optimizer.state_dict()["state"][0][0].tolist() == [1.0]
    optimizer.load_state_dict(saved)
    saved["state"][0][0][:] = 200
    assert optimizer.state_dict()["state"][0][0].tolist() == [100.0]


@each_kind
def test_loading_the_state_of_before_the_first_step_starts_anew(kind):
    def steps(p, optimizer):
        p.data = np.ones(3)
        for t in range(3):
            p.grad = normal((3,), seed=t)
            optimizer.step()
        return value(p).tolist()

    p = nn.Parameter(np.ones(3))
    optimizer = KINDS[kind]([p])
    fresh = optimizer.state_dict()
    assert fresh["steps"] == 0 and fresh["state"] == [None]
    first = steps(p, optimizer)
    optimizer.load_state_dict(fresh)
    assert optimizer.state_dict() == fresh | {"lr": 0.1}
    assert steps(p, optimizer) == first


def test_a_loaded_state_is_cast_to_the_dtype_of_the_parameter():
    p = nn.Parameter([1.0], dtype=np.float32)
    optimizer = SGD([p], momentum=0.5)
    optimizer.load_state_dict({"steps": 1, "state": [(np.array([0.5], np.float64),)]})
    assert optimizer.state_dict()["state"][0][0].dtype == np.float32


@pytest.mark.parametrize(("state", "error"), [
    ({"steps": 9, "state": []}, ValueError),
    ({"steps": 9, "state": [None, None]}, ValueError),
    ({"steps": 9, "state": [(np.zeros(3), np.zeros(3))]}, ValueError),
    ({"steps": 9, "state": [(np.zeros(2), np.zeros(()))]}, ValueError),
    ({"steps": 9, "state": [(np.zeros(2),)]}, ValueError),  # of SGD with momentum
    ({"steps": 9, "state": [()]}, ValueError),  # of SGD without
    ({"state": [(np.zeros(2), np.zeros(2))]}, KeyError),
    ({"steps": 9}, KeyError),
])
def test_a_state_of_something_else_raises_and_changes_nothing(state, error):
    p = nn.Parameter([1.0, 2.0])
    optimizer = Adam([p])
    p.grad = np.ones(2)
    optimizer.step()
    before = optimizer.state_dict()
    with pytest.raises(error):
        optimizer.load_state_dict(state)
    after = optimizer.state_dict()
    assert after["steps"] == before["steps"] == 1
    assert all(map(np.array_equal, after["state"][0], before["state"][0]))


# Bad arguments. ----------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [
    lambda ps: SGD(ps, lr=-0.1),
    lambda ps: SGD(ps, lr=math.nan),
    lambda ps: Adam(ps, lr=-1e-9),
    lambda ps: SGD(ps, momentum=1.0),
    lambda ps: SGD(ps, momentum=-0.1),
    lambda ps: SGD(ps, momentum=math.nan),
    lambda ps: Adam(ps, betas=(1.0, 0.9)),
    lambda ps: Adam(ps, betas=(0.9, 1.0)),
    lambda ps: Adam(ps, betas=(-0.1, 0.9)),
    lambda ps: Adam(ps, eps=-1e-8),
    lambda ps: Adam(ps, eps=math.nan),
    lambda ps: SGD([]),
    lambda ps: Adam(iter(())),
])
def test_bad_arguments_raise(make):
    with pytest.raises(ValueError, match=r"SGD|Adam"):
        make([nn.Parameter([1.0])])


@pytest.mark.parametrize("parameters", [
    [ag.tensor([1.0], requires_grad=True)],
    [np.ones(1)],
    ["weight"],
    nn.Linear(1, 1).state_dict(),
    nn.Parameter([1.0]),
])
def test_only_parameters_are_taken(parameters):
    with pytest.raises(TypeError, match=r"expected nn\.Parameter, got .*model\.parameters"):
        SGD(parameters)


def test_a_generator_of_parameters_is_taken():
    model = nn.Linear(2, 1)
    optimizer = SGD((p for p in model.parameters()), lr=1.0)
    assert [id(p) for p in optimizer.parameters] == [id(p) for p in model.parameters()]


def test_repr():
    assert repr(Adam(nn.Linear(2, 1).parameters(), lr=0.5)) == "Adam(2 parameters, lr=0.5)"


# An update is an expression. ---------------------------------------------------------------------


@each_kind
def test_update_changes_no_argument(kind):
    optimizer = KINDS[kind]([nn.Parameter([1.0])])
    p, g = normal((3,)), normal((3,), seed=1)
    state = optimizer.update(p, g, optimizer.start(p), *optimizer.coefficients(0.1, 1))[1]
    arrays = [p, g, *state]
    copies = [a.copy() for a in arrays]
    for a in arrays:
        a.flags.writeable = False
    optimizer.update(p, g, state, *optimizer.coefficients(0.1, 2))
    assert all(map(np.array_equal, arrays, copies))


@each_kind
def test_update_on_tensors_records_a_graph(kind):
    optimizer = KINDS[kind]([nn.Parameter([1.0])])
    plain = [normal((3,)), normal((3,), seed=1)]
    state = optimizer.update(*plain, optimizer.start(plain[0]), *optimizer.coefficients(0.1, 1))[1]
    p, g = (ag.tensor(a, requires_grad=True, label=n) for a, n in zip(plain, "pg", strict=True))
    tensors = tuple(ag.tensor(s, requires_grad=True) for s in state)
    coefficients = optimizer.coefficients(0.1, 2)
    new, after = optimizer.update(p, g, tensors, *coefficients)
    expected, expected_after = optimizer.update(*plain, state, *coefficients)
    assert isinstance(new, ag.Tensor) and set(ag.Graph(new).inputs) == {p, g, *tensors}
    assert np.array_equal(value(new), expected)
    assert all(map(np.array_equal, map(value, after), expected_after))
    assert all(np.array_equal(value(t), a) for t, a in zip(
        (p, g, *tensors), (*plain, *state), strict=True
    ))
    graph = ag.Graph([new, *after])  # a replay follows the leaves
    for t, a in zip((p, g, *tensors), (*plain, *state), strict=True):
        t.data = 2 * a
    graph.fprop()
    again, again_after = optimizer.update(
        *(2 * a for a in plain), tuple(2 * s for s in state), *coefficients)
    assert np.array_equal(value(new), again)
    assert all(map(np.array_equal, map(value, after), again_after))
    far_from_zero = tuple(1 + abs(s) for s in state)  # √v bends sharply at 0
    ag.check_grads(
        lambda p, g, s: optimizer.update(p, g, s, *coefficients)[0], *plain, far_from_zero
    )


def test_the_rate_can_be_learned_through_an_update():
    """d f(p - lr g) / d lr = -g · f'(p - lr g): the gradient of a gradient step."""
    p, g = np.array([1.0, -2.0]), np.array([0.5, 3.0])
    optimizer = SGD([nn.Parameter(p)])

    def after(lr):
        return np.square(optimizer.update(p, g, (), lr)[0]).sum()

    assert ag.grad(after)(0.1) == pytest.approx(-(g * 2 * (p - 0.1 * g)).sum(), rel=1e-12)


@each_kind
@pytest.mark.parametrize("learned", ["rate", "start"])
def test_a_whole_training_is_differentiated(kind, learned):
    """Three steps down a bowl, unrolled, by the rate or by the point that they start from."""
    optimizer = KINDS[kind]([nn.Parameter([1.0])])
    slope, point = np.array([1.0, 4.0]), np.array([1.5, -2.0])

    def end(x):
        lr, p = (x, ag.tensor(point)) if learned == "rate" else (0.1, x)
        p = 1.0 * p
        state = optimizer.start(p)
        for k in range(3):
            p, state = optimizer.update(p, slope * p, state, *optimizer.coefficients(lr, k + 1))
        return (slope * p * p).sum()

    ag.check_grads(end, 0.05 if learned == "rate" else point, order=1)


@each_kind
def test_after_a_step_the_old_graph_is_stale(kind):
    p = nn.Parameter([2.0])
    loss = (p * p).sum()
    loss.backward()
    KINDS[kind]([p]).step()
    before = np.array(p.grad)
    with pytest.raises(ag.StaleGraphError):
        loss.backward()
    assert np.array_equal(p.grad, before)


# They find minima. -------------------------------------------------------------------------------


@pytest.mark.parametrize(("make", "steps"), [
    (lambda ps: SGD(ps, lr=0.1), 300),
    (lambda ps: SGD(ps, lr=0.05, momentum=0.8), 300),
    (lambda ps: Adam(ps, lr=0.1), 600),
])
def test_a_quadratic_bowl(make, steps):
    curvature, minimum = np.array([1.0, 4.0, 9.0]), np.array([3.0, -1.0, 0.5])
    p = nn.Parameter(np.zeros(3))
    optimizer = make([p])
    for _ in range(steps):
        optimizer.zero_grad()
        (curvature * np.square(p - minimum)).sum().backward()
        optimizer.step()
    np.testing.assert_allclose(value(p), minimum, atol=1e-6)


def test_adam_in_the_valley_of_rosenbrock():
    p = nn.Parameter([-1.2, 1.0])
    optimizer = Adam([p], lr=lambda step: 0.05 if step < 2000 else 0.005)
    for _ in range(3000):
        optimizer.zero_grad()
        x, y = p[0], p[1]
        ((1 - x) ** 2 + 100 * (y - x**2) ** 2).backward()
        optimizer.step()
    np.testing.assert_allclose(value(p), [1, 1], atol=1e-2)


def test_a_parameter_given_twice_is_refused():
    p = nn.Parameter([1.0])
    with pytest.raises(ValueError, match="given twice"):
        nn.optim.SGD([p, p])


# What a step costs, counted. ---------------------------------------------------------------------


def test_a_step_of_a_small_network_is_few_calls():
    """Of Python functions: all that eager training does around NumPy's operations."""
    model = nn.MLP([2, 8, 1], activation="tanh", rng=0)
    optimizer = SGD(model.parameters(), lr=0.1)
    x, y = normal((4, 2), dtype=np.float32), np.ones((4, 1), np.float32)

    def step():
        optimizer.zero_grad()
        loss = nn.losses.bce_with_logits(model(x), y)
        loss.backward()
        optimizer.step()

    calls = 0

    def profile(frame, event, arg):
        nonlocal calls
        calls += event == "call"

    step()
    gc.collect()
    gc.disable()  # it may run callbacks of others
    sys.setprofile(profile)
    try:
        step()
    finally:
        sys.setprofile(None)
        gc.enable()
    assert calls <= 108  # 12 for each of the nine nodes, parameters included
