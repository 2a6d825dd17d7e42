//! The board: its UART as a stream, and SysTick as a clock.
//!
//! The UART has a buffer of one byte and no flow control, so QEMU keeps what the chip has not read yet.

use core::cell::Cell;
use core::convert::Infallible;
use core::future::{pending, poll_fn};
use core::sync::atomic::{AtomicU32, Ordering::Relaxed};
use core::task::Poll;

use cortex_m::peripheral::SYST;
use cortex_m::peripheral::syst::SystClkSource;
use embedded_io_async::{ErrorType, Read, Write};
use engineio_proto::Instant;
use socketio_embedded::Platform;

/// The registers of the CMSDK UART 0.
const DATA: *mut u32 = 0x4000_4000 as *mut u32;
const STATE: *mut u32 = 0x4000_4004 as *mut u32;
const CTRL: *mut u32 = 0x4000_4008 as *mut u32;
const BAUD: *mut u32 = 0x4000_4010 as *mut u32;
/// Ticks of the processor in a millisecond.
const TICKS: u32 = 25_000;

static MILLIS: AtomicU32 = AtomicU32::new(0);

#[cortex_m_rt::exception]
fn SysTick() {
    MILLIS.store(MILLIS.load(Relaxed).wrapping_add(1), Relaxed);
}

pub struct Board {
    random: u64,
    dials: Cell<u32>,
}

impl Board {
    pub fn new(mut clock: SYST) -> Self {
        clock.set_clock_source(SystClkSource::Core);
        clock.set_reload(TICKS - 1);
        clock.clear_current();
        clock.enable_counter();
        clock.enable_interrupt();
        // SAFETY: these are registers of the board.
        unsafe {
            BAUD.write_volatile(16);
            CTRL.write_volatile(3);
        }
        Self { random: 0x9e37_79b9_7f4a_7c15, dials: Cell::new(0) }
    }

    /// How often the client has connected.
    pub fn dials(&self) -> u32 {
        self.dials.get()
    }
}

impl Platform for Board {
    type Stream = Uart;
    type Error = Infallible;

    fn now(&self) -> Instant {
        Instant::from_millis(MILLIS.load(Relaxed).into())
    }

    async fn sleep_until(&self, deadline: Instant) {
        if deadline == Instant::FAR_FUTURE {
            return pending().await;
        }
        poll_fn(|_| if self.now() >= deadline { Poll::Ready(()) } else { Poll::Pending }).await;
    }

    /// This is not secret. A real board uses its random number generator.
    fn random(&mut self) -> [u8; 16] {
        let mut bytes = [0; 16];
        for byte in &mut bytes {
            self.random ^= self.random << 13;
            self.random ^= self.random >> 7;
            self.random ^= self.random << 17;
            *byte = (self.random >> 32) as u8;
        }
        bytes
    }

    /// The UART is always there. What the last connection has left in it is dropped.
    async fn connect(&self) -> Result<Uart, Infallible> {
        while readable() {
            take();
        }
        self.dials.set(self.dials.get() + 1);
        Ok(Uart)
    }
}

fn readable() -> bool {
    // SAFETY: this is a register of the board.
    unsafe { STATE.read_volatile() & 2 != 0 }
}

fn take() -> u8 {
    // SAFETY: this is a register of the board.
    unsafe { DATA.read_volatile() as u8 }
}

pub struct Uart;

impl ErrorType for Uart {
    type Error = Infallible;
}

impl Read for Uart {
    async fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Infallible> {
        poll_fn(|_| if readable() { Poll::Ready(()) } else { Poll::Pending }).await;
        let mut count = 0;
        for slot in buffer {
            if !readable() {
                break;
            }
            *slot = take();
            count += 1;
        }
        Ok(count)
    }
}

impl Write for Uart {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
        let Some(byte) = bytes.first() else { return Ok(0) };
        // SAFETY: this is a register of the board.
        poll_fn(|_| if unsafe { STATE.read_volatile() } & 1 == 0 { Poll::Ready(()) } else { Poll::Pending }).await;
        // SAFETY: as above.
        unsafe { DATA.write_volatile((*byte).into()) };
        Ok(1)
    }

    async fn flush(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}
