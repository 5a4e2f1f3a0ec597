"""Files of this package: scene descriptions and checkpoints."""
