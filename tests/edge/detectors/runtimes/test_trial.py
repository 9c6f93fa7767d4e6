"""Runtimes are measured only after their boxes agreed; weights are turned into a model where ultralytics is."""

import json
import tomllib
from collections import Counter as Tally
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from cli.main import app
from edge.detectors import DetectorError, runtimes
from edge.detectors.export import export
from edge.detectors.onnx import OnnxFinder
from edge.detectors.runtimes import installed, trial
from edge.detectors.runtimes.trial import Agreement, Measured, best, compare, try_runtimes
from edge.models import BAG, PERSON, Detections
from edge.scene import door_line, open_scene
from tests.edge.detectors.conftest import SCENE
from tests.fixtures.onnxmodel import answering
from tests.fixtures.skips import skip_or_fail

runner = CliRunner()


def found(*rows: tuple[float, float, float, float, float], classes: list[int] | None = None) -> Detections:
    table = np.array(rows, np.float32).reshape(-1, 5)
    kinds = np.array([PERSON] * len(rows) if classes is None else classes, np.uint8)
    return Detections(table[:, :4], table[:, 4], kinds)


ONE = (0.1, 0.1, 0.3, 0.5, 0.8)
TWO = (0.6, 0.1, 0.8, 0.5, 0.6)


@pytest.mark.parametrize(
    ("other", "same", "words"),
    [
        (found(ONE, TWO), True, "2 boxes, overlap 1.000"),
        (found(TWO, ONE), True, "2 boxes"),
        (found(ONE), False, "1 of 2 boxes missing, 0 of its own"),
        (found(ONE, TWO, (0.4, 0.4, 0.5, 0.9, 0.5)), False, "0 of 2 boxes missing, 1 of its own"),
        (found(ONE, (0.62, 0.1, 0.82, 0.5, 0.6)), False, "1 of 2 boxes missing, 1 of its own"),
        (found(ONE, (0.6, 0.1, 0.8, 0.5, 0.7)), False, "scores within 0.1"),
        (found(ONE, TWO, classes=[PERSON, BAG]), False, "1 of 2 boxes missing"),
        (found(ONE, TWO, (0.4, 0.4, 0.5, 0.9, 0.17)), True, "2 boxes"),  # hardly above the least score
    ],
)
def test_boxes_are_the_same_or_it_is_said_how_not(other: Detections, same: bool, words: str) -> None:
    agreement = compare([found(ONE, TWO)], [other], 0.15)
    assert agreement.same is same
    assert words in str(agreement)


def test_where_nobody_is_nothing_is_shown() -> None:
    agreement = compare([found()], [found()], 0.15)
    assert not agreement.same
    assert "nothing to compare" in str(agreement)


def test_the_fastest_that_agrees_is_taken() -> None:
    fine, off = Agreement(5, 0, 0, 0.99, 0.0), Agreement(5, 2, 0, 0.99, 0.0)
    onnx, own = Path("model.onnx"), Path("model.xml")
    rows = [
        Measured("onnxruntime", 1, onnx, 40.0, fine),
        Measured("onnxruntime", 2, onnx, 90.0, fine),
        Measured("openvino", 1, onnx, 80.0, off),
        Measured("opencv", 1, onnx, 30.0, fine),
    ]
    chosen = best(rows, 1)
    assert chosen is not None
    assert chosen.runtime == "onnxruntime"
    assert best(rows[2:3], 1) is None
    rows += [Measured("openvino", 1, onnx, 50.0, fine), Measured("openvino", 1, own, 47.0, fine)]
    chosen = best(rows, 1)
    assert chosen is not None
    assert (chosen.runtime, chosen.model) == ("openvino", own), "as fast, and it takes less memory"
    slow = best([*rows[:-1], Measured("openvino", 1, own, 30.0, fine)], 1)
    assert slow is not None
    assert slow.model == onnx
    other = best([*rows[:-1], Measured("openvino", 1, own, 60.0, off)], 1)
    assert other is not None
    assert other.model == onnx


def person(folder: Path) -> Path:
    answer = np.zeros((1, 5, 84), np.float32)
    answer[0, :, 10] = (32, 32, 20, 40, 0.9)
    return answering(folder, answer, notes={"names": "{0: 'person'}"})


def test_a_runtime_with_other_boxes_is_rejected(tmp_path: Path) -> None:
    pictures = [np.zeros((64, 64, 3), np.uint8)]
    model = person(tmp_path)
    rows = try_runtimes([model], pictures, threads=(1,), confidence=0.15, at_least_s=0.01)
    assert all(row.agreement is not None and row.agreement.same and row.per_s > 0 for row in rows)
    wrong = [found((0.3, 0.2, 0.6, 0.8, 0.9))]
    rows = try_runtimes([model], pictures, threads=(1,), confidence=0.15, at_least_s=0.01, reference=wrong)
    assert best(rows, 1) is None


def test_check_prints_and_writes_the_lines_for_a_camera(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = tmp_path / "lines.toml"
    model = person(tmp_path)
    ran = runner.invoke(app, ["models", "check", str(model), "--seconds", "0.1", "--write", str(lines)])
    assert ran.exit_code == 0, ran.output
    text = lines.read_text(encoding="utf-8")
    assert f'model = "{model}"' in text
    assert 'detector = "onnx"' in text
    assert "same: 12 boxes" in " ".join(ran.output.split())
    assert ("Only " in ran.output) == (len(installed()) == 1)
    monkeypatch.setattr(trial, "installed", lambda: ("opencv",))
    ran = runner.invoke(app, ["models", "check", str(model), "--seconds", "0.1"])
    assert "Only opencv could be tried here" in ran.output


def test_check_says_when_no_runtime_can_be_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = answering(tmp_path, np.zeros((1, 5, 84), np.float32), notes={"names": "{0: 'person'}"})
    ran = runner.invoke(app, ["models", "check", str(model), "--seconds", "0.1"])
    assert ran.exit_code == 2
    assert "--video" in ran.output
    monkeypatch.setattr(trial, "SCORE", -1.0)
    ran = runner.invoke(app, ["models", "check", str(person(tmp_path)), "--seconds", "0.1"])
    assert ran.exit_code == 2
    assert "No runtime on this machine" in ran.output


def test_missing_weights_and_a_wrong_size_are_refused_before_anything_is_imported(tmp_path: Path) -> None:
    with pytest.raises(DetectorError, match="--download"):
        export(tmp_path / "none.pt", tmp_path / "out.onnx", size=(416, 256))
    with pytest.raises(DetectorError, match="multiples of 32"):
        export(tmp_path / "none.pt", tmp_path / "out.onnx", size=(400, 250))
    ran = runner.invoke(app, ["models", "export", str(tmp_path / "none.pt"), "--size", "wide"])
    assert ran.exit_code == 2
    assert "for example 416x256" in ran.output


def test_without_openvino_an_onnx_model_is_as_it_should_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtimes, "installed", lambda: ("onnxruntime", "opencv"))
    ran = runner.invoke(app, ["models", "export", str(person(tmp_path))])
    assert ran.exit_code == 2
    said = " ".join(ran.output.split())
    assert "is an ONNX model already" in said
    assert "pip install 'doorline[openvino]'" in said


def test_an_onnx_model_is_turned_into_openvinos_form_held_against_it_and_picked(tmp_path: Path) -> None:
    if "openvino" not in installed():
        skip_or_fail("openvino", "pip install 'doorline[openvino]'")
    model, lines = person(tmp_path), tmp_path / "lines.toml"
    out = tmp_path / "box" / "person.xml"
    asked = ["--seconds", "0.1", "--write", str(lines)]
    ran = runner.invoke(app, ["models", "export", str(model), "--out", str(out), *asked])
    said = " ".join(ran.output.split())
    assert ran.exit_code == 0, said
    assert "in half precision: the boxes stay the same" in said
    assert sorted(path.name for path in out.parent.iterdir()) == ["person.bin", "person.xml"]
    assert ".xml" in said
    assert "other boxes" not in said
    picked = tomllib.loads(lines.read_text(encoding="utf-8"))
    finder = OnnxFinder(Path(picked["model"]), runtime=picked["runtime"])
    assert finder.find(np.zeros((64, 64, 3), np.uint8)).classes.tolist() == [PERSON]
    ran = runner.invoke(app, ["models", "check", str(out), *asked])
    assert ran.exit_code == 0, ran.output
    assert "Only openvino could be tried here" in ran.output
    assert tomllib.loads(lines.read_text(encoding="utf-8"))["model"] == str(out)


@pytest.mark.yolo
def test_weights_are_exported_compared_measured_and_counted_with(
    ultralytics: None, weights: Path, tmp_path: Path
) -> None:
    model, lines, counts = tmp_path / "rendered.onnx", tmp_path / "lines.toml", tmp_path / "counts.json"
    asked = ["--size", "192x128", "--video", SCENE, "--seconds", "0.2", "--out", str(model), "--write", str(lines)]
    ran = runner.invoke(app, ["models", "export", str(weights), *asked])
    said = " ".join(ran.output.split())
    assert ran.exit_code == 0, said
    assert "boxes compared with those of the weights" in said
    assert "rejected" not in said
    assert all(name in said for name in installed())
    picked = tomllib.loads(lines.read_text(encoding="utf-8"))
    form = model.with_suffix(".xml")
    assert form.exists() == ("openvino" in installed())
    assert picked["detector"] == "onnx"
    assert picked["model"] == str(form if picked["runtime"] == "openvino" else model)
    assert picked["runtime"] in installed()
    finder = OnnxFinder(Path(picked["model"]), runtime=picked["runtime"])
    assert (finder.family, finder.size) == ("yolo", (192, 128))
    door = ["--line", "0.12,0.5,0.88,0.5", "--inside", "0.5,0.9", "--detector", "onnx", "--model", picked["model"]]
    ran = runner.invoke(app, ["count", SCENE, *door, "--json", str(counts)])
    assert ran.exit_code == 0, ran.output
    found = json.loads(counts.read_text(encoding="utf-8"))["lines"][0]
    true = Tally(crossing.direction for crossing in open_scene(SCENE).truth(door_line("oblique")))
    assert found["in"] + found["out"] >= 0.7 * true.total(), (found, true)
    assert abs(found["in"] - true["in"]) + abs(found["out"] - true["out"]) <= 3
