# shellcheck shell=bash
# Apache Kafka, one node in KRaft mode, on loopback. Sourced by scripts/brokers.

# shellcheck source=scripts/lib/broker.sh
. scripts/lib/broker.sh
# shellcheck source=scripts/lib/kafka-jars.sh
. scripts/lib/kafka-jars.sh

KAFKA_VERSION=4.3.1 # docker-compose.yml names it too
KAFKA_ADDRESS=127.0.0.1:9092
KAFKA_CONTROLLER=127.0.0.1:9093
# A second way in, for tests that cut the broker off: it listens on 9094 and tells clients to come to 9095, where a test
# puts a proxy. Nobody but the test listens on 9095.
KAFKA_FAULTY_UPSTREAM=127.0.0.1:9094
KAFKA_FAULTY_ADVERTISED=127.0.0.1:9095
KAFKA_RUN=target/brokers/kafka
KAFKA_CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/gulo/kafka-$KAFKA_VERSION
# A small heap and the quick compiler only: half the start and two thirds of the memory of the defaults.
KAFKA_JVM=(-Xms64m -Xmx256m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Djava.net.preferIPv4Stack=true)

kafka_up() { frame_up kafka kafka; }
kafka_down() { frame_down kafka kafka "$1"; }
kafka_status() { frame_status kafka kafka; }

kafka_product() { say "Apache Kafka $KAFKA_VERSION"; }
kafka_address() { say "$KAFKA_ADDRESS"; }
kafka_named_by() { say KAFKA_BOOTSTRAP_SERVERS; }
kafka_shown() { say "$KAFKA_BOOTSTRAP_SERVERS"; }
kafka_by_docker() { has_docker; }
kafka_stop() { stop_process "$1"; }
kafka_stop_container() { kafka_compose stop kafka; }

kafka_wipe() {
  if has_docker; then kafka_compose down --volumes; fi
  rm -rf "$KAFKA_RUN/data"
}

kafka_uptime() {
  if [ -n "$1" ]; then
    say "pid $1, for $(age_of "$1") s"
  else
    say "in Docker, $(kafka_compose ps --format '{{.Status}}' kafka)"
  fi
}

kafka_log() {
  if [ -n "$(kafka_pid)" ] || ! has_docker; then say "$KAFKA_RUN/broker.log"; else say "docker compose --profile kafka logs kafka"; fi
}

# --- whose broker -----------------------------------------------------------------------------------------------------

# Who has loaded our env file into a shell has KAFKA_BOOTSTRAP_SERVERS set as well, and still means ours. The second variable
# comes from that file alone.
kafka_is_the_users() {
  [ -n "${KAFKA_BOOTSTRAP_SERVERS:-}" ] || return 1
  [ "$KAFKA_BOOTSTRAP_SERVERS ${GULO_KAFKA_FAULTY_UPSTREAM:-}" != "$KAFKA_ADDRESS $KAFKA_FAULTY_UPSTREAM" ]
}

# One of the servers is enough, as it is for a client.
kafka_users_answers() {
  local server
  local -a servers
  IFS=', ' read -r -a servers <<<"$KAFKA_BOOTSTRAP_SERVERS"
  for server in "${servers[@]}"; do
    [[ $server == *:* ]] || server+=:9092
    if answers "$server"; then return; fi
  done
  return 1
}

# Up and usable: what answers is ours, and its data has not been deleted under it, as cargo clean does.
kafka_serves() {
  answers "$KAFKA_ADDRESS" || return 1
  if [ -n "$(kafka_pid)" ]; then [ -f "$KAFKA_RUN/data/meta.properties" ]; else kafka_container_runs; fi
}

# The pid of our process, or nothing. After cargo clean the pid file is gone and the process is not, so the port is asked too.
kafka_pid() {
  local pid
  for pid in "$(cat "$KAFKA_RUN/pid" 2>/dev/null || true)" "$(listener "${KAFKA_ADDRESS##*:}")"; do
    if runs_in "$pid" "$KAFKA_RUN" kafka.Kafka; then
      say "$pid"
      return
    fi
  done
}

kafka_container_runs() { has_docker && [ -n "$(kafka_compose ps --status running -q kafka 2>/dev/null)" ]; }

kafka_compose() { docker compose --profile kafka --profile ui "$@"; }

kafka_check_ports() {
  local address port pid
  for address in "$KAFKA_ADDRESS" "$KAFKA_CONTROLLER" "$KAFKA_FAULTY_UPSTREAM"; do
    if answers "$address"; then
      port=${address##*:}
      pid=$(listener "$port")
      die "port $port is taken${pid:+ by pid $pid ($(kafka_name_of "$pid"))}, and not by the broker of this checkout: stop that, or, if it is a Kafka to be used, $(kafka_how_to_name_yours)"
    fi
  done
}

# Another checkout's env file, loaded into this shell, names our own address.
kafka_how_to_name_yours() {
  if [ -n "${GULO_KAFKA_FAULTY_UPSTREAM:-}" ]; then
    say "unset GULO_KAFKA_FAULTY_UPSTREAM (it says that KAFKA_BOOTSTRAP_SERVERS is the broker of this checkout)"
  else
    say "set KAFKA_BOOTSTRAP_SERVERS"
  fi
}

kafka_name_of() { cat "/proc/$1/comm" 2>/dev/null || say "?"; }

kafka_write_env() {
  local pid
  pid=$(kafka_pid)
  cat >"$KAFKA_RUN/env" <<ENV
KAFKA_BOOTSTRAP_SERVERS=$KAFKA_ADDRESS
GULO_KAFKA_FAULTY_UPSTREAM=$KAFKA_FAULTY_UPSTREAM
GULO_KAFKA_FAULTY_ADVERTISED=$KAFKA_FAULTY_ADVERTISED
GULO_KAFKA_VERSION="$(kafka_product)"
ENV
  [ -z "$pid" ] || say "GULO_KAFKA_PID=$pid" >>"$KAFKA_RUN/env"
}

# --- with Docker ------------------------------------------------------------------------------------------------------

kafka_start_container() {
  kafka_container_runs || kafka_check_ports
  docker compose --profile kafka up -d --wait --wait-timeout 60 && return
  kafka_compose logs --tail 20 kafka >&2 || true
  die "kafka did not come up in Docker; the end of its log is above"
}

# --- without Docker: the jars from Maven Central ----------------------------------------------------------------------

kafka_start_process() {
  [ -r /proc/self/cmdline ] || die "kafka: this system needs Docker (or name a broker by KAFKA_BOOTSTRAP_SERVERS)"
  kafka_clear_away
  kafka_check_ports
  kafka_check_java
  kafka_fill_cache
  kafka_configure "$KAFKA_RUN"
  [ -f "$KAFKA_RUN/data/meta.properties" ] || { rm -rf "$KAFKA_RUN/data" && cp -r "$KAFKA_CACHE/formatted" "$KAFKA_RUN/data"; }
  [ ! -f "$KAFKA_RUN/broker.log" ] || mv "$KAFKA_RUN/broker.log" "$KAFKA_RUN/broker.log.1"
  kafka_announce_slow_start
  local archive
  archive=$(kafka_archive)
  if [ -s "$archive" ]; then
    kafka_launch "$KAFKA_RUN" "-XX:SharedArchiveFile=$archive"
  else
    kafka_launch "$KAFKA_RUN"
  fi
  kafka_becomes_ready "$KAFKA_RUN" && return
  stop_process "$(cat "$KAFKA_RUN/pid")"
  rm -f "$KAFKA_RUN/pid"
  tail -n 20 "$KAFKA_RUN/broker.log" >&2
  die "kafka did not come up; the end of $KAFKA_RUN/broker.log is above"
}

# A process of ours that does not serve hangs, or cargo clean took its data.
kafka_clear_away() {
  local pid
  pid=$(kafka_pid)
  [ -n "$pid" ] || return 0
  say "kafka: pid $pid of this checkout no longer serves; it is stopped first"
  stop_process "$pid"
}

# A broker that was killed cannot register again before its old session has ended. Kafka is silent about that wait.
kafka_announce_slow_start() {
  if [ -d "$KAFKA_RUN/data/__cluster_metadata-0" ] && [ ! -e "$KAFKA_RUN/data/.kafka_cleanshutdown" ]; then
    say "kafka: was not stopped cleanly, so this start takes about 12 s"
  fi
}

# kafka_launch FOLDER OPTION..: Kafka in a session of its own with none of this shell's files: it outlives the shell, and
# nobody who reads the shell's output waits for it.
kafka_launch() {
  local folder=$1 class_path
  class_path=$(kafka_class_path)
  shift
  (
    cd "$folder" || exit
    close_inherited
    exec setsid java "${KAFKA_JVM[@]}" "$@" -Dlog4j2.configurationFile=log4j2.yaml -cp "$class_path" kafka.Kafka server.properties
  ) </dev/null >"$folder/broker.log" 2>&1 &
  echo $! >"$folder/pid"
}

# Kafka opens the port when it is ready, not before.
kafka_becomes_ready() {
  local pid
  pid=$(cat "$1/pid")
  wait_for 60 kafka_ready_or_gone "$pid" && lives "$pid"
}

kafka_ready_or_gone() { answers "$KAFKA_ADDRESS" || gone "$1"; }

# kafka_configure FOLDER
kafka_configure() {
  cat >"$1/server.properties" <<PROPERTIES
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@$KAFKA_CONTROLLER
controller.listener.names=CONTROLLER
inter.broker.listener.name=DIRECT
listeners=DIRECT://$KAFKA_ADDRESS,FAULTY://$KAFKA_FAULTY_UPSTREAM,CONTROLLER://$KAFKA_CONTROLLER
advertised.listeners=DIRECT://$KAFKA_ADDRESS,FAULTY://$KAFKA_FAULTY_ADVERTISED
listener.security.protocol.map=DIRECT:PLAINTEXT,FAULTY:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs=data
# A topic nobody made is an error, in tests as in production.
auto.create.topics.enable=false
num.partitions=4
# One node: nothing can be replicated.
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=4
# Tests do not wait for what production does.
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
group.consumer.min.session.timeout.ms=1000
group.consumer.session.timeout.ms=6000
group.consumer.min.heartbeat.interval.ms=300
group.consumer.heartbeat.interval.ms=1000
transaction.abort.timed.out.transaction.cleanup.interval.ms=1000
log.retention.check.interval.ms=2000
log.initial.task.delay.ms=500
# A small machine is enough.
log.cleaner.dedupe.buffer.size=2097152
num.network.threads=2
num.io.threads=2
background.threads=2
num.recovery.threads.per.data.dir=1
PROPERTIES
  cat >"$1/log4j2.yaml" <<'YAML'
Configuration:
  Appenders:
    Console: { name: STDOUT, PatternLayout: { pattern: "%d %p %m (%c)%n" } }
  Loggers:
    Root: { level: WARN, AppenderRef: [ { ref: STDOUT } ] }
YAML
}
