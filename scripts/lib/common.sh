# What every broker's script needs. Sourced, from the root of the checkout.

say() { printf '%s\n' "$*"; }

die() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}

# answers HOST:PORT: somebody listens there
answers() { (exec 3<>"/dev/tcp/${1%:*}/${1##*:}") 2>/dev/null; }

# who_listens PORT: "pid 123 (java)", or nothing where that cannot be found out
who_listens() {
  command -v ss >/dev/null || return 0
  ss -ltnpH "sport = :$1" 2>/dev/null | sed -n 's/.*users:(("\([^"]*\)",pid=\([0-9]*\).*/pid \2 (\1)/p' | head -n 1
}

# ours PID FOLDER: the process lives and runs in our folder. Pids are used again soon, so a stale pid file may name
# anything: never signal one without this.
ours() {
  [ -n "$1" ] && [ -r "/proc/$1/cmdline" ] && [ "$(readlink "/proc/$1/cwd" 2>/dev/null)" = "$(realpath "$2")" ]
}

# wait_for SECONDS COMMAND..: polls, 50 ms apart
wait_for() {
  local end=$((SECONDS + $1))
  shift
  until "$@"; do
    [ $SECONDS -lt $end ] || return 1
    sleep 0.05
  done
}

# need COMMAND PACKAGE: installs it where that is possible
need() {
  command -v "$1" >/dev/null && return
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    say "installing $2 (for $1)"
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$2" >/dev/null 2>&1 ||
      { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$2" >/dev/null; }
  else
    die "$1 is missing: install $2"
  fi
}

has_docker() { command -v docker >/dev/null && docker info >/dev/null 2>&1; }
