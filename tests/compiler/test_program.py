"""The program as data: its listing, its meaning, and every way to be malformed."""

import numpy as np
import pytest
from programs import f32, f64, i64, written

import autograd_core as ag
from autograd_core.compiler.program import (
    Instruction,
    InvalidProgramError,
    Program,
    Type,
    Var,
    interpret,
    substitute,
    type_of,
    uses,
    verify,
)
from autograd_core.op import OPS

ADD, NEGATIVE, MATMUL = OPS["add"], OPS["negative"], OPS["matmul"]


def example():
    x, w, p = Var(f32(4, 2)), Var(f32(2, 3)), Var(f32(3))
    one = Var(f32())
    y, z, q = Var(f32(4, 3)), Var(f32(4, 3)), Var(f32(3))
    return Program(
        (x, w, p),
        (
            Instruction((y,), MATMUL, (x, w)),
            Instruction((z,), ADD, (y, p)),
            Instruction((q,), OPS["subtract"], (p, one)),
        ),
        (z, 2.0),
        updates=((p, q),),
        kept=(y,),
        constants={one: np.float32(1)},
        names={x: "x", w: "w", p: "p", y: "not a name", z: "x"},
    )


def test_listing():
    assert str(example()) == "\n".join([
        "%x = input : f32[4,2]",
        "%w = input : f32[2,3]",
        "%p = input : f32[3]",
        "%1 = constant 1.0 : f32[]",
        "%2 = matmul(%x, %w) : f32[4,3]",
        "%3 = add(%2, %p) : f32[4,3]",
        "%4 = subtract(%p, %1) : f32[3]",
        "update %p <- %4",
        "keep %2",
        "return %3, 2.0",
    ])


def test_listing_shows_attributes_and_weak_types():
    program = written(lambda x: x.sum(0, keepdims=True), x=f64(2, 3))
    assert str(program).splitlines()[1] == "%1 = sum(%x, axis=0, keepdims=True) : f64[1,3]"
    assert str(Type(np.dtype(float), (), True)) == "f64[]~"
    assert str(Type(np.dtype(bool), (2,))) == "bool[2]"


@pytest.mark.parametrize(("value", "expected"), [
    (1, "i64[]~"), (1.0, "f64[]~"), (True, "bool[]~"), (np.float64(1), "f64[]"),
    (np.zeros((2, 0), np.float32), "f32[2,0]"), (np.array(1j), "c128[]"),
])
def test_type_of(value, expected):
    assert str(type_of(value)) == expected


def test_interpret_computes_outputs_and_updates():
    x, w = np.arange(8, dtype=np.float32).reshape(4, 2), np.ones((2, 3), np.float32)
    p = np.arange(3, dtype=np.float32)
    outputs, updates = interpret(example(), [x, w, p])
    np.testing.assert_array_equal(outputs[0], x @ w + p)
    assert outputs[1] == 2.0
    np.testing.assert_array_equal(updates[0], p - 1)


def test_interpret_of_tensors_records():
    program = written(lambda x: x * x, x=f64(3))
    x = ag.tensor([1.0, 2.0, 3.0], requires_grad=True)
    (y,), _ = interpret(program, [x])
    y.sum().backward()
    np.testing.assert_array_equal(x.grad, [2, 4, 6])


def test_instructions_are_frozen():
    instruction = example().instructions[0]
    with pytest.raises(AttributeError, match="frozen"):
        instruction.args = ()


def test_uses_and_substitute():
    program = example()
    x, w, p = program.inputs
    y = program.instructions[0].out
    assert uses(program)[y] == 2
    assert uses(program)[p] == 2
    other = substitute(program, {w: x, x: p})  # chains are followed
    assert other.instructions[0].args == (p, p)
    assert other.instructions[1] is program.instructions[1]
    assert substitute(program, {}) is program


# Malformed programs. ----------------------------------------------------------------------------


def made(op, out, *types, attrs=None):
    """One instruction on inputs of these types."""
    inputs = tuple(map(Var, types))
    out = Var(out)
    return Program(inputs, (Instruction((out,), OPS[op], inputs, attrs or {}),), (out,))


def malformed():
    x, y, z = Var(f64(3)), Var(f64(3)), Var(f64(3))
    negate = Instruction((y,), NEGATIVE, (x,))
    yield "used before", Program((x,), (Instruction((z,), ADD, (x, y)), negate), (z,))
    yield "used before", Program((x,), (negate,), (z,))
    yield "used before", Program((x,), (negate,), (y,), kept=(z,))
    yield "used before", Program((x,), (negate,), (y,), updates=((x, z),))
    yield "made twice", Program((x,), (negate, negate), (y,))
    yield "made twice", Program((x, y), (negate,), (y,))
    yield "given twice", Program((x, x), (negate,), (y,))
    yield "given twice", Program((x,), (negate,), (y,), constants={x: np.zeros(3)})
    yield "declared", Program((x,), (), (y,), constants={y: np.zeros(2)})
    yield "declared", Program((x,), (), (y,), constants={y: np.zeros(3, np.float32)})
    yield "not a value", Program((x,), (Instruction((y,), ADD, (x, np.float64(1))),), (y,))
    yield "not a value", Program((x,), (Instruction((y,), ADD, (x, np.ones(3))),), (y,))
    yield "not a value", Program((x,), (), (None,))
    yield "updated but no input", Program((x,), (negate,), (y,), updates=((y, x),))
    yield "updated but no input", Program((x,), (negate,), (y,), updates=((x, y), (x, y)))
    yield "is updated with", Program((Var(f64(2)), w := Var(f32(3)), x), (), (x,),
                                     updates=((w, x),))
    yield "does not pack", Program((x,), (), (x,), packed={x: (Var(f64(2)),)})
    yield "does not pack", Program((x,), (negate,), (y,), packed={y: (z,)})
    yield "broadcast to", made("add", f64(2, 3), f64(3), f64(3))
    yield "mismatch", made("add", f64(2, 3), f64(3), f64(2))
    yield "number of elements", made("reshape", f64(5), f64(2, 3), attrs={"shape": (5,)})
    yield "result has shape", made("transpose", f64(2, 3), f64(2, 3), attrs={"axes": (1, 0)})
    yield "inner sizes 3 and 4", made("matmul", f64(2, 5), f64(2, 3), f64(4, 5))
    yield "matmul of a scalar", made("matmul", f64(2), f64(2), f64())


@pytest.mark.parametrize(("message", "program"), list(malformed()))
def test_verify_refuses(message, program):
    with pytest.raises(InvalidProgramError, match=message):
        verify(program)


def test_verify_returns_what_is_well_formed():
    program = example()
    assert verify(program) is program
    labels = written(lambda x, i: x + i, x=f64(3), i=i64(3))
    assert verify(labels) is labels
