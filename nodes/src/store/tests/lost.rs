//! A server that fails, restarts or is taken over: nothing that was acknowledged is lost, and no two processes write.

use super::{home::Kind, *};
use crate::{
    pki::{Authority, Lifetime},
    store::postgres::connect_for_tests as connect,
};
use sqlx::Connection as _;
use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

/// How long a condition is waited for.
const PATIENCE: Duration = Duration::from_mins(2);

/// Puts a number into two records at once.
async fn count(store: &Store, writer: u8, number: u64) -> Result<(), StoreError> {
    let write = store.write(move |records| {
        [Space::Counters, Space::Keys]
            .into_iter()
            .try_for_each(|space| records.put(space, &[writer], &number.to_be_bytes()))
    });
    write.await
}

async fn counted(store: &Store, writer: u8) -> [u64; 2] {
    let read = store.read(move |records| {
        let number = |space| {
            let value = records.get(space, &[writer])?;
            Ok(value.map_or(0, |value| u64::from_be_bytes(value.as_slice().try_into().expect("eight bytes"))))
        };
        Ok::<_, StoreError>([number(Space::Counters)?, number(Space::Keys)?])
    });
    read.await.expect("the server is back")
}

/// Asks again until something is so.
async fn until<T, E: std::fmt::Display>(mut attempt: impl AsyncFnMut() -> Result<T, E>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        match attempt().await {
            Ok(value) => return value,
            Err(error) => assert!(Instant::now() < end, "{error}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_killed_has_all_that_was_acknowledged() {
    let Some(kind) = Kind::own_server() else { return };
    let (store, home) = kind.temporary().await;
    let acknowledged: Arc<[AtomicU64; 4]> = Arc::default();
    for round in 1..=2 {
        let writers: Vec<_> = (0..4u8)
            .map(|writer| {
                let (store, acknowledged) = (store.clone(), acknowledged.clone());
                tokio::spawn(async move {
                    let told = &acknowledged[usize::from(writer)];
                    loop {
                        let next = told.load(Ordering::SeqCst) + 1;
                        if let Err(error) = count(&store, writer, next).await {
                            return error;
                        }
                        told.store(next, Ordering::SeqCst);
                    }
                })
            })
            .collect();
        until(async || {
            tokio::task::yield_now().await;
            let least = acknowledged.iter().map(|told| told.load(Ordering::SeqCst)).min();
            if least >= Some(10 * round) { Ok(()) } else { Err("the writers do not get on") }
        })
        .await;
        tokio::task::block_in_place(|| home.running().crash());
        for writer in writers {
            let error = writer.await.expect("no panic");
            assert!(matches!(error, StoreError::Server { .. } | StoreError::Again(_)), "{error:?}");
        }
        // The same store goes on, at the next use.
        until(async || store.list(Space::Counters, "").await).await;
        for writer in 0..4u8 {
            let told = acknowledged[usize::from(writer)].load(Ordering::SeqCst);
            let [one, other] = counted(&store, writer).await;
            assert!(one == other && (told..=told + 1).contains(&one), "{one} {other} {told}");
            acknowledged[usize::from(writer)].store(one, Ordering::SeqCst);
        }
    }
    drop(store);
    let store = home.open().await.expect("the lock was given up");
    for writer in 0..4u8 {
        let told = acknowledged[usize::from(writer)].load(Ordering::SeqCst);
        assert_eq!(counted(&store, writer).await, [told; 2]);
    }
}

/// The connection is cut, and another process takes the schema before this one is back.
#[tokio::test]
async fn who_has_lost_the_lock_does_not_write() {
    let Some(kind) = Kind::own_server() else { return };
    let (store, home) = kind.temporary().await;
    store.put(Space::Keys, "one", value("1")).await.expect("room");
    let settings = Arc::new(home.settings());
    let mut admin = connect(&settings).await.expect("a connection");
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'trefoil node 0'";
    sqlx::query(end).execute(&mut admin).await.expect("the role's own");
    let other = home.open().await.expect("nobody has the lock");
    other.put(Space::Keys, "one", value("2")).await.expect("room");
    let mut refused = store.put(Space::Keys, "one", value("3")).await.expect_err("the lock is lost");
    if !matches!(refused, StoreError::Busy { .. }) {
        // The connection was found to be gone by the first use.
        refused = store.put(Space::Keys, "one", value("3")).await.expect_err("the lock is another's");
    }
    assert!(
        matches!(refused, StoreError::Busy { .. }) && refused.to_string().contains("[store_postgres]"),
        "{refused:?}"
    );
    assert_eq!(other.get(Space::Keys, "one").await.expect("readable"), Some(value("2")));
    drop(other);
    let back = until(async || store.get(Space::Keys, "one").await).await;
    assert_eq!(back, Some(value("2")));

    // Whoever becomes the holder some other way, past the lock, is noticed too.
    sqlx::raw_sql(sqlx::AssertSqlSafe(format!(
        "UPDATE {}.about SET value = '\\x00' WHERE key = 'holder'",
        settings.schema
    )))
    .execute(&mut admin)
    .await
    .expect("the role's own");
    let refused = store.put(Space::Keys, "one", value("4")).await.expect_err("another holder");
    assert!(matches!(refused, StoreError::Busy { .. }), "{refused:?}");
    admin.close().await.expect("closed");
}

/// A closure that panics in the middle of a transaction changes nothing, and the store goes on.
#[tokio::test]
async fn a_transaction_that_panics_leaves_nothing_behind() {
    let Some(kind) = Kind::server() else { return };
    let (store, _home) = kind.temporary().await;
    let write = store.write(|records| -> Result<(), StoreError> {
        records.put(Space::Keys, b"one", b"1")?;
        panic!("in the middle, for the test");
    });
    write.await.expect_err("it panicked");
    assert_eq!(store.get(Space::Keys, "one").await.expect("opened again"), None);
    store.put(Space::Keys, "one", value("2")).await.expect("room");
}

#[tokio::test]
async fn a_server_that_cannot_be_used_is_named_with_the_remedy() {
    let Some(kind) = Kind::own_server() else { return };
    let home = kind.home();
    let good = home.settings();
    let opened = async |settings: Postgres| {
        let config = StoreConfig { place: Location::Postgres(settings.into()), ..home.config() };
        Store::open(&config, whose(Party::P0)).await.expect_err("no store").to_string()
    };
    let nobody = tempfile::tempdir().expect("a directory");
    for (settings, remedy) in [
        (Postgres { host: nobody.path().display().to_string(), ..good.clone() }, "see that the server runs"),
        (Postgres { host: "127.0.0.1".to_owned(), port: 1, ..good.clone() }, "see that the server runs"),
        (Postgres { database: "nothing".to_owned(), ..good.clone() }, "createdb"),
        (Postgres { user: "nobody".to_owned(), ..good.clone() }, "password"),
    ] {
        let said = opened(settings).await;
        assert!(said.contains(remedy) && said.contains("the database"), "{said}");
    }
    // What is written there would not last, or not be written at all.
    let mut admin = connect(&Arc::new(good.clone())).await.expect("a connection");
    let role = "ALTER ROLE trefoil SET default_transaction_read_only = on";
    sqlx::raw_sql(role).execute(&mut admin).await.expect("a superuser");
    let said = opened(good).await;
    assert!(said.contains("does not last") && said.contains("transaction_read_only = on"), "{said}");
}

#[tokio::test]
async fn the_schema_has_no_value_in_the_clear() {
    let Some(kind) = Kind::server() else { return };
    let (store, home) = kind.temporary().await;
    store.put(Space::Keys, "alice/one", value("secret")).await.expect("room");
    let mut admin = connect(&Arc::new(home.settings())).await.expect("a connection");
    let rows: Vec<(Vec<u8>, Vec<u8>)> =
        sqlx::query_as("SELECT name, value FROM records").fetch_all(&mut admin).await.expect("rows");
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].0, b"alice/one");
    assert!(!rows[0].1.windows(6).any(|window| window == b"secret"));
}

/// The name and the authority of the server are verified wherever it is reached by TLS.
#[tokio::test]
async fn a_server_is_reached_by_tls_if_its_certificate_is_of_the_authority_and_the_name() {
    let Some(kind) = Kind::own_server() else { return };
    let (home, other) = (kind.home(), tempfile::tempdir().expect("a directory"));
    let authority = || Authority::create("bank", Lifetime::authority(1)).expect("randomness");
    let (ours, theirs) = (authority(), authority());
    let issued = ours.issue_node(Party::P0, &["localhost"], Lifetime::days(1)).expect("a certificate");
    let port = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("bound").port();
    home.running().listen_by_tls(port, &issued.certificate_pem, &issued.key_pem);
    let ca = |authority: &Authority, name: &str| {
        let path = other.path().join(name);
        fs::write(&path, authority.certificate_pem()).expect("room");
        Some(path)
    };
    let (ours, theirs) = (ca(&ours, "ours.pem"), ca(&theirs, "theirs.pem"));
    let opened = async |host: &str, ca| {
        let settings = Postgres { host: host.to_owned(), port, ca, ..home.settings() };
        Store::open(&StoreConfig { place: Location::Postgres(settings.into()), ..home.config() }, whose(Party::P0))
            .await
    };
    let store = opened("localhost", ours.clone()).await.expect("by TLS");
    store.put(Space::Keys, "one", value("1")).await.expect("room");
    drop(store);
    for (host, ca, hint) in
        [("localhost", theirs, "by TLS"), ("127.0.0.1", ours, "by TLS"), ("127.0.0.1", None, "pg_hba.conf")]
    {
        let said = opened(host, ca).await.expect_err("refused").to_string();
        assert!(said.contains(hint), "{host}: {said}");
    }
}
