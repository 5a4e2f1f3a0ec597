"""Object models of a self-labelled data set: the scene's meshes, or points on the boxes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from fast_inerf_ros.datasets.pose_set_writer import box_entry
from fast_inerf_ros.datasets.synthetic.output import write_json
from fast_inerf_ros.errors import InputError
from fast_inerf_ros.io.scene import Scene, SceneObject

POINTS_PER_EDGE = 9


def write_models(folder: Path, scene: Scene) -> None:
    """Write models/ of a data set: PLY in millimetres, models_info.json, labels.json.

    Objects without a mesh get their box, with vertices all over its faces.

    Raises:
        InputError: a mesh that cannot be read.
    """
    folder.mkdir()
    classes = {class_id: items[0] for class_id, items in scene.objects_by_class().items()}
    infos: dict[str, Any] = {}
    for class_id, item in sorted(classes.items()):
        mesh = _box(item) if item.mesh is None else _read(scene.resolve(item.mesh))
        infos[str(class_id)] = _info(mesh, item)
        mesh.apply_scale(1000.0)
        mesh.export(folder / f"obj_{class_id:06d}.ply")
    write_json(folder / "models_info.json", infos)
    labels = {str(class_id): item.label for class_id, item in sorted(classes.items())}
    write_json(folder / "labels.json", labels)


def _info(mesh: Any, item: SceneObject) -> dict[str, Any]:
    low = np.asarray(item.box_centre) - np.asarray(item.extent) / 2
    points = np.asarray(mesh.convex_hull.vertices)
    between = np.linalg.norm(points[:, None] - points[None], axis=-1)
    return box_entry(low, low + np.asarray(item.extent), float(between.max()), item.symmetry)


def _read(path: Path) -> Any:
    import trimesh

    try:
        mesh: Any = trimesh.load(path, force="mesh")
        faces = len(mesh.faces)
    except Exception as error:  # trimesh raises whatever its many readers raise
        reason = " ".join(str(error).split())[:100]
        raise InputError(f"{path}: cannot be read as a mesh ({reason}): correct 'mesh'") from None
    if not faces:
        raise InputError(f"{path}: expected triangles, got none: export the mesh with its faces")
    return mesh


def _box(item: SceneObject) -> Any:
    """A closed box with a grid of vertices on each face."""
    import trimesh

    steps = np.linspace(-0.5, 0.5, POINTS_PER_EDGE)
    across, up = (values.ravel() for values in np.meshgrid(steps, steps))
    first = np.arange(POINTS_PER_EDGE**2).reshape(POINTS_PER_EDGE, POINTS_PER_EDGE)
    a, b, c, d = (
        first[rows, columns].ravel()
        for rows in (slice(None, -1), slice(1, None))
        for columns in (slice(None, -1), slice(1, None))
    )
    triangles = np.concatenate([np.stack([a, b, d], axis=1), np.stack([a, d, c], axis=1)])
    faces = []
    for axis in range(3):
        for side in (-0.5, 0.5):
            # (across, up, side) in turned order is right-handed: outward for the greater side.
            face = np.roll(np.stack([across, up, np.full_like(up, side)], axis=1), axis, axis=1)
            faces.append(face[triangles if side > 0 else triangles[:, ::-1]])
    corners = np.concatenate(faces).reshape(-1, 3) * item.extent + item.box_centre
    # Corners at the same place become one vertex.
    return trimesh.Trimesh(corners, np.arange(len(corners)).reshape(-1, 3), process=True)
