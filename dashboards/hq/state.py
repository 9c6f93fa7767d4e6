"""How a page of headquarters is set out, as its address says it. Pure.

Whatever can be chosen stands in the address, so that a link shows another person the same page, a view is saved by
keeping it, and a file holds what was on the screen. What an address says that there is not falls back to the usual: a
link of last year must still open.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields, replace
from datetime import date, timedelta
from typing import Final, Literal, cast
from urllib.parse import urlencode

from dashboards.entry.words import KPI_WORDS
from dashboards.i18n import N_
from dashboards.periods import CHOICES, DEFAULT
from server.errors import InvalidInput
from server.kpi.answers.question import Compare, DayRange
from server.kpi.answers.reports import check_days

Grouping = Literal["store", "region"]
#: Columns in order: slug, label, whether its change stands under it.
COLUMNS: Final = (
    ("visitors", N_("Visitors"), True),
    ("transactions", N_("Transactions"), False),
    ("conversion", N_("Conversion"), True),
    ("atv", N_("Average sale"), False),
    ("net_sales", N_("Net sales"), True),
    ("sales_per_visitor", N_("Sales per visitor"), False),
    ("member_share", N_("Member share"), False),
    ("coverage", N_("Coverage"), False),
)
_COLUMN_SLUGS: Final = tuple(slug for slug, _, _ in COLUMNS)
#: Any KPI that has a name and can be told of many days at once may be ranked by.
RANKED: Final = {slug: words.name for slug, words in KPI_WORDS.items() if slug not in {"occupancy", "power_hours"}}
#: Said where lines are in order of amounts of several currencies.
APART: Final = N_("Amounts are ranked within each currency")
#: What a period may be set against.
COMPARES: Final[Mapping[str, str]] = {
    "previous_period": N_("just before"),
    "last_week": N_("a week before"),
    "last_year": N_("a year before"),
    "chosen": N_("chosen days"),
}


@dataclass(frozen=True, slots=True)
class Stores:
    """How the table of branches is set out.

    Attributes:
        range: one of `periods.CHOICES`.
        sort: a slug or `store`, with a minus for falling.
        by: a line for each store, or for each region.
        region: of these stores alone; '' for all.
        rank: a KPI to rank by, shown as a column of its own where it is none of the usual; '' for none.
        alike: whether only stores that were open and watched in both periods are shown.
    """

    range: str = DEFAULT
    sort: str = "store"
    by: Grouping = "store"
    region: str = ""
    rank: str = ""
    alike: bool = False

    @classmethod
    def of(cls, asked: Mapping[str, str]) -> "Stores":
        """What an address asks for."""
        rank = asked.get("rank", "")
        return cls(
            range=asked["range"] if asked.get("range") in CHOICES else DEFAULT,
            sort=asked.get("sort", "store"),
            by=cast("Grouping", asked["by"]) if asked.get("by") in ("store", "region") else "store",
            region=asked.get("region", ""),
            rank=rank if rank in RANKED else "",
            alike=asked.get("alike") == "1",
        )

    def query(self, **changes: object) -> str:
        """The address of this, or of this with something else."""
        return _query(replace(self, **changes), Stores())  # type: ignore[arg-type]  # names of its own fields

    @property
    def is_part(self) -> bool:
        """Whether some stores are left out, so that the sum is not the chain's."""
        return bool(self.region) or self.alike

    @property
    def columns(self) -> tuple[tuple[str, str, bool], ...]:
        """Slug, label and whether its change stands under it."""
        if not self.rank or self.rank in _COLUMN_SLUGS:
            return COLUMNS
        return ((self.rank, RANKED[self.rank], True), *COLUMNS)

    @property
    def order(self) -> str:
        """By what lines are in order: as chosen, or by the KPI that they are ranked by."""
        known = {"store", *(slug for slug, _, _ in self.columns)}
        if self.sort.removeprefix("-") in known and not (self.sort == "store" and self.rank):
            return self.sort
        return f"-{self.rank}" if self.rank else "store"


@dataclass(frozen=True, slots=True)
class Change:
    """Which two periods are set against each other, of the chain or one store.

    Attributes:
        range: one of `periods.CHOICES` that is over, or `chosen`: then `first` to `last`.
        compare: one of `COMPARES`; `chosen`: then from `other_first` to `other_last`.
        store: '' for the chain.
    """

    range: str = DEFAULT
    first: date | None = None
    last: date | None = None
    compare: str = "previous_period"
    other_first: date | None = None
    other_last: date | None = None
    region: str = ""
    store: str = ""

    @classmethod
    def of(cls, asked: Mapping[str, str]) -> "Change":
        """What an address asks for."""
        dates = {name: _date(asked.get(name, "")) for name in ("first", "last", "other_first", "other_last")}
        chosen = asked.get("range", DEFAULT)
        chosen = chosen if chosen == "chosen" or (chosen in CHOICES and CHOICES[chosen].back) else DEFAULT
        compare = asked.get("compare", "")
        return cls(
            range=chosen,
            compare=compare if compare in COMPARES else "previous_period",
            region=asked.get("region", ""),
            store=asked.get("store", ""),
            **dates,
        )

    def query(self, **changes: object) -> str:
        """The address of this, or of this with something else."""
        return _query(replace(self, **changes), Change())  # type: ignore[arg-type]  # names of its own fields

    def among(self, store_ids: Collection[str]) -> "Change":
        """This without its store where that is none of these: its figures would be taken for those of all."""
        return self if self.store in store_ids else replace(self, store="")

    def days(self, today: date) -> tuple[date, date]:
        """The first day and the last.

        Raises:
            InvalidInput: days of one's choice that are none.
        """
        if self.range != "chosen":
            choice = CHOICES[self.range]
            last = today - timedelta(days=choice.back)
            return last - timedelta(days=choice.days - 1), last
        if self.first is None or self.last is None:
            raise InvalidInput("a first and a last day are needed", field="first", remedy="give both")
        check_days(self.first, self.last)
        return self.first, self.last

    @property
    def comparison(self) -> Compare | DayRange:
        """What they are compared with.

        Raises:
            InvalidInput: days of one's choice that are none.
        """
        if self.compare != "chosen":
            return cast("Compare", self.compare)
        if self.other_first is None:
            raise InvalidInput("a first day is needed", field="other_first", remedy="give it")
        return DayRange(self.other_first, self.other_last)


def _date(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def _query(state: Stores | Change, usual: Stores | Change) -> str:
    said = {item.name: getattr(state, item.name) for item in fields(state)}
    short = {name: value for name, value in said.items() if value != getattr(usual, name)}
    written = {name: "1" if value is True else str(value) for name, value in short.items()}
    return "?" + urlencode(written) if written else ""
