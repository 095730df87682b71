//! What every store has to do, as a check that runs natively and inside Envoy.

use super::{Store, Version};

/// Checks a store that has no other writer. All keys begin with `prefix`, which must be unused.
///
/// # Errors
/// What the store does wrong.
pub fn check(store: &dyn Store, prefix: &str) -> Result<(), String> {
    a_key_is_absent_until_it_is_written(store, &format!("{prefix}/absent"))?;
    a_key_is_created_once(store, &format!("{prefix}/created"))?;
    a_value_is_replaced_by_the_writer_that_read_it_last(store, &format!("{prefix}/replaced"))?;
    the_same_bytes_written_again_are_another_version(store, &format!("{prefix}/again"))?;
    a_value_is_any_bytes(store, &format!("{prefix}/bytes"))?;
    keys_are_independent(store, &format!("{prefix}/many"))
}

/// Adds `times` to the number under a key. Several workers call it at the same time; [`number`]
/// then shows whether the store has lost a write.
///
/// # Errors
/// What the store does wrong.
pub fn add(store: &dyn Store, key: &str, times: u32) -> Result<(), String> {
    for _ in 0..times {
        while !added(store, key)? {}
    }
    Ok(())
}

/// The number under a key that [`add`] writes.
///
/// # Errors
/// What the store does wrong.
pub fn number(store: &dyn Store, key: &str) -> Result<u32, String> {
    Ok(seen(store, key)?.0)
}

fn added(store: &dyn Store, key: &str) -> Result<bool, String> {
    let (number, version) = seen(store, key)?;
    Ok(store.swap(key, &number.wrapping_add(1).to_le_bytes(), version))
}

fn seen(store: &dyn Store, key: &str) -> Result<(u32, Option<Version>), String> {
    let Some((bytes, version)) = store.get(key) else { return Ok((0, None)) };
    let number = <[u8; 4]>::try_from(bytes.as_slice());
    let number = number.map_err(|_| format!("{key}: {bytes:?} was never written"))?;
    Ok((u32::from_le_bytes(number), Some(version)))
}

fn demand(holds: bool, what: &str, key: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(format!("{key}: {what}")) }
}

fn reads(store: &dyn Store, key: &str, value: &[u8]) -> Result<(), String> {
    match store.get(key) {
        Some((read, _)) if read == value => Ok(()),
        other => Err(format!("{key}: {value:?} was written, and {other:?} read")),
    }
}

fn a_key_is_absent_until_it_is_written(store: &dyn Store, key: &str) -> Result<(), String> {
    demand(store.get(key).is_none(), "has a value before the first write", key)?;
    demand(store.swap(key, b"first", None), "a first write failed", key)?;
    reads(store, key, b"first")
}

fn a_key_is_created_once(store: &dyn Store, key: &str) -> Result<(), String> {
    demand(store.swap(key, b"first", None), "a first write failed", key)?;
    demand(!store.swap(key, b"second", None), "was created a second time", key)?;
    reads(store, key, b"first")
}

fn a_value_is_replaced_by_the_writer_that_read_it_last(store: &dyn Store, key: &str) -> Result<(), String> {
    demand(store.swap(key, b"first", None), "a first write failed", key)?;
    let first = store.get(key).map(|(_, version)| version);
    demand(store.get(key).map(|(_, version)| version) == first, "reading changed the version", key)?;
    demand(store.swap(key, b"second", first), "a write over the version that was read failed", key)?;
    demand(!store.swap(key, b"third", first), "a write over a version that was replaced succeeded", key)?;
    reads(store, key, b"second")
}

fn the_same_bytes_written_again_are_another_version(store: &dyn Store, key: &str) -> Result<(), String> {
    let mut seen = None;
    for _ in 0..100 {
        demand(store.swap(key, b"same", seen), "a write over the version that was read failed", key)?;
        let version = store.get(key).map(|(_, version)| version);
        demand(version.is_some() && version != seen, "two writes have the same version", key)?;
        seen = version;
    }
    Ok(())
}

fn a_value_is_any_bytes(store: &dyn Store, key: &str) -> Result<(), String> {
    let all: Vec<u8> = (0..=u8::MAX).collect();
    let long = all.repeat(64);
    for (place, value) in [b"".as_slice(), b"\0", b"\0a\0", &all, &long].into_iter().enumerate() {
        let key = format!("{key}/{place}");
        demand(store.swap(&key, value, None), "a first write failed", &key)?;
        reads(store, &key, value)?;
    }
    Ok(())
}

fn keys_are_independent(store: &dyn Store, key: &str) -> Result<(), String> {
    let keys = || (0..200_u32).map(|nth| (format!("{key}/{nth}"), nth.to_le_bytes()));
    for (key, value) in keys() {
        demand(store.swap(&key, &value, None), "a first write failed", &key)?;
    }
    // This key is a prefix of the others.
    demand(store.swap(key, b"short", None), "a first write failed", key)?;
    keys().try_for_each(|(key, value)| reads(store, &key, &value))
}
