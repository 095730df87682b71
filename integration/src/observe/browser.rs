//! A real browser: Chromium without a window, driven by the DevTools protocol over pipes
//! (<https://chromedevtools.github.io/devtools-protocol/>).

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use data_encoding::BASE64;
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::{sleep, timeout};

use crate::child_process::dies_with_this_thread;

/// For any answer of a browser on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// For a page to show something.
const SHOWN: Duration = Duration::from_secs(30);
/// Descriptors 3 and 4 are those of the protocol; each message ends with a zero byte.
const START: &str = "exec \"$0\" \"$@\" 3<&0 4>&1 </dev/null >/dev/null 2>&1";

/// A browser with one page.
#[derive(Debug)]
pub struct Browser {
    child: Child,
    commands: ChildStdin,
    messages: UnboundedReceiver<Value>,
    last_id: u64,
    session: Option<String>,
    complaints: Vec<String>,
    _profile: TempDir,
}

impl Browser {
    /// Opens an address.
    pub async fn open(url: &str) -> Self {
        let profile = TempDir::new().expect("a temporary directory");
        let mut command = Command::new("sh");
        command
            .args(["-c", START, "chromium", "--headless=new", "--no-sandbox", "--disable-gpu"])
            // A container has little shared memory.
            .args([
                "--disable-dev-shm-usage", "--no-first-run", "--hide-scrollbars", "--remote-debugging-pipe",
            ])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg("about:blank")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        dies_with_this_thread(&mut command, Signal::SIGKILL);
        let mut child = command.spawn().expect("a shell runs");
        let (commands, output) = (child.stdin.take().expect("a pipe"), child.stdout.take().expect("a pipe"));
        let (last_id, session, complaints) = (0, None, Vec::new());
        let messages = messages(output);
        let mut browser = Self { child, commands, messages, last_id, session, complaints, _profile: profile };
        browser.open_page(url).await;
        browser
    }

    async fn open_page(&mut self, url: &str) {
        let target =
            self.call("Target.createTarget", json!({"url": "about:blank"})).await["targetId"].clone();
        let attached = self.call("Target.attachToTarget", json!({"targetId": target, "flatten": true})).await;
        self.session = attached["sessionId"].as_str().map(str::to_owned);
        for domain in ["Page", "Runtime", "Log"] {
            self.call(&format!("{domain}.enable"), json!({})).await;
        }
        self.view(1360, 900, false).await;
        self.call("Page.navigate", json!({"url": url})).await;
        self.until("document.readyState === 'complete' && location.href !== 'about:blank'").await;
    }

    /// Sets the size of the window, and the color scheme of the system.
    pub async fn view(&mut self, width: u32, height: u32, is_dark: bool) {
        let is_phone = width < 600;
        let size = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": is_phone});
        self.call("Emulation.setDeviceMetricsOverride", size).await;
        let scheme = if is_dark { "dark" } else { "light" };
        let features = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        self.call("Emulation.setEmulatedMedia", features).await;
    }

    /// The value of a JavaScript expression in the page.
    pub async fn eval(&mut self, expression: &str) -> Value {
        let arguments = json!({"expression": expression, "returnByValue": true, "awaitPromise": true});
        let result = self.call("Runtime.evaluate", arguments).await;
        assert!(result["exceptionDetails"].is_null(), "{expression}\n{result:#}");
        result["result"]["value"].clone()
    }

    /// Waits until an expression is true.
    pub async fn until(&mut self, expression: &str) {
        let begun = Instant::now();
        while self.eval(expression).await != true {
            if begun.elapsed() > SHOWN {
                let page = self.eval("document.body.innerText").await;
                panic!("{expression} does not become true in:\n{}", page.as_str().unwrap_or_default());
            }
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// Presses a key: `Tab`, `Enter`, `Escape`, or a character.
    pub async fn press(&mut self, key: &str) {
        let text = match key {
            "Enter" => "\r",
            "Tab" | "Escape" => "",
            character => character,
        };
        let code = match key {
            "Enter" => 13,
            "Tab" => 9,
            "Escape" => 27,
            _ => 0,
        };
        for kind in ["keyDown", "keyUp"] {
            let event = json!({"type": kind, "key": key, "text": text, "windowsVirtualKeyCode": code});
            self.call("Input.dispatchKeyEvent", event).await;
        }
    }

    /// A picture of what is in view, as PNG.
    pub async fn screenshot(&mut self) -> Vec<u8> {
        let picture = self.call("Page.captureScreenshot", json!({"format": "png"})).await;
        BASE64.decode(picture["data"].as_str().unwrap_or_default().as_bytes()).expect("base64")
    }

    /// Uncaught errors, and what the browser has refused or could not load.
    pub async fn complaints(&mut self) -> &[String] {
        // Messages that came before this answer are read by then.
        self.eval("0").await;
        &self.complaints
    }

    async fn call(&mut self, method: &str, params: Value) -> Value {
        self.last_id += 1;
        let mut command = json!({"id": self.last_id, "method": method, "params": params});
        if let Some(session) = &self.session {
            command["sessionId"] = json!(session);
        }
        self.commands.write_all(format!("{command}\0").as_bytes()).expect("chromium runs: `make chromium`");
        loop {
            let message = timeout(PATIENCE, self.messages.recv()).await.expect("an answer in time");
            let message = message.expect("chromium runs: `make chromium` installs it");
            if message["id"] == self.last_id {
                assert!(message["error"].is_null(), "{method}: {message}");
                return message["result"].clone();
            }
            self.note(&message);
        }
    }

    fn note(&mut self, message: &Value) {
        let is_error = match message["method"].as_str() {
            Some("Runtime.exceptionThrown") => true,
            Some("Log.entryAdded") => message["params"]["entry"]["level"] == "error",
            Some("Runtime.consoleAPICalled") => message["params"]["type"] == "error",
            _ => false,
        };
        if is_error {
            self.complaints.push(message["params"].to_string());
        }
    }
}

fn messages(output: ChildStdout) -> UnboundedReceiver<Value> {
    let (sender, receiver) = unbounded_channel();
    thread::spawn(move || {
        for message in BufReader::new(output).split(0).map_while(Result::ok) {
            let message = serde_json::from_slice(&message).expect("JSON");
            if sender.send(message).is_err() {
                break;
            }
        }
    });
    receiver
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
