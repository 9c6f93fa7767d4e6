"""Topic names of the contract, built and parsed in one place.

Every topic carries the device's name in its third level, so a broker's access list needs one pattern only
(``doorline/v1/%u/#``, where ``%u`` is the broker user name). Building a topic by hand anywhere else is how a device
comes to speak for another: the name is checked here.
"""

import re
from enum import StrEnum
from typing import Final

ROOT: Final = "doorline/v1"
SHARED_GROUP: Final = "ingest"
#: Users and sessions of the centre begin with this; no device's name may.
CENTRAL_PREFIX: Final = "doorline-"
#: The server's own broker user: reads and writes every topic.
SERVER_USER: Final = "doorline-server"
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class Channel(StrEnum):
    """The last level of a topic: what is said on it."""

    BATCH = "batch"
    ACK = "ack"
    REWIND = "rewind"
    REFUSAL = "refusal"
    STATUS = "status"
    CONFIG = "config"
    REQUEST = "request"
    REPLY = "reply"


_CHANNELS: Final = frozenset(channel.value for channel in Channel)
#: What a server says to a device; everything else goes the other way.
TO_DEVICE: Final = (Channel.ACK, Channel.REWIND, Channel.REFUSAL, Channel.CONFIG, Channel.REQUEST)
FROM_DEVICE: Final = (Channel.BATCH, Channel.STATUS, Channel.REPLY)


class TopicError(ValueError):
    """A device name or a topic that is not of the contract's form."""


def check_name(device: str) -> str:
    """Return `device` when it may stand in a topic: letters, digits, ``.``, ``_`` and ``-``, at most 64.

    Raises:
        TopicError: for any other name; wildcards and slashes would reach into other devices' topics.
    """
    if not _NAME.fullmatch(device):
        raise TopicError(
            f"device name {device!r} cannot stand in a topic: use 1-64 letters, digits, '.', '_' or '-', "
            "beginning with a letter or digit"
        )
    return device


def topic(device: str, channel: Channel) -> str:
    """The topic of one device and channel, such as ``doorline/v1/door-1/batch``."""
    return f"{ROOT}/{check_name(device)}/{channel.value}"


def pattern(channel: Channel, *, shared: bool = False) -> str:
    """The subscription for one channel of all devices.

    Args:
        channel: what to listen to.
        shared: whether several workers divide the messages among them (MQTT 5 shared subscription).
    """
    plain = f"{ROOT}/+/{channel.value}"
    return f"$share/{SHARED_GROUP}/{plain}" if shared else plain


def parse(name: str) -> tuple[str, Channel]:
    """Split a topic into device and channel.

    Raises:
        TopicError: when it is none of ours.
    """
    head, _, tail = name.removeprefix(f"{ROOT}/").partition("/")
    if not name.startswith(f"{ROOT}/") or tail not in _CHANNELS:
        raise TopicError(f"topic {name!r} is not of the form {ROOT}/<device>/<channel>")
    return check_name(head), Channel(tail)
