"""Report a login: ``report.py NAME success|failure ADDRESS``, with REPORT_URL and REPORT_TOKEN in the environment."""

import json
import os
import sys
import time
import urllib.error
import urllib.request
import uuid

TRIES = 5
OK, TOO_MANY, SERVER_ERROR = 200, 429, 500


def new_id() -> str:
    """Return a UUIDv7; from Python 3.14 on ``uuid.uuid7`` makes it."""
    made = bytearray((time.time_ns() // 1_000_000).to_bytes(6, "big") + os.urandom(10))
    made[6] = 0x70 | made[6] & 0x0F
    made[8] = 0x80 | made[8] & 0x3F
    return str(uuid.UUID(bytes=bytes(made)))


def send(report: dict[str, str]) -> tuple[int, str]:
    """Return the status of the answer and its text."""
    headers = {"Authorization": "Bearer " + os.environ["REPORT_TOKEN"], "Content-Type": "application/json"}
    request = urllib.request.Request(os.environ["REPORT_URL"], json.dumps(report).encode(), headers)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError as error:
        return 503, str(error)


def main() -> int:
    username, outcome, remote_addr = sys.argv[1:]
    report = {"id": new_id(), "username": username, "outcome": outcome, "remote_addr": remote_addr}
    for left in reversed(range(TRIES)):
        status, text = send(report)
        if status == OK:
            print(report["id"])
            return 0
        if left == 0 or (status < SERVER_ERROR and status != TOO_MANY):
            break
        time.sleep(1)  # then the same again: it stays the same event, as it has an id
    print(status, text, file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
