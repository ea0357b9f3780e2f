#!/usr/bin/env bash
# Proves docker-compose.yml on a real daemon: builds the images, starts the fleet with two workers, embeds through the
# published port, follows and cancels jobs, has a webhook delivered to a container, scales, looks at users and contents of
# the containers, kills workers at work, restarts Redis, makes keys and uses them, stops everything gracefully. What a
# client sees is check-client.mjs' matter.
# Has a project, image tag, port and volumes of its own, removes them at the end, and takes at most about 20 minutes.
#
#   NODE_IMAGE, REDIS_IMAGE   base images (default: those of docker-compose.yml)
#   COMPOSE                   `docker compose` (default) or `docker-compose`
#   KEEP_IMAGES=true          leave the built images, tagged MILLRACE_TAG
# Needs bash, node, coreutils' timeout, and a local docker daemon (DOCKER_HOST is honoured).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

export COMPOSE_PROJECT_NAME="millrace-check-$$" MILLRACE_TAG="${MILLRACE_TAG:-check-$$}"
export GATEWAY_PUBLISH=127.0.0.1: ADMIN_KEY="check-$$"
# The receiver is a container in this project's network.
export WEBHOOK_ALLOW_HTTP=true WEBHOOK_ALLOW_CIDRS=10.0.0.0/8,172.16.0.0/12,192.168.0.0/16
receiver="$COMPOSE_PROJECT_NAME-receiver"
read -r -a compose <<<"${COMPOSE:-$(docker compose version >/dev/null 2>&1 && echo docker compose || echo docker-compose)}"

within() { timeout --foreground --kill-after=10 "$@"; }
compose() { within "$1" "${compose[@]}" "${@:2}"; }
say() { printf '%s\n' "check-compose: $*"; }
die() { say "FAILED: $*" >&2; exit 1; }
ids() { compose 20 ps -q "$@"; }
state() { within 20 docker inspect -f "$1" "$2"; }

finish() {
  local status=$?
  trap - EXIT
  if [ "$status" != 0 ]; then compose 30 logs --tail=40 || true; fi
  within 30 docker rm -f "$receiver" >/dev/null 2>&1 || true
  compose 120 down --volumes --remove-orphans >/dev/null 2>&1 || say 'could not remove everything' >&2
  if [ "${KEEP_IMAGES:-false}" != true ]; then
    within 60 docker image rm "millrace-"{gateway,worker,courier}":$MILLRACE_TAG" >/dev/null 2>&1 || true
  fi
  exit "$status"
}
trap finish EXIT
trap 'exit 130' INT TERM

# wait_healthy SECONDS CONTAINER...
wait_healthy() {
  local until=$((SECONDS + $1)) id health
  for id in "${@:2}"; do
    while health=$(state '{{.State.Health.Status}}' "$id"); [ "$health" != healthy ]; do
      [ "$SECONDS" -lt "$until" ] || die "$(state '{{.Name}}' "$id") is $health"
      sleep 1
    done
  done
}

key=
client() { within 150 node deploy/check-client.mjs "$url" "$key" "$@"; }

# Nothing may run as root. The list comes from the daemon's host: the images need no ps.
check_users() {
  local id list pid uid command
  for id in $(ids); do
    list=$(within 20 docker top "$id" -eo pid,uid,args | tail -n +2)
    [ -n "$list" ] || die "no process in $(state '{{.Name}}' "$id")"
    while read -r pid uid command; do
      if [ "$uid" = 0 ]; then die "process $pid of $(state '{{.Name}}' "$id") runs as root: $command"; fi
    done <<<"$list"
  done
}

say 'reading the overlay for NVIDIA cards'
compose 30 -f docker-compose.yml -f docker-compose.cuda.yml config | grep 'capabilities' >/dev/null ||
  die 'docker-compose.cuda.yml does not fit docker-compose.yml'

say "building with ${compose[*]} ($("${compose[@]}" version --short))"
compose 900 build

say 'contents of the images'
for image in gateway worker courier; do
  within 60 docker run --rm --network none "millrace-$image:$MILLRACE_TAG" node -e '
    const { execSync } = require("node:child_process")
    const find = (what) => execSync(`find / -xdev ${what} 2>/dev/null || true`, { encoding: "utf8" }).trim()
    const runtime = find("\\( -path \"*/@huggingface/transformers\" -o -name \"onnxruntime*\" -o -name \"libonnxruntime*\" -o -name sharp -o -name \"*.onnx\" \\) -print")
    const tools = find("-path \"/millrace/*\" \\( -name typescript -o -name turbo -o -name vitest -o -name testkit \\) -print")
    const worker = process.argv[1] === "worker"
    if (!worker && runtime) throw new Error(`model runtime in the ${process.argv[1]}:\n${runtime}`)
    if (worker && !runtime) throw new Error("no model runtime in the worker")
    if (tools) throw new Error(`development tools in the image:\n${tools}`)
    if (process.getuid() === 0) throw new Error("runs as root")' "$image" || die "contents of $image"
  within 60 docker run --rm --network none "millrace-$image:$MILLRACE_TAG" millrace --help | grep ' keys ' >/dev/null ||
    die "no command line in $image"
  say "  millrace-$image: $(($(within 20 docker image inspect -f '{{.Size}}' "millrace-$image:$MILLRACE_TAG") / 1000000)) MB"
done
within 120 docker run --rm --network none --read-only "millrace-worker:$MILLRACE_TAG" millrace prepare

say 'starting, two workers'
compose 180 up -d --no-build --scale worker=2
mapfile -t all < <(ids)
[ "${#all[@]}" = 6 ] || die "expected 6 containers, found ${#all[@]}"
wait_healthy 120 "${all[@]}"
url="http://$(compose 20 port gateway 8080)"
say "healthy at $url"
check_users
for worker in $(ids worker); do
  within 20 docker exec "$worker" node -e 'fs.writeFileSync("/data/probe", ""); fs.unlinkSync("/data/probe")' ||
    die 'a worker cannot write to the volume of downloaded models'
done
for redis in redis-queue:noeviction:yes redis-cache:allkeys-lfu:no; do
  IFS=: read -r name policy log <<<"$redis"
  read -r -d '' -a seen < <(compose 20 exec -T "$name" redis-cli config get 'maxmemory-policy' && compose 20 exec -T "$name" redis-cli config get appendonly && printf '\0')
  [ "${seen[1]}:${seen[3]}" = "$policy:$log" ] || die "$name is set to ${seen[*]}"
done

say 'embedding through the published port'
client embed
client dashboard "$ADMIN_KEY"
client docs

say 'following a job, canceling one'
client events
client cancel

say 'a webhook, to a container'
within 30 docker run -d --name "$receiver" --network "${COMPOSE_PROJECT_NAME}_default" "millrace-courier:$MILLRACE_TAG" \
  node -e 'require("node:http").createServer(async (request, response) => {
    const chunks = await request.toArray()
    console.log(JSON.stringify({ headers: request.headers, body: Buffer.concat(chunks).toString() }))
    response.writeHead(204).end()
  }).listen(9000)' >/dev/null
job=$(client webhook "http://$receiver:9000/hook")
log=$(mktemp)
limit=$((SECONDS + 30))
until within 20 docker logs "$receiver" >"$log" && grep -q "$job" "$log"; do
  [ "$SECONDS" -lt "$limit" ] || die 'no webhook came within 30 s'
  sleep 0.5
done
secret=$(compose 20 exec -T gateway millrace webhook-secrets show --tenant default)
client verify-webhook "$job" "$secret" "$log"
rm "$log"

say 'four workers, then two'
compose 180 up -d --no-build --scale worker=4 >/dev/null 2>&1
mapfile -t workers < <(ids worker)
[ "${#workers[@]}" = 4 ] || die "expected 4 workers, found ${#workers[@]}"
wait_healthy 120 "${workers[@]}"
client workers 4
job=$(client submit-many four-workers)
compose 180 up -d --no-build --scale worker=2 >/dev/null 2>&1
client finish "$job"
client workers 2

say 'killing a worker at work'
job=$(client submit-many one)
mapfile -t workers < <(ids worker)
within 30 docker kill "${workers[0]}" >/dev/null
client await "$job"

say 'killing the process of the other one: it comes back by itself, then works alone'
before=$(state '{{.RestartCount}}' "${workers[1]}")
job=$(client submit-many two)
within 30 docker exec "${workers[1]}" node -e '
  const { readdirSync, readFileSync } = require("node:fs")
  for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
    const command = readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0")
    if (pid !== "1" && command[0] === "node" && command.includes("apps/worker/dist/main.js")) process.kill(Number(pid), "SIGKILL")
  }' || true
client await "$job"
[ "$(state '{{.RestartCount}}' "${workers[1]}")" -gt "$before" ] || die 'the killed worker was not restarted'

say 'restarting both Redis instances: nothing accepted is lost'
wait_healthy 120 "${workers[1]}"
job=$(client submit-many three)
compose 90 restart redis-queue redis-cache >/dev/null 2>&1
client await "$job"

say 'with API keys'
key=$(compose 20 exec -T gateway millrace keys create --tenant check)
client needs-key

say 'stopping gracefully, with work in hand'
client submit-many four >/dev/null
started=$SECONDS
compose 120 stop gateway courier worker >/dev/null 2>&1
for id in $(ids -a gateway courier) "${workers[1]}"; do
  code=$(state '{{.State.ExitCode}}' "$id")
  [ "$code" = 0 ] || die "$(state '{{.Name}}' "$id") ended with $code"
done
say "  in $((SECONDS - started)) s"
say 'all is well'
