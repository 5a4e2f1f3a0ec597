"""The pictures of docs/fields.md: python -m benchmarks._field_pictures --fields A --tabletop B.

A photograph that no field was trained on, beside its render and its disparity (near is red).
Fields of lego, fox and fern come from ``benchmarks.fields --save A``; B is one of the folders
that ``benchmarks.localisation_scenes`` writes: a generated tabletop with its field.npz.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks._scenes import SCENES, data_root
from fast_inerf_ros.datasets.contact_sheet import contact_sheet
from fast_inerf_ros.datasets.load import load_dataset
from fast_inerf_ros.datasets.posed_images import PosedImages
from fast_inerf_ros.evaluation.images import psnr
from fast_inerf_ros.fields.checkpoint import load_field
from fast_inerf_ros.fields.field import Field
from fast_inerf_ros.io.atomic import atomic_path
from fast_inerf_ros.training.pictures import Pixels, brightest, disparity_pixels, to_pixels
from fast_inerf_ros.training.views import render_view

CHOSEN = {"lego": 0, "fox": 3, "fern": 1}
"""Which of the held-out photographs is shown."""

WIDTHS = {"lego": 260, "fox": 200, "fern": 300, "tabletop": 280}


def main() -> int:
    """Write docs/images/field_NAME.jpg."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fields", type=Path, required=True)
    parser.add_argument("--tabletop", type=Path, required=True)
    parser.add_argument("--output", type=Path, default=Path("docs/images"))
    arguments = parser.parse_args()
    root = data_root()
    if root is None:
        return 2
    table = load_dataset(arguments.tabletop)
    field = load_field(arguments.tabletop / "field.npz")
    write("tabletop", field, table, int(table.splits.val[0]), arguments.output)
    for name, index in CHOSEN.items():
        _, scored, _ = SCENES[name](root, False)
        field = load_field(arguments.fields / f"{name}.npz")
        write(name, field, scored, index, arguments.output)
    return 0


def write(name: str, field: Field, posed: PosedImages, index: int, folder: Path) -> None:
    """Write the picture of one scene, and print how like the photograph is."""
    view = render_view(field, posed.cameras[index], posed.T_field_camera[index])
    truth = posed.colors(index)
    near = disparity_pixels(view.disparity, brightest([view.disparity]))
    images: list[Pixels] = [to_pixels(truth), to_pixels(view.color), near]
    quality = float(psnr(np.clip(view.color, 0.0, 1.0), truth))
    labels = [f"{name}: held-out photograph", f"render, {quality:.1f} dB", "disparity"]
    sheet = contact_sheet(images, 3, labels, tile_width=WIDTHS[name])
    with atomic_path(folder / f"field_{name}.jpg") as temporary:
        Image.fromarray(sheet).save(temporary, format="JPEG", quality=80)
    print(f"{name}: {posed.names[index]}: {quality:.2f} dB")


if __name__ == "__main__":
    sys.exit(main())
