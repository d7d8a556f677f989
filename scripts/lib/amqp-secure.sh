# shellcheck shell=bash
# RabbitMQ with every kind of login, on loopback and beside the plain one, for the tests of security. Sourced by
# scripts/brokers. It is never a broker of the user's: its certificates, users and rights are what is tested.
#
#   admin            password admin-secret; everything, in the vhosts `/` and `second`
#   alice            password alice-secret; only in `/`, declares nothing, reads and writes what begins with `it.`
#   dave             password dave-secret; no vhost
#   orders-service   no password: the client certificate of that name (EXTERNAL); everything in `/`

# shellcheck source=scripts/lib/amqp.sh
. scripts/lib/amqp.sh
# shellcheck source=scripts/lib/pki.sh
. scripts/lib/pki.sh

# Two checkouts on one machine need different ports: GULO_AMQP_SECURE_PORTS is the first of their seven.
AMQP_SECURE_PORTS=${GULO_AMQP_SECURE_PORTS:-5674}
amqp_secure_at() { say "127.0.0.1:$((AMQP_SECURE_PORTS + $1))"; }
AMQP_SECURE_TLS=$(amqp_secure_at 0)        # a client's certificate is welcome
AMQP_SECURE_PLAIN=$(amqp_secure_at 1)      # no TLS
AMQP_SECURE_EXPIRED=$(amqp_secure_at 2)    # its certificate has expired
AMQP_SECURE_WRONG_HOST=$(amqp_secure_at 3) # its certificate is another host's
AMQP_SECURE_MTLS=$(amqp_secure_at 4)       # a client's certificate is required
AMQP_SECURE_PREFIX=it.

AMQP_NAME=amqp-secure
AMQP_KIND=${GULO_AMQP_SECURE_KIND:-3} # or 4: see amqp-server.sh
AMQP_ADDRESS=$AMQP_SECURE_PLAIN
AMQP_DISTRIBUTION=$((AMQP_SECURE_PORTS + 5))
AMQP_NAMES=$((AMQP_SECURE_PORTS + 6))
AMQP_RUN=target/brokers/$AMQP_NAME
AMQP_SECURE_PKI=$AMQP_RUN/pki

amqp_secure_up() { amqp_up; }
amqp_secure_down() { amqp_down "$1"; }
amqp_secure_status() { amqp_status; }

amqp_is_the_users() { false; }
amqp_by_docker() { false; }
amqp_how_to_name_yours() { say "set GULO_AMQP_SECURE_PORTS to the first of seven free ones"; }
amqp_address() { say "$AMQP_SECURE_TLS"; }

amqp_wipe() { rm -rf "$AMQP_RUN/data" "$AMQP_SECURE_PKI"; }

amqp_serves() {
  local pid address
  pid=$(amqp_pid)
  [ -n "$pid" ] && [ -d "$AMQP_RUN/data" ] && ! paused "$pid" && amqp_secure_pki_is_good || return 1
  [ "$(amqp_node version "$AMQP_RUN")" = "$(amqp_version)" ] || return 1
  for address in $(amqp_secure_addresses); do answers "$address" || return 1; done
}

amqp_secure_addresses() {
  say "$AMQP_SECURE_PLAIN" "$AMQP_SECURE_TLS" "$AMQP_SECURE_EXPIRED" "$AMQP_SECURE_WRONG_HOST" "$AMQP_SECURE_MTLS"
}

amqp_write_env() {
  amqp_write_ctl "$(amqp_pid)"
  cat >"$AMQP_RUN/env" <<ENV
GULO_AMQP_SECURE_URL=amqps://admin:admin-secret@$AMQP_SECURE_TLS/%2f
GULO_AMQP_SECURE_PLAIN=$AMQP_SECURE_PLAIN
GULO_AMQP_SECURE_TLS=$AMQP_SECURE_TLS
GULO_AMQP_SECURE_MTLS=$AMQP_SECURE_MTLS
GULO_AMQP_SECURE_EXPIRED=$AMQP_SECURE_EXPIRED
GULO_AMQP_SECURE_WRONG_HOST=$AMQP_SECURE_WRONG_HOST
GULO_AMQP_SECURE_PKI="$PWD/$AMQP_SECURE_PKI"
GULO_AMQP_SECURE_PREFIX=$AMQP_SECURE_PREFIX
GULO_AMQP_SECURE_VHOST=second
GULO_AMQP_SECURE_CTL="$PWD/$AMQP_RUN/ctl"
GULO_AMQP_SECURE_VERSION="$(amqp_product)"
GULO_AMQP_SECURE_PID=$(amqp_pid)
ENV
}

# --- the broker -------------------------------------------------------------------------------------------------------

amqp_start_process() {
  amqp_stop
  amqp_check_ports
  amqp_server_install "$AMQP_KIND"
  pki_make "$AMQP_NAME" "$AMQP_SECURE_PKI" scripts/lib/amqp-secure.sh amqp_secure_certificates
  # There is nothing to keep, and what one kind has written the other may not read.
  rm -rf "$AMQP_RUN/data"
  amqp_secure_configure
  amqp_node start "$AMQP_RUN" "${AMQP_SECURE_PLAIN##*:}" "$AMQP_DISTRIBUTION" "$AMQP_NAMES" "$AMQP_KIND" >/dev/null || exit 1
  amqp_secure_listen
}

amqp_check_ports() {
  local port whose
  for port in $(amqp_secure_addresses | tr ' ' '\n' | sed 's/.*://') "$AMQP_DISTRIBUTION"; do
    if whose=$(taken "$port"); then die "$whose, and not by the $AMQP_NAME of this checkout: stop that, or $(amqp_how_to_name_yours)"; fi
  done
}

amqp_secure_pki_is_good() { pki_is_good "$AMQP_SECURE_PKI" scripts/lib/amqp-secure.sh; }

# A good certificate of somebody who is no user; and the client's in the other form, with a password.
amqp_secure_certificates() {
  pki_leaf stranger stranger ""
  openssl pkcs12 -export -in client.crt -inkey client.key -certfile ca.pem -passout pass:key-secret -out client.p12
}

amqp_secure_configure() {
  local seen
  seen=$(amqp_seen "$AMQP_KIND" "$PWD/$AMQP_RUN")
  printf '[rabbitmq_auth_mechanism_ssl].\n' >"$AMQP_RUN/enabled_plugins"
  cat >"$AMQP_RUN/more.conf" <<CONF
listeners.ssl.1 = $AMQP_SECURE_TLS
ssl_options.cacertfile = $seen/pki/ca.pem
ssl_options.certfile = $seen/pki/broker.crt
ssl_options.keyfile = $seen/pki/broker.key
ssl_options.verify = verify_peer
ssl_options.fail_if_no_peer_cert = false
ssl_cert_login_from = common_name
auth_mechanisms.1 = PLAIN
auth_mechanisms.2 = EXTERNAL
load_definitions = $seen/definitions.json
CONF
  cat >"$AMQP_RUN/definitions.json" <<JSON
{
  "users": [
    { "name": "admin", "password": "admin-secret", "tags": "administrator" },
    { "name": "alice", "password": "alice-secret", "tags": "" },
    { "name": "dave", "password": "dave-secret", "tags": "" },
    { "name": "orders-service", "password_hash": "", "tags": "" }
  ],
  "vhosts": [{ "name": "/" }, { "name": "second" }],
  "permissions": [
    { "user": "admin", "vhost": "/", "configure": ".*", "write": ".*", "read": ".*" },
    { "user": "admin", "vhost": "second", "configure": ".*", "write": ".*", "read": ".*" },
    { "user": "alice", "vhost": "/", "configure": "^$", "write": "^it\\\\.", "read": "^it\\\\." },
    { "user": "orders-service", "vhost": "/", "configure": ".*", "write": ".*", "read": ".*" }
  ]
}
JSON
}

# The configuration knows one certificate for all listeners; a running server takes others.
amqp_secure_listen() {
  local seen out
  seen=$(amqp_seen "$AMQP_KIND" "$PWD/$AMQP_RUN")
  out=$(
    amqp_node ctl "$AMQP_RUN" -q eval "
      {ok, Usual} = application:get_env(rabbit, ssl_options),
      Listen = fun(Port, Name, Required) ->
        Own = [{certfile, \"$seen/pki/\" ++ Name ++ \".crt\"}, {keyfile, \"$seen/pki/\" ++ Name ++ \".key\"},
               {fail_if_no_peer_cert, Required}],
        Options = lists:ukeymerge(1, lists:ukeysort(1, Own), lists:ukeysort(1, Usual)),
        ok = rabbit_networking:start_ssl_listener({\"127.0.0.1\", Port}, Options, 1)
      end,
      Listen(${AMQP_SECURE_EXPIRED##*:}, \"expired\", false),
      Listen(${AMQP_SECURE_WRONG_HOST##*:}, \"wronghost\", false),
      Listen(${AMQP_SECURE_MTLS##*:}, \"broker\", true)." 2>&1
  ) || {
    say "$out" >&2
    die "$AMQP_NAME: the listeners with other certificates did not come up"
  }
}
