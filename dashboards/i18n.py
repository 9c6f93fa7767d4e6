"""The two languages of the pages: gettext catalogues, compiled in memory when the process starts.

The English text is the message id, so a template reads as the page does. Catalogues are text in the repository and
never a compiled file beside it: a stale `.mo` is the classic way to ship yesterday's words. `extracted()` reads what
the code and templates ask for, and a test holds both catalogues to exactly that.
"""

import gettext
import io
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Final, cast

from babel.core import negotiate_locale
from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from fastapi import Request

from server.access.models import LOCALES, Locale

PACKAGE: Final = Path(__file__).parent
CATALOGUES: Final = PACKAGE / "locales"
LOCALE_COOKIE: Final = "doorline_locale"
#: How each language calls itself.
LANGUAGES: Final[dict[Locale, str]] = {"zh": "中文", "en": "English"}
HTML_LANG: Final[dict[Locale, str]] = {"zh": "zh-Hans", "en": "en"}
KEYWORDS: Final[dict[str, tuple[int, ...] | None]] = {
    "_": None,
    "N_": None,
    "gettext": None,
    "ngettext": (1, 2),
}
_METHODS: Final = [("**.py", "python"), ("templates/**.html", "jinja2")]


def N_(message: str) -> str:  # noqa: N802  gettext's own name for "translate this later"
    """Mark a text for the catalogues where it is defined; it is translated where it is shown."""
    return message


def path_of(locale: str) -> Path:
    """Where a language's catalogue lies."""
    return CATALOGUES / locale / "LC_MESSAGES" / "messages.po"


def read_catalogue(locale: str) -> Catalog:
    """A language's catalogue as Babel reads it."""
    with path_of(locale).open("rb") as file:
        return read_po(file, locale={"zh": "zh_Hans_CN", "en": "en_GB"}[locale], abort_invalid=True)


@cache
def translations(locale: Locale) -> gettext.GNUTranslations:
    """A language's texts, ready for use."""
    compiled = io.BytesIO()
    write_mo(compiled, read_catalogue(locale))
    compiled.seek(0)
    return gettext.GNUTranslations(compiled)


def extracted() -> Iterator[tuple[str | tuple[str, ...], str, int]]:
    """Every message the code and the templates ask for: its id, and the file and line it stands in."""
    options: Mapping[str, Mapping[str, str]] = {"templates/**.html": {"silent": "false"}}
    found = extract_from_dir(
        str(PACKAGE), method_map=_METHODS, options_map=cast("dict[str, dict[str, str]]", options), keywords=KEYWORDS
    )
    for file, line, message, _comments, _context in found:
        if message:
            yield message, file, line


def choose(request: Request) -> Locale:
    """The language of somebody not signed in: what they chose before, else what their browser asks for."""
    chosen = request.cookies.get(LOCALE_COOKIE, "")
    if chosen in LOCALES:
        return cast("Locale", chosen)
    wanted = [
        part.split(";")[0].strip().split("-")[0] for part in request.headers.get("accept-language", "").split(",")
    ]
    return cast("Locale", negotiate_locale(wanted, list(LOCALES)) or "zh")
