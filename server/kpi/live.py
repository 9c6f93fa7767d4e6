"""A store today, as it passes from the KPIs to a page that follows it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime

from server.kpi.models import KpiValue
from server.stores.models import CameraHealth


@dataclass(frozen=True, slots=True)
class LiveHour:
    """An hour of today beside the same hour of last week.

    Attributes:
        start: UTC.
        label: on the store's clock, such as ``10:00``.
        is_open: whether the store is open in any part of it.
        is_past: whether it has begun; a later hour has no facts yet.
        values: of today, by slug (visitors, entries, exits, transactions, net_sales, conversion).
        last_week: of the whole hour last week; empty where that day had no such hour.
    """

    start: datetime
    label: str
    is_open: bool
    is_past: bool
    values: Mapping[str, KpiValue]
    last_week: Mapping[str, KpiValue]


@dataclass(frozen=True, slots=True)
class LiveView:
    """A store today, up to now, beside the same weekday last week up to the same minute of the clock.

    Attributes:
        as_of: UTC.
        timezone: IANA name in force today.
        currency: of all money in it.
        is_open: now.
        values: by slug: entries, exits, visitors, occupancy, transactions, conversion, net_sales, atv, upt,
            sales_per_visitor, member_share, coverage and others.
        last_week: the same, up to the same minute of the clock.
        cameras: how each camera in service does, in the reader's language.
    """

    store_id: str
    day: date
    as_of: datetime
    timezone: str
    currency: str
    is_open: bool
    values: Mapping[str, KpiValue]
    last_week: Mapping[str, KpiValue]
    hours: tuple[LiveHour, ...]
    cameras: tuple[CameraHealth, ...]
