"""Networks run by onnxruntime: small to install, quick, and the default.

Its idle threads spin by default, and take from the other cameras what they save on this one; that is switched off.
"""

from pathlib import Path

import numpy as np

from edge.detectors.runtimes import Floats, Network, cannot_run


def load(content: bytes, model: Path, size: tuple[int, int], threads: int) -> Network:  # noqa: ARG001 - sizes itself
    """Make a network ready to run; see `edge.detectors.runtimes.load`."""
    import onnxruntime
    from onnxruntime.capi import onnxruntime_pybind11_state as errors

    failures = tuple(kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, Exception))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except failures as error:
        raise cannot_run(model, "onnxruntime", error) from error
    given, wanted = session.get_inputs()[0].name, [session.get_outputs()[0].name]

    def run(blob: Floats) -> Floats:
        try:
            return np.asarray(session.run(wanted, {given: blob})[0], np.float32)
        except failures as error:
            raise cannot_run(model, "onnxruntime", error) from error

    return run
