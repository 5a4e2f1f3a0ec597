"""From linear light to the image of a camera: motion blur, exposure, tone curve, noise, bits."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from fast_inerf_ros.datasets.synthetic.render import Rendered
from fast_inerf_ros.geometry.camera import Camera
from fast_inerf_ros.geometry.se3 import SE3

Floats = npt.NDArray[np.float32]

SHOULDER = 0.8
GAMMA = 2.2
_LUT_SIZE = 8192
_LUT_END = 4.0


@dataclass(frozen=True)
class Sensor:
    """How the camera records.

    exposure_ev: change of exposure in stops. noise_sigma: deviation of the noise in the image's
    [0, 1]. shot_share: how much of the noise (its variance) grows with brightness instead of
    being even; the total at mid-grey stays noise_sigma. softness_px: blur of lens and sensor
    (sigma). vignetting: share of light lost in the corners.
    """

    exposure_ev: float = 0.0
    noise_sigma: float = 0.0
    shot_share: float = 0.0
    softness_px: float = 0.45
    vignetting: float = 0.12


def tone_curve(linear: npt.ArrayLike) -> Floats:
    """Linear light to image values in [0, 1): straight, then a shoulder, then gamma 2.2."""
    light = np.maximum(np.asarray(linear, dtype=np.float32), 0)
    over = np.maximum(light - SHOULDER, 0) / (1 - SHOULDER)
    bent = np.where(light > SHOULDER, 1 - (1 - SHOULDER) * np.exp(-over), light)
    return np.asarray(bent ** (1 / GAMMA), dtype=np.float32)


def inverse_tone_curve(value: npt.ArrayLike) -> Floats:
    """Image values in [0, 1) back to linear light."""
    bent = np.asarray(value, dtype=np.float32) ** GAMMA
    rest = np.clip((1 - bent) / (1 - SHOULDER), 1e-6, 1)
    return np.where(bent > SHOULDER, SHOULDER - (1 - SHOULDER) * np.log(rest), bent)


_CURVE = tone_curve((np.arange(_LUT_SIZE) / (_LUT_SIZE - 1)) ** 2 * _LUT_END)


def develop(
    linear: Floats, sensor: Sensor, generator: np.random.Generator
) -> npt.NDArray[np.uint8]:
    """8-bit sRGB image (H, W, 3) of linear light (H, W, 3)."""
    light = linear
    if sensor.softness_px > 0:
        light = np.asarray(cv2.GaussianBlur(light, (0, 0), sensor.softness_px), np.float32)
    gain = np.float32(2.0**sensor.exposure_ev)
    scale = gain * _vignette(linear.shape[:2], sensor.vignetting)
    # A table over the square root of light: exact enough and ten times faster than powers.
    position = np.sqrt(np.clip(light * (scale[..., None] / np.float32(_LUT_END)), 0, 1))
    value = _CURVE[(position * np.float32(_LUT_SIZE - 1) + np.float32(0.5)).astype(np.int32)]
    if sensor.noise_sigma > 0:
        value = value + _noise(value, sensor, generator)
    return np.asarray(cv2.convertScaleAbs(np.maximum(value, 0), alpha=255.0), dtype=np.uint8)


def _noise(value: Floats, sensor: Sensor, generator: np.random.Generator) -> Floats:
    noise = generator.standard_normal(value.shape, dtype=np.float32)
    if sensor.shot_share == 0:
        return np.asarray(noise * np.float32(sensor.noise_sigma), dtype=np.float32)
    variance = (1 - sensor.shot_share) + sensor.shot_share * 2 * np.clip(value, 0, 1)
    return np.asarray(noise * np.sqrt(variance) * np.float32(sensor.noise_sigma), np.float32)


def _vignette(shape: tuple[int, int], loss: float) -> Floats:
    rows = np.linspace(-1, 1, shape[0], dtype=np.float32)[:, None]
    columns = np.linspace(-1, 1, shape[1], dtype=np.float32)[None]
    return np.asarray(1 - np.float32(loss / 2) * (rows**2 + columns**2), dtype=np.float32)


@dataclass(frozen=True)
class Motion:
    """Movement of the camera during an exposure.

    T_mid_start, T_mid_end: the camera when the shutter opens and closes, in the frame of the
    camera at mid-exposure (T_mid_start maps points of the camera at the start).
    """

    T_mid_start: SE3
    T_mid_end: SE3

    @staticmethod
    def from_velocity(twist: npt.ArrayLike, exposure_s: float) -> Motion:
        """Constant velocity: twist (6,), m/s and rad/s in the camera's own frame."""
        half = np.asarray(twist, dtype=np.float64) * (exposure_s / 2)
        return Motion(SE3.exp(-half), SE3.exp(half))


def motion_flow(
    rendered: Rendered, camera: Camera, motion: Motion
) -> tuple[Floats, Floats, Floats]:
    """Where each pixel's point is seen when the shutter opens and closes.

    Returns displacements (H, W, 2) in pixels at the start and at the end, and the length of the
    blur of every pixel (H, W), 0 where nothing is seen.
    """
    grid = np.asarray(camera.pixel_grid(np.zeros(0, np.float32)), dtype=np.float32)
    points = np.asarray(_bearings(camera) * rendered.depth[..., None], dtype=np.float32)
    flows = []
    for T_mid_then in (motion.T_mid_start, motion.T_mid_end):
        pixels = _project(camera, (T_mid_then.inverse()).astype(np.float32) @ points)
        flows.append(np.nan_to_num(pixels - grid, nan=0.0).astype(np.float32))
    return flows[0], flows[1], np.linalg.norm(flows[1] - flows[0], axis=-1)


_bearing_cache: dict[Camera, Floats] = {}


def _bearings(camera: Camera) -> Floats:
    """Rays (H, W, 3) scaled to z = 1, kept for the last few cameras."""
    if camera not in _bearing_cache:
        if len(_bearing_cache) > 4:
            _bearing_cache.clear()
        rays = np.asarray(camera.bearings(camera.pixel_grid()), dtype=np.float32)
        _bearing_cache[camera] = np.nan_to_num(rays / np.maximum(rays[..., 2:], 1e-6))
    return _bearing_cache[camera]


def _project(camera: Camera, points: Floats) -> Floats:
    if camera.distortion_model != "none":
        return np.asarray(camera.project(points), dtype=np.float32)
    inverse = np.float32(1) / np.where(points[..., 2] > 1e-6, points[..., 2], np.float32(np.nan))
    pixels = np.empty((*inverse.shape, 2), np.float32)
    pixels[..., 0] = points[..., 0] * inverse * np.float32(camera.fx) + np.float32(camera.cx)
    pixels[..., 1] = points[..., 1] * inverse * np.float32(camera.fy) + np.float32(camera.cy)
    return pixels


def motion_blur(rendered: Rendered, camera: Camera, motion: Motion) -> tuple[Floats, float]:
    """Linear image (H, W, 3) averaged over the exposure, and the median blur in pixels.

    The sharp image and its depth stand for the scene: a pixel at time t shows what the image at
    mid-exposure shows where that pixel's point lies in it. The path of every pixel is a parabola
    through its places at the start, the middle and the end, sampled every 1.3 pixels or closer.
    """
    start, end, length = motion_flow(rendered, camera, motion)
    seen = rendered.depth > 0
    median = float(np.median(length[seen])) if seen.any() else 0.0
    longest = float(np.percentile(length[seen], 99)) if seen.any() else 0.0
    if longest < 0.05:
        return rendered.colour, median
    steps = int(np.clip(np.ceil(0.75 * longest) + 1, 3, 24))
    height, width = length.shape
    columns, rows = np.meshgrid(
        np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32)
    )
    total = np.zeros_like(rendered.colour)
    for t in (np.arange(steps, dtype=np.float32) + 0.5) / steps * 2 - 1:
        # What is at p at time t was, at mid-exposure, at p - flow(t).
        opening, closing = np.float32(t * (t - 1) / 2), np.float32(t * (t + 1) / 2)
        x = columns - (opening * start[..., 0] + closing * end[..., 0])
        y = rows - (opening * start[..., 1] + closing * end[..., 1])
        cv2.accumulate(
            cv2.remap(rendered.colour, x, y, cv2.INTER_LINEAR, None, cv2.BORDER_REPLICATE), total
        )
    return np.asarray(total / np.float32(steps), dtype=np.float32), median


def motion_for_blur(
    rendered: Rendered, camera: Camera, twist: npt.ArrayLike, blur_px: float
) -> Motion:
    """The motion along a twist (6,) whose median blur over the image is `blur_px`."""
    direction = np.asarray(twist, dtype=np.float64)
    probe = Motion.from_velocity(direction, 1e-3)
    small = Rendered(
        rendered.colour[::8, ::8], rendered.depth[::8, ::8], rendered.surface[::8, ::8]
    )
    shrunk = Camera(
        small.depth.shape[1], small.depth.shape[0], camera.fx / 8, camera.fy / 8,
        camera.cx / 8, camera.cy / 8, camera.distortion_model, camera.distortion,
    )  # fmt: skip
    length = motion_flow(small, shrunk, probe)[2][small.depth > 0] * 8
    typical = float(np.median(length)) if length.size else 0.0
    if typical < 1e-9:
        return Motion.from_velocity(direction, 0.0)
    return Motion.from_velocity(direction, 1e-3 * blur_px / typical)
