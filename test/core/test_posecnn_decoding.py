"""From predictions to detections, and from images to detections whatever the image."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
import torch
from torch import nn

from fast_inerf_ros.errors import InputError
from fast_inerf_ros.geometry.camera import Camera
from fast_inerf_ros.geometry.se3 import SE3
from fast_inerf_ros.geometry.so3 import SO3
from fast_inerf_ros.posecnn.backbones import make_network
from fast_inerf_ros.posecnn.components import confident_components
from fast_inerf_ros.posecnn.decoding import Decoder, DecodingConfig, View, crop_rotation
from fast_inerf_ros.posecnn.detector import Detector, DetectorConfig
from fast_inerf_ros.posecnn.images import to_rgb
from fast_inerf_ros.posecnn.network import NetworkConfig
from fast_inerf_ros.posecnn.outlines import SMOOTHNESS, guided
from fast_inerf_ros.posecnn.prediction import Prediction
from fast_inerf_ros.posecnn.targets import dense_targets

LABELS = ("box", "can", "mug")
CAMERA = Camera(320, 240, 300.0, 300.0, 160.0, 118.0)
INPUT = (160, 120)


class Scene:
    """Discs on an image, with the prediction that a perfect network would make of it."""

    def __init__(self, objects, stride=4, with_offset=True):
        """Take objects as (class id, SE3 T_camera_object, radius in metres)."""
        self.objects, self.stride = objects, stride
        view = CAMERA.resize(*INPUT)
        grid = np.asarray(view.pixel_grid())
        instances = np.full((INPUT[1], INPUT[0]), -1)
        self.masks = []
        centres, depths = [], []
        for index, (_, pose, radius) in enumerate(objects):
            depth = float(pose.translation[2])
            centre = np.asarray(view.project(pose.translation))
            centres.append(centre)
            depths.append(depth)
            inside = np.hypot(*np.moveaxis(grid - centre, -1, 0)) < view.fx * radius / depth
            instances[inside] = index
            full = np.asarray(CAMERA.pixel_grid()) - np.asarray(CAMERA.project(pose.translation))
            self.masks.append(np.hypot(full[..., 0], full[..., 1]) < CAMERA.fx * radius / depth)
        class_ids = np.array([item[0] for item in objects], dtype=np.int64)
        self.targets = dense_targets(
            instances, class_ids, np.reshape(centres, (-1, 2)), np.array(depths), stride
        )
        logits = nn.functional.one_hot(self.targets.labels, len(LABELS) + 1)
        self.prediction = Prediction(
            logits=10.0 * logits.permute(0, 3, 1, 2).float(),
            direction=self.targets.direction[:, None],
            depth=self.targets.depth[:, None],
            offset=self.targets.offset[:, None] if with_offset else None,
            features=(),
            stride=stride,
        )

    def rotations(self, features, boxes):
        """Return what a perfect second stage would: the rotation relative to the ray."""
        result = torch.eye(3).repeat(len(boxes), len(LABELS), 1, 1)
        middles = View(CAMERA, *INPUT).to_image((boxes[:, 1:3] + boxes[:, 3:5]).numpy() / 2)
        turns = crop_rotation(CAMERA, middles)
        for row, middle in enumerate(middles):
            for class_id, pose, _ in self.objects:
                seen = np.asarray(CAMERA.project(pose.translation))
                if np.linalg.norm(seen - middle) < 40:
                    turn = turns[row].T @ np.asarray(pose.rotation.matrix)
                    result[row, class_id - 1] = torch.from_numpy(turn)
        return result

    def detect(self, image=None, legacy=False, **options):
        """Decode with given options."""
        decoder = Decoder(LABELS, self.rotations, True, legacy, DecodingConfig(**options))
        return decoder.detections(self.prediction, View(CAMERA, *INPUT, image))

    def image(self):
        """Discs as bright as their classes on a dark table, 8 bits, with some noise."""
        picture = np.full((CAMERA.height, CAMERA.width, 3), 60.0)
        for (class_id, _, _), mask in zip(self.objects, self.masks, strict=True):
            picture[mask] = np.roll([200.0, 120.0, 90.0], class_id)
        noise = np.random.default_rng(0).normal(0, 3, picture.shape)
        return (picture + noise).clip(0, 255).astype(np.uint8)


def pose(x, y, z, seed=0) -> SE3:
    return SE3(SO3.random(np.random.default_rng(seed)), np.array([x, y, z]))


@pytest.mark.parametrize(("stride", "with_offset"), [(4, True), (4, False), (1, False)])
def test_a_perfect_prediction_gives_the_exact_poses(stride, with_offset):
    objects = [
        (1, pose(-0.2, 0.05, 0.8, 1), 0.08),
        (3, pose(0.25, -0.12, 1.1, 2), 0.1),
        (2, pose(0.05, 0.15, 0.7, 3), 0.07),
    ]
    scene = Scene(objects, stride, with_offset)
    found = scene.detect()
    assert {item.class_id for item in found} == {1, 2, 3}
    for item in found:
        index = [entry[0] for entry in objects].index(item.class_id)
        truth = objects[index][1]
        assert item.label == LABELS[item.class_id - 1]
        assert item.instance == 0
        assert 0.9 < item.score <= 1
        assert np.linalg.norm(item.T_camera_object.translation - truth.translation) < 2e-3
        turn = item.T_camera_object.rotation.inverse() @ truth.rotation
        assert math.degrees(float(turn.angle())) < 0.01
        assert item.depth == pytest.approx(float(truth.translation[2]), rel=1e-4)
        mask = item.full_mask(CAMERA.width, CAMERA.height)
        shared = (mask & scene.masks[index]).sum() / (mask | scene.masks[index]).sum()
        assert shared > 0.85
        assert mask.sum() == item.mask.sum()
        assert item.box[2:] == item.mask.shape[::-1]
        assert np.linalg.eigvalsh(item.centre_covariance_px).min() > 0


@pytest.mark.parametrize("scale", [1.0, 1 / 255])
def test_outlines_are_fitted_to_the_image(scale):
    scene = Scene([(1, pose(-0.2, 0.05, 0.8, 1), 0.08), (3, pose(0.25, -0.12, 1.1, 2), 0.1)], 8)
    image = scene.image()
    given = image if scale == 1.0 else (image * scale).astype(np.float32)
    by_cells, fitted = (overlaps(scene, scene.detect(item)) for item in (None, given))
    assert min(fitted) > 0.97
    assert min(fitted) > max(by_cells)


def test_legacy_networks_keep_the_outlines_of_the_seed():
    scene = Scene([(1, pose(-0.2, 0.05, 0.8, 1), 0.08)], 8)
    options = {"legacy": True, "centres": "voting"}
    plain, given = scene.detect(**options), scene.detect(scene.image(), **options)
    assert np.array_equal(plain[0].mask, given[0].mask)
    fitted = scene.detect(scene.image(), outlines="image", **options)
    assert not np.array_equal(plain[0].mask, fitted[0].mask)
    cells = scene.detect(scene.image(), outlines="cells")
    assert np.array_equal(plain[0].mask, cells[0].mask)


def overlaps(scene, detections):
    """Intersection over union of each object's mask."""
    found = {item.class_id: item.full_mask(CAMERA.width, CAMERA.height) for item in detections}
    pairs = [(found[item[0]], mask) for item, mask in zip(scene.objects, scene.masks, strict=True)]
    return [(mask & truth).sum() / (mask | truth).sum() for mask, truth in pairs]


def test_the_guided_filter_is_the_regression_in_every_window():
    generator, radius = np.random.default_rng(0), 2
    image, values = generator.random((9, 11, 3)), generator.random((9, 11))
    wide = [(radius, radius), (radius, radius)]
    colors, padded = np.pad(image, [*wide, (0, 0)], "symmetric"), np.pad(values, wide, "symmetric")
    lines = np.zeros((9, 11, 4))
    for y, x in np.ndindex(9, 11):
        window = np.s_[y : y + 2 * radius + 1, x : x + 2 * radius + 1]
        color, value = colors[window].reshape(-1, 3), padded[window].ravel()
        covariance = np.cov(color.T, bias=True) + SMOOTHNESS * np.eye(3)
        shared = ((color - color.mean(0)) * (value - value.mean())[:, None]).mean(0)
        slope = np.linalg.solve(covariance, shared)
        lines[y, x] = [*slope, value.mean() - slope @ color.mean(0)]
    around = np.pad(lines, [*wide, (0, 0)], "symmetric")
    side = 2 * radius + 1
    mean = [around[y : y + side, x : x + side].mean((0, 1)) for y, x in np.ndindex(*values.shape)]
    mean = np.reshape(mean, lines.shape)
    expected = (mean[..., :3] * image).sum(-1) + mean[..., 3]
    found = guided(values.astype(np.float32), image.astype(np.float32), radius)
    assert found == pytest.approx(expected, abs=2e-3)


def test_wide_windows_follow_edges_as_narrow_ones_do():
    """In an image four times as large the outline is the same, fitted in a reduced image."""
    disc = np.hypot(*np.indices((60, 80)) - np.array([30.0, 40.0]).reshape(2, 1, 1)) < 18
    image = np.where(disc[..., None], [0.8, 0.3, 0.2], [0.2, 0.3, 0.4]).astype(np.float32)
    rough = np.where(np.roll(disc, 3, axis=1), 1.0, -1.0).astype(np.float32)
    large = [cv2.resize(item, (320, 240)) for item in (rough, image)]
    for values, guide, radius, truth in (
        (rough, image, 7, disc),
        (*large, 28, cv2.resize(disc.astype(np.uint8), (320, 240)) > 0),
    ):
        mask = guided(values, guide, radius) > 0
        assert (mask & truth).sum() / (mask | truth).sum() > 0.96


def test_two_of_a_class_are_two_instances():
    objects = [(2, pose(-0.2, 0.0, 0.8, 1), 0.08), (2, pose(0.2, 0.05, 0.9, 2), 0.08)]
    found = Scene(objects).detect()
    assert [(item.class_id, item.instance) for item in found] == [(2, 0), (2, 1)]
    x = sorted(float(item.T_camera_object.translation[0]) for item in found)
    assert x == pytest.approx([-0.2, 0.2], abs=5e-3)


def test_an_object_cut_by_the_border_keeps_its_centre_outside():
    truth = pose(-0.45, 0.0, 0.8, 4)
    found = Scene([(1, truth, 0.12)], with_offset=False).detect()
    assert len(found) == 1
    assert found[0].centre_px[0] < 0
    assert np.linalg.norm(found[0].T_camera_object.translation - truth.translation) < 5e-3
    assert found[0].box[0] == 0


def test_legacy_networks_get_the_centres_of_the_seed_in_whole_pixels():
    truth = pose(-0.12, 0.04, 0.6, 4)
    scene = Scene([(2, truth, 0.09)], stride=1, with_offset=False)
    each = Prediction(
        scene.prediction.logits,
        scene.prediction.direction.expand(-1, 3, -1, -1, -1),
        scene.prediction.depth.expand(-1, 3, -1, -1),
        None,
        (),
        1,
    )
    view = View(CAMERA, *INPUT)
    decoder = Decoder(LABELS, scene.rotations, True, True, DecodingConfig())
    found = decoder.detections(each, view)
    assert [item.label for item in found] == ["can"]
    in_input = (found[0].centre_px + 0.5) / view.scale - 0.5
    assert in_input == pytest.approx(np.round(in_input), abs=1e-9)
    assert np.linalg.norm(found[0].T_camera_object.translation - truth.translation) < 0.01
    asked = Decoder(LABELS, scene.rotations, True, True, DecodingConfig(centres="voting"))
    better = asked.detections(each, view)[0].T_camera_object.translation
    assert np.linalg.norm(better - truth.translation) < 1e-3


def test_a_class_with_two_patches_is_one_object_to_the_seed():
    objects = [(2, pose(-0.2, 0.0, 0.6, 1), 0.09), (2, pose(0.15, 0.05, 0.8, 2), 0.07)]
    scene = Scene(objects, stride=1, with_offset=False)
    decoder = Decoder(LABELS, scene.rotations, True, True, DecodingConfig())
    assert len(decoder.detections(scene.prediction, View(CAMERA, *INPUT))) == 1


@pytest.mark.parametrize("with_offset", [True, False])
def test_a_thing_that_resembles_an_object_is_not_a_part_of_it(with_offset):
    objects = [(1, pose(-0.2, 0.0, 0.6, 1), 0.1), (1, pose(0.25, 0.1, 0.8, 2), 0.05)]
    scene = Scene(objects, with_offset=with_offset)
    found = scene.detect()
    assert len(found) == 1
    mask = found[0].full_mask(CAMERA.width, CAMERA.height)
    assert not (mask & scene.masks[1]).any()
    assert (mask & scene.masks[0]).sum() > 0.9 * scene.masks[0].sum()


def test_an_object_behind_a_pole_is_one_with_both_of_its_sides():
    scene = Scene([(1, pose(-0.05, 0.0, 0.6, 1), 0.1)])
    scene.prediction.logits[..., 16:19] = torch.tensor([10.0, 0, 0, 0])[:, None, None]
    found = scene.detect()
    assert len(found) == 1
    mask = found[0].full_mask(CAMERA.width, CAMERA.height)
    columns = np.flatnonzero((scene.masks[0] & mask).any(axis=0))
    assert columns.min() < 100
    assert columns.max() > 170
    assert not mask[:, 134:146].any()


def test_no_objects_give_no_detections():
    assert Scene([]).detect() == ()


def test_masks_of_a_few_pixels_are_no_objects():
    scene = Scene([(1, pose(0, 0, 1.0), 0.012)])
    assert scene.detect(minimum_pixels=200) == ()


def test_classes_that_nobody_asked_for_are_left_out():
    objects = [(1, pose(-0.2, 0.0, 0.8), 0.08), (2, pose(0.2, 0.0, 0.9), 0.08)]
    found = Scene(objects).detect(classes=("can",))
    assert [item.label for item in found] == ["can"]


def test_a_class_that_the_network_does_not_know_is_refused():
    with pytest.raises(InputError, match="box, can, mug, got spoon"):
        Scene([]).detect(classes=("spoon",))


def test_unsure_patches_are_dropped():
    scene = Scene([(1, pose(0, 0, 0.8), 0.08)])
    unsure = Prediction(
        scene.prediction.logits * 0.02,
        scene.prediction.direction,
        scene.prediction.depth,
        scene.prediction.offset,
        (),
        scene.stride,
    )
    decoder = Decoder(LABELS, scene.rotations, True, False, DecodingConfig())
    assert decoder.detections(unsure, View(CAMERA, *INPUT)) == ()


def test_nan_in_the_maps_gives_no_detection_and_no_crash():
    scene = Scene([(1, pose(0, 0, 0.8), 0.08)])
    for name in ("logits", "direction", "depth", "offset"):
        parts = {
            key: getattr(scene.prediction, key)
            for key in ("logits", "direction", "depth", "offset", "features", "stride")
        }
        parts[name] = torch.full_like(parts[name], float("nan"))
        decoder = Decoder(LABELS, scene.rotations, True, False, DecodingConfig())
        found = decoder.detections(Prediction(**parts), View(CAMERA, *INPUT))
        assert all(np.isfinite(item.T_camera_object.translation).all() for item in found)


def test_components_are_judged_one_by_one():
    labels = np.zeros((20, 30), dtype=np.int64)
    probability = np.full((20, 30), 0.9, dtype=np.float32)
    labels[2:8, 2:8], labels[2:8, 20:26], labels[15, 15] = 1, 1, 1
    probability[2:8, 20:26] = 0.4
    kept = confident_components(labels, probability, 0.6, 4)
    assert kept[4, 4] == 1
    assert kept[4, 22] == 0
    assert kept[15, 15] == 0


@pytest.fixture(scope="module")
def network():
    return make_network(NetworkConfig(LABELS))


@pytest.mark.parametrize("size", [(320, 240), (641, 479), (35, 200), (16, 16)])
def test_any_image_size_is_taken(network, size):
    camera = Camera(*size, 300.0, 300.0, size[0] / 2, size[1] / 2)
    config = DetectorConfig(
        decoding=DecodingConfig(score_threshold=0.0, component_probability=0.0, minimum_pixels=1)
    )
    image = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    for item in Detector(network, config).detect(image, camera):
        x, y, width, height = item.box
        assert x >= 0
        assert y >= 0
        assert x + width <= size[0]
        assert y + height <= size[1]
        assert item.mask.shape == (height, width)


@pytest.mark.parametrize("size", [(640, 480), (1280, 720), (1920, 1080), (720, 1280), (333, 777)])
def test_inputs_are_whole_cells_of_the_coarsest_map_and_hardly_distorted(network, size):
    camera = Camera(*size, 300.0, 300.0, size[0] / 2, size[1] / 2)
    _, view = Detector(network).predict(np.zeros((size[1], size[0], 3), np.uint8), camera)
    assert view.width % 32 == view.height % 32 == 0
    wanted = min(DetectorConfig().input_width, size[0])
    assert 0.8 * wanted <= view.width <= wanted + 16
    assert 0.95 < view.width * size[1] / (view.height * size[0]) < 1.05


def test_a_black_image_is_no_problem(network):
    camera = Camera(160, 120, 150.0, 150.0, 79.5, 59.5)
    assert Detector(network).detect(np.zeros((120, 160, 3), np.uint8), camera) == ()


def test_grey_16_bit_and_float_images_mean_the_same():
    grey = np.random.default_rng(0).integers(0, 256, (20, 30), dtype=np.uint8)
    expected = to_rgb(grey) / 255
    assert to_rgb(grey).shape == (20, 30, 3)
    assert to_rgb(grey.astype(np.uint16) * 257) == pytest.approx(expected, abs=1e-6)
    assert to_rgb(grey / 255.0) == pytest.approx(expected, abs=1e-6)
    assert to_rgb(grey[..., None]) is not None
    with_alpha = np.dstack([grey] * 4)
    assert np.array_equal(to_rgb(with_alpha), to_rgb(grey))


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((4, 5, 2), np.uint8), "got shape"),
        (np.zeros((0, 5, 3), np.uint8), "got shape"),
        (np.zeros((4, 5, 3), np.int32), "got int32"),
        (np.full((4, 5, 3), 255.0), "divide by the largest"),
        (np.full((4, 5, 3), np.nan), "remove NaN"),
    ],
)
def test_images_of_another_kind_are_refused(image, message):
    with pytest.raises(InputError, match=message):
        to_rgb(image)


def test_an_image_that_is_not_the_cameras_is_refused(network):
    with pytest.raises(InputError, match="320 x 240 pixels, as its camera, got 100 x 50"):
        Detector(network).detect(np.zeros((50, 100, 3), np.uint8), CAMERA)


def test_input_pixels_land_on_the_same_place_of_the_image():
    view = View(CAMERA, *INPUT)
    assert view.to_image(np.array([-0.5, -0.5])) == pytest.approx([-0.5, -0.5])
    assert view.to_image(np.array([159.5, 119.5])) == pytest.approx([319.5, 239.5])
    assert view.focal_px == pytest.approx(150.0)
