#!/usr/bin/env bash
# What one request costs, beside a bare pingora that passes the same request through.
#
#   gateway/benches/cost.sh [instructions] [cpu] [memory]      all three if none is named
#
# Needs valgrind, wrk, nginx and python3:  apt-get install valgrind wrk nginx-light python3
#
# instructions  user instructions per request by callgrind. Exact to a few parts in a thousand on any machine, however
#               busy: compare these.
# cpu           CPU seconds per 100 000 requests, user and kernel, the server on one core and all else on another.
#               Wants a quiet machine; ROUNDS interleaved rounds of SECONDS seconds, medians.
# memory        resident bytes per idle kept-alive connection and per remembered token.
#
# CALLGRIND_OUT=DIR keeps the profiles, for callgrind_annotate.
set -euo pipefail

cd "$(dirname "$0")/../.."
ROUNDS=${ROUNDS:-5} SECONDS_EACH=${SECONDS_EACH:-3} FEW=${FEW:-1000} MANY=${MANY:-4000}
SERVER_CORE=${SERVER_CORE:-0} OTHER_CORE=${OTHER_CORE:-1}
PORT=${PORT:-18080} ADMIN_PORT=$((PORT + 1)) BARE_PORT=$((PORT + 2)) NGINX_PORT=$((PORT + 3))
APPID=wx1111111111111111
client=gateway/benches/cost_client.py

for tool in valgrind callgrind_control wrk nginx python3; do
    command -v "$tool" >/dev/null || { echo "$tool is missing: apt-get install valgrind wrk nginx-light python3"; exit 1; }
done
cargo build --quiet --locked --profile profiling -p gateway --bin wxgate
# Apart, so that the examples' dev-dependencies turn on no feature in the program that is measured.
cargo build --quiet --locked --profile profiling -p gateway --example bare_pingora --example cost_tokens
built=${CARGO_TARGET_DIR:-target}/profiling

work=$(mktemp -d)
profiles=${CALLGRIND_OUT:-$work}
pids=()
finish() {
    for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
    wait
    rm -rf "$work"
}
trap finish EXIT

# --- What stands round the gateway -----------------------------------------------------------------------------------

cat >"$work/nginx.conf" <<NGINX
daemon off; worker_processes 1; pid $work/nginx.pid; error_log stderr crit;
events { worker_connections 4096; }
http {
    access_log off; keepalive_requests 100000000; keepalive_timeout 3600s;
    client_body_temp_path $work; proxy_temp_path $work; fastcgi_temp_path $work; uwsgi_temp_path $work; scgi_temp_path $work;
    server {
        listen 127.0.0.1:$NGINX_PORT;
        location / { return 200 '{"ok":true,"what":"an answer of seventy-three bytes","id":"000000000000"}'; }
    }
}
NGINX
umask 077
printf '4f1c9a07e2b85d3369ac01fe7d24b85c' >"$work/app.secret"
for algorithm in hs256 es256 eddsa; do
    "$built/wxgate" keygen --alg $algorithm --out "$work/$algorithm.key"
    "$built/examples/cost_tokens" "$work/$algorithm.key" bench $APPID 1 >"$work/$algorithm.token"
done
"$built/examples/cost_tokens" "$work/hs256.key" bench $APPID 50000 >"$work/many.tokens"
# Shaped like a token, signed by nobody.
sed 's/.\{10\}$/AAAAAAAAAA/' "$work/hs256.token" >"$work/wrong.token"

# config ALGORITHM CACHE_ENTRIES ROUTES
config() {
    cat <<TOML
version = 1
[server]
listen = ["127.0.0.1:$PORT"]
workers = 1
[admin]
listen = "127.0.0.1:$ADMIN_PORT"
[log]
format = "json"
level = "warn"
[token]
keys = [{ kid = "bench", file = "$1.key" }]
cache_entries = $2
[store]
kind = "memory"
[app.shop]
appid = "$APPID"
secret = { file = "app.secret" }
[upstream.echo]
servers = ["127.0.0.1:$NGINX_PORT"]
[[route]]
path = "/none/*"
upstream = "echo"
auth = "none"
[[route]]
path = "/required/*"
upstream = "echo"
TOML
    for ((n = 2; n < $3; n++)); do printf '[[route]]\npath = "/service-%d/*"\nupstream = "echo"\n' "$n"; done
}
config hs256 100000 10 >"$work/cached.toml"
config hs256 100000 10000 >"$work/routes.toml"
for algorithm in hs256 es256 eddsa; do config $algorithm 0 10 >"$work/$algorithm.toml"; done

# name, server's arguments, port, path, status, token: the rows of the table.
cases=(
    "bare pingora|bare|$BARE_PORT|/none/goods/42|200|"
    "bare pingora with time-outs|bare-timeouts|$BARE_PORT|/none/goods/42|200|"
    "no authentication|cached|$PORT|/none/goods/42|200|"
    "required, remembered|cached|$PORT|/required/goods/42|200|hs256"
    "required, HS256 each time|hs256|$PORT|/required/goods/42|200|hs256"
    "required, ES256 each time|es256|$PORT|/required/goods/42|200|es256"
    "required, EdDSA each time|eddsa|$PORT|/required/goods/42|200|eddsa"
    "refused, no token|cached|$PORT|/required/goods/42|401|"
    "refused, wrong signature|cached|$PORT|/required/goods/42|401|wrong"
    "required, remembered, 10 000 routes|routes|$PORT|/required/goods/42|200|hs256"
)

# start LOG COMMAND… : in the background; its pid in $pid.
start() {
    local log=$1
    shift
    "$@" >/dev/null 2>"$log" &
    pid=$!
    pids+=("$pid")
}

# start_server KIND PREFIX… : PREFIX is what the server runs under.
start_server() {
    local kind=$1
    shift
    case $kind in
        bare) start "$work/server.log" "$@" "$built/examples/bare_pingora" 127.0.0.1:$BARE_PORT 127.0.0.1:$NGINX_PORT ;;
        bare-timeouts)
            start "$work/server.log" "$@" "$built/examples/bare_pingora" 127.0.0.1:$BARE_PORT 127.0.0.1:$NGINX_PORT --timeouts
            ;;
        *) start "$work/server.log" "$@" "$built/wxgate" run --config "$work/$kind.toml" ;;
    esac
}

stop() {
    kill -9 "$1" 2>/dev/null || true
    wait "$1" 2>/dev/null || true
}

# await PORT: until someone listens there.
await() {
    for _ in $(seq 600); do
        if (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; then return; fi
        sleep 0.1
    done
    cat "$work/server.log"
    exit 1
}

# send PORT PATH COUNT STATUS TOKEN
send() {
    python3 $client requests "127.0.0.1:$1" "$2" "$3" 16 "$4" ${5:+"$work/$5.token"}
}

start "$work/nginx.log" taskset -c "$OTHER_CORE" nginx -c "$work/nginx.conf" -e stderr
await $NGINX_PORT

# --- Measuring -------------------------------------------------------------------------------------------------------

# Instructions between two dumps of a running profile, for FEW and for MANY requests: the difference holds neither the
# start of the process nor the opening of connections.
instructions() {
    local baseline=""
    printf '\n%-38s %14s %9s\n' "user instructions per request" "instructions" "x bare"
    for row in "${cases[@]}"; do
        IFS='|' read -r name kind port path status token <<<"$row"
        local out="$profiles/${name//[ ,]/_}.callgrind"
        rm -f "$out"*
        start_server "$kind" valgrind --tool=callgrind --callgrind-out-file="$out"
        await "$port"
        send "$port" "$path" 500 "$status" "$token"
        callgrind_control --dump=warm "$pid" >/dev/null 2>&1
        send "$port" "$path" "$FEW" "$status" "$token"
        callgrind_control --dump=few "$pid" >/dev/null 2>&1
        send "$port" "$path" "$MANY" "$status" "$token"
        callgrind_control --dump=many "$pid" >/dev/null 2>&1
        stop "$pid"
        local few many each
        few=$(total "$out.2")
        many=$(total "$out.3")
        each=$(((many - few) / (MANY - FEW)))
        baseline=${baseline:-$each}
        printf '%-38s %14d %9.3f\n' "$name" "$each" "$(ratio $each "$baseline")"
    done
}

total() { awk '/^(summary|totals):/ { print $2; exit }' "$1"; }
ratio() { awk -v a="$1" -v b="$2" 'BEGIN { print a / b }'; }

# Nanoseconds on a core, over all threads of a process.
# A thread that ends meanwhile is none of the workers.
on_core() { { cat "/proc/$1"/task/*/schedstat 2>/dev/null || true; } | awk '{ sum += $1 } END { printf "%d\n", sum }'; }

cpu() {
    printf '\n%-38s %14s %9s\n' "CPU time" "s / 100 000" "x bare"
    for _ in $(seq "$ROUNDS"); do
        for row in "${cases[@]}"; do
            IFS='|' read -r name kind port path status token <<<"$row"
            start_server "$kind" taskset -c "$SERVER_CORE"
            await "$port"
            local header=(-H "X-None: 0")
            if [ -n "$token" ]; then header=(-H "Authorization: Bearer $(cat "$work/$token.token")"); fi
            local load=(taskset -c "$OTHER_CORE" wrk -t1 -c64 "${header[@]}" "http://127.0.0.1:$port$path")
            "${load[@]}" -d1 >/dev/null
            local before after answered
            before=$(on_core "$pid")
            answered=$("${load[@]}" -d"$SECONDS_EACH" | awk '/requests in/ { print $1 }')
            after=$(on_core "$pid")
            stop "$pid"
            echo "$name|$(awk -v ns=$((after - before)) -v n="$answered" 'BEGIN { print ns / n / 10000 }')" >>"$work/cpu"
        done
    done
    local baseline=""
    for row in "${cases[@]}"; do
        local name=${row%%|*} each
        each=$(grep -F "$name|" "$work/cpu" | cut -d'|' -f2 | sort -n | awk '{ a[NR] = $1 } END { print a[int((NR + 1) / 2)] }')
        baseline=${baseline:-$each}
        printf '%-38s %14.2f %9.3f\n' "$name" "$each" "$(ratio "$each" "$baseline")"
    done
}

memory() {
    printf '\n%-38s %14s\n' "resident memory" "bytes"
    for kind in bare cached; do
        local port=$PORT name="idle connection, wxgate"
        if [ $kind = bare ]; then port=$BARE_PORT name="idle connection, bare pingora"; fi
        start_server $kind
        await "$port"
        printf '%-38s %14d\n' "$name" "$(python3 $client idle "127.0.0.1:$port" /none/goods/42 1000 "$pid")"
        stop "$pid"
    done
    start_server cached
    await "$PORT"
    send "$PORT" /required/goods/42 20000 200 hs256
    local before after
    before=$(awk '/VmRSS/ { print $2 * 1024 }' "/proc/$pid/status")
    python3 $client requests "127.0.0.1:$PORT" /required/goods/42 50000 16 200 "$work/many.tokens"
    after=$(awk '/VmRSS/ { print $2 * 1024 }' "/proc/$pid/status")
    printf '%-38s %14d\n' "remembered token" $(((after - before) / 50000))
    stop "$pid"
}

if [ $# -eq 0 ]; then set -- instructions cpu memory; fi
for measure in "$@"; do
    case $measure in
        instructions | cpu | memory) "$measure" ;;
        *) echo "what is $measure?" && exit 2 ;;
    esac
done
