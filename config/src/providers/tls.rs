//! `ssl_verify`: whether and by whom a provider is verified.

use crate::config::Tls;
use crate::diagnostics::report::Path;
use crate::values::reader::{Reader, Section, Unset};
use crate::yaml::tree::{Entry, Place, Value};

/// For the whole file: `SSL_VERIFY` of the environment, which goes first in LiteLLM, or litellm_settings.ssl_verify.
pub fn of_file(reader: &mut Reader<'_>, settings: Option<&Section<'_>>, place: Place) -> Tls {
    let from_environment =
        reader.env.first_of(&["SSL_VERIFY"]).and_then(|value| meaning(&Value::Text(value)));
    if let Some(tls) = from_environment {
        if tls == Tls::Unverified {
            reader.report.warn(place, &Path::top("SSL_VERIFY"), UNVERIFIED, NAME_A_CA);
        }
        return tls;
    }
    let Some((section, entry)) = settings.and_then(|section| Some((section, section.find("ssl_verify")?)))
    else {
        return Tls::SystemCas;
    };
    read(reader, entry, &section.path.key("ssl_verify")).unwrap_or(Tls::SystemCas)
}

/// `SSL_CERT_FILE`, as in LiteLLM; else what requests and curl go by. Only the generator needs it.
pub fn bundle(reader: &Reader<'_>) -> Option<(String, String)> {
    const NAMES: [&str; 3] = ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"];
    if cfg!(target_family = "wasm") {
        return None;
    }
    NAMES.into_iter().find_map(|name| {
        let file = reader.env.peek(name)?.0;
        (!file.trim().is_empty()).then(|| (name.to_owned(), file.trim().to_owned()))
    })
}

const UNVERIFIED: &str = "leaves the provider unverified: anybody in between can read the keys";
const NAME_A_CA: &str = "give the path of a PEM file with the CA instead";

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
        reader.type_error(&entry.node, path, "true, false or the path of a PEM file");
        return None;
    };
    if tls == Tls::Unverified {
        reader.report.warn(entry.place, path, UNVERIFIED, NAME_A_CA);
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
