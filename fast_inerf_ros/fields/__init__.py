"""Radiance fields: what a camera would see of a scene, for any ray."""
