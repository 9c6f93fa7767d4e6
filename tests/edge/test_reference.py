"""The page of settings and the example are held to the code: every key, no other, with values that are valid."""

import re
import tomllib
from pathlib import Path
from typing import Any

import msgspec
import pytest

from edge.reference import Key, Section, fields, key_paths, page, sections
from edge.settings import EdgeConfig

SECTIONS = {section.heading.strip("[]"): section for section in sections()}


def uncommented(text: str) -> dict[str, Any]:
    """An example with every key that stands behind a comment sign switched on."""
    return tomllib.loads(re.sub(r"^(\s*)# (\[+[a-z.]+\]+|[a-z0-9_]+ = )", r"\1\2", text, flags=re.MULTILINE))


def test_the_page_in_the_handbook_is_the_one_that_is_printed(repository_root: Path) -> None:
    found = (repository_root / "docs" / "edge-toml.md").read_text(encoding="utf-8")
    assert found == page(), "run: python -m edge.reference > docs/edge-toml.md"


def test_every_section_and_key_is_on_the_page() -> None:
    printed = page()
    for path, settings in key_paths().items():
        assert f"## `[{path}]`" in printed or f"## `[[{path}]]`" in printed
        for name in fields(settings):
            assert f"| `{name}` |" in printed, f"{path}.{name}"


@pytest.mark.parametrize("key", [key for section in sections() for key in section.keys], ids=lambda key: key.name)
def test_every_key_says_what_it_is(key: Key) -> None:
    assert key.kind
    assert len(key.description) > 15
    assert key.description.rstrip()[-1] in ".", key.description
    assert "|" not in key.kind


@pytest.mark.parametrize(
    ("section", "name", "kind", "default", "allowed", "unit"),
    [
        ("broker", "port", "whole number", "`1883`", "1 to 65535", ""),
        ("device", "clock_battery", "true or false", "`true`", "", ""),
        ("outbox", "flush_after_s", "number", "`5.0`", "0 to 3600", "seconds"),
        ("outbox", "quota_mb", "number", "`256.0`", "1 to 100000", "MB"),
        ("camera", "target_fps", "number", "`0.0`", "0 to 120", "frames a second"),
        ("camera", "mounting", '`"oblique"` or `"overhead"`', '`"oblique"`', "", ""),
        ("camera", "line", "sections", "", "", ""),
        ("camera.line", "inside", "`[x, y]`", "", "each 0 to 1", "fractions of the frame"),
        ("camera.line", "anchor", '`"centre"` or `"feet"` or `"head"`', "left out", "", ""),
        ("camera.zone", "points", "`[[x, y], [x, y], ...]`", "", "each 0 to 1", "fractions of the frame"),
        ("camera.zone", "stay_s", "number", "`30.0`", "above 0 to 86400", "seconds"),
    ],
)
def test_type_default_range_and_unit(section: str, name: str, kind: str, default: str, allowed: str, unit: str) -> None:
    key = next(key for key in SECTIONS[section].keys if key.name == name)
    assert (key.kind, key.default, key.range, key.unit) == (kind, default, allowed, unit)


def test_the_example_shows_every_key_with_a_valid_value(repository_root: Path) -> None:
    example = uncommented((repository_root / "deploy" / "edge.toml.example").read_text(encoding="utf-8"))
    msgspec.convert(example, EdgeConfig)
    shown = {path: _at(example, path) for path in SECTIONS}
    for path, section in SECTIONS.items():
        assert set(shown[path]) == {key.name for key in section.keys}, f"[{path}] of deploy/edge.toml.example"


def test_what_the_example_says_beside_the_required_keys_are_the_defaults(repository_root: Path) -> None:
    """Whoever uncomments a line to see what it does must not change anything by that."""
    text = (repository_root / "deploy" / "edge.toml.example").read_text(encoding="utf-8")
    for path in ("outbox", "camera.counting"):
        for key in SECTIONS[path].keys:
            if key.default.startswith("`"):
                assert _at(uncommented(text), path)[key.name] == tomllib.loads(f"v = {key.default.strip('`')}")["v"]


def _at(document: dict[str, Any], path: str) -> dict[str, Any]:
    found: Any = document
    for name in path.split("."):
        found = found[name]
        found = found[0] if isinstance(found, list) else found
    assert isinstance(found, dict)
    return found


def test_no_section_is_without_a_word_about_it() -> None:
    assert all(isinstance(section, Section) and len(section.about) > 15 for section in sections())
