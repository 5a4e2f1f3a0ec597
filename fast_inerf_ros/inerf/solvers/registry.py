"""The solvers by name; each is imported only when it is asked for."""

from __future__ import annotations

import importlib
from typing import Any, cast

from fast_inerf_ros.errors import InputError, suggestion
from fast_inerf_ros.inerf.solvers.solver import Solver

DEFAULT = "keyframe"

_MODULES = {name: f"fast_inerf_ros.inerf.solvers.{name}" for name in ("adam", "keyframe", "lm")}


def solver_names() -> tuple[str, ...]:
    """Names of all solvers."""
    return tuple(sorted(_MODULES))


def options_class(name: str) -> type:
    """Configuration class of a solver; raises InputError with the known names otherwise."""
    return cast(type, _module(name).Options)


def make_solver(name: str = DEFAULT, options: Any = None) -> Solver:
    """Solver of a name with its options, None for the defaults.

    Raises:
        InputError: an unknown name, or the options of another solver.
    """
    module = _module(name)
    options = module.Options() if options is None else options
    if not isinstance(options, module.Options):
        raise InputError(
            f"solver {name!r}: expected {module.Options.__module__}.Options, got "
            f"{type(options).__module__}.{type(options).__name__}"
        )
    return cast(Solver, module.make(options))


def _module(name: str) -> Any:
    if name not in _MODULES:
        raise InputError(f"solver: expected a known name, got {name!r}; {_hint(name)}")
    return importlib.import_module(_MODULES[name])


def _hint(name: str) -> str:
    return suggestion(name, _MODULES)
