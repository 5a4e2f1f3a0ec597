"""``run_inerf``: the pose refinement of the seed project, with its options, files and names.

run_inerf --config configs/inerf/lego.txt
run_inerf --config configs/inerf/PROPS.txt --posecnn_init_pose --mask_region --overlay
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from fast_inerf_ros.command_line import guarded
from fast_inerf_ros.config import replace
from fast_inerf_ros.datasets.load import load_dataset
from fast_inerf_ros.datasets.posed_images import PosedImages
from fast_inerf_ros.datasets.transforms import frame_names
from fast_inerf_ros.errors import InputError
from fast_inerf_ros.experiments.detections import (
    DetectionFiles,
    DetectionSource,
    NetworkDetections,
)
from fast_inerf_ros.experiments.fields import load_any_field
from fast_inerf_ros.experiments.image_noise import ImageNoise
from fast_inerf_ros.experiments.inerf import report
from fast_inerf_ros.experiments.overlay import OverlayOptions
from fast_inerf_ros.experiments.setup import Growth, Setup
from fast_inerf_ros.experiments.start_error import StartError
from fast_inerf_ros.experiments.trial import write_outcome
from fast_inerf_ros.fields.field import Field
from fast_inerf_ros.inerf.solvers.adam import Options as AdamOptions
from fast_inerf_ros.inerf.solvers.registry import make_solver
from fast_inerf_ros.inerf.solvers.solver import Solver
from fast_inerf_ros.io.atomic import write_text
from fast_inerf_ros.io.scene import load_scene
from fast_inerf_ros.io.seed_command_line import (
    SeedCommand,
    help_text,
    parse_seed_command,
    wants_help,
)
from fast_inerf_ros.io.seed_config import dump_seed_config
from fast_inerf_ros.io.seed_options import SeedInerfOptions
from fast_inerf_ros.posecnn.detector import Detector
from fast_inerf_ros.training.seed_scene import dataset_options, seed_setting
from fast_inerf_ros.training.session import make_folder

NAME = "run_inerf"
DESCRIPTION = "Refine the pose of one photograph, with the options of the seed project."

POSECNN_FILE = "posecnn_model.pth"
VIDEO_FRAME_RATE = 8.0


def main(argv: Sequence[str] | None = None) -> int:
    """Run the executable and return its exit status."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if wants_help(arguments):
        sys.stdout.write(help_text(SeedInerfOptions, NAME, DESCRIPTION))
        return 0
    return guarded(lambda: run_inerf(parse_seed_command(SeedInerfOptions, arguments)))


def run_inerf(command: SeedCommand[SeedInerfOptions]) -> int:
    """Refine the photograph that the options name; 0 where its pose was refined, else 1.

    Raises InputError for bad input, OSError where results cannot be written.
    """
    options = command.options
    if not options.model_name:
        raise InputError("model_name: expected the name of a model, got none; give --model_name")
    posed, index = observed(options)
    setup = seed_setup(options, posed)
    folder = make_folder(str(Path(options.output_dir) / options.model_name))
    write_text(folder / "args.txt", dump_seed_config(options))
    if command.config_text is not None:
        write_text(folder / "config.txt", command.config_text)
    outcome = setup.ask(posed, index)
    written = write_outcome(folder, outcome, _overlay(options, posed.cameras[index].width))
    report(outcome.trial.name, outcome.result, written)
    return 0 if outcome.result.status.refined else 1


def observed(options: SeedInerfOptions) -> tuple[PosedImages, int]:
    """The photographs that `obs_img_num` counts in, and which of them it is.

    Blender: `data_dir/model_name/obs_imgs`, as its transforms.json lists them. LLFF: all
    photographs of `data_dir/model_name`.
    """
    folder = Path(options.data_dir).expanduser() / str(options.model_name)
    number = options.obs_img_num
    if options.dataset_type == "llff":
        posed = load_dataset(folder, dataset_options(options))
        names = list(posed.names)
    else:
        file = folder / "obs_imgs" / "transforms.json"
        posed = load_dataset(file, dataset_options(options))
        names = frame_names(file)
    if number >= len(names):
        raise InputError(
            f"obs_img_num: expected less than the {len(names)} observed images, got {number}"
        )
    if names[number] not in posed.names:
        raise InputError(f"obs_img_num: the image {names[number]} of number {number} is missing")
    return posed, posed.names.index(names[number])


def seed_setup(options: SeedInerfOptions, posed: PosedImages) -> Setup:
    """What the options ask for."""
    kind = "llff" if options.dataset_type == "llff" else "blender"
    return Setup(
        field=_field(options, posed),
        solver=_solver(options),
        layout="llff" if kind == "llff" else "blender",
        start_error=StartError(
            options.delta_phi, options.delta_theta, options.delta_psi, options.delta_t
        ),
        noise=_noise(options),
        background=(1.0, 1.0, 1.0) if options.white_bkgd else None,
        detections=_detections(options),
        growth=Growth(options.kernel_size, options.dil_iter) if _uses_mask(options) else None,
        from_detection=options.posecnn_init_pose,
        seed=options.seed,
    )


def _uses_mask(options: SeedInerfOptions) -> bool:
    return options.mask_region or options.sampling_strategy == "mask_region"


def _field(options: SeedInerfOptions, posed: PosedImages) -> Field:
    """`ckpt_dir/model_name.tar`, or a field of this package: `model_name.npz`."""
    folder, name = Path(options.ckpt_dir).expanduser(), str(options.model_name)
    candidates = [folder / f"{name}.tar", folder / f"{name}.npz"]
    candidates += sorted((folder / name).glob("*.tar"))[::-1]
    path = next((item for item in candidates if item.is_file()), None)
    if path is None:
        raise InputError(
            f"{candidates[0]}: expected the checkpoint of a NeRF, got no such file; give "
            "--ckpt_dir and --model_name"
        )
    return load_any_field(path, seed_setting(posed, options))


def _solver(options: SeedInerfOptions) -> Solver:
    if options.solver != "adam":
        return make_solver(options.solver)
    adam = AdamOptions()
    changes = {
        "pixels.strategy": "mask_region" if _uses_mask(options) else options.sampling_strategy,
        "pixels.count": options.batch_size,
        "pixels.kernel_size": options.kernel_size,
        "pixels.iterations": options.dil_iter,
        "learning_rate": options.lrate,
        "max_steps": options.n_steps,
    }
    for name, value in changes.items():
        adam = replace(adam, name, value)
    return make_solver("adam", adam)


def _noise(options: SeedInerfOptions) -> ImageNoise:
    noise = replace(ImageNoise(), "kind", options.noise or "none")
    noise = replace(noise, "sigma", options.sigma)
    noise = replace(noise, "amount", options.amount)
    return replace(noise, "brightness", options.delta_brightness)


def _detections(options: SeedInerfOptions) -> DetectionSource:
    """PoseCNN where its folder is given and it is needed, else files of any detector."""
    scene = load_scene(options.scene) if options.scene else None
    needed = options.posecnn_init_pose or _uses_mask(options)
    if options.posecnn_dir is None or not needed:
        folder = None if options.detections is None else Path(options.detections).expanduser()
        return DetectionFiles(folder, scene)
    if options.posecnn_init_pose and scene is None:
        raise InputError(
            "posecnn_init_pose: expected a scene file that says where the objects are, got none; "
            "give --scene"
        )
    path = Path(options.posecnn_dir).expanduser()
    return NetworkDetections(Detector.load(path / POSECNN_FILE if path.is_dir() else path), scene)


def _overlay(options: SeedInerfOptions, width: int) -> OverlayOptions:
    factor = max(1, options.render_factor)
    return OverlayOptions(
        png=options.overlay,
        gif=options.overlay,
        mp4=options.overlay,
        width=width // factor if factor > 1 else 0,
        frame_rate=VIDEO_FRAME_RATE,
    )


if __name__ == "__main__":
    sys.exit(main())
