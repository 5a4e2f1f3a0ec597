"""Sections of the report about camera poses: photographs, refinement, trust, latency, growth."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from benchmarks._report_page import (
    Found,
    Points,
    curves,
    middle,
    number,
    paragraph,
    plots,
    share,
    table,
    within,
)

Trial = dict[str, Any]
N_BINS = 5
LIMITS = ((5.0, 0.05), (1.0, 0.01))
CHI_SQUARED = ((0.5, 5.348), (0.9, 10.645), (0.95, 12.592))
"""Shares, and the bounds below which so many of the squares of 6 normal errors lie."""


def pose_sections(found: Found) -> Iterator[str]:
    """All of them."""
    yield from found.section("Held-out photographs through the node", "photographs", _node_photos)
    yield from found.section("The seed's own situation", "ycb_table", _node_photos)
    yield from found.section("No start: photographs", "localisation_photographs", _no_start)
    yield from found.section("No start: tabletop", "localisation_tabletop", _no_start)
    yield from found.section("A stream of images", "localisation_tracking", _tracking)
    yield from found.section("Refinement from a wrong start", "solvers", _solvers)
    yield from found.section("One refinement", "solver_latency", _one_refinement)
    yield from found.section("Against the seed's loop", "seed_loop", _seed_loop)
    yield from found.section("Trust", "localisation_trust", _trust)
    yield from found.section("Latency by stage", "localisation_photographs", _stages)
    yield from found.section("Speed", "localisation_speed", _speed)
    yield from found.section("The node at 30 Hz", "node", _node)
    yield from found.section("Growth", "growth", _growth)


def _node_photos(results: list[dict[str, Any]]) -> Iterator[str]:
    header = ("scene", "start", "5°, 0.05 d", "1°, 0.01 d", "median", "lost", "wrong, accepted")
    yield table(header, (tuple(_node_row(item)) for item in results))


def _node_row(result: dict[str, Any]) -> Iterator[str]:
    asked = result["photographs"]
    yield from (result["name"], result["way"])
    yield from _shares(asked)
    off = middle(item["distance_d"] for item in asked)
    yield f"{number(middle(item['angle_deg'] for item in asked))}°, {number(off)} d"
    yield str(sum(item["angle_deg"] is None for item in asked))
    yield str(sum(_is_wrong(item) for item in asked))


def _shares(trials: list[Trial]) -> Iterator[str]:
    for degrees, distance in LIMITS:
        yield share([within(trial, degrees, distance) for trial in trials])


def _is_wrong(trial: Trial) -> bool:
    return trial["angle_deg"] is not None and not within(trial, *LIMITS[0])


def _no_start(trials: list[Trial]) -> Iterator[str]:
    rows = []
    for name, own in _grouped(trials, _place_and_way).items():
        off = number(middle(t["distance"] for t in own))
        rows.append(
            (
                name,
                *_shares(own),
                f"{number(middle(t['angle_deg'] for t in own))}°, {off}",
                str(sum(_is_wrong(t) for t in own)),
                number(middle(t["processor_seconds"] for t in own), "{:.2f} s"),
            )
        )
    header = ("place", "5°, 0.05", "1°, 0.01", "median", "wrong, accepted", "processor time")
    yield table(header, rows)
    yield paragraph("Distances in d for fox and fern, in units of the world for others.")


def _place_and_way(trial: Trial) -> str:
    place = trial["place"].split("_")[0]
    return f"{place}, {trial['way']}" if "way" in trial else place


def _tracking(trials: list[Trial]) -> Iterator[str]:
    rows = []
    for name, own in _grouped(trials, lambda trial: trial["place"]).items():
        found = [t for t in own if t["angle_deg"] is not None]
        rows.append(
            (
                name,
                f"{len(found)} of {len(own)} frames",
                number(middle(t["angle_deg"] for t in found), "{:.3f}°"),
                number(_thousand(middle(t["distance"] for t in found)), "{:.2f} mm"),
                str(sum(_is_wrong(t) for t in own)),
            )
        )
    yield table(("trajectory", "localised", "rotation", "translation", "wrong"), rows)
    ways = _grouped(trials, lambda trial: "+".join(trial["stages"]) or "left out")
    rows = [(way, str(len(own)), *_milliseconds(own)) for way, own in ways.items()]
    yield table(("way", "frames", "median", "95 %"), rows)


def _milliseconds(trials: list[Trial]) -> Iterator[str]:
    for percent in (50, 95):
        value = float(np.percentile([t["seconds"] for t in trials], percent))
        yield f"{1e3 * value:.0f} ms"


def _thousand(value: float | None) -> float | None:
    return None if value is None else 1e3 * value


def _solvers(content: dict[str, Any]) -> Iterator[str]:
    trials = content["success"]
    groups = _grouped(trials, lambda t: (t["case"]["scene"], t["case"]["angle_deg"], t["solver"]))
    header = ("scene", "start at most", "solver", "succeed", "floor", "median time", "95 %")
    rows = []
    for (scene, angle, solver), own in sorted(groups.items()):
        case = own[0]["case"]
        good = share([_succeeded(t) for t in own])
        rows.append((scene, f"{angle:g}°", solver, good, str(case["floor"]), *_milliseconds(own)))
    yield table(header, rows)
    for scene in dict.fromkeys(key[0] for key in sorted(groups)):
        widest = max(key[1] for key in groups if key[0] == scene)
        chosen = {key[2]: own for key, own in sorted(groups.items()) if key[:2] == (scene, widest)}
        yield plots(
            curves(
                f"{scene}: share that succeeds, against the start",
                (_against_start(*pair) for pair in chosen.items()),
                "degrees off at the start",
                "share",
            ),
            curves(
                f"{scene}: share that has succeeded, against time",
                (_against_time(*pair) for pair in chosen.items()),
                "seconds",
                "share",
            ),
        )


def _one_refinement(content: dict[str, Any]) -> Iterator[str]:
    trials = content["latency"]
    rows = [
        (name, share([_succeeded(t) for t in own]), *_milliseconds(own))
        for name, own in _grouped(trials, lambda trial: trial["case"]["scene"]).items()
    ]
    yield table(("320x240, at most 10° off", "succeed", "median", "95 %"), rows)


def _succeeded(trial: Trial) -> bool:
    return within(trial, *trial["case"]["limits"])


def _against_start(solver: str, trials: list[Trial]) -> Points:
    edges = np.linspace(0.0, trials[0]["case"]["angle_deg"], N_BINS + 1)
    angles = np.array([t["start_angle_deg"] for t in trials])
    good = np.array([_succeeded(t) for t in trials])
    bins = np.clip(np.digitize(angles, edges) - 1, 0, N_BINS - 1)
    known = [index for index in range(N_BINS) if (bins == index).any()]
    centres = (edges[:-1] + edges[1:]) / 2
    return solver, [centres[index] for index in known], [good[bins == i].mean() for i in known]


def _against_time(solver: str, trials: list[Trial]) -> Points:
    times = sorted(t["success_s"] for t in trials if t["success_s"] is not None)
    shares = [(index + 1) / len(trials) for index in range(len(times))]
    return solver, [0.0, *times], [0.0, *shares]


def _seed_loop(content: dict[str, Any]) -> Iterator[str]:
    seed = content["seed"]
    yield table(
        ("", ""),
        (
            ("seed's loop, 200 steps of 512 rays", f"{seed['seed_seconds']:.0f} s"),
            ("default solver, median", f"{seed['default_seconds']:.3f} s"),
            ("ratio", f"{seed['times_faster']:.0f}"),
            ("error no larger than the seed's", f"{seed['no_larger_error']}/{seed['starts']}"),
        ),
    )
    yield paragraph(
        "A step is timed on a full pair of the original networks, whose weights do not matter for "
        "time; errors of both are of the same voxel field, so that the seed's are the better ones "
        "of its algorithm."
    )


def _trust(trials: list[Trial]) -> Iterator[str]:
    right = np.array([bool(t["right"]) for t in trials])
    score = np.array([float(t["score"] or 0.0) for t in trials])
    kinds = _grouped(trials, lambda trial: trial["kind"])
    rows = [(kind, str(len(own)), share([t["right"] for t in own])) for kind, own in kinds.items()]
    yield table(("images", "cases", "pose right"), rows)
    thresholds = np.unique(np.concatenate([[0.0], score, [1.01]]))
    if right.any() and not right.all():
        hit = [float((score[right] >= t).mean()) for t in thresholds]
        false = [float((score[~right] >= t).mean()) for t in thresholds]
        area = np.mean(score[right][:, None] > score[~right]) + 0.5 * np.mean(
            score[right][:, None] == score[~right]
        )
        yield paragraph(f"Area under the ROC curve {area:.4f} ({right.sum()} right, "
                        f"{(~right).sum()} wrong).")  # fmt: skip
        yield plots(
            curves("ROC of the score", [("", false, hit)], "wrong accepted", "right accepted"),
            curves(
                "How the score is calibrated", [_calibration(score, right)], "score", "share right"
            ),
        )
    yield from _coverage([t["nees"] for t in trials if t["right"] and t.get("nees") is not None])


def _calibration(score: np.ndarray, right: np.ndarray) -> Points:
    bins = np.clip((score * 10).astype(int), 0, 9)
    known = [index for index in range(10) if (bins == index).any()]
    return "", [(i + 0.5) / 10 for i in known], [float(right[bins == i].mean()) for i in known]


def _coverage(values: list[float]) -> Iterator[str]:
    if not values:
        return
    inside = np.array(values)
    rows = [
        (f"{wanted:.0%}", f"{float((inside <= bound).mean()):.0%}")
        for wanted, bound in CHI_SQUARED
    ]
    yield table(("covariance: wanted inside", f"of {len(values)} right poses"), rows)


def _stages(trials: list[Trial]) -> Iterator[str]:
    stages: dict[str, list[float]] = defaultdict(list)
    for trial in trials:
        for stage, seconds in trial.get("timings", {}).items():
            stages[stage].append(1e3 * seconds)
    rows = [
        (name, str(len(own)), f"{np.median(own):.1f} ms", f"{np.percentile(own, 95):.1f} ms")
        for name, own in stages.items()
    ]
    yield table(("stage of a full estimate", "images", "median", "95 %"), rows)


def _speed(records: list[dict[str, Any]]) -> Iterator[str]:
    rows = [
        (
            record["what"],
            str(len(record["seconds"])),
            *_milliseconds([{"seconds": value} for value in record["seconds"]]),
            f"{1e3 * record['processor'] / len(record['seconds']):.0f} ms",
            str(record["lost"]),
        )
        for record in records
    ]
    yield table(("640x480", "images", "median", "95 %", "processor", "lost"), rows)


def _node(figures: dict[str, Any]) -> Iterator[str]:
    rows = [(name, value if isinstance(value, str) else number(value, "{:.4g}"))
            for name, value in figures.items()]  # fmt: skip
    yield table(("", ""), rows)


def _growth(content: dict[str, Any]) -> Iterator[str]:
    sizes = content["height"]
    for what, key in (("fox", "photographs"), ("a tabletop", "table_photographs")):
        if made := content.get(key):
            yield from _growing_map(what, made)
    yield plots(
        curves("An image of fox, against its size", [_column(sizes, "height", "processor_ms")],
               "height in pixels", "processor ms"),
    )  # fmt: skip
    if known := content.get("objects"):
        yield paragraph("A tabletop by PoseCNN alone, against the objects in its scene:")
        yield table(("objects", "an image (processor)", "good"), [
            (str(row["objects"]), f"{row['processor_ms']:.0f} ms", f"{row['good']}/{row['asked']}")
            for row in known
        ])  # fmt: skip


def _growing_map(what: str, made: list[dict[str, Any]]) -> Iterator[str]:
    header = (
        f"photographs in the map of {what}",
        "map",
        "made in (processor)",
        "an image (processor)",
        "good",
        "memory so far",
    )
    yield table(header, [
        (str(row["photographs"]), f"{row['file_mb']:.1f} MB", f"{row['build_processor_s']:.0f} s",
         f"{row['processor_ms']:.0f} ms", f"{row['good']}/{row['asked']}",
         f"{row['peak_memory_gb']:.2f} GB")
        for row in made
    ])  # fmt: skip
    yield plots(
        curves(f"An image of {what}, against photographs",
               [_column(made, "photographs", "processor_ms")],
               "photographs in the map", "processor ms"),
        curves(f"The map of {what}, against photographs",
               [_column(made, "photographs", "file_mb")],
               "photographs in the map", "MB"),
    )  # fmt: skip


def _column(rows: list[dict[str, Any]], x: str, y: str) -> Points:
    return "", [row[x] for row in rows], [row[y] for row in rows]


def _grouped(trials: Iterable[Trial], key: Any) -> dict[Any, list[Trial]]:
    groups: dict[Any, list[Trial]] = defaultdict(list)
    for trial in trials:
        groups[key(trial)].append(trial)
    return dict(groups)
