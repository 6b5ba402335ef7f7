"""Measurements. They are no tests: nothing fails when a machine is slow."""
