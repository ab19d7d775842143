"""Random programs of up to 50 operations, against a naive engine of scalars that goes forward."""

from __future__ import annotations

import math

import naive
import numpy as np
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

import autograd_core as ag
from autograd_core.op import OPS
from benchmarks.programs import OPERATIONS, Program, Step, random_program


def naively(program):
    """The total and its gradient by each input, scalar by scalar."""
    count, inputs = 0, []
    for x in program.inputs:
        lifted = np.empty(x.shape, object)
        for i in np.ndindex(x.shape):
            lifted[i] = naive.Dual(x[i], {count: 1.0})
            count += 1
        inputs.append(lifted)
    values = program.values(np, inputs, keep=naive.array)
    total = program.total(values)
    slopes = [total.slopes.get(i, 0.0) for i in range(count)]
    cuts = np.cumsum([x.size for x in program.inputs])[:-1]
    return total.value, [g.reshape(x.shape) for g, x in zip(
        np.split(np.array(slopes), cuts), program.inputs, strict=True)], values


def ours(program, compiled=False):
    """The same by the engine."""

    def total(*inputs):
        return program.total(program.values(np, inputs))

    f = ag.value_and_grad(total, tuple(range(len(program.inputs))))
    return (ag.compile(f) if compiled else f)(*program.inputs)


def agree(program):
    value, gradients, values = naively(program)
    for mine, theirs in zip(program.values(np, [ag.tensor(x) for x in program.inputs]), values,
                            strict=True):
        plain = [v.value for v in theirs.reshape(-1)]
        np.testing.assert_allclose(mine.data.reshape(-1), plain, rtol=1e-9, atol=1e-10)
    got, slopes = ours(program)
    np.testing.assert_allclose(got, value, rtol=1e-9, atol=1e-9)
    for g, expected in zip(slopes, gradients, strict=True):
        assert g.shape == expected.shape
        scale = max(1.0, np.abs(expected).max(initial=0.0))
        np.testing.assert_allclose(g / scale, expected / scale, rtol=1e-8, atol=1e-9,
                                   err_msg=str(program))


LENGTHS = [5, 10, 25, 50]


@pytest.mark.parametrize("seed", range(200))
def test_a_random_program(seed):
    """None of these meets a kink: the naive engine would say so."""
    agree(random_program(np.random.default_rng(seed), LENGTHS[seed % len(LENGTHS)]))


@settings(max_examples=60)
@given(seed=st.integers(0, 2**32 - 1), length=st.integers(1, 50))
def test_any_program_of_up_to_50_operations(seed, length):
    program = random_program(np.random.default_rng(seed), length)
    assert len(program.steps) <= 50
    try:
        agree(program)
    except naive.Kink:
        reject()


def test_the_programs_are_long_and_use_everything():
    programs = [random_program(np.random.default_rng(seed), LENGTHS[seed % len(LENGTHS)])
                for seed in range(200)]
    assert max(len(p.steps) for p in programs) == 50
    assert {step.name for p in programs for step in p.steps} == set(OPERATIONS)
    again = random_program(np.random.default_rng(7), 50)
    assert str(again) == str(random_program(np.random.default_rng(7), 50))


# The naive engine itself: against closed forms, and it finds what is wrong. -----------------------


def test_the_naive_engine_knows_its_calculus():
    x = naive.Dual(0.7, {0: 1.0})
    for got, value, slope in (
        (x.sin() * x.cos(), math.sin(0.7) * math.cos(0.7), math.cos(1.4)),
        (2 / x - x / 2, 2 / 0.7 - 0.35, -2 / 0.49 - 0.5),
        ((x**3).log(), 3 * math.log(0.7), 3 / 0.7),
        (x.exp().sqrt(), math.exp(0.35), math.exp(0.35) / 2),
        (abs(-x).hypot(2.4), 2.5, 0.7 / 2.5),
    ):
        assert got.value == pytest.approx(value) and got.slopes[0] == pytest.approx(slope)


def test_a_tie_of_unequal_slopes_is_a_kink():
    x, y = naive.Dual(1.0, {0: 1.0}), naive.Dual(1.0, {1: 1.0})
    with pytest.raises(naive.Kink):
        np.maximum(x, y)
    assert np.maximum(x, naive.Dual(1.0, {0: 1.0})).value == 1.0
    with pytest.raises(naive.Kink):
        abs(naive.Dual(0.0, {0: 1.0}))


FAULTS = {  # a rule made wrong, and a step that its op is in
    "tanh": (lambda g, y, x: g * (1.0 + y * y), Step("tanh", (0,))),
    "sum": (lambda g, y, x, axis, keepdims: 2.0 * OPS["sum"].vjps[0](g, y, x, axis, keepdims),
            Step("sum", (0,), {"axis": 0, "keepdims": False})),
    "transpose": (lambda g, y, x, axes: g.reshape(x.shape), Step("transpose", (0,))),
    "cumsum": (lambda g, y, x, axis: g, Step("cumsum", (0,), {"axis": 1})),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_found(name, monkeypatch):
    rule, step = FAULTS[name]
    x = np.random.default_rng(0).normal(size=(2, 3))
    program = Program((x,), (step,))
    agree(program)
    right = OPS[name].vjps
    wrong = (lambda *args, **attrs: rule(*args, **attrs),)
    if name == "sum":
        def wrong_rule(g, y, x, axis, keepdims):
            return 2.0 * right[0](g, y, x, axis, keepdims)
        wrong = (wrong_rule,)
    object.__setattr__(OPS[name], "vjps", wrong)
    try:
        with pytest.raises(AssertionError):
            agree(program)
    finally:
        object.__setattr__(OPS[name], "vjps", right)
