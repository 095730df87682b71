//! `ssl_verify`: how a provider is verified.

use crate::config::Tls;
use crate::diagnostics::{Path, Place};
use crate::values::{Reader, Section, Unset};
use crate::yaml::{Entry, Value};

/// For the whole file: the variable `SSL_VERIFY`, which overrides litellm_settings.ssl_verify as in
/// LiteLLM.
pub(crate) fn tls_of_file(reader: &mut Reader<'_>, settings: Option<&Section<'_>>, place: Place) -> Tls {
    let from_environment = reader.env.first_of(&["SSL_VERIFY"]).and_then(|value| parse(&Value::Text(value)));
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

/// `SSL_CERT_FILE`, as in LiteLLM, or else the variable of requests or curl. The filter does not
/// need it.
pub(crate) fn ca_bundle(reader: &Reader<'_>) -> Option<(String, String)> {
    const NAMES: [&str; 3] = ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"];
    if cfg!(target_family = "wasm") {
        return None;
    }
    NAMES.into_iter().find_map(|name| {
        let file = reader.env.peek(name)?.0;
        (!file.trim().is_empty()).then(|| (name.to_owned(), file.trim().to_owned()))
    })
}

const UNVERIFIED: &str = "the provider is not verified: API keys can be intercepted";
const NAME_A_CA: &str = "write the path of a PEM file with the CA instead";

/// For one deployment: its own, or that of the file.
pub(crate) fn tls_of_deployment(reader: &mut Reader<'_>, params: &Section<'_>, file: &Tls) -> Tls {
    match params.find("ssl_verify") {
        Some(entry) => read(reader, entry, &params.path.key("ssl_verify")).unwrap_or_else(|| file.clone()),
        None => file.clone(),
    }
}

fn read(reader: &mut Reader<'_>, entry: &Entry, path: &Path<'_>) -> Option<Tls> {
    let value = reader.value(&entry.node, path, Unset::Ignore)?;
    let Some(tls) = parse(&value) else {
        reader.type_error(&entry.node, path, "true, false or the path of a PEM file");
        return None;
    };
    if tls == Tls::Unverified {
        reader.report.warn(entry.place, path, UNVERIFIED, NAME_A_CA);
    }
    Some(tls)
}

fn parse(value: &Value) -> Option<Tls> {
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
