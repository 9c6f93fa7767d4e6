"""A box's own file, `edge.toml`, as typed and checked values.

The person who writes this file stands on a ladder in a shop. So an unknown key is refused rather than ignored (a
misspelt `settle` would silently count differently), and every error names the key, the reason and the remedy. Only
what the box alone can know is kept here; once it is enrolled its lines and settings belong to the server.
"""

import difflib
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec
from msgspec import inspect

from edge.counting.layout import check_line, check_rule, check_size, check_zone
from edge.geometry import LineError
from edge.settings import (
    BrokerSettings,
    CameraSettings,
    ConfigError,
    CountingSettings,
    DeviceSettings,
    EdgeConfig,
    HttpsSettings,
    LineSettings,
    OutboxSettings,
    SizeSettings,
    TagSettings,
    ZoneSettings,
)

#: Width over height taken for a picture nobody has seen yet.
_USUAL_ASPECT: Final = 16 / 9


def load(path: Path) -> EdgeConfig:
    """Read and check a configuration file; relative paths in it are taken from its own folder.

    Raises:
        ConfigError: naming the file, the first key that is wrong, the reason and the remedy.
    """
    try:
        config = parse(path.read_text(encoding="utf-8"))
    except OSError as error:
        reason = f"can't be read ({error.strerror})"
        raise ConfigError("", reason, "Check the path and its permissions", path=path) from error
    except UnicodeDecodeError as error:
        raise ConfigError("", "is not UTF-8 text", "Save it as UTF-8", path=path) from error
    except ConfigError as error:
        raise ConfigError(error.key, error.reason, error.remedy, path=path) from error
    return _resolve(config, path.resolve().parent)


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
    _check_https(config.https)
    check_cameras(config.camera)
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
    url = urlsplit(config.https.url)
    if broker.secret() and url.scheme == "http" and url.hostname not in ("localhost", "127.0.0.1", "::1"):
        found.append("https.url: the password crosses the network unencrypted; use an address with https://")
    for number, camera in enumerate(config.camera):
        if camera.model and camera.detector == "motion":
            found.append(
                f'camera[{number}].model: the detector "motion" uses none; leave it out, or choose another detector'
            )
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


def _check_https(https: HttpsSettings) -> None:
    for key, text, schemes in (("url", https.url, ("https", "http")), ("proxy", https.proxy, ("http",))):
        if not text or (key, text) == ("proxy", "none"):
            continue
        try:
            url = urlsplit(text)
            known = url.scheme in schemes and bool(url.hostname) and url.port != 0
        except ValueError:
            known = False
        if not known:
            like = "https://doorline.example.com" if key == "url" else "http://proxy.example.com:3128"
            raise ConfigError(f"https.{key}", "is not an address we can use", f"Write it like {like}")
    if https.use == "always" and not https.url:
        raise ConfigError("https.url", "is missing", "Give the server's address, or leave use = 'always' out")


def check_counts(camera: CameraSettings, key: str) -> None:
    """Refuse a camera on whose picture nothing is drawn that counts.

    In a box's own file that is no mistake yet: lines may come from the centre, or are about to be proposed. So it costs
    that camera only, for as long as nothing comes.

    Raises:
        ConfigError: naming the key, the reason and the remedy.
    """
    if not camera.counts:
        raise ConfigError(f"{key}.line", "no line is given", "Add a [[camera.line]], or a zone of kind count")


def check_cameras(cameras: tuple[CameraSettings, ...]) -> None:
    """Refuse cameras that could not count as they are set, each by itself or all together.

    Raises:
        ConfigError: naming the first key that is wrong, the reason and the remedy.
    """
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
        for place, line in enumerate(camera.line):
            _once(seen, line.id, f"{key}.line[{place}].id")
        for place, zone in enumerate(camera.zone):
            _once(seen, zone.id, f"{key}.zone[{place}].id")
        _check_drawing(camera, key)


def _once(seen: dict[str, str], name: str, key: str) -> None:
    if name in seen:
        raise ConfigError(
            key, f"{name!r} is already the id of {seen[name]}", "Every camera, line and zone needs its own id"
        )
    seen[name] = key.removesuffix(".id")


def _check_drawing(camera: CameraSettings, key: str) -> None:
    """Refuse lines, zones and rules that could not count. The picture's shape is not known yet; this one is usual."""
    for place, line in enumerate(camera.line):
        check_drawn_line(line, f"{key}.line[{place}]")
    for place, zone in enumerate(camera.zone):
        with _at(f"{key}.zone[{place}]"):
            check_zone(zone.zone(), _USUAL_ASPECT)
    lines, zones = [line.line() for line in camera.line], [zone.zone() for zone in camera.zone]
    for place, rule in enumerate(camera.tag):
        with _at(f"{key}.tag[{place}]"):
            check_rule(rule.rule(), lines, zones)
    if camera.size is not None:
        with _at(f"{key}.size"):
            check_size(camera.size.size())


def check_drawn_line(line: LineSettings, key: str) -> None:
    """Refuse a line that could not count, whatever else is drawn.

    Raises:
        ConfigError: naming the key, the reason and the remedy.
    """
    _check_ends(line, key)
    with _at(key):
        check_line(line.line(), _USUAL_ASPECT)


def _check_ends(line: LineSettings, key: str) -> None:
    for end, point in (("start", line.start), ("end", line.end)):
        if point is None and not line.points:
            raise ConfigError(f"{key}.{end}", "is missing", "Give start and end, or points")
        if point is not None and line.points:
            raise ConfigError(f"{key}.{end}", "is given together with points", "Keep start and end, or points")
    if len(line.points) == 1:
        raise ConfigError(f"{key}.points", "has one point", "A line needs two or more")


@contextmanager
def _at(key: str) -> Iterator[None]:
    """What is wrong in a drawing, as wrong at a key of the file."""
    try:
        yield
    except LineError as error:
        remedy = error.remedy[:1].upper() + error.remedy[1:]
        raise ConfigError(f"{key}.{error.key}", error.reason, remedy) from error


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
    https = msgspec.structs.replace(config.https, ca_file=absolute(config.https.ca_file))
    return msgspec.structs.replace(config, broker=broker, https=https, camera=cameras, outbox=outbox)


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
    if value := re.fullmatch(r"Invalid enum value (.+)", reason):
        allowed = _allowed_at(key)
        near = difflib.get_close_matches(value[1].strip("'"), allowed, n=1)
        advice = f"Use one of: {', '.join(allowed)}" + (f". Did you mean {near[0]!r}?" if near else "")
        return ConfigError(key, f"{value[1]} is not one of its values", advice)
    return ConfigError(key, reason[:1].lower() + reason[1:], _remedy(reason))


def _join(key: str, field: str) -> str:
    return f"{key}.{field}" if key else field


def _fields_at(key: str) -> tuple[str, ...]:
    return tuple(field.name for field in msgspec.structs.fields(_section_at(key)))


def _allowed_at(key: str) -> list[str]:
    """What a key of words, or of certain numbers, may hold."""
    section, _, name = key.rpartition(".")
    kind = next(field.type for field in msgspec.structs.fields(_section_at(section)) if field.name == name)
    return [str(each) for each in _literals(inspect.type_info(kind))]


def _literals(kind: inspect.Type) -> Iterator[object]:
    if isinstance(kind, inspect.Metadata):
        yield from _literals(kind.type)
    elif isinstance(kind, inspect.UnionType):
        for each in kind.types:
            yield from _literals(each)
    elif isinstance(kind, inspect.LiteralType):
        yield from kind.values


def _section_at(key: str) -> Any:
    """The class of the section that a key such as `camera[0].line[1]` names."""
    names = [part for part in re.sub(r"\[[^]]*\]", "", key).split(".") if part]
    kind: Any = EdgeConfig
    sections: dict[str, Any] = {
        "device": DeviceSettings,
        "broker": BrokerSettings,
        "https": HttpsSettings,
        "outbox": OutboxSettings,
        "camera": CameraSettings,
        "line": LineSettings,
        "zone": ZoneSettings,
        "tag": TagSettings,
        "size": SizeSettings,
        "counting": CountingSettings,
    }
    for name in names:
        kind = sections.get(name, kind)
    return kind


def _remedy(reason: str) -> str:
    if "matching regex" in reason:
        return "Use 1-64 letters, digits, '.', '_' or '-', beginning with a letter or digit"
    if "`float`" in reason and ("<=" in reason or ">=" in reason):
        return "Coordinates are fractions of the frame, from 0 to 1; other values have the range named"
    if "array" in reason:
        return "Write a point as [x, y], and sections as [[camera]] and [[camera.line]]"
    if "timezone" in reason:
        return "Write the offset too, such as 2026-11-21T09:00:00+08:00"
    return "Correct the value; see deploy/edge.toml.example"
