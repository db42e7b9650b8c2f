#!/usr/bin/env bash
# What a million sessions cost, and a million that ended.
#
#   auth-core/benches/sessions.sh [lookups] [memory] [sweep] [start]      all four if none is named
#
# Needs valgrind, and redis-server for the rows about Redis:  apt-get install valgrind redis-server
#
# lookups  user instructions to ask whether a session has ended, by callgrind: on every request, so compare these.
# memory   bytes of a session in each store, of its file, and of an end in the set that every request asks.
# sweep    how long logins wait while a store with nothing but expired sessions is swept. Wants a quiet machine.
# start    how long a start takes with so many sessions, and as many ends that a restart must not forget.
#
# COUNT says how many, BENCH_DIR where the files go (a disk like the one they will be on). Not part of CI.
set -euo pipefail

cd "$(dirname "$0")/../.."
COUNT=${COUNT:-1000000} PORT=${PORT:-18090}
cargo build --quiet --locked --profile profiling -p auth-core --example session_cost
cost=${CARGO_TARGET_DIR:-target}/profiling/examples/session_cost
work=$(mktemp -d -p "${BENCH_DIR:-${TMPDIR:-/tmp}}")
redis=
finish() {
    [ -z "$redis" ] || kill "$redis" 2>/dev/null || true
    wait
    rm -rf "$work"
}
trap finish EXIT

# stores COMMAND: the measurement, with each store.
stores() {
    for store in memory "embedded:$work/$1.redb" "redis://127.0.0.1:$PORT"; do
        if [ "${store%%:*}" = redis ]; then start_redis || continue; fi
        printf '%s, %s\n' "$1" "${store%%:*}"
        "$cost" "$1" "$store" "$COUNT"
        rm -f "$work"/*.redb*
    done
}

# An empty one, which keeps nothing on the disk.
start_redis() {
    command -v redis-server >/dev/null || { echo "no redis-server here"; return 1; }
    if [ -n "$redis" ]; then kill "$redis" && wait "$redis" || true; fi
    redis-server --port "$PORT" --bind 127.0.0.1 --save '' --dir "$work" >"$work/redis.log" &
    redis=$!
    until redis-cli -p "$PORT" ping >/dev/null 2>&1; do sleep 0.1; done
}

# Between few and many of them: the difference holds neither the start of the process nor the filling of the set.
lookups() {
    command -v valgrind >/dev/null || { echo "valgrind is missing: apt-get install valgrind"; exit 1; }
    echo "lookups: user instructions to ask for one session"
    for ends in 0 1 "$COUNT"; do
        local few many
        few=$(instructions "$ends" 20000)
        many=$(instructions "$ends" 120000)
        printf '  %-70s %10d\n' "$ends ended" $(((many - few) / 100000))
    done
}

instructions() {
    valgrind --tool=callgrind --callgrind-out-file="$work/callgrind" "$cost" lookups "$1" "$2" 2>/dev/null
    awk '/^(summary|totals):/ { print $2; exit }' "$work/callgrind"
}

memory() {
    stores memory
    echo "memory, the set of ends"
    "$cost" ends "$COUNT"
}

if [ $# -eq 0 ]; then set -- lookups memory sweep start; fi
for measure in "$@"; do
    case $measure in
        lookups | memory) "$measure" ;;
        sweep | start) stores "$measure" ;;
        *) echo "what is $measure?" && exit 2 ;;
    esac
done
