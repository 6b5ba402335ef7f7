"""Asking the API."""

from datetime import datetime
from typing import Any

from flask.testing import FlaskClient


class Reader:
    """Somebody who may read everything."""

    def __init__(self, client: FlaskClient, headers: dict[str, str]) -> None:
        self.client, self.headers = client, headers

    def get(self, path: str, **query: Any) -> Any:
        return self.client.get(path, query_string=query, headers=self.headers)

    def usernames(self, **query: Any) -> list[str]:
        answer = self.get("/api/logins", **query)
        assert answer.status_code == 200, answer.json
        return [item["username"] for item in answer.get_json()["items"]]


def ordered(items: list[dict[str, Any]], order: str) -> list[dict[str, Any]]:
    if order == "arrival":
        return sorted(items, key=lambda item: int(item["seq"]))
    by_time = sorted(items, key=lambda item: (datetime.fromisoformat(item["timestamp"]), item["seq"]))
    return by_time if order == "oldest" else by_time[::-1]
