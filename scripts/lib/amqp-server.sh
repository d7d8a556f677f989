# shellcheck shell=bash
# Where a RabbitMQ server comes from. Sourced, after common.sh. There are two kinds: 3 is Debian's package, which is 3.10.8 in
# Debian 12; 4 is that of Debian 13, a 4.0, in a tree of its own, for it wants a newer libc. Where the package itself is a 4, it
# is both.

AMQP_TREE_SUITE=trixie
AMQP_TREE=${XDG_CACHE_HOME:-$HOME/.cache}/gulo/rabbitmq-$AMQP_TREE_SUITE
# Where a node's folder is seen inside the tree.
AMQP_INSIDE=/gulo

# amqp_server_install KIND
amqp_server_install() {
  [ -r /proc/self/environ ] || die "RabbitMQ: this system needs Docker (or name a broker by AMQP_URL)"
  if amqp_in_tree "$1"; then
    [ "$(id -u)" = 0 ] || die "RabbitMQ 4 runs in a tree of Debian 13, which only root can make and enter; be root, or use Docker: \`docker compose up -d --wait rabbitmq\` is a 4 too"
    amqp_tree_install
  else
    amqp_package_install
  fi
}

amqp_in_tree() {
  [ "$1" = 4 ] || return 1
  case $(amqp_home_below '') in
    */rabbitmq_server-[4-9].*) return 1 ;;
  esac
}

# amqp_server_home KIND: the server's folder, as it is called inside the tree, or nothing
amqp_server_home() {
  if amqp_in_tree "$1"; then
    local home
    home=$(amqp_home_below "$AMQP_TREE")
    printf '%s\n' "${home#"$AMQP_TREE"}"
  else
    amqp_home_below ''
  fi
}

amqp_server_version() { amqp_server_home "$1" | sed 's/.*rabbitmq_server-//'; }

amqp_home_below() { find "$1/usr/lib/rabbitmq/lib" -maxdepth 1 -name 'rabbitmq_server-*' 2>/dev/null | sort | tail -n 1; }

# amqp_seen KIND FOLDER: what a node's folder is called where its server runs
amqp_seen() { if amqp_in_tree "$1"; then say "$AMQP_INSIDE"; else say "$2"; fi; }

# amqp_server_run KIND FOLDER COMMAND..: replaces this shell by a command that finds the node's folder at $AMQP_INSIDE of the
# tree. What it mounts is seen by it alone and goes with it, however it ends.
amqp_server_run() {
  local kind=$1 folder=$2
  shift 2
  if ! amqp_in_tree "$kind"; then exec "$@"; fi
  # shellcheck disable=SC2016 # the inner shell expands it
  exec unshare --mount --propagation private sh -c '
    set -e
    tree=$1 folder=$2 inside=$3
    shift 3
    mount --rbind /dev "$tree/dev"
    mount -t proc proc "$tree/proc"
    mount --bind "$folder" "$tree$inside"
    cd "$tree$inside"
    exec chroot "$tree" "$@"' sh "$AMQP_TREE" "$folder" "$AMQP_INSIDE" "$@"
}

# --- Debian's package -------------------------------------------------------------------------------------------------

# The package starts a node of its own where nothing keeps it from that.
amqp_package_install() {
  [ -z "$(amqp_home_below '')" ] || return 0
  local policy=/usr/sbin/policy-rc.d made=
  if [ "$(id -u)" = 0 ] && [ -d /usr/sbin ] && [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
    made=yes
  fi
  (install_packages rabbitmq-server) || {
    [ -z "$made" ] || rm -f "$policy"
    die "RabbitMQ could not be installed"
  }
  [ -z "$made" ] || rm -f "$policy"
  [ -n "$(amqp_home_below '')" ] || die "the package rabbitmq-server has no server in /usr/lib/rabbitmq/lib"
}

# --- the tree of Debian 13 --------------------------------------------------------------------------------------------

# Made once per machine, for all checkouts: one at a time.
amqp_tree_install() {
  [ ! -e "$AMQP_TREE/made" ] || return 0
  mkdir -p "${AMQP_TREE%/*}"
  (
    lock "$AMQP_TREE.lock" 600
    [ ! -e "$AMQP_TREE/made" ] || return 0
    amqp_tree_make
  )
}

amqp_tree_make() {
  local mirror begin new=$AMQP_TREE.new log=$AMQP_TREE.log
  begin=$(now_ms)
  mirror=$(amqp_tree_mirror)
  [ -n "$mirror" ] || die "RabbitMQ 4 comes from Debian 13, and apt's sources name no mirror of Debian; name one by GULO_DEBIAN_MIRROR"
  command -v debootstrap >/dev/null || install_packages debootstrap
  say "RabbitMQ 4: fetching a tree of Debian 13 into $AMQP_TREE, once (200 MB, about a minute)"
  rm -rf "$AMQP_TREE" "$new" # of a script that was killed
  # What it mounts goes with it.
  unshare --mount --propagation private \
    debootstrap --variant=minbase --include=rabbitmq-server "$AMQP_TREE_SUITE" "$new" "$mirror" </dev/null >"$log" 2>&1 || {
    tail -n 20 "$log" >&2
    rm -rf "$new"
    die "the tree of Debian 13 could not be made; the end of $log is above"
  }
  [ -n "$(amqp_home_below "$new")" ] || die "the tree of Debian 13 has no RabbitMQ; see $log"
  rm -rf "$new"/var/cache/apt/archives/*.deb "$new"/var/lib/apt/lists/* "$new"/usr/share/doc "$new"/usr/share/man "$new"/usr/share/locale
  mkdir -p "$new$AMQP_INSIDE"
  printf '127.0.0.1 localhost\n' >"$new/etc/hosts"
  touch "$new/made"
  mv "$new" "$AMQP_TREE"
  say "RabbitMQ 4: the tree was made in $(elapsed "$begin") s"
}

# The one that this machine's own packages come from.
amqp_tree_mirror() {
  if [ -n "${GULO_DEBIAN_MIRROR:-}" ]; then
    say "$GULO_DEBIAN_MIRROR"
  else
    # shellcheck disable=SC2016 # apt expands it
    apt-get indextargets --format '$(REPO_URI)' 2>/dev/null | grep -E '/debian/?$' | sort -u | head -n 1
  fi
}
