"""What the enrol form holds, and what may be wrong with it: the same with the network and without it."""

from dataclasses import dataclass, field
from datetime import date
from typing import Final

from dashboards.i18n import N_

#: Fewer digits than this are no phone number, anywhere.
_PHONE_DIGITS: Final = 7
PROBLEMS: Final = {
    "name": N_("Enter the customer's name."),
    "phone": N_("This is not a complete phone number. Check the digits with the customer."),
    "birthday": N_("Enter a date in the past, or leave it empty."),
    "consents": N_("A member can only be enrolled when they agree."),
    "home_store": N_("Choose the store."),
    "who": N_("Nobody has this card or number."),
}


@dataclass(slots=True)
class EnrolForm:
    """What the enrol form holds, as typed, and what is wrong with it by field."""

    name: str = ""
    phone: str = ""
    birthday: str = ""
    home_store: str = ""
    consent: bool = False
    marketing: bool = False
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

    def refuse(self, place: str | None) -> None:
        """Note what the server found wrong."""
        known = place if place in PROBLEMS else "name"
        self.problems[known] = PROBLEMS[known]

    def _birthday(self) -> date | None:
        if not self.birthday:
            return None
        try:
            return date.fromisoformat(self.birthday)
        except ValueError:
            self.problems["birthday"] = PROBLEMS["birthday"]
            return None


def is_phone(text: str) -> bool:
    """Whether something typed may be a whole phone number."""
    return sum(sign.isdigit() for sign in text) >= _PHONE_DIGITS and not any(sign.isalpha() for sign in text)
