# Sourced by the scripts beside it: a server counts as started once it has said so, however long valgrind makes that take.
# wait_listening FILE PID: FILE is the server's standard error, where every Rust peer and our own server print "listening on ADDR".
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
