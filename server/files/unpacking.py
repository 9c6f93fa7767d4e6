"""What a workbook may unpack to, looked at before anything of it is unpacked.

A workbook is a packed folder of parts. Sheets are read row by row, but texts, styles and whatever else there is are
taken in whole before the first row, at about a second and four megabytes for each megabyte of short texts; fifteen
kilobytes of one text over and over unpack to four. So each part has its bound, and no large part may be packed tighter
than tables ever are. The trap: what a part is, is not said by its name but by the list of contents, where texts can be
called a sheet; only what both call a sheet may be as large as one. What an entry says of its size can be relied upon:
unpacking stops there.
"""

import zipfile
from typing import Final

from server.errors import TooLarge

#: All parts together, where nobody says less (bytes).
MOST_UNPACKED: Final = 2 * 2**30
#: All the texts of a workbook, and every other part that is no sheet (bytes).
MOST_TEXTS: Final = 64 * 2**20
_MOST_OTHER: Final = 16 * 2**20
#: How many times smaller a part may be than what it unpacks to, and from which size on that is asked (bytes). Tables
#: are packed to a tenth or so.
_TIGHTEST: Final = 100
_ASKED_FROM: Final = 2**20
_MIB: Final = 2**20
_CONTENTS: Final = "[Content_Types].xml"
_SHEETS: Final = "xl/worksheets/"
_TEXTS: Final = "xl/sharedStrings.xml"
_SHEET_TYPE: Final = "application/vnd.openxmlformats-officedocument.spreadsheetml.worksheet+xml"
_REMEDY: Final = "send it as CSV, or in parts"


def check_unpacked(packed: zipfile.ZipFile, most: int = MOST_UNPACKED) -> None:
    """Refuse a workbook that unpacks to more than anybody sends.

    Args:
        most: of all its parts together (bytes).

    Raises:
        TooLarge: naming the part.
        zipfile.BadZipFile, KeyError, ValueError, SyntaxError: it is no workbook.
    """
    entries = packed.infolist()
    if sum(entry.file_size for entry in entries) > most:
        raise _too_large(f"the workbook unpacks to more than {most // _MIB:,} MiB")
    for entry in entries:
        if entry.file_size > _ASKED_FROM and entry.file_size > _TIGHTEST * entry.compress_size:
            raise _too_large(f"{entry.filename} in the workbook is packed more than {_TIGHTEST} to 1, as no table is")
        if entry.filename == _CONTENTS:
            _check_part(entry, _MOST_OTHER)
    sheets = _sheets(packed)
    for entry in entries:
        if entry.filename not in sheets:
            _check_part(entry, MOST_TEXTS if entry.filename == _TEXTS else _MOST_OTHER)


def _check_part(entry: zipfile.ZipInfo, most: int) -> None:
    if entry.file_size > most:
        raise _too_large(f"{entry.filename} in the workbook unpacks to more than {most // _MIB:,} MiB")


def _sheets(packed: zipfile.ZipFile) -> set[str]:
    """Parts that are sheets by their name and by the list of contents, and nothing else by it."""
    from openpyxl.packaging.manifest import Manifest
    from openpyxl.xml.functions import fromstring

    listed = Manifest.from_tree(fromstring(packed.read(_CONTENTS))).Override
    sheets = {part.PartName.lstrip("/") for part in listed if part.ContentType == _SHEET_TYPE}
    others = {part.PartName.lstrip("/") for part in listed if part.ContentType != _SHEET_TYPE}
    return {name for name in sheets - others if name.startswith(_SHEETS)}


def _too_large(message: str) -> TooLarge:
    return TooLarge(message, field="file", remedy=_REMEDY)
