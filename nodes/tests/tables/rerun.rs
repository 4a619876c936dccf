//! A job that a killed node has interrupted, run again.

use super::*;
use serde_json::Value;
use trefoil_circuits::aes::KeySize;
use trefoil_engine::Lanes;
use trefoil_nodes::job::AesCtrSpec;

impl World {
    /// `trefoil job rerun` as one of the clients: what it prints, or what it complains of.
    fn rerun(&self, who: &str, id: JobId) -> Result<Value, String> {
        let file = self.cluster.cluster_file();
        let mut command = Command::new(env!("CARGO_BIN_EXE_trefoil"));
        command.args(["job", "rerun", "--json", "--cluster"]).arg(&file).arg("--identity");
        command.arg(file.with_file_name(format!("{who}.crt"))).arg(id.to_string());
        let done = command.output().expect("it runs");
        let complaint = String::from_utf8(done.stderr).expect("text");
        if done.status.success() { Ok(serde_json::from_slice(&done.stdout).expect("JSON")) } else { Err(complaint) }
    }

    async fn connected(&self) {
        let connect = async {
            while Client::connect(&self.file, &self.identities[0]).await.is_err() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(Duration::from_mins(1), connect).await.expect("connected within a minute");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_node_has_interrupted_is_run_again_under_another_name() {
    let mut world = World::start(Limits { running_strands: std::num::NonZeroU32::new(1), ..Limits::default() }).await;
    let of_a = numbers(500, 1);
    let twice = vec![Permit { times: 2, ..permits()[0].clone() }];
    let stored = NewTable { permits: twice, ..table("income", 3, &of_a) };
    world.client("bank-a").put_table(&stored).await.expect("stored");
    // What takes minutes keeps the place, so that the other is under way until somebody ends.
    let aes = AesCtrSpec { key_bits: KeySize::Aes128, counter: 0, blocks: 4_000_000 };
    let long = JobSpec::new(ProgramSpec::AesCtr(aes), ModeSpec::default());
    let key = [Plain::Bits(&[Lanes(1), Lanes(2)])];
    let long = world.client("bank-c").submit(&long, Bytes::new(), &key).await.expect("accepted");
    let running = async {
        while world
            .client("bank-c")
            .job_states(long.id())
            .await
            .iter()
            .any(|at| !matches!(at, Ok(JobStatus { state: JobState::Running, .. })))
        {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_mins(1), running).await.expect("it runs within a minute");
    let job = submit(world.client("bank-c"), &moments(&[("bank-a", 3)], &[500])).await.expect("permitted");
    let id = job.id();
    let error = world.rerun("bank-c", id).expect_err("it goes on");
    assert!(error.contains("has not ended"), "{error}");

    world.cluster.kill(Party::P1).await;
    let options = world.options.clone();
    world.cluster.restart(Party::P1, &options).await.expect("it starts");
    for job in [&job, &long] {
        for failure in world.failures(job).await {
            assert!(failure.is_interruption(), "{failure:?}");
        }
    }
    // The other may end a moment later.
    world.failures(&long).await;
    world.connected().await;
    for (who, known) in [("bank-b", "a stranger"), ("auditor", "who may fetch its outputs alone")] {
        assert_eq!(problem(world.client(who).rerun(id).await), ProblemKind::NotFound, "{known}");
    }
    // What came with a job is not there any more.
    let error = world.rerun("bank-c", long.id()).expect_err("a key came with it");
    assert!(
        error.contains("inputs, a circuit or a model came with the job") && error.contains("with its inputs"),
        "{error}"
    );

    let again = world.rerun("bank-c", id).expect("it is run again");
    assert_eq!(again["repeats"], id.to_string());
    let new: JobId = name(again["job"].as_str().expect("an id"));
    assert_ne!(new, id);
    let outcome = world.client("auditor").job(new).await.expect("a recipient").outcome().await.expect("done");
    assert_eq!(outcome.z64(0).expect("for the auditor"), expected([&of_a, &numbers(0, 1)], |x| x));
    assert_eq!(problem(world.client("bank-c").rerun(new).await), ProblemKind::Conflict, "it is done");
    // It was counted as any other: the table is permitted no third time.
    assert_eq!(problem(world.client("bank-c").rerun(id).await), ProblemKind::Denied);
    // Nor is it another job that is called a repetition.
    let body = trefoil_nodes::job::encode_head(&moments(&[("bank-a", 3)], &[400]));
    let path = format!("jobs/{}?repeats={id}", JobId::random().expect("randomness"));
    let request = world.request("bank-c", Party::P0, reqwest::Method::PUT, &path);
    let request = request.header(CONTENT_TYPE, trefoil_nodes::job::MEDIA_TYPE).body(body);
    assert_eq!(request.send().await.expect("an answer").status(), StatusCode::CONFLICT);
    for party in Party::ALL {
        let log = world.cluster.files().node_dir(party).join("audit/audit-000000000000.log");
        let log = std::fs::read_to_string(log).expect("readable");
        let repeated: Vec<_> = log.lines().filter(|line| line.contains(&format!("\"repeats\":\"{id}\""))).collect();
        assert!(repeated.len() == 1 && repeated[0].contains(&format!("\"job\":\"{new}\"")), "{party}: {repeated:?}");
    }
    world.cluster.shutdown().await;
}
