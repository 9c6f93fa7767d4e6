"""What is asked of a report: which KPIs, of which stores and days, grouped how and beside what."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final, Literal

Compare = Literal["last_week", "last_year", "previous_period"]


@dataclass(frozen=True, slots=True)
class DayRange:
    """Business days to compare with; `last`, included, is as many days on as the report has, when left out."""

    first: date
    last: date | None = None


Comparison = Compare | DayRange


@dataclass(frozen=True, slots=True)
class StoreFilter:
    """Which stores of the scope are meant; what is None leaves nothing out, an empty list leaves nothing in.

    Attributes:
        tags: a store must have all of them; without any, none is asked for.
    """

    store_ids: Sequence[str] | None = None
    regions: Sequence[str] | None = None
    formats: Sequence[str] | None = None
    tags: Sequence[str] = ()

    @property
    def is_all(self) -> bool:
        """Whether nothing is left out."""
        return self == ALL_STORES


#: Every store of the scope.
ALL_STORES: Final = StoreFilter()


@dataclass(frozen=True, slots=True)
class Question:
    """Everything a report is asked; what may stand in it says `KpiService.report`.

    Attributes:
        as_of: as it was answered at this moment (aware); None: as it stands.
    """

    kpis: Sequence[str]
    day_from: date
    day_to: date
    where: StoreFilter = ALL_STORES
    group_by: str | Sequence[str] = "chain"
    compare: Comparison | None = None
    as_of: datetime | None = None
