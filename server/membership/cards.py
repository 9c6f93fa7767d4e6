"""Card numbers: ten digits, random, the last one a check digit (Luhn, ISO/IEC 7812-1). Pure but for the dice.

They are random because a running number tells every member how many there are, and lets anyone guess the next one.
"""

import re
from secrets import randbelow
from typing import Final

_FORM: Final = re.compile(r"[1-9][0-9]{9}")


def check_digit(digits: str) -> str:
    """The Luhn digit that belongs behind `digits`."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (2 if place % 2 == 0 else 1)
        total += value - 9 if value > 9 else value
    return str(-total % 10)


def new_card() -> str:
    """A new number; the caller sees to it that it isn't taken."""
    digits = str(10**8 + randbelow(9 * 10**8))
    return digits + check_digit(digits)


def is_card(text: str) -> bool:
    """Whether this has the form and the check digit of a card number."""
    return _FORM.fullmatch(text) is not None and check_digit(text[:-1]) == text[-1]
