"""From a period to the values of KPIs, with what no single KPI can know: the currency, and whether there is data."""

from collections.abc import Iterable
from dataclasses import replace

from server.kpi.definition import Kpi
from server.kpi.models import MIXED_CURRENCIES, NO_DATA, KpiValue, Period


def values_of(kpis: Iterable[Kpi], period: Period, currencies: frozenset[str]) -> dict[str, KpiValue]:
    """Values by slug.

    Args:
        period: what they are computed from.
        currencies: of the stores in it; an amount in two currencies is none, and is withheld.
    """
    return {kpi.slug: _in_currency(kpi.of(period), currencies) for kpi in kpis}


def no_data(kpis: Iterable[Kpi]) -> dict[str, KpiValue]:
    """What stands where no store-day is known at all."""
    return {kpi.slug: KpiValue(None, kpi.unit, NO_DATA) for kpi in kpis}


def _in_currency(value: KpiValue, currencies: frozenset[str]) -> KpiValue:
    if value.unit != "money":
        return value
    if len(currencies) == 1:
        return replace(value, unit=next(iter(currencies)))
    return KpiValue(None, value.unit, MIXED_CURRENCIES, coverage=value.coverage, denominator=value.denominator)
