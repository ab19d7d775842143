"""The benchmark compares like with like: its own checks pass, and catch what is wrong.

No time is asserted here.
"""

import json
import os
import subprocess
import sys
import warnings
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from benchmarks import handwritten, report
from benchmarks.__main__ import ALWAYS, CONTENDERS, load
from benchmarks.harness import Result, Timing, measure
from benchmarks.workloads import ROWS, Expression, Row, Scalars, Training, WrongBenchmarkError

ROOT = Path(__file__).parent.parent
MODULE = {"torch": "torch", "jax": "jax", "autograd": "autograd", "micrograd": "micrograd"}
TINY = next(row.task for row in ROWS if row.name == "tiny")


def check(task, contenders):
    """What ``measure`` does before it times anything."""
    task.check({name: getattr(c, task.kind)(task) for name, c in contenders.items()})


def contender(kind, build):
    """A contender for one kind of task."""
    return type("Contender", (), {kind: staticmethod(build)})()


# The contenders agree. ---------------------------------------------------------------------------


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_ours_and_handwritten_agree(row):
    contenders, absent = load(list(ALWAYS))
    taking_part = {n: c for n, c in contenders.items() if hasattr(c, row.task.kind)}
    assert "ours" in taking_part and not absent
    check(row.task, taking_part)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
@pytest.mark.parametrize("name", MODULE)
def test_peers_agree_with_ours(row, name):
    if find_spec(MODULE[name]) is None:
        pytest.skip(f"{name} is not installed")
    with warnings.catch_warnings():
        warnings.simplefilter("default")  # theirs
        contenders, absent = load(["ours", name])
        assert not absent
        if hasattr(contenders[name], row.task.kind):
            check(row.task, contenders)


def test_every_contender_takes_part_somewhere():
    kinds = {row.task.kind for row in ROWS}
    assert kinds == {"training", "expression", "scalars"}
    assert set(CONTENDERS) == {*ALWAYS, *MODULE}
    assert all(any(hasattr(make, kind) for kind in kinds) for make in CONTENDERS.values())
    assert all(hasattr(CONTENDERS["ours"], kind) for kind in kinds)


def test_the_float32_rows_are_float32():
    ours = load(["ours"])[0]["ours"]
    for row in ROWS:
        if isinstance(row.task, Training):
            assert row.task.inputs.dtype == np.float32
            assert {p.dtype for p in row.task.initial()} == {np.dtype(np.float32)}
        elif isinstance(row.task, Expression):
            assert row.task.x.dtype == ours.expression(row.task)().dtype == np.float64


def test_a_timed_task_is_the_same_work_at_another_rate():
    timed = TINY.timed()
    assert timed.learning_rate != TINY.learning_rate
    assert (timed.sizes, timed.batch, timed.loss) == (TINY.sizes, TINY.batch, TINY.loss)
    assert Expression(3).timed() == Expression(3) and Scalars().timed() == Scalars()


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
        check(TINY, {"ours": load(["ours"])[0]["ours"], "planted": contender("training", build)})


def test_a_contender_that_does_not_learn_is_caught_even_alone():
    with pytest.raises(WrongBenchmarkError, match="planted does not learn"):
        check(TINY, {"planted": contender("training", lambda task: lambda: 0.5)})


def test_the_update_of_adam_is_checked_too():
    small = next(row.task for row in ROWS if row.name == "small")
    build = lambda task: handwritten.Handwritten().training(  # noqa: E731
        Training(**vars_of(task) | {"optimizer": "sgd", "learning_rate": 0.1})
    )
    with pytest.raises(WrongBenchmarkError, match="planted"):
        check(small, {"ours": load(["ours"])[0]["ours"], "planted": contender("training", build)})


@pytest.mark.parametrize(("change", "message"), [
    (lambda g: g * (1 + 1e-8), "planted and ours differ"),
    (lambda g: np.where(np.arange(g.size) == 3, -g, g), "planted and ours differ"),
    (lambda g: g.astype(np.float32), "planted computes in float32"),
    (lambda g: g * np.nan, "planted and ours differ"),
])
def test_a_wrong_gradient_is_caught(change, message):
    ours = load(["ours"])[0]["ours"]

    def build(task):
        step = ours.expression(task)
        return lambda: change(step())

    with pytest.raises(WrongBenchmarkError, match=message):
        check(Expression(10), {"ours": ours, "planted": contender("expression", build)})


@pytest.mark.parametrize("change", [
    lambda a, b: (a * (1 + 1e-5), b), lambda a, b: (a, 0.0), lambda a, b: (b, a),
])
@pytest.mark.parametrize("alone", [True, False])
def test_a_wrong_scalar_contender_is_caught(change, alone):
    ours = load(["ours"])[0]["ours"]

    def build(task):
        step = ours.scalars(task)
        return lambda: change(*step())

    contenders = {} if alone else {"ours": ours}
    with pytest.raises(WrongBenchmarkError, match="planted"):
        check(Scalars(), contenders | {"planted": contender("scalars", build)})


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
    lines = report.table([result], ["ours", "other", "absent"])
    assert lines[-1].startswith("| a row") and "3.00 us (0.50)" in lines[-1]
    assert len({len(line) for line in lines[2:]}) == 1  # aligned


def test_the_command_runs_and_prints_a_table(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "--rows", "tiny", "scalars", "--only", *ALWAYS,
         "--samples", "1", "--json", tmp_path / "results.json"],
        cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, timeout=120, check=False,
    )
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if line.startswith("|")]
    assert len(lines) == 4 and "ours" in lines[0] and "handwritten" in lines[0]
    results = json.loads((tmp_path / "results.json").read_text())
    assert [row["name"] for row in results["rows"]] == ["tiny", "scalars"]
    assert set(results["rows"][0]["contenders"]) == set(ALWAYS)
