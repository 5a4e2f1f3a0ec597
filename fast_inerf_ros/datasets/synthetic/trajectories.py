"""Where the camera goes: single views around the table and smooth hand-held ways.

Poses are T_world_camera with optical axes (x right, y down, z forward).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy.interpolate import BSpline, make_interp_spline

from fast_inerf_ros.datasets.synthetic.sensor import Motion
from fast_inerf_ros.errors import InputError
from fast_inerf_ros.geometry.se3 import SE3
from fast_inerf_ros.geometry.so3 import SO3

Floats = npt.NDArray[np.float64]

TARGET = np.array([0.0, 0.0, 0.05])


@dataclass(frozen=True)
class ViewRange:
    """From where single views look: distance from the target in metres, elevation in degrees."""

    distance: tuple[float, float] = (0.6, 1.0)
    elevation_deg: tuple[float, float] = (15.0, 65.0)
    target_jitter: float = 0.08
    roll_deg: float = 8.0


def look_at(eye: npt.ArrayLike, target: npt.ArrayLike, roll: npt.ArrayLike = 0.0) -> SE3:
    """Cameras at `eye` (..., 3) looking at `target` (..., 3), upright but for `roll` radians."""
    position = np.asarray(eye, dtype=np.float64)
    forward = _unit(np.asarray(target, dtype=np.float64) - position)
    right = _unit(np.cross(forward, [0.0, 0.0, 1.0]))
    level = np.stack([right, np.cross(forward, right), forward], axis=-1)
    angle = np.asarray(roll, dtype=np.float64)
    turn = SO3.exp(angle[..., None] * np.array([0.0, 0.0, 1.0]))
    return SE3(SO3.nearest(level) @ turn, position)


def _unit(vectors: Floats) -> Floats:
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-9))


def random_view(generator: np.random.Generator, views: ViewRange) -> SE3:
    """A view of the table from anywhere on the range's part of the hemisphere."""
    return _view(
        generator.uniform(0, 2 * np.pi),
        np.sin(np.radians(generator.uniform(*views.elevation_deg))),
        generator,
        views,
    )


def hemisphere_views(n_views: int, generator: np.random.Generator, views: ViewRange) -> list[SE3]:
    """Views spread evenly over the range: a jittered Fibonacci spiral on the hemisphere."""
    golden = np.pi * (3 - np.sqrt(5))
    start = generator.uniform(0, 2 * np.pi)
    low, high = np.sin(np.radians(views.elevation_deg))
    poses = []
    for k in range(n_views):
        sine = low + (high - low) * (k + generator.uniform(0.1, 0.9)) / n_views
        poses.append(_view(start + golden * k + generator.normal(0, 0.1), sine, generator, views))
    return poses


def _view(azimuth: float, sine: float, generator: np.random.Generator, views: ViewRange) -> SE3:
    cosine = np.sqrt(1 - sine**2)
    direction = np.array([cosine * np.cos(azimuth), cosine * np.sin(azimuth), sine])
    target = TARGET + generator.uniform(-1, 1, 3) * views.target_jitter * np.array([1, 1, 0.3])
    roll = np.radians(generator.uniform(-1, 1) * views.roll_deg)
    return look_at(target + direction * generator.uniform(*views.distance), target, roll)


@dataclass(frozen=True, eq=False)
class Shake:
    """Band-limited rotation of a hand: sinusoids (K, 3) of given frequencies and phases."""

    frequencies_hz: Floats
    phases: Floats
    amplitudes: Floats

    def at(self, times: npt.ArrayLike) -> Floats:
        """Rotation vectors (..., 3) at times (...) in seconds."""
        angle = 2 * np.pi * self.frequencies_hz * np.asarray(times, np.float64)[..., None, None]
        return np.asarray((self.amplitudes * np.sin(angle + self.phases)).sum(axis=-2))


@dataclass(frozen=True, eq=False)
class Trajectory:
    """A smooth way of the camera through time, exact at every instant.

    position, gaze, roll: splines over the way's own parameter, of which `pace` pass a second.
    shake: rotation on top, in the camera's frame, `shake_scale` times.
    """

    duration_s: float
    position: BSpline
    gaze: BSpline
    roll: BSpline
    shake: Shake
    pace: float = 1.0
    shake_scale: float = 0.0

    def at(self, times_s: npt.ArrayLike) -> SE3:
        """T_world_camera at times (...) in seconds from the start."""
        way = np.asarray(times_s, dtype=np.float64) * self.pace
        steady = look_at(self.position(way), self.gaze(way), self.roll(way))
        turn = SO3.exp(self.shake.at(times_s) * self.shake_scale)
        return SE3(steady.rotation @ turn, steady.translation)

    def motion(self, mid_s: float, exposure_s: float) -> Motion:
        """Movement during an exposure around a time."""
        T_mid_world = self.at(mid_s).inverse()
        return Motion(
            T_mid_world @ self.at(mid_s - exposure_s / 2),
            T_mid_world @ self.at(mid_s + exposure_s / 2),
        )

    def speeds(self, rate_hz: float = 200.0) -> tuple[Floats, Floats]:
        """Speed in m/s and angular rate in rad/s along the way, by differences at `rate_hz`."""
        poses = self.at(np.arange(0, self.duration_s, 1 / rate_hz))
        turn = (poses.rotation[:-1].inverse() @ poses.rotation[1:]).angle()
        step = np.linalg.norm(np.diff(poses.translation, axis=0), axis=1)
        return np.asarray(step * rate_hz), np.asarray(turn * rate_hz)


def hand_held(
    generator: np.random.Generator,
    duration_s: float,
    max_speed: float = 0.5,
    max_rate_deg: float = 90.0,
    views: ViewRange | None = None,
) -> Trajectory:
    """A hand moving the camera around the table and shaking it.

    Key points around the table are joined by splines, travelled so fast that the greatest speed
    is `max_speed` (m/s); the shake is then so strong that the greatest angular rate is
    `max_rate_deg` (deg/s).

    Raises InputError for a duration or limits that are not positive.
    """
    if min(duration_s, max_speed, max_rate_deg) <= 0:
        raise InputError(
            "expected a positive duration, speed and angular rate, got "
            f"{duration_s} s, {max_speed} m/s, {max_rate_deg} deg/s"
        )
    trajectory = _way(generator, views or ViewRange(), duration_s, max_speed)
    limit = np.radians(max_rate_deg) * 0.995
    for _ in range(3):
        speed, rate = trajectory.speeds()
        slower = min(max_speed * 0.995 / speed.max(), limit / rate.max(), 1.0)
        trajectory = replace(trajectory, pace=trajectory.pace * slower)
    return _shaken(trajectory, limit)


def _way(
    generator: np.random.Generator, views: ViewRange, duration_s: float, max_speed: float
) -> Trajectory:
    """Splines over the length travelled, so that the pace is nearly the speed."""
    eyes, gazes, rolls = _key_points(generator, views, duration_s * max_speed)
    chords = np.linalg.norm(np.diff(eyes, axis=0), axis=1)
    length = np.concatenate([[0.0], np.cumsum(np.maximum(chords, 0.03))]) - chords[0]
    frequencies = generator.uniform(0.8, 2.6, (6, 3))
    shake = Shake(
        frequencies,
        generator.uniform(0, 2 * np.pi, (6, 3)),
        generator.uniform(0.3, 1.0, (6, 3)) / frequencies * np.array([1.0, 1.0, 0.5]),
    )
    position, gaze, roll = (make_interp_spline(length, v, k=3) for v in (eyes, gazes, rolls))
    return Trajectory(duration_s, position, gaze, roll, shake, pace=max_speed)


def _shaken(trajectory: Trajectory, limit: float) -> Trajectory:
    """The same way with the strongest shake whose angular rate stays within `limit` (rad/s)."""
    low, high = 0.0, 1.0
    for _ in range(30):
        middle = (low + high) / 2
        if replace(trajectory, shake_scale=middle).speeds()[1].max() <= limit:
            low = middle
        else:
            high = middle
    return replace(trajectory, shake_scale=low)


def _key_points(
    generator: np.random.Generator, views: ViewRange, length: float
) -> tuple[Floats, Floats, Floats]:
    """A random walk around the table: eyes (N, 3), points of gaze (N, 3), roll angles (N,)."""
    count = max(12, int(np.ceil(length / 0.04)) + 8)
    low, high = views.elevation_deg
    near, far = views.distance
    azimuth = generator.uniform(0, 2 * np.pi) + np.cumsum(generator.uniform(0.06, 0.15, count))
    middle, swing = np.radians((low + high) / 2), np.radians((high - low) / 2)
    elevation = middle + swing * np.sin(_wander(generator, count, 0.22))
    distance = (near + far) / 2 + (far - near) / 2 * np.sin(_wander(generator, count, 0.22))
    direction = np.stack(
        [
            np.cos(elevation) * np.cos(azimuth),
            np.cos(elevation) * np.sin(azimuth),
            np.sin(elevation),
        ],
        axis=1,
    )
    sideways = np.stack([_wander(generator, count, 0.22) for _ in range(3)], axis=1)
    gaze = TARGET + np.sin(sideways) * views.target_jitter * np.array([1, 1, 0.4])
    roll = np.radians(views.roll_deg) * np.sin(_wander(generator, count, 0.22))
    return TARGET + direction * distance[:, None], gaze, roll


def _wander(generator: np.random.Generator, count: int, step: float) -> Floats:
    return np.asarray(
        generator.uniform(0, 2 * np.pi) + np.cumsum(generator.normal(0, step, count))
    )
