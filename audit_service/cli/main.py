"""The group ``audit-service`` and how its errors look: one line, exit status 1."""

import errno
import sqlite3
from pathlib import Path
from typing import Any

import click

main.add_command(witness.witness)
