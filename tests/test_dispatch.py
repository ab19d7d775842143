"""What happens when NumPy, or Python, meets a Tensor: it is recorded, or it is refused aloud."""

import math

import numpy as np
import pytest

import autograd_core as ag


def vector():
    return ag.tensor([1.0, 2.0], requires_grad=True)


def number():
    return ag.tensor(1.5, requires_grad=True)


def write_all(t, s, a):
    a[:] = t


def write_one(t, s, a):
    a[0] = s


def add_in_place(t, s, a):
    a += t
    return a


def multiply_in_place(t, s, a):
    a *= s
    return a


def write_into_tensor(t, s, a):
    t[0] = 1.0


def write_flat(t, s, a):
    a.flat = t


class Matrix(np.ndarray):
    """An array whose `*` is not that of arrays."""


# Every way for a Tensor into NumPy that could lose its gradient. Each names what comes of it: None
# where the call is recorded, else the error and what its message tells the reader to write.
DETACH = (ag.ConversionError, "t.detach().numpy()")
ITEM = (ag.ConversionError, "t.item()")
AT_ADD = (ag.MutationError, ".at[index].add(value)")
NEW_ARRAY = (ag.MutationError, "write `a = a + t`")
DOORS = {
    "array += t": (add_in_place, NEW_ARRAY),
    "array *= s": (multiply_in_place, NEW_ARRAY),
    "array[:] = t": (write_all, DETACH),
    # NumPy raises its own ValueError here and chains ours as the cause.
    "array[0] = s": (write_one, (ValueError, "t.item()")),
    "array.flat = t": (write_flat, DETACH),
    "array.fill(s)": (lambda t, s, a: a.fill(s), (ValueError, "t.item()")),
    "array.put": (lambda t, s, a: a.put([0], s), DETACH),
    "array.dot(t)": (lambda t, s, a: a.dot(t), DETACH),
    "t[0] = 1": (write_into_tensor, (ag.MutationError, "t = t.at[i].set(v)")),
    "np.array([t, t])": (lambda t, s, a: np.array([t, t]), (ag.ConversionError, "ag.array")),
    "np.array([s, s])": (lambda t, s, a: np.array([s, s]), (ag.ConversionError, "ag.array")),
    "np.array([s], object)": (
        lambda t, s, a: np.array([s, s], dtype=object), (ag.ConversionError, "ag.array")),
    "np.asarray(t)": (lambda t, s, a: np.asarray(t), DETACH),
    "np.asarray(list(t))": (lambda t, s, a: np.asarray(list(t)), DETACH),
    "np.float64(s)": (lambda t, s, a: np.float64(s), DETACH),
    "np.fromiter(t)": (lambda t, s, a: np.fromiter(t, float), (ValueError, "t.item()")),
    "np.ma.array(t)": (lambda t, s, a: np.ma.array(t), DETACH),
    "np.full(3, s)": (lambda t, s, a: np.full(3, s), DETACH),
    "np.full((2, 2), t)": (lambda t, s, a: np.full((2, 2), t), DETACH),
    "np.full_like(a, s)": (
        lambda t, s, a: np.full_like(a, s), (ag.MutationError, "np.where(where, src, x)")),
    "np.arange(s)": (lambda t, s, a: np.arange(s), DETACH),
    "np.r_[t]": (lambda t, s, a: np.r_[t, 1.0], DETACH),
    "np.random.normal(s)": (lambda t, s, a: np.random.default_rng(0).normal(s), DETACH),
    "np.random.normal(t)": (lambda t, s, a: np.random.default_rng(0).normal(t), DETACH),
    "np.vectorize": (lambda t, s, a: np.vectorize(lambda x: x * x)(t), DETACH),
    "np.piecewise": (lambda t, s, a: np.piecewise(a, [a > 0], [t, 0]), DETACH),
    "np.pad(a, s)": (lambda t, s, a: np.pad(a, 1, constant_values=s), DETACH),
    "np.exp(t, out=a)": (lambda t, s, a: np.exp(t, out=a), (ag.MutationError, "y = np.exp(...)")),
    "np.exp(a, out=t)": (lambda t, s, a: np.exp(a, out=t), (ag.MutationError, "y = np.exp(...)")),
    "np.sum(t, out=a)": (
        lambda t, s, a: np.sum(t, axis=0, out=a), (TypeError, "y = np.sum(...)")),
    "t.sum(out=a)": (lambda t, s, a: t.sum(0, out=a), (TypeError, "y = np.sum(...)")),
    "np.add.at(a, i, t)": (lambda t, s, a: np.add.at(a, [0, 1], t), AT_ADD),
    "np.add.at(t, i, a)": (lambda t, s, a: np.add.at(t, [0, 1], a), AT_ADD),
    "np.copyto(a, t)": (
        lambda t, s, a: np.copyto(a, t), (ag.MutationError, "np.where(where, src, x)")),
    "np.put(a, i, t)": (
        lambda t, s, a: np.put(a, [0], t), (ag.MutationError, ".at[ind].set(v)")),
    "np.putmask": (
        lambda t, s, a: np.putmask(a, a > 0, t), (ag.MutationError, "np.where(mask, values, x)")),
    "np.place": (
        lambda t, s, a: np.place(a, a > 0, t), (ag.MutationError, ".at[mask].set(vals)")),
    "np.fill_diagonal": (lambda t, s, a: np.fill_diagonal(np.eye(2), t), DETACH),
    "np.emath.sqrt": (lambda t, s, a: np.emath.sqrt(t), (ag.MissingRuleError, "ag.primitive")),
    "ldexp.reduce": (
        lambda t, s, a: np.ldexp.reduce(t), (ag.MissingRuleError, "ag.primitive")),
    "math.exp(s)": (lambda t, s, a: math.exp(s), ITEM),
    "math.floor(s)": (lambda t, s, a: math.floor(s), ITEM),
    "float(s)": (lambda t, s, a: float(s), ITEM),
    "int(s)": (lambda t, s, a: int(s), ITEM),
    "complex(s)": (lambda t, s, a: complex(s), ITEM),
    "t.numpy()": (lambda t, s, a: t.numpy(), DETACH),
    "ag.tensor([s])": (lambda t, s, a: ag.tensor([s]), DETACH),
    # Operators of their own: a product of matrices, and a mask that would be lost.
    "t * matrix": (lambda t, s, a: t * a.view(Matrix), (TypeError, "np.asarray(x)")),
    "matrix * t": (lambda t, s, a: a.view(Matrix) * t, (TypeError, "np.asarray(x)")),
    "t * masked": (lambda t, s, a: t * np.ma.masked_less(a, 0), (TypeError, "x.filled(value)")),
    "masked * t": (lambda t, s, a: np.ma.masked_less(a, 0) * t, DETACH),
    "np.ma.add": (lambda t, s, a: np.ma.add(np.ma.masked_less(a, 0), t), DETACH),
    "ag.tensor(masked)": (
        lambda t, s, a: ag.tensor(np.ma.masked_less(a, 0)), (TypeError, "x.filled(value)")),
    "grad at masked": (
        lambda t, s, a: ag.grad(np.sum)(np.ma.masked_less(a, 0)), (TypeError, "x.filled(value)")),
    "a + t": (lambda t, s, a: a + t, None),
    "a @ t": (lambda t, s, a: a @ t, None),
    "np.float64 * t": (lambda t, s, a: np.float64(2.0) * t, None),
    "np.exp(t)": (lambda t, s, a: np.exp(t), None),
    "np.where(a > 0, t, a)": (lambda t, s, a: np.where(a > 0, t, a), None),
    "np.concatenate": (lambda t, s, a: np.concatenate([a, t]), None),
    "np.stack": (lambda t, s, a: np.stack([a, t]), None),
    "np.einsum": (lambda t, s, a: np.einsum("i,i->", a, t), None),
    "np.pad(t, s)": (lambda t, s, a: np.pad(t, 1, constant_values=s), None),
    "ag.array": (lambda t, s, a: ag.array([[s, 1.0], [2.0, s]]), None),
    "sum(t)": (lambda t, s, a: sum(t), None),
    "max(t)": (lambda t, s, a: max(t), None),
    "sorted(t)[0]": (lambda t, s, a: sorted(t)[0], None),
    "round(s) + s": (lambda t, s, a: round(s) + s, None),
    "np.fromfunction": (lambda t, s, a: np.fromfunction(lambda i: i * s, (2,)), None),
}


def messages(error):
    """The message of an error and of those it was raised from."""
    while error is not None:
        yield str(error)
        error = error.__cause__


@pytest.mark.parametrize(("door", "expected"), DOORS.values(), ids=DOORS)
def test_no_door_loses_a_gradient_silently(door, expected):
    a = np.ones(2)
    if expected is None:
        result = door(vector(), number(), a)
        assert isinstance(result, ag.Tensor) and result.requires_grad
        return
    error, fix = expected
    with pytest.raises(error) as caught:
        door(vector(), number(), a)
    assert any(fix in message for message in messages(caught.value)), caught.value
    assert a.tolist() == [1, 1]


def test_refusals_say_where():
    with pytest.raises(ag.ConversionError, match=r"test_dispatch\.py:\d+"):
        np.asarray(vector())
    with pytest.raises(ag.MissingRuleError, match=r"scimath\.sqrt.*test_dispatch\.py:\d+"):
        np.emath.sqrt(vector())


def test_a_refusal_names_the_tensor():
    with pytest.raises(ag.ConversionError, match="'speed' of shape \\(2,\\)"):
        np.asarray(ag.tensor([1.0, 2.0], requires_grad=True, label="speed"))


@pytest.mark.parametrize("convert", [
    np.asarray, np.array, lambda t: np.array([t, t]), lambda t: t.numpy(),
    lambda t: np.full((2, 2), t),
], ids=["asarray", "array", "list", "numpy", "full"])
def test_a_tensor_without_gradient_converts(convert):
    result = convert(ag.tensor([1.0, 2.0]))
    assert type(result) is np.ndarray and result.dtype == np.float64


def test_a_converted_tensor_is_not_written_through():
    t = ag.tensor([1.0, 2.0])
    np.array(t)[0] = 9.0
    assert t.data.tolist() == [1, 2]
    for convert in (np.asarray, lambda t: t.numpy(), lambda t: np.asarray(t, copy=False)):
        with pytest.raises(ValueError, match="read-only"):
            convert(t)[0] = 9.0


def test_numbers_come_out_of_tensors_without_gradient():
    t = ag.tensor(2.0)
    assert (float(t), int(t), complex(t), math.exp(t)) == (2.0, 2, 2 + 0j, math.exp(2.0))
    assert [10, 20, 30][ag.tensor(1)] == 20


def test_iteration_goes_by_rows():
    t = ag.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    first, second = t
    assert len(t) == 2
    (first @ second).backward()
    assert t.grad.tolist() == [[3, 4], [1, 2]]
    with pytest.raises(TypeError, match=r"shape \(\)"):
        iter(number())


# What the user typed. ----------------------------------------------------------------------------

NUMPY_2_1 = np.lib.NumpyVersion(np.__version__) >= "2.1.0"  # which added keywords

SPELLINGS = [
    [
        lambda np, t: np.sum(t, 0), lambda np, t: np.sum(t, axis=0),
        lambda np, t: np.sum(a=t, axis=0), lambda np, t: t.sum(0), lambda np, t: t.sum(axis=0),
        lambda np, t: np.add.reduce(t), lambda np, t: np.add.reduce(t, 0),
        lambda np, t: np.sum(t, 0, None, None, False), lambda np, t: np.sum(t, -2),
        lambda np, t: np.sum(t, (0,)),
        lambda np, t: np.sum(t, axis=np.int64(0)),
    ],
    [lambda np, t: np.sum(t), lambda np, t: np.sum(t, None), lambda np, t: t.sum(),
     lambda np, t: np.sum(t, axis=(0, 1)), lambda np, t: np.add.reduce(t, axis=None)],
    [lambda np, t: np.mean(t, 1, keepdims=True), lambda np, t: t.mean(1, None, None, True),
     lambda np, t: np.mean(t, axis=-1, keepdims=1)],
    [lambda np, t: np.max(t, 1), lambda np, t: np.amax(t, axis=1), lambda np, t: t.max(1),
     lambda np, t: np.maximum.reduce(t, axis=1)],
    [lambda np, t: np.transpose(t), lambda np, t: t.T, lambda np, t: t.transpose(),
     lambda np, t: t.transpose(1, 0), lambda np, t: np.transpose(t, (1, 0)),
     lambda np, t: np.transpose(t, [1, 0]), lambda np, t: np.transpose(t, axes=(-1, -2)),
     lambda np, t: np.swapaxes(t, 0, 1), lambda np, t: np.moveaxis(t, 0, -1)],
    [lambda np, t: np.reshape(t, (3, 2)), lambda np, t: t.reshape(3, 2),
     lambda np, t: t.reshape((3, 2)), lambda np, t: t.reshape([3, 2]),
     *([lambda np, t: np.reshape(t, shape=(3, -1))] if NUMPY_2_1 else [])],
    [lambda np, t: np.clip(t, 2.0, 4.5), lambda np, t: np.clip(t, a_min=2.0, a_max=4.5),
     lambda np, t: t.clip(2.0, 4.5),
     *([lambda np, t: np.clip(t, min=2.0, max=4.5)] if NUMPY_2_1 else [])],
    [lambda np, t: np.concatenate((t, t), 1), lambda np, t: np.concatenate([t, t], axis=1),
     lambda np, t: np.concatenate([t, t], axis=-1), lambda np, t: np.hstack([t, t])],
    [lambda np, t: np.add(t, 2), lambda np, t: t + 2, lambda np, t: 2 + t,
     lambda np, t: np.add(2, t), lambda np, t: np.add(t, 2, where=True),
     lambda np, t: np.add(t, [[2.0]])],
]


@pytest.mark.parametrize("spellings", SPELLINGS, ids=lambda s: f"{len(s)}-spellings")
def test_every_spelling_is_the_same_call(spellings):
    x = np.array([[1.0, 5.0, 2.0], [4.0, 3.0, 6.0]])
    weights = None
    seen = []
    for spelling in spellings:
        t = ag.tensor(x, requires_grad=True)
        y = spelling(np, t)
        np.testing.assert_array_equal(y.data, spellings[0](np, x))
        weights = np.arange(1.0, y.size + 1).reshape(y.shape) if weights is None else weights
        y.backward(weights)
        seen.append(t.grad)
    for grad in seen[1:]:
        np.testing.assert_array_equal(grad, seen[0])


def test_tensors_may_come_by_keyword():
    t = vector()
    assert np.sum(a=t).requires_grad
    assert np.clip(np.zeros(2), a_min=t, a_max=5.0).requires_grad


# Shape and dtype are asked, not recorded. --------------------------------------------------------


def test_metadata_is_plain():
    t = ag.tensor(np.ones((2, 3), np.float32), requires_grad=True)
    assert (np.shape(t), np.ndim(t), np.size(t)) == ((2, 3), 2, 6)
    assert np.result_type(t, np.float64) == np.float64
    for like in (np.zeros_like(t), np.ones_like(t), np.empty_like(t)):
        assert type(like) is np.ndarray and like.shape == (2, 3) and like.dtype == np.float32


# Other types. ------------------------------------------------------------------------------------


class Wrapper:
    """A container of an array, of the kind of xarray's: the ufunc protocol, and no more."""

    def __init__(self, value):
        self.value = value

    def __array_ufunc__(self, ufunc, method, *inputs, **options):
        values = [x.value if isinstance(x, Wrapper) else x for x in inputs]
        return Wrapper(getattr(ufunc, method)(*values, **options))

    def __radd__(self, other):
        return Wrapper(other + self.value)

    def __rmatmul__(self, other):
        return Wrapper(other @ self.value)

    def __eq__(self, other):
        return "asked the wrapper"

    __hash__ = None


class OptedOut:
    """A type that wants nothing to do with ufuncs: NumPy then leaves operators to it."""

    __array_ufunc__ = None

    def __radd__(self, other):
        return "radd"

    def __rsub__(self, other):
        return "rsub"

    def __rpow__(self, other):
        return "rpow"


def test_a_wrapper_of_arrays_goes_first():
    t = vector()
    for result in (np.add(t, Wrapper(np.ones(2))), np.add(Wrapper(np.ones(2)), t),
                   t + Wrapper(np.ones(2)), t @ Wrapper(np.ones(2))):
        assert type(result) is Wrapper
        assert isinstance(result.value, ag.Tensor) and result.value.requires_grad
    assert (t == Wrapper(1.0)) == "asked the wrapper"


def test_operators_leave_it_to_a_type_that_opted_out():
    t = vector()
    assert (t + OptedOut(), t - OptedOut(), t ** OptedOut()) == ("radd", "rsub", "rpow")
    with pytest.raises(TypeError):
        t * OptedOut()


@pytest.mark.parametrize("operand", [None, "two", object(), {1: 2}],
                         ids=["None", "str", "object", "dict"])
def test_an_operand_that_is_no_number(operand):
    with pytest.raises(TypeError):
        vector() * operand
    with pytest.raises(TypeError, match=r"multiply: cannot compute with .* of type"):
        np.multiply(vector(), operand)


def test_an_object_array_is_refused():
    with pytest.raises(TypeError, match=r"dtype object.*ag\.array"):
        vector() + np.array([1, None], dtype=object)


def test_lists_and_numpy_scalars_are_operands():
    t = vector()
    assert np.add(t, [10.0, 20.0]).data.tolist() == [11, 22]
    assert ([10.0, 20.0] - t).data.tolist() == [9, 18]
    assert (np.float64(3.0) / t).data.tolist() == [3, 1.5]
