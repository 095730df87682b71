//! The load: wrk, on kept connections that send the same request as soon as the last is answered.

use std::error::Error;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::bootstrap::CLUSTER;

/// The script has wrk send a file and print one line that is easy to read.
const SCRIPT: &str = r#"wrk.method = "POST"
local file = io.open("BODY", "rb"); wrk.body = file:read("*a"); file:close()
HEADERS
done = function(summary, latency)
  local failed = summary.errors
  io.write(string.format("RESULT %d %d %f %f\n", summary.requests,
    failed.connect + failed.read + failed.write + failed.timeout + failed.status,
    latency:percentile(50), latency:percentile(99)))
end
"#;

/// What one run of wrk saw.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Report {
    /// Complete responses, failed ones included.
    pub requests: u64,
    /// Responses other than 2xx and 3xx, and connections that broke.
    pub failed: u64,
    /// Of complete responses, in milliseconds.
    pub p50: f64,
    pub p99: f64,
}

/// Writes the script for a body and headers.
pub fn script(folder: &Path, body: &str, headers: &[(String, String)]) -> Result<String, Box<dyn Error>> {
    let file = folder.join("body.json");
    fs::write(&file, body)?;
    let quoted = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"");
    let header = |(name, value): &(String, String)| {
        format!("wrk.headers[\"{}\"] = \"{}\"\n", quoted(name), quoted(value))
    };
    let headers: String = headers.iter().map(header).collect();
    Ok(SCRIPT.replace("BODY", &file.display().to_string()).replace("HEADERS", &headers))
}

/// Draws a cluster for each request: `d0`, `d1`, ..
pub fn with_a_drawn_cluster(script: &str, count: usize) -> String {
    format!(
        "{script}request = function()\n  wrk.headers[\"{CLUSTER}\"] = \"d\" .. math.random(0, {count} - 1)\n  \
         return wrk.format()\nend\n"
    )
}

/// How wrk is run.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    pub connections: usize,
    /// At most one for each connection is used.
    pub threads: usize,
    pub seconds: u64,
    /// Whether other processes of its processor go first, whenever they have something to do.
    pub gives_way: bool,
}

/// Starts wrk with a script.
pub fn start(port: u16, script: &Path, options: Options) -> Result<Child, Box<dyn Error>> {
    let Options { connections, threads, seconds, gives_way } = options;
    let mut command = if gives_way {
        let mut command = Command::new("chrt");
        command.args(["--batch", "0", "wrk"]);
        command
    } else {
        Command::new("wrk")
    };
    command
        .args(["-t", &threads.clamp(1, connections).to_string(), "-c", &connections.to_string()])
        .args(["-d", &format!("{seconds}s"), "--timeout", "20s", "-s"])
        .arg(script)
        .arg(format!("http://127.0.0.1:{port}/v1/chat/completions"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    command.spawn().map_err(|error| format!("wrk: {error}").into())
}

/// Waits for wrk to end.
pub fn finish(wrk: Child) -> Result<Report, Box<dyn Error>> {
    let output = wrk.wait_with_output()?.stdout;
    let output = String::from_utf8_lossy(&output);
    report(&output).ok_or_else(|| format!("wrk: no result in {output:?}").into())
}

fn report(output: &str) -> Option<Report> {
    let line = output.lines().find_map(|line| line.strip_prefix("RESULT "))?;
    let mut fields = line.split(' ');
    let mut whole = || fields.next()?.parse().ok();
    let (requests, failed) = (whole()?, whole()?);
    let mut milliseconds = || Some(fields.next()?.trim().parse::<f64>().ok()? / 1000.0);
    Some(Report { requests, failed, p50: milliseconds()?, p99: milliseconds()? })
}

#[cfg(test)]
mod tests {
    use super::{Report, report, script};

    const OUTPUT: &str = "Running 1s test @ http://127.0.0.1:23998/v1/chat/completions
  1 threads and 8 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency   720.15us  314.08us   9.13ms   93.02%
  12345 requests in 1.00s, 11.30MB read
Requests/sec:  12345.00
RESULT 12345 3 712.000000 1640.500000
";

    #[test]
    fn the_line_of_the_script_has_requests_failures_and_microseconds() {
        let expected = Report { requests: 12345, failed: 3, p50: 0.712, p99: 1.6405 };
        assert_eq!(report(OUTPUT), Some(expected));
    }

    #[test]
    fn output_without_that_line_is_no_result() {
        assert_eq!(report("unable to connect to 127.0.0.1:1 Connection refused\n"), None);
        assert_eq!(report("RESULT 1 2 3.0\n"), None);
    }

    #[test]
    fn quotes_in_a_header_do_not_end_the_lua_string() {
        let folder = tempfile::tempdir().unwrap();
        let headers = [("x-config".to_owned(), r#"{"a":"\n"}"#.to_owned())];
        let script = script(folder.path(), "{}", &headers).unwrap();
        assert!(script.contains(r#"wrk.headers["x-config"] = "{\"a\":\"\\n\"}""#), "{script}");
    }
}
