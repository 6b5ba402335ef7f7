"""A month that could have been: the events of a small company, with an attack, a break-in, a bug and changes of rights.

Nothing of it is real: the addresses are those of documentation (RFC 5737, RFC 3849), the names are common ones. The
same *seed* makes the same month.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from audit_service.events.admin import NewAdmin
from audit_service.events.base import NewEvent
from audit_service.events.errors import NewError
from audit_service.events.logins import NewLogin
from audit_service.events.request_info import network_of
from audit_service.vocabulary import Action, AdminAction, Method, Outcome, Reason

APP = "demo"
DAYS = 30
ATTACKER = "203.0.113.66"
_FIREFOX = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:145.0) Gecko/20100101 Firefox/145.0"
_WEBKIT = "AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36"
_CHROME = f"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) {_WEBKIT}"
_LINUX = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0"
_PHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
    "Version/18.6 Mobile/15E148 Safari/604.1"
)
_TABLET = (
    "Mozilla/5.0 (Linux; Android 15; SM-X710) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36"
)
_SCRIPT = "python-requests/2.32.3"


@dataclass(frozen=True)
class Person:
    """Who works there: where, and with what."""

    name: str
    zone: str
    office: str
    home: str
    devices: tuple[str, ...]


PEOPLE = (
    Person("ada", "Europe/London", "192.0.2.10", "198.51.100.23", (_FIREFOX, _PHONE)),
    Person("bob", "America/New_York", "192.0.2.140", "198.51.100.87", (_CHROME, _PHONE)),
    Person("carol", "Europe/Berlin", "192.0.2.11", "2001:db8:51::7", (_LINUX,)),
    Person("chen", "Asia/Shanghai", "192.0.2.201", "2001:db8:86::12", (_CHROME, _TABLET)),
    Person("dmitri", "Europe/Berlin", "192.0.2.12", "198.51.100.140", (_FIREFOX,)),
    Person("eve", "Europe/London", "192.0.2.13", "198.51.100.31", (_CHROME,)),
    Person("fatima", "Africa/Cairo", "192.0.2.60", "2001:db8:20::4", (_FIREFOX, _PHONE)),
    Person("grace", "America/Los_Angeles", "192.0.2.141", "198.51.100.200", (_CHROME, _PHONE)),
    Person("hiro", "Asia/Tokyo", "192.0.2.202", "2001:db8:81::9", (_CHROME,)),
    Person("ines", "America/Sao_Paulo", "192.0.2.142", "198.51.100.212", (_LINUX, _PHONE)),
)
BURST_TRACEBACK = """Traceback (most recent call last):
  File "/srv/shop/.venv/lib/python3.13/site-packages/flask/app.py", line 919, in full_dispatch_request
    rv = self.dispatch_request()
  File "/srv/shop/.venv/lib/python3.13/site-packages/flask/app.py", line 902, in dispatch_request
    return self.ensure_sync(self.view_functions[rule.endpoint])(**view_args)
  File "/srv/shop/shop/checkout.py", line 87, in pay
    total = sum(item.price for item in basket)
TypeError: unsupported operand type(s) for +: 'int' and 'NoneType'"""


def demo_events(until: datetime, seed: int = 1) -> list[NewEvent]:
    """Return the events of the 30 days before *until*, in the order of time."""
    chance = random.Random(seed)  # noqa: S311 - nothing secret
    events: list[NewEvent] = []
    for day in range(DAYS, -1, -1):
        date = until - timedelta(days=day)
        for person in PEOPLE:
            events += _working_day(chance, person, date)
    last_night = until.replace(hour=2, minute=10, second=0, microsecond=0)
    last_night -= timedelta(days=1) if last_night > until else timedelta()
    events += _spraying(chance, min(last_night, until - timedelta(hours=1)))  # the whole attack, within a day
    events += _stuffing(chance, until - timedelta(days=6, hours=3))
    events += _new_device(until - timedelta(days=2, hours=5))
    events += _burst(chance, until - timedelta(minutes=70))
    events += _changes(until)
    return sorted((event for event in events if event.timestamp <= until), key=lambda event: event.timestamp)


def _login(person: str, at: datetime, address: str, agent: str, **more: object) -> NewLogin:
    likely = {"method": Method.PASSWORD.value, "request_id": f"demo-{int(at.timestamp() * 1000):x}"}
    return NewLogin(
        app=APP,
        username=person,
        timestamp=at,
        remote_addr=address,
        network=network_of(address),
        user_agent=agent,
        **{**likely, **more},  # type: ignore[arg-type]
    )


def _failure(person: str, at: datetime, address: str, agent: str, reason: Reason) -> NewLogin:
    return _login(person, at, address, agent, outcome=Outcome.FAILURE, reason=reason)


def _working_day(chance: random.Random, person: Person, date: datetime) -> Iterator[NewEvent]:
    """Yield the logins of a day: at the office, sometimes from home, with a mistyped password now and then."""
    local = date.astimezone(ZoneInfo(person.zone))
    is_weekend = local.weekday() >= 5  # noqa: PLR2004 - Saturday
    if chance.random() < (0.9 if is_weekend else 0.06):
        return
    at_home = is_weekend or chance.random() < 0.3  # noqa: PLR2004
    begin = local.replace(hour=8, minute=0, second=0, microsecond=0) + timedelta(minutes=chance.gauss(45, 35))
    for number in range(1 if at_home else chance.choice((1, 2, 2, 3))):
        at = (begin + timedelta(hours=number * 3.4, seconds=chance.uniform(0, 1800))).astimezone(UTC)
        address = person.home if at_home else person.office
        agent = chance.choice(person.devices) if at_home else person.devices[0]
        if chance.random() < 0.08:  # noqa: PLR2004
            yield _failure(
                person.name, at - timedelta(seconds=chance.uniform(4, 20)), address, agent, Reason.BAD_PASSWORD
            )
        yield _login(person.name, at, address, agent)
        if chance.random() < 0.35:  # noqa: PLR2004
            yield _login(
                person.name,
                at + timedelta(hours=chance.uniform(0.5, 3)),
                address,
                agent,
                action=Action.LOGOUT,
                method=None,
            )


def _spraying(chance: random.Random, begin: datetime) -> Iterator[NewEvent]:
    """Yield one or two guesses for each of many names, from a few addresses of one network."""
    names = [person.name for person in PEOPLE] + [
        "admin",
        "root",
        "test",
        "info",
        "sales",
        "support",
        "backup",
        "oracle",
    ]
    at = begin
    for name in (names * 6)[:100]:
        at += timedelta(seconds=chance.uniform(5, 25))
        is_known = any(person.name == name for person in PEOPLE)
        reason = Reason.BAD_PASSWORD if is_known else Reason.UNKNOWN_USER
        address = f"203.0.113.{chance.randrange(60, 72)}"
        yield _failure(name, at, address, _SCRIPT, Reason.THROTTLED if chance.random() < 0.15 else reason)  # noqa: PLR2004


def _stuffing(chance: random.Random, begin: datetime) -> Iterator[NewEvent]:
    """Yield guesses for one name, the last of which is right."""
    at = begin
    for _ in range(14):
        at += timedelta(seconds=chance.uniform(2, 9))
        yield _failure("dmitri", at, ATTACKER, _SCRIPT, Reason.BAD_PASSWORD)
    yield _login("dmitri", at + timedelta(seconds=7), ATTACKER, _SCRIPT)


def _new_device(at: datetime) -> Iterator[NewEvent]:
    yield _login("eve", at, "198.51.100.31", _TABLET)


def _burst(chance: random.Random, begin: datetime) -> Iterator[NewEvent]:
    """Yield one bug that meets several users within minutes."""
    at = begin
    for number in range(23):
        at += timedelta(seconds=chance.uniform(3, 40))
        person = PEOPLE[0] if number == 0 else chance.choice(PEOPLE)
        yield NewError(
            app=APP,
            timestamp=at,
            username=person.name,
            remote_addr=person.office,
            request_id=f"demo-bug-{number}",
            exception_type="TypeError",
            message="unsupported operand type(s) for +: 'int' and 'NoneType'",
            traceback=BURST_TRACEBACK,
            fingerprint="1:demo00000000c0de",
            http_method="POST",
            path="/checkout/pay",
            endpoint="checkout.pay",
        )


def _changes(until: datetime) -> Iterator[NewEvent]:
    def did(at: timedelta, action: AdminAction, target: str, **details: str) -> NewAdmin:
        return NewAdmin(
            app=APP,
            timestamp=until - at,
            actor="ada",
            action=action,
            target=target,
            details=details or None,
            remote_addr="192.0.2.10",
        )

    yield did(timedelta(days=26), AdminAction.ACCOUNT_ADDED, "hiro", role="user")
    yield did(timedelta(days=19), AdminAction.ROLE_CHANGED, "eve", **{"from": "user", "to": "auditor"})
    yield did(timedelta(days=9), AdminAction.ROLE_CHANGED, "bob", **{"from": "user", "to": "admin"})
    yield did(timedelta(days=6, hours=2), AdminAction.ACCOUNT_DISABLED, "dmitri")
    yield did(timedelta(days=6, hours=1), AdminAction.PASSWORD_CHANGED, "dmitri")
    yield did(timedelta(days=5), AdminAction.ACCOUNT_ENABLED, "dmitri")
    yield did(timedelta(days=3), AdminAction.TOKEN_ADDED, "nightly export", scope="read")
