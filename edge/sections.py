"""What all sections of `edge.toml` share: nothing in them changes, nothing unknown is taken, and how an error is told.

Below every file of settings, so that a camera's can be read without the box's, and neither has to know the other.
"""

from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from wire import base

Name = base.Name
Fraction = Annotated[float, Meta(ge=0, le=1)]
Point = tuple[Fraction, Fraction]


class ConfigError(ValueError):
    """What is wrong in a configuration file; the text is `path: key: reason. Remedy`, the path where it is known."""

    def __init__(self, key: str, reason: str, remedy: str, *, path: Path | None = None) -> None:
        where = [str(path)] if path is not None else []
        super().__init__(": ".join([*where, *([key] if key else []), f"{reason}. {remedy}"]))
        self.key = key
        self.reason = reason
        self.remedy = remedy


class Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Common to all sections: immutable, nothing unknown."""
