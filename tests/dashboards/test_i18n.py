"""Both languages say everything, and nothing that no page asks for."""

import re

import pytest
from babel.messages.catalog import Message

from dashboards.i18n import extracted, read_catalogue, translations
from server.access.models import LOCALES, Locale

_PLACES = re.compile(r"%\((\w+)\)")


def _asked() -> set[str]:
    return {message[0] if isinstance(message, tuple) else message for message, _, _ in extracted()}


def _entries(locale: str) -> dict[str, Message]:
    return {
        message.id[0] if isinstance(message.id, (tuple, list)) else message.id: message
        for message in read_catalogue(locale)
        if message.id
    }


def _forms(text: str | tuple[str, ...] | list[str] | None) -> list[str]:
    return list(text) if isinstance(text, (tuple, list)) else [text or ""]


def test_something_is_asked_for() -> None:
    assert len(_asked()) > 100


@pytest.mark.parametrize("locale", LOCALES)
def test_nothing_is_missing_and_nothing_is_left_over(locale: str) -> None:
    held, asked = set(_entries(locale)), _asked()
    assert held == asked, f"run `python -m dashboards.catalogue`; missing {asked - held}, unused {held - asked}"


@pytest.mark.parametrize("locale", LOCALES)
def test_every_text_is_translated_and_none_is_a_guess(locale: str) -> None:
    for key, entry in _entries(locale).items():
        assert all(_forms(entry.string)), f"{key!r} has no translation"
        assert not entry.fuzzy, f"{key!r} is marked fuzzy"


@pytest.mark.parametrize("locale", LOCALES)
def test_translations_keep_the_places_of_values(locale: str) -> None:
    for key, entry in _entries(locale).items():
        for form in _forms(entry.string):
            assert set(_PLACES.findall(form)) == set(_PLACES.findall(key)), key


def test_chinese_is_chinese() -> None:
    brands = {"Doorline"}
    latin = {
        key
        for key, entry in _entries("zh").items()
        if key not in brands and not any("一" <= sign <= "鿿" for sign in "".join(_forms(entry.string)))
    }
    assert not latin


@pytest.mark.parametrize(("locale", "words"), [("zh", "成交率"), ("en", "Conversion")])
def test_the_compiled_catalogue_answers(locale: Locale, words: str) -> None:
    assert translations(locale).gettext("Conversion") == words
