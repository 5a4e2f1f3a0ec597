"""Ways to solve a refinement problem: one file each, found by name in ``registry``."""
