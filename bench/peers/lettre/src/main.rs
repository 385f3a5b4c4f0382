//! lettre's pooled SMTP transport, for bench/relay.ts: sends equal messages as fast as they go, and prints one line of JSON.
//!
//! lettre writes each command by itself and leaves Nagle's algorithm on, so that a peer which delays its ACKs costs it some 40 ms
//! a message. The fifth argument `nodelay` sets TCP_NODELAY on its sockets after the first message, which shows what lettre could do.
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

use lettre::address::Envelope;
use lettre::transport::smtp::PoolConfig;
use lettre::{SmtpTransport, Transport};

/// What one thread has seen.
struct Seen {
    latencies_us: Vec<u32>,
    failed: u64,
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let number = |at: usize| arguments[at].parse::<f64>().expect("a number");
    let (port, connections, size, seconds) = (number(1) as u16, number(2) as usize, number(3) as usize, number(4));
    let forces_nodelay = arguments.get(5).is_some_and(|word| word == "nodelay");

    let transport = SmtpTransport::builder_dangerous("127.0.0.1")
        .port(port)
        .timeout(Some(Duration::from_secs(10)))
        .pool_config(PoolConfig::new().max_size(connections as u32))
        .build();
    let message = Arc::new(make_message(size));
    let envelope = Envelope::new(
        Some("a@sender.example".parse().unwrap()),
        vec!["b@sink.example".parse().unwrap()],
    )
    .unwrap();

    let is_measured = Arc::new(AtomicBool::new(false));
    let is_over = Arc::new(AtomicBool::new(false));
    let connected = Arc::new(Barrier::new(connections + 1));
    let threads: Vec<_> = (0..connections)
        .map(|_| {
            let (transport, message, envelope) = (transport.clone(), message.clone(), envelope.clone());
            let (is_measured, is_over, connected) = (is_measured.clone(), is_over.clone(), connected.clone());
            std::thread::spawn(move || {
                transport.send_raw(&envelope, &message).expect("the first message");
                connected.wait();
                let mut seen = Seen { latencies_us: Vec::new(), failed: 0 };
                while !is_over.load(Ordering::Relaxed) {
                    let began = Instant::now();
                    let was_sent = transport.send_raw(&envelope, &message).is_ok();
                    if !is_measured.load(Ordering::Relaxed) {
                        continue;
                    }
                    if was_sent {
                        seen.latencies_us.push(began.elapsed().as_micros() as u32);
                    } else {
                        seen.failed += 1;
                    }
                }
                seen
            })
        })
        .collect();
    connected.wait();
    if forces_nodelay {
        set_nodelay_everywhere();
    }
    std::thread::sleep(Duration::from_secs_f64(seconds / 2.0));
    let cpu_before = cpu_us();
    let began = Instant::now();
    is_measured.store(true, Ordering::Relaxed);
    std::thread::sleep(Duration::from_secs_f64(seconds));
    is_measured.store(false, Ordering::Relaxed);
    let elapsed = began.elapsed().as_secs_f64();
    let cpu = cpu_us() - cpu_before;
    is_over.store(true, Ordering::Relaxed);

    let mut latencies = Vec::new();
    let mut failed = 0;
    for thread in threads {
        let seen = thread.join().expect("a thread");
        latencies.extend(seen.latencies_us);
        failed += seen.failed;
    }
    latencies.sort_unstable();
    let at = |fraction: f64| latencies.get((latencies.len() as f64 * fraction) as usize).copied().unwrap_or(0);
    println!(
        "{{\"done\":{},\"failed\":{failed},\"seconds\":{elapsed},\"cpuMicros\":{cpu},\"p50Micros\":{},\"p99Micros\":{},\"rssOctets\":{}}}",
        latencies.len(),
        at(0.5),
        at(0.99),
        usage().ru_maxrss * 1024,
    );
}

/// The message of bench/kit/message.ts.
fn make_message(size: usize) -> Vec<u8> {
    let header = "From: <a@sender.example>\r\nTo: <b@sink.example>\r\nSubject: benchmark\r\n\r\n";
    let words = "The quick brown fox jumps over the lazy dog, again and again and again.";
    let line = format!("{words:!<76}\r\n");
    let lines = ((size.saturating_sub(header.len())) as f64 / line.len() as f64).round().max(1.0) as usize;
    format!("{header}{}", line.repeat(lines)).into_bytes()
}

/// lettre shows nobody its sockets, so every descriptor is tried; what is no TCP socket refuses.
fn set_nodelay_everywhere() {
    for entry in std::fs::read_dir("/proc/self/fd").expect("/proc/self/fd").flatten() {
        let Some(descriptor) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else {
            continue;
        };
        // Open for as long as this runs: the pool keeps its connections.
        let borrowed = unsafe { BorrowedFd::borrow_raw(descriptor) };
        let _ = socket2::SockRef::from(&borrowed).set_tcp_nodelay(true);
    }
}

fn usage() -> libc::rusage {
    let mut usage = unsafe { std::mem::zeroed() };
    unsafe { libc::getrusage(libc::RUSAGE_SELF, &mut usage) };
    usage
}

fn cpu_us() -> i64 {
    let usage = usage();
    (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1_000_000 + usage.ru_utime.tv_usec + usage.ru_stime.tv_usec
}
