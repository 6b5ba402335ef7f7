"""What an operator looks at and does: readiness, status, logs, imports, the demonstration."""
