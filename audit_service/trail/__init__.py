"""The write side: the recorder makes events durable, in the trail or, while that is away, in the spool.

An event that belongs to an open transaction, such as a change of an account, is appended there instead, with
``append.append_within``. Nothing else writes events: an import contract says who may import ``append``.
"""
