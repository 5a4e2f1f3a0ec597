"""Contact sheets show every picture, at its place."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from fast_inerf_ros.datasets import contact_sheet as module
from fast_inerf_ros.datasets.contact_sheet import MARGIN, contact_sheet
from fast_inerf_ros.errors import InputError


def plain(value: int, height: int = 30, width: int = 40) -> np.ndarray:
    return np.full((height, width, 3), value, np.uint8)


@pytest.mark.parametrize("labels", [None, ["a", "b", "c", "d", "e"]])
def test_pictures_stand_row_by_row(labels):
    sheet = contact_sheet([plain(10 * k) for k in range(1, 6)], columns=2, labels=labels)
    row = 30 + MARGIN + (22 if labels else 0)
    for k in range(5):
        y, x = MARGIN + k // 2 * row + 15, MARGIN + k % 2 * (40 + MARGIN) + 20
        assert sheet[y, x, 0] == 10 * (k + 1)
    assert sheet.shape == (3 * row + MARGIN, 2 * (40 + MARGIN) + MARGIN, 3)


def test_pictures_keep_their_proportions():
    sheet = contact_sheet([plain(0, 30, 40), plain(0, 60, 20)], columns=2, tile_width=20)
    dark = sheet[..., 0] == 0
    assert dark[:, MARGIN : MARGIN + 20].sum() == 15 * 20
    assert dark[:, 2 * MARGIN + 20 : 2 * MARGIN + 40].sum() == 60 * 20


@pytest.mark.parametrize(
    ("images", "columns", "labels"),
    [
        ([], 2, None),
        ([plain(1)], 0, None),
        ([plain(1)], 1, ["a", "b"]),
        ([np.zeros((4, 4))], 1, None),
    ],
)
def test_nonsense_is_refused(images, columns, labels):
    with pytest.raises(InputError, match="expected"):
        contact_sheet(images, columns, labels)


def test_command_writes_the_pictures_of_a_folder(tmp_path, monkeypatch, capsys):
    (tmp_path / "in" / "deep").mkdir(parents=True)
    for k in range(3):
        cv2.imwrite(str(tmp_path / "in" / "deep" / f"{k}.png"), plain(100))
    output = tmp_path / "sheet.jpg"
    arguments = ["--folder", str(tmp_path / "in"), "--output", str(output), "--tile-width", "32"]
    monkeypatch.setattr("sys.argv", ["contact_sheet", *arguments, "--columns", "3"])
    assert module.main() == 0
    assert cv2.imread(str(output)).shape[1] == 3 * (32 + MARGIN) + MARGIN
    monkeypatch.setattr(
        "sys.argv", ["contact_sheet", "--folder", str(output), "--output", "x.jpg"]
    )
    assert module.main() == 2
    assert "expected pictures" in capsys.readouterr().err
