"""What an operator looks at: readiness and logs."""
