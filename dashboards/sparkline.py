"""A row's recent days as a line small enough to stand in a table, drawn on the server.

A missing day is a gap, never a zero and never a straight line across: a dead camera must not look like a quiet shop.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

WIDTH = 88.0
HEIGHT = 26.0
_MARGIN = 3.0


@dataclass(frozen=True, slots=True)
class Sparkline:
    """Polylines between gaps, as SVG points, and where the newest value lies."""

    pieces: tuple[str, ...]
    last: tuple[float, float] | None


def sparkline(values: Sequence[Decimal | int | None]) -> Sparkline | None:
    """The line of some values from old to new; None when fewer than two are known."""
    known = [value for value in values if value is not None]
    if len(known) < 2:
        return None
    low, high = min(known), max(known)
    spread = float(high - low) or 1.0
    step = (WIDTH - 2 * _MARGIN) / (len(values) - 1)
    pieces: list[str] = []
    run: list[tuple[float, float]] = []
    last: tuple[float, float] | None = None
    for index, value in enumerate(values):
        if value is None:
            _close(run, pieces)
            run = []
            continue
        height = float(value - low) / spread if high != low else 0.5
        last = (
            round(_MARGIN + index * step, 1),
            round(HEIGHT - _MARGIN - height * (HEIGHT - 2 * _MARGIN), 1),
        )
        run.append(last)
    _close(run, pieces)
    return Sparkline(tuple(pieces), last)


def _close(run: list[tuple[float, float]], pieces: list[str]) -> None:
    if len(run) > 1:
        pieces.append(" ".join(f"{x:g},{y:g}" for x, y in run))
    elif run:
        x, y = run[0]
        pieces.append(f"{x - 1:g},{y:g} {x + 1:g},{y:g}")
