"""What other currencies are worth in the chain's own, from day to day, and sums of sales in it.

A rate holds from its day until the next one, so that a chain may enter one a day or one a month. What was sold before a
currency's first rate has none: it is named, with the day its rates begin to be missing, and left out of nothing in
silence. Rates are entered by people or programs of the chain and never fetched: which rate a book is kept by is no
server's to choose.
"""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Final

from server.access import audit
from server.access.models import Role, Scope
from server.clock import Clock, utc_now
from server.errors import InvalidInput, TooLarge
from server.sales import rate_repository as repository
from server.sales.rate_repository import Rate, SalesSum
from server.storage.pool import Database, Readable

_READERS: Final[tuple[Role, ...]] = ("manager", "region", "hq", "admin")
_CENT: Final = Decimal("0.01")
_PLACES: Final = Decimal(1).scaleb(-10)
_MOST: Final = Decimal(10) ** 9
_MOST_RATES: Final = 20_000
_MOST_DAYS: Final = 400
_EARLIEST: Final = date(2000, 1, 1)


@dataclass(frozen=True, slots=True)
class NewRate:
    """What one unit of a currency is worth from a day on."""

    currency: str
    valid_from: date
    rate: Decimal


@dataclass(frozen=True, slots=True)
class MissingRate:
    """Sales that can't be told in the reporting currency.

    Attributes:
        day_from: first business day without a rate; `day_to` the last.
    """

    currency: str
    day_from: date
    day_to: date


@dataclass(frozen=True, slots=True)
class StoreSales:
    """What a store sold over some days, less what it gave back, in its own currency and the chain's.

    Attributes:
        gross: sale receipts; `refunds` is what refunds gave back, positive.
        net_of_tax: sales less refunds without tax; None when some receipt did not say.
        reporting: `gross - refunds` in the reporting currency, each day at its own rate; None where one is missing.
    """

    store_id: str
    currency: str
    receipts: int
    gross: Decimal
    refunds: Decimal
    net_of_tax: Decimal | None
    reporting: Decimal | None


@dataclass(frozen=True, slots=True)
class SalesTotals:
    """What the stores of a scope sold.

    Attributes:
        total: of all stores in `currency`; None where a rate is missing, which `missing` names.
    """

    currency: str
    stores: list[StoreSales]
    total: Decimal | None
    missing: list[MissingRate]


class RatesService:
    """Rates, and sums by them.

    Args:
        reporting: the chain's own currency.
        reading: where sums are read.
    """

    def __init__(
        self, db: Database, reporting: str, clock: Clock = utc_now, *, reading: Readable | None = None
    ) -> None:
        self._db = db
        self._reading = reading or db
        self._clock = clock
        self.reporting: Final = reporting

    def rates(self, scope: Scope, currency: str | None = None) -> list[Rate]:
        """Rates of one currency or of all, the latest first."""
        scope.require_role(*_READERS)
        with self._db.read() as conn:
            return repository.rates(conn, self.reporting, currency)

    def put(self, scope: Scope, rates: Sequence[NewRate]) -> int:
        """Enter rates; one that is there for the same day is replaced, and stands in the audit trail. All or none.

        Returns:
            How many are new or other than before.

        Raises:
            Forbidden: they are for the whole chain.
            InvalidInput: naming the rate.
            TooLarge: more than 20,000.
        """
        scope.require_role("hq", "admin")
        scope.require_whole_chain()
        if len(rates) > _MOST_RATES:
            raise TooLarge(f"{len(rates)} rates; at most {_MOST_RATES} are taken in one go", field="rates")
        checked = [self._checked(place, rate) for place, rate in enumerate(rates)]
        latest = {(rate.currency, rate.valid_from): rate for rate in checked}
        if len(latest) < len(checked):
            raise InvalidInput("a currency has two rates for one day", field="rates", remedy="send one")
        now = self._clock()
        with self._db.transaction() as conn:
            before = repository.put(conn, self.reporting, list(latest.values()), scope.actor, now)
            for rate in latest.values():
                was = before.get((rate.currency, rate.valid_from))
                if was == rate.rate:
                    continue
                audit.record(
                    conn,
                    now,
                    scope.actor,
                    "rate.entered",
                    subject=f"{rate.currency}/{self.reporting}/{rate.valid_from}",
                    detail={"rate": str(rate.rate), "was": None if was is None else str(was)},
                )
        return sum(before.get(key) != rate.rate for key, rate in latest.items())

    def import_csv(self, scope: Scope, text: str) -> int:
        """Enter rates of a CSV with the columns currency, valid_from, rate; all or none.

        Raises:
            InvalidInput: with the line.
        """
        reader = csv.DictReader(io.StringIO(text.removeprefix("\ufeff")))
        missing = {"currency", "valid_from", "rate"} - set(reader.fieldnames or ())
        if missing:
            raise InvalidInput(
                f"there is no column {', '.join(sorted(missing))}",
                field="file",
                remedy="begin with the line currency,valid_from,rate",
            )
        rates: list[NewRate] = []
        for row in reader:
            try:
                rates.append(
                    NewRate(
                        (row["currency"] or "").strip(),
                        date.fromisoformat((row["valid_from"] or "").strip()),
                        Decimal((row["rate"] or "").strip()),
                    )
                )
            except (ValueError, InvalidOperation) as error:
                raise InvalidInput(
                    f"line {reader.line_num} can't be read: {row}",
                    field="file",
                    remedy="write it as USD,2026-11-01,7.1234",
                ) from error
        return self.put(scope, rates)

    def totals(
        self, scope: Scope, day_from: date, day_to: date, *, store_ids: Sequence[str] | None = None, channel: str = ""
    ) -> SalesTotals:
        """What stores sold over business days, in their own currency and the chain's.

        Args:
            channel: one only; empty: all.

        Raises:
            Forbidden: for a store.
            InvalidInput: days in the wrong order, or more than 400.
        """
        scope.require_role(*_READERS)
        for store_id in store_ids or ():
            scope.require(store_id)
        if not 0 <= (day_to - day_from).days < _MOST_DAYS:
            raise InvalidInput("the days are in the wrong order, or too many", field="to", remedy="ask for up to 400")
        with self._reading.read() as conn:
            sums = repository.sums(conn, scope, self.reporting, day_from, day_to, store_ids, channel)
        return _totals(self.reporting, sums)

    def _checked(self, place: int, rate: NewRate) -> NewRate:
        where = f"rates[{place}]"
        currency = rate.currency.strip().upper()
        if len(currency) != 3 or not (currency.isascii() and currency.isalpha()):
            raise InvalidInput(f"{rate.currency!r} is no currency", field=f"{where}.currency", remedy="send USD")
        if currency == self.reporting:
            raise InvalidInput(
                f"{currency} is the reporting currency itself", field=f"{where}.currency", remedy="leave it out"
            )
        value = rate.rate
        if not value.is_finite() or not _PLACES <= value < _MOST or value != value.quantize(_PLACES):
            raise InvalidInput(
                f"{value} is no rate", field=f"{where}.rate", remedy="send a positive number of up to 10 decimals"
            )
        if rate.valid_from < _EARLIEST:
            raise InvalidInput(f"{rate.valid_from} is long ago", field=f"{where}.valid_from", remedy="check the year")
        return NewRate(currency, rate.valid_from, value)


def _totals(reporting: str, sums: Sequence[SalesSum]) -> SalesTotals:
    stores: list[StoreSales] = []
    missing: dict[str, list[date]] = {}
    for each in sums:
        told = None
        if each.missing_from is None:
            told = each.reporting.quantize(_CENT)
        else:
            missing.setdefault(each.currency, []).extend((each.missing_from, each.missing_to or each.missing_from))
        stores.append(
            StoreSales(each.store_id, each.currency, each.receipts, each.gross, each.refunds, each.net_of_tax, told)
        )
    known = [each.reporting for each in stores if each.reporting is not None]
    return SalesTotals(
        reporting,
        stores,
        None if missing else sum(known, Decimal(0)),
        [MissingRate(currency, min(days), max(days)) for currency, days in sorted(missing.items())],
    )
