"""`doorline kpi` and `doorline jobs --once`: a report in the terminal, after the work that makes it."""

import pytest
import structlog
from typer.testing import CliRunner

from cli.main import app
from server.jobs.leader import Leadership
from tests.server.kpi.chain import Chain, by_hand


@pytest.fixture
def run(db_dsn: str) -> CliRunner:
    return CliRunner(env={"DOORLINE_DSN": db_dsn, "COLUMNS": "200"})


def test_computed_once_and_printed(shops: Chain, run: CliRunner) -> None:
    by_hand(shops)
    done = run.invoke(app, ["jobs", "--once"])
    assert done.exit_code == 0, done.output
    assert shops.marks() == 0
    printed = run.invoke(
        app, ["kpi", "--from", "2026-11-15", "--to", "2026-11-16", "--by", "day", "--kpi", "conversion,net_sales,atv"]
    )
    assert printed.exit_code == 0, printed.output
    (line,) = [line for line in printed.output.splitlines() if "2026-11-16" in line and "as of" not in line]
    # 6 of 39 with Wilson's interval; 482.75; 64.09: see the table in `by_hand`.
    for cell in ("15.4% [7.2, 29.7]", "482.75 CNY", "64.09 CNY"):
        assert cell in line


def test_what_is_withheld_says_why(shops: Chain, run: CliRunner) -> None:
    shops.store("S01")
    shops.cross("S01", "2026-11-16 10:00", 5)
    printed = run.invoke(app, ["kpi", "--from", "2026-11-16", "--to", "2026-11-16", "--kpi", "visitors,conversion"])
    assert "(coverage_below_threshold)" in printed.output


def test_a_mistake_is_one_clear_line(run: CliRunner) -> None:
    refused = run.invoke(app, ["kpi", "--kpi", "footfall"])
    assert refused.exit_code == 2
    assert "there is no KPI 'footfall'" in refused.output


@pytest.mark.parametrize("command", [["jobs", "--once"], ["kpi"], ["ingest"], ["broker"], ["db", "status"]])
def test_a_wrong_setting_is_named_without_its_value(run: CliRunner, command: list[str]) -> None:
    refused = run.invoke(app, command, env={"DOORLINE_POOL_SIZE": "54321"})
    assert refused.exit_code == 2, refused.output
    assert "DOORLINE_POOL_SIZE" in refused.output
    assert "54321" not in refused.output


def test_the_log_of_jobs_shows_no_variables(shops: Chain, run: CliRunner) -> None:
    """As it comes, the log's library adds every variable to a traceback: passwords, too."""
    before = structlog.get_config()
    structlog.reset_defaults()
    try:
        assert run.invoke(app, ["jobs", "--once"]).exit_code == 0
        assert structlog.is_configured()
    finally:
        structlog.configure(**before)


def test_once_is_not_done_beside_a_leader(shops: Chain, db_dsn: str, run: CliRunner) -> None:
    with Leadership(db_dsn) as leading:
        assert leading.acquire()
        refused = run.invoke(app, ["jobs", "--once"])
    assert refused.exit_code == 2
    assert "another jobs process" in refused.output
