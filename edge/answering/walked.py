"""Where people walked in the last minute, and what a line would have counted of it. Pure.

A line drawn in an office is tried by the very counter that will count by it, over the tracks of those who really came:
any other judgement would promise what the door does not keep. What is tried counts nothing and changes nothing.
"""

from collections.abc import Mapping, Sequence

from edge.answering.memory import Recent
from edge.counter import Counter
from edge.geometry import anchor_point, default_anchor
from edge.models import Anchor, Crossing, Line, Zone
from edge.pipeline import counter_params
from edge.settings import LineSettings
from wire.asking import MAX_CROSSINGS, MAX_PATH_POINTS, MAX_PATHS, LineTest, Path, PathPoint, Paths, TriedCrossing


def paths(camera: str, recent: Recent) -> Paths:
    """The ways of all who were followed, each by the point of a body that crosses lines there.

    Args:
        camera: its id.
        recent: what is remembered.
    """
    anchor = default_anchor(recent.settings.mounting)
    ways = _ways(recent, anchor)
    newest = sorted(ways, key=lambda track: ways[track][-1][2])[:MAX_PATHS]
    return Paths(
        camera=camera,
        at=recent.at,
        seconds=recent.seconds,
        anchor=anchor,
        paths=tuple(Path(track=track, points=_thinned(ways[track])) for track in sorted(newest)),
    )


def try_line(camera: str, recent: Recent, proposed: LineSettings) -> LineTest:
    """What a line would have counted, beside the camera's others and in place of one with the same id.

    Whoever is still on their way is judged by what was seen of them so far.

    Args:
        camera: its id.
        recent: what is remembered.
        proposed: the line; it must have been checked (see `edge.config`).

    Raises:
        LineError: it could not count.
    """
    now = recent.moments[-1].time_s
    found = [
        TriedCrossing(track=each.track_id, direction=each.direction, ago=max(0.0, now - each.time_s))
        for each in _counted(recent, proposed.line())
        if each.line_id == proposed.id
    ]
    return LineTest(
        camera=camera,
        line=proposed.id,
        at=recent.at,
        seconds=recent.seconds,
        people=len({track.track_id for moment in recent.moments for track in moment.tracks if track.confirmed}),
        entries=sum(each.direction == "in" for each in found),
        exits=sum(each.direction == "out" for each in found),
        crossings=tuple(sorted(found, key=lambda each: -each.ago)[-MAX_CROSSINGS:]),
    )


def _counted(recent: Recent, line: Line) -> Sequence[Crossing]:
    settings = recent.settings
    others = [each.line() for each in settings.line if each.id != line.line_id]
    zones: list[Zone] = [each.zone() for each in settings.zone if each.kind == "count" and each.id != line.line_id]
    counter = Counter(
        [*others, line],
        mounting=settings.mounting,
        aspect=recent.aspect,
        params=counter_params(settings),
        zones=zones,
    )
    found: list[Crossing] = []
    for moment in recent.moments:
        found += counter.update(moment.tracks, moment.index, moment.time_s)
    return [*found, *counter.finish()]


def _ways(recent: Recent, anchor: Anchor) -> Mapping[int, list[PathPoint]]:
    """By track, where it was and how long before the newest moment."""
    now, span = recent.moments[-1].time_s, recent.seconds
    ways: dict[int, list[PathPoint]] = {}
    for moment in recent.moments:
        for track in moment.tracks:
            if not track.confirmed:
                continue
            seen = [(past.time_s, past.box) for past in track.earlier]
            if track.seen:
                seen.append((moment.time_s, track.box))
            for time_s, box in seen:
                if now - time_s <= span:
                    x, y = anchor_point(box, anchor)
                    point = (_share(x), _share(y), round(max(0.0, now - time_s), 2))
                    ways.setdefault(track.track_id, []).append(point)
    return ways


def _share(value: float) -> float:
    """A fraction of the frame; a body's point may lie a little beyond the picture."""
    return round(min(1.0, max(0.0, value)), 4)


def _thinned(points: Sequence[PathPoint]) -> tuple[PathPoint, ...]:
    """Evenly chosen, the first and the last among them."""
    last = len(points) - 1
    if last < MAX_PATH_POINTS:
        return tuple(points)
    return tuple(points[round(step * last / (MAX_PATH_POINTS - 1))] for step in range(MAX_PATH_POINTS))
