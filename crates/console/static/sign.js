// Signing in, and signing a decision. The bytes that the passkey signs come from the console as they are.
"use strict";

const byId = (id) => document.getElementById(id);

const toBytes = (text) =>
  Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (c) => c.charCodeAt(0));

const toText = (buffer) =>
  btoa(String.fromCharCode(...new Uint8Array(buffer)))
    .replace(/\+/g, "-")
    .replace(/\//g, "_")
    .replace(/=+$/, "");

function say(kind, text) {
  const status = byId("said");
  status.className = "status " + kind;
  status.textContent = text;
}

// What the browser's own words do not tell.
function explain(error) {
  if (error.refused) return "Refused: " + error.message + ".";
  switch (error.name) {
    case "NotAllowedError":
      return "Nothing was signed: it was cancelled, took too long, or no passkey of this console is on the key. Try again.";
    case "SecurityError":
      return "Nothing was signed: this page is not where the passkey was made for.";
    case "TypeError":
      return "The console did not answer. Try again.";
    default:
      return "Nothing was signed (" + error.name + "): " + error.message;
  }
}

async function ask(path, body) {
  const reply = await fetch(path, {
    method: body ? "POST" : "GET",
    headers: body ? { "content-type": "application/json" } : {},
    body: body ? JSON.stringify(body) : undefined,
  });
  const said = await reply.json();
  if (!reply.ok) {
    const error = new Error(said.message);
    error.refused = true;
    throw error;
  }
  return said;
}

async function sign(what) {
  const credential = await navigator.credentials.get({
    publicKey: {
      challenge: toBytes(what.sign),
      rpId: what.rpId,
      allowCredentials: (what.passkeys || []).map((id) => ({ type: "public-key", id: toBytes(id) })),
      userVerification: "required",
      timeout: 240000,
    },
  });
  return {
    credentialId: toText(credential.rawId),
    clientDataJSON: toText(credential.response.clientDataJSON),
    authenticatorData: toText(credential.response.authenticatorData),
    signature: toText(credential.response.signature),
  };
}

function signIn(button) {
  button.addEventListener("click", async () => {
    button.disabled = true;
    say("", "Follow your browser: touch the key and enter its PIN.");
    try {
      const what = await ask("/sign-in");
      const passkey = await sign(what);
      await ask("/sign-in", { challenge: what.challenge, passkey: passkey });
      location.assign(location.pathname === "/sign-in" ? "/" : location.pathname);
    } catch (error) {
      say("bad", explain(error));
      button.disabled = false;
      button.focus();
    }
  });
}

function decide(form) {
  const buttons = [...form.querySelectorAll("button[data-decision]")];
  const path = "/requests/" + form.dataset.request;
  const able = (yes) => buttons.forEach((button) => (button.disabled = !yes));
  const submit = async (button) => {
    const decision = button.dataset.decision;
    able(false);
    say("", "Asking for what is to be signed…");
    try {
      const minutes = decision === "approve" ? byId("minutes").value : "";
      const what = await ask(path + "/statement", {
        decision: decision,
        slot: byId("slot").value,
        minutes: minutes === "" ? null : Number(minutes),
      });
      say("", "Touch the key and enter its PIN to " + decision + ". Code of what you sign: " + what.code);
      const passkey = await sign(what);
      const done = await ask(path + "/decision", { statement: what.statement, passkey: passkey });
      say("good", "Taken. The request is " + done.state + ".");
      location.assign(path);
    } catch (error) {
      say("bad", explain(error));
      able(true);
      button.focus();
    }
  };
  form.addEventListener("submit", (event) => event.preventDefault());
  buttons.forEach((button) => button.addEventListener("click", () => submit(button)));
}

const go = byId("go");
if (go) signIn(go);
const form = byId("decide");
if (form) decide(form);
