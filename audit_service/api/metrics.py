"""``GET /metrics``, which only the service has: an app with the extension may have metrics of its own there."""

from flask import Response
from prometheus_client import CONTENT_TYPE_LATEST

from audit_service.access.viewer import viewer_for
from audit_service.operations.metrics import metrics_text
from audit_service.web.answers import OUR_ERRORS, problem, register_errors
from audit_service.web.routes import PlainBlueprint

blueprint = PlainBlueprint("audit_metrics", __name__)


@blueprint.get("/metrics")
def show_metrics() -> Response:
    """Tell Prometheus how the trail is. Who has checkpoints outside is not for everybody: ``/readyz`` names nobody."""
    viewer_for(auditors_only=True)
    return Response(metrics_text(), content_type=CONTENT_TYPE_LATEST, headers={"Cache-Control": "no-store"})


register_errors(blueprint, problem, OUR_ERRORS)
