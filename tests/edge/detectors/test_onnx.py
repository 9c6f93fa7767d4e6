"""Trained detectors run from ONNX: each runtime gives the same boxes, each unusable model is refused beforehand."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edge.camera import open_source
from edge.detectors import DetectorError, make_detector, runtimes
from edge.detectors.letterbox import Letterbox
from edge.detectors.onnx import OnnxFinder
from edge.models import BAG, CART, PERSON, Frame
from tests.fixtures.onnxmodel import answering, model_bytes
from tests.fixtures.skips import skip_or_fail


@pytest.fixture(scope="session")
def yolox(footage: Path) -> Path:
    return footage / "models" / "yolox_nano.onnx"


@pytest.fixture(scope="session")
def square(footage: Path) -> Frame:
    with open_source(str(footage / "video" / "pets-s2l1.mp4")) as source:
        return next(iter(source))


def need(runtime: str) -> None:
    if runtime not in runtimes.installed():
        skip_or_fail(runtime, f"pip install 'doorline[{'onnx' if runtime == 'onnxruntime' else runtime}]'")


@pytest.mark.footage
@pytest.mark.parametrize("runtime", runtimes.NAMES)
def test_yolox_finds_the_people_of_the_annotation(footage: Path, yolox: Path, square: Frame, runtime: str) -> None:
    need(runtime)
    finder = OnnxFinder(yolox, runtime=runtime, confidence=0.6)
    assert finder.family == "yolox"
    found = finder.find(square.image).only(PERSON)
    rows = np.loadtxt(footage / "tracks" / "pets-s2l1.gt.txt", delimiter=",")
    x, y, w, h = rows[rows[:, 0] == 1][:, 2:6].T / np.array([[768], [576], [768], [576]])
    feet = np.stack([x + w / 2, y + h], axis=1)
    assert len(found) >= 3
    for box in found.boxes:
        here = np.array([(box[0] + box[2]) / 2, box[3]])
        assert np.abs(feet - here).max(axis=1).min() < 0.04
    assert np.all(np.diff(found.scores) <= 0)


@pytest.mark.footage
@pytest.mark.parametrize("runtime", runtimes.NAMES[1:])
def test_every_runtime_gives_the_same_boxes(yolox: Path, square: Frame, runtime: str) -> None:
    need(runtime)
    need("onnxruntime")
    first = OnnxFinder(yolox, runtime="onnxruntime").find(square.image)
    other = OnnxFinder(yolox, runtime=runtime).find(square.image)
    assert len(first) == len(other) > 3
    np.testing.assert_allclose(first.boxes, other.boxes, atol=0.002)
    np.testing.assert_allclose(first.scores, other.scores, atol=0.005)
    assert first.classes.tolist() == other.classes.tolist()


@pytest.mark.footage
def test_a_picture_of_another_shape_gives_the_same_people(yolox: Path, square: Frame) -> None:
    finder = OnnxFinder(yolox, confidence=0.5)
    image = square.image
    wide = np.full((image.shape[0], image.shape[1] * 2, 3), 114, np.uint8)
    wide[:, : image.shape[1]] = image
    twice = np.repeat(np.repeat(wide, 2, axis=0), 2, axis=1)
    plain, padded = finder.find(wide), finder.find(twice)
    assert len(plain) == len(padded) > 0
    np.testing.assert_allclose(plain.boxes, padded.boxes, atol=0.02)


def unreadable(folder: Path) -> Path:
    path = folder / "notes.onnx"
    path.write_text("these are not weights\n" * 20)
    return path


def cut_short(folder: Path) -> Path:
    path = folder / "short.onnx"
    path.write_bytes(b"\x08\x07\x12\x07pytorch\x3a\xff\xff\xff\x01" + bytes(100))
    return path


def torch_weights(folder: Path) -> Path:
    path = folder / "yolo11n.pt"
    path.write_bytes(b"PK\x03\x04" + bytes(26) + b"yolo11n/data.pkl" + bytes(400))
    return path


def grey_pictures(folder: Path) -> Path:
    path = folder / "grey.onnx"
    path.write_bytes(model_bytes(np.zeros((1, 84, 84), np.float32), shape=(1, 1, 64, 64)))
    return path


def colours_last(folder: Path) -> Path:
    path = folder / "last.onnx"
    path.write_bytes(model_bytes(np.zeros((1, 84, 84), np.float32), shape=(None, 64, 64, 3)))
    return path


def in_two_files(folder: Path) -> Path:
    path = folder / "two.onnx"
    path.write_bytes(model_bytes(np.zeros((1, 5, 84), np.float32), elsewhere=True))
    return path


def nameless(folder: Path) -> Path:
    return answering(folder, np.zeros((1, 6, 84), np.float32))


def bare_heads(folder: Path) -> Path:
    return answering(folder, np.zeros((1, 3, 8, 8, 85), np.float32))


def odd_sides(folder: Path) -> Path:
    path = folder / "odd.onnx"
    path.write_bytes(model_bytes(np.zeros((1, 5, 70), np.float32), shape=(1, 3, 60, 60)))
    return path


def batches(folder: Path) -> Path:
    path = folder / "batch.onnx"
    path.write_bytes(model_bytes(np.zeros((1, 84, 84), np.float32), shape=(8, 3, 64, 64)))
    return path


def segments(folder: Path) -> Path:
    return answering(folder, np.zeros((1, 7, 11), np.float32))


def poses(folder: Path) -> Path:
    return answering(folder, np.zeros((1, 56, 84), np.float32), notes={"task": "pose", "names": "{0: 'person'}"})


def cats(folder: Path) -> Path:
    return answering(folder, np.zeros((1, 6, 84), np.float32), notes={"names": "{0: 'cat', 1: 'dog'}"})


def too_few(folder: Path) -> Path:
    notes = {"names": "{0: 'cat', 3: 'person'}"}
    return answering(folder, np.zeros((1, 6, 84), np.float32), notes=notes)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda folder: folder / "none.onnx", "There is no model file"),
        (lambda folder: folder, "is a directory"),
        (unreadable, "not an ONNX model"),
        (cut_short, r"ends in the middle \(116 bytes\).*Fetch it again"),
        (torch_weights, r"doorline models export"),
        (grey_pictures, "1 channels at a time; export one with batch=1"),
        (batches, "takes 8 pictures"),
        (colours_last, r"colours last \(NHWC\).*batch, channels, height, width"),
        (in_two_files, "keeps its weights in a second file. Export it into one"),
        (nameless, "tells 2 classes apart and doesn't say which are people. Write their names"),
        (bare_heads, "bare heads of one: export it with its decoder"),
        (odd_sides, "no multiples of 32: export it for 416x256"),
        (segments, "neither YOLOX's nor YOLO's"),
        (poses, "is for 'pose'; export one for detection"),
        (cats, "knows no people; its classes are cat, dog"),
        (too_few, "has 2 classes but names 'person' as number 3"),
    ],
)
def test_an_unusable_model_is_refused_with_a_remedy(tmp_path: Path, make: Callable[[Path], Path], words: str) -> None:
    with pytest.raises(DetectorError, match=words):
        make_detector("onnx", mounting="oblique", model=make(tmp_path))


@pytest.mark.footage
@pytest.mark.parametrize("runtime", runtimes.NAMES)
def test_a_model_with_its_weights_cut_off_is_refused(tmp_path: Path, yolox: Path, runtime: str) -> None:
    need(runtime)
    path = tmp_path / "half.onnx"
    path.write_bytes(yolox.read_bytes()[:100_000])
    with pytest.raises(DetectorError, match=r"half\.onnx"):
        OnnxFinder(path, runtime=runtime)


@pytest.mark.parametrize(("name", "words"), [("onnx", "needs a model file"), ("magic", "no detector 'magic'")])
def test_an_unknown_detector_or_one_without_its_model_is_refused(name: str, words: str) -> None:
    with pytest.raises(DetectorError, match=words):
        make_detector(name, mounting="oblique")


def test_a_missing_runtime_is_named_with_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtimes, "installed", lambda: ("onnxruntime", "opencv"))
    model = answering(tmp_path, np.zeros((1, 84, 84), np.float32))
    with pytest.raises(DetectorError, match=r"pip install 'doorline\[openvino\]'.*means onnxruntime"):
        make_detector("onnx", mounting="oblique", model=model, runtime="openvino")
    with pytest.raises(DetectorError, match=r"no runtime 'tensorrt'\. Choose one of auto, onnxruntime"):
        make_detector("onnx", mounting="oblique", model=model, runtime="tensorrt")


@pytest.mark.parametrize("runtime", runtimes.NAMES)
def test_classes_come_out_in_our_words(tmp_path: Path, runtime: str) -> None:
    need(runtime)
    answer = np.zeros((1, 4 + 4, 84), np.float32)
    for place, (column, score) in enumerate([(2, 0.9), (0, 0.8), (1, 0.7), (3, 0.95)]):
        answer[0, :4, place] = (10 + 12 * place, 32, 8, 16)
        answer[0, 4 + column, place] = score
    notes = {"names": "{0: 'Trolley', 1: 'suitcase', 2: 'pedestrian', 3: 'dog'}", "task": "detect"}
    finder = OnnxFinder(answering(tmp_path, answer, notes=notes), runtime=runtime)
    assert finder.family == "yolo"
    found = finder.find(np.zeros((64, 64, 3), np.uint8))
    assert found.classes.tolist() == [PERSON, CART, BAG]
    np.testing.assert_allclose(found.boxes[0], (6 / 64, 24 / 64, 14 / 64, 40 / 64), atol=1e-5)


def test_a_model_that_names_no_size_is_given_the_size_it_was_exported_for(tmp_path: Path) -> None:
    path = tmp_path / "open.onnx"
    cells = 12 * 8 + 6 * 4 + 3 * 2
    answer = np.zeros((1, 5, cells), np.float32)
    notes = {"imgsz": "[64, 96]", "names": "{0: 'person'}"}
    path.write_bytes(model_bytes(answer, shape=(1, 3, None, None), notes=notes))
    assert OnnxFinder(path).size == (96, 64)


@pytest.mark.parametrize(("centred", "corner"), [(True, (0, 16)), (False, (0, 0))])
def test_a_picture_is_laid_in_without_distortion(centred: bool, corner: tuple[int, int]) -> None:
    box = Letterbox(64, 64, centred=centred, plain=True)
    blob, placed = box.lay(np.full((50, 100, 3), 255, np.uint8))
    assert (placed.left, placed.top) == corner
    white = np.argwhere(blob[0, 0] == 255)
    assert white.min(axis=0).tolist() == [corner[1], 0]
    assert (np.ptp(white, axis=0) + 1).tolist() == [32, 64]


def test_nothing_of_one_picture_is_left_around_the_next() -> None:
    box = Letterbox(64, 64, centred=True, plain=True)
    box.lay(np.full((64, 64, 3), 255, np.uint8))
    blob, placed = box.lay(np.full((16, 64, 3), 7, np.uint8))
    assert set(np.unique(blob)) == {7.0, 114.0}
    back = placed.back(np.array([[0, 24, 64, 40], [-5, 20, 32, 32]], np.float32))
    assert back.tolist() == [[0, 0, 1, 1], [0, 0, 0.5, 0.5]]


def test_colours_come_in_the_order_and_range_a_family_was_trained_with() -> None:
    image = np.zeros((64, 64, 3), np.uint8)
    image[..., 0] = 255  # blue
    plain, _ = Letterbox(64, 64, centred=False, plain=True).lay(image)
    other, _ = Letterbox(64, 64, centred=True, plain=False).lay(image)
    assert plain[0, :, 0, 0].tolist() == [255, 0, 0]
    assert other[0, :, 0, 0].tolist() == [0, 0, 1]
