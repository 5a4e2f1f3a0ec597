"""Camera localisation from a single RGB image by inverting a neural radiance field."""
