"""A file is replaced whole, for its owner only, or not at all."""

import os
import stat
from pathlib import Path

import pytest

from edge.partfile import replace


def test_a_file_that_is_made_has_the_mode_that_was_asked_for(tmp_path: Path) -> None:
    replace(tmp_path / "key", b"secret", 0o600)
    replace(tmp_path / "open", b"x")
    assert (tmp_path / "key").read_bytes() == b"secret"
    assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "open").stat().st_mode) == 0o644
    assert sorted(each.name for each in tmp_path.iterdir()) == ["key", "open"]


def test_a_file_that_is_there_keeps_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "edge.toml"
    path.write_text("old")
    path.chmod(0o640)
    replace(path, b"new")
    assert (path.read_text(), stat.S_IMODE(path.stat().st_mode)) == ("new", 0o640)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_file_that_is_there_keeps_its_owner(tmp_path: Path) -> None:
    path = tmp_path / "edge.toml"
    path.write_text("old")
    os.chown(path, 65534, 65533)
    replace(path, b"new")
    assert (path.stat().st_uid, path.stat().st_gid) == (65534, 65533)


def test_what_a_link_points_to_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("old")
    link = tmp_path / "link"
    link.symlink_to("real")
    replace(link, b"new")
    assert link.is_symlink()
    assert (tmp_path / "real").read_text() == "new"


def test_what_fails_leaves_everything_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "edge.toml"
    path.write_text("old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        replace(path, b"new")
    assert [each.name for each in tmp_path.iterdir()] == ["edge.toml"]
    assert path.read_text() == "old"
