# shellcheck shell=bash
# The jars of Apache Kafka from Maven Central, and what makes it start quickly. Sourced by kafka.sh, which says what $KAFKA_VERSION,
# $KAFKA_CACHE and $KAFKA_JVM are, and which starts it.

KAFKA_LOG4J_VERSION=2.25.3
KAFKA_MAVEN_PLUGIN=org.apache.maven.plugins:maven-dependency-plugin:2.8

kafka_check_java() {
  command -v java >/dev/null || install_packages openjdk-17-jre-headless
  local version
  version=$(java -version 2>&1 | sed -n 's/.*version "\([0-9]*\).*/\1/p')
  [ "${version:-0}" -ge 17 ] || die "Kafka $KAFKA_VERSION needs Java 17 or newer, and java is ${version:-unknown}"
}

# The jars, a formatted data folder and an archive of loaded classes are made once per machine, for all checkouts: one at a time.
kafka_fill_cache() {
  mkdir -p "$KAFKA_CACHE"
  (
    lock "$KAFKA_CACHE/lock" 300
    rm -rf "$KAFKA_CACHE"/work.* "$KAFKA_CACHE/lib.new" # of a script that was killed
    kafka_gather_jars
    local work
    work=$(mktemp -d "$KAFKA_CACHE/work.XXXXXX")
    # shellcheck disable=SC2064 # the folder of now
    trap "kafka_leave_work '$work'" EXIT
    kafka_configure "$work"
    kafka_format "$work"
    kafka_make_archive "$work"
  )
}

# The broker that makes the archive must not outlive an interrupted script: it holds the ports.
kafka_leave_work() {
  local pid
  pid=$(cat "$1/pid" 2>/dev/null || true)
  if [ -n "$pid" ] && lives "$pid"; then stop_process "$pid"; fi
  rm -rf "$1"
}

# The checksums are committed, so no jar runs but those this was tried with.
kafka_gather_jars() {
  local sums new
  sums=$PWD/scripts/lib/kafka-$KAFKA_VERSION.sha256
  kafka_jars_are_right "$KAFKA_CACHE/lib" "$sums" 2>/dev/null && return
  command -v mvn >/dev/null || install_packages maven
  say "kafka: fetching the jars of Apache Kafka $KAFKA_VERSION with Maven, once (54 MB)"
  new=$KAFKA_CACHE/lib.new
  rm -rf "$new"
  mkdir -p "$new"
  kafka_pom >"$new/pom.xml"
  (cd "$new" && mvn -q -B -Dstyle.color=never "$KAFKA_MAVEN_PLUGIN:copy-dependencies" -DincludeScope=runtime -DoutputDirectory=.) ||
    die "Maven could not fetch the jars; it says why above"
  kafka_jars_are_right "$new" "$sums" ||
    die "the jars named above are not those of scripts/lib/kafka-$KAFKA_VERSION.sha256; they stay in $new, and Maven's copies in its local repository: delete both to fetch them again"
  # An archive belongs to the very jars it was made with, their dates included.
  rm -rf "${KAFKA_CACHE:?}/lib" "$KAFKA_CACHE"/*.jsa
  mv "$new" "$KAFKA_CACHE/lib"
}

kafka_jars_are_right() { (cd "$1" && sha256sum --quiet -c "$2" >&2); }

kafka_pom() {
  local artifact group rest
  printf '<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>\n'
  printf '<groupId>local</groupId><artifactId>kafka-broker</artifactId><version>1</version><packaging>pom</packaging>\n<dependencies>\n'
  for artifact in "org.apache.kafka:kafka_2.13:$KAFKA_VERSION" "org.apache.kafka:kafka-tools:$KAFKA_VERSION" \
    "org.apache.logging.log4j:log4j-core:$KAFKA_LOG4J_VERSION" "org.apache.logging.log4j:log4j-slf4j-impl:$KAFKA_LOG4J_VERSION"; do
    group=${artifact%%:*} rest=${artifact#*:}
    printf '<dependency><groupId>%s</groupId><artifactId>%s</artifactId><version>%s</version></dependency>\n' "$group" "${rest%:*}" "${rest#*:}"
  done
  printf '</dependencies></project>\n'
}

# The jars of the list, in its order: an archive of classes wants the same class path every time.
kafka_class_path() { awk -v lib="$KAFKA_CACHE/lib/" '{ printf "%s%s:", lib, $2 }' "scripts/lib/kafka-$KAFKA_VERSION.sha256"; }

# A formatted data folder may be copied, which saves a JVM per fresh start.
kafka_format() {
  [ ! -f "$KAFKA_CACHE/formatted/meta.properties" ] || return 0
  local class_path
  class_path=$(kafka_class_path)
  (cd "$1" && java "${KAFKA_JVM[@]}" -cp "$class_path" kafka.tools.StorageTool format \
    -t AAAAAAAAAAAAAAAAAAAAAQ -c server.properties >format.log 2>&1) || {
    cat "$1/format.log" >&2
    die "kafka: the data folder could not be formatted"
  }
  rm -rf "$KAFKA_CACHE/formatted"
  mv "$1/data" "$KAFKA_CACHE/formatted"
}

# It fits one build of the JVM, so its name says which.
kafka_archive() { printf '%s/%s.jsa\n' "$KAFKA_CACHE" "$(java -version 2>&1 | sha256sum | cut -c 1-12)"; }

# An archive of loaded classes halves every later start. A JVM writes it when it ends in peace; without it all goes on as well.
kafka_make_archive() {
  local archive pid
  archive=$(kafka_archive)
  [ ! -s "$archive" ] || return 0
  say "kafka: preparing for quick starts, once"
  cp -r "$KAFKA_CACHE/formatted" "$1/data"
  kafka_launch "$1" -XX:ArchiveClassesAtExit="$1/new.jsa"
  pid=$(cat "$1/pid")
  kafka_becomes_ready "$1" || tail -n 20 "$1/broker.log" >&2
  stop_process "$pid"
  if [ -s "$1/new.jsa" ]; then mv "$1/new.jsa" "$archive"; else say "kafka: that failed; starts take a second or two longer"; fi
}
