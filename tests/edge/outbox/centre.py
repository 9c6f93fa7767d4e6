"""What the machine of `shop` asks of a centre, be it a model of the contract or the real ingest on a real database."""

from collections import Counter
from collections.abc import Mapping, Sequence, Set
from typing import Literal, Protocol

from tests.chaos.stream import Key
from wire.messages import Reply

#: What becomes of batches that came together.
Fate = Literal["committed", "not committed", "asked twice at once"]
FATES: tuple[Fate, ...] = ("committed", "not committed", "asked twice at once")


class Books(Protocol):
    """What a centre has of the box."""

    @property
    def numbers(self) -> Mapping[str, Counter[int]]:
        """How often it has each number of each epoch."""
        ...

    @property
    def lost(self) -> Mapping[str, set[int]]:
        """Numbers of each epoch that it says are lost."""
        ...

    @property
    def cursors(self) -> Mapping[str, int]:
        """How far it has come in each epoch."""
        ...

    @property
    def sums(self) -> Counter[Key]:
        """What it all adds up to."""
        ...

    @property
    def in_quarters(self) -> Set[Key]:
        """Of the sums those of which only the quarter hour is known."""
        ...


class Centre(Protocol):
    """Whoever takes batches, by the contract."""

    def begin(self) -> None:
        """Forget everything: another box, another day."""

    def take(self, payloads: Sequence[bytes], fate: Fate) -> list[Reply]:
        """Batches that came together; nothing is answered when nothing was committed."""
        ...

    def back_up(self) -> None:
        """Keep everything as it is now."""

    def restore(self) -> None:
        """Be as at the last backup, or empty where there was none."""

    def move(self, store: str) -> None:
        """The box hangs in another store now."""

    def books(self) -> Books:
        """What it has; what it has twice or has added up wrongly is a failure."""
        ...
