//! The scripts of a page whose device part runs in it, as modules that import each other by name.
//!
//! A page makes keys and splits them, shares templates, signs with the device's share and seals what it sends to each node. Scripts have no constant-time
//! numbers and no memory that they could erase: a device with a program of its own uses [`crate::rsa`].

/// File name and text of each.
pub const ALL: [(&str, &str); 5] = [
    ("bytes.js", include_str!("../web/bytes.js")),
    ("rsa.js", include_str!("../web/rsa.js")),
    ("seal.js", include_str!("../web/seal.js")),
    ("template.js", include_str!("../web/template.js")),
    ("webauthn.js", include_str!("../web/webauthn.js")),
];
