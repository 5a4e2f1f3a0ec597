"""Landmark files: one ``.npz`` of plain arrays and a JSON header, nothing executable."""

from __future__ import annotations

import hashlib
import json
import zipfile
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from fast_inerf_ros.errors import InputError
from fast_inerf_ros.geometry.se3 import SE3
from fast_inerf_ros.inerf.features.registry import make_extractor
from fast_inerf_ros.inerf.landmarks import Landmarks
from fast_inerf_ros.io.atomic import atomic_path

FORMAT = "fast_inerf_ros landmarks"
VERSION = 1
MAX_BYTES = 256 << 20
"""Files that claim to unpack to more are refused unread."""

ARRAYS = {
    "points": (np.float32, 2),
    "views": (np.float32, 2),
    "n_seen": (np.int32, 1),
    "descriptors": (np.uint8, 2),
    "owner": (np.int32, 1),
    "viewpoints": (np.float64, 3),
}


def field_id(path: str | PathLike[str]) -> str:
    """What identifies the field of a file: the SHA-256 of its bytes."""
    digest = hashlib.sha256()
    with Path(path).open("rb") as file:
        while block := file.read(1 << 22):
            digest.update(block)
    return digest.hexdigest()


def save_landmarks(path: str | PathLike[str], landmarks: Landmarks) -> None:
    """Write landmarks atomically; see ``load_landmarks``."""
    header = {
        "format": FORMAT,
        "version": VERSION,
        "extractor": landmarks.extractor,
        "field_id": landmarks.field_id,
    }
    text = np.frombuffer(json.dumps(header).encode(), dtype=np.uint8)
    arrays = {name: getattr(landmarks, name) for name in ARRAYS}
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, header=text, **arrays)


def load_landmarks(path: str | PathLike[str], expected_field: str | None = None) -> Landmarks:
    """Read landmarks.

    expected_field: ``field_id`` of the field that they must belong to; None for any.

    Raises:
        InputError: no such file, foreign, damaged, or the landmarks of another field.
    """
    try:
        landmarks = _read(path)
    except FileNotFoundError:
        raise InputError(f"{path}: expected a landmark file, got no such file") from None
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    except Exception as error:  # zipfile, zlib and numpy raise many kinds for damaged files
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(
            f"{path}: expected a landmark file, got a foreign or damaged one ({reason}); build "
            "it again with build_landmarks"
        ) from None
    if expected_field is not None and landmarks.field_id != expected_field:
        raise InputError(
            f"{path}: expected landmarks of this scene's field ({expected_field[:12]}), got those "
            f"of another one ({landmarks.field_id[:12]}); build them again with build_landmarks"
        )
    return landmarks


def _read(path: str | PathLike[str]) -> Landmarks:
    with zipfile.ZipFile(path) as archive:
        total = sum(info.file_size for info in archive.infolist())
        if total > MAX_BYTES:
            raise InputError(f"expected at most {MAX_BYTES} bytes of arrays, got {total}")
    with np.load(path, allow_pickle=False) as stored:
        entries = {name: stored[name] for name in stored.files}
    header: Any = json.loads(entries.pop("header").tobytes())
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        raise InputError("expected a landmark file, got another kind of file")
    if header.get("version") != VERSION:
        raise InputError(f"expected version {VERSION}, got {header.get('version')!r}")
    for name, (dtype, n_axes) in ARRAYS.items():
        found = entries.get(name)
        if found is None or found.dtype != dtype or found.ndim != n_axes:
            raise InputError(f"{name}: expected {np.dtype(dtype)} with {n_axes} axes")
    found = Landmarks(
        **{name: entries[name] for name in ARRAYS},
        extractor=str(header.get("extractor")),
        field_id=str(header.get("field_id")),
    )
    _require_consistent(found)
    return found


def _require_consistent(landmarks: Landmarks) -> None:
    n, m = len(landmarks.points), len(landmarks.owner)
    length = make_extractor(landmarks.extractor).length
    shapes = (landmarks.points.shape, landmarks.views.shape, landmarks.n_seen.shape)
    if shapes != ((n, 3), (n, 3), (n,)) or landmarks.descriptors.shape != (m, length):
        raise InputError(f"expected arrays that belong together, got shapes {shapes}")
    if not (np.isfinite(landmarks.points).all() and np.isfinite(landmarks.views).all()):
        raise InputError("expected finite points and directions, got NaN or infinity")
    if m and not 0 <= landmarks.owner.min() <= landmarks.owner.max() < n:
        raise InputError("expected descriptors of landmarks that exist")
    try:
        SE3.from_matrix(landmarks.viewpoints)
    except InputError as error:
        raise InputError(f"viewpoints: {error}") from None
