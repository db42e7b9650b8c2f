#!/usr/bin/env bash
# What several gateways with one Redis do, in numbers.
#
#   gateway/benches/nodes.sh [single] [sentinel] [cluster]      all three if none is named
#
# Needs redis-server, redis-cli, nginx and python3:  apt-get install redis-server redis-tools nginx-light python3
#
# Three gateways, the simulator as WeChat, nginx as the service. Measured, for each kind of Redis:
#   SESSIONS logins over all three: how many a second, and what Redis holds for one session;
#   REVOCATIONS logouts on one node: when the others refuse;
#   Redis killed under load (single: and started again; otherwise: its replica takes over), people logging out meanwhile:
#   how many requests of those who stayed fail (none may), and that who left is refused everywhere, also by a node that
#   starts then;
#   a key rotated node by node, and RELOADS reloads of every node, under load: how many requests fail (none may).
#
# WXGATE=FILE takes that program, else the profile `profiling` is built. What is measured with a program that was built for
# debugging, or on a busy machine, says little about how fast it is, and as much about what fails.
set -euo pipefail

cd "$(dirname "$0")/../.."
SESSIONS=${SESSIONS:-100000} REVOCATIONS=${REVOCATIONS:-300} RELOADS=${RELOADS:-100} CONNECTIONS=${CONNECTIONS:-24}
PORT=${PORT:-31100}
SIM_PORT=$PORT NGINX_PORT=$((PORT + 1)) GATEWAY_PORT=$((PORT + 10)) ADMIN_PORT=$((PORT + 20)) REDIS_PORT=$((PORT + 30))
APPID=wx1111111111111111
SIMULATOR=127.0.0.1:$SIM_PORT

for tool in redis-server redis-cli nginx python3 curl; do
    command -v "$tool" >/dev/null || {
        echo "$tool is missing: apt-get install redis-server redis-tools nginx-light python3 curl"
        exit 1
    }
done
if [ -z "${WXGATE:-}" ]; then
    cargo build --quiet --locked --profile profiling -p gateway --bin wxgate
    WXGATE=${CARGO_TARGET_DIR:-target}/profiling/wxgate
fi

work=$(mktemp -d)
declare -A pids=()
finish() {
    for pid in "${pids[@]}"; do kill -9 "$pid" 2>/dev/null || true; done
    wait 2>/dev/null || true
    rm -rf "$work"
}
trap finish EXIT

# start NAME COMMAND… : in the background, its id in pids[NAME].
start() {
    local name=$1
    shift
    "$@" >"$work/$name.log" 2>&1 &
    pids[$name]=$!
}

# stop NAME : as if the power had gone.
stop() {
    kill -9 "${pids[$1]}" 2>/dev/null || true
    wait "${pids[$1]}" 2>/dev/null || true
    unset "pids[$1]"
}

# until_true COMMAND… : again and again, for a minute at most.
until_true() {
    local end=$((SECONDS + 60))
    until "$@" >/dev/null 2>&1; do
        ((SECONDS < end)) || { echo "in vain: $*" && tail -n 20 "$work"/*.log && exit 1; }
        sleep 0.05
    done
}

client() { python3 gateway/benches/nodes_client.py "$@"; }

# --- Redis -----------------------------------------------------------------------------------------------------------

# redis NUMBER OPTION… : one server; the number decides its port.
redis() {
    local port=$((REDIS_PORT + $1))
    mkdir -p "$work/redis-$1"
    start "redis-$1" redis-server --port $port --bind 127.0.0.1 --dir "$work/redis-$1" --save "" "${@:2}"
    until_true redis-cli -p $port ping
}

sentinel() {
    local port=$((REDIS_PORT + $1))
    mkdir -p "$work/redis-$1"
    cat >"$work/redis-$1/sentinel.conf" <<CONF
port $port
bind 127.0.0.1
dir $work/redis-$1
sentinel monitor shop 127.0.0.1 $REDIS_PORT 2
sentinel down-after-milliseconds shop 1000
sentinel failover-timeout shop 5000
CONF
    start "redis-$1" redis-server "$work/redis-$1/sentinel.conf" --sentinel
    until_true redis-cli -p $port ping
}

is_replicated() { redis-cli -p "$1" info replication | grep -q master_link_status:up; }
has_sentinels() { redis-cli -p "$1" sentinel master shop | grep -A1 '^num-other-sentinels$' | grep -q '^2$'; }
has_replica() { redis-cli -p "$1" sentinel master shop | grep -A1 '^num-slaves$' | grep -q '^1$'; }
is_cluster() { redis-cli -p "$1" cluster info | grep -q cluster_state:ok; }

start_redis() {
    local n p=$REDIS_PORT options=(--appendonly yes --appendfsync everysec)
    case $1 in
        single)
            redis 0 "${options[@]}"
            url=redis://127.0.0.1:$p masters=($p)
            ;;
        sentinel)
            redis 0
            redis 1 --replicaof 127.0.0.1 $p
            until_true is_replicated $((p + 1))
            for n in 2 3 4; do sentinel $n; done
            for n in 2 3 4; do
                until_true has_sentinels $((p + n))
                until_true has_replica $((p + n))
            done
            url=redis-sentinel://127.0.0.1:$((p + 2)),127.0.0.1:$((p + 3)),127.0.0.1:$((p + 4))/shop masters=($p)
            ;;
        cluster)
            local bus=$((p + 6)) addresses=()
            for n in 0 1 2 3 4 5; do
                redis $n --cluster-enabled yes --cluster-node-timeout 2000 --cluster-port $((bus + n))
                addresses+=("127.0.0.1:$((p + n))")
            done
            redis-cli --cluster create "${addresses[@]}" --cluster-replicas 1 --cluster-yes >"$work/cluster.log"
            for n in 0 1 2 3 4 5; do until_true is_cluster $((p + n)); done
            for n in 3 4 5; do until_true is_replicated $((p + n)); done
            url=redis-cluster://127.0.0.1:$p,127.0.0.1:$((p + 1)),127.0.0.1:$((p + 2)) masters=($p $((p + 1)) $((p + 2)))
            ;;
    esac
}

# Bytes, over all masters.
used_memory() {
    local port
    for port in "${masters[@]}"; do
        redis-cli -p "$port" info memory | tr -d '\r' | awk -F: '$1 == "used_memory" { print $2 }'
    done | awk '{ sum += $1 } END { print sum }'
}

# --- What stands round Redis -----------------------------------------------------------------------------------------

cat >"$work/nginx.conf" <<NGINX
daemon off; worker_processes 1; pid $work/nginx.pid; error_log stderr crit;
events { worker_connections 1024; }
http {
    access_log off; keepalive_requests 100000000; keepalive_timeout 3600s;
    client_body_temp_path $work; proxy_temp_path $work; fastcgi_temp_path $work; uwsgi_temp_path $work; scgi_temp_path $work;
    server { listen 127.0.0.1:$NGINX_PORT; location / { return 200 'ok'; } }
}
NGINX
umask 077
printf '4f1c9a07e2b85d3369ac01fe7d24b85c' >"$work/app.secret"
"$WXGATE" keygen --alg hs256 --out "$work/old.key"
"$WXGATE" keygen --alg hs256 --out "$work/new.key"
"$WXGATE" keygen --alg aes256 --out "$work/store.key"
old="{ kid = \"old\", file = \"old.key\" }" new="{ kid = \"new\", file = \"new.key\" }"

# config NODE KEYS REMARK : as a mounted volume changes, whole or not at all.
config() {
    cat >"$work/fresh.toml" <<TOML
# $3
version = 1
[server]
listen = ["127.0.0.1:$((GATEWAY_PORT + $1))"]
[admin]
listen = "127.0.0.1:$((ADMIN_PORT + $1))"
[log]
level = "warn"
access = false
[token]
keys = [$2]
[store]
redis = { env = "REDIS_URL" }
keys = [{ kid = "bench", file = "store.key" }]
[login]
rate = "off"
budget = "off"
replay = "5s"
[wechat]
base_urls = ["http://$SIMULATOR"]
[app.shop]
appid = "$APPID"
secret = { file = "app.secret" }
[upstream.service]
servers = ["127.0.0.1:$NGINX_PORT"]
[[route]]
path = "/required/*"
upstream = "service"
TOML
    mv "$work/fresh.toml" "$work/node-$1.toml"
}

gateway() {
    config "$1" "$2" "first"
    REDIS_URL=$url start "gateway-$1" "$WXGATE" run --config "$work/node-$1.toml"
    until_true curl -sf "http://127.0.0.1:$((ADMIN_PORT + $1))/readyz"
    until_true curl -s "http://127.0.0.1:$((GATEWAY_PORT + $1))/"
}

reloads() { curl -s "http://127.0.0.1:$((ADMIN_PORT + $1))/metrics" | awk '/^wxgate_config_reloads_total.*"ok"/ { print $2 }'; }
reloaded() { [ "$(reloads "$1")" -ge "$2" ]; }

# reload NODE KEYS REMARK
reload() {
    local before
    before=$(reloads "$1")
    config "$1" "$2" "$3"
    kill -HUP "${pids[gateway-$1]}"
    until_true reloaded "$1" $((${before:-0} + 1))
}

# --- Measuring -------------------------------------------------------------------------------------------------------

# begin_load / end_load : those who stay.
begin_load() {
    rm -f "$work/stop"
    start load client load "$gateways" "$work/staying" "$work/stop"
}
end_load() {
    touch "$work/stop"
    wait "${pids[load]}"
    unset "pids[load]"
    printf '%-30s ' "$1"
    cat "$work/load.log"
}

takes_logins() { client logins $SIMULATOR $APPID "$gateways" 3 3 2>&1 >/dev/null | grep -q 'failed: 0'; }

fail_over() {
    head -n 400 "$work/tokens" | tail -n 200 >"$work/left-before"
    head -n 600 "$work/tokens" | tail -n 200 >"$work/left-then"
    client revoke "$gateways" "$work/left-before" >/dev/null
    begin_load
    sleep 2
    stop redis-0
    start revoke client revoke "$gateways" "$work/left-then"
    if [ "$1" = single ]; then
        sleep 3
        redis 0 --appendonly yes --appendfsync everysec
    fi
    wait "${pids[revoke]}"
    unset "pids[revoke]"
    until_true takes_logins
    sleep 2
    end_load "Redis killed under load:"
    printf '%-30s ' "" && cat "$work/revoke.log"
    gateway 3 "$old"
    cat "$work/left-before" "$work/left-then" >"$work/left"
    printf '%-30s ' "who left, one more node:"
    client expect "$gateways,127.0.0.1:$((GATEWAY_PORT + 3))" "$work/left" 401
    stop gateway-3
}

change_configs() {
    local node n keys=("$old" "$old, $new" "$new, $old")
    begin_load
    for n in 1 2; do for node in 0 1 2; do reload $node "${keys[n]}" "step $n"; done; done
    for ((n = 0; n < RELOADS; n++)); do for node in 0 1 2; do reload $node "${keys[2]}" "reload $n"; done; done
    client logins $SIMULATOR $APPID "$gateways" 3 3 2>/dev/null >"$work/signed-new"
    client expect "$gateways" "$work/signed-new" 200 >/dev/null
    end_load "key and $RELOADS reloads a node:"
}

measure() {
    printf '\n== %s, %s\n' "$1" "$(redis-server --version | awk '{ print $3 }')"
    start_redis "$1"
    start nginx nginx -c "$work/nginx.conf" -e stderr
    start simulator "$WXGATE" sim --listen $SIMULATOR --app "$APPID:4f1c9a07e2b85d3369ac01fe7d24b85c:platform"
    until_true curl -s "http://$SIMULATOR/"
    local node before after
    for node in 0 1 2; do gateway $node "$old"; done
    gateways=127.0.0.1:$GATEWAY_PORT,127.0.0.1:$((GATEWAY_PORT + 1)),127.0.0.1:$((GATEWAY_PORT + 2))
    before=$(used_memory)
    client logins $SIMULATOR $APPID "$gateways" "$SESSIONS" "$CONNECTIONS" >"$work/tokens"
    # Until the codes are forgotten.
    sleep 10
    after=$(used_memory)
    echo "$(((after - before) / SESSIONS)) bytes of Redis's memory for a session of a user of their own, with its places in two indexes"
    tail -n "$REVOCATIONS" "$work/tokens" >"$work/leaving"
    head -n 200 "$work/tokens" >"$work/staying"
    client revocations "$gateways" "$work/leaving"
    fail_over "$1"
    change_configs
    client expect "$gateways" "$work/staying" 200
    client expect "$gateways" "$work/left" 401
    local name
    for name in "${!pids[@]}"; do stop "$name"; done
    rm -rf "$work"/redis-*
}

if [ $# -eq 0 ]; then set -- single sentinel cluster; fi
for kind in "$@"; do
    case $kind in
        single | sentinel | cluster) measure "$kind" ;;
        *) echo "what is $kind?" && exit 2 ;;
    esac
done
