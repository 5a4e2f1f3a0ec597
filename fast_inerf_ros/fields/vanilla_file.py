"""Files of NeRF checkpoints (`*.tar`), as nerf-pytorch reads and writes them."""

from __future__ import annotations

import io
import pickle
from os import PathLike
from pathlib import Path

import torch

from fast_inerf_ros.errors import InputError
from fast_inerf_ros.fields.vanilla_checkpoint import VanillaCheckpoint
from fast_inerf_ros.io.atomic import atomic_path


def save_vanilla(checkpoint: VanillaCheckpoint, path: str | PathLike[str]) -> None:
    """Write a checkpoint atomically: a full disk or a kill leaves the old file whole.

    The same checkpoint always gives the same bytes.
    """
    buffer = io.BytesIO()
    torch.save(checkpoint.to_dict(), buffer)
    with atomic_path(path) as temporary:
        temporary.write_bytes(buffer.getbuffer())


def load_vanilla(path: str | PathLike[str]) -> VanillaCheckpoint:
    """Read a checkpoint of nerf-pytorch, or of this package, to the CPU.

    Only tensors and plain values are unpickled; nothing in the file is executed.

    Raises InputError, in one line, for a file that is missing, truncated, foreign or refused,
    and with every difference of keys and shapes for the wrong network.
    """
    file = Path(path)
    if not file.is_file():
        raise InputError(f"{file}: expected a checkpoint, got no such file; check the path")
    return VanillaCheckpoint.from_dict(_unpickled(file), str(file))


def _unpickled(file: Path) -> object:
    try:
        return torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise InputError(
            f"{file}: expected a checkpoint of tensors and plain values, got something else "
            f"({_first_line(error)}); it was not executed, give a checkpoint of nerf-pytorch"
        ) from None
    except OSError as error:
        raise InputError(f"{file}: cannot be read: {error.strerror}; check the disk") from None
    except MemoryError:
        raise
    except Exception as error:  # arbitrary bytes make the reader fail in arbitrary ways
        raise InputError(
            f"{file}: expected a checkpoint, got a truncated or foreign file "
            f"({type(error).__name__}: {_first_line(error)}); copy it again"
        ) from None


def _first_line(error: BaseException, limit: int = 120) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    reasons = [line for line in lines if "WeightsUnpickler error" in line] or lines
    text = reasons[0] if reasons else "no reason given"
    return text if len(text) <= limit else text[: limit - 3] + "..."
