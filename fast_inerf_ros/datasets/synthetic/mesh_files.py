"""Free meshes: any textured or coloured OBJ, PLY, GLB, ... that trimesh reads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fast_inerf_ros.datasets.synthetic.meshes import Mesh, make_mesh
from fast_inerf_ros.datasets.synthetic.objects import ObjectModel, Rotation
from fast_inerf_ros.errors import InputError

SUFFIXES = (".obj", ".ply", ".glb", ".gltf", ".off", ".stl", ".dae")
MESH_GLOSS = 60
LARGEST_METRES = 0.6


def read_mesh_folder(folder: str | Path, first_class_id: int) -> tuple[ObjectModel, ...]:
    """Every mesh below a folder, one object each, in the order of their paths.

    An object is labelled by its file, or by its folder where that holds a single mesh (as in
    `1_master_chef_can/textured_simple.obj`). Class ids count up from `first_class_id`.

    Raises InputError for a folder that is missing or has no mesh, and for unreadable meshes.
    """
    root = Path(folder)
    if not root.is_dir():
        raise InputError(f"{root}: expected a folder of meshes, got none: correct --meshes")
    paths = sorted(p for p in root.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())
    if not paths:
        raise InputError(
            f"{root}: expected meshes ({', '.join(SUFFIXES)}), got none in the folder"
        )
    labels = _labels(root, paths)
    return tuple(
        read_mesh(path, label, first_class_id + index)
        for index, (path, label) in enumerate(zip(paths, labels, strict=True))
    )


def _labels(root: Path, paths: list[Path]) -> list[str]:
    alone = [sum(other.parent == path.parent for other in paths) == 1 for path in paths]
    labels = [
        path.parent.name if single and path.parent != root else path.stem
        for path, single in zip(paths, alone, strict=True)
    ]
    if len(set(labels)) < len(labels):
        labels = ["_".join(path.relative_to(root).with_suffix("").parts) for path in paths]
    return labels


def read_mesh(path: Path, label: str, class_id: int) -> ObjectModel:
    """Read one mesh in metres; without a texture its vertex or face colours serve.

    Raises InputError for files that cannot be read and for sizes that are no tabletop object.
    """
    import trimesh

    try:
        geometry: Any = trimesh.load_mesh(path, process=False)
        if isinstance(geometry, trimesh.Scene):
            geometry = geometry.to_mesh()
        triangles = np.asarray(geometry.faces)
    except Exception as error:  # trimesh raises whatever its many readers raise
        reason = " ".join(str(error).split())
        raise InputError(
            f"{path}: cannot be read as a mesh ({reason}): export it again"
        ) from error
    if len(triangles) == 0:
        raise InputError(f"{path}: expected triangles, got none: export the mesh with its faces")
    _require_tabletop_size(path, np.asarray(geometry.vertices))
    texture, mesh = _converted(geometry)
    return ObjectModel(str(path.resolve()), label, class_id, mesh, texture, rests=_rests(geometry))


def _require_tabletop_size(path: Path, vertices: npt.NDArray[np.float64]) -> None:
    size = float(np.ptp(vertices, axis=0).max())
    if not 0.005 <= size <= LARGEST_METRES:
        raise InputError(
            f"{path}: expected an object of 0.005 to {LARGEST_METRES} m, got {size:.4g} m: "
            "scale the mesh to metres"
        )


def _converted(geometry: Any) -> tuple[npt.NDArray[np.uint8], Mesh]:
    faces = np.asarray(geometry.faces)
    normals = np.asarray(geometry.vertex_normals)[faces]
    uv = getattr(geometry.visual, "uv", None)
    image = _texture_image(geometry) if uv is not None else None
    if uv is None or image is None:
        colours = _corner_colours(geometry)
        white = np.full((2, 2, 4), 255, np.uint8)
        white[..., 3] = MESH_GLOSS
        return white, make_mesh(geometry.vertices, faces, None, normals, colours)
    corners = np.array(uv, dtype=np.float64)[faces]
    corners[..., 1] = 1.0 - corners[..., 1]
    gloss = np.full((*image.shape[:2], 1), MESH_GLOSS, np.uint8)
    texture = np.ascontiguousarray(np.concatenate([image, gloss], axis=-1))
    return texture, make_mesh(geometry.vertices, faces, corners, normals)


def _texture_image(geometry: Any) -> npt.NDArray[np.uint8] | None:
    material = getattr(geometry.visual, "material", None)
    image = getattr(material, "baseColorTexture", None) or getattr(material, "image", None)
    return None if image is None else np.asarray(image.convert("RGB"), dtype=np.uint8)


def _corner_colours(geometry: Any) -> npt.NDArray[np.float32]:
    """(F, 3, 3) linear colours: of the vertices, the faces, the material, or light grey."""
    faces = np.asarray(geometry.faces)
    visual = geometry.visual
    if visual.kind == "vertex":
        srgb = np.asarray(visual.vertex_colors)[faces][..., :3] / 255.0
    elif visual.kind == "face":
        srgb = np.repeat(np.asarray(visual.face_colors)[:, None, :3], 3, axis=1) / 255.0
    else:
        material = getattr(visual, "material", None)
        colour = np.asarray(getattr(material, "main_color", (190, 190, 190, 255)))[:3] / 255.0
        srgb = np.broadcast_to(colour, (len(faces), 3, 3))
    return np.asarray(srgb**2.2, dtype=np.float32)


def _rests(geometry: Any) -> tuple[Rotation, ...]:
    """As the file has it where that is stable enough, and the most likely poses after a fall."""
    hull = geometry.convex_hull
    transforms, probabilities = hull.compute_stable_poses(n_samples=1, threshold=0.08)
    order = np.argsort(-probabilities)[:3]
    rests = [np.asarray(transforms[k][:3, :3], dtype=np.float64) for k in order]
    up = np.array([0.0, 0.0, 1.0])
    upright = [r for r in rests if r[2] @ up > 0.97]
    tilted = [r for r in rests if r[2] @ up <= 0.97]
    return (np.eye(3), *tilted) if upright or not rests else tuple(rests)
