"""`edge check`: what is drawn unwisely, cameras that show nothing, boxes that can't keep up, pictures to look at."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from edge import plausible
from edge.cameras.connect import explain_usb
from edge.cameras.gauge import FrameStats
from edge.check import _reach, check_cameras
from edge.config import parse
from edge.findings import Finding
from edge.look import Look, findings, look, processors_for
from edge.settings import CameraSettings
from tests.fixtures.rtsp import RtspServer

BASE = """
[device]
name = "box"
[broker]
host = "broker"
[outbox]
path = "outbox.sqlite"
[[camera]]
id = "C1"
source = "{source}"
{keys}
  [[camera.line]]
  id = "L1"
  {line}
{more}
"""
GOOD = "start = [0.2, 0.6]\nend = [0.8, 0.6]\ninside = [0.5, 0.9]"


def camera(line: str = GOOD, *, keys: str = "", more: str = "", source: str = "door.mp4") -> CameraSettings:
    return parse(BASE.format(line=line, keys=keys, more=more, source=source)).camera[0]


def told(found: list[Finding]) -> str:
    return "\n".join(f"{each.verdict}: {each.what} -> {each.remedy}" for each in found)


def test_a_sensible_line_is_not_complained_of() -> None:
    assert list(plausible.drawing(camera(), (640, 480))) == []


def test_a_zone_that_leaves_people_out_may_touch_a_line_but_not_swallow_it() -> None:
    zone = '[[camera.zone]]\nid = "glass"\nkind = "ignore"\npoints = [[{x}, 0.0], [1.0, 0.0], [1.0, 1.0], [{x}, 1.0]]'
    assert list(plausible.drawing(camera(more=zone.format(x=0.7)), (640, 480))) == []
    (found,) = plausible.drawing(camera(more=zone.format(x=0.5)), (640, 480))
    assert (found.verdict, "50% of it lies in zone glass" in found.what) == ("warning", True)
    counted = camera(more=zone.format(x=0.0).replace("ignore", "count"))
    assert list(plausible.drawing(counted, (640, 480))) == []


SIZE = "[camera.size]\nadult = [[0.4, 0.2], [0.9, 0.5]]"


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        (camera("start = [0.5, 0.6]\nend = [0.55, 0.6]\ninside = [0.5, 0.9]"), "narrower than a door"),
        (camera("start = [0.5, 0.6]\nend = [0.58, 0.6]\ninside = [0.5, 0.9]", more=SIZE), "narrower than a door"),
        (camera("start = [0.1, 0.97]\nend = [0.9, 0.97]\ninside = [0.5, 0.5]"), "0.03 of the picture's height"),
        (camera("start = [0.03, 0.1]\nend = [0.03, 0.9]\ninside = [0.0, 0.5]"), "0.04 of the picture's height"),
        (camera("start = [0.2, 0.6]\nend = [0.8, 0.6]\ninside = [0.5, 0.62]"), "nearly on the line"),
        (camera(GOOD + '\nanchor = "feet"', keys='mounting = "overhead"'), "does not see apart"),
        (camera(GOOD + '\nanchor = "head"'), "depends on how tall one is"),
        (camera(more="[camera.size]\nadult = [[0.4, 0.5], [0.9, 0.2]]"), "smaller towards the lower edge"),
        (camera(more="[camera.size]\nadult = [[0.4, 0.03], [0.9, 0.05]]"), "18 pixels high there"),
        (
            camera(keys='mounting = "overhead"', more="[camera.size]\nadult = [[0.4, 0.9], [0.9, 0.9]]"),
            "hangs too low",
        ),
    ],
)  # fmt: skip
def test_what_counts_badly_is_pointed_out_with_what_to_do(changed: CameraSettings, words: str) -> None:
    found = list(plausible.drawing(changed, (640, 480)))
    assert [each.verdict for each in found if words in each.what] == ["warning"], told(found)
    assert all(each.remedy for each in found)


@pytest.mark.parametrize("more", ["", SIZE])
def test_a_camera_on_which_nothing_is_drawn_is_to_be_mended(more: str) -> None:
    """Allowed in the file, for its line may come from the centre; but whoever stands before it must know."""
    undrawn = parse(BASE.split("  [[camera.line]]")[0].format(source="door.mp4", keys="") + more).camera[0]
    (found,) = plausible.drawing(undrawn, (640, 480))
    assert (found.verdict, "camera C1: nothing is counted" in found.what) == ("wrong", True)
    assert "doorline calibrate --write EDGE.TOML --camera C1" in found.remedy
    assert "doorline device config set" in found.remedy
    zone = '[[camera.zone]]\nid = "till"\nkind = "{}"\npoints = [[0.1, 0.1], [0.9, 0.1], [0.9, 0.9]]'
    of_staff, counted = (
        parse(BASE.split("  [[camera.line]]")[0].format(source="door.mp4", keys="") + zone.format(kind)).camera[0]
        for kind in ("staff", "count")
    )
    assert [each.verdict for each in plausible.drawing(of_staff, (640, 480))] == ["wrong"]
    assert list(plausible.drawing(counted, (640, 480))) == []


def test_a_bent_line_has_no_room_to_measure() -> None:
    bent = camera("points = [[0.2, 0.97], [0.5, 0.9], [0.8, 0.97]]\ninside = [0.5, 0.5]")
    assert not any("room" in each.what for each in plausible.drawing(bent, (640, 480)))


@pytest.mark.parametrize(
    ("needs", "processors", "verdict"),
    [
        ({"C1": 0.3, "C2": 0.4}, 2, "ok"),
        ({"C1": 0.7, "C2": 0.8}, 2, "warning"),
        ({"C1": 0.9, "C2": 1.2}, 2, "wrong"),
        ({"C1": 0.3}, 1, "ok"),
    ],
)
def test_a_box_that_cannot_keep_up_is_found_out(needs: dict[str, float], processors: int, verdict: str) -> None:
    (found,) = plausible.load(needs, processors)
    assert found.verdict == verdict
    assert (verdict == "ok") or "C2 takes most" in found.remedy


def test_without_cameras_nothing_is_said_of_the_processor() -> None:
    assert list(plausible.load({}, 2)) == []


def seen(fps: float = 10.0, *, detail: float = 50.0, brightness: float = 90.0, repeated: bool = False) -> Look:
    picture = np.zeros((480, 640, 3), np.uint8)
    return Look((640, 480), fps, 0.002, 0.02, FrameStats(brightness, detail, False), repeated, picture, 0)


@pytest.mark.parametrize(
    ("look_", "keys", "words"),
    [
        (seen(detail=1.0, brightness=2.0), "", "is dark now"),
        (seen(detail=1.0, brightness=120.0), "", "without any detail"),
        (seen(repeated=True), "", "the same picture again and again"),
        (seen(6.0), "target_fps = 12", "6.0 frames a second come, fewer than target_fps = 12"),
        (seen(3.0), "", "lost between two pictures"),
    ],
)
def test_a_picture_that_shows_nothing_is_pointed_out(look_: Look, keys: str, words: str) -> None:
    found = findings(camera(keys=keys), look_)
    assert any(each.verdict == "warning" and words in each.what.replace("comes again", "again") for each in found), (
        told(found)
    )


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ("", "motion (auto: no model is given)"),
        ('model = "yolox.onnx"', "onnx (auto: yolox.onnx is given for it)"),
        ('model = "people.pt"', "yolo (auto: people.pt is given for it)"),
        ('mounting = "overhead"', "motion (auto: it looks straight down)"),
        (
            'mounting = "overhead"\nmodel = "y.onnx"',
            "motion (auto: it looks straight down, where y.onnx would see less)",
        ),
        ('detector = "motion"', "motion, "),
    ],
)
def test_what_auto_chose_is_said_and_why(keys: str, words: str) -> None:
    (found,) = findings(camera(keys=keys), seen())
    assert f"frames a second, {words}" in found.what


def test_a_processor_is_kept_busy_by_reading_all_and_looking_at_some() -> None:
    assert processors_for(camera(), seen(25.0)) == pytest.approx(25 * 0.002 + 25 * 0.02)
    assert processors_for(camera(keys="target_fps = 5"), seen(25.0)) == pytest.approx(25 * 0.002 + 5 * 0.02)
    assert processors_for(camera(keys="target_fps = 50"), seen(25.0)) == pytest.approx(25 * 0.002 + 25 * 0.02)


def test_a_camera_is_looked_at_and_its_picture_saved_with_nobody_recognisable(tmp_path: Path) -> None:
    """Someone walks over a striped floor: the stripes on the person are gone, floor and line are there."""
    path = tmp_path / "door.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10.0, (320, 240))
    for step in range(40):
        image = np.full((240, 320, 3), 120, np.uint8)
        cv2.rectangle(image, (0, 0), (320, 60), (40, 60, 90), cv2.FILLED)
        x = 20 + 6 * step
        for row in range(90, 190, 4):
            cv2.rectangle(image, (x, row), (x + 40, row + 1), (0, 0, 230), cv2.FILLED)
        writer.write(image)
    writer.release()
    found = list(check_cameras([camera(source=str(path))], tmp_path / "pictures"))
    assert found[0].verdict == "ok"
    assert "320x240, 10.0 frames a second" in found[0].what
    assert "counting L1" in found[0].what
    assert any("processor: all cameras together" in each.what for each in found)
    picture = cv2.imread(str(tmp_path / "pictures" / "C1.png"))
    assert picture is not None
    assert picture.shape == (480, 640, 3)
    assert np.abs(picture[288, 130:380].astype(int) - (60, 200, 255)).sum(axis=1).min() < 40, "the line"
    rows = picture[200:360, 100:600].astype(int)
    assert np.abs(np.diff(rows, axis=0)).mean() < 6, "fine stripes would make neighbouring rows differ"


def test_a_camera_that_is_not_there_does_not_keep_the_others_from_being_looked_at(tmp_path: Path) -> None:
    cameras = [
        camera(source=str(tmp_path / "absent.mp4")),
        camera(source="scene:overhead?seconds=3", keys='mounting = "overhead"'),
    ]
    found = list(check_cameras(cameras))
    assert [each.verdict for each in found[:2]] == ["wrong", "ok"], told(found)
    assert "absent.mp4" in found[0].what
    assert found[0].remedy


@pytest.mark.parametrize(
    ("source", "reason", "remedy"),
    [
        (
            "rtsp://user:secret@127.0.0.1:9/door",
            "127.0.0.1 is there, but nothing listens on its port 9",
            "address, port",
        ),
        ("873", "/dev/video873", "source in this [[camera]]"),
    ],
)
def test_of_a_camera_that_is_absent_it_is_said_what_is_wrong_and_not_that_it_is_tried_again(
    monkeypatch: pytest.MonkeyPatch, source: str, reason: str, remedy: str
) -> None:
    monkeypatch.setattr("edge.look._PICTURE_S", 5.0)
    (found,) = check_cameras([camera(source=source)])
    assert found.verdict == "wrong"
    assert reason in found.what
    assert remedy in found.remedy
    assert "again" not in found.what + found.remedy
    assert "secret" not in found.what


def test_a_camera_of_this_machine_that_does_not_open_is_explained_by_its_device_file(tmp_path: Path) -> None:
    none = explain_usb(0, devices=tmp_path).text
    assert none.startswith("this machine has no camera of its own")
    assert f"docker: --device {tmp_path / 'video0'}" in none
    assert "rtsp://" in none
    for name in ("video2", "video10", "videoin"):
        (tmp_path / name).touch()
    assert f"there is no {tmp_path / 'video0'}" in explain_usb(0, devices=tmp_path).text
    assert "(there are 2, 10)" in explain_usb(0, devices=tmp_path).text
    assert "another program" in explain_usb(2, devices=tmp_path).text


def test_where_there_are_no_device_files_nothing_is_told_from_their_absence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.platform", "darwin")
    assert explain_usb(0, devices=tmp_path).text.startswith("camera 0 does not open")


def test_who_has_no_camera_at_all_is_not_told_to_list_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge.check.usb_cameras", list)
    assert "ls /dev" not in _reach(0)
    assert "network camera" in _reach("0")
    monkeypatch.setattr("edge.check.usb_cameras", lambda: [1])
    assert "ls /dev/video*" in _reach(0)


def test_a_line_outside_the_picture_is_refused_and_a_model_that_is_missing_named(tmp_path: Path) -> None:
    crossing_itself = "points = [[0.1, 0.1], [0.9, 0.9], [0.9, 0.1], [0.1, 0.9]]\ninside = [0.5, 0.9]"
    keys = f'detector = "onnx"\nmodel = "{tmp_path}/absent.onnx"'
    (wrong,) = check_cameras([camera(keys=keys, source="scene:overhead?seconds=3")])
    assert wrong.verdict == "wrong"
    assert "absent.onnx" in wrong.what
    with pytest.raises(ValueError, match="cross itself"):
        camera(crossing_itself)


def test_looking_takes_all_pictures_to_tell_how_many_come() -> None:
    assert look(camera(source="scene:overhead?seconds=4&fps=20", keys="target_fps = 2")).fps == 20.0


def test_of_a_real_stream_it_is_measured_how_many_pictures_come() -> None:
    with RtspServer(source="scene:overhead?fps=10&light=steady", fps=10.0) as server:
        asked = camera(source=server.address(), keys='target_fps = 30\nmounting = "overhead"')
        found = look(asked)
    assert 2 < found.fps < 20
    assert found.size == (384, 288)
    assert not found.repeated
    assert any("fewer than target_fps = 30" in each.what for each in findings(asked, found))
