#!/usr/bin/env bash
# Proves docker-compose.yml on a real daemon: builds both images, starts the fleet with two workers, embeds through the
# published port, looks at users and contents of the containers, kills a worker at work, stops everything gracefully.
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
  compose 120 down --volumes --remove-orphans >/dev/null 2>&1 || say 'could not remove everything' >&2
  if [ "${KEEP_IMAGES:-false}" != true ]; then
    within 60 docker image rm "millrace-gateway:$MILLRACE_TAG" "millrace-worker:$MILLRACE_TAG" >/dev/null 2>&1 || true
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

# The client: answers are compared with the reference vectors that came with the starter model.
client() {
  within 150 node --input-type=module - "$url" "$@" <<'JS'
import { readFileSync } from 'node:fs'
const [url, task, ...rest] = process.argv.slice(2)
const model = 'all-MiniLM-L6-v2'
const { items } = JSON.parse(readFileSync(`models/${model}/parity.json`, 'utf8'))
const known = items.slice(0, 5)
const call = async (path, init = {}) => {
  const answer = await fetch(`${url}${path}`, { signal: AbortSignal.timeout(70_000), ...init })
  return { answer, body: await answer.json() }
}
const submit = (body, wait) =>
  call('/v1/jobs', {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...(wait ? { prefer: `wait=${wait}` } : {}) },
    body: JSON.stringify({ model, ...body }),
  })
const cosine = (a, b) => {
  const dot = (x, y) => x.reduce((sum, value, i) => sum + value * y[i], 0)
  return dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b))
}
const insist = (condition, what, seen) => {
  if (condition) return
  console.error(`${what}: ${JSON.stringify(seen)?.slice(0, 600)}`)
  process.exit(1)
}
const insistParity = (output, wanted) =>
  wanted.forEach(({ text, embedding }, i) => {
    insist(Array.isArray(output?.[i]) && cosine(output[i], embedding) >= 0.995, `wrong vector of "${text}"`, output?.[i])
  })

if (task === 'embed') {
  const first = await submit({ inputs: known.map(({ text }) => text) }, 30)
  insist(first.answer.status === 200 && first.body.status === 'succeeded', 'not answered within 30 s', first.body)
  insistParity(first.body.output, known)
  const again = await submit({ inputs: known.map(({ text }) => text) })
  insist(again.answer.headers.get('x-cache') === 'hit', 'not known the second time', again.body)
  insistParity(again.body.output, known)
}
if (task === 'submit-many') {
  const words = 'long enough to keep two workers busy while something is done to them '.repeat(4)
  const filler = Array.from({ length: 1200 }, (_, i) => `Sentence ${rest[0]} number ${i}: ${words}`)
  const { answer, body } = await submit({ inputs: [...known.map(({ text }) => text), ...filler] })
  insist(answer.status === 202, 'not accepted', body)
  console.log(body.id)
}
if (task === 'await') {
  const until = Date.now() + 100_000
  let { body } = await call(`/v1/jobs/${rest[0]}`)
  insist(body.retryable || ['queued', 'processing'].includes(body.status), 'the job ended too early to prove anything', body.status)
  do {
    if (body?.retryable) await new Promise((resolve) => setTimeout(resolve, 500))
    ;({ body } = await call(`/v1/jobs/${rest[0]}`, { headers: { prefer: 'wait=30' } }))
  } while ((body.retryable || ['queued', 'processing'].includes(body.status)) && Date.now() < until)
  insist(body.status === 'succeeded' && body.output?.length === 1205, 'the job did not succeed', { ...body, output: body.output?.length })
  insist(body.output.every((item) => Array.isArray(item) && item.length === 384), 'an item is missing', body.error)
  insistParity(body.output, known)
}
if (task === 'dashboard') {
  const open = await fetch(`${url}/admin/queues`, { redirect: 'manual' })
  insist([401, 403].includes(open.status), 'the dashboard answers without a key', open.status)
  const authorization = `Basic ${Buffer.from(`admin:${rest[0]}`).toString('base64')}`
  const shown = await fetch(`${url}/admin/queues`, { headers: { authorization } })
  insist(shown.status === 200, 'the dashboard does not answer with its key', shown.status)
}
JS
}

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

say "building with ${compose[*]} ($("${compose[@]}" version --short))"
compose 900 build

say 'contents of the images'
for image in gateway worker; do
  within 60 docker run --rm --network none "millrace-$image:$MILLRACE_TAG" node -e '
    const { execSync } = require("node:child_process")
    const find = (what) => execSync(`find / -xdev ${what} 2>/dev/null || true`, { encoding: "utf8" }).trim()
    const runtime = find("\\( -path \"*/@huggingface/transformers\" -o -name \"onnxruntime*\" -o -name \"libonnxruntime*\" -o -name sharp -o -name \"*.onnx\" \\) -print")
    const tools = find("-path \"/millrace/*\" \\( -name typescript -o -name turbo -o -name vitest -o -name testkit \\) -print")
    const gateway = process.argv[1] === "gateway"
    if (gateway && runtime) throw new Error(`model runtime in the gateway:\n${runtime}`)
    if (!gateway && !runtime) throw new Error("no model runtime in the worker")
    if (tools) throw new Error(`development tools in the image:\n${tools}`)
    if (process.getuid() === 0) throw new Error("runs as root")' "$image" || die "contents of $image"
  say "  millrace-$image: $(($(within 20 docker image inspect -f '{{.Size}}' "millrace-$image:$MILLRACE_TAG") / 1000000)) MB"
done

say 'starting, two workers'
compose 180 up -d --no-build --scale worker=2
mapfile -t all < <(ids)
[ "${#all[@]}" = 5 ] || die "expected 5 containers, found ${#all[@]}"
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
    if (pid !== "1" && command[0] === "node" && command[1] === "apps/worker/dist/main.js") process.kill(Number(pid), "SIGKILL")
  }' || true
client await "$job"
[ "$(state '{{.RestartCount}}' "${workers[1]}")" -gt "$before" ] || die 'the killed worker was not restarted'

say 'restarting both Redis instances: nothing accepted is lost'
wait_healthy 120 "${workers[1]}"
job=$(client submit-many three)
compose 90 restart redis-queue redis-cache >/dev/null 2>&1
client await "$job"

say 'stopping gracefully, with work in hand'
client submit-many four >/dev/null
started=$SECONDS
compose 120 stop gateway worker >/dev/null 2>&1
for id in $(ids -a gateway) "${workers[1]}"; do
  code=$(state '{{.State.ExitCode}}' "$id")
  [ "$code" = 0 ] || die "$(state '{{.Name}}' "$id") ended with $code"
done
say "  in $((SECONDS - started)) s"
say 'all is well'
