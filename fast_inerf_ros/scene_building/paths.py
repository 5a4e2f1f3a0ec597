"""Paths as scene files name them."""

from __future__ import annotations

from pathlib import Path


def written_path(path: str, folder: Path) -> str:
    """A path as a scene file in `folder` names it: relative where it lies below the folder."""
    resolved, root = Path(path).resolve(), folder.resolve()
    return str(resolved.relative_to(root)) if resolved.is_relative_to(root) else str(resolved)
