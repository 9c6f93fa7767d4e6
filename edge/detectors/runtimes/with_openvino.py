"""Networks run by OpenVINO: the fastest on Intel's processors, and larger to install.

On processors that have bfloat16 it computes in that by default and says nothing: faster, and other boxes than the model
was tested with. Single precision is asked for by name.
"""

from pathlib import Path

import numpy as np

from edge.detectors.irfile import SUFFIX
from edge.detectors.runtimes import Floats, Network, cannot_run


def load(content: bytes, model: Path, size: tuple[int, int], threads: int) -> Network:
    """Make a network ready to run; see `edge.detectors.runtimes.load`."""
    import openvino

    core = openvino.Core()
    settings = {
        "INFERENCE_PRECISION_HINT": "f32",
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": 1,
        "PERFORMANCE_HINT": "LATENCY",
    }
    try:
        # In its own form the weights are a second file, mapped and not read: told by its path, it finds them.
        network = core.read_model(str(model)) if model.suffix == SUFFIX else core.read_model(content, b"")
        if network.inputs[0].partial_shape.is_dynamic:
            network.reshape({network.inputs[0].any_name: [1, 3, *size]})
        request = core.compile_model(network, "CPU", settings).create_infer_request()
    except RuntimeError as error:
        raise cannot_run(model, "openvino", error) from error

    def run(blob: Floats) -> Floats:
        try:
            answers = request.infer({0: blob}, share_inputs=True, share_outputs=True)
        except RuntimeError as error:
            raise cannot_run(model, "openvino", error) from error
        return np.asarray(answers[0], np.float32)

    return run
