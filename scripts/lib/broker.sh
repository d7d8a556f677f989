# shellcheck shell=bash
# The frame of a broker that may be the user's, a container, or a process of ours. Sourced by scripts/lib/<broker>.sh, which
# calls frame_up, frame_down and frame_status with its name and with the prefix of its functions:
#
#   is_the_users, users_answers   whether the environment names another one, and whether that one is there
#   shown, named_by               where that is, without secrets, and the variable that says so
#   product, address              what ours is called, and where it listens
#   serves, pid, log, uptime      ours: whether it is usable, its process or nothing, where it logs, for how long it runs
#   by_docker, container_runs     whether it would be a container, and whether that runs
#   start_container, stop_container, start_process, stop, wipe, write_env

frame_up() {
  local broker=$1 p=$2 begin
  begin=$(now_ms)
  if "${p}_is_the_users"; then
    "${p}_users_answers" || die "nobody answers at $("${p}_shown") ($("${p}_named_by")); unset it to have a broker started"
    say "$broker: uses yours at $("${p}_shown") ($("${p}_named_by"))"
    return
  fi
  frame_lock "$broker"
  if "${p}_serves"; then
    "${p}_write_env"
    say "$broker: $("${p}_product") is up already at $("${p}_address"); log: $("${p}_log")"
    return
  fi
  if "${p}_by_docker"; then "${p}_start_container"; else "${p}_start_process"; fi
  "${p}_write_env"
  say "$broker: $("${p}_product") is up at $("${p}_address") after $(elapsed "$begin") s; log: $("${p}_log")"
}

frame_down() {
  local broker=$1 p=$2 option=$3 pid
  if "${p}_is_the_users"; then
    say "$broker: yours at $("${p}_shown") is left alone ($("${p}_named_by"))"
    return
  fi
  frame_lock "$broker"
  pid=$("${p}_pid")
  if [ -n "$pid" ]; then
    "${p}_stop" "$pid"
    say "$broker: stopped (pid $pid); log: $("${p}_log")"
  elif "${p}_container_runs"; then
    "${p}_stop_container"
    say "$broker: stopped"
  else
    say "$broker: is not running"
  fi
  rm -f "$(frame_folder "$broker")"/{pid,env}
  [ "$option" = --wipe ] || return 0
  "${p}_wipe"
  say "$broker: data deleted"
}

frame_status() {
  local broker=$1 p=$2
  if "${p}_is_the_users"; then
    "${p}_users_answers" || frame_is_down "$broker" "; nobody answers at $("${p}_shown") ($("${p}_named_by"))"
    say "$broker: up, yours at $("${p}_shown") ($("${p}_named_by"))"
  elif "${p}_serves"; then
    say "$broker: up, $("${p}_product") at $("${p}_address"), $("${p}_uptime" "$("${p}_pid")")"
  else
    frame_is_down "$broker"
  fi
}

frame_is_down() {
  say "$1: down${2:-}"
  exit 1
}

frame_folder() { say "target/brokers/$1"; }

frame_lock() {
  mkdir -p "$(frame_folder "$1")"
  lock "$(frame_folder "$1").lock" 120
}
