//! Types of values about TLS: which certificates there are.

use super::rules::list;
use super::value::{Bad, Raw, Value};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A certificate and its key, by the paths of their files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// The certificate in PEM, those of its issuers behind it.
    pub certificate: Box<str>,
    /// Its private key in PEM.
    pub key: Box<str>,
}

const REMEDY: &str = "write it as { certificate = \"fullchain.pem\", key = \"key.pem\" }";

impl Value for Vec<Certificate> {
    type Bounds = ();

    fn parse(raw: &Raw<'_>, (): &(), _: &Self) -> Result<Self, Vec<Bad>> {
        list(raw, "certificates; write [[tls.certificates]]", of_text, |item| {
            match item.get_ref() {
                DeValue::Table(table) => of_table(item, table),
                _ => bad(item, format!("{} is not a certificate; {REMEDY}", Raw::Toml(item))),
            }
        })
    }

    fn render(&self) -> Option<String> {
        // Literal strings, as long as no path has a quote in it.
        let quoted = |text: &str| {
            if text.contains('\'') { format!("{text:?}") } else { format!("'{text}'") }
        };
        let all = self.iter().map(|Certificate { certificate, key }| {
            format!("{{ certificate = {}, key = {} }}", quoted(certificate), quoted(key))
        });
        Some(format!("[{}]", all.collect::<Vec<_>>().join(", ")))
    }

    fn accepts((): &()) -> String {
        "tables of certificate and key, both paths; elsewhere also CERTIFICATE=KEY,...".to_owned()
    }
}

fn bad<T>(item: &Spanned<DeValue<'_>>, message: String) -> Result<T, Vec<Bad>> {
    Err(vec![Bad { at: Some(item.span().start), message }])
}

/// `fullchain.pem=key.pem`
fn of_text(text: &str) -> Result<Certificate, Vec<Bad>> {
    match text.split_once('=') {
        Some((certificate, key)) if !certificate.is_empty() && !key.is_empty() => {
            Ok(Certificate { certificate: certificate.into(), key: key.into() })
        }
        _ => {
            let message = format!(
                "{text:?} is not a certificate and its key; write it as fullchain.pem=key.pem"
            );
            Err(vec![Bad { at: None, message }])
        }
    }
}

fn of_table(item: &Spanned<DeValue<'_>>, table: &DeTable<'_>) -> Result<Certificate, Vec<Bad>> {
    for (name, value) in table {
        let name = name.get_ref().as_ref();
        if !["certificate", "key"].contains(&name) {
            return bad(value, format!("{name}: unknown key; there are certificate and key"));
        }
    }
    let path = |name: &str| {
        let value = table.get(name).and_then(|value| value.get_ref().as_str());
        value.filter(|path| !path.is_empty() && !path.contains('\0'))
    };
    match (path("certificate"), path("key")) {
        (Some(certificate), Some(key)) => {
            Ok(Certificate { certificate: certificate.into(), key: key.into() })
        }
        _ => bad(item, format!("a certificate needs two paths; {REMEDY}")),
    }
}
