#!/usr/bin/env python3
"""Runs every scenario against every server in servers.toml, interleaved. Prints tables of medians and ratios.

  run.py [--rounds 3] [--secs 1.0] [--only a,b] [--scen echo-w1,broadcast] [--out results/NAME.jsonl] [--no-pin] [--full]

Order: for each scenario, each round, each server. Each round begins one server later (A B C, B C A, C A B, ...), so a change
of the machine's load affects all servers, and no server always runs after the same one. The server runs on CPU 0 and the load generator
on CPU 1, unless --no-pin is given.
"""
import argparse, json, os, signal, socket, statistics, subprocess, sys, time, tomllib

HERE = os.path.dirname(os.path.abspath(__file__))
LOGS = os.path.join(HERE, "results", "logs")
LG = os.path.join(HERE, "loadgen/target/release/loadgen")
# name -> (group, protocols, loadgen arguments)
SCENARIOS = {
    "echo-w1": ("echo", "sio eio raw", ["echo-ws", "--conns", "50", "--window", "1", "--size", "64"]),
    "echo-w32": ("echo", "sio eio raw", ["echo-ws", "--conns", "50", "--window", "32", "--size", "64"]),
    "json16k-w4": ("json", "sio eio raw", ["echo-ws", "--conns", "20", "--window", "4", "--size", "16384", "--json-payload"]),
    "ack-w1": ("ack", "sio", ["ack-ws", "--conns", "50", "--window", "1", "--size", "64"]),
    "ack-w32": ("ack", "sio", ["ack-ws", "--conns", "50", "--window", "32", "--size", "64"]),
    "binary-1k-w8": ("binary", "sio eio raw", ["binary-ws", "--conns", "50", "--window", "8", "--size", "1024"]),
    "binary-64k-w2": ("binary", "sio eio raw", ["binary-ws", "--conns", "20", "--window", "2", "--size", "65536"]),
    "broadcast-c200-w1": ("broadcast", "sio", ["broadcast", "--conns", "200", "--window", "1", "--size", "64"]),
    "broadcast-c200-w8": ("broadcast", "sio", ["broadcast", "--conns", "200", "--window", "8", "--size", "64"]),
    "polling-w1": ("polling", "sio eio", ["polling-echo", "--conns", "50", "--window", "1", "--size", "64"]),
    "polling-w10": ("polling", "sio eio", ["polling-echo", "--conns", "50", "--window", "10", "--size", "64"]),
    "idle-5k": ("idle", "sio eio raw", ["idle", "--conns", "5000"]),
    "idle-10k": ("idle", "sio eio raw", ["idle", "--conns", "10000"]),
}
FULL_ONLY = {"idle-10k"}

ap = argparse.ArgumentParser()
ap.add_argument("--rounds", type=int, default=3)
ap.add_argument("--secs", default="0.8")
ap.add_argument("--warm", default="0.2")
ap.add_argument("--hold", default="3.2", help="idle scenarios: seconds to hold the connections, with a ping interval of 3 s")
ap.add_argument("--servers", default=os.path.join(HERE, "servers.toml"), help="another table of servers")
ap.add_argument("--only")
ap.add_argument("--scen")
ap.add_argument("--out")
ap.add_argument("--no-pin", action="store_true")
ap.add_argument("--full", action="store_true", help="also run the idle scenarios with 10 000 connections")
a = ap.parse_args()

servers = tomllib.load(open(a.servers, "rb"))
if a.only:
    servers = {k: v for k, v in servers.items() if k in a.only.split(",")}
scen = a.scen.split(",") if a.scen else [s for s in SCENARIOS if a.full or s not in FULL_ONLY]
for k in list(servers):
    exe = servers[k]["cmd"][0]
    if "/" in exe and not os.path.exists(os.path.join(HERE, exe)):
        print(f"skip {k}: {exe} is not built", file=sys.stderr)
        del servers[k]
pin = (lambda cpu: []) if a.no_pin or (os.cpu_count() or 1) < 2 else (lambda cpu: ["taskset", "-c", str(cpu)])
procs = {}


def start(name, extra):
    s = servers[name]
    with socket.socket() as probe:
        probe.settimeout(0.5)
        if probe.connect_ex(("127.0.0.1", s["port"])) == 0:
            sys.exit(f"{name}: something already listens on 127.0.0.1:{s['port']}; choose another port in servers.toml")
    env = {**os.environ, **s.get("env", {}), "PORT": str(s["port"]), **extra}
    path = os.path.join(LOGS, f"{name}.log")
    log = open(path, "w")
    p = subprocess.Popen(pin(0) + s["cmd"], cwd=HERE, env=env, stdout=log, stderr=log, start_new_session=True)
    procs[name] = p
    for _ in range(100):
        if p.poll() is not None:
            sys.exit(f"{name} ended during its start: see {path}")
        try:
            socket.create_connection(("127.0.0.1", s["port"]), 0.2).close()
            return p
        except OSError:
            time.sleep(0.05)
    sys.exit(f"{name} does not listen: see {path}")


def stop(name):
    p = procs.pop(name, None)
    if p and p.poll() is None:
        p.send_signal(signal.SIGTERM)
        try:
            p.wait(1.5)
        except subprocess.TimeoutExpired:
            p.kill()
            p.wait()


def load():
    return float(open("/proc/loadavg").read().split()[0])


out = a.out or os.path.join(HERE, "results", time.strftime("%Y%m%d-%H%M%S.jsonl"))
os.makedirs(os.path.dirname(os.path.abspath(out)), exist_ok=True)
os.makedirs(LOGS, exist_ok=True)
rows, t0 = [], time.time()
try:
    with open(out, "w") as f:
        plain = [s for s in scen if SCENARIOS[s][0] != "idle"]
        can = lambda n, s: servers[n]["proto"] in SCENARIOS[s][1].split() and SCENARIOS[s][0] in servers[n].get("scenarios", [SCENARIOS[s][0]])
        if plain:
            for n in servers:
                start(n, {})
            time.sleep(0.5)
            for n in servers:  # warm up the servers, above all those with a JIT
                subprocess.run(pin(1) + [LG, "echo-ws", "--conns", "20", "--window", "8", "--secs", "1.0" if "node" in servers[n]["cmd"][0] else "0.3", "--url",
                                         f"http://127.0.0.1:{servers[n]['port']}", "--proto", servers[n]["proto"]], capture_output=True, timeout=30)
        for s in scen:
            idle = SCENARIOS[s][0] == "idle"
            if idle:
                for n in list(procs):
                    stop(n)
            for r in range(a.rounds):
                names = list(servers)
                for n in names[r % len(names):] + names[:r % len(names)]:
                    if not can(n, s):
                        continue
                    if idle:
                        start(n, {"PING_INTERVAL_MS": "3000", "PING_TIMEOUT_MS": "20000"})
                        time.sleep(0.4)
                    v = servers[n]
                    sc = list(SCENARIOS[s][2])
                    if idle and "idle_conns" in v:
                        sc[sc.index("--conns") + 1] = str(min(v["idle_conns"], int(sc[sc.index("--conns") + 1])))
                    cmd = pin(1) + [LG] + sc + ["--url", f"http://127.0.0.1:{v['port']}", "--proto", v["proto"], "--secs", a.secs,
                                                            "--warm", "0" if idle else a.warm, "--hold", a.hold, "--pid", str(procs[n].pid), "--label", n]
                    try:
                        o = subprocess.run(cmd, capture_output=True, text=True, timeout=60)
                        d = json.loads(o.stdout)
                    except Exception as e:
                        print(f"{s} {n}: {e}", file=sys.stderr)
                        continue
                    d.update(run=s, round=r, load=load(), t=round(time.time() - t0, 1))
                    if d.get("errors"):
                        print(f"{s} {n}: {d['errors']} errors {d.get('first_error', '')}", file=sys.stderr)
                    rows.append(d)
                    f.write(json.dumps(d) + "\n")
                    f.flush()
                    if idle:
                        stop(n)
            print(f"[{time.time() - t0:5.0f}s] {s} done, load {load():.2f}", file=sys.stderr)
finally:
    for n in list(procs):
        stop(n)


def med(s, n, k, pick=statistics.median):
    v = [r[k] for r in rows if r["run"] == s and r["label"] == n and r.get(k) is not None]
    return pick(v) if v else None


def limit(s, proto, k):
    own, other = ("floor-sio", "floor-raw") if proto == "sio" else ("floor-raw", "floor-sio")
    return med(s, own, k) or med(s, other, k)


if not rows:
    sys.exit("nothing was measured: no server in servers.toml is built, or none supports the selected scenarios")
print(f"\nmedians of {a.rounds} interleaved rounds; load average {min(r['load'] for r in rows):.1f} to {max(r['load'] for r in rows):.1f}; {out}")
for s in scen:
    idle = SCENARIOS[s][0] == "idle"
    names = [n for n in servers if med(s, n, "ready") is not None]
    if not names:
        continue
    print(f"\n## {s}")
    if idle:
        print("| server | conns | connects/s | connect CPU µs | RSS B/conn | RSS B/conn end | CPU µs/heartbeat | errors |\n|---|---|---|---|---|---|---|---|")
        for n in names:
            g = lambda k: med(s, n, k) or 0
            print(f"| {n} | {g('conns'):.0f} | {g('connect_per_s'):.0f} | {g('connect_cpu_us'):.1f} | {g('rss_per_conn'):.0f} | {g('rss_per_conn_end'):.0f} | {(format(g('cpu_us_per_ping'), '.1f') if servers[n]['proto'] != 'raw' else '-')} | {g('errors'):.0f} |")
        continue
    print("| server | msgs/s | srv CPU µs/msg | lowest round | × limit | × socketioxide | sys share | p50 µs | p99 µs | p99.9 µs | cli µs/msg | errors |\n|" + "---|" * 12)
    sx = "engineioxide" if "socketioxide" not in names else "socketioxide"
    ref = med(s, sx, "srv_cpu_us_per_msg")
    for n in names:
        g = lambda k: med(s, n, k) or 0
        c = g("srv_cpu_us_per_msg")
        lim = limit(s, servers[n]["proto"], "srv_cpu_us_per_msg")
        print(f"| {n} | {g('msgs_per_s'):.0f} | {c:.2f} | {med(s, n, 'srv_cpu_us_per_msg', min):.2f} | {(f'{c / lim:.2f}' if lim else '-')} | {(f'{c / ref:.2f}' if ref else '-')} | {g('srv_sys_frac'):.2f} | "
              f"{g('p50_us'):.0f} | {g('p99_us'):.0f} | {g('p999_us'):.0f} | {g('cli_cpu_us_per_msg'):.2f} | {g('errors'):.0f} |")
ours = [n for n in servers if servers[n].get("role") == "ours"]
if ours:
    print("\n## ours against the best peer and the limit (server CPU per message; idle: RSS per connection)\n| server | scenario | ours | best peer | ratio | ratio of lowest rounds | × limit |\n|---|---|---|---|---|---|---|")
    for s in scen:
        key = "rss_per_conn" if SCENARIOS[s][0] == "idle" else "srv_cpu_us_per_msg"
        for o in ours:
            pr = servers[o]["proto"]
            peers = [(med(s, n, key), n) for n in servers if servers[n].get("role") == "peer" and servers[n]["proto"] == pr and med(s, n, key)]
            lim, v = limit(s, pr, key), med(s, o, key)
            if v and peers:
                b = min(peers)
                low = med(s, o, key, min) / med(s, b[1], key, min)
                print(f"| {o} | {s} | {v:.2f} | {b[0]:.2f} ({b[1]}) | {v / b[0]:.2f} | {low:.2f} | {(f'{v / lim:.2f}' if lim else '-')} |")
print(f"\ntotal {time.time() - t0:.0f} s")
