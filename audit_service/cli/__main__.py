"""``python -m audit_service.cli``: the command line where no console script is on the PATH."""

from audit_service.cli import main

main(prog_name="audit-service")
