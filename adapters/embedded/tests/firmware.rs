//! The firmware in QEMU, whose UART is joined by TCP to a socket.io server of Node.js.
#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used, reason = "tests may panic")]

mod support;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use socketio_conformance::process::{Output, Process, Progress};
use support::{server, skip, target};

/// How long the firmware may run. A test fails after it.
const PATIENCE: Duration = Duration::from_secs(60);
/// The budgets of the README, in bytes.
const IDLE_HEAP: usize = 8 * 1024;
const PEAK_HEAP: usize = 16 * 1024;
const TEXT: usize = 320 * 1024;

/// Debian's compiler, because Debian also packages the sources of `core` and `alloc` for it.
const COMPILER: &str = "/usr/bin/rustc";

/// Builds the firmware. Cargo locks its folder. `None` if a tool is missing.
fn build() -> Option<PathBuf> {
    let has =
        |program: &str| Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success());
    let sources = Path::new("/usr/lib/rustlib/src/rust/library/core").exists();
    if !(has("qemu-system-arm") && has(COMPILER) && has("arm-none-eabi-ld") && sources) {
        return skip(
            "the firmware needs the Debian packages qemu-system-arm, rustc-web, rust-web-src and binutils-arm-none-eabi: \
             install them with apt-get",
        );
    }
    let folder = target().join("firmware");
    let build = Command::new("cargo")
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("firmware"))
        .args(["build", "--release", "--locked", "-Zbuild-std=core,alloc", "--target", "thumbv7m-none-eabi"])
        .arg("--target-dir")
        .arg(&folder)
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env_remove("RUSTC_WRAPPER")
        .env_remove("RUSTC_WORKSPACE_WRAPPER")
        .env("RUSTC", COMPILER)
        .env("RUSTC_BOOTSTRAP", "1")
        .env("RUSTFLAGS", "-C link-arg=-Tlink.x -C linker=arm-none-eabi-ld -C linker-flavor=ld")
        .output()
        .unwrap();
    assert!(build.status.success(), "{}", String::from_utf8_lossy(&build.stderr));
    Some(folder.join("thumbv7m-none-eabi/release/socketio-firmware"))
}

#[test]
fn the_firmware_talks_to_node_over_its_uart_and_returns_after_a_cut() {
    let Some((_server, port)) = server(false) else { return };
    let Some(firmware) = build() else { return };
    let size = Command::new("arm-none-eabi-size").arg(&firmware).output().unwrap();
    let size = String::from_utf8_lossy(&size.stdout);
    println!("{size}");
    let text = size.lines().nth(1).and_then(|numbers| numbers.split_whitespace().next()?.parse().ok());
    assert!(text.is_some_and(|text: usize| text <= TEXT), "{text:?}");
    let mut command = Command::new("qemu-system-arm");
    command.args(["-M", "mps2-an385", "-cpu", "cortex-m3", "-display", "none", "-monitor", "none"]);
    command.args(["-semihosting-config", "enable=on,target=native", "-serial"]);
    // QEMU joins the pipe again a second after it was cut.
    command.arg(format!("tcp:127.0.0.1:{port},reconnect=1")).arg("-kernel").arg(&firmware);
    let mut qemu = Process::start("qemu", &mut command).unwrap();
    let deadline = Instant::now() + PATIENCE;
    let mut seen = Vec::new();
    loop {
        match qemu.next(deadline).unwrap() {
            Progress::Line(Output::Stdout, line) => {
                println!("{line}");
                seen.push(line);
            }
            Progress::Line(..) => {}
            Progress::Exited(status) if status.success() => break,
            other => panic!("{other:?}\n{}", qemu.transcript()),
        }
    }
    let measured = |what: &str| -> usize {
        seen.iter().find_map(|line| line.strip_prefix(what)?.strip_suffix(" bytes")?.parse().ok()).unwrap()
    };
    let steps: Vec<_> = seen.iter().filter(|line| !line.starts_with("heap")).collect();
    assert_eq!(steps, ["connected", "binary", "acks", "disconnected", "connected again", "done"]);
    let (idle, peak) = (measured("heap idle: "), measured("heap peak: "));
    assert!(idle <= IDLE_HEAP && peak <= PEAK_HEAP, "{idle} {peak}");
}
