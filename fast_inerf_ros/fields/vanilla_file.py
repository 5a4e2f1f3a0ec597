"""Files of NeRF checkpoints (`*.tar`), as nerf-pytorch reads and writes them."""

from __future__ import annotations

from os import PathLike

from fast_inerf_ros.fields.vanilla_checkpoint import VanillaCheckpoint
from fast_inerf_ros.io.tensor_file import load_tensors, save_tensors


def save_vanilla(checkpoint: VanillaCheckpoint, path: str | PathLike[str]) -> None:
    """Write a checkpoint atomically: a full disk or a kill leaves the old file whole.

    The same checkpoint always gives the same bytes.
    """
    save_tensors(path, checkpoint.to_dict())


def load_vanilla(path: str | PathLike[str]) -> VanillaCheckpoint:
    """Read a checkpoint of nerf-pytorch, or of this package, to the CPU.

    Only tensors and plain values are unpickled; nothing in the file is executed.

    Raises InputError, in one line, for a file that is missing, truncated, foreign or refused,
    and with every difference of keys and shapes for the wrong network.
    """
    return VanillaCheckpoint.from_dict(load_tensors(path), str(path))
