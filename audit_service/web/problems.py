"""The kinds of problems (RFC 9457): what each is called and what it means. Their URIs lead to these words."""

import msgspec

PATH = "/api/problems/"


class Kind(msgspec.Struct, frozen=True):
    """A kind of problem: its status, the last part of its URI, and what it means."""

    status: int
    name: str
    meaning: str


KINDS = [
    Kind(400, "invalid-request", "The request cannot be understood; `detail` says why."),
    Kind(400, "invalid-parameter", "The parameter, field or header that `parameter` names cannot be used."),
    Kind(401, "not-authenticated", "The request has no valid token, session or password."),
    Kind(403, "not-allowed", "This account or token may not do this."),
    Kind(404, "not-found", "There is nothing at this address, or nothing that this account or token may see."),
    Kind(405, "method-not-allowed", "The address takes other methods: the `Allow` header names them."),
    Kind(408, "too-slow", "The body did not arrive in time."),
    Kind(409, "id-taken", "Another event is stored under the id that `parameter` points at; all others are stored."),
    Kind(411, "length-required", "A body must come with its `Content-Length`."),
    Kind(413, "too-large", "The body is larger than is taken here."),
    Kind(415, "unsupported-media-type", "The body's `Content-Type` is not one that is taken here."),
    Kind(422, "invalid-item", "An item of the list cannot be used: `parameter` points at it (RFC 6901)."),
    Kind(429, "too-many-failures", "Too many attempts failed: `Retry-After` says when the next may be made."),
    Kind(500, "internal-error", "A fault of the service. It is recorded."),
    Kind(
        503,
        "unavailable",
        "The database does not answer, takes no changes or is not migrated, events cannot be recorded, or too many "
        "requests came at once: try again.",
    ),
]


def kind_of(status: int, *, has_parameter: bool) -> Kind | None:
    """Return the kind of a problem with that *status*; None for one that has no words of its own."""
    found = [kind for kind in KINDS if kind.status == status]
    return (found[-1] if has_parameter else found[0]) if found else None
