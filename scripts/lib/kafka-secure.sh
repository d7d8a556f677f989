# shellcheck shell=bash
# Apache Kafka with every kind of login, on loopback and beside the plain one, for the tests of security. Sourced by
# scripts/brokers. It is never a broker of the user's: its certificates, users and rights are what is tested.

# shellcheck source=scripts/lib/kafka.sh
. scripts/lib/kafka.sh
# shellcheck source=scripts/lib/pki.sh
. scripts/lib/pki.sh

# Two checkouts on one machine need different ports: GULO_KAFKA_SECURE_PORTS is the first of their thousand.
KAFKA_SECURE_PORTS=${GULO_KAFKA_SECURE_PORTS:-19000}
kafka_secure_at() { say "127.0.0.1:$((KAFKA_SECURE_PORTS + $1))"; }
KAFKA_SECURE_PLAIN=$(kafka_secure_at 92) # without login, and may do everything: for who checks
KAFKA_SECURE_CONTROLLER=$(kafka_secure_at 93)
KAFKA_SECURE_SASL_SSL=$(kafka_secure_at 392)
KAFKA_SECURE_MTLS=$(kafka_secure_at 492)
KAFKA_SECURE_EXPIRED=$(kafka_secure_at 592)    # its certificate has expired
KAFKA_SECURE_WRONG_HOST=$(kafka_secure_at 692) # its certificate is another host's
KAFKA_SECURE_SASL=$(kafka_secure_at 792)       # in the open, SCRAM-SHA-512 alone
# The same as SASL_SSL, but it tells clients to come to where a test puts a proxy.
KAFKA_SECURE_FAULTY_UPSTREAM=$(kafka_secure_at 394)
KAFKA_SECURE_FAULTY_ADVERTISED=$(kafka_secure_at 395)
KAFKA_SECURE_RUN=target/brokers/kafka-secure
KAFKA_SECURE_PKI=$KAFKA_SECURE_RUN/pki

kafka_secure_up() {
  local begin
  begin=$(now_ms)
  mkdir -p "$KAFKA_SECURE_RUN"
  lock "$KAFKA_SECURE_RUN.lock" 120
  if kafka_secure_serves; then
    kafka_secure_write_env
    say "kafka-secure: is up already at $KAFKA_SECURE_SASL_SSL; log: $KAFKA_SECURE_RUN/broker.log"
    return
  fi
  kafka_secure_stop
  kafka_secure_check_ports
  kafka_check_java
  mkdir -p "$KAFKA_CACHE"
  (
    lock "$KAFKA_CACHE/lock" 300
    kafka_gather_jars
  )
  kafka_secure_make_pki
  kafka_secure_configure
  kafka_secure_start
  kafka_secure_write_env
  say "kafka-secure: Apache Kafka $KAFKA_VERSION is up at $KAFKA_SECURE_SASL_SSL after $(elapsed "$begin") s; log: $KAFKA_SECURE_RUN/broker.log"
}

kafka_secure_down() {
  mkdir -p "$KAFKA_SECURE_RUN"
  lock "$KAFKA_SECURE_RUN.lock" 120
  if [ -n "$(kafka_secure_pid)" ]; then
    kafka_secure_stop
    say "kafka-secure: stopped; log: $KAFKA_SECURE_RUN/broker.log"
  else
    say "kafka-secure: is not running"
  fi
  rm -f "$KAFKA_SECURE_RUN"/{pid,env,client.env}
  [ "$1" != --wipe ] || {
    rm -rf "$KAFKA_SECURE_RUN/data" "$KAFKA_SECURE_PKI"
    say "kafka-secure: data and certificates deleted"
  }
}

kafka_secure_status() {
  if kafka_secure_serves; then
    local pid
    pid=$(kafka_secure_pid)
    say "kafka-secure: up, Apache Kafka $KAFKA_VERSION at $KAFKA_SECURE_SASL_SSL, pid $pid, for $(age_of "$pid") s"
  else
    say "kafka-secure: down"
    exit 1
  fi
}

kafka_secure_serves() {
  [ -n "$(kafka_secure_pid)" ] && answers "$KAFKA_SECURE_PLAIN" && [ -f "$KAFKA_SECURE_RUN/data/.rights" ] && kafka_secure_pki_is_good
}

kafka_secure_pid() {
  local pid
  for pid in "$(cat "$KAFKA_SECURE_RUN/pid" 2>/dev/null || true)" "$(listener "${KAFKA_SECURE_PLAIN##*:}")"; do
    if runs_in "$pid" "$KAFKA_SECURE_RUN" kafka.Kafka; then
      say "$pid"
      return
    fi
  done
}

kafka_secure_stop() {
  local pid
  pid=$(kafka_secure_pid)
  [ -z "$pid" ] || stop_process "$pid"
}

kafka_secure_check_ports() {
  local address
  for address in "$KAFKA_SECURE_PLAIN" "$KAFKA_SECURE_CONTROLLER" "$KAFKA_SECURE_SASL_SSL" "$KAFKA_SECURE_MTLS" \
    "$KAFKA_SECURE_EXPIRED" "$KAFKA_SECURE_WRONG_HOST" "$KAFKA_SECURE_SASL" "$KAFKA_SECURE_FAULTY_UPSTREAM"; do
    if answers "$address"; then die "port ${address##*:} is taken, and not by the kafka-secure of this checkout"; fi
  done
}

# --- certificates -----------------------------------------------------------------------------------------------------

kafka_secure_pki_is_good() { pki_is_good "$KAFKA_SECURE_PKI" scripts/lib/kafka-secure.sh; }

kafka_secure_make_pki() { pki_make kafka-secure "$KAFKA_SECURE_PKI" scripts/lib/kafka-secure.sh pki_between; }

# --- the broker -------------------------------------------------------------------------------------------------------

kafka_secure_start() {
  local flags=() archive fresh=no
  archive=$(kafka_archive)
  if [ -s "$archive" ]; then flags=("-XX:SharedArchiveFile=$archive"); fi
  if [ ! -f "$KAFKA_SECURE_RUN/data/.rights" ]; then
    fresh=yes
    kafka_secure_format
  elif [ ! -e "$KAFKA_SECURE_RUN/data/.kafka_cleanshutdown" ]; then
    say "kafka-secure: was not stopped cleanly, so this start takes about 12 s"
  fi
  kafka_launch "$KAFKA_SECURE_RUN" "${flags[@]}"
  if ! wait_for 60 kafka_secure_ready_or_gone "$(cat "$KAFKA_SECURE_RUN/pid")" || [ -z "$(kafka_secure_pid)" ]; then
    tail -n 20 "$KAFKA_SECURE_RUN/broker.log" >&2
    die "kafka-secure did not come up; the end of its log is above"
  fi
  kafka_secure_write_tool
  [ $fresh = no ] || kafka_secure_give_rights
}

kafka_secure_ready_or_gone() { answers "$KAFKA_SECURE_PLAIN" || gone "$1"; }

# Users with SCRAM are part of a fresh data folder; a formatted one is kept for the next time.
kafka_secure_format() {
  local kept=$KAFKA_CACHE/formatted-secure-1 user add=()
  rm -rf "$KAFKA_SECURE_RUN/data"
  if [ ! -f "$kept/meta.properties" ]; then
    for user in alice carol dave orders; do
      add+=(--add-scram "SCRAM-SHA-512=[name=$user,password=$user-secret]" --add-scram "SCRAM-SHA-256=[name=$user,password=$user-secret]")
    done
    (cd "$KAFKA_SECURE_RUN" && java "${KAFKA_JVM[@]}" -cp "$(cd "$OLDPWD" && kafka_class_path)" kafka.tools.StorageTool format \
      -t AAAAAAAAAAAAAAAAAAAAAQ -c server.properties "${add[@]}" >format.log 2>&1) || {
      tail -n 20 "$KAFKA_SECURE_RUN/format.log" >&2
      die "kafka-secure: the data folder could not be formatted"
    }
    rm -f "$KAFKA_SECURE_RUN/format.log" # it shows keys
    rm -rf "$kept"
    cp -r "$KAFKA_SECURE_RUN/data" "$kept"
    return
  fi
  cp -r "$kept" "$KAFKA_SECURE_RUN/data"
}

# The tested users may do everything with what begins with `it.`, and nothing else; dave may do nothing at all.
kafka_secure_give_rights() {
  local user who=()
  for user in alice bob carol svc orders-service; do who+=(--allow-principal "User:$user"); done
  kafka_secure_add_rights "${who[@]}" --topic it. --group it. --transactional-id it.
  kafka_secure_add_rights --allow-principal User:orders --topic orders --group billing --transactional-id orders
  touch "$KAFKA_SECURE_RUN/data/.rights"
}

kafka_secure_add_rights() {
  "$KAFKA_SECURE_RUN/tool" org.apache.kafka.tools.AclCommand --bootstrap-server "$KAFKA_SECURE_PLAIN" --add --operation All \
    --resource-pattern-type prefixed "$@" >"$KAFKA_SECURE_RUN/rights.log" 2>&1 || {
    tail -n 20 "$KAFKA_SECURE_RUN/rights.log" >&2
    die "kafka-secure: rights could not be given"
  }
}

# tool CLASS ARGUMENT..: one of Kafka's own, for scripts and tests.
kafka_secure_write_tool() {
  local flags=("${KAFKA_JVM[@]}") archive
  archive=$(kafka_archive)
  if [ -s "$archive" ]; then flags+=("-XX:SharedArchiveFile=$archive"); fi
  printf '#!/bin/sh\nexec java %s -Dlog4j2.configurationFile=%q -cp %q "$@"\n' "${flags[*]}" \
    "$PWD/$KAFKA_SECURE_RUN/log4j2.yaml" "$(kafka_class_path)" >"$KAFKA_SECURE_RUN/tool"
  chmod +x "$KAFKA_SECURE_RUN/tool"
}

kafka_secure_write_env() {
  cat >"$KAFKA_SECURE_RUN/env" <<ENV
GULO_KAFKA_SECURE_PLAIN=$KAFKA_SECURE_PLAIN
GULO_KAFKA_SECURE_SASL_SSL=$KAFKA_SECURE_SASL_SSL
GULO_KAFKA_SECURE_MTLS=$KAFKA_SECURE_MTLS
GULO_KAFKA_SECURE_EXPIRED=$KAFKA_SECURE_EXPIRED
GULO_KAFKA_SECURE_WRONG_HOST=$KAFKA_SECURE_WRONG_HOST
GULO_KAFKA_SECURE_SASL=$KAFKA_SECURE_SASL
GULO_KAFKA_SECURE_FAULTY_UPSTREAM=$KAFKA_SECURE_FAULTY_UPSTREAM
GULO_KAFKA_SECURE_FAULTY_ADVERTISED=$KAFKA_SECURE_FAULTY_ADVERTISED
GULO_KAFKA_SECURE_PKI=$PWD/$KAFKA_SECURE_PKI
GULO_KAFKA_SECURE_TOOL=$PWD/$KAFKA_SECURE_RUN/tool
GULO_KAFKA_SECURE_VERSION="Apache Kafka $KAFKA_VERSION"
ENV
  # What a deployment of examples/kafka_production.rs would set.
  cat >"$KAFKA_SECURE_RUN/client.env" <<ENV
KAFKA_BOOTSTRAP_SERVERS=$KAFKA_SECURE_SASL_SSL
KAFKA_SECURITY_PROTOCOL=SASL_SSL
KAFKA_SASL_MECHANISM=SCRAM-SHA-512
KAFKA_SASL_USERNAME=orders
KAFKA_SASL_PASSWORD=orders-secret
KAFKA_SSL_CAFILE=$PWD/$KAFKA_SECURE_PKI/ca.pem
KAFKA_SERVICE_NAME=orders
KAFKA_CONSUMER_GROUP_ID=billing
ENV
}

kafka_secure_configure() {
  local name listeners='' advertised='' protocols=''
  while read -r name protocol address told; do
    listeners+="$name://$address,"
    advertised+="$name://${told:-$address},"
    protocols+="$name:$protocol,"
  done <<LISTENERS
DIRECT PLAINTEXT $KAFKA_SECURE_PLAIN
SECURE SASL_SSL $KAFKA_SECURE_SASL_SSL
FAULTY SASL_SSL $KAFKA_SECURE_FAULTY_UPSTREAM $KAFKA_SECURE_FAULTY_ADVERTISED
MTLS SSL $KAFKA_SECURE_MTLS
EXPIRED SSL $KAFKA_SECURE_EXPIRED
WRONGHOST SSL $KAFKA_SECURE_WRONG_HOST
SASLPLAIN SASL_PLAINTEXT $KAFKA_SECURE_SASL
LISTENERS
  # What both brokers have in common, with other listeners.
  (
    KAFKA_ADDRESS=$KAFKA_SECURE_PLAIN KAFKA_CONTROLLER=$KAFKA_SECURE_CONTROLLER
    kafka_configure "$KAFKA_SECURE_RUN"
  )
  sed -i -E '/^(listeners|advertised\.listeners|listener\.security\.protocol\.map)=/d' "$KAFKA_SECURE_RUN/server.properties"
  {
    cat <<PROPERTIES
listeners=${listeners}CONTROLLER://$KAFKA_SECURE_CONTROLLER
advertised.listeners=${advertised%,}
listener.security.protocol.map=${protocols}CONTROLLER:PLAINTEXT
listener.name.saslplain.sasl.enabled.mechanisms=SCRAM-SHA-512
listener.name.saslplain.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.mtls.ssl.keystore.type=PEM
listener.name.mtls.ssl.keystore.location=pki/broker.pem
listener.name.mtls.ssl.truststore.type=PEM
listener.name.mtls.ssl.truststore.location=pki/ca.pem
listener.name.mtls.ssl.client.auth=required
listener.name.mtls.ssl.principal.mapping.rules=RULE:^CN=([^,]+).*\$/\$1/,DEFAULT
listener.name.expired.ssl.keystore.type=PEM
listener.name.expired.ssl.keystore.location=pki/expired.pem
listener.name.wronghost.ssl.keystore.type=PEM
listener.name.wronghost.ssl.keystore.location=pki/wronghost.pem
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS
allow.everyone.if.no.acl.found=false
PROPERTIES
    for name in secure faulty; do
      cat <<PROPERTIES
listener.name.$name.sasl.enabled.mechanisms=SCRAM-SHA-512,SCRAM-SHA-256,PLAIN,OAUTHBEARER
listener.name.$name.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.$name.scram-sha-256.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.$name.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required user_bob="bob-secret";
listener.name.$name.oauthbearer.sasl.jaas.config=org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required unsecuredLoginStringClaim_sub="svc";
listener.name.$name.oauthbearer.connections.max.reauth.ms=60000
listener.name.$name.ssl.keystore.type=PEM
listener.name.$name.ssl.keystore.location=pki/broker.pem
PROPERTIES
    done
  } >>"$KAFKA_SECURE_RUN/server.properties"
}
