"""``train_posecnn``: trains a pose network, as a plain program or, with ROS arguments, as a node.

train_posecnn --data data/tabletop --output out/posecnn
train_posecnn --ros-args --params-file train_posecnn.yaml

Without ROS arguments nothing of ROS is imported, so that it runs where ROS is absent.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from fast_inerf_ros import command_line
from fast_inerf_ros.training.pose_options import TrainPoseCnnConfig
from fast_inerf_ros.training.posecnn import train_posecnn

NAME = "train_posecnn"
DESCRIPTION = "Train PoseCNN on images with known objects; the same command resumes."


def main(argv: Sequence[str] | None = None) -> int:
    """Run the executable and return its exit status."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if "--ros-args" in arguments:
        from fast_inerf_ros.nodes.train_posecnn_node import run_node

        return run_node(arguments)
    return command_line.run(TrainPoseCnnConfig, train_posecnn, arguments, NAME, DESCRIPTION)


if __name__ == "__main__":
    sys.exit(main())
