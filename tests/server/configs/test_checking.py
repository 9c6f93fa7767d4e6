"""A file of cameras' settings: what is refused, and what to do then; and that what is written reads the same."""

from datetime import UTC, datetime
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge import settings
from server.configs.checking import check_register, parse
from server.configs.writing import to_toml
from server.errors import InvalidInput
from server.stores.models import Camera, Line
from wire import config
from wire.config import CameraConfig, CountingConfig, LineConfig, SizeConfig, TagConfig, ZoneConfig

GOOD = """
[[camera]]
id = "S01-C1"
mounting = "overhead"
target_fps = 12

  [[camera.line]]
  id = "S01-L1"
  start = [0.1, 0.5]
  end = [0.9, 0.5]
  inside = [0.5, 0.9]
"""
LINE = GOOD[GOOD.index("  [[camera.line]]") :]
AT = datetime(2026, 11, 20, tzinfo=UTC)
CAMERAS = [Camera("S01-C1", "S01", "door", AT), Camera("S01-C9", "S01", "old", AT, AT)]
LINES = [Line("S01-L1", "S01-C1", "S01", "door", "door"), Line("S01-L2", "S01-C1", "S01", "street", "street")]


def test_a_good_file_is_taken() -> None:
    [camera] = parse(GOOD)
    assert (camera.id, camera.mounting, camera.target_fps) == ("S01-C1", "overhead", 12)
    assert camera.line == (LineConfig(id="S01-L1", start=(0.1, 0.5), end=(0.9, 0.5), inside=(0.5, 0.9)),)
    check_register([camera], CAMERAS, LINES, "S01")


@pytest.mark.parametrize(
    ("text", "said", "remedy"),
    [
        ("", "no [[camera]]", "config clear"),
        ("[[camera]", "not valid TOML", "mend"),
        (GOOD.replace("mounting", "mountign"), "camera[0].mountign is not a known key", "did you mean 'mounting'"),
        (GOOD.replace("inside", "insid"), "camera[0].line[0].insid is not a known key", "did you mean 'inside'"),
        (GOOD.replace("target_fps", "source"), "camera[0].source can't be set from afar", "edge.toml"),
        ("[broker]\nhost = 'evil.example.com'\n" + GOOD, "broker can't be set from afar", "edge.toml"),
        (GOOD.replace("  inside = [0.5, 0.9]\n", ""), "camera[0].line[0].inside is missing", "add it"),
        (GOOD.replace("0.9, 0.5", "1.9, 0.5"), "camera[0].line[0].end[0]: expected `float` <= 1.0", "edge-toml.md"),
        (GOOD.replace("= 12", "= nan"), "camera[0].target_fps", "edge-toml.md"),
        (GOOD.replace('"overhead"', '"ceiling"'), "camera[0].mounting: invalid enum value 'ceiling'", "edge-toml.md"),
        (GOOD.replace("  end = [0.9, 0.5]\n", ""), "camera[0].line[0].end is missing", "start and end, or points"),
        (GOOD.replace("end =", "points = [[0.1, 0.2], [0.3, 0.4]]\nend ="), "are given together with", "keep"),
        (GOOD.replace("end = [0.9", "end = [0.1"), "camera[0].line[0] has one point", "two different ends"),
        (GOOD + LINE, "is already the id of camera[0].line[0]", "its own"),
        (GOOD + GOOD, "is already the id of camera[0]", "its own"),
        (GOOD.replace(LINE, ""), "camera[0].line no line is given", "kind count"),
        (
            GOOD + '[[camera.zone]]\nid = "z"\nkind = "staff"\npoints = [[0.1, 0.1], [0.2, 0.2], [0.1, 0.1]]',
            "camera[0].zone[0].points has 2 corners",
            "three",
        ),
        (GOOD + '[[camera.tag]]\ntag = "staff"', "began_in are both left out", "one of them"),
        (GOOD + '[[camera.tag]]\ntag = "staff"\ncrossings_at_least = 2\nline = "L9"', "no line here", "id of a line"),
        (GOOD + '[[camera.tag]]\ntag = "staff"\nbegan_in = "till"', "no zone here", "kind staff or count"),
        (GOOD + "[camera.size]\nadult = [[0.5, 0.2]]", "fewer than two depths", "[[y, height]"),
        ("#" * 600_000, "which no configuration has", "path"),
    ],
)
def test_a_bad_one_is_refused_with_the_key_the_reason_and_what_to_do(text: str, said: str, remedy: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        parse(text)
    assert said in refused.value.message
    assert remedy in (refused.value.remedy or "")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (GOOD.replace("S01-C1", "S02-C1"), "store S01 has no camera 'S02-C1' in service"),
        (GOOD.replace("S01-C1", "S01-C9"), "store S01 has no camera 'S01-C9' in service"),
        (GOOD.replace("S01-L1", "S01-L7"), "camera S01-C1 has no line 'S01-L7'"),
        (GOOD.replace("S01-L1", "S01-L2"), "is 'door', and the register calls line S01-L2 'street'"),
    ],
)
def test_what_is_not_registered_there_is_refused(text: str, said: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        check_register(parse(text), CAMERAS, LINES, "S01")
    assert said in refused.value.message
    assert refused.value.remedy


# -- what is written reads as it was

shares = st.floats(0, 1, allow_nan=False)
points = st.tuples(shares, shares)
names = st.from_regex(r"\A[A-Za-z0-9][A-Za-z0-9._-]{0,20}\Z")
lines = st.builds(
    LineConfig,
    id=names,
    start=points,
    end=points,
    inside=points,
    kind=st.sampled_from(["door", "street", "interior"]),
    anchor=st.sampled_from([None, "feet", "head"]),
    settle=st.sampled_from(["immediate", "on_exit"]),
)
zones = st.builds(
    ZoneConfig,
    id=names,
    points=st.lists(points, min_size=3, max_size=5).map(tuple),
    kind=st.sampled_from(["count", "staff", "ignore"]),
)
cameras = st.builds(
    CameraConfig,
    id=names,
    mounting=st.sampled_from(["overhead", "oblique"]),
    confidence=st.none() | st.floats(0.1, 0.9),
    gate=st.booleans(),
    rotate=st.sampled_from([0, 90, 180, 270]),
    target_fps=st.floats(0, 120),
    line=st.lists(lines, max_size=3).map(tuple),
    zone=st.lists(zones, max_size=2).map(tuple),
    tag=st.lists(st.builds(TagConfig, tag=st.just("staff"), began_in=names), max_size=2).map(tuple),
    size=st.none() | st.builds(SizeConfig, adult=st.lists(points, max_size=3).map(tuple)),
    counting=st.builds(CountingConfig, group_s=st.floats(0, 60)),
)


@given(st.lists(cameras, min_size=1, max_size=3))
def test_what_is_written_reads_as_it_was(some: list[CameraConfig]) -> None:
    class File(msgspec.Struct):
        camera: tuple[CameraConfig, ...]

    assert msgspec.toml.decode(to_toml(some), type=File).camera == tuple(some)


# -- one file serves both

MIRRORED: dict[Any, Any] = {
    config.CameraConfig: settings.CameraSettings,
    config.LineConfig: settings.LineSettings,
    config.ZoneConfig: settings.ZoneSettings,
    config.TagConfig: settings.TagSettings,
    config.SizeConfig: settings.SizeSettings,
    config.CountingConfig: settings.CountingSettings,
}
#: What a box alone knows, or what would keep it from ever hearing of a better setting.
LOCAL = {"source", "model", "runtime", "threads", "decode_height", "loop", "starts_at"}


def bounds(kind: type) -> dict[str, object]:
    """Keys, types, bounds and defaults, without descriptions, lengths and names of types."""

    def plain(node: object, parts: dict[str, object]) -> object:
        if isinstance(node, dict):
            if "$ref" in node:
                return plain(parts[str(node["$ref"]).rsplit("/", 1)[-1]], parts)
            dropped = {"title", "description", "maxItems", "additionalProperties", "items"}
            kept = {
                key: plain(value, parts) for key, value in node.items() if key not in dropped or key == "properties"
            }
            return kept | ({"items": plain(node["items"], parts)} if isinstance(node.get("items"), dict) else {})
        return [plain(each, parts) for each in node] if isinstance(node, list) else node

    (schema,), parts = msgspec.json.schema_components([kind])
    found = plain(schema, dict(parts))
    assert isinstance(found, dict)
    return dict(found["properties"])


@pytest.mark.parametrize("kind", MIRRORED, ids=lambda kind: str(kind.__name__))
def test_every_key_is_one_of_edge_toml_with_the_same_bounds_and_default(kind: Any) -> None:
    here, there = bounds(kind), bounds(MIRRORED[kind])
    nested = {"line", "zone", "tag", "size", "counting"} if kind is config.CameraConfig else set()
    for key in here.keys() - nested:
        assert here[key] == there[key], key
    left_out = there.keys() - here.keys()
    assert left_out == (LOCAL if kind is config.CameraConfig else set())


def test_nothing_of_the_way_to_the_server_can_be_set_from_afar() -> None:
    keys = {key for kind in MIRRORED for key in bounds(kind)} | {
        field.name for field in msgspec.structs.fields(config.Config)
    }
    ours = {
        field.name
        for section in ("device", "broker", "https", "outbox")
        for field in msgspec.structs.fields(
            next(field.type for field in msgspec.structs.fields(settings.EdgeConfig) if field.name == section)
        )
    }
    assert not keys & (ours | {"broker", "https", "outbox"})
    assert set(get_args(config.CameraConfig.__annotations__["rotate"])) == {0, 90, 180, 270}
