"""`nn` is built from graph primitives: it uses the public engine and defines no derivative."""

import ast
from pathlib import Path

import pytest

import autograd_core as ag
import nn

FILES = sorted(Path(nn.__file__).parent.rglob("*.py"))
#: The public names, and what is loaded when it is first used.
PUBLIC = {*ag.__all__, "special"}
#: What defines a derivative, or reaches into the record of a primitive.
FORBIDDEN = {"OPS", "Op", "attrs", "define", "defvjp", "op", "primitive", "record", "vjps"}


def violations(source: str) -> list[str]:
    """What in ``source`` uses the engine other than through its public names."""
    tree = ast.parse(source)
    found = []
    siblings = {"self", "cls"}
    engine = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for name in node.names:
                root = name.name.split(".")[0]
                if root == "autograd_core":
                    if name.name != root:
                        found.append(f"{node.lineno}: import {name.name}")
                    engine.add(name.asname or root)
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                siblings |= {name.asname or name.name for name in node.names}
            elif (node.module or "").split(".")[0] == "autograd_core":
                if node.module != "autograd_core":
                    found.append(f"{node.lineno}: from {node.module} import ...")
                for name in node.names:
                    if name.name not in PUBLIC or name.name in FORBIDDEN:
                        found.append(f"{node.lineno}: from autograd_core import {name.name}")
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            called = node.func.id
            if called in ("__import__", "getattr", "setattr", "import_module"):
                # getattr with a literal public name is an attribute access like any other
                name = node.args[1] if called.endswith("attr") and len(node.args) > 1 else None
                plain = isinstance(name, ast.Constant) and str(name.value)
                if not plain or plain in FORBIDDEN or (plain[0] == "_" and plain[:2] != "__"):
                    found.append(f"{node.lineno}: {called}(...)")
        if not isinstance(node, ast.Attribute):
            continue
        owner = node.value.id if isinstance(node.value, ast.Name) else None
        if owner in engine and node.attr not in PUBLIC:
            found.append(f"{node.lineno}: {owner}.{node.attr} is not public")
        if node.attr in FORBIDDEN:
            found.append(f"{node.lineno}: .{node.attr}")
        private = node.attr.startswith("_") and not node.attr.startswith("__")
        if private and owner not in siblings:
            found.append(f"{node.lineno}: .{node.attr} is private")
    return found


def test_there_are_files_to_check():
    names = {file.name for file in FILES}
    assert {"layers.py", "losses.py", "optimizer.py", "training.py"} <= names


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_uses_only_the_public_engine(file):
    assert violations(file.read_text()) == []


@pytest.mark.parametrize("source", [
    "import autograd_core.tensor",
    "import autograd_core.ops.special as s",
    "from autograd_core.tensor import record",
    "from autograd_core import op",
    "from autograd_core import primitive",
    "import autograd_core as ag\nag.transforms.grad",
    "import autograd_core as ag\nag.primitive(f)",
    "import autograd_core as engine\nengine.backprop.pull()",
    "def f(p):\n    return p._value",
    "def f(p):\n    return p.grad._value",
    "def f(x):\n    return x.op",
    "def f(rule):\n    cube.defvjp(rule)",
    "def f(x):\n    return getattr(x, '_value')",
    "def f(x, name):\n    return getattr(x, name)",
    "def f(x):\n    return __import__('autograd_core.op')",
])
def test_the_checker_finds_planted_violations(source):
    assert violations(source)


@pytest.mark.parametrize("source", [
    "import autograd_core as ag\ndef f(x):\n    return ag.relu(x)",
    "from autograd_core import Tensor, relu",
    "class A:\n    def f(self):\n        return self._hidden",
    "from . import losses\nlosses._same_shape",
    "def f(g):\n    return getattr(g, '__name__', '')",
])
def test_the_checker_lets_public_use_pass(source):
    assert violations(source) == []
