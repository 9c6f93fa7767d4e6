"""A camera that nothing is drawn for, looked at because somebody asks: for a while, and never beside who counts."""

from datetime import UTC, datetime

import msgspec
import pytest

from edge.answering.peek import Peek
from edge.scene import door_line
from edge.settings import CameraSettings, LineSettings
from tests.fixtures.wait import wait_until

LIVE = "scene:overhead?seed=3&rate=30&light=steady&size=192x144&fps=8"
NOON = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
DOOR = door_line("overhead")
BARE = CameraSettings(id="C1", source=LIVE, mounting="overhead")
DRAWN = msgspec.structs.replace(BARE, line=(LineSettings(id="L1", start=DOOR.start, end=DOOR.end, inside=DOOR.inside),))


def test_it_sees_and_remembers_until_a_line_is_drawn() -> None:
    settings = BARE
    peek = Peek(lambda: settings, lambda: NOON)
    taken = wait_until(lambda: peek.memory.picture(0.5), 20, "a picture")
    assert taken.at == NOON
    recent = wait_until(lambda: peek.memory.recent(60), what="something remembered")
    assert recent.settings == BARE
    settings = DRAWN
    wait_until(lambda: peek.over, what="the camera to be let go")
    assert peek.problem == ""


def test_it_ends_by_itself_when_nobody_asks_any_more_and_when_told() -> None:
    peek = Peek(lambda: BARE, lambda: NOON, lasts_s=0.1)
    wait_until(lambda: peek.over, 20, "it to end by itself")
    peek = Peek(lambda: BARE, lambda: NOON)
    wait_until(lambda: peek.memory.recent(60), 20, "something remembered")
    peek.end()
    wait_until(lambda: peek.over, what="it to end")


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        (msgspec.structs.replace(BARE, source="/nowhere/door.mp4"), "no file /nowhere/door.mp4"),
        (msgspec.structs.replace(BARE, detector="onnx"), "model"),
        (msgspec.structs.replace(BARE, source="rtsp://user:secret@127.0.0.1:9/door"), "127.0.0.1"),
    ],
)
def test_what_keeps_it_from_seeing_is_told_without_the_password(settings: CameraSettings, problem: str) -> None:
    peek = Peek(lambda: settings, lambda: None)
    try:
        told = wait_until(lambda: peek.problem, 20, "the problem")
        assert problem in told
        assert "secret" not in told
        assert peek.memory.picture(0.0) is None
    finally:
        peek.end()
