"""`doorline count` of a recording: counted, drawn on, told to be torn, and never written over."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import cv2
import pytest

from tests.cli.counting import BOXES, DOOR, refused, run
from tests.fixtures.wait import wait_until

FULL = Path("/dev/full")


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
