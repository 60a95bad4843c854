// Opens a recording in this browser: asks for its key, sealed to a key made here, verifies the recording, and shows it.
import { ask, byId, explain, Refusal, say, sign, toBytes, toText } from "./common.js";

const utf8 = new TextEncoder();

const join = (...parts) => {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
};

const hexOf = (bytes) => [...bytes].map((b) => b.toString(16).padStart(2, "0")).join("");
const ofHex = (text) => Uint8Array.from(text.match(/../g) || [], (two) => parseInt(two, 16));
const sha256 = async (...parts) => new Uint8Array(await crypto.subtle.digest("SHA-256", join(...parts)));

const tell = (kind, text) => say(byId("play-said"), kind, text);

// HPKE, base mode, one message: DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-256-GCM (RFC 9180).
const KEM = join(utf8.encode("KEM"), new Uint8Array([0, 0x20]));
const SUITE = join(utf8.encode("HPKE"), new Uint8Array([0, 0x20, 0, 1, 0, 2]));

async function hmac(key, ...parts) {
  // A key of no bytes is one of zeros (RFC 5869, section 2.2).
  const raw = key.length === 0 ? new Uint8Array(32) : key;
  const made = await crypto.subtle.importKey("raw", raw, { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
  return new Uint8Array(await crypto.subtle.sign("HMAC", made, join(...parts)));
}

const extract = (suite, salt, label, secret) =>
  hmac(salt, utf8.encode("HPKE-v1"), suite, utf8.encode(label), secret);

const expand = async (suite, prk, label, info, length) =>
  (await hmac(prk, new Uint8Array([0, length]), utf8.encode("HPKE-v1"), suite, utf8.encode(label), info,
    new Uint8Array([1]))).slice(0, length);

async function unseal(pair, publicKey, info, sealed) {
  const enc = sealed.slice(0, 32);
  const theirs = await crypto.subtle.importKey("raw", enc, { name: "X25519" }, false, []);
  const bits = await crypto.subtle.deriveBits({ name: "X25519", public: theirs }, pair.privateKey, 256);
  const none = new Uint8Array(0);
  const prk = await extract(KEM, none, "eae_prk", new Uint8Array(bits));
  const shared = await expand(KEM, prk, "shared_secret", join(enc, publicKey), 32);
  const context = join(
    new Uint8Array([0]),
    await extract(SUITE, none, "psk_id_hash", none),
    await extract(SUITE, none, "info_hash", info),
  );
  const secret = await extract(SUITE, shared, "secret", none);
  const raw = await expand(SUITE, secret, "key", context, 32);
  const iv = await expand(SUITE, secret, "base_nonce", context, 12);
  const key = await crypto.subtle.importKey("raw", raw, "AES-GCM", false, ["decrypt"]);
  return new Uint8Array(await crypto.subtle.decrypt({ name: "AES-GCM", iv: iv }, key, sealed.slice(32)));
}

// Deterministic CBOR, as far as recordings use it: maps become objects by their numbers.
function cbor(bytes) {
  let at = 0;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const count = (low) => {
    if (low < 24) return low;
    const size = { 24: 1, 25: 2, 26: 4, 27: 8 }[low];
    if (!size) throw new Error("an event cannot be read");
    const from = at;
    at += size;
    if (size === 1) return view.getUint8(from);
    if (size === 2) return view.getUint16(from);
    if (size === 4) return view.getUint32(from);
    return Number(view.getBigUint64(from));
  };
  const item = () => {
    const head = view.getUint8(at++);
    const low = head & 31;
    switch (head >> 5) {
      case 0:
        return count(low);
      case 2: {
        const length = count(low);
        at += length;
        return bytes.slice(at - length, at);
      }
      case 3: {
        const length = count(low);
        at += length;
        return new TextDecoder().decode(bytes.slice(at - length, at));
      }
      case 4:
        return Array.from({ length: count(low) }, item);
      case 5: {
        const map = {};
        for (let left = count(low); left > 0; left -= 1) map[item()] = item();
        return map;
      }
      default:
        if (head === 0xf4) return false;
        if (head === 0xf5) return true;
        if (head === 0xf6) return null;
        throw new Error("an event cannot be read");
    }
  };
  return item();
}

const KIND = { data: 1, open: 2, window: 4, exit: 7, sftp: 8, gap: 12, checkpoint: 13, end: 14, truncated: 15 };

// True if keyd has signed the end, and this browser can tell.
async function isSigned(end) {
  let key;
  try {
    key = await crypto.subtle.importKey("raw", ofHex(end.key), { name: "Ed25519" }, false, ["verify"]);
  } catch {
    return false;
  }
  if (await crypto.subtle.verify({ name: "Ed25519" }, key, ofHex(end.signature), ofHex(end.signed))) return true;
  throw new Error("The recording's end is not signed by keyd. It is not shown.");
}

// Verifies the chain frame by frame and opens each; the last frame must be the end that was signed.
async function readRecording(file, key, signed) {
  const changed = () => new Error("The recording was changed, or is cut. It is not shown.");
  const view = new DataView(file.buffer);
  if (hexOf(file.slice(0, 8)) !== hexOf(utf8.encode("WRITREC\0")) || view.getUint16(8) !== 1) throw changed();
  const header = file.slice(14, 14 + view.getUint32(10));
  let at = 14 + header.length;
  let head = await sha256(new Uint8Array([0]), header);
  let ended = false;
  const frames = [];
  for (let seq = 0; at < file.length; seq += 1) {
    const length = at + 4 <= file.length ? view.getUint32(at) : 0;
    const end = at + 4 + length;
    if (ended || length < 54 || end > file.length) throw changed();
    const top = file.slice(at, at + 26);
    const stored = file.slice(at + 26, end - 32);
    head = await sha256(new Uint8Array([1]), head, top, stored);
    if (hexOf(head) !== hexOf(file.slice(end - 32, end)) || view.getBigUint64(at + 4) !== BigInt(seq)) throw changed();
    const frame = {
      ms: Number(view.getBigUint64(at + 12) / 1000000n),
      channel: view.getUint32(at + 20),
      direction: top[24],
      kind: top[25],
    };
    if (frame.kind >= KIND.checkpoint) {
      ended = frame.kind !== KIND.checkpoint;
      if (ended && signed && !signed.endsWith(hexOf(stored))) {
        throw new Error("The recording's end is another than the one that keyd has signed. It is not shown.");
      }
    } else {
      const iv = new Uint8Array(12);
      new DataView(iv.buffer).setBigUint64(4, BigInt(seq));
      const plain = await crypto.subtle.decrypt({ name: "AES-GCM", iv: iv, additionalData: top }, key, stored);
      frame.content = new Uint8Array(plain);
    }
    frames.push(frame);
    at = end;
    if (seq % 200 === 0) tell("", "Verifying and opening: " + Math.floor((100 * at) / file.length) + " %");
  }
  if (!ended) throw changed();
  return frames;
}

// What happened, in words and as what the terminal showed.
function translate(frames) {
  const told = [];
  const shown = [];
  let size = { cols: 80, rows: 24 };
  let channel = null;
  let terminal = false;
  const decoders = {};
  const tellOf = (frame, text) => told.push({ ms: frame.ms, text: text });
  for (const frame of frames) {
    if (frame.kind === KIND.open) {
      const [what, held] = cbor(frame.content);
      if (what === 1) {
        if (!terminal) {
          channel = frame.channel;
          size = { cols: held[2][1], rows: held[2][2] };
        }
        terminal = true;
        tellOf(frame, "Terminal " + held[1] + (held[2][1] > 0 ? " of " + held[2][1] + " by " + held[2][2] : ""));
      } else if (what === 2) tellOf(frame, "Shell");
      else if (what === 3) tellOf(frame, "Command: " + held);
      else if (what === 4) tellOf(frame, "Subsystem: " + held);
      else if (what === 5) tellOf(frame, "Connection to " + held);
      else if (what === 6) tellOf(frame, "Refused: " + held[0] + ": " + held[1]);
      if ((what === 2 || what === 3) && channel === null) channel = frame.channel;
    } else if (frame.kind === KIND.exit) {
      const [what, held] = cbor(frame.content);
      tellOf(frame, what === 0 ? "Ended with status " + held : "Ended by signal " + held);
    } else if (frame.kind === KIND.sftp) {
      const [what, held] = cbor(frame.content);
      if (what === 0 && held[1] !== "read" && held[1] !== "write") tellOf(frame, held[1] + " " + held[2].join(" "));
      else if (what === 1) tellOf(frame, "Refused: " + held[1][1] + " " + held[1][2].join(" ") + ": " + held[2]);
      else if (what === 2) {
        const moved = [];
        if (held[3] > 0) moved.push("put " + held[1] + " (" + held[3] + " bytes)");
        if (held[2] > 0 || held[3] === 0) moved.push("got " + held[1] + " (" + held[2] + " bytes)");
        tellOf(frame, moved.join("; ") + (held[7] ? ", cut off" : ""));
      }
    } else if (frame.kind === KIND.gap) {
      tellOf(frame, "Gap: the host's agent is silent");
    } else if (frame.kind === KIND.window && frame.channel === channel) {
      const held = cbor(frame.content);
      shown.push({ ms: frame.ms, size: { cols: held[1], rows: held[2] } });
    } else if (frame.kind === KIND.data && frame.channel === channel && (frame.direction === 2 || frame.direction === 3)) {
      const decoder = (decoders[frame.direction] = decoders[frame.direction] || new TextDecoder());
      const text = decoder.decode(frame.content, { stream: true });
      if (text !== "") shown.push({ ms: frame.ms, text: text });
    }
  }
  const last = frames.length > 0 ? frames[frames.length - 1].ms : 0;
  return { told: told, shown: shown, size: size, last: last };
}

// A screen of characters, as ECMA-48 and xterm draw on one. What would act outside of it does nothing.
class Screen {
  constructor(size) {
    this.resize(size);
    this.reset();
  }

  // A client that does not know its size says 0.
  resize(size) {
    this.cols = Math.min(size.cols || 80, 500);
    this.rows = Math.min(size.rows || 24, 200);
    if (this.lines) {
      this.lines = this.lines.slice(-this.rows);
      while (this.lines.length < this.rows) this.lines.push([]);
      this.place(this.y, this.x);
      [this.top, this.bottom] = [0, this.rows - 1];
    }
  }

  reset() {
    this.lines = Array.from({ length: this.rows }, () => []);
    [this.x, this.y, this.top, this.bottom] = [0, 0, 0, this.rows - 1];
    this.style = "";
    this.pen = {};
    this.saved = { x: 0, y: 0, pen: {} };
    this.other = null;
    this.state = "ground";
    this.held = "";
    this.cursor = true;
  }

  place(y, x) {
    this.y = Math.min(Math.max(y, 0), this.rows - 1);
    this.x = Math.min(Math.max(x, 0), this.cols - 1);
  }

  write(text) {
    for (const c of text) this.step(c);
  }

  step(c) {
    const code = c.codePointAt(0);
    if (this.state === "text") {
      if (code === 7 || code === 0x9c || code === 0x18 || code === 0x1a) this.state = "ground";
      else if (code === 0x1b) this.state = "text-escape";
    } else if (this.state === "text-escape") {
      this.state = c === "\\" ? "ground" : "text";
    } else if (code === 0x1b) {
      this.state = "escape";
      this.held = "";
    } else if (this.state === "escape") this.escape(c);
    else if (this.state === "charset") this.state = "ground";
    else if (this.state === "csi") {
      if (code >= 0x40 && code <= 0x7e) {
        this.state = "ground";
        this.control(c, this.held);
      } else if (code < 0x20) this.move(code);
      else if (this.held.length < 64) this.held += c;
    } else if (code < 0x20 || (code >= 0x7f && code < 0xa0)) this.move(code);
    else this.draw(c);
  }

  escape(c) {
    this.state = "ground";
    if (c === "[") this.state = "csi";
    else if ("]P_^X".includes(c)) this.state = "text";
    else if ("()*+#% ".includes(c)) this.state = "charset";
    else if (c === "7") this.saved = { x: this.x, y: this.y, pen: { ...this.pen } };
    else if (c === "8") this.restore();
    else if (c === "D") this.down();
    else if (c === "E") {
      this.x = 0;
      this.down();
    } else if (c === "M") this.up();
    else if (c === "c") this.reset();
  }

  restore() {
    this.place(this.saved.y, this.saved.x);
    this.pen = { ...this.saved.pen };
    this.dress();
  }

  move(code) {
    if (code === 8) this.x = Math.max(Math.min(this.x, this.cols - 1) - 1, 0);
    else if (code === 9) this.x = Math.min((Math.floor(this.x / 8) + 1) * 8, this.cols - 1);
    else if (code >= 10 && code <= 12) this.down();
    else if (code === 13) this.x = 0;
  }

  down() {
    if (this.y === this.bottom) {
      this.lines.splice(this.top, 1);
      this.lines.splice(this.bottom, 0, []);
    } else if (this.y < this.rows - 1) this.y += 1;
  }

  up() {
    if (this.y === this.top) {
      this.lines.splice(this.bottom, 1);
      this.lines.splice(this.top, 0, []);
    } else if (this.y > 0) this.y -= 1;
  }

  draw(c) {
    if (this.x >= this.cols) {
      this.x = 0;
      this.down();
    }
    const line = this.lines[this.y];
    while (line.length < this.x) line.push({ c: " ", style: "" });
    line[this.x] = { c: c, style: this.style };
    this.x += 1;
  }

  erase(line, from, to) {
    for (let x = from; x < Math.min(to, line.length); x += 1) line[x] = { c: " ", style: "" };
  }

  control(c, held) {
    if (/[<=>]/.test(held)) return;
    if (held.startsWith("?")) return this.mode(c, held.slice(1));
    const numbers = held.split(";").map((text) => Number(text) || 0);
    const n = Math.max(numbers[0], 1);
    const line = this.lines[this.y];
    switch (c) {
      case "A": return this.place(this.y - n, this.x);
      case "B": case "e": return this.place(this.y + n, this.x);
      case "C": case "a": return this.place(this.y, this.x + n);
      case "D": return this.place(this.y, this.x - n);
      case "E": return this.place(this.y + n, 0);
      case "F": return this.place(this.y - n, 0);
      case "G": case "`": return this.place(this.y, n - 1);
      case "d": return this.place(n - 1, this.x);
      case "H": case "f": return this.place(n - 1, (numbers[1] || 1) - 1);
      case "J": return this.clear(numbers[0]);
      case "K":
        if (numbers[0] === 0) line.length = Math.min(line.length, this.x);
        else this.erase(line, 0, numbers[0] === 1 ? this.x + 1 : line.length);
        return;
      case "L": case "M": {
        if (this.y < this.top || this.y > this.bottom) return;
        for (let left = Math.min(n, this.rows); left > 0; left -= 1) {
          this.lines.splice(c === "L" ? this.bottom : this.y, 1);
          this.lines.splice(c === "L" ? this.y : this.bottom, 0, []);
        }
        return;
      }
      case "P": line.splice(this.x, n); return;
      case "@": line.splice(this.x, 0, ...Array.from({ length: Math.min(n, this.cols) }, () => ({ c: " ", style: "" })));
        line.length = Math.min(line.length, this.cols);
        return;
      case "X": return this.erase(line, this.x, this.x + n);
      case "S": case "T": {
        const y = this.y;
        for (let left = Math.min(n, this.rows); left > 0; left -= 1) {
          this.y = c === "S" ? this.bottom : this.top;
          if (c === "S") this.down();
          else this.up();
        }
        this.y = y;
        return;
      }
      case "m": return this.colour(held.split(/[;:]/).map((text) => Number(text) || 0));
      case "r":
        this.top = Math.min(n, this.rows) - 1;
        this.bottom = Math.max(Math.min(numbers[1] || this.rows, this.rows) - 1, this.top);
        return this.place(0, 0);
      case "s": this.saved = { x: this.x, y: this.y, pen: { ...this.pen } }; return;
      case "u": return this.restore();
      default:
    }
  }

  clear(what) {
    if (what === 0) {
      this.lines[this.y].length = Math.min(this.lines[this.y].length, this.x);
      for (let y = this.y + 1; y < this.rows; y += 1) this.lines[y] = [];
    } else if (what === 1) {
      for (let y = 0; y < this.y; y += 1) this.lines[y] = [];
      this.erase(this.lines[this.y], 0, this.x + 1);
    } else for (let y = 0; y < this.rows; y += 1) this.lines[y] = [];
  }

  mode(c, held) {
    if (held === "25") this.cursor = c === "h";
    else if (held === "1049" || held === "47" || held === "1047") {
      if (c === "h" && this.other === null) {
        this.other = { lines: this.lines, x: this.x, y: this.y };
        this.lines = Array.from({ length: this.rows }, () => []);
      } else if (c === "l" && this.other !== null) {
        this.lines = this.other.lines.slice(-this.rows);
        while (this.lines.length < this.rows) this.lines.push([]);
        this.place(this.other.y, this.other.x);
        this.other = null;
      }
    }
  }

  colour(numbers) {
    for (let at = 0; at < numbers.length; at += 1) {
      const n = numbers[at];
      if (n === 0) this.pen = {};
      else if (n === 1) this.pen.bold = true;
      else if (n === 4) this.pen.line = true;
      else if (n === 7) this.pen.turned = true;
      else if (n === 22) delete this.pen.bold;
      else if (n === 24) delete this.pen.line;
      else if (n === 27) delete this.pen.turned;
      else if (n >= 30 && n <= 37) this.pen.ink = n - 30;
      else if (n >= 90 && n <= 97) this.pen.ink = n - 82;
      else if (n >= 40 && n <= 47) this.pen.ground = n - 40;
      else if (n >= 100 && n <= 107) this.pen.ground = n - 92;
      else if (n === 39) delete this.pen.ink;
      else if (n === 49) delete this.pen.ground;
      else if (n === 38 || n === 48) {
        const five = numbers[at + 1] === 5;
        const near = five ? basic(numbers[at + 2]) : nearest(numbers.slice(at + 2, at + 5));
        this.pen[n === 38 ? "ink" : "ground"] = near;
        at += five ? 2 : 4;
      }
    }
    this.dress();
  }

  dress() {
    const all = [];
    const [ink, ground] = this.pen.turned ? [this.pen.ground, this.pen.ink] : [this.pen.ink, this.pen.ground];
    if (this.pen.turned && ink === undefined && ground === undefined) all.push("t-turned");
    if (ink !== undefined) all.push("t-ink-" + ink);
    if (ground !== undefined) all.push("t-ground-" + ground);
    if (this.pen.bold) all.push("t-bold");
    if (this.pen.line) all.push("t-line");
    this.style = all.join(" ");
  }

  // Into an element: text alone, in runs of one style.
  show(element) {
    const parts = [];
    this.lines.forEach((line, y) => {
      const cells = line.slice(0, this.cols);
      if (this.cursor && y === this.y) {
        const x = Math.min(this.x, this.cols - 1);
        while (cells.length <= x) cells.push({ c: " ", style: "" });
        cells[x] = { c: cells[x].c, style: (cells[x].style + " t-cursor").trim() };
      }
      let run = null;
      for (const cell of cells) {
        const { c, style } = cell || { c: " ", style: "" };
        if (run === null || run.style !== style) {
          run = { style: style, text: "" };
          parts.push(run);
        }
        run.text += c;
      }
      parts.push({ style: "", text: "\n" });
    });
    element.replaceChildren(
      ...parts.map((part) => {
        if (part.style === "") return document.createTextNode(part.text);
        const span = document.createElement("span");
        span.className = part.style;
        span.textContent = part.text;
        return span;
      }),
    );
  }

  text() {
    return this.lines.map((line) => Array.from(line, (cell) => (cell ? cell.c : " ")).join("").trimEnd()).join("\n").trimEnd();
  }
}

// Of 256 colours and of all the sixteen that every page has.
function basic(n) {
  if (n === undefined || n < 16) return n || 0;
  if (n >= 232) return nearest([(n - 232) * 10 + 8, (n - 232) * 10 + 8, (n - 232) * 10 + 8]);
  const cube = n - 16;
  return nearest([Math.floor(cube / 36) * 51, (Math.floor(cube / 6) % 6) * 51, (cube % 6) * 51]);
}

function nearest([r = 0, g = 0, b = 0]) {
  const bright = Math.max(r, g, b);
  if (bright < 48) return 0;
  if (bright - Math.min(r, g, b) < 40) return bright > 200 ? 15 : bright > 120 ? 7 : 8;
  const on = (part) => (part > bright / 2 ? 1 : 0);
  return on(r) + 2 * on(g) + 4 * on(b) + (bright > 200 ? 8 : 0);
}

const clockOf = (ms) => {
  const seconds = Math.floor(ms / 1000);
  return Math.floor(seconds / 60) + ":" + String(seconds % 60).padStart(2, "0");
};

class Player {
  constructor(made) {
    this.shown = made.shown;
    this.size = made.size;
    this.last = made.last;
    this.at = 0;
    this.done = 0;
    this.timer = null;
    this.screen = new Screen(made.size);
    this.pre = byId("screen");
    this.seek(0);
    const place = byId("place");
    place.max = String(Math.max(this.last, 1));
    place.addEventListener("input", () => this.seek(Number(place.value)));
    byId("toggle").addEventListener("click", () => (this.timer ? this.pause() : this.play()));
    byId("restart").addEventListener("click", () => this.seek(0));
    this.tick();
  }

  // Applies what there is up to a moment; backwards from the beginning.
  seek(ms) {
    if (ms < this.at) {
      this.screen = new Screen(this.size);
      this.done = 0;
    }
    this.at = Math.min(ms, this.last);
    while (this.done < this.shown.length && this.shown[this.done].ms <= this.at) {
      const event = this.shown[this.done];
      if (event.size) this.screen.resize(event.size);
      else this.screen.write(event.text);
      this.done += 1;
    }
    this.tick();
  }

  tick() {
    this.screen.show(this.pre);
    const place = byId("place");
    place.value = String(this.at);
    const spoken = clockOf(this.at) + " of " + clockOf(this.last);
    place.setAttribute("aria-valuetext", spoken);
    byId("clock").textContent = spoken;
  }

  play() {
    if (this.at >= this.last) this.seek(0);
    byId("toggle").textContent = "Pause";
    let before = performance.now();
    this.timer = setInterval(() => {
      const now = performance.now();
      let next = this.at + (now - before) * Number(byId("speed").value);
      before = now;
      const event = this.shown[this.done];
      // A long pause is none.
      if (byId("skip").checked && event && event.ms - this.at > 2000) next = Math.max(next, event.ms - 2000);
      this.seek(next);
      if (this.at >= this.last) this.pause();
    }, 50);
  }

  pause() {
    clearInterval(this.timer);
    this.timer = null;
    byId("toggle").textContent = "Play";
  }
}

function list(told) {
  const items = told.map((line) => {
    const item = document.createElement("li");
    const time = document.createElement("span");
    time.className = "soft";
    time.textContent = clockOf(line.ms) + " ";
    item.append(time, line.text);
    return item;
  });
  byId("told").replaceChildren(...items);
}

// All that was shown, without what only draws: for those who read or hear it.
function transcript(made) {
  const screen = new Screen({ cols: made.size.cols, rows: 200 });
  const pages = [];
  for (const event of made.shown) {
    if (!event.text) continue;
    screen.write(event.text);
    if (screen.y > 150) {
      pages.push(screen.text());
      screen.reset();
    }
  }
  pages.push(screen.text());
  return pages.join("\n");
}

async function fetchAll(path, token, total) {
  const parts = [];
  let at = 0;
  while (at < total) {
    const reply = await fetch(path + "?from=" + at, { headers: { authorization: "Writ-Reading " + token } });
    if (!reply.ok) throw new Error("The recording could not be fetched: " + (await reply.json()).message + ".");
    const part = new Uint8Array(await reply.arrayBuffer());
    if (part.length === 0) throw new Error("The recording is shorter than it was.");
    parts.push(part);
    at += part.length;
  }
  return join(...parts);
}

async function openRecording(button) {
  const session = button.dataset.session;
  const path = "/sessions/" + session;
  button.disabled = true;
  try {
    tell("", "Making a key in this browser…");
    const pair = await crypto.subtle.generateKey({ name: "X25519" }, false, ["deriveBits"]);
    const publicKey = new Uint8Array(await crypto.subtle.exportKey("raw", pair.publicKey));
    const what = await ask(path + "/statement", { recipient: toText(publicKey) });
    tell("", "Touch the key and enter its PIN. Code of what you sign: " + what.code);
    const passkey = await sign(what);
    const opened = await ask(path + "/open", { statement: what.statement, passkey: passkey });
    const said = await sha256(utf8.encode("playback@writ\0"), toBytes(what.statement));
    const info = join(utf8.encode("writ-playback-v1\0"), said);
    const raw = await unseal(pair, publicKey, info, toBytes(opened.sealed));
    const key = await crypto.subtle.importKey("raw", raw, "AES-GCM", false, ["decrypt"]);
    tell("", "Fetching the recording…");
    const file = await fetchAll("/writ/v1" + path + "/recording", opened.token, opened.bytes);
    const signed = opened.end ? await isSigned(opened.end) : false;
    const frames = await readRecording(file, key, opened.end ? opened.end.signed : "");
    const made = translate(frames);
    list(made.told);
    byId("opened").hidden = false;
    byId("closed").hidden = true;
    if (made.shown.length > 0) {
      byId("transcript").textContent = transcript(made);
      new Player(made);
    } else byId("player").hidden = true;
    const by = signed ? "the chain, and the end that keyd signed." : "the chain. That keyd signed its end, `writ play` can tell.";
    tell("good", frames.length + " frames, verified: " + by);
    byId(made.shown.length > 0 ? "toggle" : "told").focus();
  } catch (error) {
    tell("bad", error.name === "Error" && !(error instanceof Refusal) ? error.message : explain(error));
    button.disabled = false;
    button.focus();
  }
}

const opener = byId("open-recording");
if (opener) {
  if (window.crypto && crypto.subtle) opener.addEventListener("click", () => openRecording(opener));
  else tell("bad", "This browser has no keys of its own at this address: use writ play.");
}
