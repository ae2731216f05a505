//! A campaign: case after case of one parser, each within the limits, until the number or the time is reached.

use std::fs;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use super::allocator::most_held;
use super::corpus::keep;
use super::random::Random;

/// Longest time of one case.
const LONGEST: Duration = Duration::from_secs(1);
/// Times a case that took longer is tried in all: a busy machine stops a process now and then, a hang comes every time.
const TRIES: usize = 3;
/// After this long a case is called endless, and the process ends.
const ENDLESS: Duration = Duration::from_mins(1);
/// Memory beyond twice the file, in bytes.
const SPARE_BYTES: usize = 64 << 20;
/// A campaign ends after this many failures.
const MOST_FAILURES: usize = 20;

/// How long a campaign goes on.
enum Length {
    Cases(u64),
    Time(Duration),
}

/// `MINUTES` (a fraction is fine), else `CASES`, else 10,000 cases.
fn length() -> Length {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<f64>().expect(name));
    match number("MINUTES") {
        Some(minutes) => Length::Time(Duration::from_secs_f64(60.0 * minutes)),
        None => Length::Cases(number("CASES").unwrap_or(10_000.0) as u64),
    }
}

/// Number of cases for tests that only need some, and `CASES` where given.
pub fn cases(default: u64) -> u64 {
    std::env::var("CASES").ok().map_or(default, |cases| cases.parse().expect("CASES"))
}

/// Runs a reader within the limits; what breaks them is the error. `read` may run several times.
pub fn checked<T>(bytes: &[u8], mut read: impl FnMut() -> T) -> Result<T, String> {
    let mut best = Duration::MAX;
    for attempt in 0..TRIES {
        // Asking the system for this thread's own time takes longer than most cases.
        let clock = if attempt == 0 { Clock::Wall(Instant::now()) } else { Clock::of_this_thread() };
        let (result, most) = most_held(|| catch_unwind(AssertUnwindSafe(&mut read)));
        best = best.min(clock.elapsed());
        let value = result.map_err(|panic| format!("panic: {}", panic_text(panic.as_ref())))?;
        if most > 2 * bytes.len() + SPARE_BYTES {
            return Err(format!("{most} bytes held for a file of {}", bytes.len()));
        }
        if best <= LONGEST {
            return Ok(value);
        }
    }
    Err(format!("{:.1} s for a file of {} bytes", best.as_secs_f64(), bytes.len()))
}

/// What a case took: by the clock on the wall, or by the processor time of its thread, which other programs do not touch.
enum Clock {
    Wall(Instant),
    Thread(Duration),
}

impl Clock {
    fn of_this_thread() -> Self {
        processor_time().map_or_else(|| Self::Wall(Instant::now()), Self::Thread)
    }

    fn elapsed(&self) -> Duration {
        match self {
            Self::Wall(begun) => begun.elapsed(),
            Self::Thread(begun) => processor_time().unwrap_or_default().saturating_sub(*begun),
        }
    }
}

/// Linux only: the first number of `schedstat` is nanoseconds on a processor.
fn processor_time() -> Option<Duration> {
    let text = fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    text.split(' ').next()?.parse().ok().map(Duration::from_nanos)
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message")
}

/// Reads mutation after mutation. Each is written to `path`; `read` gets its bytes and tells whether the file was
/// accepted, which some must be and some not: otherwise the mutations would be too weak or too strong to prove
/// anything. A case that fails is kept in the corpus. The last line on standard error is the result as JSON.
pub fn campaign(parser: &str, path: &Path, make: impl Fn(&mut Random) -> Vec<u8>, read: impl Fn(&[u8]) -> bool) {
    let (begun, length) = (Instant::now(), length());
    let (mut case, mut accepted, mut failures) = (0_u64, 0_u64, Vec::new());
    let watched = AtomicU64::new(0);
    let goes_on = |case: u64| match length {
        Length::Cases(cases) => case < cases,
        Length::Time(time) => begun.elapsed() < time,
    };
    thread::scope(|scope| {
        let (done, ended) = mpsc::channel::<()>();
        scope.spawn(|| watch(parser, &watched, ended));
        while goes_on(case) && failures.len() < MOST_FAILURES {
            watched.store(case, Ordering::Relaxed);
            let bytes = make(&mut Random::of_case(case));
            overwrite(path, &bytes);
            match checked(&bytes, || read(&bytes)) {
                Ok(yes) => accepted += u64::from(yes),
                Err(failure) => {
                    let kept = keep(parser, case, &bytes);
                    eprintln!("{parser}, case {case}: {failure}; kept as {}", kept.display());
                    failures.push(case);
                }
            }
            case += 1;
        }
        drop(done);
    });
    let (seconds, failed) = (begun.elapsed().as_secs_f64(), failures.len());
    // One write: campaigns report side by side.
    let line = format!(
        "{{\"campaign\":\"{parser}\",\"cases\":{case},\"accepted\":{accepted},\"failures\":{failed},\"seconds\":{seconds:.1}}}\n"
    );
    let _ = std::io::stderr().write_all(line.as_bytes());
    assert!(failures.is_empty(), "{parser}: {failed} of {case} cases failed: {failures:?}");
    assert!(accepted > 0 && accepted < case, "{parser}: {accepted} of {case} accepted");
}

/// Ends the process when one case never ends: nothing else can stop it.
fn watch(parser: &str, current: &AtomicU64, ended: mpsc::Receiver<()>) {
    let mut seen = (u64::MAX, Instant::now());
    while ended.recv_timeout(Duration::from_millis(200)) == Err(RecvTimeoutError::Timeout) {
        let case = current.load(Ordering::Relaxed);
        if case != seen.0 {
            seen = (case, Instant::now());
        } else if seen.1.elapsed() > ENDLESS {
            eprintln!("{parser}, case {case}: no end after {} s", ENDLESS.as_secs());
            std::process::abort();
        }
    }
}

/// Replaces the content in place: some file systems flush a file that is first emptied, which takes milliseconds.
fn overwrite(path: &Path, bytes: &[u8]) {
    let mut file = fs::File::options().write(true).create(true).truncate(false).open(path).unwrap();
    file.write_all(bytes).unwrap();
    file.set_len(bytes.len() as u64).unwrap();
}

#[test]
fn panics_hangs_and_hoarding_are_noticed() {
    assert!(checked(&[], || panic!("boom")).is_err_and(|failure: String| failure.contains("boom")));
    let hoard = || std::hint::black_box(vec![0_u8; SPARE_BYTES + 21]).len();
    assert!(checked(&[0; 10], hoard).is_err_and(|failure| failure.contains("bytes held")));
    assert!(checked(&[0; 11], hoard).is_ok());
    let mut calls = 0;
    let slow = checked(&[], || {
        calls += 1;
        let begun = Clock::of_this_thread();
        while begun.elapsed() < LONGEST + Duration::from_millis(5) {}
    });
    assert!(slow.is_err_and(|failure| failure.starts_with("1.0 s")));
    assert_eq!(calls, TRIES);
    let mut first = true;
    assert!(
        checked(&[], || if std::mem::take(&mut first) {
            thread::sleep(LONGEST);
        })
        .is_ok()
    );
}
