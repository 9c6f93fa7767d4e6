"""`doorline store label`: what a store is, from a day on, as a person types it."""

from pathlib import Path

import pytest

from tests.cli.test_central import environment, run

__all__ = ["environment"]


@pytest.mark.usefixtures("tmp_path")
def test_format_and_tags_from_a_day_on(environment: dict[str, str], tmp_path: Path) -> None:
    assert run(environment, "store", "add", "S01", "--name", "a", "--format", "outlet", "--tag", "mall").exit_code == 0
    named = run(environment, "store", "label", "S01", "--from", "2027-01-01", "--format", "flagship")
    assert named.stdout == "S01 from 2027-01-01 on: region none, format flagship, tags mall.\n", named.output
    bare = run(environment, "store", "label", "S01", "--from", "2027-02-01", "--no-tags", "--region", "华东")
    assert bare.stdout == "S01 from 2027-02-01 on: region 华东, format flagship, tags none.\n", bare.output
    nothing = run(environment, "store", "label", "S01", "--from", "2027-02-01")
    assert nothing.exit_code != 0
    assert "name --region, --format, --tag or --no-tags" in nothing.output
