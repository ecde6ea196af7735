#!/bin/sh
# The whole way of a push, from the delivery of the registry to the answer that
# Kubernetes gets. It needs the two programs, curl, and nothing else. It ends with
# an error as soon as something is not as announced.
#
#   ./run.sh                                       no registry: the image waits
#   IMAGE=localhost:5000/team/app:1.0 PLAIN_HTTP=1 ./run.sh    an image of yours
#
# DIGESTGATE         the program (default: ../../bin/digestgate, or the PATH)
# IMAGE              host/repository:tag that your registry serves
# DIGEST             its digest (default: the registry is asked, anonymously)
# PLAIN_HTTP=1       the registry speaks http
# REGISTRY_USERNAME  and REGISTRY_PASSWORD_FILE, when it wants credentials
#
# The server runs in this directory and keeps everything in ./data.
set -eu
cd "$(dirname "$0")"

. ./steps.sh
server=
stop() { [ -z "$server" ] || kill "$server" 2>/dev/null || true; }
trap stop EXIT
trap 'exit 130' INT TERM

step "1. A secret for the webhook, which Harbor would have too"
webhook_secret
say "in data/webhook-secret, readable by you only"

step "2. The advisory database, built from ./advisories"
"$DIGESTGATE" advisories build --from advisories --out data/advisories-db

step "3. The policy keeps its own tests"
"$DIGESTGATE" policy test -v .

step "4. The configuration"
about_image .
"$DIGESTGATE" config check -c config.yaml

step "5. The server"
"$DIGESTGATE" serve -c config.yaml 2>data/server.log &
server=$!
soon "the server is ready" ready server "$server"
http=$(address server http)
admission=$(address server admission)
token=$(cat data/admin-token)
say "webhooks and API:  http://$http"
say "admission:         https://$admission (its authority is in data/tls/ca.crt)"
say "ready:"
sed 's/^/     /' data/server.ready

# deliver SECRET: sends the delivery as Harbor would; sets status and answer.
deliver() {
  status=$(curl -sS -o data/answer -w '%{http_code}' -X POST "http://$http/webhooks/harbor" \
    -H 'Content-Type: application/json' -H "Authorization: $1" --data-binary @data/delivery.json)
  answer=$(cat data/answer)
  say "$status $answer"
}
get() { curl -fsS -H "Authorization: Bearer $token" "http://$http/api/v1/$1"; }

step "6. Harbor sends a push event: with a wrong secret (401), then the right one (202)"
used() { get quota | sed -n 's/.*"used":\([0-9]*\).*/\1/p'; }
before=$(used)
deliver wrong
[ "$status" = 401 ] || fail "a wrong secret was answered with $status"
deliver "$secret"
[ "$status" = 202 ] || fail "the right secret was answered with $status"
has "$answer" '"state":"queued"' || has "$answer" '"state":"duplicate"' || has "$answer" '"state":"known"' ||
  fail "the push was not taken"

if [ -n "${IMAGE-}" ]; then
  step "7. The analysis, and the standing verdict (0 allowed, 2 denied)"
  printf '%s\n' "$token" >data/token
  verdict=0
  "$DIGESTGATE" wait "$image" --server "http://$http" --token-file data/token --timeout 10m || verdict=$?
  say "exit status $verdict"
  [ "$verdict" = 0 ] || [ "$verdict" = 2 ] || fail "there is no verdict on $image"
else
  step "7. No registry: the job waits, and says why"
  waits() { has "$(get jobs)" 'registry is unavailable'; }
  soon "the job says why it waits" waits
  say "harbor.example.com cannot be reached. That is not the image's fault: the job stays"
  say "queued, is tried again without end, and burns none of its attempts (\"attempts\":0)."
  has "$(get jobs)" '"attempts":0' || fail "an attempt was burnt"
  say "With a registry: IMAGE=localhost:5000/team/app:1.0 PLAIN_HTTP=1 ./run.sh"
fi

step "8. The API: jobs, images, quota"
say "GET /api/v1/jobs"
get jobs
say "GET /api/v1/images"
get images
say "GET /api/v1/quota"
get quota
has "$(get quota)" '"limit":100' || fail "the limit of the quota is not 100"
if [ -n "${IMAGE-}" ]; then
  [ "$(used)" -gt 0 ] || fail "no digest was charged"
else
  [ "$(used)" = "$before" ] || fail "a digest of which nothing was pulled was charged"
fi

step "9. Kubernetes asks: may this Pod run?"
code=0
answer=$("$DIGESTGATE" admit -f data/pod.yaml --server "https://$admission" --ca-file data/tls/ca.crt) || code=$?
printf '%s\n' "$answer"
if [ -n "${IMAGE-}" ]; then
  [ "$code" = "$verdict" ] || fail "admission ended with $code, but the standing verdict with $verdict"
else
  say "Nothing is known of the image, so it may not run: UNSCANNED or PENDING."
  [ "$code" = 2 ] || fail "admission ended with $code, not with 2 (denied)"
  has "$answer" '"reason": "UNSCANNED"' || has "$answer" '"reason": "PENDING"' || fail "the reason is another"
fi

step "10. The server stops, within its grace of 20 seconds"
kill "$server"
code=0
wait "$server" || code=$?
server=
[ "$code" = 0 ] || fail "the server ended with $code"
say "done; its log is in data/server.log, and what it knows in data/"
printf '\nEverything was as expected.\n'
