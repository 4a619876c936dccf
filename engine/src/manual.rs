//! The manual: what the protocol is, what it promises, and what in the design stops each known class of attack.
//!
//! # 1. The protocol
//!
//! A secret `x = x_0 + x_1 + x_2` in a commutative ring is held so that party `i` knows `(x_i, x_{i+1})`. Linear maps are local.
//! A map `q` of degree two is computed as `z_i = q(x_i + x_{i+1}) - q(x_{i+1}) + zero_i`, where `zero_0 + zero_1 + zero_2 = 0` is drawn from keys
//! that neighbours share; then party `i` sends `z_i` to `i-1`, which makes the sharing replicated again. To open, party `i` sends
//! `x_{i+1}` to `i-1`, the one component that party lacks.
//!
//! # 2. What is promised in semi-honest mode
//!
//! Araki et al. (CCS 2016, theorem 3.3) prove the product private against one semi-honest party; the argument for `q` is the same
//! word for word, since it uses of `z_i` only that it is masked by `zero_i`. What a party receives in a round is `z_{i+1}`; the mask `zero_{i+1} = F(k_{i+1}) -
//! F(k_{i+2})` contains a stream under `k_{i+2}`, which party `i` does not hold, so `z_{i+1}` is indistinguishable from uniform and independent of everything
//! else the party has seen. The crate's privacy tests measure this, and measure that without the mask they fail.
//!
//! Not promised: that a party which deviates is noticed. That is the malicious mode's promise.
//!
//! # 3. What stops what
//!
//! | attack or mistake | what stops it |
//! |---|---|
//! | a share is sent, printed, cloned or serialized by a circuit | [`Shares`](crate::Shares) has no accessor, an opaque `Debug`, no `Clone`, no `Serialize`; circuits cannot name a link. The closures of `rearrange`, `update` and [`Bilinear`](crate::ring::Bilinear) see one component at a time: they are what a reviewer of a circuit reads |
//! | a value is opened before its gates are checked | only [`Verified`](crate::Verified) opens, and only [`Ctx::verify`](crate::Ctx::verify) makes one (of *some* strand: see the known limits) |
//! | a forked strand is forgotten, and its gates with it | `verify` counts them: [`Error::UnjoinedFork`](crate::Error::UnjoinedFork) |
//! | the same randomness masks two values | a [`Stream`](crate::prss::Stream) is not `Clone` and its counter only grows; strands have keys of their own, named by full-width fork paths |
//! | a session id is repeated, by a crash or by malice | session keys depend on fresh nonces of all three parties |
//! | one side of a pair chooses the pair's key | both contribute, and the secret is derived from both |
//! | two parties run different jobs | the digest of the job is compared, and is part of every key |
//! | a gate of degree three | the types: [`Deg2`](crate::ring::Deg2) has no product |
//! | a frame of another session, strand, place or length | links compare the tag, the number and the length before they read or allocate |
//! | a round is cancelled half-way and the strand used again | the strand is [`Poisoned`](crate::Error::Poisoned) |
//! | parties wait for each other's windows | a link sends and receives at the same time |
//! | memory keeps a secret after its use | vectors of shares are wiped when dropped, and when they grow |
//!
//! # 4. Known limits
//!
//! Program order is public, as are all shapes. Nothing in the interface branches on a
//! secret; a closure that branched on a component would break the sharing. Buffers of the transport and of TLS are not wiped, the frames handed
//! to them are. A [`Verified`](crate::Verified) opens any vector of its
//! session; that the vector was computed on a joined strand is the caller's care.
