"""What `doorline count` says in the end: totals and crossings, on the screen and as JSON."""

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:
    from edge.models import Crossing

_SHOWN_CROSSINGS = 60


@dataclass(frozen=True, slots=True)
class Counted:
    """A finished count."""

    frames: int
    fps: float
    crossings: "list[Crossing]"

    def total(self, line: str, direction: str) -> int:
        """Crossings of a line, by its name, in a direction."""
        return sum(c.line_id == line and c.direction == direction for c in self.crossings)

    def in_order(self) -> "list[Crossing]":
        """Crossings in the order of their frames."""
        return sorted(self.crossings, key=lambda crossing: (crossing.frame, crossing.line_id, crossing.track_id))


def as_json(video: str, lines: list[str], counted: Counted) -> str:
    """Totals and every crossing."""
    document = {
        "video": video,
        "frames": counted.frames,
        "fps": counted.fps,
        "lines": [{"name": line, "in": counted.total(line, "in"), "out": counted.total(line, "out")} for line in lines],
        "crossings": [
            {
                "frame": crossing.frame,
                "time_s": round(crossing.time_s, 3),
                "line": crossing.line_id,
                "direction": crossing.direction,
                "track": crossing.track_id,
                **({"tags": list(crossing.tags)} if crossing.tags else {}),
            }
            for crossing in counted.in_order()
        ],
    }
    return json.dumps(document, ensure_ascii=False, indent=2) + "\n"


def show(lines: list[str], counted: Counted) -> None:
    """Print totals, and the first crossings."""
    console = Console()
    table = Table(title=f"{counted.frames} frames, {counted.frames / counted.fps:.1f} s", title_justify="left")
    table.add_column("line")
    table.add_column("in", justify="right")
    table.add_column("out", justify="right")
    for line in lines:
        table.add_row(escape(line), str(counted.total(line, "in")), str(counted.total(line, "out")))
    console.print(table)
    if not counted.crossings:
        console.print("No crossings.")
        return
    details = Table(title="crossings", title_justify="left")
    for heading in ("frame", "second"):
        details.add_column(heading, justify="right")
    details.add_column("line")
    details.add_column("direction")
    details.add_column("track", justify="right")
    tagged = any(crossing.tags for crossing in counted.crossings)
    if tagged:
        details.add_column("tags")
    for crossing in counted.in_order()[:_SHOWN_CROSSINGS]:
        details.add_row(
            str(crossing.frame),
            f"{crossing.time_s:.2f}",
            escape(crossing.line_id),
            crossing.direction,
            str(crossing.track_id),
            *([", ".join(crossing.tags)] if tagged else []),
        )
    console.print(details)
    if len(counted.crossings) > _SHOWN_CROSSINGS:
        console.print(f"... and {len(counted.crossings) - _SHOWN_CROSSINGS} more; --json writes them all.")
