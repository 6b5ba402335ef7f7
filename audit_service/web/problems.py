"""The problem types (RFC 9457): what each is called and what it means. Their URIs lead to these words."""

import msgspec


class ProblemType(msgspec.Struct, frozen=True):
    """A problem type: its status, the last part of its URI, and what it means."""

    status: int
    name: str
    meaning: str


PROBLEM_TYPES = [
    ProblemType(400, "invalid-request", "The request cannot be understood; `detail` says why."),
    ProblemType(400, "invalid-parameter", "The parameter, field or header that `parameter` names cannot be used."),
    ProblemType(401, "not-authenticated", "The request has no valid token, session or password."),
    ProblemType(403, "not-allowed", "This account or token may not do this."),
    ProblemType(404, "not-found", "There is nothing at this address, or nothing that this account or token may see."),
    ProblemType(405, "method-not-allowed", "The address takes other methods: the `Allow` header names them."),
    ProblemType(408, "too-slow", "The body did not arrive in time."),
    ProblemType(409, "not-signed-yet", "The event has no proof yet: `Retry-After` says when it may have one."),
    ProblemType(
        409, "id-taken", "Another event is stored under the id that `parameter` points at; all others are stored."
    ),
    ProblemType(410, "removed", "The event was removed by its age; its hash is kept."),
    ProblemType(411, "length-required", "A body must come with its `Content-Length`."),
    ProblemType(413, "too-large", "The body is larger than is taken here."),
    ProblemType(415, "unsupported-media-type", "The body's `Content-Type` is not one that is taken here."),
    ProblemType(422, "invalid-item", "An item of the list cannot be used: `parameter` points at it (RFC 6901)."),
    ProblemType(429, "too-many-failures", "Too many attempts failed: `Retry-After` says when the next may be made."),
    ProblemType(500, "internal-error", "A fault of the service. It is recorded."),
    ProblemType(
        503,
        "unavailable",
        "The database does not answer, takes no changes or is not migrated, events cannot be recorded, or too many "
        "requests came at once: try again.",
    ),
]


def problem_type(status: int, *, has_parameter: bool) -> ProblemType | None:
    """Return the type of a problem with that *status*; None for a status that has no type."""
    found = [known for known in PROBLEM_TYPES if known.status == status]
    return (found[-1] if has_parameter else found[0]) if found else None
