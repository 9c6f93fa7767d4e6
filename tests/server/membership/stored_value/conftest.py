"""The chain of the tests of this folder."""

from decimal import Decimal

import pytest

from server.membership.stored_value.models import NewBonusRule
from server.services import Services
from tests.server.conftest import SYSTEM


@pytest.fixture
def shop(chain: Services) -> Services:
    """A chain where a top-up of 100 and more brings 20% on top."""
    chain.value_rules.add_bonus_rule(SYSTEM, NewBonusRule("CNY", Decimal(100), percent=Decimal(20)))
    return chain
