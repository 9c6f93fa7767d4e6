"""The dashboards of deploy/grafana: every query of theirs runs, as the role they have, and finds what is there."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml  # type: ignore[import-untyped]
from psycopg import sql

from server.storage import bi
from server.storage.pool import Database
from tests.server.kpi.chain import Chain, by_hand
from tests.server.storage.seeds import fill

ROOT = Path(__file__).resolve().parents[2] / "deploy" / "grafana"
DASHBOARDS = sorted((ROOT / "dashboards").glob("*.json"))
FROM, TO = datetime(2026, 11, 14, tzinfo=UTC), datetime(2026, 11, 18, tzinfo=UTC)
#: What a viewer would choose.
CHOSEN = {"store": ["S01", "S02"], "region": ["east", "it's"], "currency": ["CNY"]}


def loaded(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


@dataclass(frozen=True)
class Query:
    """One query of a dashboard, by where it stands.

    Attributes:
        several: the viewer's choices that may be of several values.
        format: as it is drawn; empty for what a viewer chooses from.
    """

    where: str
    text: str
    several: frozenset[str]
    format: str = ""


def _asked(path: Path) -> Iterator[Query]:
    board = loaded(path)
    variables = board["templating"]["list"]
    several = frozenset(variable["name"] for variable in variables if variable["multi"])
    for variable in variables:
        yield Query(f"{path.stem}: {variable['name']}", variable["query"], several)
    for panel in board["panels"]:
        for target in panel["targets"]:
            yield Query(f"{path.stem}: {panel['title']}", target["rawSql"], several, target["format"])


QUERIES = [query for path in DASHBOARDS for query in _asked(path)]
PANELS = [query for query in QUERIES if query.format]


def written_out(asked: Query) -> str:
    """A query as Grafana sends it: its macros and the viewer's choices filled in.

    Raises:
        AssertionError: something is left that is not filled in.
    """
    first, last = f"'{FROM:%Y-%m-%dT%H:%M:%SZ}'", f"'{TO:%Y-%m-%dT%H:%M:%SZ}'"
    query = asked.text
    query = re.sub(r"\$__timeFilter\((\w+)\)", rf"\1 BETWEEN {first} AND {last}", query)
    query = query.replace("$__timeFrom()", first).replace("$__timeTo()", last)
    for name, values in CHOSEN.items():
        chosen = values if name in asked.several else values[:1]
        quoted = ",".join("'" + value.replace("'", "''") + "'" for value in chosen)
        query = query.replace(f"${{{name}:sqlstring}}", quoted)
    assert "$" not in query, query
    return query


@pytest.fixture
def reader(db: Database) -> Iterator[psycopg.Connection[Any]]:
    """In the readers' role, on a database with something in every view."""
    shops = Chain(db)
    by_hand(shops)
    shops.kpi.recompute("S01", date(2026, 11, 16))
    with psycopg.connect(db.dsn, autocommit=True) as connection:
        fill(connection, {"device", "silence", "lost_range", "job_run", "fact", "member"})
        connection.execute(
            "UPDATE coverage_15m SET state = 'dark', late_seconds = 60 WHERE quarter < '2026-11-16 02:30Z'"
        )
        connection.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(bi.READERS)))
        connection.execute("SET default_transaction_read_only = on")
        yield connection


def test_every_query_finds_what_is_there(reader: psycopg.Connection[Any]) -> None:
    assert len(PANELS) > 20
    for asked in PANELS:
        where = asked.where
        cursor = reader.execute(written_out(asked).encode())
        rows = cursor.fetchall()
        assert rows, f"{where} finds nothing"
        assert any(value is not None for value in rows[0]), f"{where} finds only what is not known"
        columns = {column.name: column.type_code for column in cursor.description or ()}
        assert len(columns) == len(cursor.description or ()), f"{where} names two columns alike"
        if asked.format == "time_series":
            assert columns.get("time") == psycopg.adapters.types["timestamptz"].oid, f"{where} has no times"
            assert [row[0] for row in rows] == sorted({row[0] for row in rows}), f"{where} is out of order"


def test_every_choice_can_be_made(reader: psycopg.Connection[Any]) -> None:
    for asked in QUERIES:
        if not asked.format:
            assert reader.execute(written_out(asked).encode()).fetchall(), asked.where


def test_the_chain_reads_as_the_store_does(reader: psycopg.Connection[Any]) -> None:
    """Of one store both say the same, and what a person worked out: see the table in `by_hand`."""
    by_title = {asked.where: written_out(asked) for asked in PANELS}
    said = {}
    for title in ("Visitors", "Transactions", "Net sales", "Conversion"):
        row = reader.execute(by_title[f"chain: {title}"].encode()).fetchone()
        assert row is not None
        said[title] = round(float(row[0]), 6)
    assert said == {"Visitors": 41, "Transactions": 8, "Net sales": 482.75, "Conversion": 0.153846}


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_a_dashboard_is_whole(path: Path) -> None:
    board = loaded(path)
    assert board["uid"] == f"doorline-{path.stem}"
    used = set(re.findall(r"\$\{(\w+):", path.read_text(encoding="utf-8")))
    assert used == {variable["name"] for variable in board["templating"]["list"]}
    numbers = [panel["id"] for panel in board["panels"]]
    assert len(set(numbers)) == len(numbers)
    taken: set[tuple[int, int]] = set()
    for panel in board["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, f"{panel['title']} lies over another"
        taken |= cells
        for part in (panel, *panel["targets"]):
            assert part["datasource"] == {"type": "grafana-postgresql-datasource", "uid": "doorline"}


def test_what_is_provisioned_is_what_the_dashboards_name() -> None:
    source = (ROOT / "provisioning" / "datasources" / "doorline.yaml").read_text(encoding="utf-8")
    assert re.search(r"^ +uid: doorline$", source, re.MULTILINE)
    assert re.search(r"^ +type: grafana-postgresql-datasource$", source, re.MULTILINE)
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert set(re.findall(r"\$(DOORLINE_BI_\w+)", source)) == set(re.findall(r"(DOORLINE_BI_\w+)=", readme))
    folder = re.search(
        r"path: (\S+)", (ROOT / "provisioning" / "dashboards" / "doorline.yaml").read_text(encoding="utf-8")
    )
    assert folder
    assert f"dashboards:{folder[1]}:ro" in readme


#: What Grafana's handbook lets stand in a provisioning file, and of what kind it is; anything else is passed over by
#: Grafana without a word, so that a slip of the pen would go unseen.
SOURCE_KEYS = {
    **dict.fromkeys(("name", "type", "access", "uid", "url", "user", "database", "basicAuthUser"), str),
    **dict.fromkeys(("isDefault", "editable", "basicAuth", "withCredentials"), bool),
    **dict.fromkeys(("orgId", "version"), int),
    **dict.fromkeys(("jsonData", "secureJsonData"), dict),
}
POSTGRES_KEYS = {
    **dict.fromkeys(("database", "sslmode", "tlsConfigurationMethod", "sslRootCertFile", "sslCertFile"), str),
    **dict.fromkeys(("sslKeyFile", "timeInterval"), str),
    **dict.fromkeys(("maxOpenConns", "maxIdleConns", "connMaxLifetime", "postgresVersion"), int),
    **dict.fromkeys(("maxIdleConnsAuto", "timescaledb", "enableSecureSocksProxy"), bool),
}
PROVIDER_KEYS = {
    **dict.fromkeys(("name", "folder", "folderUid", "type"), str),
    **dict.fromkeys(("disableDeletion", "allowUiUpdates"), bool),
    **dict.fromkeys(("orgId", "updateIntervalSeconds"), int),
    "options": dict,
}


def conforms(told: dict[str, Any], known: dict[str, type], needed: set[str]) -> None:
    """Every key is one that there is, of its kind, and none is missing that must be there."""
    assert needed <= set(told) <= set(known)
    for key, value in told.items():
        assert type(value) is known[key], key


def test_provisioning_is_what_the_handbook_describes() -> None:
    folder = ROOT / "provisioning"
    source = yaml.safe_load((folder / "datasources" / "doorline.yaml").read_text(encoding="utf-8"))
    assert set(source) == {"apiVersion", "datasources"}
    assert source["apiVersion"] == 1
    (own,) = source["datasources"]
    conforms(own, SOURCE_KEYS, {"name", "type", "access", "url"})
    assert own["access"] in {"proxy", "direct"}
    conforms(own["jsonData"], POSTGRES_KEYS, {"database", "sslmode"})
    assert "database" not in own, "deprecated in favour of jsonData"
    assert own["jsonData"]["postgresVersion"] >= 1500
    assert set(own["secureJsonData"]) <= {"password", "tlsCACert", "tlsClientCert", "tlsClientKey"}
    # A folder of files, read again by itself; the path is where the README mounts them.
    boards = yaml.safe_load((folder / "dashboards" / "doorline.yaml").read_text(encoding="utf-8"))
    assert set(boards) == {"apiVersion", "providers"}
    assert boards["apiVersion"] == 1
    (provider,) = boards["providers"]
    conforms(provider, PROVIDER_KEYS, {"name", "type", "options"})
    assert provider["type"] == "file"
    conforms(provider["options"], {"path": str, "foldersFromFilesStructure": bool}, {"path"})


def test_queries_name_nothing_but_the_views() -> None:
    for asked in QUERIES:
        for name in re.findall(r"\b(?:FROM|JOIN)\s+([a-z_.]+)", asked.text):
            assert name.startswith("bi."), f"{asked.where} reads {name}"


#: The panels of Grafana itself; any other needs a plug-in that nobody installed.
CORE_PANELS = {
    *("barchart", "bargauge", "gauge", "heatmap", "histogram", "piechart", "stat", "state-timeline"),
    *("status-history", "table", "text", "timeseries", "trend", "xychart"),
}
#: Where a field's own setting may be, by the name that Grafana matches fields by.
MATCHERS = {"byName", "byRegexp", "byType", "byFrameRefID", "byNames"}


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_a_dashboard_is_what_its_schema_demands(path: Path) -> None:
    """What Grafana's dashboard schema (kind `Dashboard`) requires, with the types it requires."""
    board = loaded(path)
    for key, kind in {"title": str, "uid": str, "schemaVersion": int, "tags": list, "panels": list}.items():
        assert isinstance(board[key], kind), key
    assert 1 <= len(board["uid"]) <= 40
    assert board["schemaVersion"] >= 36, "older ones have other panels"
    assert {"from", "to"} <= set(board["time"])
    assert board.get("id") is None, "a number of one server's own"
    for variable in board["templating"]["list"]:
        assert variable["type"] in {"query", "custom", "textbox", "constant", "interval", "datasource", "adhoc"}
        assert isinstance(variable["name"], str)
        assert re.fullmatch(r"\w+", variable["name"])
        assert variable.get("refresh", 0) in {0, 1, 2}
    for panel in board["panels"]:
        where = panel["title"]
        assert panel["type"] in CORE_PANELS, where
        assert isinstance(panel["id"], int), where
        assert all(isinstance(panel["gridPos"][side], int) for side in "xywh"), where
        assert isinstance(panel.get("options", {}), dict), where
        fields = panel["fieldConfig"]
        assert isinstance(fields["defaults"], dict), where
        assert isinstance(fields["overrides"], list), where
        for override in fields["overrides"]:
            assert override["matcher"]["id"] in MATCHERS, where
            assert all({"id", "value"} <= set(each) for each in override["properties"]), where
        letters = [target["refId"] for target in panel["targets"]]
        assert len(set(letters)) == len(letters), f"{where}: two queries of one letter"
        for target in panel["targets"]:
            assert target["format"] in {"table", "time_series"}, where
            assert target.get("rawQuery", True) is True, where
            assert target.get("editorMode", "code") == "code", where


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_what_is_set_for_a_field_is_set_for_one_there_is(path: Path, reader: psycopg.Connection[Any]) -> None:
    for panel in loaded(path)["panels"]:
        named = {
            override["matcher"]["options"]
            for override in panel["fieldConfig"]["overrides"]
            if override["matcher"]["id"] == "byName"
        }
        found: set[str] = set()
        for asked in PANELS:
            if asked.where == f"{path.stem}: {panel['title']}":
                cursor = reader.execute(written_out(asked).encode())
                found |= {column.name for column in cursor.description or ()}
                if asked.format == "time_series" and "metric" in found:
                    found |= {str(row[[c.name for c in cursor.description or ()].index("metric")]) for row in cursor}
        assert named <= found, f"{panel['title']} sets {named - found}"
