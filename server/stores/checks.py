"""What a store and the things that belong to it must be; refused by field, with what to do. Pure.

Every check raises `InvalidInput`. The trap is the value that can be stored and not read again: one camera dated to the
edge of the calendar breaks every page that lists it.
"""

import re
from collections.abc import Sequence
from datetime import date, datetime
from typing import Final, get_args

from server.errors import InvalidInput
from server.stores.calendar import OpeningSpan
from server.stores.models import EVER, FactKind, NewFact, NewStore
from server.stores.public_holidays import HOLIDAY
from wire.topics import CENTRAL_PREFIX, TopicError, check_name

_STORE_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,31}")
_COUNTRY: Final = re.compile(r"[A-Z]{2}")
_SUBDIVISION: Final = re.compile(r"[A-Z0-9]{1,3}")
_WORD: Final = re.compile(r"[\w-][\w -]{0,31}")
_CURRENCY: Final = re.compile(r"[A-Z]{3}")
_LONGEST_REGION: Final = 100
#: Times and days lie in the years from 2000 up to this one, excluded.
_LAST_YEAR: Final = 2100


def check_store(new: NewStore) -> None:
    """A new store's id, name, country and currency."""
    _check_form(_STORE_ID, new.store_id, "store_id", "1-32 letters, digits, '_' or '-', such as S01")
    check_place(new.country, new.subdivision)
    _check_form(_CURRENCY, new.currency, "currency", "three capital letters, such as CNY")
    check_labels(new.format, new.tags, new.region)
    if not new.name.strip():
        raise InvalidInput("the store has no name", field="name", remedy="give the name people know it by")


def check_labels(store_format: str, tags: Sequence[str], region: str = "") -> None:
    """A store's format and region, '' for none, and its tags."""
    if "," in region or not region.isprintable() or len(region) > _LONGEST_REGION:
        raise InvalidInput(
            f"region {region!r} can't be asked for",
            field="region",
            remedy=f"at most {_LONGEST_REGION} characters without a comma; regions are asked for with commas between",
        )
    for field, words in (("format", [store_format] if store_format else []), ("tags", tags)):
        for word in words:
            _check_form(_WORD, word, field, "1-32 letters, digits, spaces, '_' or '-'; they are asked for by commas")


def check_place(country: str, subdivision: str) -> None:
    """A country and, or not, a part of it."""
    _check_form(_COUNTRY, country, "country", "two capital letters, such as CN")
    if subdivision:
        _check_form(_SUBDIVISION, subdivision, "subdivision", "ISO 3166-2 without the country, such as BY")


def _check_form(form: re.Pattern[str], value: str, field: str, remedy: str) -> None:
    if not form.fullmatch(value):
        raise InvalidInput(f"{field} {value!r} is not of the form", field=field, remedy=f"use {remedy}")


def check_id(value: str, field: str) -> None:
    """The id of a camera, a line or a box: it stands in topics."""
    try:
        check_name(value)
    except TopicError as error:
        raise InvalidInput(
            f"{field} {value!r} is not of the form",
            field=field,
            remedy="use 1-64 letters, digits, '.', '_' or '-', beginning with a letter or digit",
        ) from error


def check_device_name(name: str) -> None:
    """The name of a box: it is its broker user name, so it can't be one of the centre's."""
    check_id(name, "name")
    if name.lower().startswith(CENTRAL_PREFIX):
        raise InvalidInput(
            f"name {name!r} is kept for the server's own",
            field="name",
            remedy=f"don't begin it with {CENTRAL_PREFIX!r}",
        )


def check_choice(value: str, choices: Sequence[str], field: str) -> None:
    """One of the words there are."""
    if value not in choices:
        raise InvalidInput(f"{field} {value!r} is not known", field=field, remedy=f"use one of {', '.join(choices)}")


def check_instant(at: datetime, field: str) -> None:
    """An aware instant in the years there are."""
    if at.tzinfo is None:
        raise InvalidInput(f"{field} has no timezone", field=field, remedy="add an offset, such as +08:00")
    if not EVER.year <= at.year < _LAST_YEAR:
        raise InvalidInput(f"{field} {at.isoformat()} can't be", field=field, remedy="check the year")


def check_day(day: date, field: str) -> None:
    """A day in the years there are."""
    if not EVER.year <= day.year < _LAST_YEAR:
        raise InvalidInput(f"{field} {day} can't be", field=field, remedy="check the year")


def check_fact(fact: NewFact) -> None:
    """A promotion, an event or weather."""
    check_choice(fact.kind, get_args(FactKind), "kind")
    check_day(fact.day_from, "day_from")
    check_day(fact.day_to, "day_to")
    if fact.day_to < fact.day_from:
        raise InvalidInput(
            f"day_to {fact.day_to} lies before day_from {fact.day_from}", field="day_to", remedy="swap them"
        )
    if not fact.title.strip():
        raise InvalidInput("the title is empty", field="title", remedy="say in a few words what it was")
    if fact.store_id is not None and fact.region is not None:
        raise InvalidInput("it is of a store and of a region", field="region", remedy="give the one or the other")
    for name, low, high in (("temperature_c", -90, 70), ("rain_mm", 0, 3000)):
        measured = getattr(fact, name)
        if measured is not None and not low <= measured <= high:
            raise InvalidInput(f"{name} {measured} can't be", field=name, remedy=f"give {low} to {high}")


def checked_spans(spans: Sequence[OpeningSpan]) -> tuple[OpeningSpan, ...]:
    """A week's opening hours."""
    seen: set[tuple[int, object]] = set()
    for span in spans:
        if not 0 <= span.weekday <= HOLIDAY:
            raise InvalidInput(
                f"weekday {span.weekday} is none", field="hours", remedy="use 0 (Monday) to 6 (Sunday), 7 for holidays"
            )
        if span.opens.tzinfo is not None or span.closes.tzinfo is not None:
            raise InvalidInput(
                "opening hours have an offset from UTC", field="hours", remedy="give them on the store's own clock"
            )
        if (span.weekday, span.opens) in seen:
            raise InvalidInput(
                f"weekday {span.weekday} opens twice at {span.opens:%H:%M}", field="hours", remedy="keep one"
            )
        seen.add((span.weekday, span.opens))
    return tuple(spans)
