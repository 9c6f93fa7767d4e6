"""Versions of a rule beside each other: who saved which, when and why, and what each changed. Pure.

A rule is a document; nobody reads two of them side by side. So each version is told by what it says otherwise than the
one before, field by field.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

from dashboards.formats import NOTHING, Formats
from dashboards.i18n import N_

_MOST: Final = 12
#: Who made the first version of a chain that came from an earlier release; its reason is ours, so it is translated.
_UPDATE: Final = "migration"
_REASONS: Final = {
    "the tiers that members had before there were rules": N_("the tiers there were before there were rules")
}


class Saved(Protocol):
    """A version: who saved it, when and why; it holds from `valid_from` on."""

    @property
    def version(self) -> int:
        """Its number."""

    @property
    def valid_from(self) -> Any:
        """From when it holds (aware)."""

    @property
    def made_by(self) -> str:
        """Who saved it."""

    @property
    def made_at(self) -> Any:
        """When (aware)."""

    @property
    def reason(self) -> str:
        """Why."""


def history(
    versions: Sequence[tuple[Saved, Mapping[str, Any]]], current: int | None, fmt: Formats, zone: str
) -> list[dict[str, Any]]:
    """Versions for a page.

    Args:
        versions: newest first, each with its document as builtins.
        current: the number of the one in force.
    """
    told = []
    for place, (saved, document) in enumerate(versions):
        before = versions[place + 1][1] if place + 1 < len(versions) else {}
        changed = changes(before, document)
        told.append(
            {
                "version": fmt.number(saved.version),
                "is_current": saved.version == current,
                "is_coming": current is not None and saved.version > current,
                "from": f"{fmt.local_day(saved.valid_from, zone)} {fmt.clock(saved.valid_from, zone)}",
                "is_update": saved.made_by == _UPDATE,
                "by": saved.made_by,
                "at": f"{fmt.local_day(saved.made_at, zone)} {fmt.clock(saved.made_at, zone)}",
                "why": _REASONS.get(saved.reason, saved.reason),
                "changes": changed[:_MOST],
                "more": max(0, len(changed) - _MOST),
            }
        )
    return told


def changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """What two documents say otherwise: path, before, after; what is as it was is left out."""
    old, new = _flat("", before), _flat("", after)
    return [
        (path, old.get(path, NOTHING), new.get(path, NOTHING))
        for path in sorted({*old, *new})
        if old.get(path, NOTHING) != new.get(path, NOTHING)
    ]


def _flat(path: str, value: Any) -> dict[str, str]:
    """Each leaf by its path; empty things are nothing."""
    if isinstance(value, Mapping):
        return {
            name: text
            for key, each in value.items()
            for name, text in _flat(f"{path}.{key}" if path else key, each).items()
        }
    if isinstance(value, list | tuple):
        if all(not isinstance(each, Mapping | list | tuple) for each in value):
            return {path: ", ".join(map(str, value))} if value else {}
        return {
            name: text
            for place, each in enumerate(value)
            for name, text in _flat(f"{path}.{_name(each, place)}", each).items()
        }
    return {} if value is None or value == "" else {path: str(value)}


def _name(each: Any, place: int) -> str:
    """A row by its own name where it has one, so that a row put before it is not taken for it."""
    if isinstance(each, Mapping):
        for key in ("slug", "name"):
            if each.get(key):
                return str(each[key])
    return str(place + 1)
