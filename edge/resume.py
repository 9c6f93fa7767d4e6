"""How far a dated recording was counted, so that a box that is switched off in the middle does not count it again.

A live camera's past can't come twice, a recording's does: it is opened again from its start, and everybody in it would
be sent to the server once more, under new numbers. The mark of how far it was watched is written in the transaction
that keeps the minute it belongs to, so it is never ahead of what is on disk. Behind the mark lies what crossed since: a
crossing that is on disk already is recognised by its line, direction and moment.

Watched is not decided. A crossing of a line with `settle = on_exit` is decided when its person leaves, an hour later
perhaps, and that of who stands on the line when they step off it. So a second mark says since when something was open,
and looking begins before that.
"""

import logging
import zlib
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Final

from edge.models import Crossing
from edge.outbox import Outbox
from edge.settings import CameraSettings

log = logging.getLogger(__name__)

#: What is looked at again before the mark, so that background and tracks are there when counting begins (seconds).
WARM_UP_S: Final = 20.0
#: What a person did is known to the counter this long after it happened at most (seconds): by then they are followed,
#: and if they were lost, found again or given up. What it has not decided by then it says is open.
KNOWN_S: Final = 5.0
#: Two looks at the same recording put a crossing no farther apart than this (seconds).
_SAME_S: Final = 1.0


class Resumed:
    """One recording's mark, and what is known of its last stretch.

    Attributes:
        upto_s: seconds of the recording that were watched and are on disk; 0 for a new one.
        look_from_s: where to begin looking.
    """

    def __init__(self, settings: CameraSettings, starts_at: datetime, outbox: Outbox) -> None:
        """Read the mark.

        Args:
            settings: of the camera whose recording it is.
            starts_at: when the recording began.
            outbox: holds mark and crossings.
        """
        name = f"{settings.source} {starts_at.timestamp()}"
        self.key = f"counted {settings.id} {zlib.crc32(name.encode()):08x}"
        self._open_key = f"{self.key} open"
        self.upto_s = outbox.mark(self.key) / 1e6
        # What was open then will be found again at about its moment: what is settled ends before it.
        open_s = (outbox.mark(self._open_key) or self.upto_s * 1e6) / 1e6 - 2 * _SAME_S
        self._settled_s = min(self.upto_s - KNOWN_S, open_s)
        self.look_from_s = max(0.0, self._settled_s - WARM_UP_S)
        # Without a mark, too: a crossing is on disk a second after it was seen, the first mark with the first minute.
        since = starts_at + timedelta(seconds=max(0.0, self._settled_s))
        self._known = [
            (each.line, each.direction, (each.at - starts_at).total_seconds())
            for each in outbox.crossings(settings.id, since)
        ]
        if self.upto_s:
            log.info("%s: counted up to %.0f s before; going on from there", settings.id, self.upto_s)

    def marks(self, upto_s: float, open_s: float | None) -> Mapping[str, int]:
        """What the outbox is to keep (microseconds; 0 stands for nothing kept).

        Args:
            upto_s: how far the recording was watched (seconds).
            open_s: since when something is not decided (seconds); None where all is.
        """
        settled_s = upto_s if open_s is None else min(upto_s, open_s)
        return {self.key: round(upto_s * 1e6), self._open_key: max(1, round(settled_s * 1e6))}

    def news(self, crossings: Iterable[Crossing]) -> Iterator[Crossing]:
        """Those of them that were not counted before."""
        for each in crossings:
            if each.time_s < self._settled_s:
                continue
            same = [
                known
                for known in self._known
                if known[:2] == (each.line_id, each.direction) and abs(known[2] - each.time_s) <= _SAME_S
            ]
            if same:
                self._known.remove(min(same, key=lambda known: abs(known[2] - each.time_s)))
                continue
            yield each
