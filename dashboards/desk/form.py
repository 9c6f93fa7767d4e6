"""What the enrol form holds, and what may be wrong with it: the same with the network and without it.

The chain's own fields are drawn from their description and checked by the rules of membership, one by one, so that
everything wrong is said at once and beside its field.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Final

from fastapi import Request

from dashboards.formats import Formats
from dashboards.i18n import N_, translations
from dashboards.viewer import Viewer
from server.access.models import Locale
from server.errors import InvalidInput
from server.membership.fields import CustomField, Given, check_answers, typed
from server.membership.form import Form, FormField
from server.services import Services

#: Fewer digits than this are no phone number, anywhere.
_PHONE_DIGITS: Final = 7
#: How the chain's own fields are called in a form, and in an error.
CUSTOM: Final = "custom."
_VERSION: Final = "version."
PROBLEMS: Final = {
    "name": N_("Enter the customer's name."),
    "phone": N_("This is not a complete phone number. Check the digits with the customer."),
    "birthday": N_("Enter a date in the past, or leave it empty."),
    "home_store": N_("Choose the store."),
    "consents": N_("A member can only be enrolled when they agree."),
    "who": N_("Nobody has this card or number."),
}
#: Of a field of the chain's own, where nobody says which.
CUSTOM_PROBLEM: Final = N_("Something the chain asks for is missing or doesn't fit.")
_MISSING: Final = N_("Ask the customer; nobody is enrolled without it.")
_KINDS: Final = {
    "number": N_("Enter a number, such as 19.5."),
    "date": N_("Enter a date."),
    "boolean": N_("Choose yes or no."),
    "choice": N_("Choose one of the list."),
    "choices": N_("Choose from the list."),
    "text": N_("Enter fewer letters."),
}


@dataclass(slots=True)
class EnrolForm:
    """What the enrol form holds, as typed, and what is wrong with it by field.

    Attributes:
        custom: answers to the chain's own fields, each a list of texts.
        versions: of the words for consent that were shown, by purpose.
    """

    name: str = ""
    phone: str = ""
    birthday: str = ""
    home_store: str = ""
    consent: bool = False
    marketing: bool = False
    custom: Mapping[str, Sequence[str]] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)

    @classmethod
    def for_nobody(cls, asked: str) -> "EnrolForm":
        """The form that opens when nobody was found, with what was looked for where it belongs."""
        if is_phone(asked):
            return cls(phone=asked)
        return cls(name="" if any(sign.isdigit() for sign in asked) else asked)

    def check(self) -> date | None:
        """Note what can be seen to be wrong; the birthday, where there is one."""
        born = self._birthday()
        if not self.name:
            self.problems["name"] = PROBLEMS["name"]
        if not is_phone(self.phone):
            self.problems["phone"] = PROBLEMS["phone"]
        if not self.consent:
            self.problems["consents"] = PROBLEMS["consents"]
        return born

    def answers(self, fields: Sequence[CustomField], locale: Locale) -> dict[str, Given]:
        """The answers to the chain's own fields in their types; what is wrong with them is noted."""
        given = typed(fields, self.custom)
        for asked in fields:
            if asked.field in given:
                try:
                    check_answers([asked], {asked.field: given[asked.field]})
                except InvalidInput:
                    is_missing = given[asked.field] in (None, [])
                    self.problems[CUSTOM + asked.field] = _told(asked, locale, is_missing=is_missing)
        return given

    def refuse(self, place: str | None) -> None:
        """Note what the server found wrong."""
        if place is not None and place.startswith(CUSTOM):
            self.problems[place] = CUSTOM_PROBLEM
            return
        known = place if place in PROBLEMS else "name"
        self.problems[known] = PROBLEMS[known]

    def first_problem(self, own: Sequence[FormField]) -> str:
        """The first field, from top to bottom, that something is wrong with; empty where nothing is."""
        order = ["name", "phone", "birthday", "home_store", *(each.name for each in own), "consents"]
        return next((place for place in order if place in self.problems), "")

    def _birthday(self) -> date | None:
        if not self.birthday:
            return None
        try:
            return date.fromisoformat(self.birthday)
        except ValueError:
            self.problems["birthday"] = PROBLEMS["birthday"]
            return None


def own_fields(form: Form) -> list[FormField]:
    """The chain's own fields of a form."""
    return [each for each in form.fields if each.name.startswith(CUSTOM)]


def enrol_form(services: Services, viewer: Viewer, form: EnrolForm) -> dict[str, Any]:
    """What the template of the enrol form takes: the form, the chain's own fields in it, and the words for consent."""
    described = services.members.form.describe(viewer.scope, viewer.locale)
    own = own_fields(described)
    return {
        "form": form,
        "own_fields": own,
        "within": {each.name: bounds(each.least, each.most, each.kind, viewer.locale) for each in own},
        "first_problem": form.first_problem(own),
        "words": described.consents,
        "today": date.today().isoformat(),  # noqa: DTZ011  only the latest date the browser's picker offers
    }


async def written(request: Request) -> dict[str, dict[str, Any]]:
    """What a form holds beyond the fields that every chain has: a dependency, for their names are the chain's.

    Returns:
        ``custom``: lists of texts by field; ``versions``: of the words shown, by purpose.
    """
    form = await request.form()
    custom = {
        name.removeprefix(CUSTOM): [each for each in form.getlist(name) if isinstance(each, str)]
        for name in form
        if name.startswith(CUSTOM)
    }
    versions = {
        name.removeprefix(_VERSION): value
        for name, value in form.items()
        if name.startswith(_VERSION) and isinstance(value, str)
    }
    return {"custom": custom, "versions": versions}


def is_phone(text: str) -> bool:
    """Whether something typed may be a whole phone number."""
    return sum(sign.isdigit() for sign in text) >= _PHONE_DIGITS and not any(sign.isalpha() for sign in text)


def bounds(least: str | None, most: str | None, kind: str, locale: Locale) -> str:
    """What a field's bounds are, in words; empty without any."""
    gettext, fmt = translations(locale).gettext, Formats(locale)

    def shown(bound: str) -> str:
        return fmt.plain_day(date.fromisoformat(bound)) if kind == "date" else bound

    if least and most:
        return gettext(N_("%(least)s to %(most)s")) % {"least": shown(least), "most": shown(most)}
    if least:
        words = N_("%(least)s or later") if kind == "date" else N_("%(least)s or more")
        return gettext(words) % {"least": shown(least)}
    words = N_("%(most)s at the latest") if kind == "date" else N_("%(most)s at most")
    return gettext(words) % {"most": shown(most)} if most else ""


def _told(asked: CustomField, locale: Locale, *, is_missing: bool) -> str:
    gettext = translations(locale).gettext
    if is_missing:
        return gettext(_MISSING)
    within = bounds(asked.rules.least, asked.rules.most, asked.kind, locale)
    return gettext(_KINDS[asked.kind]) + (f" ({within})" if within else "")
