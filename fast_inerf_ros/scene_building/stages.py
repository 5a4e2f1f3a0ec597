"""Stages of a long job: what is done and unchanged is skipped, what has changed is done again."""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fast_inerf_ros.errors import InputError
from fast_inerf_ros.io.atomic import write_text
from fast_inerf_ros.training.session import make_folder

LOG_FILE = "stages.json"
VERSION = 1

Work = Callable[[bool], None]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Record:
    """What is known of a stage.

    made_with: its options, and the results that it was made from. result: digest of what it
    wrote; None until it is finished. seconds: wall-clock time of the run that finished it.
    """

    made_with: Mapping[str, Any]
    result: str | None = None
    seconds: float = 0.0


class StageEnded(Exception):
    """A training was asked to stop. status: the exit status of the process."""

    def __init__(self, status: int) -> None:
        super().__init__(f"stopped with status {status}")
        self.status = status


class Stages:
    """The stages of a job in one folder, remembered in ``stages.json``."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / LOG_FILE
        self._folder = folder
        self._records = _read(self._file)

    def ensure(
        self,
        name: str,
        made_with: Mapping[str, object],
        outputs: Sequence[str],
        work: Work,
        after: Sequence[str] = (),
    ) -> bool:
        """Run a stage unless it was finished with the same options; return whether it ran.

        made_with: values that JSON can hold. outputs: files and folders that the work writes,
        relative to the folder of the job. work: is told whether an earlier run was begun with the
        same options and not finished, so that it may go on. after: stages whose results it uses.
        """
        wanted = json.loads(json.dumps(dict(made_with) | {key: self.result(key) for key in after}))
        why = self.why(name, wanted, outputs)
        if why is None:
            logger.info("%s: done already", name)
            return False
        logger.info("%s: %s", name, why)
        before = self._records.get(name)
        goes_on = before is not None and before.result is None and before.made_with == wanted
        self._keep(name, Record(wanted))
        began = time.monotonic()
        work(goes_on)
        seconds = time.monotonic() - began
        self._keep(name, Record(wanted, digest(self._folder, outputs), seconds))
        logger.info("%s: finished in %.0f s", name, seconds)
        return True

    def why(self, name: str, wanted: Mapping[str, object], outputs: Sequence[str]) -> str | None:
        """Why a stage has to run, None where it need not."""
        record = self._records.get(name)
        if record is None:
            return "begins"
        for key in dict.fromkeys([*wanted, *record.made_with]):
            old, new = record.made_with.get(key), wanted.get(key)
            if old != new:
                return f"again, because {key} changed{_from_to(old, new)}"
        if record.result is None:
            return "goes on, because it was not finished"
        gone = [output for output in outputs if not (self._folder / output).exists()]
        return f"again, because {gone[0]} is gone" if gone else None

    def result(self, name: str) -> str | None:
        """Digest of what a stage wrote; None where it was not run."""
        record = self._records.get(name)
        return None if record is None else record.result

    def forget(self, name: str) -> None:
        """Drop a stage that is not part of the job any more."""
        if self._records.pop(name, None) is not None:
            self._write()

    def seconds(self) -> dict[str, float]:
        """Wall-clock time of each finished stage."""
        return {
            name: record.seconds
            for name, record in self._records.items()
            if record.result is not None
        }

    def _keep(self, name: str, record: Record) -> None:
        self._records[name] = record
        self._write()

    def _write(self) -> None:
        stages = {name: asdict(record) for name, record in self._records.items()}
        content = {"version": VERSION, "stages": stages}
        write_text(self._file, json.dumps(content, indent=1) + "\n")


def job_folder(path: str) -> Path:
    """The folder of a job, made where it does not exist.

    Raises:
        InputError: a file, or a folder that holds other things: stages replace what is there.
    """
    folder = make_folder(path)
    others = [item.name for item in folder.iterdir() if not item.name.startswith(".")]
    if others and LOG_FILE not in others:
        raise InputError(
            f"{folder}: expected an empty folder or one of an earlier {LOG_FILE}, got one with "
            f"{sorted(others)[0]}: choose another --output"
        )
    return folder


def require_end(status: int) -> None:
    """StageEnded unless a training came to its end."""
    if status:
        raise StageEnded(status)


def digest(folder: Path, outputs: Sequence[str]) -> str:
    """SHA-256 of the names and contents of files, and of all files in folders.

    Raises:
        InputError: an output is not there.
    """
    total = hashlib.sha256()
    for output in outputs:
        if not (folder / output).exists():
            raise InputError(f"{folder / output}: expected the result of a stage, got no file")
        for path in _files(folder / output):
            total.update(str(path.relative_to(folder)).encode())
            with path.open("rb") as file:
                while block := file.read(1 << 22):
                    total.update(block)
    return total.hexdigest()


def _files(path: Path) -> Iterator[Path]:
    if path.is_file():
        yield path
    else:
        yield from sorted(inner for inner in path.rglob("*") if inner.is_file())


def _from_to(old: object, new: object) -> str:
    """The two values where they are short enough to say something."""
    texts = ["nothing" if value is None else json.dumps(value) for value in (old, new)]
    if max(map(len, texts)) > 40:
        return ""
    return f" from {texts[0]} to {texts[1]}"


def _read(file: Path) -> dict[str, Record]:
    """The records of a file; none where it is missing, or cannot be understood."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        if content["version"] != VERSION:
            raise ValueError(f"version {content['version']}")
        return {name: Record(**record) for name, record in content["stages"].items()}
    except FileNotFoundError:
        return {}
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        logger.warning("%s cannot be understood (%s): every stage begins anew", file, error)
        return {}
