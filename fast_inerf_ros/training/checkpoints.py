"""Checkpoints of a training: numbered files in a folder, the newest of them kept."""

from __future__ import annotations

import fcntl
import json
import logging
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fast_inerf_ros.errors import InputError
from fast_inerf_ros.io.tensor_file import DamagedFile, load_tensors, save_tensors

RECORD = "fast_inerf_ros_training"
"""Key of the record, JSON text, beside what the field itself stores."""

RECORD_VERSION = 1
LOCK = ".training.lock"

_NAME = re.compile(r"\d{6,}\.tar")
_LEFT_BEHIND = re.compile(r"\.\d{6,}\.[0-9a-f]{8}\.tar")

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainingRecord:
    """What the loop itself must know to go on.

    kind: of the field. step, seconds: how long it was trained. config: its options, as YAML.
    """

    kind: str
    step: int
    seconds: float
    config: str


@dataclass(frozen=True)
class SavedTraining:
    """A checkpoint as read: ``record`` is None in those that nerf-pytorch wrote."""

    path: Path
    record: TrainingRecord | None
    state: Mapping[str, Any]


class CheckpointStore:
    """The checkpoints ``<step>.tar`` of one training; keep 0 keeps all."""

    def __init__(self, folder: Path, keep: int = 0) -> None:
        self.folder = folder
        self._keep = keep

    def paths(self) -> list[Path]:
        """All checkpoints, the newest last."""
        if not self.folder.is_dir():
            return []
        found = [path for path in self.folder.iterdir() if _NAME.fullmatch(path.name)]
        return sorted(found, key=lambda path: int(path.stem))

    def save(self, record: TrainingRecord, state: Mapping[str, Any]) -> Path:
        """Write a checkpoint, then remove those that are not to be kept.

        Raises OSError where it cannot be written; the earlier ones stay.
        """
        path = self.folder / f"{record.step:06d}.tar"
        text = json.dumps({"version": RECORD_VERSION, **asdict(record)})
        save_tensors(path, {**state, RECORD: text})
        for old in self.paths()[: -self._keep] if self._keep else []:
            old.unlink(missing_ok=True)
        return path

    def newest(self) -> SavedTraining | None:
        """The newest checkpoint that can be read, or None where there is none at all.

        Damaged ones are passed over with a warning. Raises InputError if all are damaged.
        """
        paths = self.paths()
        for path in reversed(paths):
            try:
                return read_checkpoint(path)
            except DamagedFile as error:
                logger.warning("passing over a damaged checkpoint: %s", error)
        if paths:
            raise InputError(
                f"{self.folder}: expected a checkpoint to resume from, got {len(paths)} damaged "
                "ones; remove them or start again with --no-resume"
            )
        return None

    def set_aside(self) -> Path | None:
        """Move all checkpoints into a new folder beside them; return it, None without any."""
        paths = self.paths()
        if not paths:
            return None
        number = 1
        while (folder := self.folder / f"earlier_{number}").exists():
            number += 1
        folder.mkdir()
        for path in paths:
            path.rename(folder / path.name)
        return folder

    def remove_left_behind(self) -> None:
        """Remove what killed processes left half-written; only while the folder is locked."""
        for path in self.folder.iterdir():
            if _LEFT_BEHIND.fullmatch(path.name):
                path.unlink(missing_ok=True)


def read_checkpoint(path: Path) -> SavedTraining:
    """Read a checkpoint of ours or of nerf-pytorch; raises InputError or DamagedFile."""
    values = load_tensors(path)
    if not isinstance(values, Mapping):
        raise DamagedFile(
            f"{path}: expected a checkpoint with named entries, got a {type(values).__name__}; "
            "give a checkpoint of this package or of nerf-pytorch"
        )
    state = {str(key): value for key, value in values.items() if key != RECORD}
    return SavedTraining(path, _record(values.get(RECORD), path), state)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other trainings out of a folder; a killed process keeps nobody out.

    Raises InputError where another process trains in it.
    """
    descriptor = os.open(folder / LOCK, os.O_CREAT | os.O_RDWR, 0o666)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(
                f"{folder}: expected no other training in this folder, got a running one; "
                "wait for its end or give another folder"
            ) from None
        yield
    finally:
        os.close(descriptor)


def _record(text: object, path: Path) -> TrainingRecord | None:
    if text is None:
        return None
    try:
        values = json.loads(text) if isinstance(text, str) else {}
        version = values.pop("version")
        record = TrainingRecord(**values)
        numbers = (float(record.seconds), int(record.step))
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError):
        raise DamagedFile(
            f"{path}: expected the record of a training in {RECORD}, got something else; remove "
            "the file"
        ) from None
    if version != RECORD_VERSION:
        raise InputError(
            f"{path}: expected version {RECORD_VERSION} of checkpoints, got {version!r}; update "
            "this package"
        )
    if min(numbers) < 0:
        raise DamagedFile(f"{path}: expected step and seconds >= 0, got {numbers}")
    return record
