// What several pages do: bytes in text, messages, requests to the console, a passkey's signature.

export const byId = (id) => document.getElementById(id);

export const toBytes = (text) =>
  Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (c) => c.charCodeAt(0));

export const toText = (buffer) =>
  btoa(String.fromCharCode(...new Uint8Array(buffer)))
    .replace(/\+/g, "-")
    .replace(/\//g, "_")
    .replace(/=+$/, "");

// Says how it goes; `kind` is "", "good" or "bad".
export function say(element, kind, text) {
  element.className = "status " + kind;
  element.textContent = text;
}

// A refusal of the console, in its words.
export class Refusal extends Error {}

// Asks the console: a POST with `body`, or a GET without.
export async function ask(path, body) {
  const reply = await fetch(path, {
    method: body ? "POST" : "GET",
    headers: body ? { "content-type": "application/json" } : {},
    body: body ? JSON.stringify(body) : undefined,
  });
  const said = await reply.json();
  if (!reply.ok) throw new Refusal(said.message);
  return said;
}

// What the browser's own words do not tell of a signature that was not made.
export function explain(error) {
  if (error instanceof Refusal) return "Refused: " + error.message + ".";
  switch (error.name) {
    case "NotAllowedError":
      return "Nothing was signed: it was cancelled, took too long, or no passkey of this console is on the key. Try again.";
    case "SecurityError":
      return "Nothing was signed: this page is not where the passkey was made for.";
    case "SyntaxError":
    case "TypeError":
      return "The console did not answer. Try again.";
    default:
      return "Nothing was signed (" + error.name + "): " + error.message;
  }
}

// Has a passkey sign `what.sign`, the bytes that the console gave out.
export async function sign(what) {
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
