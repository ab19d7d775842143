"""The examples in the docstrings run, and print what they say."""

import doctest
import importlib
import pkgutil

import numpy as np
import pytest

import autograd_core as ag


def modules():
    for package in ("autograd_core", "nn"):
        found = importlib.import_module(package)
        yield package
        for info in pkgutil.walk_packages(found.__path__, package + "."):
            yield info.name


def examples():
    finder = doctest.DocTestFinder(exclude_empty=True)
    for name in modules():
        module = importlib.import_module(name)
        for test in finder.find(module, name):
            if test.examples:
                yield pytest.param(test, id=test.name)


@pytest.mark.parametrize("test", list(examples()))
def test_docstring(test, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # some of them write pictures
    import nn

    test.globs = {**test.globs, "np": np, "ag": ag, "nn": nn}
    lines = []
    result = doctest.DocTestRunner(
        optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
    ).run(test, out=lines.append)
    assert result.failed == 0, "".join(lines)
    assert result.attempted > 0


def test_the_transforms_have_examples():
    for f in (ag.tensor, ag.Value, ag.array, ag.no_grad, ag.Graph, ag.grad, ag.value_and_grad,
              ag.elementwise_grad, ag.vjp, ag.jvp, ag.jacobian, ag.hessian, ag.hvp, ag.primitive,
              ag.check_grads):
        assert ">>> " in f.__doc__, f
