"""Change a few keys of a configuration file that a person wrote, and leave the rest as they wrote it.

Reading the file and writing it anew would lose their comments, which are often all that is known of a shop. So lines
are changed one by one, and the outcome is believed only if it says exactly what was wanted and otherwise what it said
before. TOML has more ways to write a table than are worth following; what is written in another way is refused.
"""

import json
import re
import tomllib
from collections.abc import Collection, Mapping
from typing import Any, Final

Value = str | int
_HEADER: Final = re.compile(r"\s*\[\s*([A-Za-z0-9_-]+)\s*\]\s*(#.*)?")
_ANY_HEADER: Final = re.compile(r"\s*\[")
_KEY: Final = re.compile(r"\s*([A-Za-z0-9_-]+)\s*=")


class EditError(ValueError):
    """The text is written in a way that can't be changed safely."""


def set_keys(text: str, table: str, wanted: Mapping[str, Value], without: Collection[str] = ()) -> str:
    """The text with `[table]` having the keys `wanted` and none of `without`; the table is added when it is missing.

    Raises:
        EditError: it is no TOML, or the outcome would not be just that.
    """
    before = _parse(text)
    expected = {**before, table: _changed(before.get(table, {}), wanted, without)}
    edited = _edit(text, table, dict(wanted), without)
    try:
        after = tomllib.loads(edited)
    except tomllib.TOMLDecodeError:
        after = None
    if after != expected:
        raise EditError(f"[{table}] is not written as a table of its own with a key on each line")
    return edited


def fragment(table: str, wanted: Mapping[str, Value]) -> str:
    """The table as one would write it by hand."""
    return f"[{table}]\n" + "".join(f"{_line(key, value)}\n" for key, value in wanted.items())


def _parse(text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise EditError(f"it is not valid TOML: {error}") from error


def _changed(table: object, wanted: Mapping[str, Value], without: Collection[str]) -> dict[str, Any]:
    if not isinstance(table, dict):
        raise EditError("a key stands where a table is wanted")
    return {**{key: value for key, value in table.items() if key not in without}, **wanted}


def _edit(text: str, table: str, wanted: dict[str, Value], without: Collection[str]) -> str:
    lines = text.splitlines()
    begin = next(
        (at for at, line in enumerate(lines) if (found := _HEADER.fullmatch(line)) and found[1] == table), None
    )
    if begin is None:
        return text.rstrip("\n") + ("\n\n" if text.strip() else "") + fragment(table, wanted)
    end = next((at for at in range(begin + 1, len(lines)) if _ANY_HEADER.match(lines[at])), len(lines))
    body = []
    for line in lines[begin + 1 : end]:
        key = found[1] if (found := _KEY.match(line)) else None
        if key in wanted:
            body.append(_line(key, wanted.pop(key)))
        elif key not in without or key is None:
            body.append(line)
    while body and not body[-1].strip():
        body.pop()
    body += [_line(key, value) for key, value in wanted.items()]
    rest = lines[end:]
    return "\n".join([*lines[: begin + 1], *body, *([""] if rest else []), *rest]) + "\n"


def _line(key: str, value: Value) -> str:
    # A JSON string is a TOML basic string, the escapes of both being the same.
    return f"{key} = {value if isinstance(value, int) else json.dumps(value, ensure_ascii=False)}"
