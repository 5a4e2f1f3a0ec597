"""``replay``: plays a rosbag2 or a folder of images as ROS topics.

replay BAG --rate 2 --loop
replay --ros-args -p bag:=BAG --params-file replay.yaml
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rclpy.node import Node
from tqdm import tqdm

from fast_inerf_ros.errors import InputError
from fast_inerf_ros.nodes.bag import Bag, is_bag
from fast_inerf_ros.nodes.image_folder import FolderOptions, ImageFolder
from fast_inerf_ros.nodes.pacing import LATE_S
from fast_inerf_ros.nodes.player import Player, Progress
from fast_inerf_ros.nodes.program import node_of, run_until_stopped
from fast_inerf_ros.nodes.recording import Recording
from fast_inerf_ros.nodes.replay_config import ReplayConfig
from fast_inerf_ros.nodes.selection import select, withheld
from fast_inerf_ros.nodes.stopping import StopSignal

NAME = "replay"
DESCRIPTION = "Play a rosbag2 recording or a folder of images as ROS topics."


def main(argv: Sequence[str] | None = None) -> int:
    """Run the executable and return its exit status."""
    return run_until_stopped(ReplayConfig, _run, argv, prog=NAME, description=DESCRIPTION)


def _run(flags: ReplayConfig, arguments: Sequence[str], stop: StopSignal) -> None:
    with node_of(NAME, flags, arguments) as (node, config):
        _check(config)
        recording = open_recording(config)
        try:
            _play(node, recording, config, stop)
        finally:
            recording.close()


def _check(config: ReplayConfig) -> None:
    if not config.bag:
        raise InputError(
            "bag: expected a rosbag2 or a folder of images to play, got nothing: name it on the "
            "command line or as the parameter 'bag'"
        )
    if config.restamp and config.clock_rate:
        raise InputError(
            "restamp and clock_rate: expected one of them, got both: with new stamps the time "
            "is the system's, so leave out clock_rate (and use_sim_time of the other nodes)"
        )


def open_recording(config: ReplayConfig) -> Recording:
    """Open what ``config.bag`` names.

    Raises:
        InputError: It cannot be played; see `Bag` and `ImageFolder`.
    """
    path = Path(config.bag).expanduser()
    if is_bag(path) or not path.is_dir():
        return Bag(path)
    folder = config.folder
    options = FolderOptions(
        camera_file=Path(folder.camera_file).expanduser() if folder.camera_file else None,
        frame_rate=folder.frame_rate,
        image_topic=folder.image_topic,
        frame_id=folder.frame_id,
        compressed=folder.compressed,
        start_ns=time.time_ns(),
    )
    return ImageFolder(path, options)


def _play(node: Node, recording: Recording, config: ReplayConfig, stop: StopSignal) -> None:
    log = node.get_logger()
    topics = select(recording.topics, config)
    for topic in withheld(recording.topics, config):
        log.info(f"withholding {topic.name} (set publish_ground_truth to publish it)")
    with _progress_bar() as (progress, begin):
        player = Player(node, recording, topics, config, stop, progress)
        begin(player.start_ns, player.end_ns)
        for topic in player.topics:
            log.info(f"playing {topic.name} as {player.resolved_name(topic)} ({topic.type_name})")
        player.run()
    _report(node, player, interrupted=stop.is_set())


@contextmanager
def _progress_bar() -> Iterator[tuple[Progress, Callable[[int, int], None]]]:
    """Show how much of the recording is played, on a terminal only."""
    bar = tqdm(
        unit="s", disable=None, bar_format="{l_bar}{bar}| {n:.1f}/{total:.1f} s of recording"
    )
    start = [0]

    def begin(start_ns: int, end_ns: int) -> None:
        start[0] = start_ns
        bar.reset(total=max((end_ns - start_ns) * 1e-9, 1e-3))

    def progress(time_ns: int) -> None:
        if not bar.disable:
            bar.n = (time_ns - start[0]) * 1e-9
            bar.update(0)

    try:
        yield progress, begin
    finally:
        bar.close()


def _report(node: Node, player: Player, *, interrupted: bool) -> None:
    """Log what was sent and how punctually."""
    log = node.get_logger()
    log.info("interrupted" if interrupted else "finished")
    for name in sorted(player.sent):
        log.info(f"sent {player.sent[name]} of {name}")
    lateness = player.pacer.lateness
    if lateness.late:
        log.warning(
            f"{lateness.late} publications were more than {LATE_S * 1e3:.0f} ms late, the worst "
            f"by {lateness.worst_s * 1e3:.0f} ms: lower the rate, or use a faster disk or machine"
        )


if __name__ == "__main__":
    sys.exit(main())
