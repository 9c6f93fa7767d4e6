"""How far a dated recording was counted, so that a box that is switched off in the middle does not count it again.

A live camera's past can't come twice, a recording's does: it is opened again from its start, and everybody in it would
be sent to the server once more, under new numbers. The mark of how far it was watched is written in the transaction
that keeps the minute it belongs to, so it is never ahead of what is on disk. Behind the mark lies what crossed since: a
crossing that is on disk already is recognised by its line, direction and moment.
"""

import logging
import zlib
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Final

from edge.models import Crossing
from edge.outbox import Outbox
from edge.settings import CameraSettings

log = logging.getLogger(__name__)

#: What is looked at again before the mark, so that background and tracks are there when counting begins (seconds).
WARM_UP_S: Final = 20.0
#: A crossing becomes certain this long after it happened at most, if it waits for no tag (seconds).
DECIDED_S: Final = 5.0
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
        self.upto_s = outbox.mark(self.key) / 1e6
        wait_s = DECIDED_S + settings.counting.tag_wait_s
        self._settled_s = self.upto_s - wait_s
        self.look_from_s = max(0.0, self._settled_s - WARM_UP_S)
        # Without a mark, too: a crossing is on disk a second after it was seen, the first mark with the first minute.
        since = starts_at + timedelta(seconds=max(0.0, self._settled_s))
        self._known = [
            (each.line, each.direction, (each.at - starts_at).total_seconds())
            for each in outbox.crossings(settings.id, since)
        ]
        if self.upto_s:
            log.info("%s: counted up to %.0f s before; going on from there", settings.id, self.upto_s)

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
