"""The main job, run as a user runs it: it learns, writes what it says, and says what is true."""

import math
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import nn

ROOT = Path(__file__).parent.parent
PICTURES = {"learning_curve.png", "mistakes.png", "loss.png", "expression.png"}
DRAWINGS = {"loss.svg", "expression.svg"}


def run(folder: Path, *arguments: str) -> SimpleNamespace:
    out = folder / "new" / "out"
    done = subprocess.run(
        [sys.executable, ROOT / "notebooks" / "demo.py", "--out", out, *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"},
        capture_output=True, text=True, encoding="utf-8", timeout=300, check=False,
    )
    assert done.returncode == 0, done.stderr
    return SimpleNamespace(folder=folder, out=out, stdout=done.stdout, stderr=done.stderr)


@pytest.fixture(scope="module", params=[("--epochs", "5"), ()], ids=["5 epochs", "as it is"])
def demo(request, tmp_path_factory):
    result = run(tmp_path_factory.mktemp("demo"), *request.param)
    result.epochs = int(request.param[1]) if request.param else None
    return result


def accuracy(stdout):
    return float(re.search(r"held-out accuracy ([\d.]+)%", stdout)[1]) / 100


def test_it_writes_what_it_says_and_nothing_else(demo):
    written = {path.name for path in demo.out.iterdir()}
    assert written == PICTURES | DRAWINGS | {"expression.html", "weights.safetensors"}
    said = re.findall(r"^wrote (.+)$", demo.stdout, re.MULTILINE)
    assert sorted(said) == sorted(str(demo.out / name) for name in written)
    assert [path.name for path in demo.folder.iterdir()] == ["new"]


def test_the_page_steps_to_the_gradient_that_was_printed(demo, browser):
    browser.open(demo.out / "expression.html")
    browser.press("End")
    printed = float(re.search(r"f'\(0.5\)  = ([\d.]+)", demo.stdout)[1])
    grad = browser.run("document.querySelector('.node.variable .grad .said').textContent")
    assert math.isclose(float(grad), printed, rel_tol=1e-4)
    assert browser.console == []


@pytest.mark.parametrize("name", sorted(PICTURES))
def test_pictures_are_complete_and_not_blank(demo, name):
    with Image.open(demo.out / name) as image:
        assert image.format == "PNG"
        image.load()
        assert min(image.size) > 100
        grey = np.asarray(image.convert("L"))
    assert grey.std() > 5


@pytest.mark.parametrize(("name", "texts"), [
    ("loss.svg", ["W1", "b1", "W2", "b2", "loss", "cross-entropy of one mini-batch"]),
    ("expression.svg", ["x", "f", "0.5", "77.866", "555.97"]),
])
def test_drawings_are_svg_with_the_names_and_values_of_the_nodes(demo, name, texts):
    root = ElementTree.parse(demo.out / name).getroot()
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    shown = " ".join(element.text or "" for element in root.iter() if element.tag.endswith("text"))
    assert [text for text in texts if text not in shown] == []


def test_the_weights_read_digits_as_well_as_it_says(demo):
    model = nn.load(nn.MLP([64, 256, 10]), demo.out / "weights.safetensors")
    images, labels = load_digits(return_X_y=True)
    _, x, _, y = train_test_split(
        images / 16, labels, test_size=0.2, random_state=42, stratify=labels
    )
    right = (nn.predict(model, x).argmax(1) == y).mean()
    assert accuracy(demo.stdout) == pytest.approx(right, abs=6e-4)


def test_it_reads_nearly_all_held_out_digits(demo):
    assert accuracy(demo.stdout) >= (0.97 if demo.epochs is None else 0.9)


def test_the_progress_bar_runs_to_the_end(demo):
    epochs = demo.epochs or 40
    assert f"{epochs}/{epochs}" in demo.stderr and "val_accuracy=" in demo.stderr
    assert "Warning" not in demo.stderr and "Error" not in demo.stderr


def test_the_expression_and_its_derivatives(demo):
    a = math.exp(0.5)
    c, dc, ddc = a + a**2, a + 2 * a**2, a + 4 * a**2
    first = (math.exp(c) + math.cos(c)) * dc
    second = (math.exp(c) - math.sin(c)) * dc**2 + (math.exp(c) + math.cos(c)) * ddc
    for name, value in {"f": math.exp(c) + math.sin(c), "f'": first, "f''": second}.items():
        printed = re.search(rf"^{name}\(0\.5\) += ([\d.]+)$", demo.stdout, re.MULTILINE)[1]
        assert float(printed) == pytest.approx(value, abs=1e-6)


def test_the_graph_is_listed(demo):
    assert "%x = leaf : f64[]  requires gradient" in demo.stdout
    assert "%f = add(%d, %e) : f64[]\nreturn %f" in demo.stdout
