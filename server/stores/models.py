"""A store and what belongs to it, as it passes between the parts.

What bears on a number (timezone, business day, opening hours) comes in versions, each in force from a business day on;
there is no "the" timezone of a store except as of a day.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time
from decimal import Decimal
from typing import Final, Literal

from server.stores.calendar import DEFAULT_DAY_STARTS, OpeningSpan

LineKind = Literal["door", "street", "interior"]
FactKind = Literal["promotion", "weather", "event"]

#: The first version of a calendar covers everything before it, too.
EVER: Final = date(2000, 1, 1)


def every_day(opens: time, closes: time) -> tuple[OpeningSpan, ...]:
    """The same hours on all seven days."""
    return tuple(OpeningSpan(weekday, opens, closes) for weekday in range(7))


@dataclass(frozen=True, slots=True)
class NewStore:
    """A store to be added.

    Attributes:
        store_id: such as ``S01``; it stands in addresses and never changes.
        timezone: IANA name.
        currency: ISO 4217; of every receipt that doesn't say otherwise.
        country: ISO 3166, two letters; how a phone number without a country code is read.
        day_starts: local time at which the business day begins.
        hours: weekly opening hours; none means always closed until they are set.
        subdivision: ISO 3166-2 without the country, such as BY; where holidays differ by it.
        format: how it is run, such as ``outlet``; reports choose stores by it, and by `tags`.
    """

    store_id: str
    name: str
    timezone: str = "Asia/Shanghai"
    region: str = ""
    country: str = "CN"
    currency: str = "CNY"
    day_starts: time = DEFAULT_DAY_STARTS
    hours: Sequence[OpeningSpan] = ()
    subdivision: str = ""
    format: str = ""
    tags: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Store:
    """A store; `timezone`, `day_starts`, `region`, `format` and `tags` are those of their latest versions."""

    store_id: str
    name: str
    region: str
    country: str
    currency: str
    timezone: str
    day_starts: time
    created_at: datetime
    subdivision: str = ""
    format: str = ""
    tags: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class OpeningException:
    """When a store opens on one date of the wall calendar, from and to; closed where there is nothing."""

    store_id: str
    day: date
    hours: tuple[tuple[time, time], ...]
    reason: str


@dataclass(frozen=True, slots=True)
class Camera:
    """A camera in the register; coverage is due from `installed_at` to `removed_at`."""

    camera_id: str
    store_id: str
    name: str
    installed_at: datetime
    removed_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """A counting line of a camera."""

    line_id: str
    camera_id: str
    store_id: str
    name: str
    kind: LineKind


@dataclass(frozen=True, slots=True)
class Device:
    """A box; its name is its broker user name.

    Attributes:
        status: its last word about itself (`wire.messages.Status` as builtins), or None before the first.
        status_at: when that came (UTC).
        skew_ms: its clock less ours.
    """

    device_id: str
    store_id: str
    created_at: datetime
    revoked_at: datetime | None
    status: dict[str, object] | None
    status_at: datetime | None
    skew_ms: int | None


@dataclass(frozen=True, slots=True)
class DeviceSecret:
    """A new device's name and password; the password is shown this once and can't be had again."""

    device_id: str
    store_id: str
    password: str = field(repr=False)


CameraState = Literal["ok", "offline", "frozen", "dark", "covered", "stalled", "never_seen"]


@dataclass(frozen=True, slots=True)
class CameraHealth:
    """How a camera does.

    Attributes:
        online: whether its pictures are being counted now.
        state: a stable code.
        last_seen: the last word about it (UTC), None before the first.
        message: for a person: what is wrong and what to do; empty when all is well.
        device_id: the box that reports it; before the first report a box of the store that was never heard, or None.
    """

    camera_id: str
    name: str
    online: bool
    state: CameraState
    last_seen: datetime | None
    message: str
    device_id: str | None = None


@dataclass(frozen=True, slots=True)
class NewFact:
    """What explains a number on some days: of a store, of a region, or, without either, of the whole chain.

    Attributes:
        temperature_c: of weather: the day's mean; `rain_mm` what fell.
    """

    kind: FactKind
    day_from: date
    day_to: date
    title: str
    detail: str = ""
    store_id: str | None = None
    region: str | None = None
    temperature_c: Decimal | None = None
    rain_mm: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Fact:
    """A promotion, a spell of weather or an event, as stored."""

    fact_id: int
    store_id: str | None
    kind: FactKind
    day_from: date
    day_to: date
    title: str
    detail: str
    region: str | None = None
    temperature_c: Decimal | None = None
    rain_mm: Decimal | None = None
