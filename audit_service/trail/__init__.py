"""The write side: the recorder makes events durable, in the trail or, while that is away, in the spool.

Who has a transaction open that an event belongs to, such as a change of an account, appends it there instead, with
``append.append_within``. Nothing else writes events: an import contract says who may import ``append``.
"""
