"""A dated recording that is begun again: who is on disk already is not counted twice, even before its first mark."""

from datetime import UTC, datetime, timedelta
from typing import cast

import msgspec

from edge.config import parse
from edge.models import Crossing
from edge.outbox import Outbox
from edge.resume import Resumed

START = datetime(2026, 11, 21, 9, tzinfo=UTC)
CAMERA = parse(
    '[device]\nname = "box"\n[broker]\nhost = "b"\n[outbox]\npath = "o"\n[[camera]]\nid = "C1"\nsource = "a.mp4"\n'
    '[[camera.line]]\nid = "L1"\nstart = [0, 0.5]\nend = [1, 0.5]\ninside = [0.5, 0.9]\n'
).camera[0]


class _Kept(msgspec.Struct):
    line: str
    direction: str
    at: datetime


class _Disk:
    """An outbox that lost power before its first mark."""

    def mark(self, key: str) -> int:
        return 0

    def crossings(self, camera: str, since: datetime) -> list[_Kept]:
        kept = [_Kept("L1", "in", START + timedelta(seconds=6.9))]
        return [each for each in kept if each.at >= since]


def test_what_was_kept_before_the_first_mark_is_not_counted_again() -> None:
    resumed = Resumed(CAMERA, START, cast("Outbox", _Disk()))
    again = Crossing("L1", "in", 1, 69, 6.9, 0.9, 1)
    assert list(resumed.news([again])) == []
    assert list(resumed.news([again])) == [again], "one on disk stands for one crossing"
