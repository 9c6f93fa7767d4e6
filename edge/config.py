"""A box's own file, `edge.toml`, as typed and checked values.

The person who writes this file stands on a ladder in a shop. So an unknown key is refused rather than ignored (a
misspelt `settle` would silently count differently), and every error names the key, the reason and the remedy. Only
what the box alone can know is kept here; once it is enrolled its lines and settings belong to the server.
"""

import difflib
import re
import stat
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from edge.models import Anchor, Line, LineKind, Mounting, Settle
from wire import messages

Name = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
Fraction = Annotated[float, Meta(ge=0, le=1)]
Point = tuple[Fraction, Fraction]

#: A line shorter than this (fractions of the frame) is a slip of the hand, not a door.
SHORTEST_LINE: Final = 0.01
#: `inside` must lie at least this far off the line, or which side it names is a matter of rounding.
LEAST_DEPTH: Final = 0.005


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
    detector: Annotated[str, Meta(description="motion, onnx or yolo.")] = "motion"
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


def load(path: Path) -> EdgeConfig:
    """Read and check a configuration file; relative paths in it are taken from its own folder.

    Raises:
        ConfigError: naming the first key that is wrong, the reason and the remedy.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(
            "", f"{path} can't be read ({error.strerror})", "Check the path and its permissions"
        ) from error
    except UnicodeDecodeError as error:
        raise ConfigError("", f"{path} is not UTF-8 text", "Save it as UTF-8") from error
    return _resolve(parse(text), path.resolve().parent)


def parse(text: str) -> EdgeConfig:
    """Check the text of an `edge.toml`; paths in it stay as they are.

    Raises:
        ConfigError: naming the first key that is wrong, the reason and the remedy.
    """
    try:
        config = msgspec.toml.decode(text, type=EdgeConfig)
    except msgspec.ValidationError as error:
        raise _explain(str(error)) from error
    except msgspec.DecodeError as error:
        raise ConfigError("", f"not valid TOML: {error}", "Mend the syntax on that line") from error
    _check_broker(config.broker)
    _check_cameras(config.camera)
    return config


def warnings(config: EdgeConfig, path: Path) -> list[str]:
    """What is allowed but unwise: secrets that others on the box can read, a password sent in the clear."""
    found = []
    broker = config.broker
    holder = Path(broker.password_file) if broker.password_file else path
    if (broker.password or broker.password_file) and _readable_by_others(holder):
        found.append(f"{holder} holds a password and every user may read it; run: chmod 600 {holder}")
    if broker.key_file and _readable_by_others(Path(broker.key_file)):
        found.append(f"{broker.key_file} is a private key and every user may read it; run: chmod 600 {broker.key_file}")
    if broker.secret() and not broker.encrypted and broker.host not in ("localhost", "127.0.0.1", "::1"):
        found.append("broker.tls: the password crosses the network unencrypted; set ca_file, or tls = true")
    return found


def _readable_by_others(path: Path) -> bool:
    try:
        return bool(path.stat().st_mode & stat.S_IROTH)
    except OSError:
        return False


def _check_broker(broker: BrokerSettings) -> None:
    if broker.password and broker.password_file:
        raise ConfigError(
            "broker.password", "given together with broker.password_file", "Keep one of the two, best the file"
        )
    if bool(broker.cert_file) != bool(broker.key_file):
        missing = "key_file" if broker.cert_file else "cert_file"
        raise ConfigError(
            f"broker.{missing}", "missing beside its partner", "A client certificate needs cert_file and key_file"
        )
    if broker.cert_file and not broker.encrypted:
        raise ConfigError("broker.cert_file", "is of no use without TLS", "Set broker.ca_file, or broker.tls = true")


def _check_cameras(cameras: tuple[CameraSettings, ...]) -> None:
    if not cameras:
        raise ConfigError("camera", "no camera is given", "Add a [[camera]] section with its lines")
    seen: dict[str, str] = {}
    for number, camera in enumerate(cameras):
        key = f"camera[{number}]"
        _once(seen, camera.id, f"{key}.id")
        if isinstance(camera.source, str) and not camera.source.strip():
            raise ConfigError(f"{key}.source", "is empty", "Give an rtsp:// address, a camera number or a file")
        if isinstance(camera.source, int) and camera.source < 0:
            raise ConfigError(f"{key}.source", f"camera number {camera.source} is negative", "Count from 0")
        if camera.starts_at is not None and camera.loop:
            raise ConfigError(
                f"{key}.loop", "can't be true with starts_at", "A recording with a known start is read once"
            )
        if not camera.line:
            raise ConfigError(f"{key}.line", "no line is given", "Add a [[camera.line]] section")
        for place, line in enumerate(camera.line):
            _once(seen, line.id, f"{key}.line[{place}].id")
            _check_line(line, f"{key}.line[{place}]")


def _once(seen: dict[str, str], name: str, key: str) -> None:
    if name in seen:
        raise ConfigError(key, f"{name!r} is already the id of {seen[name]}", "Every camera and line needs its own id")
    seen[name] = key.removesuffix(".id")


def _check_line(line: LineSettings, key: str) -> None:
    (x1, y1), (x2, y2), (px, py) = line.start, line.end, line.inside
    length = float(((x2 - x1) ** 2 + (y2 - y1) ** 2) ** 0.5)
    if length < SHORTEST_LINE:
        raise ConfigError(
            f"{key}.end",
            f"lies {length:.3f} of the frame from start",
            f"A line must be at least {SHORTEST_LINE} long; draw it across the whole door",
        )
    depth = abs((x2 - x1) * (py - y1) - (y2 - y1) * (px - x1)) / length
    if depth < LEAST_DEPTH:
        raise ConfigError(
            f"{key}.inside", "lies on the line itself", "Move it well into the shop, so that the inner side is clear"
        )


def _resolve(config: EdgeConfig, base: Path) -> EdgeConfig:
    """The same configuration with its paths made absolute."""

    def absolute(path: str) -> str:
        return str(base / Path(path).expanduser()) if path else path

    broker = msgspec.structs.replace(
        config.broker,
        password_file=absolute(config.broker.password_file),
        ca_file=absolute(config.broker.ca_file),
        cert_file=absolute(config.broker.cert_file),
        key_file=absolute(config.broker.key_file),
    )
    cameras = tuple(
        msgspec.structs.replace(
            camera,
            model=absolute(camera.model),
            source=_absolute_source(camera.source, base),
        )
        for camera in config.camera
    )
    outbox = msgspec.structs.replace(config.outbox, path=absolute(config.outbox.path))
    return msgspec.structs.replace(config, broker=broker, camera=cameras, outbox=outbox)


def _absolute_source(source: str | int, base: Path) -> str | int:
    """Only a file's path is taken from the configuration's folder; addresses, numbers and scenes stay."""
    if isinstance(source, int) or "://" in source or source.startswith("scene:") or source.isdecimal():
        return source
    return str(base / Path(source).expanduser())


def _explain(text: str) -> ConfigError:
    """msgspec's sentence as key, reason and remedy."""
    reason, _, place = text.partition(" - at `$")
    key = place.rstrip("`").removeprefix(".")
    if unknown := re.search(r"unknown field `(.+)`", reason):
        known = _fields_at(key)
        near = difflib.get_close_matches(unknown[1], known, n=1)
        advice = f"Did you mean {near[0]!r}?" if near else f"Known here: {', '.join(known)}"
        return ConfigError(_join(key, unknown[1]), "is not a known key", advice)
    if missing := re.search(r"missing required field `(.+)`", reason):
        return ConfigError(_join(key, missing[1]), "is missing", "Add it; see deploy/edge.toml.example")
    return ConfigError(key, reason[:1].lower() + reason[1:], _remedy(reason))


def _join(key: str, field: str) -> str:
    return f"{key}.{field}" if key else field


def _fields_at(key: str) -> tuple[str, ...]:
    names = [part for part in re.sub(r"\[[^]]*\]", "", key).split(".") if part]
    kind: Any = EdgeConfig
    sections: dict[str, Any] = {
        "device": DeviceSettings,
        "broker": BrokerSettings,
        "outbox": OutboxSettings,
        "camera": CameraSettings,
        "line": LineSettings,
    }
    for name in names:
        kind = sections.get(name, kind)
    return tuple(field.name for field in msgspec.structs.fields(kind))


def _remedy(reason: str) -> str:
    if "matching regex" in reason:
        return "Use 1-64 letters, digits, '.', '_' or '-', beginning with a letter or digit"
    if "enum" in reason:
        return "Use one of the values named in deploy/edge.toml.example"
    if "`float`" in reason and ("<=" in reason or ">=" in reason):
        return "Coordinates are fractions of the frame, from 0 to 1; other values have the range named"
    if "array" in reason:
        return "Write a point as [x, y], and sections as [[camera]] and [[camera.line]]"
    if "timezone" in reason:
        return "Write the offset too, such as 2026-11-21T09:00:00+08:00"
    return "Correct the value; see deploy/edge.toml.example"
