from __future__ import annotations

import contextlib
import subprocess
import sys
from pathlib import Path

import pytest

from acwskd_edge.errors import RefusedError, UsageError
from acwskd_edge.files import new_folder, only_writer, restore_folder, write_atomic


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.txt"
    write_atomic(path, "old")

    def full_disk(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full_disk)
    with pytest.raises(UsageError, match="No space left"):
        write_atomic(path, "new")
    assert [one.name for one in tmp_path.iterdir()] == ["a.txt"]
    assert path.read_text() == "old"


def test_a_folder_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    final = tmp_path / "bundle"
    with new_folder(final) as work:
        (work / "a").write_text("1")
    with contextlib.suppress(ValueError), new_folder(final) as work:
        (work / "b").write_text("2")
        raise ValueError("halfway")
    assert sorted(one.name for one in tmp_path.rglob("*")) == ["a", "bundle"]


def test_a_folder_killed_between_two_renames_comes_back(tmp_path: Path) -> None:
    (tmp_path / "bundle.old").mkdir()
    restore_folder(tmp_path / "bundle")
    assert [one.name for one in tmp_path.iterdir()] == ["bundle"]


def test_a_second_writer_is_refused(tmp_path: Path) -> None:
    code = "import sys; from pathlib import Path; from acwskd_edge.files import only_writer as only"
    code += "\nwith only(Path(sys.argv[1])): pass"
    command = [sys.executable, "-c", code, str(tmp_path)]
    with only_writer(tmp_path):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert "another command is writing" in done.stderr
        assert RefusedError.__name__ in done.stderr
    assert subprocess.run(command, check=False).returncode == 0


def test_a_folder_that_cannot_be_made_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot write into"), only_writer(tmp_path / "file" / "run"):
        pass
