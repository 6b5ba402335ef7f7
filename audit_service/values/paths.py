"""Where a page may send its reader on to."""

import re


def own_path(path: str) -> str:
    """Return *path* if it is one of this site, else "/": a link to one of our forms must not lead elsewhere."""
    # Browsers take "//host", "/\\host" and what has control characters in it for addresses of other sites.
    return path if re.fullmatch(r"/(?![/\\])[!-\[\]-~]*", path) else "/"
