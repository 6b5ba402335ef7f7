"""Tracebacks in parts."""

import textwrap

from audit_service.pages.tracebacks import parts_of

CHAINED = """\
Traceback (most recent call last):
  File "/srv/venv/lib/python3.13/site-packages/flask/app.py", line 919, in full_dispatch_request
    rv = self.dispatch_request()
         ^^^^^^^^^^^^^^^^^^^^^^^
  File "/usr/lib/python3.13/contextlib.py", line 81, in inner
    return func(*args, **kwds)
  File "/srv/shop/views.py", line 12, in pay
    charge(card)
  [Previous line repeated 2 more times]
  File "/srv/venv/lib/python3.13/site-packages/six.py", line 3, in raise_from
    raise value
shop.PaymentError: declined

The above exception was the direct cause of the following exception:

ValueError: no
"""


def test_frames_of_libraries_are_apart() -> None:
    parts = parts_of(CHAINED)
    assert "\n".join(part.text for part in parts) == CHAINED.rstrip("\n")
    assert [(part.libraries, part.frames) for part in parts] == [
        ([], 0),
        (["flask", "Python"], 2),
        ([], 1),
        (["six"], 1),
        ([], 0),
    ]
    assert "shop/views.py" in parts[2].text
    assert "repeated" in parts[2].text
    assert parts[4].text.startswith("shop.PaymentError: declined")


def test_exception_groups() -> None:
    group = textwrap.dedent("""\
          + Exception Group Traceback (most recent call last):
          |   File "/srv/shop/jobs.py", line 3, in run
          |     work()
          |   File "/x/site-packages/celery/app.py", line 3, in run
          |     work()
          | ExceptionGroup: two (2 sub-exceptions)
          +-+---------------- 1 ----------------
            | ValueError: one""")
    assert [part.libraries for part in parts_of(group)] == [[], ["celery"], []]


def test_nothing_is_folded_where_all_is_of_libraries() -> None:
    text = (
        'Traceback (most recent call last):\n  File "/x/site-packages/flask/app.py", line 1, in f\n    g()\nKeyError: 1'
    )
    (part,) = parts_of(text)
    assert part.text == text
    assert not part.libraries
