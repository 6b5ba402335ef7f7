"""Exceptions as text: no secrets, bounded, recognisable."""

import time

import pytest

from audit_service.events import tracebacks
from audit_service.values import limits


def caught(error: Exception) -> Exception:
    secret_local = "hunter2 in a local"
    try:
        raise error
    except Exception as raised:  # noqa: BLE001
        assert secret_local
        return raised


@pytest.mark.parametrize(
    ("text", "scrubbed"),
    [
        ("postgresql://ada:hunter2@db/x", "postgresql://ada:***@db/x"),
        ("password=hunter2&x=1", "password=***&x=1"),
        ('{"password": "hunter2, it is", "x": 1}', '{"password": ***, "x": 1}'),
        ("Authorization: Bearer hunter2", "Authorization: ***"),
        ("token='hunter2'", "token=***"),
        ("[SQL: x]\n[parameters: ('hunter2',)]\nmore", "[SQL: x]\n[parameters: ***\nmore"),
        ("failed\nDETAIL:  Key (x)=(hunter2) exists.", "failed\nDETAIL: ***"),
        ("  | DETAIL:  Key (x)=(hunter2) exists.", "  | DETAIL: ***"),
        ("Authorization: Token hunter2", "Authorization: ***"),
        ("Cookie: a=1; b=hunter2", "Cookie: ***"),
        ("password=several hunter2 words, more", "password=***, more"),
        ('password="it\\"s hunter2" more', "password=*** more"),
        ("passphrase => hunter2", "passphrase => ***"),
        ("https://ada:hun/ter2/hunter2@host/x", "https://ada:***@host/x"),
        ("GET https://host/path?key=hunter2&x=1 failed", "GET https://host/path?*** failed"),
        ("aud_hunter2hunter2hunter2hunter2", "***"),
        ("nothing of that kind", "nothing of that kind"),
    ],
)
def test_scrub(text: str, scrubbed: str) -> None:
    assert tracebacks.scrub(text) == scrubbed
    assert "hunter2" not in tracebacks.format_traceback(caught(ValueError(text)))
    assert "hunter2" not in tracebacks.message(caught(ValueError(text)))


def test_bounds() -> None:
    error = caught(ValueError("x" * 100_000 + "\x00\ud800"))
    assert len(tracebacks.message(error)) == 2000
    assert len(tracebacks.format_traceback(error)) <= limits.TRACEBACK


def test_a_deep_recursion_is_bounded() -> None:
    def endless(n: int) -> int:
        return endless(n + 1) + other(n)

    def other(n: int) -> int:
        return endless(n)

    with pytest.raises(RecursionError) as raised:
        endless(0)
    assert 0 < len(tracebacks.format_traceback(raised.value)) <= limits.TRACEBACK


class BrokenError(Exception):
    def __str__(self) -> str:
        raise RuntimeError


def test_an_exception_that_cannot_be_printed() -> None:
    error = caught(BrokenError())
    assert tracebacks.message(error) == "<the exception has no printable message>"
    assert "BrokenError" in tracebacks.format_traceback(error)


def test_scrubbing_takes_time_in_proportion() -> None:
    for hostile in ("a." * 50_000, "a=" * 50_000, "?a" * 50_000, "password " * 20_000, "://" * 30_000, "'\\" * 50_000):
        started = time.process_time()
        tracebacks.scrub(hostile)
        assert time.process_time() - started < 2  # quadratic patterns take minutes


def test_types_are_qualified() -> None:
    assert tracebacks.exception_type(ValueError()) == "ValueError"
    assert tracebacks.exception_type(BrokenError()) == "tests.events.test_tracebacks.BrokenError"


def test_the_same_bug_has_the_same_fingerprint() -> None:
    one, same, other = (tracebacks.fingerprint(caught(error)) for error in (ValueError(1), ValueError(2), TypeError(1)))
    assert one == same != other
    assert one.startswith("v1:")
