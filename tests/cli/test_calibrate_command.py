"""`doorline calibrate` as a person meets it: sections to put in, a picture to look at, or a word on what is missing."""

import os
import stat
import tomllib
from pathlib import Path

import cv2
import numpy as np
import pytest
import typer
from typer.testing import CliRunner, Result

from cli.calibrate import calibrate
from edge.config import load
from edge.detectors import runtimes
from tests.cli.counting import run as count
from tests.fixtures.onnxmodel import answering
from tests.fixtures.rtsp import RtspServer

app = typer.Typer()
app.command()(calibrate)

SCENE = "scene:overhead?seconds=70&seed=4&rate=20&light=steady&fps=10&size=320x240"
CONFIG = f"""\
[device]
name = "box"            # behind the till
[broker]
host = "broker"
password = "hush"
[outbox]
path = "outbox.sqlite"
[[camera]]
id = "C1"
source = "{SCENE}"
mounting = "overhead"
  [[camera.line]]
  id = "L1"
  start = [0.1, 0.2]    # guessed in March
  end = [0.2, 0.2]
  inside = [0.5, 0.9]
"""


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(each) for each in arguments], env={"COLUMNS": "140", "TERM": "dumb"})


def refused(*arguments: str | Path) -> str:
    result = run(*arguments)
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert result.stderr.startswith("doorline: ")
    assert "Traceback" not in result.stderr
    return result.stderr


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "edge.toml"
    path.write_text(CONFIG)
    path.chmod(0o600)
    return path


def test_the_line_it_prints_counts_like_the_door(tmp_path: Path) -> None:
    picture = tmp_path / "seen.png"
    result = run(SCENE, "--mounting", "overhead", "--inside", "0.5,0.95", "--picture", picture)
    assert result.exit_code == 0, result.output
    assert "people came clear of it on both sides" in result.stderr
    assert "look at it before you trust the line" in result.stderr
    camera = tomllib.loads(result.stdout)["camera"]
    (line,) = camera["line"]
    assert line["inside"] == [0.5, 0.95]
    assert len(camera["size"]["adult"]) == 2
    drawn = cv2.imread(str(picture))
    assert drawn is not None
    assert drawn.shape[1] == 640
    ends = ",".join(str(value) for value in [*line["start"], *line["end"]])
    counted = count(SCENE, "--mounting", "overhead", "--line", ends, "--inside", "0.5,0.95")
    told = next(row for row in result.stderr.splitlines() if "it counts" in row).split()
    cells = [row.replace("│", " ").replace("|", " ").split() for row in counted.stdout.splitlines()]
    assert ["line", told[2], told[5]] in cells, (counted.stdout, told)


def test_a_configuration_is_changed_in_place_whole_and_for_its_owner_only(config: Path) -> None:
    result = run("--write", config, "--camera", "C1")
    assert result.exit_code == 0, result.output
    assert result.stdout == ""
    assert "camera C1 is set" in result.stderr
    text = config.read_text()
    assert "# behind the till" in text
    assert "# guessed in March" in text
    camera = load(config).camera[0]
    assert camera.line[0].start != (0.1, 0.2)
    assert camera.size is not None
    assert stat.S_IMODE(config.stat().st_mode) == 0o600, "there is a password in it"
    assert [path.name for path in config.parent.iterdir()] == ["edge.toml"]


def test_a_link_to_a_configuration_stays_a_link(config: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.toml"
    link.symlink_to(config)
    assert run("--write", link, "--minutes", "1").exit_code == 0
    assert link.is_symlink()
    assert load(config).camera[0].size is not None


def test_a_line_stays_one_for_the_point_it_counts_by(config: Path) -> None:
    config.write_text(CONFIG.replace('id = "L1"', 'id = "L1"\n  anchor = "head"'))
    assert run("--write", config).exit_code == 0
    assert load(config).camera[0].line[0].anchor == "head"


def test_too_few_people_give_no_line_and_change_nothing(config: Path) -> None:
    before = config.read_text()
    result = run("scene:overhead?seconds=4&fps=10", "--write", config)
    assert result.exit_code == 1
    assert "not enough people seen" in result.stderr
    assert "let it watch longer" in result.stderr
    assert result.stdout == ""
    assert config.read_text() == before


def test_watching_ends_with_the_time(tmp_path: Path) -> None:
    result = run("scene:overhead?fps=10", "--mounting", "overhead", "--minutes", "0.1")
    assert "watched   6 s" in result.stderr


class TestRefused:
    def test_what_is_missing_is_asked_for(self, config: Path, tmp_path: Path) -> None:
        assert "name a recording or a camera" in refused()
        assert "absent.mp4" in refused(tmp_path / "absent.mp4")
        assert "--camera goes with --write" in refused(SCENE, "--camera", "C1")
        assert "--name is 'front door'" in refused(SCENE, "--name", "front door")
        assert "has no camera 'C9'" in refused("--write", config, "--camera", "C9")
        assert "can't be read" in refused("--write", tmp_path / "absent.toml")
        assert "--model" in refused(SCENE, "--detector", "onnx")

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            (["--inside", "0.5"], "2 numbers"),
            (["--inside", "5,0.5"], "outside the picture"),
            (["--minutes", "0"], "--minutes is 0"),
            (["--picture", "seen.mp4"], "ends in .png or .jpg"),
            (["--picture", "/nowhere/seen.png"], "no directory"),
        ],
    )
    def test_what_cannot_be_meant_is_refused_before_watching(self, arguments: list[str], words: str) -> None:
        assert words in refused(SCENE, *arguments)

    def test_a_camera_is_not_watched_in_another_way_than_it_counts(
        self, config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(runtimes, "installed", lambda: ("onnxruntime",))
        model = answering(tmp_path, np.zeros((1, 84, 84), np.float32))
        keys = f'mounting = "oblique"\ndetector = "onnx"\nmodel = "{model}"\nruntime = "openvino"'
        config.write_text(CONFIG.replace('mounting = "overhead"', keys))
        assert "The runtime openvino is not installed" in refused("--write", config)
        config.write_text(CONFIG)
        assert "set mounting there first" in refused("--write", config, "--mounting", "oblique")

    def test_a_model_that_is_not_used_is_said_to_be_none(self, tmp_path: Path) -> None:
        assert "--detector motion uses no model" in refused(SCENE, "--detector", "motion", "--model", "yolox.onnx")
        result = run("scene:overhead?seconds=4&fps=10", "--mounting", "overhead", "--model", "yolox.onnx")
        assert "yolox.onnx is not used" in result.stderr

    def test_one_of_several_lines_or_cameras_must_be_named(self, config: Path) -> None:
        more = '  [[camera.line]]\n  id = "L2"\n  start = [0.1, 0.8]\n  end = [0.9, 0.8]\n  inside = [0.5, 0.9]\n'
        config.write_text(CONFIG + more)
        assert "choose one with --name: L1, L2" in refused("--write", config)
        config.write_text(CONFIG + '[[camera]]\nid = "C2"\nsource = 0\n' + more)
        assert "choose one with --camera: C1, C2" in refused("--write", config)

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
    def test_a_configuration_that_cannot_be_written_is_refused_at_once(self, config: Path) -> None:
        config.chmod(0o400)
        assert "can't be written" in refused("--write", config)


@pytest.mark.footage
def test_a_table_scene_is_counted_by_the_line_it_proposes(footage: Path) -> None:
    video = footage / "video" / "one-by-one.mp4"
    result = run(video, "--mounting", "oblique")
    assert result.exit_code == 0, result.output
    (line,) = tomllib.loads(result.stdout)["camera"]["line"]
    ends = ",".join(str(value) for value in [*line["start"], *line["end"]])
    counted = count(video, "--line", ends, "--inside", ",".join(map(str, line["inside"])))
    cells = [row.replace("│", " ").replace("|", " ").split() for row in counted.stdout.splitlines()]
    assert ["line", "6", "0"] in cells or ["line", "0", "6"] in cells, counted.stdout


def test_a_real_camera_is_watched_for_as_long_as_was_said() -> None:
    with RtspServer(source="scene:overhead?fps=10&rate=30&light=steady", fps=10.0) as server:
        result = run(
            server.address(credentials="li:hush"), "--minutes", "0.1", "--mounting", "overhead", "--least", "2"
        )
    assert result.exit_code in (0, 1), result.output
    assert "watched   6 s" in result.stderr
    assert "hush" not in result.output
