"""Describes a layout as scene.yaml, with the objects' models beside it."""

from __future__ import annotations

from pathlib import Path

from fast_inerf_ros.datasets.synthetic.layout import Layout
from fast_inerf_ros.datasets.synthetic.model_files import write_model
from fast_inerf_ros.io.scene import Scene, SceneObject, save_scene

WORLD_FRAME = "world"


def write_scene(folder: Path, layout: Layout) -> Scene:
    """Write scene.yaml and models/<label>.ply (metres) of a layout into a folder."""
    models = folder / "models"
    models.mkdir(exist_ok=True)
    for placement in layout.objects:
        write_model(models / f"{placement.model.label}.ply", placement.model, scale=1.0)
    scene = Scene(
        frame_id=WORLD_FRAME,
        metric=True,
        description=f"Synthetic tabletop, layout {layout.seed}",
        objects=tuple(
            SceneObject(
                label=placement.model.label,
                class_id=placement.model.class_id,
                T_world_object=placement.T_world_object,
                extent=tuple(placement.model.extent.tolist()),
                box_centre=tuple(placement.model.box_centre.tolist()),
                symmetry=placement.model.symmetry,
                mesh=f"models/{placement.model.label}.ply",
            )
            for placement in layout.objects
        ),
    )
    save_scene(scene, folder / "scene.yaml")
    return scene
