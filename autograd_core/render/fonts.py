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
