"""Asks every route and every page as everybody, and says in a word what each may, as `docs/access.md` has to say too.

A request is made up from what a route says of itself: address and questions from its parameters, the body from its
schema, with an own store or another's wherever a store is named. What can't be made up stands in `GIVEN`. The words:

    yes   an answer, whatever store is named
    own   an answer for one's own stores, a refusal for another's
    no    refused (403)
    in    signed out: sent to the sign-in page, or told to sign in (401)
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from fastapi.testclient import TestClient
from httpx2 import Response

from server.services import Services
from tests.server.conftest import PASSWORD, SYSTEM

TABLE: Final = Path(__file__).resolve().parents[2] / "docs" / "access.md"
#: Who asks. The till comes with a key; `out` is signed out, which an ended session must equal.
ROLES: Final = ("admin", "hq", "region", "manager", "desk", "till", "out")
OWN: Final = "S01"
OTHER: Final = "B01"
_STORE: Final = re.compile(r"(home_)?stores?(_ids?)?")
_UUID: Final = "00000000-0000-4000-8000-000000000000"
_SAFE: Final = frozenset({"GET", "HEAD"})
#: Values by a parameter's or field's name, where its type says too little.
_BY_NAME: Final[dict[str, Any]] = {
    "from": "2026-11-01",
    "to": "2026-11-02",
    "day": "2026-11-02",
    "phone": "13800138000",
    "q": "1380013",
    "timezone": "Asia/Shanghai",
    "username": "nobody",
    "locale": "zh",
    "kind": None,
    "currency": "CNY",
    "country": "CN",
    "next": "/hq",
    "kpi": "entries",
    "kpis": "entries",
    "format": "csv",
    "key": "asked-once",
    "request_id": "0" * 32,
}
#: Whole bodies, by method and address, where a schema can't say what makes sense.
GIVEN: Final[dict[str, Any]] = {
    "POST /api/v1/session": {"username": "nobody", "password": "x"},
    "POST /api/v1/receipts": {"receipts": [{"store_id": "{store}"}]},
    "POST /api/v1/corrections": {
        "kind": "staff_rate",
        "reason": "asked",
        "store_id": "{store}",
        "day_from": "2026-11-02",
        "value": 1,
    },
    "POST /api/v1/members": {
        "name": "张伟",
        "phone": "13800138000",
        "home_store": "{store}",
        "consents": [{"purpose": "membership", "granted": True, "wording": "yes"}],
    },
    "PUT /api/v1/stores/{store_id}/roster/{day}": {"shifts": []},
    "POST /api/v1/facts/csv": "kind,from,title,store\nevent,2026-11-02,asked,{store}\n",
    "POST /api/v1/roster/csv": "store,day,hours\n{store},2026-11-02,8\n",
    "POST /api/v1/rates": {"rates": [{"currency": "EUR", "valid_from": "2026-11-02", "rate": 7.9}]},
}
#: Fields of forms that a page reads itself, once it knows who sends them: no parameter tells of them.
READ_LATER: Final = {
    "POST /imports/receipts": ("csrf_token", "store_id"),
    "POST /imports/receipts/preview": ("csrf_token", "store_id"),
    "POST /imports/receipts/formats": ("csrf_token",),
    "POST /imports/members": ("csrf_token",),
    "POST /imports/members/preview": ("csrf_token",),
    "POST /imports/members/formats": ("csrf_token",),
}
#: They see every store: another's is asked for on behalf of the others alone.
_WHOLE_CHAIN: Final = frozenset({"admin", "hq"})
#: Streams without end: who is let in would be read from for ever. Only refusals are asked for.
ENDLESS: Final = ("/live",)


@dataclass(frozen=True)
class Route:
    """A route, as the table names it, and how to ask it."""

    method: str
    path: str
    route: APIRoute
    schema: dict[str, Any] = field(default_factory=dict, hash=False)

    @property
    def name(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def is_page(self) -> bool:
        return not self.path.startswith(("/api/", "/healthz"))


def routes(app: FastAPI) -> list[Route]:
    """Every route of the application, files of the pages aside."""
    found: list[Route] = []
    described = app.openapi()["paths"]
    for route in _flat(app.routes):
        if isinstance(route, APIRoute) and not route.path.startswith("/assets/"):
            says = described.get(route.path, {})
            found += [
                Route(method, route.path, route, says.get(method.lower(), {}))
                for method in route.methods or ()
                if method != "HEAD"
            ]
    return sorted(found, key=lambda each: (each.is_page, each.path, each.method))


def _flat(found: list[Any]) -> Iterator[Any]:
    for each in found:
        # FastAPI keeps an included router as it is; it used to copy its routes.
        inner = getattr(getattr(each, "original_router", each), "routes", None)
        if isinstance(each, APIRoute) or not inner:
            yield each
        else:
            yield from _flat(inner)


class Asker:
    """Asks the routes of an application as everybody."""

    def __init__(self, app: FastAPI, services: Services) -> None:
        self.app = app
        self.services = services
        self.schemas: dict[str, Any] = app.openapi().get("components", {}).get("schemas", {})
        self.client = TestClient(app, raise_server_exceptions=False, follow_redirects=False)
        self.till = services.access.create_api_key(SYSTEM, "till", "till", [OWN])
        self._sessions: dict[str, tuple[str, str]] = {}
        self._may_have_ended: set[str] = set()

    def words(self, route: Route) -> list[str]:
        """What each of `ROLES` may."""
        return [self.word(route, role) for role in ROLES]

    def word(self, route: Route, role: str) -> str:
        """What one role may."""
        if route.path.endswith(ENDLESS) and role not in {"desk", "till", "out"}:
            return self._endless(route, role)
        own, names_store = self.ask(route, role, OWN)
        if own in {"no", "in"} or not names_store or role in _WHOLE_CHAIN:
            return own
        other, _ = self.ask(route, role, OTHER)
        return "yes" if other == "yes" else "own"

    def _endless(self, route: Route, role: str) -> str:
        """Refusals come before a stream begins; whoever is not refused another's store may follow his own."""
        if role in _WHOLE_CHAIN:
            return "yes"
        other, _ = self.ask(route, role, OTHER)
        return "own" if other == "no" else other

    def ask(self, route: Route, role: str, store: str, token: str | None = None) -> tuple[str, bool]:
        """One request: what came of it, and whether it names a store.

        Args:
            token: a session's, in place of one of the role's.
        """
        answer, names_store = self.answer(route, role, store, token)
        return _word(route, role, answer), names_store

    def answer(
        self,
        route: Route,
        role: str,
        store: str,
        token: str | None = None,
        *,
        key: str | None = None,
        things: Mapping[str, object] | None = None,
    ) -> tuple[Response, bool]:
        """The answer to one request, and whether it names a store.

        Args:
            token: as `ask`.
            key: an API key that somebody signed out brings.
            things: ids of what is there, by the name of the parameter or field.
        """
        made = Made(route, store, self.schemas, things)
        headers: dict[str, str] = {"accept-language": "en"}
        self.client.cookies.clear()
        csrf = ""
        if role == "till":
            headers["Authorization"] = f"Bearer {self.till}"
        elif role != "out":
            token, csrf = self._session(role)
            self.client.cookies.set("doorline_session", token)
        elif key is not None:
            headers["Authorization"] = f"Bearer {key}"
        elif token is not None:
            self.client.cookies.set("doorline_session", token)
        if csrf and not route.is_page:
            headers["X-CSRF-Token"] = csrf
        arguments = made.arguments(csrf)
        headers |= arguments.pop("headers", {})
        answer = self.client.request(route.method, made.address, headers=headers, params=made.query, **arguments)
        if route.method not in _SAFE:
            self._may_have_ended.add(role)
        return answer, made.names_store

    def unsafe_without_token(self, route: Route) -> int:
        """The status of an unsafe request whose session's token is missing, as an administrator's browser sends it."""
        made = Made(route, OWN, self.schemas)
        self.client.cookies.clear()
        self.client.cookies.set("doorline_session", self._session("admin")[0])
        answer = self.client.request(route.method, made.address, params=made.query, **made.arguments(""))
        return int(answer.status_code)

    def _session(self, role: str) -> tuple[str, str]:
        """A live session of a role: some routes end the one they are asked with."""
        kept = self._sessions.get(role)
        if kept is not None:
            if role not in self._may_have_ended:
                return kept
            self._may_have_ended.discard(role)
            if self.services.access.session(kept[0]) is not None:
                return kept
        with self.services.db.transaction() as conn:
            conn.execute("DELETE FROM sign_in_failure")
        session = self.services.access.sign_in(role, PASSWORD, "10.9.9.9")
        self._sessions[role] = (session.token, session.csrf)
        return self._sessions[role]


def _word(route: Route, role: str, answer: Any) -> str:
    status = answer.status_code
    assert status < 500 or status == 503, f"{route.name} as {role}: {status} {answer.text[:300]}"
    if status == 401 and not route.path.startswith(("/sign-in", "/api/v1/session")):
        return "in"
    if status == 303 and answer.headers["location"].startswith("/sign-in") and route.path not in _TO_SIGN_IN:
        return "in"
    return "no" if status == 403 else "yes"


#: Pages that lead to the sign-in page because that is what they are for.
_TO_SIGN_IN: Final = frozenset(
    {"/sign-out", "/sign-in", "/sign-in/code", "/sign-in/enrol", "/sign-in/password", "/account/password"}
)


class Made:
    """A request made up for a route."""

    def __init__(
        self, route: Route, store: str, schemas: dict[str, Any], things: Mapping[str, object] | None = None
    ) -> None:
        self.names_store = False
        self._things = things or {}
        self._store = store
        self._schemas = schemas
        self._route = route
        asked = list(_with_inner(route.route.dependant))
        self.address = route.path
        for param in (param for each in asked for param in each.path_params):
            value = str(self._value(param.alias, self._type_of(param.alias)))
            self.address = re.sub(rf"\{{{param.alias}(:\w+)?\}}", value, self.address)
        self.query: dict[str, Any] = {}
        for param in (param for each in asked for param in each.query_params):
            if param.field_info.is_required() or _STORE.fullmatch(param.alias):
                self.query[param.alias] = self._value(param.alias, self._type_of(param.alias))
        self._form = [param.alias for each in asked for param in each.body_params]
        self._form += READ_LATER.get(route.name, ())

    def _type_of(self, name: str) -> dict[str, Any]:
        for each in self._route.schema.get("parameters", []):
            if each["name"] == name:
                return dict(each.get("schema", {}))
        return {"type": "string"}

    def arguments(self, csrf: str) -> dict[str, Any]:
        """The body, as the client takes it."""
        if self._route.method in _SAFE:
            return {}
        if self._route.is_page:
            values = {name: self._value(name, {"type": "string"}) for name in self._form}
            if "csrf_token" in values:
                values["csrf_token"] = csrf
            return {"data": values}
        given = GIVEN.get(self._route.name)
        if isinstance(given, str):
            self.names_store = True
            return {"content": given.replace("{store}", self._store), "headers": {"Content-Type": "text/csv"}}
        if given is not None:
            return {"json": self._filled(given)}
        content = self._route.schema.get("requestBody", {}).get("content", {})
        if "multipart/form-data" in content:
            return self._multipart(content["multipart/form-data"]["schema"])
        if "application/json" in content:
            return {"json": self._example("", content["application/json"]["schema"])}
        # A body that is read as it comes.
        return {"content": f"store\n{self._store}\n", "headers": {"Content-Type": next(iter(content), "text/csv")}}

    def _multipart(self, schema: dict[str, Any]) -> dict[str, Any]:
        whole = self._resolved(schema)
        required = set(whole.get("required", []))
        properties = {
            name: each
            for name, each in whole.get("properties", {}).items()
            if name in required or _STORE.fullmatch(name)
        }
        files = {name: ("x.csv", b"a,b\n1,2\n") for name, each in properties.items() if _is_file(each)}
        data = {name: self._value(name, each) for name, each in properties.items() if not _is_file(each)}
        return {"files": files, "data": {name: value for name, value in data.items() if not isinstance(value, dict)}}

    def _filled(self, given: Any) -> Any:
        if isinstance(given, dict):
            return {name: self._filled(each) for name, each in given.items()}
        if isinstance(given, list):
            return [self._filled(each) for each in given]
        if given == "{store}":
            self.names_store = True
            return self._store
        return given

    def _resolved(self, schema: dict[str, Any]) -> dict[str, Any]:
        while "$ref" in schema:
            schema = self._schemas[schema["$ref"].rpartition("/")[2]]
        return schema

    def _example(self, name: str, schema: dict[str, Any], depth: int = 0) -> Any:
        schema = self._resolved(schema)
        for choice in ("anyOf", "oneOf", "allOf"):
            if choice in schema:
                return self._example(name, schema[choice][0], depth)
        if schema.get("type") == "object" or "properties" in schema:
            required = set(schema.get("required", []))
            wanted = {
                key: each
                for key, each in schema.get("properties", {}).items()
                if key in required or _STORE.fullmatch(key)
            }
            return {key: self._example(key, each, depth + 1) for key, each in wanted.items()} if depth < 5 else {}
        if schema.get("type") == "array":
            if _STORE.fullmatch(name):
                self.names_store = True
                return [self._store]
            return [self._example(name, schema.get("items", {}), depth + 1)] if depth < 5 else []
        return self._value(name, schema)

    def _value(self, name: str, schema: dict[str, Any]) -> Any:
        if name in self._things:
            return str(self._things[name])
        schema = self._resolved(schema)
        for choice in ("anyOf", "oneOf", "allOf"):
            if choice in schema:
                return self._value(name, schema[choice][0])
        if _STORE.fullmatch(name):
            self.names_store = True
            return self._store
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            return schema["enum"][0]
        if "default" in schema and schema["default"] is not None:
            return schema["default"]
        if _BY_NAME.get(name) is not None:
            return _BY_NAME[name]
        return _by_type(name, schema)


def _with_inner(dependant: Dependant) -> Iterator[Dependant]:
    """A route's dependencies and theirs."""
    yield dependant
    for each in dependant.dependencies:
        yield from _with_inner(each)


def _by_type(name: str, schema: dict[str, Any]) -> Any:
    kind, form = schema.get("type"), schema.get("format")
    if form == "uuid" or (name.endswith("_id") and name in {"member_id", "session_id"}):
        return _UUID
    if form == "date":
        return "2026-11-02"
    if form in {"time", "partial-time"}:
        return "10:00"
    if form == "date-time":
        return "2026-11-02T04:00:00Z"
    if kind in {"integer", "number"}:
        return max(1, int(schema.get("minimum", 1)))
    if kind == "boolean":
        return False
    if kind == "array":
        return []
    return "1"


def _is_file(schema: dict[str, Any]) -> bool:
    return schema.get("format") == "binary" or "contentMediaType" in schema


def read_table(path: Path = TABLE) -> dict[str, list[str]]:
    """Route to what each of `ROLES` may, as `docs/access.md` says."""
    rows = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        found = re.fullmatch(r"\| `([A-Z]+ /[^`]*)` \| (.*) \|", line)
        if found:
            rows[found[1]] = [cell.strip() for cell in found[2].split("|")]
    return rows


def line_of(name: str, words: list[str]) -> str:
    """A line of the table."""
    return f"| `{name}` | {' | '.join(words)} |"


def ask_all(asker: Asker, said: Callable[[str], bool] = lambda _name: True) -> dict[str, list[str]]:
    """Every route's name to what each role may."""
    return {route.name: asker.words(route) for route in routes(asker.app) if said(route.name)}
