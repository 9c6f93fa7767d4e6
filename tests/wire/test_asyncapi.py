"""The contract's description says what the contract enforces: every topic, field and bound is compared with `wire`."""

import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest
import yaml  # type: ignore[import-untyped]
from msgspec import inspect

from server.ingest import contract
from wire import asking, config, messages, topics
from wire.asking import UnableCode
from wire.base import Message
from wire.messages import Batch, BatchReply, Envelope, RefusalCode
from wire.topics import Channel


@pytest.fixture(scope="module")
def described() -> Any:
    """The document as anybody's YAML reader sees it."""
    path = Path(__file__).resolve().parents[2] / "docs" / "asyncapi.yaml"
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def refs(node: object) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for value in node.values():
            yield from refs(value)
    elif isinstance(node, list):
        for value in node:
            yield from refs(value)


def followed(document: Any, ref: str) -> Any:
    node = document
    for part in ref.removeprefix("#/").split("/"):
        node = node[part]
    return node


def test_the_file_is_as_the_types_are(described: Any) -> None:
    again = "docs/asyncapi.yaml is old; write it anew: python -m server.ingest.contract docs/asyncapi.yaml"
    assert described == json.loads(json.dumps(contract.document())), again


def test_it_is_whole(described: Any) -> None:
    assert described["asyncapi"].startswith("3.")
    assert {"asyncapi", "info", "servers", "channels", "operations", "components"} <= described.keys()
    for ref in refs(described):
        assert followed(described, ref) is not None, ref


def test_every_topic_stands_in_it_with_its_direction(described: Any) -> None:
    addresses = {name: channel["address"] for name, channel in described["channels"].items()}
    assert {name: address.replace("{device}", "door-1") for name, address in addresses.items()} == {
        channel.value: topics.topic("door-1", channel) for channel in Channel
    }
    actions = {
        operation["channel"]["$ref"].rsplit("/", 1)[1]: operation["action"]
        for operation in described["operations"].values()
    }
    assert actions == {
        **{channel.value: "receive" for channel in topics.TO_DEVICE},
        **{channel.value: "send" for channel in topics.FROM_DEVICE},
    }
    assert len(described["operations"]) == len(Channel)


def test_what_is_said_on_each_topic_is_what_is_decoded_there(described: Any) -> None:
    said = {
        name: [message.rsplit("/", 1)[1] for message in refs(channel["messages"])]
        for name, channel in described["channels"].items()
    }
    spoken = {"batch": "Batch", "ack": "Ack", "rewind": "Rewind", "refusal": "Refusal", "status": "Status"}
    asked = {"request": "Request", "reply": "Answer"}
    assert said == {name: [kind] for name, kind in (spoken | {"config": "Config"} | asked).items()}
    assert said.keys() == {channel.value for channel in Channel}
    assert described["components"]["messages"]["Batch"]["x-max-bytes"] == messages.MAX_PAYLOAD
    assert described["components"]["messages"]["Status"]["x-max-bytes"] == messages.MAX_STATUS
    assert described["components"]["messages"]["Refusal"]["x-known-codes"] == list(get_args(RefusalCode))
    assert described["components"]["messages"]["Request"]["x-max-bytes"] == asking.MAX_REQUEST
    assert described["components"]["messages"]["Answer"]["x-max-bytes"] == asking.MAX_ANSWER
    assert described["components"]["messages"]["Answer"]["x-known-codes"] == list(get_args(UnableCode))


#: Every message of the contract over MQTT and what it is made of; a new one must be described, or named here.
HTTP_ONLY = {"BatchReply"}
STRUCTS = {
    name: kind
    for name, kind in {**vars(messages), **vars(config), **vars(asking)}.items()
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct) and kind is not Message
}


def test_every_message_is_described_and_nothing_else(described: Any) -> None:
    assert set(described["components"]["schemas"]) == set(STRUCTS) - {"Envelope"} - HTTP_ONLY


@pytest.mark.parametrize("name", sorted(set(STRUCTS) - {"Envelope"} - HTTP_ONLY))
def test_every_field_and_bound_is_that_of_the_type(described: Any, name: str) -> None:
    schema = described["components"]["schemas"][name]
    struct = inspect.type_info(STRUCTS[name])
    assert isinstance(struct, inspect.StructType)
    fields = {field.encode_name: field for field in struct.fields}
    tag = {} if struct.tag_field is None else {struct.tag_field: struct.tag}
    assert set(schema["properties"]) == {*fields, *tag}
    assert schema["additionalProperties"] is False
    assert schema["description"]
    required = {key for key, field in fields.items() if field.required} | set(tag)
    if name == "Batch":
        envelope = inspect.type_info(Envelope)
        assert isinstance(envelope, inspect.StructType)
        required = {field.encode_name for field in envelope.fields if field.required}
        assert {field.encode_name for field in envelope.fields} == set(fields)
    assert set(schema["required"]) == required
    for key, field in fields.items():
        shown = {key: text for key, text in schema["properties"][key].items() if key not in {"description", "default"}}
        assert plain(shown) == plain(of_type(field.type)), f"{name}.{key}"
        if not field.required:
            assert "default" in schema["properties"][key], f"{name}.{key}"


def of_type(kind: inspect.Type) -> dict[str, Any]:
    """What a field's type comes to in JSON schema, told from msgspec's own view of it."""
    match kind:
        case inspect.Metadata(type=inner):
            return of_type(inner)
        case inspect.IntType(ge=low, le=high):
            return bounded("integer", minimum=low, maximum=high)
        case inspect.FloatType(ge=low, le=high, gt=above, lt=below):
            return bounded("number", minimum=low, maximum=high, exclusiveMinimum=above, exclusiveMaximum=below)
        case inspect.StrType(pattern=pattern, max_length=longest):
            lengths = {} if longest is None else {"maxLength": longest}
            return {"type": "string"} | ({} if pattern is None else {"pattern": pattern}) | lengths
        case inspect.BytesType(max_length=most):
            # In base64, four characters for every three bytes begun.
            return {"type": "string", "contentEncoding": "base64", "maxLength": 4 * -(-(most or 0) // 3)}
        case inspect.BoolType():
            return {"type": "boolean"}
        case inspect.NoneType():
            return {"type": "null"}
        case inspect.DateTimeType(tz=tz):
            assert tz is True, "a time without an offset would be taken"
            return {"type": "string", "format": "date-time"}
        case inspect.LiteralType(values=values):
            return {"enum": sorted(values, key=str)}
        case inspect.VarTupleType(item_type=item, min_length=low, max_length=high):
            bounds: dict[str, int | None] = {"minItems": low, "maxItems": high}
            limits: dict[str, object] = {key: length for key, length in bounds.items() if length is not None}
            return {"type": "array", "items": of_type(item)} | limits
        case inspect.TupleType(item_types=items):
            return {
                "type": "array",
                "minItems": len(items),
                "maxItems": len(items),
                "prefixItems": [of_type(item) for item in items],
            }
        case inspect.StructType(cls=cls):
            return {"$ref": f"#/components/schemas/{cls.__name__}"}
        case inspect.UnionType(types=types):
            return {"anyOf": [of_type(each) for each in types]}
    raise AssertionError(f"no idea of {kind}")


def bounded(name: str, **bounds: float | None) -> dict[str, Any]:
    return {"type": name} | {key: value for key, value in bounds.items() if value is not None}


def plain(node: Any) -> Any:
    """Without what makes no difference: the order of alternatives, a hint which of them a tag means, `items: false`."""
    if isinstance(node, dict):
        kept = {key: plain(value) for key, value in node.items() if key != "discriminator" and value is not False}
        for key in ("anyOf", "enum"):
            if key in kept:
                kept[key] = sorted(kept[key], key=lambda each: json.dumps(each, sort_keys=True))
        return kept
    return [plain(each) for each in node] if isinstance(node, list) else node


def test_the_examples_decode_by_the_wires_own_decoder(described: Any) -> None:
    for name, message in described["components"]["messages"].items():
        assert message["examples"], name
        for example in message["examples"]:
            payload = json.dumps(example["payload"]).encode()
            if name != "Batch":
                messages.decode(payload, STRUCTS[name])
                continue
            envelope = messages.decode_envelope(payload)
            kinds = {type(messages.decode_record(raw)).__name__ for raw in envelope.records}
            assert kinds == {"Crossing", "Coverage", "Tally"}


def test_what_is_described_as_out_of_bounds_does_not_decode(described: Any) -> None:
    """Each bound is real: an example that oversteps it is refused."""
    overstepped = 0
    for name, schema in described["components"]["schemas"].items():
        example = examples_of(described, name)
        if example is None:
            continue
        for key, field in schema["properties"].items():
            kinds = field.get("anyOf", [field])
            for kind in kinds:
                for wrong in beyond(kind):
                    with pytest.raises(messages.WireError):
                        messages.decode(json.dumps({**example, key: wrong}).encode(), STRUCTS[name])
                    overstepped += 1
    assert overstepped > 40


def examples_of(described: Any, name: str) -> Any:
    found = described["components"]["messages"].get(name)
    if found is not None:
        return found["examples"][0]["payload"]
    batch = described["components"]["messages"]["Batch"]["examples"][0]["payload"]
    return next((record for record in batch["records"] if record["type"] == name.lower()), None)


def beyond(kind: dict[str, Any]) -> Iterator[Any]:
    if "minimum" in kind:
        yield kind["minimum"] - 1
    if "maximum" in kind:
        yield kind["maximum"] + 1
    for bound in {"exclusiveMinimum", "exclusiveMaximum"} & kind.keys():
        yield kind[bound]
    if "pattern" in kind or "enum" in kind or "maxLength" in kind:
        yield "?" * (kind.get("maxLength", 199) + 1)
    if kind.get("format") == "date-time":
        yield "2026-11-21T10:00:00"
    if "maxItems" in kind:
        yield [None] * (kind["maxItems"] + 1)


def test_the_answer_over_https_is_made_of_the_same_messages() -> None:
    fields = {field.name: field.type for field in msgspec.structs.fields(BatchReply)}
    assert fields == {"reply": messages.Ack | messages.Rewind, "config": config.Config | None}


def test_times_in_examples_are_utc(described: Any) -> None:
    [example] = described["components"]["messages"]["Batch"]["examples"]
    assert datetime.fromisoformat(example["payload"]["sent_at"]).utcoffset() is not None
    assert messages.decode(json.dumps(example["payload"]).encode(), Batch)


@pytest.mark.parametrize(
    "node",
    [
        {},
        [],
        {"a": []},
        {"a": [{"b": 1, "c": [1, 2]}, [], "x: y # z", "no", "1.5", None, True]},
        {"key with: colon": 'näh\n"quoted"\ttab', "$ref": "#/a/b", "on": "yes", "1": 2.5},
        [[1, [2, [3]]], {"a": {"b": {}}}],
    ],
)
def test_what_is_written_as_yaml_reads_as_it_was(node: Any) -> None:
    assert yaml.safe_load(contract.to_yaml(node)) == node
