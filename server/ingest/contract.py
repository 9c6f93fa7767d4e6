"""The contract as an AsyncAPI 3 document, made from the types that decode it: ``docs/asyncapi.yaml``.

A description written by hand is right on the day it is written. This one is generated, so that what it says of fields
and bounds is what `wire` enforces; what no type can say (who sends, how often, what must be kept) stands here.

Write it anew with ``python -m server.ingest.contract docs/asyncapi.yaml``.
"""

import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, get_args

import msgspec

from wire import asking, config, messages, topics
from wire.asking import (
    Answer,
    AskLineTest,
    AskPaths,
    AskSnapshot,
    LineTest,
    Paths,
    Request,
    Snapshot,
    TriedCrossing,
    Unable,
    UnableCode,
)
from wire.asking import (
    Path as WalkedPath,
)
from wire.config import CameraConfig, Config, ConfigReport, LineConfig
from wire.messages import (
    Ack,
    Batch,
    CameraStatus,
    Coverage,
    CoverageSum,
    Crossing,
    CrossingSum,
    Envelope,
    Refusal,
    RefusalCode,
    Rewind,
    Status,
    Tally,
    make_batch,
    to_builtins,
)
from wire.topics import Channel

VERSION: Final = "3.0.0"
_AT: Final = datetime(2026, 11, 21, 2, 0, tzinfo=UTC)
_EPOCH: Final = "6f1c0d5a9b3e4c7f8a2d1e0b5c4f3a29"
_NONCE: Final = "9b1f6c2a7d3e4805"

#: What is said on each channel.
MESSAGES: Final[dict[Channel, type[msgspec.Struct]]] = {
    Channel.BATCH: Batch,
    Channel.ACK: Ack,
    Channel.REWIND: Rewind,
    Channel.REFUSAL: Refusal,
    Channel.STATUS: Status,
    Channel.CONFIG: Config,
    Channel.REQUEST: Request,
    Channel.REPLY: Answer,
}
RETAINED: Final = (Channel.STATUS, Channel.CONFIG)

_ABOUT: Final = {
    Channel.BATCH: "Records the box has on disk. One batch is in flight per lane (the live epoch, and the oldest "
    "unfinished one); it is sent again, with another nonce, until it is answered. May expire when it is.",
    Channel.ACK: "Committed up to here. The broker's own acknowledgement says nothing of the kind.",
    Channel.REWIND: "A hole lies before the batch: send again from here, as far as it is still held.",
    Channel.REFUSAL: "The whole batch was not taken. The box keeps everything, waits, tries again, and says why in its "
    "status.",
    Channel.STATUS: "The box's retained word about itself, at every change and every minute; also its last will.",
    Channel.CONFIG: "Desired configuration, retained; only the server may publish it. The box ignores a revision that "
    "is not newer than what it knows, keeps what it takes on disk, goes back to what was in use if a camera fails with "
    "it, and says in its status what became of it.",
    Channel.REQUEST: "Something asked of the box, answered once on `reply` as long as somebody waits; expires with the "
    "wait. Not retained, and never carried over HTTPS: a box that posts its batches can't be asked. A box forgets what "
    "it was asked when it starts anew.",
    Channel.REPLY: "The one answer to a `request`; expires with the wait. Whoever waits for it no more drops it. "
    "Nothing of it is stored on the box's disk; a picture is made unrecognisable on the box.",
}

_EXAMPLES: Final[dict[type[msgspec.Struct], list[msgspec.Struct]]] = {
    Batch: [
        make_batch(
            device="door-1",
            epoch=_EPOCH,
            oldest=1,
            sent_at=_AT,
            nonce=_NONCE,
            records=(
                Crossing(
                    seq=41,
                    at=_AT,
                    camera="S01-C1",
                    line="S01-L1",
                    direction="in",
                    track=17,
                    confidence=0.93,
                    group=17,
                    tags=("child",),
                ),
                Coverage(seq=42, minute=_AT, camera="S01-C1", seconds=58.5, frames=702, state="dark"),
                Tally(
                    from_seq=43,
                    seq=90,
                    crossings=(
                        CrossingSum(
                            line="S01-L1", camera="S01-C1", direction="out", start=_AT, span=60, count=9, groups=6
                        ),
                    ),
                    coverage=(CoverageSum(camera="S01-C1", start=_AT, span=900, seconds=900, frames=10800),),
                ),
            ),
        )
    ],
    Ack: [Ack(epoch=_EPOCH, seq=90, nonce=_NONCE)],
    Rewind: [Rewind(epoch=_EPOCH, seq=41, nonce=_NONCE)],
    Refusal: [
        Refusal(
            code="unknown_device",
            reason="device door-1 is not registered; add it on the server (doorline device add)",
            epoch=_EPOCH,
            first_seq=41,
            nonce=_NONCE,
        )
    ],
    Status: [
        Status(
            device="door-1",
            online=True,
            at=_AT,
            version="1.0.0",
            epoch=_EPOCH,
            pending=3,
            config_revision=7,
            cameras=(CameraStatus(camera="S01-C1", state="ok", fps=11.9),),
            config=ConfigReport(revision=7, state="applied", at=_AT),
        ),
        Status(device="door-1", online=False, problem="connection lost"),
    ],
    Config: [
        Config(
            device="door-1",
            revision=7,
            camera=(
                CameraConfig(
                    id="S01-C1",
                    mounting="overhead",
                    target_fps=12.0,
                    line=(LineConfig(id="S01-L1", start=(0.1, 0.5), end=(0.9, 0.5), inside=(0.5, 0.9)),),
                ),
            ),
        )
    ],
    Request: [
        Request(device="door-1", id=_EPOCH, within_s=15, ask=AskSnapshot(camera="S01-C1", width=960)),
        Request(device="door-1", id=_EPOCH, within_s=15, ask=AskPaths(camera="S01-C1", seconds=60)),
        Request(
            device="door-1",
            id=_EPOCH,
            within_s=15,
            ask=AskLineTest(
                camera="S01-C1",
                line=LineConfig(id="S01-L1", start=(0.1, 0.5), end=(0.9, 0.5), inside=(0.5, 0.9)),
                seconds=60,
            ),
        ),
    ],
    Answer: [
        Answer(
            device="door-1",
            id=_EPOCH,
            given=Snapshot(
                camera="S01-C1", at=_AT, width=960, height=540, people=2, jpeg=bytes.fromhex("ffd8ffe000104a464946")
            ),
        ),
        Answer(
            device="door-1",
            id=_EPOCH,
            given=Paths(
                camera="S01-C1",
                at=_AT,
                seconds=60,
                anchor="feet",
                paths=(WalkedPath(track=17, points=((0.42, 0.31, 12.4), (0.44, 0.52, 11.9))),),
            ),
        ),
        Answer(
            device="door-1",
            id=_EPOCH,
            given=LineTest(
                camera="S01-C1",
                line="S01-L1",
                at=_AT,
                seconds=60,
                people=3,
                entries=1,
                exits=0,
                crossings=(TriedCrossing(track=17, direction="in", ago=12.1),),
            ),
        ),
        Answer(
            device="door-1",
            id=_EPOCH,
            given=Unable(code="no_picture", reason="camera S01-C1 gives no pictures: the cable is out"),
        ),
    ],
}


def document() -> dict[str, Any]:
    """The whole description, as plain dicts and lists."""
    return {
        "asyncapi": VERSION,
        "info": {
            "title": "Doorline: between a box and the server",
            "version": f"{messages.VERSION}.0.0",
            "description": "Seen from the box: it sends batches, its status and answers, and receives the rest. UTF-8 "
            "JSON, decoded strictly: a field that is not named here, a time without an offset or a number out of its "
            "bounds is refused. Nothing rests on the broker's memory. The same batch may be posted to "
            "`POST /api/v1/batches`, and the same status put to `PUT /api/v1/status`, where a firewall blocks MQTT.",
        },
        "defaultContentType": "application/json",
        "servers": {
            "broker": {
                "host": "{host}:8883",
                "protocol": "mqtts",
                "protocolVersion": "5.0",
                "description": "MQTT 5 where the broker speaks it, 3.1.1 otherwise; clean sessions. A box's user name "
                "there is its device name (its certificate's common name), so that the access list needs no names: a "
                f"box reads `{topics.ROOT}/%u/#` and writes what it sends below it, nothing else.",
                "variables": {"host": {"description": "The chain's own broker."}},
                "security": [
                    {"$ref": "#/components/securitySchemes/certificate"},
                    {"$ref": "#/components/securitySchemes/password"},
                ],
            }
        },
        "channels": {channel.value: _channel(channel) for channel in Channel},
        "operations": {_operation_name(channel): _operation(channel) for channel in Channel},
        "components": {
            "messages": {kind.__name__: _message(kind) for kind in MESSAGES.values()},
            "schemas": _schemas(),
            "securitySchemes": {
                "certificate": {"type": "X509", "description": "A client certificate of the chain's own authority."},
                "password": {"type": "userPassword", "description": "The box's name and password."},
            },
        },
    }


def _channel(channel: Channel) -> dict[str, Any]:
    kind = MESSAGES[channel]
    return {
        "address": f"{topics.ROOT}/{{device}}/{channel.value}",
        "description": _ABOUT[channel],
        "parameters": {
            "device": {"description": "The box's name: 1-64 letters, digits, '.', '_' or '-'.", "examples": ["door-1"]}
        },
        "messages": {kind.__name__: {"$ref": f"#/components/messages/{kind.__name__}"}},
    }


def _operation_name(channel: Channel) -> str:
    return ("receive" if channel in topics.TO_DEVICE else "send") + channel.value.capitalize()


def _operation(channel: Channel) -> dict[str, Any]:
    found: dict[str, Any] = {
        "action": "receive" if channel in topics.TO_DEVICE else "send",
        "channel": {"$ref": f"#/channels/{channel.value}"},
        "bindings": {"mqtt": {"qos": 1, "retain": channel in RETAINED}},
    }
    return found


def _message(kind: type[msgspec.Struct]) -> dict[str, Any]:
    examples = [{"payload": to_builtins(example)} for example in _EXAMPLES[kind]]
    found: dict[str, Any] = {
        "name": kind.__name__,
        "summary": _told(kind)[0],
        "payload": {"$ref": f"#/components/schemas/{kind.__name__}"},
        "examples": examples,
    }
    most = {
        Batch: messages.MAX_PAYLOAD,
        Status: messages.MAX_STATUS,
        Request: asking.MAX_REQUEST,
        Answer: asking.MAX_ANSWER,
    }.get(kind)
    if most is not None:
        found["x-max-bytes"] = most
    if kind is Refusal:
        found["x-known-codes"] = list(get_args(RefusalCode))
    if kind is Answer:
        found["x-known-codes"] = list(get_args(UnableCode))
    return found


def _schemas() -> dict[str, Any]:
    """Every message's schema, and of what it is made, with what the docstrings say of each field."""
    _, found = msgspec.json.schema_components(
        [*MESSAGES.values(), Envelope], ref_template="#/components/schemas/{name}"
    )
    # A batch is decoded by its envelope, which takes no default for the version.
    found["Batch"]["required"] = found.pop("Envelope")["required"]
    for name, schema in found.items():
        where = next(module for module in (messages, config, asking) if hasattr(module, name))
        summary, fields = _told(getattr(where, name))
        schema["description"] = summary
        for field, text in fields.items():
            if field in schema["properties"]:
                schema["properties"][field]["description"] = text
    return found


def _told(kind: type) -> tuple[str, dict[str, str]]:
    """What a docstring says: in general, and of each attribute."""
    text = re.sub(r"\n    ", "\n", kind.__doc__ or "")
    general, _, attributes = text.partition("\nAttributes:\n")
    fields: dict[str, str] = {}
    for entry in re.split(r"\n(?=    \S)", "\n" + attributes):
        names, colon, said = entry.strip().partition(": ")
        if colon:
            fields.update((name.strip(), _one_line(said)) for name in names.split(","))
    return _one_line(general), fields


def _one_line(text: str) -> str:
    return " ".join(text.split())


# -- YAML --------------------------------------------------------------------------------------------------------------


#: What YAML would read as something else than a name.
_YAML_WORDS: Final = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})


def to_yaml(node: object) -> str:
    """Dicts, lists and scalars as YAML; every string in double quotes, which is JSON and so cannot be misread."""
    return "\n".join(_lines(node)) + "\n"


def _lines(node: object) -> Iterator[str]:
    if isinstance(node, Mapping) and node:
        for key, value in node.items():
            yield from _entry(f"{_key(str(key))}:", value)
    elif isinstance(node, Sequence) and not isinstance(node, str) and node:
        for value in node:
            yield from _entry("-", value)
    else:
        yield json.dumps(node, ensure_ascii=False)


def _entry(head: str, value: object) -> Iterator[str]:
    nested = list(_lines(value))
    if isinstance(value, Mapping | Sequence) and not isinstance(value, str) and value:
        if head == "-":
            yield f"- {nested[0]}"
            yield from (f"  {line}" for line in nested[1:])
        else:
            yield head
            yield from (f"  {line}" for line in nested)
    else:
        yield f"{head} {nested[0]}"


def _key(text: str) -> str:
    is_name = re.fullmatch(r"[A-Za-z_][A-Za-z0-9_-]*", text) and text.lower() not in _YAML_WORDS
    return text if is_name else json.dumps(text)


def main(path: Path) -> None:
    """Write the document."""
    path.write_text(to_yaml(document()), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
