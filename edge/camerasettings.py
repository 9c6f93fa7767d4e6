"""What can be set of a camera: where it is, how it is looked at, and what is drawn on its picture and counted.

The larger part of `edge.toml`, and the part that the server takes over once a box is enrolled; what is the box's own
is `edge.settings`. The descriptions are the reference, as there.
"""

from datetime import datetime
from typing import Annotated, Literal

from msgspec import Meta

from edge.cameras.view import Rotation, View
from edge.models import (
    AdultSize,
    Anchor,
    DetectorName,
    Line,
    LineKind,
    Mounting,
    Settle,
    StaffRule,
    Tagging,
    Zone,
    ZoneKind,
)
from edge.sections import Fraction, Name, Point, Section


class LineSettings(Section, frozen=True, kw_only=True):
    """`[[camera.line]]`: one counting line, in fractions of the frame (0,0 is the upper left).

    It has either `start` and `end`, or `points`.
    """

    id: Annotated[Name, Meta(description="The line's id as the server knows it.")]
    start: Annotated[Point | None, Meta(description="One end, [x, y].")] = None
    end: Annotated[Point | None, Meta(description="The other end, [x, y].")] = None
    points: Annotated[
        tuple[Point, ...],
        Meta(description="Instead of start and end: the points of a bent line in order, [[x, y], [x, y], ...]."),
    ] = ()
    inside: Annotated[Point, Meta(description="Any point on the inner side, [x, y].")]
    kind: Annotated[LineKind, Meta(description="door, street (passers-by) or interior.")] = "door"
    anchor: Annotated[
        Anchor | None,
        Meta(
            description="The point of a body that crosses: feet, centre or head. When left out, the feet of an "
            "oblique camera and the centre of an overhead one."
        ),
    ] = None
    settle: Annotated[
        Settle,
        Meta(description="immediate counts each crossing; on_exit cancels an in and an out of one person."),
    ] = "immediate"

    def line(self) -> Line:
        """As the counter takes it; the section must have been checked."""
        points = self.points
        if self.start is not None and self.end is not None:
            points = (self.start, self.end)
        first, *bends, last = points
        return Line(self.id, first, last, self.inside, self.kind, self.anchor, self.settle, tuple(bends))


class ZoneSettings(Section, frozen=True, kw_only=True):
    """`[[camera.zone]]`: a part of the floor or of the picture, in fractions of the frame."""

    id: Annotated[Name, Meta(description="Of a zone that counts: its id as the server knows it; else any name.")]
    points: Annotated[
        tuple[Point, ...], Meta(description="Its corners in order, at least three: [[x, y], [x, y], [x, y], ...].")
    ]
    kind: Annotated[
        ZoneKind,
        Meta(
            description="count: who comes in or goes out is counted under its id. staff: who stays stay_s in it is "
            "staff. ignore: what is found there is left out (a screen, a mirror, the street)."
        ),
    ]
    anchor: Annotated[
        Anchor | None,
        Meta(description="The point of a body that must lie in it: feet, centre or head; as for lines when left out."),
    ] = None
    settle: Annotated[Settle, Meta(description="Of a zone that counts: as for lines.")] = "immediate"
    stay_s: Annotated[
        float, Meta(gt=0, le=86400, description="Of a staff zone: seconds in it that make someone staff.")
    ] = 30.0

    def zone(self) -> Zone:
        """As the counter takes it."""
        return Zone(self.id, self.points, self.kind, self.anchor, self.settle, self.stay_s)


class TagSettings(Section, frozen=True, kw_only=True):
    """`[[camera.tag]]`: what else makes someone staff; all that is given in one rule must hold.

    A crossing carries the tags known when it is given out: of someone who goes in and out, only the crossing that
    fulfils the rule and the later ones are tagged, and only while the camera follows them under one number.
    """

    tag: Annotated[Literal["staff"], Meta(description="The tag that is given; only staff has rules.")]
    crossings_at_least: Annotated[
        int, Meta(ge=0, le=1000, description="So many crossings of one line by one person; 0 asks for none.")
    ] = 0
    within_s: Annotated[float, Meta(gt=0, le=86400, description="Seconds in which those crossings must fall.")] = 600.0
    line: Annotated[
        str, Meta(description="Id of the line, or of the zone that counts, that is meant; any one when left out.")
    ] = ""
    began_in: Annotated[str, Meta(description="Id of a zone in which they were first seen, such as a staff door.")] = ""

    def rule(self) -> StaffRule:
        """As the counter takes it."""
        return StaffRule(self.crossings_at_least, self.within_s, self.line or None, self.began_in or None)


class SizeSettings(Section, frozen=True, kw_only=True):
    """`[camera.size]`: how high an adult stands in the picture, as `doorline calibrate` measures it."""

    adult: Annotated[
        tuple[tuple[Fraction, Fraction], ...],
        Meta(
            description="At two depths or more: [[y of the feet, height of an adult's box], ...], linear in between "
            "and beyond. From above it is [[y of the middle, width across], ...].",
            extra={"shape": "`[[y, height], [y, height], ...]`", "unit": "fractions of the frame's height"},
        ),
    ]
    child_below: Annotated[
        float,
        Meta(
            ge=0,
            lt=1,
            description="Who is less than this share of an adult's height is tagged child (oblique cameras only); 0 "
            "tags nobody.",
        ),
    ] = 0.72

    def size(self) -> AdultSize:
        """As the counter takes it."""
        return AdultSize(self.adult, self.child_below)


class CountingSettings(Section, frozen=True, kw_only=True):
    """`[camera.counting]`: who crosses together, and how long a crossing waits for its tags."""

    group_s: Annotated[
        float,
        Meta(ge=0, le=60, description="Seconds after one of a buying group within which the next must cross."),
    ] = 1.5
    group_span_s: Annotated[
        float, Meta(ge=0, le=600, description="Seconds from the first of a group to the last, at most.")
    ] = 4.5
    group_distance: Annotated[
        float,
        Meta(ge=0, le=10, description="How far apart along the line they may cross, in heights of the frame."),
    ] = 0.35
    tag_wait_s: Annotated[
        float,
        Meta(
            ge=0,
            le=600,
            description="Seconds that a crossing waits before it is given out, so that tags its person earns after "
            "it (by going behind the till) still apply. 0 gives it out at once.",
        ),
    ] = 0.0


class CameraSettings(Section, frozen=True, kw_only=True):
    """`[[camera]]`: one camera and its lines."""

    id: Annotated[Name, Meta(description="The camera's id as the server knows it.")]
    source: Annotated[
        str | int,
        Meta(description="rtsp://… address, number of a USB camera, path of a video file, or scene:… (rendered)."),
    ]
    mounting: Annotated[Mounting, Meta(description="overhead (straight down) or oblique.")] = "oblique"
    detector: Annotated[
        DetectorName,
        Meta(
            description="motion (no weights), onnx, yolo, or auto: the model where one is given and the camera looks "
            "obliquely, else motion."
        ),
    ] = "auto"
    model: Annotated[
        str,
        Meta(
            description="Model file of the onnx and yolo detectors: .onnx or .pt, or for "
            "OpenVINO an .xml with its .bin beside it."
        ),
    ] = ""
    confidence: Annotated[
        Annotated[float, Meta(gt=0, lt=1)] | None,
        Meta(description="The least score of a trained detector's box; its own default when left out."),
    ] = None
    runtime: Annotated[
        Literal["auto", "onnxruntime", "openvino", "opencv"],
        Meta(
            description="What runs an onnx model; auto takes the first of these that is installed. "
            "`doorline models check MODEL` says which is fastest on this box."
        ),
    ] = "auto"
    threads: Annotated[int, Meta(ge=1, le=64, description="Processor threads an onnx model may use for a picture.")] = 1
    gate: Annotated[
        bool,
        Meta(
            description="Run a trained detector only when the picture changed, and let motion pass over some that "
            "rest, so that an empty shop costs little. False looks at every picture."
        ),
    ] = True
    fusion: Annotated[
        bool,
        Meta(
            description="Let a trained detector look where something moves, and hold its boxes against what moves: a "
            "rack that looks like a person has never moved."
        ),
    ] = True
    target_fps: Annotated[
        float,
        Meta(
            ge=0,
            le=120,
            description="Frames looked at per second at most, chosen evenly; 0 looks at all. Those left out are "
            "decoded, as they must be, but no more. Cameras that compete for the processor share it in proportion.",
        ),
    ] = 0.0
    decode_height: Annotated[
        int,
        Meta(
            ge=0,
            le=4320,
            description="Make pictures smaller by the whole factor that leaves them at least so high (pixels), as soon "
            "as they are decoded; 0 leaves them. A USB camera is asked for that size. H.264 and the like are always "
            "decoded whole: to save that, choose the camera's second, smaller stream.",
        ),
    ] = 0
    rotate: Annotated[
        Rotation, Meta(description="Degrees clockwise by which the picture is turned: 0, 90, 180 or 270.")
    ] = 0
    loop: Annotated[bool, Meta(description="Begin a video file again when it ends.")] = False
    starts_at: Annotated[
        Annotated[datetime, Meta(tz=True)] | None,
        Meta(
            description="When a recording began (with offset): it is read as fast as it goes and its crossings are "
            "dated by it. Without it a file is paced like a camera."
        ),
    ] = None
    line: Annotated[tuple[LineSettings, ...], Meta(description="The counting lines.")] = ()
    zone: Annotated[
        tuple[ZoneSettings, ...], Meta(description="Parts of the floor: counted, staff's, or to be left out.")
    ] = ()
    tag: Annotated[tuple[TagSettings, ...], Meta(description="Rules that make someone staff.")] = ()
    size: Annotated[SizeSettings | None, Meta(description="Heights of adults; needed to tell children.")] = None
    counting: Annotated[CountingSettings, Meta(description="Groups and tags.")] = CountingSettings()

    @property
    def counts(self) -> bool:
        """Whether anything is drawn on its picture that counts."""
        return bool(self.line) or any(zone.kind == "count" for zone in self.zone)

    @property
    def view(self) -> View:
        """How often, how large and which way up it is looked at."""
        return View(self.target_fps, self.rotate, self.decode_height)

    @property
    def tagging(self) -> Tagging:
        """How people on this camera are told apart."""
        size = self.size.size() if self.size is not None else None
        return Tagging(tuple(tag.rule() for tag in self.tag), size, self.counting.tag_wait_s)
