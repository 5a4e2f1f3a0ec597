"""A node for the tests of parameters: says what it was started with and every change of it."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Literal

import rclpy
from rclpy.node import Node

from fast_inerf_ros.config import option, section
from fast_inerf_ros.errors import InputError
from fast_inerf_ros.nodes.parameters import check_params_files, declare_parameters


@dataclass(frozen=True)
class Transform:
    """A section."""

    mode: Literal["camera", "base"] = option("camera", doc="Which transform is sent.")
    delay: float = option(0.0, doc="Delay.", unit="s", minimum=0.0, dynamic=True)


@dataclass(frozen=True)
class Settings:
    """Options of the node."""

    learning_rate: float = option(0.5, doc="Step.", minimum=0, maximum=1, unit="1/s", dynamic=True)
    steps: int = option(10, doc="Steps.", minimum=1, dynamic=True)
    low: int = option(1, doc="Lower end.", dynamic=True)
    high: int = option(2, doc="Upper end.", dynamic=True)
    topic: str = option("image", doc="Topic.")
    hurry: bool = option(False, doc="Whether to hurry.", dynamic=True)
    limit: int | None = option(None, doc="Limit.", dynamic=True)
    label: str | None = option(None, doc="Label.", dynamic=True)
    scales: tuple[float, ...] = option((1.0, 0.5), doc="Scales.", minimum=0.0, dynamic=True)
    names: list[str] = option(["a"], doc="Names.", dynamic=True)
    tf: Transform = section(Transform)

    def __post_init__(self) -> None:
        """Check what no single option can know."""
        if self.low > self.high:
            raise InputError(f"low: expected at most high ({self.high}), got {self.low}")


def main() -> int:
    try:
        check_params_files(Settings, "settings_node", sys.argv)
        rclpy.init(args=sys.argv)
        node = Node("settings_node")
        sys.stdout.write(f"{declare_parameters(node, Settings, say)}\n")
    except InputError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    sys.stdout.flush()
    rclpy.spin(node)
    return 0


def say(config: Settings) -> None:
    sys.stdout.write(f"{config}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
