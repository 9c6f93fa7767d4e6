"""`doorline count` by a box's own configuration: counted and looked at as the box does, and mixed with nothing."""

import json
from pathlib import Path

import cv2

from tests.cli.counting import BOXES, DOOR, refused, run

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


def test_a_box_s_own_configuration_is_counted_by(boxes: Path, tmp_path: Path) -> None:
    config, out = tmp_path / "edge.toml", tmp_path / "out.json"
    config.write_text(CONFIG)
    result = run("--boxes", boxes, *BOXES, "--config", config, "--json", out)
    assert result.exit_code == 0, result.output
    (crossing,) = json.loads(out.read_text())["crossings"]
    assert (crossing["line"], crossing["direction"], crossing["tags"]) == ("L1", "in", ["staff"])
    assert "staff" in result.stdout


def test_and_looked_at_as_the_box_looks(clip: Path, tmp_path: Path) -> None:
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


def test_a_configuration_is_not_mixed_with_lines(boxes: Path, tmp_path: Path) -> None:
    config = tmp_path / "edge.toml"
    config.write_text(CONFIG)
    assert "leave out --line" in refused("--boxes", boxes, *BOXES, "--config", config, *DOOR)
    assert "no camera 'C9'; it has C1" in refused("--boxes", boxes, *BOXES, "--config", config, "--camera", "C9")
    how = ["--mounting", "oblique", "--settle", "immediate", "--detector", "motion"]
    assert "leave out --mounting, --settle, --detector" in refused("--boxes", boxes, *BOXES, "--config", config, *how)
    assert "goes with --config" in refused("--boxes", boxes, *BOXES, *DOOR, "--camera", "C1")
    config.write_text(CONFIG.replace("mounting", "mountng"))
    assert "Did you mean 'mounting'" in refused("--boxes", boxes, *BOXES, "--config", config)
