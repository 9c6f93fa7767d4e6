"""What goes wrong with a detector, apart from the detectors, so that naming the error imports none of them."""


class DetectorError(Exception):
    """A detector can't be used as asked for; the text says why and what to do."""
