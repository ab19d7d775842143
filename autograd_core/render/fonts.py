"""A font for machines that have none.

Graphviz finds its fonts through fontconfig. Where no font is installed, as in most containers, the
text of a PNG or PDF comes out as empty boxes, without an error. A font is therefore installed with
this package (on Linux; other systems always have one), and fontconfig is told of it. It comes first
on machines with fonts of their own too, so that a graph is laid out alike everywhere.
"""

from __future__ import annotations

import contextlib
import html
import importlib.util
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

# The installed font, or else the one that comes with matplotlib. The packages are only located,
# never imported: matplotlib alone would take most of a second.
_SOURCES = (("fontpkg_roboto", "files"), ("matplotlib", "mpl-data/fonts/ttf"))

# Read after ours, for the characters that ours lacks. Listing folders rather than including the
# system's own configuration keeps the layout independent of that configuration.
_SYSTEM_FOLDERS = ("/usr/share/fonts", "/usr/local/share/fonts", "~/.local/share/fonts", "~/.fonts")

# `rescan` 0: fontconfig reads the configuration once. The file is gone afterwards.
_CONFIGURATION = """\
<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig>
{folders}
  <cachedir>/var/cache/fontconfig</cachedir>
  <cachedir prefix="xdg">fontconfig</cachedir>
  <cachedir>{scratch}</cachedir>
  <config><rescan><int>0</int></rescan></config>
</fontconfig>
"""

# How wide characters are in that font, in thousandths of its size.
_CHARACTERS = "".join(map(chr, range(32, 127))) + "\u00a0\u00b7\u00d7\u2212\u2026\u2013\u2014"
_REGULAR = (
    248, 258, 320, 616, 562, 732, 622, 175, 342, 348, 431, 567, 197, 276, 264, 413, 562, 562,
    562, 562, 562, 562, 562, 562, 562, 562, 242, 211, 508, 549, 523, 473, 898, 652, 623, 651,
    656, 568, 553, 681, 713, 272, 552, 627, 539, 873, 713, 688, 631, 688, 616, 594, 597, 648,
    637, 887, 627, 601, 599, 265, 411, 265, 418, 451, 309, 544, 562, 523, 564, 530, 348, 562,
    551, 243, 239, 507, 243, 877, 552, 570, 562, 568, 339, 516, 327, 551, 484, 751, 496, 473,
    496, 338, 244, 338, 680, 248, 261, 534, 572, 669, 656, 781,
)
_BOLD = (
    249, 271, 318, 592, 574, 739, 658, 161, 350, 351, 454, 545, 246, 394, 290, 371, 574, 574,
    574, 574, 574, 574, 574, 574, 574, 574, 282, 263, 510, 574, 516, 498, 896, 672, 638, 654,
    650, 562, 549, 682, 706, 292, 559, 636, 541, 875, 706, 689, 645, 689, 641, 616, 620, 659,
    653, 875, 635, 619, 607, 277, 421, 277, 438, 445, 330, 535, 562, 521, 563, 540, 358, 571,
    560, 265, 260, 534, 265, 866, 561, 564, 562, 564, 366, 514, 338, 560, 506, 734, 509, 503,
    509, 330, 252, 330, 648, 249, 302, 531, 555, 741, 630, 762,
)
_ADVANCES = {False: dict(zip(_CHARACTERS, _REGULAR, strict=True)),
             True: dict(zip(_CHARACTERS, _BOLD, strict=True))}


def advance(text: str, size: float, bold: bool = False) -> float | None:
    """How wide a line is in the installed font; None where that is not known."""
    known = _ADVANCES[bold]
    if not all(c in known for c in text):
        return None
    return sum(known[c] for c in text) * size / 1000


def fitted(text: str, size: float, bold: bool = False) -> str:
    """An attribute for a text in an SVG: to be as wide as in the installed font, for which there is
    room, also where it is shown in another. Nothing where that is not known."""
    width = advance(text, size, bold)
    if not width:
        return ""
    return f' textLength="{width:.2f}" lengthAdjust="spacingAndGlyphs"'


def font_folder() -> Path | None:
    """The folder of the font installed with this package, None where there is none."""
    for package, folder in _SOURCES:
        spec = importlib.util.find_spec(package)
        for location in (spec and spec.submodule_search_locations) or ():
            if (fonts := Path(location, folder)).is_dir():
                return fonts
    return None


@contextlib.contextmanager
def bundled_fonts() -> Iterator[None]:
    """Within the block, a fontconfig that starts up finds the installed font.

    Does nothing where there is no such font, or where FONTCONFIG_FILE is set already: whoever set
    it has chosen the fonts.
    """
    folder = font_folder()
    if folder is None or "FONTCONFIG_FILE" in os.environ:
        yield
        return
    with tempfile.TemporaryDirectory(prefix="autograd-core-fonts-") as scratch:
        configuration = Path(scratch, "fonts.conf")
        configuration.write_text(_configuration(folder, scratch), encoding="utf-8")
        os.environ["FONTCONFIG_FILE"] = str(configuration)
        try:
            yield
        finally:
            del os.environ["FONTCONFIG_FILE"]


def _configuration(folder: Path, scratch: str) -> str:
    folders = [str(folder), *map(os.path.expanduser, _SYSTEM_FOLDERS)]
    return _CONFIGURATION.format(
        folders="\n".join(f"  <dir>{html.escape(path)}</dir>" for path in folders),
        scratch=html.escape(scratch),
    )
