"""Programs to test passes with: lowered from graphs, written down, or drawn at random."""

from itertools import zip_longest

import numpy as np

import autograd_core as ag
from autograd_core.backprop import pull, reach
from autograd_core.compiler.passes.sketch import Sketch
from autograd_core.compiler.passes.sketch import lower as lower_value
from autograd_core.compiler.program import Instruction, Program, Type, Var, interpret, type_of
from autograd_core.node import Node, topological
from autograd_core.op import OPS
from autograd_core.tensor import leaf

NUMBERS = (bool, int, float, complex)


def lower(inputs, outputs):
    """The program that computes the Tensors ``outputs`` of the leaves ``inputs``, in this order.

    Other leaves, and arrays among the operands, are constants.
    """
    var = {x: Var(type_of(x.data)) for x in inputs}
    names = {var[x]: x.label for x in inputs if x.label}
    constants = {}
    instructions = []

    def atom(x):
        if isinstance(x, Node):
            return var[x]
        if isinstance(x, NUMBERS) and not isinstance(x, np.generic):
            return x
        constant = Var(type_of(x))
        constants[constant] = x
        return constant

    for node in topological(outputs):
        if node in var:
            continue
        var[node] = Var(type_of(node.data))
        if node.op is None:
            constants[var[node]] = node.data
        else:
            args = tuple(map(atom, node.inputs))
            instructions.append(Instruction((var[node],), node.op, args, node.attrs))
    return Program(tuple(var[x] for x in inputs), tuple(instructions),
                   tuple(var[y] for y in outputs), constants=constants, names=names)


def program_of(f, **arrays):
    """The program of ``f``, called with leaves of these values and names."""
    leaves = [ag.tensor(x, requires_grad=np.asarray(x).dtype.kind == "f", label=name)
              for name, x in arrays.items()]
    y = f(*leaves)
    return lower(leaves, list(y) if isinstance(y, (list, tuple)) else [y])


def with_gradients(f, *names, **arrays):
    """The program of the scalar ``f`` and its gradient by the arguments of these names."""
    leaves = {name: ag.tensor(x, requires_grad=name in names, label=name)
              for name, x in arrays.items()}
    y = f(*leaves.values())
    targets = [leaves[name] for name in names]
    found = pull({y: leaf(np.ones_like(y.data)[()], False)}, reach([y], targets), recorded=True)
    return lower(list(leaves.values()), [y, *(found[x] for x in targets)])


def f64(*shape):
    return Type(np.dtype(np.float64), shape)


def f32(*shape):
    return Type(np.dtype(np.float32), shape)


def i64(*shape):
    return Type(np.dtype(np.int64), shape)


def written(f, **operands):
    """The program that ``f`` writes down, given stand-ins for its operands by name.

    An operand is a type, for an input, or an array, for a constant.
    """
    sketch = Sketch()
    var = {name: Var(x if isinstance(x, Type) else type_of(x)) for name, x in operands.items()}
    y = f(**{name: sketch.lift(x) for name, x in var.items()})
    outputs = y if isinstance(y, (tuple, list)) else (y,)
    return Program(
        tuple(x for name, x in var.items() if isinstance(operands[name], Type)),
        tuple(sketch.instructions), tuple(map(lower_value, outputs)),
        constants={x: operands[name] for name, x in var.items()
                   if not isinstance(operands[name], Type)},
        names={x: name for name, x in var.items()},
    )


class Build:
    """A program written down instruction by instruction, types given."""

    def __init__(self, **inputs):
        self.inputs = {name: Var(type) for name, type in inputs.items()}
        self.constants = {}
        self.instructions = []

    def __getitem__(self, name):
        return self.inputs[name]

    def constant(self, value):
        x = Var(type_of(value))
        self.constants[x] = value
        return x

    def __call__(self, op, *args, type, **attrs):
        out = Var(type)
        op = OPS[op] if isinstance(op, str) else op
        self.instructions.append(Instruction((out,), op, args, attrs))
        return out

    def program(self, *outputs, **more):
        return Program(
            tuple(self.inputs.values()), tuple(self.instructions), outputs,
            constants=self.constants, names={x: name for name, x in self.inputs.items()}, **more
        )


def body(program):
    """The listing without the lines for inputs."""
    return [line for line in str(program).splitlines() if " = input" not in line]


#: What goes wrong first: zeros of both signs, infinities, what is not a number, the largest.
HARD = (0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan, 2.5, -1e300, 5e-324)


def sample(type, rng, hard=False):
    """A value of a type: normally distributed, or from what is HARD."""
    if type.dtype.kind == "b":
        return (rng.random(type.shape) < 0.5)[()]
    if type.dtype.kind in "iu":
        return np.asarray(rng.integers(0, 2, type.shape)).astype(type.dtype)[()]
    with np.errstate(over="ignore", under="ignore"):
        x = rng.choice(HARD, type.shape) if hard else rng.normal(size=type.shape)
        return np.asarray(x).astype(type.dtype)[()]


def values(program, rng, hard=False):
    """Inputs for a program."""
    return [sample(x.type, rng, hard) for x in program.inputs]


def results(program, inputs):
    with np.errstate(all="ignore"):
        outputs, updates = interpret(program, inputs)
    return outputs + updates


def assert_same(before, after, inputs, exact=False, rtol=1e-6, atol=1e-9):
    """Both programs compute the same of ``inputs``: shapes, dtypes and values.

    ``exact``: to the bit, the sign of a zero included; any NaN equals any other.
    """
    for x, y in zip(results(before, inputs), results(after, inputs), strict=True):
        assert type_of(x) == type_of(y), f"{type_of(x)} became {type_of(y)}\n{before}\n{after}"
        if exact:
            np.testing.assert_array_equal(x, y)
            np.testing.assert_array_equal(np.signbit(x)[~np.isnan(x)], np.signbit(y)[~np.isnan(y)])
        else:
            np.testing.assert_allclose(x, y, rtol=rtol, atol=atol)


# At random. -------------------------------------------------------------------------------------

_UNARY = ("negative", "tanh", "sin", "square", "sqrt", "absolute", "relu", "sigmoid", "softplus",
          "identity", "stop_gradient", "exp")
_BINARY = ("add", "subtract", "multiply", "maximum", "minimum")
_AXIS = ("softmax", "log_softmax")
_LITERALS = (0.0, -0.0, 1.0, 2.0, -1.0)
_SHAPES = ((), (3,), (2, 3), (2, 1), (1, 3))


def broadcasts(*shapes):
    return all(len(set(sizes) - {1}) < 2 for sizes in zip_longest(
        *(shape[::-1] for shape in shapes), fillvalue=1))


def random_program(rng, length=25):
    """A program over small arrays: arithmetic, reductions, shapes, selection, shared values.

    Values stay tame: what grows is run through ``tanh``.
    """
    with np.errstate(all="ignore"):
        return _random_program(rng, length)


def _random_program(rng, length):
    dtype = rng.choice([np.float32, np.float64])
    leaves = [ag.tensor(rng.normal(size=shape).astype(dtype), label=f"x{i}")
              for i, shape in enumerate(_SHAPES)]
    pool = list(leaves)

    def pick(*shapes):
        """A value, young ones preferred, that can be broadcast with these shapes."""
        while True:
            x = pool[max(rng.integers(len(pool)), rng.integers(len(pool)))]
            if broadcasts(x.shape, *shapes):
                return x

    while len(pool) < length:
        x, kind = pick(), rng.integers(9)
        if kind == 0:
            y = OPS[rng.choice(_UNARY[:-1])](x)
        elif kind <= 2:
            other = pick(x.shape) if rng.random() < 0.6 else float(rng.choice(_LITERALS))
            pair = [x, other] if rng.random() < 0.5 else [other, x]
            y = OPS[rng.choice(_BINARY)](*pair)
        elif kind == 3:
            y = x / float(rng.choice([1.0, 2.0, -4.0]))
        elif kind == 4:
            axis = None if rng.random() < 0.4 or not x.ndim else int(rng.integers(-x.ndim, x.ndim))
            reduce = rng.choice(["sum", "mean", "max", "logsumexp"])
            y = OPS[reduce](x, axis=axis, keepdims=bool(rng.random() < 0.5))
        elif kind == 5:
            wide = np.broadcast_shapes(x.shape, (2, 3)) if broadcasts(x.shape, (2, 3)) else x.shape
            y = np.broadcast_to(x, wide)
        elif kind == 6:
            y = np.transpose(x) if rng.random() < 0.5 else np.reshape(x, (-1,))
        elif kind == 7 and x.ndim:
            y = OPS[rng.choice(_AXIS)](x, axis=-1)
        elif kind == 8:
            y = np.where(x > 0, x, pick(x.shape) if rng.random() < 0.5 else 0.0)
        else:
            y = x ** int(rng.integers(1, 4))
        if not np.all(np.isfinite(y.data)) or np.abs(y.data).max() > 30:
            y = np.tanh(np.where(np.isfinite(x), x, 0))
        pool.append(y)
    chosen = [x for x in pool[-4:] if x.op is not None] or [pool[-1] * 2.0]
    return lower(leaves, chosen)
