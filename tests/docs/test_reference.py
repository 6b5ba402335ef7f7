"""docs/reference.md, signals.md, reports.md and extension.md: their tables say what the code says."""

import inspect
import re

import click
import msgspec
import pytest
from blinker import NamedSignal
from flask import Flask

import audit_service
from audit_service import LoginAudit, receivers, signals
from audit_service.cli import main
from audit_service.cli.app_commands import audit
from audit_service.events.admin import AdminFilters
from audit_service.events.errors import ErrorFilters
from audit_service.events.logins import LoginFilters
from audit_service.events.operators import Operator
from audit_service.history.parameters import Paging
from audit_service.login.report import Report
from audit_service.settings.environment import NAMES
from audit_service.settings.table import Settings, setting_help, setting_type
from audit_service.storage.database import Base
from audit_service.storage.models import AdminEvent, ErrorEvent, LoginEvent
from audit_service.vocabulary import Action, AdminAction, Reason
from tests.support.documents import section, table

REFERENCE = "docs/reference.md"
SIGNALS = "docs/signals.md"


@pytest.mark.parametrize(("model", "place"), [(LoginEvent, "logins"), (ErrorEvent, "errors"), (AdminEvent, "admin")])
def test_every_stored_field_is_explained(model: type[Base], place: str) -> None:
    rows = [row for row in table(REFERENCE, "Fields of an event") if row[1] == "all" or place in row[1].split(", ")]
    assert {row[0].strip("`") for row in rows} == set(model.__table__.columns.keys())


def test_every_word_of_a_vocabulary_is_explained() -> None:
    rows = table(REFERENCE, "Fields of an event")
    words = {(row[0].strip("`"), row[1]): re.findall(r"`(\w+)`", row[2]) for row in rows}
    assert words["reason", "logins"] == list(Reason)
    assert words["action", "logins"] == list(Action)
    assert words["action", "admin"] == list(AdminAction)


def test_every_setting_is_explained() -> None:
    rows = {row[0].strip("`"): row[1:] for row in table(REFERENCE, "Settings")}
    assert list(rows) == NAMES
    defaults = Settings()
    for name, (type_, default, meaning) in rows.items():
        field = name.removeprefix("AUDIT_").lower()
        assert (type_, meaning) == (setting_type(field), setting_help(field))
        if getattr(defaults, field):
            assert default.strip("`") == str(getattr(defaults, field))


def test_every_parameter_is_named() -> None:
    parameters = {name for row in table(REFERENCE, "Parameters") for name in re.findall(r"`([\w:]+)`", row[0])}
    kinds = (LoginFilters, ErrorFilters, AdminFilters)
    filters = {field.encode_name for kind in kinds for field in msgspec.structs.fields(kind)}
    negations = {name for name in filters if name.endswith(Operator.NOT)}
    assert parameters == {*(filters - negations), *Paging.__struct_fields__}
    rows = section(REFERENCE, "Parameters")
    assert set(re.findall(r"`(\w+!)=", rows.split("\n\n")[-1])) == negations


@pytest.mark.parametrize("backend", ["sqlite"])
def test_every_route_is_named(app: Flask) -> None:
    cells = " ".join(row[0] for row in table(REFERENCE, "Routes"))
    named = set(re.findall(r"`([A-Z]+) (/\S*)`", cells.replace("<id>", "<event_id>")))
    files_and_refusals = ("/static/", "/docs/static/", "/<path:_path>")
    assert named == {
        (method, rule.rule.replace("<audit_name:", "<").replace("<path:", "<"))
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
        if not any(part in rule.rule for part in files_and_refusals)
    }


def test_every_command_is_named() -> None:
    named = {row[0].strip("`") for row in table(REFERENCE, "Commands")}
    commands = set()
    for name, command in main.commands.items():
        below = list(command.commands) if isinstance(command, click.Group) else []
        commands.add(" ".join(["audit-service", name, "\\|".join(below)]).strip())
    assert named == {*commands, *(f"flask audit {name}" for name in audit.commands.keys() - main.commands.keys())}


def test_the_commands_of_an_app_are_named() -> None:
    named = {row[0].strip("`").removeprefix("flask audit ") for row in table("docs/extension.md", "The commands")}
    assert named == audit.commands.keys()


def test_every_signal_is_named() -> None:
    named = set(re.findall(r"`(\w+_signal)`", section(SIGNALS, "The trail's own")))
    assert named == {name for name, value in vars(signals).items() if isinstance(value, NamedSignal)}


def test_every_argument_of_a_signal_is_explained() -> None:
    rows = {row[0].strip("`"): row[1] for row in table(SIGNALS, "The trail's own")}
    assert {name for name, of in rows.items() if of == "all"} == receivers.OPTIONAL
    assert {name for name, of in rows.items() if of == "all, required"} == {"username"}
    assert {name for name, of in rows.items() if of == "`login_failed_signal`"} == {"reason"}


def test_every_exported_name_is_explained() -> None:
    named = {name for row in table(REFERENCE, "Python") for name in re.findall(r"`(\w+)`", row[0])}
    assert named == set(audit_service.__all__)


def test_every_parameter_of_the_extension_is_explained() -> None:
    named = [row[0].strip("`") for row in table(REFERENCE, "LoginAudit")]
    parameters = inspect.signature(LoginAudit).parameters
    assert named == [name for name, parameter in parameters.items() if parameter.kind is parameter.KEYWORD_ONLY]


def test_every_member_of_a_report_is_explained() -> None:
    rows = {row[0].strip("`"): row[1] for row in table("docs/reports.md", "Members")}
    fields = msgspec.structs.fields(Report)
    assert list(rows) == [field.name for field in fields]
    for field in fields:
        assert rows[field.name].startswith("required") is field.required
