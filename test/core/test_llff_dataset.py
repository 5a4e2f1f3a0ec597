"""LLFF data sets against the arithmetic of the original loader (bmild/nerf, nerf-pytorch)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fast_inerf_ros.datasets.load import load_dataset
from fast_inerf_ros.datasets.options import DatasetOptions
from fast_inerf_ros.datasets.posed_images import PosedImages
from fast_inerf_ros.errors import InputError
from fast_inerf_ros.geometry.conventions import opencv_to_llff
from fast_inerf_ros.geometry.se3 import SE3, SO3

WIDTH, HEIGHT, FOCAL = 64, 48, 55.0
N = 10


def unit(v: np.ndarray) -> np.ndarray:
    return v / np.linalg.norm(v)


def original_load_llff(
    table: np.ndarray, bd_factor: float, recentre: bool, spherify: bool
) -> tuple[np.ndarray, np.ndarray]:
    """load_llff_data of nerf-pytorch: OpenGL poses (n, 3, 4) and bounds (n, 2) of the field."""
    poses = table[:, :-2].reshape([-1, 3, 5]).transpose([1, 2, 0])
    bds = table[:, -2:].transpose([1, 0])
    poses = np.concatenate([poses[:, 1:2, :], -poses[:, 0:1, :], poses[:, 2:, :]], 1)
    poses, bds = np.moveaxis(poses, -1, 0)[:, :, :4], np.moveaxis(bds, -1, 0)
    sc = 1.0 / (bds.min() * bd_factor)
    poses[:, :3, 3] *= sc
    bds = bds * sc

    def homogeneous(p):
        return np.concatenate([p, np.tile([[[0, 0, 0, 1.0]]], [p.shape[0], 1, 1])], 1)

    if recentre:
        center = poses[:, :3, 3].mean(0)
        vec2, up = unit(poses[:, :3, 2].sum(0)), poses[:, :3, 1].sum(0)
        vec0 = unit(np.cross(up, vec2))
        vec1 = unit(np.cross(vec2, vec0))
        c2w = np.stack([vec0, vec1, vec2, center], 1)
        poses = (np.linalg.inv(homogeneous(c2w[None])) @ homogeneous(poses))[:, :3]
    if spherify:
        rays_d, rays_o = poses[:, :3, 2:3], poses[:, :3, 3:4]
        a_i = np.eye(3) - rays_d * np.transpose(rays_d, [0, 2, 1])
        b_i = -a_i @ rays_o
        center = np.squeeze(
            -np.linalg.inv((np.transpose(a_i, [0, 2, 1]) @ a_i).mean(0)) @ b_i.mean(0)
        )
        vec0 = unit((poses[:, :3, 3] - center).mean(0))
        vec1 = unit(np.cross([0.1, 0.2, 0.3], vec0))
        vec2 = unit(np.cross(vec0, vec1))
        c2w = np.stack([vec1, vec2, vec0, center], 1)
        poses = (np.linalg.inv(homogeneous(c2w[None])) @ homogeneous(poses))[:, :3]
        sc = 1.0 / np.sqrt(np.mean(np.sum(np.square(poses[:, :3, 3]), -1)))
        poses[:, :3, 3] *= sc
        bds = bds * sc
    return poses, bds


def random_table(seed: int = 0, spread: float = 0.2) -> np.ndarray:
    """Poses around a common view direction, in a world of any orientation and unit."""
    generator = np.random.default_rng(seed)
    base = SO3.random(generator)
    turns = SO3.exp(spread * generator.standard_normal((N, 3)))
    poses = SE3(base @ turns, 7.0 + 3.0 * generator.standard_normal((N, 3)))
    columns = np.concatenate(
        [
            opencv_to_llff(poses.matrix()),
            np.tile([[HEIGHT], [WIDTH], [FOCAL]], (N, 1, 1)),
        ],
        axis=-1,
    )
    near = generator.uniform(5.0, 8.0, (N, 1))
    return np.concatenate([columns.reshape(N, 15), near, near * 6.0], axis=1)


def write(folder: Path, table: np.ndarray, n_images: int = N, **sizes: tuple[int, int]) -> Path:
    """Write the poses, and folders of images by name with their size (w, h)."""
    np.save(folder / "poses_bounds.npy", table)
    for name, (width, height) in (sizes or {"images": (WIDTH, HEIGHT)}).items():
        (folder / name).mkdir()
        for i in range(n_images):
            pixels = np.full((height, width, 3), i, np.uint8)
            Image.fromarray(pixels).save(folder / name / f"IMG_{i:03d}.png")
    return folder


def load(folder: Path, **options: Any) -> PosedImages:
    return load_dataset(folder, DatasetOptions(**options))


@pytest.mark.parametrize("recentre", [True, False])
@pytest.mark.parametrize("spherify", [True, False])
@pytest.mark.parametrize("bd_factor", [0.75, 0.5])
def test_field_has_the_coordinates_of_the_original_loader(tmp_path, recentre, spherify, bd_factor):
    table = random_table()
    posed = load(write(tmp_path, table), recentre=recentre, spherify=spherify, bd_factor=bd_factor)
    poses, bounds = original_load_llff(table.copy(), bd_factor, recentre, spherify)
    ours = posed.T_field_camera.matrix()[:, :3] * np.array([1.0, -1.0, -1.0, 1.0])
    assert ours == pytest.approx(poses, abs=1e-9)
    assert posed.field_bounds == pytest.approx(bounds, rel=1e-9)


def test_world_stays_that_of_the_file_and_the_normalisation_is_kept(tmp_path):
    table = random_table(1)
    posed = load(write(tmp_path, table))
    assert posed.T_world_camera.translation == pytest.approx(
        table[:, :15].reshape(-1, 3, 5)[..., 3]
    )
    assert posed.bounds == pytest.approx(table[:, 15:])
    assert posed.frame.metres_per_unit == pytest.approx(0.75 * table[:, 15].min())
    centres = posed.T_field_camera.translation
    back = posed.frame.T_world_field @ (posed.frame.metres_per_unit * centres)
    assert back == pytest.approx(posed.T_world_camera.translation)
    assert centres.mean(axis=0) == pytest.approx(np.zeros(3), abs=1e-9)
    assert not posed.frame.metric


def test_unit_of_the_file_is_kept_on_request(tmp_path):
    posed = load(write(tmp_path, random_table()), bd_factor=0.0, recentre=False)
    assert posed.T_field_camera.matrix() == pytest.approx(posed.T_world_camera.matrix())


def test_forward_facing_scenes_use_device_coordinates(tmp_path):
    folder = write(tmp_path, random_table())
    assert load(folder).ndc
    assert not load(folder, ndc=False).ndc
    assert not load(folder, spherify=True).ndc


def test_every_eighth_image_is_held_out(tmp_path):
    folder = write(tmp_path, random_table())
    assert load(folder).splits.test.tolist() == [0, 8]
    assert load(folder, hold_out=3).splits.test.tolist() == [0, 3, 6, 9]


def test_folder_of_the_factor_is_used_where_it_exists(tmp_path):
    folder = write(tmp_path, random_table(), images=(WIDTH, HEIGHT), images_4=(16, 12))
    posed = load(folder, factor=4)
    assert {path.parent.name for path in posed.images.paths} == {"images_4"}
    camera = posed.cameras[0]
    assert (camera.width, camera.fx, camera.cx, camera.cy) == (16, FOCAL / 4, 7.5, 5.5)


def test_images_are_shrunk_where_it_does_not(tmp_path):
    folder = write(tmp_path, random_table(), images_2=(WIDTH // 2, HEIGHT // 2))
    assert load(folder).cameras[0].width == WIDTH // 2
    posed = load(folder, factor=4)
    assert posed.image(3).shape == (12, 16, 3)
    assert posed.cameras[3].fx == FOCAL / 4


def test_size_that_does_not_divide_scales_each_axis_by_itself(tmp_path):
    table = random_table()
    table[:, :15].reshape(-1, 3, 5)[:, 0, 4] = 50.0  # 50 / 4 = 12.5 rows
    camera = load(write(tmp_path, table, images_4=(16, 12))).cameras[0]
    assert (camera.fx, camera.fy) == (FOCAL / 4, FOCAL * 12 / 50)


class TestBadInput:
    def fails(self, folder: Path, message: str, **options: Any) -> None:
        with pytest.raises(InputError, match=message) as caught:
            load(folder, **options)
        assert "\n" not in str(caught.value)

    def test_file_that_is_no_array(self, tmp_path):
        (tmp_path / "poses_bounds.npy").write_bytes(b"nonsense")
        self.fails(tmp_path, r"poses_bounds\.npy: expected a NumPy array")

    def test_array_of_objects_is_not_executed(self, tmp_path):
        np.save(tmp_path / "poses_bounds.npy", np.array([{}], dtype=object), allow_pickle=True)
        self.fails(tmp_path, r"poses_bounds\.npy: expected a NumPy array")

    def test_array_of_another_shape(self, tmp_path):
        self.fails(write(tmp_path, np.zeros((N, 14))), r"shape \(images, 17\)")

    def test_numbers_that_are_not_finite(self, tmp_path):
        table = random_table()
        table[3, 2] = np.nan
        self.fails(write(tmp_path, table), "finite numbers")

    @pytest.mark.parametrize("bounds", [(0.0, 1.0), (2.0, 2.0), (-1.0, 3.0)])
    def test_degenerate_bounds(self, tmp_path, bounds):
        table = random_table()
        table[2, 15:] = bounds
        self.fails(write(tmp_path, table), "expected bounds 0 < near < far")

    def test_pose_that_is_not_rigid(self, tmp_path):
        table = random_table()
        table[1, :3] *= 2.0
        self.fails(write(tmp_path, table), r"pose of IMG_001\.png: expected rotation matrices")

    def test_fewer_images_than_poses(self, tmp_path):
        folder = write(tmp_path, random_table(), n_images=N - 1)
        self.fails(folder, "an image for each of 10 poses, got 9 in images")

    def test_no_images(self, tmp_path):
        self.fails(write(tmp_path, random_table(), n_images=0), "got none; copy the images")

    def test_images_smaller_than_asked_for(self, tmp_path):
        folder = write(tmp_path, random_table(), images_4=(16, 12))
        self.fails(folder, "expected images for factor 2, got images_4", factor=2)

    def test_image_of_other_proportions(self, tmp_path):
        folder = write(tmp_path, random_table(), images=(WIDTH, 40))
        self.fails(folder, r"IMG_000\.png: .*64x48 pixels, got 64x40")

    def test_focal_length_of_zero(self, tmp_path):
        table = random_table()
        table[:, 14] = 0.0
        self.fails(write(tmp_path, table), r"IMG_000\.png: .*positive focal lengths")

    def test_single_image(self, tmp_path):
        self.fails(write(tmp_path, random_table()[:1], n_images=1), "at least 2 images")

    def test_cameras_whose_directions_cancel(self, tmp_path):
        table = random_table()
        columns = table[:, :15].reshape(N, 3, 5)
        columns[1::2, :, :3] = columns[::2, :, :3] * [1.0, -1.0, -1.0]
        self.fails(write(tmp_path, table), "set recentre and spherify to false")
