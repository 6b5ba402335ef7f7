"""Unhandled exceptions."""

from datetime import datetime
from typing import Annotated, Generic

from audit_service.events import tracebacks
from audit_service.events.base import Erasable, EventFilters, Kind, NewEvent, text_filter
from audit_service.events.request_info import Client, Target
from audit_service.values import limits


class ErrorFields(NewEvent, Generic[Erasable], kw_only=True, frozen=True):
    """The fields of an error, new or stored."""

    username: str | None = None
    exception_type: str
    message: Erasable
    traceback: Erasable
    fingerprint: str
    http_method: str | None = None
    path: str | None = None
    endpoint: str | None = None


class NewError(ErrorFields[str], kw_only=True, frozen=True):
    """An unhandled exception."""


def new_error(app: str, error: BaseException, client: Client, target: Target) -> NewError:
    """Return the event of an *error* that happened in a request of *client* for *target*, in the app of that name."""
    return NewError(
        app=app,
        username=target.username,
        remote_addr=client.remote_addr,
        request_id=client.request_id,
        exception_type=tracebacks.exception_type(error),
        message=tracebacks.message(error),
        traceback=tracebacks.format_traceback(error),
        fingerprint=tracebacks.fingerprint(error),
        http_method=target.http_method,
        path=target.path,
        endpoint=target.endpoint,
    )


class ErrorItem(ErrorFields[str | None], kw_only=True, frozen=True):
    """One row of ``error_events``."""

    seq: int
    recorded_at: datetime


Username = Annotated[str, text_filter(limits.USERNAME, "whose session it was")]
ExceptionType = Annotated[str, text_filter(limits.EXCEPTION_TYPE, "the qualified name of the exception")]
Fingerprint = Annotated[str, text_filter(limits.FINGERPRINT, "the same for the same bug")]
Endpoint = Annotated[str, text_filter(limits.ENDPOINT, "the name of the view")]
HttpMethod = Annotated[str, text_filter(limits.HTTP_METHOD, "the method of the request")]


class ErrorFilters(EventFilters, frozen=True, kw_only=True):
    """Filters for unhandled exceptions."""

    username: list[Username] = []
    username_not: list[Username] = []
    username_i: list[
        Annotated[str, text_filter(limits.USERNAME, "whose session it was, whatever the case (A to Z)")]
    ] = []
    exception_type: list[ExceptionType] = []
    exception_type_not: list[ExceptionType] = []
    fingerprint: list[Fingerprint] = []
    fingerprint_not: list[Fingerprint] = []
    endpoint: list[Endpoint] = []
    endpoint_not: list[Endpoint] = []
    http_method: list[HttpMethod] = []
    http_method_not: list[HttpMethod] = []


ERRORS = Kind(
    name="error",
    table="error_events",
    collection="errors",
    command="errors",
    what="unhandled exceptions",
    new=NewError,
    item=ErrorItem,
    filters=ErrorFilters,
    columns=("timestamp", "exception_type", "http_method", "path", "endpoint", "username", "remote_addr"),
    names=("username",),
    null_if_erased="message",
    indexed=("fingerprint", "username"),
)
