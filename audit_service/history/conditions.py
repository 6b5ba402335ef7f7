"""Filters as SQL conditions."""

import ipaddress
from enum import StrEnum
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Dialect, FromClause, and_, cast, func, literal, or_, true
from sqlalchemy.dialects.postgresql import INET

from audit_service.events.base import Kind
from audit_service.events.operators import Operator, split
from audit_service.events.request_info import network_of
from audit_service.history.comparing import contains, has_member, is_any_of
from audit_service.history.question import Question
from audit_service.storage.dialects import is_postgresql
from audit_service.vocabulary import Action, Outcome


def conditions(table: FromClause, question: Question, dialect: Dialect) -> dict[str, ColumnElement[bool]]:
    """Return the conditions by the names of their filters; ``owner`` is the one that the question's owner sets."""
    found: dict[str, ColumnElement[bool]] = {}
    for name, value in msgspec.structs.asdict(question.filters).items():
        if not value:
            continue
        if name == "since":
            found[name] = table.c.timestamp >= value
        elif name == "until":
            found[name] = table.c.timestamp < value
        else:
            found[name] = _condition(table, name, value, dialect)
    if question.owner is not None:
        found["owner"] = _is_of(table, question.kind, question.owner)
    return found


def succeeded(table: FromClause) -> tuple[ColumnElement[bool], ...]:
    """Return the conditions that an event is a login that succeeded."""
    return table.c.action == Action.LOGIN.value, table.c.outcome == Outcome.SUCCESS.value


def _condition(table: FromClause, name: str, values: list[Any], dialect: Dialect) -> ColumnElement[bool]:
    """Return the condition that an event has any of the *values* of a filter; for ``NOT``, that it has none of them."""
    field, operator = split(name)
    column = table.c[field]
    match operator:
        case Operator.NOT:
            return _condition(table, field, values, dialect).is_not(true())
        case Operator.IGNORE_CASE | Operator.PREFIX:
            return is_any_of(column, values, dialect, is_whole=operator is Operator.IGNORE_CASE)
        case Operator.CONTAINS:
            return or_(*(contains(column, part, dialect) for part in values))
    return _is_any_of(table, field, values, dialect)


def _is_any_of(table: FromClause, field: str, values: list[Any], dialect: Dialect) -> ColumnElement[bool]:
    column = table.c[field]
    if field == "remote_addr":
        return or_(*(_address(table, text, dialect) for text in values))
    if field == "details":
        return _has_members(column, values, dialect)
    if isinstance(values[0], StrEnum):  # stands in the SQL: partial indexes are found by it
        return or_(*(column == literal(word.value, literal_execute=True) for word in values))
    return column == values[0] if len(values) == 1 else column.in_(values)


def _has_members(column: ColumnElement[Any], members: list[str], dialect: Dialect) -> ColumnElement[bool]:
    """Return the condition that the details have, for each key that is asked for, any of the values asked for."""
    by_key: dict[str, list[ColumnElement[bool]]] = {}
    for text in members:
        by_key.setdefault(text.partition("=")[0], []).append(has_member(column, text, dialect))
    return and_(*(or_(*any_of) for any_of in by_key.values()))


def _is_of(table: FromClause, kind: Kind, owner: str) -> ColumnElement[bool]:
    if kind.owner is None:
        raise ValueError(f"{kind.what} have no owner")
    return table.c[kind.owner] == owner


def parent_of(network: str) -> str | None:
    """Return the network of ``network_of`` that *network* is, or lies in; None for one that is larger."""
    parsed = ipaddress.ip_network(network)
    parent = network_of(str(parsed.network_address)) or ""
    return parent if parsed.prefixlen >= ipaddress.ip_network(parent).prefixlen else None


def _address(table: FromClause, text: str, dialect: Dialect) -> ColumnElement[bool]:
    """Return the condition that an event is from the address, or from the network, *text*.

    An event that counts refused attempts has a network and no address: it is where its network is.
    """
    address, network = table.c.remote_addr, table.c.get("network")
    if "/" not in text:
        return address == text
    if not is_postgresql(dialect):
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
