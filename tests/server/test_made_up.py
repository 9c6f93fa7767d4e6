"""Requests nobody would write: every operation of the API, as each role, within its schema and outside.

No answer may be a failure of ours, of a kind the description doesn't name, or other than its schema says. One
example of each operation and way, the same in every run; `make fuzz-api` makes up many, others each time.
"""

import os
from contextlib import suppress
from typing import Any, Final, cast

import hypothesis
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.generation import GenerationMode
from schemathesis.generation.case import Case
from schemathesis.python.asgi import get_client
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from server.app import create_app
from server.services import Services
from tests.server.conftest import PASSWORD, SYSTEM

ROLES: Final = ("admin", "hq", "region", "manager", "desk", "till", "out")
#: Examples of each operation and way; where there are more, each goes to every role.
EXAMPLES: Final = int(os.environ.get("DOORLINE_FUZZ_EXAMPLES", "1"))
CHECKS: Final = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
_settings: Final = hypothesis.settings(
    max_examples=EXAMPLES,
    derandomize=EXAMPLES == 1,
    database=None,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


def _told(error: BaseException) -> str:
    """What a group of findings says, each in its first lines."""
    if isinstance(error, BaseExceptionGroup):
        return "\n".join(_told(each) for each in error.exceptions)
    return f"{type(error).__name__}: {error}"[:700]


class Callers:
    """Somebody of each role, signed in for as long as nothing signs them out."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._key = services.access.create_api_key(SYSTEM, "till", "till", ["S01"])
        self._sessions: dict[str, tuple[str, str]] = {}

    def credentials(self, role: str) -> dict[str, Any]:
        """What a request of this role brings along."""
        if role == "out":
            return {}
        if role == "till":
            return {"headers": {"Authorization": f"Bearer {self._key}"}}
        kept = self._sessions.get(role)
        if kept is None or self._services.access.session(kept[0]) is None:
            with self._services.db.transaction() as conn:
                conn.execute("DELETE FROM sign_in_failure")
            session = self._services.access.sign_in(role, PASSWORD, "10.9.9.9")
            kept = self._sessions[role] = (session.token, session.csrf)
        return {"cookies": {"doorline_session": kept[0]}, "headers": {"X-CSRF-Token": kept[1]}}


@pytest.mark.timeout(0 if EXAMPLES > 1 else 300)
def test_no_made_up_request_makes_a_failure_or_an_answer_that_is_not_described(chain: Services) -> None:
    app = create_app(chain)
    schema = schemathesis.openapi.from_asgi("/openapi.json", app)
    callers = Callers(chain)
    wrong: dict[str, str] = {}
    asked = 0

    def ask(case: Case[Any]) -> None:
        nonlocal asked
        # In a short run to whoever may most, and to the others in turn.
        for role in {"admin", ROLES[asked % len(ROLES)]} if EXAMPLES == 1 else ROLES:
            asked += 1
            client.cookies.clear()
            try:
                case.validate_response(case.call(session=client, **callers.credentials(role)), checks=CHECKS)
            except (Exception, BaseExceptionGroup) as error:  # noqa: BLE001 - whatever it is, the others are asked too
                if case.operation.label not in wrong:
                    wrong[case.operation.label] = f"as {role}: {_told(error)}"
                    # Hours may pass before the end is reached, and whoever breaks off should have what was found.
                    print(f"\n{case.operation.label} {wrong[case.operation.label]}", flush=True)  # noqa: T201

    # One client for all: each would start an event loop of its own.
    with get_client(cast("Any", app)) as client:
        for found in schema.get_all_operations():
            assert isinstance(found, Ok), found
            operation = found.ok()
            modes = [GenerationMode.POSITIVE]
            # Any text is within the schema of most addresses; to look for one that is not takes longer than to ask.
            if operation.query or operation.body:
                modes.append(GenerationMode.NEGATIVE)
            for mode in modes:
                with suppress(hypothesis.errors.Unsatisfiable):
                    _settings(hypothesis.given(case=operation.as_strategy(generation_mode=mode))(ask))()
    assert not wrong, "\n\n".join(f"{name} {what}" for name, what in wrong.items())
    assert asked > 300
