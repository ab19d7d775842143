"""Execute the notebooks and write them, with what they show, beside their sources.

    python notebooks/build.py                 all of them, and the index
    python notebooks/build.py 04 07           those whose names begin so
    python notebooks/build.py --check         only say whether notebooks and index fit the sources

A notebook is written as ``NN_topic.py``, in cells that begin with ``# %%``; jupytext turns it into
``NN_topic.ipynb``, which is executed by the kernel of this Python. ``README.md`` is the index: per
notebook its first picture, what it shows, and how many claims it asserts; then the sections of the
lecture notes with their experiments, from ``syllabus.toml``.
"""

from __future__ import annotations

import argparse
import ast
import base64
import re
import sys
import tomllib
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
#: Seconds that a cell may take; a whole notebook is meant to stay below a minute.
TIMEOUT = 120
#: Of the pictures in the index, in pixels.
THUMBNAIL = 320
INTRODUCTION = """\
# The lectures, alive

Each notebook reproduces experiments of a course on feed-forward networks, shows them, and asserts
what it claims: every one is also a test. They are written as the `.py` files beside them and
executed by `make notebooks`; what is committed is what that printed. They use the public names of
`autograd_core` and `nn` alone.
"""
MAP = """\
## From the notes to the experiments

The course has five lecture notes. Here are their sections, in order, each with what shows it.
"""


def sources() -> list[Path]:
    """The sources of the notebooks, in order."""
    return sorted(FOLDER.glob("[0-9][0-9]_*.py"))


def read(path: Path) -> Any:
    """The notebook that a source describes, not executed."""
    import jupytext

    notebook = jupytext.read(path)
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    for number, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{number}"
        cell["metadata"] = {}
    return notebook


def execute(notebook: Any, folder: Path) -> Any:
    """``notebook`` with what its cells print and show; raises where one fails.

    ``folder``: where it runs, and may write.
    """
    import nbclient

    nbclient.NotebookClient(
        notebook, timeout=TIMEOUT, kernel_name="python3",
        resources={"metadata": {"path": str(folder)}},
    ).execute()
    for cell in notebook.cells:
        cell["metadata"] = {}  # when it ran is nobody's business
    return notebook


def write(notebook: Any, path: Path) -> None:
    """Put the file in place in one step."""
    import nbformat

    partial = path.with_suffix(".partial")
    nbformat.write(notebook, partial)
    partial.replace(path)


def cells(notebook: Any) -> list[tuple[str, str]]:
    """Kinds and texts, by which a notebook is compared with its source."""
    return [(cell["cell_type"], cell["source"].strip()) for cell in notebook.cells]


def claims(path: Path) -> int:
    """How many assertions a source makes: statements, and calls that assert."""
    found = 0
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            found += node.func.attr.startswith("assert_") or node.func.attr == "check_grads"
        found += isinstance(node, ast.Assert)
    return found


def heading(notebook: Any) -> tuple[str, str]:
    """The title of a notebook and the paragraph below it."""
    title, _, rest = notebook.cells[0]["source"].partition("\n")
    return title.lstrip("# ").strip(), " ".join(rest.strip().split("\n\n")[0].split())


def headings(notebook: Any) -> list[str]:
    """The titles of the sections of a notebook."""
    return [line[3:].strip() for cell in notebook.cells if cell["cell_type"] == "markdown"
            for line in cell["source"].splitlines() if line.startswith("## ")]


def syllabus() -> list[tuple[str, list[tuple[str, list[str]]]]]:
    """The topics of the lecture notes, with the titles of their sections and the experiments."""
    notes = tomllib.loads((FOLDER / "syllabus.toml").read_text(encoding="utf-8"))["note"]
    return [(note["topic"], [(title, found) for title, *found in note["sections"]])
            for note in notes]


def link(experiment: str, notebooks: dict[Path, Any]) -> str:
    """``"04 The oracle"`` as links to notebook 04 and its section of this title.

    Raises ``LookupError`` where there is none.
    """
    number, _, section = experiment.partition(" ")
    for path, notebook in notebooks.items():
        if path.name.startswith(f"{number}_") and section in headings(notebook):
            anchor = re.sub(r"\s", "-", section)
            return f"{heading(notebook)[0]}: [{section}](<{path.stem}.ipynb#{anchor}>)"
    raise LookupError(f"syllabus.toml: there is no notebook {number} with a section {section!r}")


def first_picture(notebook: Any) -> bytes | None:
    """The first PNG that the notebook shows."""
    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            data = output.get("data", {}).get("image/png")
            if data is not None:
                return base64.b64decode(data)
    return None


def index(notebooks: dict[Path, Any]) -> str:
    """The text of README.md."""
    rows = ["| | notebook | claims |", "| --- | --- | --: |"]
    total = 0
    for path, notebook in notebooks.items():
        title, what = heading(notebook)
        number = claims(path)
        total += number
        shown = ""
        if first_picture(notebook) is not None:
            shown = f'<img src="pictures/{path.stem}.png" width="240" alt="{title}">'
        rows.append(f"| {shown} | **[{title}]({path.stem}.ipynb)**<br>{what} | {number} |")
    rows.append(f"| | all | {total} |")
    rows += ["", *MAP.splitlines()]
    for topic, sections in syllabus():
        rows += ["", f"### {topic}", "", "| section of the notes | experiment |", "| --- | --- |"]
        for title, experiments in sections:
            shown = "<br>".join(link(each, notebooks) for each in experiments)
            rows.append(f"| {title} | {shown} |")
    return INTRODUCTION + "\n" + "\n".join(rows) + "\n"


def thumbnail(picture: bytes, path: Path) -> None:
    """A smaller copy of a picture, with few colours."""
    from io import BytesIO

    from PIL import Image

    image: Any = Image.open(BytesIO(picture)).convert("RGB")
    image.thumbnail((THUMBNAIL, THUMBNAIL))
    path.parent.mkdir(exist_ok=True)
    image.quantize(64).save(path, optimize=True)


def main() -> int:
    import nbformat

    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("which", nargs="*", help="beginnings of names, such as 04")
    parser.add_argument("--check", action="store_true", help="execute and write nothing")
    chosen = parser.parse_args()
    wrong = []
    notebooks: dict[Path, Any] = {}
    for path in sources():
        target = path.with_suffix(".ipynb")
        wanted = not chosen.which or any(path.name.startswith(w) for w in chosen.which)
        if chosen.check or not wanted:
            if target.exists():
                notebooks[path] = nbformat.read(target, as_version=4)
            if path not in notebooks or cells(notebooks[path]) != cells(read(path)):
                wrong.append(target.name)
            continue
        print(f"executing {path.name}", flush=True)
        notebooks[path] = execute(read(path), FOLDER)
        write(notebooks[path], target)
        picture = first_picture(notebooks[path])
        if picture is not None:
            thumbnail(picture, FOLDER / "pictures" / f"{path.stem}.png")
    text = index(notebooks)
    readme = FOLDER / "README.md"
    if not chosen.check:
        readme.write_text(text, encoding="utf-8")
    elif not readme.exists() or readme.read_text(encoding="utf-8") != text:
        wrong.append(readme.name)
    if wrong:
        print(f"not up to date: {', '.join(wrong)}; run `make notebooks`")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
