#!/usr/bin/env bash
# The one test command: what passes here passes everywhere. Needs Debian 12 (or a relative) and rustup; installs the rest.
set -euo pipefail
cd "$(dirname "$0")/.."
exec </dev/null

fail() {
    printf '\ntests/run.sh: FAILED: %s\n' "$1" >&2
    exit 1
}

# step NAME COMMAND…: says what runs and how long it took; the first failure ends everything.
step() {
    local name=$1 started=$SECONDS
    shift
    printf '\n== %s\n' "$name"
    "$@" || fail "$name"
    printf '== %s: ok, %d s\n' "$name" $((SECONDS - started))
}

# Which Debian packages are missing, by what each of them brings.
missing_packages() {
    # nginx and other daemons stand where an ordinary user's PATH does not look.
    local PATH=$PATH:/usr/sbin:/sbin
    while read -r package check; do
        bash -c "$check" </dev/null >/dev/null 2>&1 || echo "$package"
    done <<'PACKAGES'
gcc command -v cc
g++ command -v c++
libc6-dev test -e /usr/include/stdio.h
make command -v make
cmake command -v cmake
ca-certificates test -e /etc/ssl/certs/ca-certificates.crt
curl command -v curl
openssl command -v openssl
procps command -v ps && command -v kill
nginx command -v nginx
php-cli command -v php
nodejs command -v node
npm command -v npm
python3 command -v python3
python3-venv python3 -c 'import venv, ensurepip'
redis-server command -v redis-server
redis-tools command -v redis-cli
PACKAGES
}

install_missing() {
    local packages root=()
    mapfile -t packages < <(missing_packages)
    [ ${#packages[@]} -eq 0 ] && return
    command -v apt-get >/dev/null || fail "missing and no apt-get here: ${packages[*]}"
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null || fail "missing, and neither root nor sudo: apt-get install ${packages[*]}"
        root=(sudo)
    fi
    local apt=("${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dpkg::Use-Pty=0)
    step "apt-get update" "${apt[@]}" update
    step "apt-get install ${packages[*]}" "${apt[@]}" install -y --no-install-recommends "${packages[@]}"
}

# rustup's minimal profile brings neither.
install_components() {
    # shellcheck source=/dev/null
    [ -e "$HOME/.cargo/env" ] && . "$HOME/.cargo/env"
    command -v cargo >/dev/null || fail "cargo is missing: install Rust from https://rustup.rs"
    cargo fmt --version >/dev/null 2>&1 || step "rustup component add rustfmt" rustup component add rustfmt
    cargo clippy --version >/dev/null 2>&1 || step "rustup component add clippy" rustup component add clippy
}

install_missing
install_components
step "cargo fmt" cargo fmt --all --check
step "cargo clippy" cargo clippy --workspace --all-targets --locked -- -D warnings
step "cargo test" cargo test --workspace --locked
step "cargo doc" env RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked
printf '\ntests/run.sh: all passed, %d s\n' "$SECONDS"
