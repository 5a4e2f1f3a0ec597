"""A small pose data set in BOP's or PROPS' layout: coloured balls that nets learn in no time."""

from __future__ import annotations

import json

import cv2
import numpy as np
import trimesh

from fast_inerf_ros.geometry.camera import Camera
from fast_inerf_ros.geometry.conventions import pose_to_bop, pose_to_props
from fast_inerf_ros.geometry.se3 import SE3
from fast_inerf_ros.geometry.so3 import SO3

CAMERA = Camera(96, 64, 90.0, 90.0, 47.5, 31.5)
RADIUS = 0.05
LABELS = {2: "red_ball", 7: "blue_ball"}
COLOURS = {2: (220, 40, 30), 7: (30, 60, 220)}


def poses(generator):
    """Where the balls are, none in front of another."""
    places = ([-0.16, 0.0, 0.5], [0.16, 0.0, 0.5])
    for place in places:
        shift = generator.uniform(-0.05, 0.05, 3)
        turn = SO3.exp(generator.uniform(-0.4, 0.4, 3))
        yield SE3(turn, np.array(place) + shift)


def picture(found, generator):
    """The image and the masks of balls at poses by their class number."""
    grid = np.asarray(CAMERA.pixel_grid())
    image = generator.integers(90, 130, (CAMERA.height, CAMERA.width, 3)).astype(np.uint8)
    masks = []
    for number, pose in found:
        centre = np.asarray(CAMERA.project(np.asarray(pose.translation)))
        radius = CAMERA.fx * RADIUS / float(pose.translation[2])
        masks.append(np.hypot(*np.moveaxis(grid - centre, -1, 0)) < radius)
        image[masks[-1]] = COLOURS[number]
    return image, masks


def write(folder, n_train=6, n_val=2, style="bop", models=True, seed=0):
    """Write a data set; return its folder."""
    generator = np.random.default_rng(seed)
    for split, count in (("train", n_train), ("val", n_val)):
        if count:
            write_split(folder, split, count, style, generator)
    if models and style == "bop":
        write_models(folder / "models")
    if style == "props":
        for number, label in LABELS.items():
            (folder / "model" / f"{number}_{label}").mkdir(parents=True)
    return folder


def write_split(folder, split, count, style, generator):
    root = folder / split / "000000" if style == "bop" else folder / split
    prefix = "scene" if style == "bop" else split
    for name in ("rgb", "mask_visib"):
        (root / name).mkdir(parents=True)
    truths, cameras, infos = {}, {}, {}
    for number in range(count):
        found = list(zip(LABELS, poses(generator), strict=True))
        image, masks = picture(found, generator)
        cv2.imwrite(str(root / "rgb" / f"{number:06d}.png"), image[..., ::-1])
        for index, mask in enumerate(masks):
            path = root / "mask_visib" / f"{number:06d}_{index:06d}.png"
            cv2.imwrite(str(path), mask.astype(np.uint8) * 255)
        to_file = pose_to_bop if style == "bop" else pose_to_props
        entries = []
        for key, pose in found:
            rotation, shift = to_file(pose)
            entries.append({"cam_R_m2c": rotation, "cam_t_m2c": shift, "obj_id": key})
        truths[str(number)] = entries
        cameras[str(number)] = {"cam_K": CAMERA.matrix().ravel().tolist(), "depth_scale": 1.0}
        infos[str(number)] = [{"visib_fract": 1.0}] * len(found)
    for name, content in (("gt", truths), ("camera", cameras), ("gt_info", infos)):
        (root / f"{prefix}_{name}.json").write_text(json.dumps(content), encoding="utf-8")


def write_models(folder):
    folder.mkdir()
    ball = trimesh.creation.icosphere(subdivisions=1, radius=1000 * RADIUS)
    infos = {}
    for number in LABELS:
        ball.export(folder / f"obj_{number:06d}.ply")
        size = {f"size_{axis}": 2000 * RADIUS for axis in "xyz"}
        infos[str(number)] = size | {f"min_{axis}": -1000 * RADIUS for axis in "xyz"}
    (folder / "models_info.json").write_text(json.dumps(infos), encoding="utf-8")
    labels = {str(number): label for number, label in LABELS.items()}
    (folder / "labels.json").write_text(json.dumps(labels), encoding="utf-8")
