"""What failures in the history mean for the next attempt."""

from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
import time_machine
from sqlalchemy import Connection, Engine, event, insert
from sqlalchemy.orm import Session

from audit_service.access.accounts import add_account, find_account
from audit_service.access.throttle import RECORDED, Limits, Refusal, find_lifts, find_refusal, lift
from audit_service.errors import AccountError
from audit_service.events.logins import NewLogin
from audit_service.events.usernames import ANY
from audit_service.settings.table import Settings
from audit_service.storage.models import Account, LoginEvent
from audit_service.trail.recorder import Recorder
from audit_service.vocabulary import Method, Outcome, Reason, Role
from tests.factories import LoginFactory
from tests.support.accounts import ACTOR, PASSWORD

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
ADDRESS = "192.0.2.7"
NETWORK = "192.0.2.0/24"
ADDRESS_6 = "2001:db8:1:2::7"
DEFAULTS = Limits.of(Settings())


def failures(ages: Iterable[float], **fields: Any) -> list[NewLogin]:
    """Failures of ada so many seconds ago."""
    likely = {"failed": True, "username": "ada", "remote_addr": ADDRESS, "method": Method.PASSWORD}
    return [LoginFactory.build(timestamp=NOW - timedelta(seconds=age), **{**likely, **fields}) for age in ages]


def others(ages: Iterable[float]) -> list[NewLogin]:
    """Failures of others, each under a name of its own."""
    return [failure for n, age in enumerate(ages) for failure in failures([age], username=f"other-{n}")]


def throttled(count: int, **fields: Any) -> list[NewLogin]:
    """Refused attempts, a second ago."""
    return failures([1] * count, **{"reason": Reason.THROTTLED, **fields})


def limits(window: int = 900, name: int = 10, network: int = 100) -> Limits:
    return Limits(window=timedelta(seconds=window), name=name, network=network)


def refusal(
    engine: Engine, name: str = "ada", network: str | None = NETWORK, at: float = 0, given: Limits = DEFAULTS
) -> Refusal | None:
    with Session(engine) as session:
        return find_refusal(session, network, name, given, NOW + timedelta(seconds=at))


def wait(found: Refusal | None) -> float:
    return (found.until - NOW).total_seconds() if found else 0


def test_the_defaults_are_those_of_the_readme() -> None:
    assert limits() == DEFAULTS


@pytest.mark.parametrize(
    ("count", "seconds"),
    [(0, 0), (1, 0), (2, 0), (3, 900 / 128), (4, 900 / 64), (5, 900 / 32), (8, 225), (9, 450), (10, 900), (13, 900)],
)
def test_each_failure_doubles_the_wait(recorder: Recorder, engine: Engine, count: int, seconds: float) -> None:
    recorder.record_all(failures([0] * count))
    assert wait(refusal(engine)) == pytest.approx(seconds, abs=1e-5)


@pytest.mark.parametrize(
    ("setting", "count", "seconds"),
    [
        ((10, 1), 1, 10),
        ((10, 2), 1, 5),  # the shortest wait
        ((10, 3), 1, 0),
        ((86_400, 10_000), 1, 0),
        ((86_400, 3), 1, 21_600),
        ((86_400, 3), 3, 86_400),
    ],
)
def test_the_settings_decide(
    recorder: Recorder, engine: Engine, setting: tuple[int, int], count: int, seconds: float
) -> None:
    window, limit = setting
    recorder.record_all(failures([0] * count))
    assert wait(refusal(engine, given=limits(window, limit))) == seconds
    alone = limits(window, name=10_000, network=limit)
    assert wait(refusal(engine, "somebody else", given=alone)) == seconds


def test_the_wait_counts_from_the_newest_failure(recorder: Recorder, engine: Engine) -> None:
    recorder.record_all(failures([500, 400, 6]))
    assert wait(refusal(engine)) == pytest.approx(900 / 128 - 6, abs=1e-5)
    assert refusal(engine, at=900 / 128 - 6) is None


def test_failures_count_for_a_window_that_slides(recorder: Recorder, engine: Engine) -> None:
    recorder.record_all(failures([899.999, 500, 0]))
    assert refusal(engine) is not None
    assert refusal(engine, at=0.001) is None  # exactly a window ago is out of it


FEW = limits(window=100, name=4, network=8)


@pytest.mark.parametrize(
    "history",
    [
        pytest.param(failures([0]), id="below the limit"),
        pytest.param(failures([0, 0, 0, 0]), id="at the limit, all at once"),
        pytest.param(failures([0, 0, 0, 0, 0]), id="above the limit"),
        pytest.param(failures([0, 20, 40, 60]), id="at the limit, when the oldest is gone the others still count"),
        pytest.param(failures([0, 97, 98, 99]), id="at the limit, when the oldest is gone the others go soon"),
        pytest.param(failures([0, 98, 99]), id="below the limit, older ones go before the wait is over"),
        pytest.param([*failures([0]), *others([0] * 7)], id="the network waits longer than the name"),
        pytest.param([*failures([0] * 4), *others([0])], id="the name waits longer than the network"),
    ],
)
def test_the_time_that_is_told_is_the_time_when_the_next_attempt_may_be_made(
    recorder: Recorder, engine: Engine, history: list[NewLogin]
) -> None:
    """Else ``Retry-After`` is wrong, and a process that remembers it sees another world than the others."""
    recorder.record_all(history)
    told = wait(refusal(engine, given=FEW))
    assert told > 0
    refused_at = [at for at in range(101) if refusal(engine, at=at, given=FEW)]
    assert refused_at == [at for at in range(101) if at < told]


@pytest.mark.parametrize("elsewhere", ["192.0.3.7", "198.51.100.7", "2001:db8::7", None])
def test_on_another_network_nothing_is_noticed(recorder: Recorder, engine: Engine, elsewhere: str | None) -> None:
    recorder.record_all(failures([0] * 100))
    at_home = LoginFactory.build(remote_addr=elsewhere).network
    assert refusal(engine) is not None
    assert refusal(engine, network=at_home) is None


@pytest.mark.parametrize(
    ("address", "is_same"),
    [
        ("192.0.2.254", True),
        ("192.0.3.7", False),
        ("2001:db8:1:2:ffff::1", True),
        ("2001:db8:1:3::7", False),
        (None, True),
    ],
)
def test_what_one_network_is(recorder: Recorder, engine: Engine, address: str | None, is_same: bool) -> None:
    used = {None: None, "1": ADDRESS, "2": ADDRESS_6}[address and address[0]]
    recorder.record_all(failures([0] * 10, remote_addr=used))
    asked = LoginFactory.build(remote_addr=address).network
    assert (refusal(engine, network=asked) is not None) == is_same


@pytest.mark.parametrize(
    ("history", "name", "key"),
    [
        (failures([0] * 4), "ada", "ada"),
        (failures([0] * 4), "bob", None),
        (others([0] * 8), "ada", ANY),
        (others([0] * 8), "other-0", ANY),
        ([*failures([0] * 4), *others([0])], "ada", "ada"),
        ([*failures([0] * 4), *others([0])], "bob", None),
        ([*failures([0] * 4), *others([0] * 8)], "bob", ANY),
    ],
)
def test_a_name_or_a_whole_network_is_refused(
    recorder: Recorder, engine: Engine, history: list[NewLogin], name: str, key: str | None
) -> None:
    recorder.record_all(history)
    found = refusal(engine, name, given=limits(window=20, name=4, network=8))
    assert (found and found.username) == key


@pytest.mark.parametrize(
    "more",
    [
        {"reason": Reason.THROTTLED},
        {"reason": Reason.PROVIDER_ERROR},
        {"outcome": Outcome.SUCCESS, "reason": None},
        {"method": "reported"},
        {"method": "oauth"},
        {"method": "passwordless"},
        {"method": None},
        {"username": "ADA"},
        {"username": "ad"},
    ],
    ids=str,
)
def test_what_is_no_failure_of_that_name(recorder: Recorder, engine: Engine, more: dict[str, Any]) -> None:
    recorder.record_all(failures([0, 0]) + failures([0] * 50, **more))
    assert refusal(engine) is None


@pytest.mark.parametrize("reason", [Reason.UNKNOWN_USER, Reason.BAD_PASSWORD, Reason.INACTIVE])
def test_known_and_unknown_names_wait_alike(recorder: Recorder, engine: Engine, reason: Reason) -> None:
    recorder.record_all(failures([3, 2, 1, 0], reason=reason))
    assert wait(refusal(engine)) == 900 / 64


@pytest.mark.parametrize(("count", "is_counted"), [(0, False), (RECORDED - 1, False), (RECORDED, True), (50, True)])
def test_enough_refusals_of_a_name_are_recorded_one_by_one(
    recorder: Recorder, engine: Engine, count: int, is_counted: bool
) -> None:
    recorder.record_all(failures([0] * 10) + throttled(count) + throttled(30, username="other"))
    found = refusal(engine)
    assert found is not None
    assert (found.username, found.is_counted) == ("ada", is_counted)


@pytest.mark.parametrize(("count", "is_counted"), [(RECORDED - 1, False), (RECORDED, True)])
def test_enough_refusals_of_a_network_are_recorded_one_by_one(
    recorder: Recorder, engine: Engine, count: int, is_counted: bool
) -> None:
    refused = [throttled(1, username=f"refused-{n}")[0] for n in range(count)]
    recorder.record_all([*others([0] * 100), *refused])
    found = refusal(engine)
    assert found is not None
    assert (found.username, found.is_counted) == (ANY, is_counted)


def lift_at(engine: Engine, age: float, name: str = "ada", network: str | None = None) -> None:
    """An admin lifts it so many seconds ago."""
    with time_machine.travel(NOW - timedelta(seconds=age), tick=False), Session(engine) as session, session.begin():
        account = find_account(session, name) or add_account(session, name, Role.USER, PASSWORD, by=ACTOR)
        lift(session, account, network, by=ACTOR)


@pytest.mark.parametrize(
    ("name", "network", "is_lifted"),
    [
        ("ada", None, True),
        ("ada", ADDRESS, True),
        ("ada", NETWORK, True),
        ("ada", "198.51.100.7", False),
        ("bob", None, False),
    ],
)
@pytest.mark.parametrize("whose", [failures, others], ids=["of the name", "of the network"])
def test_failures_before_a_lift_do_not_count(
    recorder: Recorder,
    engine: Engine,
    whose: Callable[[Iterable[float]], list[NewLogin]],
    *,
    name: str,
    network: str | None,
    is_lifted: bool,
) -> None:
    recorder.record_all(whose([20] * 100))
    lift_at(engine, 10, name, network)
    assert (refusal(engine) is None) == is_lifted
    assert whose is failures or refusal(engine, "others") is not None  # the network is still refused to others
    recorder.record_all(failures([5] * 4))
    assert (wait(refusal(engine)) == 900 / 64 - 5) == is_lifted  # those after it count


def test_a_lift_counts_for_as_long_as_the_failures_before_it_would(recorder: Recorder, engine: Engine) -> None:
    recorder.record_all(failures([920] * 10))
    lift_at(engine, 910)
    recorder.record_all(failures([0] * 10))
    assert wait(refusal(engine)) == 900


@pytest.mark.parametrize("text", ["", "here", "192.0.2.0/16", "192.0.2.7/25", "2001:db8::/32", "192.0.2.0/24/24"])
@pytest.mark.parametrize("backend", ["sqlite"])  # refused before any database is asked
def test_what_is_no_network_is_not_lifted(engine: Engine, text: str) -> None:
    with pytest.raises(AccountError, match=r"is no address|are counted by"):
        lift_at(engine, 0, network=text)


@pytest.mark.parametrize(
    ("text", "network"),
    [("192.0.2.7", NETWORK), (" 192.0.2.7/24 ", NETWORK), (ADDRESS_6, "2001:db8:1:2::/64")],
)
@pytest.mark.parametrize("backend", ["sqlite"])
def test_the_network_that_is_lifted(engine: Engine, text: str, network: str) -> None:
    with Session(engine) as session:
        assert lift(session, Account(username="ada"), text, by=ACTOR) == network
        assert [each.network for each in find_lifts(session, datetime.now(UTC) - timedelta(minutes=1))] == [network]


def test_refusals_that_are_older_than_the_window_do_not_count(recorder: Recorder, engine: Engine) -> None:
    recorder.record_all(failures([0] * 10) + failures([901] * 50, reason=Reason.THROTTLED))
    found = refusal(engine)
    assert found is not None
    assert not found.is_counted


@pytest.mark.parametrize("limit", [1, 3])
def test_many_refusals_do_not_hide_the_failures_before_them(recorder: Recorder, engine: Engine, limit: int) -> None:
    """So many are recorded when many processes and threads refuse at the same time."""
    recorder.record_all(failures([2] * limit) + throttled(100))
    assert refusal(engine, given=limits(name=limit, network=limit)) is not None


def test_a_reserved_name_is_not_the_network(recorder: Recorder, engine: Engine) -> None:
    """Somebody types "*": that others must not be mistaken for it."""
    recorder.record_all(failures([0] * 10, username=ANY))
    assert refusal(engine, "ada") is None
    found = refusal(engine, ANY)
    assert found is None or found.username != ANY, "this refusal is taken for one of the whole network"


def test_masked_names_share_the_limit_of_the_network() -> None:
    settings = Settings(throttle_window=60, throttle_name_limit=5, throttle_network_limit=50)
    assert Limits.of(settings) == limits(60, 5, 50)
    assert Limits.of(Settings(unknown_usernames="mask", throttle_network_limit=50)) == limits(900, 50, 50)


@pytest.fixture
def long_history(engine: Engine) -> None:
    """Thousands of logins of many networks, and the statistics that tell the planner so."""
    rows = [
        {
            "id": UUID(int=n),
            "seq": n,
            "timestamp": NOW - timedelta(seconds=n),
            "recorded_at": NOW,
            "app": "tests",
            "network": f"10.0.{n % 200}.0/24" if n % 50 else None,
            "action": "login",
            "outcome": "success" if n % 3 else "failure",
            "reason": None if n % 3 else "bad_password",
            "username": f"name-{n % 700}",
            "method": Method.PASSWORD,
        }
        for n in range(1, 6001)
    ]
    with engine.begin() as connection:
        connection.execute(insert(LoginEvent), rows)
        connection.exec_driver_sql("ANALYZE login_events")


@pytest.fixture
def plans(engine: Engine, backend: str) -> Iterator[list[str]]:
    """How the database finds the rows of each query."""
    found: list[str] = []
    explain = "EXPLAIN QUERY PLAN" if backend == "sqlite" else "EXPLAIN"

    def note(connection: Connection, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if statement.startswith("SELECT"):
            rows = connection.exec_driver_sql(f"{explain} {statement}", parameters).all()
            found.append("\n".join(str(row[-1]) for row in rows))

    event.listen(engine, "before_cursor_execute", note)
    yield found
    event.remove(engine, "before_cursor_execute", note)


@pytest.mark.usefixtures("long_history")
@pytest.mark.parametrize("network", ["10.0.7.0/24", "192.0.2.0/24", None])
def test_the_query_uses_the_index(engine: Engine, plans: list[str], network: str | None) -> None:
    refusal(engine, network=network)
    (plan,) = plans
    assert "ix_login_events_network_timestamp_seq" in plan
    assert "SCAN login_events" not in plan
    assert "Seq Scan" not in plan
