"""Reads from a model in OpenVINO's own form what must be known before it is run, as `onnxfile` does from ONNX.

Such a model is two files, a description (.xml) and its weights (.bin), and the description fits the weights of every
earlier training as well: copied to a box without its own, it runs, and its boxes are wrong. So what we write notes
which weights are meant, and they are held against it here. Source of the form: https://docs.openvino.ai, "OpenVINO IR
format".
"""

import hashlib
from pathlib import Path
from typing import Final
from xml.etree import ElementTree

from edge.detectors.errors import DetectorError
from edge.detectors.onnxfile import ModelFile

#: How the file of the description ends.
SUFFIX: Final = ".xml"
#: What we note, and under which name: see `edge.detectors.irmaking`.
SECTION: Final = "doorline"
WEIGHTS_NOTE: Final = "weights_sha256"
_FLOAT32: Final = "f32"


def weights_of(path: Path) -> Path:
    """Where the weights of a description lie."""
    return path.with_suffix(".bin")


def checksum(weights: Path) -> str:
    """What is noted of weights.

    Raises:
        OSError: they can't be read.
    """
    with weights.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_ir(path: Path) -> ModelFile:
    """Read a model's description, and see that its weights are there and its own.

    Raises:
        DetectorError: either is missing or unreadable, they don't belong together, or the model takes no pictures of
            float32.
    """
    weights = weights_of(path)
    try:
        content = path.read_bytes()
        root = ElementTree.fromstring(content)  # noqa: S314 - who may set a model may set everything
        notes = _notes(root)
        meant = notes.pop(WEIGHTS_NOTE, "")
        there = checksum(weights)
    except FileNotFoundError as error:
        if Path(str(error.filename)) == weights:
            raise DetectorError(
                f"Model {path} lies without its weights: copy {weights.name} from beside it, too; or use the .onnx "
                "model, which is one file."
            ) from error
        raise DetectorError(
            f"There is no model file {path}. Check the path, or use the detector 'motion', which needs no model."
        ) from error
    except OSError as error:
        raise DetectorError(f"Model {error.filename or path} can't be read: {error.strerror or error}.") from error
    except ElementTree.ParseError as error:
        raise DetectorError(_not_a_model(path)) from error
    if root.tag != "net":
        raise DetectorError(_not_a_model(path))
    if meant and meant != there:
        raise DetectorError(
            f"{weights} does not hold the weights of {path}: one of the two is older, or was cut short. Copy both "
            "anew, from one export."
        )
    return ModelFile(content, _picture_input(root, path), notes)


def _not_a_model(path: Path) -> str:
    return (
        f"{path} is no model in OpenVINO's form. Make one from an .onnx file: doorline models export MODEL.onnx; or "
        "give the .onnx file itself."
    )


def _notes(root: ElementTree.Element) -> dict[str, str]:
    """What is noted of classes, task and size: by ultralytics' own export, in the ONNX it was made from, or by us."""
    notes: dict[str, str] = {}
    labels = root.find("rt_info/model_info/labels")
    if labels is not None and labels.get("value"):
        names = [name.replace("_", " ") for name in labels.get("value", "").split()]
        notes["names"] = str(dict(enumerate(names)))
    for section in ("framework", SECTION):
        notes |= {note.tag: note.get("value", "") for note in root.findall(f"rt_info/{section}/*")}
    return notes


def _picture_input(root: ElementTree.Element, path: Path) -> tuple[int | None, ...]:
    """Shape of the input of four dimensions; None where one is left open."""
    for data in root.findall("layers/layer[@type='Parameter']/data"):
        sides = [side.strip() for side in data.get("shape", "").split(",")]
        if len(sides) != 4:
            continue
        if data.get("element_type") != _FLOAT32:
            raise DetectorError(
                f"Model {path} takes half-precision or integer pictures; make it anew from a float32 .onnx model: "
                "doorline models export MODEL.onnx"
            )
        return tuple(int(side) if side.isdecimal() else None for side in sides)
    raise DetectorError(_not_a_model(path))
