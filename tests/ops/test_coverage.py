"""Each function that NumPy dispatches stands in exactly one table.

So a new release of NumPy breaks a test here, and not a user.
"""

from __future__ import annotations

import numpy as np
import pytest

import autograd_core as ag
from autograd_core import dispatch
from autograd_core.op import FUNCTIONS, METADATA, NO_RULE, REFUSED, UFUNC_METHODS, UFUNCS

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

WITHOUT_RULE = [f for f, reason in REFUSED.items() if reason is NO_RULE]


def _arguments(function):
    """Arguments that a function's dispatcher finds a Tensor in."""
    x = ag.tensor([1.0, 2.0], requires_grad=True)
    return {
        np.ix_: (x,), np.lexsort: ((x, x),), np.unravel_index: (x, (3,)),
        np.ravel_multi_index: ((x,), (3,)), np.histogram2d: (x, x),
        np.nanpercentile: (x, 50), np.nanquantile: (x, 0.5), np.polyfit: (x, x, 1),
    }.get(function)


def _call(function):
    """Call with as many Tensors as the function asks for."""
    given = _arguments(function)
    if given is not None:
        return function(*given)
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


@pytest.mark.parametrize("function", WITHOUT_RULE, ids=lambda f: f.__name__)
def test_a_function_without_a_rule_says_so(function):
    if not isinstance(function, DISPATCHER | np.ufunc):
        assert function.__name__ in ("trapz", "in1d")
        return
    with pytest.raises(ag.MissingRuleError) as raised:
        _call(function)
    message = str(raised.value)
    assert function.__name__ in message
    assert "no derivative rule" in message
    assert "ag.primitive" in message
    assert "detach().numpy()" in message
    assert "test_coverage.py:" in message or "fromnumeric" in message


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
    with pytest.raises(ag.MissingRuleError, match=rf"subtract\.{method} .*no derivative rule"):
        getattr(np.subtract, method)(x, *extra)


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
