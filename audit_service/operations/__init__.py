"""What those who run the service look at: readiness and logs."""
