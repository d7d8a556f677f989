# shellcheck shell=bash
# RabbitMQ, one node, on loopback: with Docker where there is an engine, else from Debian's package. Sourced by scripts/brokers,
# and by the files of the other RabbitMQs, which have other settings.

# shellcheck source=scripts/lib/broker.sh
. scripts/lib/broker.sh
# shellcheck source=scripts/lib/amqp-server.sh
. scripts/lib/amqp-server.sh

AMQP_NAME=amqp
AMQP_KIND=3
AMQP_ADDRESS=127.0.0.1:5672
AMQP_DISTRIBUTION=25672
# Erlang's name server, one of our own: it outlives its nodes, and others may have one.
AMQP_NAMES=4370
AMQP_NODE=gulo@localhost
AMQP_RUN=target/brokers/$AMQP_NAME

amqp_up() { frame_up "$AMQP_NAME" amqp; }
amqp_down() {
  frame_down "$AMQP_NAME" amqp "$1"
  # A node that was killed has left its name server.
  amqp_is_the_users || amqp_stop 2>/dev/null || true
}
amqp_status() { frame_status "$AMQP_NAME" amqp; }

amqp_product() { say "RabbitMQ $(amqp_version)"; }
amqp_address() { say "$AMQP_ADDRESS"; }
amqp_named_by() { say AMQP_URL; }
amqp_by_docker() { has_docker; }
amqp_stop_container() { amqp_compose stop rabbitmq; }
amqp_stop() { amqp_node stop "$AMQP_RUN" >/dev/null; }

amqp_wipe() {
  if amqp_by_docker; then
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
  if [ -n "$(amqp_pid)" ] || ! amqp_by_docker; then say "$AMQP_RUN/broker.log"; else say "docker compose --profile rabbitmq logs rabbitmq"; fi
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

# Up and usable: what answers is ours, its data has not been deleted under it, as cargo clean does, and no test that was ended
# has left it paused.
amqp_serves() {
  local pid
  answers "$AMQP_ADDRESS" || return 1
  pid=$(amqp_pid)
  if [ -n "$pid" ]; then [ -d "$AMQP_RUN/data" ] && ! paused "$pid"; else amqp_container_runs; fi
}

# Of our own node, or nothing.
amqp_pid() { amqp_node pid "$AMQP_RUN" 2>/dev/null || true; }

amqp_node() { scripts/lib/amqp-node.sh "$@"; }

amqp_container_runs() { amqp_by_docker && [ -n "$(amqp_compose ps --status running -q rabbitmq 2>/dev/null)" ]; }

amqp_compose() { docker compose --profile rabbitmq "$@"; }

amqp_version() {
  if [ -n "$(amqp_pid)" ]; then
    amqp_server_version "$AMQP_KIND"
  else
    sed -n 's/^ *image: rabbitmq:\([0-9.]*\).*/\1/p' docker-compose.yml
  fi
}

amqp_write_env() {
  local pid
  pid=$(amqp_pid)
  amqp_write_ctl "$pid"
  cat >"$AMQP_RUN/env" <<ENV
AMQP_URL=$(amqp_url)
GULO_AMQP_NODE=$AMQP_NODE
GULO_AMQP_VERSION="$(amqp_product)"
GULO_AMQP_CTL="$PWD/$AMQP_RUN/ctl"
ENV
  [ -z "$pid" ] || say "GULO_AMQP_PID=$pid" >>"$AMQP_RUN/env"
}

# ctl ARGUMENT..: rabbitmqctl, for tests, wherever the broker runs
amqp_write_ctl() {
  local command
  if [ -n "$1" ]; then
    command=$(printf '%q ctl %q' "$PWD/scripts/lib/amqp-node.sh" "$PWD/$AMQP_RUN")
  else
    command=$(printf 'docker compose -f %q --profile rabbitmq exec -T rabbitmq rabbitmqctl' "$PWD/docker-compose.yml")
  fi
  printf '#!/usr/bin/env bash\nexec %s "$@"\n' "$command" >"$AMQP_RUN/ctl"
  chmod +x "$AMQP_RUN/ctl"
}

# --- starting ---------------------------------------------------------------------------------------------------------

amqp_start_container() {
  amqp_container_runs || amqp_check_ports
  docker compose --profile rabbitmq up -d --wait --wait-timeout 120 && return
  amqp_compose logs --tail 20 rabbitmq >&2 || true
  die "RabbitMQ did not come up in Docker; the end of its log is above"
}

# What ours holds itself is not in its way.
amqp_start_process() {
  [ -n "$(amqp_pid)" ] || amqp_check_ports
  amqp_server_install "$AMQP_KIND"
  amqp_node start "$AMQP_RUN" "${AMQP_ADDRESS##*:}" "$AMQP_DISTRIBUTION" "$AMQP_NAMES" "$AMQP_KIND" >/dev/null || exit 1
}

amqp_check_ports() {
  local port whose
  for port in "${AMQP_ADDRESS##*:}" "$AMQP_DISTRIBUTION"; do
    if whose=$(taken "$port"); then
      die "$whose, and not by the broker of this checkout: stop that, or, if it is a RabbitMQ to be used, $(amqp_how_to_name_yours)"
    fi
  done
}

# Another checkout's env file, loaded into this shell, names our own address.
amqp_how_to_name_yours() {
  if [ -n "${GULO_AMQP_NODE:-}" ]; then
    say "unset GULO_AMQP_NODE (it says that AMQP_URL is the broker of this checkout)"
  else
    say "set AMQP_URL"
  fi
}
