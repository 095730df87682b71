//! `ssl_verify`: whether and by whom a provider is verified.

use crate::config::Tls;
use crate::reader::{Reader, Section, Unset};
use crate::report::Path;
use crate::tree::{Entry, Value};

/// For the whole file: litellm_settings.ssl_verify, or `SSL_VERIFY` of the environment.
pub fn of_file(reader: &mut Reader<'_>, settings: Option<&Section<'_>>) -> Tls {
    if let Some((section, entry)) = settings.and_then(|section| Some((section, section.find("ssl_verify")?)))
    {
        return read(reader, entry, &section.path.key("ssl_verify")).unwrap_or(Tls::SystemCas);
    }
    match reader.env.first_of(&["SSL_VERIFY"]) {
        Some(value) => meaning(&Value::Text(value)).unwrap_or(Tls::SystemCas),
        None => Tls::SystemCas,
    }
}

/// For one deployment, which may say so itself.
pub fn of_deployment(reader: &mut Reader<'_>, params: &Section<'_>, file: &Tls) -> Tls {
    match params.find("ssl_verify") {
        Some(entry) => read(reader, entry, &params.path.key("ssl_verify")).unwrap_or_else(|| file.clone()),
        None => file.clone(),
    }
}

fn read(reader: &mut Reader<'_>, entry: &Entry, path: &Path<'_>) -> Option<Tls> {
    let value = reader.value(&entry.node, path, Unset::Drop)?;
    let Some(tls) = meaning(&value) else {
        reader.wrong(&entry.node, path, "true, false or the path of a PEM file");
        return None;
    };
    if tls == Tls::Unverified {
        let advice = "give the path of a PEM file with the CA instead";
        reader.report.warn(
            entry.place,
            path,
            "leaves the provider unverified: anybody in between can read the keys",
            advice,
        );
    }
    Some(tls)
}

fn meaning(value: &Value) -> Option<Tls> {
    match value {
        Value::Bool(true) => Some(Tls::SystemCas),
        Value::Bool(false) => Some(Tls::Unverified),
        Value::Text(text) => match text.trim().to_ascii_lowercase().as_str() {
            "" | "true" | "1" => Some(Tls::SystemCas),
            "false" | "0" => Some(Tls::Unverified),
            _ => Some(Tls::CaFile(text.trim().to_owned())),
        },
        _ => None,
    }
}
