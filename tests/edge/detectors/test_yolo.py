"""The optional ultralytics detector: quiet on the network, clear when it is missing, and usable when it is there."""

import importlib.util
import os
from pathlib import Path

import numpy as np
import pytest

from edge.detectors import DetectorError, make_detector
from edge.detectors.decoding import overlaps
from edge.detectors.export import export
from edge.detectors.yolo import YoloFinder, load_ultralytics
from edge.models import PERSON
from tests.fixtures.trained import Example

HERE = importlib.util.find_spec("ultralytics") is not None


@pytest.mark.skipif(HERE, reason="ultralytics is installed; what is tested is its absence")
def test_without_ultralytics_the_remedy_and_the_licence_are_named(tmp_path: Path) -> None:
    model = tmp_path / "people.pt"
    model.write_bytes(b"weights")
    with pytest.raises(DetectorError, match=r"pip install 'doorline\[yolo\]'.*AGPL-3\.0"):
        make_detector("yolo", mounting="oblique", model=model)


def test_missing_weights_are_said_to_be_missing_and_never_fetched(tmp_path: Path) -> None:
    with pytest.raises(DetectorError, match="There is no model file"):
        make_detector("yolo", mounting="oblique", model=tmp_path / "yolo11n.pt")


@pytest.mark.yolo
def test_trained_weights_find_the_people_and_nobody_is_asked_over_the_network(
    ultralytics: None, weights: Path, examples: list[Example]
) -> None:
    finder = YoloFinder(weights, confidence=0.3)
    assert finder.size == (192, 192), "the size they were trained with"
    there = found = invented = 0
    for image, boxes in examples:
        people = finder.find(image)
        assert people.boxes.dtype == np.float32
        assert np.all((people.boxes >= 0) & (people.boxes <= 1))
        assert set(people.classes.tolist()) <= {PERSON}
        shared = overlaps(boxes, people.boxes) > 0.5
        there, found = there + len(boxes), found + int(shared.any(axis=1).sum())
        invented += int((~shared.any(axis=0)).sum())
    assert found > 0.8 * there
    assert invented < 0.1 * there
    assert os.environ["YOLO_AUTOINSTALL"] == "false"
    assert os.environ["YOLO_OFFLINE"] == "true"


@pytest.mark.yolo
@pytest.mark.parametrize("kind", ["yolo11n-cls.yaml", "yolo11n-seg.yaml", "yolo11n.yaml"])
def test_weights_for_something_else_are_refused_and_a_model_that_was_there_is_kept(
    ultralytics: None, tmp_path: Path, kind: str
) -> None:
    other, out = tmp_path / "other.pt", tmp_path / "model.onnx"
    model = load_ultralytics()(kind)
    model.model.names = {number: f"thing {number}" for number in model.model.names}
    model.save(str(other))
    out.write_bytes(b"the model of yesterday")
    with pytest.raises(
        DetectorError, match=r"other\.pt can't be used\. It (is for '|knows no people; its classes are)"
    ):
        export(other, out, size=(64, 64))
    assert out.read_bytes() == b"the model of yesterday"
    with pytest.raises(DetectorError, match=r"other\.pt (knows no people|gives no boxes)"):
        make_detector("yolo", mounting="oblique", model=other)


@pytest.mark.yolo
def test_a_damaged_model_is_refused(ultralytics: None, tmp_path: Path) -> None:
    weights = tmp_path / "broken.pt"
    weights.write_bytes(b"not weights at all")
    with pytest.raises(DetectorError, match=r"broken\.pt can't be loaded .*Give weights \(\.pt\)"):
        make_detector("yolo", mounting="oblique", model=weights)
    with pytest.raises(DetectorError, match=r"can't export .*broken\.pt .*Give weights \(\.pt\)"):
        export(weights, tmp_path / "broken.onnx", size=(64, 64))
    assert not (tmp_path / "broken.onnx").exists()
