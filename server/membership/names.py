"""What a name can be found by: itself, its pinyin, its initials. Pure.

A clerk hears "Zhang Wei" and can't know which characters; and many characters have several readings, above all in
surnames (曾 is zeng, not ceng; 万俟 is moqi), so the likeliest readings are kept, up to a bound: first those of the
whole word, then those of its characters one by one. 張偉 and 张伟 are one name to whoever looks for it, and so are the
spellings of ü (lü, lv, lu and, in passports, lyu).
"""

import re
import unicodedata
from functools import cache
from itertools import islice, product
from typing import Final

from opencc import OpenCC
from pypinyin import Style, pinyin

from server.errors import InvalidInput

LONGEST: Final = 80
_MOST_READINGS: Final = 24
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
_WORD: Final = re.compile(r"[^\W_]+")
_HAN: Final = re.compile(r"[\u3400-\u9fff\U00020000-\U000323af]+")
#: Syllables of a name beyond which only the likeliest reading of each is kept: 80 characters have too many together.
_MOST_HETERONYMS: Final = 6


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
    """The spelling that is hashed: no case, no spaces, no accents and no signs, simplified characters."""
    bare = unicodedata.normalize("NFKD", text).casefold()
    plain = "".join(_WORD.findall("".join(c for c in bare if not unicodedata.combining(c))))
    return plain.translate(_simplified())


def name_keys(name: str) -> set[str]:
    """Spellings of the whole name and, of a name with spaces, of each word: 張偉 gives 张伟, zhangwei."""
    keys = {folded(name), *sounds(name)}
    words = name.split()
    if len(words) > 1:
        keys |= {folded(word) for word in words}
        keys.add(folded("".join(reversed(words))))
    return {key for key in keys if key}


def sounds(name: str) -> set[str]:
    """How the name may be said, in pinyin without tones."""
    return {"".join(reading) for reading in _likeliest(_syllables(name))} - {""}


def initials(name: str) -> set[str]:
    """First letters of the syllables or words: 张伟 gives zw, John Smith gives js."""
    letters = [list(dict.fromkeys(option[0] for option in options)) for options in _syllables(name)]
    return {"".join(reading) for reading in _likeliest(letters)} - {""}


def has_han(text: str) -> bool:
    """Whether there are Chinese characters in it."""
    return _HAN.search(text) is not None


def _likeliest(choices: list[list[str]]) -> list[tuple[str, ...]]:
    """Combinations of options, each list's likeliest first; those that stray least from the first come first."""
    if not choices:
        return []
    if len(choices) > _MOST_HETERONYMS:
        choices = [options[:1] for options in choices]
    ranked = product(*(list(enumerate(options)) for options in choices))
    nearest = sorted(ranked, key=lambda picks: sum(rank for rank, _ in picks))
    return list(islice((tuple(option for _, option in picks) for picks in nearest), _MOST_READINGS))


def _syllables(name: str) -> list[list[str]]:
    """The readings of each syllable or word, the likeliest first."""
    found: list[list[str]] = []
    for word in name.split():
        readings = pinyin(word, style=Style.NORMAL, heteronym=True, v_to_u=False)
        if _HAN.fullmatch(word):
            # Within a word known as a whole (乐毅) each character has one reading; a person may be called otherwise.
            apart = pinyin(list(word), style=Style.NORMAL, heteronym=True, v_to_u=False)
            if len(apart) == len(readings):
                readings = [[*whole, *single] for whole, single in zip(readings, apart, strict=True)]
        for options in readings:
            spelled = dict.fromkeys(spelling for option in options for spelling in _spellings(option))
            if kept := [each for each in spelled if each]:
                found.append(kept)
    return found


def _spellings(syllable: str) -> list[str]:
    plain = folded(syllable)
    if plain in {"lv", "nv", "lve", "nve"}:
        return [plain, plain.replace("v", "u"), plain.replace("v", "yu")]
    return [plain]


@cache
def _simplified() -> dict[int, str]:
    """Traditional characters, each with its simplified one; apart by lines, so that no two are taken for a word."""
    characters = [chr(code) for code in range(0x3400, 0xA000)]
    converted = OpenCC("t2s").convert("\n".join(characters)).split("\n")
    return {ord(old): new for old, new in zip(characters, converted, strict=True) if old != new}
