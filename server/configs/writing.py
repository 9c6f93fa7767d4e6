"""Cameras' settings as the file one would write: what was set can be looked at, changed in an editor and set again.

Only what differs from a default is written, in the order of the reference, so that two revisions can be compared line
by line.
"""

import json
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from wire.config import CameraConfig


def to_toml(cameras: Sequence[CameraConfig]) -> str:
    """The text of a file that `checking.parse` reads back as the same."""
    return "\n".join(line for camera in cameras for line in _table("camera", msgspec.to_builtins(camera), "")) + "\n"


def _table(path: str, keys: dict[str, Any], indent: str, *, array: bool = True) -> Iterator[str]:
    yield f"{indent}[[{path}]]" if array else f"{indent}[{path}]"
    nested = {key: value for key, value in keys.items() if _is_table(value)}
    for key, value in keys.items():
        if key not in nested and value is not None:
            yield f"{indent}{key} = {_value(value)}"
    for key, value in nested.items():
        tables = value if isinstance(value, list | tuple) else [value]
        for each in tables:
            yield ""
            yield from _table(f"{path}.{key}", each, indent + "  ", array=isinstance(value, list | tuple))
    if not indent:
        yield ""


def _is_table(value: object) -> bool:
    return isinstance(value, dict) or (isinstance(value, list | tuple) and bool(value) and isinstance(value[0], dict))


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple):
        return f"[{', '.join(_value(each) for each in value)}]"
    # Names, numbers and words of ours are written alike in JSON and in TOML.
    return json.dumps(value, ensure_ascii=False)
