"""``inerf``: refines camera poses, as a plain program or, with ROS arguments, as a node.

inerf --data data/fox --field fox.npz --images 0,8,16 --start-error.phi-deg 10
inerf --config configs/inerf/lego.txt
inerf --ros-args --params-file inerf.yaml

With ``--config`` it is `run_inerf`, which takes the files and flags of the seed project. Without
ROS arguments nothing of ROS is imported, so that it runs where ROS is absent.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from fast_inerf_ros import command_line
from fast_inerf_ros.experiments import run_inerf
from fast_inerf_ros.experiments.inerf import inerf
from fast_inerf_ros.experiments.options import InerfConfig

NAME = "inerf"
DESCRIPTION = "Refine the poses of photographs against a radiance field."


def main(argv: Sequence[str] | None = None) -> int:
    """Run the executable and return its exit status."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if "--ros-args" in arguments:
        from fast_inerf_ros.nodes.inerf_node import run_node

        return run_node(arguments)
    if any(text.partition("=")[0] == "--config" for text in arguments):
        return run_inerf.main(arguments)
    return command_line.run(InerfConfig, inerf, arguments, NAME, DESCRIPTION)


if __name__ == "__main__":
    sys.exit(main())
