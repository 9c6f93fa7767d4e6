"""Keeps the catalogues in step with the pages: ``python -m dashboards.catalogue`` adds new messages and drops old ones.

It writes text only. The English catalogue repeats the message ids, so that an English wording can differ from the id a
template uses without touching the template.
"""

from io import BytesIO
from typing import Final

import typer
from babel.messages.catalog import Catalog
from babel.messages.pofile import write_po

from dashboards.i18n import extracted, path_of, read_catalogue
from server.access.models import LOCALES

_HEADER: Final = "# Texts of Doorline's pages. Made by `python -m dashboards.catalogue`; translations are by hand."


def update(locale: str) -> int:
    """Bring one catalogue up to date.

    Returns:
        how many messages still lack a translation.
    """
    old = read_catalogue(locale)
    new = Catalog(
        locale=old.locale,
        header_comment=_HEADER,
        project="Doorline",
        version="1",
        msgid_bugs_address="none",
        last_translator="The Doorline authors",
        language_team="The Doorline authors",
        # As they were: a run that changes nothing writes the same file.
        creation_date=old.creation_date,
        revision_date=old.creation_date,
        charset="utf-8",
        fuzzy=False,
    )
    for message, file, _line in sorted(extracted(), key=lambda found: (str(found[0]), found[1])):
        key = message[0] if isinstance(message, tuple) else message
        known = old.get(key)
        text = known.string if known is not None else ""
        if locale == "en" and not _is_whole(text):
            text = message
        flags = {"python-format"} if "%(" in key else set()
        new.add(message, text, locations=[(file, 0)], flags=flags)
    # Written whole or not at all: a message that two pages use differently must not cost the others their translations.
    made = BytesIO()
    write_po(made, new, width=110, omit_header=False, include_lineno=False, sort_output=True, ignore_obsolete=True)
    path_of(locale).write_bytes(made.getvalue())
    return sum(1 for entry in new if entry.id and not _is_whole(entry.string))


def _is_whole(text: str | tuple[str, ...] | list[str] | None) -> bool:
    return all(text) if isinstance(text, (tuple, list)) else bool(text)


def main() -> None:
    """Bring all catalogues up to date and say what is missing."""
    for locale in LOCALES:
        missing = update(locale)
        typer.echo(f"{locale}: {missing} without a translation")


if __name__ == "__main__":
    main()
