"""What a name can be found by: itself, its pinyin, its initials. Pure.

A clerk hears "Zhang Wei" and can't know which characters; and many characters have several readings, above all in
surnames (曾 is zeng, not ceng), so every reading is kept, up to a bound.
"""

import re
import unicodedata
from itertools import islice, product
from typing import Final

from pypinyin import Style, pinyin

from server.errors import InvalidInput

LONGEST: Final = 80
_MOST_READINGS: Final = 24
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
_WORD: Final = re.compile(r"[^\W_]+")


def clean(name: str) -> str:
    """The name as it is kept: composed characters, single spaces.

    Raises:
        InvalidInput: when it is empty, too long or has characters no name has.
    """
    plain = " ".join(unicodedata.normalize("NFKC", name).split())
    if not plain:
        raise InvalidInput("the name is empty", field="name", remedy="give the name the member goes by")
    if len(plain) > LONGEST or _CONTROL.search(name.strip()):
        raise InvalidInput(
            "the name is too long or has control characters", field="name", remedy=f"use at most {LONGEST} letters"
        )
    return plain


def folded(text: str) -> str:
    """The spelling that is hashed: no case, no spaces, no accents and no signs."""
    bare = unicodedata.normalize("NFKD", text).casefold()
    return "".join(_WORD.findall("".join(c for c in bare if not unicodedata.combining(c))))


def name_keys(name: str) -> set[str]:
    """Spellings of the whole name and, of a name with spaces, of each word: 张伟 gives 张伟, zhangwei."""
    keys = {folded(name), *("".join(reading) for reading in _readings(name))}
    words = name.split()
    if len(words) > 1:
        keys |= {folded(word) for word in words}
        keys.add(folded("".join(reversed(words))))
    return {key for key in keys if key}


def initials(name: str) -> set[str]:
    """First letters of the syllables or words: 张伟 gives zw, John Smith gives js."""
    return {"".join(part[0] for part in reading) for reading in _readings(name)}


def _readings(name: str) -> list[tuple[str, ...]]:
    """Each reading as a tuple of syllables or words."""
    choices: list[list[str]] = []
    for word in name.split():
        for options in pinyin(word, style=Style.NORMAL, heteronym=True, v_to_u=False):
            spelled = sorted({folded(option) for option in options} - {""})
            if spelled:
                choices.append(spelled)
    return list(islice(product(*choices), _MOST_READINGS)) if choices else []
