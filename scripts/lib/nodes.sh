# shellcheck shell=bash
# Brokers that a program starts by itself, to kill them. Sourced by scripts/prove, after common.sh and kafka.sh.

NODES_RECIPE=target/prove/recipe

# nodes_recipe: jars, an archive of classes, a formatted folder and a configuration, and the environment that names them.
# The program changes ports, and what faults need otherwise.
nodes_recipe() {
  local archive
  [ -r /proc/self/cmdline ] || die "brokers of our own need Linux"
  kafka_check_java
  kafka_fill_cache
  mkdir -p "$NODES_RECIPE"
  kafka_configure "$NODES_RECIPE"
  archive=$(kafka_archive)
  GULO_NODE_JVM="${KAFKA_JVM[*]}"
  if [ -s "$archive" ]; then GULO_NODE_JVM+=" -XX:SharedArchiveFile=$archive"; fi
  GULO_NODE_CLASS_PATH=$(kafka_class_path)
  GULO_NODE_FORMATTED=$KAFKA_CACHE/formatted
  GULO_NODE_RECIPE=$NODES_RECIPE
  export GULO_NODE_JVM GULO_NODE_CLASS_PATH GULO_NODE_FORMATTED GULO_NODE_RECIPE
}

# amqp_nodes_recipe [3|4]: the server, and the environment that names the script which starts, kills and pauses nodes of it,
# each in a folder of its own: target/prove/amqp-PID-.../NAME, by the pid of the program.
amqp_nodes_recipe() {
  GULO_NODE_AMQP=$PWD/scripts/lib/amqp-node.sh
  GULO_NODE_AMQP_KIND=${1:-3}
  export GULO_NODE_AMQP GULO_NODE_AMQP_KIND
  "$GULO_NODE_AMQP" install "$GULO_NODE_AMQP_KIND"
}

# nodes_down: ends brokers and members whose program was killed and could not do so itself. Its pid is the number in the folder's name.
nodes_down() {
  local file folder pid
  for file in target/prove/{kafka,amqp}-*/*/*pid; do
    [ -f "$file" ] || continue
    folder=$(dirname "$file") pid=$(cat "$file")
    gone "$(nodes_owner "$folder")" || continue
    # One that was stopped (SIGSTOP) takes no other signal.
    if runs_in "$pid" "$folder" kafka.Kafka || writes_to "$pid" "$folder"; then kill -KILL "$pid" 2>/dev/null || true; fi
  done
  for file in target/prove/amqp-*/*/node; do
    [ -f "$file" ] || continue
    folder=$(dirname "$file")
    gone "$(nodes_owner "$folder")" || continue
    scripts/lib/amqp-node.sh kill "$folder" >/dev/null 2>&1 || true
    scripts/lib/amqp-node.sh stop "$folder" >/dev/null # its name server
  done
}

nodes_owner() {
  local owner=${1#target/prove/*-}
  say "${owner%%[-/]*}"
}

# writes_to PID FOLDER: a member with its ledger there
writes_to() { tr '\0' '\n' 2>/dev/null <"/proc/$1/cmdline" | grep -qxF -- "$2/ledger"; } 2>/dev/null
