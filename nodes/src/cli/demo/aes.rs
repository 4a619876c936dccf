//! The AES job: a real file through the cluster and back.

use super::Row;
use crate::{
    Error,
    client::{AesKey, Client, Ctr, CtrReport},
    job::ModeSpec,
};
use aes::{
    Aes128Enc, Block,
    cipher::{BlockCipherEncrypt, KeyInit},
};
use std::path::Path;
use tokio::{
    fs::{self, File},
    io::AsyncReadExt,
};
use zeroize::Zeroizing;

/// So many bytes of the program's file are taken: a million blocks take a few seconds.
const MOST: u64 = 16 << 20;

/// Encrypts the program's own file under a fresh key, checks it against plain AES, and decrypts it again.
pub(super) async fn run(client: &Client, mode: ModeSpec, dir: &Path) -> Result<Row, Error> {
    let program = std::env::current_exe().map_err(Error::system("find the program that is running"))?;
    let [plain, encrypted, decrypted] = ["program", "program.aes", "program.again"].map(|name| dir.join(name));
    let text = read(&program, MOST).await?;
    fs::write(&plain, &text).await.map_err(Error::system(format!("write {}", plain.display())))?;
    let (key, counter) = (Zeroizing::new(random()?), u128::from_be_bytes(random()?));

    let ctr = |key| Ctr::new(client.clone(), key, counter).in_mode(mode);
    let there = through(&ctr, &key, &plain, &encrypted).await?;
    let back = through(&ctr, &key, &encrypted, &decrypted).await?;

    let ciphertext = read(&encrypted, u64::MAX).await?;
    let checks = [
        ("ciphertext_is_not_the_file", ciphertext != text),
        ("ciphertext_is_that_of_plain_aes", ciphertext == in_the_clear(&key, counter, text.clone())),
        ("decryption_restores_the_file", read(&decrypted, u64::MAX).await? == text),
    ];
    Ok(Row {
        mode,
        seconds: there.seconds + back.seconds,
        rounds: there.rounds.max(back.rounds),
        bytes_sent: there.bytes_sent + back.bytes_sent,
        ..Row::new("aes", (there.blocks + back.blocks, "blocks"), &checks)
    })
}

/// A file through the cluster into another.
async fn through(ctr: &impl Fn(AesKey) -> Ctr, key: &[u8; 16], from: &Path, to: &Path) -> Result<CtrReport, Error> {
    let key = AesKey::new(key).ok_or_else(|| Error::Bug("16 bytes are an AES key".to_owned()))?;
    let from = File::open(from).await.map_err(Error::system(format!("read {}", from.display())))?;
    let to = File::create(to).await.map_err(Error::system(format!("write {}", to.display())))?;
    ctr(key).apply(from, to, std::future::pending(), |_| {}).await
}

/// The same with AES on this machine alone.
fn in_the_clear(key: &[u8; 16], mut counter: u128, mut text: Vec<u8>) -> Vec<u8> {
    let cipher = Aes128Enc::new(key.into());
    for chunk in text.chunks_mut(16) {
        let mut block = Block::from(counter.to_be_bytes());
        cipher.encrypt_block(&mut block);
        chunk.iter_mut().zip(block).for_each(|(byte, k)| *byte ^= k);
        counter = counter.wrapping_add(1);
    }
    text
}

async fn read(path: &Path, most: u64) -> Result<Vec<u8>, Error> {
    let failed = || Error::system(format!("read {}", path.display()));
    let mut bytes = Vec::new();
    File::open(path).await.map_err(failed())?.take(most).read_to_end(&mut bytes).await.map_err(failed())?;
    Ok(bytes)
}

fn random() -> Result<[u8; 16], Error> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|e| trefoil_engine::Error::Entropy(e.to_string()))?;
    Ok(bytes)
}
