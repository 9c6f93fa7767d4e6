"""Which faults befall what, and when: drawn from a seed, so that a schedule can be run again. Pure.

Chance alone would leave a kind of fault untried for dozens of schedules. So every seed must try a few kinds, in turn,
and any run of schedules that follow one another tries them all; the others are drawn.
"""

import random
from dataclasses import dataclass
from typing import Final

#: Every kind of fault, and on what it falls: one of the boxes, or something there is one of.
KINDS: Final[dict[str, str]] = {
    "kill_box": "box",
    "power_cut": "box",
    "pause_box": "box",
    "disk_full": "disk",
    "disk_read_only": "disk",
    "file_damaged": "disk",
    "quota": "box",
    "clock_steps": "clock",
    "clock_unset": "clock",
    "moved": "store",
    "box_line_cut": "box_line",
    "box_line_half_open": "box_line",
    "box_line_reset": "box_line",
    "box_line_slow": "box_line",
    "box_line_deaf": "box_line",
    "box_line_flaps": "box_line",
    "mqtt_shut": "box_line",
    "kill_ingest": "ingest",
    "pause_ingest": "ingest",
    "ingest_line_cut": "ingest_line",
    "ingest_line_half_open": "ingest_line",
    "ingest_line_reset": "ingest_line",
    "kill_broker": "broker",
    "wipe_broker": "broker",
    "pause_broker": "broker",
    "kill_database": "database",
    "restart_database": "database",
    "restore_database": "database",
    "database_line_cut": "database_line",
    "database_line_stalls": "database_line",
    "database_line_half_open": "database_line",
    "database_line_slow": "database_line",
    "transactions_fail": "transactions",
    "backends_ended": "transactions",
    "copies": "copies",
    "kill_web": "web",
}
#: Every seed tries so many of them by turns.
_BY_TURNS: Final = 5
#: These mean nothing without the web server.
_NEED_WEB: Final = frozenset({"kill_web", "mqtt_shut", "copies"})
SECONDS: Final = 6.0


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault: `at` and `lasts` in seconds, `which` box where it falls on one."""

    at: float
    kind: str
    which: int
    lasts: float


@dataclass(frozen=True, slots=True)
class Plan:
    """One schedule."""

    seed: int
    boxes: int
    workers: int
    web: bool
    faults: tuple[Fault, ...]


def make_plan(seed: int) -> Plan:
    """The schedule of a seed."""
    draw = random.Random(f"plan/{seed}")
    names = list(KINDS)
    kinds = [names[(_BY_TURNS * seed + turn) % len(names)] for turn in range(_BY_TURNS)]
    kinds += draw.choices(names, k=draw.randint(2, 6))
    boxes = draw.choice((2, 3))
    faults = [
        Fault(round(draw.uniform(0.3, SECONDS - 1.0), 2), kind, draw.randrange(boxes), round(draw.uniform(0.2, 2.5), 2))
        for kind in kinds
    ]
    faults.sort(key=lambda fault: fault.at)
    web = bool(_NEED_WEB & set(kinds))
    return Plan(seed, boxes, draw.choice((1, 2, 2)), web, tuple(faults))
