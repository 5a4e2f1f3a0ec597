"""``build_scene``: from photographs to a scene that ``pose_estimator`` loads, in one command.

build_scene photographs --output kitchen --quick
build_scene photographs --output kitchen --quick --distance 0 0 0 1.2 0 0 0.84 \\
    --box mug 0.3 -0.1 0.05 0.1 0.1 0.1 0

Each stage leaves its result in the output folder. The same command goes on where it ended; what
has changed is done again, with all that depends on it.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator, Sequence

from fast_inerf_ros import command_line
from fast_inerf_ros.scene_building.build_scene_options import BuildSceneConfig
from fast_inerf_ros.scene_building.markers import write_sheet
from fast_inerf_ros.scene_building.scene_stages import SceneBuilder
from fast_inerf_ros.scene_building.stages import StageEnded

NAME = "build_scene"
DESCRIPTION = "Photographs to a scene that pose_estimator loads; the same command resumes."
WORDS = {"--box": 8, "--distance": 7, "--up": 3}
"""Flags whose value may be so many words."""

SEPARATORS = {"--box": ":"}

logger = logging.getLogger(__name__)


def build_scene(config: BuildSceneConfig) -> int:
    """Do what is left to do and return the exit status.

    0 at the end; 130 and 143 after Ctrl-C and SIGTERM while something is trained. Raises
    InputError for bad input, OSError where results cannot be written.
    """
    if config.aruco_sheet:
        write_sheet(config.aruco_sheet)
        logger.info("sheet of markers -> %s", config.aruco_sheet)
        return 0
    try:
        SceneBuilder(config).run()
    except StageEnded as ended:
        logger.info("stopped: the same command goes on")
        return ended.status
    return 0


def joined_words(arguments: Sequence[str]) -> Iterator[str]:
    """Arguments with the values of ``WORDS`` as one word each, and all boxes in one flag.

    ``--up 0 0 1`` becomes ``--up=0,0,1``, and ``--box a 1 2 ...`` becomes ``--box=a:1:2...``. A
    value of one word stays as it is.
    """
    boxes: list[str] = []
    remaining = list(arguments)
    while remaining:
        flag = remaining.pop(0)
        count = _words_of(flag, remaining)
        value = SEPARATORS.get(flag, ",").join(remaining[:count])
        if count == 0:
            yield flag
        elif flag == "--box":
            boxes.append(value)
        else:
            yield f"{flag}={value}"
        del remaining[:count]
    if boxes:
        yield f"--box={','.join(boxes)}"


def _words_of(flag: str, following: Sequence[str]) -> int:
    """How many words after a flag are its value; 0 for flags that take what they always take."""
    wanted = WORDS.get(flag, 0)
    if not wanted or not following or following[0].startswith("--"):
        return 0
    if flag != "--box" and not _is_number(following[0]):
        return 1
    given = 0 if flag != "--box" else 1
    while given < min(wanted, len(following)) and _is_number(following[given]):
        given += 1
    return given


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def main(argv: Sequence[str] | None = None) -> int:
    """Run the executable and return its exit status."""
    arguments = list(joined_words(sys.argv[1:] if argv is None else argv))
    return command_line.run(BuildSceneConfig, build_scene, arguments, NAME, DESCRIPTION)


if __name__ == "__main__":
    sys.exit(main())
