"""How many connections a worker may have: each is an open file, and no other part may run out of these."""

import resource

MOST = 4096  # connections of a worker
OTHERS = 256  # open files that are no connections of clients, beside two for each thread


def allow_connections(threads: int) -> int:
    """Raise the limit of open files of this process and its children, as far as needed and allowed.

    Returns how many connections a worker with so many *threads* may have.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    others = OTHERS + 2 * threads
    if soft != resource.RLIM_INFINITY and soft < MOST + others:
        soft = MOST + others if hard == resource.RLIM_INFINITY else min(MOST + others, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return MOST if soft == resource.RLIM_INFINITY else max(1, min(MOST, soft - others))
