"""What the server may set on a box, and what the box says became of it.

The keys are those of `[[camera]]` in a box's `edge.toml`, by the same names and within the same bounds, so that one
file serves both. What is not here can't be set from afar: a camera's address, model files and what else only the box
knows, and above all the way to the server, because a box sent to a wrong broker could never be told the right one.
"""

from typing import Annotated, Final, Literal

from msgspec import Meta

from wire.base import Count, Message, Name, Share, Utc

VERSION: Final = 1
Point = tuple[Share, Share]
Anchor = Literal["feet", "centre", "head"]
Settle = Literal["immediate", "on_exit"]
#: What a person can still look through; a shop's box has a handful of cameras.
MAX_CAMERAS: Final = 64
MAX_DRAWN: Final = 64
MAX_POINTS: Final = 64
#: A reason is read by people in a table.
MAX_REASON: Final = 1000


class LineConfig(Message, frozen=True, kw_only=True, omit_defaults=True):
    """One counting line in fractions of the frame: either `start` and `end`, or `points`.

    Attributes:
        id: as the server knows it.
        inside: any point on its inner side.
    """

    id: Name
    start: Point | None = None
    end: Point | None = None
    points: Annotated[tuple[Point, ...], Meta(max_length=MAX_POINTS)] = ()
    inside: Point
    kind: Literal["door", "street", "interior"] = "door"
    anchor: Anchor | None = None
    settle: Settle = "immediate"


class ZoneConfig(Message, frozen=True, kw_only=True, omit_defaults=True):
    """A part of the floor or of the picture, in fractions of the frame.

    Attributes:
        id: of a zone that counts, as the server knows it; else any name.
        points: its corners in order.
        stay_s: of a staff zone: seconds in it that make someone staff.
    """

    id: Name
    points: Annotated[tuple[Point, ...], Meta(max_length=MAX_POINTS)]
    kind: Literal["count", "staff", "ignore"]
    anchor: Anchor | None = None
    settle: Settle = "immediate"
    stay_s: Annotated[float, Meta(gt=0, le=86400)] = 30.0


class TagConfig(Message, frozen=True, kw_only=True, omit_defaults=True):
    """What else makes someone staff; all that is given in one rule must hold.

    Attributes:
        line: id of the line that is meant; empty means any one.
        began_in: id of a zone in which they were first seen; empty asks for none.
    """

    tag: Literal["staff"]
    crossings_at_least: Annotated[int, Meta(ge=0, le=1000)] = 0
    within_s: Annotated[float, Meta(gt=0, le=86400)] = 600.0
    line: str = ""
    began_in: str = ""


class SizeConfig(Message, frozen=True, kw_only=True, omit_defaults=True):
    """How high an adult stands in the picture.

    Attributes:
        adult: at two depths or more, (y of the feet, height of the box), fractions of the frame's height.
        child_below: who is less than this share of an adult's height is a child; 0 for nobody.
    """

    adult: Annotated[tuple[tuple[Share, Share], ...], Meta(max_length=MAX_POINTS)]
    child_below: Annotated[float, Meta(ge=0, lt=1)] = 0.72


class CountingConfig(Message, frozen=True, kw_only=True, omit_defaults=True):
    """Who crosses together, and how long a crossing waits for its tags (seconds; distance in heights of the frame)."""

    group_s: Annotated[float, Meta(ge=0, le=60)] = 1.5
    group_span_s: Annotated[float, Meta(ge=0, le=600)] = 4.5
    group_distance: Annotated[float, Meta(ge=0, le=10)] = 0.35
    tag_wait_s: Annotated[float, Meta(ge=0, le=600)] = 0.0


class CameraConfig(Message, frozen=True, kw_only=True, omit_defaults=True):
    """How one camera counts, whole: a key that is left out has its default, whatever `edge.toml` says of it.

    Attributes:
        id: of a camera that the box's `edge.toml` has with its source.
        detector: one that needs a model goes by the one `edge.toml` names.
        confidence: the least score of a trained detector's box.
        gate, fusion: how a trained detector is sped up and checked by what moves.
        target_fps: frames looked at per second at most; 0 looks at all.
        rotate: degrees clockwise by which the picture is turned: lines are drawn on the turned one.
    """

    id: Name
    mounting: Literal["overhead", "oblique"] = "oblique"
    detector: Literal["auto", "motion", "onnx", "yolo"] = "auto"
    confidence: Annotated[float, Meta(gt=0, lt=1)] | None = None
    gate: bool = True
    fusion: bool = True
    target_fps: Annotated[float, Meta(ge=0, le=120)] = 0.0
    rotate: Literal[0, 90, 180, 270] = 0
    line: Annotated[tuple[LineConfig, ...], Meta(max_length=MAX_DRAWN)] = ()
    zone: Annotated[tuple[ZoneConfig, ...], Meta(max_length=MAX_DRAWN)] = ()
    tag: Annotated[tuple[TagConfig, ...], Meta(max_length=MAX_DRAWN)] = ()
    size: SizeConfig | None = None
    counting: CountingConfig = CountingConfig()


class Config(Message, frozen=True, kw_only=True):
    """Desired configuration of a device, retained under its `config` topic.

    Attributes:
        revision: higher with every change; a device ignores what is not newer than what it knows.
        camera: cameras it sets; all others count as `edge.toml` says. None at all gives the whole box back to its file.
    """

    v: Literal[1] = VERSION
    device: Name
    revision: Annotated[int, Meta(ge=1, le=2**31 - 1)]
    camera: Annotated[tuple[CameraConfig, ...], Meta(max_length=MAX_CAMERAS)] = ()


class ConfigReport(Message, frozen=True, kw_only=True, omit_defaults=True):
    """What became of the newest desired configuration a device knows of.

    Attributes:
        revision: which one it is.
        state: trying (in use, and not yet shown to work), applied, or failed (what was in use before is in use again,
            and this revision is not tried any more).
        reason: for people: why it failed, or what is waited for.
        at: since when (UTC, device's clock); None where its clock was not set.
    """

    revision: Count
    state: Literal["trying", "applied", "failed"]
    reason: Annotated[str, Meta(max_length=MAX_REASON)] = ""
    at: Utc | None = None
