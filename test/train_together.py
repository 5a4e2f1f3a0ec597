"""Trains among the processes that torchrun started.

python train_together.py KIND DATA OUTPUT [FLAG ...] [+ KIND DATA OUTPUT [FLAG ...]] ...
"""

from __future__ import annotations

import sys

import torch.distributed
import training_runs


def main():
    """Run the trainings one after the other; return the first status that is not 0."""
    arguments = sys.argv[1:]
    torch.distributed.init_process_group("gloo")
    while arguments:
        end = arguments.index("+") if "+" in arguments else len(arguments)
        kind, data, output, *more = arguments[:end]
        status = training_runs.run(kind, data, output, *more)
        if status:
            return status
        arguments = arguments[end + 1 :]
    torch.distributed.destroy_process_group()
    return 0


if __name__ == "__main__":
    sys.exit(main())
