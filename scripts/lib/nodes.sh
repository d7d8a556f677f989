# shellcheck shell=bash
# Brokers that a program starts by itself, to kill them. Sourced by scripts/prove, after common.sh and kafka.sh.

NODES_RECIPE=target/prove/recipe

# nodes_recipe: jars, an archive of classes, a formatted folder and a configuration, and the environment that names them.
# The program changes ports and what faults need.
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

# nodes_down: ends those whose program could not do so itself
nodes_down() {
  local file pid
  for file in target/prove/kafka-*/broker-*/pid; do
    [ -f "$file" ] || continue
    pid=$(cat "$file")
    # A stopped one takes no other signal.
    if runs_in "$pid" "$(dirname "$file")" kafka.Kafka; then kill -KILL "$pid" 2>/dev/null || true; fi
  done
}
