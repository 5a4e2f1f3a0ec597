"""Sections of the report about what is trained: fields, networks; the generator; GPUs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from benchmarks._report_page import (
    NOT_MEASURED,
    Found,
    curves,
    number,
    paragraph,
    plots,
    table,
)

GPU_ROWS = ("field: rays/s", "field: 2000 rays with derivatives", "PoseCNN: latency")


def model_sections(found: Found) -> Iterator[str]:
    """All of them."""
    yield from found.section("Radiance fields", "fields", _fields)
    yield from _against_time(found.training.get("fields", []))
    yield from _vanilla(found.training.get("vanilla"))
    yield from found.section("PoseCNN: quality", "posecnn", _floors)
    yield from found.section("PoseCNN: latency", "posecnn_latency", _floors)
    yield from found.section("Making synthetic images", "generator", _generator)
    yield from _gpu(found)


def _fields(results: list[dict[str, Any]]) -> Iterator[str]:
    header = ("scene", "PSNR, test photographs", "rays/s", "2000 rays with derivatives",
              "checkpoint", "loads in")  # fmt: skip
    yield table(header, [
        (r["scene"], f"{r['psnr_db']:.2f} dB", f"{r['render_rays_per_s'] / 1e6:.2f} M",
         f"{r['derivatives_2000_rays_ms']:.1f} ms", f"{r['checkpoint_mb']:.1f} MB",
         f"{r['loading_s']:.2f} s")
        for r in results
    ])  # fmt: skip


def _against_time(trained: list[dict[str, Any]]) -> Iterator[str]:
    if not trained:
        yield paragraph(f"Quality against time of training: {NOT_MEASURED}.")
        return
    yield table(("scene", "training", "clock", "PSNR", "steps", "load"), [
        (r["scene"], f"{r['training_s']:.0f} s", r["clock"], f"{r['psnr_db']:.2f} dB",
         str(r["steps"]), f"{r['load']:.1f}")
        for r in trained
    ])  # fmt: skip
    lines = []
    for scene in dict.fromkeys(r["scene"] for r in trained):
        own = sorted((r["training_s"], r["psnr_db"]) for r in trained if r["scene"] == scene)
        lines.append((scene, [pair[0] for pair in own], [pair[1] for pair in own]))
    yield plots(curves("Quality against time of training", lines, "seconds", "PSNR in dB"))


def _vanilla(content: dict[str, Any] | None) -> Iterator[str]:
    if not content or "ratio" not in content:
        yield paragraph(f"Against the original NeRF: {NOT_MEASURED}.")
        return
    yield table(("lego, to the same PSNR", "time", "PSNR"), [
        ("original NeRF", f"{content['vanilla_s']:.0f} s", f"{content['vanilla_psnr_db']:.2f} dB"),
        ("voxel field", f"{content['voxel_s']:.2f} s", f"{content['voxel_psnr_db']:.2f} dB"),
        ("ratio", f"{content['ratio']:.0f}", ""),
    ])  # fmt: skip


def _floors(content: dict[str, Any]) -> Iterator[str]:
    yield table(("", "measured", "floor", ""), [
        (row["what"], number(row["value"], "{:.4g}"), row.get("floor", ""),
         {True: "met", False: "missed"}.get(row.get("met"), ""))
        for row in content["rows"]
    ])  # fmt: skip


def _generator(content: dict[str, Any]) -> Iterator[str]:
    yield table(("640x480", "images/s", "processor time an image"), [
        (name.replace("_", " "), f"{row['images_per_s']:.1f}",
         f"{1e3 * row['processor_s_per_image']:.0f} ms")
        for name, row in content.items() if isinstance(row, dict)
    ])  # fmt: skip


def _gpu(found: Found) -> Iterator[str]:
    measured = found.results.get("cuda") or {}
    rows = [(name, f"{value:.3g} {unit}") for name, value, unit in measured.get("rows", [])]
    yield "<h2>CUDA</h2>"
    yield table(("GPU", measured.get("gpu") or "none"),
                rows or [(name, NOT_MEASURED) for name in GPU_ROWS])  # fmt: skip
