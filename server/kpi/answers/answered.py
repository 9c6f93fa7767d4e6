"""What was answered before: a report made of the versions of store-days that stood at a moment, and of nothing else.

Whoever signed a figure in March must be able to see that figure again, whatever was corrected, voided or sent in since.
Nothing is computed anew: a store-day of which no answer was kept then is not in it, and how many days are is told.
While a day runs its row is replaced in place (ADR 8), so a moment within a day has no answer for that day.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

from server.access.models import Scope
from server.errors import InvalidInput
from server.kpi.answers import answered_repository, grouping
from server.kpi.answers.grouping import Group
from server.kpi.figures.definition import Kpi
from server.kpi.figures.registry import chosen
from server.kpi.figures.values import no_data, values_of
from server.kpi.models import KpiValue, Period
from server.storage.pool import Readable
from server.stores import checks

#: Days of one report.
MOST_DAYS: Final = 1100


@dataclass(frozen=True, slots=True)
class AnsweredRow:
    """One group as it was answered; `periods` store-days are in it."""

    key: str
    labels: Mapping[str, str]
    values: Mapping[str, KpiValue]
    periods: int


@dataclass(frozen=True, slots=True)
class Answered:
    """A report as it was answered at a moment (UTC); `total` is of all rows."""

    at: datetime
    day_from: date
    day_to: date
    group_by: tuple[str, ...]
    rows: tuple[AnsweredRow, ...]
    total: AnsweredRow


class AnsweredReports:
    """Reproduces reports."""

    def __init__(self, db: Readable) -> None:
        self._db = db

    def report(
        self,
        scope: Scope,
        *,
        kpis: Sequence[str],
        days: tuple[date, date],
        at: datetime,
        store_ids: Sequence[str] | None = None,
        group_by: str | Sequence[str] = "chain",
    ) -> Answered:
        """KPIs of stores over business days as they stood at a moment.

        Args:
            days: the first and the last, included.
            at: aware.
            group_by: as for reports, without hours: hours keep their current answer only.

        Raises:
            Forbidden: a store that isn't the caller's.
            InvalidInput: an unknown KPI or group, a group by hours, or days the wrong way round or too many.
        """
        wanted = chosen(kpis)
        by = grouping.dimensions(group_by)
        checks.check_instant(at, "as_of")
        if set(by) & {"hour", "hour_of_day", "quarter"}:
            raise InvalidInput(
                "hours keep their current answer only", field="group_by", remedy="group by days or longer"
            )
        if not 0 <= (days[1] - days[0]).days < MOST_DAYS:
            raise InvalidInput(
                f"from {days[0]} to {days[1]} is too long, or the wrong way round",
                field="to",
                remedy=f"ask for at most {MOST_DAYS} days",
            )
        for store_id in store_ids or ():
            scope.require(store_id)
        with self._db.read() as conn:
            groups = answered_repository.groups(conn, scope, store_ids, days, by, at)
        total = grouping.together((), groups) if groups else None
        return Answered(
            at,
            *days,
            by,
            tuple(_row(wanted, by, group) for group in groups),
            AnsweredRow("", {}, no_data(wanted), 0) if total is None else _row(wanted, (), total),
        )


def _row(kpis: Sequence[Kpi], by: Sequence[str], group: Group) -> AnsweredRow:
    values = values_of(kpis, Period(group.facts, group.occupancy), group.currencies)
    return AnsweredRow("/".join(group.labels), dict(zip(by, group.labels, strict=True)), values, group.periods)
