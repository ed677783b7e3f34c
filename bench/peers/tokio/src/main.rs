//! tokio on its single-threaded runtime.

use std::fs;
use std::future::Future;
use std::hint::black_box;
use std::pin::{pin, Pin};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, Mutex, Semaphore};
use tokio::task::{yield_now, JoinHandle, JoinSet};
use tokio::time::{sleep, timeout};

const BATCH: u64 = 1000;
const FIB_ARGUMENT: u32 = 27;
const FIB_AWAITS: u64 = 635_621;
const SECOND_NS: u64 = 1_000_000_000;

/// The delays of the other programs of this benchmark.
struct Xorshift(u64);

impl Xorshift {
    fn new() -> Self {
        Xorshift(0x9E37_79B9_7F4A_7C15)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

/// User and system time of this process, in clock ticks of 10 ms.
fn cpu_seconds() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks: f64 = fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap();
    ticks / 100.0
}

fn peak_memory_mib() -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
}

async fn join(tasks: Vec<JoinHandle<u64>>) -> Vec<u64> {
    let mut results = Vec::with_capacity(tasks.len());
    for task in tasks {
        results.push(task.await.unwrap());
    }
    results
}

async fn spawn(operations: u64) {
    let mut sum = 0;
    for _ in 0..operations / BATCH {
        let tasks = (0..BATCH).map(|index| tokio::spawn(async move { index })).collect();
        sum += join(tasks).await.last().unwrap();
    }
    black_box(sum);
}

async fn yield_often(times: u64) -> u64 {
    for _ in 0..times {
        yield_now().await;
    }
    times
}

async fn take_turns(operations: u64) {
    let tasks = (0..BATCH).map(|_| tokio::spawn(yield_often(operations / BATCH))).collect();
    join(tasks).await;
}

fn fib(n: u32) -> Pin<Box<dyn Future<Output = u32> + Send>> {
    Box::pin(async move {
        if n < 2 {
            return n;
        }
        fib(n - 1).await + fib(n - 2).await
    })
}

async fn sleep_together(count: u64, mut delay_ns: impl FnMut() -> u64) {
    let mut tasks = Vec::with_capacity(count as usize);
    for _ in 0..count {
        let delay = Duration::from_nanos(delay_ns());
        tasks.push(tokio::spawn(async move {
            sleep(delay).await;
            0
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
}

/// A timer exists from the first poll of its sleep until the sleep is dropped.
async fn timers(operations: u64) {
    let mut random = Xorshift::new();
    for _ in 0..BATCH {
        tokio::spawn(sleep(Duration::from_secs(5 + random.next() % 10)));
    }
    yield_now().await;
    let mut poll_timers = pin!(std::future::poll_fn(|context| {
        for turn in 0..operations {
            let timer = pin!(sleep(Duration::from_nanos(10 * SECOND_NS + turn)));
            black_box(timer.poll(context).is_pending());
        }
        std::task::Poll::Ready(())
    }));
    poll_timers.as_mut().await;
}

async fn threadsafe(operations: u64) {
    let (sender, mut receiver) = mpsc::unbounded_channel::<fn(&mut u64)>();
    let caller = std::thread::spawn(move || {
        for _ in 0..operations {
            sender.send(|called| *called += 1).unwrap();
        }
    });
    let mut called = 0;
    while let Some(callback) = receiver.recv().await {
        callback(&mut called);
    }
    caller.join().unwrap();
    assert_eq!(called, operations);
}

async fn call_in_thread<T: Send + 'static>(mut value: T, operations: u64) {
    for _ in 0..operations {
        value = tokio::task::spawn_blocking(move || value).await.unwrap();
    }
    black_box(value);
}

async fn lock_in_turn(tasks: u64, operations: u64) {
    let mutex = Arc::new(Mutex::new(()));
    let first = mutex.lock().await;
    let holders = (0..tasks).map(|_| {
        let mutex = mutex.clone();
        tokio::spawn(async move {
            for _ in 0..operations / tasks {
                black_box(&mut *mutex.lock().await);
            }
            0
        })
    });
    let holders = holders.collect();
    yield_now().await;
    drop(first);
    join(holders).await;
}

async fn acquire_in_turn(tasks: u64, operations: u64) {
    let semaphore = Arc::new(Semaphore::new(1));
    let first = semaphore.acquire().await.unwrap();
    let holders = (0..tasks).map(|_| {
        let semaphore = semaphore.clone();
        tokio::spawn(async move {
            for _ in 0..operations / tasks {
                black_box(&semaphore.acquire().await.unwrap());
            }
            0
        })
    });
    let holders = holders.collect();
    yield_now().await;
    drop(first);
    join(holders).await;
}

async fn put_and_get(operations: u64) {
    let (sender, mut receiver) = mpsc::unbounded_channel();
    let mut sum = 0;
    for turn in 0..operations {
        sender.send(turn).unwrap();
        sum += receiver.recv().await.unwrap();
    }
    black_box(sum);
}

async fn ping_pong(operations: u64) {
    let (pings, mut pinged) = mpsc::unbounded_channel();
    let (pongs, mut ponged) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Some(ball) = pinged.recv().await {
            pongs.send(ball + 1).unwrap();
        }
    });
    let mut ball = 0;
    for _ in 0..operations {
        pings.send(ball).unwrap();
        ball = ponged.recv().await.unwrap();
    }
    black_box(ball);
}

async fn set_deadlines(operations: u64) {
    let mut sum = 0;
    for _ in 0..operations {
        sum += timeout(Duration::from_secs(3600), async { black_box(1) }).await.unwrap();
    }
    black_box(sum);
}

async fn spawn_in_set(operations: u64) {
    let mut sum = 0;
    for _ in 0..operations / BATCH {
        let mut set = JoinSet::new();
        for index in 0..BATCH {
            set.spawn(async move { index });
        }
        sum += set.join_all().await.last().unwrap();
    }
    black_box(sum);
}

async fn coordinate(row: String, operations: u64) {
    match row.as_str() {
        "lock" => lock_in_turn(1, operations).await,
        "lock_contended" => lock_in_turn(BATCH, operations).await,
        "semaphore" => acquire_in_turn(1, operations).await,
        "semaphore_contended" => acquire_in_turn(BATCH, operations).await,
        "queue" => put_and_get(operations).await,
        "pingpong" => ping_pong(operations).await,
        "timeout" => set_deadlines(operations).await,
        "group" => spawn_in_set(operations).await,
        _ => unreachable!(),
    }
}

async fn measure(row: &str, operations: u64, seconds: u64) {
    let started = Instant::now();
    let cpu_started = cpu_seconds();
    let ns_per = |count: u64| started.elapsed().as_nanos() as f64 / count as f64;
    match row {
        "spawn" => {
            tokio::spawn(spawn(operations)).await.unwrap();
            println!("spawn_ns {}", ns_per(operations));
        }
        "switch" => {
            take_turns(operations).await;
            println!("switch_ns {}", ns_per(operations));
        }
        "switch1" => {
            tokio::spawn(yield_often(operations)).await.unwrap();
            println!("switch1_ns {}", ns_per(operations));
        }
        "await" => {
            let times = operations / FIB_AWAITS;
            for _ in 0..times {
                black_box(fib(FIB_ARGUMENT).await);
            }
            println!("await_ns {}", ns_per(times * FIB_AWAITS));
        }
        "sleepers" => {
            sleep_together(operations, || seconds * SECOND_NS).await;
            println!("sleepers_cpu_s {}", cpu_seconds() - cpu_started);
            println!("sleepers_mib {}", peak_memory_mib());
        }
        "sleeps" => {
            let mut random = Xorshift::new();
            sleep_together(operations, || random.next() % SECOND_NS).await;
            let cpu_ns = (cpu_seconds() - cpu_started) * 1e9;
            println!("sleeps_cpu_ns {}", cpu_ns / operations as f64);
        }
        "timers" => {
            timers(operations).await;
            println!("timers_ns {}", ns_per(operations));
        }
        "threadsafe" => {
            threadsafe(operations).await;
            println!("threadsafe_ns {}", ns_per(operations));
        }
        "thread_call" | "thread_call_one_core" => {
            call_in_thread(1, operations).await;
            println!("{row}_us {}", ns_per(operations) / 1000.0);
        }
        "thread_mib" => {
            call_in_thread(vec![b'x'; 1 << 20], operations).await;
            println!("{row}_us {}", ns_per(operations) / 1000.0);
        }
        "lock" | "lock_contended" | "semaphore" | "semaphore_contended" | "queue" | "pingpong"
        | "timeout" | "group" => {
            let row = row.to_owned();
            tokio::spawn(coordinate(row.clone(), operations)).await.unwrap();
            println!("{row}_ns {}", ns_per(operations));
        }
        "version" => println!("version {}", tokio_version()),
        _ => panic!("no row '{row}' here"),
    }
}

/// The lock file is the only place that knows which tokio was built in.
fn tokio_version() -> &'static str {
    let after = include_str!("../Cargo.lock").split("name = \"tokio\"\nversion = \"").nth(1);
    after.and_then(|text| text.split('"').next()).unwrap()
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let operations = arguments[2].parse().unwrap();
    let seconds = arguments.get(3).map_or(1, |text| text.parse().unwrap());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(measure(&arguments[1], operations, seconds));
    runtime.shutdown_background();
}
