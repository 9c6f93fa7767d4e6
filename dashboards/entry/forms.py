"""A form as it was sent: what was typed stays, and what is wrong is said beside its field in the reader's language.

The services refuse by field, in English, for programs. A page can't show that, and a form that comes back empty after a
mistake is entered once and never again; so a form keeps its texts, and words are found by the field that was refused.
"""

import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Final
from zoneinfo import ZoneInfo

from dashboards.i18n import N_
from server.errors import DoorlineError

#: Puts a text of ours into the reader's language.
Gettext = Callable[[str], str]
#: What is wrong with a field, by the field that a service refused; what is not here reads like `_ANY`.
_WORDS: Final = {
    "day": N_("Enter a date, such as 2026-11-16."),
    "day_from": N_("Enter a date, such as 2026-11-16."),
    "day_to": N_("Enter a date that is not before the first day."),
    "from": N_("Enter a date or a time, such as 2026-11-16 or 09:30."),
    "to": N_("Enter an end that comes after the beginning."),
    "title": N_("Say in a few words what it was."),
    "kind": N_("Choose what it is."),
    "store": N_("There is no such store among yours."),
    "store_id": N_("There is no such store among yours."),
    "region": N_("No store is in this region, or a store is named as well."),
    "temperature_c": N_("Enter degrees from -90 to 70."),
    "temperature": N_("Enter degrees from -90 to 70."),
    "rain_mm": N_("Enter millimetres from 0 to 3000."),
    "rain": N_("Enter millimetres from 0 to 3000."),
    "hours": N_("Enter hours from 0 on, of a day on which the store is open, or else shifts from and to."),
    "people": N_("Enter how many people: more than 0 and fewer than 1000."),
    "shifts": N_("A shift must lie within the business day; split one that runs into the next."),
    "opens": N_("Use times on the quarter hour, such as 10:00 or 10:15."),
    "closes": N_("Use times on the quarter hour, such as 10:00 or 10:15."),
    "reason": N_("Say why, in at most 500 letters."),
    "value": N_("This number can't be: see the hint beside it."),
    "counted": N_("These counts can't be, or too few people were counted by hand to say anything."),
    "line_id": N_("Choose one of this store's counting lines."),
    "starts_at": N_("Enter a date and a time of the store's clock."),
    "ends_at": N_("Enter an end after the beginning, at most 31 days later."),
}
_ANY: Final = N_("This can't be taken as it is.")
_NUMBER: Final = N_("Enter a number, such as 7.5; commas stand only between thousands, as in 1,250.50.")
#: The calendar's own ends have no day after them, or no hour in another timezone.
_FIRST_YEAR: Final = 1900
_LAST_YEAR: Final = 9000
#: A comma (or a blank) is taken only where thousands end: "12,50" read as 1250 or "1,000" as 1 costs somebody money.
_READ: Final = re.compile(r"[+-]?(\d{1,3}([, ]\d{3})+(\.\d+)?|\d+\.?\d*|\.\d+)", re.ASCII)


def read_number(text: str) -> Decimal | None:
    """A number as every form reads it; None where it is none.

    Digits of a Chinese keyboard and a sign of a currency before or after it are taken; the decimals begin with a point.
    """
    plain = unicodedata.normalize("NFKC", text).strip(" ¥$€£")
    return Decimal(re.sub("[, ]", "", plain)) if _READ.fullmatch(plain) else None


@dataclass
class Form:
    """What was typed, by field, and what is wrong with it (words of the catalogue, not yet translated)."""

    values: Mapping[str, str] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)

    def text(self, name: str) -> str:
        """What was typed; nothing when nothing was."""
        return self.values.get(name, "").strip()

    def day(self, name: str, *, optional: bool = False) -> date | None:
        """A date; None with a problem noted when it is none."""
        text = self._plain(name)
        if not text and optional:
            return None
        try:
            found = date.fromisoformat(text.replace("/", "-"))
        except ValueError:
            self.problems[name] = _WORDS["day"]
            return None
        if not _FIRST_YEAR <= found.year <= _LAST_YEAR:
            self.problems[name] = _WORDS["day"]
            return None
        return found

    def number(self, name: str, *, optional: bool = True) -> Decimal | None:
        """A number; None when nothing was typed, or with a problem noted."""
        text = self.text(name)
        if not text and optional:
            return None
        found = read_number(text)
        if found is None:
            self.problems[name] = _NUMBER
        return found

    def whole(self, name: str) -> int | None:
        """A whole number from 0 on; None with a problem noted when it is none."""
        text = self._plain(name)
        if not text.isdecimal() or len(text) > 9:
            self.problems[name] = _WORDS["counted"]
            return None
        return int(text)

    def clock(self, name: str) -> time | None:
        """A time of day; None with a problem noted when it is none."""
        text = self._plain(name)
        try:
            return time.fromisoformat(text if text[1:2] != ":" else f"0{text}").replace(tzinfo=None)
        except ValueError:
            self.problems[name] = _WORDS["opens"]
            return None

    def instant(self, name: str, zone: ZoneInfo) -> datetime | None:
        """A date and time of a store's clock (aware); of a time that is lived twice the first."""
        text = self._plain(name)
        try:
            at = datetime.fromisoformat(text)
        except ValueError:
            self.problems[name] = _WORDS["starts_at"]
            return None
        if not _FIRST_YEAR <= at.year <= _LAST_YEAR:
            self.problems[name] = _WORDS["starts_at"]
            return None
        return at.replace(tzinfo=zone)

    def refuse(self, error: DoorlineError, **fields: str) -> None:
        """Note what a service refused; `fields` says under which name the form has what the service calls so."""
        refused = error.field or ""
        self.problems[fields.get(refused, refused)] = words_for(refused)

    def _plain(self, name: str) -> str:
        return unicodedata.normalize("NFKC", self.text(name))


def words_for(refused: str | None) -> str:
    """What to say of a field that a service refused; to be translated where it is shown."""
    return _WORDS.get(refused or "", _ANY)


def shift_bounds(
    day: date, starts: time, ends: time, start_of_day: datetime, zone: ZoneInfo
) -> tuple[datetime, datetime]:
    """A shift's instants from two times of the clock: before the business day begins is the night after its evening."""
    start = datetime.combine(day, starts, zone)
    if start < start_of_day:
        start = datetime.combine(day + timedelta(days=1), starts, zone)
    last = start.date() + timedelta(days=1 if ends <= starts else 0)
    return start, datetime.combine(last, ends, zone)
