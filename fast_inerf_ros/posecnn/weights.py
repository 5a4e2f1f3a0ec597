"""Files of weights: read without executing anything, differences listed in one line."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from typing import Any

import torch
from torch import Tensor

from fast_inerf_ros.errors import InputError
from fast_inerf_ros.io.tensor_file import load_tensors

MAX_LISTED = 8


def read_weights(path: str | PathLike[str]) -> dict[str, Tensor]:
    """A file that is a bare state dict.

    Raises:
        InputError: missing, truncated or foreign (nothing in it is executed), and where it
            holds anything but named tensors.
    """
    return require_tensors(load_tensors(path), str(path))


def require_tensors(content: object, source: str) -> dict[str, Tensor]:
    """The content as a state dict; raises InputError where it is none."""
    if not isinstance(content, Mapping):
        raise InputError(
            f"{source}: expected a state dict, got a {type(content).__name__}; "
            "give a checkpoint of PoseCNN"
        )
    strange = [
        f"{k!s:.40} is a {type(v).__name__}" for k, v in content.items() if not _named(k, v)
    ]
    if strange or not content:
        raise InputError(
            f"{source}: expected named tensors, got {_listed(strange) if strange else 'nothing'}; "
            "give a checkpoint of PoseCNN"
        )
    return dict(content)


def check_weights(
    state: Mapping[str, Tensor], expected: Mapping[str, tuple[int, ...]], source: str
) -> None:
    """Raise InputError, in one line, that lists every kind of difference from the shapes."""
    problems = [f"missing {name} {shape}" for name, shape in expected.items() if name not in state]
    problems += [
        f"unknown {name!s:.60} {tuple(value.shape)}"
        for name, value in state.items()
        if name not in expected
    ]
    for name in (name for name in expected if name in state):
        problems += _problems(name, state[name], expected[name])
    if problems:
        raise InputError(
            f"{source}: weights of another network: {_listed(problems)}; give a checkpoint that "
            "was trained with this backbone and these classes"
        )


def _problems(name: str, value: Tensor, shape: tuple[int, ...]) -> list[str]:
    if tuple(value.shape) != shape:
        return [f"{name} expected {shape} got {tuple(value.shape)}"]
    if not value.is_floating_point():
        return [f"{name} expected floating point got {value.dtype}"]
    return [] if bool(torch.isfinite(value).all()) else [f"{name} holds NaN or infinity"]


def _named(key: Any, value: Any) -> bool:
    return isinstance(key, str) and isinstance(value, Tensor)


def _listed(items: list[str]) -> str:
    more = f" and {len(items) - MAX_LISTED} more" if len(items) > MAX_LISTED else ""
    return ", ".join(items[:MAX_LISTED]) + more
