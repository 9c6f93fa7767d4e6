"""The contract's description and the code judge the same payloads alike: what one takes the other takes."""

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.fixtures.schemas import judge
from tests.wire.test_asyncapi import STRUCTS
from wire import messages

DESCRIBED: dict[str, Any] = yaml.safe_load(
    (Path(__file__).resolve().parents[2] / "docs" / "asyncapi.yaml").read_text(encoding="utf-8")
)
MESSAGES: dict[str, Any] = DESCRIBED["components"]["messages"]
JUDGES = {name: judge(DESCRIBED, {"$ref": f"#/components/schemas/{name}"}) for name in MESSAGES}
EXAMPLE_KEYS = {name: message["examples"][0]["payload"].keys() for name, message in MESSAGES.items()}
EXAMPLES = [(name, each["payload"]) for name, message in MESSAGES.items() for each in message["examples"]]


@pytest.mark.parametrize(("name", "payload"), EXAMPLES, ids=[name for name, _ in EXAMPLES])
def test_every_example_is_what_the_document_itself_says(name: str, payload: object) -> None:
    assert [error.message for error in JUDGES[name].iter_errors(payload)] == []


def test_a_schema_without_its_message_would_be_found() -> None:
    assert not JUDGES["Ack"].is_valid({"type": "ack", "v": 1, "epoch": "short", "seq": 0})


def places(node: object, at: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    if at:
        yield at
    pairs = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in pairs:
        yield from places(value, (*at, key))


#: No fractions that are whole: to JSON schema 1.0 is an integer, to us it is none.
ODD: st.SearchStrategy[Any] = st.sampled_from(
    (
        *(None, True, -1, 0, 1, 59.96, 60, 900, 2**31 - 1, 2**31, 2**53, 2**53 + 1, 0.5, 1.01),
        *("", "x", "ok", "in", "staff", "a" * 32, "A" * 65, "door-1", "door/1", "ack\n"),
        *("2026-11-21T10:00:00", "2026-11-21T10:00:00Z", "2026-11-21T10:00:00.5+08:00"),
        *([], {}, [0.5, 0.5], ["child", "cart"], ["dog"]),
    )
).map(copy.deepcopy)


@st.composite
def changed(draw: st.DrawFn) -> tuple[str, Any]:
    """An example with a field or two set to something else, left out, or added."""
    name, payload = draw(st.sampled_from(EXAMPLES))
    payload = copy.deepcopy(payload)
    for _ in range(draw(st.integers(1, 2))):
        *way, last = draw(st.sampled_from(list(places(payload))))
        node: Any = payload
        for key in way:
            node = node[key]
        match draw(st.sampled_from(["set", "set", "leave out", "add"])):
            case "set":
                node[last] = draw(ODD)
            case "leave out":
                del node[last]
            case _ if isinstance(node, dict):
                node["unheard-of"] = draw(ODD)
    return name, payload


def refused(name: str, payload: object) -> str:
    """Why the code does not take it, as it would come; empty where it does."""
    sent = json.dumps(payload).encode()
    try:
        if name != "Batch":
            messages.decode(sent, STRUCTS[name])
        else:
            for record in messages.decode_envelope(sent).records:
                messages.decode_record(record)
    except messages.WireError as error:
        return str(error)
    return ""


@given(changed())
def test_what_the_document_takes_the_code_takes_and_the_other_way_round(case: tuple[str, Any]) -> None:
    name, payload = case
    why = refused(name, payload)
    # What JSON schema has no words for: the order of two numbers, and whether a text is base64 (to it a remark).
    assume("lies before" not in why and "base64" not in why)
    # A message that comes by itself need not say what it is; the document asks for it, so that one can read along.
    assume(not isinstance(payload, dict) or {"type", "kind"} & payload.keys() >= {"type", "kind"} & EXAMPLE_KEYS[name])
    assert JUDGES[name].is_valid(payload) == (not why), why
