"""Layout, fonts and files."""

import io
import os
import re
import stat
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import graphviz
import numpy as np
import pytest
from PIL import Image
from standins import apply, graph, leaf

import autograd_core as ag
from autograd_core.errors import RenderError
from autograd_core.render import drawing_of, engine, fonts, layout, render, to_dot
from autograd_core.render.dot import digraph, is_hard
from autograd_core.render.engine import draw


@pytest.fixture
def picture():
    x = leaf(0.5, label="x", requires_grad=True)
    return graph(x, apply("exp", x, label="y"))


@pytest.fixture
def no_embedded_engine(monkeypatch):
    def missing():
        raise ImportError("libsomething.so.0: no such file")

    monkeypatch.setattr(engine, "_embedded", missing)
    engine._layout.cache_clear()
    yield
    engine._layout.cache_clear()


@pytest.mark.parametrize(
    ("suffix", "start"),
    [
        ("svg", b"<?xml"),
        ("png", b"\x89PNG"),
        ("pdf", b"%PDF"),
        ("dot", b"digraph"),
        ("gv", b"digraph"),
        ("PNG", b"\x89PNG"),
    ],
)
def test_formats(picture, tmp_path, suffix, start):
    path = tmp_path / f"graph.{suffix}"
    assert render(picture, path) == path
    assert path.read_bytes().startswith(start)
    assert list(tmp_path.iterdir()) == [path]


def test_format_overrides_the_suffix(picture, tmp_path):
    path = render(picture, str(tmp_path / "graph.data"), format="svg")
    assert path.read_bytes().startswith(b"<?xml")


@pytest.mark.parametrize(("name", "format"), [("g.xyz", None), ("g.svg", "xyz"), ("g", "")])
def test_unknown_formats_name_the_known_ones(picture, tmp_path, name, format):
    with pytest.raises(RenderError, match="svg, png, pdf, html, dot, gv"):
        render(picture, tmp_path / name, format=format)
    assert not list(tmp_path.iterdir())


def test_a_path_without_suffix_asks_for_a_format(picture, tmp_path):
    with pytest.raises(RenderError, match=r"which format\? .*graph' has no suffix"):
        render(picture, tmp_path / "graph")
    with pytest.raises(RenderError, match="unknown format 'xyz'"):
        draw(to_dot(picture), "xyz")


def refuse_to_draw(drawing, format, rankdir):
    raise AssertionError("the layout started")


def test_places_that_cannot_be_written_are_refused_before_the_layout(
    picture, tmp_path, monkeypatch
):
    monkeypatch.setattr(engine, "picture", refuse_to_draw)
    (tmp_path / "file").touch()
    (tmp_path / "folder.svg").mkdir()
    with pytest.raises(FileNotFoundError, match=r"the folder .*missing does not exist"):
        render(picture, tmp_path / "missing" / "graph.svg")
    with pytest.raises(NotADirectoryError, match="file is not a folder"):
        render(picture, tmp_path / "file" / "graph.svg")
    with pytest.raises(IsADirectoryError, match="it is a folder"):
        render(picture, tmp_path / "folder.svg")


@pytest.mark.skipif(getattr(os, "geteuid", lambda: 1)() == 0, reason="root may write everywhere")
def test_permission_is_checked_before_the_layout(picture, tmp_path, monkeypatch):
    monkeypatch.setattr(engine, "picture", refuse_to_draw)
    tmp_path.chmod(0o500)
    with pytest.raises(PermissionError, match="permission denied"):
        render(picture, tmp_path / "graph.svg")


def test_a_failure_leaves_the_old_file_and_nothing_else(picture, tmp_path, monkeypatch):
    path = tmp_path / "graph.svg"
    path.write_text("old")
    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", lambda self, target: (_ for _ in ()).throw(OSError("full")))
        with pytest.raises(OSError, match="full"):
            render(picture, path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
    render(picture, path)
    assert path.read_bytes().startswith(b"<?xml")


def test_a_link_is_followed_and_permissions_are_those_of_a_new_file(picture, tmp_path):
    (tmp_path / "real.svg").touch()
    reference = stat.S_IMODE((tmp_path / "real.svg").stat().st_mode)
    (tmp_path / "link.svg").symlink_to("real.svg")
    render(picture, tmp_path / "link.svg")
    assert (tmp_path / "link.svg").is_symlink()
    assert (tmp_path / "real.svg").read_bytes().startswith(b"<?xml")
    assert stat.S_IMODE((tmp_path / "real.svg").stat().st_mode) == reference


def test_dot_on_path_stands_in(picture, tmp_path, monkeypatch, no_embedded_engine):
    dot = tmp_path / "dot"
    dot.write_text('#!/bin/sh\ncat > /dev/null\nprintf "<svg>$FONTCONFIG_FILE</svg>"\n')
    dot.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.delenv("FONTCONFIG_FILE", raising=False)
    drawn = draw(to_dot(picture), "svg")
    assert drawn.startswith(b"<svg>")
    assert (b"fonts.conf" in drawn) == (fonts.font_folder() is not None)


def test_a_dot_that_fails_is_reported(picture, tmp_path, monkeypatch, no_embedded_engine):
    dot = tmp_path / "dot"
    dot.write_text("#!/bin/sh\ncat > /dev/null\necho 'no such plugin' >&2\nexit 1\n")
    dot.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    with pytest.raises(RenderError, match=r"failed on pdf: .*no such plugin"):
        draw(to_dot(picture), "pdf")


def test_no_engine_at_all_says_why_and_what_to_do(
    picture, tmp_path, monkeypatch, no_embedded_engine
):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RenderError, match=r"libsomething.*no `dot` on PATH.*Install Graphviz"):
        render(picture, tmp_path / "graph.pdf")
    assert not list(tmp_path.iterdir())
    for suffix in ("dot", "svg", "mmd", "txt"):
        assert render(picture, tmp_path / f"graph.{suffix}").exists()


def test_the_environment_is_left_as_it_was(picture, monkeypatch, capfd):
    monkeypatch.delenv("FONTCONFIG_FILE", raising=False)
    engine._layout.cache_clear()
    draw(to_dot(picture), "png")
    assert "FONTCONFIG_FILE" not in os.environ
    assert capfd.readouterr() == ("", "")


def test_fonts_that_were_chosen_are_respected(monkeypatch):
    monkeypatch.setenv("FONTCONFIG_FILE", "/somewhere/fonts.conf")
    with fonts.bundled_fonts():
        assert os.environ["FONTCONFIG_FILE"] == "/somewhere/fonts.conf"


# Run apart, since a process starts fontconfig up once. Writes PNGs of two words of equal length.
WORDS = """
import graphviz, sys
from autograd_core.render import fonts
from autograd_core.render.engine import draw
from autograd_core.render.dot import FONT
fonts._SYSTEM_FOLDERS = ()
for word in ("HAN", "NAH"):
    dot = graphviz.Digraph(node_attr={"shape": "box", "width": "2", "fontname": FONT})
    dot.node("n", label=f"<<B>{word}</B>>")
    open(f"{sys.argv[1]}/{word}.png", "wb").write(draw(dot, "png"))
"""


def words_differ(folder, **environment):
    environment = {k: v for k, v in os.environ.items() if k != "FONTCONFIG_FILE"} | environment
    subprocess.run([sys.executable, "-c", WORDS, str(folder)], check=True, env=environment)
    first, second = (np.asarray(Image.open(folder / f"{w}.png")) for w in ("HAN", "NAH"))
    return first.shape != second.shape or bool((first != second).any())


@pytest.mark.skipif(sys.platform != "linux", reason="other systems always have fonts")
def test_text_can_be_read_on_a_machine_without_fonts(tmp_path):
    nothing = tmp_path / "nothing.conf"
    nothing.write_text("<fontconfig></fontconfig>")
    # The comparison sees what it is meant to see: without any font, all letters are one box.
    assert not words_differ(tmp_path, FONTCONFIG_FILE=str(nothing))
    assert words_differ(tmp_path)


def test_glyphs_that_no_font_has_do_no_harm():
    x = leaf(label="😀 漢字 \U0001f9ff \U0010fffd ∇")
    image = Image.open(io.BytesIO(draw(to_dot(graph(x)), "png")))
    assert min(image.size) > 20


def test_png_is_sharp_and_the_digraph_is_not_changed(picture):
    dot = to_dot(picture)
    before = dot.source
    width = Image.open(io.BytesIO(draw(dot, "png"))).size[0]
    assert dot.source == before
    assert isinstance(dot, graphviz.Digraph)
    assert width > 200
    many = [Image.open(io.BytesIO(draw(dot, "png", nodes))).size[0] for nodes in (60, 61, 151)]
    assert many[0] == width and many[1] < 0.7 * width and many[2] < 0.8 * many[1]


# Texts of an SVG, which is shown in other fonts than it was laid out with. ------------------------


def test_the_widths_of_the_installed_font_are_known():
    from PIL import ImageFont

    (path,) = fonts.font_folder().glob("Roboto[[]*.ttf")
    for bold, weight in ((False, 400), (True, 700)):
        font = ImageFont.truetype(str(path), 1000)
        font.set_variation_by_axes([weight, 100])
        for c in fonts._CHARACTERS:
            assert abs(fonts.advance(c, 1000, bold) - font.getlength(c)) <= 1
    assert fonts.advance("漢", 9) is None and fonts.fitted("漢", 9) == ""


@pytest.mark.parametrize("build", ["graphviz", "built in"])
def test_texts_stay_within_their_nodes_in_any_font(build):
    x = ag.tensor(np.linspace(-1, 1, 6).reshape(2, 3), requires_grad=True, label="WiWi & <mm>")
    y = np.clip(np.reshape(np.tanh(x) * 1234567.0, (3, 2)), -12345.5, 0.25).sum()
    y.backward()
    drawing = drawing_of(y)
    svg = draw(digraph(drawing), "svg") if build == "graphviz" else layout.svg(drawing).encode()
    root = ElementTree.fromstring(svg)
    seen = 0
    for node in root.iter("{http://www.w3.org/2000/svg}g"):
        if node.get("class") != "node":
            continue
        outline = [float(x) for part in node for name in ("points", "d") for x in re.findall(
            r"(-?[\d.]+),-?[\d.]+", part.get(name) or "")]
        boxes = [(float(part.get("x")), float(part.get("x")) + float(part.get("width")))
                 for part in node.iter("{http://www.w3.org/2000/svg}rect")]
        left = min([*outline, *(a for a, _ in boxes)])
        right = max([*outline, *(b for _, b in boxes)])
        for text in node.iter("{http://www.w3.org/2000/svg}text"):
            length, at = float(text.get("textLength")), float(text.get("x"))
            at -= {"middle": length / 2, "end": length}.get(text.get("text-anchor"), 0)
            assert left - 0.5 <= at and at + length <= right + 0.5, text.text
            seen += 1
    assert seen > 12


# What would take Graphviz long. ------------------------------------------------------------------


def in_a_row(n):
    y = ag.tensor(0.5, requires_grad=True)
    for _ in range(n):
        y = np.sin(y)
    return y


def criss_cross(n):
    """Scalars, each of one before and one from anywhere; all lead to the output."""
    rng = np.random.default_rng(0)
    nodes = [ag.tensor(0.5, requires_grad=True) for _ in range(10)]
    for _ in range(n):
        nodes.append(nodes[-1 - rng.integers(10)] * nodes[rng.integers(len(nodes))])
    return sum(nodes[-10:], start=0.0)


def test_only_many_long_edges_are_hard():
    for y, labels, hard in (
        (in_a_row(300), True, False), (criss_cross(60), False, False),
        (criss_cross(400), False, True), (criss_cross(400), True, True),
    ):
        drawing = drawing_of(y, derivatives=labels, collapse=False)
        assert is_hard(drawing) is hard
    # Labels make layers twice as many.
    found = [is_hard(drawing_of(in_a_row(700)), labelled) for labelled in (False, True)]
    assert found == [False, True]


def test_what_would_take_long_has_a_simple_layout_and_says_so(tmp_path):
    y = criss_cross(400)
    ag.Graph(y).bprop()
    said = "Too many long edges for Graphviz: a simple layout instead"
    svg = ag.to_svg(y, values=True, shapes=True, derivatives=True, cotangents=True)
    assert said.lower() in svg.lower() and "∂" in svg
    assert said in ag.render(y, tmp_path / "y.html").read_text()
    assert "simple layout" not in ag.to_svg(in_a_row(300), values=True)
    assert ag.render(criss_cross(200), tmp_path / "y.pdf").stat().st_size > 1000
