"""A time-stamping authority: OpenSSL's, with a certificate of a CA of its own, behind a small HTTP server."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.support.in_thread import serving

CONFIG = """
[tsa]
default_tsa = own
[own]
serial = {folder}/serial
signer_cert = {folder}/tsa.pem
signer_key = {folder}/tsa.key
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = {digests}
"""
NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")


def openssl(*arguments: object, given: bytes = b"") -> bytes:
    done = subprocess.run(["openssl", *map(str, arguments)], input=given, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


class Authority:
    """Signs time stamps, and keeps what it was asked."""

    def __init__(self, folder: Path, digests: str = "sha256") -> None:
        folder.mkdir()
        self.folder, self.ca, self.queries = folder, folder / "ca.pem", list[bytes]()
        openssl("req", "-x509", *NEW_KEY, "-keyout", folder / "ca.key", "-out", self.ca, "-subj", "/CN=CA", "-days", 2)
        csr = openssl("req", "-new", *NEW_KEY, "-keyout", folder / "tsa.key", "-subj", "/CN=TSA")
        (folder / "extensions").write_text("extendedKeyUsage = critical, timeStamping\n")
        signing = ("-CA", self.ca, "-CAkey", folder / "ca.key", "-CAcreateserial", "-extfile", folder / "extensions")
        openssl("x509", "-req", *signing, "-out", folder / "tsa.pem", given=csr)
        (folder / "config").write_text(CONFIG.format(folder=folder, digests=digests))

    def stamp(self, query: bytes) -> bytes:
        """Return the TimeStampResp to a TimeStampReq."""
        (self.folder / "query").write_bytes(query)
        return openssl("ts", "-reply", "-config", self.folder / "config", "-queryfile", self.folder / "query")

    def answer(self, query: bytes) -> tuple[int, bytes]:
        return 200, self.stamp(query)


@contextmanager
def running_authority(authority: Authority) -> Iterator[str]:
    """Serve it, and yield its URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            is_query = self.headers["Content-Type"] == "application/timestamp-query"
            query = self.rfile.read(int(self.headers["Content-Length"]))
            status, answer = authority.answer(query) if is_query else (415, b"")
            self.send_response(status)
            self.send_header("Content-Type", "application/timestamp-reply")
            self.end_headers()
            self.wfile.write(answer)
            authority.queries.append(query)

        def log_message(self, *_: object) -> None:
            pass

    with serving(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as url:
        yield f"{url}/tsr"
