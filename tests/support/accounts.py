"""Who the accounts of tests are."""

from audit_service.events.admin import Actor

PASSWORD = "correct horse battery"
ACTOR = Actor(name="tests", app="tests")
