"""Where the camera is, from images: the estimator, the tracker and what goes in and out."""
