"""Files of tensors and plain values: written whole or not at all, read without executing them."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import torch

from fast_inerf_ros.errors import InputError
from fast_inerf_ros.io.atomic import atomic_path


class DamagedFile(InputError):
    """A file that is not what a checkpoint must be: truncated, foreign or refused."""


def save_tensors(path: str | PathLike[str], values: Mapping[str, Any]) -> None:
    """Write tensors and plain values atomically; the same values always give the same bytes.

    Raises OSError where the disk is full; the old file stays.
    """
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        try:
            torch.save(dict(values), file)
        except RuntimeError as error:  # torch hides the reason of a failed write behind its own
            reason = error.__context__ or error.__cause__
            if isinstance(reason, OSError):
                raise reason from None
            raise OSError(f"{path}: cannot be written ({_first_line(error)})") from None


def load_tensors(path: str | PathLike[str]) -> object:
    """Read tensors, to the CPU, and plain values; nothing in the file is executed.

    Raises InputError, in one line, for a missing file, and DamagedFile for a truncated or
    foreign one or one that holds anything else.
    """
    file = Path(path)
    if not file.is_file():
        raise InputError(f"{file}: expected a checkpoint, got no such file; check the path")
    try:
        return torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise DamagedFile(
            f"{file}: expected a checkpoint of tensors and plain values, got something else "
            f"({_first_line(error)}); it was not executed, give a file of this package or of "
            "nerf-pytorch"
        ) from None
    except OSError as error:
        raise InputError(f"{file}: cannot be read: {error.strerror}; check the disk") from None
    except MemoryError:
        raise
    except Exception as error:  # arbitrary bytes make the reader fail in arbitrary ways
        raise DamagedFile(
            f"{file}: expected a checkpoint, got a truncated or foreign file "
            f"({type(error).__name__}: {_first_line(error)}); copy it again"
        ) from None


def _first_line(error: BaseException, limit: int = 120) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    reasons = [line for line in lines if "WeightsUnpickler error" in line] or lines
    text = reasons[0] if reasons else "no reason given"
    return text if len(text) <= limit else text[: limit - 3] + "..."
