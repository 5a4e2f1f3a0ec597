"""Writes object models: binary PLY with texture coordinates and colours, and their textures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.spatial import ConvexHull
from scipy.spatial.distance import pdist

from fast_inerf_ros.datasets.pose_set_writer import box_entry
from fast_inerf_ros.datasets.synthetic.objects import ObjectModel
from fast_inerf_ros.datasets.synthetic.output import write_picture


def write_model(path: Path, model: ObjectModel, scale: float) -> None:
    """Write a model as PLY beside its texture PNG; scale: 1000 for millimetres, 1 for metres.

    Texture coordinates follow the usual (texture_u right, texture_v up). Vertex colours are the
    texture's colours at the vertices, for readers that know no textures.
    """
    texture = path.with_suffix(".png")
    write_picture(texture, model.texture[..., :3])
    vertices, faces = _vertex_table(model, scale)
    header = _header(len(vertices), len(faces), texture.name)
    table = np.empty(len(faces), dtype=[("count", "u1"), ("index", "<i4", (3,))])
    table["count"], table["index"] = 3, faces
    path.write_bytes(header.encode("ascii") + vertices.tobytes() + table.tobytes())


def _vertex_table(model: ObjectModel, scale: float) -> tuple[Any, npt.NDArray[np.int64]]:
    """Vertices with all attributes; corners that agree in everything become one vertex."""
    mesh = model.mesh
    u, v = mesh.uv[..., 0], mesh.uv[..., 1]
    corners = np.concatenate(
        [mesh.triangles * scale, mesh.normals, u[..., None], 1 - v[..., None], _colours(model)],
        axis=-1,
    ).reshape(-1, 11)
    unique, inverse = np.unique(corners.astype(np.float32), axis=0, return_inverse=True)
    fields = [(n, "<f4") for n in ("x", "y", "z", "nx", "ny", "nz", "texture_u", "texture_v")]
    fields += [(n, "u1") for n in ("red", "green", "blue")]
    table = np.empty(len(unique), dtype=fields)
    for column, (name, _) in enumerate(fields):
        values = unique[:, column]
        table[name] = np.clip(values * 255 + 0.5, 0, 255) if column >= 8 else values
    return table, inverse.reshape(-1, 3)


def _colours(model: ObjectModel) -> npt.NDArray[np.float32]:
    """(F, 3, 3) sRGB at the corners."""
    height, width = model.texture.shape[:2]
    columns = np.clip((model.mesh.uv[..., 0] % 1 * width).astype(int), 0, width - 1)
    rows = np.clip((model.mesh.uv[..., 1] % 1 * height).astype(int), 0, height - 1)
    tint = np.maximum(model.mesh.colours, 0) ** np.float32(1 / 2.2)
    return np.asarray(model.texture[rows, columns, :3] / np.float32(255) * tint, np.float32)


def _header(n_vertices: int, n_faces: int, texture: str) -> str:
    names = ("x", "y", "z", "nx", "ny", "nz", "texture_u", "texture_v")
    lines = ["ply", "format binary_little_endian 1.0", f"comment TextureFile {texture}"]
    lines += [f"element vertex {n_vertices}", *(f"property float {name}" for name in names)]
    lines += [f"property uchar {name}" for name in ("red", "green", "blue")]
    lines += [f"element face {n_faces}", "property list uchar int vertex_indices", "end_header"]
    return "\n".join(lines) + "\n"


def model_info(model: ObjectModel) -> dict[str, Any]:
    """BOP's models_info.json entry: millimetres."""
    low, high = model.mesh.bounds
    return box_entry(low, high, diameter(model), model.symmetry)


def diameter(model: ObjectModel) -> float:
    """Greatest distance between two vertices, metres."""
    vertices = np.unique(model.mesh.vertices.astype(np.float64), axis=0)
    if len(vertices) > 400:
        vertices = vertices[ConvexHull(vertices).vertices]
    return float(pdist(vertices).max())
