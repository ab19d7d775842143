"""The benchmark compares like with like: its own checks pass, and catch what is wrong.

No time is asserted here.
"""

import json
import os
import subprocess
import sys
import warnings
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from benchmarks import handwritten, report
from benchmarks.__main__ import ALWAYS, CONTENDERS, load
from benchmarks.harness import Result, Timing, measure, schedule
from benchmarks.workloads import (
    ROWS,
    Digits,
    Expression,
    FirstCall,
    Loop,
    Moons,
    Recurrent,
    Row,
    Scalars,
    Training,
    WrongBenchmarkError,
)

ROOT = Path(__file__).parent.parent
MODULE = {
    "torch": "torch", "jax": "jax", "autograd": "autograd", "micrograd": "micrograd",
    "ours native": "llvmlite", "scikit-learn": "sklearn",
}
EAGER = load(["ours eager"])[0]["ours eager"]
TINY = next(row.task for row in ROWS if row.name == "tiny")
SMALL = next(row.task for row in ROWS if row.name == "small")
# Tasks of the kinds in the table, those that would take long cut down.
SHORTER = {
    "large": Training((24, 48, 48, 24), 16, "relu", "mse", "sgd", 1.0),
    "rnn": Recurrent(steps=12, batch=8, features=5, hidden=16, classes=4),
    "moons": Moons(points=7, sizes=(2, 4, 3, 1)),
    "digits": Digits(epochs=8),
    "fit-tiny": Loop(TINY, 100, 6),
    "fit-small": Loop(SMALL, 20, 6),
}
TASKS = {row.name: SHORTER.get(row.name, row.task) for row in ROWS}


def check(task, contenders):
    """What ``measure`` does before it times anything."""
    task.check({name: getattr(c, task.kind)(task) for name, c in contenders.items()})


def contender(kind, build):
    """A contender for one kind of task."""
    return type("Contender", (), {kind: staticmethod(build)})()


# The contenders agree. ---------------------------------------------------------------------------


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_ours_and_handwritten_agree(task):
    contenders, absent = load(list(ALWAYS))
    taking_part = {n: c for n, c in contenders.items() if hasattr(c, task.kind)}
    assert "ours" in taking_part and not absent
    check(task, taking_part)


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
@pytest.mark.parametrize("name", MODULE)
def test_peers_agree_with_us(task, name):
    if not hasattr(CONTENDERS[name], task.kind):
        return
    if find_spec(MODULE[name]) is None:
        pytest.skip(f"{name} is not installed")
    with warnings.catch_warnings():
        warnings.simplefilter("default")  # theirs
        contenders, absent = load(["ours eager", "ours", name])
        assert not absent
        taking_part = {n: c for n, c in contenders.items() if hasattr(c, task.kind)}
        assert len(taking_part) >= 2
        check(task, taking_part)


def test_every_contender_takes_part_somewhere():
    kinds = {row.task.kind for row in ROWS}
    assert kinds == {
        "training", "recurrent", "expression", "scalars", "moons", "digits", "first_call", "loop",
    }
    assert set(CONTENDERS) == {*ALWAYS, *MODULE}
    assert all(any(hasattr(make, kind) for kind in kinds) for make in CONTENDERS.values())
    assert all(hasattr(CONTENDERS["ours"], kind) for kind in kinds)


def test_the_float32_rows_are_float32():
    for row in ROWS:
        if isinstance(row.task, (Training, Recurrent)):
            assert row.task.inputs.dtype == np.float32
            assert {p.dtype for p in row.task.initial()} == {np.dtype(np.float32)}
        elif isinstance(row.task, Expression):
            assert row.task.x.dtype == EAGER.expression(row.task)().dtype == np.float64


def test_a_timed_task_is_the_same_work_at_another_rate():
    timed = TINY.timed()
    assert timed.learning_rate != TINY.learning_rate
    assert (timed.sizes, timed.batch, timed.loss) == (TINY.sizes, TINY.batch, TINY.loss)
    assert FirstCall(TINY).timed() == FirstCall(timed)
    for task in (Recurrent(), Moons()):
        assert task.timed() == replace(task, learning_rate=timed.learning_rate) != task
    for task in (Expression(3), Scalars(), Digits(), Loop(TINY, 2, 3)):
        assert task.timed() == task


# Wrong contenders are caught. --------------------------------------------------------------------


def spoiled(task, change):
    """The hand-written contender, working on a task with other initial parameters."""
    parameters = task.initial()
    change(parameters)

    class Spoiled(Training):
        def initial(self):
            return parameters

    return handwritten.Handwritten().training(Spoiled(**vars_of(task)))


def vars_of(task):
    names = ("sizes", "batch", "activation", "loss", "optimizer", "learning_rate")
    return {name: getattr(task, name) for name in names}


def without_last_bias(parameters):
    parameters[-1] *= 0


def transposed_weight(parameters):
    parameters[0] = parameters[0][::-1].copy()


@pytest.mark.parametrize("build", [
    lambda task: spoiled(task, without_last_bias),
    lambda task: spoiled(task, transposed_weight),
    # a rate that is off by one percent
    lambda task: handwritten.Handwritten().training(
        Training(**vars_of(task) | {"learning_rate": task.learning_rate * 1.01})
    ),
    lambda task: handwritten.Handwritten().training(
        Training(**vars_of(task) | {"activation": "relu"})
    ),
    lambda task: lambda: 0.5,  # does nothing
], ids=["bias dropped", "weight mixed up", "rate", "activation", "nothing"])
def test_a_wrong_training_contender_is_caught(build):
    with pytest.raises(WrongBenchmarkError, match="planted"):
        check(TINY, {"ours": EAGER, "planted": contender("training", build)})


def test_a_contender_that_does_not_learn_is_caught_even_alone():
    with pytest.raises(WrongBenchmarkError, match="planted does not learn"):
        check(TINY, {"planted": contender("training", lambda task: lambda: 0.5)})


def test_the_update_of_adam_is_checked_too():
    build = lambda task: handwritten.Handwritten().training(  # noqa: E731
        Training(**vars_of(task) | {"optimizer": "sgd", "learning_rate": 0.1})
    )
    with pytest.raises(WrongBenchmarkError, match="planted"):
        check(SMALL, {"ours": EAGER, "planted": contender("training", build)})


@pytest.mark.parametrize(("change", "message"), [
    (lambda g: g * (1 + 1e-8), "planted and ours differ"),
    (lambda g: np.where(np.arange(g.size) == 3, -g, g), "planted and ours differ"),
    (lambda g: g.astype(np.float32), "planted computes in float32"),
    (lambda g: g * np.nan, "planted and ours differ"),
])
def test_a_wrong_gradient_is_caught(change, message):
    def build(task):
        step = EAGER.expression(task)
        return lambda: change(step())

    with pytest.raises(WrongBenchmarkError, match=message):
        check(Expression(10), {"ours": EAGER, "planted": contender("expression", build)})


@pytest.mark.parametrize("change", [
    lambda a, b: (a * (1 + 1e-5), b), lambda a, b: (a, 0.0), lambda a, b: (b, a),
])
@pytest.mark.parametrize("alone", [True, False])
def test_a_wrong_scalar_contender_is_caught(change, alone):
    def build(task):
        step = EAGER.scalars(task)
        return lambda: change(*step())

    contenders = {} if alone else {"ours": EAGER}
    with pytest.raises(WrongBenchmarkError, match="planted"):
        check(Scalars(), contenders | {"planted": contender("scalars", build)})


def cut_short(task):
    """Truncated backpropagation: the first half of the sequence counts as a constant."""
    parameters = [EAGER.nn.Parameter(p) for p in task.initial()]
    wx, wh, b, wo, bo = parameters
    optimizer = EAGER.nn.optim.SGD(parameters, lr=task.learning_rate)

    def step():
        optimizer.zero_grad()
        h = np.zeros((task.batch, task.hidden), np.float32)
        for t in range(task.steps):
            h = np.tanh(task.inputs[t] @ wx + h @ wh + b)
            if t == task.steps // 2:
                h = h.detach()
        loss = EAGER.nn.losses.cross_entropy(h @ wo + bo, task.labels)
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def without_first_input(task):
    inputs = task.inputs.copy()
    inputs[0] = 0
    changed = replace(task)
    vars(changed)["inputs"] = inputs  # in place of the cached one
    return EAGER.recurrent(changed)


@pytest.mark.parametrize("build", [cut_short, without_first_input],
                         ids=["cut short", "first input"])
@pytest.mark.parametrize("task", [SHORTER["rnn"], Recurrent()], ids=["shorter", "the row"])
def test_a_wrong_recurrent_contender_is_caught(task, build):
    with pytest.raises(WrongBenchmarkError, match="planted"):
        check(task, {"ours": EAGER, "planted": contender("recurrent", build)})


@pytest.mark.parametrize(("change", "message"), [
    ({"alpha": 0.0}, "planted and ours differ"),
    ({"learning_rate": 0.505}, "planted and ours differ"),
    ({"learning_rate": 0.0}, "planted does not learn"),
])
def test_a_wrong_contender_of_the_moons_is_caught(change, message):
    planted = contender("moons", lambda task: EAGER.moons(replace(task, **change)))
    with pytest.raises(WrongBenchmarkError, match=message):
        check(SHORTER["moons"], {"ours": EAGER, "planted": planted})


def test_a_classifier_that_does_not_learn_is_caught():
    guess = contender("digits", lambda task: lambda: lambda images: np.zeros(len(images), int))
    with pytest.raises(WrongBenchmarkError, match="planted reads 1"):
        check(Digits(), {"planted": guess})


def test_a_loop_that_does_not_learn_is_caught():
    loops = load(["ours", "bare loop"])[0]
    with pytest.raises(WrongBenchmarkError, match="ours tells"):
        check(Loop(replace(TINY, learning_rate=0.0), 10, 1), loops)
    assert Loop(TINY, 20, 6).operations == 120  # times are per step


def test_a_first_call_that_forgets_what_was_learned_is_caught():
    def build(task):
        return lambda: EAGER.training(task.training)()  # from the initial parameters every time

    with pytest.raises(WrongBenchmarkError, match="planted does not learn"):
        check(FirstCall(SMALL), {"planted": contender("first_call", build)})


def test_slow_contenders_take_fewer_samples():
    assert schedule(2e6, 11) == (11, 5)
    assert schedule(4e8, 11) == (4, 2)
    assert schedule(2e9, 11) == (2, 2)
    assert schedule(2e9, 1) == (1, 2)


def test_measure_checks_before_it_times():
    calls = []

    def build(task):
        calls.append(task)
        return lambda: 0.5

    with pytest.raises(WrongBenchmarkError):
        measure(Row("tiny", "", TINY), {"planted": contender("training", build)}, turns=1)
    assert calls == [TINY]  # never built for the timing


def test_a_row_without_contenders_has_no_result():
    assert measure(Row("tiny", "", TINY), {"other": object()}, turns=1) is None


# What is reported. -------------------------------------------------------------------------------


def test_the_table_shows_medians_and_ours_over_theirs():
    row = Row("tiny", "a row", TINY)
    result = Result(row, 1, {"ours": Timing([1500.0] * 5), "other": Timing([1.0, 3000.0, 5000.0])})
    assert report.cells(result, ["ours", "other", "absent"]) == [
        "a row", "1.50 us", "3.00 us (0.50)", "-",
    ]
    much = Result(row, 1, {"ours": Timing([2.0] * 5), "other": Timing([1000.0] * 5)})
    assert report.cells(much, ["ours", "other"])[-1] == "1.00 us (0.002)"
    times = {"ours native": Timing([500.0] * 5), **result.timings}
    assert report.cells(Result(row, 1, times), ["ours native", "ours", "other"])[1:] == [
        "500 ns", "1.50 us (0.33)", "3.00 us (0.17)",
    ]
    lines = report.table([result], ["ours", "other", "absent"])
    assert lines[-1].startswith("| a row") and "3.00 us (0.50)" in lines[-1]
    assert len({len(line) for line in lines[2:]}) == 1  # aligned


def test_the_command_runs_and_prints_a_table(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "--rows", "tiny", "scalars", "fit-tiny",
         "--only", *ALWAYS, "--samples", "1", "--json", tmp_path / "results.json"],
        cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, timeout=120, check=False,
    )
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if line.startswith("|")]
    assert len(lines) == 7 and "ours" in lines[0] and "handwritten" in lines[0]
    assert "bare loop" not in lines[0] and "bare loop" in lines[4] and "nn.fit" in lines[6]
    results = json.loads((tmp_path / "results.json").read_text())
    assert [row["name"] for row in results["rows"]] == ["tiny", "scalars", "fit-tiny"]
    assert set(results["rows"][0]["contenders"]) == {*ALWAYS} - {"bare loop"}
    assert set(results["rows"][2]["contenders"]) == {"ours", "bare loop"}
