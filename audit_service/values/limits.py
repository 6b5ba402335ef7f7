"""The limits on data that users meet: lengths are in characters unless the name or a comment says otherwise.

The columns, the filters, the API's document and what reads requests take them from here. A column that becomes longer
needs a migration.
"""

# Fields of events. What comes in longer is cut.
APP = 64
USERNAME = 255
ADDRESS = 45  # an IPv6 address with an IPv4 address in it, the longest there is
NETWORK = 43  # an IPv6 address and its prefix length
USER_AGENT = 512
REQUEST_ID = 128  # a longer one is no id, and one is made instead
METHOD = 32
EXCEPTION_TYPE = 255
MESSAGE = 2000
TRACEBACK = 16_384
FINGERPRINT = 64
HTTP_METHOD = 16
PATH = 2048
ENDPOINT = 255
TARGET = 255
DETAILS_BYTES = 4096  # of JSON; larger details are refused
DETAILS_DEPTH = 16  # levels; deeper details are refused
DETAILS_NUMBER = 2**53  # larger numbers are refused: readers of JSON lose digits (RFC 8259, section 6)
UNKNOWN_REASON = 255  # of a reason that is none of ours, in the details

# Questions about the history. What is beyond is refused.
EVENTS = 1000  # in one answer
EVENTS_BY_DEFAULT = 100
GROUPS = 1000  # in one answer
GROUPS_BY_DEFAULT = 100
COUNTS = 1000  # in one answer
COUNTS_BY_DEFAULT = 10
CELLS = 200_000  # of a time and a value of a field, that are counted for one answer
DAYS_BY_DEFAULT = 30  # that figures cover when a question does not say since when
IDLE_DAYS = 36_500
FILTER_VALUES = 100  # of one filter
NETWORK_FILTER = 64  # the text of a network as it may be written
DETAIL_FILTER = 512  # a key, "=" and a value
TIME_ZONE = 64
CURSOR = 512

# Reports of logins. What is beyond is refused, a text is cut.
REPORTS = 500  # in one list
REPORTS_BYTES = 1024 * 1024  # of a body
REPORT_TEXT = 1024  # of any text, before it is cut to what is stored
REPORT_MINUTES_AHEAD = 5  # of a time: clocks differ

# Accounts and tokens. What is beyond is refused.
PASSWORD_MIN = 12
PASSWORD_MAX = 256
TOKEN_NAME = 64
TOKEN_DAYS = 3660  # until one expires, if it does

# The log of the trail.
ORIGIN = 255  # characters of the name of a log, which is its key's, too
