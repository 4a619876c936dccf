//! The images of the node processes, their memory and their files, searched for what must be nowhere whole: a signing key and biometric templates.
//!
//! The control is a client that does not split: what it sends is found, in the same forms and by the same search.

use aws_lc_rs::{
    encoding::{AsDer, Pkcs8V1Der},
    rsa::{KeyPair, KeySize},
};
use memchr::memmem::Finder;
use std::{
    fs::{self, File},
    os::unix::fs::FileExt as _,
    path::Path,
};
use trefoil_auth::{
    rsa::{NodeKey, PrivateKey, Split, randomness},
    webauthn::{Bytes, CredentialId, RequestOptions},
};
use trefoil_circuits::matching::{Template, Threshold, synthetic::Irises};
use trefoil_nodes::{
    auth::{Backing, CredentialSpec, Matching, TemplateKind, Verification},
    cli::ClusterArgs,
    client::{Client, Device, Page, Plain, Probe},
    job::ModeSpec,
    local::{LocalCluster, LocalOptions},
};

/// What is looked for: a name, and some bytes of it.
struct Needle {
    name: String,
    finder: Finder<'static>,
}

/// Bytes of a needle: too many to be there by chance.
const LENGTH: usize = 24;

#[derive(Default)]
struct Needles(Vec<Needle>);

impl Needles {
    /// Some bytes of a number, from its middle, in both orders that numbers are kept in.
    fn number(&mut self, name: &str, big_endian: &[u8]) {
        let middle = &big_endian[big_endian.len() / 2..][..LENGTH];
        self.push(name, middle);
        self.push(&format!("{name}, reversed"), &middle.iter().rev().copied().collect::<Vec<_>>());
    }

    /// Some bytes of the bits of a template, and of the integers that they stand for.
    fn template(&mut self, name: &str, template: &Template) {
        let bits: Vec<u8> = template.to_bits().iter().flat_map(|word| word.0.to_le_bytes()).collect();
        self.push(name, &bits[400..][..LENGTH]);
        let integer = |k: usize| if bits[400 + k / 8] >> (k % 8) & 1 == 1 { -1_i16 } else { 1 };
        let integers: Vec<u8> = (0..64).flat_map(|k| integer(k).to_le_bytes()).collect();
        self.push(&format!("{name}, as integers"), &integers);
    }

    fn push(&mut self, name: &str, bytes: &[u8]) {
        self.0.push(Needle { name: name.to_owned(), finder: Finder::new(bytes).into_owned() });
    }

    /// The names of those that are in the image of a process or in a file below a directory.
    fn found(&self, pid: u32, files: &Path) -> Vec<&str> {
        let mut found: Vec<bool> = vec![false; self.0.len()];
        let mut look = |bytes: &[u8]| {
            for (needle, found) in self.0.iter().zip(&mut found) {
                *found |= needle.finder.find(bytes).is_some();
            }
        };
        memory(pid, &mut look);
        for file in walk(files) {
            look(&fs::read(file).expect("readable"));
        }
        self.0.iter().zip(found).filter(|(_, found)| *found).map(|(needle, _)| needle.name.as_str()).collect()
    }
}

/// Every readable part of a process's memory.
fn memory(pid: u32, look: &mut impl FnMut(&[u8])) {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).expect("the process runs");
    let memory = File::open(format!("/proc/{pid}/mem")).expect("a parent may read it; or run this as root");
    let mut seen = 0;
    for line in maps.lines() {
        let mut fields = line.split_ascii_whitespace();
        let (range, rights) = (fields.next().expect("a range"), fields.next().expect("rights"));
        // What is mapped from files without being changed is the program.
        if !rights.starts_with("rw") {
            continue;
        }
        let (from, to) = range.split_once('-').expect("two ends");
        let [from, to] = [from, to].map(|at| u64::from_str_radix(at, 16).expect("an address"));
        let mut bytes = vec![0; usize::try_from(to - from).expect("it is in memory")];
        // Some of the system's own pages cannot be read.
        if memory.read_exact_at(&mut bytes, from).is_ok() {
            seen += bytes.len();
            look(&bytes);
        }
    }
    assert!(seen > 1 << 20, "the memory of process {pid} was read");
}

fn walk(directory: &Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(directory).expect("a directory").map(|entry| entry.expect("readable").path());
    entries.flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] }).collect()
}

/// The private numbers of a key in PKCS#8: d, p and q.
fn private_numbers(der: &[u8]) -> [Vec<u8>; 3] {
    // After e = 65537 they follow, one after the other.
    let at = Finder::new(&[2, 3, 1, 0, 1]).find(der).expect("e") + 5;
    let mut rest = &der[at..];
    [(); 3].map(|()| {
        let (length, head) = match rest[1] {
            0x82 => (usize::from(rest[2]) << 8 | usize::from(rest[3]), 4),
            0x81 => (rest[2].into(), 3),
            short => (short.into(), 2),
        };
        let number = rest[head..][..length].to_vec();
        rest = &rest[head + length..];
        number
    })
}

/// The exponents of a node's share in its binary form: after the header, party, epoch, modulus and check, and before one byte more.
fn exponents(key: &NodeKey) -> [Vec<u8>; 2] {
    let bytes = key.encode();
    let end = bytes.len() - 1;
    [bytes[end - 560..end - 280].to_vec(), bytes[end - 280..end].to_vec()]
}

fn sum(numbers: &[Vec<u8>]) -> Vec<u8> {
    let mut sum = vec![0; 280];
    let mut carry = 0;
    for k in (0..280).rev() {
        let digit = numbers.iter().map(|number| u32::from(number[k])).sum::<u32>() + carry;
        sum[k] = (digit & 0xff) as u8;
        carry = digit >> 8;
    }
    sum
}

/// A node's share with other exponents.
fn with_exponents(key: &NodeKey, exponents: [&[u8]; 2]) -> NodeKey {
    let mut bytes = key.encode().to_vec();
    let end = bytes.len() - 1;
    bytes[end - 560..end - 280].copy_from_slice(exponents[0]);
    bytes[end - 280..end].copy_from_slice(exponents[1]);
    NodeKey::decode(&bytes).expect("a share")
}

fn matching(kind: TemplateKind) -> Matching {
    let threshold = "69/200".parse::<Threshold>().expect("a fraction");
    Matching { kind, threshold, mode: ModeSpec::Malicious, least_valid: Threshold::HALF }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_node_ever_has_a_key_or_a_template() {
    let options = LocalOptions::of(env!("CARGO_BIN_EXE_trefoil"));
    let cluster = LocalCluster::start(&options).await.expect("a cluster");
    let target =
        ClusterArgs { cluster: cluster.cluster_file(), identity: None, token: None }.resolve().expect("a target");
    let client = Client::connect(&target.cluster, &target.identity).await.expect("a client");
    let directory = cluster.cluster_file().parent().expect("a directory").to_owned();
    let mut rng = randomness().expect("the system's");
    let mut needles = Needles::default();

    // A key, a template, and a login with a probe.
    let pair = KeyPair::generate(KeySize::Rsa2048).expect("a key");
    let der = AsDer::<Pkcs8V1Der<'_>>::as_der(&pair).expect("PKCS#8");
    for (name, number) in ["d", "p", "q"].into_iter().zip(private_numbers(der.as_ref())) {
        needles.number(name, &number);
    }
    let Split { device, nodes, recovery } = PrivateKey::from_pkcs8_der(der.as_ref()).expect("a key").split(&mut rng);
    let share = device.encode();
    let shares: Vec<Vec<u8>> = nodes.iter().map(|node| exponents(node)[0].clone()).collect();
    needles.number("the total", &sum(&[&shares[..], &[share[share.len() - 280..].to_vec()]].concat()));
    needles.number("the device's share", &share[share.len() - 280..]);
    let recovery = recovery.encode();
    needles.number("the recovery share", &recovery[recovery.len() - 280..]);

    let mut irises = Irises::new(7);
    let eye = irises.enrol();
    let probe = irises.again(&eye, 0.15, 3);
    needles.template("the template", &eye);
    needles.template("the probe", &probe);
    let (user, key, left) =
        ("alice".parse().expect("a user"), "alice".parse().expect("a key"), "left".parse().expect("a name"));
    client.enrol_key(&key, &trefoil_nodes::client::KeyTerms::default(), &nodes).await.expect("enrolled");
    let kind = TemplateKind::Iris;
    let plain = eye.to_bits();
    client.enrol_template((&user, &left), matching(kind), Plain::Bits(&plain)).await.expect("enrolled");
    let id = CredentialId::random(&mut rng);
    let spec = CredentialSpec {
        rp_id: "example.org".to_owned(),
        handle: Bytes(vec![1; 16]),
        user: user.clone(),
        key: key.clone(),
        verification: Verification::Required,
        discoverable: true,
        backup: Backing::BackedUp,
        devices: Vec::new(),
    };
    client.put_credential(&id, &spec).await.expect("stored");
    let device = Device::new(client.name().expect("a client").clone(), id, spec, device);
    let asked = r#"{"challenge": "AAECAwQFBgcICQoLDA0ODw", "rpId": "example.org", "userVerification": "required"}"#;
    let asked = RequestOptions::from_json(asked).expect("options");
    let bits = probe.to_bits();
    let probed = Some(Probe { kind, plain: Plain::Bits(&bits) });
    let page = Page { origin: "https://example.org" };
    client.login(&device, (&asked, page), probed).await.expect("a login");

    for pid in cluster.pids() {
        assert_eq!(needles.found(pid, &directory), Vec::<&str>::new(), "process {pid}");
    }

    // The control: a client that gives the whole key, and a whole template, to one component.
    let whole = PrivateKey::from_pkcs8_der(der.as_ref()).expect("a key").split_among_nodes(&mut rng);
    let total = sum(&[0, 1, 2].map(|k| exponents(&whole[k])[0].clone()));
    let zero = vec![0; 280];
    let broken = [
        with_exponents(&whole[0], [&total, &zero]),
        with_exponents(&whole[1], [&zero, &zero]),
        with_exponents(&whole[2], [&zero, &total]),
    ];
    client
        .enrol_key(&"broken".parse().expect("a key"), &trefoil_nodes::client::KeyTerms::default(), &broken)
        .await
        .expect("its shares sign");
    let [at_0, at_1, at_2] = cluster.pids().map(|pid| needles.found(pid, &directory));
    assert!(at_0.iter().any(|name| name.starts_with("the total")), "{at_0:?}");
    assert_eq!(at_1, Vec::<&str>::new());
    assert!(at_2.iter().any(|name| name.starts_with("the total")), "{at_2:?}");
    cluster.shutdown().await;
}
