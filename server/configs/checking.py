"""A file of cameras' settings, checked before any box is told of it.

It has the shape of `edge.toml`'s `[[camera]]` sections. Whoever writes it sits in an office and can't see the door, so
what could be found out here must not be found out by a box that then goes back to what it had: a misspelt key, a line
of another camera, a rule about a zone that is not there. What only a box can know, it says itself.
"""

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from server.errors import InvalidInput
from server.stores.models import Camera, Line
from wire.config import CameraConfig, CountingConfig, LineConfig, SizeConfig, TagConfig, ZoneConfig

#: No file of ours is longer (characters).
MAX_TEXT: Final = 512 * 1024
_SECTIONS: Final[Mapping[str, type[msgspec.Struct]]] = {
    "camera": CameraConfig,
    "line": LineConfig,
    "zone": ZoneConfig,
    "tag": TagConfig,
    "size": SizeConfig,
    "counting": CountingConfig,
}
#: Keys of `edge.toml` that stay there, whoever asks.
_LOCAL: Final = frozenset(
    {
        "device",
        "broker",
        "https",
        "outbox",
        "source",
        "model",
        "runtime",
        "threads",
        "decode_height",
        "loop",
        "starts_at",
    }
)


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    camera: tuple[CameraConfig, ...] = ()


def parse(text: str) -> tuple[CameraConfig, ...]:
    """Read the text of a file.

    Raises:
        InvalidInput: naming the first key that is wrong, the reason and the remedy.
    """
    if len(text) > MAX_TEXT:
        raise InvalidInput(f"the file has {len(text)} characters, which no configuration has", remedy="check the path")
    try:
        cameras = msgspec.toml.decode(text, type=_File).camera
    except msgspec.ValidationError as error:
        raise _explained(str(error)) from error
    except msgspec.DecodeError as error:
        raise InvalidInput(f"not valid TOML: {error}", remedy="mend the syntax there") from error
    if not cameras:
        raise InvalidInput(
            "there is no [[camera]] in it", remedy="to give the box back to its own file: doorline device config clear"
        )
    for key, reason, remedy in _mistakes(cameras):
        raise InvalidInput(f"{key} {reason}", field=key, remedy=remedy)
    return cameras


def check_register(cameras: Sequence[CameraConfig], known: Sequence[Camera], lines: Sequence[Line], store: str) -> None:
    """Refuse cameras and lines that are not registered in the box's store: their counts would be put aside.

    Raises:
        InvalidInput: naming the first.
    """
    in_service = {camera.camera_id for camera in known if camera.removed_at is None}
    registered = {line.line_id: line for line in lines}
    for place, camera in enumerate(cameras):
        key = f"camera[{place}]"
        if camera.id not in in_service:
            raise InvalidInput(
                f"{key}.id: store {store} has no camera {camera.id!r} in service",
                field=f"{key}.id",
                remedy=f"it has: {', '.join(sorted(in_service)) or 'none'}; or doorline store add-camera {store}",
            )
        for where, name, kind in _counted(camera):
            line = registered.get(name)
            if line is None or line.camera_id != camera.id:
                of = sorted(each.line_id for each in lines if each.camera_id == camera.id)
                raise InvalidInput(
                    f"{key}.{where}.id: camera {camera.id} has no line {name!r}",
                    field=f"{key}.{where}.id",
                    remedy=f"it has: {', '.join(of) or 'none'}; or doorline store add-line",
                )
            if kind is not None and kind != line.kind:
                raise InvalidInput(
                    f"{key}.{where}.kind is {kind!r}, and the register calls line {name} {line.kind!r}",
                    field=f"{key}.{where}.kind",
                    remedy=f"write kind = {line.kind!r}, or register another line",
                )


def _counted(camera: CameraConfig) -> Iterator[tuple[str, str, str | None]]:
    """Key, id and kind of all that counts."""
    for place, line in enumerate(camera.line):
        yield f"line[{place}]", line.id, line.kind
    for place, zone in enumerate(camera.zone):
        if zone.kind == "count":
            yield f"zone[{place}]", zone.id, None


def _mistakes(cameras: Sequence[CameraConfig]) -> Iterator[tuple[str, str, str]]:
    """Key, reason and remedy of what can't be meant."""
    seen: dict[str, str] = {}
    for number, camera in enumerate(cameras):
        key = f"camera[{number}]"
        named = [(key, camera.id)]
        named += [(f"{key}.line[{place}]", line.id) for place, line in enumerate(camera.line)]
        named += [(f"{key}.zone[{place}]", zone.id) for place, zone in enumerate(camera.zone)]
        for where, name in named:
            if name in seen:
                yield f"{where}.id", f"{name!r} is already the id of {seen[name]}", "give each its own"
            seen[name] = where
        if not any(_counted(camera)):
            yield f"{key}.line", "no line is given", "add a [[camera.line]], or a zone of kind count"
        yield from _undrawable(camera, key)
        yield from _unruly(camera, key)


def _undrawable(camera: CameraConfig, key: str) -> Iterator[tuple[str, str, str]]:
    for place, line in enumerate(camera.line):
        where = f"{key}.line[{place}]"
        ends = (line.start, line.end)
        if line.points and ends != (None, None):
            yield f"{where}.points", "are given together with start or end", "keep start and end, or points"
        if not line.points and None in ends:
            yield f"{where}.{'start' if line.start is None else 'end'}", "is missing", "give start and end, or points"
        if len(line.points) == 1 or (line.start is not None and line.start == line.end):
            yield where, "has one point", "a line needs two different ends, one at each side of the doorway"
    for place, zone in enumerate(camera.zone):
        if len(set(zone.points)) < 3:
            yield f"{key}.zone[{place}].points", f"has {len(set(zone.points))} corners", "a zone needs three or more"
    if camera.size is not None and len({y for y, _ in camera.size.adult}) < 2:
        yield f"{key}.size.adult", "has fewer than two depths", "give [[y, height], [y, height]]"


def _unruly(camera: CameraConfig, key: str) -> Iterator[tuple[str, str, str]]:
    counted = {name for _, name, _ in _counted(camera)}
    peopled = {zone.id for zone in camera.zone if zone.kind != "ignore"}
    for place, rule in enumerate(camera.tag):
        where = f"{key}.tag[{place}]"
        if not rule.crossings_at_least and not rule.began_in:
            yield f"{where}.crossings_at_least", "and began_in are both left out", "give one of them, or both"
        if rule.line and rule.line not in counted:
            yield f"{where}.line", f"names {rule.line!r}, which is no line here", "give the id of a line"
        if rule.began_in and rule.began_in not in peopled:
            yield (
                f"{where}.began_in",
                f"names {rule.began_in!r}, which is no zone here in which people are seen",
                "give the id of a zone of kind staff or count",
            )


def _explained(text: str) -> InvalidInput:
    """msgspec's sentence as key, reason and remedy."""
    reason, _, place = text.partition(" - at `$")
    key = place.rstrip("`").removeprefix(".")
    if unknown := re.search(r"unknown field `(.+)`", reason):
        name = unknown[1]
        where = f"{key}.{name}" if key else name
        if name in _LOCAL:
            return InvalidInput(
                f"{where} can't be set from afar", field=where, remedy="leave it out; it stands in the box's edge.toml"
            )
        known = _fields_at(key)
        near = difflib.get_close_matches(name, known, n=1)
        remedy = f"did you mean {near[0]!r}?" if near else f"known here: {', '.join(known)}"
        return InvalidInput(f"{where} is not a known key", field=where, remedy=remedy)
    if missing := re.search(r"missing required field `(.+)`", reason):
        where = f"{key}.{missing[1]}" if key else missing[1]
        return InvalidInput(f"{where} is missing", field=where, remedy="add it; see docs/edge-toml.md")
    return InvalidInput(f"{key}: {reason[:1].lower()}{reason[1:]}", field=key, remedy="see docs/edge-toml.md")


def _fields_at(key: str) -> list[str]:
    names = [part for part in re.sub(r"\[[^]]*\]", "", key).split(".") if part]
    kind: Any = _SECTIONS.get(names[-1], _File) if names else _File
    return [field.name for field in msgspec.structs.fields(kind)]
