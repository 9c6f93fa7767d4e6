"""Two boxes that sign in as one: found by what each calls its live epoch. Pure.

A copied memory card has the same key, so no certificate tells the two apart; counted by both, a door would be two
doors' worth. But every start of an agent begins an epoch of its own, and a box never goes back to an earlier one. The
trap is a status that was long under way: it names an earlier epoch, too, but its own time is earlier as well.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

#: More boxes than this under one name would be known as new ones each time.
_KEPT: Final = 16


@dataclass(frozen=True, slots=True)
class Lives:
    """What is known of a box's live epochs.

    Attributes:
        epochs: the newest last.
        at: the box's own time of the status that named it (UTC); None before the first.
    """

    epochs: Sequence[str] = ()
    at: datetime | None = None


def follow(known: Lives, epoch: str, at: datetime) -> tuple[Lives, bool]:
    """What is known after a status, and whether it shows that there are two.

    Args:
        known: before it.
        epoch: what it calls its live one.
        at: when the box said so, by its own clock (UTC).
    """
    if known.epochs and known.epochs[-1] == epoch:
        return known, False
    if known.at is not None and at <= known.at:
        return known, False
    others = [each for each in known.epochs if each != epoch]
    return Lives([*others, epoch][-_KEPT:], at), len(others) < len(known.epochs)
