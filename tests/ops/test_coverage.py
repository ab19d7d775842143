"""Each function that NumPy dispatches stands in exactly one table.

So a new release of NumPy breaks a test here, and not a user.
"""

from __future__ import annotations

import numpy as np
import pytest

import autograd_core as ag
from autograd_core import dispatch
from autograd_core.op import FUNCTIONS, METADATA, REFUSED, UFUNC_METHODS, UFUNCS

MODULES = (np, np.linalg, np.fft)
#: The type of NumPy's functions that go through ``__array_function__``.
DISPATCHER = type(np.sum)


def _public(kind):
    """The distinct objects of a type in NumPy's modules, under their first name."""
    found = {}
    for module in MODULES:
        for name in dir(module):
            value = getattr(module, name)
            if isinstance(value, kind) and not name.startswith("_"):
                found.setdefault(value, f"{module.__name__}.{name}")
    return found


DISPATCHED = _public(DISPATCHER)
ALL_UFUNCS = _public(np.ufunc)
TABLES = {"rule": {**FUNCTIONS, **UFUNCS}, "metadata": METADATA, "refused": REFUSED}


def _tables_of(function):
    return [name for name, table in TABLES.items() if function in table]


def test_the_search_finds_numpys_functions():
    assert len(DISPATCHED) > 240
    assert len(ALL_UFUNCS) > 80
    assert {np.sum, np.concatenate, np.where, np.linalg.solve, np.fft.fft} <= set(DISPATCHED)
    for function in DISPATCHED:
        assert hasattr(function, "_implementation"), DISPATCHED[function]


def test_every_dispatching_function_is_in_one_table():
    places = {name: _tables_of(function) for function, name in DISPATCHED.items()}
    assert {name: tables for name, tables in places.items() if len(tables) != 1} == {}


def test_every_ufunc_is_in_one_table():
    places = {name: _tables_of(ufunc) for ufunc, name in ALL_UFUNCS.items()}
    assert {name: tables for name, tables in places.items() if len(tables) != 1} == {}


def test_ufuncs_and_functions_are_not_mixed_up():
    assert all(isinstance(f, np.ufunc) for f in UFUNCS)
    assert all(isinstance(f, np.ufunc) for f, _ in UFUNC_METHODS)
    assert not any(isinstance(f, np.ufunc) for f in FUNCTIONS)


@pytest.mark.parametrize("table", [FUNCTIONS, METADATA, REFUSED], ids=["rules", "meta", "refused"])
def test_what_a_table_holds_is_dispatched(table):
    """An entry that NumPy never dispatches would be dead."""
    dead = [f.__name__ for f in table if not isinstance(f, DISPATCHER | np.ufunc)]
    # Deprecated in favour of others, and kept by older NumPy only.
    assert set(dead) <= {"trapz", "in1d"}


def test_aliases_with_an_object_of_their_own_agree():
    """np.amax is not np.max: each alias needs its own entry."""
    for one, other in (
        (np.max, np.amax), (np.min, np.amin), (np.round, np.around),
        (np.concatenate, np.concat), (np.transpose, np.permute_dims),
        (np.tensordot, np.linalg.tensordot), (np.matrix_transpose, np.linalg.matrix_transpose),
    ):
        assert FUNCTIONS[one] is FUNCTIONS[other]


# What they do. ----------------------------------------------------------------------------------

def _call(function):
    """Call with as many Tensors as the function asks for."""
    x = ag.tensor([1.0, 2.0], requires_grad=True)
    if isinstance(function, np.ufunc):
        return function(*[x] * function.nin)
    for n in (1, 2, 3):
        try:
            return function(*[x] * n)
        except TypeError as error:
            if "argument" not in str(error):
                raise
    raise AssertionError(f"no way found to call {function}")


@pytest.mark.parametrize(
    "function", [np.sinc, np.cov, np.kron, np.float_power, np.positive],
    ids=lambda f: f.__name__,
)
def test_a_function_without_a_rule_says_so(function, monkeypatch):
    """None is left in NumPy: so one loses its own."""
    _call(function)
    monkeypatch.delitem(UFUNCS if isinstance(function, np.ufunc) else FUNCTIONS, function)
    with pytest.raises(ag.MissingRuleError) as raised:
        _call(function)
    message = str(raised.value)
    assert function.__name__ in message
    assert "no derivative rule" in message
    assert "ag.primitive" in message
    assert "detach().numpy()" in message
    assert "test_coverage.py:" in message


def test_a_function_of_a_newer_numpy_is_answered_in_the_same_way():
    x = ag.tensor([1.0, 2.0], requires_grad=True)

    def brand_new(x):
        return x

    brand_new.__module__ = "numpy"
    with pytest.raises(ag.MissingRuleError, match=r"numpy\.brand_new .*no derivative rule"):
        dispatch.array_function(x, brand_new, (ag.Tensor,), (x,), {})


@pytest.mark.parametrize("method", ["reduceat", "accumulate", "reduce"])
def test_a_ufunc_method_without_a_rule_says_so(method):
    x = ag.tensor([1.0, 2.0], requires_grad=True)
    extra = ([0],) if method == "reduceat" else ()
    with pytest.raises(ag.MissingRuleError, match=rf"ldexp\.{method} .*no derivative rule"):
        getattr(np.ldexp, method)(x, *extra)


@pytest.mark.parametrize(
    ("function", "args", "rewrite"),
    [
        (np.copyto, (-1.0, True), lambda x: np.where(True, -1.0, x)),
        (np.putmask, (np.array([[True, False]]), 7.0), lambda x: np.where([[True, False]], 7.0, x)),
        (np.place, (np.eye(3, 2) > 0, [7.0, 8.0]), lambda x: x.at[np.eye(3, 2) > 0].set([7.0, 8])),
        (np.put, ([0, 3], [7.0, 8.0]),
         lambda x: x.reshape(-1).at[[0, 3]].set([7.0, 8.0]).reshape(x.shape)),
        (np.put_along_axis, (np.array([[1], [0], [1]]), 7.0, 1),
         lambda x: ag.put_along_axis(x, np.array([[1], [0], [1]]), 7.0, 1)),
        (np.fill_diagonal, (7.0,), lambda x: ag.fill_diagonal(x, 7.0)),
    ],
    ids=lambda f: getattr(f, "__name__", ""),
)
def test_the_rewrite_computes_what_would_be_written(function, args, rewrite):
    """What the error proposes is the array that NumPy's function leaves behind; differentiable."""
    x = np.arange(6.0).reshape(3, 2)
    t = ag.tensor(x, requires_grad=True)
    with pytest.raises(ag.MutationError) as raised:
        function(t, *(args if function is not np.copyto else args[:1]))
    assert "write `x = " in str(raised.value)
    expected = x.copy()
    if function is np.putmask:
        args = (np.broadcast_to(args[0], x.shape), *args[1:])
    function(expected, *(args if function is not np.copyto else args[:1]))
    y = rewrite(t)
    np.testing.assert_array_equal(y.data, expected)
    if y.requires_grad:
        y.sum().backward()
        np.testing.assert_array_equal(t.grad, x == expected)


@pytest.mark.parametrize(
    "call",
    [
        lambda a, t: np.copyto(a, t),
        lambda a, t: np.put(a, [0], t),
        lambda a, t: np.putmask(a, a > 0, t),
        lambda a, t: np.place(t, np.array([True, False]), [1.0]),
        lambda a, t: np.put_along_axis(a, np.array([0]), t, 0),
        lambda a, t: np.fill_diagonal(t, 1.0),
        lambda a, t: np.add.at(a, [0, 1], t),
        lambda a, t: np.exp(t, out=a),
        lambda a, t: np.full_like(a, t),
    ],
)
def test_writing_is_refused_and_changes_nothing(call):
    a = np.zeros(2)
    t = ag.tensor([1.0, 2.0], requires_grad=True)
    with pytest.raises(ag.MutationError):
        call(a, t)
    assert not a.any()


def test_saving_is_refused(tmp_path):
    t = ag.tensor([1.0, 2.0], requires_grad=True)
    with pytest.raises(ag.MissingRuleError, match="plain values"):
        np.savetxt(tmp_path / "t.txt", t)


# Questions about shape and dtype are answered from the value, recording nothing. -----------------

@pytest.mark.parametrize(
    ("function", "args", "expected"),
    [
        (np.shape, (), (2, 3)), (np.ndim, (), 2), (np.size, (), 6), (np.size, (1,), 3),
        (np.result_type, (np.float64,), np.dtype(np.float64)), (np.iscomplexobj, (), False),
        (np.isrealobj, (), True), (np.can_cast, (np.float64,), None),
        (np.common_type, (), np.float32),
    ],
)
def test_metadata(function, args, expected):
    x = np.ones((2, 3), np.float32)
    t = ag.tensor(x, requires_grad=True)
    if function is np.can_cast:
        t, x, expected = t.dtype, x.dtype, True
    assert function(t, *args) == function(x, *args) == expected


@pytest.mark.parametrize("function", [np.zeros_like, np.ones_like, np.empty_like])
def test_arrays_like_a_tensor_are_plain(function):
    t = ag.tensor(np.ones((2, 3), np.float32), requires_grad=True)
    y = function(t)
    assert type(y) is np.ndarray
    assert y.shape == (2, 3)
    assert y.dtype == np.float32
    assert function(t, shape=(4,), dtype=int).shape == (4,)


@pytest.mark.parametrize(
    ("function", "args"),
    [
        (np.eye, (3,)), (np.arange, (4,)), (np.zeros, ((2,),)), (np.ones, (3,)),
        (np.full, (2, 1.5)), (np.identity, (2,)), (np.tri, (3,)),
    ],
)
def test_creation_like_a_tensor_is_plain(function, args):
    t = ag.tensor([1.0, 2.0], requires_grad=True)
    y = function(*args, like=t)
    assert type(y) is np.ndarray
    np.testing.assert_array_equal(y, function(*args))


def test_comparing_whole_arrays_gives_a_bool():
    t = ag.tensor([1.0, 2.0], requires_grad=True)
    assert np.array_equal(t, [1.0, 2.0]) is True
    assert np.allclose(t, np.array([1.0, 2.5])) is False
    assert np.array_equiv(t, [[1.0, 2.0]]) is True


def test_indices_from_a_shape():
    t = ag.tensor(np.ones((3, 3)), requires_grad=True)
    for function in (np.diag_indices_from, np.tril_indices_from, np.triu_indices_from):
        for mine, numpy in zip(function(t), function(t.detach().numpy()), strict=True):
            np.testing.assert_array_equal(mine, numpy)
    x = t.detach().numpy()
    assert np.einsum_path("ij,jk", t, t) == np.einsum_path("ij,jk", x, x)


# The same names under ag, for what NumPy cannot dispatch. -----------------------------------------


@pytest.mark.parametrize("shape", [(3, 3), (2, 4), (5, 2), (7, 2), (2, 2, 2)])
@pytest.mark.parametrize("wrap", [False, True])
@pytest.mark.parametrize("val", [7.0, np.array([1.5, 2.5]), np.array([[1.0], [2.0], [3.0]])],
                         ids=["scalar", "two", "three"])
def test_fill_diagonal(shape, wrap, val):
    x = np.random.default_rng(0).normal(size=shape)
    expected = x.copy()
    np.fill_diagonal(expected, val, wrap)
    np.testing.assert_array_equal(ag.fill_diagonal(x, val, wrap), expected)
    np.testing.assert_array_equal(ag.fill_diagonal(ag.tensor(x), val, wrap).data, expected)
    ag.check_grads(lambda x, v: ag.fill_diagonal(x, v, wrap), x, np.asarray(val)[()])


def test_fill_diagonal_refuses_what_numpy_refuses():
    for shape in ((3,), (2, 2, 3)):
        with pytest.raises(ValueError, match="fill_diagonal"):
            ag.fill_diagonal(ag.tensor(np.ones(shape)), 1.0)
        with pytest.raises(ValueError, match=r"at least 2-d|equal length"):
            np.fill_diagonal(np.ones(shape), 1.0)


@pytest.mark.parametrize(("shape", "axis"), [((2, 4), 0), ((2, 4), -1), ((4,), 0), ((2, 3), None)])
def test_put_along_axis(shape, axis):
    rng = np.random.default_rng(0)
    x = rng.normal(size=shape)
    n = x.size if axis is None else shape[axis]
    where = [3] if axis is None else [3 if i == axis % len(shape) else k
                                      for i, k in enumerate(shape)]
    order = np.argsort(rng.random((*where[:-1], max(n, where[-1]))), axis=-1)
    indices = order[..., : where[-1]] % n
    values = rng.normal(size=where)
    expected = x.copy()
    np.put_along_axis(expected, indices, values, axis)
    y = ag.put_along_axis(ag.tensor(x), indices, values, axis)
    np.testing.assert_array_equal(y.data, expected)
    ag.check_grads(lambda x, v: ag.put_along_axis(x, indices, v, axis), x, values)


def test_full_and_asarray():
    v = ag.tensor(np.float32(1.5), requires_grad=True)
    y = ag.full((2, 3), v)
    assert y.shape == (2, 3) and y.dtype == np.float32
    (y * np.arange(6, dtype=np.float32).reshape(2, 3)).sum().backward()
    assert v.grad == 15 and v.grad.dtype == np.float32
    row = ag.tensor([1.0, 2.0], requires_grad=True)
    np.testing.assert_array_equal(ag.full((3, 2), row).data, np.full((3, 2), [1.0, 2.0]))
    assert ag.full((2,), v, np.float64).dtype == np.float64
    assert type(ag.full((2,), 1.5)) is np.ndarray
    assert ag.asarray(row) is row
    assert ag.asarray(row, np.float32).dtype == np.float32
    assert ag.asarray([row, row]).shape == (2, 2)
    x = np.ones(3)
    assert ag.asarray(x) is x
    with pytest.raises(ag.ConversionError, match=r"ag\.full"):
        np.full(3, v)


def test_an_empty_sum_of_exponentials_is_zero():
    x = ag.tensor(np.ones((0, 2)), requires_grad=True)
    np.testing.assert_array_equal(np.logaddexp.reduce(x).data, np.logaddexp.reduce(x.data))
    np.testing.assert_array_equal(np.logaddexp.reduce(x, initial=1.0).data, [1.0, 1.0])


@pytest.mark.parametrize("ufunc", [np.subtract, np.divide, np.power, np.arctan2, np.copysign])
def test_a_reduction_whose_order_matters_takes_one_axis(ufunc):
    x = np.ones((2, 2))
    for given in (x, ag.tensor(x)):
        with pytest.raises(ValueError, match=r"reorderable|order matters"):
            ufunc.reduce(given, axis=(0, 1))


def test_what_is_left_out_of_a_polynomial_must_not_change():
    p = ag.tensor([0.0, 2.0, 1.0], requires_grad=True)
    y = np.polymul(p, [1.0, 1.0])
    np.testing.assert_array_equal(y.data, np.polymul([0.0, 2.0, 1.0], [1.0, 1.0]))
    multiply = ag.compile(lambda p: np.polymul(p, np.array([1.0, 1.0])))
    for leading in (3.0, 2.0):
        np.testing.assert_array_equal(multiply(np.array([leading, 1.0])), [leading, leading + 1, 1])
    with pytest.raises(ValueError, match="leading coefficients"):
        multiply(np.array([0.0, 1.0]))
