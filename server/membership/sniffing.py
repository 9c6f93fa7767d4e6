"""What a file is, by its first bytes and not by its name: only pictures and PDF are taken. Pure.

A file that says it is a picture and is a page with a script would run in the next reader's browser. So what the sender
says counts for nothing, and no format that can carry a script (SVG, HTML, Office) is on the list. A PDF can; it is only
ever sent as a download.
"""

from typing import Final

from server.errors import InvalidInput, TooLarge

#: Bytes of one file at the most.
LARGEST: Final = 5 * 1024 * 1024
_MIB: Final = 1024 * 1024
_REMEDY: Final = "take a picture of it (JPEG, PNG, WebP) or save it as PDF"


def media_type(content: bytes) -> str:
    """The type of a file's content.

    Raises:
        TooLarge: more than is kept.
        InvalidInput: empty, or nothing that is taken.
    """
    if len(content) > LARGEST:
        raise TooLarge(
            f"the file has {len(content) / _MIB:.1f} MiB; {LARGEST // _MIB} are taken at the most",
            field="file",
            remedy="make it smaller",
        )
    if content.startswith(b"\x89PNG\r\n\x1a\n") and content[12:16] == b"IHDR":
        return "image/png"
    if content.startswith(b"\xff\xd8\xff") and content.rstrip(b"\0").endswith(b"\xff\xd9"):
        return "image/jpeg"
    if content.startswith(b"RIFF") and content[8:12] == b"WEBP":
        return "image/webp"
    if content.startswith(b"%PDF-") and b"%%EOF" in content[-1024:]:
        return "application/pdf"
    raise InvalidInput("this is no picture and no PDF, or it is cut off", field="file", remedy=_REMEDY)
