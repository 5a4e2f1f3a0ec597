"""Data sets, one module per format, and the synthetic tabletop generator."""
