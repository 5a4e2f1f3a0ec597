"""PoseCNN: segmentation, object centres, depths and rotations from one RGB image."""
