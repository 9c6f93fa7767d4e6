"""Who came in together: people over one line, one way, close in time and place, are one buying group.

A family buys once, so conversion by groups needs them; the server counts a group where a crossing opens one. The trap
is a queue, in which everyone is close to the next: a group also ends some seconds after its first.
"""

from dataclasses import dataclass

from edge.counting.borders import Border
from edge.counting.params import CounterParams

#: Groups nobody joined for this long are forgotten; those who settle on exit are given out late.
_REMEMBERED_S = 600.0


@dataclass(slots=True)
class _Group:
    """Who opened it, when its first and newest crossed, where the newest, and when it was last added to."""

    opener: int
    began: float
    ended: float
    at: float
    touched: float


class Groups:
    """The groups over one border in one direction.

    Args:
        border: for distances along it.
        params: how close in time and place.
    """

    def __init__(self, border: Border, params: CounterParams) -> None:
        self._border = border
        self._params = params
        self._groups: list[_Group] = []

    def join(self, person: int, time_s: float, at: float, now: float) -> int:
        """Who opened the group that this crossing belongs to; `person` where it opens one.

        Args:
            person: who crossed.
            time_s: when, in any order.
            at: where along the border, frame heights from its first end.
            now: the newest time of the stream.
        """
        params = self._params
        self._groups = [group for group in self._groups if now - group.touched <= _REMEMBERED_S]
        for group in reversed(self._groups):
            if (
                group.began - params.group_s <= time_s <= group.ended + params.group_s
                and abs(time_s - group.began) <= params.group_span_s
                and self._border.apart(at, group.at) <= params.group_distance
                and group.opener != person
            ):
                group.ended, group.at, group.touched = max(group.ended, time_s), at, now
                return group.opener
        self._groups.append(_Group(person, time_s, time_s, at, now))
        return person
