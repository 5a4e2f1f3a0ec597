"""Points on the surface of a data set's models: what pose errors are measured on."""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt
import trimesh

from fast_inerf_ros.datasets.pose_set import ObjectClass
from fast_inerf_ros.errors import InputError

Points = npt.NDArray[np.float64]


def surface_points(item: ObjectClass, count: int = 500) -> Points | None:
    """Points (count, 3) spread evenly over the model, metres, object frame; None without one.

    Always the same for the same model.

    Raises:
        InputError: a mesh that is damaged or has no faces.
    """
    if item.mesh is None:
        return None
    try:
        mesh = trimesh.load(item.mesh, force="mesh", process=False, skip_materials=True)
        places, _ = trimesh.sample.sample_surface(mesh, count, seed=0)
    except Exception as error:  # trimesh's loaders raise anything
        reason = " ".join(str(error).split())[:100]
        raise InputError(
            f"{item.mesh}: expected a mesh with faces, got a file that cannot be used ({reason})"
        ) from None
    points = np.asarray(places, dtype=np.float64) * item.mesh_scale
    if points.shape != (count, 3) or not np.isfinite(points).all():
        raise InputError(f"{item.mesh}: expected a mesh with a finite surface, got none")
    return points


def rotation_points(item: ObjectClass) -> Points:
    """Points (n, 3) that show a wrong rotation: of the model, else of its box, else of a cube."""
    points = surface_points(item)
    if points is not None:
        return points
    corners = np.array(list(itertools.product((-0.5, 0.5), repeat=3)))
    extent = (0.1, 0.1, 0.1) if item.extent is None else item.extent
    return np.asarray(corners * extent + np.array(item.box_centre))
