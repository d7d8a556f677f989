# shellcheck shell=bash
# What the scripts share. Sourced, from the root of the checkout.

say() { printf '%s\n' "$*"; }

die() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}

# now_ms: a clock in milliseconds. Its decimal sign follows the locale; bash before 5 has whole seconds only.
now_ms() {
  local now=${EPOCHREALTIME:-$(date +%s).000000}
  printf '%s\n' $((${now/[.,]/} / 1000))
}

# elapsed BEGIN: seconds since then, with one decimal
elapsed() {
  local ms=$(($(now_ms) - $1))
  printf '%d.%d\n' $((ms / 1000)) $((ms % 1000 / 100))
}

# bounded SECONDS COMMAND..: ends it after that time; not every system has timeout
bounded() {
  local seconds=$1
  shift
  if command -v timeout >/dev/null; then timeout -k 10 "$seconds" "$@"; else "$@"; fi
}

# answers HOST:PORT: somebody accepts connections there. Bounded: a host that drops packets would hold us for minutes.
# shellcheck disable=SC2016 # the inner shell expands it
answers() {
  local host=${1%:*}
  host=${host#[}
  bounded 3 bash -c 'exec 3<>"/dev/tcp/$0/$1"' "${host%]}" "${1##*:}" 2>/dev/null
}

# wait_for SECONDS COMMAND..: polls until it succeeds; fails when the time is up
wait_for() {
  local end=$(($(now_ms) + $1 * 1000))
  shift
  until "$@"; do
    [ "$(now_ms)" -lt "$end" ] || return 1
    sleep 0.03
  done
}

# listener PORT: the pid of who listens there, or nothing where that cannot be found out
listener() {
  command -v ss >/dev/null || return 0
  ss -ltnpH "sport = :$1" 2>/dev/null | sed -n 's/.*[(,]pid=\([0-9]*\).*/\1/p' | head -n 1
}

# taken PORT: says by whom; fails where it is free
taken() {
  local pid
  answers "127.0.0.1:$1" || return 1
  pid=$(listener "$1")
  say "port $1 is taken${pid:+ by pid $pid ($(cat "/proc/$pid/comm" 2>/dev/null || say "?"))}"
}

# lives PID: it exists and is no zombie
lives() { [ -n "$(tr '\0' ' ' 2>/dev/null <"/proc/$1/cmdline")" ]; } 2>/dev/null

# paused PID: by SIGSTOP
paused() { grep -q '^State:[[:space:]]*T' "/proc/$1/status" 2>/dev/null; }

# runs_in PID FOLDER WORD: the process works in that folder, which may have been deleted under it, and has that word on its
# command line. Pids are used again, so a stale file may name anybody: nothing is signalled without this.
runs_in() {
  local folder
  [ -n "$1" ] && tr '\0' '\n' 2>/dev/null <"/proc/$1/cmdline" | grep -xF -- "$3" >/dev/null || return 1
  folder=$(readlink "/proc/$1/cwd" 2>/dev/null) || return 1
  [ "${folder% (deleted)}" = "$(pwd -P)/$2" ]
}

# stop_process PID: asks, waits, and insists
stop_process() {
  kill -TERM "$1" 2>/dev/null || return 0
  wait_for 30 gone "$1" && return
  kill -KILL "$1" 2>/dev/null || return 0
  wait_for 10 gone "$1" || die "pid $1 cannot be ended"
}

gone() { ! lives "$1"; }

# age_of PID: its seconds of life. Field 22 of its stat is when it began, in ticks since boot; its name may hold blanks.
age_of() {
  awk -v hz="$(getconf CLK_TCK)" 'NR == FNR { up = $1; next } { sub(/.*\) /, ""); print int(up - $20 / hz) }' \
    /proc/uptime "/proc/$1/stat"
}

# lock FILE SECONDS: one script at a time, until this one ends. The kernel drops the lock of a script that was killed.
lock() {
  command -v flock >/dev/null || return 0
  exec 9>>"$1"
  flock -n 9 && return
  say "waiting for another scripts/brokers to finish"
  flock -w "$2" 9 || die "another scripts/brokers has held $1 for $2 s"
}

# close_inherited: drops every file but the standard three, so that a daemon holds neither our lock nor a caller's pipe.
close_inherited() {
  local fd
  for fd in /proc/self/fd/*; do
    fd=${fd##*/}
    [ "$fd" -le 2 ] || eval "exec $fd>&-"
  done
}

# install_packages PACKAGE..: on Debian, as root; elsewhere it says what is missing
install_packages() {
  [ $# -gt 0 ] || return 0
  if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    die "missing, please install: $*"
  fi
  say "installing: $*"
  # The package lists may be old or absent: they are fetched only where the first try fails.
  apt_install "$@" 2>/dev/null && return
  apt-get update -qq
  apt_install "$@" || die "could not be installed: $*"
}

apt_install() { DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null; }

# has_docker: an engine that answers, with the compose plug-in
has_docker() {
  if [ -z "${docker_found:-}" ]; then
    docker_found=no
    if command -v docker >/dev/null && docker info >/dev/null 2>&1 && docker compose version >/dev/null 2>&1; then
      docker_found=yes
    fi
  fi
  [ "$docker_found" = yes ]
}

# install_what_builds: cargo, and what librdkafka is built with. It is built from source; elsewhere than on Linux its needs go
# by other names.
install_what_builds() {
  command -v cargo >/dev/null || PATH=$HOME/.cargo/bin:$PATH
  command -v cargo >/dev/null || die "cargo is missing: get Rust from https://rustup.rs"
  [ "$(uname -s)" = Linux ] || return 0
  local packages=() tool
  for tool in cc c++ make; do
    if ! command -v $tool >/dev/null; then
      packages+=(build-essential)
      break
    fi
  done
  command -v pkg-config >/dev/null || packages+=(pkg-config)
  pkg-config --exists openssl 2>/dev/null || packages+=(libssl-dev)
  pkg-config --exists zlib 2>/dev/null || packages+=(zlib1g-dev)
  [ ${#packages[@]} = 0 ] || install_packages "${packages[@]}"
}

# broker_up BROKER: it runs and the environment names it. `started` holds those that did not run before.
started=()
broker_up() {
  local before=down
  if scripts/brokers status "$1" >/dev/null; then before=up; fi
  scripts/brokers up "$1" || return 1
  if [ $before = down ]; then started+=("$1"); fi
  load_env "target/brokers/$1/env"
}

# brokers_down: stops what broker_up started. The loaded env names our broker as the user's, and that would be left alone.
brokers_down() {
  local broker
  for broker in ${started[@]+"${started[@]}"}; do
    env -u KAFKA_BOOTSTRAP_SERVERS -u AMQP_URL scripts/brokers down "$broker" || true
  done
}

# load_env FILE: unless it describes another broker than the one the user named
load_env() {
  local name
  [ -f "$1" ] || return 0
  for name in KAFKA_BOOTSTRAP_SERVERS AMQP_URL; do
    [ -z "${!name:-}" ] || ! grep -q "^$name=" "$1" || grep -qxF "$name=${!name}" "$1" || return 0
  done
  set -a
  # shellcheck disable=SC1090 # written by scripts/brokers
  . "$1"
  set +a
}
