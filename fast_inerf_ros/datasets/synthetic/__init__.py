"""A synthetic tabletop: layouts, procedural textures, ray casting, sensor model, writers."""
