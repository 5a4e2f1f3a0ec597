"""What is shown and written while a training runs."""

from __future__ import annotations

import json
import sys
import types
from dataclasses import dataclass

import pytest

from fast_inerf_ros.training.loop import Moment
from fast_inerf_ros.training.progress import (
    ItemRate,
    ProgressBar,
    ScalarLog,
    tensorboard_log,
)
from fast_inerf_ros.training.trainer import StepReport


@dataclass
class Stub:
    step_count: int


def moment(step, seconds, progress=0.5, details=None):
    report = StepReport(step, 100, 0.25, 0.01, details or {})
    return Moment(Stub(step), seconds, progress, report)


def test_the_rate_follows_what_is_done_now():
    rate = ItemRate(memory_s=1.0)
    assert rate.per_second == 0.0
    for step in range(50):
        rate.add(100, 0.1 * step)
    assert rate.per_second == pytest.approx(1000.0)
    for step in range(50):
        rate.add(100, 5.0 + 0.2 * step)
    assert rate.per_second == pytest.approx(500.0, rel=0.05)


def test_lines_of_log_stand_in_for_the_bar_where_there_is_no_terminal(caplog):
    caplog.set_level("INFO")
    bar = ProgressBar(0.0)
    bar.on_step(moment(1, 0.0, 0.0))
    bar.on_step(moment(2, 5.0, 0.25))
    bar.on_step(moment(3, 10.0, 0.5))
    bar.on_figures(moment(3, 10.0), {"val/psnr_db": 31.25})
    bar.close()
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 3
    assert "step 3 loss 0.25000 PSNR 20.00 dB" in lines[1]
    assert "rays/s" in lines[1]
    assert lines[1].endswith("left 00:10")
    assert lines[2] == "step 3: val/psnr_db 31.25"


def test_a_bar_on_a_terminal_shows_the_figures(monkeypatch):
    written = []

    class Terminal:
        encoding = "utf-8"

        def isatty(self):
            return True

        def write(self, text):
            written.append(text)

        def flush(self):
            pass

    monkeypatch.setattr(sys, "stderr", Terminal())
    bar = ProgressBar(0.25)
    bar.on_step(moment(7, 3.0, 0.5))
    bar.close()
    text = "".join(written)
    assert "50%" in text
    assert "step 7 loss 0.25000 PSNR 20.00 dB" in text


def test_lines_by_steps_are_those_that_were_asked_for(caplog):
    caplog.set_level("INFO")
    bar = ProgressBar(0.0, every_steps=3)
    for step in range(1, 8):
        bar.on_step(moment(step, 0.01 * step))
    bar.close()
    steps = [record.getMessage().split()[1] for record in caplog.records]
    assert steps == ["3", "6"]


def test_scalars_are_lines_of_json(tmp_path):
    log = ScalarLog(tmp_path / "scalars.jsonl", 0)
    log.on_step(moment(1, 0.0, details={"n_bricks": 5.0}))
    log.on_step(moment(2, 0.5))
    log.on_step(moment(3, 1.0))
    log.on_figures(moment(3, 1.0), {"val/ssim": 0.5})
    log.close()
    lines = [json.loads(line) for line in (tmp_path / "scalars.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [1, 3, 3]
    assert lines[0]["n_bricks"] == 5.0
    assert lines[0]["psnr_db"] == pytest.approx(20.0)
    assert lines[2]["val/ssim"] == 0.5


def test_scalars_of_a_broken_file_are_taken_over_as_far_as_they_can_be_read(tmp_path):
    path = tmp_path / "scalars.jsonl"
    path.write_text('{"step": 1}\nnonsense\n{"step": 5}\n[]\n{"step": 2}\n{"st')
    ScalarLog(path, 3).close()
    assert path.read_text() == '{"step": 1}\n{"step": 2}\n'


def test_without_tensorboard_one_line_says_so(tmp_path, monkeypatch, caplog):
    caplog.set_level("INFO")
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    assert tensorboard_log(tmp_path, 0) is None
    assert [record.getMessage() for record in caplog.records] == [
        "no TensorBoard events: pip install tensorboard for them (see scalars.jsonl)"
    ]


def test_tensorboard_gets_the_figures_by_step(tmp_path, monkeypatch):
    calls = []

    class SummaryWriter:
        def __init__(self, folder, purge_step):
            calls.append((folder, purge_step))

        def add_scalar(self, name, value, step):
            calls.append((name, value, step))

        def close(self):
            calls.append("closed")

    module = types.ModuleType("torch.utils.tensorboard")
    module.SummaryWriter = SummaryWriter
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
    log = tensorboard_log(tmp_path, 4)
    log.on_step(moment(5, 1.0))
    log.on_figures(moment(5, 1.0), {"val/psnr_db": 30.0})
    log.close()
    assert calls[0] == (str(tmp_path), 5)
    assert ("train/loss", 0.25, 5) in calls
    assert ("val/psnr_db", 30.0, 5) in calls
    assert calls[-1] == "closed"
