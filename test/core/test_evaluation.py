"""Metrics against independent implementations (scipy, scikit-image, brute force) and algebra."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation
from scipy.stats import norm

from fast_inerf_ros.errors import InputError
from fast_inerf_ros.evaluation import (
    BOP_SYMMETRY_STEP_RAD,
    add,
    add_s,
    area_under_recall,
    area_under_recall_voc,
    joint_recall,
    mspd,
    mssd,
    pose_errors,
    psnr,
    recall_at,
    recall_curve,
    rotation_error,
    rotation_error_deg,
    ssim,
    summarise,
    symmetric_add,
    symmetric_pose_errors,
    translation_error,
    wilson_interval,
)
from fast_inerf_ros.geometry.camera import Camera
from fast_inerf_ros.geometry.se3 import SE3, SO3
from fast_inerf_ros.geometry.symmetry import Symmetry, SymmetryAxis

reproducible = settings(deadline=None, derandomize=True, max_examples=60)
seeds = st.integers(0, 2**32 - 1)
CUBE = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)]) * 0.05


def random_poses(seed: int, *shape: int) -> SE3:
    return SE3.random(np.random.default_rng(seed), shape)


def translated(x: float, y: float = 0.0, z: float = 0.0) -> SE3:
    return SE3(SO3.identity(), np.array([x, y, z]))


def turned(rotation_vector: list[float]) -> SE3:
    return SE3(SO3.exp(np.array(rotation_vector)), np.zeros(3))


MISSING = SE3(SO3(np.full((3, 3), np.nan)), np.full(3, np.nan))


class TestPoseErrors:
    @given(seeds)
    @reproducible
    def test_rotation_error_agrees_with_scipy(self, seed):
        a, b = random_poses(seed, 5), random_poses(seed + 1, 5)
        relative = Rotation.from_matrix(a.rotation.matrix).inv() * Rotation.from_matrix(
            b.rotation.matrix
        )
        assert rotation_error(a, b) == pytest.approx(relative.magnitude(), abs=1e-12)
        assert rotation_error_deg(a, b) == pytest.approx(np.degrees(relative.magnitude()))

    @pytest.mark.parametrize(
        "angle", [0.0, 1e-12, 1e-9, 1e-6, 1.0, math.pi - 1e-6, math.pi - 1e-9, math.pi]
    )
    def test_rotation_error_keeps_its_precision_at_both_ends(self, angle):
        axis = np.array([0.48, -0.6, 0.64])
        error = rotation_error(turned((angle * axis).tolist()), SE3.identity())
        assert error == pytest.approx(angle, rel=1e-6, abs=1e-15)

    @given(seeds)
    @reproducible
    def test_errors_are_symmetric_and_keep_the_triangle_inequality(self, seed):
        a, b, c = random_poses(seed, 4), random_poses(seed + 1, 4), random_poses(seed + 2, 4)
        for error in (rotation_error, translation_error):
            assert error(a, b) == pytest.approx(error(b, a), abs=1e-12)
            assert (error(a, c) <= error(a, b) + error(b, c) + 1e-12).all()
            assert error(a, a) == pytest.approx(0.0, abs=1e-7)

    def test_errors_do_not_depend_on_the_world_frame(self):
        a, b, move = random_poses(1, 6), random_poses(2, 6), random_poses(3)
        before, after = pose_errors(a, b), pose_errors(move @ a, move @ b)
        assert after.rotation == pytest.approx(before.rotation, abs=1e-12)
        assert after.translation == pytest.approx(before.translation, abs=1e-12)

    def test_translation_error_is_a_distance_not_a_difference_of_norms(self):
        assert translation_error(translated(1.0), translated(-1.0)) == pytest.approx(2.0)

    def test_poses_of_different_batch_shapes_broadcast(self):
        assert rotation_error(random_poses(1, 3, 1), random_poses(2, 4)).shape == (3, 4)

    def test_missing_estimate_has_errors_that_are_nan(self):
        errors = pose_errors(MISSING, SE3.identity())
        assert np.isnan(errors.rotation)
        assert np.isnan(errors.translation)

    def test_missing_truth_is_refused(self):
        with pytest.raises(InputError, match="truth: expected finite poses, got 1"):
            rotation_error(SE3.identity(), MISSING)

    @pytest.mark.parametrize("matrix", [2.0 * np.eye(3), np.diag([1.0, 1.0, -1.0])])
    def test_matrix_that_is_no_rotation_is_refused(self, matrix):
        with pytest.raises(InputError, match="expected rotation matrices"):
            rotation_error(SE3(SO3(matrix), np.zeros(3)), SE3.identity())

    def test_batches_that_do_not_pair_are_refused(self):
        with pytest.raises(InputError, match=r"got \(3,\) and \(4,\); pair them"):
            translation_error(random_poses(1, 3), random_poses(2, 4))


def wilson_by_roots(successes: int, trials: int, confidence: float) -> np.ndarray:
    """Where the score test flips: the p with (p_hat - p)^2 = z^2 p (1 - p) / n."""
    z2, fraction = norm.ppf(0.5 + confidence / 2) ** 2 / trials, successes / trials
    return np.sort(np.roots([1 + z2, -2 * fraction - z2, fraction**2]).real)


class TestRecall:
    @given(
        st.integers(1, 2000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))),
        st.floats(0.5, 0.999),
    )
    @reproducible
    def test_wilson_interval_inverts_the_score_test(self, counts, confidence):
        successes, trials = counts
        expected = wilson_by_roots(successes, trials, confidence)
        interval = wilson_interval(successes, trials, confidence)
        assert np.stack(interval) == pytest.approx(expected, abs=1e-9)

    def test_wilson_interval_of_no_success_is_known(self):
        z2 = norm.ppf(0.975) ** 2
        lower, upper = wilson_interval([0, 10], 10)
        assert lower == pytest.approx([0.0, 10 / (10 + z2)])
        assert upper == pytest.approx([z2 / (10 + z2), 1.0])

    def test_wilson_interval_covers_the_true_proportion(self):
        successes = np.random.default_rng(0).binomial(40, 0.07, size=4000)
        lower, upper = wilson_interval(successes, 40)
        assert 0.93 < np.mean((lower <= 0.07) & (upper >= 0.07)) < 0.98

    @given(st.lists(st.floats(0, 10), min_size=1, max_size=50), st.floats(0.01, 10))
    @reproducible
    def test_recall_counts_errors_strictly_below(self, errors, threshold):
        result = recall_at(errors, threshold)
        assert result.successes.tolist() == [sum(e < threshold for e in errors)]
        assert result.trials == len(errors)
        assert (result.lower <= result.fraction).all()
        assert (result.fraction <= result.upper).all()

    def test_missing_answers_are_failures_not_left_out(self):
        assert recall_at([0.1, np.nan, np.inf, 0.2], 1e9).fraction == pytest.approx([0.5])

    def test_joint_recall_asks_for_both(self):
        rotation, translation = np.radians([1, 1, 9, 9]), [0.01, 0.09, 0.01, 0.09]
        limits = np.radians([5.0, 10.0]), [0.05, 0.10]
        result = joint_recall(rotation, translation, *limits)
        assert result.fraction == pytest.approx([0.25, 1.0])
        assert result.thresholds == pytest.approx(np.stack(limits, axis=-1))

    def test_joint_recall_never_exceeds_either(self):
        generator = np.random.default_rng(1)
        rotation, translation = generator.exponential(size=(2, 200))
        both = joint_recall(rotation, translation, 1.0, [0.5, 1.0]).fraction
        assert (both <= recall_at(rotation, 1.0).fraction).all()
        assert (both <= recall_at(translation, [0.5, 1.0]).fraction).all()

    def test_curve_rises_to_the_recall_at_its_maximum(self):
        errors = np.random.default_rng(2).exponential(size=300)
        curve = recall_curve(errors, 2.0, n_points=50)
        assert (np.diff(curve.fraction) >= 0).all()
        assert curve.thresholds[-1] == 2.0
        assert curve.fraction[-1] == recall_at(errors, 2.0).fraction[0]

    @pytest.mark.parametrize(
        ("call", "message"),
        [
            (lambda: recall_at([], 1.0), "at least one error"),
            (lambda: recall_at([-1.0], 1.0), "errors >= 0, got -1"),
            (lambda: recall_at([1.0], 0.0), "thresholds > 0"),
            (lambda: recall_at([1.0], [1.0, np.nan]), "thresholds > 0"),
            (lambda: joint_recall([1.0], [1.0, 2.0], 1, 1), "same poses, got 1 and 2"),
            (lambda: joint_recall([1.0], [1.0], [1, 2], [1, 2, 3]), "2 angles and 3 distances"),
            (lambda: recall_curve([1.0], 1.0, n_points=0), "at least one point"),
            (lambda: wilson_interval(1, 0), "at least one trial"),
            (lambda: wilson_interval(3, 2), r"successes in 0\.\.2"),
            (lambda: wilson_interval(1, 2, 95), "confidence in"),
        ],
    )
    def test_bad_input_is_refused(self, call, message):
        with pytest.raises(InputError, match=message):
            call()


def voc_cap(distances: np.ndarray, maximum: float) -> float:
    """The YCB-Video toolbox's VOCap, line by line."""
    ordered = np.sort(distances)
    recall = np.concatenate([[0.0], ordered[ordered <= maximum], [maximum]])
    accuracy = np.cumsum(np.ones(len(ordered)) / len(ordered))[: len(recall) - 2]
    if len(accuracy) == 0:
        return 0.0
    precision = np.concatenate([[0.0], accuracy, [accuracy[-1]]])
    for i in range(1, len(precision)):
        precision[i] = max(precision[i], precision[i - 1])
    steps = np.flatnonzero(recall[1:] != recall[:-1]) + 1
    return float(np.sum((recall[steps] - recall[steps - 1]) * precision[steps]) / maximum)


class TestAreaUnderRecall:
    @given(st.lists(st.floats(0, 0.2), min_size=1, max_size=40))
    @reproducible
    def test_area_is_the_integral_of_the_curve(self, errors):
        knots = np.unique(np.clip([0.0, *errors, 0.1], 0.0, 0.1))
        middles = 0.5 * (knots[1:] + knots[:-1])
        integral = np.diff(knots) @ [np.mean(np.array(errors) < m) for m in middles] / 0.1
        assert area_under_recall(errors) == pytest.approx(integral, abs=1e-12)

    @given(st.lists(st.floats(0, 0.2), min_size=1, max_size=40))
    @reproducible
    def test_voc_area_agrees_with_the_toolbox_and_exceeds_the_exact_one_by_a_step(self, errors):
        exact, voc = area_under_recall(errors), area_under_recall_voc(errors)
        assert voc == pytest.approx(voc_cap(np.array(errors), 0.1), abs=1e-12)
        largest = max((e for e in errors if e <= 0.1), default=0.0)
        assert voc - exact == pytest.approx(largest / (len(errors) * 0.1), abs=1e-12)

    def test_known_areas(self):
        assert area_under_recall([0.0, 0.05, 0.10, np.nan]) == pytest.approx(1.5 / 4)
        assert area_under_recall([0.5]) == 0.0
        assert area_under_recall([1.0], maximum=2.0) == 0.5


class TestSummary:
    def test_percentiles_agree_with_numpy(self):
        errors = np.random.default_rng(3).exponential(size=(7, 11))
        summary = summarise(errors, [0.0, 10.0, 99.0, 100.0])
        values = [p.value for p in summary.percentiles]
        assert summary.count == 77
        assert summary.median.value == pytest.approx(np.median(errors))
        assert values == pytest.approx(np.percentile(errors, [0, 10, 99, 100]))

    def test_missing_answers_make_the_upper_percentiles_infinite(self):
        summary = summarise([1.0, 2.0, 3.0, np.nan, np.nan], [75.0])
        assert (summary.missing, summary.median.value) == (2, 3.0)
        assert summary.percentiles[0].value == np.inf
        assert summarise([1.0, np.inf]).median.value == np.inf

    def test_bootstrap_interval_covers_the_true_median(self):
        generator = np.random.default_rng(4)
        hits = 0
        for _ in range(60):
            median = summarise(
                generator.exponential(size=50), [], generator=generator, n_resamples=200
            ).median
            hits += median.lower <= math.log(2) <= median.upper
        assert 50 <= hits <= 60

    def test_bootstrap_is_reproducible_and_optional(self):
        errors = np.arange(20.0)
        first, second = (summarise(errors, generator=np.random.default_rng(5)) for _ in range(2))
        assert first == second
        assert summarise(errors).median.lower is None

    def test_ranks_outside_the_range_are_refused(self):
        with pytest.raises(InputError, match=r"ranks in 0\.\.100"):
            summarise([1.0], [101.0])


def brute_force_add_s(estimate: SE3, truth: SE3, points: np.ndarray) -> float:
    """Nearest estimated point of each true one, by all pairs in homogeneous coordinates."""
    homogeneous = np.c_[points, np.ones(len(points))]
    moved, expected = (homogeneous @ pose.matrix().T for pose in (estimate, truth))
    distances = np.linalg.norm(expected[:, None, :3] - moved[None, :, :3], axis=-1)
    return distances.min(axis=1).mean()


class TestObjectErrors:
    @given(seeds)
    @reproducible
    def test_add_and_add_s_agree_with_brute_force(self, seed):
        points = np.random.default_rng(seed).normal(size=(30, 3)) * 0.1
        a, b = random_poses(seed, 3), random_poses(seed + 1, 3)
        homogeneous = np.c_[points, np.ones(30)]
        for i, (all_points, closest) in enumerate(
            zip(add(a, b, points), add_s(a, b, points), strict=True)
        ):
            difference = homogeneous @ (a[i].matrix() - b[i].matrix()).T
            assert all_points == pytest.approx(np.linalg.norm(difference, axis=1).mean())
            assert closest == pytest.approx(brute_force_add_s(a[i], b[i], points))
            assert closest <= all_points + 1e-12

    def test_pure_translation_is_its_own_add(self):
        assert add(translated(0.03, 0.04), SE3.identity(), CUBE) == pytest.approx(0.05)

    def test_batch_shapes_are_kept(self):
        assert add_s(random_poses(1, 2, 1), random_poses(2, 3), CUBE).shape == (2, 3)
        assert add(SE3.identity(), SE3.identity(), CUBE).shape == ()

    def test_quarter_turn_of_a_cube_is_no_add_s_error_but_an_add_error(self):
        quarter = turned([0.0, 0.0, math.pi / 2])
        assert add_s(quarter, SE3.identity(), CUBE) == pytest.approx(0.0, abs=1e-12)
        assert add(quarter, SE3.identity(), CUBE) == pytest.approx(0.1)

    def test_missing_estimates_have_errors_that_are_nan(self):
        camera = Camera(64, 48, 60.0, 60.0, 31.5, 23.5)
        whole = Symmetry().transforms()
        for error in (
            add(MISSING, SE3.identity(), CUBE),
            add_s(MISSING, SE3.identity(), CUBE),
            mssd(MISSING, SE3.identity(), CUBE, whole),
            mspd(MISSING, translated(0, 0, 1), CUBE, whole, camera),
            symmetric_pose_errors(MISSING, SE3.identity(), whole).rotation,
        ):
            assert np.isnan(error)

    @pytest.mark.parametrize(
        ("points", "message"),
        [(np.zeros((0, 3)), r"\(0, 3\)"), (np.zeros(3), r"\(3,\)"), ([[0, 0, np.nan]], "NaN")],
    )
    def test_bad_points_are_refused(self, points, message):
        with pytest.raises(InputError, match=message):
            add(SE3.identity(), SE3.identity(), points)


class TestSymmetries:
    def test_bop_step_moves_no_point_by_more_than_a_hundredth_of_the_diameter(self):
        turns = Symmetry((SymmetryAxis((0, 0, 1)),)).transforms(BOP_SYMMETRY_STEP_RAD)
        rim = turns @ np.array([0.5, 0.0, 0.0])
        assert np.linalg.norm(np.diff(rim, axis=0), axis=-1).max() <= 0.01
        assert turns.batch_shape == (315,)

    def test_symmetric_equivalents_have_no_error(self):
        axis, flip = SymmetryAxis((0, 0, 1), (0.1, 0, 0)), turned([math.pi, 0, 0])
        symmetries = Symmetry((axis,), (flip,)).transforms()
        truth = random_poses(7)
        same = truth @ symmetries[50]
        errors = symmetric_pose_errors(same, truth, symmetries)
        assert errors.rotation == pytest.approx(0.0, abs=1e-12)
        assert errors.translation == pytest.approx(0.0, abs=1e-12)
        assert mssd(same, truth, CUBE, symmetries) == pytest.approx(0.0, abs=1e-12)
        assert symmetric_add(same, truth, CUBE, symmetries) == pytest.approx(0.0, abs=1e-12)
        assert rotation_error(same, truth) > 0.1

    def test_tilt_of_a_spun_can_is_the_angle_between_its_axes(self):
        spin, tilt = turned([0, 0, 2.345]), turned([0.1, 0, 0])
        symmetries = Symmetry((SymmetryAxis((0, 0, 1)),)).transforms(0.002)
        errors = symmetric_pose_errors(tilt @ spin, SE3.identity(), symmetries)
        assert errors.rotation == pytest.approx(0.1, abs=1e-4)

    def test_errors_agree_with_a_loop_over_symmetries(self):
        symmetries = Symmetry((SymmetryAxis((0, 1, 0)),)).transforms(0.6)
        camera = Camera(640, 480, 500.0, 510.0, 320.0, 240.0)
        far = translated(0.0, 0.0, 2.0)
        a, b = far @ turned([0.2, 0.5, 0.1]), far @ turned([0.0, -0.4, 0.0])
        images = [b @ symmetries[i] for i in range(symmetries.batch_shape[0])]
        distances = [np.linalg.norm(a @ CUBE - image @ CUBE, axis=-1) for image in images]
        pixels = [
            np.linalg.norm(camera.project(a @ CUBE) - camera.project(image @ CUBE), axis=-1)
            for image in images
        ]
        assert mssd(a, b, CUBE, symmetries) == pytest.approx(min(d.max() for d in distances))
        assert symmetric_add(a, b, CUBE, symmetries) == pytest.approx(
            min(d.mean() for d in distances)
        )
        assert mspd(a, b, CUBE, symmetries, camera) == pytest.approx(min(p.max() for p in pixels))
        assert symmetric_pose_errors(a, b, symmetries).rotation == pytest.approx(
            min(rotation_error(a, image) for image in images)
        )

    def test_projection_that_leaves_the_camera_is_infinitely_wrong(self):
        camera = Camera(640, 480, 500.0, 500.0, 319.5, 239.5)
        behind = translated(0.0, 0.0, -2.0)
        error = mspd(behind, translated(0.0, 0.0, 2.0), CUBE, Symmetry().transforms(), camera)
        assert error == np.inf


def noisy_pair(seed: int, *shape: int) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    image = generator.uniform(size=shape)
    return image, np.clip(image + generator.normal(scale=0.1, size=shape), 0.0, 1.0)


class TestImages:
    @pytest.mark.parametrize("shape", [(11, 11, 1), (40, 53, 3), (17, 12, 4)])
    def test_ssim_and_psnr_agree_with_scikit_image(self, shape):
        metrics = pytest.importorskip("skimage.metrics")
        a, b = noisy_pair(8, *shape)
        expected = metrics.structural_similarity(
            a,
            b,
            channel_axis=-1,
            data_range=1.0,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
        )
        assert ssim(a, b) == pytest.approx(expected, abs=1e-9)
        assert psnr(a, b) == pytest.approx(metrics.peak_signal_noise_ratio(a, b, data_range=1.0))

    def test_ssim_agrees_with_its_definition_at_one_window(self):
        a, b = noisy_pair(9, 11, 11, 1)
        offsets = np.arange(-5, 6)
        weight = np.exp(-(offsets[:, None] ** 2 + offsets**2) / (2 * 1.5**2))
        weight = (weight / weight.sum())[..., None]
        mean_a, mean_b = (weight * a).sum(), (weight * b).sum()
        var_a, var_b = (weight * (a - mean_a) ** 2).sum(), (weight * (b - mean_b) ** 2).sum()
        covariance = (weight * (a - mean_a) * (b - mean_b)).sum()
        expected = (2 * mean_a * mean_b + 1e-4) * (2 * covariance + 9e-4)
        expected /= (mean_a**2 + mean_b**2 + 1e-4) * (var_a + var_b + 9e-4)
        assert ssim(a, b) == pytest.approx(expected, abs=1e-9)

    def test_ssim_of_constant_images_is_their_luminance_term(self):
        a, b = np.full((20, 20, 3), 0.2), np.full((20, 20, 3), 0.6)
        assert ssim(a, b) == pytest.approx((2 * 0.12 + 1e-4) / (0.04 + 0.36 + 1e-4), abs=1e-9)

    def test_equal_images_are_perfect(self):
        a, _ = noisy_pair(10, 2, 20, 20, 3)
        assert ssim(a, a) == pytest.approx([1.0, 1.0])
        assert (psnr(a, a) == np.inf).all()

    def test_psnr_of_a_constant_difference_is_known(self):
        a = np.full((4, 5, 3), 0.5)
        assert psnr(a, a + 0.1) == pytest.approx(20.0)

    def test_psnr_counts_only_the_mask(self):
        a = np.full((2, 4, 5, 3), 0.5)
        b, mask = a.copy(), np.zeros((2, 4, 5), bool)
        b[:, :2] += 0.1
        mask[0, :2], mask[1, 1:3] = True, True
        assert psnr(a, b, mask) == pytest.approx([20.0, 20.0 + 10 * math.log10(2)])

    @pytest.mark.parametrize(
        ("call", "message"),
        [
            (lambda a: psnr((a * 255).astype(np.uint8), a), "floats in .* uint8; divide by 255"),
            (lambda a: psnr(a * 255, a), r"values in \[0, 1\]"),
            (lambda a: ssim(a * np.nan, a), r"values in \[0, 1\]"),
            (lambda a: ssim(a[:10], a[:10]), "at least 11x11"),
            (lambda a: ssim(a, a[:-1]), "one shape"),
            (lambda a: psnr(a[..., 0], a[..., 0]), "channels"),
            (lambda a: psnr(a, a, np.zeros(a.shape[:2], bool)), "at least one pixel"),
            (lambda a: psnr(a, a, np.ones(a.shape[:2])), "mask of booleans"),
        ],
    )
    def test_bad_images_are_refused(self, call, message):
        with pytest.raises(InputError, match=message):
            call(np.random.default_rng(11).uniform(size=(20, 30, 3)))
