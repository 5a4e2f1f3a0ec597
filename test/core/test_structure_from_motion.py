"""Photographs without poses get them from COLMAP, or one line says why not."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from fast_inerf_ros.datasets.load import load_dataset
from fast_inerf_ros.errors import InputError
from fast_inerf_ros.scene_building import structure_from_motion
from fast_inerf_ros.scene_building.structure_from_motion import (
    has_poses,
    photographs_without_poses,
    reconstruct,
)

N = 4


class Colmap:
    """What is used of pycolmap; its mapping gives models of the numbers of images it is told."""

    CameraMode = SimpleNamespace(SINGLE="single")
    logging = SimpleNamespace(minloglevel=0, WARNING=SimpleNamespace(value=1))

    def __init__(self, *sizes):
        self.sizes = sizes
        self.asked = []

    def extract_features(self, database, images, camera_mode):
        self.asked.append((camera_mode, len(list(images.iterdir()))))

    def match_exhaustive(self, database):
        self.asked.append("match")

    def incremental_mapping(self, database, images, output, next_image_callback):
        assert output.is_dir()
        next_image_callback()
        return dict(enumerate(Model(size) for size in self.sizes))


class Model:
    def __init__(self, size):
        self.size = size

    def num_reg_images(self):
        return self.size

    def write(self, folder):
        (folder / "images.txt").write_text(str(self.size))


@pytest.fixture
def pictures(tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(N):
        Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(folder / f"{number}.png")
    return folder


def use(monkeypatch, colmap):
    monkeypatch.setattr(
        structure_from_motion.importlib.util, "find_spec", lambda name: name == "pycolmap"
    )
    monkeypatch.setattr(structure_from_motion.importlib, "import_module", lambda name: colmap)


def test_the_largest_model_is_kept(pictures, tmp_path, monkeypatch):
    colmap = Colmap(2, 3, 1)
    use(monkeypatch, colmap)
    reconstruct(pictures, tmp_path / "colmap")
    assert (tmp_path / "colmap" / "sparse" / "0" / "images.txt").read_text() == "3"
    assert colmap.asked == [("single", N), "match"]
    assert len(list((tmp_path / "colmap" / "images").iterdir())) == N
    reconstruct(pictures, tmp_path / "colmap")  # over what is there


@pytest.mark.parametrize("sizes", [(), (1,), (2, 2)])
def test_photographs_that_find_no_place_are_refused(pictures, tmp_path, monkeypatch, sizes):
    use(monkeypatch, Colmap(*sizes))
    expected = rf"got {max(sizes, default=0)} of 4 that find their place"
    with pytest.raises(InputError, match=expected):
        reconstruct(pictures, tmp_path / "colmap")
    assert not (tmp_path / "colmap" / "sparse").exists()


def test_pictures_are_found_directly_or_in_images(pictures, tmp_path):
    assert not has_poses(pictures)
    assert photographs_without_poses(pictures) == pictures
    (tmp_path / "data").mkdir()
    pictures.rename(tmp_path / "data" / "images")
    assert photographs_without_poses(tmp_path / "data") == tmp_path / "data" / "images"
    with pytest.raises(InputError, match="or 3 or more photographs"):
        photographs_without_poses(tmp_path)
    with pytest.raises(InputError, match="no such folder"):
        photographs_without_poses(tmp_path / "nowhere")


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_real_photographs_find_their_place(external_data, tmp_path):
    pytest.importorskip("pycolmap")
    folder = tmp_path / "pictures"
    folder.mkdir()
    for path in sorted((external_data("fox") / "images").iterdir())[:24:2]:
        Image.open(path).resize((432, 768)).save(folder / path.name)
    reconstruct(folder, tmp_path / "colmap")
    posed = load_dataset(tmp_path / "colmap")
    assert len(posed) >= 10
    assert has_poses(tmp_path / "colmap")
