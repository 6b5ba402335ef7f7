#!/bin/bash
# Report a login: report.sh NAME success|failure ADDRESS, with REPORT_URL and REPORT_TOKEN in the environment.
set -euo pipefail

time=$(printf '%012x' "$(date +%s%3N)")
random=$(od -An -N9 -tx1 /dev/urandom | tr -d ' \n')
id="${time:0:8}-${time:8}-7${random:0:3}-8${random:3:3}-${random:6}"

# The name goes into JSON: what would end the text there is escaped.
name=${1//\\/\\\\}
name=${name//\"/\\\"}

# --retry sends it again after a time-out, 429 and 5xx; it stays the same event, as it has an id.
# The token is read from standard input: arguments are seen by all users of the machine.
answer=$(
  curl --silent --show-error --fail-with-body --max-time 10 --retry 4 --retry-connrefused \
    --header @- --header 'Content-Type: application/json' \
    --data "{\"id\": \"$id\", \"username\": \"$name\", \"outcome\": \"$2\", \"remote_addr\": \"$3\"}" \
    "$REPORT_URL" <<< "Authorization: Bearer $REPORT_TOKEN"
) || { echo "$answer" >&2; exit 1; }
echo "$id"
