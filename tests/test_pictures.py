"""The pictures of the README can be drawn anew."""

import importlib.util
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"


@pytest.mark.parametrize(("name", "texts"), [
    ("expression", {"x", "f", "555.97", "77.866"}),
    ("modules", {"MLP", "layers.0: Linear(2, 8)", "matmul"}),
    ("network", {"input", "tanh", "4 units", "linear"}),
])
def test_each_is_drawn_and_says_what_the_one_in_the_repository_says(
    name, texts, tmp_path, monkeypatch
):
    spec = importlib.util.spec_from_file_location("pictures", DOCS / "pictures.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "FOLDER", tmp_path)
    path = getattr(module, name)()
    for file in (path, DOCS / path.name):
        shown = {e.text for e in ET.fromstring(file.read_bytes()).iter() if e.text}
        assert texts <= shown
