"""Read a data set of posed photographs, whatever its format."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from fast_inerf_ros.datasets.colmap import has_colmap, load_colmap
from fast_inerf_ros.datasets.llff import has_llff, load_llff
from fast_inerf_ros.datasets.options import DatasetOptions
from fast_inerf_ros.datasets.posed_images import PosedImages
from fast_inerf_ros.datasets.transforms import has_transforms, load_transforms
from fast_inerf_ros.errors import InputError

Loader = Callable[[Path, DatasetOptions], PosedImages]

# In this order: data sets that hold several formats are read by the first.
FORMATS: dict[str, tuple[Callable[[Path], bool], Loader]] = {
    "transforms": (has_transforms, load_transforms),
    "llff": (has_llff, load_llff),
    "colmap": (has_colmap, load_colmap),
}
SCALED_BY_THEIR_FOLDER = ("llff", "colmap")


def load_dataset(path: Path | str, options: DatasetOptions | None = None) -> PosedImages:
    """Posed photographs of a folder, or of one ``transforms*.json`` file.

    Images are not decoded yet. See docs/datasets.md for the formats.

    Raises:
        InputError: an unknown format, or whatever is wrong with the files, in one line.
    """
    path, options = Path(path), options or DatasetOptions()
    name = options.format if options.format != "auto" else recognise(path)
    if not path.exists():
        raise InputError(f"{path}: expected a data set, got no such file or folder")
    posed = FORMATS[name][1](path, options)
    if options.factor > 1 and name not in SCALED_BY_THEIR_FOLDER:
        posed = posed.downscaled(options.factor)
    return posed


def recognise(path: Path) -> str:
    """Name of the format of a folder or file.

    Raises:
        InputError: there is none, with what was looked for.
    """
    if not path.exists():
        raise InputError(f"{path}: expected a data set, got no such file or folder")
    if path.is_file() and path.suffix == ".json":
        return "transforms"
    for name, (matches, _) in FORMATS.items():
        if matches(path):
            return name
    raise InputError(
        f"{path}: expected transforms.json, transforms_train.json, poses_bounds.npy or a COLMAP "
        "model in sparse/0, got none; check the path"
    )
