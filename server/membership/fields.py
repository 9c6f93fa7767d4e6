"""What the chain itself wants to know of a member: questions with a type, and answers held to it. Pure.

Headquarters defines, the desk fills in, and a page draws the form from the description alone. The trap is the free
field that everybody fills in another way and nobody can ever count; so each has a type, and what does not fit is
refused by the field's name. An answer to a field that was retired stays as it is; only new ones are not taken.
"""

import dataclasses
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from typing import Final, Literal, get_args

from server.access.models import LOCALES, Locale
from server.errors import InvalidInput

#: An answer as it is kept: a number as it was written, a date in ISO 8601, choices as a list.
Answer = bool | str | list[str]
#: An answer as it comes; None takes one back.
Given = bool | int | str | list[str] | None
FieldKind = Literal["text", "number", "date", "boolean", "choice", "choices"]

_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,39}")
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")
_LONGEST_TEXT: Final = 2000
_MOST_OPTIONS: Final = 200
_BOOLEANS: Final = {"yes": True, "no": False}
_LARGEST: Final = Decimal(10) ** 15


@dataclass(frozen=True, slots=True)
class Option:
    """One answer of a choice."""

    value: str
    labels: Mapping[Locale, str]


@dataclass(frozen=True, slots=True)
class Rules:
    """What an answer must be.

    Attributes:
        required: nobody is enrolled without it.
        options: of a choice.
        least, most: of a number as written in decimal, of a date in ISO 8601.
        longest: of a text, in characters.
    """

    required: bool = False
    options: Sequence[Option] = ()
    least: str | None = None
    most: str | None = None
    longest: int | None = None


@dataclass(frozen=True, slots=True)
class CustomField:
    """A question of the chain's own.

    Attributes:
        place: fields are shown by rising place.
        retired_at: since when it is not asked any more (UTC).
    """

    field: str
    kind: FieldKind
    labels: Mapping[Locale, str]
    rules: Rules = dataclasses.field(default_factory=Rules)
    place: int = 0
    retired_at: datetime | None = None


def check_definition(new: CustomField) -> None:
    """A field as headquarters defines it.

    Raises:
        InvalidInput: naming what can't be.
    """
    if not _NAME.fullmatch(new.field):
        raise _bad("field", f"{new.field!r} is no field's name", "use up to 40 of a-z, 0-9 and _, a letter first")
    if new.kind not in get_args(FieldKind):
        raise _bad("kind", f"there is no kind {new.kind!r}", f"use one of {', '.join(get_args(FieldKind))}")
    if set(new.labels) != set(LOCALES) or not all(_is_label(label) for label in new.labels.values()):
        raise _bad("labels", "a field needs a label in each language", f"give {' and '.join(LOCALES)}")
    rules = new.rules
    if (new.kind in {"choice", "choices"}) != bool(rules.options):
        raise _bad("options", "options belong to a choice, and a choice needs some", "give them, or another kind")
    values = [option.value for option in rules.options]
    if len(values) > _MOST_OPTIONS or len(set(values)) < len(values) or not all(map(_is_label, values)):
        raise _bad("options", "the options are too many, empty or there twice", "give each value once")
    if any(set(option.labels) != set(LOCALES) for option in rules.options):
        raise _bad("options", "an option needs a label in each language", f"give {' and '.join(LOCALES)}")
    if (rules.least or rules.most) and new.kind not in {"number", "date"}:
        raise _bad("least", f"a field of kind {new.kind} has no bounds", "leave least and most out")
    bounds = [_parsed(new, bound) for bound in (rules.least, rules.most) if bound is not None]
    if len(bounds) == 2 and bounds[0] > bounds[1]:  # type: ignore[operator]
        raise _bad("least", "the least is more than the most", "turn them round")
    if rules.longest is not None and (new.kind != "text" or not 1 <= rules.longest <= _LONGEST_TEXT):
        raise _bad("longest", "a length is of texts, from 1 to 2000", "leave it out, or mend it")


def check_answers(
    fields: Sequence[CustomField], given: Mapping[str, Given], *, before: Mapping[str, Answer] | None = None
) -> dict[str, Answer]:
    """A member's answers, in the form in which they are kept.

    Args:
        fields: all there are.
        given: new answers by field; None takes one back.
        before: the answers so far; left out, the member is new and every required field must be answered.

    Returns:
        all answers, old and new.

    Raises:
        InvalidInput: by field, as ``custom.<field>``.
    """
    known = {each.field: each for each in fields if each.retired_at is None}
    answers: dict[str, Answer] = dict(before or {})
    for name, value in given.items():
        asked = known.get(name)
        if asked is None:
            raise _bad(f"custom.{name}", "there is no such field", "read the form's description anew")
        if value is None or value == "" or value == []:
            answers.pop(name, None)
        else:
            answers[name] = _answer(asked, value)
    touched = known.values() if before is None else [known[name] for name in given]
    for asked in touched:
        if asked.rules.required and asked.field not in answers:
            raise _bad(f"custom.{asked.field}", "this field must be answered", "ask, and fill it in")
    return answers


def typed(fields: Sequence[CustomField], written: Mapping[str, Sequence[str]]) -> dict[str, Given]:
    """Answers as a form holds them, each a list of texts, in the types that the fields ask for.

    What is not asked any more is left out: a desk that was offline may have been drawn before it was retired.

    Args:
        written: by field; of a ``boolean`` ``yes`` or ``no``.
    """
    known = {each.field: each for each in fields if each.retired_at is None}
    answers: dict[str, Given] = {}
    for name, asked in known.items():
        texts = [text for text in written.get(name, ()) if text.strip()]
        if asked.kind == "choices":
            answers[name] = texts
        elif not texts:
            answers[name] = None
        elif asked.kind == "boolean" and texts[0] in _BOOLEANS:
            answers[name] = _BOOLEANS[texts[0]]
        else:
            answers[name] = texts[0]
    return answers


def _answer(asked: CustomField, value: Given) -> Answer:
    name = f"custom.{asked.field}"
    if asked.kind == "boolean":
        if not isinstance(value, bool):
            raise _bad(name, "this is neither true nor false", "send true or false")
        return value
    if asked.kind == "choices":
        if not isinstance(value, list):
            raise _bad(name, "this is no list of choices", "send a list")
        return sorted({_choice(asked, each) for each in value})
    if asked.kind == "choice":
        return _choice(asked, value)
    if asked.kind == "number" and isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        raise _bad(name, f"this is no {asked.kind}", "send it as text, as it was written")
    typed = _parsed(asked, value.strip(), name)
    for bound, is_beyond, word in ((asked.rules.least, -1, "least"), (asked.rules.most, 1, "most")):
        if bound is not None and _order(typed, _parsed(asked, bound)) == is_beyond:
            raise _bad(name, f"this is beyond the {word}, {bound}", "check it with the member")
    return str(typed)


def _parsed(asked: CustomField, text: str, name: str = "least") -> Decimal | date | str:
    if asked.kind == "number":
        try:
            number = Decimal(text)
        except InvalidOperation as error:
            raise _bad(name, "this is no number", "write it with digits and a point, such as 19.5") from error
        if not number.is_finite() or abs(number) > _LARGEST:
            raise _bad(name, "this is no number one can work with", "write it with digits and a point") from None
        return number
    if asked.kind == "date":
        try:
            return date.fromisoformat(text)
        except ValueError as error:
            raise _bad(name, "this is no date", "write it as 2026-11-22") from error
    longest = asked.rules.longest or _LONGEST_TEXT
    if len(text) > longest or _CONTROL.search(text):
        raise _bad(name, f"this is too long or has control characters; {longest} at the most", "shorten it")
    return text


def _order(one: Decimal | date | str, other: Decimal | date | str) -> int:
    return (one > other) - (one < other)  # type: ignore[operator]


def _choice(asked: CustomField, value: Given) -> str:
    if not isinstance(value, str) or value not in {option.value for option in asked.rules.options}:
        raise _bad(f"custom.{asked.field}", "this is none of the choices", "choose from the list")
    return value


def _is_label(text: str) -> bool:
    return 0 < len(text.strip()) <= 80 and not _CONTROL.search(text)


def _bad(name: str, message: str, remedy: str) -> InvalidInput:
    return InvalidInput(message, field=name, remedy=remedy)
