"""What rviz draws: the camera's frustum and the objects of the scene."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from builtin_interfaces.msg import Duration
from geometry_msgs.msg import Point, Vector3
from std_msgs.msg import ColorRGBA
from visualization_msgs.msg import Marker, MarkerArray

from fast_inerf_ros.estimator.estimate import ObjectEstimate, TrackingState
from fast_inerf_ros.geometry.camera import Camera
from fast_inerf_ros.geometry.se3 import SE3
from fast_inerf_ros.io.scene import Scene, SceneObject
from fast_inerf_ros.nodes.conversions import header, se3_to_pose
from fast_inerf_ros.nodes.localisation.pipeline import Result

FRUSTUM_DEPTH_M = 0.15
LINE_WIDTH_M = 0.004
TEXT_HEIGHT_M = 0.03
LIFETIME_S = 2
GREEN, BLUE, RED = (0.1, 0.8, 0.2), (0.2, 0.5, 1.0), (0.95, 0.2, 0.1)
EDGES = ((0, 1), (1, 2), (2, 3), (3, 0), (4, 0), (4, 1), (4, 2), (4, 3))


def markers(scene: Scene, result: Result) -> MarkerArray:
    """Return the frustum of a localised camera, the scene's objects and their names.

    The frustum vanishes while the camera is lost. Objects that moved are red.
    """
    observation, estimate = result.observation, result.tracked.estimate
    stamp = header(observation.stamp_ns, scene.frame_id)
    made = [_frustum(stamp, result)]
    seen = {(item.label, item.instance): item for item in estimate.objects}
    counts: dict[str, int] = {}
    for number, item in enumerate(scene.objects):
        instance = counts.get(item.label, 0)
        counts[item.label] = instance + 1
        made += _object(stamp, number, item, seen.get((item.label, instance)))
    return MarkerArray(markers=made)


def frustum_points(camera: Camera, depth: float) -> np.ndarray:
    """Return the four corners of the image at a depth, and the camera's centre (5, 3).

    Corners that the lens reaches from no direction are those of the image without a lens.
    """
    right, bottom = camera.width - 0.5, camera.height - 0.5
    pixels = np.array([[-0.5, -0.5], [right, -0.5], [right, bottom], [-0.5, bottom]])
    straight = (pixels - [camera.cx, camera.cy]) / [camera.fx, camera.fy]
    corners = np.column_stack([straight, np.ones(4)]) * depth
    return np.vstack([corners, np.zeros(3)])


def _frustum(stamp: object, result: Result) -> Marker:
    marker = _marker(stamp, "frustum", 0, Marker.LINE_LIST, GREEN)
    pose = result.tracked.estimate.T_world_camera
    if result.tracked.state is not TrackingState.TRACKING or pose is None:
        marker.action = Marker.DELETE
        return marker
    marker.pose = se3_to_pose(pose)
    marker.scale.x = LINE_WIDTH_M
    corners = frustum_points(result.observation.camera, FRUSTUM_DEPTH_M)
    marker.points = [_point(corners[end]) for edge in EDGES for end in edge]
    return marker


def _object(
    stamp: object, number: int, item: SceneObject, seen: ObjectEstimate | None
) -> list[Marker]:
    T_world_object = item.T_world_object if seen is None else seen.T_world_object
    color = RED if seen is not None and seen.moved else BLUE
    centre = SE3(T_world_object.rotation, T_world_object @ np.asarray(item.box_centre))
    cube = _marker(stamp, "objects", number, Marker.CUBE, color, opacity=0.4)
    cube.pose = se3_to_pose(centre)
    cube.scale = Vector3(**dict(zip("xyz", map(float, item.extent), strict=True)))
    text = _marker(stamp, "labels", number, Marker.TEXT_VIEW_FACING, color)
    text.pose = se3_to_pose(centre)
    text.pose.position.z += 0.5 * max(item.extent) + TEXT_HEIGHT_M
    text.scale.z = TEXT_HEIGHT_M
    text.text = item.label
    return [cube, text]


def _marker(
    stamp: object,
    namespace: str,
    number: int,
    kind: int,
    color: Sequence[float],
    opacity: float = 1.0,
) -> Marker:
    red, green, blue = color
    marker = Marker(header=stamp, ns=namespace, id=number, type=kind, action=Marker.ADD)
    marker.color = ColorRGBA(r=red, g=green, b=blue, a=opacity)
    marker.lifetime = Duration(sec=LIFETIME_S)
    marker.pose.orientation.w = 1.0
    return marker


def _point(values: np.ndarray) -> Point:
    x, y, z = map(float, values)
    return Point(x=x, y=y, z=z)
