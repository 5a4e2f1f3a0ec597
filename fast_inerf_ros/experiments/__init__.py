"""Refining photographs of known pose from disturbed starts, as the seed project's users do."""
