"""Change a few keys of a configuration file that a person wrote, and leave the rest as they wrote it.

Reading the file and writing it anew would lose their comments, which are often all that is known of a shop: which door,
which cable, whose phone number. tomlkit changes a file in all the ways TOML can be written in. It does not know that
comments above a header go with that header, so what is added would end up below them: they are set aside meanwhile. And
the outcome is believed only if it says exactly what was wanted and otherwise what the file said before.
"""

import contextlib
import copy
import tomllib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import tomlkit
from tomlkit.container import Container
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import AoT, Array, Comment, InlineTable, Item, Key, Table, Whitespace

Value: TypeAlias = "str | int | float | Sequence[Value]"
#: A table's name; or an array of tables' name, and the `id` of one of them.
Step: TypeAlias = str | tuple[str, str]
_Body: TypeAlias = list[tuple[Key | None, Item]]


class EditError(ValueError):
    """The text can't be changed as wanted; the message says why."""


class LayoutError(EditError):
    """It can't because of the way it is written: a person has to change it by hand."""


@dataclass(frozen=True, slots=True)
class Change:
    """What one table shall hold.

    Attributes:
        path: the steps to the table. The last one is added when it is missing; those before it have to be there.
        keys: what they are set to; all others stay.
        without: keys that are taken away.
    """

    path: tuple[Step, ...]
    keys: Mapping[str, Value]
    without: Collection[str] = ()


def edit(text: str, *changes: Change) -> str:
    """The text with these changes made, one after another.

    Raises:
        EditError: it is no TOML, a table to change something in is not there, or the outcome would not be just that.
    """
    for change in changes:
        text = _edited(text, change)
    return text


def rows(keys: Mapping[str, Value]) -> list[str]:
    """The keys as one would write them by hand, each on a line."""
    return tomlkit.dumps({key: _plain(value) for key, value in keys.items()}).removesuffix("\n").split("\n")


def fragment(table: str, keys: Mapping[str, Value]) -> str:
    """The table as one would write it by hand."""
    return "\n".join([f"[{table}]", *rows(keys)]) + "\n"


def _edited(text: str, change: Change) -> str:
    try:
        before = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise EditError(f"it is not valid TOML: {error}") from error
    expected = _expected(before, change)
    if expected == before:
        return text
    try:
        edited = _written(text, change)
        after = tomllib.loads(edited)
    except (TOMLKitError, tomllib.TOMLDecodeError) as error:
        raise LayoutError(f"{_said(change.path)} is written in a way that can't be followed: {error}") from error
    if after != expected:
        raise LayoutError(f"{_said(change.path)} is written in a way that can't be followed")
    return edited


def _said(path: Sequence[Step]) -> str:
    last = path[-1]
    return f"[{last}]" if isinstance(last, str) else f"[[{last[0]}]] '{last[1]}'"


def _plain(value: Value) -> Any:
    return value if isinstance(value, str | int | float) else [_plain(each) for each in value]


def _expected(before: dict[str, Any], change: Change) -> dict[str, Any]:
    """What the changed text must say, from what it said: the measure, so without tomlkit."""
    after = copy.deepcopy(before)
    holder, step = _holder(after, change.path), change.path[-1]
    keys = {key: _plain(value) for key, value in change.keys.items()}
    table = _find(holder, step)
    if table is not None:
        for key in change.without:
            table.pop(key, None)
        table.update(keys)
    elif isinstance(step, str):
        holder[step] = keys
    else:
        holder.setdefault(step[0], []).append({"id": step[1], **keys})
    return after


def _holder(root: dict[str, Any], path: Sequence[Step]) -> dict[str, Any]:
    """The table that holds what the last step names."""
    for step in path[:-1]:
        found = _find(root, step)
        if found is None:
            raise EditError(_missing(root, step))
        root = found
    return root


def _missing(holder: dict[str, Any], step: Step) -> str:
    if isinstance(step, str):
        return f"there is no [{step}] in it"
    name, wanted = step
    known = ", ".join(str(each.get("id")) for each in holder.get(name, []))
    return f"there is no {name} '{wanted}' in it; there is: {known or 'none'}"


def _find(holder: dict[str, Any], step: Step) -> dict[str, Any] | None:
    """The table a step names, in what tomllib or tomlkit has read; None when it is not there."""
    name = step if isinstance(step, str) else step[0]
    found = holder.get(name)
    if found is None:
        return None
    if isinstance(step, str):
        if not isinstance(found, dict):
            raise LayoutError(f"a key stands where the table [{name}] is wanted")
        return found
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise LayoutError(f"a key stands where the tables [[{name}]] are wanted")
    return next((each for each in found if each.get("id") == step[1]), None)


def _written(text: str, change: Change) -> str:
    """The text with the change made by tomlkit."""
    whole = text if not text or text.endswith("\n") else text + "\n"
    document = tomlkit.parse(whole)
    if document.as_string() != whole:  # it draws together an array of tables that others stand between
        raise LayoutError("its sections are in an order that can't be kept")
    holder, step = _holder(document, change.path), change.path[-1]
    if (table := _find(holder, step)) is not None:
        with _tail_aside(table):
            _set_keys(table, change)
    else:
        with _tail_aside(holder, apart=True):
            _add(holder, step, change.keys)
    edited = document.as_string()
    edited = edited if text.endswith("\n\n") else edited.rstrip("\n") + "\n"
    return edited if text.strip() else edited.lstrip("\n")


def _set_keys(table: dict[str, Any], change: Change) -> None:
    for key in change.without:
        table.pop(key, None)
    indent = _indent_of_keys(table)
    for key, value in change.keys.items():
        if key in table:
            _replace(table, key, _plain(value))
        else:
            table[key] = item = tomlkit.item(_plain(value))
            if indent is not None:
                item.trivia.indent = indent


def _replace(holder: Any, place: str | int, value: Any) -> None:
    """Number by number where there is a list of as many, so that it stays laid out, and remarked upon, as it was."""
    old = holder[place]
    if isinstance(old, Array) and isinstance(value, list) and len(old) == len(value):
        for number, each in enumerate(value):
            _replace(old, number, each)
    elif old != value:
        holder[place] = value


def _indent_of_keys(table: dict[str, Any]) -> str | None:
    """How the keys of a table are indented; None where they are not on lines of their own."""
    if not isinstance(table, Table):
        return None
    keys = [item for key, item in table.value.body if key is not None and not isinstance(item, Table | AoT)]
    return (keys[-1] if keys else table).trivia.indent.strip("\n")


def _add(holder: dict[str, Any], step: Step, keys: Mapping[str, Value]) -> None:
    """A new table in `holder`, written in the manner of what is there."""
    inline = isinstance(holder, InlineTable) or (not isinstance(step, str) and isinstance(holder.get(step[0]), Array))
    made = tomlkit.inline_table() if inline else tomlkit.table()
    indent = _indent_of_tables(holder)
    made.trivia.indent = "" if inline else "\n" + indent
    whole = keys if isinstance(step, str) else {"id": step[1], **keys}
    for key, value in whole.items():
        item = tomlkit.item(_plain(value))
        made[key] = item
        item.trivia.indent = "" if inline else indent
    if isinstance(step, str):
        holder[step] = made
    elif step[0] in holder:
        holder[step[0]].append(made)
    else:
        array: Array | AoT = tomlkit.array() if inline else tomlkit.aot()
        array.append(made)
        holder[step[0]] = array
    if isinstance(made, Table):  # being put in its place has indented it anew
        made.trivia.indent = "\n" + indent


def _indent_of_tables(holder: dict[str, Any]) -> str:
    """As the other tables in this one are indented; a step further than itself where it has none."""
    if not isinstance(holder, Table):
        return ""
    for _, item in holder.value.body:
        table = item.body[0] if isinstance(item, AoT) else item
        if isinstance(table, Table):
            return table.trivia.indent.strip("\n")
    return holder.trivia.indent.strip("\n") + "  "


@contextlib.contextmanager
def _tail_aside(table: dict[str, Any], *, apart: bool = False) -> Iterator[None]:
    """Whatever is added to `table` meanwhile goes before the comments below it, which lead to the next table.

    Args:
        table: it, and the tables in it.
        apart: whether an empty line is to follow what is added.
    """
    if not isinstance(table, Table | Container):
        yield
        return
    body = _last_body(table)
    begin = _tail(body, comments=isinstance(table, Table))
    tail = body[begin:]
    del body[begin:]
    yield
    if apart and not (tail and _is_blank(tail[0][1])):
        tail.insert(0, (None, tomlkit.nl()))
    _last_body(table).extend(tail)


def _last_body(table: Table | Container) -> _Body:
    """The lines of what comes last in a table: of its last sub-table, where it has any."""
    body = table.value.body if isinstance(table, Table) else table.body
    if body:
        key, last = body[-1]
        if isinstance(last, AoT) and last.body:
            return _last_body(last.body[-1])
        if isinstance(last, Table) and key is not None and not key.is_dotted():
            return _last_body(last)
    return body


def _tail(body: _Body, *, comments: bool) -> int:
    """Where the lines begin that belong to what follows rather than to the last key.

    That is at the first empty line below it; where there is none, at the comments that are not indented.
    """
    begin = len(body)
    while begin and body[begin - 1][0] is None and isinstance(body[begin - 1][1], Comment | Whitespace):
        begin -= 1
    if not comments:  # at the end of the file they lead to nothing
        while len(body) > begin and _is_blank(body[-1][1]):
            body.pop()
        return len(body)
    blank = next((at for at in range(begin, len(body)) if _is_blank(body[at][1])), None)
    if blank is not None:
        return blank
    last = len(body)
    while last > begin and not body[last - 1][1].trivia.indent:
        last -= 1
    return last


def _is_blank(item: Item) -> bool:
    return isinstance(item, Whitespace) and not item.as_string().strip()
