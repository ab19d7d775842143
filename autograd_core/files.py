"""Whole files or none: every picture, page and set of weights is written through here."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["writable", "write_file"]


def writable(path: str | os.PathLike[str]) -> Path:
    """Where to write so that `path` holds the file, links followed.

    For asking before long work, since :func:`write_file` asks it too. Raises FileNotFoundError,
    NotADirectoryError, IsADirectoryError or PermissionError, with the path, if a file cannot be
    written there.

    >>> ag.writable("graph.svg").name
    'graph.svg'
    """
    target = Path(path).resolve()
    folder = target.parent
    if not folder.exists():
        raise FileNotFoundError(f"cannot write {path}: the folder {folder} does not exist")
    if not folder.is_dir():
        raise NotADirectoryError(f"cannot write {path}: {folder} is not a folder")
    if target.is_dir():
        raise IsADirectoryError(f"cannot write {path}: it is a folder")
    if not os.access(target if target.exists() else folder, os.W_OK):
        raise PermissionError(f"cannot write {path}: permission denied")
    return target


def write_file(path: str | os.PathLike[str], content: bytes) -> Path:
    """Put a whole file in place at once, and return its path: readers see the old or the new one.

    Raises what :func:`writable` raises, and OSError if the folder does not take the file; nothing
    is left behind then.

    >>> ag.write_file("notes.txt", b"whole").read_bytes()
    b'whole'
    """
    target = writable(path)
    # In the target's own folder, since a rename across file systems is a copy. Not `tempfile`,
    # whose files are private to the user: this one gets the permissions of any new file.
    partial = target.with_name(f".{os.urandom(8).hex()}.partial")
    try:
        with partial.open("xb") as file:
            file.write(content)
            # Else a crash of the machine could leave the new name with nothing in it.
            file.flush()
            os.fsync(file.fileno())
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
    return Path(path)
