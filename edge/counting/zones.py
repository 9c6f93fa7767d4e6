"""Parts of the floor: whether someone stands in one, and leaving out what is found where nobody can be.

A screen, a mirror or the street behind a window shows people who are not in the shop. They are left out before they are
followed, because a reflection that is followed takes over the track of whoever walks past it.
"""

from collections.abc import Iterable

import numpy as np

from edge.geometry import anchor_point, default_anchor
from edge.models import Anchor, Detections, Mounting, Point, Zone


class Region:
    """A zone's polygon, for asking who is in it.

    Args:
        zone: corners in fractions of the frame.
        mounting: gives the anchor of a zone that names none.
    """

    def __init__(self, zone: Zone, mounting: Mounting) -> None:
        self.zone = zone
        self.anchor: Anchor = zone.anchor or default_anchor(mounting)
        points = zone.points
        self._edges = [(points[i - 1], points[i]) for i in range(len(points))]

    def holds(self, box: tuple[float, float, float, float]) -> bool:
        """Whether the anchor of a box (x1, y1, x2, y2 in fractions of the frame) lies in it."""
        return self.contains(anchor_point(box, self.anchor))

    def contains(self, point: Point) -> bool:
        """Whether a point (fractions of the frame) lies in it: a ray to the right cuts its edges an odd number of
        times."""
        x, y = point
        inside = False
        for (x1, y1), (x2, y2) in self._edges:
            if (y1 > y) != (y2 > y) and x < x1 + (y - y1) / (y2 - y1) * (x2 - x1):
                inside = not inside
        return inside


class Ignored:
    """What a camera's zones of kind `ignore` leave out.

    Args:
        zones: all of the camera's; other kinds are passed over.
        mounting: gives the anchor of zones that name none.
    """

    def __init__(self, zones: Iterable[Zone], mounting: Mounting) -> None:
        self._regions = [Region(zone, mounting) for zone in zones if zone.kind == "ignore"]

    def without(self, detections: Detections) -> Detections:
        """The detections outside all of them, in the same order."""
        if not self._regions or not len(detections):
            return detections
        kept = [
            not any(region.holds((x1, y1, x2, y2)) for region in self._regions)
            for x1, y1, x2, y2 in detections.boxes.tolist()
        ]
        if all(kept):
            return detections
        chosen = np.asarray(kept, np.bool_)
        return Detections(detections.boxes[chosen], detections.scores[chosen], detections.classes[chosen])
