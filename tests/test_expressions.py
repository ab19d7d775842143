"""Formulas: what they compute, what they refuse, and the command line around them."""

import ast
import contextlib
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import autograd_core as ag
from autograd_core import expressions
from autograd_core.__main__ import main
from autograd_core.expressions import CONSTANTS, FUNCTIONS, ExpressionError, parse


@pytest.mark.parametrize(("source", "expected"), [
    ("x", 0.5),
    ("  x + 1  ", 1.5),
    ("-x**2", -0.25),
    ("2*x - 3/x + x%0.3 + 7//x", 1.0 - 6.0 + 0.2 + 14.0),
    ("exp(exp(x) + exp(x)**2)", math.exp(math.exp(0.5) + math.exp(0.5) ** 2)),
    ("atan2(x, 1) + ln(e) + cos(pi)", math.atan2(0.5, 1)),
    ("where(x > 0, x, -x)", 0.5),
    ("maximum(x, 2) * (x <= 1)", 2.0),
    ("sum([x, 2*x, 1])", 2.5),
    ("sum([[x, 1], [2, 3]][0])", 1.5),
    ("sum([[x, 1], [2, 3]], axis=-1)[1]", 5.0),
    ("sum([x, 1, 2, 3][1:-1])", 3.0),
    ("relu(-x) + sigmoid(0) + softplus(x)", 0.5 + math.log1p(math.exp(0.5))),
    ("1e3j * 0 + x", 0.5),
    ("2**10 + 2**-1", 1024.5),
    ("10**400 * 0", None),
    ("+x", 0.5),
])
def test_formulas(source, expected):
    if expected is None:
        with pytest.raises(ExpressionError, match="too large"):
            parse(source)()
        return
    formula = parse(source)
    values = dict.fromkeys(formula.variables, 0.5)
    result = formula(**values)
    assert result == pytest.approx(expected, rel=1e-15)
    x = ag.tensor(0.5, requires_grad=True)
    recorded = formula(**dict.fromkeys(formula.variables, x))
    assert (recorded.numpy(force=True) if isinstance(recorded, ag.Tensor) else recorded) == result


def test_variables_are_in_order_and_no_constants():
    assert parse("y + sin(x) * pi * e + y + z_1").variables == ("y", "x", "z_1")


def test_gradients_flow():
    x = ag.tensor([1.0, 2.0], requires_grad=True)
    parse("sum(x**3 * a)")(x=x, a=2.0).backward()
    assert x.grad.tolist() == [6.0, 24.0]


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_every_function_takes_tensors(name):
    arguments = {
        "where": "x > 0, x, y", "clip": "x, 0.1, 0.2", "trace": "[x, y]", "matmul": "x, y",
    }
    two = {
        "add", "arctan2", "atan2", "divide", "dot", "fmax", "fmin", "hypot", "inner", "logaddexp",
        "maximum", "minimum", "multiply", "outer", "power", "subtract",
    }
    call = f"{name}({arguments.get(name, 'x, y' if name in two else 'x')})"
    x = ag.tensor([0.3, 0.4], requires_grad=True)
    if name == "arccosh":
        x = x + 1.0
    result = parse(call)(**dict.fromkeys(parse(call).variables, x))
    assert isinstance(result, ag.Tensor)


@pytest.mark.parametrize(("source", "message", "column"), [
    ("foo(x)", "the function foo is not known", 1),
    ("x + expp(x)", "did you mean exp", 5),
    ("ß + expp(x)", "did you mean exp", 5),
    ("x.__class__", "not a dot after a name", 2),
    ("(x).real", "not a dot", 4),
    ("x ^ 2", r"a power is written x\*\*2", 3),
    ("x & y", "operator & is not known", 3),
    ("~x", "operator ~ is not known", 1),
    ("not x", "operator not is not known", 1),
    ("2 +* 3", "cannot be read", 4),
    ("(x", "cannot be read", 1),
    ("x)", "cannot be read", 2),
    ("sin", "sin is a function: write sin", 1),
    ("1 + 'a'", "str 'a' is no number", 5),
    ("True + 1", "bool True is no number", 1),
    ("f'{x}'", "not text", 1),
    ("lambda: 1", "not lambda", 1),
    ("[y for y in x]", "not ListComp", 1),
    ("x if y else z", "not if", 1),
    ("x and y", "not and / or", 1),
    ("1 < x < 2", "one comparison at a time", 1),
    ("x in y", "one comparison at a time", 1),
    ("(y := 2)", "not :=", 2),
    ("sin(*x)", "before an argument", 5),
    ("sin(x, out=y)", r"argument out= is not allowed", 8),
    ("sum(x, axis=y)", "an integer", 13),
    ("sin(**x)", r"\*\*= is not allowed|needs an argument", 1),
    ("sin()", "sin needs an argument", 1),
    ("sin(x)(y)", "only functions by their plain names", 1),
    ("x[y]", "an integer", 3),
    ("x[1.5]", "an integer", 3),
    ("[]", "not an empty list", 1),
    ("{1, 2}", "not braces", 1),
    ("__import__('os')", "function __import__ is not known", 1),
    ("eval(x)", "function eval is not known", 1),
    ("_x", "_x is no name", 1),
    ("", "empty", None),
    ("   ", "empty", None),
    ("x\ny", "one line", None),
    ("x" * 20_000, "too long", None),
    ("(" * 300 + "x" + ")" * 300, "too deeply nested", 201),
    ("-" * 300 + "x", "too deeply nested", 201),
    ("1" + "0" * 400, "too large", 1),
])
def test_what_is_refused_and_where(source, message, column):
    with pytest.raises(ExpressionError, match=message) as caught:
        parse(source)
    assert caught.value.column == (None if column is None else column - 1)
    if column is not None:
        lines = str(caught.value).splitlines()
        assert lines[2].index("^") - 2 == column - 1
        assert f"at column {column}" in lines[0]


def test_errors_of_the_computation_point_at_the_operation():
    with pytest.raises(ExpressionError, match="inner sizes 2 and 3 differ, at column 9") as caught:
        parse("1 + sum(x @ y)")(x=np.ones((2, 2)), y=ag.tensor(np.ones(3)))
    assert "(at " not in str(caught.value)
    with pytest.raises(ExpressionError, match="division by zero, at column 3"):
        parse("x+1/0")(x=1.0)
    with pytest.raises(ExpressionError, match="too large, at column 4"):
        parse("9**9**9**9")()
    with pytest.raises(ExpressionError, match=r"no value for y.*at column 5"):
        parse("x + y")(x=1.0)
    with pytest.raises(ExpressionError, match="z does not occur"):
        parse("x")(x=1.0, z=2.0)


def test_sums_of_many_terms_need_no_recursion():
    assert parse("+".join(["x"] * 2000))(x=1.0) == 2000.0


@settings(max_examples=300, deadline=None)
@given(st.text(st.sampled_from("xy01.,()[]+-*/%@<>=! eisnum_'\":\\\t{}^&|~é#"), max_size=40))
@example("x\\")
@example("#")
@example("\x00")
@example("x #")
def test_any_text_is_a_formula_or_a_clear_error(source):
    with contextlib.suppress(ExpressionError), np.errstate(all="ignore"):
        formula = parse(source)
        formula(**dict.fromkeys(formula.variables, np.float64(0.5)))


def test_nothing_is_evaluated_as_python():
    tree = ast.parse(Path(expressions.__file__).read_text())
    called = {n.func.id for n in ast.walk(tree)
              if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)}
    assert not called & {"eval", "exec", "compile", "__import__"}
    assert not set(CONSTANTS) & set(FUNCTIONS)


# The command line. --------------------------------------------------------------------------------


def run(capsys, *arguments):
    code = main(list(arguments))
    out, err = capsys.readouterr()
    return code, out, err


def test_values_and_derivatives(capsys, tmp_path):
    f = "exp(exp(x) + exp(x)**2) + sin(exp(x) + exp(x)**2)"
    path = tmp_path / "f.svg"
    code, out, err = run(capsys, f, "x=0.5", "--grad", "--render", str(path))
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        f"{f} = 77.86615550195194", "d/dx = 555.9719679015084", f"wrote {path}",
    ]
    text = path.read_text()
    assert "555.97" in text and "exp(exp(x)" in text


def test_every_format(capsys, tmp_path):
    for suffix in ("svg", "pdf", "html", "dot", "mmd", "txt"):
        path = tmp_path / f"f.{suffix}"
        assert run(capsys, "sin(x)", "x=1", "--grad", "--render", str(path))[0] == 0
        assert path.stat().st_size > 100


def test_any_order_and_several_variables(capsys):
    f = lambda x, y: x**2 * y + np.sin(y)  # noqa: E731
    _, out, _ = run(capsys, "x**2*y + sin(y)", "x=1", "y=2", "--grad", "3")
    shown = dict(line.split(" = ") for line in out.splitlines()[1:])
    hessian = ag.hessian(f, (0, 1))(1.0, 2.0)
    assert float(shown["d/dy"]) == ag.grad(f, 1)(1.0, 2.0)
    assert float(shown["d2/dx2"]) == hessian[0][0] and float(shown["d2/dx dy"]) == hessian[0][1]
    assert float(shown["d3/dx2 dy"]) == 2.0
    assert float(shown["d3/dy3"]) == pytest.approx(-math.cos(2.0))
    assert len(shown) == 2 + 3 + 4
    _, out, _ = run(capsys, "x*y", "x=1", "y=2", "--grad", "--wrt", "y")
    assert out.splitlines()[1:] == ["d/dy = 1.0"]


def test_arrays(capsys):
    code, out, _ = run(capsys, "sum(x**2)", "x=1,2,3", "--grad", "2", "--graph")
    assert code == 0
    assert out.splitlines()[:3] == [
        "sum(x**2) = 14.0", "d/dx = [2., 4., 6.]", "d2/dx2 = [2., 2., 2.]",
    ]
    assert "gradient [2, 4, 6]" in out
    _, out, _ = run(capsys, "m @ m", "m=1,2;3,4")
    assert "[ 7., 10.]" in out
    _, out, _ = run(capsys, "x*1", "x=2,")
    assert out == "x*1 = [2.]\n"


def test_a_cotangent_weighs_the_results(capsys, tmp_path):
    page = tmp_path / "f.html"
    code, out, _ = run(capsys, "x**2", "x=1,2,3", "--grad", "--cotangent", "-1,0,2", "--graph",
                       "--render", str(page))
    assert code == 0 and out.splitlines()[1] == "d/dx = [-2.,  0., 12.]"
    assert "gradient [-2, 0, 12]" in out and "[-2, 0, 12]" in page.read_text()
    assert "No backward pass" not in page.read_text()
    _, out, _ = run(capsys, "x**3", "x=1,2", "--grad", "2", "--cotangent", "1,0")
    assert out.splitlines()[1:] == ["d/dx = [3., 0.]", "d2/dx2 = [6., 0.]"]
    run(capsys, "x**2", "x=1,2,3", "--grad", "--render", str(page))  # of the sum
    assert "[2, 4, 6]" in page.read_text()


def test_numbers_may_be_formulas_without_variables(capsys):
    assert run(capsys, "sin(x)", "x=pi/2")[1] == "sin(x) = 1.0\n"
    assert run(capsys, "-x + 1", "x=-1e-3")[1] == "-x + 1 = 1.001\n"
    assert run(capsys, "-hypot(x, 4)", "x=3")[1] == "-hypot(x, 4) = -5.0\n"
    assert run(capsys, "-1")[1] == "-1 = -1.0\n"
    assert run(capsys, "2 + 2")[1] == "2 + 2 = 4.0\n"
    assert run(capsys, "2 + 2", "--grad")[0] == 0


def test_dtype(capsys):
    x = ag.tensor(1.0, dtype=np.float32)
    assert parse("x * sin(2) + softplus(0)")(x=x).dtype == np.float32
    assert run(capsys, "x/3", "x=1", "--dtype", "float32")[1] == "x/3 = 0.3333333432674408\n"


def test_infinity_is_a_result_and_no_warning(capsys):
    code, out, err = run(capsys, "log(x)", "x=0", "--grad")
    assert (code, out, err) == (0, "log(x) = -inf\nd/dx = inf\n", "")


@pytest.mark.parametrize(("arguments", "code", "message"), [
    (["x + y", "x=1"], 2, "no value for y: add y=0.5, at column 5"),
    (["x", "x=1", "y=2"], 1, "y does not occur"),
    (["foo(x)", "x=1"], 2, "foo is not known"),
    (["-x + foo(x)", "x=1"], 2, "at column 6"),
    (["x", "x"], 2, "NAME=VALUE, not 'x'"),
    (["x", "x=a"], 2, "'a' in 'x=a' is no number"),
    (["x", "x="], 2, "empty"),
    (["x", "x=1,2;3"], 2, "different lengths"),
    (["e", "e=1"], 2, "meaning of its own"),
    (["x", "x=1", "--grad=-1"], 1, "order of a derivative"),
    (["x", "x=1", "--wrt", "z"], 1, "--wrt z"),
    (["x", "x=1,2", "--grad", "--cotangent", "1"], 1, "--cotangent has shape (), the result"),
    (["x", "x=1,2", "--grad", "--cotangent", "a"], 2, "'a' in '--cotangent a' is no number"),
    (["x @ x", "x=1,2;3,4;5,6"], 1, "inner sizes"),
    (["x", "x=1", "--render", "f.xyz"], 1, "unknown format 'xyz'"),
    (["x", "x=1", "--render", "/nowhere/f.svg"], 1, "does not exist"),
])
def test_errors_and_exit_codes(capsys, arguments, code, message):
    found, _, err = run(capsys, *arguments)
    assert found == code and err.startswith("error: ") and message in err
    assert "Traceback" not in err


def test_usage_errors_and_help(capsys):
    with pytest.raises(SystemExit) as caught:
        main([])
    assert caught.value.code == 2
    with pytest.raises(SystemExit) as caught:
        main(["--help"])
    out = capsys.readouterr().out
    assert caught.value.code == 0
    assert "sigmoid" in out and "exit code" in out
    assert max(map(len, out.splitlines())) <= 100


def test_as_a_module(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "autograd_core", "x**2", "x=3", "--grad", "--render", "f.png"],
        capture_output=True, text=True, cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(ag.__file__).parents[1])},
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[:2] == ["x**2 = 9.0", "d/dx = 6.0"]
    assert (tmp_path / "f.png").read_bytes().startswith(b"\x89PNG")
