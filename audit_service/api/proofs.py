"""Proofs of events: that an event is in the log of the newest checkpoint, as it was when that was signed."""

from functools import partial
from http import HTTPStatus
from math import ceil
from typing import Any

import msgspec
from flask import Response, current_app, request
from werkzeug.exceptions import Conflict, InternalServerError

from audit_service.api.answers import readable_answer
from audit_service.api.log_files import CHANGED, TEXT, require_kept
from audit_service.api.operations import Access, Answer, operation
from audit_service.api.views import read_event
from audit_service.context import Viewer, current_context, end_reading
from audit_service.events.base import Kind
from audit_service.events.kinds import KINDS
from audit_service.proofs.tlog_proof import TlogProof
from audit_service.proving.disclosures import Disclosure, Openings, read_disclosure, read_signed, snapshot
from audit_service.proving.tiles import StoredTree

_FORMS = ("application/json", "text/html", "text/plain")


class EventProof(msgspec.Struct, frozen=True):
    """An event as it was signed, what opens its commitments, and the proof of it (C2SP tlog-proof).

    ``who`` and ``where`` are null where they were erased, and so are their openings.
    """

    entry: dict[str, Any]
    openings: Openings
    proof: str
    where: dict[str, Any] | None
    who: dict[str, Any] | None


class NotSignedYet(Conflict):
    """The signer has not come to the event yet (409)."""

    description = "the event is not signed yet: ask again in a moment"

    def get_headers(self, *arguments: Any) -> list[tuple[str, str]]:
        """Return the headers of the answer, which say when the next checkpoint may be there."""
        interval = ceil(current_context().settings.sign_interval)
        return [*super().get_headers(*arguments), ("Retry-After", str(interval))]


def show_proof(kind: Kind, viewer: Viewer, event_id: str) -> Response:
    """Show the proof of an event to those who may see the event."""
    given, proof = _prove(kind, read_event(kind, viewer, event_id).seq)
    if request.accept_mimetypes.best_match(_FORMS) == "text/plain":
        return Response(proof, content_type=TEXT, headers={"Cache-Control": "no-store", "Vary": "Accept, Cookie"})
    return readable_answer(
        EventProof(
            entry=_raw(given.entry),
            openings=given.openings or Openings(where=None, who=None),
            proof=proof.decode(),
            where=_raw(given.where),
            who=_raw(given.who),
        )
    )


def _prove(kind: Kind, seq: int) -> tuple[Disclosure, bytes]:
    """Return the event with its proof. Raises ``NotSignedYet`` and ``Gone``."""
    end_reading()
    with snapshot(current_context().reader) as connection:
        signed = read_signed(connection)
        if signed is None or signed.checkpoint.size < seq:
            raise NotSignedYet
        require_kept(seq, signed.log)
        given = read_disclosure(connection, kind, seq)
        if given is None or not given.is_as_signed:
            current_app.logger.critical(CHANGED.format(seq))
            raise InternalServerError(CHANGED.format(seq))
        hashes = StoredTree(connection).inclusion_proof(seq - 1, signed.checkpoint.size)
    return given, bytes(TlogProof(seq - 1, hashes, signed.cosigned))


def _raw(text: bytes | None) -> Any:
    """Return the canonical text as a part of an answer."""
    return None if text is None else msgspec.Raw(text)


for _kind in KINDS:
    operation(
        f"/{_kind.collection}/<event_id>/proof",
        f"The proof of one of the {_kind.what}",
        "The event as it was signed, the openings of its commitments, and the proof (C2SP tlog-proof) that it is in "
        "the log of the newest checkpoint; with `Accept: text/plain` the proof alone.",
        segments={"event_id": {"schema": {"type": "string", "format": "uuid"}, "description": "its `id`"}},
        answer=Answer({"application/json": EventProof, "text/plain": str}),
        others=(HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT, HTTPStatus.GONE),
        access=Access.AUDITORS if _kind.auditors_only else Access.VIEWERS,
        endpoint=f"prove_{_kind.collection.replace('-', '_')}",
    )(partial(show_proof, _kind))
