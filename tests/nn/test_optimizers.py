"""Every optimiser: by its published recurrence, on objectives, in groups, clipped, compiled."""

import copy
import math
import os

import numpy as np
import pytest

import autograd_core as ag
import nn
from nn.optim import SGD, Adam
from nn.optim.lbfgs import strong_wolfe

STEPS = 20


def value(t):
    return np.array(t.numpy(force=True))


# The recurrences, as published, in plain NumPy. --------------------------------------------------


def momentum(p, gs, lr=0.01, mu=0.9):
    v = 0
    for g in gs:
        v = mu * v + g
        p = p - lr * v
    return p


def nesterov(p, gs, lr=0.01, mu=0.9):
    """Sutskever et al. (2013), equations 3 and 4, seen from the point looked ahead to."""
    velocity = 0
    true = p
    for g in gs:  # g is the gradient at the point ahead, true + mu velocity
        velocity = mu * velocity - lr * g
        true = true + velocity
    return true + mu * velocity


def adagrad(p, gs, lr=0.01, eps=1e-10):
    total = 0
    for g in gs:
        total = total + g**2
        p = p - lr * g / (np.sqrt(total) + eps)
    return p


def rmsprop(p, gs, lr=0.01, rho=0.99, eps=1e-8, mu=0.0, centered=False):
    v = m = b = 0
    for g in gs:
        v = rho * v + (1 - rho) * g**2
        m = rho * m + (1 - rho) * g
        b = mu * b + g / (np.sqrt(v - m**2 if centered else v) + eps)
        p = p - lr * b
    return p


def adadelta(p, gs, lr=1.0, rho=0.9, eps=1e-6):
    """Zeiler (2012), algorithm 1."""
    squares = steps = 0
    for g in gs:
        squares = rho * squares + (1 - rho) * g**2
        step = -np.sqrt(steps + eps) / np.sqrt(squares + eps) * g
        steps = rho * steps + (1 - rho) * step**2
        p = p + lr * step
    return p


def adam(p, gs, lr=0.001, beta1=0.9, beta2=0.999, eps=1e-8, amsgrad=False, decoupled=0.0, l2=0.0):
    m = v = largest = 0
    for t, g in enumerate(gs, start=1):
        g = g + l2 * p
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        largest = np.maximum(largest, v)
        m_hat = m / (1 - beta1**t)
        v_hat = (largest if amsgrad else v) / (1 - beta2**t)
        p = p - lr * (m_hat / (np.sqrt(v_hat) + eps) + decoupled * p)
    return p


def nadam(p, gs, lr=0.002, beta1=0.9, beta2=0.999, eps=1e-8, psi=0.004):
    m = v = 0
    product = 1.0
    for t, g in enumerate(gs, start=1):
        now, ahead = (beta1 * (1 - 0.5 * 0.96 ** (k * psi)) for k in (t, t + 1))
        product *= now
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        m_hat = ahead * m / (1 - product * ahead) + (1 - now) * g / (1 - product)
        p = p - lr * m_hat / (np.sqrt(v / (1 - beta2**t)) + eps)
    return p


def lion(p, gs, lr=1e-4, beta1=0.9, beta2=0.99, decay=0.0):
    m = 0
    for g in gs:
        p = p - lr * (np.sign(beta1 * m + (1 - beta1) * g) + decay * p)
        m = beta2 * m + (1 - beta2) * g
    return p


o = nn.optim
#: Optimiser, its recurrence, PyTorch's.
RULES = {
    "momentum": (lambda ps: o.Momentum(ps), momentum,
                 lambda t, ps: t.SGD(ps, lr=0.01, momentum=0.9)),
    "nesterov": (lambda ps: o.Nesterov(ps, 0.1, 0.8), lambda p, g: nesterov(p, g, 0.1, 0.8),
                 lambda t, ps: t.SGD(ps, lr=0.1, momentum=0.8, nesterov=True)),
    "adagrad": (lambda ps: o.AdaGrad(ps, 0.1), lambda p, g: adagrad(p, g, 0.1),
                lambda t, ps: t.Adagrad(ps, lr=0.1)),
    "rmsprop": (lambda ps: o.RMSProp(ps), rmsprop, lambda t, ps: t.RMSprop(ps)),
    "rmsprop centred": (
        lambda ps: o.RMSProp(ps, 0.1, rho=0.8, centered=True),
        lambda p, g: rmsprop(p, g, 0.1, 0.8, centered=True),
        lambda t, ps: t.RMSprop(ps, lr=0.1, alpha=0.8, centered=True)),
    "rmsprop momentum": (
        lambda ps: o.RMSProp(ps, 0.1, eps=0.1, momentum=0.7, centered=True),
        lambda p, g: rmsprop(p, g, 0.1, eps=0.1, mu=0.7, centered=True),
        lambda t, ps: t.RMSprop(ps, lr=0.1, eps=0.1, momentum=0.7, centered=True)),
    "adadelta": (lambda ps: o.AdaDelta(ps), adadelta, lambda t, ps: t.Adadelta(ps)),
    "adadelta half": (lambda ps: o.AdaDelta(ps, 0.5, 0.7, 1e-2),
                      lambda p, g: adadelta(p, g, 0.5, 0.7, 1e-2),
                      lambda t, ps: t.Adadelta(ps, lr=0.5, rho=0.7, eps=1e-2)),
    "adam": (lambda ps: Adam(ps, 0.1), lambda p, g: adam(p, g, 0.1),
             lambda t, ps: t.Adam(ps, lr=0.1)),
    "adam l2": (lambda ps: Adam(ps, 0.1, weight_decay=0.3), lambda p, g: adam(p, g, 0.1, l2=0.3),
                lambda t, ps: t.Adam(ps, lr=0.1, weight_decay=0.3)),
    "amsgrad": (lambda ps: o.AMSGrad(ps, 0.1, betas=(0.9, 0.5)),
                lambda p, g: adam(p, g, 0.1, beta2=0.5, amsgrad=True),
                lambda t, ps: t.Adam(ps, lr=0.1, betas=(0.9, 0.5), amsgrad=True)),
    "adamw": (lambda ps: o.AdamW(ps, 0.1), lambda p, g: adam(p, g, 0.1, decoupled=0.01),
              lambda t, ps: t.AdamW(ps, lr=0.1)),
    "adamw half": (
        lambda ps: o.AdamW(ps, 0.1, weight_decay=0.5), lambda p, g: adam(p, g, 0.1, decoupled=0.5),
        lambda t, ps: t.AdamW(ps, lr=0.1, weight_decay=0.5)),
    "nadam": (lambda ps: o.NAdam(ps, 0.1), lambda p, g: nadam(p, g, 0.1),
              lambda t, ps: t.NAdam(ps, lr=0.1)),
    "nadam psi": (lambda ps: o.NAdam(ps, 0.1, momentum_decay=2.0),
                  lambda p, g: nadam(p, g, 0.1, psi=2.0),
                  lambda t, ps: t.NAdam(ps, lr=0.1, momentum_decay=2.0)),
    "lion": (lambda ps: o.Lion(ps, 0.1), lambda p, g: lion(p, g, 0.1), None),
    "lion decay": (lambda ps: o.Lion(ps, 0.1, betas=(0.5, 0.7), weight_decay=0.3),
                   lambda p, g: lion(p, g, 0.1, 0.5, 0.7, 0.3), None),
}
each_rule = pytest.mark.parametrize("rule", RULES)


def linear_steps(make, start, gradients, compiled=False):
    """The parameter after steps along these gradients, each as that of a loss Σ g p."""
    p = nn.Parameter(start)
    optimizer = make([p])

    def step(g):
        optimizer.zero_grad()
        (g * p).sum().backward()
        optimizer.step()

    run = ag.compile(step) if compiled else step
    for g in gradients:
        run(g)
    if compiled:
        assert run.recompiles == 0
    return value(p)


def samples(dtype, shape=(3, 4)):
    rng = np.random.default_rng(0)
    return (rng.standard_normal(shape).astype(dtype),
            [rng.standard_normal(shape).astype(dtype) for _ in range(STEPS)])


@each_rule
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "compiled"])
def test_twenty_steps_follow_the_recurrence(rule, dtype, compiled):
    make, recurrence, _ = RULES[rule]
    start, gradients = samples(dtype)
    expected = recurrence(start.astype(np.float64), [g.astype(np.float64) for g in gradients])
    found = linear_steps(make, start, gradients, compiled)
    assert found.dtype == dtype
    tolerance = {"rtol": 1e-11, "atol": 1e-12} if dtype == np.float64 else {
        "rtol": 1e-4, "atol": 1e-5}
    np.testing.assert_allclose(found, expected, **tolerance)


@each_rule
def test_a_wrong_recurrence_would_be_seen(rule):
    """The comparison above can fail: one step more, or one gradient changed, is far outside."""
    make, recurrence, _ = RULES[rule]
    start, gradients = samples(np.float64)
    found = linear_steps(make, start, gradients)
    assert not np.allclose(found, recurrence(start, gradients[:-1]), rtol=1e-4, atol=1e-5)
    assert not np.allclose(found, recurrence(start, [-g for g in gradients]), rtol=1e-4, atol=1e-5)


@pytest.mark.skipif(not os.environ.get("TEST_PEERS"), reason="TEST_PEERS is not set")
def test_torch_agrees():
    """Importing PyTorch takes longer than all tests here: for those who ask for it."""
    torch = pytest.importorskip("torch")
    start, gradients = samples(np.float64)
    compared = 0
    for rule, (make, _, of_torch) in RULES.items():
        if of_torch is None:
            continue
        p = torch.nn.Parameter(torch.tensor(start))
        optimizer = of_torch(torch.optim, [p])
        for g in gradients:
            p.grad = torch.tensor(g)
            optimizer.step()
        # It keeps the product of NAdam's momenta in float32.
        tolerance = 1e-6 if rule.startswith("nadam") else 1e-10
        np.testing.assert_allclose(
            linear_steps(make, start, gradients), p.detach().numpy(), rtol=tolerance,
            atol=tolerance, err_msg=rule,
        )
        compared += 1
    assert compared == len(RULES) - 2


# They find minima. -------------------------------------------------------------------------------


def bowl(p):
    return (np.array([1.0, 4.0]) * np.square(p - np.array([3.0, -1.0]))).sum()


def rosenbrock(p):
    return (1 - p[0]) ** 2 + 100 * (p[1] - p[0] ** 2) ** 2


def beale(p):
    x, y = p[0], p[1]
    return ((1.5 - x + x * y) ** 2 + (2.25 - x + x * y**2) ** 2 + (2.625 - x + x * y**3) ** 2)


LABELS = (np.random.default_rng(1).standard_normal((40, 2)), )
POINTS = LABELS[0]
CLASSES = (POINTS @ np.array([1.0, -2.0]) + np.random.default_rng(2).logistic(size=40) > 0) * 1.0


def logistic(p):
    z = POINTS @ p
    return (ag.softplus(z) - CLASSES * z).mean() + 0.01 * np.square(p).sum()


#: Start, value at the minimum, how near to it counts.
OBJECTIVES = {
    "bowl": (bowl, [0.0, 0.0], 0.0, 1e-6),
    "rosenbrock": (rosenbrock, [-1.2, 1.0], 0.0, 1e-3),
    "beale": (beale, [1.0, 1.0], 0.0, 1e-3),
    "logistic": (logistic, [0.0, 0.0], None, 1e-6),
}
#: Rates by objective: bowl, rosenbrock, beale, logistic. Some steps keep their length where the
#: gradient vanishes, and need a schedule that shortens them.
MANY = 6000


def falling(lr):
    return nn.schedules.LinearDecay(lr, MANY, 1e-6 * lr)


RATES = {
    "sgd": (lambda ps, lr: SGD(ps, lr), (0.1, 2e-3, 0.02, 1.0)),
    "momentum": (lambda ps, lr: o.Momentum(ps, lr), (0.02, 1e-3, 5e-3, 0.2)),
    "nesterov": (lambda ps, lr: o.Nesterov(ps, lr), (0.02, 4e-4, 5e-3, 0.2)),
    "adagrad": (lambda ps, lr: o.AdaGrad(ps, lr), (1.0, 1.0, 0.5, 0.5)),
    "rmsprop": (lambda ps, lr: o.RMSProp(ps, falling(lr)), (0.05, 0.02, 0.02, 0.02)),
    "centred": (lambda ps, lr: o.RMSProp(ps, falling(lr), centered=True),
                (0.02, 2e-3, 5e-3, 0.01)),
    "adadelta": (lambda ps, lr: o.AdaDelta(ps, falling(lr), eps=1e-4), (1.0, 0.3, 0.3, 1.0)),
    "adam": (lambda ps, lr: Adam(ps, lr), (0.1, 0.05, 0.05, 0.05)),
    "amsgrad": (lambda ps, lr: o.AMSGrad(ps, lr), (0.1, 0.05, 0.05, 0.05)),
    "adamw": (lambda ps, lr: o.AdamW(ps, lr, weight_decay=0.0), (0.1, 0.05, 0.05, 0.05)),
    "nadam": (lambda ps, lr: o.NAdam(ps, lr), (0.1, 0.02, 0.05, 0.05)),
    "lion": (lambda ps, lr: o.Lion(ps, falling(lr)), (0.01, 5e-3, 5e-3, 5e-3)),
}


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("kind", RATES)
def test_it_converges(kind, objective):
    f, start, least, near = OBJECTIVES[objective]
    make, rates = RATES[kind]
    if least is None:
        least = logistic_minimum()
    p = nn.Parameter(start)
    optimizer = make([p], rates[list(OBJECTIVES).index(objective)])

    @ag.compile
    def step():
        optimizer.zero_grad()
        loss = f(p)
        loss.backward()
        optimizer.step()
        return loss.detach()

    for i in range(MANY):
        loss = step().item()
        if i % 100 == 0 and loss - least < near / 10:
            break
    assert f(value(p)) - least < near


def logistic_minimum():
    """By Newton's method, which shares nothing with the optimisers."""
    p = np.zeros(2)
    for _ in range(20):
        p = p - np.linalg.solve(ag.hessian(logistic)(p), ag.grad(logistic)(p))
    assert np.abs(ag.grad(logistic)(p)).max() < 1e-14
    return logistic(p)


# L-BFGS. -----------------------------------------------------------------------------------------


def minimise(f, start, dtype=np.float64, compiled=False, steps=1, **options):
    p = nn.Parameter(start, dtype=dtype)
    optimizer = nn.optim.LBFGS([p], **{"iterations": 100, **options})
    calls = []

    def evaluate():
        optimizer.zero_grad()
        loss = f(p)
        loss.backward()
        return loss.detach()

    run = ag.compile(evaluate) if compiled else evaluate

    def closure():
        calls.append(1)
        return run()

    losses = [optimizer.step(closure) for _ in range(steps)]
    return value(p), losses, len(calls), optimizer


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("compiled", [False, True])
def test_lbfgs_converges_to_rounding_in_few_evaluations(objective, compiled):
    f, start, least, _ = OBJECTIVES[objective]
    p, (first,), calls, optimizer = minimise(f, start, compiled=compiled)
    assert first == pytest.approx(float(f(np.array(start))))
    assert f(p) - (logistic_minimum() if least is None else least) < 1e-14
    assert np.abs(ag.grad(f)(p)).max() < 1e-6 and calls < 80
    assert optimizer.steps == 1


def test_lbfgs_in_float32_and_with_several_parameters():
    p, q = nn.Parameter(np.zeros((2, 2), np.float32)), nn.Parameter(np.float32(1.0))
    unused = nn.Parameter(np.ones(3, np.float32))
    target = np.array([[1, 2], [3, 4]], np.float32)
    optimizer = nn.optim.LBFGS([p, q, unused])

    def closure():
        optimizer.zero_grad()
        loss = np.square(p - target).sum() + (q - 2) ** 2
        loss.backward()
        return loss

    optimizer.step(closure)
    np.testing.assert_allclose(value(p), target, rtol=1e-5)
    assert value(q) == pytest.approx(2) and value(unused).tolist() == [1, 1, 1]
    assert p.dtype == q.dtype == np.float32


def test_lbfgs_on_a_quadratic_is_the_method_of_conjugate_gradients_in_effect():
    """With as many pairs as dimensions and near exact searches, it ends after about n steps."""
    rng = np.random.default_rng(0)
    half = rng.standard_normal((6, 6))
    matrix = half @ half.T + np.eye(6)
    _, _, calls, _ = minimise(
        lambda p: 0.5 * p @ (matrix @ p), rng.standard_normal(6), tolerance=1e-8
    )
    assert calls < 40


def test_lbfgs_goes_on_from_a_saved_state_with_the_same_bits():
    def closure_of(p, optimizer):
        def closure():
            optimizer.zero_grad()
            loss = rosenbrock(p)
            loss.backward()
            return loss

        return closure

    p = nn.Parameter([-1.2, 1.0])
    first = nn.optim.LBFGS([p], iterations=5)
    first.step(closure_of(p, first))
    q, saved = nn.Parameter(value(p)), copy.deepcopy(first.state_dict())
    second = nn.optim.LBFGS([q], iterations=5)
    second.load_state_dict(saved)
    assert len(saved["pairs"]) > 1
    first.step(closure_of(p, first))
    second.step(closure_of(q, second))
    assert np.array_equal(value(p), value(q)) and first.steps == second.steps == 2
    with pytest.raises(ValueError, match=r"pairs of shapes .*\(2,\).* where .*\(3,\)"):
        nn.optim.LBFGS([nn.Parameter(np.zeros(3))]).load_state_dict(
            {"steps": 1, "state": [None], "pairs": saved["pairs"]})


def test_what_lbfgs_refuses():
    p = nn.Parameter([1.0])
    optimizer = nn.optim.LBFGS([p])
    with pytest.raises(TypeError, match=r"step\(closure\)"):
        optimizer.step()
    with pytest.raises(ag.CompileError, match="compile the closure"):
        ag.compile(lambda: optimizer.step(lambda: 0.0))()
    with pytest.raises(ValueError, match="groups"):
        nn.optim.LBFGS([{"params": [p], "lr": 1.0}])
    with pytest.raises(ValueError, match="positive"):
        nn.optim.LBFGS([p], iterations=0)
    with pytest.raises(FloatingPointError, match="the loss is nan"):
        optimizer.step(lambda: math.nan)


def test_lbfgs_stays_where_no_step_lowers_the_loss():
    """A gradient of the wrong sign: nothing is lost, and nothing is looked for forever."""
    p = nn.Parameter([1.0])
    optimizer = nn.optim.LBFGS([p])

    def closure():
        p.grad = -2 * value(p)
        return float(value(p)[0] ** 2)

    assert optimizer.step(closure) == 1.0 and value(p)[0] == 1.0


@pytest.mark.parametrize(("f", "slope", "first"), [
    (lambda a: (a - 3) ** 2, lambda a: 2 * (a - 3), 1.0),
    (lambda a: (a - 3) ** 2, lambda a: 2 * (a - 3), 100.0),
    (lambda a: (a - 3) ** 2, lambda a: 2 * (a - 3), 1e-4),
    (lambda a: -a / (a**2 + 2), lambda a: (a**2 - 2) / (a**2 + 2) ** 2, 10.0),  # Moré, Thuente
    (lambda a: (a + 0.004) ** 5 - 2 * (a + 0.004) ** 4,
     lambda a: 5 * (a + 0.004) ** 4 - 8 * (a + 0.004) ** 3, 1e-3),
    (lambda a: a - 2 * np.log(a + 0.1), lambda a: 1 - 2 / (a + 0.1), 50.0),
    (lambda a: math.inf if a > 1 else (a - 0.9) ** 2, lambda a: 2 * (a - 0.9), 64.0),
], ids=["near", "far", "short", "more-thuente 1", "more-thuente 2", "log", "a wall"])
def test_the_line_search_meets_the_strong_wolfe_conditions(f, slope, first):
    calls = []

    def both(a):
        calls.append(a)
        return f(a), slope(a)

    f0, s0 = f(0.0), slope(0.0)
    alpha, value = strong_wolfe(both, (f0, s0), first)
    assert value == f(alpha) and alpha > 0
    assert value <= f0 + 1e-4 * alpha * s0
    assert abs(slope(alpha)) <= 0.9 * abs(s0)
    assert len(calls) <= 25


def test_a_line_without_a_lower_point_gives_zero():
    assert strong_wolfe(lambda a: (1 + a, -1.0), (1.0, -1.0), 1.0) == (0.0, 1.0)


def test_a_line_that_falls_forever_gives_the_lowest_point_tried():
    alpha, value = strong_wolfe(lambda a: (-a, -1.0), (0.0, -1.0), 1.0, evaluations=5)
    assert value == -alpha < -1


# Groups and weight decay. ------------------------------------------------------------------------


@pytest.mark.parametrize("compiled", [False, True])
def test_groups_have_settings_of_their_own(compiled):
    """Like optimisers of their own, and the rest as the optimiser says."""
    starts = [np.array([1.0, -2.0]), np.array([3.0]), np.array([0.5])]
    settings = [{"lr": 0.5, "betas": (0.5, 0.9)}, {"weight_decay": 0.3}, {}]
    together = [nn.Parameter(x) for x in starts]
    one = Adam([{"params": [p], **s} for p, s in zip(together, settings, strict=True)], lr=0.1)
    apart = [nn.Parameter(x) for x in starts]
    many = [Adam([p], **{"lr": 0.1, **s}) for p, s in zip(apart, settings, strict=True)]

    def step_of(ps, optimizers):
        def step():
            for optimizer in optimizers:
                optimizer.zero_grad()
            sum((np.square(p).sum() for p in ps), start=0.0).backward()
            for optimizer in optimizers:
                optimizer.step()

        return ag.compile(step) if compiled else step

    first, second = step_of(together, [one]), step_of(apart, many)
    for i in range(6):
        if i == 3:  # both may change between steps
            one.groups[0]["lr"] = many[0].lr = 0.25
            one.groups[1]["weight_decay"] = many[1].weight_decay = 0.1
            one.lr = many[1].lr = many[2].lr = 0.2
        first()
        second()
        for p, q in zip(together, apart, strict=True):
            np.testing.assert_allclose(value(p), value(q), rtol=1e-13)
    assert one.steps == 6 and repr(one) == "Adam(3 parameters in 3 groups, lr=0.2)"


def test_a_rate_in_a_group_may_be_a_schedule():
    p, q = nn.Parameter([1.0]), nn.Parameter([1.0])
    optimizer = SGD([{"params": [p], "lr": nn.schedules.Exponential(1.0, 0.5)}, {"params": [q]}],
                    lr=0.125)
    for _ in range(3):
        p.grad = q.grad = np.ones(1)
        optimizer.step()
    assert value(p)[0] == 1 - 1.75 and value(q)[0] == 1 - 0.375


def test_a_momentum_in_one_group_only():
    p, q = nn.Parameter([0.0]), nn.Parameter([0.0])
    optimizer = SGD([{"params": [p], "momentum": 0.5}, {"params": [q]}], lr=1.0)
    for _ in range(2):
        p.grad = q.grad = np.ones(1)
        optimizer.step()
    assert value(p)[0] == -2.5 and value(q)[0] == -2.0
    assert [len(s) for s in optimizer.state_dict()["state"]] == [1, 0]


@pytest.mark.parametrize(("groups", "error", "message"), [
    ([{"lr": 0.1}], TypeError, 'each group is a dict with "params"'),
    ([{"params": []}, {"params": []}], ValueError, "no parameters"),
    ([{"params": ["p"], "moment": 0.1}], TypeError, r"sets \['moment'\]; it may set .*momentum"),
    ([{"params": ["p"], "clip_norm": 0.1}], TypeError, r"sets \['clip_norm'\]"),
    ([{"params": ["p"], "lr": -0.1}], ValueError, "lr must not be negative"),
    ([{"params": ["p"], "momentum": 1.5}], ValueError, "momentum must be in"),
    ([{"params": ["p"], "weight_decay": -1.0}], ValueError, "weight_decay must not be negative"),
    ([{"params": ["p"]}, {"params": ["p"]}], ValueError, "given twice"),
    ([{"params": ["p"]}, "p"], TypeError, "each group is a dict"),
])
def test_bad_groups(groups, error, message):
    p = nn.Parameter([1.0])
    groups = [{**g, **({"params": [p] * len(g["params"])} if "params" in g else {})}
              if isinstance(g, dict) else p for g in groups]
    with pytest.raises(error, match=message):
        SGD(groups)


@pytest.mark.parametrize("make", [
    lambda p: SGD([p], weight_decay=-0.1), lambda p: SGD([p], nesterov=True),
    lambda p: SGD([p], clip_norm=0.0), lambda p: SGD([p], clip_value=-1.0),
    lambda p: o.RMSProp([p], rho=1.0), lambda p: o.RMSProp([p], momentum=-0.1),
    lambda p: o.AdaGrad([p], eps=-1.0), lambda p: o.AdaDelta([p], eps=0.0),
    lambda p: o.AdaDelta([p], rho=-0.5), lambda p: o.NAdam([p], momentum_decay=-1.0),
    lambda p: o.Lion([p], betas=(0.9,)), lambda p: o.AdamW([p], lr=math.nan),
])
def test_bad_settings(make):
    with pytest.raises(ValueError, match=r"SGD|RMSProp|AdaGrad|AdaDelta|NAdam|Lion|AdamW"):
        make(nn.Parameter([1.0]))


def test_large_parameters_decay_in_blocks_too(monkeypatch):
    monkeypatch.setattr(nn.optim.optimizer, "_BLOCK", 1 << 10)
    start = np.random.default_rng(0).standard_normal((61, 37))
    for make in (lambda ps: SGD(ps, 0.1, weight_decay=0.5), lambda ps: o.AdamW(ps, 0.1)):
        p, q = nn.Parameter(start), nn.Parameter(start[:2])
        for x, optimizer in ((p, make([p])), (q, make([q]))):
            x.grad = np.ones(x.shape)
            optimizer.step()
        assert np.array_equal(value(p)[:2], value(q))


# Clipping. ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize(("limit", "expected"), [(1.0, 1 / 13), (13.0, 1.0), (100.0, 1.0)])
def test_the_norm_of_all_gradients_together_is_limited(compiled, limit, expected):
    p, q = nn.Parameter(np.zeros(2, np.float32)), nn.Parameter(0.0)
    unused = nn.Parameter([1.0])

    def step():
        for x in (p, q, unused):
            x.zero_grad()
        (3 * p[0] + 4 * p[1] + 12 * q).backward()
        return nn.optim.clip_grad_norm([p, q, unused], limit)

    norm = (ag.compile(step) if compiled else step)()
    assert float(norm) == pytest.approx(13, rel=1e-12)
    np.testing.assert_allclose(p.grad, np.array([3, 4]) * expected, rtol=1e-6)
    assert float(q.grad) == pytest.approx(12 * expected) and unused.grad is None
    assert p.grad.dtype == np.float32


@pytest.mark.parametrize("compiled", [False, True])
def test_each_element_is_limited(compiled):
    p = nn.Parameter(np.zeros(3, np.float32))

    def step():
        p.zero_grad()
        (np.array([-5, 0.25, 3], np.float32) * p).sum().backward()
        nn.optim.clip_grad_value([p], 0.5)

    (ag.compile(step) if compiled else step)()
    assert p.grad.tolist() == [-0.5, 0.25, 0.5] and p.grad.dtype == np.float32


def test_squares_of_float32_do_not_overflow_in_the_norm():
    p = nn.Parameter(np.zeros(2, np.float32))
    p.grad = np.array([3e30, 4e30], np.float32)
    assert nn.optim.clip_grad_norm([p], 1.0) == pytest.approx(5e30, rel=1e-6)
    np.testing.assert_allclose(p.grad, [0.6, 0.8], rtol=1e-6)


def test_a_gradient_that_is_not_finite_is_not_hidden():
    p, q = nn.Parameter([0.0, 0.0]), nn.Parameter([0.0])
    p.grad, q.grad = np.array([np.inf, 1.0]), np.ones(1)
    assert nn.optim.clip_grad_norm([p, q], 1.0) == np.inf
    assert np.isnan(p.grad).all() and np.isnan(q.grad).all()


@pytest.mark.parametrize("compiled", [False, True])
def test_an_optimizer_clips_as_the_functions_do_and_leaves_grad(compiled):
    start = np.array([1.0, 2.0, -3.0])
    for options, clip in (({"clip_norm": 0.5}, nn.optim.clip_grad_norm),
                          ({"clip_value": 0.5}, nn.optim.clip_grad_value)):
        p, q = nn.Parameter(start), nn.Parameter(start)
        first, second = Adam([p], 0.1, **options), Adam([q], 0.1)

        def own(p=p, first=first):
            first.zero_grad()
            np.square(p).sum().backward()
            first.step()

        def by_function(q=q, second=second, clip=clip):
            second.zero_grad()
            np.square(q).sum().backward()
            clip([q], 0.5)
            second.step()

        own, by_function = (ag.compile(own), ag.compile(by_function)) if compiled else (
            own, by_function)
        for _ in range(5):
            before = value(p)
            own()
            by_function()
            np.testing.assert_allclose(value(p), value(q), rtol=1e-13)
            np.testing.assert_allclose(p.grad, 2 * before, rtol=1e-13)


def test_bad_limits():
    for clip in (nn.optim.clip_grad_norm, nn.optim.clip_grad_value):
        with pytest.raises(ValueError, match="positive size"):
            clip([nn.Parameter([1.0])], 0.0)


def test_clipping_keeps_an_exploding_recurrent_network_training():
    """h ← W h + U x over 25 steps with a W of radius 1.5, from which a late sum is to be read.

    A gradient of 25 factors of W: an unclipped step throws the weights away for good.
    """
    rng = np.random.default_rng(0)
    T, n = 25, 6
    recurrent = rng.standard_normal((n, n))
    recurrent *= 1.5 / np.abs(np.linalg.eigvals(recurrent)).max()
    into, out = rng.standard_normal((2, n)), rng.standard_normal((n, 1))
    x = rng.standard_normal((16, T, 2))
    y = x[:, -3:, 0].sum(axis=1, keepdims=True)

    def train(**options):
        W, U, V = (nn.Parameter(w) for w in (recurrent, into, out))
        optimizer = SGD([W, U, V], nn.schedules.LinearDecay(0.05, 500), **options)

        def step():
            optimizer.zero_grad()
            h = np.zeros((16, n))
            for t in range(T):
                h = h @ W + x[:, t] @ U
            loss = np.square(h @ V - y).mean()
            loss.backward()
            optimizer.step()
            return loss.detach()

        run = ag.compile(step)
        with np.errstate(all="ignore"):
            return [run().item() for _ in range(500)]

    wild, tame = train(), train(clip_norm=1.0)
    assert wild[0] == tame[0] > 1e4  # it does explode
    assert not math.isfinite(wild[-1])
    assert tame[-1] < 0.1 * np.var(y)


# The average of the weights. ---------------------------------------------------------------------


@pytest.mark.parametrize("compiled", [False, True])
def test_the_average_follows_its_recurrence(compiled):
    model = nn.Linear(2, 1, rng=0, dtype=np.float64)
    optimizer, ema = SGD(model.parameters(), 0.1), nn.EMA(model, 0.8)
    x, y = np.random.default_rng(0).standard_normal((2, 8, 2))
    expected = {name: value(p) for name, p in model.named_parameters()}

    def step():
        optimizer.zero_grad()
        nn.losses.mse(model(x), y[:, :1]).backward()
        optimizer.step()
        ema.update()

    run = ag.compile(step) if compiled else step
    for i in range(6):
        if i == 4:
            ema.decay = 0.5
        run()
        for name, p in model.named_parameters():
            expected[name] = ema.decay * expected[name] + (1 - ema.decay) * value(p)
    for name, average in ema.state_dict().items():
        np.testing.assert_allclose(average, expected[name], rtol=1e-13)
    weights = model.state_dict()
    def look_and_fail():
        with ema.applied():
            assert all(np.array_equal(model.state_dict()[n], ema.state_dict()[n]) for n in expected)
            raise LookupError

    with pytest.raises(LookupError):
        look_and_fail()
    assert all(np.array_equal(model.state_dict()[n], weights[n]) for n in expected)
    other = nn.EMA(nn.Linear(2, 1, dtype=np.float64))
    other.load_state_dict(ema.state_dict())
    assert all(np.array_equal(other.state_dict()[n], ema.state_dict()[n]) for n in expected)
    ema.copy_to_model()
    np.testing.assert_allclose(value(model.weight), expected["weight"], rtol=1e-13)


def test_what_an_average_refuses():
    ema = nn.EMA(nn.Linear(2, 1, rng=0))
    with pytest.raises(ValueError, match="decay must be in"):
        nn.EMA(nn.Linear(2, 1), 1.0)
    with pytest.raises(KeyError, match=r"missing \['bias'\]"):
        ema.load_state_dict({"weight": np.zeros((2, 1))})
    with pytest.raises(ag.ShapeError, match=r"weight has shape \(2, 1\), the state has \(3, 1\)"):
        ema.load_state_dict({"weight": np.zeros((3, 1)), "bias": np.zeros(1)})


# What a compiled step records. -------------------------------------------------------------------


def written_out(kind, p):
    """The steps of one plain group, written by hand: nothing else may be recorded."""
    count = {"sgd": 0, "momentum": 1, "adam": 2}[kind]
    cells = [ag.tensor(np.zeros(p.shape)) for _ in range(count)]

    def step():
        p.zero_grad()
        np.square(p).sum().backward()
        with ag.no_grad():
            g = p.grad
            lr = ag.callback(lambda: 0.1)
            if kind == "sgd":
                p.assign(p - lr * g)
            elif kind == "momentum":
                v = 0.9 * cells[0] + g
                p.assign(p - lr * v)
                cells[0].assign(v)
            else:
                eps = ag.callback(lambda: 1e-8)
                m = 0.9 * cells[0] + (1 - 0.9) * g
                square = g * g * (1 - 0.999)
                v = 0.999 * cells[1] + square
                p.assign(p - m / (np.sqrt(v) + eps) * lr)
                cells[0].assign(m)
                cells[1].assign(v)

    return step


@pytest.mark.parametrize("kind", ["sgd", "momentum", "adam"])
def test_a_plain_optimizer_records_what_one_would_write_and_no_more(kind):
    p, q = nn.Parameter([1.0, 2.0]), nn.Parameter([1.0, 2.0])
    optimizer = {"sgd": lambda: SGD([p], 0.1), "momentum": lambda: SGD([p], 0.1, 0.9),
                 "adam": lambda: Adam([p], 0.1)}[kind]()

    def step():
        optimizer.zero_grad()
        np.square(p).sum().backward()
        optimizer.step()

    programs = []
    for f in (step, written_out(kind, q)):
        compiled = ag.compile(f)
        compiled()
        ((before, after),) = compiled.programs
        programs.append([sorted(str(i.op) for i in part.instructions) for part in (before, after)])
    assert programs[0] == programs[1]
    compiled = ag.compile(step)
    optimizer.weight_decay = 0.1
    compiled()
    assert len(compiled.programs[0][0].instructions) == len(programs[0][0]) + 2  # λ p, g + λ p


def test_steps_that_would_be_made_change_nothing():
    for make, _, _ in RULES.values():
        p, other = nn.Parameter([1.0, 2.0]), nn.Parameter([1.0])
        optimizer = make([p, other])
        p.grad = np.array([0.5, -1.0])
        before, state = value(p), copy.deepcopy(optimizer.state_dict())
        change, none = optimizer.changes()
        assert none is None and np.array_equal(value(p), before)
        assert repr(optimizer.state_dict()) == repr(state)
        optimizer.step()
        np.testing.assert_allclose(value(p) - before, change, rtol=1e-13)
    p = nn.Parameter([1.0, 2.0])
    p.grad = np.array([0.5, -1.0])
    np.testing.assert_allclose(nn.optim.LBFGS([p], lr=0.5).changes()[0], [-0.25, 0.5])


# Saved settings. ---------------------------------------------------------------------------------


def test_a_state_brings_back_rates_and_settings():
    p, q = nn.Parameter([1.0]), nn.Parameter([1.0])
    first = Adam([{"params": [p], "lr": 0.5}, {"params": [q]}], 0.1)
    first.lr, first.betas, first.groups[0]["lr"] = 0.05, (0.5, 0.6), 0.25
    second = Adam([{"params": [nn.Parameter([1.0])], "lr": 0.5}, {"params": [nn.Parameter([1.0])]}],
                  0.1)
    second.load_state_dict(first.state_dict())
    assert (second.lr, second.betas, second.groups[0]["lr"]) == (0.05, (0.5, 0.6), 0.25)


@pytest.mark.parametrize(("make", "message"), [
    (lambda p: SGD([p]), "of another optimizer, Adam"),
    (lambda p: Adam([{"params": [p], "eps": 1.0}], nn.schedules.Constant(0.1)),
     r"saved with the rate 0.1, but the rate is the schedule Constant"),
])
def test_a_state_of_another_kind(make, message):
    state = Adam([nn.Parameter([1.0])], 0.1).state_dict()
    with pytest.raises(ValueError, match=message):
        make(nn.Parameter([1.0])).load_state_dict(state)


def test_a_state_with_a_schedule_needs_one():
    state = Adam([nn.Parameter([1.0])], nn.schedules.Constant(0.1)).state_dict()
    with pytest.raises(ValueError, match=r"with the schedule Constant, but the rate is 0\.1"):
        Adam([nn.Parameter([1.0])], 0.1).load_state_dict(state)
    with pytest.raises(ValueError, match="of the schedule Constant"):
        Adam([nn.Parameter([1.0])], nn.schedules.Cosine(0.1, 5)).load_state_dict(state)
