"""Options of the data set loaders."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from fast_inerf_ros.config import option


@dataclass(frozen=True)
class DatasetOptions:
    """How a folder of posed photographs is read."""

    format: Literal["auto", "transforms", "llff", "colmap"] = option(
        "auto", doc="Layout of the files; auto recognises it from what the folder holds."
    )
    factor: int = option(
        0,
        doc="Images are made smaller by this factor, or taken from images_<factor> where that "
        "exists. 0 takes the largest images that are there.",
        minimum=0,
    )
    hold_out: int = option(
        8,
        doc="Every n-th image, starting with the first, is a test image where the files have no "
        "splits of their own. 0 holds out none.",
        minimum=0,
    )
    test_skip: int = option(
        1, doc="Only every n-th image of given val and test splits is loaded.", minimum=1
    )
    near: float | None = option(
        None, doc="Smallest depth of the scene in world units, instead of the files' own."
    )
    far: float | None = option(
        None, doc="Largest depth of the scene in world units, instead of the files' own."
    )
    recentre: bool = option(
        True, doc="LLFF: the field's origin is the average pose instead of the files' origin."
    )
    bd_factor: float = option(
        0.75,
        doc="LLFF: the nearest depth becomes 1 / bd_factor field units. 0 keeps the files' unit.",
        minimum=0.0,
    )
    spherify: bool = option(
        False, doc="LLFF: the cameras look inwards; the field is normalised to their sphere."
    )
    ndc: bool = option(
        True,
        doc="LLFF: the scene faces forward, so that the vanilla field uses normalised device "
        "coordinates. Never with spherify.",
    )
