"""The page of all that can be set on a box, made from the classes that read it.

A reference written by hand is right on the day it is written. This one is printed from `edge.settings`, and a test
holds the page in `docs/` to it, so that a key that exists is on it, with the default and the range it really has.

    python -m edge.reference > docs/edge-toml.md
"""

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from msgspec import inspect

from edge.settings import EdgeConfig

_INTRO: Final = """# `edge.toml`: what can be set on a box

This page is generated from the settings' own definitions (`doorline edge reference`); don't edit it.

A box reads one file, usually `/etc/doorline/edge.toml`. [`deploy/edge.toml.example`](../deploy/edge.toml.example)
shows every key. A key that is not on this page is refused, so a misspelt one cannot go unnoticed. Relative paths are
taken from the file's own folder. After a change, run `doorline edge check /etc/doorline/edge.toml`: it tries cameras,
lines, disk, clock and broker, and says what to mend.

Places in the picture are `[x, y]` in fractions of the frame: `[0, 0]` is the upper left corner, `[1, 1]` the lower
right, so a camera that is set to another resolution needs no new lines. `doorline calibrate --write` proposes a line
and the size of people from where they walk.
"""
#: Units that a key's name carries at its end.
_UNITS: Final = {
    "_s": "seconds",
    "_fps": "frames a second",
    "_mb": "MB",
    "_days": "days",
    "_height": "pixels",
    "_ms": "milliseconds",
    "_percent": "%",
}


@dataclass(frozen=True, slots=True)
class Key:
    """One key.

    Attributes:
        kind: of value, in words.
        default: as one would write it; empty where the key must be given.
        range: of what is allowed, in words; empty where all is.
        unit: empty where there is none.
        section: the class of a section of its own that stands behind the key.
    """

    name: str
    kind: str
    default: str
    range: str
    unit: str
    description: str
    section: type | None = None


@dataclass(frozen=True, slots=True)
class Section:
    """One section: its heading as it is written, what it is for, and its keys."""

    heading: str
    about: str
    keys: tuple[Key, ...]
    settings: type


def sections() -> list[Section]:
    """Every section of the file, a camera's own after the camera."""
    return list(_sections(EdgeConfig, ""))


def _sections(settings: type, path: str) -> Iterator[Section]:
    for field in _struct(settings).fields:
        kind, many = _section_of(field.type)
        if kind is None:
            continue
        name = f"{path}{field.encode_name}"
        heading = f"[[{name}]]" if many else f"[{name}]"
        keys = tuple(_key(each) for each in _struct(kind).fields)
        yield Section(heading, _about(kind), keys, kind)
        yield from _sections(kind, f"{name}.")


def _struct(settings: type) -> inspect.StructType:
    info = inspect.type_info(settings)
    assert isinstance(info, inspect.StructType)  # noqa: S101 - for the type checker
    return info


def _about(settings: type) -> str:
    """What a section is for: its class's docstring without the heading in front."""
    text = re.sub(r"\s*\n\s*\n\s*", "\n\n", (settings.__doc__ or "").strip())
    text = re.sub(r"(?<!\n)\n[ \t]*(?!\n)", " ", text)
    about = re.sub(r"^`\[\[?[a-z._]+\]\]?`:\s*", "", text)
    return about[:1].upper() + about[1:]


def _section_of(kind: inspect.Type) -> tuple[type | None, bool]:
    """The class of the section a key holds, and whether there may be many; None for a plain value."""
    kind = _bare(kind)
    if isinstance(kind, inspect.StructType):
        return kind.cls, False
    if isinstance(kind, inspect.VarTupleType):
        inner = _bare(kind.item_type)
        if isinstance(inner, inspect.StructType):
            return inner.cls, True
    return None, False


def _bare(kind: inspect.Type) -> inspect.Type:
    """Without description, and without the None that only says that it may be left out."""
    while isinstance(kind, inspect.Metadata):
        kind = kind.type
    if isinstance(kind, inspect.UnionType):
        rest = [each for each in kind.types if not isinstance(each, inspect.NoneType)]
        if len(rest) == 1:
            return _bare(rest[0])
    return kind


def _key(field: inspect.Field) -> Key:
    kind = _bare(field.type)
    section, many = _section_of(field.type)
    described = _metadata(field.type)
    return Key(
        name=field.encode_name,
        kind=("sections" if many else "section") if section else str(described.get("shape") or _type(kind)),
        default="" if field.required or section else _default(field),
        range="" if section else _range(kind),
        unit="" if section else _unit(field.encode_name, kind, described),
        description=str(described.get("description", "")),
        section=section,
    )


def _metadata(kind: inspect.Type) -> dict[str, Any]:
    """Description and the like, wherever msgspec keeps it."""
    found: dict[str, Any] = {}
    while isinstance(kind, inspect.Metadata):
        found = {**(kind.extra_json_schema or {}), **(kind.extra or {}), **found}
        kind = kind.type
    return found


def _type(kind: inspect.Type) -> str:
    match kind:
        case inspect.BoolType():
            return "true or false"
        case inspect.IntType():
            return "whole number"
        case inspect.FloatType():
            return "number"
        case inspect.StrType():
            return "text"
        case inspect.DateTimeType():
            return "date and time with offset"
        case inspect.LiteralType():
            return " or ".join(f"`{_toml(value)}`" for value in kind.values)
        case inspect.TupleType():
            return "`[x, y]`" if len(kind.item_types) == 2 else f"list of {len(kind.item_types)}"
        case inspect.VarTupleType() | inspect.ListType():
            inner = _type(_bare(kind.item_type))
            return "`[[x, y], [x, y], ...]`" if inner == "`[x, y]`" else f"list of: {inner}"
        case inspect.UnionType():
            return " or ".join(_type(_bare(each)) for each in kind.types if not isinstance(each, inspect.NoneType))
        case _:
            raise TypeError(f"no word for {kind!r}; add one to edge.reference")


def _default(field: inspect.Field) -> str:
    value = field.default
    if value in (None, "", ()):
        return "left out"
    return f"`{_toml(value)}`"


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return f'"{value}"' if isinstance(value, str) else str(value)


def _range(kind: inspect.Type) -> str:
    """What is allowed beyond the type."""
    if isinstance(kind, inspect.IntType | inspect.FloatType):
        low = kind.ge if kind.ge is not None else kind.gt
        high = kind.le if kind.le is not None else kind.lt
        above = "above " if kind.ge is None and kind.gt is not None else ""
        below = "below " if kind.le is None and kind.lt is not None else ""
        if low is not None and high is not None:
            return f"{above}{low:g} to {below}{high:g}"
        return f"{above or 'at least '}{low:g}" if low is not None else f"{below or 'at most '}{high:g}" if high else ""
    if isinstance(kind, inspect.StrType):
        if kind.pattern:
            return "1 to 64 letters, digits, `.`, `_` or `-`, beginning with a letter or digit"
        return "not empty" if kind.min_length else ""
    if isinstance(kind, inspect.TupleType | inspect.VarTupleType) and "[x, y]" in _type(kind):
        return "each 0 to 1"
    return ""


def _unit(name: str, kind: inspect.Type, described: dict[str, Any]) -> str:
    if "unit" in described:
        return str(described["unit"])
    if isinstance(kind, inspect.TupleType | inspect.VarTupleType) and "[x, y]" in _type(kind):
        return "fractions of the frame"
    if isinstance(kind, inspect.IntType | inspect.FloatType):
        return next((unit for end, unit in _UNITS.items() if name.endswith(end)), "")
    return ""


def page() -> str:
    """The page, as Markdown."""
    parts = [_INTRO]
    for section in sections():
        parts.append(f"## `{section.heading}`\n\n{section.about}\n")
        rows = [_row(key, section) for key in section.keys]
        parts.append(
            "\n".join(["| key | type | default | range | unit | meaning |", "|---|---|---|---|---|---|", *rows]) + "\n"
        )
    return "\n".join(parts)


def _row(key: Key, section: Section) -> str:
    default = "must be given" if not key.default and not key.section else key.default
    kind = key.kind
    if key.section:
        inner = f"{section.heading.strip('[]')}.{key.name}"
        heading = f"[[{inner}]]" if key.kind == "sections" else f"[{inner}]"
        anchor = re.sub(r"[^a-z0-9_-]", "", inner.lower())
        kind = f"[`{heading}`](#{anchor})"
    cells = (f"`{key.name}`", kind, default, key.range, key.unit, key.description)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def key_paths() -> dict[str, type]:
    """Every section's path, such as `camera.line`, with its class; for tests that hold examples to it."""
    return {section.heading.strip("[]"): section.settings for section in sections()}


def fields(settings: type[msgspec.Struct]) -> tuple[str, ...]:
    """The keys of one section."""
    return tuple(field.encode_name for field in msgspec.structs.fields(settings))


if __name__ == "__main__":
    sys.stdout.write(page())
