"""Codes of coupons: to be guessed by nobody, and read out over a counter. Pure but for the dice.

Twelve characters of thirty-one, without those that are taken for one another (I, L, O, U, Z), are 59 bits. The
thirteenth is a check character, so that a slip of the tongue is told apart from a code that isn't there: the sum of the
characters' values, each times its place, modulo 31. That being a prime, every single wrong character and every swap of
neighbours is found.
"""

from secrets import randbelow
from typing import Final

_ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXY"
_LENGTH: Final = 12
_PRIME: Final = len(_ALPHABET)
#: As people read them: letters that are not in the alphabet, as what they look like.
_HEARD: Final = str.maketrans({"I": "1", "L": "1", "O": "0", "U": "V", "Z": "2"})


def new_code() -> str:
    """A new code with its check character; the caller sees to it that it isn't taken."""
    body = "".join(_ALPHABET[randbelow(_PRIME)] for _ in range(_LENGTH))
    return body + _check(body)


def read(text: str) -> str | None:
    """The code somebody typed, spoke or scanned, however it was spaced; None if it can't be one."""
    plain = "".join(text.upper().replace("-", " ").split()).translate(_HEARD)
    if len(plain) != _LENGTH + 1 or any(letter not in _ALPHABET for letter in plain):
        return None
    return plain if _check(plain[:-1]) == plain[-1] else None


def spoken(code: str) -> str:
    """A code in groups, as it is printed and read out."""
    return f"{code[:4]}-{code[4:8]}-{code[8:]}"


def _check(body: str) -> str:
    total = sum(place * _ALPHABET.index(letter) for place, letter in enumerate(body, start=1))
    return _ALPHABET[total % _PRIME]
