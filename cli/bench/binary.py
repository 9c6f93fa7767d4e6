"""Rows in the binary form COPY takes, a column at a time.

Forty million rows packed one by one take an hour. Here every row of a block is as wide as the next, so a block is one
array of records that numpy fills column by column, and its bytes are what PostgreSQL reads. The form is PostgreSQL's
own (COPY, "Binary Format"; numeric as in `numeric_recv`, which takes digits of 10,000 with leading zeros). The trap is
a text whose length differs within a block: whoever makes a block puts rows of other lengths into another.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

SIGNATURE: Final = b"PGCOPY\n\xff\r\n\0" + bytes(8)
TRAILER: Final = b"\xff\xff"
#: Digits of numeric, in base 10,000, before the point: enough for what 64 bits hold.
_WHOLE: Final = 5
_BASE: Final = 10_000

Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Cells:
    """A column of a block: PostgreSQL's bytes of each cell, all of one length."""

    values: npt.NDArray[Any]


def int2(values: npt.ArrayLike) -> Cells:
    """smallint."""
    return Cells(np.asarray(values).astype(">i2"))


def int4(values: npt.ArrayLike) -> Cells:
    """Integer; also date, as days since 2000-01-01."""
    return Cells(np.asarray(values).astype(">i4"))


def int8(values: npt.ArrayLike) -> Cells:
    """bigint; also timestamptz, as microseconds since 2000-01-01 UTC."""
    return Cells(np.asarray(values).astype(">i8"))


def real(values: npt.ArrayLike) -> Cells:
    """float4."""
    return Cells(np.asarray(values).astype(">f4"))


def boolean(values: npt.ArrayLike) -> Cells:
    """Bool."""
    return Cells(np.asarray(values).astype("u1"))


def text(values: npt.NDArray[np.bytes_]) -> Cells:
    """Texts (UTF-8), as long as each other.

    Raises:
        ValueError: one is shorter.
    """
    if values.size and int(np.char.str_len(values).min()) != values.dtype.itemsize:
        raise ValueError("the texts of a block must have one length")
    return Cells(values)


def jsonb(values: Sequence[str]) -> Cells:
    """JSON, filled up with blanks, which the database leaves out again."""
    found = [value.encode() for value in values]
    width = max(map(len, found), default=1)
    # The first byte is the number of the form.
    return Cells(np.array([b"\x01" + value.ljust(width) for value in found], dtype=f"S{width + 1}"))


def raw(values: npt.NDArray[np.void]) -> Cells:
    """Bytes as they are: uuid (sixteen each), bytea."""
    return Cells(values)


def of_rows(cells: Sequence[Cells], rows: Mask) -> list[Cells]:
    """Some rows of a block; a cell for all of them stays one."""
    return [Cells(each.values[rows]) if len(each.values) == len(rows) else each for each in cells]


def same(value: bytes) -> Cells:
    """The same bytes, one at least, in every row."""
    return Cells(np.array([value], dtype=f"V{len(value)}"))


def numeric(values: Ints, scale: int) -> Cells:
    """Numeric.

    Args:
        values: the numbers times ten to the `scale`, none below zero.
        scale: digits after the point.

    Raises:
        ValueError: a number below zero.
    """
    whole = np.asarray(values, dtype=np.int64)
    if whole.size and int(whole.min()) < 0:
        raise ValueError("no number of the chain is below zero")
    behind = -(-scale // 4)
    digits = np.zeros((whole.size, _WHOLE + behind), dtype=">i2")
    unit = 10**scale
    before, after = np.divmod(whole, unit)
    after = after * 10 ** (4 * behind - scale)
    for place in range(behind - 1, -1, -1):
        after, digits[:, _WHOLE + place] = np.divmod(after, _BASE)
    for place in range(_WHOLE - 1, -1, -1):
        before, digits[:, place] = np.divmod(before, _BASE)
    kind = [("count", ">i2"), ("weight", ">i2"), ("sign", ">i2"), ("scale", ">i2")]
    made = np.zeros(whole.size, dtype=[*kind, ("digits", ">i2", (digits.shape[1],))])
    made["count"], made["weight"], made["scale"], made["digits"] = digits.shape[1], _WHOLE - 1, scale, digits
    return Cells(made)


def small_numeric_array(values: Sequence[int], scale: int) -> bytes:
    """One numeric[] of whole numbers below 10,000, for `same`."""
    # Of each: one digit, of weight 0, positive, then the digit itself.
    item = b"".join(n.to_bytes(2, "big") for n in (1, 0, 0, scale))
    cells = b"".join((10).to_bytes(4, "big") + item + value.to_bytes(2, "big") for value in values)
    head = (1, 0, 1700, len(values), 1)
    return b"".join(n.to_bytes(4, "big") for n in head) + cells


#: An empty text[].
NO_TEXTS: Final = b"".join(n.to_bytes(4, "big") for n in (0, 0, 25))


def block(rows: int, columns: Sequence[Cells]) -> bytes:
    """So many rows of these columns, ready to stand between `SIGNATURE` and `TRAILER`.

    Args:
        columns: each with a cell for every row, or with one for all.
    """
    kind: list[tuple[str, Any]] = [("columns", ">i2")]
    for place, cells in enumerate(columns):
        kind += [(f"size{place}", ">i4"), (f"cell{place}", cells.values.dtype)]
    made = np.zeros(rows, dtype=kind)
    made["columns"] = len(columns)
    for place, cells in enumerate(columns):
        made[f"size{place}"] = cells.values.dtype.itemsize
        made[f"cell{place}"] = cells.values
    return made.tobytes()
