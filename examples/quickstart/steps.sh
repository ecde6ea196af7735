# What the examples that play the way of a push share; run.sh here and in
# ../redis read it. It works in the current directory and keeps everything in
# ./data. The variables of the environment are named in run.sh.

if [ -z "${DIGESTGATE-}" ]; then
  DIGESTGATE=../../bin/digestgate
  [ -x "$DIGESTGATE" ] || DIGESTGATE=digestgate
fi
umask 077
mkdir -p data

step() { printf '\n== %s\n' "$*"; }
say() { printf '   %s\n' "$*"; }
fail() {
  printf '\nNOT AS EXPECTED: %s\n' "$*" >&2
  for log in data/*.log; do
    [ ! -f "$log" ] || { echo "The last lines of $log:"; tail -n 20 "$log"; } >&2
  done
  exit 1
}

# has TEXT PART: whether PART is in TEXT.
has() { case $1 in *"$2"*) return 0 ;; esac; return 1; }

# soon WHAT COMMAND…: waits until the command succeeds, 60 seconds at most.
soon() {
  what=$1
  shift
  tries=0
  until "$@"; do
    tries=$((tries + 1))
    [ "$tries" -le 600 ] || fail "$what: not within 60 seconds"
    sleep 0.1
  done
}

# address LOG LISTENER: the log names it, whatever port it was given.
address() { sed -n "s/.*msg=listening listener=$2 address=\([^ ]*\).*/\1/p" "data/$1.log"; }

# ready NAME PID: whether the process that logs to data/NAME.log is.
ready() {
  kill -0 "$2" 2>/dev/null || fail "the process $1 ended"
  private=$(address "$1" private)
  [ -n "$private" ] && curl -fsS "http://$private/readyz" >"data/$1.ready" 2>/dev/null
}

# webhook_secret makes data/webhook-secret, which Harbor would have too, and sets
# secret.
webhook_secret() {
  [ -f data/webhook-secret ] || od -An -N24 -tx1 /dev/urandom | tr -d ' \n' >data/webhook-secret
  secret=$(cat data/webhook-secret)
}

# about_image FOLDER: writes data/delivery.json and data/pod.yaml, those of FOLDER
# or, with IMAGE, the same about that image, for which it sets
# DIGESTGATE_REGISTRIES. Sets image to what the Pod runs.
about_image() {
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
    sed -e "s|hub.harbor.com/test-webhook/debian:latest|$IMAGE|" -e "s|sha256:[0-9a-f]*|$DIGEST|" \
      -e "s|\"tag\": \"latest\"|\"tag\": \"$tag\"|" -e "s|test-webhook/debian|$repository|" "$1/delivery.json" >data/delivery.json
    sed "s|image: .*|image: $host/$repository@$DIGEST|" "$1/pod.yaml" >data/pod.yaml
  else
    cp "$1/delivery.json" "$1/pod.yaml" data/
  fi
  image=$(sed -n 's/^ *image: //p' data/pod.yaml)
}
