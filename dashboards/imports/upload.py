"""A form with a file in it, read only once it is known who sends it.

A file is up to a gigabyte. As a parameter of a route it would be taken in whole before anybody asks who sends it; so it
is read by a dependency that asks first, as the API does.
"""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Annotated, BinaryIO, Final

from fastapi import Depends, Request
from starlette.datastructures import FormData, UploadFile

from dashboards.entry.forms import Form
from dashboards.viewer import Viewer, viewer_with
from server.access.api import CSRF_FIELD, check_csrf
from server.access.models import Role

_LONGEST: Final = 20_000
#: A column of a file is two fields of the form: what the file calls it, and what it is taken for.
_MOST_FIELDS: Final = 700


@dataclass(frozen=True, slots=True)
class Upload:
    """What was sent.

    Attributes:
        file: None where none was chosen.
        name: the file's.
        headers: columns of the file as they were shown; `chosen`: for each what it was said to be, empty for nothing.
            Both are empty before anything was shown.
    """

    viewer: Viewer
    file: BinaryIO | None
    name: str
    form: Form
    headers: list[str]
    chosen: list[str]

    @property
    def said(self) -> dict[str, str]:
        """Our columns to the file's headers, as somebody said by hand."""
        return {ours: header for header, ours in zip(self.headers, self.chosen, strict=False) if ours}


def upload_of(*roles: Role) -> Callable[[Request, Viewer], AsyncIterator[Upload]]:
    """A dependency: the form of a viewer whose role is one of these and whose session's token came with it.

    Raises:
        Forbidden: for another role, or when the token is missing or wrong.
    """

    async def read(request: Request, viewer: Annotated[Viewer, Depends(viewer_with(*roles))]) -> AsyncIterator[Upload]:
        async with request.form(max_files=1, max_fields=_MOST_FIELDS) as sent:
            check_csrf(viewer.session, _text(sent.get(CSRF_FIELD, "")))
            yield _upload(viewer, sent)

    return read


def _upload(viewer: Viewer, sent: FormData) -> Upload:
    file = sent.get("file")
    is_there = isinstance(file, UploadFile) and bool(file.filename)
    return Upload(
        viewer,
        file.file if is_there and isinstance(file, UploadFile) else None,
        (file.filename or "") if is_there and isinstance(file, UploadFile) else "",
        Form({name: _text(value) for name, value in sent.items() if name not in {"file", "header", "column"}}),
        [_text(value) for value in sent.getlist("header")],
        [_text(value) for value in sent.getlist("column")],
    )


def _text(value: object) -> str:
    return value[:_LONGEST] if isinstance(value, str) else ""
