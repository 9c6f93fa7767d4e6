"""What is asked of a box and answered: decoded strictly, and within bounds that hold before anything is read."""

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wire import asking
from wire.asking import Answer, AskLineTest, AskSnapshot, Request, Snapshot, Unable, decode_answer, decode_request
from wire.config import LineConfig
from wire.messages import WireError, encode

ID = "0123456789abcdef" * 2
LINE = LineConfig(id="L1", start=(0.1, 0.5), end=(0.9, 0.5), inside=(0.5, 0.9))
REQUEST = Request(device="door-1", id=ID, within_s=15, ask=AskLineTest(camera="C1", line=LINE))
ANSWER = Answer(
    device="door-1",
    id=ID,
    given=Snapshot(camera="C1", at=None, width=960, height=540, people=0, jpeg=b"\xff\xd8 a picture"),
)


def changed(message: Request | Answer, *, inner: str = "", **fields: Any) -> bytes:
    found = json.loads(encode(message))
    (found[inner] if inner else found).update(fields)
    return json.dumps(found).encode()


def test_what_is_said_is_what_is_read() -> None:
    assert decode_request(encode(REQUEST)) == REQUEST
    assert decode_answer(encode(ANSWER)) == ANSWER
    short = decode_request(
        json.dumps({**json.loads(encode(REQUEST)), "ask": {"kind": "snapshot", "camera": "C1"}}).encode()
    )
    assert short.ask == AskSnapshot(camera="C1")


@pytest.mark.parametrize(
    "bad",
    [
        {"id": "short"},
        {"id": ID + "\n"},
        {"within_s": 0},
        {"within_s": 61},
        {"v": 2},
        {"until": "2026-11-21T12:00:00Z"},
        {"device": "door/1"},
        {"ask": {"kind": "film", "camera": "C1"}},
        {"ask": {"kind": "snapshot", "camera": "C1", "width": 4000}},
        {"ask": {"kind": "snapshot", "camera": "C1", "veiled": False}},
        {"ask": {"kind": "paths", "camera": "C1", "seconds": 3600}},
        {"ask": {"kind": "line_test", "camera": "C1"}},
    ],
)
def test_a_request_out_of_bounds_is_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(WireError):
        decode_request(changed(REQUEST, **bad))


def test_a_picture_has_a_largest_size_and_has_to_be_base64() -> None:
    most = base64.b64encode(bytes(asking.MAX_PICTURE)).decode()
    whole = decode_answer(changed(ANSWER, inner="given", jpeg=most))
    assert isinstance(whole.given, Snapshot)
    assert len(whole.given.jpeg) == asking.MAX_PICTURE
    for wrong in (base64.b64encode(bytes(asking.MAX_PICTURE + 1)).decode(), "%%%", 7):
        with pytest.raises(WireError):
            decode_answer(changed(ANSWER, inner="given", jpeg=wrong))


def test_what_is_larger_than_any_is_not_read() -> None:
    for decode, most in ((decode_request, asking.MAX_REQUEST), (decode_answer, asking.MAX_ANSWER)):
        with pytest.raises(WireError, match="at most") as caught:
            decode(b" " * (most + 1))
        assert caught.value.code == "too_large"


def test_a_code_of_a_newer_box_is_no_error() -> None:
    """An old server says to whoever waits what a newer box has against it."""
    found = decode_answer(changed(ANSWER, given={"kind": "unable", "code": "asleep", "reason": "come again"}))
    assert found.given == Unable(code="asleep", reason="come again")


@given(st.binary(max_size=500))
def test_random_bytes_are_refused_and_nothing_else_happens(noise: bytes) -> None:
    for decode in (decode_request, decode_answer):
        with pytest.raises(WireError):
            decode(noise)
