//! A real browser that looks at the pages: headless Chromium, told what to do over its `DevTools` protocol.
//!
//! The protocol goes over two pipes (`--remote-debugging-pipe`), each message ended by NUL, so that neither a port nor a
//! client library is needed.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::local_stack::{Error, Result};

const AUDIT: &str = include_str!("audit.js");
/// Names that systems give it.
const PROGRAMS: [&str; 5] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome"];
/// The pipes of the protocol are file descriptors 3 and 4 of the browser.
const WITH_PIPES: &str = "exec \"$0\" \"$@\" 3<&0 4>&1 </dev/null >/dev/null";
const ANSWER_LIMIT: Duration = Duration::from_mins(1);

/// A browser with one page.
#[derive(Debug)]
pub struct Browser {
    _child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
    session: Option<String>,
    last_id: u64,
    events: Vec<Value>,
    _profile: TempDir,
}

/// How a page is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct View {
    /// Width of the window in CSS pixels.
    pub width: u32,
    /// Colours, or paper.
    pub medium: Medium,
}

/// Where a page is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Medium {
    /// A screen whose owner prefers light colours.
    Light,
    /// A screen whose owner prefers dark ones.
    Dark,
    /// Paper.
    Print,
}

/// What is wrong with a page as it is shown; see `audit.js`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Audit {
    /// Text whose contrast with what is behind it is below WCAG 2.2 AA.
    pub faint: Vec<String>,
    /// What is wider than the window.
    pub wide: Vec<String>,
    /// Links to places on the page that are not there, and sections that no link leads to.
    pub lost: Vec<String>,
    /// Elements that such a page must not have, such as scripts and images.
    pub foreign: Vec<String>,
    /// How many texts were compared with what is behind them.
    pub texts: usize,
}

impl Audit {
    /// All that is wrong, in one list.
    #[must_use]
    pub fn faults(&self) -> Vec<&String> {
        [&self.faint, &self.wide, &self.lost, &self.foreign].into_iter().flatten().collect()
    }
}

fn failed(doing: &str) -> impl Fn(std::io::Error) -> Error {
    move |error| Error::new(format!("failed to {doing}: {error}"))
}

/// The browser's program: `CHROMIUM`, else the first that `PATH` has.
fn program() -> Result<PathBuf> {
    if let Some(named) = std::env::var_os("CHROMIUM") {
        return Ok(named.into());
    }
    let folders: Vec<PathBuf> = std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).collect();
    let candidates = PROGRAMS.iter().flat_map(|name| folders.iter().map(move |folder| folder.join(name)));
    candidates.into_iter().find(|path| path.is_file()).ok_or_else(|| {
        Error::new(
            "there is no Chromium to look at pages with: run `apt-get install chromium`, or name one in CHROMIUM",
        )
    })
}

impl Browser {
    /// Starts one with a profile of its own. It ends with its owner.
    ///
    /// # Errors
    /// When there is none, with what to install, or it does not start.
    pub async fn start() -> Result<Self> {
        let profile = tempfile::tempdir().map_err(failed("make the browser's profile"))?;
        let mut command = Command::new("sh");
        command.args(["-c", WITH_PIPES]).arg(program()?);
        // Tests may run as root, where the sandbox does not start; the pages are our own, and load nothing.
        command.args([
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--hide-scrollbars",
        ]);
        command.args(["--no-first-run", "--disable-background-networking", "--remote-debugging-pipe"]);
        let mut folder = std::ffi::OsString::from("--user-data-dir=");
        folder.push(profile.path());
        command.arg(folder).arg("about:blank");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
        let mut child = command.spawn().map_err(failed("start the browser"))?;
        let (Some(to), Some(from)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(Error::new("the browser has no pipes"));
        };
        let mut browser = Self {
            _child: child,
            to,
            from: BufReader::new(from),
            session: None,
            last_id: 0,
            events: Vec::new(),
            _profile: profile,
        };
        let page = browser.call("Target.createTarget", json!({ "url": "about:blank" })).await?;
        let attach = json!({ "targetId": page["targetId"], "flatten": true });
        let attached = browser.call("Target.attachToTarget", attach).await?;
        browser.session = attached["sessionId"].as_str().map(str::to_owned);
        for domain in ["Page.enable", "Runtime.enable", "Log.enable", "Network.enable"] {
            browser.call(domain, json!({})).await?;
        }
        Ok(browser)
    }

    /// Opens a file, and waits until it is loaded. What was told of the page before is forgotten.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub async fn open(&mut self, file: &Path, view: View) -> Result<()> {
        let file = file.canonicalize().map_err(failed("find the page"))?;
        let (medium, scheme) = match view.medium {
            Medium::Light => ("screen", "light"),
            Medium::Dark => ("screen", "dark"),
            Medium::Print => ("print", "light"),
        };
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        self.call("Emulation.setEmulatedMedia", json!({ "media": medium, "features": features })).await?;
        self.resize(view.width, 900).await?;
        self.events.clear();
        let address = format!("file://{}", file.display());
        let answer = self.call("Page.navigate", json!({ "url": address })).await?;
        if let Some(error) = answer["errorText"].as_str() {
            return Err(Error::new(format!("failed to open {address}: {error}")));
        }
        while !self.events.iter().any(|event| event["method"] == "Page.loadEventFired") {
            self.hear().await?;
        }
        Ok(())
    }

    async fn resize(&mut self, width: u32, height: u32) -> Result<()> {
        let metrics = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.call("Emulation.setDeviceMetricsOverride", metrics).await.map(drop)
    }

    /// The value of an expression on the page.
    ///
    /// # Errors
    /// When it throws.
    pub async fn evaluate(&mut self, expression: &str) -> Result<Value> {
        let asked = json!({ "expression": expression, "returnByValue": true, "awaitPromise": true });
        let answer = self.call("Runtime.evaluate", asked).await?;
        match answer.get("exceptionDetails") {
            Some(details) => Err(Error::new(format!("the page threw: {details}"))),
            None => Ok(answer["result"]["value"].clone()),
        }
    }

    /// What is wrong with the page as it is shown now, with all that is folded unfolded.
    ///
    /// # Errors
    /// When it cannot be looked at.
    pub async fn audit(&mut self) -> Result<Audit> {
        let found = self.evaluate(AUDIT).await?;
        serde_json::from_value(found).map_err(|error| Error::new(format!("failed to read the audit: {error}")))
    }

    /// Presses and releases a key, such as `Tab`.
    ///
    /// # Errors
    /// When the page is gone.
    pub async fn press(&mut self, key: &str, code: u32) -> Result<()> {
        for kind in ["keyDown", "keyUp"] {
            let event = json!({ "type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code });
            self.call("Input.dispatchKeyEvent", event).await?;
        }
        Ok(())
    }

    /// A picture of the upper part of the page, as PNG.
    ///
    /// # Errors
    /// When none can be taken.
    pub async fn screenshot(&mut self, width: u32, height: u32) -> Result<Vec<u8>> {
        self.resize(width, height).await?;
        let shot = self.call("Page.captureScreenshot", json!({ "format": "png" })).await?;
        let text = shot["data"].as_str().unwrap_or_default();
        BASE64_STANDARD.decode(text).map_err(|error| Error::new(format!("failed to read the picture: {error}")))
    }

    /// The page on paper, as PDF.
    ///
    /// # Errors
    /// When it cannot be printed.
    pub async fn print(&mut self) -> Result<Vec<u8>> {
        let printed = self.call("Page.printToPDF", json!({ "printBackground": true })).await?;
        let text = printed["data"].as_str().unwrap_or_default();
        BASE64_STANDARD.decode(text).map_err(|error| Error::new(format!("failed to read the paper: {error}")))
    }

    /// What the console got since the page was opened, breaches of its policy included.
    #[must_use]
    pub fn complaints(&self) -> Vec<String> {
        let told =
            ["Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded", "Page.javascriptDialogOpening"];
        let is_told = |event: &&Value| event["method"].as_str().is_some_and(|method| told.contains(&method));
        self.events.iter().filter(is_told).map(ToString::to_string).collect()
    }

    /// Addresses that were asked for since the page was opened.
    #[must_use]
    pub fn requests(&self) -> Vec<String> {
        let sent = self.events.iter().filter(|event| event["method"] == "Network.requestWillBeSent");
        sent.map(|event| event["params"]["request"]["url"].as_str().unwrap_or_default().to_owned()).collect()
    }

    async fn call(&mut self, method: &str, parameters: Value) -> Result<Value> {
        self.last_id += 1;
        let id = self.last_id;
        let mut message = json!({ "id": id, "method": method, "params": parameters });
        if let Some(session) = &self.session {
            message["sessionId"] = session.clone().into();
        }
        let mut bytes = message.to_string().into_bytes();
        bytes.push(0);
        self.to.write_all(&bytes).await.map_err(failed("tell the browser"))?;
        loop {
            let heard = self.hear().await?;
            if heard["id"] == id {
                return match heard.get("error") {
                    Some(error) => Err(Error::new(format!("the browser refuses {method}: {error}"))),
                    None => Ok(heard["result"].clone()),
                };
            }
        }
    }

    /// The next message. Events are kept.
    async fn hear(&mut self) -> Result<Value> {
        let mut bytes = Vec::new();
        let read = tokio::time::timeout(ANSWER_LIMIT, self.from.read_until(0, &mut bytes)).await;
        let count = read.map_err(|_| Error::new("the browser does not answer"))?.map_err(failed("hear the browser"))?;
        if count == 0 {
            return Err(Error::new("the browser has ended"));
        }
        bytes.pop();
        let message: Value = serde_json::from_slice(&bytes)
            .map_err(|error| Error::new(format!("failed to read what the browser says: {error}")))?;
        if message.get("method").is_some() {
            self.events.push(message.clone());
        }
        Ok(message)
    }
}
