//! The functions of proxy-wasm. They follow Envoy's `Context` and its buffers, where the ABI leaves
//! something open.

use wasmi::Error;

use super::call::{Call, Function};
use super::{Message, Status};

type Result<T> = std::result::Result<T, Error>;

pub(super) fn find(name: &str) -> Option<Function> {
    Some(match name {
        "proxy_get_current_time_nanoseconds" => now,
        "proxy_set_tick_period_milliseconds" => |_| Ok(Status::Ok),
        "proxy_log" => log,
        "proxy_send_local_response" => send_local_response,
        "proxy_get_property" => get_property,
        "proxy_set_property" => set_property,
        "proxy_get_shared_data" => get_shared_data,
        "proxy_set_shared_data" => set_shared_data,
        "proxy_define_metric" => define_metric,
        "proxy_increment_metric" | "proxy_record_metric" => change_metric,
        "proxy_get_buffer_bytes" => get_buffer,
        "proxy_set_buffer_bytes" => set_buffer,
        "proxy_get_header_map_pairs" => get_headers,
        "proxy_set_header_map_pairs" => set_headers,
        "proxy_get_header_map_value" => get_header,
        "proxy_replace_header_map_value" => replace_header,
        "proxy_remove_header_map_value" => remove_header,
        _ => return None,
    })
}

fn now(call: &mut Call<'_>) -> Result<Status> {
    let now = call.host().now;
    call.write(0, &now.to_le_bytes())?;
    Ok(Status::Ok)
}

/// The filter only warns.
fn log(call: &mut Call<'_>) -> Result<Status> {
    let text = call.bytes(1)?;
    Err(call.unexpected(&text))
}

/// The filter refuses a request.
fn send_local_response(call: &mut Call<'_>) -> Result<Status> {
    let body = call.bytes(3)?;
    Err(call.unexpected(&body))
}

fn get_property(call: &mut Call<'_>) -> Result<Status> {
    let path = call.bytes(0)?;
    match &*path {
        // The filter on the edge, where nearly all requests end.
        b"plugin_root_id" => call.give(2, b"llm-balancer/edge/attempts"),
        _ => Err(call.unexpected(&path)),
    }
}

fn set_property(call: &mut Call<'_>) -> Result<Status> {
    let (path, value) = (call.bytes(0)?, call.bytes(2)?);
    call.host().properties.insert(path, value);
    Ok(Status::Ok)
}

fn get_shared_data(call: &mut Call<'_>) -> Result<Status> {
    let key = call.bytes(0)?;
    let Some((value, version)) = call.host().shared_data.get(&key).cloned() else {
        return Ok(Status::NotFound);
    };
    call.write(4, &version.to_le_bytes())?;
    call.give(2, &value)
}

/// Writes a missing key whatever the version, and a present one with its own version or with 0.
fn set_shared_data(call: &mut Call<'_>) -> Result<Status> {
    let (key, value, version) = (call.bytes(0)?, call.bytes(2)?, call.u32(4));
    let old = call.host().shared_data.get(&key).map(|(_, version)| *version);
    if old.is_some_and(|old| version != 0 && version != old) {
        return Ok(Status::CasMismatch);
    }
    call.host().shared_data.insert(key, (value, old.unwrap_or_default() + 1));
    Ok(Status::Ok)
}

fn define_metric(call: &mut Call<'_>) -> Result<Status> {
    let name = call.bytes(1)?;
    let metrics = &mut call.host().metrics;
    metrics.push(name);
    let id = u32::try_from(metrics.len()).expect("few metrics");
    call.write(3, &id.to_le_bytes())?;
    Ok(Status::Ok)
}

fn change_metric(call: &mut Call<'_>) -> Result<Status> {
    let is_defined = (1..=call.host().metrics.len()).contains(&(call.u32(0) as usize));
    Ok(if is_defined { Status::Ok } else { Status::NotFound })
}

/// The bytes of a buffer of this kind.
fn buffer<'a>(call: &'a mut Call<'_>) -> Result<&'a mut Vec<u8>> {
    match call.u32(0) {
        0 => Ok(&mut call.host().request.body),
        1 => Ok(&mut call.host().response.body),
        7 => Ok(&mut call.host().configuration),
        kind => Err(call.unexpected(format!("buffer {kind}").as_bytes())),
    }
}

fn get_buffer(call: &mut Call<'_>) -> Result<Status> {
    let (start, most) = (call.u32(1) as usize, call.u32(2) as usize);
    let all = buffer(call)?;
    let Some(rest) = all.get(start..) else { return Ok(Status::BadArgument) };
    let part = rest[..most.min(rest.len())].to_vec();
    // Envoy does not write the results of an empty part.
    if part.is_empty() { Ok(Status::Ok) } else { call.give(3, &part) }
}

/// Replaces all of a buffer, or adds to one of its ends.
fn set_buffer(call: &mut Call<'_>) -> Result<Status> {
    let (start, size, new) = (call.u32(1) as usize, call.u32(2) as usize, call.bytes(3)?);
    let old = buffer(call)?;
    match start {
        0 if size == 0 => drop(old.splice(..0, new)),
        0 if size >= old.len() => *old = new,
        _ if start >= old.len() => old.extend(new),
        _ => return Ok(Status::BadArgument),
    }
    Ok(Status::Ok)
}

/// The message with the headers of this kind.
fn message<'a>(call: &'a mut Call<'_>) -> Result<&'a mut Message> {
    match call.u32(0) {
        0 => Ok(&mut call.host().request),
        2 => Ok(&mut call.host().response),
        kind => Err(call.unexpected(format!("map {kind}").as_bytes())),
    }
}

fn get_headers(call: &mut Call<'_>) -> Result<Status> {
    let headers = &message(call)?.headers;
    let length = |text: &[u8]| u32::try_from(text.len()).expect("short headers").to_le_bytes();
    let mut map = length_of(headers.len()).to_vec();
    map.extend(headers.iter().flat_map(|(name, value)| [length(name), length(value)]).flatten());
    for text in headers.iter().flat_map(|(name, value)| [name, value]) {
        map.extend(text);
        map.push(0);
    }
    call.give(1, &map)
}

fn length_of(count: usize) -> [u8; 4] {
    u32::try_from(count).expect("few headers").to_le_bytes()
}

fn set_headers(call: &mut Call<'_>) -> Result<Status> {
    let map = call.bytes(1)?;
    let Some(headers) = pairs(&map) else { return Err(call.unexpected(&map)) };
    message(call)?.headers = headers;
    Ok(Status::Ok)
}

/// Reads the ABI's form of a map: a count, the lengths in pairs, the texts with a zero byte each.
fn pairs(map: &[u8]) -> Option<super::Headers> {
    let number = |at: usize| Some(u32::from_le_bytes(*map.get(at..)?.first_chunk()?) as usize);
    let count = number(0)?;
    let mut at = 4 + 8 * count;
    let mut text = |length: usize| {
        let (text, end) = (map.get(at..at + length)?, map.get(at + length)?);
        at += length + 1;
        (*end == 0).then(|| text.to_vec())
    };
    (0..count).map(|i| Some((text(number(4 + 8 * i)?)?, text(number(8 + 8 * i)?)?))).collect()
}

fn get_header(call: &mut Call<'_>) -> Result<Status> {
    let name = call.bytes(1)?;
    let value = message(call)?.headers.iter().find(|(other, _)| *other == name);
    match value.map(|(_, value)| value.clone()) {
        Some(value) => call.give(3, &value),
        None => Ok(Status::NotFound),
    }
}

fn replace_header(call: &mut Call<'_>) -> Result<Status> {
    let (name, value) = (call.bytes(1)?, call.bytes(3)?);
    let headers = &mut message(call)?.headers;
    headers.retain(|(other, _)| *other != name);
    headers.push((name, value));
    Ok(Status::Ok)
}

fn remove_header(call: &mut Call<'_>) -> Result<Status> {
    let name = call.bytes(1)?;
    message(call)?.headers.retain(|(other, _)| *other != name);
    Ok(Status::Ok)
}
