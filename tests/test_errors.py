"""Errors are caught as their builtins are, and say what, where, and what to do."""

import numpy as np
import pytest

import autograd_core as ag
from autograd_core import errors

BUILTINS = {
    "ShapeError": ValueError, "GradientError": TypeError, "ConversionError": TypeError,
    "MutationError": TypeError, "MissingRuleError": NotImplementedError,
    "StaleGraphError": RuntimeError, "GradientCheckError": AssertionError,
    "RenderError": ValueError, "CompileError": TypeError, "NonFiniteError": FloatingPointError,
}


@pytest.mark.parametrize(("name", "builtin"), BUILTINS.items())
def test_every_error_is_the_builtin_a_user_would_catch(name, builtin):
    error = getattr(ag, name)
    assert issubclass(error, builtin) and error.__doc__


def test_every_error_is_public():
    raised = {name for name in errors.__all__ if name.endswith("Error")}
    assert raised == set(BUILTINS) and raised <= set(ag.__all__)


@pytest.mark.parametrize(("value", "text"), [
    (np.ones((2, 3), np.float32), "float32(2, 3)"),
    (np.ones(3), "float64(3,)"),
    (np.float64(2.0), "float64()"),
    (2.5, "2.5"),
    ("text", "'text'"),
    ("x" * 100, "str 'xxx"),
])
def test_how_operands_are_shown(value, text):
    shown = errors.describe(value)
    assert shown.startswith(text) and len(shown) < 80


def test_the_place_is_the_user_s_line():
    x = ag.tensor([1.0, 2.0], requires_grad=True)
    with pytest.raises(ValueError, match="broadcast") as caught:
        x + np.ones(3)
    line = caught.traceback[0].lineno + 1
    assert f"(at test_errors.py:{line})" in str(caught.value)
    with pytest.raises(ValueError, match="axis") as caught:
        np.sum(x, axis=5)  # through NumPy and back
    line = caught.traceback[0].lineno + 1
    assert f"(at test_errors.py:{line})" in str(caught.value)


def test_the_cause_is_kept():
    with pytest.raises(ag.ShapeError) as caught:
        ag.tensor(np.ones((2, 3))) @ np.ones((2, 3))
    assert isinstance(caught.value.__cause__, ValueError)
    assert "matmul" in str(caught.value.__cause__)


@pytest.mark.parametrize(("compute", "parts"), [
    (lambda: np.add(ag.tensor(np.ones((2, 3))), np.ones((3, 2))),
     ["add(float64(2, 3), float64(3, 2))", "do not broadcast", "axis -1 has sizes 3 and 2",
      "x[:, None]"]),
    (lambda: ag.tensor(np.ones((2, 3))) @ np.ones(2),
     ["matmul(float64(2, 3), float64(2,))", "inner sizes 3 and 2 differ", "x.T @ w"]),
    (lambda: np.stack([ag.tensor(np.ones(2)), np.ones(3)]), ["stack", "[(2,), (3,)]"]),
    (lambda: np.add(ag.tensor(np.ones(3)), "a"), ["add", "'a'", "str"]),
    (lambda: ag.tensor(np.ones(3))["a"], ["index", "'a'", "str"]),
    (lambda: ag.tensor(np.ones(3))[np.array([0.5])], ["indices", "float64"]),
])
def test_messages_hold_what_is_needed(compute, parts):
    with pytest.raises((ValueError, TypeError, IndexError)) as caught:
        compute()
    for part in parts:
        assert part in str(caught.value)
