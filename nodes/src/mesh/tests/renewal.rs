//! Certificates that are renewed while sessions run.

use super::{strands::until, *};

struct World {
    ids: [Identity; 3],
    next: [Identity; 3],
    meshes: [Mesh; 3],
}

fn world(change: impl Fn(&mut MeshConfig)) -> World {
    let [ids, next] = [(); 2].map(|()| [(); 3].map(|()| identity()));
    let nodes = addresses();
    let meshes = Party::ALL.map(|p| {
        let mut config = config(p, &ids, &ids[p.index()], nodes);
        change(&mut config);
        Mesh::start(config).unwrap()
    });
    World { ids, next, meshes }
}

impl World {
    fn both(&self) -> [Vec<Identity>; 3] {
        [0, 1, 2].map(|k| vec![self.ids[k].clone(), self.next[k].clone()])
    }

    /// Whether each node sees exactly these certificates at the other ends of its connections.
    fn see(&self, expected: &[&Identity; 3]) -> bool {
        self.meshes
            .iter()
            .all(|mesh| mesh.status().iter().all(|s| s.certificate == Some(print(expected[s.peer.index()]))))
    }
}

async fn runs(meshes: &[Mesh; 3], id: u8) {
    let sessions = sessions(meshes, id).await;
    let results = around(links(&sessions, Path::root()).await, 1_000).await;
    assert!(results.iter().all(Result::is_ok), "{results:?}");
    sessions.into_iter().for_each(Session::finish);
}

#[tokio::test]
async fn three_certificates_are_renewed_under_a_session_that_runs() {
    let world = world(|_| {});
    let World { ids, next, meshes } = &world;
    let long = sessions(meshes, 1).await;
    let old = long.each_ref().map(|s| s.shared.lines.each_ref().map(|line| line.connection().clone()));
    for p in Party::ALL {
        meshes[p.index()].renew(credentials(&world.both(), &ids[p.index()])).unwrap();
    }
    let mut shown = ids.each_ref();
    for p in Party::ALL {
        shown[p.index()] = &next[p.index()];
        meshes[p.index()].renew(credentials(&world.both(), shown[p.index()])).unwrap();
        until("all see the new certificate", || world.see(&shown)).await;
        let k = p.index() as u8;
        runs(meshes, 2 + k).await;
        let results = around(links(&long, Path::root().child(k.into())).await, 100_000).await;
        assert!(results.iter().all(Result::is_ok), "{results:?}");
    }
    for p in Party::ALL {
        let only = next.each_ref().map(|id| vec![id.clone()]);
        meshes[p.index()].renew(credentials(&only, &next[p.index()])).unwrap();
    }
    runs(meshes, 9).await;
    // The session is still where it began, and what it used is closed when it is over.
    assert!(old.iter().flatten().all(|c| c.close_reason().is_none()));
    assert_eq!(long.each_ref().map(Session::fault), [None, None, None]);
    long.into_iter().for_each(Session::finish);
    until("the old connections are closed", || old.iter().flatten().all(|c| c.close_reason().is_some())).await;
    runs(meshes, 10).await;
}

#[tokio::test]
async fn a_session_that_stays_too_long_on_an_old_connection_ends() {
    let world = world(|c| c.settings.retire_deadline = Duration::from_millis(200));
    let World { ids, meshes, .. } = &world;
    let long = sessions(meshes, 1).await;
    meshes[0].renew(credentials(&world.both(), &ids[0])).unwrap();
    for session in &long {
        let ended = tokio::time::timeout(Duration::from_secs(20), session.ended()).await;
        assert!(ended.is_ok(), "it ends");
    }
    runs(meshes, 2).await;
}

#[tokio::test]
async fn a_connection_whose_certificate_is_not_accepted_any_more_ends_in_time() {
    let world = world(|c| c.settings.retire_deadline = Duration::from_millis(200));
    let World { ids, next, meshes } = &world;
    runs(meshes, 1).await;
    // P0 and P2 are ahead of P1.
    let only = [vec![ids[0].clone()], vec![next[1].clone()], vec![ids[2].clone()]];
    for k in [0, 2] {
        meshes[k].renew(credentials(&only, &ids[k])).unwrap();
    }
    until("P1 is out", || meshes[1].status().iter().all(|peer| !peer.connected)).await;
    meshes[1].renew(credentials(&world.both(), &next[1])).unwrap();
    until("P1 is back", || world.see(&[&ids[0], &next[1], &ids[2]])).await;
    runs(meshes, 2).await;
}
