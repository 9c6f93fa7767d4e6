"""From a period to the values of KPIs, with what no single KPI can know: the currency, and whether there is data."""

from collections.abc import Iterable

from server.kpi.figures.definition import Kpi
from server.kpi.models import MIXED_CURRENCIES, NO_DATA, KpiValue, Period


def values_of(kpis: Iterable[Kpi], period: Period, currencies: frozenset[str]) -> dict[str, KpiValue]:
    """Values by slug.

    Args:
        period: what they are computed from.
        currencies: of the stores in it; an amount in two currencies is none, and is withheld, as is a share of one.
    """
    currency = next(iter(currencies)) if len(currencies) == 1 else None
    found = {}
    for kpi in kpis:
        value = kpi.of(period)
        if value.unit == "money":
            value = _in_currency(value, currency)
        elif kpi.of_money and len(currencies) > 1:
            value = _mixed(value)
        found[kpi.slug] = value
    return found


def no_data(kpis: Iterable[Kpi]) -> dict[str, KpiValue]:
    """What stands where no store-day is known at all."""
    return {kpi.slug: KpiValue(None, kpi.unit, NO_DATA) for kpi in kpis}


def _in_currency(value: KpiValue, currency: str | None) -> KpiValue:
    if currency is None:
        return _mixed(value)
    # By hand: `replace` asks for every field by name, and took a fifth of the time of a chain's report.
    return KpiValue(
        value.value,
        currency,
        value.withheld,
        value.coverage,
        value.low,
        value.high,
        value.numerator,
        value.denominator,
        value.threshold,
        value.detail,
    )


def _mixed(value: KpiValue) -> KpiValue:
    """Withheld; what it was divided by stays told where that is no money."""
    under = value.denominator if value.unit == "money" else None
    return KpiValue(None, value.unit, MIXED_CURRENCIES, coverage=value.coverage, denominator=under)
