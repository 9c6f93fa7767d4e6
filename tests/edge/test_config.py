"""`edge.toml`: what is refused, and whether the refusal helps the person on the ladder."""

from datetime import datetime
from pathlib import Path
from textwrap import dedent
from typing import get_args

import pytest

from edge import config, settings
from edge.detectors import NAMES
from edge.models import DetectorName
from edge.settings import ConfigError

GOOD = dedent(
    """
    [device]
    name = "door-1"
    [broker]
    host = "broker.example"
    [outbox]
    path = "outbox.sqlite"
    [[camera]]
    id = "S01-C1"
    source = "door.mp4"
    starts_at = 2026-11-21T09:00:00+08:00
      [[camera.line]]
      id = "S01-L1"
      start = [0.0, 0.5]
      end = [1.0, 0.5]
      inside = [0.5, 0.9]
    """
)


POINTS = "points = [[0.0, 0.5], [0.5, 0.6], [1.0, 0.5]]\n"
ZONE = dedent(
    """
    [[camera.zone]]
    id = "till"
    points = [[0.6, 0.2], [0.9, 0.2], [0.9, 0.4]]
    kind = "staff"
    stay_s = 20.0
    """
)


def bent(points: str) -> str:
    """The good file with these points instead of its line's ends."""
    return (
        changed("start = [0.0, 0.5]\n", f"points = {points}\n")
        .replace("  end = [1.0, 0.5]\n", "")
        .replace("end = [1.0, 0.5]\n", "")
    )


def changed(before: str, after: str) -> str:
    assert before in GOOD
    return GOOD.replace(before, after)


def test_defaults_are_filled_in() -> None:
    found = config.parse(GOOD)
    assert found.broker.port == 1883
    assert found.outbox.flush_after_s == 5.0
    assert found.outbox.max_batch == 2000
    assert found.outbox.keep_acked_days == 7.0
    assert found.camera[0].line[0].line().inside == (0.5, 0.9)
    assert found.camera[0].starts_at == datetime.fromisoformat("2026-11-21T01:00:00+00:00")


def test_a_camera_may_have_bent_lines_zones_rules_and_heights() -> None:
    rules = '[[camera.tag]]\ntag = "staff"\nbegan_in = "till"\n[camera.size]\nadult = [[0.4, 0.2], [0.9, 0.4]]\n'
    text = bent("[[0.0, 0.5], [0.5, 0.6], [1.0, 0.5]]") + ZONE + rules + "[camera.counting]\ntag_wait_s = 20.0\n"
    (camera,) = config.parse(text).camera
    assert camera.line[0].line().points == ((0.0, 0.5), (0.5, 0.6), (1.0, 0.5))
    assert camera.zone[0].zone().stay_s == 20.0
    assert camera.tagging.wait_s == 20.0
    assert camera.tagging.rules[0].began_in == "till"
    assert camera.tagging.size is not None
    assert camera.tagging.size.child_below == 0.72


@pytest.mark.parametrize(
    ("text", "key", "says"),
    [
        ("", "device", "is missing"),
        ("[device", "", "not valid TOML"),
        (changed('host = "broker.example"', 'hosst = "x"'), "broker.hosst", "Did you mean 'host'?"),
        (changed('id = "S01-L1"', ""), "camera[0].line[0].id", "is missing"),
        (changed("end = [1.0, 0.5]", "end = [1.0, 1.5]"), "camera[0].line[0].end[1]", "from 0 to 1"),
        (changed("end = [1.0, 0.5]", "end = [nan, 0.5]"), "camera[0].line[0].end[0]", "from 0 to 1"),
        (changed("end = [1.0, 0.5]", "end = [0.0, 0.5]"), "camera[0].line[0].end", "must be at least"),
        (changed("end = [1.0, 0.5]", "end = 3"), "camera[0].line[0].end", "Write a point as [x, y]"),
        (changed("inside = [0.5, 0.9]", "inside = [0.2, 0.5]"), "camera[0].line[0].inside", "on the line itself"),
        (changed("start = [0.0, 0.5]\n", ""), "camera[0].line[0].start", "Give start and end, or points"),
        (GOOD + POINTS, "camera[0].line[0].start", "together with points"),
        (bent("[[0.0, 0.5]]"), "camera[0].line[0].points", "has one point"),
        (bent("[[0.0, 0.5], [0.9, 0.5], [0.5, 0.5]]"), "camera[0].line[0].points[1]", "fold back"),
        (bent("[[0.0, 0.5], [0.9, 0.6], [0.9, 1.5]]"), "camera[0].line[0].points[2][1]", "from 0 to 1"),
        (GOOD + ZONE.replace("till", "S01-L1"), "camera[0].zone[0].id", "already the id of camera[0].line[0]"),
        (GOOD + ZONE + ZONE, "camera[0].zone[1].id", "already the id of camera[0].zone[0]"),
        (GOOD + ZONE.replace("[0.9, 0.2], ", ""), "camera[0].zone[0].points", "three or more"),
        (GOOD + ZONE.replace("staff", "shop"), "camera[0].zone[0].kind", "Use one of: "),
        (GOOD + ZONE.replace("stay_s", "stays"), "camera[0].zone[0].stays", "Did you mean 'stay_s'?"),
        (GOOD + '[[camera.tag]]\ntag = "staff"\n', "camera[0].tag[0].crossings_at_least", "both left out"),
        (GOOD + '[[camera.tag]]\ntag = "child"\nbegan_in = "till"\n', "camera[0].tag[0].tag", "Use one of: "),
        (GOOD + '[[camera.tag]]\ntag = "staff"\nbegan_in = "till"\n', "camera[0].tag[0].began_in", "names 'till'"),
        (GOOD + "[camera.size]\nadult = [[0.5, 0.3]]\n", "camera[0].size.adult", "two depths"),
        (GOOD + "[camera.counting]\ngroups = 3\n", "camera[0].counting.groups", "Did you mean 'group_s'?"),
        (changed("[[camera]]", '[[camera]]\nmounting = "ceiling"'), "camera[0].mounting", "Use one of: "),
        (changed("[[camera]]", '[[camera]]\nmounting = "ceiling"'), "camera[0].mounting", "oblique, overhead"),
        (changed("[[camera]]", "[[camera]]\nrotate = 45"), "camera[0].rotate", "0, 90, 180, 270"),
        (changed("[[camera]]", '[[camera]]\ndetector = "yolov8"'), "camera[0].detector", "Did you mean 'yolo'?"),
        (
            changed("[[camera]]", '[[camera]]\nruntime = "tensorrt"'),
            "camera[0].runtime",
            "onnxruntime, opencv, openvino",
        ),
        (changed("09:00:00+08:00", "09:00:00"), "camera[0].starts_at", "Write the offset"),
        (changed("[[camera]]", "[[camera]]\nloop = true"), "camera[0].loop", "read once"),
        (changed("[[camera]]", "[[camera]]\nsauce = 1"), "camera[0].sauce", "Did you mean 'source'?"),
        (changed('source = "door.mp4"', 'source = ""'), "camera[0].source", "is empty"),
        (changed('name = "door-1"', 'name = "door/#"'), "device.name", "Use 1-64 letters"),
        (changed("[outbox]", 'password = "a"\npassword_file = "b"\n[outbox]'), "broker.password", "one of the two"),
        (changed("[outbox]", "[outbox]\nquota_mb = inf"), "outbox.quota_mb", "have the range named"),
        (changed("[outbox]", "[outbox]\nquota_mb = nan"), "outbox.quota_mb", "have the range named"),
        (changed("[outbox]", 'cert_file = "a"\n[outbox]'), "broker.key_file", "needs cert_file and key_file"),
        (changed("[outbox]", 'cert_file = "a"\nkey_file = "b"\n[outbox]'), "broker.cert_file", "without TLS"),
        (GOOD.split("[[camera]]")[0] + "camera = []", "outbox.camera", "is not a known key"),
        ("camera = []\n" + GOOD.split("[[camera]]")[0], "camera", "Add a [[camera]]"),
        (
            GOOD + '[[camera]]\nid = "S01-C1"\nsource = 0\n[[camera.line]]\nid = "L2"\nstart = [0.0, 0.5]\n'
            "end = [1.0, 0.5]\ninside = [0.5, 0.9]\n",
            "camera[1].id",
            "already the id of camera[0]",
        ),
    ],
)
def test_an_error_names_the_key_and_the_remedy(text: str, key: str, says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        config.parse(text)
    assert caught.value.key == key
    assert says in str(caught.value)
    assert caught.value.remedy


def test_paths_are_taken_from_the_files_own_folder(tmp_path: Path) -> None:
    (tmp_path / "edge.toml").write_text(changed("[outbox]", 'password_file = "secret"\n[outbox]'))
    (tmp_path / "secret").write_text("hush\n")
    found = config.load(tmp_path / "edge.toml")
    assert found.broker.secret() == "hush"
    assert found.outbox.path == str(tmp_path / "outbox.sqlite")
    assert found.camera[0].source == str(tmp_path / "door.mp4")


@pytest.mark.parametrize("source", ["rtsp://192.0.2.1/s", "scene:door?seed=1", "0"])
def test_what_is_no_path_stays_as_it_is(tmp_path: Path, source: str) -> None:
    (tmp_path / "edge.toml").write_text(changed("door.mp4", source))
    assert config.load(tmp_path / "edge.toml").camera[0].source == source


def test_a_missing_file_is_said_plainly_and_named_once(tmp_path: Path) -> None:
    path = tmp_path / "nowhere.toml"
    with pytest.raises(ConfigError, match="can't be read") as caught:
        config.load(path)
    assert str(caught.value).count(str(path)) == 1


def test_whatever_is_wrong_in_a_file_names_the_file_once(tmp_path: Path) -> None:
    path = tmp_path / "edge.toml"
    path.write_text(changed('name = "door-1"', 'name = "door/#"'))
    with pytest.raises(ConfigError, match=r"device\.name") as caught:
        config.load(path)
    assert str(caught.value).startswith(f"{path}: device.name: ")
    assert str(caught.value).count(str(path)) == 1


def test_the_detectors_that_may_be_named_are_those_there_are() -> None:
    assert get_args(DetectorName) == NAMES


def test_a_model_that_no_detector_uses_is_pointed_out(tmp_path: Path) -> None:
    path = tmp_path / "edge.toml"
    path.write_text(changed("[[camera]]", '[[camera]]\ndetector = "motion"\nmodel = "yolox.onnx"'))
    (text,) = config.warnings(config.load(path), path)
    assert text.startswith("camera[0].model: ")


def test_a_missing_password_file_is_said_plainly(tmp_path: Path) -> None:
    (tmp_path / "edge.toml").write_text(changed("[outbox]", 'password_file = "secret"\n[outbox]'))
    with pytest.raises(ConfigError, match=r"broker\.password_file"):
        config.load(tmp_path / "edge.toml").broker.secret()


def test_secrets_that_others_can_read_are_pointed_out(tmp_path: Path) -> None:
    path = tmp_path / "edge.toml"
    path.write_text(changed("[outbox]", 'password = "hush"\n[outbox]'))
    path.chmod(0o644)
    found = config.load(path)
    assert [text for text in config.warnings(found, path) if "chmod 600" in text]
    assert [text for text in config.warnings(found, path) if "unencrypted" in text]
    path.chmod(0o600)
    assert not [text for text in config.warnings(found, path) if "chmod 600" in text]


def test_no_log_line_can_carry_the_password() -> None:
    found = config.parse(changed("[outbox]", 'password = "hush"\n[outbox]'))
    assert "hush" not in repr(found)


def test_the_example_is_valid_and_names_every_key(repository_root: Path) -> None:
    path = repository_root / "deploy" / "edge.toml.example"
    config.load(path)
    text = path.read_text(encoding="utf-8")
    for section in (
        settings.DeviceSettings,
        settings.BrokerSettings,
        settings.HttpsSettings,
        settings.OutboxSettings,
        settings.CameraSettings,
        settings.LineSettings,
        settings.ZoneSettings,
        settings.TagSettings,
        settings.SizeSettings,
        settings.CountingSettings,
    ):
        for name in section.__struct_fields__:
            assert f"{name} = " in text or f"[camera.{name}]" in text or name == "password", f"{name} is not shown"


def test_every_key_is_described() -> None:
    import msgspec

    definitions = msgspec.json.schema(settings.EdgeConfig)["$defs"]
    for name, definition in definitions.items():
        if name == "EdgeConfig":
            continue
        for key, field in definition["properties"].items():
            assert field.get("description"), f"{name}.{key} has no description"
