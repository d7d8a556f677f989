# Apache Kafka, one node in KRaft mode, on loopback. Sourced by scripts/brokers.

KAFKA_VERSION=4.3.1
LOG4J_VERSION=2.25.3
KAFKA_ADDRESS=127.0.0.1:9092
# A second way in, for tests that cut the broker off: it listens on 9094 and tells clients to come to 9095, where a test
# puts a proxy.
KAFKA_FAULTY_UPSTREAM=127.0.0.1:9094
KAFKA_FAULTY_ADVERTISED=127.0.0.1:9095
KAFKA_CONTROLLER=127.0.0.1:9093
KAFKA_RUN=target/brokers/kafka
KAFKA_CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/gulo/kafka-$KAFKA_VERSION
KAFKA_JVM=(-Xms64m -Xmx256m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Djava.net.preferIPv4Stack=true)

kafka_up() {
  if [ -n "${KAFKA_BOOTSTRAP_SERVERS:-}" ]; then
    answers "${KAFKA_BOOTSTRAP_SERVERS%%,*}" || die "nothing answers at ${KAFKA_BOOTSTRAP_SERVERS%%,*} (KAFKA_BOOTSTRAP_SERVERS)"
    say "kafka: yours at $KAFKA_BOOTSTRAP_SERVERS (KAFKA_BOOTSTRAP_SERVERS)"
    return
  fi
  mkdir -p "$KAFKA_RUN"
  if kafka_runs; then
    say "kafka: Apache Kafka $KAFKA_VERSION is up already at $KAFKA_ADDRESS"
    return
  fi
  kafka_ports_are_free
  local begin=$SECONDS
  if has_docker; then
    docker compose --profile kafka up -d --wait
    kafka_write_env
  else
    kafka_up_from_jars
  fi
  say "kafka: Apache Kafka $KAFKA_VERSION is up at $KAFKA_ADDRESS after $((SECONDS - begin)) s; log: $KAFKA_RUN/broker.log"
}

kafka_down() {
  if [ -n "${KAFKA_BOOTSTRAP_SERVERS:-}" ]; then
    say "kafka: yours at $KAFKA_BOOTSTRAP_SERVERS is left alone (KAFKA_BOOTSTRAP_SERVERS)"
    return
  fi
  local pid
  pid=$(kafka_pid)
  if [ -n "$pid" ]; then
    kill -TERM "$pid"
    wait_for 30 kafka_gone "$pid" || kill -KILL "$pid"
    say "kafka: stopped (pid $pid); log: $KAFKA_RUN/broker.log"
  elif has_docker; then
    docker compose --profile kafka stop
  else
    say "kafka: is not running"
  fi
  rm -f "$KAFKA_RUN/pid" "$KAFKA_RUN/env"
  if [ "$1" = --wipe ]; then
    if has_docker; then docker compose --profile kafka down -v; fi
    rm -rf "$KAFKA_RUN/data"
    say "kafka: data deleted"
  fi
}

kafka_status() {
  if [ -n "${KAFKA_BOOTSTRAP_SERVERS:-}" ]; then
    answers "${KAFKA_BOOTSTRAP_SERVERS%%,*}" || { say "kafka: down ($KAFKA_BOOTSTRAP_SERVERS does not answer)"; exit 1; }
    say "kafka: up at $KAFKA_BOOTSTRAP_SERVERS (KAFKA_BOOTSTRAP_SERVERS)"
  elif kafka_runs; then
    local pid
    pid=$(kafka_pid)
    say "kafka: up, Apache Kafka $KAFKA_VERSION at $KAFKA_ADDRESS${pid:+, pid $pid, for $(ps -o etime= -p "$pid" | tr -d ' ')}"
  else
    say "kafka: down"
    exit 1
  fi
}

# Empty where no process of ours lives.
kafka_pid() {
  local pid
  pid=$(cat "$KAFKA_RUN/pid" 2>/dev/null || true)
  if ours "$pid" "$KAFKA_RUN"; then echo "$pid"; fi
}

kafka_gone() { [ -z "$(kafka_pid)" ]; }

kafka_runs() {
  answers "$KAFKA_ADDRESS" || return 1
  [ -n "$(kafka_pid)" ] || { has_docker && [ -n "$(docker compose ps -q kafka 2>/dev/null)" ]; }
}

kafka_ports_are_free() {
  local address who
  for address in "$KAFKA_ADDRESS" "$KAFKA_CONTROLLER" "$KAFKA_FAULTY_UPSTREAM"; do
    answers "$address" || continue
    who=$(who_listens "${address##*:}")
    die "port ${address##*:} is taken${who:+ by $who}, and not by a broker of this checkout; stop it, or name it by KAFKA_BOOTSTRAP_SERVERS if it is a Kafka"
  done
}

kafka_write_env() {
  local pid
  pid=$(kafka_pid)
  cat >"$KAFKA_RUN/env" <<ENV
KAFKA_BOOTSTRAP_SERVERS=$KAFKA_ADDRESS
GULO_KAFKA_FAULTY_UPSTREAM=$KAFKA_FAULTY_UPSTREAM
GULO_KAFKA_FAULTY_ADVERTISED=$KAFKA_FAULTY_ADVERTISED
GULO_KAFKA_VERSION="Apache Kafka $KAFKA_VERSION"
${pid:+GULO_KAFKA_PID=$pid}
ENV
}

# --- without Docker: the jars from Maven Central -------------------------------------------------------------------------

kafka_up_from_jars() {
  need java openjdk-17-jre-headless
  kafka_gather_jars
  kafka_write_configuration
  local classpath
  classpath=$(printf '%s:' "$KAFKA_CACHE"/lib/*.jar)
  [ -f "$KAFKA_RUN/data/meta.properties" ] || kafka_format "$classpath"
  kafka_launch "$classpath" "$(kafka_archive_option)"
  kafka_write_env
}

# Checksums are of this repository, so a jar that differs from the one this was written with is not run.
kafka_gather_jars() {
  local sums=$PWD/scripts/lib/kafka-$KAFKA_VERSION.sha256
  (cd "$KAFKA_CACHE/lib" 2>/dev/null && sha256sum --status -c "$sums" 2>/dev/null) && return
  need mvn maven
  say "kafka: gathering the jars of Apache Kafka $KAFKA_VERSION, once"
  rm -rf "$KAFKA_CACHE"
  mkdir -p "$KAFKA_CACHE"
  kafka_pom >"$KAFKA_CACHE/pom.xml"
  (cd "$KAFKA_CACHE" && mvn -q -B dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory=lib) ||
    die "the jars could not be gathered; Maven said why above"
  (cd "$KAFKA_CACHE/lib" && sha256sum --quiet -c "$sums") || die "a jar in $KAFKA_CACHE/lib is not the one expected: see above"
}

kafka_pom() {
  local artifact
  echo '<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>'
  echo '<groupId>local</groupId><artifactId>kafka-broker</artifactId><version>1</version><packaging>pom</packaging><dependencies>'
  for artifact in org.apache.kafka:kafka_2.13:$KAFKA_VERSION org.apache.kafka:kafka-tools:$KAFKA_VERSION \
    org.apache.logging.log4j:log4j-core:$LOG4J_VERSION org.apache.logging.log4j:log4j-slf4j-impl:$LOG4J_VERSION; do
    printf '<dependency><groupId>%s</groupId><artifactId>%s</artifactId><version>%s</version></dependency>\n' ${artifact//:/ }
  done
  echo '</dependencies></project>'
}

kafka_write_configuration() {
  cat >"$KAFKA_RUN/server.properties" <<PROPERTIES
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@$KAFKA_CONTROLLER
controller.listener.names=CONTROLLER
inter.broker.listener.name=DIRECT
listeners=DIRECT://$KAFKA_ADDRESS,FAULTY://$KAFKA_FAULTY_UPSTREAM,CONTROLLER://$KAFKA_CONTROLLER
advertised.listeners=DIRECT://$KAFKA_ADDRESS,FAULTY://$KAFKA_FAULTY_ADVERTISED
listener.security.protocol.map=DIRECT:PLAINTEXT,FAULTY:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs=data
auto.create.topics.enable=false
num.partitions=4
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=4
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
log.cleaner.dedupe.buffer.size=2097152
num.network.threads=2
num.io.threads=2
background.threads=2
num.recovery.threads.per.data.dir=1
PROPERTIES
  cat >"$KAFKA_RUN/log4j2.yaml" <<'YAML'
Configuration:
  Appenders:
    Console: { name: STDOUT, PatternLayout: { pattern: "%d %p %m (%c)%n" } }
  Loggers:
    Root: { level: WARN, AppenderRef: [ { ref: STDOUT } ] }
YAML
}

kafka_format() {
  (cd "$KAFKA_RUN" && java "${KAFKA_JVM[@]}" -cp "$1" kafka.tools.StorageTool format \
    -t AAAAAAAAAAAAAAAAAAAAAQ -c server.properties >format.log 2>&1) || { cat "$KAFKA_RUN/format.log" >&2; die "formatting failed"; }
}

# An archive of loaded classes halves the start (3 s to 1.6 s). The JVM writes it at its first clean exit; it fits that JVM
# only, so its name says which.
kafka_archive_option() {
  local archive
  archive=$KAFKA_CACHE/$(java -version 2>&1 | sha256sum | cut -c 1-12).jsa
  if [ -f "$archive" ]; then echo "-XX:SharedArchiveFile=$archive"; else echo "-XX:ArchiveClassesAtExit=$archive"; fi
}

kafka_launch() {
  local pid
  (
    cd "$KAFKA_RUN"
    # Not under this shell's session, and with none of its file descriptors: it outlives the shell, and nobody who reads
    # the shell's output waits for it.
    setsid java "${KAFKA_JVM[@]}" "$2" \
      -Dlog4j2.configurationFile=log4j2.yaml -cp "$1" kafka.Kafka server.properties </dev/null >>broker.log 2>&1 3>&- &
    echo $! >pid
  )
  pid=$(cat "$KAFKA_RUN/pid")
  # After kill -9 the controller waits for the session of the dead broker to end: 9 s.
  wait_for 60 kafka_answers_or_died "$pid"
  if [ -n "$(kafka_pid)" ] && answers "$KAFKA_ADDRESS"; then return; fi
  tail -n 20 "$KAFKA_RUN/broker.log" >&2
  die "kafka did not come up; the end of $KAFKA_RUN/broker.log is above"
}

kafka_answers_or_died() { answers "$KAFKA_ADDRESS" || ! [ -e "/proc/$1" ]; }
