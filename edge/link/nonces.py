"""Which acknowledgements may be believed after the server wanted an epoch again.

A database that came back from a backup asks for an epoch again; an ack it gave before may still be under way, and
speaks for rows that are no more. Every sending of a batch has a random word of its own that its answer says back, so
after a rewind only what answers a sending since then counts. Before one, an ack of any sending is as good as another.
"""

import secrets
from collections import deque
from typing import Final

from wire.messages import Ack

#: Sendings of one epoch, since it was wanted again, that an ack may still come for.
_KEPT: Final = 64


class Nonces:
    """Words of the sendings of each epoch that was wanted again."""

    def __init__(self) -> None:
        self._since: dict[str, deque[str]] = {}

    def make(self, epoch: str) -> str:
        """A word for one sending of a batch of `epoch`."""
        nonce = secrets.token_hex(8)
        if (since := self._since.get(epoch)) is not None:
            since.append(nonce)
        return nonce

    def rewound(self, epoch: str) -> None:
        """The server wants `epoch` again: what it said of it before counts no more."""
        self._since[epoch] = deque(maxlen=_KEPT)

    def believes(self, ack: Ack) -> bool:
        """Whether an ack answers something sent since; one without a word is of a server that knows none."""
        return ack.nonce is None or ack.epoch not in self._since or ack.nonce in self._since[ack.epoch]
