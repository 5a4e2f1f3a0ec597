"""`make bench` runs what it has artefacts for, says what it leaves out, and reports all of it."""

from __future__ import annotations

import json
import re
import sys
import time
from html.parser import HTMLParser
from pathlib import Path

import pytest

from benchmarks import __main__ as bench
from benchmarks import train
from benchmarks._artefacts import FULL, QUICK, Artefact, artefacts
from benchmarks._command import run, shown
from benchmarks._parts import Part, Places, parts
from benchmarks._report_models import model_sections
from benchmarks._report_page import Found
from benchmarks._report_poses import pose_sections
from benchmarks.report import gathered, write_report

INFINITE = float("inf")


def python(code):
    return [sys.executable, "-c", code]


def writes(path, status=0):
    code = (
        f"import pathlib, sys; pathlib.Path({str(path)!r}).write_text('[1]'); sys.exit({status})"
    )
    return python(code)


# ---- running


def test_what_takes_too_long_is_ended_with_what_it_started(tmp_path):
    pid = tmp_path / "pid"
    inner = "import time; time.sleep(600)"
    outer = (
        "import pathlib, subprocess, sys\n"
        f"child = subprocess.Popen([sys.executable, '-c', {inner!r}])\n"
        f"pathlib.Path({str(pid)!r}).write_text(str(child.pid))\n"
        "child.wait()"
    )
    ended = run(python(outer), 5.0)
    assert ended.late
    deadline = time.monotonic() + 60.0
    while is_running(pid.read_text()):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def is_running(pid):
    """Whether there is a process that is more than an orphan whom nobody has reaped."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"


def test_parts_are_done_failed_or_left_out_with_the_reason(tmp_path, monkeypatch):
    monkeypatch.delenv("FAST_INERF_DATA", raising=False)
    there, gone = tmp_path / "there.json", tmp_path / "gone.npz"
    chosen = [
        Part("good", writes(there), there, 1, needs_data=False),
        Part("bad", writes(tmp_path / "b.json", 3), tmp_path / "b.json", 1, needs_data=False),
        Part("silent", python("pass"), tmp_path / "c.json", 1, needs_data=False),
        Part("poor", writes(there), tmp_path / "d.json", 1, (gone,), needs_data=False),
        Part("dataless", writes(there), tmp_path / "e.json", 1),
        Part("slow", python("import time; time.sleep(60)"), tmp_path / "f.json", 0.02,
             needs_data=False),
    ]  # fmt: skip
    records = bench.run_all(chosen, 600.0, quick=True)
    assert {name: record["state"] for name, record in records.items()} == {
        "good": "done",
        "bad": "failed",
        "silent": "failed",
        "poor": "left out",
        "dataless": "left out",
        "slow": "left out",
    }
    assert str(gone) in records["poor"]["reason"]
    assert "FAST_INERF_DATA" in records["dataless"]["reason"]
    assert "not done within 1 s" in records["slow"]["reason"]
    assert records["good"]["machine"]["cores"] >= 1


def test_no_part_is_begun_without_time_for_it(tmp_path):
    part = Part("late", writes(tmp_path / "a.json"), tmp_path / "a.json", 1, needs_data=False)
    assert bench.run_all([part], 1.0, quick=True)["late"]["reason"] == "no time was left"


def test_more_time_for_the_series_is_more_for_each_part(tmp_path):
    slow = python("import time; time.sleep(60)")
    part = Part("slow", slow, tmp_path / "a.json", 0.01, needs_data=False)
    found = bench.run_all([part], 1800.0, quick=True)["slow"]
    assert found["reason"] == "not done within 2 s"


def test_what_a_part_has_written_by_the_end_of_its_time_counts(tmp_path):
    target = tmp_path / "a.json"
    keeping = python(
        f"import pathlib, time; pathlib.Path({str(target)!r}).write_text('[]'); time.sleep(60)"
    )
    part = Part("slow", keeping, target, 0.05, needs_data=False)
    found = bench.run_all([part], 600.0, quick=True)["slow"]
    assert found["state"] == "done"
    assert found["reason"] == "ended after 3 s: what it had by then counts"


def test_the_series_fits_its_time_and_names_only_programs_that_exist(tmp_path):
    for quick in (True, False):
        places = Places(tmp_path, tmp_path, quick)
        series = list(parts(places))
        assert len({part.name for part in series}) == len(series)
        for part in series:
            assert str(part.result) in part.command or str(places.results) in part.command
            module = part.command[2].replace(".", "/")
            assert (Path(bench.__file__).parents[1] / f"{module}.py").exists()
    assert sum(part.minutes for part in parts(Places(tmp_path, tmp_path, False))) > 10


def test_the_report_shows_every_part_and_nothing_that_no_part_measures(tmp_path):
    shown_parts = set()

    class Recording(Found):
        def section(self, title, part, make):
            shown_parts.add(part)
            return super().section(title, part, make)

    found = Recording({}, {}, {"fields": []}, {"gpu": None})
    assert list(pose_sections(found))
    assert list(model_sections(found))
    measured = {part.name for part in parts(Places(tmp_path, tmp_path, False))}
    assert shown_parts == measured - {"cuda"}


def test_an_unknown_part_is_refused(tmp_path, capsys):
    assert bench.main(["nonsense", "--output", str(tmp_path)]) == 2
    assert "localisation_trust" in capsys.readouterr().err


# ---- training


def test_what_is_there_is_not_trained_again_and_its_origin_is_kept(tmp_path):
    output = tmp_path / "fields" / "a.npz"
    output.parent.mkdir()
    artefact = Artefact("field of a", (output,), (writes(output),))
    assert not artefact.is_there
    assert train.trained(artefact, tmp_path)
    assert artefact.is_there
    origin = train.provenance(tmp_path)["field of a"]
    assert origin["commands"] == [shown(writes(output))]
    assert set(origin) >= {"commit", "machine", "seconds", "load_before", "finished"}


def test_a_training_that_fails_or_leaves_nothing_is_not_remembered(tmp_path, capsys):
    output = tmp_path / "a.npz"
    for command in (writes(output, 3), python("pass")):
        output.unlink(missing_ok=True)
        assert not train.trained(Artefact("field", (output,), (command,)), tmp_path)
        assert "field" in capsys.readouterr().err
    assert train.provenance(tmp_path) == {}


@pytest.mark.parametrize("amounts", [FULL, QUICK])
def test_artefacts_are_what_the_parts_ask_for(tmp_path, amounts):
    made = {path for item in artefacts(tmp_path, tmp_path, amounts) for path in item.outputs}
    asked = {
        path
        for part in parts(Places(tmp_path, tmp_path, False))
        for path in (*part.needs, *part.any_of)
    }
    assert asked <= made


# ---- the report


def trial(**more):
    case = {"scene": "lego", "angle_deg": 10.0, "shift": 0.1, "limits": [5.0, 0.05], "floor": 0.98}
    found = {"case": case, "solver": "keyframe", "seconds": 0.5, "start_angle_deg": 7.0}
    found |= {"angle_deg": 0.1, "distance": 0.001}
    path = [{"seconds": 0.2, "angle_deg": 9.0, "distance": 1.0}]
    path += [{"seconds": 0.4, "angle_deg": 0.1, "distance": 0.001}]
    return found | {"path": path} | more


def localised(**more):
    found = {"place": "fox_0", "angle_deg": 0.2, "distance": 0.002, "processor_seconds": 0.3}
    return found | {"seconds": 0.3, "timings": {"landmarks": 0.1, "refinement": 0.2}} | more


LOST = {"angle_deg": INFINITE, "distance": INFINITE}
PHOTO = {"name": "a.jpg", "angle_deg": 0.1, "distance_d": 0.001}
JUDGED = [
    {"kind": "good", "score": 0.99, "right": True, "nees": 4.0},
    {"kind": "good", "score": 0.95, "right": True, "nees": 20.0},
    {"kind": "other", "score": 0.04, "right": False},
]
RESULTS = {
    "photographs": [
        {
            "name": "fox",
            "way": "default",
            "photographs": [PHOTO, PHOTO | {"angle_deg": None, "distance_d": None}],
        }
    ],
    "localisation_photographs": [localised(), localised(**LOST)],
    "localisation_tracking": [localised(stages=["track"]), localised(stages=[], **LOST)],
    "localisation_trust": JUDGED,
    "localisation_speed": [
        {"what": "tracking", "seconds": [0.01, 0.02], "processor": 0.04, "lost": 0}
    ],
    "solvers": {"success": [trial(), trial(solver="lm", **LOST), trial(start_angle_deg=2.0)]},
    "solver_latency": {"latency": [trial(seconds=0.11), trial(seconds=0.13)]},
    "seed_loop": {
        "seed": {
            "seed_seconds": 1400.0,
            "default_seconds": 0.2,
            "times_faster": 7000.0,
            "no_larger_error": 7,
            "starts": 7,
        }
    },
    "fields": [
        {
            "scene": "lego",
            "psnr_db": 33.4,
            "render_rays_per_s": 1.1e6,
            "derivatives_2000_rays_ms": 4.0,
            "checkpoint_mb": 15.9,
            "loading_s": 0.2,
        }
    ],
    "posecnn_latency": {
        "rows": [{"what": "voting ms", "value": 9.0, "floor": "<= 15", "met": True}]
    },
    "growth": {
        "photographs": [
            {"photographs": n, "file_mb": n / 8, "build_processor_s": 3.0, "processor_ms": 300.0,
             "good": 3, "asked": 3, "peak_memory_gb": 1.0}
            for n in (10, 20)
        ],
        "table_photographs": [
            {"photographs": n, "file_mb": n / 8, "build_processor_s": 3.0, "processor_ms": 300.0,
             "good": 3, "asked": 3, "peak_memory_gb": 1.0}
            for n in (25, 400)
        ],
        "objects": [
            {"objects": n, "processor_ms": 300.0, "good": 3, "asked": 3} for n in (1, 7)
        ],
        "height": [{"height": h, "processor_ms": h / 2} for h in (240, 480)],
    },
}  # fmt: skip


class Tags(HTMLParser):
    """Counts tags and checks that they are closed in order."""

    def __init__(self):
        super().__init__()
        self.seen, self.opened = [], []

    def handle_starttag(self, tag, attributes):
        self.seen.append(tag)
        if tag not in ("meta", "br", "img", "rect", "line", "polyline"):
            self.opened.append(tag)

    def handle_endtag(self, tag):
        if tag not in ("rect", "line", "polyline"):
            assert self.opened.pop() == tag


@pytest.fixture
def page(tmp_path):
    """The report of results as the benchmarks write them; PoseCNN's quality is left out."""
    places = Places(tmp_path / "artefacts", tmp_path, False)
    (places.artefacts / "fields").mkdir(parents=True)
    trained = {"scene": "lego", "clock": "wall", "steps": 9000, "load": 1.0}
    (places.artefacts / "fields" / "lego.json").write_text(
        json.dumps(
            [trained | {"training_s": t, "psnr_db": p} for t, p in ((60, 31.0), (300, 33.4))]
        )
    )
    for name, content in RESULTS.items():
        places.result(name).write_text(json.dumps(content))
    done = {"state": "done", "command": "python -m benchmarks.x", "seconds": 3.0, "commit": "abc+"}
    records = {name: done | {"load_before": 1.0, "load_after": 2.0} for name in RESULTS}
    records["posecnn"] = {"state": "left out", "reason": "tabletop.pt is not there"}
    content = gathered(places, list(parts(places)), records)
    (tmp_path / "bench.json").write_text(json.dumps(content, allow_nan=False))
    return write_report(tmp_path).read_text(encoding="utf-8")


def test_the_report_has_every_figure_and_says_what_was_not_measured(page):
    for text in (
        "1/2 [0.09, 0.91]",
        "7000",
        "33.40 dB",
        "1.10 M",
        "120 ms",
        "Area under the ROC curve 1.0",
    ):
        assert text in page
    assert "posecnn: not measured (tabletop.pt is not there)" in page
    assert "Against the original NeRF: not measured" in page
    assert "<td>keyframe</td><td>2/2" in page
    assert "<td>lm</td><td>0/1" in page
    assert re.search(r"CUDA</h2>.*?PoseCNN: latency</td><td>not measured", page, re.DOTALL)


def test_the_report_is_one_well_formed_page_with_plots(page):
    tags = Tags()
    tags.feed(page)
    assert tags.opened == []
    assert tags.seen.count("svg") >= 8
    assert "http://" not in page
    assert "src=" not in page


def test_the_one_json_has_everything_but_steps_and_infinities(page, tmp_path):
    content = json.loads((tmp_path / "bench.json").read_text())
    assert set(content["results"]) == set(RESULTS)
    trials = content["results"]["solvers"]["success"]
    assert [item["success_s"] for item in trials] == [0.4, None, 0.4]
    assert not any("path" in item for item in trials)
    assert content["machine"]["cores"] >= 1
    assert content["seeds"]
