"""Short texts that stand beside a member in clear: tags, names of staff, channels, campaigns, reasons. Pure."""

import re
import unicodedata
from typing import Final

from server.errors import InvalidInput

LONGEST: Final = 80
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")


def label(text: str, field: str, longest: int = LONGEST) -> str:
    """One spelling of a short text: composed characters, single spaces.

    Raises:
        InvalidInput: for `field`, when it is empty, too long or has control characters.
    """
    plain = " ".join(unicodedata.normalize("NFKC", text).split())
    if not plain or len(plain) > longest or _CONTROL.search(plain):
        raise InvalidInput(
            f"{field} is empty, too long or has control characters",
            field=field,
            remedy=f"use 1 to {longest} letters",
        )
    return plain
