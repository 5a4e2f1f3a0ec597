"""Rigid transforms, cameras and the conventions of every file and message format."""
