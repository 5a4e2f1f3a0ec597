"""Plays a folder of photographs as if a camera had recorded them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rclpy.serialization import serialize_message
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from fast_inerf_ros.errors import InputError
from fast_inerf_ros.nodes.camera_file import find_camera_file, load_camera
from fast_inerf_ros.nodes.camera_info import camera_to_message
from fast_inerf_ros.nodes.compressed_decoding import check_complete, decode_compressed_rgb
from fast_inerf_ros.nodes.image_encoding import encode_image
from fast_inerf_ros.nodes.image_size import image_size
from fast_inerf_ros.nodes.poses import NANOSECONDS_PER_SECOND, header
from fast_inerf_ros.nodes.recording import (
    CAMERA_INFO,
    COMPRESSED_IMAGE,
    IMAGE,
    TimedMessage,
    Topic,
)

IMAGE_SUFFIXES = {".jpg": "jpeg", ".jpeg": "jpeg", ".png": "png"}


@dataclass(frozen=True)
class FolderOptions:
    """How a folder is played.

    camera_file: intrinsics; None looks for one in the folder and beside it.
    frame_rate: images per second.
    image_topic: topic of the images; CameraInfo goes to ``camera_info`` beside it.
    frame_id: optical frame of the camera.
    compressed: publish the files' own bytes on ``<image_topic>/compressed``, not pixels.
    start_ns: stamp of the first image.
    """

    camera_file: Path | None
    frame_rate: float
    image_topic: str
    frame_id: str
    compressed: bool
    start_ns: int


class ImageFolder:
    """A folder of JPEG or PNG images in natural order; a `recording.Recording`.

    Raises:
        InputError: No such folder, no images, unreadable images, images of different sizes, or
            intrinsics that are missing or do not fit.
    """

    def __init__(self, folder: Path, options: FolderOptions) -> None:
        self._files = list_images(folder)
        self._options = options
        width, height = _common_size(self._files)
        camera_file = options.camera_file or find_camera_file(folder)
        if camera_file is None:
            raise InputError(
                f"image folder {folder}: expected intrinsics in camera.yaml or transforms.json "
                "there or in its parent, found none: write one with camera_calibration or name "
                "it with camera_file"
            )
        self._camera = load_camera(camera_file, width, height)
        self._image, self._info = self._make_topics()

    @property
    def topics(self) -> tuple[Topic, ...]:
        """The image topic and its CameraInfo."""
        return (self._info, self._image)

    @property
    def start_ns(self) -> int:
        """Stamp of the first image."""
        return self._options.start_ns

    @property
    def end_ns(self) -> int:
        """Stamp of the last image."""
        return self._stamp_ns(len(self._files) - 1)

    def messages(
        self, topics: tuple[Topic, ...], start_ns: int, end_ns: int
    ) -> Iterator[TimedMessage]:
        """Yield CameraInfo and image of each photograph from start to end, both included."""
        for index, file in enumerate(self._files):
            stamp_ns = self._stamp_ns(index)
            if not start_ns <= stamp_ns <= end_ns:
                continue
            if self._info in topics:
                yield TimedMessage(stamp_ns, self._info, self._info_bytes(stamp_ns))
            if self._image in topics:
                yield TimedMessage(stamp_ns, self._image, self._image_bytes(file, stamp_ns))

    @property
    def period_ns(self) -> int:
        """Time between two images."""
        return self._stamp_ns(1) - self._stamp_ns(0)

    def close(self) -> None:
        """Nothing stays open."""

    def _make_topics(self) -> tuple[Topic, Topic]:
        name = self._options.image_topic
        compressed = self._options.compressed
        parent, slash, _ = name.rpartition("/")
        count = len(self._files)
        return (
            Topic(
                f"{name}/compressed" if compressed else name,
                COMPRESSED_IMAGE if compressed else IMAGE,
                count,
            ),
            Topic(f"{parent}{slash}camera_info", CAMERA_INFO, count),
        )

    def _stamp_ns(self, index: int) -> int:
        return self._options.start_ns + round(
            index * NANOSECONDS_PER_SECOND / self._options.frame_rate
        )

    def _info_bytes(self, stamp_ns: int) -> bytes:
        info: CameraInfo = camera_to_message(
            self._camera, header(stamp_ns, self._options.frame_id)
        )
        return serialize_message(info)

    def _image_bytes(self, file: Path, stamp_ns: int) -> bytes:
        stamped = header(stamp_ns, self._options.frame_id)
        message: Image | CompressedImage
        with _naming(file):
            content = file.read_bytes()
            if self._options.compressed:
                check_complete(content)
                kind = IMAGE_SUFFIXES[file.suffix.lower()]
                message = CompressedImage(header=stamped, format=kind, data=content)
            else:
                message = encode_image(decode_compressed_rgb(content), stamped)
        return serialize_message(message)


def list_images(folder: Path) -> list[Path]:
    """Return the images of a folder in natural order (2.png before 10.png).

    Raises:
        InputError: No such folder, or no image in it.
    """
    if not folder.is_dir():
        raise InputError(f"image folder {folder}: expected a folder, found none: check the path")
    files = [file for file in folder.iterdir() if file.suffix.lower() in IMAGE_SUFFIXES]
    if not files:
        raise InputError(
            f"{folder}: expected a rosbag2 folder or .jpg or .png images, found neither: "
            "give the folder that holds them"
        )
    return sorted(files, key=_natural_key)


def _natural_key(file: Path) -> list[tuple[int, str]]:
    parts = re.split(r"(\d+)", file.name)
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]


def _common_size(files: list[Path]) -> tuple[int, int]:
    first = image_size(files[0])
    for file in files[1:]:
        size = image_size(file)
        if size != first:
            raise InputError(
                f"image folder: expected images of one size, got {first[0]}x{first[1]} "
                f"({files[0].name}) and {size[0]}x{size[1]} ({file.name}) in {file.parent}: "
                "keep the images of each camera in a folder of their own"
            )
    return first


@contextmanager
def _naming(file: Path) -> Iterator[None]:
    """Name the file in whatever error its content causes."""
    try:
        yield
    except OSError as error:
        raise InputError(f"image {file}: expected a readable file, got {error}") from None
    except InputError as error:
        raise InputError(f"image {file}: {error}") from None
