"""Charts as SVG documents, which the pages show as images: their style is in them, and the pages need none of it."""

from collections.abc import Sequence
from typing import Any

from flask import Response

from audit_service.history.summing import Count

_COLOURS = ("#2f9e62", "#d9485f")  # successes, failures: on a light ground and on a dark one
_WIDTH, _HEIGHT = 1000, 220
_LABELS = 12  # at most, so that they do not overlap


def counts_chart(counts: Sequence[Count], labels: Sequence[str], names: tuple[str, str]) -> Response:
    """Return a chart of *counts*, each a bar of successes and failures with its label; *names* are those of the two."""
    from pygal import StackedBar  # noqa: PLC0415 - pages only
    from pygal.style import Style  # noqa: PLC0415

    style = Style(
        background="transparent",
        plot_background="transparent",
        foreground="#7d8590",
        foreground_strong="#7d8590",
        foreground_subtle="#7d8590",
        colors=_COLOURS,
        font_family="sans-serif",
        label_font_size=14,
        major_label_font_size=14,
        opacity="1",
    )
    chart = StackedBar(
        style=style,
        width=_WIDTH,
        height=_HEIGHT,
        margin=4,
        spacing=6,
        show_legend=False,
        js=[],
        no_data_text="",
        show_minor_x_labels=False,
        x_labels_major_every=max(1, -(-len(labels) // _LABELS)),
        truncate_label=-1,
        max_scale=5,
        value_formatter=lambda value: f"{value:,.0f}",
    )
    chart.x_labels = labels
    chart.add(names[0], [count.count - count.failures for count in counts])
    chart.add(names[1], [count.failures for count in counts])
    chart.add_xml_filter(_without_scripts)
    return Response(chart.render(), content_type="image/svg+xml", headers={"Cache-Control": "private, max-age=60"})


def _without_scripts(root: Any) -> Any:
    for parent in list(root.iter()):
        for child in list(parent):
            if str(child.tag).endswith("script"):
                parent.remove(child)
    return root
