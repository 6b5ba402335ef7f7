"""Where a user has logged in from, and with what."""

from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask

from audit_service.context import read_session
from audit_service.history import first_seen
from tests.factories import LoginFactory


def test_of_too_many_the_newest_are_looked_at(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(first_seen, "MOST", 2)
    begin = datetime.now(UTC) - timedelta(days=1)
    for hour in range(4):
        for again in range(2):
            at = begin + timedelta(hours=hour + 5 * again)
            LoginFactory(username="ada", remote_addr="192.0.2.7", user_agent=f"agent {hour}", timestamp=at)
    with app.app_context():
        found = first_seen.first_uses(read_session(), "ada", begin)
    assert [(agent, first) for _, agent, first in found] == [
        ("agent 3", begin + timedelta(hours=3)),
        ("agent 2", begin + timedelta(hours=2)),
    ]
