"""Proves that logins have a ``device``, in a copy of the code that has been given one.

``python -m tests.support.new_field URL FOLDER`` runs it there, on an empty database and with a folder for data. It ends
with status 0 if the field comes through the trail, the spool, the API and the commands.
"""

import csv
import json
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from audit_service import create_app
from audit_service.access.tokens import add_token
from audit_service.app import db
from audit_service.cli import main
from audit_service.context import context_of
from audit_service.errors import NotConfiguredError
from audit_service.settings.table import Settings
from audit_service.storage import schema
from audit_service.storage.database import make_engine
from audit_service.vocabulary import Scope
from tests.factories import LoginFactory, SaveThrough
from tests.support.accounts import ACTOR
from tests.support.apps import SECRET_KEY


def prove(url: str, folder: Path) -> None:
    config = {"AUDIT_DATABASE_URL": url, "AUDIT_SECRET_KEY": SECRET_KEY, "AUDIT_DATA_DIR": str(folder)}

    def command(*arguments: str) -> Result:
        result = CliRunner().invoke(main, arguments, env=config)
        assert result.exit_code == 0, result.output
        return result

    command("migrate")
    engine = make_engine(Settings(database_url=url).url, writes=True)
    schema.check(engine)

    app = create_app(config)
    recorder = context_of(app).recorder
    with SaveThrough(recorder):
        LoginFactory(device="phone")
        LoginFactory(device="clock")
    recorder.record_in_spool([LoginFactory.build(device="phone", username="spooled")])
    command("spool", "replay")
    with app.app_context():
        headers = {"Authorization": "Bearer " + add_token(db.session(), "reader", Scope.READ, by=ACTOR)}
        db.session.commit()
    client = app.test_client()

    deadline = time.monotonic() + 20
    while len(client.get("/api/logins", headers=headers).get_json()["items"]) < 3:  # the service may replay, too
        assert time.monotonic() < deadline, "what was in the spool is not in the trail"
        time.sleep(0.05)
    listed = client.get("/api/logins?device=phone", headers=headers).get_json()["items"]
    assert [item["device"] for item in listed] == ["phone", "phone"]
    assert "spooled" in [item["username"] for item in listed]
    assert client.get(f"/api/logins/{listed[0]['id']}", headers=headers).get_json() == listed[0]

    text = client.get("/api/logins.csv?device=clock", headers=headers).text
    assert [row["device"] for row in csv.DictReader(text.splitlines())] == ["clock"]
    lines = client.get("/api/logins.ndjson", headers=headers).text.splitlines()
    assert sorted(json.loads(line)["device"] for line in lines) == ["clock", "phone", "phone"]

    document = client.get("/api/openapi.json").get_json()
    taken = {parameter["name"] for parameter in document["paths"]["/api/logins"]["get"]["parameters"]}
    assert "device" in taken
    assert "device" in document["components"]["schemas"]["LoginItem"]["properties"]

    shown = command("history", "--device", "clock").stdout.splitlines()
    assert [json.loads(line)["device"] for line in shown] == ["clock"]

    recorder.stop()
    with app.app_context():
        db.engine.dispose()
    refuse_to_lose(url)


def refuse_to_lose(url: str) -> None:
    engine = make_engine(Settings(database_url=url).url, writes=True)
    with pytest.raises(NotConfiguredError, match=r"devices of logins \(3\)"):
        schema.downgrade(engine, "0006")
    schema.downgrade(engine, "0007", lose=["0008"])
    schema.migrate(engine)
    schema.check(engine)
    engine.dispose()


if __name__ == "__main__":
    prove(sys.argv[1], Path(sys.argv[2]))
