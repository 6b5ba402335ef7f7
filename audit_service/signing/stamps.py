"""Time stamps (RFC 3161): an authority signs that it has seen a checkpoint, and when.

Whether the authority is the one that it says it is, is for those to check who have its certificate.
"""

import hashlib
import threading
from base64 import b64encode
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from audit_service.errors import INSTALL_STAMPS, ProofError, PublishError
from audit_service.proving.confirmations import STAMP, Confirmation
from audit_service.signing.http_client import check_url, post
from audit_service.signing.outlet import Offer
from audit_service.values import limits

if TYPE_CHECKING:
    from rfc3161_client import TimeStampRequest

_QUERY = "application/timestamp-query"
_SHA256 = "2.16.840.1.101.3.4.2.1"
_GRANTED = (0, 1)  # as it was asked for, and otherwise, which is checked


class Stamps:
    """A time-stamping authority."""

    is_asked_at_start = False
    is_repeated = False  # the older stamp of a checkpoint proves more than a newer one

    def __init__(self, url: str, interval: float) -> None:
        """Ask the authority at *url*, at most each *interval* seconds.

        Raises ``PublishError`` for a URL that cannot be asked, and without the extra ``stamps``.
        """
        try:
            import rfc3161_client  # noqa: PLC0415 - it is an extra
        except ModuleNotFoundError as error:
            raise PublishError(f"AUDIT_STAMP_URL needs {error.name}: {INSTALL_STAMPS}") from None
        try:
            check_url(url)
        except ProofError as error:
            raise PublishError(f"AUDIT_STAMP_URL: {error}") from None
        self.name, self.interval, self._url = f"{STAMP}{urlsplit(url).hostname}", interval, url
        if len(self.name) > limits.ORIGIN:
            raise PublishError(f"AUDIT_STAMP_URL: the name of the host is longer than {limits.ORIGIN} characters")
        self._library = rfc3161_client

    def take(self, offer: Offer, last: Confirmation | None, stopping: threading.Event) -> str:  # noqa: ARG002
        """Return the authority's answer, a TimeStampResp, in base64."""
        builder = self._library.TimestampRequestBuilder(offer.note, self._library.HashAlgorithm.SHA256)
        request = builder.nonce(nonce=True).cert_request(cert_request=True).build()
        answer = post(self._url, request.as_bytes(), _QUERY)
        if answer.status != 200:  # noqa: PLR2004
            raise PublishError(f"{self._url} has answered with {answer}")
        try:
            self._check(answer.body, request, hashlib.sha256(offer.note).digest())
        except ValueError as error:
            raise PublishError(f"{self._url} has answered with what is no time stamp: {error}") from None
        return b64encode(answer.body).decode()

    def _check(self, body: bytes, request: "TimeStampRequest", digest: bytes) -> None:
        """Raise ``ValueError`` for what is not in DER, and ``PublishError`` for what is no stamp of *digest*."""
        response = self._library.decode_timestamp_response(body)
        if response.status not in _GRANTED:
            why = "; ".join(response.status_string)[:200]
            raise PublishError(f"{self._url} refuses to stamp it, with the status {response.status}: {why}")
        stamp = response.tst_info
        imprint = stamp.message_imprint
        if (imprint.hash_algorithm.dotted_string, imprint.message) != (_SHA256, digest):
            raise PublishError(f"{self._url} has stamped something else")
        if stamp.nonce != request.nonce:
            raise PublishError(f"{self._url} has answered with the stamp of another request: its nonce is another one")
