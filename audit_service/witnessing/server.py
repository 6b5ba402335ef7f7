"""The witness as an HTTP service, on the server that the audit service runs on, too."""

import logging
import re
from collections.abc import Callable, Iterable
from http import HTTPStatus
from pathlib import Path
from typing import Any

from audit_service.errors import ProofError
from audit_service.proofs.submission import LARGEST, PATH
from audit_service.serving.gateway import Gateway, ReadyAnswer, ReadyAnswers
from audit_service.witnessing.files import read_key, read_policy
from audit_service.witnessing.memory import Memory
from audit_service.witnessing.witness import TEXT_TYPE, Answer, Witness

logger = logging.getLogger("audit_service.witness")

THREADS = 4
_CHECKPOINT = re.compile("/([0-9a-f]{64})/checkpoint")


class WitnessApplication:
    """The WSGI application (PEP 3333)."""

    def __init__(self, witness: Witness) -> None:
        """Answer for *witness*."""
        self._witness = witness

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer one request."""
        try:
            answer = self._answer(environ["REQUEST_METHOD"], environ["PATH_INFO"], environ)
        except (OSError, ProofError):
            logger.exception("the witness cannot use what it remembers, and cosigns nothing")
            answer = Answer(HTTPStatus.INTERNAL_SERVER_ERROR, b"the witness cannot use what it remembers\n")
        headers = [
            ("Content-Type", answer.media_type),
            ("Content-Length", str(len(answer.body))),
            ("Cache-Control", "no-store"),
            ("X-Content-Type-Options", "nosniff"),
        ]
        if answer.status == HTTPStatus.METHOD_NOT_ALLOWED:
            headers.append(("Allow", "POST" if environ["PATH_INFO"] == PATH else "GET"))
        start_response(f"{answer.status.value} {answer.status.phrase}", headers)
        return [b"" if environ["REQUEST_METHOD"] == "HEAD" else answer.body]

    def _answer(self, method: str, path: str, environ: dict[str, Any]) -> Answer:
        if path == PATH:
            if method != "POST":
                return Answer(HTTPStatus.METHOD_NOT_ALLOWED, b"this takes POST\n")
            return self._add_checkpoint(environ)
        found = _CHECKPOINT.fullmatch(path)
        if not found:
            return Answer(HTTPStatus.NOT_FOUND, b"there is nothing here\n")
        if method not in ("GET", "HEAD"):
            return Answer(HTTPStatus.METHOD_NOT_ALLOWED, b"this takes GET\n")
        return self._witness.checkpoint(found[1])

    def _add_checkpoint(self, environ: dict[str, Any]) -> Answer:
        length = str(environ.get("CONTENT_LENGTH") or "")
        if not length.isdecimal():
            return Answer(HTTPStatus.LENGTH_REQUIRED, b"the length of the submission is not known\n")
        if int(length) > LARGEST:
            return Answer(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"at most {LARGEST} bytes\n".encode())
        return self._witness.add_checkpoint(environ["wsgi.input"].read(LARGEST))


def load_gateway(key_file: Path, policy_file: Path, folder: Path, _target: str) -> Gateway:
    """Return what granian calls, in the process that it has made."""
    witness = Witness(read_key(key_file), read_policy(policy_file), Memory(folder))
    answers = ReadyAnswers(
        too_slow=_ready(HTTPStatus.REQUEST_TIMEOUT, b"the submission came too slowly\n"),
        too_many=_ready(HTTPStatus.SERVICE_UNAVAILABLE, b"too many submissions at once\n"),
        failed=_ready(HTTPStatus.INTERNAL_SERVER_ERROR, b"the witness has failed\n"),
    )
    return Gateway(WitnessApplication(witness), answers, threads=THREADS, body_limit=LARGEST)


def _ready(status: HTTPStatus, body: bytes) -> ReadyAnswer:
    return status.value, [("content-type", TEXT_TYPE), ("content-length", str(len(body)))], body
