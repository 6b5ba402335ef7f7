"""Pages over several keys, on PostgreSQL: several names, addresses or apps, or a network of many networks.

An index holds the events of each key in the order of time, but not those of several. So a few of each key are looked at
first: the last that fits on a page of these bounds what can be on the page at all. Then each key is asked for what is
within the bound, and no event beyond it is read or sorted.

A large network may have thousands of keys, and then a page of it is often found quicker among the next events of all.
"""

import ipaddress
from typing import Any

from sqlalchemy import (
    CTE,
    ColumnElement,
    Integer,
    Select,
    String,
    Table,
    case,
    cast,
    column,
    func,
    literal,
    literal_column,
    select,
    true,
    union,
    values,
)
from sqlalchemy.dialects.postgresql import INET
from sqlalchemy.sql.expression import UnaryExpression
from sqlalchemy.sql.operators import custom_op

from audit_service.history.comparing import begins
from audit_service.history.conditions import is_network_in, parent_of

PAGES_SAMPLED = 3  # of which the bound is made; more make it sharper, and dearer


def merged(
    table: Table, key: ColumnElement[Any], keys: CTE, found: list[ColumnElement[bool]], *, newest: bool, limit: int
) -> Select[Any]:
    """Return the query of a page: at most *limit* events whose *key* is one of *keys*, for which *found* holds."""
    share = 3 + PAGES_SAMPLED * limit / select(func.count() + 1).select_from(keys).scalar_subquery()
    sample_of_key = (
        select(table.c.timestamp, table.c.seq)
        .where(key == keys.c.key, *found)
        .order_by(*in_order_of_time(table.c, newest=newest, by_filter=True))
        .limit(cast(share, Integer))
        .lateral("sample_of_key")
    )
    sample = (
        select(sample_of_key)
        .select_from(keys.join(sample_of_key, true()))
        .order_by(*in_order_of_time(sample_of_key.c, newest=newest))
        .limit(limit)
        .cte("sample")
        .prefix_with("MATERIALIZED")
    )
    furthest = func.min(sample.c.timestamp) if newest else func.max(sample.c.timestamp)
    nothing: ColumnElement[Any] = literal_column("'-infinity'::timestamptz" if newest else "'infinity'::timestamptz")
    bound = select(case((func.count() == limit, furthest), else_=nothing)).select_from(sample).scalar_subquery()
    is_within = table.c.timestamp >= bound if newest else table.c.timestamp <= bound
    of_key = (
        select(table)
        .where(key == keys.c.key, is_within, *found)
        .order_by(*in_order_of_time(table.c, newest=newest, by_filter=True))
        .limit(limit)
        .lateral("of_key")
    )
    page = select(of_key).select_from(keys.join(of_key, true()))
    return page.order_by(*in_order_of_time(of_key.c, newest=newest)).limit(limit)


def values_of(key: ColumnElement[Any], given: list[Any]) -> CTE:
    """Return *given* as keys."""
    rows = values(column("key", key.type), name="given").data([(value,) for value in dict.fromkeys(given)])
    typed = cast(rows.c.key, key.type)  # else an address is text to PostgreSQL
    return select(typed.label("key")).cte("keys").prefix_with("MATERIALIZED")


def networks_of(table: Table, given: list[str]) -> CTE:
    """Return as keys the networks (/24, of IPv6 /64) that the addresses and networks *given* are in, or have in them.

    Those that events have in a larger network are found by jumps through the index.
    """
    near = {parent for text in given if (parent := parent_of(text))}
    parts = (
        [select(values(column("key", String), name="near").data([(each,) for each in sorted(near)]))] if near else []
    )
    wide = [text for text in given if parent_of(text) is None]
    parts += [_networks_in(table, text, number) for number, text in enumerate(wide)]
    without_address = (table.c.remote_addr.is_(None), table.c.network.is_not(None))
    parts += [select(table.c.network).where(*without_address, is_network_in(table.c.network, text)) for text in wide]
    return union(*parts).cte("keys").prefix_with("MATERIALIZED")


def _networks_in(table: Table, network: str, number: int) -> Select[Any]:
    parsed = ipaddress.ip_network(network)
    prefix = 24 if parsed.version == 4 else 64  # noqa: PLR2004
    address = table.c.remote_addr
    last = cast(literal(str(parsed.broadcast_address)), INET)
    first = select(address.label("address")).where(
        address >= cast(literal(str(parsed.network_address)), INET), address <= last
    )
    seen = first.order_by(address).limit(1).cte(f"seen_{number}", recursive=True)
    end_of_network = cast(func.host(func.broadcast(func.set_masklen(seen.c.address, prefix))), INET)
    following = select(address.label("address")).where(address > end_of_network, address <= last)
    jump = following.order_by(address).limit(1).lateral("jump")
    seen = seen.union_all(select(jump.c.address).select_from(seen.join(jump, true())))
    return select(cast(func.network(func.set_masklen(seen.c.address, prefix)), String).label("key"))


def names_query(key: ColumnElement[str], prefix: str, limit: int) -> Select[Any]:
    """Return the query of the first *limit* values of *key* that begin with *prefix*, by jumps through its index."""
    found = select(key.label("key")).where(begins(key, prefix)).order_by(key).limit(1).cte("found", recursive=True)
    jump = select(key.label("key")).where(begins(key, prefix), key > found.c.key).order_by(key).limit(1).lateral("jump")
    found = found.union_all(select(jump.c.key).select_from(found.join(jump, true())))
    return select(found.c.key).limit(limit)


def in_order_of_time(
    columns: Any, *, newest: bool, by_filter: bool = False, is_sorted: bool = False
) -> list[ColumnElement[Any]]:
    """Return the order by (``timestamp``, ``seq``); *by_filter* places nulls, as only the filters' indexes do.

    What *is_sorted* is found by another index: SQLite must not read the index of all events by time for its order.
    """
    sort = [columns.timestamp, columns.seq]
    if is_sorted:  # SQLite's documentation calls it the unary "+" operator
        sort = [UnaryExpression(each, operator=custom_op("+"), type_=each.type) for each in sort]
    if newest:
        return [each.desc().nulls_last() if by_filter else each.desc() for each in sort]
    return [each.asc().nulls_first() if by_filter else each.asc() for each in sort]
