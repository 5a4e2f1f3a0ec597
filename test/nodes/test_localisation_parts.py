"""Parts of `pose_estimator` that need no process: queues, order, CameraInfo, names, priors."""

from __future__ import annotations

import threading

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")

import scripted
from geometry_msgs.msg import PoseWithCovarianceStamped
from hypothesis import given
from hypothesis import strategies as st
from sensor_msgs.msg import CameraInfo

from fast_inerf_ros.errors import InputError
from fast_inerf_ros.estimator.estimate import TrackingState
from fast_inerf_ros.geometry.camera import Camera
from fast_inerf_ros.geometry.conventions import T_BODY_OPTICAL
from fast_inerf_ros.geometry.se3 import SE3
from fast_inerf_ros.nodes import conversions
from fast_inerf_ros.nodes.localisation.camera_models import MOST_FRAMES, CameraModels
from fast_inerf_ros.nodes.localisation.frames import Fate, Frame, FrameCounts
from fast_inerf_ros.nodes.localisation.initial_pose import UNKNOWN, prior_of_camera
from fast_inerf_ros.nodes.localisation.mailbox import Mailbox
from fast_inerf_ros.nodes.localisation.names import object_tokens, topic_token
from fast_inerf_ros.nodes.localisation.pictures import class_mask, overlay
from fast_inerf_ros.nodes.localisation.pipeline import Pipeline
from fast_inerf_ros.nodes.localisation.settings import (
    PoseEstimatorConfig,
    camera_settings,
)
from fast_inerf_ros.nodes.localisation.stream_order import (
    FAR_NS,
    JUMP_NS,
    Order,
    StreamOrder,
    age_ns,
)
from fast_inerf_ros.nodes.localisation.worker import Worker

CAMERA = Camera(32, 24, 40.0, 40.0, 15.5, 11.5)
NOW = 1_700_000_000_000_000_000


# --- mailbox and worker


def test_the_newest_item_of_a_sender_replaces_the_older_one():
    box = Mailbox()
    assert box.put("a", 1) is None
    assert box.put("a", 2) == 1
    assert box.take(0.0) == ("a", 2)
    assert box.take(0.0) is None


def test_a_fast_sender_does_not_starve_a_slow_one():
    box = Mailbox()
    box.put("fast", 1)
    box.put("slow", 1)
    taken = []
    for number in range(2, 6):
        taken.append(box.take(0.0)[0])
        box.put("fast", number)
    assert "slow" in taken[:2]


def test_a_woken_receiver_returns_even_if_it_was_not_waiting_yet():
    box = Mailbox()
    box.wake()
    assert box.take(timeout_s=60.0) is None


def test_the_worker_survives_errors_and_does_tasks(caplog):
    handled, done = [], threading.Event()

    def handle(sender, item):
        handled.append(item)
        if item == "bad":
            raise ValueError("an error")
        done.set()

    box = Mailbox()
    worker = Worker(box, handle)
    worker.start()
    worker.submit(lambda: box.put("a", "bad"))
    scripted.eventually(lambda: handled == ["bad"])
    box.put("a", "good")
    assert done.wait(30.0)
    assert worker.stop(30.0)
    assert handled == ["bad", "good"]
    assert "an error of this program" in caplog.text


def test_a_task_that_comes_before_an_item_is_done_before_it_is_handled():
    """Also where both come while the worker waits: a reset is to hold for the next image."""
    order, done = [], threading.Event()

    class SlowToWake(Mailbox):
        def take(self, timeout_s):
            if not order:
                worker.submit(lambda: order.append("task"))
                self.put("a", "item")
            return super().take(timeout_s)

    def handle(sender, item):
        order.append(item)
        done.set()

    worker = Worker(SlowToWake(), handle)
    worker.start()
    assert done.wait(30.0)
    assert worker.stop(30.0)
    assert order == ["task", "item"]


def test_an_item_is_handled_even_if_a_task_fails(caplog):
    handled, box = threading.Event(), Mailbox()
    worker = Worker(box, lambda *_: handled.set())
    worker.submit(lambda: 1 / 0)
    box.put("a", 1)
    worker.start()
    assert handled.wait(30.0)
    assert worker.stop(30.0)
    assert "ZeroDivisionError" in caplog.text


# --- order and age of images


def test_images_follow_each_other_repeat_or_start_over():
    order = StreamOrder()
    assert order.next(NOW) is Order.NEXT
    assert order.next(NOW) is Order.OUT_OF_ORDER
    assert order.next(NOW - JUMP_NS // 2) is Order.OUT_OF_ORDER
    assert order.next(NOW + 1) is Order.NEXT
    assert order.next(NOW - 10 * JUMP_NS) is Order.STARTS_OVER
    assert order.next(NOW - 9 * JUMP_NS) is Order.NEXT


@given(st.integers(0, 10**10), st.integers(-FAR_NS, FAR_NS))
def test_age_counts_from_the_stamp_unless_it_is_of_another_time(waited, delay):
    arrival = NOW
    now = arrival + waited
    assert age_ns(now - delay, arrival, now) == delay
    assert age_ns(now - FAR_NS - 1, arrival, now) == waited
    assert age_ns(0, arrival, now) == waited


# --- CameraInfo


def info(width=32, height=24, frame="cam", focal=40.0):
    header = conversions.header(NOW, frame)
    camera = Camera(width, height, focal, focal, (width - 1) / 2, (height - 1) / 2)
    return conversions.camera_to_message(camera, header)


def models(*messages):
    made = CameraModels(rectified=False, topic="/camera/camera_info")
    for message in messages:
        made.add(message)
    return made


def test_the_latest_camera_info_of_the_frame_counts():
    known = models(info(focal=40.0), info(frame="other", focal=7.0), info(focal=50.0))
    assert known.camera_of("cam", 32, 24).fx == 50.0
    assert known.camera_of("other", 32, 24).fx == 7.0


def test_a_camera_info_without_a_frame_fits_any_image():
    assert models(info(frame="", focal=9.0)).camera_of("cam", 32, 24).fx == 9.0


def test_an_unchanged_camera_info_is_converted_once():
    known = models(info())
    first = known.camera_of("cam", 32, 24)
    known.add(info())
    assert known.camera_of("cam", 32, 24) is first
    known.add(info(focal=41.0))
    assert known.camera_of("cam", 32, 24).fx == 41.0


@pytest.mark.parametrize(
    ("known", "reason"),
    [
        ((), "got none yet"),
        ((info(frame="left"),), "one of the image's frame 'cam', got 'left'"),
        ((info(width=64),), "expected the 32x24 of the image, got 64x24"),
        ((CameraInfo(header=conversions.header(NOW, "cam"), width=32, height=24),), "calibrat"),
    ],
    ids=["none", "frame", "size", "zeros"],
)
def test_a_camera_info_that_does_not_fit_is_explained(known, reason):
    with pytest.raises(InputError, match=reason) as caught:
        models(*known).camera_of("cam", 32, 24)
    assert "/camera/camera_info" in str(caught.value)


def test_endless_frames_do_not_fill_memory():
    known = models(*(info(frame=f"f{number}") for number in range(10 * MOST_FRAMES)))
    with pytest.raises(InputError) as caught:
        known.camera_of("f0", 32, 24)
    assert str(caught.value).count("'f") == MOST_FRAMES + 1


# --- pipeline


def frame(stamp_ns=NOW, width=32, height=24, frame_id="cam", data=None):
    image = np.zeros((height, width, 3), np.uint8)
    message = conversions.encode_image(image, conversions.header(stamp_ns, frame_id))
    if data is not None:
        message.data = data
    return Frame(message, stamp_ns)


def pipeline(now_ns=NOW, script=lambda _: scripted.T_WORLD_CAMERA, known=None):
    tracker = scripted.ScriptedTracker(script)
    counts = FrameCounts()
    made = Pipeline("camera", tracker, models(*known or (info(),)), counts, lambda: now_ns)
    return made, tracker, counts


def test_every_image_has_exactly_one_fate():
    made, tracker, counts = pipeline(
        script=lambda seen: None if seen.stamp_ns % 2 else SE3.identity()
    )
    made.max_age_s = 1.0
    frames = [frame(NOW + 2), frame(NOW + 2), frame(NOW + 3), frame(NOW - 2 * 10**9)]
    frames += [frame(NOW + 4, frame_id="x"), frame(NOW + 6, width=8, height=8)]
    frames += [frame(NOW + 8, data=b"short")]
    for item in frames:
        counts.receive()
        made.process(item)
    found = counts.snapshot()
    assert found["received"] == len(frames) == sum(found[fate.value] for fate in Fate)
    assert (found["localised"], found["lost"], found["out_of_order"]) == (1, 1, 1)
    assert (found["stale"], found["no_camera"], found["malformed"]) == (1, 2, 1)
    assert len(tracker.observations) == 2


def test_a_stream_that_starts_over_resets_the_tracker():
    made, tracker, _ = pipeline()
    for stamp in (NOW, NOW + 10**9, NOW + 10, NOW + 20):
        made.process(frame(stamp))
    assert [item.stamp_ns for item in tracker.observations] == [
        NOW,
        NOW + 10**9,
        NOW + 10,
        NOW + 20,
    ]
    assert tracker.resets == [None]


def test_recorded_stamps_are_neither_stale_nor_give_a_latency():
    made, _, counts = pipeline(now_ns=NOW + 10 * FAR_NS)
    made.max_age_s = 0.1
    message = frame(NOW).message
    result = made.process(Frame(message, NOW + 10 * FAR_NS))
    assert result.latency_ns is None
    assert made.status().recorded_stamps
    assert counts.snapshot()["localised"] == 1


def test_the_status_tells_state_latency_and_problem():
    made, _, _ = pipeline(now_ns=NOW + 20_000_000)
    assert made.status().state is TrackingState.INITIALISING
    made.process(frame(NOW))
    status = made.status()
    assert status.state is TrackingState.TRACKING
    assert status.latency_ms == pytest.approx(20.0)
    made.process(frame(NOW + 1, width=8, height=8))
    assert "expected the 8x8 of the image" in made.status().problem


def test_odometry_reaches_the_tracker():
    tracker = scripted.ScriptedTracker(lambda _: None)
    T_odom_camera = SE3.identity()
    made = Pipeline(
        "camera", tracker, models(info()), FrameCounts(), lambda: NOW, lambda _: T_odom_camera
    )
    made.process(frame())
    assert tracker.odometry == [T_odom_camera]


# --- options


def test_one_camera_publishes_below_the_node_and_several_below_their_names():
    (only,) = camera_settings(PoseEstimatorConfig())
    assert (only.image_topic, only.info_topic) == ("camera/image_raw", "camera/camera_info")
    assert only.output == "~/"
    both = camera_settings(
        PoseEstimatorConfig(
            cameras=("front", "rear"), image_topics=("/a/img", "b"), transport="compressed"
        )
    )
    assert [item.image_topic for item in both] == ["/a/img/compressed", "b/compressed"]
    assert [item.info_topic for item in both] == ["/a/camera_info", "camera_info"]
    assert [item.output for item in both] == ["~/front/", "~/rear/"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"cameras": ()},
        {"cameras": ("a", "a")},
        {"cameras": ("a b",)},
        {"cameras": ("a", "b"), "image_topics": ("x",)},
        {"camera_info_topics": ("x", "y")},
        {"device": "gpu"},
    ],
)
def test_contradicting_options_are_refused(wrong):
    with pytest.raises(InputError):
        PoseEstimatorConfig(**wrong)


# --- names


@given(st.text())
def test_every_label_becomes_a_valid_part_of_a_topic(label):
    token = topic_token(label)
    assert token.isascii()
    assert token.replace("_", "").isalnum()
    assert token[0].isalpha()
    assert "__" not in token
    assert not token.endswith("_")


@given(st.lists(st.sampled_from(["mug", "Mug", "tin can", "tin-can", "1", "", "ä"])))
def test_every_object_has_a_topic_of_its_own(labels):
    tokens = object_tokens(labels)
    assert len(tokens) == len(labels) == len(set(tokens.values()))


def test_single_objects_have_their_name_alone():
    tokens = object_tokens(["mug", "can", "can", "tin-can", "tin can"])
    assert tokens[("mug", 0)] == "mug"
    assert [tokens[("can", 0)], tokens[("can", 1)]] == ["can_0", "can_1"]
    assert {tokens[("tin-can", 0)], tokens[("tin can", 0)]} == {"tin_can_0", "tin_can_1"}


# --- /initialpose


def click(covariance=None, frame_id="world", yaw=0.5):
    T_world_base = SE3.exp(np.array([0, 0, 0, 0, 0, yaw]))
    message = PoseWithCovarianceStamped(header=conversions.header(NOW, frame_id))
    message.pose.pose = conversions.se3_to_pose(T_world_base)
    message.pose.pose.position.x = 1.0
    message.pose.covariance = (np.zeros((6, 6)) if covariance is None else covariance).ravel()
    return message


def test_a_click_in_rviz_leaves_height_roll_and_pitch_open():
    given_variances = np.diag([0.25, 0.25, 0.0, 0.0, 0.0, 0.07])
    prior = prior_of_camera(click(given_variances), "world", SE3.identity())
    variances = np.diagonal(prior.covariance)
    # Body axes are turned about z only, so that x and y stay known and z, roll, pitch not.
    assert variances[:2] == pytest.approx([0.25, 0.25])
    assert variances[2] == pytest.approx(UNKNOWN)
    assert variances[3:5] == pytest.approx([UNKNOWN, UNKNOWN])
    assert variances[5] == pytest.approx(0.07)


def test_what_is_given_is_kept():
    full = np.diag([1e-2, 2e-2, 3e-2, 4e-2, 5e-2, 6e-2])
    prior = prior_of_camera(click(full, yaw=0.0), "world", SE3.identity())
    assert prior.covariance == pytest.approx(full)


def test_the_pose_of_the_robot_becomes_that_of_the_camera():
    T_base_camera = SE3(T_BODY_OPTICAL.rotation, np.array([0.1, 0.0, 0.4]))
    prior = prior_of_camera(click(yaw=0.0), "world", T_base_camera)
    assert prior.T_world_camera.translation == pytest.approx([1.1, 0.0, 0.4])
    ahead = prior.T_world_camera.rotation.matrix @ [0.0, 0.0, 1.0]
    assert ahead == pytest.approx([1.0, 0.0, 0.0])


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (click(frame_id="odom"), "scene's frame 'world', got 'odom'"),
        (click(np.diag([-1.0, 0, 0, 0, 0, 0])), "variances"),
        (click(np.full((6, 6), np.nan)), "variances"),
    ],
)
def test_an_unusable_initial_pose_is_explained(message, reason):
    with pytest.raises(InputError, match=reason):
        prior_of_camera(message, "world", SE3.identity())


# --- pictures


def test_the_overlay_changes_pixels_where_the_pose_says_and_leaves_the_image_alone():
    camera = Camera(320, 240, 300.0, 300.0, 159.5, 119.5)
    image = np.full((240, 320, 3), 90, np.uint8)
    observation = conversions_observation(image, camera)
    looking_down = SE3.exp(np.array([0.0, 0, 0, np.pi, 0, 0]))
    pose = SE3(looking_down.rotation, np.array([0.0, 0.0, 0.6]))
    found = scripted.estimate_of(observation, pose, objects=[scripted.moved_mug()])
    drawn = overlay(image, camera, scripted.SCENE, TrackingState.TRACKING, found)
    assert (image == 90).all()
    assert (drawn[30:] != 90).any()
    lost = scripted.estimate_of(observation, None)
    written = overlay(image, camera, scripted.SCENE, TrackingState.LOST, lost)
    assert (written[30:] == 90).all()
    assert (written[:30] != 90).any()


def test_the_mask_is_empty_where_nothing_was_found():
    mask = class_mask(np.zeros((4, 6, 3), np.uint8), ())
    assert mask.shape == (4, 6)
    assert not mask.any()


def conversions_observation(image, camera):
    from fast_inerf_ros.estimator.observation import Observation

    return Observation(image, camera, NOW, "cam")
