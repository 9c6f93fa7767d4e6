"""Models in OpenVINO's own form: what is wrong with one is said beforehand, and one is made only if its boxes hold."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edge.detectors import DetectorError, make_detector, runtimes
from edge.detectors.irfile import SECTION, WEIGHTS_NOTE, checksum, read_ir, weights_of
from edge.detectors.irmaking import make_ir
from edge.detectors.onnx import OnnxFinder
from edge.models import Detections
from tests.fixtures.onnxmodel import model_bytes
from tests.fixtures.skips import skip_or_fail

NAMES = "{0: 'person'}"


def described(
    folder: Path, notes: str = "", *, shape: str = "1,3,64,64", kind: str = "f32", weights: bytes = b"weights"
) -> Path:
    """A description as OpenVINO writes one, as far as it is read."""
    path = folder / "model.xml"
    weights_of(path).write_bytes(weights)
    path.write_text(
        '<?xml version="1.0"?><net name="model" version="11"><layers>'
        '<layer id="0" name="scale" type="Parameter"><data shape="1,1" element_type="f32"/></layer>'
        f'<layer id="1" name="images" type="Parameter"><data shape="{shape}" element_type="{kind}"/></layer>'
        f"</layers><edges/><rt_info>{notes}</rt_info></net>"
    )
    return path


def noted(section: str, **notes: str) -> str:
    entries = "".join(f'<{key} value="{value}"/>' for key, value in notes.items())
    return f"<{section}>{entries}</{section}>"


def without_weights(folder: Path) -> Path:
    path = described(folder)
    weights_of(path).unlink()
    return path


def with_others(folder: Path) -> Path:
    path = described(folder)
    path = described(folder, noted(SECTION, **{WEIGHTS_NOTE: checksum(weights_of(path))}))
    weights_of(path).write_bytes(b"weights of yesterday")
    return path


def no_description(folder: Path) -> Path:
    described(folder).write_text("these are not layers")
    return folder / "model.xml"


def another_kind(folder: Path) -> Path:
    described(folder).write_text("<html><body/></html>")
    return folder / "model.xml"


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda folder: folder / "none.xml", "There is no model file"),
        (without_weights, r"lies without its weights: copy model\.bin"),
        (with_others, r"model\.bin does not hold the weights of .*Copy both anew"),
        (no_description, r"no model in OpenVINO's form.*doorline models export"),
        (another_kind, "no model in OpenVINO's form"),
        (lambda folder: described(folder, kind="f16"), "half-precision or integer pictures"),
        (lambda folder: described(folder, shape="1,3"), "no model in OpenVINO's form"),
        (lambda folder: described(folder, shape="1,64,64,3"), r"colours last \(NHWC\)"),
        (lambda folder: described(folder, noted("model_info", labels="cat dog")), "its classes are cat, dog"),
    ],
)
def test_what_is_wrong_with_one_is_said_with_a_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Callable[[Path], Path], words: str
) -> None:
    monkeypatch.setattr(runtimes, "installed", lambda: ("openvino", "opencv"))
    with pytest.raises(DetectorError, match=words):
        make_detector("onnx", mounting="oblique", model=make(tmp_path))


def test_only_openvino_runs_it_and_what_to_do_without_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = described(tmp_path)
    monkeypatch.setattr(runtimes, "installed", lambda: ("onnxruntime", "openvino", "opencv"))
    assert runtimes.choose("auto", model) == "openvino"
    with pytest.raises(DetectorError, match=r"which onnxruntime can't run\. Set runtime = \"openvino\""):
        make_detector("onnx", mounting="oblique", model=model, runtime="onnxruntime")
    monkeypatch.setattr(runtimes, "installed", lambda: ("onnxruntime", "opencv"))
    with pytest.raises(DetectorError, match=r"pip install 'doorline\[openvino\]'.*Or give the \.onnx model"):
        make_detector("onnx", mounting="oblique", model=model)


def test_notes_are_read_where_each_exporter_leaves_them_ours_first(tmp_path: Path) -> None:
    labels = noted("model_info", labels="person shopping_cart")
    assert read_ir(described(tmp_path, labels)).notes["names"] == "{0: 'person', 1: 'shopping cart'}"
    onnx = noted("framework", names="{0: 'cat'}", imgsz="[64, 96]")
    file = read_ir(described(tmp_path, labels + onnx + noted(SECTION, names=NAMES), shape="?,3,?,1..96"))
    assert (file.notes["names"], file.notes["imgsz"]) == (NAMES, "[64, 96]")
    assert file.input_shape == (None, 3, None, None)


def test_half_precision_is_taken_only_where_the_boxes_stay_the_same(tmp_path: Path) -> None:
    if "openvino" not in runtimes.installed():
        skip_or_fail("openvino", "pip install 'doorline[openvino]'")
    answer = np.zeros((1, 5, 126), np.float32)
    answer[0, :, 10] = (32, 32, 20, 40, 0.9)
    model, out = tmp_path / "yolox_open.onnx", tmp_path / "box" / "people.xml"
    notes = {"imgsz": "[64, 96]", "names": NAMES}
    model.write_bytes(model_bytes(answer, shape=(1, 3, None, None), notes=notes))
    pictures = [np.zeros((64, 96, 3), np.uint8)]
    right = [OnnxFinder(model, runtime="opencv").find(pictures[0])]
    sizes = {}
    for reference, halved in ((right, True), ([Detections()], False)):
        assert make_ir(model, out, pictures, confidence=0.15, reference=reference) is halved
        finder = OnnxFinder(out)
        assert (finder.runtime, finder.family, finder.size) == ("openvino", "yolo", (96, 64))
        np.testing.assert_allclose(finder.find(pictures[0]).boxes, right[0].boxes, atol=1e-3)
        assert read_ir(out).notes["made_from"] == model.name
        sizes[halved] = weights_of(out).stat().st_size
        del finder
    assert sizes[True] < 0.6 * sizes[False]
    weights_of(out).write_bytes(bytes(sizes[False]))
    with pytest.raises(DetectorError, match="does not hold the weights"):
        OnnxFinder(out)
