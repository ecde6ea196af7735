#!/bin/sh
# Two replicas and a worker on one Redis: a push sent to one is known to both,
# both answer Kubernetes the same, and one continues when the other is killed. It
# needs the two programs, curl, redis-server, and nothing else. It ends with an
# error as soon as something is not as announced.
#
#   ./run.sh                                       no registry: the image waits
#   IMAGE=localhost:5000/team/app:1.0 PLAIN_HTTP=1 ./run.sh    an image of yours
#
# DIGESTGATE         the program (default: ../../bin/digestgate, or the PATH)
# REDIS_PORT         where the Redis of this example listens (default: 6399)
# IMAGE              host/repository:tag that your registry serves
# DIGEST             its digest (default: the registry is asked, anonymously)
# PLAIN_HTTP=1       the registry speaks http
# REGISTRY_USERNAME  and REGISTRY_PASSWORD_FILE, when it wants credentials
#
# Everything is kept in ./data.
set -eu
cd "$(dirname "$0")"

. ../quickstart/steps.sh
REDIS_PORT=${REDIS_PORT:-6399}
quickstart=../quickstart
one= two= worker= redis=
# A Redis that cannot save what it has, because its folder is gone, does not end.
stop() {
  for process in $one $two $worker $redis; do kill "$process" 2>/dev/null || true; done
  wait
}
trap stop EXIT
trap 'exit 130' INT TERM

command -v redis-server >/dev/null || fail "there is no redis-server; install it: apt-get install redis-server"
mkdir -p data/redis

step "1. A Redis that keeps what it acknowledged, on 127.0.0.1:$REDIS_PORT"
redis-server --port "$REDIS_PORT" --bind 127.0.0.1 --dir "$PWD/data/redis" --appendonly yes \
  --maxmemory-policy noeviction --daemonize no >data/redis.log 2>&1 &
redis=$!
answers() {
  kill -0 "$redis" 2>/dev/null || fail "redis-server ended; is port $REDIS_PORT in use? Try REDIS_PORT=6400 ./run.sh"
  grep -q 'Ready to accept connections' data/redis.log
}
soon "redis-server" answers
say "its data is in data/redis"

step "2. The key that signs what admission relies on, and the secret of the webhook"
[ -f data/mac.key ] || od -An -N32 -tx1 /dev/urandom | tr -d ' \n' >data/mac.key
webhook_secret
say "in data/mac.key and data/webhook-secret; every process gets the same"
"$DIGESTGATE" advisories build --from "$quickstart/advisories" --out data/advisories-db

step "3. The configuration, one for all"
about_image "$quickstart"
DIGESTGATE_STORE_URL=redis://127.0.0.1:$REDIS_PORT/0
export DIGESTGATE_STORE_URL
"$DIGESTGATE" config check -c config.yaml

step "4. Two replicas and a worker"
# start NAME COMMAND…: starts a process with a directory and ports of its own.
start() {
  process=$1
  shift
  "$DIGESTGATE" "$@" -c config.yaml --data-dir "data/$process" --set listen.http=127.0.0.1:0 \
    --set listen.admission=127.0.0.1:0 --set listen.private=127.0.0.1:0 2>"data/$process.log" &
  pid=$!
  soon "$process is ready" ready "$process" "$pid"
  say "$process is ready (process $pid, log in data/$process.log)"
}
start replica-1 serve
one=$pid
start replica-2 serve
two=$pid
start worker worker
worker=$pid

step "5. They are one installation: one admin token, one certificate authority"
cmp data/replica-1/admin-token data/replica-2/admin-token || fail "the tokens differ"
cmp data/replica-1/tls/ca.crt data/replica-2/tls/ca.crt || fail "the authorities differ"
token=$(cat data/replica-1/admin-token)
say "both came from Redis, where they are sealed with data/mac.key"

# get NAME PATH, deliver NAME, admit NAME: ask one replica.
get() { curl -fsS -H "Authorization: Bearer $token" "http://$(address "$1" http)/api/v1/$2"; }
deliver() {
  status=$(curl -sS -o data/answer -w '%{http_code}' -X POST "http://$(address "$1" http)/webhooks/harbor" \
    -H 'Content-Type: application/json' -H "Authorization: $secret" --data-binary @data/delivery.json)
  say "$1: $status $(cat data/answer)"
  [ "$status" = 202 ] || fail "the delivery was answered with $status"
}
admit() {
  code=0
  "$DIGESTGATE" admit -f data/pod.yaml --server "https://$(address "$1" admission)" --ca-file data/replica-1/tls/ca.crt >data/answer || code=$?
  say "$1: exit status $code $(tr -d '\n' <data/answer | sed -n 's/.*"reason": "\([A-Z_]*\)".*/(\1)/p')"
}

step "6. Harbor tells replica-1 of a push"
deliver replica-1

if [ -n "${IMAGE-}" ]; then
  step "7. The worker analyses it; replica-2 has the verdict (0 allowed, 2 denied)"
  printf '%s\n' "$token" >data/token
  verdict=0
  "$DIGESTGATE" wait "$image" --server "http://$(address replica-2 http)" --token-file data/token --timeout 10m || verdict=$?
  say "exit status $verdict"
  [ "$verdict" = 0 ] || [ "$verdict" = 2 ] || fail "there is no verdict on $image"
  get replica-2 quota
else
  step "7. The worker cannot reach a registry; replica-2 says so"
  waits() { has "$(get replica-2 jobs)" 'registry is unavailable'; }
  soon "the job says why it waits" waits
  say "the job stays queued, and burns none of its attempts"
  say "With a registry: IMAGE=localhost:5000/team/app:1.0 PLAIN_HTTP=1 ./run.sh"
  verdict=2
fi

step "8. Kubernetes asks: may this Pod run? Both answer the same"
for replica in replica-1 replica-2; do
  admit "$replica"
  [ "$code" = "$verdict" ] || fail "$replica ended with $code, not with $verdict"
done

step "9. replica-1 is killed; replica-2 continues"
kill -9 "$one"
wait "$one" 2>/dev/null || true
one=
deliver replica-2
admit replica-2
[ "$code" = "$verdict" ] || fail "replica-2 ended with $code, not with $verdict"

step "10. replica-1 comes back, with an empty directory, and knows everything"
rm -r data/replica-1
start replica-1 serve
one=$pid
cmp data/replica-1/admin-token data/replica-2/admin-token || fail "the tokens differ"
admit replica-1
[ "$code" = "$verdict" ] || fail "replica-1 ended with $code, not with $verdict"

step "11. All stop, within their grace of 20 seconds"
for process in $one $two $worker; do
  kill "$process"
  code=0
  wait "$process" || code=$?
  [ "$code" = 0 ] || fail "process $process ended with $code"
done
one= two= worker=
say "done; the logs and Redis's data are in data/"
printf '\nEverything was as expected.\n'
