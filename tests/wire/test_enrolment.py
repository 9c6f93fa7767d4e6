"""The enrolment file: what is read back is what was written, and whatever else came is named for what it is."""

from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wire.enrolment import FORM, Enrolment, EnrolmentError, decode, encode, expired

AT = datetime(2026, 11, 20, 4, 0, tzinfo=UTC)
KEY = "-----BEGIN PRIVATE KEY-----\nMIGHAg\n-----END PRIVATE KEY-----\n"
GIVEN = Enrolment(
    device="door-1",
    store="S01",
    host="mqtt.example.com",
    port=8883,
    issued_at=AT,
    not_after=AT.replace(year=2031),
    authority="-----BEGIN CERTIFICATE-----\nQQ==\n-----END CERTIFICATE-----\n",
    certificate="-----BEGIN CERTIFICATE-----\nQg==\n-----END CERTIFICATE-----\n",
    key=KEY,
)


def test_it_is_read_back_as_it_was_written() -> None:
    assert decode(encode(GIVEN)) == GIVEN
    assert b'"device": "door-1"' in encode(GIVEN)


def test_the_key_stands_in_no_representation() -> None:
    assert "MIGHAg" not in repr(GIVEN)


@given(cut=st.integers(min_value=0, max_value=len(encode(GIVEN)) - 3))
def test_a_file_cut_off_anywhere_is_damaged(cut: int) -> None:
    with pytest.raises(EnrolmentError) as caught:
        decode(encode(GIVEN)[:cut])
    assert caught.value.code == "damaged"


@given(place=st.integers(min_value=0, max_value=len(encode(GIVEN)) - 2), byte=st.integers(min_value=0, max_value=255))
def test_a_changed_byte_is_noticed_wherever_it_means_something(place: int, byte: int) -> None:
    content = bytearray(encode(GIVEN))
    content[place] = byte
    try:
        read = decode(bytes(content))
    except EnrolmentError:
        return
    assert read == GIVEN, "only white space between fields may differ"


def test_a_newer_form_is_named_even_where_nothing_else_is_known() -> None:
    content = msgspec.json.encode({"doorline_enrolment": FORM + 1, "something": "new"})
    with pytest.raises(EnrolmentError, match=f"form {FORM + 1}") as caught:
        decode(content)
    assert caught.value.code == "newer"


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b"\xff\xfe", b"-----BEGIN CERTIFICATE-----", b"[" * 60_000])
def test_something_else_is_damaged(content: bytes) -> None:
    with pytest.raises(EnrolmentError) as caught:
        decode(content)
    assert caught.value.code == "damaged"


def test_it_expires_with_its_certificate() -> None:
    assert not expired(GIVEN, GIVEN.not_after.replace(year=2030))
    assert expired(GIVEN, GIVEN.not_after)
