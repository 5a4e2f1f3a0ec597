"""Generate and compile tf2_msgs/msg/TFMessage into this virtual environment.

PyPI has wheels of the ROS 2 message packages that this package needs, except tf2_msgs. The rosidl
generators have wheels, so that the message is made here as a distribution makes it: the type hash
is the official one and tf2, rviz and rosbag2 of a distribution accept it. Takes about 3 s.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterable
from pathlib import Path

PACKAGE = "tf2_msgs"
DEFINITION = "geometry_msgs/TransformStamped[] transforms\n"
DEPENDENCIES = ("geometry_msgs", "std_msgs", "builtin_interfaces")
TYPESUPPORTS = ("rosidl_typesupport_fastrtps_c", "rosidl_typesupport_introspection_c")
RUNTIME = (*TYPESUPPORTS, "rosidl_typesupport_c", "rosidl_runtime_c", "fastcdr", "rcutils")
COMPILERS = {".c": ["gcc", "-std=c11"], ".cpp": ["g++", "-std=c++17"]}
PREFIX = Path(sys.prefix)


def generate(work: Path) -> None:
    """Write the C, type support and Python sources of the message below `work`."""
    from rosidl_generator_c.cli import GenerateC
    from rosidl_generator_py.cli import GeneratePython
    from rosidl_typesupport_c.cli import GenerateCTypesupport
    from rosidl_typesupport_fastrtps_c.cli import GenerateFastRTPSCTypesupport
    from rosidl_typesupport_introspection_c.cli import GenerateIntrospectionCTypesupport

    source = work / "source"
    (source / "msg").mkdir(parents=True)
    (source / "msg" / "TFMessage.msg").write_text(DEFINITION)
    files, include = [f"{source}:msg/TFMessage.msg"], [str(PREFIX / "share")]
    typesupport = GenerateCTypesupport("c", typesupport_implementations=list(TYPESUPPORTS))
    python = GeneratePython("py", typesupport_implementations=["rosidl_typesupport_c"])
    for generator, folder in (
        (GenerateC("c"), "c"),
        (typesupport, "c"),
        (GenerateFastRTPSCTypesupport("fastrtps_c"), "c"),
        (GenerateIntrospectionCTypesupport("introspection_c"), "introspection"),
        (python, "python"),
    ):
        generator.generate(PACKAGE, files, include, work / folder / PACKAGE)
    (work / "python" / PACKAGE / "__init__.py").touch()


def include_flags(work: Path) -> list[str]:
    """Return the -I options: generated sources, Python, NumPy and every ROS package."""
    import numpy as np

    headers = PREFIX / "include"
    folders = [work / "c", work / "introspection", work / "python"]
    folders += [Path(sysconfig.get_path("include")), Path(np.get_include()), headers]
    folders += sorted(folder for folder in headers.iterdir() if folder.is_dir())
    return [f"-I{folder}" for folder in folders]


def compile_sources(sources: Iterable[Path], work: Path) -> list[Path]:
    """Compile each source and return the object files."""
    objects = []
    flags = ["-O2", "-fPIC", "-w", f"-DROSIDL_GENERATOR_C_BUILDING_DLL_{PACKAGE}"]
    for source in sources:
        target = work / (str(source.relative_to(work)).replace(os.sep, "_") + ".o")
        compiler = COMPILERS[source.suffix]
        command = [*compiler, *flags, *include_flags(work), "-c", source, "-o", target]
        subprocess.run(command, check=True)
        objects.append(target)
    return objects


def link(library: Path, objects: Iterable[Path], own: Iterable[str]) -> None:
    """Link objects with this package's own libraries and those of its dependencies."""
    suffixes = ("rosidl_generator_c", "rosidl_typesupport_c", *TYPESUPPORTS, "rosidl_generator_py")
    names = [f"{PACKAGE}__{suffix}" for suffix in own]
    names += [f"{package}__{suffix}" for package in DEPENDENCIES for suffix in suffixes]
    names += RUNTIME
    paths = [f"-L{PREFIX / 'lib'}", f"-Wl,-rpath,{PREFIX / 'lib'}"]
    subprocess.run(
        ["g++", "-shared", "-o", library, *objects, *paths, *(f"-l{name}" for name in names)],
        check=True,
    )


def build(work: Path) -> Path:
    """Compile and link all libraries; return the Python package with its extension module."""
    message, python = work / "c" / PACKAGE / "msg", work / "python" / PACKAGE
    introspection = work / "introspection"
    libraries = {
        "rosidl_generator_c": (message / "detail").glob("*.c"),
        "rosidl_typesupport_fastrtps_c": (message / "detail").glob("*_c.cpp"),
        "rosidl_typesupport_introspection_c": introspection.rglob("*.c"),
        "rosidl_typesupport_c": message.glob("*.cpp"),
    }
    for suffix, sources in libraries.items():
        own = [] if suffix == "rosidl_generator_c" else ["rosidl_generator_c"]
        objects = compile_sources(sorted(sources), work)
        link(PREFIX / "lib" / f"lib{PACKAGE}__{suffix}.so", objects, own)
    extension = f"{PACKAGE}_s__rosidl_typesupport_c{sysconfig.get_config_var('EXT_SUFFIX')}"
    objects = compile_sources(sorted(python.rglob("*.c")), work)
    link(python / extension, objects, ["rosidl_typesupport_c", "rosidl_generator_c"])
    return python


def install(package: Path) -> None:
    """Copy the Python package and register the message in the ament index."""
    target = Path(sysconfig.get_path("platlib")) / PACKAGE
    shutil.rmtree(target, ignore_errors=True)
    unwanted = shutil.ignore_patterns("*.c", "*.o", "*.json", "*.idl", "tmp")
    shutil.copytree(package, target, ignore=unwanted)
    definitions = PREFIX / "share" / PACKAGE / "msg"
    definitions.mkdir(parents=True, exist_ok=True)
    (definitions / "TFMessage.msg").write_text(DEFINITION)
    index = PREFIX / "share" / "ament_index" / "resource_index" / "packages"
    index.mkdir(parents=True, exist_ok=True)
    (index / PACKAGE).touch()


def main() -> None:
    """Build and install, quietly unless something fails."""
    os.environ.setdefault("AMENT_PREFIX_PATH", str(PREFIX))
    logging.disable(logging.WARNING)  # the generators' command line registers itself twice
    with tempfile.TemporaryDirectory() as folder:
        work, output = Path(folder), io.StringIO()
        try:
            with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
                generate(work)
        except BaseException:
            sys.stderr.write(output.getvalue())
            raise
        install(build(work))


if __name__ == "__main__":
    main()
