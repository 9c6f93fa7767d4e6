"""Numbers, names, cards and keys, without a database."""

import base64
from uuid import uuid4

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from server.errors import InvalidInput
from server.membership import cards, names, phones
from server.membership.crypto import MemberKeys, WrongKey

KEYS = MemberKeys(b"k" * 32)


@pytest.mark.parametrize(
    "text",
    [
        "13800138000",
        "138 0013 8000",
        "0086 138 0013 8000",
        "+86-138-0013-8000",
        "＋８６ １３８００１３８０００",
        "１３８００１３８０００",
        "(+86) 138.0013.8000",
    ],
)
def test_every_way_of_writing_a_number_is_one_number(text: str) -> None:
    assert phones.e164(text, "CN") == "+8613800138000"


def test_the_country_decides_what_a_bare_number_is() -> None:
    assert phones.e164("0151 23456789", "DE") == "+4915123456789"
    assert phones.e164("+49 151 23456789", "CN") == "+4915123456789"


@pytest.mark.parametrize("text", ["", "abc", "123", "138001380", "+86 138 0013 80001", "1" * 60, "10.0.0.1"])
def test_what_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        phones.e164(text, "CN")
    assert (refused.value.field, text not in refused.value.message or not text) == ("phone", True)
    assert phones.maybe_e164(text, "CN") is None


def test_a_masked_number_shows_its_ends() -> None:
    assert phones.masked("+8613800138000", "CN") == "138****8000"
    assert phones.masked("+8613800138000", "DE") == "+86 138****8000"
    assert phones.masked("+4915123456789", "DE") == "151****6789"


@given(st.integers(10**8, 10**9 - 1), st.integers(0, 8), st.integers(1, 9))
def test_a_mistyped_digit_of_a_card_is_noticed(digits: int, place: int, change: int) -> None:
    card = str(digits) + cards.check_digit(str(digits))
    assert cards.is_card(card)
    wrong = card[:place] + str((int(card[place]) + change) % 10) + card[place + 1 :]
    assert not cards.is_card(wrong)


def test_new_cards_are_cards() -> None:
    assert all(cards.is_card(cards.new_card()) for _ in range(200))
    assert not cards.is_card("13800138000")


@pytest.mark.parametrize(
    ("name", "keys", "initials"),
    [
        ("张伟", {"张伟", "zhangwei"}, {"zw"}),
        ("曾小贤", {"zengxiaoxian", "cengxiaoxian"}, {"zxx", "cxx"}),
        ("欧阳娜娜", {"ouyangnana"}, {"oynn"}),
        ("John Smith", {"johnsmith", "john", "smith", "smithjohn"}, {"js"}),
        ("Zoë O'Neil", {"zoeoneil", "zoe", "oneil"}, {"zo"}),
        ("吕布", {"lvbu"}, {"lb"}),
    ],
)
def test_a_name_is_found_by_sound_and_initials(name: str, keys: set[str], initials: set[str]) -> None:
    assert keys <= names.name_keys(name)
    assert initials <= names.initials(name)


@given(st.text(max_size=40))
def test_any_text_is_a_name_or_refused(text: str) -> None:
    try:
        name = names.clean(text)
    except InvalidInput:
        return
    assert names.clean(name) == name
    assert len(names.initials(name)) <= 24
    assert "" not in names.name_keys(name)


def test_a_ciphertext_opens_for_its_member_field_and_key_only() -> None:
    one, other = uuid4(), uuid4()
    data = KEYS.encrypt(one, "phone", "+8613800138000")
    assert KEYS.decrypt(one, "phone", data, KEYS.key_id) == "+8613800138000"
    assert data != KEYS.encrypt(one, "phone", "+8613800138000")
    for member, field, changed, key_id in (
        (other, "phone", data, KEYS.key_id),
        (one, "name", data, KEYS.key_id),
        (one, "phone", data[:-1] + bytes([data[-1] ^ 1]), KEYS.key_id),
        (one, "phone", data, "another"),
    ):
        with pytest.raises(WrongKey):
            KEYS.decrypt(member, field, changed, key_id)  # type: ignore[arg-type]


def test_which_key_was_wrong_is_in_the_log_and_not_in_the_answer() -> None:
    one = uuid4()
    data = KEYS.encrypt(one, "phone", "+8613800138000")
    with structlog.testing.capture_logs() as logged, pytest.raises(WrongKey) as refused:
        KEYS.decrypt(one, "phone", data, "0123456789ab")
    told = f"{refused.value.message} {refused.value.remedy} {refused.value.detail}"
    assert KEYS.key_id not in told
    assert "0123456789ab" not in told
    assert [(each["written_under"], each["server_has"]) for each in logged] == [("0123456789ab", KEYS.key_id)]
    assert logged[0]["member"] == str(one)


def test_tokens_depend_on_key_and_kind() -> None:
    token = KEYS.token("phone", "+8613800138000")
    assert token == KEYS.token("phone", "+8613800138000")
    assert token != KEYS.token("last4", "+8613800138000")
    assert token != MemberKeys(b"K" * 32).token("phone", "+8613800138000")


@pytest.mark.parametrize("text", ["", "   ", "short", base64.b64encode(b"x" * 31).decode(), "!" * 50, "ä" * 50])
def test_a_missing_short_or_broken_key_is_refused_with_a_remedy(text: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        MemberKeys.from_base64(text)
    assert refused.value.field == "secret_key"
    assert "DOORLINE_SECRET_KEY" in (refused.value.remedy or "")


def test_both_alphabets_of_base64_and_lost_padding_are_one_key() -> None:
    master = bytes(range(224, 256))
    standard = base64.b64encode(master).decode()
    urlsafe = base64.urlsafe_b64encode(master).decode().rstrip("=")
    assert MemberKeys.from_base64(standard).key_id == MemberKeys.from_base64(f" {urlsafe}\n").key_id
