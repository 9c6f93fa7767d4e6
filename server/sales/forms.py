"""Forms with a file in them, read only once it is known who sends them.

A file is up to a gigabyte, and the framework would take in a form that is a parameter of a route before it asks who
sends it; so the form is read by a dependency that asks first.
"""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Annotated, Any, BinaryIO, Final

import msgspec
from fastapi import Depends, Request
from starlette.datastructures import FormData, UploadFile

from server.access.api import require_role
from server.access.models import Scope
from server.errors import InvalidInput
from server.sales.formats import TillFormat, format_of
from server.sales.till_formats import FormatService

Importer = Annotated[Scope, Depends(require_role("manager", "hq", "admin"))]

_LONGEST_FIELD: Final = 20_000
_TRUE: Final = frozenset({"true", "1", "on", "yes"})
_FALSE: Final = frozenset({"", "false", "0", "off", "no"})
_EXAMPLE: Final = 'send {"at": "时间"}'

#: How a form is described.
FORM: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file", "store_id"],
                    "properties": {
                        "file": {
                            "type": "string",
                            "format": "binary",
                            "description": "CSV in UTF-8, UTF-16 or GB18030 with comma, semicolon or tab; or XLSX.",
                        },
                        "store_id": {"type": "string"},
                        "till": {"type": "string", "description": "Name of a saved format."},
                        "format": {"type": "string", "description": "JSON: a format, instead of a saved one."},
                        "mapping": {
                            "type": "string",
                            "description": "JSON: our columns to the file's headers, over those of the format.",
                        },
                        "dry_run": {
                            "type": "boolean",
                            "default": False,
                            "description": "Check everything, keep nothing.",
                        },
                    },
                }
            }
        },
    }
}


@dataclass(frozen=True, slots=True)
class Upload:
    """A form with a file in it.

    Attributes:
        till: name of a saved format; empty: `form` it is.
    """

    file: BinaryIO
    name: str
    store_id: str
    till: str
    form: TillFormat
    mapping: dict[str, str]
    dry_run: bool

    def format(self, scope: Scope, formats: FormatService) -> TillFormat:
        """How the file is to be read.

        Raises:
            NotFound: no format goes by that name.
        """
        form = formats.named(scope, self.till) if self.till else self.form
        return msgspec.structs.replace(form, columns={**form.columns, **self.mapping}) if self.mapping else form


async def _upload(request: Request, _scope: Importer) -> AsyncIterator[Upload]:
    """The form of whoever may send one; its file is gone once they have their answer."""
    async with request.form(max_files=1, max_fields=10) as form:
        yield _upload_of(form)


#: The form of a request, as a dependency.
Form = Annotated[Upload, Depends(_upload)]


def _upload_of(form: FormData) -> Upload:
    file = form.get("file")
    if not isinstance(file, UploadFile):
        raise InvalidInput("there is no file", field="file", remedy="send it as multipart/form-data, in the field file")
    store_id = _text(form, "store_id").strip()
    if not store_id:
        raise InvalidInput("no store is given", field="store_id", remedy="say which store sold")
    written = _text(form, "format")
    return Upload(
        file.file,
        file.filename or "",
        store_id,
        _text(form, "till").strip(),
        format_of(written) if written.strip() else TillFormat(),
        _mapping(_text(form, "mapping")),
        _truth(_text(form, "dry_run"), "dry_run"),
    )


def _text(form: FormData, field: str) -> str:
    value = form.get(field, "")
    if not isinstance(value, str) or len(value) > _LONGEST_FIELD:
        raise InvalidInput(f"{field} is no short text", field=field, remedy="see this route in the API's description")
    return value


def _truth(text: str, field: str) -> bool:
    plain = text.strip().lower()
    if plain not in _TRUE | _FALSE:
        raise InvalidInput(f"{text!r} is neither true nor false", field=field, remedy="send true or false")
    return plain in _TRUE


def _mapping(text: str) -> dict[str, str]:
    if not text.strip():
        return {}
    try:
        mapping = json.loads(text)
    except ValueError as error:
        raise InvalidInput(f"the mapping is not JSON: {error}", field="mapping", remedy=_EXAMPLE) from error
    if not isinstance(mapping, dict) or not all(isinstance(value, str) for value in mapping.values()):
        raise InvalidInput("the mapping is no object of texts", field="mapping", remedy=_EXAMPLE)
    return mapping
