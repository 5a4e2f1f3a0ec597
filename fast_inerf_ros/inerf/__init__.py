"""Inverting a radiance field: from one image and a rough pose to the pose of the camera."""
