from __future__ import annotations

import pytest
from django.core.exceptions import ValidationError

from calls.models import Source
from calls.models.sources import check_listen_url


def test_placeholders_are_quoted() -> None:
    template = "https://pbx.example/spy?call={call}&who={agent}"
    assert Source.phone_address(template, "CA 1&x={agent}", "a/b") == (
        "https://pbx.example/spy?call=CA%201%26x%3D%7Bagent%7D&who=a%2Fb"
    )
    assert Source.phone_address("", "CA1", "a") == ""


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("javascript:alert(1)", "https"),
        ("//pbx", "https"),
        ("https://pbx/{id}", "{id} is not known"),
        ("https://{agent}.example/", "host must be written out"),
        ("https://pbx/{call", "is not known"),
    ],
)
def test_a_bad_address_is_named(address: str, says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        check_listen_url(address)
    check_listen_url("")
    check_listen_url("https://pbx.example/{call}")
