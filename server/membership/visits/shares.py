"""Members' share of a store's traffic and sales, in all and by tier.

The trap is the tier: who is gold today was silver when most of the purchases were made, and a report by today's tiers
shows gold members who always bought like gold ones. So each visit counts for the tier that the member had then. The
other trap is the store that knows of members only when they pay: there visits are purchases, and their share of the
visitors says nothing; it is withheld, as are shares of visitors that too few cameras counted.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Final, Protocol

from server.access.models import Role, Scope
from server.errors import InvalidInput, NotFound
from server.membership.visits import share_repository
from server.membership.visits.share_repository import Done
from server.storage.pool import Readable
from server.stores.calendar import ONE_DAY, StoreCalendar
from server.stores.service import StoresService

READERS: Final[tuple[Role, ...]] = ("admin", "hq", "region", "manager")
_KPIS: Final = ("visitors", "transactions", "gross_sales", "member_visits", "conversion")
#: Withheld for the same reason as conversion: too little of the time was watched.
_UNSEEN: Final = "coverage_below_threshold"
_MOST_STORE_DAYS: Final = 20_000
_PLACES: Final = Decimal("0.000001")
_NOTHING: Final = Decimal("0.00")


class Told(Protocol):
    """A KPI's answer, as far as it is needed here."""

    @property
    def value(self) -> Decimal | int | None:
        """None when withheld."""

    @property
    def coverage(self) -> float | None:
        """Share of the due camera time that was watched."""

    @property
    def withheld(self) -> str | None:
        """A stable code when there is no value."""


class Row(Protocol):
    """KPIs of one store."""

    @property
    def labels(self) -> Mapping[str, str]:
        """The store."""

    @property
    def values(self) -> Mapping[str, Told]:
        """By KPI."""

    @property
    def as_of(self) -> datetime:
        """Up to when they are told (UTC)."""


class Answer(Protocol):
    """KPIs of several stores."""

    @property
    def rows(self) -> Sequence[Row]:
        """One a store."""

    @property
    def as_of(self) -> datetime:
        """Up to when all of them are told (UTC)."""

    @property
    def pending(self) -> int:
        """Store-days that have changed and are not in the answer."""


class Kpis(Protocol):
    """Who knows how many visitors a store had, and what it sold in all."""

    def report(
        self,
        scope: Scope,
        *,
        kpis: Sequence[str],
        day_from: date,
        day_to: date,
        store_ids: Sequence[str] | None = None,
        group_by: str | Sequence[str] = "chain",
    ) -> Answer:
        """KPIs of stores over business days, both included."""


@dataclass(frozen=True, slots=True)
class Part:
    """What members did, and their share of the whole; six decimals.

    Attributes:
        tier: its slug; empty for all of them together.
        members: different ones.
        visits: distinct (member, business day) with a check-in, a sale at the till or something fetched.
        buyers: visits on which something was bought at the till.
        transactions: sales at the till less voids, of `sales` in the store's currency.
        traffic_share: visits / visitors; None when that is withheld, the others when there was nothing to share.
        transaction_share, sales_share: of the store's transactions and gross sales.
    """

    tier: str
    members: int
    visits: int
    buyers: int
    transactions: int
    sales: Decimal
    traffic_share: Decimal | None
    transaction_share: Decimal | None
    sales_share: Decimal | None


@dataclass(frozen=True, slots=True)
class StoreShares:
    """One store's members over some business days.

    Attributes:
        visitors: None when they could not be counted.
        coverage: of the counting.
        withheld: why there is no share of the traffic: a code, as KPIs have them.
        members: all tiers together; `tiers` by sales, the most first.
        as_of: up to when (UTC) the store's visitors and sales are told, which of a large chain may be a while ago.
        pending: store-days, of all stores asked for, that have changed and are not in these numbers.
    """

    store_id: str
    currency: str
    day_from: date
    day_to: date
    visitors: int | None
    coverage: float | None
    withheld: str | None
    transactions: int
    sales: Decimal
    members: Part
    tiers: list[Part]
    as_of: datetime
    pending: int


class MemberShares:
    """Works out members' shares.

    Args:
        kpis: counts visitors and sums sales; shares are of its numbers, so they agree with every other page.
    """

    def __init__(self, db: Readable, stores: StoresService, kpis: Kpis) -> None:
        self._db = db
        self._stores = stores
        self._kpis = kpis

    def shares(
        self, scope: Scope, day_from: date, day_to: date, store_ids: Sequence[str] | None = None
    ) -> list[StoreShares]:
        """Shares by store, in the order of the stores' ids.

        Args:
            day_from: first business day, each store's own; `day_to` the last, included.
            store_ids: None: all of the caller's.

        Raises:
            Forbidden: a store that isn't the caller's.
            NotFound: a store there isn't.
            InvalidInput: days the wrong way round or too many.
        """
        scope.require_role(*READERS)
        stores = {store.store_id: store for store in self._stores.stores(scope)}
        chosen = sorted(stores) if store_ids is None else sorted(set(store_ids))
        for store_id in chosen:
            scope.require(store_id)
            if store_id not in stores:
                raise NotFound(f"there is no store {store_id!r}", field="store", remedy="check the id")
        days = (day_to - day_from).days + 1
        if days < 1:
            raise InvalidInput("the days are the wrong way round", field="to", remedy="give the earlier one first")
        if days * len(chosen) > _MOST_STORE_DAYS:
            raise InvalidInput(
                f"{days} days of {len(chosen)} stores are too many",
                field="to",
                remedy=f"ask for {_MOST_STORE_DAYS:,} days of stores at the most",
            )
        report = self._kpis.report(
            scope, kpis=_KPIS, day_from=day_from, day_to=day_to, store_ids=chosen, group_by="store"
        )
        told = {row.labels["store"]: row for row in report.rows}
        calendars = self._stores.calendars(scope, chosen)
        spans = [span for store_id in chosen for span in _days(store_id, calendars[store_id], day_from, day_to)]
        with self._db.read() as conn:
            done = share_repository.by_tier(conn, scope, spans)
        return [
            _shares(
                store_id,
                stores[store_id].currency,
                (day_from, day_to),
                told[store_id].values if store_id in told else {},
                [each for each in done if each.store_id == store_id],
                told[store_id].as_of if store_id in told else report.as_of,
                report.pending,
            )
            for store_id in chosen
        ]


def _days(
    store_id: str, calendar: StoreCalendar, first: date, last: date
) -> Iterator[tuple[str, date, datetime, datetime]]:
    day = first
    while day <= last:
        yield store_id, day, *calendar.bounds(day)
        day += ONE_DAY


def _shares(
    store_id: str,
    currency: str,
    days: tuple[date, date],
    told: Mapping[str, Told],
    done: Sequence[Done],
    as_of: datetime,
    pending: int,
) -> StoreShares:
    visitors = told["visitors"] if told else None
    counted = None if visitors is None or visitors.value is None else int(visitors.value)
    withheld = _withheld(told)
    transactions = int(_value(told, "transactions"))
    sales = Decimal(_value(told, "gross_sales"))
    traffic = counted if withheld is None else None

    def part(rows: Sequence[Done], tier: str, members: int) -> Part:
        visits, bought = sum(row.visits for row in rows), sum(row.transactions for row in rows)
        spent = sum((row.sales for row in rows), _NOTHING)
        return Part(
            tier=tier,
            members=members,
            visits=visits,
            buyers=sum(row.buyers for row in rows),
            transactions=bought,
            sales=spent,
            traffic_share=_share(visits, traffic),
            transaction_share=_share(bought, transactions),
            sales_share=_share(spent, sales),
        )

    tiers = [part([row], row.tier, row.members) for row in done if row.tier]
    return StoreShares(
        store_id=store_id,
        currency=currency,
        day_from=days[0],
        day_to=days[1],
        visitors=counted,
        coverage=None if visitors is None else visitors.coverage,
        withheld=withheld,
        transactions=transactions,
        sales=sales,
        # Who rose within the period is of two tiers, and one member.
        members=part([row for row in done if row.tier], "", next((row.members for row in done if not row.tier), 0)),
        tiers=sorted(tiers, key=lambda each: (-each.sales, each.tier)),
        as_of=as_of,
        pending=pending,
    )


def _withheld(told: Mapping[str, Told]) -> str | None:
    if not told:
        return "no_data"
    visits, visitors, conversion = told["member_visits"], told["visitors"], told["conversion"]
    if visits.value is None:
        return visits.withheld
    if visitors.value is None:
        return visitors.withheld
    if conversion.withheld == _UNSEEN:
        return _UNSEEN
    return None if visitors.value else "no_visitors"


def _value(told: Mapping[str, Told], kpi: str) -> Decimal | int:
    value = told[kpi].value if told else None
    return 0 if value is None else value


def _share(part: Decimal | int, whole: Decimal | int | None) -> Decimal | None:
    return (Decimal(part) / Decimal(whole)).quantize(_PLACES) if whole else None


def weeks_before(day: date, weeks: int) -> tuple[date, date]:
    """Whole weeks up to the day before a day: each weekday as often as the others."""
    return day - timedelta(weeks=weeks), day - ONE_DAY
