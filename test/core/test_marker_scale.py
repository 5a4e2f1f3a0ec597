"""Printed markers of a known size give the scale of photographs that show them."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from analytic_field import camera_at, small_camera
from PIL import Image

from fast_inerf_ros.datasets.images import LazyImages
from fast_inerf_ros.datasets.posed_images import PosedImages, Splits
from fast_inerf_ros.errors import InputError
from fast_inerf_ros.geometry.se3 import SE3
from fast_inerf_ros.geometry.similarity import Similarity
from fast_inerf_ros.geometry.so3 import SO3
from fast_inerf_ros.scene_building import markers
from fast_inerf_ros.scene_building.build_scene import main
from fast_inerf_ros.scene_building.marker_scale import marker_corners, scale_of_markers
from fast_inerf_ros.scene_building.markers import EDGE_MM, N_MARKERS, PAPER_MM, find_markers

pytestmark = pytest.mark.skipif(
    not hasattr(getattr(cv2, "aruco", None), "ArucoDetector"), reason="needs OpenCV 4.7 or newer"
)
CAMERA = small_camera(480, 360)
WORLD_FROM_METRIC = Similarity(SE3(SO3.exp(np.array([0.4, 1.0, -0.3])), np.ones(3)), 3.7)
EYES = [(0.25 * np.cos(a), 0.25 * np.sin(a), 0.35) for a in np.arange(6) * 1.05]


@pytest.fixture(scope="module")
def sheet(tmp_path_factory):
    path = tmp_path_factory.mktemp("sheet") / "sheet.png"
    assert main(["--aruco-sheet", str(path)]) == 0
    return path


def photographs(folder, picture, eyes=EYES):
    """Views of a picture on A4 paper that lies around the origin, in a world of unknown scale."""
    poses = [camera_at(eye, (0.0, 0.0, 0.0)) for eye in eyes]
    height, width = picture.shape[:2]
    metres = np.array(PAPER_MM) / 1000
    corners = (np.array([[0, 0], [1, 0], [1, 1], [0, 1]]) - 0.5) * metres * [1, -1]
    source = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32) - 0.5
    paths = []
    for number, pose in enumerate(poses):
        seen = CAMERA.project(pose.inverse() @ np.c_[corners, np.zeros(4)]).astype(np.float32)
        fine = 4 * (seen + 0.5) - 0.5  # averaged to the camera's pixels below
        warp = cv2.getPerspectiveTransform(source, fine)
        size = (4 * CAMERA.width, 4 * CAMERA.height)
        view = cv2.warpPerspective(picture, warp, size, borderValue=128, flags=cv2.INTER_AREA)
        view = cv2.resize(view, (CAMERA.width, CAMERA.height), interpolation=cv2.INTER_AREA)
        paths.append(folder / f"{number}.png")
        cv2.imwrite(str(paths[-1]), np.repeat(view[..., None], 3, axis=-1))
    n = len(paths)
    return PosedImages(
        "sheet", LazyImages(paths, [(CAMERA.width, CAMERA.height)] * n), (CAMERA,) * n,
        SE3.stack([WORLD_FROM_METRIC.pose_to_target(pose) for pose in poses]),
        np.tile([0.1, 10.0], (n, 1)), Splits.hold_out(n, 0), tuple(map(str, range(n))),
    )  # fmt: skip


def test_the_sheet_has_its_markers_at_their_size(sheet):
    picture = Image.open(sheet)
    assert picture.size == pytest.approx([side / 25.4 * 300 for side in PAPER_MM], abs=1)
    assert picture.info["dpi"] == pytest.approx((300, 300), abs=0.1)
    found = find_markers(np.asarray(picture.convert("RGB")))
    assert sorted(found) == list(range(N_MARKERS))
    for corners in found.values():
        edges = np.linalg.norm(corners - np.roll(corners, 1, axis=0), axis=-1) * 25.4 / 300
        assert edges == pytest.approx(np.full(4, EDGE_MM), abs=0.2)


def test_a_pdf_is_written_and_other_kinds_are_refused(tmp_path, capsys):
    assert main(["--aruco-sheet", str(tmp_path / "sheet.pdf")]) == 0
    assert (tmp_path / "sheet.pdf").read_bytes().startswith(b"%PDF")
    assert main(["--aruco-sheet", str(tmp_path / "sheet.doc")]) == 2
    assert "ends in .png or .pdf" in capsys.readouterr().err
    assert main([]) == 2
    assert "data: expected a folder of photographs" in capsys.readouterr().err


def test_markers_give_the_scale(sheet, tmp_path):
    posed = photographs(tmp_path, cv2.imread(str(sheet), cv2.IMREAD_GRAYSCALE))
    found = scale_of_markers(posed, EDGE_MM / 1000)
    assert found.n_markers == N_MARKERS
    assert found.n_photographs == len(EYES)
    assert found.metres_per_unit == pytest.approx(1 / WORLD_FROM_METRIC.scale, rel=0.005)
    assert found.spread < 0.01


def test_corners_are_where_they_are(sheet, tmp_path):
    posed = photographs(tmp_path, cv2.imread(str(sheet), cv2.IMREAD_GRAYSCALE))
    seen = {index: find_markers(posed.image(index)) for index in range(len(posed))}
    corners = marker_corners(posed, seen)
    for places in corners.values():
        metric = WORLD_FROM_METRIC.inverse() @ places
        assert metric[:, 2] == pytest.approx(0.0, abs=1e-3)
        assert (np.abs(metric[:, :2]) < np.array(PAPER_MM) / 2000).all()


def test_a_held_out_photograph_has_no_say(sheet, tmp_path):
    posed = photographs(tmp_path, cv2.imread(str(sheet), cv2.IMREAD_GRAYSCALE))
    found = scale_of_markers(posed.with_splits(Splits.hold_out(len(posed), 3)), 0.08)
    assert found.n_photographs == 4


def test_no_markers_or_one_place_are_refused(sheet, tmp_path):
    grey = np.full((400, 300), 200, np.uint8)
    with pytest.raises(InputError, match="aruco: expected markers"):
        scale_of_markers(photographs(tmp_path, grey, EYES[:2]), 0.08)
    picture = cv2.imread(str(sheet), cv2.IMREAD_GRAYSCALE)
    with pytest.raises(InputError, match="seen from different places"):
        scale_of_markers(photographs(tmp_path, picture, [EYES[0]] * 2), 0.08)


def test_an_old_opencv_is_named(monkeypatch):
    monkeypatch.delattr(markers.cv2, "aruco")
    with pytest.raises(InputError, match=r"OpenCV 4\.7 or newer"):
        find_markers(np.zeros((20, 20, 3), np.uint8))
