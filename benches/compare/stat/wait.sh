# Sourced by the other scripts here: waits until a server reports that it listens, which takes long under valgrind.
# wait_listening FILE PID: FILE is the standard error of the server, where all Rust servers print "listening on ADDR".
wait_listening() {
  tries=0
  until grep -q listening "$1"; do
    tries=$((tries + 1))
    if [ $tries -gt 150 ] || ! kill -0 "$2" 2>/dev/null; then
      cat "$1" >&2
      echo "the server did not start" >&2
      exit 1
    fi
    sleep 0.2
  done
}
