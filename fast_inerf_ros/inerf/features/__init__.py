"""Local features of images: one small file for each kind."""
