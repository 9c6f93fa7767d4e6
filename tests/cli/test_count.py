"""`doorline count` as a person meets it: totals and files when all is well, one clear line and status 2 when not."""

import gzip
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
import typer
from typer.testing import CliRunner, Result

from cli.count import count
from tests.fixtures.wait import wait_until

app = typer.Typer()
app.command()(count)

DOOR = ["--line", "0.1,0.5,0.9,0.5", "--inside", "0.5,0.9"]
#: Someone who begins in the upper part is staff.
CONFIG = """
[device]
name = "door-1"
[broker]
host = "localhost"
[outbox]
path = "outbox.sqlite"
[[camera]]
id = "C1"
source = "rtsp://192.0.2.1/s"
mounting = "overhead"
  [[camera.line]]
  id = "L1"
  points = [[0.1, 0.6], [0.5, 0.5], [0.9, 0.6]]
  inside = [0.5, 0.9]
  [[camera.zone]]
  id = "till"
  points = [[0.0, 0.0], [1.0, 0.0], [1.0, 0.3], [0.0, 0.3]]
  kind = "staff"
  [[camera.tag]]
  tag = "staff"
  began_in = "till"
"""
FULL = Path("/dev/full")
BOXES = ["--size", "200x200", "--fps", "10"]


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(each) for each in arguments], env={"COLUMNS": "120", "TERM": "dumb"})


def refused(*arguments: str | Path) -> str:
    """The one line on stderr of a refused command."""
    result = run(*arguments)
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert result.stderr.startswith("doorline: ")
    assert "Traceback" not in result.stderr
    assert result.stderr.count("\n") == 1
    return result.stderr


def rows_of_a_walk(down: bool = True, start: int = 0) -> Iterator[str]:
    for i in range(40):
        y = 20 + 4 * i if down else 176 - 4 * i
        yield f"{start + i},-1,90,{y - 15},20,30,0.9"


@pytest.fixture
def boxes(tmp_path: Path) -> Path:
    path = tmp_path / "boxes.csv"
    path.write_text("\n".join(rows_of_a_walk()) + "\n")
    return path


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A figure in red (grey would pass for a shadow) walks in over the line and back out: 1 in, 1 out."""
    path = tmp_path_factory.mktemp("clips") / "walk.avi"
    floor = np.random.default_rng(1).integers(150, 170, (240, 320, 3), np.uint8)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10.0, (320, 240))
    depths = [*[-60] * 15, *range(-40, 200, 6), *[200] * 3, *range(200, -50, -6), *[-60] * 20]
    for top in depths:
        image = floor.copy()
        cv2.ellipse(image, (160, top + 20), (22, 28), 0, 0, 360, (50, 40, 190), cv2.FILLED)
        writer.write(image)
    writer.release()
    return path


class TestBoxes:
    def test_totals_and_crossings_are_printed(self, boxes: Path) -> None:
        result = run("--boxes", boxes, *BOXES, *DOOR, "--mounting", "overhead")
        assert result.exit_code == 0, result.output
        assert result.stderr == ""
        assert "40 frames, 4.0 s" in result.stdout
        cells = [line.replace("│", " ").replace("|", " ").split() for line in result.stdout.splitlines()]
        assert ["line", "1", "0"] in cells
        assert ["20", "2.00", "line", "in", "1"] in cells

    def test_json_has_exactly_the_promised_shape(self, boxes: Path, tmp_path: Path) -> None:
        out = tmp_path / "out.json"
        result = run("--boxes", boxes, *BOXES, *DOOR, "--mounting", "overhead", "--json", out)
        assert result.exit_code == 0, result.output
        assert json.loads(out.read_text()) == {
            "video": str(boxes),
            "frames": 40,
            "fps": 10.0,
            "lines": [{"name": "line", "in": 1, "out": 0}],
            "crossings": [{"frame": 20, "time_s": 2.0, "line": "line", "direction": "in", "track": 1}],
        }

    def test_gzip_blank_lines_and_any_order_are_read(self, tmp_path: Path) -> None:
        path = tmp_path / "boxes.csv.gz"
        rows = [*reversed(list(rows_of_a_walk())), "", *rows_of_a_walk(down=False, start=60)]
        path.write_bytes(gzip.compress("\n".join(rows).encode()))
        out = tmp_path / "out.json"
        result = run("--boxes", path, *BOXES, *DOOR, "--mounting", "overhead", "--json", out)
        assert result.exit_code == 0, result.output
        assert json.loads(out.read_text())["lines"] == [{"name": "line", "in": 1, "out": 1}]

    def test_several_lines_are_paired_with_their_insides_in_order(self, boxes: Path, tmp_path: Path) -> None:
        out = tmp_path / "out.json"
        lines = ["--line", "0,0.4,1,0.4", "--inside", "0.5,0.9", "--name", "north"]
        lines += ["--line", "0,0.6,1,0.6", "--inside", "0.5,0.1", "--name", "south"]
        assert run("--boxes", boxes, *BOXES, *lines, "--anchor", "centre", "--json", out).exit_code == 0
        document = json.loads(out.read_text())
        assert document["lines"] == [{"name": "north", "in": 1, "out": 0}, {"name": "south", "in": 0, "out": 1}]
        assert [crossing["line"] for crossing in document["crossings"]] == ["north", "south"]

    def test_the_anchor_decides_when(self, boxes: Path, tmp_path: Path) -> None:
        frames = []
        for anchor in ("feet", "centre", "head"):
            out = tmp_path / f"{anchor}.json"
            assert run("--boxes", boxes, *BOXES, *DOOR, "--anchor", anchor, "--json", out).exit_code == 0
            frames += [crossing["frame"] for crossing in json.loads(out.read_text())["crossings"]]
        assert frames == sorted(frames)
        assert len(set(frames)) == 3

    def test_settling_on_exit_cancels_a_u_turn(self, tmp_path: Path) -> None:
        path = tmp_path / "boxes.csv"
        path.write_text("\n".join([*rows_of_a_walk(), *rows_of_a_walk(down=False, start=40)]))
        wanted: list[str | Path] = ["--boxes", path, *BOXES, *DOOR, "--mounting", "overhead"]
        assert "No crossings." not in run(*wanted).stdout
        assert "No crossings." in run(*wanted, "--settle", "on_exit").stdout

    def test_a_bent_line_and_a_zone_are_counted(self, boxes: Path, tmp_path: Path) -> None:
        out = tmp_path / "out.json"
        drawn = ["--line", "0.1,0.7,0.5,0.5,0.9,0.7", "--inside", "0.5,0.9", "--name", "bay"]
        drawn += ["--zone", "aisle:count:0.3,0.3,0.7,0.3,0.7,0.8,0.3,0.8"]
        result = run("--boxes", boxes, *BOXES, *drawn, "--mounting", "overhead", "--json", out)
        assert result.exit_code == 0, result.output
        assert json.loads(out.read_text())["lines"] == [
            {"name": "bay", "in": 1, "out": 0},
            {"name": "aisle", "in": 1, "out": 1},
        ]

    def test_a_zone_alone_will_do_and_another_leaves_people_out(self, boxes: Path) -> None:
        aisle = ["--zone", "aisle:count:0.3,0.3,0.7,0.3,0.7,0.8,0.3,0.8", "--anchor", "centre"]
        assert "No crossings." not in run("--boxes", boxes, *BOXES, *aisle).stdout
        mirror = ["--zone", "mirror:ignore:0,0,1,0,1,1,0,1"]
        assert "No crossings." in run("--boxes", boxes, *BOXES, *aisle, *mirror).stdout

    def test_a_box_s_own_configuration_is_counted_by(self, boxes: Path, tmp_path: Path) -> None:
        config, out = tmp_path / "edge.toml", tmp_path / "out.json"
        config.write_text(CONFIG)
        result = run("--boxes", boxes, *BOXES, "--config", config, "--json", out)
        assert result.exit_code == 0, result.output
        (crossing,) = json.loads(out.read_text())["crossings"]
        assert (crossing["line"], crossing["direction"], crossing["tags"]) == ("L1", "in", ["staff"])
        assert "staff" in result.stdout

    def test_and_looked_at_as_the_box_looks(self, clip: Path, tmp_path: Path) -> None:
        """Which way up, how large and how often are the camera's settings too: without them another shop is counted."""
        config, out, seen = tmp_path / "edge.toml", tmp_path / "out.json", tmp_path / "seen.mp4"
        turned = 'mounting = "overhead"\nrotate = 90\ndecode_height = 120\ntarget_fps = 5'
        config.write_text(
            CONFIG.replace('mounting = "overhead"', turned)
            .replace("[[0.1, 0.6], [0.5, 0.5], [0.9, 0.6]]", "[[0.5, 0.1], [0.5, 0.9]]")
            .replace("inside = [0.5, 0.9]", "inside = [0.1, 0.5]")
        )
        result = run(clip, "--config", config, "--json", out, "--annotate", seen)
        assert result.exit_code == 0, result.output
        assert "it may be damaged" not in result.stderr
        crossings = json.loads(out.read_text())["crossings"]
        assert [(each["line"], each["direction"]) for each in crossings] == [("L1", "in"), ("L1", "out")]
        drawn = cv2.VideoCapture(str(seen))
        assert drawn.get(cv2.CAP_PROP_FRAME_WIDTH) < drawn.get(cv2.CAP_PROP_FRAME_HEIGHT), "turned"
        assert drawn.get(cv2.CAP_PROP_FPS) == 5, "a second lasts a second"

    def test_a_configuration_is_not_mixed_with_lines(self, boxes: Path, tmp_path: Path) -> None:
        config = tmp_path / "edge.toml"
        config.write_text(CONFIG)
        assert "leave out --line" in refused("--boxes", boxes, *BOXES, "--config", config, *DOOR)
        assert "no camera 'C9'; it has C1" in refused("--boxes", boxes, *BOXES, "--config", config, "--camera", "C9")
        how = ["--mounting", "oblique", "--settle", "immediate", "--detector", "motion"]
        assert "leave out --mounting, --settle, --detector" in refused(
            "--boxes", boxes, *BOXES, "--config", config, *how
        )
        assert "goes with --config" in refused("--boxes", boxes, *BOXES, *DOOR, "--camera", "C1")
        config.write_text(CONFIG.replace("mounting", "mountng"))
        assert "Did you mean 'mounting'" in refused("--boxes", boxes, *BOXES, "--config", config)

    @pytest.mark.parametrize(
        ("row", "words"),
        [
            ("3,-1,90,20,20,30", "6 values where 7 are due"),
            ("3,-1,90,twenty,20,30,0.9", "y is 'twenty', which is not a number"),
            ("3,-1,90,nan,20,30,0.9", "not a finite number"),
            ("-3,-1,90,20,20,30,0.9", "frames are whole numbers from 0"),
            ("3.5,-1,90,20,20,30,0.9", "frames are whole numbers from 0"),
            ("1e15,-1,90,20,20,30,0.9", "frames are whole numbers from 0"),
            ("3,-1,90,20,0,30,0.9", "both must be above 0"),
            ("3,-1,90,20,20,30,90", "scores go from 0 to 1"),
        ],
    )
    def test_a_malformed_row_is_named_by_line_and_reason(self, tmp_path: Path, row: str, words: str) -> None:
        path = tmp_path / "boxes.csv"
        path.write_text(f"0,-1,90,20,20,30,0.9\n1,-1,90,20,20,30,0.9\n{row}\n")
        message = refused("--boxes", path, *BOXES, *DOOR)
        assert "line 3: " in message
        assert words in message

    def test_files_that_are_no_detections_are_refused(self, tmp_path: Path) -> None:
        empty, torn, binary = tmp_path / "empty.csv", tmp_path / "torn.csv.gz", tmp_path / "binary.csv"
        empty.write_text("\n\n")
        torn.write_bytes(gzip.compress(b"0,-1,90,20,20,30,0.9\n" * 99)[:-12])
        binary.write_bytes(b"\xff\xfe\x00\x81")
        assert "holds no detections" in refused("--boxes", empty, *BOXES, *DOOR)
        assert "not a whole gzip file" in refused("--boxes", torn, *BOXES, *DOOR)
        assert "is not text" in refused("--boxes", binary, *BOXES, *DOOR)
        assert "no file" in refused("--boxes", tmp_path / "absent.csv", *BOXES, *DOOR)

    def test_what_boxes_need_is_asked_for(self, boxes: Path, tmp_path: Path) -> None:
        assert "--size" in refused("--boxes", boxes, "--fps", "10", *DOOR)
        assert "--fps" in refused("--boxes", boxes, "--size", "200x200", *DOOR)
        assert "200by200" in refused("--boxes", boxes, "--size", "200by200", "--fps", "10", *DOOR)
        assert "above 0" in refused("--boxes", boxes, "--size", "200x200", "--fps", "0", *DOOR)
        assert "not both" in refused("video.mp4", "--boxes", boxes, *BOXES, *DOOR)
        assert "--annotate" in refused("--boxes", boxes, *BOXES, *DOOR, "--annotate", tmp_path / "out.mp4")
        assert "people in --boxes are found already" in refused(
            "--boxes", boxes, *BOXES, *DOOR, "--model", "yolox.onnx"
        )
        assert "people in --boxes are found already" in refused("--boxes", boxes, *BOXES, *DOOR, "--detector", "motion")


class TestLines:
    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            ([], "at least one --line"),
            (["--line", "0,0.5,1,0.5"], "1 --line and 0 --inside"),
            ([*DOOR, "--line", "0,0.5,1,0.5"], "2 --line and 1 --inside"),
            (["--line", "0,0.5,1", "--inside", "0.5,0.9"], "4 numbers, x1,y1,x2,y2"),
            (["--line", "0,0.5,1,half", "--inside", "0.5,0.9"], "4 numbers"),
            (["--line", "0,0.5,1,0.5", "--inside", "0.5"], "2 numbers, x,y"),
            (["--line", "0,0.5,0,0.5", "--inside", "0.5,0.9"], "no length"),
            (["--line", "0,0.5,1,0.5", "--inside", "0.5,0.5"], "lies on the line"),
            (["--line", "0,0.5,640,0.5", "--inside", "0.5,0.9"], "outside the picture"),
            ([*DOOR, "--name", "a", "--name", "b"], "2 --name"),
            (["--line", "0,0.5,0.5,0.5,0.2,0.7,0.3,0.3", "--inside", "0.5,0.9"], "cross itself"),
            (["--line", "0,0.5,0.5,0.5,0.2", "--inside", "0.5,0.9"], "4 numbers, x1,y1,x2,y2"),
            ([*DOOR, "--zone", "a:count:0,0,1,1"], "three corners or more"),
            ([*DOOR, "--zone", "a:shop:0,0,1,1,0,1"], "has no kind 'shop'"),
            ([*DOOR, "--zone", "x:ignore"], "has no corners; write NAME:KIND:x,y,x,y,x,y"),
            ([*DOOR, "--zone", "x:ignore"], "For example: --zone mirror:ignore:0.7,0.1"),
            ([*DOOR, "--zone", "x"], "has no kind; "),
            ([*DOOR, "--zone", ":ignore:0,0,1,1,0,1"], "has no name"),
            ([*DOOR, "--zone", "a:count:0,0,1,1,0"], "a corner without its y"),
            ([*DOOR, "--zone", "a:count:0,0,1,1,0,one"], "corners that are no numbers"),
            ([*DOOR, "--zone", "a:count:0,0,0.5,0.5,1,1"], "fold back"),
            ([*DOOR, "--zone", "line:count:0,0,0.5,0.5,0,1"], "used twice"),
            ([*DOOR, *DOOR, "--name", "a", "--name", "a"], "two lines are named 'a'"),
        ],
    )
    def test_a_bad_line_is_refused(self, boxes: Path, arguments: list[str], words: str) -> None:
        assert words in refused("--boxes", boxes, *BOXES, *arguments)

    def test_the_bad_one_of_several_is_named(self, boxes: Path) -> None:
        bad = ["--line", "0.2,0.2,0.2,0.2", "--inside", "0.5,0.5", "--name", "front", "--name", "back"]
        assert "'back'" in refused("--boxes", boxes, *BOXES, *DOOR, *bad)


class TestVideo:
    def test_a_video_is_counted_and_annotated(self, clip: Path, tmp_path: Path) -> None:
        seen, out = tmp_path / "seen.mp4", tmp_path / "out.json"
        result = run(clip, *DOOR, "--mounting", "overhead", "--annotate", seen, "--json", out)
        assert result.exit_code == 0, result.output
        document = json.loads(out.read_text())
        assert document["video"] == str(clip)
        assert document["fps"] == 10.0
        assert document["lines"] == [{"name": "line", "in": 1, "out": 1}]
        capture = cv2.VideoCapture(str(seen))
        found, picture = capture.read()
        assert found
        assert picture.shape == (480, 640, 3), "small pictures are enlarged, so that the words on them can be read"
        assert round(capture.get(cv2.CAP_PROP_FRAME_COUNT)) == document["frames"]
        capture.release()

    def test_bad_input_is_refused_in_one_line(self, clip: Path, tmp_path: Path) -> None:
        text = tmp_path / "notes.mp4"
        text.write_text("not a video")
        assert "absent.mp4" in refused(tmp_path / "absent.mp4", *DOOR)
        assert "not a video" in refused(text, *DOOR)
        assert "give the VIDEO" in refused(*DOOR)
        assert "go with --boxes" in refused(clip, *DOOR, "--fps", "10")

    @pytest.mark.parametrize("detector", ["onnx", "yolo"])
    def test_a_missing_model_is_refused(self, clip: Path, tmp_path: Path, detector: str) -> None:
        assert "--model" in refused(clip, *DOOR, "--detector", detector)
        assert "absent" in refused(clip, *DOOR, "--detector", detector, "--model", tmp_path / "absent.onnx")

    def test_a_model_is_not_passed_over_without_a_word(self, clip: Path) -> None:
        said = refused(clip, *DOOR, "--detector", "motion", "--model", "yolox.onnx")
        assert "--detector motion uses no model; leave out --model yolox.onnx" in said
        result = run(clip, *DOOR, "--mounting", "overhead", "--model", "yolox.onnx")
        assert result.exit_code == 0
        assert "yolox.onnx is not used: from straight above" in result.stderr

    @pytest.mark.parametrize("option", ["--json", "--annotate"])
    def test_what_could_not_be_written_is_refused_before_counting(
        self, clip: Path, tmp_path: Path, option: str
    ) -> None:
        assert "no directory" in refused(clip, *DOOR, option, tmp_path / "nowhere" / "out.mp4")
        assert "is a directory" in refused(clip, *DOOR, option, tmp_path)

    def test_an_annotated_video_of_an_unknown_kind_is_refused(self, clip: Path, tmp_path: Path) -> None:
        assert "ending in .mp4" in refused(clip, *DOOR, "--annotate", tmp_path / "out.text")

    def test_a_recording_is_never_written_over(self, clip: Path, tmp_path: Path) -> None:
        before = clip.read_bytes()
        for option in ("--json", "--annotate"):
            assert "what is to be counted" in refused(clip, *DOOR, option, clip.parent / "." / clip.name)
        assert clip.read_bytes() == before
        same = tmp_path / "same.mp4"
        assert "both name" in refused(clip, *DOOR, "--json", same, "--annotate", same)

    def test_a_report_that_fails_leaves_what_was_there(self, tmp_path: Path) -> None:
        (tmp_path / "bad.csv").write_text("0,-1,90,20,20,30,nan\n")
        old = tmp_path / "out.json"
        old.write_text("yesterday's")
        refused("--boxes", tmp_path / "bad.csv", *BOXES, *DOOR, "--json", old)
        assert old.read_text() == "yesterday's"
        assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.csv", "out.json"]

    @pytest.mark.skipif(not FULL.exists(), reason="this system has no /dev/full")
    def test_a_full_disk_is_said(self, boxes: Path) -> None:
        assert "No space left" in refused("--boxes", boxes, *BOXES, *DOOR, "--json", FULL)

    def test_a_recording_cut_short_is_counted_and_said_to_be(self, clip: Path, tmp_path: Path) -> None:
        torn = tmp_path / "torn.avi"
        torn.write_bytes(clip.read_bytes()[: clip.stat().st_size // 2])
        result = run(torn, *DOOR, "--mounting", "overhead")
        assert result.exit_code == 0
        assert "it may be damaged, or not copied completely" in result.stderr

    def test_a_scene_without_an_end_is_refused(self) -> None:
        assert "overhead?seconds=60" in refused("scene:overhead", *DOOR)

    def test_interrupted_it_says_so_and_leaves_no_file(self, repository_root: Path, tmp_path: Path) -> None:
        seen, out = tmp_path / "seen.mp4", tmp_path / "out.json"
        command = [sys.executable, "-m", "cli.main", "count", "scene:overhead?seconds=9999", *DOOR]
        with subprocess.Popen(
            [*command, "--annotate", seen, "--json", out], cwd=repository_root, stderr=subprocess.PIPE, text=True
        ) as process:
            # The video's part is made last; once pictures are in it, counting is under way.
            wait_until(lambda: any(part.stat().st_size for part in tmp_path.glob("seen.part*")), timeout=60)
            process.send_signal(signal.SIGINT)
            _, said = process.communicate(timeout=60)
        assert (process.returncode, said) == (130, "doorline: stopped before the end; nothing was written\n")
        assert list(tmp_path.iterdir()) == []


def test_the_help_shows_every_option_and_an_example() -> None:
    result = run("--help")
    assert result.exit_code == 0
    for option in (
        *("--line", "--inside", "--name", "--mounting", "--anchor", "--settle", "--detector", "--model", "--json"),
        *("--annotate", "--boxes", "--size", "--fps"),
    ):
        assert option in result.stdout
    assert "doorline count door.mp4" in result.stdout


@pytest.mark.footage
def test_true_crossings_of_a_table_scene_are_found(footage: Path, tmp_path: Path) -> None:
    truth = json.loads((footage / "truth.json").read_text())["clips"]["one-by-one.mp4"]
    lines = []
    for line in truth["lines"]:
        ends = ",".join(str(value) for value in [*line["from"], *line["to"]])
        lines += ["--line", ends, "--inside", ",".join(map(str, line["inside"])), "--name", line["name"]]
    out = tmp_path / "out.json"
    result = run(footage / "video" / "one-by-one.mp4", *lines, "--anchor", "centre", "--json", out)
    assert result.exit_code == 0, result.output
    assert json.loads(out.read_text())["lines"] == [
        {"name": line["name"], "in": line["in"], "out": line["out"]} for line in truth["lines"]
    ]
