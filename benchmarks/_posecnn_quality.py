"""Quality of a pose network on the images of the test protocol, and on frames of ycbv_syn."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from fast_inerf_ros.datasets.synthetic.output import finished_folder
from fast_inerf_ros.datasets.synthetic.protocol import load_protocol, write_queries
from fast_inerf_ros.datasets.synthetic.render import Renderer
from fast_inerf_ros.posecnn.detector import DetectorConfig
from fast_inerf_ros.training.evaluate_posecnn import (
    EvaluatePoseCnnConfig,
    SheetOptions,
    evaluate_posecnn,
)

PROTOCOL = Path(__file__).parent / "protocol.yaml"

FLOORS = {
    "iou": (">=", 0.85),
    "centre_error_px_median": ("<=", 5.0),
    "centre_error_px_p90": ("<=", 15.0),
    "depth_error_median": ("<=", 0.04),
    "add_s_auc": (">=", 0.75),
}
CAMERA_FLOORS = {"within_10deg_10cm": (">=", 0.88), "within_5deg_5cm": (">=", 0.60)}
OTHER_RENDERER_FLOORS = {"iou": (">=", 0.5)}

Row = dict[str, Any]


def protocol_images(folder: Path, threads: int) -> Path:
    """Render the queries of all test layouts into a folder, unless they are there."""
    if not (folder / "test").is_dir():
        with finished_folder(folder) as target:
            write_queries(target, load_protocol(PROTOCOL), Renderer(threads or None))
    return folder


def ycb_frames(folder: Path, frames: Path, models: Path) -> Path:
    """Frames of ycbv_syn beside the models that a network was trained on, as one data set.

    The generator names objects after the folders of their meshes, which start with the number
    that the frames' annotations have.
    """
    if not (folder / "train").is_dir():
        with finished_folder(folder) as target:
            (target / "train").symlink_to(frames.absolute() / "train")
            (target / "models").mkdir()
            _copy_models(models, target / "models")
    return folder


def _copy_models(source: Path, target: Path) -> None:
    labels = json.loads((source / "labels.json").read_text(encoding="utf-8"))
    infos = json.loads((source / "models_info.json").read_text(encoding="utf-8"))
    number = {key: label.partition("_")[0] for key, label in labels.items()}
    for key, own in number.items():
        mesh = source.absolute() / f"obj_{int(key):06d}.ply"
        (target / f"obj_{int(own):06d}.ply").symlink_to(mesh)
    for name, content in (("labels", labels), ("models_info", infos)):
        renumbered = {number[key]: value for key, value in content.items()}
        (target / f"{name}.json").write_text(json.dumps(renumbered), encoding="utf-8")


def measured_quality(
    checkpoint: str, data: Path, output: Path, split: str, input_width: int
) -> dict[str, Any]:
    """Figures of a network on a split; everything else is written to `output`."""
    config = EvaluatePoseCnnConfig(
        checkpoint=checkpoint,
        data=str(data),
        output=str(output),
        split=split,
        detector=DetectorConfig(input_width=input_width),
        sheet=SheetOptions(n_images=12, columns=4),
    )
    return evaluate_posecnn(config).summary()


def protocol_rows(summary: dict[str, Any]) -> list[Row]:
    """Rows of the table for the test protocol."""
    whole, camera = summary["all"], summary["camera"]
    rows = [floor_row(f"protocol {name}", whole[name], *floor) for name, floor in FLOORS.items()]
    rows += [
        floor_row(f"protocol camera, 4 or more objects, {name}", camera["4_or_more"][name], *floor)
        for name, floor in CAMERA_FLOORS.items()
    ]
    rows += [
        {"what": f"protocol camera, 1 to 3 objects, {name}", "value": camera["1_to_3"][name]}
        for name in CAMERA_FLOORS
    ]
    others = ("within_5deg_5cm", "add_auc", "recall", "precision")
    return rows + [{"what": f"protocol {name}", "value": whole[name]} for name in others]


def other_renderer_rows(summary: dict[str, Any]) -> list[Row]:
    """Rows of the table for ycbv_syn."""
    whole = summary["all"]
    rows = [
        floor_row(f"ycbv_syn {name}", whole[name], *floor)
        for name, floor in OTHER_RENDERER_FLOORS.items()
    ]
    return [*rows, {"what": "ycbv_syn add_s_auc", "value": whole["add_s_auc"]}]


def floor_row(what: str, value: float | None, relation: str, floor: float) -> Row:
    """A figure with its floor, and whether it is met."""
    met = value is not None and (value >= floor if relation == ">=" else value <= floor)
    return {"what": what, "value": value, "floor": f"{relation} {floor:g}", "met": met}
