"""``train_nerf``: trains a radiance field, as a plain program or, with ROS arguments, as a node.

train_nerf --data data/fox --output out/fox
train_nerf --ros-args --params-file train_nerf.yaml

Without ROS arguments nothing of ROS is imported, so that it runs where ROS is absent.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from fast_inerf_ros import command_line
from fast_inerf_ros.training.nerf import train_nerf
from fast_inerf_ros.training.options import TrainNerfConfig

NAME = "train_nerf"
DESCRIPTION = "Train a radiance field on posed photographs; the same command resumes."


def main(argv: Sequence[str] | None = None) -> int:
    """Run the executable and return its exit status."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if "--ros-args" in arguments:
        from fast_inerf_ros.nodes.train_nerf_node import run_node

        return run_node(arguments)
    return command_line.run(TrainNerfConfig, train_nerf, arguments, NAME, DESCRIPTION)


if __name__ == "__main__":
    sys.exit(main())
