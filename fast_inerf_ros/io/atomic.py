"""Files that are either whole or not there: written beside their place, then renamed."""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from os import PathLike
from pathlib import Path

from fast_inerf_ros.errors import InputError


@contextmanager
def atomic_path(path: str | PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path to write; at the end of the block it takes the place of `path`.

    The temporary file exists, is empty, lies in the same folder and keeps the suffix, by which
    many writers choose a format. On any exception inside the block, and where the data cannot
    reach the disk, it is removed and the old file stays. A killed process leaves the old file
    and a hidden temporary one. A new file has the permissions of the umask, a replaced one
    keeps its own; a symbolic link stays a link.

    Raises InputError where `path` is a folder or its folder does not exist.
    """
    target = Path(path).resolve()
    if target.is_dir():
        raise InputError(f"{path}: expected the name of a file, got a folder")
    if not target.parent.is_dir():
        raise InputError(f"{path}: the folder {target.parent} does not exist: create it first")
    temporary = _created_beside(target)
    try:
        yield temporary
        _flush_to_disk(temporary)
        temporary.replace(target)
    except BaseException:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise
    _flush_to_disk(target.parent)


def write_text(path: str | PathLike[str], text: str) -> None:
    """Write a UTF-8 text file atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def _created_beside(target: Path) -> Path:
    temporary = target.with_name(f".{target.stem[:100]}.{secrets.token_hex(4)}{target.suffix}")
    # tempfile would ignore the umask and hide the file from other users.
    os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    with suppress(FileNotFoundError):
        temporary.chmod(stat.S_IMODE(target.stat().st_mode))
    return temporary


def _flush_to_disk(path: Path) -> None:
    """Wait until a file's data, or a folder's entries, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
