"""The API under Schemathesis: what the document says is what the service does, whatever is sent.

``make test`` tries a few examples of each operation, ``make test-api`` many.
"""

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from zoneinfo import available_timezones

import pytest
import schemathesis
from hypothesis import strategies
from schemathesis.config import (
    CoveragePhaseConfig,
    FuzzingPhaseConfig,
    GenerationConfig,
    PhasesConfig,
    ProjectConfig,
    ProjectsConfig,
    SchemathesisConfig,
    StatefulPhaseConfig,
)
from schemathesis.engine import Status, events, from_schema
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from audit_service.access.tokens import add_token
from audit_service.trail.recorder import Recorder
from audit_service.vocabulary import Scope
from tests.factories import AdminFactory, ErrorFactory, LoginFactory
from tests.support.accounts import ACTOR
from tests.support.server import running_service
from tests.support.signed_trail import SignedTrail

UNUSED = StatefulPhaseConfig(enabled=False)  # nothing that is read changes what else can be read
EXAMPLES = int(os.environ.get("AUDIT_TEST_EXAMPLES", "3"))  # of each operation
IS_LONG = EXAMPLES > 3
EXPORT = r"\.(csv|ndjson)$"
CHECKS = {  # all that there are, but for the time of an answer, which says more about the machine
    "allow_header_conformance",
    "content_type_conformance",
    "ensure_resource_availability",
    "ignored_auth",
    "missing_required_header",
    "negative_data_rejection",
    "not_a_server_error",
    "object_level_authorization",
    "positive_data_acceptance",
    "response_headers_conformance",
    "response_schema_conformance",
    "status_code_conformance",
    "unsupported_method",
    "use_after_free",
}

# The formats of ours, for values that are right.
NETWORKS = strategies.sampled_from(["10.0.0.0/8", "192.0.2.0/24", "2001:db8::/32"])
schemathesis.openapi.format("ip-or-network", strategies.ip_addresses().map(str) | NETWORKS)
schemathesis.openapi.format("time-zone", strategies.sampled_from(sorted(available_timezones())))


@schemathesis.hook
def before_load_schema(context: Any, raw_schema: dict[str, Any]) -> None:
    """Leave out `cursor`: it belongs to the answer that it came with, so no generator makes one (see test_api)."""
    for path in raw_schema["paths"].values():
        path["get"]["parameters"] = [each for each in path["get"]["parameters"] if each["name"] != "cursor"]
    if not IS_LONG:  # what the summary shares with its list takes longer than all other paths
        shared = {each["name"] for each in raw_schema["paths"]["/api/logins"]["get"]["parameters"]}
        summary = raw_schema["paths"]["/api/logins/summary"]["get"]
        summary["parameters"] = [each for each in summary["parameters"] if each["name"] not in shared]


@pytest.fixture
def service(recorder: Recorder, engine: Engine, database_url: str, tmp_path: Path) -> Iterator[tuple[str, str]]:
    """The URL of a service with a history, and a token that may read it."""
    for kind in (LoginFactory, ErrorFactory, AdminFactory):
        for _ in range(3):
            kind()
    with Session(engine) as session:
        token = add_token(session, "schemathesis", Scope.READ, by=ACTOR)
        session.commit()
    with closing(SignedTrail(database_url, tmp_path / "signer")) as trail:
        trail.sign()
    settings = {"AUDIT_DATABASE_URL": database_url, "AUDIT_SECRET_KEY": "a secret key for tests"}
    with running_service({**settings, "AUDIT_DATA_DIR": tmp_path / "data"}) as url:
        yield url, token


@pytest.mark.parametrize("backend", ["sqlite"])
def test_the_service_does_what_the_document_says(service: tuple[str, str]) -> None:
    """With the boundaries of each parameter and header, which are looked at before any database is asked.

    Those of exports are those of the lists. Over HTTP: the check that authentication is not ignored cannot be sent to
    a WSGI app (Schemathesis 4.32).
    """
    phases = PhasesConfig(stateful=UNUSED, fuzzing=FuzzingPhaseConfig(enabled=False))
    tried, failures = examine(*service, but=EXPORT, phases=phases)
    assert failures == []
    assert tried >= CHECKS


def test_whatever_is_asked_for(service: tuple[str, str]) -> None:
    _, failures = examine(*service, phases=PhasesConfig(stateful=UNUSED, coverage=CoveragePhaseConfig(enabled=False)))
    assert failures == []


def examine(url: str, token: str, *, phases: PhasesConfig, but: str | None = None) -> tuple[set[str], list[str]]:
    """Return the checks that were made, and what failed; of all paths *but* those."""
    project = ProjectConfig(
        headers={"Authorization": f"Bearer {token}"},
        generation=GenerationConfig(max_examples=EXAMPLES, deterministic=True, no_shrink=True),
        phases=phases,
        continue_on_failure=True,
    )
    config = SchemathesisConfig(seed=1, projects=ProjectsConfig(default=project))
    api = schemathesis.openapi.from_url(f"{url}/api/openapi.json", config=config)
    part = api.exclude(path_regex=but) if but else api
    tried, failures = set(), []
    for event in from_schema(part).execute():
        if isinstance(event, events.NonFatalError | events.FatalError):
            failures.append(str(event))
        elif isinstance(event, events.ScenarioFinished):
            for case, checks in event.recorder.checks.items():
                tried |= {check.name for check in checks}
                failures += [
                    f"{event.label} {check.name}: {event.recorder.cases[case].value.as_curl_command()}"
                    for check in checks
                    if check.status != Status.SUCCESS
                ]
    return tried, failures
