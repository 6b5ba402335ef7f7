"""Proof 4: the time of an answer does not tell who has an account."""

import contextlib
import http.client
import json
import random
import statistics
import time
from bisect import bisect_left, bisect_right
from pathlib import Path
from urllib.parse import urlsplit

from tests.faults import Progress
from tests.security.ground import GONE, no_progress, populate, settings
from tests.security.requests import _as_form
from tests.support.accounts import PASSWORD
from tests.support.server import started_service

WRONG = ("user", "a wrong password, of a length like any")
PAIRS = {
    "unknown name": ("resu", WRONG[1]),
    "disabled account, right password": (GONE, PASSWORD),
    "empty password": ("user", ""),
    "password of 5,000 characters": ("user", "x" * 5000),
}
AUC_LIMIT = 0.55


def area_under_curve(first: list[float], second: list[float]) -> float:
    """How well a time tells the two apart (Mann-Whitney): 0.5 is not at all, 1 is always, whichever is the slower."""
    ordered = sorted(second)
    wins = sum(bisect_left(ordered, value) + bisect_right(ordered, value) for value in first) / 2
    area = wins / (len(first) * len(second))
    return max(area, 1 - area)


def measure(
    database_url: str, folder: Path, pairs: int, progress: Progress = no_progress
) -> dict[str, list[list[float]]]:
    """The times of answers, in seconds, of each failure and, by turns, of a wrong password beside it."""
    populate(database_url)
    times: dict[str, list[list[float]]] = {name: [[], []] for name in PAIRS}
    with started_service(settings(database_url, folder, AUDIT_THROTTLE="off")) as service:
        connection = http.client.HTTPConnection(urlsplit(service.url).netloc, timeout=20)
        with contextlib.closing(connection):
            for n in range(-5, pairs):  # the first ones warm up
                for name, failure in PAIRS.items():
                    for which in random.sample((0, 1), 2):
                        seconds = _time_of(connection, *(failure, WRONG)[which])
                        if n >= 0:
                            times[name][which].append(seconds)
                progress(int(n >= 0))
    return times


def _time_of(connection: http.client.HTTPConnection, username: str, password: str) -> float:
    body = _as_form([("username", username), ("password", password)])
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    started = time.perf_counter()
    connection.request("POST", "/login/", body, headers)
    answer = connection.getresponse()
    text = answer.read()
    seconds = time.perf_counter() - started
    assert (answer.status, json.loads(text)["detail"]) == (401, "wrong username or password")
    return seconds


def compare_times(database_url: str, folder: Path, times: int, progress: Progress = no_progress) -> str:
    """Log in wrong in several ways, and try to tell them apart by the time of the answer."""
    results, worst = [], 0.0
    for name, (failures, wrong) in measure(database_url, folder, times, progress).items():
        area = area_under_curve(failures, wrong)
        worst = max(worst, area)
        medians = " and ".join(f"{statistics.median(values) * 1000:.2f}" for values in (failures, wrong))
        results.append(f"{name}: AUC {area:.3f}, medians {medians} ms")
    assert worst <= AUC_LIMIT, "; ".join(results)
    return "; ".join(results)
