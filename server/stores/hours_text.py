"""A week's opening hours as people write them into one cell of a spreadsheet. Pure.

Two hundred stores are set up from a table somebody has already, and its hours stand in one column: "Mon-Fri
10:00-22:00; Sat,Sun 09:30-22:30", or the same in Chinese. What can't be read is refused with an example, because hours
that were guessed would move every number of the store.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from datetime import time
from itertools import groupby
from typing import Final

from server.errors import InvalidInput
from server.stores.calendar import OpeningSpan
from server.stores.public_holidays import HOLIDAY

_NAMES: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun", "holidays")
_CHINESE: Final = {"一": 0, "二": 1, "三": 2, "四": 3, "五": 4, "六": 5, "日": 6, "天": 6}
_DAILY: Final = frozenset({"", "daily", "every day", "每天", "每日"})
_HOLIDAYS: Final = frozenset({"holiday", "holidays", "public holidays", "节假日", "法定节假日", "节日"})
_CLOSED: Final = frozenset({"closed", "休息", "关门", "闭店"})
_DASHES: Final = re.compile(r"\s*(?:-|–|—|~|～|至|到|\bto\b)\s*")
_SPAN: Final = re.compile(r"(\d{1,2}):(\d{2})-(\d{1,2}):(\d{2})")
_PART: Final = re.compile(r"(?P<days>[^\d:]*?)[\s:]*(?P<hours>\d{1,2}:\d{2}.*|closed|休息|关门|闭店)")
_REMEDY: Final = "write it as 10:00-22:00, or as Mon-Fri 10:00-22:00; Sat,Sun 09:30-22:30; holidays 10:00-18:00"


def read_hours(text: str) -> tuple[OpeningSpan, ...]:
    """Opening hours out of a cell; none out of an empty one.

    Raises:
        InvalidInput: what can't be read, with an example of what can.
    """
    plain = _DASHES.sub("-", unicodedata.normalize("NFKC", text)).strip()
    spans: list[OpeningSpan] = []
    for part in (each.strip() for each in re.split(r"[;\n]", plain)):
        if part:
            days, own = _of_part(part)
            # What is said later of a day stands in place of what was said before: "daily …; Sun closed".
            spans = [span for span in spans if span.weekday not in days] + own
    return tuple(sorted(spans, key=lambda span: (span.weekday, span.opens)))


def write_hours(spans: Sequence[OpeningSpan]) -> str:
    """The same as text that `read_hours` reads back; days in a row with the same hours share a part."""
    by_day = [
        ", ".join(f"{span.opens:%H:%M}-{span.closes:%H:%M}" for span in spans if span.weekday == day)
        for day in range(HOLIDAY + 1)
    ]
    if by_day[0] and len(set(by_day[:7])) == 1:
        parts = [by_day[0]]
    else:
        parts = []
        for hours, alike in groupby(range(7), key=by_day.__getitem__):
            days = list(alike)
            if hours:
                name = _NAMES[days[0]] if len(days) == 1 else f"{_NAMES[days[0]]}-{_NAMES[days[-1]]}"
                parts.append(f"{name} {hours}")
    if by_day[HOLIDAY]:
        parts.append(f"holidays {by_day[HOLIDAY]}")
    return "; ".join(parts)


def _of_part(part: str) -> tuple[list[int], list[OpeningSpan]]:
    """The days a part is about, and their hours."""
    found = _PART.fullmatch(part)
    if found is None:
        raise _unread(part)
    days = list(_days(found["days"].strip(" ,"), part))
    if found["hours"] in _CLOSED:
        if HOLIDAY in days:
            # Without hours of their own, holidays have those of their weekday: here they can't be said to be shut.
            raise InvalidInput(
                f"{part!r} can't be said of holidays in one cell",
                field="hours",
                remedy="leave it out, add the store, and name the days it is closed on the store's page",
                detail={"why": "holidays"},
            )
        return days, []
    spans = []
    for each in re.split(r"[,、]", found["hours"]):
        span = _SPAN.fullmatch(each.strip())
        if span is None:
            raise _unread(part)
        opens, closes = _clock(span[1], span[2], part), _clock(span[3], span[4], part)
        spans += [OpeningSpan(day, opens, closes) for day in days]
    return days, spans


def _days(text: str, part: str) -> Iterator[int]:
    plain = text.strip().lower()
    if plain in _DAILY:
        yield from range(7)
        return
    for each in re.split(r"[,、/]", plain):
        if each.strip() in _HOLIDAYS:
            yield HOLIDAY
            continue
        first, dash, last = each.partition("-")
        start = _day(first, part)
        end = _day(last, part) if dash else start
        yield from ((start + step) % 7 for step in range((end - start) % 7 + 1))


def _day(text: str, part: str) -> int:
    name = text.strip().removeprefix("周").removeprefix("星期").removeprefix("礼拜")
    if name in _CHINESE:
        return _CHINESE[name]
    for number, known in enumerate(_NAMES[:7]):
        if len(name) >= 3 and name.startswith(known.lower()):
            return number
    raise _unread(part)


def _clock(hour: str, minute: str, part: str) -> time:
    if (hour, minute) == ("24", "00"):
        return time(0)
    try:
        return time(int(hour), int(minute))
    except ValueError:
        raise _unread(part) from None


def _unread(part: str) -> InvalidInput:
    return InvalidInput(f"{part!r} can't be read as opening hours", field="hours", remedy=_REMEDY)
