"""The processes that train together, as ``torchrun`` starts them; usually there is one."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import torch
import torch.distributed

Value = TypeVar("Value")


@dataclass(frozen=True)
class Processes:
    """This process among those that train one field; all calls are made by all of them."""

    rank: int = 0
    count: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this process alone writes files and talks to the user."""
        return self.rank == 0

    def share(self, n_items: int) -> slice:
        """The part of a batch of ``n_items`` that this process works on."""
        first, last = (n_items * rank // self.count for rank in (self.rank, self.rank + 1))
        return slice(first, last)

    def add(self, tensor: torch.Tensor) -> torch.Tensor:
        """Replace a tensor by its sum over all processes, equal in all of them."""
        if self.count > 1:
            torch.distributed.all_reduce(tensor)
        return tensor

    def either(self, bits: torch.Tensor) -> torch.Tensor:
        """The bits (n,) that are set in any process."""
        if self.count == 1:
            return bits
        # NCCL has no bitwise reduction.
        gathered = [torch.empty_like(bits) for _ in range(self.count)]
        torch.distributed.all_gather(gathered, bits)
        joined = gathered[0]
        for other in gathered[1:]:
            joined |= other
        return joined

    def join(self, tensor: torch.Tensor, n_items: int) -> torch.Tensor:
        """The rows of all processes, whose shares of ``n_items`` rows these are, in order."""
        if self.count == 1:
            return tensor
        whole = tensor.new_zeros(n_items, *tensor.shape[1:])
        whole[self.share(n_items)] = tensor
        return self.add(whole)

    def from_first(self, value: Value) -> Value:
        """The value of the first process, in all of them."""
        if self.count == 1:
            return value
        values: list[Value] = [value]
        torch.distributed.broadcast_object_list(values, src=0)
        return values[0]

    def agree(self, seconds: float, stop: bool) -> tuple[float, bool]:
        """The clock of the first process, and whether any of them wants to stop."""
        if self.count == 1:
            return seconds, stop
        device = f"cuda:{torch.cuda.current_device()}" if _on_gpu() else "cpu"
        news = torch.tensor(
            [seconds if self.is_first else 0.0, float(stop)], dtype=torch.float64, device=device
        )
        clock, wishes = self.add(news).tolist()
        return clock, wishes > 0.0


def average_gradients(
    processes: Processes, parameters: Sequence[torch.nn.Parameter], weight: float
) -> None:
    """Replace gradients by their mean over all processes, each weighted (the weights sum to 1).

    Parameters without a gradient, the same in all processes, stay without one.
    """
    if processes.count == 1:
        return
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    flat = torch.cat([gradient.reshape(-1) for gradient in gradients]) * weight
    processes.add(flat)
    sizes = [gradient.numel() for gradient in gradients]
    for gradient, part in zip(gradients, torch.split(flat, sizes), strict=True):
        gradient.copy_(part.view_as(gradient))


@contextmanager
def joined_processes(device: str) -> Iterator[tuple[Processes, torch.device]]:
    """Meet the other processes that torchrun started, if it did; yield them and the device.

    device: "auto" takes a GPU where there is one, each process on a machine its own.
    """
    chosen = _chosen_device(device)
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield Processes(), chosen
        return
    if torch.distributed.is_initialized():
        yield _group(), chosen
        return
    if chosen.type == "cuda":
        torch.cuda.set_device(chosen)
    torch.distributed.init_process_group("nccl" if chosen.type == "cuda" else "gloo")
    try:
        yield _group(), chosen
    finally:
        torch.distributed.destroy_process_group()


def _group() -> Processes:
    return Processes(torch.distributed.get_rank(), torch.distributed.get_world_size())


def _chosen_device(device: str) -> torch.device:
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cuda":
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    return torch.device(device)


def _on_gpu() -> bool:
    return bool(torch.distributed.get_backend() == "nccl")
