"""What was drawn on a camera's picture, as the page sends it and as a box is told it. Pure.

A page knows shapes, names and kinds. What it does not show of a camera (detector, tags, sizes of people) stands in the
revision before and must outlive a change of a line; so what was drawn is laid over that, never put in its place.
"""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from server.errors import InvalidInput
from server.stores.models import Line, LineKind
from wire.base import Name, Share
from wire.config import MAX_DRAWN, MAX_POINTS, Anchor, CameraConfig, LineConfig, Settle, ZoneConfig

Point = tuple[Share, Share]
Points = Annotated[tuple[Point, ...], Meta(max_length=MAX_POINTS)]
Words = Annotated[str, Meta(max_length=200)]


class DrawnLine(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="shape", tag="line"):
    """A line people cross.

    Attributes:
        name: what people call it from now on; None leaves it to what it is called already, or to its id.
        inside: any point on its inner side.
    """

    id: Name
    kind: LineKind
    points: Points
    inside: Point
    name: Words | None = None
    anchor: Anchor | None = None
    settle: Settle = "immediate"


class DrawnZone(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="shape", tag="zone"):
    """A part of the floor. Its name is kept where it counts, for only then somebody reads it.

    Attributes:
        name: as of a line.
        stay_s: of a zone for staff: seconds in it that make someone staff.
    """

    id: Name
    kind: Literal["count", "staff", "ignore"]
    points: Points
    name: Words | None = None
    anchor: Anchor | None = None
    settle: Settle = "immediate"
    stay_s: Annotated[float, Meta(gt=0, le=86400)] = 30.0

    @property
    def counts(self) -> bool:
        """Whether people who enter it are counted, as at a door."""
        return self.kind == "count"


class Drawn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All that was drawn, and how the camera is mounted."""

    shapes: Annotated[tuple[DrawnLine | DrawnZone, ...], Meta(max_length=2 * MAX_DRAWN)]
    mounting: Literal["overhead", "oblique"] = "oblique"
    rotate: Literal[0, 90, 180, 270] = 0
    target_fps: Annotated[float, Meta(ge=0, le=120)] = 0.0


def read(text: str) -> Drawn:
    """Decode what a page sent.

    Raises:
        InvalidInput: it is not what our page sends.
    """
    try:
        return msgspec.json.decode(text, type=Drawn)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidInput(f"what was drawn can't be read: {error}", field="drawn", remedy="draw it again") from error


def camera_of(drawn: Drawn, camera_id: str, before: CameraConfig | None) -> CameraConfig:
    """What a box is to be told of a camera."""
    return msgspec.structs.replace(
        before or CameraConfig(id=camera_id),
        mounting=drawn.mounting,
        rotate=drawn.rotate,
        target_fps=drawn.target_fps,
        line=tuple(_line(each) for each in drawn.shapes if isinstance(each, DrawnLine)),
        zone=tuple(_zone(each) for each in drawn.shapes if isinstance(each, DrawnZone)),
    )


def shapes_of(camera: CameraConfig | None, lines: Sequence[Line]) -> list[dict[str, Any]]:
    """What a camera counts by, as the page draws it."""
    if camera is None:
        return []
    names = {line.line_id: line.name for line in lines}
    found: list[dict[str, Any]] = []
    for line in camera.line:
        points = line.points or tuple(point for point in (line.start, line.end) if point is not None)
        found.append(_shape("line", line.id, names, line.kind, points, line.anchor, line.settle, inside=line.inside))
    found += [
        _shape("zone", zone.id, names, zone.kind, zone.points, zone.anchor, zone.settle, stay_s=zone.stay_s)
        for zone in camera.zone
    ]
    return found


def counting(drawn: Drawn) -> list[tuple[str, str | None, LineKind]]:
    """Id, name and kind of what counts, as the register has to know it: a zone that counts is a door there."""
    return [
        (each.id, each.name, each.kind if isinstance(each, DrawnLine) else "door")
        for each in drawn.shapes
        if isinstance(each, DrawnLine) or each.counts
    ]


def _shape(
    shape: Literal["line", "zone"],
    name: str,
    names: dict[str, str],
    kind: str,
    points: Sequence[tuple[float, float]],
    anchor: Anchor | None,
    settle: Settle,
    **more: Any,
) -> dict[str, Any]:
    return {
        "shape": shape,
        "id": name,
        "name": names.get(name, name),
        "kind": kind,
        "points": [list(point) for point in points],
        "anchor": anchor,
        "settle": settle,
        **more,
    }


def _line(drawn: DrawnLine) -> LineConfig:
    two = len(drawn.points) == 2
    return LineConfig(
        id=drawn.id,
        start=drawn.points[0] if two else None,
        end=drawn.points[1] if two else None,
        points=() if two else drawn.points,
        inside=drawn.inside,
        kind=drawn.kind,
        anchor=drawn.anchor,
        settle=drawn.settle,
    )


def _zone(drawn: DrawnZone) -> ZoneConfig:
    return ZoneConfig(
        id=drawn.id,
        points=drawn.points,
        kind=drawn.kind,
        anchor=drawn.anchor,
        settle=drawn.settle,
        stay_s=drawn.stay_s,
    )
