"""What a request says of its sender."""

import pytest
from flask import Flask

from audit_service import request_info


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:DB8:0:0::1", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("192.0.2.1:80", "192.0.2.1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("192.0.2.300", None),
        ("010.0.0.1", None),
        ("<script>", None),
        ("1" * 5000, None),
        ("1\x00", None),
        ("", None),
        (None, None),
    ],
)
def test_addresses(text: str | None, address: str | None) -> None:
    assert request_info.parse_address(text) == address


def test_outside_a_request_everything_is_null() -> None:
    assert request_info.sender() == request_info.Sender()
    assert request_info.target() == request_info.Target()


def test_a_sane_request_id_is_kept() -> None:
    with Flask("x").test_request_context(headers={"X-Request-ID": "abc-123"}):
        assert request_info.sender().request_id == "abc-123"


@pytest.mark.parametrize("sent", ["", "a b", "x" * 129, "<b>", "é"])
def test_else_one_is_made_for_the_whole_request(sent: str) -> None:
    app = Flask("x")
    with app.test_request_context(headers={"X-Request-ID": sent}):
        made = request_info.sender().request_id
        assert made not in (None, sent)
        assert request_info.sender().request_id == made
        with app.app_context():
            assert request_info.sender().request_id == made


def test_long_values_are_cut_and_the_query_is_left_out() -> None:
    with Flask("x").test_request_context("/" + "p" * 5000 + "?secret=1", headers={"User-Agent": "u" * 5000}):
        assert request_info.sender().user_agent == "u" * 512
        assert request_info.target().path == "/" + "p" * 2047
