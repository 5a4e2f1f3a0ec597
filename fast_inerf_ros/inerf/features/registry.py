"""Kinds of local features by name; each is imported only when it is asked for."""

from __future__ import annotations

import importlib
from typing import cast

from fast_inerf_ros.errors import InputError, suggestion
from fast_inerf_ros.inerf.features.feature import Extractor

DEFAULT = "sift"

_MODULES = {name: f"fast_inerf_ros.inerf.features.{name}" for name in ("sift",)}


def make_extractor(name: str = DEFAULT) -> Extractor:
    """Extractor of a name; raises InputError with the known names otherwise."""
    if name not in _MODULES:
        raise InputError(
            f"features: expected a known name, got {name!r}; {suggestion(name, _MODULES)}"
        )
    return cast(Extractor, importlib.import_module(_MODULES[name]).make())
