"""Nested containers of arrays."""

from collections import Counter, OrderedDict, defaultdict, namedtuple

import pytest

from autograd_core import ShapeError
from autograd_core.containers import aligned, flatten, map_leaves

Pair = namedtuple("Pair", "a b")

NESTED = [
    1.0, None, (), [], {}, (1.0,), [1.0, (2.0, [3.0])], {"b": 1.0, "a": {"c": (2.0, None)}},
    Pair(1.0, [2.0]), OrderedDict(z=1.0, a=2.0), defaultdict(list, k=1.0), Counter(k=2),
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
    ([{"a": (0, 0)}], [{"a": (0,)}], "length 1 where a tuple of length 2"),
])
def test_structures_that_differ(pattern, nested, message):
    with pytest.raises(ShapeError, match=message):
        aligned(pattern, nested, "the tangent")
