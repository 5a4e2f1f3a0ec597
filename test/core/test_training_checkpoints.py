"""Checkpoints on the disk: kept, passed over, set aside, never executed, never lost."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys

import pytest
import torch
from full_disk import full_disk

from fast_inerf_ros.errors import InputError
from fast_inerf_ros.io.tensor_file import DamagedFile
from fast_inerf_ros.training.checkpoints import (
    CheckpointStore,
    TrainingRecord,
    locked,
    read_checkpoint,
)
from fast_inerf_ros.training.loop import Budget, Moment
from fast_inerf_ros.training.session import SavingPlan, Session
from fast_inerf_ros.training.stop_request import StopRequest
from fast_inerf_ros.training.trainer import StepReport


def record(step, kind="voxel"):
    return TrainingRecord(kind, step, 1.5 * step, "seed: 0\n")


def filled(folder, steps, keep=0):
    store = CheckpointStore(folder, keep)
    for step in steps:
        store.save(record(step), {"weights": torch.full((3,), float(step))})
    return store


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_what_was_saved_comes_back(tmp_path):
    saved = filled(tmp_path, [7]).newest()
    assert saved.record == record(7)
    assert torch.equal(saved.state["weights"], torch.full((3,), 7.0))
    assert saved.path.name == "000007.tar"


def test_the_newest_are_kept_by_number_not_by_name(tmp_path):
    store = filled(tmp_path, [5, 999_999, 1_000_000], keep=2)
    assert names(tmp_path) == ["1000000.tar", "999999.tar"]
    assert store.newest().record.step == 1_000_000
    filled(tmp_path, [1_000_001, 1_000_002], keep=0)
    assert len(names(tmp_path)) == 4


def test_an_empty_or_absent_folder_has_no_checkpoint(tmp_path):
    assert CheckpointStore(tmp_path).newest() is None
    assert CheckpointStore(tmp_path / "absent").newest() is None


def test_a_damaged_checkpoint_is_passed_over_with_a_warning(tmp_path, caplog):
    store = filled(tmp_path, [1, 2, 3])
    (tmp_path / "000003.tar").write_bytes((tmp_path / "000003.tar").read_bytes()[:200])
    assert store.newest().record.step == 2
    assert "passing over a damaged checkpoint" in caplog.text
    for name in names(tmp_path):
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(InputError, match="3 damaged ones; remove them or start again"):
        store.newest()


class Evil:
    def __reduce__(self):
        return os.system, ("touch executed",)


def test_nothing_in_a_checkpoint_is_executed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "000001.tar"
    path.write_bytes(pickle.dumps({"weights": Evil()}))
    with pytest.raises(DamagedFile):
        read_checkpoint(path)
    torch.save({"weights": Evil()}, path)
    with pytest.raises(DamagedFile, match="it was not executed"):
        read_checkpoint(path)
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([1, 2], "expected a checkpoint with named entries, got a list"),
        ({"fast_inerf_ros_training": 5}, "expected the record of a training"),
        ({"fast_inerf_ros_training": "{"}, "expected the record of a training"),
        ({"fast_inerf_ros_training": '{"version": 1}'}, "expected the record of a training"),
        (
            {
                "fast_inerf_ros_training": '{"version": 9, "kind": "voxel", "step": 1, '
                '"seconds": 1, "config": ""}'
            },
            "expected version 1 of checkpoints, got 9; update",
        ),
        (
            {
                "fast_inerf_ros_training": '{"version": 1, "kind": "voxel", "step": -1, '
                '"seconds": 1, "config": ""}'
            },
            "expected step and seconds >= 0",
        ),
    ],
)
def test_foreign_contents_are_named_in_one_line(tmp_path, content, message):
    path = tmp_path / "000001.tar"
    torch.save(content, path)
    with pytest.raises(InputError, match=message) as caught:
        read_checkpoint(path)
    assert "\n" not in str(caught.value)


def test_a_checkpoint_of_nerf_pytorch_has_no_record(tmp_path):
    torch.save({"global_step": 3}, tmp_path / "000003.tar")
    saved = read_checkpoint(tmp_path / "000003.tar")
    assert saved.record is None
    assert saved.state == {"global_step": 3}


def test_checkpoints_are_set_aside_not_overwritten(tmp_path):
    store = filled(tmp_path, [1, 2])
    assert store.set_aside() == tmp_path / "earlier_1"
    assert store.paths() == []
    assert store.set_aside() is None
    filled(tmp_path, [1])
    assert store.set_aside() == tmp_path / "earlier_2"
    assert names(tmp_path / "earlier_1") == ["000001.tar", "000002.tar"]


def test_only_what_kills_left_behind_is_removed(tmp_path):
    store = filled(tmp_path, [1])
    for name in (".000002.0123abcd.tar", ".000002.tar", "mine.0123abcd.tar", ".x.0123abcd.tar"):
        (tmp_path / name).write_bytes(b"x")
    store.remove_left_behind()
    assert names(tmp_path) == [".000002.tar", ".x.0123abcd.tar", "000001.tar", "mine.0123abcd.tar"]


def test_two_trainings_do_not_share_a_folder(tmp_path):
    with locked(tmp_path), pytest.raises(InputError, match="no other training"), locked(tmp_path):
        pass
    with locked(tmp_path):
        pass


def test_a_killed_training_locks_nobody_out(tmp_path):
    code = (
        "import sys, os, signal, pathlib\n"
        "from fast_inerf_ros.training.checkpoints import locked\n"
        "with locked(pathlib.Path(sys.argv[1])):\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    result = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    assert result.returncode == -9
    with locked(tmp_path):
        pass


class Growing:
    """A training whose state grows: 4000 bytes a step."""

    kind = "growing"
    step_count = 0

    def step(self, progress):
        self.step_count += 1
        return StepReport(self.step_count, 1, 0.0, 1.0)

    def state(self):
        return {"weights": torch.zeros(1000 * self.step_count)}

    def restore(self, state, source):
        self.step_count = len(state["weights"]) // 1000


def test_a_full_disk_on_the_way_stops_nothing_and_leaves_the_old_checkpoint(tmp_path, caplog):
    store = CheckpointStore(tmp_path, keep=1)
    session = Session(Growing(), Budget(steps=9), store, "")
    with pytest.raises(OSError, match="File too large"), full_disk(20_000):
        session.run([], [], StopRequest(), SavingPlan(every_steps=1))
    assert session.training.step_count == 9
    assert "checkpoint not written, training goes on" in caplog.text
    assert names(tmp_path) == ["000004.tar"]
    assert store.newest().record.step == 4


def test_a_training_that_diverges_is_not_saved(tmp_path):
    class Diverging(Growing):
        def step(self, progress):
            super().step(progress)
            loss = float("nan") if self.step_count > 4 else 1.0
            return StepReport(self.step_count, 1, torch.tensor(loss), 1.0)

    store = CheckpointStore(tmp_path)
    session = Session(Diverging(), Budget(steps=9), store, "")
    with pytest.raises(InputError, match="expected a finite loss, got nan at step 6; lower"):
        session.run([], [], StopRequest(), SavingPlan(every_steps=2))
    assert names(tmp_path) == ["000002.tar", "000004.tar"]


def test_a_session_goes_on_where_it_was(tmp_path):
    store = CheckpointStore(tmp_path)
    Session(Growing(), Budget(steps=3), store, "").run([], [], StopRequest(), SavingPlan())
    again = Session(Growing(), Budget(steps=5), store, "")
    again.resume(store.newest())
    assert not again.is_finished
    end = again.run([], [], StopRequest(), SavingPlan())
    assert isinstance(end, Moment)
    assert names(tmp_path) == ["000003.tar", "000005.tar"]
    other = Session(Growing(), Budget(steps=5), store, "")
    other.training.kind = "vanilla"
    with pytest.raises(InputError, match="checkpoint of kind vanilla, got one of kind growing"):
        other.resume(store.newest())
