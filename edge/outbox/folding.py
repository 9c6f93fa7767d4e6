"""Many records into one tally, so that a full disk costs detail and never a count. Pure: no disk, no clock.

Sums are bounded by time rather than by traffic: a line has two directions and a handful of tags, a day has 1,440
minutes. The trap is coverage: two records for one minute add up but a minute has only sixty seconds, so seconds are
capped minute by minute before minutes are added to a quarter hour.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Literal

from wire.messages import (
    CameraState,
    Coverage,
    CoverageSum,
    Crossing,
    CrossingSum,
    Direction,
    Record,
    Tag,
    Tally,
    first_seq,
)

Span = Literal[60, 900]
_CrossingKey = tuple[datetime, Span, str, str, Direction, tuple[Tag, ...]]
_CoverageKey = tuple[datetime, Span, str]


def can_fold(record: Record) -> bool:
    """Whether nothing but detail is lost: a record dated only by bounds would lose them."""
    return isinstance(record, Tally) or record.bounds is None


def fold(records: Sequence[Record], span: Span) -> Tally:
    """One tally that stands for `records`.

    Args:
        records: of one epoch, in order, without a hole; tallies among them are added in.
        span: of the sums, in seconds; sums that are coarser already stay so.

    Raises:
        ValueError: when there are none.
    """
    if not records:
        raise ValueError("nothing to fold")
    return Tally(
        from_seq=first_seq(records[0]),
        seq=records[-1].seq,
        crossings=_fold_crossings(_crossing_sums(records), span),
        coverage=_fold_coverage(_coverage_sums(records), span),
    )


def start_of(at: datetime, span: Span) -> datetime:
    """The start (UTC) of the minute or quarter hour that `at` lies in."""
    seconds = int(at.timestamp())
    return datetime.fromtimestamp(seconds - seconds % span, UTC)


def _crossing_sums(records: Iterable[Record]) -> Iterable[CrossingSum]:
    for record in records:
        if isinstance(record, Tally):
            yield from record.crossings
        elif isinstance(record, Crossing):
            yield CrossingSum(
                line=record.line,
                camera=record.camera,
                direction=record.direction,
                start=start_of(record.at, 60),
                span=60,
                count=1,
                groups=int(record.opens_group),
                tags=tuple(sorted(set(record.tags))),
            )


def _fold_crossings(sums: Iterable[CrossingSum], span: Span) -> tuple[CrossingSum, ...]:
    totals: dict[_CrossingKey, tuple[int, int]] = {}
    for each in sums:
        wide: Span = 900 if span == 900 or each.span == 900 else 60
        key = (start_of(each.start, wide), wide, each.camera, each.line, each.direction, each.tags)
        count, groups = totals.get(key, (0, 0))
        totals[key] = (count + each.count, groups + each.groups)
    return tuple(
        CrossingSum(
            line=line,
            camera=camera,
            direction=direction,
            start=start,
            span=wide,
            count=count,
            groups=groups,
            tags=tags,
        )
        for (start, wide, camera, line, direction, tags), (count, groups) in sorted(totals.items())
    )


def _coverage_sums(records: Iterable[Record]) -> Iterable[CoverageSum]:
    for record in records:
        if isinstance(record, Tally):
            yield from record.coverage
        elif isinstance(record, Coverage):
            yield CoverageSum(
                camera=record.camera,
                start=start_of(record.minute, 60),
                span=60,
                seconds=record.seconds,
                frames=record.frames,
                state=record.state,
            )


def _fold_coverage(sums: Iterable[CoverageSum], span: Span) -> tuple[CoverageSum, ...]:
    minutes = _add_coverage((each, each.span) for each in sums)
    if span == 60:
        return minutes
    return _add_coverage((each, span) for each in minutes)


def _add_coverage(sums: Iterable[tuple[CoverageSum, Span]]) -> tuple[CoverageSum, ...]:
    parts: dict[_CoverageKey, list[CoverageSum]] = {}
    for each, wide in sums:
        parts.setdefault((start_of(each.start, wide), wide, each.camera), []).append(each)
    return tuple(
        CoverageSum(
            camera=camera,
            start=start,
            span=wide,
            seconds=min(round(sum(each.seconds for each in found), 1), float(wide)),
            frames=sum(each.frames for each in found),
            state=_main_state(found),
        )
        for (start, wide, camera), found in sorted(parts.items())
    )


def _main_state(parts: Sequence[CoverageSum]) -> CameraState:
    """The reason that most of the unwatched time has; `ok` when no part was short."""
    missing: dict[CameraState, float] = {}
    for each in parts:
        if each.state != "ok":
            missing[each.state] = missing.get(each.state, 0.0) + each.span - each.seconds
    return max(missing, key=lambda state: missing[state]) if missing else "ok"
