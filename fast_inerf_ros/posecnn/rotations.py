"""Rotations as networks regress them."""

from __future__ import annotations

import torch
from torch import Tensor


def matrix_from_six(values: Tensor) -> Tensor:
    """Rotation matrices (..., 3, 3) whose first two columns are near values (..., 6).

    Gram-Schmidt: a representation without jumps, which networks learn more easily than
    quaternions (Zhou et al., "On the continuity of rotation representations in neural
    networks", 2019, eq. 15). A third column completes them.
    """
    first = torch.nn.functional.normalize(values[..., :3], dim=-1, eps=1e-8)
    along = (first * values[..., 3:]).sum(dim=-1, keepdim=True)
    second = torch.nn.functional.normalize(values[..., 3:] - along * first, dim=-1, eps=1e-8)
    third = torch.linalg.cross(first, second)
    return torch.stack([first, second, third], dim=-1)


def matrix_from_wxyz(values: Tensor) -> Tensor:
    """Rotation matrices (..., 3, 3) of quaternions (..., 4), w first, of any length.

    A quaternion of zeros gives the identity.
    """
    length = torch.linalg.vector_norm(values, dim=-1, keepdim=True)
    identity = torch.zeros_like(values)
    identity[..., 0] = 1
    unit = torch.where(length > 1e-12, values / length.clamp(min=1e-12), identity)
    w, x, y, z = unit.unbind(dim=-1)
    rows = [
        1 - 2 * (y * y + z * z),
        2 * (x * y - z * w),
        2 * (x * z + y * w),
        2 * (x * y + z * w),
        1 - 2 * (x * x + z * z),
        2 * (y * z - x * w),
        2 * (x * z - y * w),
        2 * (y * z + x * w),
        1 - 2 * (x * x + y * y),
    ]
    return torch.stack(rows, dim=-1).reshape(*values.shape[:-1], 3, 3)


def viewing_rotation(bearings: Tensor) -> Tensor:
    """Smallest rotations (..., 3, 3) that turn the optical axis towards bearings (..., 3).

    An object that is moved across the image keeps its look if it is turned by this too, so
    that a crop shows R_viewing^T @ R_camera_object, the allocentric rotation (Kundu, Li,
    Rehg, "3D-RCNN", 2018, section 3). Bearings are unit vectors with z > 0.
    """
    x, y, z = bearings.unbind(dim=-1)
    k = 1 / (1 + z)
    rows = [1 - k * x * x, -k * x * y, x, -k * x * y, 1 - k * y * y, y, -x, -y, z]
    return torch.stack(rows, dim=-1).reshape(*bearings.shape[:-1], 3, 3)
