"""What admins do on pages, and what the trail has of it."""

from flask import Flask
from sqlalchemy.orm import Session

from audit_service.context import context_of
from audit_service.events.admin import ADMIN_EVENTS, AdminFilters, AdminItem
from audit_service.history.query import list_events
from audit_service.history.question import Question
from audit_service.vocabulary import AdminAction
from tests.support.accounts import ACTOR

ODD = """/<b>&"a/../b" ?#%41;名字"""  # a name with what paths, queries and markup are made of
LOOKS = {AdminAction.HISTORY_READ, AdminAction.ACCESS_REFUSED}


def session_of(app: Flask) -> Session:
    return Session(context_of(app).writer)


def told(app: Flask, *, but: set[AdminAction] = LOOKS) -> list[AdminItem]:
    """The admin events, the newest first, but for looks and for what tests prepare."""
    with session_of(app) as session:
        events = list_events(session, Question(kind=ADMIN_EVENTS, filters=AdminFilters()), limit=100)[0]
    return [event for event in events if event.action not in but and event.actor != ACTOR.name]
