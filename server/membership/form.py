"""The form by which a member is enrolled, as a description that a page can draw, and the chain's own fields in it."""

from dataclasses import dataclass
from typing import Final

from server.access import audit
from server.access.models import Locale, Scope
from server.clock import Clock, utc_now
from server.errors import Conflict, NotFound
from server.membership import consent_repository, field_repository, names
from server.membership.fields import CustomField, check_definition
from server.membership.models import Purpose
from server.membership.reading import HEADQUARTERS, READERS
from server.membership.wording import Wording, newest
from server.storage.pool import Database

_LABELS: Final[dict[str, dict[Locale, str]]] = {
    "name": {"zh": "姓名", "en": "Name"},
    "phone": {"zh": "手机号", "en": "Phone"},
    "birthday": {"zh": "生日", "en": "Birthday"},
    "home_store": {"zh": "所属门店", "en": "Home store"},
}


@dataclass(frozen=True, slots=True)
class FormOption:
    """One choice."""

    value: str
    label: str


@dataclass(frozen=True, slots=True)
class FormField:
    """One field of the form.

    Attributes:
        name: as it is sent; the chain's own as ``custom.<field>``.
        kind: ``text``, ``phone``, ``date``, ``number``, ``boolean``, ``choice``, ``choices`` or ``store``.
        least, most: bounds of a number or date.
        longest: of a text, in characters.
    """

    name: str
    kind: str
    label: str
    required: bool
    options: list[FormOption]
    least: str | None = None
    most: str | None = None
    longest: int | None = None


@dataclass(frozen=True, slots=True)
class Form:
    """The form in one language: fields from top to bottom, and what is asked for consent."""

    locale: Locale
    fields: list[FormField]
    consents: dict[Purpose, Wording]


class EnrolForm:
    """Describes the form, and lets headquarters change its own part."""

    def __init__(self, db: Database, clock: Clock = utc_now) -> None:
        self._db = db
        self._clock = clock

    def describe(self, scope: Scope, locale: Locale | None = None) -> Form:
        """The form, in the caller's language or another."""
        scope.require_role(*READERS)
        language = locale or scope.locale
        with self._db.read() as conn:
            own = [each for each in field_repository.fields(conn) if each.retired_at is None]
            wordings = newest(consent_repository.wordings(conn))
        fixed = [
            FormField("name", "text", _LABELS["name"][language], True, [], longest=names.LONGEST),
            FormField("phone", "phone", _LABELS["phone"][language], True, [], longest=40),
            FormField("birthday", "date", _LABELS["birthday"][language], False, [], least="1900-01-01"),
            FormField("home_store", "store", _LABELS["home_store"][language], True, []),
        ]
        return Form(language, [*fixed, *(_drawn(each, language) for each in own)], wordings[language])

    def fields(self, scope: Scope) -> list[CustomField]:
        """The chain's own fields, also the retired ones."""
        scope.require_role(*READERS)
        with self._db.read() as conn:
            return field_repository.fields(conn)

    def define(self, scope: Scope, new: CustomField) -> CustomField:
        """Ask for something, or ask for it in another way. For headquarters.

        Raises:
            InvalidInput: naming what can't be.
            Conflict: a field can't become one of another kind.
        """
        scope.require_role(*HEADQUARTERS)
        scope.require_whole_chain()
        check_definition(new)
        now = self._clock()
        with self._db.transaction() as conn:
            if not field_repository.save(conn, new, scope.actor, now):
                raise Conflict(
                    f"the field {new.field!r} is of another kind, and has answers of that kind",
                    field="kind",
                    remedy="define another field, and retire this one",
                )
            detail: dict[str, object] = {"kind": new.kind, "required": new.rules.required}
            audit.record(conn, now, scope.actor, "member.define_field", subject=new.field, detail=detail)
        return new

    def retire(self, scope: Scope, field: str) -> None:
        """Ask for something no more; what was answered is kept. For headquarters.

        Raises:
            NotFound: when there is none by that name.
        """
        scope.require_role(*HEADQUARTERS)
        scope.require_whole_chain()
        now = self._clock()
        with self._db.transaction() as conn:
            if not field_repository.retire(conn, field, now):
                raise NotFound(f"there is no field {field!r} that is asked for", field="field")
            audit.record(conn, now, scope.actor, "member.retire_field", subject=field)


def _drawn(own: CustomField, locale: Locale) -> FormField:
    rules = own.rules
    return FormField(
        name=f"custom.{own.field}",
        kind=own.kind,
        label=own.labels[locale],
        required=rules.required,
        options=[FormOption(option.value, option.labels[locale]) for option in rules.options],
        least=rules.least,
        most=rules.most,
        longest=rules.longest,
    )
