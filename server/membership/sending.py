"""How a one-time code gets to a phone: by whatever carrier the chain has, or, without one, into a file.

Doorline sends no text message itself: every country has carriers of its own, and each its contract. A chain names a
function of its own in `DOORLINE_CODE_SENDER`. The file is for trying things out and for gateways that poll a folder; it
holds a number in clear, so it is its owner's only. A code never stands in a log.
"""

import importlib
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol, cast
from uuid import UUID

from server.access.models import Locale
from server.errors import InvalidInput
from server.settings import Settings

_TEXT: Final[dict[Locale, str]] = {
    "zh": "验证码 {code}，{minutes} 分钟内有效。请只告诉正在为您服务的店员。",
    "en": "Your code is {code}, valid for {minutes} minutes. Tell it only to the person serving you.",
}


@dataclass(frozen=True, slots=True)
class CodeMessage:
    """A code on its way.

    Attributes:
        number: where to, in E.164.
        minutes: for how long the code holds.
    """

    code_id: UUID
    number: str = field(repr=False)
    code: str = field(repr=False)
    minutes: int
    locale: Locale

    @property
    def text(self) -> str:
        """What the message says."""
        return _TEXT[self.locale].format(code=self.code, minutes=self.minutes)


class CodeSender(Protocol):
    """Carries codes to phones."""

    def send(self, message: CodeMessage) -> None:
        """Hand the message over, within a few seconds.

        Raises:
            Exception: of any kind, when it was not taken; the code is void then, and whoever asked is told.
        """


class FileSender:
    """Writes each message into a file of its own.

    Args:
        folder: made when it is needed.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def send(self, message: CodeMessage) -> None:
        """Write it; whoever polls the folder never sees half a file."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        part = self._folder / f".{message.code_id}.part"
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(f"{message.number}\n{message.text}\n")
        part.rename(self._folder / f"{message.code_id}.txt")


def sender_of(settings: Settings) -> CodeSender:
    """The carrier of the settings.

    Raises:
        InvalidInput: when it can't be loaded, or can't send.
    """
    if not settings.code_sender:
        return FileSender(settings.messages_dir)
    module, _, name = settings.code_sender.partition(":")
    try:
        made = getattr(importlib.import_module(module), name)(settings)
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        raise InvalidInput(
            f"the carrier of one-time codes can't be loaded: {error}",
            field="code_sender",
            remedy="name it as module:function, of a module that is installed here",
        ) from error
    if not callable(getattr(made, "send", None)):
        raise InvalidInput(
            f"{settings.code_sender} gives nothing that can send",
            field="code_sender",
            remedy="let it answer with an object that has `send(message)`",
        )
    return cast("CodeSender", made)
