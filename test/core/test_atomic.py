"""Atomic files: whole or not there, whatever happens while they are written."""

from __future__ import annotations

import os
import resource
import signal
import stat
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

from fast_inerf_ros.errors import InputError
from fast_inerf_ros.io.atomic import atomic_path, write_text


def run_python(code: str, *arguments: str, **options) -> subprocess.Popen:
    repository = Path(__file__).parents[2]
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), *arguments],
        cwd=repository,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def test_the_file_appears_only_when_the_block_ends(tmp_path):
    path = tmp_path / "scene.yaml"
    with atomic_path(path) as temporary:
        temporary.write_text("new")
        assert not path.exists()
        assert temporary.parent == tmp_path
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_the_temporary_file_keeps_the_suffix_that_writers_choose_a_format_by(tmp_path):
    with atomic_path(tmp_path / "map.npz") as temporary:
        np.savez(temporary, values=np.arange(3))
    with np.load(tmp_path / "map.npz") as stored:
        assert stored["values"].tolist() == [0, 1, 2]
    assert [entry.name for entry in tmp_path.iterdir()] == ["map.npz"]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_exception_inside_keeps_the_old_file_and_leaves_nothing_else(tmp_path, error):
    path = tmp_path / "field.pt"
    path.write_text("old")

    def fail_half_way() -> None:
        with atomic_path(path) as temporary:
            temporary.write_text("ne")
            raise error

    with pytest.raises(error):
        fail_half_way()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_keeps_the_old_file_and_leaves_nothing_else(tmp_path):
    path = tmp_path / "field.bin"
    path.write_text("old")
    code = """
        import signal, sys
        from fast_inerf_ros.io.atomic import atomic_path
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        with atomic_path(sys.argv[1]) as temporary:
            temporary.write_bytes(bytes(1_000_000))
        """
    process = run_python(
        code,
        str(path),
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536)),
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "File too large" in errors
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_kill_while_writing_keeps_the_old_file(tmp_path):
    path = tmp_path / "field.bin"
    path.write_text("old")
    code = """
        import sys, time
        from fast_inerf_ros.io.atomic import atomic_path
        with atomic_path(sys.argv[1]) as temporary:
            temporary.write_text("half of the new")
            print("writing", flush=True)
            time.sleep(60)
        """
    process = run_python(code, str(path))
    assert process.stdout.readline() == "writing\n"
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    assert path.read_text() == "old"


def test_a_reader_sees_the_old_or_the_new_file_and_never_a_part(tmp_path):
    path = tmp_path / "scene.yaml"
    whole = {letter * 200_000 for letter in "ab"}
    write_text(path, "a" * 200_000)
    code = """
        import sys
        from fast_inerf_ros.io.atomic import write_text
        for count in range(40):
            write_text(sys.argv[1], "ab"[count % 2] * 200_000)
        """
    process = run_python(code, str(path))
    reads = 0
    while process.poll() is None:
        assert path.read_text() in whole
        reads += 1
    process.communicate()
    assert process.returncode == 0
    assert reads > 0


def test_a_new_file_has_the_permissions_of_the_umask(tmp_path):
    before = os.umask(0o027)
    try:
        write_text(tmp_path / "scene.yaml", "text")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "scene.yaml").stat().st_mode) == 0o640


def test_a_replaced_file_keeps_its_permissions(tmp_path):
    path = tmp_path / "private.yaml"
    path.write_text("old")
    path.chmod(0o600)
    write_text(path, "new")
    assert path.read_text() == "new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_symbolic_link_stays_a_link_to_the_new_content(tmp_path):
    (tmp_path / "real").mkdir()
    target = tmp_path / "real" / "scene.yaml"
    target.write_text("old")
    link = tmp_path / "scene.yaml"
    link.symlink_to(target)
    write_text(link, "new")
    assert link.is_symlink()
    assert target.read_text() == "new"


def test_a_missing_folder_and_a_folder_as_target_are_refused(tmp_path):
    with pytest.raises(InputError, match="missing does not exist: create it first"):
        write_text(tmp_path / "missing" / "scene.yaml", "text")
    with pytest.raises(InputError, match="expected the name of a file, got a folder"):
        write_text(tmp_path, "text")


def test_text_is_written_as_utf8_with_plain_line_ends(tmp_path):
    write_text(tmp_path / "text", "Tür\nÖl\n")
    assert (tmp_path / "text").read_bytes() == "Tür\nÖl\n".encode()
