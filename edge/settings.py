"""What can be set on a box: one class a section of `edge.toml`, a description on each key.

The descriptions are the reference: the page of all settings is generated from these classes, so a key that is added
here is documented, and one that is not described here does not exist. Reading and checking a file is `edge.config`.
"""

from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal

import msgspec
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
from wire import base, messages

Name = base.Name
Fraction = Annotated[float, Meta(ge=0, le=1)]
Point = tuple[Fraction, Fraction]


class ConfigError(ValueError):
    """What is wrong in a configuration file; the text is `path: key: reason. Remedy`, the path where it is known."""

    def __init__(self, key: str, reason: str, remedy: str, *, path: Path | None = None) -> None:
        where = [str(path)] if path is not None else []
        super().__init__(": ".join([*where, *([key] if key else []), f"{reason}. {remedy}"]))
        self.key = key
        self.reason = reason
        self.remedy = remedy


class _Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Common to all sections: immutable, nothing unknown."""


class DeviceSettings(_Section, frozen=True, kw_only=True):
    """`[device]`: who this box is."""

    name: Annotated[Name, Meta(description="The name the server gave this box; also its user name at the broker.")]
    clock_battery: Annotated[
        bool,
        Meta(
            description="Whether the box keeps its time while it is off. False (a Raspberry Pi without a clock "
            "module) holds records back until network time has set the clock."
        ),
    ] = True


class BrokerSettings(_Section, frozen=True, kw_only=True):
    """`[broker]`: where counts are sent."""

    host: Annotated[str, Meta(min_length=1, description="Name or address of the MQTT broker.")]
    port: Annotated[int, Meta(ge=1, le=65535, description="Its port: usually 8883 with TLS, 1883 without.")] = 1883
    username: Annotated[str, Meta(description="User name at the broker; the device's name when left out.")] = ""
    password: Annotated[str, Meta(description="Password in plain text; `password_file` is better.")] = ""
    password_file: Annotated[
        str, Meta(description="A file that holds the password and nothing else, readable by the agent only.")
    ] = ""
    tls: Annotated[
        bool, Meta(description="Encrypt with the system's certificate authorities; implied by `ca_file`.")
    ] = False
    ca_file: Annotated[str, Meta(description="Certificate authority the broker is checked against (PEM).")] = ""
    cert_file: Annotated[str, Meta(description="This box's client certificate (PEM).")] = ""
    key_file: Annotated[str, Meta(description="The key of `cert_file` (PEM).")] = ""
    keepalive_s: Annotated[
        int, Meta(ge=5, le=3600, description="Seconds of silence after which the link is probed.")
    ] = 30

    def __repr__(self) -> str:
        """Without the password, so that no log line can carry it."""
        return f"BrokerSettings(host={self.host!r}, port={self.port}, username={self.username!r})"

    @property
    def encrypted(self) -> bool:
        """Whether the link uses TLS."""
        return self.tls or bool(self.ca_file)

    def secret(self) -> str:
        """The password, from wherever it is kept; empty when there is none.

        Raises:
            ConfigError: when `password_file` can't be read.
        """
        if not self.password_file:
            return self.password
        try:
            return Path(self.password_file).read_text(encoding="utf-8").strip()
        except OSError as error:
            raise ConfigError(
                "broker.password_file",
                f"{self.password_file} can't be read ({error.strerror})",
                "Write the password there and let the agent's user read it",
            ) from error


class HttpsSettings(_Section, frozen=True, kw_only=True):
    """`[https]`: the way to the server where a firewall lets no MQTT out; name and password are those of `[broker]`."""

    url: Annotated[
        str, Meta(description="The server's address, such as https://doorline.example.com; empty: MQTT only.")
    ] = ""
    use: Annotated[
        Literal["fallback", "always"],
        Meta(description="fallback takes it while MQTT is shut; always takes it alone."),
    ] = "fallback"
    after_s: Annotated[float, Meta(ge=0, le=86400, description="Seconds that MQTT is shut before HTTPS is taken.")] = (
        300.0
    )
    retry_mqtt_s: Annotated[
        float, Meta(ge=0.1, le=86400, description="Seconds between two looks whether MQTT is open again.")
    ] = 900.0
    proxy: Annotated[
        str,
        Meta(
            description="http://user:password@proxy:3128; the environment's (HTTPS_PROXY, NO_PROXY) when left out, "
            "`none` for none."
        ),
    ] = ""
    ca_file: Annotated[
        str, Meta(description="Certificate authority the server is checked against (PEM); the system's when left out.")
    ] = ""
    timeout_s: Annotated[
        float, Meta(ge=1, le=300, description="Seconds that the server may be silent in an exchange.")
    ] = 20.0

    def __repr__(self) -> str:
        """Without the proxy's password, so that no log line can carry it."""
        return f"HttpsSettings(url={self.url!r}, use={self.use!r})"


class OutboxSettings(_Section, frozen=True, kw_only=True):
    """`[outbox]`: what is kept on disk until the server has it."""

    path: Annotated[str, Meta(min_length=1, description="The outbox's file, on a disk that survives a power cut.")]
    commit_every_s: Annotated[
        float,
        Meta(
            ge=0,
            le=60,
            description="Crossings at risk in a power cut, in seconds: writes are gathered this long. 0 writes each "
            "at once.",
        ),
    ] = 1.0
    flush_after_s: Annotated[
        float, Meta(ge=0, le=3600, description="A batch is sent when its oldest record is this old.")
    ] = 5.0
    max_batch: Annotated[
        int, Meta(ge=1, le=messages.MAX_RECORDS, description="Or when it holds this many records.")
    ] = 2000
    resend_after_s: Annotated[
        float, Meta(ge=0.1, le=3600, description="A batch the server doesn't answer is sent again after this long.")
    ] = 15.0
    keep_acked_days: Annotated[
        float,
        Meta(ge=0, le=365, description="Days that records are kept after the server has them, for its restores."),
    ] = 7.0
    quota_mb: Annotated[
        float,
        Meta(
            ge=1, le=100000, description="Disk the outbox may take; beyond it the oldest unsent records are summed up."
        ),
    ] = 256.0


class LineSettings(_Section, frozen=True, kw_only=True):
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


class ZoneSettings(_Section, frozen=True, kw_only=True):
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


class TagSettings(_Section, frozen=True, kw_only=True):
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


class SizeSettings(_Section, frozen=True, kw_only=True):
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


class CountingSettings(_Section, frozen=True, kw_only=True):
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


class CameraSettings(_Section, frozen=True, kw_only=True):
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
    model: Annotated[str, Meta(description="Model file of the onnx and yolo detectors.")] = ""
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


class EdgeConfig(_Section, frozen=True, kw_only=True):
    """The whole of `edge.toml`."""

    device: DeviceSettings
    broker: BrokerSettings
    https: HttpsSettings = HttpsSettings()
    outbox: OutboxSettings
    camera: tuple[CameraSettings, ...]
