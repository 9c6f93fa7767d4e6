"""What the centre sets while the power goes at every step, the disk is full, or the file says what nobody wrote."""

import itertools
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.config import parse
from edge.remote import kept as keeping
from edge.remote import steering as module
from tests.edge.remote.steered import FILE, Box, box, desired


def test_what_ends_the_agent_itself_is_given_up_after_some_starts(tmp_path: Path) -> None:
    Box(box(tmp_path)).hear(desired(1, "C1"))
    for _ in range(module.MOST_STARTS - 1):
        assert Box(box(tmp_path)).state == (0, 1, "trying")
    one = Box(box(tmp_path))
    assert one.state == (0, 1, "failed")
    assert "the agent ended 3 times" in one.reason
    assert one.fps["C1"] == 25


class PowerCut(BaseException):
    """Nothing catches it."""


@settings(max_examples=60)
@given(st.lists(st.sampled_from(["good", "bad", "wrong", "cut", "look"]), max_size=12), st.integers(0, 12))
def test_whenever_the_power_goes_the_box_ends_by_what_was_shown_to_work(
    tmp_path_factory: pytest.TempPathFactory, story: list[str], cut_at: int
) -> None:
    """Every write of the file may be the last thing that happens, before or after it reaches the disk."""
    config = box(tmp_path_factory.mktemp("box"))
    writes, revision, good = itertools.count(), 0, {0: 25.0}
    real = keeping.save

    def save(path: Path, kept: keeping.Kept) -> None:
        number = next(writes)
        if number == cut_at:
            raise PowerCut
        real(path, kept)
        if number == cut_at + 1:
            raise PowerCut

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(keeping, "save", save)
        one: Box | None = None
        for event in [*story, "look", "look"]:
            try:
                one = None if event == "cut" else one or Box(config)
                if one is None:
                    continue
                if event in ("good", "bad", "wrong"):
                    revision += 1
                    fps = float(revision)
                    if event == "good":
                        good[revision] = fps
                    one.hear(desired(revision, "C9" if event == "wrong" else "C1", fps=fps))
                # The world shows which were bad.
                if one.fps["C1"] in good.values():
                    one.see()
                else:
                    one.cameras["C1"].proof.fault = "it does not work"
                    one.steering.step()
            except PowerCut:
                one = None
    one = Box(config)
    one.see() if one.fps["C1"] in good.values() else one.steering.step()
    used, known, _ = one.state
    assert used in good
    assert used <= known <= revision
    if one.steering.standing.report is None or one.steering.standing.report.state != "trying":
        assert one.fps["C1"] == good[used]


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b'{"form":2}', b'{"form":1,"device":"door-2"}'])
def test_a_file_that_can_not_be_believed_is_put_aside_and_told_anew(tmp_path: Path, content: bytes) -> None:
    path = keeping.place(str(tmp_path / "outbox.sqlite"))
    path.write_bytes(content)
    one = Box(box(tmp_path))
    assert one.state == (0, 0, "")
    assert "waiting to be told again" in one.steering.problem
    assert [each.read_bytes() for each in tmp_path.glob("*.corrupt-*")] == [content]
    one.hear(desired(1, "C1"))
    one.see()
    assert (one.state, one.steering.problem) == ((1, 1, "applied"), "")


def test_a_disk_that_takes_nothing_leaves_all_as_it_is_until_it_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = Box(box(tmp_path))
    monkeypatch.setattr(module, "_RETRY_S", 0.0)
    with monkeypatch.context() as full:
        full.setattr(keeping, "save", _full)
        one.hear(desired(1, "C1"))
        assert one.state == (0, 0, "")
        assert "No space left" in one.steering.problem
        assert one.fps["C1"] == 25
    one.steering.step()
    assert one.state == (0, 1, "trying")
    with monkeypatch.context() as full:
        full.setattr(keeping, "save", _full)
        one.see()
        assert one.state == (1, 1, "applied"), "it was shown to work; only the disk does not know yet"
    one.steering.step()
    assert one.steering.problem == ""
    assert Box(box(tmp_path)).state == (1, 1, "applied")


def _full(path: Path, _kept: keeping.Kept) -> None:
    raise OSError(28, "No space left on device", str(path))


def test_a_mistake_of_ours_does_not_stop_the_counting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = Box(box(tmp_path))
    monkeypatch.setattr(module, "_RETRY_S", 0.0)
    with monkeypatch.context() as broken:
        broken.setattr(module, "overlaid", lambda *_: 1 / 0)
        one.hear(desired(1, "C1"))
        assert "ZeroDivisionError" in one.steering.problem
    one.hear(desired(1, "C1"))
    one.see()
    assert (one.state, one.steering.problem) == ((1, 1, "applied"), "")


def test_a_file_of_the_box_that_no_longer_fits_is_counted_by_alone_and_said(tmp_path: Path) -> None:
    one = Box(box(tmp_path))
    one.hear(desired(1, "C2"))
    one.see()
    text = FILE.format(path=tmp_path / "outbox.sqlite")
    again = Box(parse(text[: text.rindex("[[camera]]")]))
    assert again.state == (0, 1, "failed")
    assert "no longer fits this box's edge.toml" in again.reason
    assert again.fps == {"C1": 25}
