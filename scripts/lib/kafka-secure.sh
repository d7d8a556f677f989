# shellcheck shell=bash
# Apache Kafka with every kind of login, on loopback and beside the plain one, for the tests of security. Sourced by
# scripts/brokers. It is never a broker of the user's: its certificates, users and rights are what is tested.

# shellcheck source=scripts/lib/kafka.sh
. scripts/lib/kafka.sh

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
  command -v openssl >/dev/null || install_packages openssl
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

# Certificates that an earlier version of this file made may lack some.
kafka_secure_pki_mark() { printf 'made-by-%s\n' "$(sha256sum scripts/lib/kafka-secure.sh | cut -c 1-12)"; }

# A week is longer than any test.
kafka_secure_pki_is_good() {
  [ -f "$KAFKA_SECURE_PKI/$(kafka_secure_pki_mark)" ] && openssl x509 -checkend 604800 -noout -in "$KAFKA_SECURE_PKI/broker.crt" >/dev/null 2>&1
}

kafka_secure_make_pki() {
  if kafka_secure_pki_is_good; then return; fi
  local mark
  mark=$(kafka_secure_pki_mark)
  rm -rf "$KAFKA_SECURE_PKI"
  mkdir -p "$KAFKA_SECURE_PKI"
  (
    cd "$KAFKA_SECURE_PKI"
    pki_ca ca
    pki_ca otherca
    pki_leaf broker broker "IP:127.0.0.1,DNS:localhost"
    pki_leaf wronghost elsewhere.test "DNS:elsewhere.test"
    pki_leaf client orders-service ""
    pki_leaf foreign orders-service "" otherca
    pki_between
    openssl pkcs8 -topk8 -v2 aes256 -in client.key -passout pass:key-secret -out client.locked.key
    pki_expired
    touch "$mark"
  ) >"$KAFKA_SECURE_RUN/pki.log" 2>&1 || {
    tail -n 20 "$KAFKA_SECURE_RUN/pki.log" >&2
    die "kafka-secure: the certificates could not be made"
  }
}

pki_key() { openssl ecparam -name prime256v1 -genkey -noout | openssl pkcs8 -topk8 -nocrypt -out "$1.key"; }

pki_ca() {
  pki_key "$1"
  openssl req -x509 -new -key "$1.key" -subj "/CN=$1" -days 90 -sha256 -out "$1.pem" \
    -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign
}

# pki_leaf NAME CN SAN [CA]: by the first CA unless said. The broker reads key, certificate and CA out of one file.
pki_leaf() {
  local ca=${4:-ca}
  pki_key "$1"
  openssl req -new -key "$1.key" -subj "/CN=$2" -out "$1.csr"
  printf 'basicConstraints=CA:FALSE\nkeyUsage=digitalSignature\nextendedKeyUsage=serverAuth,clientAuth\n%s\n' "${3:+subjectAltName=$3}" >"$1.ext"
  openssl x509 -req -in "$1.csr" -CA "$ca.pem" -CAkey "$ca.key" -CAcreateserial -sha256 -extfile "$1.ext" -days 60 -out "$1.crt"
  cat "$1.key" "$1.crt" "$ca.pem" >"$1.pem"
}

# A CA below the first one, and a broker's certificate of it: with it in the file, as it should be, and without it.
pki_between() {
  pki_key between
  openssl req -new -key between.key -subj /CN=between -out between.csr
  printf 'basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\n' >between.ext
  openssl x509 -req -in between.csr -CA ca.pem -CAkey ca.key -CAcreateserial -sha256 -extfile between.ext -days 60 -out between.pem
  pki_leaf chained broker "IP:127.0.0.1,DNS:localhost" between
  cat chained.key chained.crt >unchained.pem
}

# `openssl x509` cannot set when a certificate begins; `openssl ca` can.
pki_expired() {
  mkdir -p cadb
  : >cadb/index.txt
  echo 01 >cadb/serial
  printf '[ca]\ndefault_ca=d\n[d]\ndatabase=cadb/index.txt\nserial=cadb/serial\nnew_certs_dir=cadb\ndefault_md=sha256\npolicy=p\n[p]\ncommonName=supplied\n' >cadb/c.cnf
  pki_key expired
  openssl req -new -key expired.key -subj /CN=broker -out expired.csr
  openssl ca -batch -notext -config cadb/c.cnf -cert ca.pem -keyfile ca.key -in expired.csr -extfile broker.ext \
    -startdate 20200101000000Z -enddate 20200102000000Z -out expired.crt
  cat expired.key expired.crt ca.pem >expired.pem
}

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
