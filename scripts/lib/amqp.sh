# shellcheck shell=bash
# RabbitMQ, one node, on loopback: with Docker where there is an engine, else from Debian's package. Sourced by scripts/brokers.

# shellcheck source=scripts/lib/broker.sh
. scripts/lib/broker.sh

AMQP_ADDRESS=127.0.0.1:5672
AMQP_NODE=gulo@localhost
AMQP_DISTRIBUTION=25672
# Erlang's name server, one of our own: it outlives its nodes, and others may have one.
AMQP_NAMES=4370
AMQP_RUN=target/brokers/amqp

amqp_up() { frame_up amqp amqp; }
amqp_down() { frame_down amqp amqp "$1"; }
amqp_status() { frame_status amqp amqp; }

amqp_product() { say "RabbitMQ $(amqp_version)"; }
amqp_address() { say "$AMQP_ADDRESS"; }
amqp_named_by() { say AMQP_URL; }
amqp_by_docker() { has_docker; }
amqp_stop_container() { amqp_compose stop rabbitmq; }

amqp_stop() {
  stop_process "$1"
  amqp_end_names
}

amqp_wipe() {
  if has_docker; then
    amqp_compose rm --stop --force rabbitmq
    docker volume rm --force gulo_rabbitmq >/dev/null
  fi
  rm -rf "$AMQP_RUN/data"
}

amqp_uptime() {
  if [ -n "$1" ]; then
    say "pid $1, for $(age_of "$1") s"
  else
    say "in Docker, $(amqp_compose ps --format '{{.Status}}' rabbitmq)"
  fi
}

amqp_log() {
  if [ -n "$(amqp_pid)" ] || ! has_docker; then say "$AMQP_RUN/broker.log"; else say "docker compose --profile rabbitmq logs rabbitmq"; fi
}

# --- whose broker -----------------------------------------------------------------------------------------------------

# Who has loaded our env file into a shell has AMQP_URL set as well, and still means ours. The second variable comes from that
# file alone.
amqp_is_the_users() {
  [ -n "${AMQP_URL:-}" ] || return 1
  [ "$AMQP_URL ${GULO_AMQP_NODE:-}" != "$(amqp_url) $AMQP_NODE" ]
}

amqp_url() { printf 'amqp://guest:guest@%s/%%2f\n' "$AMQP_ADDRESS"; }

# Without what it logs in with.
amqp_shown() { sed -E 's#//[^@/]*@#//#' <<<"$AMQP_URL"; }

amqp_users_answers() {
  local address
  address=$(sed -E 's#^amqps?://([^@/]*@)?([^/?]*).*#\2#' <<<"$AMQP_URL")
  case $address in
    *:*) ;;
    *) if [[ $AMQP_URL == amqps:* ]]; then address+=:5671; else address+=:5672; fi ;;
  esac
  answers "$address"
}

# Up and usable: what answers is ours, and its data has not been deleted under it, as cargo clean does.
amqp_serves() {
  answers "$AMQP_ADDRESS" || return 1
  if [ -n "$(amqp_pid)" ]; then [ -d "$AMQP_RUN/data" ]; else amqp_container_runs; fi
}

# Of our own node, or nothing.
amqp_pid() {
  local pid
  pid=$(tr -dc 0-9 2>/dev/null <"$AMQP_RUN/pid" || true)
  # Its home is on its command line.
  if runs_in "$pid" "$AMQP_RUN" "$(pwd -P)/$AMQP_RUN"; then printf '%s\n' "$pid"; fi
}

amqp_container_runs() { has_docker && [ -n "$(amqp_compose ps --status running -q rabbitmq 2>/dev/null)" ]; }

amqp_compose() { docker compose --profile rabbitmq "$@"; }

amqp_version() {
  if [ -n "$(amqp_pid)" ]; then
    basename "$(amqp_home)" | sed 's/^rabbitmq_server-//'
  else
    sed -n 's/^ *image: rabbitmq:\([0-9.]*\).*/\1/p' docker-compose.yml
  fi
}

amqp_write_env() {
  local pid
  pid=$(amqp_pid)
  cat >"$AMQP_RUN/env" <<ENV
AMQP_URL=$(amqp_url)
GULO_AMQP_NODE=$AMQP_NODE
GULO_AMQP_VERSION="$(amqp_product)"
ENV
  [ -z "$pid" ] || say "GULO_AMQP_PID=$pid" >>"$AMQP_RUN/env"
}

# --- starting ---------------------------------------------------------------------------------------------------------

amqp_start_container() {
  amqp_container_runs || amqp_check_ports
  docker compose --profile rabbitmq up -d --wait --wait-timeout 120 && return
  amqp_compose logs --tail 20 rabbitmq >&2 || true
  die "RabbitMQ did not come up in Docker; the end of its log is above"
}

amqp_start_process() {
  amqp_check_ports
  amqp_install
  amqp_configure
  amqp_launch
  if amqp_becomes_ready; then return; fi
  tail -n 20 "$AMQP_RUN/broker.log" >&2 || true
  die "RabbitMQ did not come up; the end of $AMQP_RUN/broker.log is above"
}

amqp_check_ports() {
  local port pid
  for port in "${AMQP_ADDRESS##*:}" "$AMQP_DISTRIBUTION" "$AMQP_NAMES"; do
    if answers "127.0.0.1:$port"; then
      # Left by a node that was killed: nobody uses it.
      if [ "$port" = "$AMQP_NAMES" ]; then
        amqp_end_names
        continue
      fi
      pid=$(listener "$port")
      die "port $port is taken${pid:+ by pid $pid}, and not by the broker of this checkout: stop that, or, if it is a RabbitMQ to be used, set AMQP_URL"
    fi
  done
}

# The package starts a node of its own where nothing keeps it from that.
amqp_install() {
  [ -z "$(amqp_home)" ] || return 0
  local policy=/usr/sbin/policy-rc.d made=
  if [ "$(id -u)" = 0 ] && [ -d /usr/sbin ] && [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
    made=yes
  fi
  (install_packages rabbitmq-server) || {
    [ -z "$made" ] || rm -f "$policy"
    die "RabbitMQ could not be installed"
  }
  [ -z "$made" ] || rm -f "$policy"
  [ -n "$(amqp_home)" ] || die "the package rabbitmq-server has no server in /usr/lib/rabbitmq/lib"
}

amqp_home() { find /usr/lib/rabbitmq/lib -maxdepth 1 -name 'rabbitmq_server-*' 2>/dev/null | sort | tail -n 1; }

amqp_configure() {
  mkdir -p "$AMQP_RUN/data"
  printf '[].\n' >"$AMQP_RUN/enabled_plugins"
  # A small machine is enough. What is waited for is shorter than in production, as tests wait for it.
  cat >"$AMQP_RUN/rabbitmq.conf" <<CONF
listeners.tcp.1 = $AMQP_ADDRESS
vm_memory_high_watermark.absolute = 300MB
disk_free_limit.absolute = 50MB
consumer_timeout = 60000
heartbeat = 10
log.console = true
log.console.level = warning
log.file = false
CONF
}

# In a session of its own with none of this shell's files. The server's own scripts, not the wrappers of the package, which
# change the user.
amqp_launch() {
  local home run
  home=$(amqp_home) run=$(pwd -P)/$AMQP_RUN
  rm -f "$run/pid"
  (
    cd "$run" || exit
    close_inherited
    export HOME=$run PATH=$home/sbin:$PATH LANG=C.UTF-8
    export RABBITMQ_NODENAME=$AMQP_NODE RABBITMQ_NODE_PORT=${AMQP_ADDRESS##*:} RABBITMQ_DIST_PORT=$AMQP_DISTRIBUTION
    export ERL_EPMD_PORT=$AMQP_NAMES ERL_EPMD_ADDRESS=127.0.0.1
    export RABBITMQ_CONFIG_FILE=$run/rabbitmq.conf RABBITMQ_MNESIA_BASE=$run/data RABBITMQ_LOG_BASE=$run RABBITMQ_PID_FILE=$run/pid
    export RABBITMQ_ENABLED_PLUGINS_FILE=$run/enabled_plugins RABBITMQ_GENERATED_CONFIG_DIR=$run/generated
    export RABBITMQ_FEATURE_FLAGS_FILE=$run/data/feature_flags
    export RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS="+S 1:1 +sbwt none -kernel inet_dist_use_interface {127,0,0,1}"
    exec setsid rabbitmq-server
  ) </dev/null >"$AMQP_RUN/broker.log" 2>&1 &
}

amqp_becomes_ready() { wait_for 90 answers "$AMQP_ADDRESS" && wait_for 10 amqp_has_a_pid; }

amqp_has_a_pid() { [ -n "$(amqp_pid)" ]; }

amqp_end_names() {
  local pid
  pid=$(listener "$AMQP_NAMES")
  if [ -n "$pid" ] && tr '\0' '\n' 2>/dev/null <"/proc/$pid/cmdline" | grep -q epmd; then stop_process "$pid"; fi
}
