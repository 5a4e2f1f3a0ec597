"""Where the demo takes place: a synthetic table, or the user's own scene and recording."""

from __future__ import annotations

import dataclasses
import shutil
from dataclasses import dataclass
from pathlib import Path

from fast_inerf_ros.io.scene import FieldReference, load_scene, save_scene
from fast_inerf_ros.nodes.bag import Bag
from fast_inerf_ros.nodes.recording import Topic
from scripts.demo.recording import RecordingPlan, record
from scripts.demo.steps import ROOT, module, run, source_digest, step

LAYOUT_SEED = 4_000_007
"""Of the table; no training of the shipped PoseCNN has seen it, nor has the test protocol."""
N_PHOTOGRAPHS = 60
TRAINING = (
    "--max-steps",
    "1200",
    "--voxel.resolutions",
    "[64, 128]",
    "--voxel.stage-starts",
    "[0, 0.2]",
)
"""By steps and not by the clock, so that a busy machine makes the same field, later. Twice the
resolution shows no more after so few steps, and takes four times as long to render."""
DETECTOR = ROOT / "resource" / "posecnn_tabletop.pt"
TRUTH_TOPIC = "/ground_truth/camera_pose"
IMAGE_TYPES = {"sensor_msgs/msg/Image": "raw", "sensor_msgs/msg/CompressedImage": "compressed"}


@dataclass(frozen=True)
class Place:
    """A scene, and a recording made in it.

    transport: raw or compressed. image_topic: without /compressed. truth_topic: "" without
    truth. n_images: in the recording.
    """

    scene: Path
    bag: Path
    image_topic: str
    transport: str
    truth_topic: str
    n_images: int


def make_place(folder: Path, move_object: bool) -> Place:
    """Photograph a table, train its field, build landmarks and record a camera."""
    folder.mkdir(parents=True, exist_ok=True)
    print("Preparing a synthetic table:", flush=True)
    photographs = folder / "photographs"
    options = ["--format", "nerf", "--layout-seed", LAYOUT_SEED, "--n-train", N_PHOTOGRAPHS]
    options += ["--n-val", 4, "--n-test", 0, "--no-depth", "--overwrite"]
    generate = module(
        "fast_inerf_ros.datasets.synthetic.generate_tabletop", "--output", photographs, *options
    )
    generator = source_digest("datasets/synthetic", "geometry")
    key: list[object] = [list(map(str, options)), generator]
    taken = step(folder, "photographs", "photographs", key, lambda: run(generate))
    _make_scene(folder, photographs, taken)
    name = "moved" if move_object else "recording"
    plan = RecordingPlan(LAYOUT_SEED, move_object=move_object)
    key = [dataclasses.asdict(plan), generator]
    what = "recording of a hand-held camera" + (", one object moved" if move_object else "")
    step(folder, name, what, key, lambda: record(folder / name, plan))
    return users_place(folder / name / "bag", folder / "scene.yaml")


def users_place(bag: Path, scene: Path) -> Place:
    """Find images and, maybe, truth in a recording."""
    recording = Bag(bag)
    try:
        counts = _counts(recording)
    finally:
        recording.close()
    images = [topic for topic in counts if topic.type_name in IMAGE_TYPES]
    if not images:
        raise SystemExit(f"{bag}: expected a topic with images, got none")
    chosen = max(images, key=lambda topic: counts[topic])
    names = {topic.name for topic in counts}
    return Place(
        scene=scene,
        bag=bag,
        image_topic=chosen.name.removesuffix("/compressed"),
        transport=IMAGE_TYPES[chosen.type_name],
        truth_topic=TRUTH_TOPIC if TRUTH_TOPIC in names else "",
        n_images=counts[chosen],
    )


def _make_scene(folder: Path, photographs: Path, taken: str) -> None:
    def train() -> None:
        shutil.rmtree(folder / "training", ignore_errors=True)
        paths = ["--data", photographs, "--output", folder / "training"]
        run(module("fast_inerf_ros.nodes.train_nerf", *paths, *TRAINING, "--no-tensorboard"))
        _write_scene(folder, photographs)

    def build() -> None:
        paths = [folder / "scene.yaml", "--data", photographs]
        run(module("fast_inerf_ros.training.build_landmarks", *paths))

    shutil.copy(DETECTOR, folder / DETECTOR.name)
    code = source_digest("training", "fields", "rendering")
    trained = step(folder, "field", "radiance field", [taken, TRAINING, code], train)
    code = source_digest("inerf")
    step(folder, "landmarks", "landmarks", [trained, code], build)


def _write_scene(folder: Path, photographs: Path) -> None:
    """Enter field and detector into the table's description."""
    scene = load_scene(photographs / "scene.yaml")
    objects = tuple(
        dataclasses.replace(item, mesh=f"photographs/{item.mesh}") for item in scene.objects
    )
    field = FieldReference("training/field.npz")
    placed = dataclasses.replace(scene, objects=objects, field=field, detector=DETECTOR.name)
    save_scene(placed, folder / "scene.yaml")


def _counts(recording: Bag) -> dict[Topic, int]:
    counts = dict.fromkeys(recording.topics, 0)
    for message in recording.messages(recording.topics, recording.start_ns, recording.end_ns):
        counts[message.topic] += 1
    return counts
