"""What the formula gives when everything is recognised: the demo scripts as perfect pieces."""

from __future__ import annotations

import pytest

from scoring.types import Loyalty
from tests.scoring.perfect_calls import seen

WELL = [
    "card-declined-abroad",
    "fee-dispute-recovers",
    "fraud-fear",
    "internet-outage-home-worker",
    "medicine-delivery-missed",
]
FAIR = ["bereavement-account", "new-customer-confused"]
"""Good endings, but by the scripts' own labels not every feeling got what its row of the table asks for."""


@pytest.mark.parametrize("slug", WELL)
def test_a_well_handled_call_that_is_fully_recognised_scores_well(slug: str) -> None:
    call = seen(slug)
    assert call.empathy >= 75
    assert call.empathy_high - call.empathy_low < 30
    assert call.outlook.status is not Loyalty.AT_RISK


@pytest.mark.parametrize("slug", FAIR)
def test_a_call_with_a_gap_scores_between(slug: str) -> None:
    assert 65 <= seen(slug).empathy < 80


def test_a_badly_handled_call_scores_low_and_is_at_risk() -> None:
    call = seen("escalation-handled-badly")
    assert call.empathy < 40
    assert call.components["E"] == 0 and call.components["P"] == 1
    assert call.outlook.status is Loyalty.AT_RISK
    assert (call.alignment.met_share, call.alignment.recovered_share) == (0, 0)


@pytest.mark.parametrize("slug", ["address-change", "happy-upgrade"])
def test_a_call_without_an_opportunity_is_not_judged(slug: str) -> None:
    call = seen(slug)
    assert (call.empathy, call.alignment.events) == (None, ())
    assert call.courtesy > 0.9
