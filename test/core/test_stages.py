"""Stages that are done and unchanged are skipped; what has changed is done again."""

from __future__ import annotations

import logging

import pytest

from fast_inerf_ros.errors import InputError
from fast_inerf_ros.scene_building.stages import LOG_FILE, Stages, digest


class Job:
    """Two stages, the second of which copies what the first wrote."""

    def __init__(self, folder):
        self.folder = folder
        self.ran = []

    def run(self, first="a", second="b", until="end"):
        self.ran = []
        stages = Stages(self.folder)

        def write_first(goes_on):
            self.ran.append(("first", goes_on))
            if until == "first":
                raise KeyboardInterrupt
            (self.folder / "first.txt").write_text(first.upper())

        def write_second(goes_on):
            self.ran.append(("second", goes_on))
            text = (self.folder / "first.txt").read_text() + second
            (self.folder / "second").mkdir(exist_ok=True)
            (self.folder / "second" / "text.txt").write_text(text)

        stages.ensure("first", {"letter": first}, ["first.txt"], write_first)
        stages.ensure("second", {"letter": second}, ["second"], write_second, ["first"])
        return [name for name, _ in self.ran]


@pytest.fixture
def job(tmp_path):
    return Job(tmp_path)


def test_what_is_done_is_skipped(job, caplog):
    assert job.run() == ["first", "second"]
    caplog.clear()
    with caplog.at_level(logging.INFO):
        assert job.run() == []
    assert [record.message for record in caplog.records] == [
        "first: done already", "second: done already",
    ]  # fmt: skip


def test_a_change_is_done_again_with_all_that_depends_on_it(job, caplog):
    job.run()
    with caplog.at_level(logging.INFO):
        assert job.run(first="c") == ["first", "second"]
    assert 'first: again, because letter changed from "a" to "c"' in caplog.text
    assert "second: again, because first changed" in caplog.text
    assert (job.folder / "second" / "text.txt").read_text() == "Cb"


def test_a_change_of_the_last_stage_leaves_the_first(job):
    job.run()
    assert job.run(second="d") == ["second"]


def test_what_depends_on_an_equal_result_stays(job):
    job.run()
    (job.folder / "first.txt").unlink()
    assert job.run() == ["first"]


def test_a_result_that_is_gone_is_made_again(job, caplog):
    job.run()
    (job.folder / "second" / "text.txt").unlink()
    (job.folder / "second").rmdir()
    with caplog.at_level(logging.INFO):
        assert job.run() == ["second"]
    assert "because second is gone" in caplog.text


def test_an_interrupted_stage_goes_on_with_the_same_options_only(job):
    with pytest.raises(KeyboardInterrupt):
        job.run(until="first")
    assert job.ran == [("first", False)]
    job.run()
    assert job.ran == [("first", True), ("second", False)]
    with pytest.raises(KeyboardInterrupt):
        job.run(first="c", until="first")
    job.run(first="d")
    assert job.ran[0] == ("first", False)


def test_a_damaged_log_begins_anew(job, caplog):
    job.run()
    for text in ("{", "[]", '{"version": 9, "stages": {}}', '{"version": 1, "stages": {"a": 1}}'):
        (job.folder / LOG_FILE).write_text(text)
        assert job.run() == ["first", "second"]
    assert caplog.text.count("cannot be understood") == 4


def test_a_forgotten_stage_is_done_again(job):
    job.run()
    Stages(job.folder).forget("first")
    assert job.run() == ["first"]


def test_times_are_those_of_finished_stages(job):
    with pytest.raises(KeyboardInterrupt):
        job.run(until="first")
    assert Stages(job.folder).seconds() == {}
    job.run()
    assert set(Stages(job.folder).seconds()) == {"first", "second"}


def test_the_digest_is_that_of_names_and_contents(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "a").write_text("1")
    first = digest(tmp_path, ["folder"])
    (tmp_path / "folder" / "a").write_text("2")
    second = digest(tmp_path, ["folder"])
    (tmp_path / "folder" / "a").rename(tmp_path / "folder" / "b")
    third = digest(tmp_path, ["folder"])
    assert len({first, second, third}) == 3
    with pytest.raises(InputError, match="expected the result"):
        digest(tmp_path, ["nothing"])
