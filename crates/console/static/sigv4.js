// AWS Signature Version 4 by WebCrypto (AWS General Reference, "Create a signed AWS API request"). The secret becomes a
// key that cannot be read out again; what is signed goes to this page's own console alone.

const TEXT = new TextEncoder();

const hex = (buffer) => [...new Uint8Array(buffer)].map((b) => b.toString(16).padStart(2, "0")).join("");

const sha256 = async (text) => hex(await crypto.subtle.digest("SHA-256", TEXT.encode(text)));

const key = (bytes) =>
  crypto.subtle.importKey("raw", bytes, { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);

const hmac = async (by, text) => crypto.subtle.sign("HMAC", by, TEXT.encode(text));

const next = async (by, text) => key(await hmac(by, text));

// Credentials whose secret nobody reads any more: `{ id, key, token }`.
export async function credentials(id, secret, token) {
  return { id: id, key: await key(TEXT.encode("AWS4" + secret)), token: token || null };
}

// Sends a signed POST to this console: of `service`, in `region`, with these fields and this body.
export async function send(who, { service, region, now, fields, body }) {
  const date = new Date(now).toISOString().replace(/[-:]|\.\d{3}/g, "");
  const all = { ...fields, host: location.host, "x-amz-date": date };
  if (who.token) all["x-amz-security-token"] = who.token;
  const names = Object.keys(all).sort();
  const signed = names.join(";");
  const lines = names.map((name) => name + ":" + all[name].trim() + "\n").join("");
  const canonical = ["POST", "/", "", lines, signed, await sha256(body)].join("\n");
  const scope = [date.slice(0, 8), region, service, "aws4_request"];
  const text = ["AWS4-HMAC-SHA256", date, scope.join("/"), await sha256(canonical)].join("\n");
  let by = who.key;
  for (const part of scope) by = await next(by, part);
  const signature = hex(await hmac(by, text));
  delete all.host;
  all.authorization =
    "AWS4-HMAC-SHA256 Credential=" + who.id + "/" + scope.join("/") +
    ", SignedHeaders=" + signed + ", Signature=" + signature;
  return fetch("/", { method: "POST", headers: all, body: body, credentials: "omit", cache: "no-store" });
}
