//! The table `[telemetry]` of `node.toml`.

use serde::{Deserialize, Serialize};

/// Where a node's traces go. Without the table there are none.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Telemetry {
    /// The collector's OTLP/HTTP endpoint, without `/v1/traces`: `http://127.0.0.1:4318`.
    pub otlp: String,
    /// What the traces call the service.
    #[serde(default = "service_name")]
    pub service_name: String,
    /// The part of the traces that is kept, from 0 to 1, of those that begin at this node. A client that sends a `traceparent` decides by its flag.
    #[serde(default = "ratio")]
    pub ratio: f64,
}

fn service_name() -> String {
    "trefoil".to_owned()
}

fn ratio() -> f64 {
    1.0
}

/// Characters of a service's name.
const MAX_NAME: usize = 64;

impl Telemetry {
    /// Whether this program can do it.
    ///
    /// # Errors
    /// A text that names key, fault and remedy.
    pub fn check(&self) -> Result<(), String> {
        if !cfg!(feature = "otlp") {
            return Err(
                "[telemetry] needs the feature `otlp`, without which this program was built: build it with `cargo build --release --features trefoil-nodes/otlp`, or remove the table".to_owned()
            );
        }
        self.url()?;
        let name = &self.service_name;
        if name.is_empty() || name.len() > MAX_NAME || !name.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(format!(
                "telemetry.service_name has from one to {MAX_NAME} printable characters of ASCII, and no space"
            ));
        }
        if !(0.0..=1.0).contains(&self.ratio) {
            return Err(format!("telemetry.ratio is {}; write a number from 0 to 1", self.ratio));
        }
        Ok(())
    }

    /// Where spans are posted to.
    ///
    /// # Errors
    /// As [`check`](Self::check).
    pub fn url(&self) -> Result<String, String> {
        let form = || {
            format!(
                "telemetry.otlp is `{}`; write a URL such as http://127.0.0.1:4318, without user, query and /v1/traces",
                self.otlp
            )
        };
        let url = reqwest::Url::parse(&self.otlp).map_err(|_| form())?;
        if url.scheme() == "https" {
            return Err(
                "telemetry.otlp is an https URL, and a node speaks plain HTTP to its collector alone: run one on this machine, write http://127.0.0.1:4318, and have it send on by TLS".to_owned()
            );
        }
        let bare =
            url.username().is_empty() && url.password().is_none() && url.query().is_none() && url.fragment().is_none();
        let path = url.path().trim_end_matches('/');
        if url.scheme() != "http" || !bare || path.ends_with("/v1/traces") {
            return Err(form());
        }
        let mut whole = url.clone();
        whole.set_path(&format!("{path}/v1/traces"));
        Ok(whole.into())
    }
}

#[cfg(all(test, feature = "otlp"))]
mod tests {
    use super::*;

    fn of(text: &str) -> Result<String, String> {
        let telemetry: Telemetry = toml::from_str(text).map_err(|e| e.to_string())?;
        telemetry.check()?;
        telemetry.url()
    }

    #[test]
    fn a_collector_is_a_plain_url() {
        for (otlp, url) in [
            ("http://127.0.0.1:4318", "http://127.0.0.1:4318/v1/traces"),
            ("http://agent:4318/", "http://agent:4318/v1/traces"),
            ("http://[::1]:80/otlp/", "http://[::1]/otlp/v1/traces"),
        ] {
            assert_eq!(of(&format!("otlp = \"{otlp}\"")).as_deref(), Ok(url));
        }
        for (text, hint) in [
            ("otlp = \"https://a.example\"", "run one on this machine"),
            ("otlp = \"127.0.0.1:4318\"", "write a URL"),
            ("otlp = \"ftp://a.example\"", "write a URL"),
            ("otlp = \"http://me:pw@a.example\"", "without user"),
            ("otlp = \"http://a.example?x=1\"", "without user"),
            ("otlp = \"http://a.example/v1/traces/\"", "and /v1/traces"),
            ("otlp = \"http://a.example\"\nratio = 1.5", "from 0 to 1"),
            ("otlp = \"http://a.example\"\nratio = nan", "from 0 to 1"),
            ("otlp = \"http://a.example\"\nservice_name = \"\"", "telemetry.service_name"),
            ("otlp = \"http://a.example\"\nheaders = \"x\"", "unknown field `headers`"),
        ] {
            let error = of(text).expect_err(text);
            assert!(error.contains(hint), "{error}");
        }
    }
}
