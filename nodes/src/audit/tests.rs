//! A log shows what was done to it.

use super::*;
use crate::{
    Error,
    config::ClusterId,
    job::{
        Accepted, Asked, Before, Failure, FailureKind, JobCost, JobId, JobState, Journal as _, ModeSpec, ProgramKind,
        Sha256Hex,
    },
};
use std::{
    fs,
    path::{Path, PathBuf},
};
use tempfile::TempDir;
use trefoil_engine::Party;

fn of(party: Party) -> AuditWhose {
    AuditWhose { cluster: ClusterId::new([7; 16]), party }
}

fn anchored(end: (u64, Link)) -> Known {
    Known { anchor: Some(end), ..Known::default() }
}

fn accepted(n: u8) -> Accepted {
    Accepted {
        job: JobId::from([n; 16]),
        owner: "alice".parse().expect("a name"),
        digest: Sha256Hex([n; 32]),
        program: ProgramKind::Moments,
        mode: ModeSpec::Malicious,
        outputs: Vec::new(),
        tables: Vec::new(),
        rule: None,
        repeats: None,
        spec: None,
    }
}

fn done() -> JobState {
    JobState::Done { cost: JobCost { rounds: 3, bytes_sent: 99, products: 7, seconds: 0.125 } }
}

fn failed() -> JobState {
    JobState::Failed { failure: Failure::new(FailureKind::Link, "lost").blaming(Party::P2) }
}

fn upload(path: &str, digest: u8) -> Event {
    let sha256 = Some(Sha256Hex([digest; 32]));
    let (client, method) = ("client bank-a".to_owned(), "PUT".to_owned());
    Event::Request(Asked { client, method, path: path.to_owned(), status: 201, sha256, policy: None })
}

fn started() -> Event {
    Event::Started { version: "1".to_owned() }
}

fn open(dir: &TempDir) -> Recovered {
    AuditLog::open(dir.path(), of(Party::P1), Known::default()).expect("a good log")
}

/// Jobs and their ends, without the times.
fn told(before: &Before) -> Vec<(Accepted, Option<JobState>)> {
    before.jobs.iter().map(|job| (job.accepted.clone(), job.end.as_ref().map(|(state, _)| state.clone()))).collect()
}

/// Whatever finds its way into an entry, the log can be read at the next start.
#[test]
fn an_entry_that_is_longer_than_what_is_read_is_not_written() {
    let dir = TempDir::new().expect("a directory");
    let log = open(&dir).log;
    let error = log.append(&upload(&"a".repeat(5 << 20), 1)).expect_err("too long");
    assert!(error.to_string().contains("longer than the audit log takes"), "{error}");
    log.append(&upload(&"a".repeat(3 << 20), 1)).expect("not too long");
    log.append(&started()).expect("room");
    drop(log);
    let report = verify(dir.path()).expect("a good log");
    assert!(report.entries >= 2);
    open(&dir);
}

fn with_three_jobs(dir: &TempDir) -> (u64, Link) {
    with_jobs(dir, 3)
}

/// Three jobs: one is done, one has failed, one has no end.
fn with_jobs(dir: &TempDir, third: u8) -> (u64, Link) {
    let log = open(dir).log;
    log.append(&started()).expect("room");
    for n in [1, 2, third] {
        log.accepted(&accepted(n)).expect("room");
    }
    log.ended(JobId::from([2; 16]), &failed()).expect("room");
    log.ended(JobId::from([1; 16]), &done()).expect("room");
    log.append(&upload("/v1/tables/loans/1", 5)).expect("room");
    log.sync().expect("a disk")
}

fn file(dir: &TempDir) -> PathBuf {
    dir.path().join("audit-000000000000.log")
}

fn lines(path: &Path) -> Vec<String> {
    fs::read_to_string(path).expect("a log").lines().map(str::to_owned).collect()
}

fn fault(error: &Error) -> &LogFault {
    match error {
        Error::Audit(fault) => fault,
        other => panic!("{other}"),
    }
}

#[test]
fn a_node_that_starts_again_finds_its_jobs() {
    let dir = tempfile::tempdir().expect("a directory");
    with_three_jobs(&dir);
    let all = [(accepted(1), Some(done())), (accepted(2), Some(failed())), (accepted(3), None)];
    let Recovered { log, before } = open(&dir);
    assert_eq!(told(&before), all);
    // A start that came to nothing changes nothing of that.
    log.append(&started()).expect("room");
    drop(log);
    let Recovered { log, before } = open(&dir);
    assert_eq!(told(&before), all);
    // Who is done with a job is known, also of one that the log does not know any more.
    let delete = |client: &str, n: u8| {
        let path = format!("/v1/jobs/{}", JobId::from([n; 16]));
        let (client, method) = (client.to_owned(), "DELETE".to_owned());
        Event::Request(Asked { client, method, path, status: 204, sha256: None, policy: None })
    };
    for (client, n) in [("client alice", 2), ("client bob", 2), ("client alice", 9)] {
        log.append(&delete(client, n)).expect("room");
    }
    drop(log);
    let Recovered { before, .. } = open(&dir);
    assert_eq!(told(&before), all);
    let deleted = before.jobs.iter().map(|job| job.deleted.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(deleted.collect::<Vec<_>>(), [vec![], vec!["client alice", "client bob"], vec![]]);
    assert_eq!(before.used, [JobId::from([9; 16])]);
    // What has ended, or could have been accepted, too long ago is not asked for; its name is not free.
    let known = |since_unix_ms, ended_since_unix_ms| Known { anchor: None, since_unix_ms, ended_since_unix_ms };
    let before = |known| AuditLog::open(dir.path(), of(Party::P1), known).expect("a good log").before;
    let late = before(known(0, u64::MAX));
    assert_eq!(told(&late), all[2..]);
    assert!([1, 2, 9].iter().all(|n| late.used.contains(&JobId::from([*n; 16]))), "{late:?}");
    assert_eq!(told(&before(known(u64::MAX, u64::MAX))), []);
}

#[test]
fn files_follow_each_other() {
    let dir = tempfile::tempdir().expect("a directory");
    let small = |anchor| {
        let known = Known { anchor, ..Known::default() };
        AuditLog::open_with(dir.path(), of(Party::P1), known, 1000).expect("a good log")
    };
    let log = small(None).log;
    log.append(&started()).expect("room");
    (1..=40).for_each(|n| log.accepted(&accepted(n)).expect("room"));
    let end = log.sync().expect("a disk");
    drop(log);
    let files = fs::read_dir(dir.path()).expect("there").count();
    assert!(files > 5, "{files}");
    let report = verify(dir.path()).expect("a good log");
    assert_eq!((report.entries, report.link, report.first), (end.0, end.1, 0));
    assert_eq!(report.party, Some(1));
    // All jobs are found, in whichever file; none of those that nobody asks for, but the end that the store knows.
    let Recovered { log, before } = small(Some(end));
    assert_eq!((before.jobs.len(), log.entries()), (40, end.0));
    drop(log);
    let known = Known { anchor: Some(end), since_unix_ms: u64::MAX, ended_since_unix_ms: u64::MAX };
    let Recovered { log, before } = AuditLog::open_with(dir.path(), of(Party::P1), known, 1000).expect("a good log");
    assert_eq!((before.jobs.len(), log.entries()), (0, end.0));
    // The anchor may lie files before the end.
    let early = verify(&dir.path().join("audit-000000000000.log")).expect("a good file");
    drop(small(Some((early.entries, early.link))));
    // A part of the log, from some file on, holds together; without one in between it does not.
    let mut paths: Vec<_> = fs::read_dir(dir.path()).expect("there").map(|e| e.expect("a file").path()).collect();
    paths.sort();
    fs::remove_file(&paths[0]).expect("there");
    let report = verify(dir.path()).expect("the rest of a good log");
    assert!(report.first > 0 && report.entries < end.0);
    fs::remove_file(&paths[2]).expect("there");
    let error = verify(dir.path()).expect_err("a gap");
    assert_eq!((fault(&error).path.as_path(), fault(&error).line), (paths[3].as_path(), Some(1)));
}

/// Each line in turn is altered in one byte, removed, and written twice.
#[test]
fn what_is_altered_removed_or_put_in_is_found() {
    let dir = tempfile::tempdir().expect("a directory");
    let end = with_three_jobs(&dir);
    let good = lines(&file(&dir));
    let write = |lines: &[String]| {
        fs::write(file(&dir), lines.join("\n") + "\n").expect("room");
    };
    let first_wrong = || verify(dir.path()).err().map(|error| fault(&error).line.expect("a line"));
    write(&good);
    assert_eq!(first_wrong(), None);
    for k in 0..good.len() {
        for at in [0, 63, 70, good[k].len() - 2] {
            let mut altered = good.clone();
            let mut bytes = altered[k].clone().into_bytes();
            bytes[at] ^= 1;
            altered[k] = String::from_utf8(bytes).expect("ASCII");
            write(&altered);
            assert_eq!(first_wrong(), Some(k as u64 + 1), "byte {at}");
            assert!(AuditLog::open(dir.path(), of(Party::P1), Known::default()).is_err());
        }
        let mut removed = good.clone();
        removed.remove(k);
        write(&removed);
        let last = k + 1 == good.len();
        assert_eq!(first_wrong(), (!last).then_some(k as u64 + 1));
        // The end of a log is held by the node's store.
        AuditLog::open(dir.path(), of(Party::P1), anchored(end)).expect_err("an entry is missing");
        let mut twice = good.clone();
        twice.insert(k, good[k].clone());
        write(&twice);
        // The first one, which begins a file, says the same again.
        assert_eq!(first_wrong(), Some(k as u64 + 2));
    }
    write(&good);
    AuditLog::open(dir.path(), of(Party::P1), anchored(end)).expect("all of it");
    let error = AuditLog::open(dir.path(), of(Party::P2), Known::default()).expect_err("another node's");
    assert!(error.to_string().contains("is of another node"), "{error}");
}

/// A log that was written anew, whole and well formed, is not the one of which the store has the end.
#[test]
fn another_log_of_the_same_length_is_found_by_the_anchor() {
    let [dir, other] = [(); 2].map(|()| tempfile::tempdir().expect("a directory"));
    let end = with_three_jobs(&dir);
    let forged = with_jobs(&other, 4);
    assert_eq!((end.0, end.1 == forged.1), (forged.0, false));
    let error = AuditLog::open(other.path(), of(Party::P1), anchored(end)).expect_err("another log");
    assert!(error.to_string().contains("the node's store says"), "{error}");
}

/// A file that says that it comes after all that there was: its number is beyond that of the anchor.
#[test]
fn a_log_that_claims_to_be_later_is_found_by_the_anchor() {
    let [dir, other] = [(); 2].map(|()| tempfile::tempdir().expect("a directory"));
    let end = with_three_jobs(&dir);
    let opened = |n: u64| {
        let event =
            Event::Opened { format: 1, cluster: ClusterId::new([7; 16]), party: 1, previous: Sha256Hex([3; 32]) };
        chain::written(Sha256Hex([3; 32]), &Entry { n, time_unix_ms: 1, event }).expect("an entry")
    };
    let (first, link) = opened(1000);
    let (second, _) = chain::written(link, &Entry { n: 1001, time_unix_ms: 1, event: started() }).expect("an entry");
    let forged = other.path().join("audit-000000001000.log");
    fs::write(&forged, [&first[..], &second].concat()).expect("room");
    verify(other.path()).expect("well formed");
    let error = AuditLog::open(other.path(), of(Party::P1), anchored(end)).expect_err("not after the anchor");
    assert!(error.to_string().contains("the node's store says"), "{error}");
    // Nor does another name help.
    fs::rename(&forged, file(&other)).expect("renamed");
    let error = verify(other.path()).expect_err("another number");
    assert!(error.to_string().contains("another number than the name"), "{error}");
}

#[test]
fn an_entry_that_was_not_written_to_its_end_is_removed_and_told() {
    for keep in [1, 40, 90] {
        let dir = tempfile::tempdir().expect("a directory");
        with_three_jobs(&dir);
        let text = fs::read(file(&dir)).expect("a log");
        let torn = [&text[..], &text[..keep]].concat();
        fs::write(file(&dir), torn).expect("room");
        assert_eq!(verify(dir.path()).expect("a good log").torn, keep as u64);
        let log = open(&dir).log;
        log.append(&started()).expect("room");
        drop(log);
        let lines = lines(&file(&dir));
        assert!(lines[lines.len() - 2].contains(&format!(r#""event":"repaired","bytes":{keep}"#)), "{lines:?}");
        assert_eq!(verify(dir.path()).expect("a good log").torn, 0);
    }
}

#[test]
fn a_log_that_was_moved_away_is_begun_anew_and_that_is_told() {
    let [dir, empty] = [(); 2].map(|()| tempfile::tempdir().expect("a directory"));
    let end = with_three_jobs(&dir);
    let log = AuditLog::open(empty.path(), of(Party::P1), anchored(end)).expect("a new log").log;
    log.append(&started()).expect("room");
    drop(log);
    // The store has not heard of it yet, and the node starts once more.
    drop(AuditLog::open(empty.path(), of(Party::P1), anchored(end)).expect("the new log").log);
    let reports = [verify(empty.path()).expect("a good log")];
    assert_eq!(compare(&reports), [Finding::Lost { party: 1, entries: end.0 }]);
    let lines = lines(&file(&empty));
    assert!(lines[1].contains(r#""event":"lost""#) && lines[1].contains(&end.1.to_string()), "{lines:?}");
}

#[test]
fn three_logs_are_compared_job_by_job_and_table_by_table() {
    let dirs = [(); 3].map(|()| tempfile::tempdir().expect("a directory"));
    let logs: Vec<AuditLog> = Party::ALL
        .into_iter()
        .zip(&dirs)
        .map(|(party, dir)| AuditLog::open(dir.path(), of(party), Known::default()).expect("a new log").log)
        .collect();
    let findings = || compare(&dirs.each_ref().map(|dir| verify(dir.path()).expect("a good log")));
    for log in &logs {
        log.accepted(&accepted(1)).expect("room");
        log.ended(JobId::from([1; 16]), &done()).expect("room");
        log.append(&upload("/v1/tables/loans/1", 5)).expect("room");
    }
    assert_eq!(findings(), []);
    // One that failed need not have come to all.
    logs[0].accepted(&accepted(2)).expect("room");
    logs[0].ended(JobId::from([2; 16]), &failed()).expect("room");
    // A table that was deleted and uploaded again at some of them.
    logs[1].append(&upload("/v1/tables/loans/1", 6)).expect("room");
    assert_eq!(findings(), []);
    logs[0].accepted(&accepted(3)).expect("room");
    logs[0].ended(JobId::from([3; 16]), &done()).expect("room");
    logs[2].accepted(&accepted(3)).expect("room");
    // The log of P1 may have been copied before.
    assert_eq!(findings(), []);
    let later = || logs[1].append(&started()).expect("room");
    let last = |k: usize| verify(dirs[k].path()).expect("a good log").time_unix_ms.map(|(_, last)| last);
    while last(1) <= last(0) {
        later();
    }
    assert_eq!(findings(), [Finding::Missing { job: JobId::from([3; 16]), at: 0, missing: 1 }]);
    logs[1].accepted(&Accepted { digest: Sha256Hex([9; 32]), ..accepted(3) }).expect("room");
    assert_eq!(findings(), [Finding::Digest { job: JobId::from([3; 16]) }]);
    logs[2].append(&upload("/v1/tables/income/1", 1)).expect("room");
    logs[0].append(&upload("/v1/tables/income/1", 2)).expect("room");
    assert!(matches!(&findings()[..], [Finding::Digest { .. }, Finding::Table { at: 0, other: 2, .. }]));
    for (log, owner) in logs.iter().zip(["alice", "mallory", "alice"]) {
        let job = Accepted { owner: owner.parse().expect("a name"), ..accepted(4) };
        log.accepted(&job).expect("room");
        log.ended(job.job, &done()).expect("room");
    }
    assert!(findings().contains(&Finding::Job { job: JobId::from([4; 16]), at: 0, other: 1 }));
    let same = [0, 0].map(|k: usize| verify(dirs[k].path()).expect("a good log"));
    assert_eq!(compare(&same), [Finding::Same { party: 0 }]);
}

/// A file that takes no more: nothing of an entry stays, and the next one follows the last that is there.
#[test]
fn a_full_disk_leaves_no_part_of_an_entry() {
    let dir = tempfile::tempdir().expect("a directory");
    let log = open(&dir).log;
    log.append(&started()).expect("room");
    let before = fs::read(file(&dir)).expect("a log");
    log.fail_at(Some(30));
    log.accepted(&accepted(1)).expect_err("a full disk");
    assert_eq!(fs::read(file(&dir)).expect("a log"), before);
    log.fail_at(None);
    log.accepted(&accepted(2)).expect("room again");
    drop(log);
    assert_eq!(told(&open(&dir).before), [(accepted(2), None)]);
}

/// Whoever is refused without end fills no disk, and how often that was is told.
#[test]
fn refusals_have_so_many_entries_and_then_a_number() {
    let dir = tempfile::tempdir().expect("a directory");
    let log = open(&dir).log;
    let asked = |client: &str, status: u16| Asked {
        client: client.to_owned(),
        method: "DELETE".to_owned(),
        path: "/v1/tables/a/1".to_owned(),
        status,
        sha256: None,
        policy: None,
    };
    for _ in 0..1000 {
        log.asked(&asked("client mallory", 403)).expect("room");
    }
    log.asked(&asked("client owner", 403)).expect("room");
    // What was done is told, however often.
    for _ in 0..100 {
        log.asked(&asked("client mallory", 204)).expect("room");
    }
    log.look_after().expect("room");
    assert_eq!(log.entries(), 1 + 60 + 1 + 100, "the minute is not over");
    log.fail_at(Some(3));
    log.wind_up().expect_err("a full disk");
    log.fail_at(None);
    log.wind_up().expect("room again");
    let last = lines(&file(&dir)).pop().expect("an entry");
    assert!(last.contains(r#""event":"refusals","client":"client mallory","more":940"#), "{last}");
    assert_eq!(verify(dir.path()).expect("a good log").entries, log.entries());
}

/// What is written into a file that has no name any more is lost.
#[test]
fn a_log_that_is_moved_away_while_the_node_runs_takes_nothing_until_it_is_back() {
    let home = tempfile::tempdir().expect("a directory");
    let [there, away] = ["audit", "elsewhere"].map(|name| home.path().join(name));
    let log = AuditLog::open(&there, of(Party::P1), Known::default()).expect("a new log").log;
    log.append(&started()).expect("room");
    for another in [false, true] {
        fs::rename(&there, &away).expect("moved");
        if another {
            // A file of the same name is not the log.
            fs::create_dir(&there).expect("made");
            fs::copy(file_in(&away), file_in(&there)).expect("copied");
        }
        let entries = log.entries();
        log.look_after().expect_err("it is noticed without an entry");
        assert!(log.fault().expect("told").contains("was moved away or removed"));
        log.accepted(&accepted(1)).expect_err("nobody would find it");
        assert_eq!(log.entries(), entries);
        let failures = log.failures();
        log.look_after().expect_err("it is not back yet");
        assert_eq!(failures, 1 + u64::from(another), "entries alone are counted");
        assert_eq!(log.failures(), failures);
        if another {
            fs::remove_dir_all(&there).expect("removed");
        }
        fs::rename(&away, &there).expect("moved back");
        log.look_after().expect("it is back");
        assert_eq!((log.fault(), log.entries()), (None, entries + 1));
        log.accepted(&accepted(2)).expect("room");
    }
    fs::remove_file(file_in(&there)).expect("removed");
    log.append(&started()).expect_err("it is gone");
    drop(log);
    assert!(!file_in(&there).exists(), "nothing takes its place unsaid");
}

fn file_in(directory: &Path) -> PathBuf {
    directory.join("audit-000000000000.log")
}

/// The disk is full just when a new file begins.
#[test]
fn a_full_disk_between_two_files_leaves_a_log_that_goes_on() {
    let dir = tempfile::tempdir().expect("a directory");
    let log = AuditLog::open_with(dir.path(), of(Party::P1), Known::default(), 1000).expect("a new log").log;
    log.append(&started()).expect("room");
    let mut n = 0;
    while verify(dir.path()).expect("a good log").entries < 20 {
        n += 1;
        // Every other entry finds the disk full, wherever it comes.
        log.fail_at(Some(usize::from(n)));
        log.accepted(&accepted(n)).expect_err("a full disk");
        log.fail_at(None);
        log.accepted(&accepted(n)).expect("room again");
    }
    let end = log.sync().expect("a disk");
    drop(log);
    let before = AuditLog::open(dir.path(), of(Party::P1), anchored(end)).expect("a good log").before;
    assert_eq!(told(&before), (1..=n).map(|n| (accepted(n), None)).collect::<Vec<_>>());
}
