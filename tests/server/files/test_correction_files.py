"""Rows that go back as a workbook: all of them, or a clear refusal."""

import pytest

from server.errors import TooLarge
from server.files import correction_files
from server.files.corrections import Wrong


def test_a_workbook_never_drops_what_a_sheet_does_not_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [Wrong(["x"], line, "at", "no time", "write it") for line in (2, 3, 4)]
    monkeypatch.setattr(correction_files, "MOST_ROWS", 3)
    assert b"".join(correction_files.correction_book(["at"], rows)).startswith(b"PK")
    monkeypatch.setattr(correction_files, "MOST_ROWS", 2)
    with pytest.raises(TooLarge):
        next(correction_files.correction_book(["at"], rows))
