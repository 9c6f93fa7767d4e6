"""What can be set on a box: one class a section of `edge.toml`, a description on each key.

The descriptions are the reference: the page of all settings is generated from these classes, so a key that is added
here is documented, and one that is not described here does not exist. Reading and checking a file is `edge.config`.
"""

from datetime import datetime
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from edge.models import Anchor, Line, LineKind, Mounting, Settle
from wire import messages

Name = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
Fraction = Annotated[float, Meta(ge=0, le=1)]
Point = tuple[Fraction, Fraction]


class ConfigError(ValueError):
    """What is wrong in a configuration file; the text is `key: reason. Remedy`."""

    def __init__(self, key: str, reason: str, remedy: str) -> None:
        super().__init__(f"{key}: {reason}. {remedy}" if key else f"{reason}. {remedy}")
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
        Meta(ge=1, description="Disk the outbox may take; beyond it the oldest unsent records are summed up."),
    ] = 256.0


class LineSettings(_Section, frozen=True, kw_only=True):
    """`[[camera.line]]`: one counting line, in fractions of the frame (0,0 is the upper left)."""

    id: Annotated[Name, Meta(description="The line's id as the server knows it.")]
    start: Annotated[Point, Meta(description="One end, [x, y].")]
    end: Annotated[Point, Meta(description="The other end, [x, y].")]
    inside: Annotated[Point, Meta(description="Any point on the inner side, [x, y].")]
    kind: Annotated[LineKind, Meta(description="door, street (passers-by) or interior.")] = "door"
    anchor: Annotated[
        Anchor | None,
        Meta(description="The point of a body that crosses: feet, centre or head; the mounting's when left out."),
    ] = None
    settle: Annotated[
        Settle,
        Meta(description="immediate counts each crossing; on_exit cancels an in and an out of one person."),
    ] = "immediate"

    def line(self) -> Line:
        """As the counter takes it."""
        return Line(self.id, self.start, self.end, self.inside, self.kind, self.anchor, self.settle)


class CameraSettings(_Section, frozen=True, kw_only=True):
    """`[[camera]]`: one camera and its lines."""

    id: Annotated[Name, Meta(description="The camera's id as the server knows it.")]
    source: Annotated[
        str | int,
        Meta(description="rtsp://… address, number of a USB camera, path of a video file, or scene:… (rendered)."),
    ]
    mounting: Annotated[Mounting, Meta(description="overhead (straight down) or oblique.")] = "oblique"
    detector: Annotated[
        str,
        Meta(
            description="motion (no weights), onnx, yolo, or auto: the model where one is given and the camera looks "
            "obliquely, else motion."
        ),
    ] = "auto"
    model: Annotated[str, Meta(description="Model file of the onnx and yolo detectors.")] = ""
    target_fps: Annotated[
        float, Meta(ge=0, le=120, description="Frames looked at per second at most; 0 looks at all.")
    ] = 0.0
    loop: Annotated[bool, Meta(description="Begin a video file again when it ends.")] = False
    starts_at: Annotated[
        Annotated[datetime, Meta(tz=True)] | None,
        Meta(
            description="When a recording began (with offset): it is read as fast as it goes and its crossings are "
            "dated by it. Without it a file is paced like a camera."
        ),
    ] = None
    line: Annotated[tuple[LineSettings, ...], Meta(description="The counting lines.")]


class EdgeConfig(_Section, frozen=True, kw_only=True):
    """The whole of `edge.toml`."""

    device: DeviceSettings
    broker: BrokerSettings
    outbox: OutboxSettings
    camera: tuple[CameraSettings, ...]
