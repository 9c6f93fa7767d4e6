"""Where the shared footage is; it is not part of this repository, so benches and tests look for it in one way."""

import os
from pathlib import Path


def footage_folder() -> Path:
    """The folder of `truth.json`: as DOORLINE_FOOTAGE says, or beside this repository; it may not be there."""
    return Path(os.environ.get("DOORLINE_FOOTAGE", Path(__file__).resolve().parents[2] / "shared" / "data"))
