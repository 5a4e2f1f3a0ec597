"""Rays, space contraction, and the kernels that march, interpolate and composite."""
