"""The parts of `pose_estimator`: images in, poses and transforms out."""
