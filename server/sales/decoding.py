"""From bytes to receipts, each on its own: one bad receipt must not hold up the others of its batch. Pure."""

import re
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from server.errors import InvalidInput, TooLarge
from server.sales.models import NewReceipt, Problem

MOST_RECEIPTS: Final = 5_000

_PATH: Final = re.compile(r"(?P<reason>.*?)(?: - at `\$\.?(?P<field>[^`]*)`)?", re.DOTALL)


class _Batch(msgspec.Struct, forbid_unknown_fields=True):
    receipts: Annotated[list[msgspec.Raw], Meta(min_length=1)]


class _Number(msgspec.Struct):
    receipt_no: str | None = None


_batch: Final = msgspec.json.Decoder(_Batch)
_receipt: Final = msgspec.json.Decoder(NewReceipt)
_number: Final = msgspec.json.Decoder(_Number)


def decode_batch(body: bytes) -> tuple[list[tuple[int, NewReceipt]], list[Problem]]:
    """The receipts of ``{"receipts": [...]}`` with their places, and those that can't be read.

    Raises:
        InvalidInput: when the body as a whole is not of that form.
        TooLarge: more than 5,000 receipts.
    """
    try:
        raws = _batch.decode(body).receipts
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        field, reason = _where(error)
        raise InvalidInput(
            f"the body can't be read: {reason}", field=field, remedy='send {"receipts": [...]} as UTF-8 JSON'
        ) from error
    if len(raws) > MOST_RECEIPTS:
        raise TooLarge(
            f"{len(raws)} receipts; at most {MOST_RECEIPTS} are taken in one go",
            field="receipts",
            remedy="send them in several batches",
        )
    receipts: list[tuple[int, NewReceipt]] = []
    problems: list[Problem] = []
    for index, raw in enumerate(raws):
        try:
            receipts.append((index, _receipt.decode(raw)))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            field, reason = _where(error)
            problems.append(
                Problem(index, _number_of(raw), field, reason, "see the schema of a receipt in the API's description")
            )
    return receipts, problems


def _where(error: Exception) -> tuple[str | None, str]:
    match = _PATH.fullmatch(str(error))
    if match is None:
        return None, str(error)
    return match["field"] or None, match["reason"]


def _number_of(raw: msgspec.Raw) -> str | None:
    """The number of a receipt that can't be read, when at least that can."""
    try:
        return _number.decode(raw).receipt_no
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
