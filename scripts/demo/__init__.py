"""The demonstration: a camera is localised in a scene that was photographed beforehand."""
