"""`doorline count` as a person meets it: totals and files when all is well, one clear line and status 2 when not."""

import gzip
import json
from pathlib import Path

import pytest

from tests.cli.counting import BOXES, DOOR, refused, rows_of_a_walk, run


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


def test_the_help_shows_every_option_and_an_example() -> None:
    result = run("--help")
    assert result.exit_code == 0
    for option in (
        *("--line", "--inside", "--name", "--mounting", "--anchor", "--settle", "--detector", "--model", "--json"),
        *("--annotate", "--boxes", "--size", "--fps"),
    ):
        assert option in result.stdout
    assert "doorline count door.mp4" in result.stdout
