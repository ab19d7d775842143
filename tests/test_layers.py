"""The layers of the package: each file imports only what lies below it."""

import ast
import sys
from pathlib import Path

import pytest

import autograd_core

PACKAGE = Path(autograd_core.__file__).parent

# Bottom first. Files in one row do not import each other.
LAYERS = [
    {"errors", "files"},
    {"node"},
    {"op", "observe"},
    {"ops"},
    {"dispatch", "backprop", "special"},  # special is loaded late: below nobody
    {"tensor"},
    {"packs"},
    {"containers", "random", "recipe"},
    {"compiler"},
    {"graph", "batching"},
    {"transforms", "debug"},
    {"primitive", "checkpointing"},
    {"check"},
    {"render", "expressions"},
    {"__init__", "__main__"},
]
LEVEL = {name: level for level, row in enumerate(LAYERS) for name in row}
FILES = sorted(PACKAGE.rglob("*.py"))


def name_of(path):
    """The layer's name of a file: that of its folder, for the sub-packages."""
    parts = path.relative_to(PACKAGE).parts
    return parts[0] if len(parts) > 1 else path.stem


def under_type_checking(tree):
    """The nodes in `if TYPE_CHECKING:` blocks, which cost nothing and order nothing."""
    return {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
        for statement in node.body for inner in ast.walk(statement)
    }


def imports(path):
    """What a file imports when it is loaded or run: (own layer or sibling, outside package)."""
    tree = ast.parse(path.read_text())
    skipped = under_type_checking(tree)
    inside, outside = set(), set()
    depth = len(path.relative_to(PACKAGE).parts)  # 1 for a file directly in the package
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            outside |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            if node.level == 0:
                outside.add(node.module.split(".")[0])
            elif node.level == depth:  # `from .x` in the package, `from ..x` in a sub-package
                inside |= (
                    {node.module.split(".")[0]} if node.module
                    else {alias.name for alias in node.names}
                )
            elif node.level > depth:
                outside.add("beyond the package")
    return inside, outside


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_go_downwards(path):
    name = name_of(path)
    assert name in LEVEL, f"give {name} a place in the layers"
    inside, _ = imports(path)
    for other in inside - {name}:
        if name == "__init__" or (path.name == "__init__.py" and other == name):
            continue
        assert LEVEL[other] < LEVEL[name], f"{name} imports {other}"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_the_package_is_imported_by_relative_names(path):
    _, outside = imports(path)
    assert "autograd_core" not in outside and "nn" not in outside
    assert "beyond the package" not in outside


def test_the_engine_needs_numpy_alone():
    standard = sys.stdlib_module_names - {"marshal", "pickle", "shelve"}  # input is data
    for path in FILES:
        extra = {"scipy"} if name_of(path) == "special" else set()
        if path.parent == PACKAGE / "compiler" / "native":  # what only its executor loads
            extra = {"llvmlite"}
        if name_of(path) not in ("render", "expressions", "__main__"):
            assert imports(path)[1] <= standard | {"numpy"} | extra, path


@pytest.mark.parametrize("path", sorted((PACKAGE / "ops").glob("*.py")), ids=lambda p: p.name)
def test_rules_know_neither_tensors_nor_anything_else(path):
    inside, outside = imports(path)
    assert inside <= {"node", "op", "ops"}
    assert outside <= {"__future__", "numpy", "math", "operator", "typing", "collections",
                       "functools", "itertools", "dataclasses"}


def test_the_families_of_ops_have_no_cycle():
    folder = PACKAGE / "ops"
    graph = {}
    for path in folder.glob("*.py"):
        tree = ast.parse(path.read_text())
        graph[path.stem] = {
            name
            for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.level == 1
            for name in ([node.module] if node.module else [a.name for a in node.names])
        }
    done = set()
    while graph:
        ready = {name for name, needs in graph.items() if needs <= done}
        assert ready, f"a cycle among {sorted(graph)}"
        done |= ready
        graph = {name: needs for name, needs in graph.items() if name not in ready}


def test_only_one_file_knows_numpy_s_protocols():
    # Stand-ins for values take operations over as well, to note them.
    stand_ins = PACKAGE / "compiler" / "passes" / "sketch.py"
    for path in FILES:
        text = path.read_text()
        if name_of(path) != "dispatch" and path != stand_ins and "def __array_ufunc__" in text:
            raise AssertionError(path)
