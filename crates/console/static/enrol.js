// The page of a link to enrol: makes a passkey, collects an SSH key's proof, sends both.
import { byId, say, toBytes, toText } from "/static/common.js";

// What the browser's own words do not tell of a passkey that was not made.
function explain(error) {
  switch (error.name) {
    case "NotAllowedError":
      return "No passkey was made: it was cancelled, took too long, or the authenticator has no PIN or fingerprint set. Try again.";
    case "InvalidStateError":
      return "This authenticator has a passkey of this person already. Use another one.";
    case "ConstraintError":
    case "NotSupportedError":
      return "This authenticator cannot be used: it must verify its user (PIN or fingerprint) and know ES256.";
    default:
      return "No passkey was made (" + error.name + "): " + error.message;
  }
}

function enrol(root) {
  const data = root.dataset;
  const make = byId("make");
  const send = byId("send");
  const signature = byId("signature");
  let passkey = null;

  const ready = () => {
    send.disabled = !passkey && signature.value.trim() === "";
  };

  const create = async () => {
    const status = byId("made");
    make.disabled = true;
    say(status, "", "Follow your browser: touch the key and enter its PIN.");
    try {
      const known = data.known.split(" ").filter((id) => id !== "");
      const credential = await navigator.credentials.create({
        publicKey: {
          challenge: toBytes(data.challenge),
          rp: { id: data.rp, name: "Writ " + data.site },
          user: { id: toBytes(data.user), name: data.person, displayName: data.person },
          pubKeyCredParams: [{ type: "public-key", alg: -7 }],
          excludeCredentials: known.map((id) => ({ type: "public-key", id: toBytes(id) })),
          authenticatorSelection: { userVerification: "required", residentKey: "preferred" },
          attestation: "none",
          timeout: 300000,
        },
      });
      passkey = {
        clientDataJSON: toText(credential.response.clientDataJSON),
        attestationObject: toText(credential.response.attestationObject),
      };
      say(status, "good", "The passkey is made. It is not sent yet.");
      make.textContent = "Create another instead";
    } catch (error) {
      say(status, "bad", explain(error));
    }
    make.disabled = false;
    ready();
  };

  const submit = async () => {
    const status = byId("sent");
    send.disabled = true;
    say(status, "", "Sending…");
    const ssh = signature.value.trim();
    try {
      const reply = await fetch(location.pathname, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ passkey: passkey, ssh: ssh === "" ? null : ssh }),
      });
      if (reply.ok) {
        location.reload();
        return;
      }
      const refused = await reply.json();
      say(status, "bad", "Refused: " + refused.message + ".");
    } catch (error) {
      say(status, "bad", "The console did not answer. Nothing was sent; try again.");
    }
    ready();
  };

  const copy = async () => {
    try {
      await navigator.clipboard.writeText(byId("command").textContent);
      byId("copy").textContent = "Copied";
    } catch (error) {
      byId("copy").textContent = "Select it and copy it by hand";
    }
  };

  if (make) make.addEventListener("click", create);
  byId("copy").addEventListener("click", copy);
  send.addEventListener("click", submit);
  signature.addEventListener("input", ready);
  ready();
}

// Shows that the signatures are there, without a reload by hand.
function wait() {
  const look = async () => {
    try {
      const reply = await fetch(location.pathname + "/state");
      const link = await reply.json();
      if (link.state === "done") {
        location.reload();
        return;
      }
    } catch (error) {
      // The console may be starting again.
    }
    setTimeout(look, 3000);
  };
  setTimeout(look, 3000);
}

const root = byId("enrol");
if (root) enrol(root);
if (byId("waiting")) wait();
