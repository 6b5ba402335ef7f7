"""Events with likely values. ``create`` stores through the recorder that ``SaveThrough`` names; ``build`` does not."""

from typing import Any, ClassVar

import factory
import msgspec
from uuid_utils.compat import uuid7

from audit_service.events import tracebacks
from audit_service.events.admin import NewAdmin
from audit_service.events.base import NewEvent
from audit_service.events.errors import NewError
from audit_service.events.logins import NewLogin
from audit_service.events.request_info import network_of
from audit_service.trail.recorder import Recorder
from audit_service.vocabulary import Action, AdminAction, Outcome, Reason


class SaveThrough:
    """A ``with`` block in which ``create`` stores through this recorder."""

    current: ClassVar[list[Recorder]] = []

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder

    def __enter__(self) -> None:
        self.current.append(self.recorder)

    def __exit__(self, *_: object) -> None:
        self.current.remove(self.recorder)


class EventFactory(factory.Factory[Any]):
    class Meta:
        abstract = True

    app = "tests"
    remote_addr = factory.Faker("ipv4")
    request_id = factory.Faker("uuid4")

    @classmethod
    def copies(cls, count: int, **fields: Any) -> list[Any]:
        """Build one event so many times, each with an id of its own: for those who need many and not which."""
        event = cls.build(**fields)
        return [msgspec.structs.replace(event, id=uuid7()) for _ in range(count)]

    @classmethod
    def _create(cls, model_class: type[NewEvent], *args: Any, **kwargs: Any) -> NewEvent:
        event = model_class(*args, **kwargs)
        SaveThrough.current[-1].record(event)
        return event


class LoginFactory(EventFactory):
    class Meta:
        model = NewLogin

    username = factory.Faker("user_name")
    network = factory.LazyAttribute(lambda made: network_of(made.remote_addr))
    user_agent = factory.Faker("user_agent")

    class Params:
        failed = factory.Trait(outcome=Outcome.FAILURE, reason=Reason.BAD_PASSWORD)
        logout = factory.Trait(action=Action.LOGOUT)


def _raised() -> Exception:
    try:
        raise ValueError("no such thing")
    except ValueError as error:
        return error


class ErrorFactory(EventFactory):
    class Meta:
        model = NewError

    username = factory.Faker("user_name")

    class Params:
        error = factory.LazyFunction(_raised)
        anonymous = factory.Trait(username=None)

    exception_type = factory.LazyAttribute(lambda made: tracebacks.exception_type(made.error))
    message = factory.LazyAttribute(lambda made: tracebacks.message(made.error))
    traceback = factory.LazyAttribute(lambda made: tracebacks.format_traceback(made.error))
    fingerprint = factory.LazyAttribute(lambda made: tracebacks.fingerprint(made.error))
    http_method = "GET"
    path = "/somewhere"
    endpoint = "somewhere"


class AdminFactory(EventFactory):
    class Meta:
        model = NewAdmin

    actor = factory.Faker("user_name")
    action = AdminAction.ACCOUNT_ADDED
    target = factory.Faker("user_name")
