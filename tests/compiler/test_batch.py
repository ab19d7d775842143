"""Isomorphic scalars become arrays: what comes of small programs, and that it means the same."""

from importlib import import_module

import numpy as np
import pytest
from programs import program_of, with_gradients

import autograd_core as ag
from autograd_core.compiler.passes.batch import arrange, batch
from autograd_core.compiler.program import interpret, verify

module = import_module("autograd_core.compiler.passes.batch")  # not the pass of that name


def ops(program):
    return [instruction.op.name for instruction in program.instructions]


def same(program, *arrays):
    """The batched program, after verifying it and comparing results; exact for plain arithmetic."""
    batched = verify(batch(verify(program), 0))
    for one, other in zip(interpret(program, arrays)[0], interpret(batched, arrays)[0],
                          strict=True):
        assert one.dtype == other.dtype and one.shape == other.shape
        np.testing.assert_array_equal(one, other)
    return batched


def test_two_neurons_become_arrays(monkeypatch):
    monkeypatch.setattr(module, "WORTH", 2)

    def layer(x, w, b):
        return [sum((w[i, j] * x[j] for j in range(3)), b[i]).relu() for i in range(2)]

    w, x, b = np.arange(6.0).reshape(2, 3), np.array([1.0, -2.0, 0.5]), np.array([0.25, 3.0])
    program = program_of(layer, x=x, w=w, b=b)
    assert str(program) == """\
%x = input : f64[3]
%w = input : f64[2,3]
%b = input : f64[2]
%1 = getitem(%b, index=0) : f64[]
%2 = getitem(%w, index=(0, 0)) : f64[]
%3 = getitem(%x, index=0) : f64[]
%4 = multiply(%2, %3) : f64[]
%5 = add(%1, %4) : f64[]
%6 = getitem(%w, index=(0, 1)) : f64[]
%7 = getitem(%x, index=1) : f64[]
%8 = multiply(%6, %7) : f64[]
%9 = add(%5, %8) : f64[]
%10 = getitem(%w, index=(0, 2)) : f64[]
%11 = getitem(%x, index=2) : f64[]
%12 = multiply(%10, %11) : f64[]
%13 = add(%9, %12) : f64[]
%14 = relu(%13) : f64[]
%15 = getitem(%b, index=1) : f64[]
%16 = getitem(%w, index=(1, 0)) : f64[]
%17 = getitem(%x, index=0) : f64[]
%18 = multiply(%16, %17) : f64[]
%19 = add(%15, %18) : f64[]
%20 = getitem(%w, index=(1, 1)) : f64[]
%21 = getitem(%x, index=1) : f64[]
%22 = multiply(%20, %21) : f64[]
%23 = add(%19, %22) : f64[]
%24 = getitem(%w, index=(1, 2)) : f64[]
%25 = getitem(%x, index=2) : f64[]
%26 = multiply(%24, %25) : f64[]
%27 = add(%23, %26) : f64[]
%28 = relu(%27) : f64[]
return %14, %28"""
    batched = same(program, x, w, b)
    assert str(batched) == """\
%x = input : f64[3]
%w = input : f64[2,3]
%b = input : f64[2]
%1 = constant : i64[6]
%2 = constant : i64[8]
%3 = constant : i64[2]
%4 = reshape(%w, shape=(6,)) : f64[6]
%5 = getitem(%x, %1, index=(·,)) : f64[6]
%6 = multiply(%4, %5) : f64[6]
%7 = concatenate(%b, %6, axis=0) : f64[8]
%8 = getitem(%7, %2, index=(·,)) : f64[8]
%9 = reshape(%8, shape=(2, 4)) : f64[2,4]
%10 = cumsum(%9, axis=1) : f64[2,4]
%11 = reshape(%10, shape=(8,)) : f64[8]
%12 = getitem(%11, %3, index=(·,)) : f64[2]
%13 = relu(%12) : f64[2]
%14 = getitem(%13, index=0) : f64[]
%15 = getitem(%13, index=1) : f64[]
return %14, %15"""
    inputs, rows, last = (index.tolist() for index in batched.constants.values())
    assert inputs == [0, 1, 2, 0, 1, 2], "each neuron reads all of x"
    assert rows == [0, 2, 3, 4, 1, 5, 6, 7], "a row for each neuron: its bias, its products"
    assert last == [3, 7]


def test_a_sum_becomes_a_cumulative_sum():
    def total(x):
        return sum(x[i] for i in range(5))

    x = np.array([0.1, 0.2, 0.3, 0.4, 1e17])
    program = program_of(total, x=x)
    assert ops(program) == ["getitem", "add"] * 5
    assert str(same(program, x)) == """\
%x = input : f64[5]
%1 = constant : f64[1]
%2 = constant : i64[6]
%3 = concatenate(%x, %1, axis=0) : f64[6]
%4 = getitem(%3, %2, index=(·,)) : f64[6]
%5 = reshape(%4, shape=(1, 6)) : f64[1,6]
%6 = cumsum(%5, axis=1) : f64[1,6]
%7 = reshape(%6, shape=(6,)) : f64[6]
%8 = getitem(%7, index=5) : f64[]
return %8"""


def test_numbers_that_differ_become_a_constant():
    def f(x):
        return [x[i] * float(i) + 2.0 for i in range(4)]

    program = program_of(f, x=np.arange(4.0))
    batched = same(program, np.arange(4.0) + 1)
    assert [v.tolist() for v in batched.constants.values()] == [[0.0, 1.0, 2.0, 3.0]]
    assert ops(batched)[:2] == ["multiply", "add"]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_numbers_take_the_dtype_that_they_had(dtype):
    def f(x):
        return [x[i] * (0.1 * i) for i in range(4)] + [x[i] > 0.1 * i for i in range(4)]

    x = np.array([0.3, 0.1, 0.2, 0.30000001], dtype)
    assert "f32[4]" in str(same(program_of(f, x=x), x)) or dtype is np.float64


def test_exponents_stay_apart():
    """The rule of a power looks at its exponent: squares are exact at 0, x**0 has no slope."""
    def f(x):
        return [x[i] ** (i % 2 + 2) for i in range(8)]

    batched = same(program_of(f, x=np.arange(8.0)), np.arange(8.0))
    assert ops(batched).count("power") == 2


def test_dtypes_stay_apart():
    def f(x, y):
        return [x[i] * x[i] for i in range(4)] + [y[i] * y[i] for i in range(4)]

    x, y = np.arange(4.0), np.arange(4, dtype=np.float32)
    assert ops(same(program_of(f, x=x, y=y), x, y)).count("multiply") == 2


def test_levels_stay_apart():
    def f(x):
        return [np.sin(np.sin(x[i])) for i in range(4)]

    assert ops(same(program_of(f, x=np.arange(4.0)), np.arange(4.0)))[:2] == ["sin", "sin"]


def test_a_few_instructions_stay_as_they_are():
    program = program_of(lambda x: np.sin(x[0]) * np.sin(x[1]), x=np.arange(2.0))
    assert sorted(ops(batch(program, 0))) == sorted(ops(program))


def test_values_of_different_marks_stay_apart():
    program = program_of(lambda x: [np.sin(x[i]) for i in range(8)], x=np.arange(8.0))
    mark = {y: i % 2 for i, y in enumerate(program.outputs)}
    assert ops(arrange(program, mark).program).count("sin") == 2


def test_an_operand_common_to_all_is_broadcast():
    def f(x, a):
        return [a * x[i] for i in range(5)]

    batched = same(program_of(f, x=np.arange(5.0), a=np.float64(3.0)), np.arange(5.0),
                   np.float64(3.0))
    assert ops(batched)[0] == "multiply"


def test_scalar_inputs_and_constants():
    def f(a, b, c, d):
        values = [a, b, c, d]
        scaled = sum(x * np.float64(i) for i, x in enumerate(values))
        return [scaled, sum([a, np.float64(2.0), b, c])]

    scalars = [np.float64(v) for v in (1.5, -2.0, 0.1, 7.0)]
    batched = same(program_of(f, a=scalars[0], b=scalars[1], c=scalars[2], d=scalars[3]), *scalars)
    assert ops(batched).count("cumsum") == 2


def test_other_indices_are_left_alone():
    def f(x):
        return [x[i, ...].sum() * x[..., None, i].sum() for i in range(4)] + [x[:2] * 2.0]

    x = np.arange(16.0).reshape(4, 4)
    assert "multiply" in ops(same(program_of(f, x=x), x))


def test_partial_sums_round_as_the_chain_does():
    rng = np.random.default_rng(0)
    x = rng.standard_normal(1000) * 10.0 ** rng.integers(-8, 8, 1000)

    def f(x):
        total, sums = 0, []
        for i in range(len(x)):
            total = total + x[i]
            sums.append(total)
        return [*sums[::100], total]

    same(program_of(f, x=x), x)


def test_the_number_of_instructions_does_not_grow():
    def f(x):
        n = x.size
        hidden = [(x[i] * x[0] + 1.0).tanh() for i in range(n)]
        return sum(h * h for h in hidden)

    small, large = (len(batch(program_of(f, x=np.linspace(0.0, 1.0, n)), 0)) for n in (5, 500))
    assert small == large <= 13


def test_programs_of_any_size_of_group(monkeypatch):
    """Groups of one, too: everything that can be batched is."""
    monkeypatch.setattr(module, "WORTH", 1)

    def f(x, y):
        a = [x[i] * y - x[1] for i in range(3)]
        b = np.where(a[0] > a[1], a[2], y)
        return [b, np.exp(b), sum(a) / b, abs(-b), np.stack([b, a[0]]), ag.softplus(a[1])]

    same(program_of(f, x=np.array([1.0, 2.0, 3.0]), y=np.float64(0.5)),
         np.array([1.0, 2.0, 3.0]), np.float64(0.5))


def test_a_gradient_written_out_in_scalars(monkeypatch):
    """Backward passes batch like anything else: the programs that are compiled hold both."""
    monkeypatch.setattr(module, "WORTH", 2)
    names = [f"w{i}" for i in range(8)]

    def loss(*w):
        hidden = [(w[i] * 0.5 + w[i + 4] * 0.25 + 1.0).tanh() for i in range(4)]
        return sum(h * h for h in hidden)

    scalars = [np.float64(0.1 * i - 0.3) for i in range(8)]
    program = with_gradients(loss, *names, **dict(zip(names, scalars, strict=True)))
    batched = same(program, *scalars)
    assert ops(batched).count("tanh") == 1 and ops(program).count("tanh") == 4
    computing = [op for op in ops(batched) if op not in ("getitem", "reshape", "concatenate")]
    assert len(computing) < len(program) / 4
