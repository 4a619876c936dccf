//! Handshake failures in words that say who must do what.

use rustls::{AlertDescription, CertificateError};
use std::{error::Error, io};

/// Whose certificate a handshake failed over.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Refused {
    /// We refused what the other end presented.
    Theirs,
    /// The other end refused what we presented, or sent the alert for another reason.
    Ours,
}

/// Explains the failure of a TLS handshake somewhere among the causes of an error, with its remedy.
///
/// `None` if there is no TLS failure among them.
pub fn explain(error: &(dyn Error + 'static)) -> Option<String> {
    let mut next = Some(error);
    while let Some(e) = next {
        if let Some(tls) = e.downcast_ref::<rustls::Error>() {
            return Some(explain_tls(tls));
        }
        // An I/O error hides what it wraps: its `source` is that of the wrapped error.
        let wrapped = e.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        if let Some(text) = wrapped.and_then(|inner| explain(inner)) {
            return Some(text);
        }
        next = e.source();
    }
    None
}

/// Explains the failure of a QUIC handshake, with its remedy.
///
/// `None` if the connection ended for another reason than TLS.
pub fn explain_quic(error: &quinn::ConnectionError) -> Option<String> {
    // RFC 9001, section 4.8: 0x100 plus the alert.
    let alert = |code: quinn::TransportErrorCode| u64::from(code).checked_sub(0x100).and_then(|a| u8::try_from(a).ok());
    match error {
        quinn::ConnectionError::TransportError(e) => {
            let number = alert(e.code)?;
            // Our own verifier's fault says more than the alert that stands for it.
            if AlertDescription::from(number) == AlertDescription::CertificateUnknown {
                let inner = e.reason.strip_prefix("invalid peer certificate: Other(OtherError(");
                return Some(inner.and_then(|text| text.strip_suffix("))")).unwrap_or(&e.reason).to_owned());
            }
            Some(explain_alert(number, Refused::Theirs).unwrap_or_else(|| e.reason.clone()))
        }
        quinn::ConnectionError::ConnectionClosed(close) => explain_alert(alert(close.error_code)?, Refused::Ours),
        _ => None,
    }
}

/// Explains a TLS alert by its number.
///
/// `None` for alerts that do not concern certificates or the protocol version.
pub fn explain_alert(alert: u8, refused: Refused) -> Option<String> {
    let (whose, who) = match refused {
        Refused::Theirs => ("the other end's certificate", "we"),
        Refused::Ours => ("our certificate", "the other end"),
    };
    let text = match AlertDescription::from(alert) {
        AlertDescription::CertificateExpired => format!(
            "{who} refused {whose}: it has expired or is not valid yet; check both clocks, and issue the certificates \
             anew if they have expired"
        ),
        AlertDescription::UnknownCA | AlertDescription::DecryptError => format!(
            "{who} refused {whose}: it was not issued by this cluster's authority; both ends must use files of the \
             same `trefoil cluster init`"
        ),
        AlertDescription::CertificateUnknown => format!(
            "{who} refused {whose}: it has the wrong role, or is not the one the cluster file pins; copy the current \
             cluster file to every machine"
        ),
        AlertDescription::CertificateRequired => {
            format!("{who} require a client certificate; name one with --identity")
        }
        AlertDescription::BadCertificate
        | AlertDescription::UnsupportedCertificate
        | AlertDescription::CertificateRevoked
        | AlertDescription::AccessDenied => format!("{who} refused {whose}: it is not fit for this use"),
        AlertDescription::NoApplicationProtocol | AlertDescription::ProtocolVersion => {
            "the other end speaks another version of the protocol; install the same version of Trefoil on all machines"
                .to_owned()
        }
        _ => return None,
    };
    Some(text)
}

/// What the library finds wrong with a certificate it tells by a name; everything else is a sentence already.
fn explain_name(fault: String) -> String {
    let cause = match fault.as_str() {
        "CaUsedAsEndEntity" => "it is that of an authority, or signs itself",
        "EndEntityUsedAsCa" => "it was issued by a certificate that is no authority's",
        name if !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric()) => {
            return format!(
                "we refused the other end's certificate: it is not fit for this use ({name}); use one that `trefoil cluster` has issued for this cluster"
            );
        }
        _ => return fault,
    };
    format!(
        "we refused the other end's certificate: {cause}; use one that `trefoil cluster` has issued for this cluster"
    )
}

fn explain_tls(error: &rustls::Error) -> String {
    match error {
        rustls::Error::AlertReceived(alert) => explain_alert(u8::from(*alert), Refused::Ours)
            .unwrap_or_else(|| format!("the other end ended TLS: {alert:?}")),
        // Our own verifier's fault says it all.
        rustls::Error::InvalidCertificate(CertificateError::Other(fault)) => explain_name(fault.to_string()),
        rustls::Error::InvalidCertificate(fault) => {
            let alert = u8::from(AlertDescription::from(fault.clone()));
            explain_alert(alert, Refused::Theirs).unwrap_or_else(|| error.to_string())
        }
        rustls::Error::NoApplicationProtocol => {
            explain_alert(u8::from(AlertDescription::NoApplicationProtocol), Refused::Theirs).unwrap_or_default()
        }
        other => format!("the TLS handshake failed: {other}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_the_library_are_told_in_words() {
        for (name, words) in [
            ("CaUsedAsEndEntity", "signs itself"),
            ("EndEntityUsedAsCa", "no authority's"),
            ("PathLenConstraintViolated", "not fit for this use (PathLenConstraintViolated)"),
        ] {
            let told = explain_name(name.to_owned());
            assert!(told.contains(words) && told.contains("use one that `trefoil cluster` has issued"), "{told}");
        }
        assert_eq!(explain_name("it is of P1".to_owned()), "it is of P1");
    }
}
