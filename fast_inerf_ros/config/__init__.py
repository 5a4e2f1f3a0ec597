"""Typed configuration: one frozen dataclass = one YAML section = one set of ROS parameters.

A field made by `option` is the only place of a name, type, default, unit, bounds and meaning:

    @dataclass(frozen=True)
    class TrackerConfig:
        learning_rate: float = option(0.01, doc="Step of the solver.", minimum=0.0, dynamic=True)
        tf: TfConfig = section(TfConfig)

A nested dataclass becomes a nested mapping in YAML and a dotted name (`tf.mode`) elsewhere.
"""

from fast_inerf_ros.config.declaration import Option, option, options, section, values_of
from fast_inerf_ros.config.loading import build, check, file_values, load, parse, replace
from fast_inerf_ros.config.text import describe, dump

__all__ = [
    "Option",
    "build",
    "check",
    "describe",
    "dump",
    "file_values",
    "load",
    "option",
    "options",
    "parse",
    "replace",
    "section",
    "values_of",
]
