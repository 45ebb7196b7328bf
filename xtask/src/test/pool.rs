//! Runs jobs side by side.

use std::{
    collections::VecDeque,
    io::{Read, Seek},
    process::{Command, Stdio},
    sync::{Condvar, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow};

use super::{
    deadline,
    plan::{Job, Needs, next},
    results::Done,
};

/// How many jobs run at once. Most of them wait for servers and for time to pass: on two
/// processors, three are faster than two, and with five those that compute miss their deadlines.
pub(super) const JOBS: u8 = 3;

/// A job that takes longer than this is told of when it is done, not only when it failed.
const WORTH_A_LINE: Duration = Duration::from_secs(1);

/// What the workers share.
struct Board {
    waiting: VecDeque<Job>,
    running: Vec<Needs>,
    done: Vec<Done>,
}

/// Runs all jobs, and tells on the way how far it is.
pub(super) fn run(jobs: Vec<Job>, at_once: usize, deadline: Duration) -> Result<Vec<Done>> {
    let total = jobs.len();
    let board = Board { waiting: jobs.into(), running: vec![], done: vec![] };
    let (board, moved) = (Mutex::new(board), Condvar::new());
    let work = || -> Result<()> {
        while let Some(job) = take(&board, &moved) {
            let done = run_one(&job, deadline);
            let mut board = board.lock().unwrap_or_else(PoisonError::into_inner);
            let place = board.running.iter().position(|needs| *needs == job.needs);
            board.running.swap_remove(place.context("the job was running")?);
            moved.notify_all();
            let done = done?;
            let count = board.done.len() + 1;
            if done.took >= WORTH_A_LINE || done.has_failed() {
                println!("[{count:>3}/{total}] {done}");
            }
            if done.has_failed() {
                println!("{}", done.output);
            }
            board.done.push(done);
        }
        Ok(())
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..at_once).map(|_| scope.spawn(work)).collect();
        let ended = workers.into_iter().map(|it| it.join().map_err(|_| anyhow!("a worker")));
        ended.collect::<Result<Vec<_>>>()?.into_iter().collect::<Result<()>>()
    })?;
    Ok(board.into_inner().unwrap_or_else(PoisonError::into_inner).done)
}

/// The next job for a worker, when one may start; `None` when none is left.
fn take(board: &Mutex<Board>, moved: &Condvar) -> Option<Job> {
    let mut board = board.lock().unwrap_or_else(PoisonError::into_inner);
    while !board.waiting.is_empty() {
        let Board { waiting, running, .. } = &mut *board;
        if let Some(job) = next(waiting, running) {
            board.running.push(job.needs);
            return Some(job);
        }
        board = moved.wait(board).unwrap_or_else(PoisonError::into_inner);
    }
    None
}

fn run_one(job: &Job, deadline: Duration) -> Result<Done> {
    let mut output = tempfile::tempfile().context("make a file for what a test prints")?;
    let begin = Instant::now();
    let mut child = Command::new(&job.program)
        .args(&job.arguments)
        .envs(job.environment.iter().map(|(name, value)| (name, value)))
        .current_dir(&job.dir)
        .stdin(Stdio::null())
        .stdout(output.try_clone()?)
        .stderr(output.try_clone()?)
        .spawn()
        .with_context(|| format!("run {}", job.program.display()))?;
    let ended_well = deadline::wait(&mut child, deadline)?;
    let took = begin.elapsed();
    let mut said = vec![];
    output.rewind()?;
    output.read_to_end(&mut said)?;
    Ok(Done::of(job, ended_well, took, String::from_utf8_lossy(&said).into_owned()))
}
