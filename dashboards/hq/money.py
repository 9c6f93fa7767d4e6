"""A chain that sells in several currencies: its net sales in the one it reports in, and amounts in order.

Amounts in two currencies are two things: a store that sold for 900,000 yen stands above none that sold for 8,000 euros
because its number is the larger. So they are in order within a currency, and added up only by the rates that the chain
entered, each day by its own. What is added up is what the table shows (the KPI's net sales by each store's own days),
never receipts counted another way, so that the headline is the sum of the lines under it.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from dashboards.formats import NOTHING, Formats
from dashboards.hq.state import Stores
from dashboards.i18n import translations
from dashboards.periods import CHOICES
from dashboards.viewer import Viewer
from server.kpi.models import KpiValue, Report
from server.sales.rate_repository import Rate
from server.stores.models import Store


@dataclass(frozen=True, slots=True)
class Used:
    """By which rates a currency was reckoned: from when the first and the last of them hold."""

    currency: str
    first: date
    last: date


@dataclass(frozen=True, slots=True)
class Missing:
    """A currency of which something was sold on days that have no rate: the first and the last of these."""

    currency: str
    first: date
    last: date


@dataclass(frozen=True, slots=True)
class Together:
    """Net sales of stores of several currencies in the one that is reported in.

    Attributes:
        total: to the cent; None where a rate is missing, or nothing is known of any day.
        used: the other currencies' rates, in order of their names; `missing` likewise.
    """

    currency: str
    total: Decimal | None
    used: tuple[Used, ...]
    missing: tuple[Missing, ...]

    def text(self, fmt: Formats) -> str:
        """The sum, or a dash."""
        return NOTHING if self.total is None else fmt.money(self.total, self.currency)

    def note(self, fmt: Formats) -> str:
        """By which rates, or which one is missing, in words."""
        gettext = translations(fmt.locale).gettext
        if self.missing:
            return " · ".join(
                gettext("No rate of %(currency)s for %(days)s")
                % {"currency": each.currency, "days": _days(each.first, each.last, fmt)}
                for each in self.missing
            )
        rates = (
            gettext("%(currency)s by the rate of %(days)s")
            % {"currency": each.currency, "days": _days(each.first, each.last, fmt)}
            for each in self.used
        )
        return " · ".join((gettext("In %(currency)s") % {"currency": self.currency}, *rates))


def currency_of(value: KpiValue) -> str:
    """The currency of an amount; '' of anything that is none."""
    return value.unit if value.unit.isupper() else ""


def shared(stores: Sequence[Store]) -> str:
    """The currency that stores have in common; '' where they have none."""
    currencies = {store.currency for store in stores}
    return currencies.pop() if len(currencies) == 1 else ""


def together(services: Any, viewer: Viewer, state: Stores, stores: Sequence[Store]) -> Together | None:
    """Net sales of the stores shown over the range shown, in the reporting currency; None where they share one."""
    if len({store.currency for store in stores}) < 2:
        return None
    choice = CHOICES[state.range]
    todays: Mapping[str, date] = services.stores.todays(viewer.scope, services.clock())
    alike: dict[tuple[str, date], list[str]] = defaultdict(list)
    for store in stores:
        alike[store.currency, todays[store.store_id]].append(store.store_id)
    sold: dict[str, dict[date, Decimal]] = defaultdict(lambda: defaultdict(Decimal))
    for (currency, today), store_ids in alike.items():
        last = today - timedelta(days=choice.back)
        report: Report = services.kpi.report(
            viewer.scope,
            kpis=["net_sales"],
            day_from=last - timedelta(days=choice.days - 1),
            day_to=last,
            group_by="day",
            store_ids=store_ids,
        )
        for row in report.rows:
            amount = row.values["net_sales"].value
            if amount is not None:
                sold[currency][date.fromisoformat(row.labels["day"])] += Decimal(amount)
    return reckoned(sold, services.rates.rates(viewer.scope), services.rates.reporting)


def reckoned(sold: Mapping[str, Mapping[date, Decimal]], rates: Sequence[Rate], reporting: str) -> Together:
    """Amounts by currency and day as one sum, each day by the latest rate that began on it or before.

    Args:
        rates: in any order, into the reporting currency.
    """
    total, used, missing = Decimal(0), [], []
    for currency, days in sorted(sold.items()):
        if currency == reporting:
            total += sum(days.values())
            continue
        own = sorted((rate for rate in rates if rate.currency == currency), key=lambda rate: rate.valid_from)
        by: set[date] = set()
        without: list[date] = []
        for day, amount in days.items():
            rate = next((each for each in reversed(own) if each.valid_from <= day), None)
            if rate is not None:
                total += amount * rate.rate
                by.add(rate.valid_from)
            elif amount:
                without.append(day)
        if without:
            missing.append(Missing(currency, min(without), max(without)))
        elif by:
            used.append(Used(currency, min(by), max(by)))
    known = any(sold.values()) and not missing
    return Together(reporting, total.quantize(Decimal("0.01")) if known else None, tuple(used), tuple(missing))


def _days(first: date, last: date, fmt: Formats) -> str:
    return fmt.day(first) if first == last else fmt.days(first, last)
