#!/usr/bin/env bash
# Builds the image, starts the containers, logs in, reads the history, restarts, reads again. Removes all it made.
set -euo pipefail
cd "$(dirname "$0")/.."
command -v docker >/dev/null || { echo 'test-compose: docker is not on the PATH' >&2; exit 1; }
export COMPOSE_PROJECT_NAME=login-audit-test
base=http://127.0.0.1:8000
cookies=$(mktemp)
cleanup() {
    local code=$?
    [ $code = 0 ] || docker compose logs --no-color --tail 50 || true
    docker compose down --volumes --timeout 5 >/dev/null 2>&1 || true
    rm -f "$cookies"
}
trap cleanup EXIT

passed=0
check() { # check WHAT EXPECTED ACTUAL
    if [[ $3 == *"$2"* ]]; then passed=$((passed + 1)); else echo "test-compose: $1: expected …$2…, got $3" >&2; exit 1; fi
}

docker compose up --build --detach --wait web

printed=$(docker compose logs --no-log-prefix migrate)
password=$(sed -n 's/.* password  *\([A-Za-z0-9_-]*\).*/\1/p' <<<"$printed")
token=$(sed -n 's/.* token  *\([A-Za-z0-9_-]*\).*/\1/p' <<<"$printed")
auth=(-H "Authorization: Bearer $token")

check 'login' 'you are logged in' "$(curl -sS -c "$cookies" -d username=admin --data-urlencode "password=$password" $base/login/)"
check 'wrong password' '"status":401' "$(curl -sS -d username=admin -d password=wrong $base/login/)"
check 'session' '"role":"admin"' "$(curl -sS -b "$cookies" $base/)"
check 'no token' '"status":401' "$(curl -sS $base/api/logins)"
history=$(curl -sS "${auth[@]}" $base/api/logins)
check 'success in the history' '"outcome":"success"' "$history"
check 'failure in the history' '"reason":"bad_password"' "$history"
check 'not root' '10001' "$(docker compose exec -T web id -u)"
check 'health' healthy "$(docker compose ps --format '{{.Health}}' web)"
check 'commands' 'setup' "$(docker compose exec -T web audit-service tokens list)"
check 'history by command' '"bad_password"' "$(docker compose exec -T web audit-service history)"
check 'spool by command' 'waiting   0' "$(docker compose exec -T web audit-service spool status)"
key=$(docker compose exec -T web audit-service trail key)
for _ in {1..60}; do docker compose exec -T web audit-service trail checkpoint >/dev/null 2>&1 && break || sleep 0.5; done
check 'the log is signed' "${key%%+*}" "$(docker compose exec -T web audit-service trail checkpoint)"
check 'the history is proven' 'proven' "$(docker compose exec -T web audit-service verify --vkey "$key" 2>&1)"
check 'no secret in the image' 'none' "$(docker compose run --rm --no-deps -T --entrypoint sh web -c 'env | grep -iE "password|secret_key=" || echo none')"

docker compose down --timeout 10
docker compose up --detach --wait web
check 'history after a restart' "$history" "$(curl -sS "${auth[@]}" $base/api/logins)"
check 'secrets are printed once' 'at revision' "$(docker compose logs --no-log-prefix migrate)"
[[ $(docker compose logs --no-log-prefix migrate) != *token* ]]
check 'session after a restart' '"role":"admin"' "$(curl -sS -b "$cookies" $base/)"

echo "$passed passed, 0 failed"
