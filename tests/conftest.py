"""What all tests share: real parts from `tests.fixtures`, settings of their own, and searches that are in no hurry."""

import os
import signal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.fixtures import searching

pytest_plugins = [
    "tests.fixtures.skips",  # before what imports it, as below
    "tests.fixtures.broker",
    "tests.fixtures.browser",
    "tests.fixtures.chromium",
    "tests.fixtures.footage",
    "tests.fixtures.pki",  # before what imports it
    "tests.fixtures.mosquitto",
    "tests.fixtures.postgres",
    "tests.fixtures.centre",  # after what it imports
]

# Tests decide what the settings are; a developer's own environment and .env file must not.
for _name in [name for name in os.environ if name.startswith("DOORLINE_")]:
    if not _name.startswith(("DOORLINE_REQUIRE_", "DOORLINE_FOOTAGE", "DOORLINE_TIMESCALE_", "DOORLINE_FUZZ_")):
        del os.environ[_name]

# A shell that runs this in the background has Ctrl-C ignored, and every command started here would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

# A search that finds something new belongs to whoever is looking, not to whoever waits for a verdict on a change.
# A shared machine's pauses are no failures.
settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", settings.get_profile("unhurried"), derandomize=True)
# Chosen by whoever looks for a fault: --hypothesis-profile=long; see `searching`.
settings.register_profile("long", settings.get_profile("unhurried"), max_examples=searching.LONG, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "unhurried")


@pytest.fixture(scope="session")
def repository_root() -> Path:
    """The directory of pyproject.toml."""
    return Path(__file__).resolve().parents[1]
