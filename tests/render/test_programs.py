"""Pictures of compiled functions and of their programs."""

import re
from collections import Counter

import numpy as np
import pytest

import autograd_core as ag
import nn
from autograd_core.compiler.passes import PASSES, fuse
from autograd_core.compiler.program import Instruction, Program, Type, Var, verify
from autograd_core.op import OPS
from autograd_core.render import drawing_of
from autograd_core.render.describe import MAX_NODES, Edge
from autograd_core.render.programs import describe_program

F64 = np.dtype(np.float64)


def var(*shape):
    return Var(Type(F64, shape))


def call(name, *args, shape=(3,), **attrs):
    return Instruction((var(*shape),), OPS[name], args, attrs)


def plain(dot):
    """The statements of a DOT source: nodes with their text, outputs starred, and edges."""
    lines = []
    for line in dot.body:
        label = re.search("label=<(.*)>", line)
        text = re.sub("<[^<>]*>", " ", label[1]).split() if label else []
        star = ["*"] if "peripheries" in line else []
        lines.append(" ".join([line.split("[")[0].strip(), *text, *star]))
    return lines


@ag.compile
def squares(x):
    return ((x * 1.0) ** 2).sum()


def test_before_and_after_the_passes():
    squares(np.ones(3))
    assert plain(ag.to_dot(squares, stage="before")) == [
        "n0 input %1 : f64[3]",
        "n1 multiply(·, 1) %2 : f64[3]",
        "n2 power(·, 2) %3 : f64[3]",
        "n3 sum %4 : f64[] *",
        "n0 -> n1", "n1 -> n2", "n2 -> n3",
    ]
    assert plain(ag.to_dot(squares, stage="after")) == [
        "n0 input %1 : f64[3]",
        "n1 multiply %2 : f64[3]",
        "n2 sum %3 : f64[] *",
        "n0 -> n1", "n0 -> n1", "n1 -> n2",
    ]
    assert ag.to_dot(squares).source == ag.to_dot(squares, stage="after").source


def test_the_source_of_a_fused_group():
    x = var(3)
    square = call("multiply", x, x)
    total = call("sum", square.out, shape=(), axis=None, keepdims=False)
    root = call("sqrt", total.out, shape=())
    program = verify(fuse(Program((x,), (square, total, root), (root.out,)), threshold=1))
    label = (
        '<<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="0" CELLPADDING="1">'
        '<TR><TD COLSPAN="2"><B>{}</B></TD></TR></TABLE>>'
    )
    assert "".join(ag.to_dot(program, shapes=False).body) == "".join([
        f'\tn0 [label={label.format("input")} color="#5f6c7b" fillcolor="#eef2f6" '
        'id=n0 style="filled,dashed"]\n',
        '\tsubgraph cluster_0 {\n',
        '\t\tcolor="#2a7f6f" fillcolor="#e6f4f1" id=group_0 label=<<FONT POINT-SIZE="9" '
        'COLOR="#5f6c7b">fused: block by block</FONT>> margin=6 style="rounded,filled"\n',
        f'\t\tn1 [label={label.format("multiply")} color="#7b8794" fillcolor="#ffffff" '
        'id=n1 style="rounded,filled"]\n',
        f'\t\tn2 [label={label.format("sum")} color="#7b8794" fillcolor="#ffffff" '
        'id=n2 style="rounded,filled"]\n',
        '\t}\n',
        f'\tn3 [label={label.format("sqrt")} color="#1d5fa8" fillcolor="#e8f1fb" id=n3 '
        'peripheries=2 style="rounded,filled"]\n',
        '\tn0 -> n1 [id=e0]\n', '\tn0 -> n1 [id=e1]\n', '\tn1 -> n2 [id=e2 weight=4]\n',
        '\tn2 -> n3 [id=e3 weight=4]\n',
    ])


def test_values_inside_a_group_have_no_name_outside():
    x = var(3)
    first = call("exp", x)
    second = call("sin", first.out)
    program = fuse(Program((x,), (first, second), (second.out,)), threshold=1)
    assert [n.type for n in describe_program(program).nodes] == [
        "%1 : f64[3]", "f64[3]", "%2 : f64[3]",
    ]


def test_scalars_are_written_into_a_group_too():
    x, two = var(3), var()
    first = call("multiply", x, two)
    second = call("sin", first.out)
    program = Program((x,), (first, second), (second.out,), constants={two: np.float64(2)})
    drawing = describe_program(fuse(program, threshold=1))
    assert [n.title for n in drawing.nodes] == ["input", "multiply(·, 2)", "sin"]
    assert [n.group for n in drawing.nodes] == [None, "0", "0"]


def test_updates_come_back_to_the_input():
    w, g = var(3), var(3)
    step = call("subtract", w, g)
    drawing = describe_program(Program(
        (w, g), (step,), (), updates=((w, step.out),), names={w: "w"}, kept=(g,),
    ))
    assert [(n.kind, n.title, n.type) for n in drawing.nodes] == [
        ("variable", "w", "%w : f64[3]"), ("input", "input", "%1 : f64[3], kept"),
        ("operation", "subtract", "%2 : f64[3]"), ("update", "w <-", None),
    ]
    assert drawing.edges == (
        Edge("n0", "n2", 0, argument=0), Edge("n1", "n2", 1, argument=1),
        Edge("n2", "n3", argument=0), Edge("n3", "n0", back=True),
    )


def test_packed_inputs_name_their_parts():
    a, b, c, d = var(2), var(3), var(2), var(3)
    both, state = var(5), var(5)
    drawing = describe_program(Program(
        (both, state), (), (both,), packed={both: (a, b), state: (c, d)}, names={a: "W1", b: "b1"},
    ))
    assert [n.title for n in drawing.nodes] == ["W1 ++ b1", "2 inputs, end to end"]


def test_constants_and_numbers():
    x, one, small, large, result = var(3), var(), var(3), var(100), var()
    program = Program(
        (x,), (call("add", x, one), call("multiply", x, small), call("exp", large, shape=(100,))),
        (result, 2.0),
        updates=((x, 1.0),),
        constants={one: np.float64(1), small: np.arange(3.0), large: np.ones(100),
                   result: np.float64(7)},
    )
    nodes = describe_program(program).nodes
    assert [(n.title, n.value and n.value.lines, n.is_output) for n in nodes] == [
        ("input", None, False),
        ("constant", ("[0, 1, 2]",), False),
        ("constant", None, False),
        ("constant", ("7",), True),
        ("add(·, 1)", None, False),
        ("multiply", None, False),
        ("exp", None, False),
        ("%1 <- 1", None, False),
        ("2", None, True),
    ]


@pytest.fixture(scope="module")
def training_step():
    model = nn.MLP([64, 128, 10])
    optimizer = nn.optim.Adam(model.parameters(), lr=1e-3)

    @ag.compile
    def step(x, y):
        loss = nn.losses.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    rng = np.random.default_rng(0)
    step(rng.normal(size=(32, 64)).astype(np.float32), rng.integers(0, 10, 32))
    return step


@pytest.mark.parametrize("stage", [0, 1])
def test_a_training_step_is_drawn_in_full(training_step, stage):
    program = training_step.programs[-1][stage]
    drawing = describe_program(program)
    kinds = Counter(node.kind for node in drawing.nodes)
    assert kinds["operation"] == len(program)
    assert kinds["update"] == kinds["variable"] == len(program.updates)
    assert kinds["variable"] + kinds["input"] == len(program.inputs)
    assert kinds["constant"] == sum(bool(x.type.shape) for x in program.constants)
    assert sum(node.is_output for node in drawing.nodes) == 1
    assert sum((node.type or "").endswith("kept") for node in drawing.nodes) == 4
    assert sum(edge.back for edge in drawing.edges) == len(program.updates)
    operands = [x for i in program.instructions for x in i.args if isinstance(x, Var)]
    scalars = {x for x in program.constants if not x.type.shape}
    forward = sum(x not in scalars for x in operands) + len(program.updates)
    assert sum(not edge.back for edge in drawing.edges) == forward


def test_a_training_step_packs_its_parameters(training_step):
    assert "W1 ++ b1 ++ W2 ++ b2 <-" in [
        node.title for node in describe_program(training_step.programs[-1][1]).nodes
    ]


def test_rendered_files(training_step, tmp_path):
    for stage in ("before", "after"):
        path = ag.render(training_step, tmp_path / f"{stage}.svg", stage=stage)
        assert path.stat().st_size > 10_000
    assert "rankdir=TB" in ag.to_dot(training_step).source
    assert "rankdir=LR" in ag.to_dot(training_step, rankdir="LR").source


def test_each_recording_can_be_drawn():
    @ag.compile
    def f(x):
        return np.exp(x)

    f(np.ones(2))
    f(np.ones(5))
    assert "f64[2]" in ag.to_dot(f, recording=0).source
    assert "f64[5]" in ag.to_dot(f).source
    with pytest.raises(ag.RenderError, match=r"no recording 2: <compiled f: 2 programs> has 2"):
        ag.to_dot(f, recording=2)


def test_before_the_first_call():
    with pytest.raises(ag.RenderError, match="call it once, then draw it"):
        ag.to_dot(ag.compile(np.exp))


@pytest.mark.parametrize(("options", "message"), [
    ({"stage": "between"}, "unknown stage 'between': use 'before' or 'after'"),
    ({"values": True}, "leave `values` and `grads` out"),
    ({"grads": True}, "leave `values` and `grads` out"),
])
def test_options_that_mean_nothing(options, message):
    squares(np.ones(3))
    with pytest.raises(ag.RenderError, match=message):
        ag.to_dot(squares, **options)


@pytest.mark.parametrize("options", [{"stage": "after"}, {"recording": 0}])
def test_only_compiled_functions_have_stages(options):
    squares(np.ones(3))
    for drawable in (ag.tensor(1.0), squares.programs[0][0]):
        with pytest.raises(ag.RenderError, match="choose a program of a compiled function"):
            ag.to_dot(drawable, **options)


def test_a_long_program_is_collapsed_and_not_laid_out_in_full(tmp_path):
    x = var()
    instructions = []
    while len(instructions) < MAX_NODES:
        instructions.append(call("exp", instructions[-1].out if instructions else x, shape=()))
    program = Program((x,), tuple(instructions), (instructions[-1].out,))
    assert "exp × 999" in ag.to_text(program)
    with pytest.raises(ag.RenderError, match=r"1,001 nodes .* Leave `collapse` out"):
        ag.render(program, tmp_path / "program.pdf", collapse=False)
    assert not list(tmp_path.iterdir())
    assert len(ag.to_text(program, collapse=False).splitlines()) == MAX_NODES + 2


@pytest.mark.parametrize("stage", [name for name, _ in PASSES])
def test_after_every_pass_a_program_can_be_drawn(training_step, stage):
    program = training_step.programs[-1][0]
    for name, step in PASSES:
        program = step(program)
        if name == stage:
            break
    drawn = drawing_of(training_step, stage=stage)
    assert [node.op for node in drawn.nodes] == [node.op for node in drawing_of(program).nodes]
    assert not drawn.legend


@pytest.mark.parametrize(("stage", "ops"), [
    ("before", ["multiply", "power", "sum"]), ("dead", ["multiply", "power", "sum"]),
    ("simplify", ["multiply", "sum"]), ("fuse", ["multiply", "sum"]),
])
def test_a_stage_may_be_a_pass(stage, ops):
    squares(np.ones(3))
    drawing = drawing_of(squares, stage=stage)
    assert [node.op for node in drawing.nodes if node.op] == ops


def test_drawing_changes_nothing():
    squares(np.ones(3))
    before = squares.explain()
    ag.to_dot(squares)
    assert squares.explain() == before
    assert squares(np.full(3, 2.0)) == 12.0
