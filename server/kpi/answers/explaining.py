"""Why this number? From one KPI of one store and day, hour or quarter hour to all that it is made of.

Nobody believes a conversion they can't take apart. So everything that was read to make it is laid open: the facts it
divides, quarter hour by quarter hour with what was watched, the settings and corrections in force with who set them,
and the crossings and receipts themselves, each with what it was counted as. The number is computed anew for it; where
what reports show was computed earlier, both stand side by side, and so do the answers given before.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Final, Literal

from server.access.models import Scope
from server.clock import Clock
from server.errors import InvalidInput, NotFound
from server.kpi.answers import explain_repository
from server.kpi.answers.explain_repository import CrossingRow, ReceiptLine, SettingRow, VersionRow
from server.kpi.corrections import correction_repository
from server.kpi.corrections.in_force import Correction, InForce
from server.kpi.days.compute import Want, inputs_of
from server.kpi.days.facts import DayInputs, build
from server.kpi.days.repository import Window
from server.kpi.figures.definition import Kpi
from server.kpi.figures.registry import chosen
from server.kpi.figures.values import values_of
from server.kpi.models import DayFacts, Facts, HourSlot, KpiValue, Occupancy, Period
from server.storage import retention
from server.storage.pool import Connection, Readable
from server.stores import label_repository, labels
from server.stores.calendar import QUARTER, StoreCalendar
from server.stores.models import Store
from server.stores.service import StoresService

#: At most so many crossings and as many receipts are listed; how many there are is told either way.
MOST_LISTED: Final = 5000

CountedAs = Literal["entry", "staff_entry", "exit", "passer_by", "closed", "excluded", "interior"]
SoldAs = Literal["transaction", "refund", "voided", "void", "other_channel"]


@dataclass(frozen=True, slots=True)
class CountedCrossing:
    """A crossing, and what it was counted as."""

    crossing: CrossingRow
    counted_as: CountedAs


@dataclass(frozen=True, slots=True)
class CountedReceipt:
    """A receipt, and what it was counted as."""

    receipt: ReceiptLine
    counted_as: SoldAs


@dataclass(frozen=True, slots=True)
class QuarterLine:
    """One quarter hour of the cell (UTC).

    Attributes:
        observed: share of the due camera time that was watched, None when none was due.
        matched: whether it is in conversion: doors watched to the threshold and the tills there.
    """

    start: datetime
    is_open: bool
    counted_entries: int
    entries: int
    staff_entries: int
    exits: int
    transactions: int
    gross_sales: Decimal
    observed: float | None
    matched: bool


@dataclass(frozen=True, slots=True)
class Answer:
    """What reports show, or showed, for the store-day: from `computed_at` to `superseded_at` (UTC; None: still)."""

    version: int
    provisional: bool
    computed_at: datetime
    superseded_at: datetime | None
    value: KpiValue


@dataclass(frozen=True, slots=True)
class Explanation:
    """All that one number is made of.

    Attributes:
        start: of the cell (UTC); `end` is the first instant after it, at most now.
        value: computed now.
        facts: what the KPI reads.
        answers: of the whole day, the latest first; empty for hours and quarter hours.
        region: of the store on the day, as `format` and `tags`.
        settings: in force on the day; what is not there has its default, and `threshold` is what was used.
        weights: of door cameras in the coverage, 100 on average; a camera that is not there weighs 100.
        corrections: in force on the day.
        raw_from: crossings before this (UTC) may be gone by the chain's retention; None: all are there.
        crossings: in order of time, at most as many as were asked for; `crossing_count` in all, receipts likewise.
    """

    store_id: str
    day: date
    timezone: str
    kpi: str
    formula: str
    start: datetime
    end: datetime
    as_of: datetime
    value: KpiValue
    facts: Mapping[str, int | Decimal]
    answers: tuple[Answer, ...]
    quarters: tuple[QuarterLine, ...]
    open_spans: tuple[tuple[datetime, datetime], ...]
    threshold: Decimal
    settings: tuple[SettingRow, ...]
    weights: Mapping[str, int]
    corrections: tuple[Correction, ...]
    raw_from: datetime | None
    crossing_count: int
    crossings: tuple[CountedCrossing, ...]
    receipt_count: int
    receipts: tuple[CountedReceipt, ...]
    region: str
    format: str
    tags: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Cell:
    """What is explained: a whole day, or an hour or quarter hour of it."""

    start: datetime
    end: datetime
    facts: Facts
    occupancy: Occupancy


class Explainer:
    """Explains numbers; see `KpiService.explain`."""

    def __init__(self, db: Readable, stores: StoresService, clock: Clock) -> None:
        self._db = db
        self._stores = stores
        self._clock = clock

    def explain(
        self,
        scope: Scope,
        slug: str,
        store_id: str,
        day: date,
        *,
        hour: datetime | None,
        quarter: datetime | None,
        limit: int,
    ) -> Explanation:
        """See `KpiService.explain`."""
        (kpi,) = chosen([slug])
        if not 0 <= limit <= MOST_LISTED:
            raise InvalidInput(f"limit is {limit}", field="limit", remedy=f"give a number from 0 to {MOST_LISTED}")
        store = self._stores.store(scope, store_id)
        calendar = self._stores.calendar(scope, store_id)
        now = self._clock()
        if calendar.bounds(day)[0] > now:
            raise InvalidInput(f"{day} has not begun in {store_id}", field="day", remedy="name a day that has")
        with self._db.read() as conn:
            (inputs,) = inputs_of(conn, scope, [Want(store_id, day, calendar, now)])
            made = build(inputs)
            cell = _cell(made, hour, quarter)
            whole_day = hour is None and quarter is None
            return self._laid_open(conn, scope, store, kpi, inputs, made, cell, now, limit, whole_day=whole_day)

    def _laid_open(
        self,
        conn: Connection,
        scope: Scope,
        store: Store,
        kpi: Kpi,
        inputs: DayInputs,
        made: DayFacts,
        cell: _Cell,
        now: datetime,
        limit: int,
        *,
        whole_day: bool,
    ) -> Explanation:
        day, calendar = made.day, inputs.calendar
        window = Window(store.store_id, day, cell.start, cell.end)
        crossings, crossing_count = explain_repository.crossings(conn, scope, window, limit)
        receipts, receipt_count = explain_repository.receipts(conn, scope, window, limit)
        floor = retention.raw_floor(conn)
        standing = correction_repository.standing(conn, scope, [store.store_id])
        versions = explain_repository.versions(conn, scope, store.store_id, day) if whole_day else []
        sorted_as = labels.in_force(label_repository.labels(conn, scope, [store.store_id]), day)
        currencies = frozenset({store.currency})
        profile = tuple(HourSlot(day.weekday(), hour.local.hour, hour.facts.visitors) for hour in made.hours)
        period = Period(cell.facts, cell.occupancy, profile if whole_day else None)
        opened = frozenset(calendar.open_quarters(day))
        return Explanation(
            store_id=store.store_id,
            day=day,
            timezone=calendar.zone_on(day).key,
            kpi=kpi.slug,
            formula=kpi.formula,
            start=cell.start,
            end=cell.end,
            as_of=now,
            value=values_of([kpi], period, currencies)[kpi.slug],
            facts={name: getattr(cell.facts, name) for name in kpi.needs},
            answers=tuple(_answer(kpi, version, currencies) for version in versions),
            quarters=tuple(_quarters(made, cell)),
            open_spans=tuple(calendar.open_spans(day)),
            threshold=inputs.settings.threshold,
            settings=tuple(explain_repository.settings(conn, scope, store.store_id, day)),
            weights=inputs.weights,
            corrections=tuple(each for each in standing if _bears(each, store.store_id, day, calendar)),
            raw_from=floor if floor is not None and floor > cell.start else None,
            crossing_count=crossing_count,
            crossings=tuple(CountedCrossing(row, _counted_as(row, opened, inputs.corrections)) for row in crossings),
            receipt_count=receipt_count,
            receipts=tuple(CountedReceipt(row, _sold_as(row)) for row in receipts),
            region=sorted_as.region if sorted_as else "",
            format=sorted_as.format if sorted_as else "",
            tags=tuple(sorted_as.tags) if sorted_as else (),
        )


def _cell(made: DayFacts, hour: datetime | None, quarter: datetime | None) -> _Cell:
    if hour is not None and quarter is not None:
        raise InvalidInput("both hour and quarter", field="hour", remedy="name one of the two, or none for the day")
    if quarter is not None:
        for each in made.quarters:
            if each.start == quarter:
                return _Cell(each.start, min(each.start + QUARTER, made.as_of), each.facts, each.occupancy)
    elif hour is not None:
        ends = [each.start for each in made.hours[1:]] + [made.end]
        for one, end in zip(made.hours, ends, strict=True):
            if one.start == hour and hour < made.as_of:
                return _Cell(one.start, min(end, made.as_of), one.facts, one.occupancy)
    else:
        return _Cell(made.start, made.as_of, made.facts, made.occupancy)
    field, at = ("quarter", quarter) if quarter is not None else ("hour", hour)
    raise NotFound(
        f"no {field} of {made.store_id}'s {made.day} begins at {at}",
        field=field,
        remedy=f"give its first instant, from {made.start.isoformat()} until now",
    )


def _quarters(made: DayFacts, cell: _Cell) -> Sequence[QuarterLine]:
    return [
        QuarterLine(
            start=each.start,
            is_open=each.is_open,
            counted_entries=each.facts.counted_entries,
            entries=each.facts.entries,
            staff_entries=each.facts.staff_entries,
            exits=each.facts.exits,
            transactions=each.facts.transactions,
            gross_sales=each.facts.gross_sales,
            observed=each.facts.coverage,
            matched=each.facts.matched_quarters > 0,
        )
        for each in made.quarters
        if cell.start <= each.start < cell.end and (each.is_open or not each.facts.is_empty)
    ]


def _answer(kpi: Kpi, row: VersionRow, currencies: frozenset[str]) -> Answer:
    value = values_of([kpi], Period(row.facts, row.occupancy), currencies)[kpi.slug]
    return Answer(row.version, row.provisional, row.computed_at, row.superseded_at, value)


def _bears(each: Correction, store_id: str, day: date, calendar: StoreCalendar) -> bool:
    """Whether a correction is in force on the day; of two that are, the later word counts."""
    if each.starts_at is None or each.ends_at is None:
        return each.holds_on(store_id, day)
    start, end = calendar.bounds(day)
    return each.store_id == store_id and each.starts_at < end and each.ends_at > start


def _counted_as(row: CrossingRow, opened: frozenset[datetime], corrections: InForce) -> CountedAs:
    if row.kind == "interior":
        return "interior"
    quarter = row.at.replace(minute=row.at.minute // 15 * 15, second=0, microsecond=0)
    if quarter not in opened:
        return "closed"
    if corrections.excludes_line(row.line_id, quarter):
        return "excluded"
    if row.kind == "street":
        return "passer_by"
    if row.direction == "out":
        return "exit"
    return "staff_entry" if row.crossing_class == "staff" else "entry"


def _sold_as(row: ReceiptLine) -> SoldAs:
    if row.kind == "void":
        return "void"
    if row.voided:
        return "voided"
    if row.channel != "till":
        return "other_channel"
    return "refund" if row.kind == "refund" else "transaction"
