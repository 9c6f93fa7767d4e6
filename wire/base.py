"""What all messages are made of: names, times and numbers with their bounds, and the strictness common to all."""

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

Utc = Annotated[datetime, Meta(tz=True)]
# In every pattern here: `$` by itself would let a line end follow.
Name = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$(?!\n)")]
Count = Annotated[int, Meta(ge=0, le=2**31 - 1)]
Share = Annotated[float, Meta(ge=0, le=1)]


class Message(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Common to all: immutable, nothing unknown. (`kw_only` is not inherited, so each class says it.)

    What comes by the thousand says `gc=False`: it can't be part of a cycle, so nobody need look for one.
    """
