"""Writes rosbag2 recordings of a hand-held camera, without any ROS installation (rosbags).

The truth goes to /ground_truth/camera_pose, never to /tf, where a localiser could find it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
from rosbags.interfaces import (
    Qos,
    QosDurability,
    QosHistory,
    QosLiveliness,
    QosReliability,
    QosTime,
)
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from fast_inerf_ros.datasets.synthetic.output import progress
from fast_inerf_ros.datasets.synthetic.photographs import Photograph, expose, pipelined
from fast_inerf_ros.datasets.synthetic.render import Rendered, Renderer
from fast_inerf_ros.datasets.synthetic.sensor import Sensor
from fast_inerf_ros.datasets.synthetic.trajectories import Trajectory
from fast_inerf_ros.datasets.synthetic.world import PreparedWorld
from fast_inerf_ros.geometry.camera import Camera
from fast_inerf_ros.geometry.conventions import pose_to_ros, pose_to_tum_line
from fast_inerf_ros.geometry.se3 import SE3

IMAGE_TOPIC = "/camera/image_raw"
INFO_TOPIC = "/camera/camera_info"
TRUTH_TOPIC = "/ground_truth/camera_pose"
OPTICAL_FRAME = "camera_optical_frame"
WORLD_FRAME = "world"
START_NS = 1_700_000_000_000_000_000
BAG_VERSION: Literal[8] = 8

Storage = Literal["mcap", "sqlite3"]
Encoding = Literal["rgb8", "jpeg", "png"]
PLUGINS = {"mcap": StoragePlugin.MCAP, "sqlite3": StoragePlugin.SQLITE3}


@dataclass(frozen=True)
class BagPlan:
    """How the recording is made. exposure_s: shutter time, which makes the motion blur."""

    sensor: Sensor
    rate_hz: float = 30.0
    exposure_s: float = 0.007
    storage: Storage = "mcap"
    encoding: Encoding = "jpeg"


def trajectory_photographs(
    renderer: Renderer,
    world: PreparedWorld,
    camera: Camera,
    trajectory: Trajectory,
    plan: BagPlan,
    generator: np.random.Generator,
) -> Iterator[tuple[float, Photograph]]:
    """Yield time (seconds from the start, mid-exposure) and photograph along a trajectory."""
    margin = plan.exposure_s / 2
    count = int(np.floor((trajectory.duration_s - 2 * margin) * plan.rate_hz + 1e-9)) + 1
    times = [margin + index / plan.rate_hz for index in range(count)]

    def look(time: float) -> Rendered:
        return renderer.render(world, camera, trajectory.at(time))

    def record(time: float, rendered: Rendered) -> tuple[float, Photograph]:
        motion = trajectory.motion(time, plan.exposure_s) if plan.exposure_s > 0 else None
        return time, expose(rendered, camera, trajectory.at(time), plan.sensor, generator, motion)

    yield from pipelined(look, record, times)


def write_bag(
    folder: Path,
    renderer: Renderer,
    world: PreparedWorld,
    camera: Camera,
    trajectory: Trajectory,
    plan: BagPlan,
    generator: np.random.Generator,
) -> None:
    """Write the recording to `folder`/bag and its truth to `folder`/ground_truth.tum."""
    total = int(trajectory.duration_s * plan.rate_hz)
    photographs = trajectory_photographs(renderer, world, camera, trajectory, plan, generator)
    lines = []
    with BagWriter(folder / "bag", plan.storage, plan.encoding) as writer:
        for time, photograph in progress(photographs, total, "bag"):
            stamp_ns = START_NS + round(time * 1e9)
            writer.write(stamp_ns, photograph.image, camera, photograph.T_world_camera)
            lines.append(pose_to_tum_line(stamp_ns, photograph.T_world_camera))
    (folder / "ground_truth.tum").write_text("\n".join(lines) + "\n", encoding="utf-8")


class BagWriter:
    """An open recording of one camera and its true pose; a context manager."""

    def __init__(self, path: Path, storage: Storage, encoding: Encoding) -> None:
        self._writer = Writer(path, version=BAG_VERSION, storage_plugin=PLUGINS[storage])
        self._store = get_typestore(Stores.ROS2_HUMBLE)
        self._encoding = encoding
        self._connections: dict[str, Any] = {}

    def __enter__(self) -> BagWriter:
        self._writer.open()
        suffix = "" if self._encoding == "rgb8" else "/compressed"
        kind = "Image" if self._encoding == "rgb8" else "CompressedImage"
        self._connect("image", IMAGE_TOPIC + suffix, f"sensor_msgs/msg/{kind}", reliable=False)
        self._connect("info", INFO_TOPIC, "sensor_msgs/msg/CameraInfo", reliable=True)
        self._connect("truth", TRUTH_TOPIC, "geometry_msgs/msg/PoseStamped", reliable=True)
        return self

    def __exit__(self, *exception: object) -> None:
        self._writer.close()

    def write(self, stamp_ns: int, image: Any, camera: Camera, T_world_camera: SE3) -> None:
        """Add one photograph (H, W, 3) uint8 RGB, its CameraInfo and its pose."""
        optical = self._header(stamp_ns, OPTICAL_FRAME)
        self._add("info", stamp_ns, self._camera_info(optical, camera))
        self._add("image", stamp_ns, self._image(optical, image))
        self._add(
            "truth", stamp_ns, self._pose(self._header(stamp_ns, WORLD_FRAME), T_world_camera)
        )

    def _connect(self, name: str, topic: str, kind: str, reliable: bool) -> None:
        self._connections[name] = self._writer.add_connection(
            topic, kind, typestore=self._store, offered_qos_profiles=[_qos(reliable)]
        )

    def _add(self, name: str, stamp_ns: int, message: Any) -> None:
        connection = self._connections[name]
        data = self._store.serialize_cdr(message, connection.msgtype)
        self._writer.write(connection, stamp_ns, data)

    def _type(self, name: str) -> Any:
        return self._store.types[name]

    def _header(self, stamp_ns: int, frame_id: str) -> Any:
        seconds, nanoseconds = divmod(stamp_ns, 10**9)
        stamp = self._type("builtin_interfaces/msg/Time")(sec=seconds, nanosec=nanoseconds)
        return self._type("std_msgs/msg/Header")(stamp=stamp, frame_id=frame_id)

    def _image(self, header: Any, image: Any) -> Any:
        if self._encoding == "rgb8":
            return self._type("sensor_msgs/msg/Image")(
                header=header,
                height=image.shape[0],
                width=image.shape[1],
                encoding="rgb8",
                is_bigendian=0,
                step=3 * image.shape[1],
                data=np.ascontiguousarray(image).reshape(-1),
            )
        jpeg = [cv2.IMWRITE_JPEG_QUALITY, 92]
        flags = jpeg if self._encoding == "jpeg" else [cv2.IMWRITE_PNG_COMPRESSION, 1]
        _, data = cv2.imencode(f".{self._encoding}", image[..., ::-1], flags)
        return self._type("sensor_msgs/msg/CompressedImage")(
            header=header, format=f"rgb8; {self._encoding} compressed bgr8", data=data.reshape(-1)
        )

    def _camera_info(self, header: Any, camera: Camera) -> Any:
        model = "plumb_bob" if camera.distortion_model == "none" else camera.distortion_model
        roi = self._type("sensor_msgs/msg/RegionOfInterest")(
            x_offset=0, y_offset=0, height=0, width=0, do_rectify=False
        )
        projection = np.concatenate([np.asarray(camera.matrix()), np.zeros((3, 1))], axis=1)
        return self._type("sensor_msgs/msg/CameraInfo")(
            header=header,
            height=camera.height,
            width=camera.width,
            distortion_model=model,
            d=np.array(camera.distortion or [0.0] * 5, dtype=np.float64),
            k=np.asarray(camera.matrix(), dtype=np.float64).ravel(),
            r=np.eye(3).ravel(),
            p=projection.ravel(),
            binning_x=0,
            binning_y=0,
            roi=roi,
        )

    def _pose(self, header: Any, T_world_camera: SE3) -> Any:
        position, quaternion = (np.asarray(part).tolist() for part in pose_to_ros(T_world_camera))
        point = self._type("geometry_msgs/msg/Point")(*position)
        turn = self._type("geometry_msgs/msg/Quaternion")(*quaternion)
        pose = self._type("geometry_msgs/msg/Pose")(position=point, orientation=turn)
        return self._type("geometry_msgs/msg/PoseStamped")(header=header, pose=pose)


def _qos(reliable: bool) -> Qos:
    """Profile that `ros2 bag play` offers: sensor data for images, reliable for the rest."""
    unlimited = QosTime(9223372036, 854775807)
    return Qos(
        QosHistory.KEEP_LAST,
        10 if reliable else 5,
        QosReliability.RELIABLE if reliable else QosReliability.BEST_EFFORT,
        QosDurability.VOLATILE,
        unlimited,
        unlimited,
        QosLiveliness.AUTOMATIC,
        unlimited,
        False,
    )
