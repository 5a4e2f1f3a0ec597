"""From photographs to a scene: object boxes, registration, metric scale, and labels."""
