"""Pose data sets of both layouts are read with poses, masks and classes that belong together."""

from __future__ import annotations

import json
import shutil

import cv2
import numpy as np
import pytest

from fast_inerf_ros.datasets.bop import PROPS_INTRINSICS, load_pose_set
from fast_inerf_ros.datasets.pose_set import ObjectTruth, PoseSample
from fast_inerf_ros.errors import InputError
from fast_inerf_ros.geometry.camera import Camera
from fast_inerf_ros.geometry.conventions import pose_to_bop, pose_to_props
from fast_inerf_ros.geometry.se3 import SE3
from fast_inerf_ros.geometry.so3 import SO3

CAMERA = Camera(64, 48, 60.0, 60.0, 31.5, 23.5)
OBJECTS = {2: "cracker_box", 5: "mustard_bottle"}


def write_json(path, content):
    path.write_text(json.dumps(content), encoding="utf-8")


def poses():
    generator = np.random.default_rng(0)
    places = ([-0.1, 0.05, 0.8], [0.15, -0.1, 1.2])
    return [SE3(SO3.random(generator), np.array(place)) for place in places]


def masks():
    grid = np.asarray(CAMERA.pixel_grid())
    for pose in poses():
        centre = np.asarray(CAMERA.project(pose.translation))
        yield np.hypot(*np.moveaxis(grid - centre, -1, 0)) < 6


def write_images(folder, number):
    for name in ("rgb", "depth", "mask_visib"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    image = np.random.default_rng(number).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    cv2.imwrite(str(folder / "rgb" / f"{number:06d}.png"), image[..., ::-1])
    depth = np.full((48, 64), 9000, np.uint16)
    cv2.imwrite(str(folder / "depth" / f"{number:06d}.png"), depth)
    for index, mask in enumerate(masks()):
        path = folder / "mask_visib" / f"{number:06d}_{index:06d}.png"
        cv2.imwrite(str(path), mask.astype(np.uint8) * 255)


def truths(write):
    entries = []
    for number, pose in zip(OBJECTS, poses(), strict=True):
        rotation, shift = write(pose)
        entries.append({"cam_R_m2c": rotation, "cam_t_m2c": shift, "obj_id": number})
    return {"0": entries, "1": entries}


@pytest.fixture(params=["bop", "props"])
def style(request):
    return request.param


@pytest.fixture
def folder(style, tmp_path):
    scene = tmp_path / "train" / "000000" if style == "bop" else tmp_path / "train"
    prefix = "scene" if style == "bop" else "train"
    for number in (0, 1):
        write_images(scene, number)
    infos = [{"visib_fract": 0.5}, {"visib_fract": 1.0}]
    write = pose_to_bop if style == "bop" else pose_to_props
    write_json(scene / f"{prefix}_gt.json", truths(write))
    write_json(scene / f"{prefix}_gt_info.json", {"0": infos, "1": infos})
    if style == "bop":
        matrix = CAMERA.matrix().ravel().tolist()
        camera = {"cam_K": matrix, "depth_scale": 0.1}
        write_json(scene / "scene_camera.json", {"0": camera, "1": camera})
        (tmp_path / "models").mkdir()
        half_turn = np.diag([-1.0, -1, 1, 1]).ravel().tolist()
        info = {f"min_{axis}": -50 for axis in "xyz"} | {f"size_{axis}": 120 for axis in "xyz"}
        models = {"2": info | {"symmetries_discrete": [half_turn]}, "5": info}
        write_json(tmp_path / "models" / "models_info.json", models)
        labels = {str(number): label for number, label in OBJECTS.items()}
        write_json(tmp_path / "models" / "labels.json", labels)
    else:
        for number, label in OBJECTS.items():
            (tmp_path / "model" / f"{number}_{label}").mkdir(parents=True)
    return tmp_path


def annotations_of(folder, style):
    if style == "bop":
        return folder / "train" / "000000" / "scene_gt.json"
    return folder / "train" / "train_gt.json"


def test_poses_masks_depth_and_classes_are_read(folder, style):
    found = load_pose_set(folder)
    assert len(found) == 2
    assert found.labels == tuple(OBJECTS.values())
    sample = found.sample(1)
    assert sample.image.shape == (48, 64, 3)
    expected = np.random.default_rng(1).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    assert np.array_equal(sample.image, expected)
    assert found.class_ids(sample).tolist() == [1, 2]
    for item, pose, mask in zip(sample.objects, poses(), masks(), strict=True):
        assert np.allclose(item.T_camera_object.matrix(), pose.matrix(), atol=1e-6)
        assert np.array_equal(item.mask, mask)
    assert [item.visible_fraction for item in sample.objects] == [0.5, 1.0]
    scale = 0.1 if style == "bop" else 1.0
    assert sample.depth == pytest.approx(np.full((48, 64), 9.0 * scale), rel=1e-5)


def test_cameras_models_and_symmetries_are_read(folder, style):
    found = load_pose_set(folder)
    camera = found.annotations[0].camera
    numbers = (camera.fx, camera.fy, camera.cx, camera.cy)
    if style == "props":
        assert numbers == PROPS_INTRINSICS
        return
    assert numbers == pytest.approx((60.0, 60.0, 31.5, 23.5))
    box = found.classes[2]
    assert box.extent == pytest.approx((0.12, 0.12, 0.12))
    assert box.box_centre == pytest.approx((0.01, 0.01, 0.01))
    assert len(box.symmetry.discrete) == 1
    assert found.classes[5].symmetry.trivial


def test_the_kind_of_poses_can_be_told(folder, style):
    other = "props" if style == "bop" else "bop"
    told = load_pose_set(folder, poses=style).sample(0).objects[0].T_camera_object
    assert np.allclose(told.matrix(), poses()[0].matrix(), atol=1e-6)
    wrong = load_pose_set(folder, poses=other).sample(0).objects[0].T_camera_object
    assert not np.allclose(wrong.matrix(), poses()[0].matrix(), atol=1e-2)
    with pytest.raises(InputError, match="expected one of auto, bop, props"):
        load_pose_set(folder, poses="opengl")


def test_nearer_objects_hide_others_where_masks_overlap():
    mask = np.ones((4, 4), dtype=bool)
    far, near = (SE3(SO3.identity(), np.array([0.0, 0.0, z])) for z in (2.0, 1.0))
    objects = (ObjectTruth(1, near, mask, 1.0), ObjectTruth(2, far, mask, 1.0))
    camera = Camera(4, 4, 4.0, 4.0, 1.5, 1.5)
    sample = PoseSample(np.zeros((4, 4, 3), np.uint8), camera, objects, None, "0")
    assert (sample.instances() == 0).all()
    assert sample.centres_px() == pytest.approx(np.full((2, 2), 1.5))
    empty = PoseSample(sample.image, camera, (), None, "0")
    assert (empty.instances() == -1).all()
    assert empty.centres_px().shape == (0, 2)


def test_a_folder_without_a_data_set_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"train/train_gt.json \(PROPS\) or"):
        load_pose_set(tmp_path)


@pytest.mark.parametrize("missing", ["rgb/000001.png", "mask_visib/000001_000001.png"])
def test_missing_images_and_masks_are_named(folder, style, missing):
    path = annotations_of(folder, style).parent / missing
    path.unlink()
    with pytest.raises(InputError, match=missing.rpartition(".")[0].rpartition("/")[2]):
        load_pose_set(folder)


def edited(folder, style, change):
    path = annotations_of(folder, style)
    content = json.loads(path.read_text(encoding="utf-8"))
    change(content)
    write_json(path, content)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c["0"].pop(), "must list the same"),
        (lambda c: c["0"][0].pop("obj_id"), "no 'obj_id'"),
        (lambda c: c["0"][0].pop("cam_R_m2c"), "no 'cam_R_m2c'"),
        (lambda c: c["0"][0].update(cam_t_m2c=[1, 2]), "cam_t_m2c"),
        (lambda c: c["0"][0].update(cam_R_m2c=[1] * 9), "object 0 of image 0"),
        (lambda c: c.update(one=c["0"]), "expected numbers of images"),
        (lambda c: c.clear(), "expected annotated images"),
    ],
)
def test_annotations_that_make_no_sense_are_refused(folder, style, change, message):
    edited(folder, style, change)
    with pytest.raises(InputError, match=message):
        load_pose_set(folder)


def test_damaged_files_are_named(folder, style):
    annotations_of(folder, style).write_text("{", encoding="utf-8")
    with pytest.raises(InputError, match="expected JSON, got a damaged file"):
        load_pose_set(folder)


def test_masks_and_images_of_another_size_are_refused(folder, style):
    scene = annotations_of(folder, style).parent
    found = load_pose_set(folder)
    mask = scene / "mask_visib" / "000000_000000.png"
    cv2.imwrite(str(mask), np.zeros((5, 5), np.uint8))
    with pytest.raises(InputError, match="expected the size of its image, 64 x 48, got 5 x 5"):
        found.sample(0)
    mask.write_bytes(b"no image")
    with pytest.raises(InputError, match="cannot be decoded"):
        found.sample(0)
    shutil.copy(scene / "mask_visib" / "000000_000001.png", mask)
    cv2.imwrite(str(scene / "rgb" / "000000.png"), np.zeros((5, 5, 3), np.uint8))
    with pytest.raises(InputError, match="expected 64 x 48 pixels, got 5 x 5"):
        found.sample(0)


def test_frames_of_another_renderer_are_read_with_millimetres(external_data):
    found = load_pose_set(external_data("ycbv_syn") / "props_like")
    assert len(found) == 11
    away, deeper = [], []
    for index in range(len(found)):
        sample = found.sample(index)
        for item, centre in zip(sample.objects, sample.centres_px(), strict=True):
            if item.mask.sum() > 3000:
                rows, columns = np.nonzero(item.mask)
                away.append(np.hypot(columns.mean() - centre[0], rows.mean() - centre[1]))
                surface = float(np.median(sample.depth[item.mask]))
                deeper.append(float(item.T_camera_object.translation[2]) - surface)
    # What is hidden moves the middle of a mask; the origin lies behind the surface.
    assert np.median(away) < 15
    assert 0 < np.median(deeper) < 0.06
