# shellcheck shell=bash
# RabbitMQ 4 beside the one of Debian's package, on loopback, from Debian 13: see amqp-server.sh. Sourced by scripts/brokers.
# Whoever loads its env file uses it wherever they would use the other one. It is never a broker of the user's.

# shellcheck source=scripts/lib/amqp.sh
. scripts/lib/amqp.sh

AMQP_NAME=amqp-4
AMQP_KIND=4
AMQP_ADDRESS=127.0.0.1:5673
AMQP_DISTRIBUTION=25673
AMQP_NAMES=4371
AMQP_RUN=target/brokers/$AMQP_NAME

amqp_4_up() { amqp_up; }
amqp_4_down() { amqp_down "$1"; }
amqp_4_status() { amqp_status; }

amqp_is_the_users() { false; }
amqp_by_docker() { false; }
amqp_how_to_name_yours() { say "use \`scripts/brokers up amqp\` with AMQP_URL"; }
