"""Every KPI there is, by slug, in the order in which a reader meets them."""

from collections.abc import Sequence
from typing import Final

from server.errors import InvalidInput
from server.kpi.figures import members, sales, traffic
from server.kpi.figures.definition import Kpi

KPIS: Final[dict[str, Kpi]] = {
    kpi.slug: kpi
    for kpi in (
        traffic.Entries(),
        traffic.Exits(),
        traffic.Visitors(),
        traffic.ImputedVisitors(),
        traffic.OccupancyNow(),
        traffic.Dwell(),
        traffic.PassersBy(),
        traffic.CaptureRate(),
        sales.Transactions(),
        sales.Conversion(),
        sales.GroupConversion(),
        sales.GrossSales(),
        sales.Refunds(),
        sales.NetSales(),
        sales.Atv(),
        sales.Upt(),
        sales.SalesPerVisitor(),
        members.MemberShare(),
        members.MemberSalesShare(),
        members.MemberVisits(),
        members.MemberConversion(),
        members.OtherConversion(),
        traffic.Star(),
        traffic.Coverage(),
        traffic.PowerHours(),
    )
}


def chosen(slugs: Sequence[str]) -> tuple[Kpi, ...]:
    """The KPIs of these names, in this order.

    Raises:
        InvalidInput: a name that is none, or no name at all.
    """
    if not slugs:
        raise InvalidInput("no KPI was asked for", field="kpi", remedy=f"name some of: {', '.join(KPIS)}")
    for slug in slugs:
        if slug not in KPIS:
            raise InvalidInput(f"there is no KPI {slug!r}", field="kpi", remedy=f"one of: {', '.join(KPIS)}")
    return tuple(KPIS[slug] for slug in dict.fromkeys(slugs))
