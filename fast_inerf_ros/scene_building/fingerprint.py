"""Telling whether photographs are the ones that something was made from."""

from __future__ import annotations

import hashlib

import numpy as np

from fast_inerf_ros.datasets.posed_images import PosedImages


def fingerprint(posed: PosedImages) -> str:
    """What identifies photographs with their cameras, poses and splits, without decoding them."""
    total = hashlib.sha256()
    sizes = [path.stat().st_size for path in posed.images.paths]
    for part in (posed.names, posed.images.sizes, sizes, posed.cameras, posed.frame.metric):
        total.update(repr(part).encode())
    splits = posed.splits
    for array in (posed.T_world_camera.matrix(), splits.train, splits.test, posed.bounds):
        total.update(np.ascontiguousarray(np.asarray(array, dtype=np.float64)).tobytes())
    return total.hexdigest()
