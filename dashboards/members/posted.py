"""A submitted form in which fields stand more than once: rows of a rule, such as its levels or its rates.

Rows are kept as they were typed, the wrong ones too: a rule of eleven fields that comes back empty is typed once.
"""

import re
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Final

from fastapi import Depends, Request

from dashboards.entry.forms import Form
from dashboards.i18n import N_
from dashboards.viewer import Viewer, posting
from server.access.models import Role
from server.errors import DoorlineError

_LONGEST: Final = 4_000
_MOST_ROWS: Final = 100
_PLACE: Final = re.compile(r"(\w+)\[(?:...|(\d+))\](?:\.(.+))?")
ANY: Final = N_("This can't be taken as it is.")


@dataclass(frozen=True, slots=True)
class Posted:
    """What was sent: each field's first text, and all of them by name."""

    viewer: Viewer
    form: Form
    lists: Mapping[str, Sequence[str]]

    def rows(self, *names: str, always: str = "") -> list[dict[str, str]]:
        """Rows made of fields that stand as often as there are rows; a row of nothing is left out.

        Args:
            always: a field that has a value in an empty row, too, such as a choice.
        """
        columns = [self.lists.get(name, ())[:_MOST_ROWS] for name in names]
        depth = max((len(column) for column in columns), default=0)
        found = [
            {
                name: column[place].strip() if place < len(column) else ""
                for name, column in zip(names, columns, strict=True)
            }
            for place in range(depth)
        ]
        return [row for row in found if any(value for name, value in row.items() if name != always)]


def posted(*roles: Role) -> Callable[[Request, Viewer], AsyncIterator[Posted]]:
    """A dependency: the form of a viewer whose role is one of these and whose session's token came with it.

    Raises:
        Forbidden: for another role, or when the token is missing or wrong.
    """

    async def read(request: Request, viewer: Annotated[Viewer, Depends(posting(*roles))]) -> AsyncIterator[Posted]:
        async with request.form() as sent:
            lists: dict[str, list[str]] = {}
            for name, value in sent.multi_items():
                if isinstance(value, str):
                    lists.setdefault(name, []).append(value[:_LONGEST])
            yield Posted(viewer, Form({name: values[0] for name, values in lists.items()}), lists)

    return read


def refuse(
    form: Form, error: DoorlineError, words: Mapping[str, str], prefixes: Mapping[str, str] | None = None
) -> None:
    """Note what a service refused of a document, under the name its field has in the form.

    A path such as ``levels[2].benefits.discount`` becomes ``discount-2``; what has no field of its own is told at the
    head of the form.

    Args:
        words: what to say, by the last part of a path.
        prefixes: by the name of a list, what goes before the names of its fields in the form.
    """
    path = error.field or ""
    match = _PLACE.fullmatch(path)
    if match:
        last = (match[3] or match[1]).rpartition(".")[2]
        prefix = (prefixes or {}).get(match[1], "") if match[3] else ""
        name = f"{prefix}{last}-{match[2]}" if match[2] else match[1]
    else:
        last = path.partition(".")[0]
        name = last
    form.problems[name] = words.get(last, words.get(path.partition("[")[0].partition(".")[0], ANY))
