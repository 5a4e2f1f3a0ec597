"""Writes NeRF data sets: transforms_{train,val,test}.json and the photographs of one layout."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from fast_inerf_ros.datasets.pose_set_writer import DEPTH_SCALE, depth_picture
from fast_inerf_ros.datasets.synthetic.output import PictureWriter, progress, write_json
from fast_inerf_ros.datasets.synthetic.photographs import (
    Photograph,
    Randomisation,
    expose_randomised,
    pipelined,
)
from fast_inerf_ros.datasets.synthetic.render import Rendered, Renderer
from fast_inerf_ros.datasets.synthetic.trajectories import ViewRange, hemisphere_views, random_view
from fast_inerf_ros.datasets.synthetic.world import PreparedWorld
from fast_inerf_ros.errors import InputError
from fast_inerf_ros.geometry.camera import Camera
from fast_inerf_ros.geometry.conventions import centre_to_corner, opencv_to_opengl
from fast_inerf_ros.geometry.se3 import SE3

LENS_KEYS = {
    "none": ("PINHOLE", ()),
    "plumb_bob": ("OPENCV", ("k1", "k2", "p1", "p2", "k3")),
    "equidistant": ("OPENCV_FISHEYE", ("k1", "k2", "k3", "k4")),
}


@dataclass(frozen=True)
class NerfPlan:
    """How many photographs each split has and how they are taken.

    cut_out: RGBA pictures, transparent where the room is seen. depth: depth pictures too.
    """

    n_images: dict[str, int]
    randomisation: Randomisation
    views: ViewRange = field(default_factory=ViewRange)
    cut_out: bool = False
    depth: bool = True


def split_views(plan: NerfPlan, generator: np.random.Generator) -> dict[str, list[SE3]]:
    """Poses of every split: training views spread evenly, the others anywhere among them."""
    poses = {}
    for split, count in plan.n_images.items():
        if split == "train":
            poses[split] = hemisphere_views(count, generator, plan.views)
        else:
            poses[split] = [random_view(generator, plan.views) for _ in range(count)]
    return poses


def write_nerf(
    folder: Path,
    renderer: Renderer,
    world: PreparedWorld,
    camera: Camera,
    plan: NerfPlan,
    generator: np.random.Generator,
) -> None:
    """Write all splits of a prepared layout into a folder.

    Raises InputError for lens models that transforms files cannot describe.
    """
    header = camera_entry(camera)
    for split, poses in split_views(plan, generator).items():
        (folder / split).mkdir()
        frames = []
        photographs = nerf_photographs(renderer, world, camera, plan, poses, generator)
        bar = progress(photographs, len(poses), split)
        with PictureWriter() as writer:
            for index, photograph in enumerate(bar):
                frames.append(_write_frame(writer, folder, f"{split}/r_{index}", photograph, plan))
        write_json(folder / f"transforms_{split}.json", {**header, "frames": frames})


def nerf_photographs(
    renderer: Renderer,
    world: PreparedWorld,
    camera: Camera,
    plan: NerfPlan,
    poses: Sequence[SE3],
    generator: np.random.Generator,
) -> Iterator[Photograph]:
    """Yield a photograph from every pose, in order."""

    def look(pose: SE3) -> Rendered:
        return renderer.render(world, camera, pose)

    def record(pose: SE3, rendered: Rendered) -> Photograph:
        return expose_randomised(rendered, camera, pose, plan.randomisation, generator)

    yield from pipelined(look, record, poses)


def _write_frame(
    writer: PictureWriter, folder: Path, name: str, photograph: Photograph, plan: NerfPlan
) -> dict[str, Any]:
    image = photograph.image
    if plan.cut_out:
        alpha = photograph.tabletop_mask().astype(np.uint8) * np.uint8(255)
        image = np.concatenate([image, alpha[..., None]], axis=-1)
    writer.write(folder / f"{name}.png", image)
    frame: dict[str, Any] = {
        "file_path": f"./{name}",
        "transform_matrix": transform_matrix(photograph.T_world_camera),
        "exposure_ev": photograph.sensor.exposure_ev,
        "noise_sigma": photograph.sensor.noise_sigma,
        "blur_px": photograph.blur_px,
    }
    if plan.depth:
        # Not named "r_0_depth": readers that list pictures would take it for a photograph.
        depth = folder / "depth" / f"{name}.png"
        depth.parent.mkdir(parents=True, exist_ok=True)
        writer.write(depth, depth_picture(photograph.rendered.depth))
        frame["depth_file_path"] = frame["depth_path"] = f"./depth/{name}.png"
    return frame


def transform_matrix(T_world_camera: SE3) -> list[list[float]]:
    """T_world_camera (4, 4) with OpenGL's camera axes, as rows of numbers."""
    matrix = opencv_to_opengl(np.asarray(T_world_camera.matrix(), dtype=np.float64))
    return [[float(value) for value in row] for row in matrix]


def camera_entry(camera: Camera) -> dict[str, Any]:
    """The camera's part of a transforms file; principal points from the pixel corner.

    Raises InputError for lens models that transforms files cannot describe.
    """
    if camera.distortion_model not in LENS_KEYS:
        raise InputError(
            f"transforms files cannot describe a {camera.distortion_model} lens: use one of "
            f"{', '.join(LENS_KEYS)}"
        )
    model, names = LENS_KEYS[camera.distortion_model]
    entry: dict[str, Any] = {
        "camera_model": model,
        "camera_angle_x": 2 * math.atan(camera.width / (2 * camera.fx)),
        "camera_angle_y": 2 * math.atan(camera.height / (2 * camera.fy)),
        "fl_x": camera.fx,
        "fl_y": camera.fy,
        "cx": float(centre_to_corner(camera.cx)),
        "cy": float(centre_to_corner(camera.cy)),
        "w": camera.width,
        "h": camera.height,
        "aabb_scale": 4,
        "metric": True,
        "metres_per_unit": 1.0,
        "integer_depth_scale": DEPTH_SCALE / 1000,
    }
    if model == "OPENCV_FISHEYE":
        entry["is_fisheye"] = True
    entry.update(_lens_entries(names, camera.distortion))
    return entry


def _lens_entries(names: Sequence[str], coefficients: Sequence[float]) -> dict[str, float]:
    padded = [*coefficients, *([0.0] * len(names))]
    return dict(zip(names, padded, strict=False))
