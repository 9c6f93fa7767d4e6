"""The demo's chain: five stores of a shop that does not exist, with hours, sizes and doors.

Two of them never close, and those have the agents that really count: a demo is looked at in the middle of somebody's
night too, and a closed shop has nothing to show. One closes at two in the morning, so that a business day that ends
after midnight is seen working.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import time
from typing import Final

from edge.models import Mounting
from server.stores.calendar import OpeningSpan

TIMEZONE: Final = "Asia/Shanghai"
MANAGER_STORE: Final = "S01"


@dataclass(frozen=True, slots=True)
class DemoStore:
    """One store and what its days are like.

    Attributes:
        visitors: of an ordinary day.
        weekdays: share of an ordinary day's visitors, Monday to Sunday.
        hours: relative weight of each hour of the clock, 24 numbers; only open hours count.
        conversion: share of visitors who buy, on an ordinary day.
        member_share: share of purchases by members.
        stay_minutes: how long a visitor stays, on average.
        staff: people who work there on a day.
        scene: how an agent's own scene shows its door; None: its box is simulated.
        hours_open: weekly opening hours.
    """

    store_id: str
    name: str
    region: str
    visitors: int
    weekdays: Sequence[float]
    hours: Sequence[float]
    conversion: float
    member_share: float
    stay_minutes: float
    staff: int
    hours_open: Sequence[OpeningSpan]
    scene: Mounting | None = None

    @property
    def takes_check_ins(self) -> bool:
        """Whether its desk checks members in; a store without a desk knows only of those who buy."""
        return self.region.endswith("East")

    @property
    def device(self) -> str:
        """The box's name."""
        return f"{self.store_id.lower()}-box"

    @property
    def camera(self) -> str:
        """The door camera's id."""
        return f"{self.store_id}-C1"

    @property
    def line(self) -> str:
        """The door line's id."""
        return f"{self.store_id}-L1"


def _daily(opens: time, closes: time, days: Sequence[int] = range(7)) -> tuple[OpeningSpan, ...]:
    return tuple(OpeningSpan(day, opens, closes) for day in days)


_ALWAYS: Final = _daily(time(0, 0), time(0, 0))
_WEEKEND: Final = (0.86, 0.84, 0.88, 0.93, 1.08, 1.34, 1.25)
_COMMUTERS: Final = (1.04, 1.0, 1.01, 1.02, 1.12, 0.98, 0.86)
_TRAVEL: Final = (1.06, 0.93, 0.92, 1.0, 1.14, 0.94, 1.06)
_FLAGSHIP: Final = (
    10, 7, 5, 4, 4, 5, 9, 16, 26, 36, 50, 62, 70, 66, 66, 70, 76, 84, 92, 96, 90, 70, 44, 22,
)  # fmt: skip
_AIRPORT: Final = (
    12, 8, 7, 8, 16, 38, 64, 76, 70, 62, 58, 60, 62, 58, 58, 64, 70, 76, 72, 66, 58, 46, 32, 20,
)  # fmt: skip
_MALL: Final = (0, 0, 0, 0, 0, 0, 0, 0, 0, 20, 30, 46, 62, 58, 60, 66, 68, 72, 84, 94, 82, 48, 14, 0)  # fmt: skip
_NIGHT: Final = (58, 34, 0, 0, 0, 0, 0, 0, 0, 0, 16, 28, 42, 44, 46, 52, 56, 62, 74, 88, 96, 98, 90, 78)  # fmt: skip
_STREET: Final = (0, 0, 0, 0, 0, 0, 0, 0, 0, 22, 40, 54, 66, 58, 60, 70, 72, 70, 64, 56, 40, 24, 10, 0)  # fmt: skip

STORES: Final[tuple[DemoStore, ...]] = (
    DemoStore(
        "S01", "上海南京东路旗舰店 Shanghai Nanjing Rd", "华东 East", 900, _WEEKEND, _FLAGSHIP,
        0.235, 0.27, 19, 14, _ALWAYS, "overhead",
    ),
    DemoStore(
        "S02", "北京机场店 Beijing Airport", "华北 North", 520, _TRAVEL, _AIRPORT,
        0.305, 0.12, 9, 9, _ALWAYS, "oblique",
    ),
    DemoStore(
        "S03", "广州天河店 Guangzhou Tianhe", "华南 South", 300, _COMMUTERS, _MALL,
        0.262, 0.24, 16, 6, _daily(time(10, 0), time(22, 0)),
    ),
    DemoStore(
        "S04", "成都春熙路店 Chengdu Chunxi Rd", "西南 Southwest", 270, _WEEKEND, _NIGHT,
        0.221, 0.21, 21, 6, _daily(time(10, 0), time(2, 0)),
    ),
    DemoStore(
        "S05", "杭州湖滨店 Hangzhou Hubin", "华东 East", 180, _WEEKEND, _STREET,
        0.284, 0.3, 17, 4,
        (*_daily(time(9, 30), time(21, 30), (0, 1, 2, 3, 6)), *_daily(time(9, 30), time(22, 30), (4, 5))),
    ),
)  # fmt: skip


def by_id(store_id: str) -> DemoStore:
    """The store of that id."""
    return next(store for store in STORES if store.store_id == store_id)
