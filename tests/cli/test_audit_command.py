"""`doorline audit` as a person meets it: a table, each mistake by its frame, clips, one line when refused."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import typer
from typer.testing import CliRunner, Result

from cli.audit import audit

app = typer.Typer()
app.command()(audit)

DOOR = ["--line", "0.1,0.5,0.9,0.5", "--inside", "0.5,0.9", "--mounting", "overhead"]


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(each) for each in arguments], env={"COLUMNS": "140", "TERM": "dumb"})


def refused(*arguments: str | Path) -> str:
    result = run(*arguments)
    assert result.exit_code == 2, result.output
    assert result.stderr.startswith("doorline: ")
    assert "Traceback" not in result.stderr
    return result.stderr


@pytest.fixture(scope="session")
def walk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A figure in red walks in over the line at about frame 31 and back out at about 55."""
    path = tmp_path_factory.mktemp("audited") / "walk.avi"
    floor = np.random.default_rng(1).integers(150, 170, (240, 320, 3), np.uint8)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10.0, (320, 240))
    for top in [*[-60] * 15, *range(-40, 200, 6), *[200] * 3, *range(200, -50, -6), *[-60] * 20]:
        image = floor.copy()
        cv2.ellipse(image, (160, top + 20), (22, 28), 0, 0, 360, (50, 40, 190), cv2.FILLED)
        writer.write(image)
    writer.release()
    return path


@pytest.fixture
def hand(tmp_path: Path) -> Path:
    """What a person saw: both crossings, and one more out that nobody made."""
    path = tmp_path / "hand.csv"
    path.write_text("time,direction\n0:03.6,in\n0:07.5,out\n0:11.5,out\n")
    return path


def test_a_hand_count_is_compared_crossing_by_crossing(walk: Path, hand: Path, tmp_path: Path) -> None:
    out, clips = tmp_path / "audit.json", tmp_path / "clips"
    result = run(walk, hand, *DOOR, "--tolerance", "1.5", "--json", out, "--clips", clips)
    assert result.exit_code == 0, result.output
    cells = [line.replace("│", " ").replace("|", " ").split() for line in result.stdout.splitlines()]
    assert ["line", "in", "1", "1", "0", "0", "0", "100.0%", "(21-100)", "100.0%", "(21-100)"] in cells
    assert ["all", "3", "2", "1", "0", "0", "66.7%", "(21-94)", "66.7%", "(21-94)"] in cells
    assert ["115", "0:11.5", "line", "out", "missed"] in cells
    assert "Wilson" in result.stdout
    document = json.loads(out.read_text())
    assert document["compared"] == "crossings"
    assert document["accuracy"] == 0.6667
    assert document["all"]["found_95"] == [0.2077, 0.9385]
    assert document["mistakes"] == [
        {"frame": 115, "time_s": 11.5, "line": "line", "direction": "out", "kind": "missed"}
    ]
    assert [path.name for path in clips.iterdir()] == ["001-0m11s5-frame115-missed-line-out.mp4"]


def test_the_least_that_will_do_decides_the_status(walk: Path, hand: Path) -> None:
    assert run(walk, hand, *DOOR, "--least", "0.6").exit_code == 0
    failed = run(walk, hand, *DOOR, "--least", "0.95")
    assert failed.exit_code == 1
    assert "66.7% is below --least 95%" in failed.stderr


def test_totals_are_compared_and_said_to_hide_what_cancels(walk: Path, tmp_path: Path) -> None:
    out = tmp_path / "audit.json"
    result = run(walk, "in=1,out=2", *DOOR, "--json", out, "--clips", tmp_path / "clips")
    assert result.exit_code == 0, result.output
    assert "a miss and an invention cancel" in result.stdout
    assert "no clips" in result.stderr
    document = json.loads(out.read_text())
    assert document["compared"] == "totals"
    assert document["accuracy"] == 0.6667
    assert [(each["true"], each["counted"]) for each in document["lines"]] == [(1, 1), (2, 1)]


def test_lines_may_come_from_the_hand_count_itself(walk: Path, tmp_path: Path) -> None:
    line = {"name": "door", "from": [0.1, 0.5], "to": [0.9, 0.5], "inside": [0.5, 0.9]}
    crossings = [{"frame": 36, "direction": "in", "tolerance": 15}, {"frame": 75, "direction": "out", "tolerance": 15}]
    truth = tmp_path / "truth.json"
    truth.write_text(
        json.dumps({"clips": {walk.name: {"mounting": "overhead", "lines": [{**line, "crossings": crossings}]}}})
    )
    result = run(walk, truth, "--least", "1")
    assert result.exit_code == 0, result.output
    assert "No mistakes." in result.stdout


def test_or_from_a_boxs_configuration(walk: Path, hand: Path, tmp_path: Path) -> None:
    config = tmp_path / "edge.toml"
    config.write_text(
        '[device]\nname = "b"\n[broker]\nhost = "h"\n[outbox]\npath = "o"\n[[camera]]\nid = "C1"\nsource = 0\n'
        'mounting = "overhead"\n[[camera.line]]\nid = "L1"\nstart = [0.1, 0.5]\nend = [0.9, 0.5]\ninside = [0.5, 0.9]\n'
    )
    result = run(walk, hand, "--config", config)
    assert result.exit_code == 0, result.output
    assert "L1" in result.stdout
    assert "leave out" in refused(walk, hand, "--config", config, *DOOR)


def test_a_line_nobody_watched_is_left_out_and_said_to_be(walk: Path, tmp_path: Path) -> None:
    (tmp_path / "hand.csv").write_text("3.6s,a,in\n7.5s,a,out\n")
    two = ["--line", "0.1,0.5,0.9,0.5", "--inside", "0.5,0.9", "--name", "a"]
    two += ["--line", "0.1,0.6,0.9,0.6", "--inside", "0.5,0.9", "--name", "b", "--mounting", "overhead"]
    result = run(walk, tmp_path / "hand.csv", *two)
    assert result.exit_code == 0, result.output
    assert "nothing is known of b" in result.stderr


class TestRefused:
    def test_what_is_missing_is_asked_for(self, walk: Path, hand: Path, tmp_path: Path) -> None:
        assert "say where the line lies" in refused(walk, hand)
        assert "there is no file" in refused(walk, tmp_path / "absent.csv", *DOOR)
        assert "absent.avi" in refused(tmp_path / "absent.avi", hand, *DOOR)
        assert "--tolerance is 'soon'" in refused(walk, hand, *DOOR, "--tolerance", "soon")
        assert "is a file" in refused(walk, hand, *DOOR, "--clips", hand)

    def test_another_lines_or_videos_count_is_not_taken(self, walk: Path, tmp_path: Path) -> None:
        other = tmp_path / "other.csv"
        other.write_text("0:03,back,in\n")
        assert "line 'back', which is not counted" in refused(walk, other, *DOOR)
        other.write_text("1:40:03,line,in\n")
        assert "another video?" in refused(walk, other, *DOOR)

    def test_rows_without_a_line_need_one_line(self, walk: Path, hand: Path) -> None:
        second = ["--line", "0.1,0.6,0.9,0.6", "--inside", "0.5,0.9"]
        assert "names no line, and there are several" in refused(walk, hand, *DOOR, *second)


@pytest.mark.footage
def test_real_people_are_audited_against_the_shared_truth(footage: Path, tmp_path: Path) -> None:
    out = tmp_path / "audit.json"
    video = footage / "video" / "one-by-one.mp4"
    result = run(video, footage / "truth.json", "--json", out, "--least", "0.9")
    assert result.exit_code == 0, result.output
    pooled = json.loads(out.read_text())["all"]
    assert (pooled["true"], pooled["right"]) == (12, 12)


def test_a_boxs_view_of_its_camera_is_taken_too(walk: Path, hand: Path, tmp_path: Path) -> None:
    config, out, clips = tmp_path / "edge.toml", tmp_path / "audit.json", tmp_path / "clips"
    config.write_text(
        '[device]\nname = "door-1"\n[broker]\nhost = "localhost"\n[outbox]\npath = "outbox.sqlite"\n'
        '[[camera]]\nid = "C1"\nsource = "rtsp://192.0.2.1/s"\nmounting = "overhead"\nrotate = 180\n'
        '[[camera.line]]\nid = "L1"\nstart = [0.9, 0.5]\nend = [0.1, 0.5]\ninside = [0.5, 0.1]\n'
    )
    result = run(walk, hand, "--config", config, "--tolerance", "1.5", "--json", out, "--clips", clips)
    assert result.exit_code == 0, result.output
    assert json.loads(out.read_text())["all"]["right"] == 2, "counted upside down, as the box sees it"
    assert len(list(clips.iterdir())) == 1
    last = tmp_path / "last.csv"
    last.write_text(hand.read_text() + f"{_frames(walk) - 1}f,out\n")
    config.write_text(config.read_text().replace("rotate = 180", "rotate = 180\ntarget_fps = 6"))
    assert run(walk, last, "--config", config).exit_code == 0, "the last frames are there, if not looked at"


def _frames(video: Path) -> int:
    return int(cv2.VideoCapture(str(video)).get(cv2.CAP_PROP_FRAME_COUNT))
