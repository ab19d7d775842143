"""The NumPy executor computes what the ops' forward functions compute, in buffers of its own."""

import tracemalloc

import numpy as np
import pytest
from programs import (
    Build,
    f64,
    lower,
    program_of,
    random_program,
    results,
    values,
    with_gradients,
)

import autograd_core as ag
from autograd_core.compiler import numpy_executor
from autograd_core.compiler.passes.fuse import fuse
from autograd_core.compiler.passes.updates import updates
from autograd_core.compiler.program import Type, interpret, type_of, verify
from autograd_core.op import OPS
from tests.ops.differences import Call, calls

DIFFERENTIABLE = [op for op in OPS.values() if op.vjps is not None]


def assert_computes(program, inputs, n_arguments=None, rtol=1e-6, atol=1e-12):
    """Twice in a row and with other buffers in between, the executor agrees with the meaning."""
    verify(program)
    expected = results(program, inputs)[: len(program.outputs)]
    n = len(inputs) if n_arguments is None else n_arguments
    executable = numpy_executor.prepare(program, n)
    executable.bind([np.array(x) for x in inputs[n:]])
    with np.errstate(all="ignore"):
        first = executable(*inputs[:n])
        copies = [np.copy(x) for x in first]
        second = executable(*inputs[:n])
    for x, y, copy, reference in zip(first, second, copies, expected, strict=True):
        assert type_of(x) == type_of(reference), executable.source
        np.testing.assert_allclose(x, reference, rtol=rtol, atol=atol, err_msg=executable.source)
        np.testing.assert_array_equal(x, copy)  # the second call did not overwrite the first's
        np.testing.assert_array_equal(x, y)
        for z in inputs:
            assert not np.may_share_memory(x, z)
    return executable


# Every op and its gradients. --------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize(("op", "case"), calls(DIFFERENTIABLE))
def test_op_and_gradients(op, case, dtype):
    computes_op_and_gradients(op, case, dtype)


@pytest.mark.parametrize("op", [op for op in DIFFERENTIABLE if op.takes_complex], ids=str)
def test_op_and_gradients_of_complex_numbers(op):
    for case in op.cases[:3]:
        if "dtype" not in case.attrs and op.name != "psi":  # SciPy has no derivative of psi
            computes_op_and_gradients(op, case, np.complex128)


def computes_op_and_gradients(op, case, dtype):
    call = Call(op, case, dtype)
    leaves = [ag.tensor(x, requires_grad=True) for x in call.xs]
    with np.errstate(all="ignore"):
        y = call(*leaves)
        assert y.dtype.kind in "fc", f"{op} makes {y.dtype}"
        weights = np.random.default_rng(1).standard_normal(y.shape).astype(y.dtype)
        np.real(y * weights).sum().backward(create_graph=True)
    gradients = [x.grad for x in leaves]
    program = lower(leaves, [y, *gradients])
    tolerance = 2e-4 if dtype is np.float32 else 1e-9
    for n in (len(leaves), 0):  # as arguments, and bound beforehand
        assert_computes(program, call.xs, n, tolerance, tolerance)


@pytest.mark.parametrize("seed", range(300))
def test_random_programs(seed):
    rng = np.random.default_rng(seed)
    program = random_program(rng)
    inputs = values(program, rng)
    for n in (0, 2, len(inputs)):
        assert_computes(program, inputs, n, 1e-4, 1e-5)
    fused = fuse(program, threshold=0)
    assert_computes(fused, inputs, 2, 1e-4, 1e-5)


# Updates in place. ------------------------------------------------------------------------------


def adam_like(rng, shapes, dtype=np.float32):
    """A program that updates parameters and their state, and what runs it."""
    leaves, pairs = [], []
    x = ag.tensor(rng.normal(size=(3,)).astype(dtype), label="x")
    total = 0.0
    for i, shape in enumerate(shapes):
        p = ag.tensor(rng.normal(size=shape).astype(dtype), label=f"p{i}")
        m = ag.tensor(rng.normal(size=shape).astype(dtype), label=f"m{i}")
        g = (p * 2.0 + x.sum()).sum() * p
        total = total + (p * p).sum()
        new_m = m * 0.9 + 0.1 * g
        pairs += [(p, p - 0.01 * new_m), (m, new_m)]
        leaves += [p, m]
    program = lower([x, *leaves], [total, *(new for _, new in pairs)])
    inputs = dict(zip([x, *leaves], program.inputs, strict=True))
    news = program.outputs[1:]
    return program.replace(
        outputs=program.outputs[:1],
        updates=tuple((inputs[a], b) for (a, _), b in zip(pairs, news, strict=True)),
    ), [t.numpy() for t in (x, *leaves)]


def run_steps(program, original, inputs, n=1, steps=3):
    """The outputs of some calls and the final values of the original's inputs."""
    value = dict(zip(original.inputs, inputs, strict=True))
    executable = numpy_executor.prepare(program, n)
    bound = [
        np.concatenate([value[y].ravel() for y in program.packed[x]]) if x in program.packed
        else np.array(value[x])
        for x in program.inputs[n:]
    ]
    executable.bind(bound)
    outputs = [executable(*inputs[:n]) for _ in range(steps)]
    final = {}
    for x, array in zip(program.inputs[n:], bound, strict=True):
        begin = 0
        for y in program.packed.get(x, (x,)):
            final[y] = array.reshape(-1)[begin : begin + y.type.size].reshape(y.type.shape)
            begin += y.type.size
    return outputs, [final[x] for x in original.inputs[n:]], executable


def reference(program, inputs, steps=3):
    outputs = []
    current = list(inputs)
    for _ in range(steps):
        out, new = interpret(program, current)
        outputs.append(out)
        changed = dict(zip([x for x, _ in program.updates], new, strict=True))
        current = [changed.get(x, v) for x, v in zip(program.inputs, current, strict=True)]
    return outputs, current


@pytest.mark.parametrize("shapes", [[(2, 3)], [(2, 3), (3,), (4, 1)], [(5,), (5,)], [(0,), (2,)],
                                    [(2, 2), ()]])
@pytest.mark.parametrize("transform", [lambda p: p, updates, lambda p: fuse(updates(p), 0)],
                         ids=["plain", "packed", "packed and fused"])
def test_updates(shapes, transform):
    program, inputs = adam_like(np.random.default_rng(0), shapes)
    expected, final = reference(program, inputs)
    outputs, values_after, _ = run_steps(verify(transform(program)), program, inputs)
    for a, b in zip(outputs, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5)
    for a, b in zip(values_after, final[1:], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5)


def test_an_update_is_written_where_the_input_lies():
    program, inputs = adam_like(np.random.default_rng(0), [(2, 3), (3,)])
    _, _, executable = run_steps(updates(program), program, inputs)
    assert "copyto" not in executable.source


def test_an_input_read_after_its_new_value_is_known_is_not_overwritten_early():
    b = Build(x=f64(3))
    new = b("multiply", b["x"], 2.0, type=f64(3))
    other = b("add", b["x"], new, type=f64(3))
    program = b.program(other, updates=((b["x"], new),))
    outputs, (x,), _ = run_steps(program, program, [np.ones(3)], n=0, steps=2)
    np.testing.assert_array_equal(np.array(outputs)[:, 0], [[3, 3, 3], [6, 6, 6]])
    np.testing.assert_array_equal(x, [4, 4, 4])


def test_inputs_that_change_places():
    b = Build(x=f64(3), y=f64(3))
    program = b.program(updates=((b["x"], b["y"]), (b["y"], b["x"])))
    _, (x, y), _ = run_steps(program, program, [np.zeros(3), np.ones(3)], n=0, steps=1)
    np.testing.assert_array_equal([x, y], [[1, 1, 1], [0, 0, 0]])


def test_scalars_are_updated():
    b = Build(x=f64())
    program = b.program(b["x"], updates=((b["x"], b("add", b["x"], 1.0, type=f64())),))
    outputs, (x,), _ = run_steps(program, program, [np.array(2.0)], n=0)
    assert outputs == [(2.0,), (3.0,), (4.0,)]
    assert x == 5.0


def test_kept_values_can_be_read_until_the_next_call():
    b = Build(x=f64(3))
    double = b("multiply", b["x"], 2.0, type=f64(3))
    total = b("sum", double, type=f64(), axis=None, keepdims=False)
    last = b("sin", b("sin", b("add", double, 1.0, type=f64(3)), type=f64(3)), type=f64(3))
    program = b.program(last, kept=(double, total))
    executable = numpy_executor.prepare(program)
    executable(np.ones(3))
    np.testing.assert_array_equal(executable.kept(0), [2, 2, 2])
    assert executable.kept(1) == 6.0
    executable(np.zeros(3))
    np.testing.assert_array_equal(executable.kept(0), [0, 0, 0])


# What it costs. ---------------------------------------------------------------------------------


def test_a_call_allocates_nothing():
    def f(x, w, v):
        h = np.tanh(x @ w)
        return (np.sum(h * h, axis=0) * v).sum()

    rng = np.random.default_rng(0)
    inputs = {"x": rng.normal(size=(4000, 30)), "w": rng.normal(size=(30, 50)),
              "v": rng.normal(size=50)}
    program = with_gradients(f, "w", **inputs)
    program = program.replace(outputs=program.outputs[:1], kept=program.outputs[1:])
    executable = numpy_executor.prepare(program, 1)
    executable.bind(list(inputs.values())[1:])
    executable(inputs["x"])
    tracemalloc.start()
    for _ in range(3):
        executable(inputs["x"])
    before = tracemalloc.get_traced_memory()[0]
    tracemalloc.reset_peak()
    executable(inputs["x"])
    after, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert after <= before + 64  # a scalar replaced by another
    # NumPy's own buffer for broadcasting, views and scalars; the arrays here have 1.6 MB.
    assert peak - before < 70_000


def test_memory_is_shared_by_values_that_are_not_alive_together():
    def f(x):
        for _ in range(30):
            x = np.sin(x)[::-1] * 2.0
        return x

    executable = numpy_executor.prepare(program_of(f, x=np.zeros(1000)))
    assert executable.peak_bytes <= 3 * 8064


# Fusing. ----------------------------------------------------------------------------------------


def test_a_fused_chain_reads_like_this():
    program = program_of(lambda x, b: (np.tanh(x * 2.0 + b) ** 2).sum(),
                         x=np.zeros((4, 3)), b=np.zeros(3))
    assert str(fuse(program, 0)) == (
        "%x = input : f64[4,3]\n"
        "%b = input : f64[3]\n"
        "%1 = fused(%x, %b, body={%3 = multiply(%1, 2.0) : f64[4,3]; "
        "%4 = add(%3, %2) : f64[4,3]; %5 = tanh(%4) : f64[4,3]; %6 = power(%5, 2) : f64[4,3]; "
        "%7 = sum(%6, axis=None, keepdims=False) : f64[]; return %7}) : f64[]\n"
        "return %1"
    )


def test_small_arrays_are_not_fused():
    program = program_of(lambda x: np.tanh(x * 2.0), x=np.zeros((4, 3)))
    assert fuse(program) is program


@pytest.mark.parametrize("shape", [(100_003,), (401, 300), (3, 40_000), (1, 70_000), (70_000, 1)])
def test_blocks_cover_everything(shape):
    rng = np.random.default_rng(0)

    def f(x, row, column):
        y = np.exp(np.minimum(x * row, 1.0)) + column
        return [np.where(y > 1.5, y, 0.25) * x, y.sum(), np.square(y - x).sum()]

    inputs = {"x": rng.normal(size=shape), "row": rng.normal(size=shape[-1:]),
              "column": rng.normal(size=(*shape[:1], *(1,) * (len(shape) - 1)))}
    program = fuse(program_of(f, **inputs), 1 << 16)
    assert any(str(i.op) == "fused" for i in program.instructions)
    for n in (0, 1, 3):
        assert_computes(program, list(inputs.values()), n, 1e-9)
    assert_computes(program, [np.asfortranarray(x) for x in inputs.values()], 0, 1e-9)
    assert_computes(program, [np.asfortranarray(x) for x in inputs.values()], 3, 1e-9)


def test_what_lies_between_two_stretches_stays_between_them():
    def f(x):
        y = np.sin(x) * 2.0
        z = y[::-1] + 1.0  # needs all of y
        return np.cos(z) * y

    x = np.linspace(0, 1, 1000)
    program = verify(fuse(program_of(f, x=x), 0))
    assert_computes(program, [x])


# Updates of many parameters as one. -------------------------------------------------------------


def test_packed_updates_read_like_this():
    b = Build(p=Type(np.dtype("f4"), (2, 2)), q=Type(np.dtype("f4"), (3,)),
              g=Type(np.dtype("f4"), (2, 2)), h=Type(np.dtype("f4"), (3,)))
    news = []
    for p, g in (("p", "g"), ("q", "h")):
        t = b[p].type
        news.append(b("subtract", b[p], b("multiply", 0.5, b[g], type=t), type=t))
    program = b.program(updates=((b["p"], news[0]), (b["q"], news[1])))
    assert str(verify(updates(program))) == (
        "%1 = input : f32[7] = p ++ q\n"
        "%g = input : f32[2,2]\n"
        "%h = input : f32[3]\n"
        "%2 = pack(%g, %h) : f32[7]\n"
        "%3 = multiply(0.5, %2) : f32[7]\n"
        "%4 = subtract(%1, %3) : f32[7]\n"
        "update %1 <- %4\n"
        "return "
    )


@pytest.mark.parametrize("change", ["rate", "dtype", "operation"])
def test_updates_that_differ_stay_apart(change):
    b = Build(p=f64(2), q=Type(np.dtype("f4" if change == "dtype" else "f8"), (3,)))
    rates = (0.5, 0.25 if change == "rate" else 0.5)
    ops = ("subtract", "add" if change == "operation" else "subtract")
    pairs = tuple((b[x], b(op, b[x], rate, type=b[x].type))
                  for x, rate, op in zip("pq", rates, ops, strict=True))
    assert not updates(b.program(updates=pairs)).packed


def test_a_wrong_in_place_update_is_noticed(monkeypatch):
    b = Build(x=f64(3))
    new = b("multiply", b["x"], 2.0, type=f64(3))
    other = b("add", b["x"], new, type=f64(3))
    program = b.program(other, updates=((b["x"], new),))
    writer = numpy_executor._Writer

    def careless(self):
        self.in_place, self.copied = {}, []
        for x, value in self.program.updates:
            self.in_place[value] = x
            self.names[value] = self.names[x]

    monkeypatch.setattr(writer, "_update_in_place", careless)
    outputs, _, _ = run_steps(program, program, [np.ones(3)], n=0, steps=1)
    assert not np.array_equal(outputs[0][0], [3, 3, 3])


def test_a_hundred_thousand_instructions():
    """The steps of a long loop, each of its own: none is done together with another."""
    n = 25_000

    def f(x):
        for k in range(n):
            x = np.sin(x) + (0.1 + 1e-6 * k)
        return x.sum()

    x = np.ones(3)
    g = ag.compile(ag.grad(f))
    g(x)
    y, slope = x, np.ones(3)
    for k in range(n):
        slope *= np.cos(y)
        y = np.sin(y) + (0.1 + 1e-6 * k)
    np.testing.assert_allclose(g(x), slope, rtol=1e-6)
    assert len(g._last.after.instructions) > 99_000
    # Cells of a closure, of which there would be as many, take CPython quadratic time to compile.
    run = g._last.executable.run.__code__
    assert not run.co_freevars and not run.co_cellvars
