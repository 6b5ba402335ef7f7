"""httpx without TLS: to read the machine's certificates, which it does for each request, takes longer than to ask."""

from functools import partial

import httpx

get = partial(httpx.get, verify=False)
post = partial(httpx.post, verify=False)
request = partial(httpx.request, verify=False)
Client = partial(httpx.Client, verify=False)
