"""Charts as SVG documents, which the pages show as images: their style is in them, and the pages need none of it."""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, time, timedelta
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

from flask import Response, request

from audit_service.events.base import EventFilters
from audit_service.history.summary import DEFAULT_SPAN
from audit_service.history.summing import By, Count, Summary
from audit_service.web import display

_COLOURS = ("#2f9e62", "#d9485f")  # successes, failures: on a light ground and on a dark one
_GREY = "#7d8590"
_WIDE, _NARROW = (1000, 220, 12), (400, 180, 5)  # pixels, and labels at most, so that they do not overlap
_SPARK = (160, 28)
_BARS = 120  # at most: what is drawn of more takes minutes
_HOURS = timedelta(days=3)  # up to this span charts count by hours
_YEAR = timedelta(days=366)  # a chart of a longer time tells the year


def steps(filters: EventFilters, now: datetime) -> By:
    """Return what a chart of the events that *filters* match counts by: hours or days, as the span asks for."""
    span = (filters.until or now) - (filters.since or (filters.until or now) - DEFAULT_SPAN)
    return By.HOUR if span <= _HOURS else By.DAY


def times_chart(found: Summary, names: tuple[str, str]) -> Response:
    """Return the chart of a summary by time, the times when nothing happened, too."""
    counts = without_gaps(found)
    label = display.hour if found.by is By.HOUR else partial(display.day, has_year=found.until - found.since > _YEAR)
    return counts_chart(counts, [label(datetime.fromisoformat(count.key or "")) for count in counts], names)


def sparkline(found: Summary) -> Response:
    """Return a chart of a summary by time in the size of a word, without any label: one bar for each time.

    Not by pygal, whose document for the same bars is fifty times as large, and a page has many of these.
    """
    width, height = _SPARK
    counts = [count.count for count in without_gaps(found)]
    step, most = width / max(len(counts), 1), max(counts, default=0) or 1
    bars = "".join(
        f"M{(place + 0.5) * step:.1f} {height}v-{max(count / most * height, 2):.1f}"
        for place, count in enumerate(counts)
        if count
    )
    return _answer(
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}">'
        f'<path d="M0 {height}h{width}" stroke="{_GREY}"/>'
        f'<path d="{bars}" stroke="{_COLOURS[1]}" stroke-width="{max(step - 1, 1):.1f}"/></svg>'
    )


def without_gaps(found: Summary) -> list[Count]:
    """Return the counts of a summary by time, with those hours or days that have none.

    Of a long time each count is of several days, so that there are at most ``_BARS``: anybody may ask since the year 1.
    """
    zone = ZoneInfo(found.tz)
    if found.by is not By.HOUR:
        return _days_without_gaps(found, zone)
    counts = {datetime.fromisoformat(count.key or ""): count for count in found.items}
    at = found.since.astimezone(zone).replace(minute=0, second=0, microsecond=0)
    whole = []
    while at < found.until:
        whole.append(counts.get(at) or Count(key=at.isoformat(), count=0, failures=0))
        at = (at.astimezone(UTC) + timedelta(hours=1)).astimezone(zone)
    return whole


def _days_without_gaps(found: Summary, zone: ZoneInfo) -> list[Count]:
    first = found.since.astimezone(zone).date()
    days = ((found.until - timedelta.resolution).astimezone(zone).date() - first).days + 1
    width = max(1, -(-days // _BARS))
    events, failures = Counter[int](), Counter[int]()
    for count in found.items:
        bar = (datetime.fromisoformat(count.key or "").date() - first).days // width
        events[bar] += count.count
        failures[bar] += count.failures
    begins = [datetime.combine(first + timedelta(days=day), time(), zone) for day in range(0, days, width)]
    return [Count(key=begin.isoformat(), count=events[bar], failures=failures[bar]) for bar, begin in enumerate(begins)]


def counts_chart(counts: Sequence[Count], labels: Sequence[str], names: tuple[str, str]) -> Response:
    """Return a chart of *counts*, each a bar of successes and failures with its label; *names* are those of the two.

    It is one for a small screen if the query asks for the width ``narrow``.
    """
    from pygal import StackedBar  # noqa: PLC0415 - pages only
    from pygal.style import Style  # noqa: PLC0415

    width, height, most = _NARROW if request.args.get("width") == "narrow" else _WIDE
    style = Style(
        background="transparent",
        plot_background="transparent",
        foreground=_GREY,
        foreground_strong=_GREY,
        foreground_subtle=_GREY,
        guide_stroke_color=f"{_GREY}55",
        major_guide_stroke_color=f"{_GREY}55",
        guide_stroke_dasharray="none",
        major_guide_stroke_dasharray="none",
        colors=_COLOURS,
        font_family="sans-serif",
        label_font_size=14,
        major_label_font_size=14,
        opacity="1",
    )
    chart = StackedBar(
        style=style,
        width=width,
        height=height,
        margin=4,
        spacing=6,
        show_legend=False,
        js=[],
        no_data_text="",
        show_minor_x_labels=False,
        x_labels_major_every=max(1, -(-len(labels) // most)),
        truncate_label=-1,
        max_scale=5,
        order_min=0,  # steps of whole numbers
        value_formatter=lambda value: f"{value:,.0f}",
    )
    chart.x_labels = labels
    chart.add(names[0], [count.count - count.failures for count in counts])
    chart.add(names[1], [count.failures for count in counts])
    chart.add_xml_filter(_without_scripts)
    return _answer(chart.render())


def _answer(svg: bytes | str) -> Response:
    return Response(svg, content_type="image/svg+xml", headers={"Cache-Control": "private, max-age=60"})


def _without_scripts(root: Any) -> Any:
    for parent in list(root.iter()):
        for child in list(parent):
            if str(child.tag).endswith("script"):
                parent.remove(child)
    return root
