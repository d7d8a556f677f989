#!/usr/bin/env bash
# One RabbitMQ node in a folder of its own: for scripts/brokers, and for programs that kill it and bring it back.
set -euo pipefail

usage() {
  cat <<'USAGE'
usage: scripts/lib/amqp-node.sh start FOLDER PORT DISTRIBUTION_PORT EPMD_PORT [3|4]
       scripts/lib/amqp-node.sh stop|kill|pause|resume|pid|version FOLDER
       scripts/lib/amqp-node.sh ctl FOLDER ARGUMENT..
       scripts/lib/amqp-node.sh alarm FOLDER on|off
       scripts/lib/amqp-node.sh ack-timeout FOLDER MILLISECONDS
       scripts/lib/amqp-node.sh cut|queues FOLDER
       scripts/lib/amqp-node.sh delete-queue FOLDER QUEUE
       scripts/lib/amqp-node.sh install [3|4]

  start         starts a node and waits until it answers; prints pid=, url=, node= and version=, a line each. It keeps data,
                settings and log in FOLDER, so one that was stopped or killed comes back with its data. FOLDER/more.conf is
                added to its configuration, FOLDER/enabled_plugins is taken where it is there.
                3 is Debian's package (the default), 4 that of Debian 13
  stop          in peace, its name server too; says so where it does not run
  kill          by SIGKILL; prints the pid
  pause, resume by SIGSTOP and SIGCONT; print the pid
  pid           prints it; exit code 1 where it does not run
  version       of the server that was started last
  ctl           rabbitmqctl, about 1.5 s a call
  alarm         of memory: who publishes is blocked
  ack-timeout   for channels opened from then on: after so long, looked at every second, an unacknowledged delivery closes
                its channel
  cut           closes every connection
  queues        prints name, tab, number of messages, a line each; after a start they are right a few seconds later only
  install       fetches the server, which start would do, and which may take minutes

All listens on 127.0.0.1. FOLDER may be anywhere, each port must be free.
USAGE
}

case "${1:-}" in
  -h | --help)
    usage
    exit
    ;;
esac
misused() {
  printf 'error: %s\n\n' "$1" >&2
  usage >&2
  exit 2
}
[ $# -ge 1 ] || misused "nothing to do is named"
verb=$1
shift
folder=
if [ "$verb" != install ]; then
  [ -n "${1:-}" ] || misused "no folder is named"
  [ "$verb" != start ] || mkdir -p "$1"
  folder=$(cd "$1" 2>/dev/null && pwd -P) || misused "there is no folder $1"
  shift
fi
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
# shellcheck source=scripts/lib/common.sh
. scripts/lib/common.sh
# shellcheck source=scripts/lib/amqp-server.sh
. scripts/lib/amqp-server.sh

node=gulo@localhost
# The water mark of memory, and what it is under an alarm.
memory=1GB memory_alarm=1MB

main() {
  local kind
  case $verb in
    install)
      kind=$(kind_of "${1:-}")
      amqp_server_install "$kind"
      ;;
    start)
      [ $# -ge 3 ] || misused "\`start\` takes a folder and three ports"
      kind=$(kind_of "${4:-}")
      start "$1" "$2" "$3" "$kind"
      ;;
    stop) stop ;;
    kill) send KILL && wait_for 10 node_is_gone ;;
    pause) send STOP ;;
    resume) send CONT ;;
    pid)
      node_pid | grep . || exit 1
      ;;
    version) amqp_server_version "$(of_node kind)" ;;
    ctl) ctl "$@" ;;
    alarm)
      case "${1:-}" in
        on) ctl -q set_vm_memory_high_watermark absolute "$memory_alarm" ;;
        off) ctl -q set_vm_memory_high_watermark absolute "$memory" ;;
        *) misused "\`alarm\` is \`on\` or \`off\`" ;;
      esac
      ;;
    ack-timeout)
      [[ ${1:-} =~ ^[0-9]+$ ]] || misused "\`ack-timeout\` takes milliseconds"
      ctl -q eval "application:set_env(rabbit, consumer_timeout, $1), application:set_env(rabbit, channel_tick_interval, 1000)."
      ;;
    cut) ctl -q close_all_connections "${1:-cut by a test}" ;;
    queues) ctl -q --no-table-headers list_queues name messages ;;
    delete-queue)
      [ -n "${1:-}" ] || misused "no queue is named"
      ctl -q delete_queue "$1"
      ;;
    *) misused "\`$verb\` is nothing to do" ;;
  esac
}

kind_of() {
  case "${1:-3}" in
    3 | 4) say "${1:-3}" ;;
    *) misused "\`$1\` is no kind of server: it is 3 or 4" ;;
  esac
}

# --- whose processes --------------------------------------------------------------------------------------------------

# Pids are used again, and files are deleted under processes: nothing is signalled but what was started with this folder in its
# environment.
started_here() {
  local pid
  grep -lzxsF -- "GULO_NODE=$folder" /proc/[0-9]*/environ | while IFS=/ read -r _ _ pid _; do
    [ "$(cat "/proc/$pid/comm" 2>/dev/null)" != "$1" ] || say "$pid"
  done
}

# The server, and none of the small helpers it starts. Or nothing.
node_pid() {
  local pid
  for pid in $(started_here beam.smp); do
    if tr '\0' ' ' 2>/dev/null <"/proc/$pid/cmdline" | grep -F -- '-s rabbit boot' >/dev/null; then
      say "$pid"
      return
    fi
  done
}

node_is_gone() { [ -z "$(node_pid)" ]; }

# send SIGNAL: to a node that must run
send() {
  local pid
  pid=$(node_pid)
  [ -n "$pid" ] || die "no node of $folder runs"
  kill "-$1" "$pid"
  say "$pid"
}

# --- starting ---------------------------------------------------------------------------------------------------------

start() {
  local port=$1 distribution=$2 names=$3 kind=$4 pid launched
  pid=$(node_pid)
  if [ -n "$pid" ]; then
    kill -CONT "$pid"
    if answers "127.0.0.1:$port" && [ -d "$folder/data" ]; then
      describe
      return
    fi
    say "pid $pid of $folder no longer serves; it is stopped first" >&2
  fi
  stop >/dev/null # a name server may have been left
  free_name_server "$names"
  for pid in "$port" "$distribution" "$names"; do
    if taken "$pid" >/dev/null; then die "$(taken "$pid")"; fi
  done
  amqp_server_install "$kind" >&2
  configure "$@"
  launch
  launched=$!
  if ! wait_for 90 ready_or_gone "$launched" || [ -z "$(node_pid)" ]; then
    stop >/dev/null
    tail -n 20 "$folder/broker.log" >&2
    die "RabbitMQ did not come up; the end of $folder/broker.log is above"
  fi
  describe
}

ready_or_gone() { answers "127.0.0.1:$(of_node port)" || gone "$1"; }

describe() {
  printf 'pid=%s\nurl=amqp://guest:guest@127.0.0.1:%s/%%2f\nnode=%s\nversion=%s\n' \
    "$(node_pid)" "$(of_node port)" "$node" "$(amqp_server_version "$(of_node kind)")"
}

# of_node WHAT: as it was started
of_node() { sed -n "s/^$1=//p" "$folder/node" 2>/dev/null; }

configure() {
  mkdir -p "$folder/data"
  printf 'port=%s\ndistribution=%s\nnames=%s\nkind=%s\n' "$@" >"$folder/node"
  [ -e "$folder/enabled_plugins" ] || printf '[].\n' >"$folder/enabled_plugins"
  # A small machine is enough. What is waited for is shorter than in production, as tests wait for it.
  cat >"$folder/rabbitmq.conf" <<CONF
listeners.tcp.1 = 127.0.0.1:$1
vm_memory_high_watermark.absolute = $memory
disk_free_limit.absolute = 50MB
consumer_timeout = 60000
heartbeat = 10
log.console = true
log.console.level = warning
log.file = false
CONF
  [ ! -e "$folder/more.conf" ] || cat "$folder/more.conf" >>"$folder/rabbitmq.conf"
}

# In a session of its own with none of this shell's files. The server's own scripts, not the wrappers of the package, which
# change the user.
launch() {
  [ ! -f "$folder/broker.log" ] || mv "$folder/broker.log" "$folder/broker.log.1"
  (
    cd "$folder" || exit
    close_inherited
    export GULO_NODE=$folder
    in_node setsid rabbitmq-server
  ) </dev/null >"$folder/broker.log" 2>&1 &
}

# in_node COMMAND..: replaces this shell by one of the server's programs, which finds the node by the environment
in_node() {
  local kind run
  kind=$(of_node kind)
  run=$(amqp_seen "$kind" "$folder")
  PATH=$(amqp_server_home "$kind")/sbin:$PATH:/usr/sbin:/usr/bin:/sbin:/bin
  export PATH HOME=$run LANG=C.UTF-8
  export RABBITMQ_NODENAME=$node
  RABBITMQ_NODE_PORT=$(of_node port) RABBITMQ_DIST_PORT=$(of_node distribution) ERL_EPMD_PORT=$(of_node names)
  export RABBITMQ_NODE_PORT RABBITMQ_DIST_PORT ERL_EPMD_PORT ERL_EPMD_ADDRESS=127.0.0.1
  export RABBITMQ_CONFIG_FILE=$run/rabbitmq.conf RABBITMQ_MNESIA_BASE=$run/data RABBITMQ_LOG_BASE=$run RABBITMQ_PID_FILE=$run/pid
  export RABBITMQ_ENABLED_PLUGINS_FILE=$run/enabled_plugins RABBITMQ_GENERATED_CONFIG_DIR=$run/generated
  export RABBITMQ_FEATURE_FLAGS_FILE=$run/data/feature_flags
  export RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS="+S 1:1 +sbwt none -kernel inet_dist_use_interface {127,0,0,1}"
  amqp_server_run "$kind" "$folder" "$@"
}

ctl() {
  [ $# -gt 0 ] || misused "\`ctl\` takes what rabbitmqctl takes"
  [ -n "$(of_node kind)" ] || die "no node has been started in $folder"
  (in_node rabbitmqctl "$@")
}

# --- stopping ---------------------------------------------------------------------------------------------------------

# One that is paused takes the signal when it goes on.
stop() {
  local pid names
  pid=$(node_pid)
  if [ -n "$pid" ]; then
    kill -TERM "$pid" 2>/dev/null || true
    kill -CONT "$pid" 2>/dev/null || true
    stop_process "$pid"
    say "stopped (pid $pid)"
  else
    say "is not running"
  fi
  # Erlang's name server outlives its nodes.
  for names in $(started_here epmd); do stop_process "$names"; done
}

# free_name_server PORT: ends one that somebody else has left there, which serves no node
free_name_server() {
  local pid
  pid=$(listener "$1")
  [ -n "$pid" ] && [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = epmd ] && [ -z "$(nodes_of_name_server "$1")" ] || return 0
  stop_process "$pid"
}

# In its own protocol: a request of one letter, then its port in four bytes, then a line for each node.
# shellcheck disable=SC2016 # the inner shell expands it
nodes_of_name_server() {
  bounded 3 bash -c 'exec 3<>"/dev/tcp/127.0.0.1/$0" && printf "\0\1n" >&3 && tail -c +5 <&3' "$1" 2>/dev/null | tr -d '\0'
}

main "$@"
