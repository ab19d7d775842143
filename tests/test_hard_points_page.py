"""The table of hard points: our values are those, the page says them, and the peers' are measured.

More of them, one by one, in tests/ops/test_hard_points.py.
"""

from __future__ import annotations

import re

import numpy as np
import pytest
from test_readme import run

import autograd_core as ag
from docs import hard_points as page

each_point = pytest.mark.parametrize(
    "point", page.POINTS, ids=[f"{p.expression} at {p.at}" for p in page.POINTS]
)
WRITTEN = page.PAGE.read_text(encoding="utf-8")
ROWS = [line for line in WRITTEN.splitlines() if line.startswith("| `")]


@each_point
def test_our_derivative_is_the_one_of_the_table(point):
    np.testing.assert_allclose(page.ours(point), point.value, rtol=1e-9, atol=1e-12)


@each_point
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_compiled_it_is_the_same(point):
    if "piecewise" in point.expression:
        with pytest.raises(ag.CompileError, match="shape"):  # how many elements a piece has
            ag.compile(ag.grad(lambda x: np.sum(point.f(np, x))))(np.array(point.at)[()])
        return
    f = ag.grad(lambda x: np.sum(point.f(np, x)))
    g = f if point.order == 1 else ag.grad(lambda x: np.sum(f(x)))
    np.testing.assert_allclose(
        ag.compile(g)(np.array(point.at)[()]), point.value, rtol=1e-9, atol=1e-12)


def test_the_page_holds_the_table():
    assert f"autograd-core {ag.__version__} | PyTorch" in WRITTEN, "run `make hard-points`"
    assert len(ROWS) == len(page.POINTS)
    for line, point in zip(ROWS, page.POINTS, strict=True):
        theirs = [cell.strip() for cell in line.split(" | ")][3:5]
        assert line == page.row(point, *theirs), "run `make hard-points`"


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["PyTorch", "JAX"])
def test_what_the_page_says_of_a_peer_is_measured(name):
    library = pytest.importorskip("torch" if name == "PyTorch" else "jax")
    version = re.search(rf"{name} (\S+) \|", WRITTEN)[1]
    if version != library.__version__:
        pytest.skip(f"the page is about {name} {version}, installed is {library.__version__}")
    if name == "JAX" and not library.config.jax_enable_x64:
        pytest.skip("JAX computes in single precision here: set JAX_ENABLE_X64=1")
    measure = page.torchs if name == "PyTorch" else page.jaxs
    for line, point in zip(ROWS, page.POINTS, strict=True):
        cell = line.split(" | ")[3 if name == "PyTorch" else 4].strip()
        assert cell == page.shown(measure(library, point)), point.expression


def test_the_example_of_the_page_runs():
    assert run(WRITTEN, "hard-points.md") == 1


def test_a_wrong_value_is_found():
    wrong = page.POINTS[0]._replace(value=[1.0, 0.0])
    with pytest.raises(AssertionError):
        test_our_derivative_is_the_one_of_the_table(wrong)
    assert page.row(wrong, "", "").split(" | ")[2] not in ROWS[0]
