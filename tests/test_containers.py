"""Nested containers of arrays."""

import dataclasses
from collections import Counter, OrderedDict, defaultdict, namedtuple
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import pytest

import autograd_core as ag
from autograd_core import ShapeError
from autograd_core.containers import aligned, flatten, map_leaves

Pair = namedtuple("Pair", "a b")


@dataclasses.dataclass
class Layer:
    w: Any
    b: Any
    name: str = "dense"
    sizes: tuple = (2, 3)
    depth: int = 1
    frozen: bool = False
    parent: Any = None
    kind: ClassVar[float] = 7.0


@dataclasses.dataclass(frozen=True, slots=True)
class Point:
    x: float
    y: float = 0.0
    label: str = "here"


@dataclasses.dataclass
class Checked:
    """Its constructor takes nothing but a float."""

    x: float
    twice: float = dataclasses.field(init=False)

    def __post_init__(self):
        if type(self.x) is not float:
            raise TypeError("x is a float")
        self.twice = 2 * self.x

    @cached_property
    def half(self):
        return self.x / 2

NESTED = [
    1.0, None, (), [], {}, (1.0,), [1.0, (2.0, [3.0])], {"b": 1.0, "a": {"c": (2.0, None)}},
    Pair(1.0, [2.0]), Point(1.0, 2.0), [Layer(1.0, (Point(2.0), {"k": 3.0}))], Checked(1.5),
    OrderedDict(z=1.0, a=2.0), defaultdict(list, k=1.0), Counter(k=2),
]


@pytest.mark.parametrize("nested", NESTED, ids=repr)
def test_flatten_and_rebuild(nested):
    leaves, rebuild = flatten(nested)
    again = rebuild(leaves)
    assert again == nested and type(again) is type(nested)
    doubled = map_leaves(lambda x: x * 2, nested)
    assert flatten(doubled)[0] == [x * 2 for x in leaves]


def test_leaves_come_in_order():
    assert flatten({"b": 1, "a": (2, [3, None, 4])})[0] == [1, 2, 3, 4]


def test_a_defaultdict_keeps_its_default():
    leaves, rebuild = flatten(defaultdict(lambda: 7, a=1))
    assert rebuild(leaves)["missing"] == 7


def test_a_list_subclass_is_kept():
    class Layers(list):
        pass

    assert type(map_leaves(abs, Layers([-1]))) is Layers


@pytest.mark.parametrize("nested", NESTED, ids=repr)
def test_aligned_with_itself(nested):
    assert aligned(nested, nested, "x") == flatten(nested)[0]


def test_aligned_goes_by_key():
    assert aligned({"a": 0, "b": (0, None)}, {"b": [2, None], "a": 1}, "x") == [1, 2]


def test_what_stands_for_a_leaf_may_be_anything():
    assert aligned([0], [[1, 2]], "x") == [[1, 2]]


@pytest.mark.parametrize(("pattern", "nested", "message"), [
    ((0, 0), (0,), "the tangent must .*a tuple of length 1 where a tuple of length 2"),
    ((0,), 0, "a int where a tuple of length 1"),
    ({"a": 0}, {"b": 0}, r"keys \['b'\] where a dict with the keys \['a'\]"),
    ({"a": 0}, [0], "a list of length 1 where a dict"),
    (None, 0, "a int where None"),
    (Point(0.0), (0.0, 0.0), "a tuple of length 2 where a Point"),
    (Layer(0.0, (0.0,)), Layer(0.0, 0.0), "a float where a tuple of length 1"),
    ([{"a": (0, 0)}], [{"a": (0,)}], "length 1 where a tuple of length 2"),
])
def test_structures_that_differ(pattern, nested, message):
    with pytest.raises(ShapeError, match=message):
        aligned(pattern, nested, "the tangent")


# Dataclasses. -----------------------------------------------------------------------------------


def test_fields_without_arrays_are_no_leaves():
    layer = Layer(np.ones(2), [ag.tensor(1.0)], parent={"at": np.float32(2.0), "n": 3})
    leaves, rebuild = flatten(layer)
    assert [np.shape(x) for x in leaves] == [(2,), (), (), ()] and leaves[3] == 3
    again = rebuild([1, 2, 3, 4])
    assert again == Layer(1, [2], parent={"at": 3, "n": 4})
    assert type(again) is Layer and flatten(Layer("a", None))[0] == []


def test_what_stands_for_a_field_may_be_anything():
    """Gradients, Tensors and structures take the places of floats."""
    assert aligned(Point(0.0, 0.0), Point("a", [1]), "x") == ["a", [1]]
    assert map_leaves(str, Point(1.0, 2.0)) == Point("1.0", "2.0")
    assert map_leaves(lambda x: x, Checked(1.0)).twice == 2.0


def test_only_fields_are_carried_over():
    """What was computed from them would be out of date."""
    point = Checked(1.0)
    assert point.half == 0.5
    assert map_leaves(lambda x: 2 * x, point).half == 1.0


@pytest.mark.parametrize("compiled", [False, True])
def test_gradients_of_dataclasses(compiled):
    def loss(layer, at):
        assert layer.name == "dense" and layer.sizes == (2, 3) and not layer.frozen
        return np.sum(np.tanh(layer.w * at.x) + layer.b[0] * at.y)

    layer, at = Layer(np.array([0.5, 1.0]), [2.0]), Point(2.0, 3.0)
    gradient = ag.grad(loss, (0, 1))
    if compiled:
        gradient = ag.compile(gradient)
    for _ in range(2):
        by_layer, by_point = gradient(layer, at)
        slope = 1 - np.tanh(layer.w * at.x) ** 2
        np.testing.assert_allclose(by_layer.w, at.x * slope)
        assert by_layer.b == [6.0] and by_layer.name == "dense" and by_layer.sizes == (2, 3)
        assert type(by_point) is Point and by_point.label == "here" and by_point.y == 4.0
        np.testing.assert_allclose(by_point.x, (layer.w * slope).sum())
        layer, at = dataclasses.replace(layer, w=layer.w + 1), Point(1.0, 3.0)
    if compiled:
        assert gradient.recompiles == 0
        gradient(layer, Point(1.0, 3.0, "there"))
        assert gradient.recompiles == 1


def test_products_of_dataclasses():
    def f(p):
        return Point(p.x * p.y, p.x + p.y, label="there")

    y, back = ag.vjp(f, Point(2.0, 3.0))
    assert y == Point(6.0, 5.0, "there")
    assert back(Point(1.0, 10.0)) == (Point(13.0, 12.0),)
    assert ag.jvp(f, (Point(2.0, 3.0),), (Point(1.0, 0.0),)) == (y, Point(3.0, 1.0, "there"))
    jacobian = ag.jacobian(f)(Point(2.0, 3.0))
    assert jacobian == Point(Point(3.0, 2.0), Point(1.0, 1.0), "there")
    assert ag.hvp(lambda p: p.x**2 * p.y, Point(2.0, 3.0), Point(1.0, 0.0)) == Point(6.0, 4.0)


def test_compiled_results_keep_the_class_of_any_container():
    @ag.compile
    def f(items, pair):
        assert type(items) is OrderedDict
        return OrderedDict(b=items["a"] * 2.0), Pair(pair.a, [pair.b]), Point(pair.a * 1.0), "text"

    for scale in (1.0, 2.0):
        items, pair, point, text = f(OrderedDict(a=np.full(2, scale)), Pair(scale, 2 * scale))
        assert type(items) is OrderedDict and items["b"].tolist() == [2 * scale] * 2
        assert pair == Pair(scale, [2 * scale]) and point == Point(scale) and text == "text"
    assert f.recompiles == 0


def test_an_array_that_is_a_dataclass_is_an_array():
    @dataclasses.dataclass
    class Unit(np.lib.mixins.NDArrayOperatorsMixin):
        value: float

        def __array_ufunc__(self, *args, **kwargs):
            return NotImplemented

    unit = Unit(1.0)
    assert flatten([unit])[0][0] is unit
