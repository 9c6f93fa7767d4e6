"""What the enrol form holds, and what may be wrong with it: the same with the network and without it.

The chain's own fields are drawn from their description and checked by the rules of membership, one by one, so that
everything wrong is said at once and beside its field.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import Depends, Form, Request

from dashboards.formats import Formats
from dashboards.i18n import N_, translations
from dashboards.viewer import Viewer
from server.access.models import Locale
from server.errors import InvalidInput
from server.membership.fields import Answer, CustomField, Given, check_answers, typed
from server.membership.form import Form as Described
from server.membership.form import FormField
from server.membership.models import Member, Proof
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
    "code": N_("This code is wrong or no longer holds. Check the digits, or send another one."),
}
#: A number that a member has: what becomes of it is for the desk to say.
TAKEN: Final = N_("This number belongs to a member already.")
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
        moves: the number was somebody else's, and the desk says that it is this person's now.
        code_id, code: of a one-time code that was sent to the number, and what the person read from it; `sent_to` is
            the masked number it went to.
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
    moves: bool = False
    code_id: UUID | None = None
    code: str = ""
    sent_to: str = ""

    @property
    def is_new(self) -> bool:
        """Whether somebody is enrolled by it."""
        return True

    @property
    def proof(self) -> Proof | None:
        """That the person holds the number; None where no code was sent."""
        return None if self.code_id is None else Proof(self.code_id, self.code)

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
        if not is_phone(self.phone) and (self.is_new or self.phone):
            self.problems["phone"] = PROBLEMS["phone"]
        if self.is_new and not self.consent:
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
        order = ["code", "name", "phone", "birthday", "home_store", *(each.name for each in own), "consents"]
        return next((place for place in order if place in self.problems), "")

    def _birthday(self) -> date | None:
        if not self.birthday:
            return None
        try:
            return date.fromisoformat(self.birthday)
        except ValueError:
            self.problems["birthday"] = PROBLEMS["birthday"]
            return None


@dataclass(slots=True)
class CorrectForm(EnrolForm):
    """What is kept of a member, to be put right; a number that is left empty stays.

    The number isn't in it: whoever corrects a birthday needn't see the number, and every look at one is on record.

    Attributes:
        phone_now: masked; empty where the number went to somebody else.
        answered: the chain's own fields that have an answer, which alone can be taken back.
    """

    member_id: UUID | None = None
    name_now: str = ""
    phone_now: str = ""
    answered: frozenset[str] = frozenset()

    @property
    def is_new(self) -> bool:
        """Never."""
        return False

    @classmethod
    def of(cls, member: Member) -> "CorrectForm":
        """With what is kept."""
        return cls(
            name=member.name,
            birthday=member.birthday.isoformat() if member.birthday else "",
            custom={name: _written(answer) for name, answer in member.custom.items()},
            member_id=member.member_id,
            name_now=member.name,
            phone_now=member.phone,
            answered=frozenset(member.custom),
        )

    def answers(self, fields: Sequence[CustomField], locale: Locale) -> dict[str, Given]:
        """As for who is new; but nobody has to answer today what was not asked when they were enrolled."""
        asked = [each for each in fields if each.field in self.answered or any(self.custom.get(each.field, ()))]
        # Named apart, for a class with slots is made anew, and `super()` would look in the one of before.
        return EnrolForm.answers(self, asked, locale)


def own_fields(form: Described) -> list[FormField]:
    """The chain's own fields of a form."""
    return [each for each in form.fields if each.name.startswith(CUSTOM)]


def enrol_form(services: Services, viewer: Viewer, form: EnrolForm, holder: Member | None = None) -> dict[str, Any]:
    """What the template of the enrol form takes: the form, the chain's own fields in it, and the words for consent.

    Args:
        holder: who has the number; looking at them comes first then.
    """
    described = services.members.form.describe(viewer.scope, viewer.locale)
    own = own_fields(described)
    return {
        "form": form,
        "own_fields": own,
        "within": {each.name: bounds(each.least, each.most, each.kind, viewer.locale) for each in own},
        "focus": "" if holder else form.first_problem(own) or ("code" if form.code_id else "name"),
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


def entered(
    name: Annotated[str, Form(max_length=200)] = "",
    phone: Annotated[str, Form(max_length=60)] = "",
    birthday: Annotated[str, Form(max_length=20)] = "",
    home_store: Annotated[str, Form(max_length=64)] = "",
    consent: Annotated[str, Form(max_length=5)] = "",
    marketing: Annotated[str, Form(max_length=5)] = "",
    moves: Annotated[str, Form(max_length=5)] = "",
    code: Annotated[str, Form(max_length=20)] = "",
    sent_to: Annotated[str, Form(max_length=60)] = "",
    *,
    more: Annotated[dict[str, dict[str, Any]], Depends(written)],
    code_id: Annotated[UUID | None, Form()] = None,
) -> EnrolForm:
    """The form as somebody sends it: a dependency."""
    return EnrolForm(
        name=name.strip(),
        phone=phone.strip(),
        birthday=birthday.strip(),
        home_store=home_store,
        consent=bool(consent),
        marketing=bool(marketing),
        moves=bool(moves),
        code_id=code_id,
        code=code.strip(),
        sent_to=sent_to,
        **more,
    )


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


def _written(answer: Answer) -> list[str]:
    """An answer as a form holds it, for `typed` to read."""
    if isinstance(answer, bool):
        return ["yes" if answer else "no"]
    return answer if isinstance(answer, list) else [answer]


def _told(asked: CustomField, locale: Locale, *, is_missing: bool) -> str:
    gettext = translations(locale).gettext
    if is_missing:
        return gettext(_MISSING)
    within = bounds(asked.rules.least, asked.rules.most, asked.kind, locale)
    return gettext(_KINDS[asked.kind]) + (f" ({within})" if within else "")
