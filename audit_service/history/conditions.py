"""Filters as SQL conditions."""

import ipaddress
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, FromClause, and_, cast, func, literal, or_
from sqlalchemy.dialects.postgresql import INET

from audit_service.events.request_info import network_of
from audit_service.history.filters import EventFilters

VOCABULARIES = ("action", "outcome", "reason")  # their words stand in the SQL: partial indexes are found by them


def conditions(
    table: FromClause, filters: EventFilters, dialect: str, owner: str | None = None
) -> dict[str, ColumnElement[bool]]:
    """Return the conditions by the names of the filters; with *owner*, also that the login is one of that username."""
    found: dict[str, ColumnElement[bool]] = {}
    for name, value in msgspec.structs.asdict(filters).items():
        if name == "since" and value:
            found[name] = table.c.timestamp >= value
        elif name == "until" and value:
            found[name] = table.c.timestamp < value
        elif name == "remote_addr" and value:
            found[name] = or_(*(_address(table, text, dialect) for text in value))
        elif value and name in VOCABULARIES:
            words = [literal(word.value, literal_execute=True) for word in value]
            found[name] = or_(*(table.c[name] == word for word in words))
        elif value:  # a list: any of these
            found[name] = table.c[name] == value[0] if len(value) == 1 else table.c[name].in_(value)
    if owner is not None:
        found["owner"] = table.c.username == owner
    return found


def parent_of(network: str) -> str | None:
    """Return the network of ``network_of`` that *network* is, or lies in; null for one that is larger."""
    parsed = ipaddress.ip_network(network)
    parent = network_of(str(parsed.network_address)) or ""
    return parent if parsed.prefixlen >= ipaddress.ip_network(parent).prefixlen else None


def _address(table: FromClause, text: str, dialect: str) -> ColumnElement[bool]:
    """Refused attempts that were counted have a network and no address: they are in what their network is in."""
    address, network = table.c.remote_addr, table.c.get("network")
    if "/" not in text:
        return address == text
    if dialect != "postgresql":
        return func.audit_in_network(address if network is None else func.coalesce(address, network), text) == 1
    is_in = address.op("<<=", is_comparison=True)(cast(literal(text), INET))
    if network is None:
        return is_in
    parent = parent_of(text)
    if parent is None:
        return or_(is_in, and_(address.is_(None), is_network_in(network, text)))
    return network == parent if parent == text else and_(network == parent, is_in)


def is_network_in(network: ColumnElement[Any], text: str) -> ColumnElement[bool]:
    """Return the condition that a text column of networks lies in a network, on PostgreSQL."""
    return cast(network, INET).op("<<=", is_comparison=True)(cast(literal(text), INET))
