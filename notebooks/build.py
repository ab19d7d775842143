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
#: Of the pictures in the index, in pixels: of notebooks, and of their sections.
THUMBNAIL, SMALL = 320, 200
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


def found(experiment: str, notebooks: dict[Path, Any]) -> tuple[Path, str]:
    """For ``"04 The oracle"`` the source of notebook 04, and the title of the section.

    Raises ``LookupError`` where there is none.
    """
    number, _, section = experiment.partition(" ")
    for path, notebook in notebooks.items():
        if path.name.startswith(f"{number}_") and section in headings(notebook):
            return path, section
    raise LookupError(f"syllabus.toml: there is no notebook {number} with a section {section!r}")


def link(experiment: str, notebooks: dict[Path, Any]) -> str:
    """An experiment as a link to its section."""
    path, section = found(experiment, notebooks)
    anchor = re.sub(r"\s", "-", section)
    return f"{heading(notebooks[path])[0]}: [{section}](<{path.stem}.ipynb#{anchor}>)"


def pictures(notebooks: dict[Path, Any]) -> dict[str, bytes]:
    """What the index shows: by the names of the files, the whole pictures.

    The first one of each notebook, and of each row of the map.
    """
    shown = {}
    for path, notebook in notebooks.items():
        picture = first_picture(notebook)
        if picture is not None:
            shown[f"{path.stem}.png"] = picture
    for _, sections in syllabus():
        for _, experiments in sections:
            picture = first_of(experiments, notebooks)
            if picture is not None:
                shown[picture[0]] = picture[2]
    return shown


def first_of(
    experiments: list[str], notebooks: dict[Path, Any]
) -> tuple[str, str, bytes] | None:
    """The first picture that some experiments show: its file, the title of the section, itself."""
    for path, section in (found(each, notebooks) for each in experiments):
        picture = first_picture(notebooks[path], section)
        if picture is not None:
            slug = re.sub(r"[^a-z0-9]+", "_", section.lower()).strip("_")
            return f"{path.stem[:2]}_{slug}.png", section, picture
    return None


def first_picture(notebook: Any, section: str | None = None) -> bytes | None:
    """The first PNG that the notebook shows, or that it shows in a section."""
    inside = section is None
    for cell in notebook.cells:
        if section is not None and cell["cell_type"] == "markdown":
            titles = [line[3:] for line in cell["source"].splitlines() if line.startswith("## ")]
            inside = section in titles if titles else inside
        if not inside:
            continue
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
        rows += ["", f"### {topic}", "", "| | section of the notes | experiment |",
                 "| --- | --- | --- |"]
        for title, experiments in sections:
            picture = first_of(experiments, notebooks)
            shown = "" if picture is None else (
                f'<img src="pictures/{picture[0]}" width="120" alt="{picture[1]}">')
            links = "<br>".join(link(each, notebooks) for each in experiments)
            rows.append(f"| {shown} | {title} | {links} |")
    return INTRODUCTION + "\n" + "\n".join(rows) + "\n"


def thumbnail(picture: bytes, path: Path, size: int) -> None:
    """A smaller copy of a picture, at most so many pixels wide and high, with few colours."""
    from io import BytesIO

    from PIL import Image

    image: Any = Image.open(BytesIO(picture)).convert("RGB")
    image.thumbnail((size, size))
    image.quantize(64).save(path, optimize=True)


def draw(shown: dict[str, bytes], executed: set[str]) -> None:
    """Bring the folder of thumbnails up to date, those of executed notebooks anew."""
    folder = FOLDER / "pictures"
    folder.mkdir(exist_ok=True)
    whole = {f"{path.stem}.png" for path in sources()}
    for name, picture in shown.items():
        if name[:2] in executed or not (folder / name).exists():
            thumbnail(picture, folder / name, THUMBNAIL if name in whole else SMALL)
    for path in folder.glob("*.png"):
        if path.name not in shown:
            path.unlink()


def main() -> int:
    import nbformat

    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("which", nargs="*", help="beginnings of names, such as 04")
    parser.add_argument("--check", action="store_true", help="execute and write nothing")
    chosen = parser.parse_args()
    wrong = []
    notebooks: dict[Path, Any] = {}
    executed: set[str] = set()
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
        executed.add(path.stem[:2])
    text = index(notebooks)
    readme = FOLDER / "README.md"
    if not chosen.check:
        readme.write_text(text, encoding="utf-8")
        draw(pictures(notebooks), executed)
    elif not readme.exists() or readme.read_text(encoding="utf-8") != text:
        wrong.append(readme.name)
    if wrong:
        print(f"not up to date: {', '.join(wrong)}; run `make notebooks`")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
