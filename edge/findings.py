"""What a check of a box came to: one finding a thing looked at, with what to do about it.

A list of complaints leaves a person on a ladder where they were. So whatever is not right names its remedy.
"""

from dataclasses import dataclass
from typing import Literal

Verdict = Literal["ok", "warning", "wrong"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at.

    Attributes:
        verdict: `wrong` keeps the box from counting or sending; a `warning` makes it count less well.
        what: it and how it is.
        remedy: what to do; empty when nothing is.
    """

    verdict: Verdict
    what: str
    remedy: str = ""
