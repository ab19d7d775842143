"""An offline page: one HTML file that holds all it needs and asks nobody for more.

The shell that all pages share (`shell.html`, `.css`, `.js`) brings light and dark, a player with
slider and keyboard, and what reads the data. A page adds its own markup, style and script.

What a page shows enters it in two ways only. As data: JSON in a script element that is never run,
`<` written as `\\u003c` so that nothing in it ends the element; the script puts it on the screen
through `textContent`. As markup: escaped, by `text`. Its own style and script are let through by
their hashes, everything else is forbidden (Content-Security-Policy): markup that was injected in
spite of all this could neither run nor call home.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from typing import Any

__all__ = ["html_page"]

_POLICY = (
    "default-src 'none'; base-uri 'none'; form-action 'none'; "
    "style-src 'sha256-{style}'; script-src 'sha256-{script}'"
)


def html_page(
    title: str,
    *,
    subtitle: str = "",
    body: str,
    data: Any,
    style: str,
    script: str,
    keys: Mapping[str, str] | None = None,
    tools: str = "",
) -> bytes:
    """A page that steps through `data`, as one HTML file that makes no network request.

    `title` and `subtitle` are plain text. `body` and `tools`, which goes to the top beside the
    switch for light and dark, are markup and trusted: escape what they quote. `data` is made of
    dicts, lists, strings and numbers; floats that JSON cannot hold arrive as strings. `style` and
    `script` come after those of the shell, which gives the script `data`, `element`, `player` and
    `themeChanged`. `keys` adds to the list of keys that the page's help shows.

    Raises TypeError for data of another kind.

    >>> page = ag.html_page("<Two>", body="<p id=n></p>", data=[1, 2], style="",
    ...                     script="player({length: 2, show: i => { n.textContent = data[i] }})")
    >>> b"<title>&lt;Two&gt;</title>" in page
    True
    """
    from string import Template  # this and others late, since few programs write pages

    style = f"{_part('shell.css')}\n{style}"
    script = f'"use strict";\n{{\n{_part("shell.js")}\n{script}\n}}\n'
    rows = "".join(f"<dt>{text(key)}</dt><dd>{text(what)}</dd>" for key, what in
                   (keys or {}).items())
    page = Template(_part("shell.html")).substitute(
        policy=_POLICY.format(style=_hash(style), script=_hash(script)),
        title=text(title), subtitle=text(subtitle), body=body, tools=tools, keys=rows,
        style=style, script=script, data=_json(data),
    )
    # What has no UTF-8 (half a surrogate pair) is no text and cannot be shown.
    return page.encode("utf-8", "replace")


def text(plain: str) -> str:
    """The door through which text enters markup."""
    import html

    return html.escape(plain, quote=True)


def part(package: str, name: str) -> str:
    """A file that is installed beside a module."""
    from importlib import resources

    return resources.files(package).joinpath(name).read_text("utf-8")


@functools.cache
def _part(name: str) -> str:
    return part(__package__, name)


def _hash(content: str) -> str:
    import base64
    import hashlib

    return base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()


def _json(data: Any) -> str:
    import json

    try:
        plain = json.dumps(data, allow_nan=False, separators=(",", ":"))
    except ValueError:
        plain = json.dumps(_finite(data), allow_nan=False, separators=(",", ":"))
    # `<` ends the element; `>` and `&` are not needed either.
    return plain.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _finite(data: Any) -> Any:
    """The same, floats that JSON does not know as strings."""
    if isinstance(data, float):
        return data if math.isfinite(data) else str(data)
    if isinstance(data, dict):
        return {key: _finite(value) for key, value in data.items()}
    if isinstance(data, (list, tuple)):
        return [_finite(value) for value in data]
    return data
