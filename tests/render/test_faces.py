"""Mermaid and the outline: what they say, and that no text breaks out of its place."""

import re

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from standins import apply, graph, leaf

import autograd_core as ag
from autograd_core.render.describe import clean

HOSTILE = st.text(
    st.one_of(st.sampled_from('<>&"\'\\{}|[]()%;:=-#/NGEHTLlnr \n\0·'), st.characters()),
    max_size=80,
)
CASES = [
    '"]; click n0 "javascript:alert(1)"', "end", "%%{init: {}}%%", "#quot;", "n0 --> n9",
    "-->|x|", "]]> <script>", "subgraph x", "`markdown **bold**`",
    r"\N \n \\", "👩‍💻 \ud800 \ufffe",
    "x" * 10_000, "·", "1. x:\n  2. evil", "\u202e reversed",
]


def decoded(text):
    return re.sub(r"#(\d+);", lambda m: chr(int(m[1])), text)


def with_cases(test):
    for case in CASES:
        test = example(case)(test)
    return settings(max_examples=100, deadline=None)(given(HOSTILE)(test))


@with_cases
def test_mermaid_labels_arrive_as_they_are_and_stay_in_their_place(label):
    x = leaf(label=label)
    text = ag.to_mermaid(graph(x, apply(label, x)), title=label, values=False, shapes=False)
    lines = [line for line in text.splitlines() if "classDef" not in line]
    if lines[0].startswith("%%"):
        title = lines.pop(0)
        assert re.fullmatch(r"%% (#\d+;|[A-Za-z0-9 ])*", title)
    assert lines[0] == "flowchart LR" and len(lines) == 4
    line = clean(label)
    first = re.fullmatch(r'  n0\[/"((?:#\d+;|[A-Za-z0-9 ])*)"/\]:::input', lines[1])
    second = re.fullmatch(r'  n1\("((?:#\d+;|[A-Za-z0-9 ])*)"\):::result', lines[2])
    assert decoded(first[1]) == (line or "input")
    assert decoded(second[1]) == (line or "operation")
    assert lines[3] == "  n0 --> n1"


@with_cases
def test_the_outline_has_one_line_a_node(label):
    x = leaf(label=label)
    text = ag.to_text(graph(x, apply(label, x)), values=False, shapes=False)
    assert len(text.splitlines()) == 3
    assert text.splitlines()[1].startswith(f"1. {clean(label) or 'input'}")


def test_the_outline_reads_as_sentences():
    x = ag.tensor(2.0, requires_grad=True, label="x")
    w = ag.tensor([1.0, np.nan], label="w")
    y = (x ** 2 * w).sum()
    y.label = "y"
    assert ag.to_text(y, title="area") == (
        "area: 5 nodes, 4 edges\n"
        "1. x: variable, float64, value 2\n"
        "2. power(1. x, 2): float64, value 4\n"
        "3. w: input, float64 (2,), value [1, nan] (not finite)\n"
        "4. multiply(2. power, 3. w): float64 (2,), value [4, nan] (not finite)\n"
        "5. y = sum(4. multiply): output, float64, value nan (not finite)\n"
    )


def test_compiled_functions_have_outlines_and_flowcharts():
    w = ag.tensor([1.0, 2.0], requires_grad=True, label="w")

    @ag.compile
    def step(x):
        w.assign(w - 0.1 * x)
        return w.sum()

    step(np.ones(2))
    text = ag.to_text(step)
    assert "for the next run, in place of 6. w <-" in text or "in place of" in text
    assert "-.->" in ag.to_mermaid(step)


@pytest.mark.parametrize(("suffix", "start"), [("mmd", "flowchart LR"), ("txt", "graph: 1 node")])
def test_they_are_formats_of_render(tmp_path, suffix, start):
    path = ag.render(ag.tensor(1.0, label="ü"), tmp_path / f"x.{suffix}")
    assert path.read_text(encoding="utf-8").startswith(start)


def test_directions():
    x = ag.tensor(1.0)
    assert ag.to_mermaid(x, rankdir="TB").startswith("flowchart TB")
    with pytest.raises(ag.RenderError, match="unknown rankdir 'up'"):
        ag.to_mermaid(x, rankdir="up")
