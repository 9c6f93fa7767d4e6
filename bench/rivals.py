"""Other counters on the same boxes, as their own guides use them: supervision and ultralytics.

Neither is a dependency of ours; whoever wants the comparison installs them beside it. Each takes the detector's boxes
in pixels, follows them with its own tracker at its defaults, and counts with its own line counter. The trap is which
way each calls in: supervision goes by the order of a line's ends, ultralytics calls rightward in.
"""

from collections import Counter as Tally
from collections.abc import Callable, Sequence
from importlib import import_module, metadata
from typing import Any

import numpy as np

from edge.models import Detections, Line

Totals = Tally[tuple[str, str]]
#: Counts lines in detections: frames, the picture's size in pixels, frames a second, upright lines with inside right.
Rival = Callable[[Sequence[Detections], tuple[int, int], float, Sequence[Line]], Totals]


class MissingError(Exception):
    """A rival is not installed; the text says what to install."""


def supervision_bytetrack(
    frames: Sequence[Detections], size: tuple[int, int], fps: float, lines: Sequence[Line]
) -> Totals:
    """ByteTrack and LineZone by the feet.

    Raises:
        MissingError: it is not installed.
    """
    try:
        sv = import_module("supervision")
    except ModuleNotFoundError as error:
        raise MissingError("not installed: pip install supervision==0.26.1") from error
    tracker = sv.ByteTrack(frame_rate=round(fps))
    zones = {
        line.line_id: sv.LineZone(
            start=sv.Point(*_pixels(line.start, size)),
            end=sv.Point(*_pixels(line.end, size)),
            triggering_anchors=[sv.Position.BOTTOM_CENTER],
        )
        for line in lines
    }
    for found in frames:
        boxes = (found.boxes * np.asarray([*size, *size])).astype(np.float32)
        classes = np.zeros(len(boxes), int)
        tracked = tracker.update_with_detections(sv.Detections(xyxy=boxes, confidence=found.scores, class_id=classes))
        for zone in zones.values():
            zone.trigger(tracked)
    return _totals({name: (zone.in_count, zone.out_count) for name, zone in zones.items()})


def ultralytics_bytetrack(
    frames: Sequence[Detections], size: tuple[int, int], _fps: float, lines: Sequence[Line]
) -> Totals:
    """BYTETracker and ObjectCounter, which counts by the centre.

    Raises:
        MissingError: it is not installed.
    """
    return _ultralytics("BYTETracker", "bytetrack.yaml", frames, size, lines)


def ultralytics_botsort(
    frames: Sequence[Detections], size: tuple[int, int], _fps: float, lines: Sequence[Line]
) -> Totals:
    """BOTSORT and ObjectCounter. There are no pictures, so that it corrects no motion of the camera; it has none here.

    Raises:
        MissingError: it is not installed.
    """
    return _ultralytics("BOTSORT", "botsort.yaml", frames, size, lines)


def _ultralytics(
    tracker_name: str, settings: str, frames: Sequence[Detections], size: tuple[int, int], lines: Sequence[Line]
) -> Totals:
    try:
        trackers, engine = import_module("ultralytics.trackers"), import_module("ultralytics.engine.results")
        utils, checks = import_module("ultralytics.utils"), import_module("ultralytics.utils.checks")
        solutions, shapely = import_module("ultralytics.solutions"), import_module("shapely.geometry")
    except ModuleNotFoundError as error:
        raise MissingError("not installed: pip install ultralytics==8.4.190 shapely lap") from error
    options = utils.YAML.load(checks.check_yaml(settings))
    tracker = getattr(trackers, tracker_name)(utils.IterableSimpleNamespace(**options))
    counters = {line.line_id: _counter(solutions.ObjectCounter, shapely, line, size) for line in lines}
    last: dict[int, tuple[float, float]] = {}
    for found in frames:
        boxes = found.boxes * np.asarray([*size, *size])
        rows = np.concatenate([boxes, found.scores[:, None], np.zeros((len(boxes), 1))], axis=1).astype(np.float32)
        for row in tracker.update(engine.Boxes(rows, size[::-1])):
            centre, track = (float(row[0] + row[2]) / 2, float(row[1] + row[3]) / 2), int(row[4])
            for counter in counters.values():
                counter.count_objects(centre, track, last.get(track), 0)
            last[track] = centre
    return _totals({name: (counter.in_count, counter.out_count) for name, counter in counters.items()})


def _counter(kind: Any, shapely: Any, line: Line, size: tuple[int, int]) -> Any:
    """An ObjectCounter without the model that it would load: only what its `count_objects` reads."""
    counter = kind.__new__(kind)
    region = [_pixels(line.start, size), _pixels(line.end, size)]
    counter.__dict__.update(
        region=region,
        r_s=shapely.LineString(region),
        LineString=shapely.LineString,
        in_count=0,
        out_count=0,
        counted_ids=set(),
        names={0: "person"},
        classwise_count={"person": {"IN": 0, "OUT": 0}},
    )
    return counter


def _pixels(point: tuple[float, float], size: tuple[int, int]) -> tuple[float, float]:
    return point[0] * size[0], point[1] * size[1]


def _totals(counts: dict[str, tuple[int, int]]) -> Totals:
    return Tally(
        {(name, way): count for name, both in counts.items() for way, count in zip(("in", "out"), both, strict=True)}
    )


def version(name: str) -> str:
    """The installed version of a package; empty where it is not installed."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""


#: Every rival by the name it has in tables.
RIVALS: dict[str, tuple[str, Rival]] = {
    "supervision ByteTrack + LineZone (feet)": ("supervision", supervision_bytetrack),
    "ultralytics BYTETracker + ObjectCounter": ("ultralytics", ultralytics_bytetrack),
    "ultralytics BoT-SORT + ObjectCounter": ("ultralytics", ultralytics_botsort),
}
