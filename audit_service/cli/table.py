"""Rows as a table for people."""

import unicodedata
from collections.abc import Iterable, Sequence
from datetime import datetime

import click


def echo_table(headings: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print *rows* in columns as wide as their widest cell; None is empty, times are UTC to the second."""
    for line in lines_of([headings, *rows]):
        click.echo(line)


def lines_of(rows: Iterable[Sequence[object]]) -> list[str]:
    """Return a line for each of *rows*, whose cells stand below one another."""
    cells = [[_text(value) for value in row] for row in rows]
    widths = [max(map(_width, column)) for column in zip(*cells, strict=True)]
    return [
        "  ".join(cell + " " * (width - _width(cell)) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in cells
    ]


def _text(value: object) -> str:
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M:%SZ")
    return "" if value is None else str(value)


def _width(text: str) -> int:
    """Return how many places a terminal needs: two for a Chinese character, none for a combining one."""
    return sum(
        0 if unicodedata.combining(letter) else 1 + (unicodedata.east_asian_width(letter) in "WF") for letter in text
    )
