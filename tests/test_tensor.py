"""The node as an array: its attributes, its operators, and who may write into what."""

import copy
import pickle
import subprocess
import sys

import numpy as np
import pytest

import autograd_core as ag


def leaf(data, label=None):
    return ag.tensor(data, requires_grad=True, label=label)


# What a Tensor is. -------------------------------------------------------------------------------


def test_attributes_of_a_leaf():
    t = ag.tensor([[1.0, 2.0, 3.0]], requires_grad=True, label="x")
    assert (t.shape, t.ndim, t.size, t.dtype, t.label) == ((1, 3), 2, 3, np.float64, "x")
    assert t.op is None and t.inputs == () and t.attrs == {} and t.is_leaf
    assert t.requires_grad and t.grad is None
    assert t.T.shape == (3, 1)


def test_attributes_of_a_computed_node():
    x, w = leaf([1.0, 2.0]), ag.tensor([3.0, 4.0])
    y = x * w
    assert y.op.name == "multiply" and y.inputs == (x, w) and not y.is_leaf
    z = y.sum(axis=0)
    assert z.op.name == "sum" and z.inputs == (y,) and z.attrs["axis"] == 0
    assert z.shape == () and z.item() == 11.0


def test_a_constant_operand_is_kept_as_it_was():
    x = leaf([1.0, 2.0])
    assert (x * 2.5).inputs[1] == 2.5 and type((x * 2.5).inputs[1]) is float
    constant = (x * np.array([1.0, 2.0])).inputs[1]
    assert type(constant) is np.ndarray and constant.tolist() == [1, 2]


def test_requires_grad_follows_from_the_inputs():
    x, c = leaf(1.0), ag.tensor(2.0)
    assert (x * c).requires_grad and not (c * c).requires_grad
    assert (c * c).inputs == (c, c)  # but what it was computed from is kept
    assert not (x > 0).requires_grad and not np.floor(ag.tensor(1.5)).requires_grad


@pytest.mark.parametrize(("text", "tensor"), [
    ("tensor(2.)", lambda: ag.tensor(2.0)),
    ("tensor([1., 2.], requires_grad=True)", lambda: leaf([1.0, 2.0])),
    ("tensor([1., 2.], dtype=float32, label='w')",
     lambda: ag.tensor([1.0, 2.0], dtype=np.float32, label="w")),
    ("tensor(4., op=multiply)", lambda: leaf(2.0) * 2),
    ("tensor(True, op=greater)", lambda: leaf(2.0) > 1),
])
def test_repr(text, tensor):
    assert repr(tensor()) == text


def test_data_is_copied_in():
    source = np.array([1.0, 2.0])
    t = ag.tensor(source)
    source[0] = 9.0
    assert t.data.tolist() == [1, 2]


def test_scalars_stay_scalars():
    for t in (ag.tensor(2.0), ag.tensor(np.array(2.0)), leaf(2.0) * 3, leaf([1.0, 2.0]).sum(),
              leaf([1.0, 2.0])[0]):
        assert t.shape == () and isinstance(t.data, np.generic)


@pytest.mark.parametrize(("data", "message"), [
    (None, "NoneType does not make an array of numbers"),
    (object(), "does not make an array of numbers"),
])
def test_what_is_no_array_of_numbers(data, message):
    with pytest.raises(TypeError, match=message):
        ag.tensor(data)


def test_strings_make_no_tensor():
    with pytest.raises(TypeError, match="not of numbers"):
        ag.tensor("three")
    with pytest.raises(ag.GradientError, match="dtype"):
        ag.tensor("three", requires_grad=True)


@pytest.mark.parametrize("data", [3, True, [1, 2]], ids=["int", "bool", "ints"])
def test_a_gradient_needs_floating_point(data):
    with pytest.raises(ag.GradientError, match="dtype"):
        ag.tensor(data, requires_grad=True)
    t = ag.tensor(data)
    with pytest.raises(ag.GradientError, match="dtype"):
        t.requires_grad = True
    assert not t.requires_grad


def test_requires_grad_of_a_computed_node_cannot_be_set():
    y = leaf(1.0) * 2
    with pytest.raises(ag.GradientError, match="detach"):
        y.requires_grad = False
    assert y.requires_grad


def test_detach_and_numpy():
    x = leaf([1.0, 2.0])
    y = x * 2
    d = y.detach()
    assert d.is_leaf and not d.requires_grad and d.data.tolist() == [2, 4]
    assert not d.numpy().flags.writeable
    assert y.numpy(force=True).tolist() == [2, 4]
    assert x.tolist() == [1, 2] and (x[0] * 2).item() == 2.0


def test_a_detached_array_does_not_follow_its_leaf():
    x = leaf([1.0, 2.0])
    x.data  # noqa: B018  lent out
    seen = x.detach().numpy()
    x.data[0] = 9.0
    assert seen.tolist() == [1, 2]


def test_leaves_can_be_copied_and_pickled():
    x = leaf([1.0, 2.0], label="x")
    for other in (copy.deepcopy(x), pickle.loads(pickle.dumps(x))):
        assert other is not x and other.data.tolist() == [1, 2]
        assert other.requires_grad and other.label == "x"
        other.data[0] = 5.0
        assert x.data.tolist() == [1, 2]
    assert copy.copy(x) is not x and copy.copy(x).data.tolist() == [1, 2]
    y = x * 2  # never changes, so that it is its own copy: a part of the graph
    assert copy.deepcopy(y) is y and copy.copy(y) is y


def test_what_is_unpickled_is_a_node_of_this_process():
    """Walks tell nodes apart by their births, which two processes count alike."""
    sent = pickle.dumps(leaf([2.0, 3.0], label="x"))
    program = "import pickle, sys; from autograd_core import tensor; " + (
        "[tensor(0.0) for _ in range(100_000)]; "  # an older process than this one
        "x = pickle.loads(sys.stdin.buffer.read()); x.data[0] = 5.0; y = (x * x).sum(); "
        "sys.stdout.buffer.write(pickle.dumps((x, y)))")
    done = subprocess.run([sys.executable, "-c", program], input=sent, capture_output=True,
                          check=True, timeout=60)
    (a, y), (b, z) = pickle.loads(done.stdout), pickle.loads(done.stdout)
    assert a.data.tolist() == [5, 3] and a._born != b._born and y._born != z._born
    w = leaf([1.0, 1.0])
    ((y - z * w.sum()) * (a * b).sum()).backward()  # both, and one that was made here
    np.testing.assert_allclose(a.grad, 34 * 2 * a.data - 34 * b.data)
    np.testing.assert_allclose(b.grad, -68 * 2 * b.data - 34 * a.data)
    np.testing.assert_allclose(w.grad, [-34 * 34, -34 * 34])


def test_a_pickled_graph_that_is_out_of_date_stays_so():
    x = leaf([1.0, 2.0])
    y = (x * x).sum()
    x.data[0] = 9.0
    sent = pickle.loads(pickle.dumps(y))
    with pytest.raises(ag.StaleGraphError):
        sent.backward()
    ag.Graph(sent).fprop()
    sent.backward()
    assert sent.inputs[0].inputs[0].grad.tolist() == [18, 4]


def test_gradients_are_pickled_and_attributes_of_subclasses():
    class_ = type("Tagged", (ag.Tensor,), {"__module__": __name__})
    globals()["Tagged"] = class_
    x = class_([1.0, 2.0], requires_grad=True)
    x.tag = "t"
    (x * x).sum().backward()
    sent = pickle.loads(pickle.dumps(x))
    assert type(sent) is class_ and sent.tag == "t" and sent.grad.tolist() == [2, 4]


def test_a_node_whose_value_lies_on_a_shelf_is_pickled_with_it():
    xs = [ag.Value(0.1 * i) for i in range(100)]
    y = sum(x * x for x in xs)
    graph = ag.Graph(y)
    for _ in range(4):
        graph.fprop()
    graph.bprop()
    node = y.inputs[0].inputs[1]
    assert type(node) is not ag.Tensor  # nobody has asked for it
    sent = pickle.loads(pickle.dumps(node))
    assert type(sent) is ag.Tensor and np.isclose(sent.item(), 9.8**2)


# Equality, hashing, truth. -----------------------------------------------------------------------


def test_equality_is_element_by_element_and_hashing_by_identity():
    a, b = leaf([1.0, 2.0]), leaf([1.0, 3.0])
    assert (a == b).data.tolist() == [True, False] and (a != b).data.tolist() == [False, True]
    assert (a == b).op.name == "equal"
    table = {a: "a", b: "b"}
    assert table[a] == "a" and table[b] == "b" and len({a, b, a}) == 2


def test_membership_in_a_list():
    a, b, c = leaf([1.0, 2.0]), leaf([1.0, 2.0]), leaf([5.0, 6.0])
    assert a in [a, b]  # found by identity before anything is compared
    with pytest.raises(ag.ConversionError, match=r"ambiguous.*\.any\(\)"):
        c in [a, b]  # noqa: B015
    assert c in {c, a} and c not in {a, b}
    assert leaf(1.0) in [leaf(2.0), leaf(1.0)]  # scalars compare as numbers do


def test_truth():
    assert ag.tensor(1.0) and not ag.tensor([0.0])
    assert leaf(3.0) > 2  # a comparison is not differentiable, so nothing is lost
    with pytest.raises(ag.ConversionError, match=r"shape \(2,\) is ambiguous"):
        bool(leaf([1.0, 2.0]))


def test_comparison_with_something_that_is_no_number():
    x = leaf([1.0, 2.0])
    assert (x == None) is False and (x != None) is True  # noqa: E711
    assert (x == "x") is False and x in [None, "x", x]
    with pytest.raises(TypeError):
        x < None  # noqa: B015


def test_a_tensor_made_of_a_tensor_does_not_lose_its_gradient():
    x = leaf([1.0, 2.0])
    with pytest.raises(ag.ConversionError, match="detach"):
        ag.tensor(x * 2)
    assert ag.tensor(ag.tensor([1.0, 2.0])).data.tolist() == [1, 2]


class Length:
    """A number with a unit, which knows how to be multiplied from the left."""

    def __rmul__(self, other):
        return ("times", other)


def test_operators_give_other_types_their_turn():
    x = leaf(2.0)
    assert x * Length() == ("times", x)
    with pytest.raises(TypeError):
        x + Length()


# Operators. --------------------------------------------------------------------------------------

OPERATORS = {
    "+": lambda a, b: a + b, "-": lambda a, b: a - b, "*": lambda a, b: a * b,
    "/": lambda a, b: a / b, "**": lambda a, b: a**b, "//": lambda a, b: a // b,
    "%": lambda a, b: a % b, "@": lambda a, b: a @ b,
    "==": lambda a, b: a == b, "!=": lambda a, b: a != b, "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b, ">": lambda a, b: a > b, ">=": lambda a, b: a >= b,
}


@pytest.mark.parametrize("operator", OPERATORS.values(), ids=OPERATORS)
def test_operators_compute_what_numpy_does_and_record_both_sides(operator):
    x, y = np.array([1.5, 2.0, 3.0]), np.array([2.0, 2.0, 0.5])
    expected = operator(x, y)
    a, b = leaf(x), leaf(y)
    for result in (operator(a, b), operator(a, y), operator(x, b)):
        assert isinstance(result, ag.Tensor)
        np.testing.assert_array_equal(result.data, expected)
        assert any(i is a or i is b for i in result.inputs)


@pytest.mark.parametrize("operator", [
    lambda a, b: a & b, lambda a, b: a | b, lambda a, b: a ^ b, lambda a, b: ~a & b,
])
def test_masks_combine(operator):
    x, y = np.array([True, True, False]), np.array([True, False, False])
    result = operator(ag.tensor(x), ag.tensor(y))
    assert isinstance(result, ag.Tensor) and result.data.tolist() == operator(x, y).tolist()


def test_unary_operators_and_builtins():
    x = leaf(-1.75)
    assert ((-x).item(), (+x).item(), abs(x).item()) == (1.75, -1.75, 1.75)
    assert round(x).item() == -2.0 and round(x, 1).item() == -1.8
    assert [part.item() for part in divmod(x, 0.5)] == list(divmod(-1.75, 0.5))
    assert f"{x.detach():.2f}" == "-1.75"


def test_in_place_operators_make_new_nodes():
    x = leaf([1.0, 2.0])
    y = x
    y += 1
    y *= 2
    assert y is not x and x.data.tolist() == [1, 2] and y.data.tolist() == [4, 6]
    y.sum().backward()
    assert x.grad.tolist() == [2, 2]


@pytest.mark.parametrize(("compute", "message"), [
    (lambda: leaf(np.ones((2, 3))) @ leaf(np.ones((4, 5))),
     r"matmul\(float64\(2, 3\), float64\(4, 5\)\).*inner sizes 3 and 4 differ"),
    (lambda: leaf(np.ones((2, 3))) @ leaf(np.ones((4, 3))), r"did you mean `x @ w\.T`\?"),
    (lambda: leaf(np.ones((3, 2))) @ leaf(np.ones((3, 4))), r"did you mean `x\.T @ w`\?"),
    (lambda: leaf(2.0) @ leaf(np.ones(3)), r"did you mean `\*`\?"),
    (lambda: leaf(np.ones((2, 3))) + leaf(np.ones(2)),
     r"add\(float64\(2, 3\), float64\(2,?\)\).*axis -1 has sizes 3 and 2"),
    (lambda: np.concatenate([leaf(np.ones((2, 3))), np.ones((2, 4))]),
     "concatenate.*size 3 and the array at index 1 has size 4"),
    (lambda: leaf(np.ones(4)).at[:2].set(np.ones(3)), r"shape \(3,\) into shape \(2,\)"),
    (lambda: leaf(np.ones(6)).reshape(4, 2), "reshape.*size 6 into shape"),
])
def test_shapes_that_do_not_fit(compute, message):
    with pytest.raises(ag.ShapeError, match=message) as caught:
        compute()
    assert "test_tensor.py:" in str(caught.value)


def test_functional_updates():
    x = leaf([1.0, 2.0, 3.0])
    y = x.at[1].set(10.0)
    z = x.at[[0, 0]].add(ag.tensor([1.0, 2.0]))
    assert y.data.tolist() == [1, 10, 3] and z.data.tolist() == [4, 2, 3]
    assert x.data.tolist() == [1, 2, 3]
    y.sum().backward()
    assert x.grad.tolist() == [1, 0, 1]
    with pytest.raises(ag.MutationError, match=r"t = t\.at\[i\]\.set\(v\)"):
        x[1] = 10.0


AT = {
    "repeated": ((4,), [0, 2, 0, 0, 2]),
    "rows": ((3, 2), [1, 1, 0]),
    "columns": ((2, 3), (slice(None), [0, 2, 0])),
    "pairs": ((2, 3), ([0, 1, 0], [2, 0, 2])),
    "masked": ((2, 3), np.array([True, False])),
    "one": ((3,), 1),
    "all": ((2, 3), ...),
    "none": ((3,), []),
}


@pytest.mark.parametrize("case", AT)
@pytest.mark.parametrize("ufunc", [
    np.add, np.multiply, np.divide, np.maximum, np.hypot, np.subtract, np.negative, np.sqrt,
])
def test_any_ufunc_at_an_index(ufunc, case):
    """What ufunc.at writes into the array, of elements that an index repeats too."""
    rng, (shape, index) = np.random.default_rng(0), AT[case]
    x = rng.uniform(0.5, 2, shape)
    values = [rng.uniform(0.5, 2, x[index].shape)][: ufunc.nin - 1]
    expected = x.copy()
    ufunc.at(expected, index, *values)
    with pytest.raises(ag.MutationError, match=r"at\[index\]\.a(dd|pply)"):
        ufunc.at(leaf(x), index, *values)
    np.testing.assert_array_equal(leaf(x).at[index].apply(ufunc, *values).data, expected)
    ag.check_grads(lambda x, *v: ag.asarray(x).at[index].apply(ufunc, *v)
                   if isinstance(x, ag.Tensor) else at(ufunc, x, index, *v), x, *values)


def at(ufunc, x, index, *values):
    y = np.array(x)
    ufunc.at(y, index, *values)
    return y


def test_a_ufunc_at_an_index_is_replayed():
    """The index may change, but not which elements it repeats."""
    f = ag.compile(lambda x, i, v: x.at[i].apply(np.multiply, v))
    x, v = np.array([1.0, 2.0, 3.0]), np.array([2.0, 5.0, 7.0])
    for index in ([0, 1, 0], [2, 0, 2], [0, 1, 1]):
        np.testing.assert_array_equal(
            f(x, np.array(index), v), at(np.multiply, x, np.array(index), v))
    with pytest.raises(ValueError, match="repeats has changed"):
        f(x, np.array([0, 1, 2]), v)
    with pytest.raises(TypeError, match="2 operands"):
        leaf(x).at[0].apply(np.multiply)


def test_array_of_nested_lists():
    x = leaf(2.0)
    a = ag.array([[x, 0.0], [1, x * x]])
    assert a.data.tolist() == [[2, 0], [1, 4]]
    a.sum().backward()
    assert x.grad == 5.0
    assert ag.array([x, 1], dtype=np.float32).dtype == np.float32
    assert type(ag.array([1, 2])) is np.ndarray
    with pytest.raises(ValueError, match="one shape"):
        ag.array([[x], [1.0, x]])


# Values are not changed behind the graph's back. -------------------------------------------------


def set_data(t):
    t.data = np.full(2, 9.0)


def write_through_data(t):
    t.data[0] = 9.0


def subtract_in_place(t):
    t.data -= 0.5


def write_through_an_old_reference(t):
    t.data.fill(9.0)


def assign(t):
    t.assign(np.full(2, 9.0))


CHANGES = [set_data, write_through_data, subtract_in_place, write_through_an_old_reference, assign]


@pytest.mark.parametrize("change", CHANGES, ids=lambda f: f.__name__)
@pytest.mark.parametrize("lent", [False, True], ids=["unseen", "looked at before"])
@pytest.mark.parametrize("role", ["differentiated", "constant"])
def test_a_leaf_changed_after_its_use_is_noticed(change, lent, role):
    x = ag.tensor([1.0, 2.0], requires_grad=role == "differentiated")
    w = leaf([3.0, 4.0])
    array = x.data if lent else None
    y = (x * w).sum()
    change(x)
    with pytest.raises(ag.StaleGraphError, match="changed after multiply"):
        y.backward()
    assert x.grad is None and w.grad is None
    ag.Graph(y).fprop()
    y.backward()
    assert w.grad.tolist() == x.data.tolist()
    del array


def test_the_error_names_the_leaf():
    x = leaf([1.0, 2.0], label="weights")
    y = (x * x).sum()
    x.data[0] = 9.0
    with pytest.raises(ag.StaleGraphError, match="weights of shape"):
        y.backward()


@pytest.mark.parametrize("make", [
    lambda a: ag.tensor(a, requires_grad=True),
    lambda a: ag.Tensor(a, requires_grad=True),
], ids=["tensor", "Tensor"])
def test_writing_into_the_array_a_leaf_was_made_from(make):
    a = np.array([1.0, 2.0])
    x = make(a)
    y = (x * x).sum()
    a[:] = 9.0
    y.backward()
    assert x.grad.tolist() == [2, 4]


@pytest.mark.parametrize("view", [lambda a: a, lambda a: a[:], lambda a: a[::-1][::-1]],
                         ids=["itself", "a view", "a view of a view"])
@pytest.mark.parametrize("compute", [
    lambda x, a: x * a, lambda x, a: a * x, lambda x, a: np.multiply(x, a),
    lambda x, a: np.where([True, True], x * a, a), lambda x, a: np.einsum("i,i->i", x, a),
], ids=["x * a", "a * x", "np.multiply", "np.where", "np.einsum"])
def test_writing_into_a_constant_operand(view, compute):
    a = np.array([3.0, 4.0])
    x = leaf([1.0, 2.0])
    y = compute(x, view(a)).sum()
    a[:] = 9.0
    y.backward()
    assert x.grad.tolist() == [3, 4]


def test_writing_into_an_index_array():
    index = np.array([0, 0, 1])
    x = leaf([1.0, 2.0])
    y = x[index].sum()
    index[:] = 1
    y.backward()
    assert x.grad.tolist() == [2, 1]


@pytest.mark.parametrize("compute", [
    lambda x: x * 2, lambda x: x.reshape(2, 1), lambda x: x[:1], lambda x: x.sum(0, keepdims=True),
], ids=["result", "view", "slice", "reduction"])
def test_the_value_of_a_computed_node_is_read_only(compute):
    y = compute(leaf([1.0, 2.0]))
    with pytest.raises(ValueError, match="read-only"):
        y.data[0] = 9.0
    with pytest.raises(ag.MutationError, match="was computed by"):
        y.data = np.ones(2)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.int64, np.complex64])
def test_item_is_python_s_own_number(dtype):
    item = ag.tensor(dtype(2)).item()
    assert item == 2 and type(item) is type(dtype(2).item())
    assert type(ag.tensor([dtype(2)]).item()) is type(item)


def test_an_array_handed_to_assign_is_read_only_afterwards():
    x, a = leaf([1.0, 2.0]), np.array([3.0, 4.0])
    x.assign(a)
    with pytest.raises(ValueError, match="read-only"):
        a[0] = 9.0


def test_assigned_leaves_do_not_share():
    x, y = leaf([1.0, 2.0]), leaf([3.0, 4.0])
    x.assign(y)
    y.data[0] = 9.0
    assert x.data.tolist() == [3, 4]


VIEWS = {
    "reshape": lambda x: x.reshape(-1), "transpose": lambda x: x.T, "slice": lambda x: x[:1],
    "view of a view": lambda x: x.T[::-1], "einsum": lambda x: np.einsum("ij->ji", x),
    "the array itself": ag.stop_gradient, "a view of itself": lambda x: ag.stop_gradient(x).T,
}


@pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS)
@pytest.mark.parametrize("held", [True, False], ids=["array kept", "array dropped"])
@pytest.mark.parametrize("used", [False, True], ids=["not used since", "used since"])
def test_a_changed_leaf_that_was_used_through_a_view(view, held, used):
    x, w = ag.tensor([[1.0, 2.0]]), leaf(3.0)
    y = (view(x) * w).sum()
    array = x.data
    array[...] = 9.0
    later = x * 1 if used else None
    if not held:
        del array
    try:
        y.backward()
    except ag.StaleGraphError:
        return
    assert w.grad == 3.0
    del later


def test_writing_through_a_reference_kept_across_an_assignment():
    x = leaf([1.0, 2.0])
    array = x.data
    array -= 0.5
    x.data = array  # what `x.data -= 0.5` does
    y = (x * x).sum()
    array[:] = 9.0
    with pytest.raises(ag.StaleGraphError):
        y.backward()


def test_writing_through_a_view_of_what_was_assigned():
    x, a = leaf([1.0, 2.0]), np.array([3.0, 4.0, 5.0])
    x.assign(a[:2])
    y = (x * x).sum()
    try:
        a[:] = 9.0
        y.backward()
    except (ValueError, ag.StaleGraphError):
        return
    assert x.grad.tolist() == [6, 8]


def test_writing_through_an_array_without_copy():
    x, w = ag.tensor([1.0, 2.0]), leaf([3.0, 4.0])
    y = (x * w).sum()
    try:
        np.asarray(x, copy=False)[:] = 9.0
        y.backward()
    except (ValueError, ag.StaleGraphError):
        return
    assert w.grad.tolist() == [1, 2]


# ... and no alarm is raised where nothing changed.


@pytest.mark.parametrize("read", [
    lambda x: x.data, lambda x: repr(x), lambda x: float(x.data[0]), lambda x: x.data.sum(),
    lambda x: np.asarray(x.detach()), lambda x: x.detach().numpy(), lambda x: x.tolist(),
    lambda x: list(x), lambda x: x.data.copy(), lambda x: x.data.__setitem__(0, x.data[0]),
], ids=["data", "repr", "float", "sum", "asarray", "numpy", "tolist", "list", "copy", "rewrite"])
def test_reading_a_leaf_is_no_change(read):
    x = leaf([1.0, np.nan])
    held = [read(x)]
    y = (x * x).sum()
    held.append(read(x))
    y.backward()
    assert x.grad[0] == 2.0 and np.isnan(x.grad[1])
    del held


def test_a_change_before_the_use_is_no_alarm():
    x = leaf([1.0, 2.0])
    array = x.data
    array[0] = 3.0
    y = (x * x).sum()
    y.backward()
    assert x.grad.tolist() == [6, 4]
    array[0] = 5.0
    z = (x * x).sum()
    z.backward()
    assert x.grad.tolist() == [16, 8]


def test_a_change_of_another_leaf_is_no_alarm():
    x, w = leaf([1.0, 2.0]), leaf([3.0, 4.0])
    y = (x * x).sum()
    w.data[0] = 9.0
    y.backward()
    assert x.grad.tolist() == [2, 4]


@pytest.mark.parametrize("step", ["in place", "assignment", "assign"])
def test_the_ordinary_training_loop(step):
    x, target = np.array([1.0, 2.0, 3.0]), 10.0
    p = leaf(np.ones(3))
    expected = np.ones(3)
    for _ in range(10):
        p.zero_grad()
        loss = (p @ x - target) ** 2
        loss.backward()
        expected = expected - 0.01 * 2 * (expected @ x - target) * x
        if step == "in place":
            p.data -= 0.01 * p.grad
        elif step == "assignment":
            p.data = p.data - 0.01 * p.grad
        else:
            p.assign(p.detach().numpy() - 0.01 * p.grad)
        np.testing.assert_allclose(p.data, expected, rtol=1e-14)


def test_assignments_are_checked():
    x = leaf([1.0, 2.0], label="x")
    for value in (np.ones(2, int), ["a", "b"]):
        with pytest.raises(ag.GradientError, match="'x'"):
            x.data = value
    with pytest.raises(ag.ShapeError, match=r"\(3,\).*'x' of shape \(2,\)"):
        x.assign(np.ones(3))
    with pytest.raises(ag.ShapeError, match=r"\(3,\).*'x' of shape \(2,\)"):
        x.grad = np.ones(3)
    assert x.data.tolist() == [1, 2] and x.grad is None


# Masks are nodes. --------------------------------------------------------------------------------

MASKS = {
    "np.where": lambda x: np.where(x > 0, x, 0),
    "product": lambda x: x * (x > 0),
    "maximum": lambda x: np.maximum(x, 0),
    "sign": lambda x: x * (np.sign(x) + 1) / 2,
    "indexing": lambda x: x.at[x < 0].set(0.0),
    "logical_not": lambda x: np.where(np.logical_not(x <= 0), x, 0),
    "combined": lambda x: x * ((x > 0) & (x < 100)),
    "nan": lambda x: np.where(np.isnan(np.where(x < 0, np.nan, 1.0)), 0, x),
    "astype": lambda x: x * (x > 0).astype(float),
}


@pytest.mark.parametrize("relu", MASKS.values(), ids=MASKS)
def test_a_replayed_mask_is_asked_again(relu):
    x = leaf([3.0, -1.0])
    graph = ag.Graph(relu(x))
    for data in ([-1.0, 2.0], [5.0, -6.0], [1.0, 1.0], [-1.0, -1.0]):
        expected = np.maximum(data, 0)
        assert graph.fprop({x: data}).tolist() == expected.tolist()
        graph.bprop(np.ones(2))
        assert x.grad.tolist() == (expected > 0).tolist()


def test_questions_are_replayed():
    x = leaf([3.0, -1.0, 2.0])
    graph = ag.Graph([np.argmax(x), np.argsort(x), x[np.argmin(x)], np.floor(x / 2),
                      np.searchsorted(np.array([0.0, 2.5]), x), np.round(x), np.any(x > 2)])
    data = np.array([1.0, 4.0, -8.0])
    results = graph.fprop({x: data})
    expected = [1, [2, 0, 1], -8.0, [0, 2, -4], [1, 2, 0], data, True]
    for result, value in zip(results, expected, strict=True):
        np.testing.assert_array_equal(result, value)


def test_a_mask_of_a_constant_leaf_is_replayed_too():
    c = ag.tensor([1.0, -1.0])
    x = leaf([10.0, 20.0])
    graph = ag.Graph(np.where(c > 0, x, 0).sum())
    assert graph.fprop({c: [-1.0, 1.0]}) == 20.0
    graph.bprop()
    assert x.grad.tolist() == [0, 1]


# dtype is the user's. ----------------------------------------------------------------------------

FLOAT32 = {
    "scalars": lambda x: (2 * x + 1.5 - x / 3) ** 2,
    "reflected": lambda x: (1.0 / x) + (2.0 - x) + 2.0**x,
    "power": lambda x: x**0.5 + x**3 + x**-1 + np.power(x, 2),
    "functions": lambda x: np.exp(x) + np.log(x) + np.tanh(x) + np.exp2(x) + np.log10(x),
    "reductions": lambda x: x.sum() + x.mean(0) * x.std() + x.max() - np.prod(x) + x.var(0),
    "softmax": lambda x: ag.softmax(x) + ag.log_softmax(x) * ag.logsumexp(x),
    "ramps": lambda x: ag.relu(x) + ag.sigmoid(x) + ag.softplus(x) + np.maximum(x, 0),
    "masks": lambda x: np.where(x > 1, x, 0.0) + x * (x > 1) + np.clip(x, 0.5, 1.5),
    "shapes": lambda x: np.concatenate([x, x])[1:].reshape(-1) + np.pad(x, (2, 0)),
    "products": lambda x: np.outer(x, x) @ x + np.einsum("i,j->i", x, x),
    "float64 scalar": lambda x: np.float32(2.0) * x + np.deg2rad(x) + np.abs(x),
    "array": lambda x: ag.array([x[0], x[1], x[2]]) * 2,
}


@pytest.mark.parametrize("compute", FLOAT32.values(), ids=FLOAT32)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_precision_is_kept_throughout(compute, dtype):
    x = ag.tensor(np.array([0.5, 1.25, 2.0, 3.0][:3], dtype), requires_grad=True)
    y = compute(x)
    y.backward(np.ones(y.shape), create_graph=True)
    grad = x.grad
    x.zero_grad()
    if grad.requires_grad:
        grad.sum().backward()
        assert x.grad is None or x.grad.dtype == dtype
    for node in (*ag.Graph(y).nodes, *ag.Graph(grad).nodes):
        if node.dtype.kind == "f":
            assert node.dtype == dtype, node


def test_python_numbers_are_weak_and_numpy_scalars_are_not():
    x = ag.tensor(np.float32(2.0), requires_grad=True)
    assert (x * 3).dtype == (x * 3.5).dtype == (True + x).dtype == np.float32
    y = x * np.float64(3.5)
    assert y.dtype == np.float64
    y.backward()
    assert x.grad.dtype == np.float32


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_a_gradient_has_its_leaf_s_shape_and_dtype(dtype):
    x = ag.tensor(np.ones((3, 1), dtype), requires_grad=True)
    b = ag.tensor(dtype(2.0), requires_grad=True)
    w = ag.tensor(np.ones((2, 1, 4)), requires_grad=True)
    (x * w + b).sum().backward()
    for t in (x, b, w):
        assert t.grad.shape == t.shape and t.grad.dtype == t.dtype
    assert x.grad.tolist() == [[8], [8], [8]] and b.grad == 24


# Value. ------------------------------------------------------------------------------------------


def test_value_is_a_scalar_leaf_of_double_precision():
    v = ag.Value(3)
    assert v.requires_grad and v.dtype == np.float64 and v.shape == () and v.data == 3.0
    assert ag.Value(np.float32(3)).dtype == np.float32
    assert ag.Value(3.0, label="v").label == "v"
    with pytest.raises(ag.ShapeError, match=r"Value.*\(2,\).*ag\.tensor"):
        ag.Value([1.0, 2.0])


def test_the_gradient_that_is_set_takes_the_leaf_s_dtype():
    x = ag.tensor(np.float32(2.0), requires_grad=True)
    x.grad = 0
    (x * x).backward()
    assert x.grad == 4.0 and x.grad.dtype == np.float32
