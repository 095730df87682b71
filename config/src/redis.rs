//! Where Redis is, checked. What is shared through it comes with a later version.

use crate::reader::{Reader, Section, Unset};
use crate::tree::Value;

/// Checks `redis_url`, `redis_host`, `redis_port`, `redis_db` and the credentials of a section.
pub fn check(reader: &mut Reader<'_>, section: &Section<'_>) {
    reader.text(section, "redis_host");
    reader.text(section, "redis_username");
    reader.whole(section, "redis_db");
    if let Some(port) = reader.whole(section, "redis_port")
        && !(1..=65535).contains(&port)
        && let Some(entry) = section.find("redis_port")
    {
        let path = section.path.key("redis_port");
        reader.report.refuse(
            entry.place,
            &path,
            &format!("{port} is no port"),
            "write a port from 1 to 65535",
        );
    }
    if let Some(entry) =
        section.find("redis_password").filter(|entry| entry.node.value != Value::Text(String::new()))
    {
        reader.secret(entry, &section.path.key("redis_password"), Unset::Drop);
    }
    check_url(reader, section);
}

fn check_url(reader: &mut Reader<'_>, section: &Section<'_>) {
    let Some(entry) = section.find("redis_url") else { return };
    let path = section.path.key("redis_url");
    let Some(url) = reader.text_of(&entry.node, &path, Unset::Drop) else { return };
    if !url.starts_with("redis://") && !url.starts_with("rediss://") {
        let advice = "write redis://host:port, or rediss:// with TLS";
        reader.report.refuse(entry.place, &path, "is no address of a Redis", advice);
    }
}
