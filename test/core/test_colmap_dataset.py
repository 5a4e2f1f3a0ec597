"""COLMAP models, text and binary, and what happens without pycolmap."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fast_inerf_ros.datasets.colmap import LENSES
from fast_inerf_ros.datasets.load import load_dataset
from fast_inerf_ros.datasets.options import DatasetOptions
from fast_inerf_ros.datasets.posed_images import PosedImages
from fast_inerf_ros.errors import InputError
from fast_inerf_ros.geometry.conventions import pose_to_colmap
from fast_inerf_ros.geometry.se3 import SE3, SO3

WIDTH, HEIGHT = 32, 24
N = 9
PINHOLE = "PINHOLE 32 24 30.5 31.0 16.25 11.75"
POSES = SE3(
    SO3.exp(0.2 * np.random.default_rng(0).standard_normal((N, 3))),
    np.random.default_rng(1).standard_normal((N, 3)) * [1.0, 1.0, 0.1],
)
POINTS = np.random.default_rng(2).uniform([-2.0, -2.0, 4.0], [2.0, 2.0, 9.0], (40, 3))


@pytest.fixture
def pycolmap():
    """The optional dependency, or the reason why the test is skipped."""
    return pytest.importorskip("pycolmap", reason="COLMAP models need pycolmap")


def write(folder: Path, camera: str = PINHOLE, images: str = "images") -> Path:
    """Write a text model in which every image sees every point, and its images."""
    model = folder / "sparse" / "0"
    model.mkdir(parents=True)
    (model / "cameras.txt").write_text(f"1 {camera}\n")
    lines = []
    for i in reversed(range(N)):
        quaternion, translation = pose_to_colmap(POSES[i])
        numbers = " ".join(repr(float(value)) for value in (*quaternion, *translation))
        seen = " ".join(f"10.0 10.0 {k + 1}" for k in range(len(POINTS)))
        lines += [f"{i + 1} {numbers} 1 side/{i:02d}.png", seen]
    (model / "images.txt").write_text("\n".join(lines) + "\n")
    tracks = [" ".join(f"{i + 1} {k}" for i in range(N)) for k in range(len(POINTS))]
    (model / "points3D.txt").write_text(
        "".join(
            f"{k + 1} {x!r} {y!r} {z!r} 0 0 0 1.0 {tracks[k]}\n"
            for k, (x, y, z) in enumerate(POINTS.tolist())
        )
    )
    (folder / images / "side").mkdir(parents=True)
    for i in range(N):
        pixels = np.full((HEIGHT, WIDTH, 3), i, np.uint8)
        Image.fromarray(pixels).save(folder / images / "side" / f"{i:02d}.png")
    return folder


def binary(folder: Path, pycolmap: Any) -> Path:
    """Replace the text model by a binary one."""
    model = folder / "sparse/0"
    pycolmap.Reconstruction(str(model)).write_binary(str(model))
    for file in model.glob("*.txt"):
        file.unlink()
    return model


def load(folder: Path, **options: Any) -> PosedImages:
    return load_dataset(folder, DatasetOptions(**options))


def test_text_and_binary_models_are_the_same_scene(tmp_path, pycolmap):
    folder = write(tmp_path)
    from_text = load(folder)
    binary(folder, pycolmap)
    for posed in (from_text, load(folder)):
        assert posed.names == tuple(f"side/{i:02d}.png" for i in range(N))
        assert posed.T_world_camera.matrix() == pytest.approx(POSES.matrix(), abs=1e-9)
        assert posed.splits.test.tolist() == [0, 8]
        assert (posed.image(4) == 4).all()
        assert not posed.frame.metric


def test_principal_points_count_from_the_corner(tmp_path, pycolmap):
    camera = load(write(tmp_path)).cameras[0]
    assert (camera.fx, camera.fy, camera.cx, camera.cy) == (30.5, 31.0, 15.75, 11.25)


PARAMETERS = {
    "SIMPLE_PINHOLE": "30 16 12",
    "PINHOLE": "30 31 16 12",
    "SIMPLE_RADIAL": "30 16 12 0.05",
    "RADIAL": "30 16 12 0.05 -0.01",
    "OPENCV": "30 31 16 12 0.05 -0.01 0.002 -0.003",
    "FULL_OPENCV": "30 31 16 12 0.05 -0.01 0.002 -0.003 0.004 0.02 0.005 0.001",
    "SIMPLE_FISHEYE": "30 16 12",
    "FISHEYE": "30 31 16 12",
    "SIMPLE_RADIAL_FISHEYE": "30 16 12 0.05",
    "RADIAL_FISHEYE": "30 16 12 0.05 -0.01",
    "OPENCV_FISHEYE": "30 31 16 12 0.05 -0.01 0.003 -0.001",
}


@pytest.mark.parametrize("lens", LENSES)
def test_every_lens_projects_as_colmaps_own(tmp_path, pycolmap, lens):
    if not hasattr(pycolmap.CameraModelId, lens):
        pytest.skip(f"this pycolmap does not know {lens}")
    posed = load(write(tmp_path, f"{lens} {WIDTH} {HEIGHT} {PARAMETERS[lens]}"))
    theirs = pycolmap.Reconstruction(str(tmp_path / "sparse/0")).cameras[1]
    points = np.random.default_rng(3).uniform([-0.4, -0.3, 0.9], [0.4, 0.3, 1.1], (20, 3))
    expected = np.array([theirs.img_from_cam(point) for point in points]) - 0.5
    assert posed.cameras[0].project(points) == pytest.approx(expected, abs=1e-6)
    binary(tmp_path, pycolmap)
    assert load(tmp_path).cameras == posed.cameras


def test_bounds_hold_the_points_that_an_image_sees(tmp_path, pycolmap):
    posed = load(write(tmp_path))
    for i in range(N):
        depths = (POSES[i].inverse() @ POINTS)[:, 2]
        expected = np.percentile(depths, [0.1, 99.9])
        assert posed.bounds[i] == pytest.approx(expected)


def test_smaller_copies_of_the_images_scale_the_cameras(tmp_path, pycolmap):
    folder = write(tmp_path)
    (folder / "images_2/side").mkdir(parents=True)
    for i in range(N):
        small = Image.fromarray(np.zeros((HEIGHT // 2, WIDTH // 2, 3), np.uint8))
        small.save(folder / f"images_2/side/{i:02d}.png")
    camera = load(folder, factor=2).cameras[0]
    assert (camera.width, camera.fx, camera.cx) == (16, 15.25, pytest.approx(16.25 / 2 - 0.5))
    assert load(folder, factor=4).image(0).shape == (6, 8, 3)


def test_missing_images_are_skipped_with_one_warning(tmp_path, pycolmap, caplog):
    folder = write(tmp_path)
    (folder / "images/side/03.png").unlink()
    with caplog.at_level(logging.WARNING):
        posed = load(folder)
    assert (len(posed), posed.n_missing) == (N - 1, 1)
    assert "side/03.png" not in posed.names
    assert len(caplog.records) == 1


def fails(folder: Path, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        load(folder)
    assert "\n" not in str(caught.value)


def test_unknown_lens_is_refused(tmp_path, pycolmap):
    fails(write(tmp_path, f"FOV {WIDTH} {HEIGHT} 30 31 16 12 0.1"), "camera model of .* got FOV")


def test_broken_models_are_refused(tmp_path, pycolmap):
    folder = write(tmp_path)
    (folder / "sparse/0/cameras.txt").write_text("1 PINHOLE 32\n")
    fails(folder, "expected a COLMAP model, got an error")


@pytest.mark.parametrize("file", ["cameras.bin", "images.bin", "points3D.bin"])
@pytest.mark.parametrize("kept", [0, 4, 8, 20, 0.5, -3])
def test_truncated_binary_models_are_refused(tmp_path, pycolmap, file, kept):
    path = binary(write(tmp_path), pycolmap) / file
    whole = path.read_bytes()
    path.write_bytes(whole[: int(kept * len(whole)) if isinstance(kept, float) else kept])
    fails(tmp_path, f"{file}: expected a whole COLMAP file")


@pytest.mark.parametrize("file", ["cameras.bin", "images.bin", "points3D.bin"])
def test_garbage_in_binary_models_is_refused(tmp_path, pycolmap, file):
    path = binary(write(tmp_path), pycolmap) / file
    path.write_bytes(np.random.default_rng(4).bytes(5000))
    fails(tmp_path, "COLMAP")


def test_incomplete_models_are_refused(tmp_path, pycolmap):
    folder = write(tmp_path)
    (folder / "sparse/0/images.txt").unlink()
    fails(folder, "expected a COLMAP model, got an error")


def test_images_of_other_proportions_are_refused(tmp_path, pycolmap):
    fails(write(tmp_path, f"PINHOLE 64 24 {PARAMETERS['PINHOLE']}"), "64x24 pixels, got 32x24")


def test_model_without_any_of_its_images_is_refused(tmp_path, pycolmap):
    folder = write(tmp_path)
    for path in (folder / "images/side").iterdir():
        path.rename(folder / "images" / path.name)
    fails(folder, "expected images in images, got none of the 9")


def test_without_pycolmap_the_remedy_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pycolmap", None)
    fails(write(tmp_path), "pip install 'pycolmap>=3.12'")
