"""One spelling for a phone number. Pure.

A number is dictated, pasted and scanned in a dozen ways, in full-width digits too; every spelling that slips through
unnormalised is a duplicate member. E.164 is kept, and only that.
"""

import unicodedata
from typing import Final

import phonenumbers
from phonenumbers import NumberParseException, PhoneNumberFormat

from server.errors import InvalidInput

_LONGEST: Final = 40


def e164(text: str, country: str) -> str:
    """A phone number in E.164, such as ``+8613800138000``.

    Args:
        text: as typed.
        country: ISO 3166, of a number without a country code.

    Raises:
        InvalidInput: when it is no possible number of its country.
    """
    number = _parsed(text, country)
    if number is None:
        raise InvalidInput(
            "this is not a phone number",
            field="phone",
            remedy=f"check the digits; a number from outside {country} begins with + and its country code",
        )
    return number


def maybe_e164(text: str, country: str) -> str | None:
    """As `e164`, but None when it is no number."""
    return _parsed(text, country)


def last4(number: str) -> str:
    """The last four digits of an E.164 number, by which a till's slip names a customer."""
    return number[-4:]


def masked(number: str, country: str) -> str:
    """The number with its middle hidden: ``138****1234``; with its country code unless it is of `country`."""
    parsed = phonenumbers.parse(number)
    national = phonenumbers.national_significant_number(parsed)
    head = national[:3] if len(national) >= 10 else national[:1]
    tail = national[-4:] if len(national) >= 8 else national[-2:]
    hidden = head + "*" * max(4, len(national) - len(head) - len(tail)) + tail
    if parsed.country_code == phonenumbers.country_code_for_region(country):
        return hidden
    return f"+{parsed.country_code} {hidden}"


def _parsed(text: str, country: str) -> str | None:
    plain = unicodedata.normalize("NFKC", text).strip()
    if not plain or len(plain) > _LONGEST:
        return None
    try:
        number = phonenumbers.parse(plain, country)
    except NumberParseException:
        return None
    if not phonenumbers.is_valid_number(number) or number.extension:
        return None
    return phonenumbers.format_number(number, PhoneNumberFormat.E164)
