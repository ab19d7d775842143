"""The notebooks run, assert what they claim, use public names, and are what their sources say."""

import ast
import importlib.util
import re
from pathlib import Path

import nbformat
import pytest
from nbclient.exceptions import CellExecutionError

import autograd_core as ag
import nn

FOLDER = Path(__file__).parent.parent / "notebooks"
SPEC = importlib.util.spec_from_file_location("notebooks_build", FOLDER / "build.py")
build = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(build)

SOURCES = build.sources()
each = pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
#: Bytes that a code host still shows without being asked.
LARGEST = 500_000


def committed(path):
    return nbformat.read(path.with_suffix(".ipynb"), as_version=4)


@each
def test_a_notebook_runs(path, tmp_path):
    """Every assertion in it holds, on this machine and these versions."""
    notebook = build.execute(build.read(path), tmp_path)
    assert not list(tmp_path.iterdir()), "it leaves files behind"
    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            assert output.get("name") != "stderr" or "Warning" not in output["text"], output["text"]


@each
def test_what_is_committed_is_its_source_executed(path):
    notebook = committed(path)
    assert build.cells(notebook) == build.cells(build.read(path)), "run `make notebooks`"
    assert path.with_suffix(".ipynb").stat().st_size < LARGEST
    executed = [cell for cell in notebook.cells if cell["cell_type"] == "code"]
    assert all(cell["execution_count"] for cell in executed)


@each
def test_it_opens_with_what_it_shows_and_has_named_figures(path):
    title, what = build.heading(build.read(path))
    assert title and len(what.split()) >= 15
    text = path.read_text(encoding="utf-8")
    figures = text.count("plt.show()")
    assert len(re.findall(r"title=|set_title\(|suptitle\(", text)) >= figures
    assert build.claims(path) >= 10


@each
def test_it_uses_the_public_names_alone(path):
    """What is missing is built where it belongs, not worked around."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Attribute):
            private = node.attr.startswith("_") and not node.attr.startswith("__")
            assert not private, f"{path.name}:{node.lineno} uses {node.attr}"
            if isinstance(node.value, ast.Name) and node.value.id in ("ag", "nn"):
                module = {"ag": ag, "nn": nn}[node.value.id]
                assert node.attr in module.__all__, f"{path.name}:{node.lineno} uses {node.attr}"
        if isinstance(node, ast.ImportFrom):
            root = (node.module or "").split(".")[0]
            assert root not in ("autograd_core", "nn"), f"{path.name}:{node.lineno}"


def test_the_index_is_up_to_date():
    notebooks = {path: committed(path) for path in SOURCES}
    assert (FOLDER / "README.md").read_text(encoding="utf-8") == build.index(notebooks)
    there = {path.name for path in (FOLDER / "pictures").iterdir()}
    assert there == build.pictures(notebooks).keys()
    assert there == set(re.findall(r'src="pictures/([^"]+)"', build.index(notebooks)))


def test_every_section_of_the_notes_has_its_experiment():
    """In notebooks that exist, by titles that they have; and no notebook is left out."""
    titles = {path.stem[:2]: re.findall(r"^# ## (.+)$", path.read_text(encoding="utf-8"), re.M)
              for path in SOURCES}
    notes = build.syllabus()
    assert len(notes) == 5
    seen = set()
    for topic, sections in notes:
        assert topic and len({title for title, _ in sections}) == len(sections) > 5
        for title, experiments in sections:
            assert experiments, f"{topic}: {title} has no experiment"
            for experiment in experiments:
                number, _, section = experiment.partition(" ")
                assert section in titles[number], experiment
                seen.add(number)
    assert seen == titles.keys()


def test_an_experiment_that_is_not_there_is_no_link():
    notebooks = {path: build.read(path) for path in SOURCES[:1]}
    assert "One neuron: [The perceptron](<01" in build.link("01 The perceptron", notebooks)
    for missing in ("01 No such section", "99 The perceptron"):
        with pytest.raises(LookupError, match=missing[:2]):
            build.link(missing, notebooks)


def test_a_claim_that_fails_fails_the_notebook(tmp_path):
    source = tmp_path / "99_wrong.py"
    source.write_text("# %% [markdown]\n# # Wrong\n\n# %%\nassert 1 + 1 == 3\n", encoding="utf-8")
    assert build.claims(source) == 1
    with pytest.raises(CellExecutionError, match="1 \\+ 1 == 3"):
        build.execute(build.read(source), tmp_path)
