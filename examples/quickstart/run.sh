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

if [ -z "${DIGESTGATE-}" ]; then
  DIGESTGATE=../../bin/digestgate
  [ -x "$DIGESTGATE" ] || DIGESTGATE=digestgate
fi
server=

step() { printf '\n== %s\n' "$*"; }
say() { printf '   %s\n' "$*"; }
fail() {
  printf '\nNOT AS EXPECTED: %s\n' "$*" >&2
  [ ! -f data/server.log ] || { echo "The last lines of data/server.log:"; tail -n 20 data/server.log; } >&2
  exit 1
}
stop() { [ -z "$server" ] || kill "$server" 2>/dev/null || true; }
trap stop EXIT
trap 'exit 130' INT TERM

# has TEXT PART: whether PART is in TEXT.
has() { case $1 in *"$2"*) return 0 ;; esac; return 1; }

step "1. A secret for the webhook, which Harbor would have too"
umask 077
mkdir -p data
if [ ! -f data/webhook-secret ]; then
  od -An -N24 -tx1 /dev/urandom | tr -d ' \n' >data/webhook-secret
fi
secret=$(cat data/webhook-secret)
say "in data/webhook-secret, readable by you only"

step "2. The advisory database, built from ./advisories"
"$DIGESTGATE" advisories build --from advisories --out data/advisories-db

step "3. The policy keeps its own tests"
"$DIGESTGATE" policy test -v .

step "4. The configuration"
if [ -n "${IMAGE-}" ]; then
  host=${IMAGE%%/*}
  name=${IMAGE#*/}
  repository=${name%:*}
  tag=${name##*:}
  scheme=https
  plain=false
  if [ "${PLAIN_HTTP-}" = 1 ]; then scheme=http plain=true; fi
  if [ -z "${DIGEST-}" ]; then
    accept='application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json'
    DIGEST=$(curl -fsSI -H "Accept: $accept" "$scheme://$host/v2/$repository/manifests/$tag" |
      tr -d '\r' | sed -n 's/^[Dd]ocker-[Cc]ontent-[Dd]igest: *//p')
    [ -n "$DIGEST" ] || fail "$host did not tell the digest of $IMAGE; set DIGEST"
  fi
  # Any key can be set in the environment; the value is YAML.
  DIGESTGATE_REGISTRIES="[{name: harbor, type: harbor, host: '$host', plainHTTP: $plain,
    username: '${REGISTRY_USERNAME-}', passwordFile: '${REGISTRY_PASSWORD_FILE-}',
    webhook: {auth: header, secretFiles: [./data/webhook-secret]}}]"
  export DIGESTGATE_REGISTRIES
  say "registries comes from the environment: $host instead of harbor.example.com"
  # The recorded delivery and the Pod, about your image.
  sed -e "s|hub.harbor.com/test-webhook/debian:latest|$IMAGE|" -e "s|sha256:[0-9a-f]*|$DIGEST|" \
    -e "s|\"tag\": \"latest\"|\"tag\": \"$tag\"|" -e "s|test-webhook/debian|$repository|" delivery.json >data/delivery.json
  sed "s|image: .*|image: $host/$repository@$DIGEST|" pod.yaml >data/pod.yaml
else
  cp delivery.json pod.yaml data/
fi
image=$(sed -n 's/^ *image: //p' data/pod.yaml)
"$DIGESTGATE" config check -c config.yaml

step "5. The server"
"$DIGESTGATE" serve -c config.yaml 2>data/server.log &
server=$!
# The log names each listener, whatever port it was given.
address() { sed -n "s/.*msg=listening listener=$1 address=\([^ ]*\).*/\1/p" data/server.log; }
tries=0
until private=$(address private) && [ -n "$private" ] && ready=$(curl -fsS "http://$private/readyz" 2>/dev/null); do
  kill -0 "$server" 2>/dev/null || fail "the server ended"
  tries=$((tries + 1))
  [ "$tries" -le 300 ] || fail "the server is not ready after 30 seconds"
  sleep 0.1
done
http=$(address http)
admission=$(address admission)
token=$(cat data/admin-token)
say "webhooks and API:  http://$http"
say "admission:         https://$admission (its authority is in data/tls/ca.crt)"
say "ready:"
printf '%s\n' "$ready" | sed 's/^/     /'

# deliver SECRET: sends the delivery as Harbor would; sets status and answer.
deliver() {
  status=$(curl -sS -o data/answer -w '%{http_code}' -X POST "http://$http/webhooks/harbor" \
    -H 'Content-Type: application/json' -H "Authorization: $1" --data-binary @data/delivery.json)
  answer=$(cat data/answer)
  say "$status $answer"
}
get() { curl -fsS -H "Authorization: Bearer $token" "http://$http/api/v1/$1"; }

step "6. Harbor tells of a push: with a wrong secret (401), then the right one (202)"
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
  tries=0
  until has "$(get jobs)" 'registry is unavailable'; do
    tries=$((tries + 1))
    [ "$tries" -le 600 ] || fail "the job does not say why it waits: $(get jobs)"
    sleep 0.1
  done
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
