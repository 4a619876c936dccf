//! What a device or a program waits for: requests to three nodes over HTTPS, which compute with each other over QUIC.

use super::row::{self, Row};
use crate::{
    Error,
    cli::ClusterArgs,
    client::{Client, KeyTerms, SigningKey},
    job::ModeSpec,
    keys::HashName,
    local::{LocalCluster, LocalOptions, LocalUser, Seen},
};
use futures_util::future::try_join_all;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::{collections::BTreeMap, future::Future, time::Instant};
use trefoil_auth::rsa::{KeySize, PrivateKey, randomness};

/// Users who log in, first one after the other, then all at once. The nodes take one login of a user at a time, and one for each second of a user in the long run.
const USERS: usize = 8;

/// A user logs in twice in a run, and nodes take no number that is more than a minute ahead of the time.
const MOST_RUNS: usize = 25;

/// Signatures of a run, one after the other or eight at a time.
const SIGNATURES: usize = 32;

/// What is asked of the nodes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Service {
    /// A login with an iris and a signature of the device and the nodes, verified.
    Login,
    /// A signature of the nodes alone.
    RsaSign,
}

/// Measures services against a local cluster: for each the time of one, and how many a second.
///
/// # Errors
/// [`Error::Cluster`] if the nodes cannot be started; [`Error::Usage`] for too many runs; else as the client's requests.
pub async fn measure(services: &[Service], modes: &[ModeSpec], runs: usize) -> Result<Vec<Row>, Error> {
    if services.contains(&Service::Login) && runs > MOST_RUNS {
        return Err(Error::Usage(format!(
            "logins are measured in at most {MOST_RUNS} runs; ask for fewer with --runs"
        )));
    }
    let options = LocalOptions::new()?;
    let cluster = LocalCluster::start(&options).await?;
    let target = ClusterArgs { cluster: cluster.cluster_file(), identity: None, token: None }.resolve()?;
    let client = Client::connect(&target.cluster, &target.identity).await?;
    let mut rows = Vec::new();
    for service in services {
        match service {
            Service::Login => {
                for mode in modes {
                    rows.extend(Box::pin(logins(&client, *mode, runs)).await?);
                }
            }
            Service::RsaSign => rows.extend(signatures(&client, runs).await?),
        }
    }
    cluster.shutdown().await;
    for row in &mut rows {
        row.params.insert("threads", json!(options.settings.threads));
    }
    Ok(rows)
}

async fn logins(client: &Client, mode: ModeSpec, runs: usize) -> Result<[Row; 2], Error> {
    let mut users = Vec::new();
    for k in 0..USERS {
        users.push(LocalUser::enrol(client, &format!("{mode}-{k}"), k as u64, mode).await?);
    }
    let (mut one, mut many) = (Vec::new(), Vec::new());
    // Run 0 warms up.
    for run in 0..=runs {
        let alone = timed(async {
            for user in &mut users {
                user.log_in(client, Seen::Own).await?;
            }
            Ok(())
        });
        let alone = alone.await?;
        let together =
            timed(async { try_join_all(users.iter_mut().map(|user| user.log_in(client, Seen::Own))).await.map(drop) });
        let together = together.await?;
        if run > 0 {
            one.push(1e3 * alone / USERS as f64);
            many.push(USERS as f64 / together);
        }
    }
    let row = |unit, figures: &[f64], at_once: usize| of("login", (mode.name(), unit), figures, at_once);
    Ok([row("ms/login", &one, 1), row("logins/s", &many, USERS)])
}

async fn signatures(client: &Client, runs: usize) -> Result<[Row; 2], Error> {
    let bug = |e: &dyn std::fmt::Display| Error::Bug(format!("a key of a local cluster: {e}"));
    let made = tokio::task::spawn_blocking(|| {
        let mut rng = randomness()?;
        Ok::<_, trefoil_auth::Error>(PrivateKey::generate(KeySize::Rsa2048, &mut rng)?.split_among_nodes(&mut rng))
    });
    let shares = made.await.map_err(|e| bug(&e))?.map_err(|e| bug(&e))?;
    let name = "bench".parse().map_err(|e| bug(&e))?;
    client.enrol_key(&name, &KeyTerms::default(), &shares).await?;
    let key = client.signing_key(None, &name).await?;
    let (mut one, mut many) = (Vec::new(), Vec::new());
    for run in 0..=runs {
        let alone = timed(sign(&key, run, 0..SIGNATURES)).await?;
        let together = timed(async {
            let part = SIGNATURES / USERS;
            try_join_all((0..USERS).map(|k| sign(&key, run, k * part..(k + 1) * part))).await.map(drop)
        });
        let together = together.await?;
        if run > 0 {
            one.push(1e3 * alone / SIGNATURES as f64);
            many.push(SIGNATURES as f64 / together);
        }
    }
    let row = |unit, figures: &[f64], at_once: usize| of("rsa-sign", ("none", unit), figures, at_once);
    Ok([row("ms/signature", &one, 1), row("signatures/s", &many, USERS)])
}

/// Signatures of different documents, each verified before it comes back.
async fn sign(key: &SigningKey, run: usize, documents: std::ops::Range<usize>) -> Result<(), Error> {
    for document in documents {
        key.sign(HashName::Sha256, &Sha256::digest([run as u8, document as u8])).await?;
    }
    Ok(())
}

async fn timed(work: impl Future<Output = Result<(), Error>>) -> Result<f64, Error> {
    let start = Instant::now();
    Box::pin(work).await?;
    Ok(start.elapsed().as_secs_f64())
}

fn of(scenario: &'static str, (mode, unit): (&'static str, &'static str), figures: &[f64], at_once: usize) -> Row {
    let [median, min, max] = Row::spread(figures);
    let params: BTreeMap<&'static str, Value> =
        [("at_once", json!(at_once)), ("link", json!("https")), ("network", json!("loopback"))].into();
    Row {
        scenario,
        mode,
        params,
        unit,
        median,
        min,
        max,
        runs: figures.len(),
        bytes_per_item: 0.0,
        rounds: 0,
        cpu: row::cpu(),
        version: row::version(),
    }
}
