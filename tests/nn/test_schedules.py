"""Schedules: their values by formula, and what is a state of theirs."""

import json
import math

import numpy as np
import pytest

import nn
from nn.schedules import (
    Constant,
    Cosine,
    Exponential,
    InverseTime,
    LinearDecay,
    OneCycle,
    PerEpoch,
    ReduceOnPlateau,
    Sequence,
    StepDecay,
    Warmup,
)

#: Schedule, and η(k) as published.
FORMULAS = {
    "constant": (Constant(0.3), lambda k: 0.3),
    "step": (StepDecay(0.3, 7, 0.5), lambda k: 0.3 * 0.5 ** math.floor(k / 7)),
    "exponential": (Exponential(0.3, 0.9), lambda k: 0.3 * 0.9**k),
    "inverse time": (InverseTime(0.3, 0.2), lambda k: 0.3 / (1 + 0.2 * k)),
    "inverse root": (InverseTime(0.3, 0.2, 0.6), lambda k: 0.3 * (1 + 0.2 * k) ** -0.6),
    "linear": (LinearDecay(0.3, 20, 0.05),
               lambda k: (1 - k / 20) * 0.3 + k / 20 * 0.05 if k < 20 else 0.05),
    "linear default": (LinearDecay(0.3, 10), lambda k: max(0.003, 0.3 - 0.297 * k / 10)),
    "cosine": (Cosine(0.3, 20, 0.1),
               lambda k: 0.1 + 0.1 * (1 + math.cos(math.pi * min(k, 20) / 20))),
    "warm-up": (Warmup(Cosine(0.3, 20), 5),
                lambda k: 0.3 * (k + 1) / 5 if k < 5
                else 0.15 * (1 + math.cos(math.pi * min(k - 5, 20) / 20))),
    "one cycle": (OneCycle(0.3, 20, 0.25), lambda k: (
        0.3 + (0.012 - 0.3) * (1 + math.cos(math.pi * k / 5)) / 2 if k < 5 else
        1.2e-6 + (0.3 - 1.2e-6) * (1 + math.cos(math.pi * min(1, (k - 5) / 15))) / 2)),
    "sequence": (Sequence((Constant(0.3), 4), (0.2, 3), Exponential(0.1, 0.5)),
                 lambda k: 0.3 if k < 4 else 0.2 if k < 7 else 0.1 * 0.5 ** (k - 7)),
    "per epoch": (PerEpoch(Exponential(0.3, 0.5), 6), lambda k: 0.3 * 0.5 ** (k // 6)),
    "product": (2 * Exponential(0.3, 0.5) * (lambda k: 1 / (1 + k)),
                lambda k: 0.6 * 0.5**k / (1 + k)),
    "plateau": (ReduceOnPlateau(Exponential(0.3, 0.9)), lambda k: 0.3 * 0.9**k),
}


@pytest.mark.parametrize("name", FORMULAS)
def test_rates_are_those_of_the_formula(name):
    schedule, formula = FORMULAS[name]
    rates = [schedule(k) for k in range(40)]
    assert all(type(rate) is float for rate in rates)
    np.testing.assert_allclose(rates, [formula(k) for k in range(40)], rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("schedule", [LinearDecay(0.3, 7, 0.1), Cosine(0.3, 7, 0.1)])
def test_ends_are_exact(schedule):
    assert schedule(0) == 0.3 and schedule(7) == schedule(1000) == 0.1


@pytest.mark.parametrize("power", [1.0, 0.75, 0.51])
def test_inverse_time_satisfies_both_sums_of_robbins_and_monro(power):
    """By the integral test: the sum exceeds a growing integral, that of squares a bounded one."""
    schedule = InverseTime(0.5, 0.1, power)
    n = 1 << 20
    k = np.arange(n)
    rates = 0.5 / (1 + 0.1 * k) ** power
    assert rates[:50].tolist() == pytest.approx([schedule(int(i)) for i in k[:50]])
    total = np.cumsum(rates)
    # Doubling the number of steps adds at least the same again (p = 1), or more.
    gains = [total[m - 1] - total[m // 2 - 1] for m in (n // 4, n // 2, n)]
    assert gains[0] <= gains[1] * 1.001 and gains[1] <= gains[2] * 1.001 and gains[0] > 3
    # ∫ 0.25 / (1 + 0.1 x)^2p dx from 0 to ∞ bounds the squares.
    assert np.square(rates).sum() < 0.25 + 0.25 / (0.1 * (2 * power - 1))


@pytest.mark.parametrize("power", [0.5, 0.3, 1.1, 2.0])
def test_a_power_that_fails_one_of_them_is_refused(power):
    with pytest.raises(ValueError, match="finite sum, or their squares an infinite one"):
        InverseTime(0.5, 0.1, power)


@pytest.mark.parametrize("make", [
    lambda: Constant(-1.0), lambda: Constant(math.nan), lambda: StepDecay(0.1, 0),
    lambda: StepDecay(0.1, 5, -1.0), lambda: Exponential(0.1, -0.5), lambda: InverseTime(0.1, 0.0),
    lambda: LinearDecay(0.1, 0), lambda: LinearDecay(0.1, 5, -0.1), lambda: Cosine(0.1, -1),
    lambda: Warmup(0.1, 0), lambda: OneCycle(0.1, 10, rise=1.0), lambda: PerEpoch(Constant(1.0), 0),
    lambda: OneCycle(0.1, 0), lambda: Sequence((Constant(0.1), 0), 0.1),
    lambda: ReduceOnPlateau(0.1, factor=1.0), lambda: ReduceOnPlateau(0.1, patience=0),
    lambda: ReduceOnPlateau(0.1, mode="best"), lambda: ReduceOnPlateau(0.1, minimum=-1.0),
])
def test_bad_settings(make):
    with pytest.raises(ValueError, match=r"must be|must not"):
        make()


@pytest.mark.parametrize("pieces", [(), ((0.1, 5),), (0.1, 0.2), ((0.1,), 0.2)])
def test_bad_sequences(pieces):
    with pytest.raises(TypeError, match="pairs"):
        Sequence(*pieces)


# A rate that waits for a metric. -----------------------------------------------------------------


def rates(schedule, values):
    found = []
    for x in values:
        schedule.update(x)
        found.append(schedule(0))
    return found


def test_a_plateau_lowers_the_rate_after_patience():
    schedule = ReduceOnPlateau(1.0, factor=0.5, patience=2)
    assert rates(schedule, [5, 4, 4, 4, 4, 4, 3]) == [1, 1, 1, 0.5, 0.5, 0.25, 0.25]


def test_small_gains_do_not_count_and_nan_is_no_gain():
    schedule = ReduceOnPlateau(1.0, factor=0.5, patience=2, threshold=0.1)
    assert rates(schedule, [10, 9.5, math.nan, 8.9, 8.5]) == [1, 1, 0.5, 0.5, 0.5]


def test_cooldown_and_minimum():
    schedule = ReduceOnPlateau(1.0, factor=0.1, patience=1, cooldown=2, minimum=0.05)
    assert rates(schedule, [1] * 8) == [1, 0.1, 0.1, 0.1, 0.05, 0.05, 0.05, 0.05]


def test_larger_may_be_better():
    assert rates(ReduceOnPlateau(1.0, 0.5, 1, mode="max"), [1, 2, 3, 2]) == [1, 1, 1, 0.5]
    schedule = ReduceOnPlateau(1.0, 0.5, 1, monitor="val_accuracy")
    for x in (0.5, 0.6, 0.7):
        schedule.observe({"val_accuracy": [x]})
    assert schedule(0) == 1.0


def test_it_watches_validation_if_there_is_any():
    schedule = ReduceOnPlateau(1.0, 0.5, 1)
    for loss in (3.0, 2.0):
        schedule.observe({"loss": [loss], "val_loss": [1.0]})
    assert schedule(0) == 0.5
    with pytest.raises(KeyError, match=r"no 'f1' to monitor; it has \['loss'\]"):
        ReduceOnPlateau(1.0, monitor="f1").observe({"loss": [1.0]})


def test_fit_shows_it_the_history_wherever_it_is_within_another():
    plateau = ReduceOnPlateau(0.5, 0.5, 1)
    model = nn.Linear(1, 1, rng=0)
    optimizer = nn.optim.SGD([
        {"params": [model.weight], "lr": 0.0},
        {"params": [model.bias], "lr": Warmup(0.0 * plateau, 3)},
    ])
    nn.fit(model, [[1.0]], [[5.0]], optimizer=optimizer, epochs=4, progress=False)
    assert plateau(0) == 0.0625  # the first epoch is the best, three others lower it


def test_the_state_is_data_and_goes_on():
    def make():
        return Warmup(Sequence((0.5 * ReduceOnPlateau(1.0, 0.5, 2), 10), Constant(0.1)), 2)

    first, second = make(), make()
    plateau = first.parts()[0].parts()[0].parts()[0]
    for x in (3.0, 3.0, 3.0, 3.0):
        plateau.update(x)
    state = json.loads(json.dumps(first.state_dict()))
    second.load_state_dict(state)
    assert first(3) == second(3) == 0.25
    plateau.update(3.0)
    second.parts()[0].parts()[0].parts()[0].update(3.0)
    assert first(3) == second(3) == 0.125
    assert second.state_dict() == first.state_dict()
    for other in (Constant(0.1), Warmup(1.0, 2), Warmup(Sequence((0.1, 5), (0.2, 5), 0.3), 2)):
        with pytest.raises(ValueError, match="state is of the schedule"):
            other.load_state_dict(state)


def test_a_compiled_step_follows_a_plateau():
    import autograd_core as ag

    p = nn.Parameter([0.0])
    schedule = ReduceOnPlateau(1.0, 0.5, 1)
    optimizer = nn.optim.SGD([p], schedule)

    @ag.compile
    def step():
        optimizer.zero_grad()
        p.sum().backward()
        optimizer.step()

    for expected in (-1.0, -2.0, -2.5, -2.75):
        step()
        schedule.update(1.0)
        assert p.tolist() == [expected]
    assert step.recompiles == 0
