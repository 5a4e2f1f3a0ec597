"""Field checkpoints: one ``.npz`` of plain arrays and a JSON header, nothing executable.

The header says the format, its version, the kind of field, where the field lies, and what the
kind of field itself wants to remember. Files are written beside their place and renamed.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from os import PathLike
from typing import Any

import numpy as np
import torch

from fast_inerf_ros.errors import InputError
from fast_inerf_ros.fields.field import Field, FieldState
from fast_inerf_ros.fields.registry import field_class
from fast_inerf_ros.geometry.field_frame import FieldFrame
from fast_inerf_ros.geometry.se3 import SE3
from fast_inerf_ros.io.atomic import atomic_path

FORMAT = "fast_inerf_ros field"
VERSION = 2
MAX_BYTES = 4 << 30
"""Files that claim to unpack to more are refused unread."""


def save_field(path: str | PathLike[str], field: Field, *, compress: bool = True) -> None:
    """Write a field, atomically; see ``load_field``."""
    save_state(path, field.state(), compress=compress)


def load_field(path: str | PathLike[str], device: torch.device | str = "cpu") -> Field:
    """Read a field of whatever kind.

    Raises:
        InputError: no such file, not a checkpoint of a field, truncated, or entries missing or
            misshapen, all of them listed.
    """
    state = load_state(path)
    try:
        return field_class(state.kind).from_state(state, device)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def save_state(path: str | PathLike[str], state: FieldState, *, compress: bool = True) -> None:
    """Write the state of a field, atomically."""
    header = {
        "format": FORMAT,
        "version": VERSION,
        "kind": state.kind,
        "T_world_field": state.frame.matrix().tolist(),
        "metres_per_unit": state.frame.metres_per_unit,
        "metric": state.frame.metric,
        "metadata": dict(state.metadata),
    }
    text = np.frombuffer(json.dumps(header, allow_nan=False).encode(), dtype=np.uint8)
    write: Any = np.savez_compressed if compress else np.savez
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        write(file, header=text, **dict(state.arrays))


def load_state(path: str | PathLike[str]) -> FieldState:
    """Read the state of a field without executing anything; raises InputError."""
    try:
        entries = _entries(path)
    except FileNotFoundError:
        raise InputError(f"{path}: expected the checkpoint of a field, got no such file") from None
    except InputError:
        raise
    except Exception as e:  # zipfile, zlib and numpy raise many kinds for damaged files
        reason = str(e).splitlines()[0] if str(e) else type(e).__name__
        raise InputError(
            f"{path}: expected the checkpoint of a field, got a foreign or damaged file "
            f"({reason}); train or bake the field again"
        ) from None
    try:
        header = json.loads(entries.pop("header").tobytes())
    except (KeyError, ValueError, UnicodeDecodeError):
        raise InputError(f"{path}: expected the checkpoint of a field, got no header") from None
    return _state(path, header, entries)


def _entries(path: str | PathLike[str]) -> dict[str, np.ndarray]:
    with zipfile.ZipFile(path) as archive:
        total = sum(info.file_size for info in archive.infolist())
        if total > MAX_BYTES:
            raise InputError(f"{path}: expected at most {MAX_BYTES} bytes of arrays, got {total}")
    with np.load(path, allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}


def _state(path: str | PathLike[str], header: Any, arrays: Mapping[str, np.ndarray]) -> FieldState:
    expected = ("format", "version", "kind", "T_world_field", "metres_per_unit", "metric")
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        raise InputError(f"{path}: expected the checkpoint of a field, got another file")
    if header.get("version") != VERSION:
        raise InputError(
            f"{path}: expected version {VERSION} of the format, got {header.get('version')!r}; "
            "update this package or train again"
        )
    missing = [name for name in (*expected, "metadata") if name not in header]
    if missing:
        raise InputError(f"{path}: header lacks {', '.join(missing)}")
    try:
        pose = SE3.from_matrix(np.asarray(header["T_world_field"], dtype=np.float64))
        frame = FieldFrame(pose, float(header["metres_per_unit"]), bool(header["metric"]))
    except (TypeError, ValueError) as error:
        raise InputError(f"{path}: where the field lies: {error}") from None
    if not isinstance(header["metadata"], dict):
        raise InputError(f"{path}: expected metadata as a mapping, got {header['metadata']!r}")
    return FieldState(str(header["kind"]), frame, header["metadata"], arrays)
