//! Chromium with a virtual authenticator, driven over its debugging pipe (Chrome DevTools Protocol).
//!
//! Messages are JSON that ends with a zero byte. Chromium reads them from descriptor 3 and writes them to
//! descriptor 4, which a shell makes of its own input and output. `WRIT_SHOTS` names a folder for pictures, `WRIT_AXE`
//! the file `axe.min.js` of axe-core, with which every page that is looked at is judged, too.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::wait::{PATIENCE, within};

const START: &str = "exec chromium --headless=new --disable-gpu --disable-dev-shm-usage --no-first-run \
    --remote-debugging-pipe \"$@\" about:blank 3<&0 4>&1 0</dev/null 1>&2";

/// A browser with one page and one security key. Dropping it ends it.
pub struct Browser {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
    calls: u64,
    session: Option<String>,
    authenticator: String,
}

impl Browser {
    /// Starts one with its files below `home`.
    pub fn start(home: &Path) -> Browser {
        let log = File::create(home.join("chromium.log")).unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", START, "sh"]);
        command.arg(format!("--user-data-dir={}", home.join("chromium").display()));
        if rustix::process::geteuid().is_root() {
            command.arg("--no-sandbox");
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log);
        let mut child = command.spawn().expect("sh");
        let (to, from) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let from = BufReader::new(from);
        let (session, authenticator) = (None, String::new());
        let mut browser = Browser { child, to, from, calls: 0, session, authenticator };
        let target = browser.call("Target.createTarget", &json!({ "url": "about:blank" }));
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        let session = browser.call("Target.attachToTarget", &attach);
        browser.session = session["sessionId"].as_str().map(str::to_owned);
        for domain in ["Page.enable", "Runtime.enable", "WebAuthn.enable"] {
            browser.call(domain, &json!({}));
        }
        browser.authenticator(true);
        browser
    }

    /// Puts another security key in: one that can verify its user, or one that cannot.
    pub fn authenticator(&mut self, verifies: bool) {
        if !self.authenticator.is_empty() {
            let old = json!({ "authenticatorId": self.authenticator });
            self.call("WebAuthn.removeVirtualAuthenticator", &old);
        }
        let options = json!({ "options": {
            "protocol": "ctap2",
            "transport": "usb",
            "hasResidentKey": true,
            "hasUserVerification": verifies,
            "isUserVerified": verifies,
            "automaticPresenceSimulation": true,
        }});
        let added = self.call("WebAuthn.addVirtualAuthenticator", &options);
        self.authenticator = added["authenticatorId"].as_str().unwrap().to_owned();
    }

    /// Says whether the security key verifies its user from now on.
    pub fn verifies_user(&mut self, verifies: bool) {
        let id = self.authenticator.clone();
        let what = json!({ "authenticatorId": id, "isUserVerified": verifies });
        self.call("WebAuthn.setUserVerified", &what);
    }

    /// Opens a page.
    pub fn go(&mut self, url: &str) {
        self.call("Page.navigate", &json!({ "url": url }));
        self.until("document.readyState === 'complete' && location.href !== 'about:blank'");
    }

    /// What an expression of the page gives, once its promise is kept.
    pub fn eval(&mut self, expression: &str) -> Value {
        let what = json!({
            "expression": expression,
            "awaitPromise": true,
            "returnByValue": true,
            "userGesture": true,
        });
        let result = self.call("Runtime.evaluate", &what);
        assert!(result["exceptionDetails"].is_null(), "{expression}: {result}");
        result["result"]["value"].clone()
    }

    /// The same of what only looks: it is asked again of the page that comes, if this one is being replaced.
    #[track_caller]
    fn read(&mut self, expression: &str) -> Value {
        let what = json!({ "expression": expression, "awaitPromise": true, "returnByValue": true });
        let read = within(PATIENCE, || {
            let reply = self.asked("Runtime.evaluate", &what);
            let fails = !reply["error"].is_null() || !reply["result"]["exceptionDetails"].is_null();
            (!fails).then(|| reply["result"]["result"]["value"].clone())
        });
        read.unwrap_or_else(|| {
            panic!("no page answers: {}", expression.get(..80).unwrap_or(expression))
        })
    }

    /// Waits until an expression is true.
    #[track_caller]
    pub fn until(&mut self, expression: &str) {
        // A page that is being replaced answers nothing.
        let kept =
            format!("(() => {{ try {{ return {expression}; }} catch (e) {{ return false; }} }})()");
        let what = json!({ "expression": kept, "awaitPromise": true, "returnByValue": true });
        let fits = within(PATIENCE, || {
            let said = self.asked("Runtime.evaluate", &what);
            (said["result"]["result"]["value"] == Value::Bool(true)).then_some(())
        });
        assert!(fits.is_some(), "not so: {expression}\n{}", self.text());
    }

    /// Presses a button.
    pub fn click(&mut self, id: &str) {
        self.eval(&format!("document.getElementById('{id}').click()"));
    }

    /// The cookies of the page, as a request carries them.
    pub fn cookie(&mut self) -> String {
        let all = self.call("Network.getCookies", &json!({}));
        let one = |cookie: &Value| {
            format!("{}={}", cookie["name"].as_str().unwrap(), cookie["value"].as_str().unwrap())
        };
        let all: Vec<String> = all["cookies"].as_array().unwrap().iter().map(one).collect();
        all.join("; ")
    }

    /// What somebody sees.
    pub fn text(&mut self) -> String {
        self.read("document.body.innerText").as_str().unwrap_or_default().to_owned()
    }

    /// Checks that the page fits a telephone and a desk, and takes pictures where they are wanted.
    #[track_caller]
    pub fn look(&mut self, name: &str) {
        for (width, scheme) in [(390, "light"), (1280, "light"), (1280, "dark")] {
            let size = json!({ "width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600 });
            self.call("Emulation.setDeviceMetricsOverride", &size);
            let media =
                json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
            self.call("Emulation.setEmulatedMedia", &media);
            let needed = self.read("document.documentElement.scrollWidth");
            assert!(needed.as_u64() <= Some(width), "{name} needs {needed} of {width} pixels");
            self.judge(name);
            let Some(folder) = std::env::var_os("WRIT_SHOTS") else { continue };
            let what = json!({ "format": "png", "captureBeyondViewport": true });
            let picture = self.call("Page.captureScreenshot", &what);
            let picture = STANDARD.decode(picture["data"].as_str().unwrap()).unwrap();
            let file = Path::new(&folder).join(format!("{name}-{width}-{scheme}.png"));
            fs::write(file, picture).unwrap();
        }
    }

    /// Has axe-core judge the page as it is, where there is one.
    #[track_caller]
    fn judge(&mut self, name: &str) {
        let Some(file) = std::env::var_os("WRIT_AXE") else { return };
        let axe = fs::read_to_string(file).expect("WRIT_AXE");
        let found = self.read(&format!(
            "{axe}; axe.run().then((found) => found.violations.map((one) => one.id + ': ' + \
             one.nodes.map((node) => node.html).join(' | ')))",
        ));
        assert_eq!(found, json!([]), "{name}");
    }

    /// Types text into what has the focus.
    pub fn types(&mut self, text: &str) {
        self.call("Input.insertText", &json!({ "text": text }));
    }

    /// Goes through the page with the tabulator alone; what cannot be reached so, or not seen when it is.
    pub fn unreached(&mut self) -> String {
        let all = self.eval(
            "(() => {
                const all = 'a[href], button, input, select, textarea, summary, [tabindex=\"0\"]';
                window.stops = [...document.querySelectorAll(all)].filter((e) => !e.disabled && e.type !== 'hidden' &&
                    e.checkVisibility({ visibilityProperty: true }));
                window.reached = new Set();
                document.activeElement.blur();
                return window.stops.length;
            })()",
        );
        // A field for a time has several stops within.
        for _ in 0..all.as_u64().unwrap() * 2 + 8 {
            self.press("Tab");
            self.eval(
                "(() => {
                    const at = document.activeElement;
                    const seen = getComputedStyle(at).outlineStyle !== 'none' && at.getBoundingClientRect().width > 0;
                    if (seen) window.reached.add(at);
                })()",
            );
        }
        let left = self.eval(
            "window.stops.filter((e) => !window.reached.has(e)).map((e) => e.outerHTML).join(' | ')",
        );
        left.as_str().unwrap_or_default().to_owned()
    }

    /// Presses a key of the keyboard, as somebody without a mouse does.
    pub fn press(&mut self, key: &str) {
        let text = if key == "Enter" { "\r" } else { "" };
        for kind in ["keyDown", "keyUp"] {
            let mut what = json!({ "type": kind, "key": key, "code": key, "text": text });
            what["windowsVirtualKeyCode"] = json!(match key {
                "Enter" => 13,
                "Tab" => 9,
                _ => 27,
            });
            self.call("Input.dispatchKeyEvent", &what);
        }
    }

    #[track_caller]
    fn call(&mut self, method: &str, params: &Value) -> Value {
        let reply = self.asked(method, params);
        assert!(reply["error"].is_null(), "{method}: {reply}");
        reply["result"].clone()
    }

    /// The whole reply to a command, which may be an error: of a page that is being replaced it is one.
    #[track_caller]
    fn asked(&mut self, method: &str, params: &Value) -> Value {
        self.calls += 1;
        let mut message = json!({ "id": self.calls, "method": method, "params": params });
        if let Some(session) = &self.session {
            message["sessionId"] = json!(session);
        }
        self.to.write_all(message.to_string().as_bytes()).unwrap();
        self.to.write_all(&[0]).unwrap();
        self.to.flush().unwrap();
        loop {
            let mut bytes = Vec::new();
            self.from.read_until(0, &mut bytes).unwrap();
            assert!(bytes.pop() == Some(0), "chromium has ended at {method}; see chromium.log");
            let reply: Value = serde_json::from_slice(&bytes).unwrap();
            if reply["id"] == json!(self.calls) {
                return reply;
            }
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
