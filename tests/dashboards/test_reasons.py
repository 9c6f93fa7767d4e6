"""Whatever the KPI package withholds a number for, people are told in words of their own."""

from dashboards.reasons import known_codes
from server.kpi import models

#: Said beside a value that is given.
_FLAGS = {models.TRANSACTIONS_EXCEED_VISITORS, models.TRANSACTIONS_EXCEED_GROUPS}


def test_every_code_has_words_of_its_own() -> None:
    codes = {value for name, value in vars(models).items() if name.isupper() and isinstance(value, str)}
    assert known_codes() == codes - _FLAGS
