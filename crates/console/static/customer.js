// The customer's page: signs the customer's own calls of AWS form, and shows what they answer. The credentials are in
// this page's memory alone; closing or reloading it forgets them.
import { byId, say } from "/static/common.js";
import { credentials, send } from "/static/sigv4.js";

const root = byId("customer");
const region = root.dataset.region;
// This machine's clock may be wrong; signatures need the console's.
const ahead = Date.parse(root.dataset.now) - Date.now();
const now = () => Date.now() + ahead;

const PAGE = 50;
// Pages that are read of what waits, and of what is granted. An account with more is told that it has not seen all.
const OPEN_PAGES_MAX = 60;
const SESSION_PAGES_MAX = 10;
const SHORTER = [["15", "15 minutes"], ["30", "30 minutes"], ["60", "1 hour"], ["120", "2 hours"]];
const REASONS = {
  CUSTOMER_SUPPORT: "You asked for support",
  LEGAL_ORDER: "An order of a court or an authority",
  REVIEW: "A review of security or of what was done",
  SERVICE: "The provider's own operation",
};
const OUTCOMES = {
  PENDING: "waits", GRANTED: "granted", DENIED: "denied", ENDED: "ended", EXPIRED: "expired", WITHDRAWN: "withdrawn",
};
const ENDS = {
  expired: "its time was over", revoked: "the provider revoked it", ticket_closed: "its ticket was closed",
  job_change: "the operator changed jobs", leaver: "the operator has left", suspended: "the operator was suspended",
  lockbox_withdrawn: "you took it back, or your lockbox did", role_disabled: "the support role was disabled",
  policy_changed: "the provider's rules changed",
};

let who = null;
let ends = 0;
let older = null;
// What waits and what is granted, each as { items, whole }: `whole` only if no page is left.
let pending = { items: [], whole: false };
let granted = { items: [], whole: false };
// The pages of all requests that were read for the history.
let past = [];
// The sessions that the trail tells of; `whole` as above, and false if it could not be read.
let sessions = new Map();
let sessionsWhole = false;

// --- Calls -----------------------------------------------------------------------------------------------------

class CallError extends Error {
  constructor(code, message) {
    super(message || code);
    this.code = code;
  }
}

async function json(service, target, body) {
  const fields = { "content-type": "application/x-amz-json-1.1", "x-amz-target": target };
  const reply = await send(who, { service, region, now: now(), fields, body: JSON.stringify(body) });
  const said = await reply.json();
  if (reply.ok) return said;
  throw new CallError((said.__type || "").split("#").pop(), said.message || said.Message);
}

const writ = (operation, body = {}) => json("writ", "Writ_20261101." + operation, body);

async function sts(by, action, more = "") {
  const fields = { "content-type": "application/x-www-form-urlencoded; charset=utf-8" };
  const body = "Action=" + action + "&Version=2011-06-15" + more;
  const reply = await send(by, { service: "sts", region, now: now(), fields, body });
  const xml = new DOMParser().parseFromString(await reply.text(), "text/xml");
  const value = (name) => xml.getElementsByTagName(name)[0]?.textContent ?? "";
  if (!reply.ok) throw new CallError(value("Code"), value("Message"));
  return value;
}

function explain(error) {
  if (!(error instanceof CallError)) return "The console did not answer. Try again.";
  switch (error.code) {
    case "InvalidClientTokenId":
    case "UnrecognizedClientException":
      return "This access key is not known here, or it is inactive.";
    case "SignatureDoesNotMatch":
    case "InvalidSignatureException":
      return "The secret access key does not belong to this access key id.";
    case "ExpiredToken":
    case "ExpiredTokenException":
      return "These credentials have ended. Sign in again.";
    case "AccessDenied":
    case "AccessDeniedException": {
      const action = /perform: (\S+)/.exec(error.message);
      return action ? "Refused: your policies do not allow " + action[1] + "." : "Refused: " + error.message;
    }
    default:
      return "Refused (" + error.code + "): " + error.message;
  }
}

// --- Building the page; text is only ever text -----------------------------------------------------------------

function el(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [attribute, value] of Object.entries(attributes)) element.setAttribute(attribute, value);
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

const code = (text) => el("code", {}, text);

const name = (text) => el("code", { class: "name" }, text);

function time(seconds) {
  const iso = new Date(seconds * 1000).toISOString();
  return el("time", { datetime: iso }, iso.slice(0, 10) + " " + iso.slice(11, 16) + " UTC");
}

// From one time to another; the day stands once where it is one.
function fromTo(from, to) {
  const [begin, end] = [time(from), time(to)];
  if (begin.dateTime.slice(0, 10) === end.dateTime.slice(0, 10)) {
    begin.textContent = begin.textContent.replace(" UTC", "");
    end.textContent = end.textContent.slice(11);
  }
  return [begin, " to ", end];
}

function span(from, to) {
  const minutes = Math.round((to - from) / 60);
  const length = minutes < 60 ? minutes + " min" : Math.floor(minutes / 60) + " h" + (minutes % 60 ? " " + (minutes % 60) + " min" : "");
  return [...fromTo(from, to), el("span", { class: "soft" }, " (" + length + ")")];
}

const row = (name, ...value) => el("div", {}, el("dt", {}, name), el("dd", {}, ...value));

const badge = (state) => el("span", { class: "badge " + state }, state);

function list(items) {
  return el("ul", { class: "plain" }, items.map((item) => el("li", {}, code(item))));
}

function people(one) {
  const count = one.Approvers || 0;
  const own = one.Decision && one.Decision.Decision === "APPROVED";
  const theirs = count === 0 ? "nobody of the provider yet" : count === 1 ? "1 person of the provider" : count + " people of the provider";
  return own ? [theirs, " and you (", code(one.Decision.By.split(":").pop()), ")"] : [theirs];
}

function summary(one) {
  if (one.Scope === "playback") return "the recording of a session on " + (one.Hosts.join(", ") || "a host");
  const shell = one.Rights.includes("shell");
  const files = one.Rights.some((right) => right !== "shell" && !right.startsWith("run "));
  const what = [shell ? "a shell" : one.Rights.some((right) => right.startsWith("run ")) ? "commands" : null, files ? "files" : null];
  return what.filter((part) => part).join(" and ") + " on " + (one.Hosts.join(", ") || "no host with your data");
}

const isLive = (one) => one.State === "GRANTED" && one.NotBefore * 1000 <= now() && now() < one.NotAfter * 1000;

function facts(one) {
  const why = [REASONS[one.ReasonType] || one.ReasonType, ", ticket ", code(one.Ticket)];
  const shown = [
    row("Operator", code(one.Operator)),
    row("Why", ...why),
    row("Hosts that may hold your data", list(one.Hosts)),
    one.Logins.length ? row("Logs in as", one.Logins.map(code)) : null,
    row("May", list(one.Rights)),
    row("Window", ...span(one.NotBefore, one.NotAfter)),
    row("Asked", time(one.RequestDate)),
    row("Approved by", ...people(one)),
  ];
  if (one.Decision) {
    const said = one.Decision;
    shown.push(row("You said", said.Decision.toLowerCase(), " (", code(said.By), ", ", time(said.Date), ")"));
  }
  shown.push(row("Signed request", code(one.RequestDigest)));
  return el("dl", { class: "rows" }, shown);
}

// The sessions of one request, with the head of each recording.
function sessionsOf(one, open) {
  const own = [...sessions.values()].filter((session) => session.request === one.RequestId);
  if (own.length === 0) return el("p", { class: "empty" }, open ? "No session so far." : "None.");
  const items = own.map((session) => {
    const place = code(session.login + "@" + session.host);
    if (!session.ended) return el("li", {}, badge("live"), " ", place, " since ", session.began ? time(session.began) : "earlier");
    const line = [place, " ", ...(session.began ? fromTo(session.began, session.ended) : ["until ", time(session.ended)])];
    const volume = session.in + " bytes to the host, " + session.out + " from it";
    return el("li", {},
      ...line, ": ", session.reason, el("br"), el("span", { class: "soft" }, volume), el("br"),
      el("span", { class: "soft" }, "head of the recording "), el("code", { class: "hash" }, session.head));
  });
  const count = own.length === 1 ? "1 session" : own.length + " sessions";
  const inner = el("ul", { class: "people" }, items);
  const details = el("details", open ? { open: "" } : {}, el("summary", {}, count), inner);
  return details;
}

// --- What the customer does ------------------------------------------------------------------------------------

// Asks once more before what cannot be taken back.
function confirmed(title, text, verb) {
  const dialog = byId("confirm");
  byId("confirm-title").textContent = title;
  byId("confirm-text").textContent = text;
  byId("confirm-yes").textContent = verb;
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
  });
}

// A button that makes a signed call. `label` names it for those who hear the page.
function button(text, kind, label, work) {
  const made = el("button", { type: "button", class: kind, "aria-label": label }, text);
  made.addEventListener("click", async () => {
    made.disabled = true;
    try {
      const said = await work();
      if (said) {
        await load();
        say(byId("done"), "good", said);
        byId("done").focus();
        return;
      }
    } catch (error) {
      say(byId("done"), "bad", explain(error));
      byId("done").focus();
    }
    made.disabled = false;
  });
  return made;
}

const naming = (one) => ({ RequestId: one.RequestId, RequestDigest: one.RequestDigest });

function pendingCard(one) {
  const title = one.Operator + " asks for " + summary(one);
  const select = el("select", { id: "for-" + one.RequestId }, el("option", { value: "" }, "As asked for"));
  const begin = Math.max(one.NotBefore, Math.floor(now() / 1000));
  for (const [minutes, text] of SHORTER) {
    if (begin + minutes * 60 < one.NotAfter) select.append(el("option", { value: minutes }, text + " at most"));
  }
  const approve = button("Approve", "", "Approve: " + title, async () => {
    const start = Math.max(one.NotBefore, Math.floor(now() / 1000));
    const shorter = select.value === "" ? {} : { NotAfter: Math.min(one.NotAfter, start + Number(select.value) * 60) };
    const done = await writ("ApproveOperatorAccess", { ...naming(one), ...shorter });
    return done.OperatorAccess.State === "GRANTED" ? "Approved. The access is granted." : "Approved. Others have still to agree.";
  });
  const refuse = button("Refuse", "danger", "Refuse: " + title, async () => {
    const sure = await confirmed("Refuse this request?", "That is final for this request. Who still needs access asks anew.", "Refuse");
    if (!sure) return null;
    await writ("RefuseOperatorAccess", naming(one));
    return "Refused. Nothing comes of this request.";
  });
  const approved = one.Decision && one.Decision.Decision === "APPROVED";
  const actions = approved
    ? [el("p", { class: "note" }, "You have approved it. It waits for people of the provider."), el("div", { class: "buttons" }, withdraw(one))]
    : [
        el("div", { class: "fields" }, el("div", { class: "field" }, el("label", { for: select.id }, "For how long, if you approve"), select)),
        el("div", { class: "buttons" }, approve, refuse),
      ];
  return el("li", { class: "card" }, el("h3", {}, title), facts(one), ...actions);
}

function withdraw(one) {
  const title = one.Operator + ", " + summary(one);
  return button("End this access now", "danger", "End now: " + title, async () => {
    const sure = await confirmed("End this access now?", "Sessions that rest on it are cut within a second. That is final for this request.", "End it");
    if (!sure) return null;
    // Who was never asked says no; who has agreed takes it back.
    const agreed = one.Decision && one.Decision.Decision === "APPROVED";
    await writ(agreed ? "WithdrawOperatorAccess" : "RefuseOperatorAccess", naming(one));
    return "Ended. Nobody gets in by it any more.";
  });
}

function liveCard(one) {
  const live = isLive(one);
  const title = one.Operator + (live ? " may use " : " may later use ") + summary(one);
  return el("li", { class: live ? "card open" : "card" }, el("h3", {}, title), facts(one),
    el("h4", {}, "Sessions"), sessionsOf(one, true), el("div", { class: "buttons" }, withdraw(one)));
}

const EMPTY = (text) => el("p", { class: "empty" }, text);

function cards(place, items, make, empty) {
  byId(place).replaceChildren(items.length ? el("ul", { class: "cards" }, items.map(make)) : EMPTY(empty));
}

function historyRow(one) {
  const outcome = [badge(OUTCOMES[one.State] || one.State)];
  if (one.EndReason && one.EndReason !== "expired") outcome.push(" ", ENDS[one.EndReason] || one.EndReason, one.EndDate ? [", ", time(one.EndDate)] : "");
  if (one.Decision) outcome.push(el("br"), "you: " + one.Decision.Decision.toLowerCase());
  const rights = el("details", {}, el("summary", {}, "Rights and digest"), list(one.Rights), el("p", {}, "Signed request ", el("code", { class: "hash" }, one.RequestDigest)));
  const granted = one.State === "ENDED" || (one.State === "EXPIRED" && [...sessions.values()].some((s) => s.request === one.RequestId));
  const cells = [
    ["Operator", [name(one.Operator), el("br"), summary(one), rights]],
    ["Why", [REASONS[one.ReasonType] || one.ReasonType, el("br"), name(one.Ticket)]],
    ["Approved by", people(one)],
    ["Window", span(one.NotBefore, one.NotAfter)],
    ["Outcome", outcome.flat()],
    ["Sessions", [granted || one.State === "EXPIRED" ? sessionsOf(one, false) : "–"]],
  ];
  return el("tr", { role: "row" }, cells.map(([column, value]) =>
    el("td", { role: "cell", "data-name": column }, el("div", {}, value))));
}

function showHistory() {
  const over = past.filter((one) => one.State !== "PENDING" && one.State !== "GRANTED");
  const columns = ["Operator", "Why", "Approved by", "Window", "Outcome", "Sessions"];
  const head = el("thead", { role: "rowgroup" }, el("tr", { role: "row" },
    columns.map((column) => el("th", { scope: "col", role: "columnheader" }, column))));
  const body = el("tbody", { role: "rowgroup" }, over.map(historyRow));
  const table = el("table", { role: "table" }, el("caption", {}, "Access that is over, the newest first"), head, body);
  let none = "Nobody of the provider had access to your data so far.";
  if (!isQuiet() || granted.items.length > 0) none = "No access is over yet.";
  if (older !== null) none = "None of the newest requests is over: look at older ones.";
  byId("history").replaceChildren(over.length ? table : EMPTY(none));
  byId("older").hidden = older === null;
}

// A switch: what it is now, and the button that changes it.
function switched(place, { keepsOut, title, text, verb, danger, changed, work }) {
  const state = el("p", { class: "standing " + (keepsOut ? "open" : "locked") }, el("strong", {}, title), " ", text);
  const note = changed.LastModifiedDate
    ? el("p", { class: "hint" }, "Last changed ", time(changed.LastModifiedDate), " by ", code(changed.LastModifiedBy))
    : el("p", { class: "hint" }, "You have never changed it.");
  byId(place).replaceChildren(state, note, el("div", { class: "buttons" }, button(verb, danger ? "danger" : "", verb, work)));
}

const endedNow = (done) => {
  const count = (done.EndedAccess || []).length;
  return count === 0 ? "" : count === 1 ? " One access has ended by it." : " " + count + " accesses have ended by it.";
};

function showLockbox(lockbox) {
  const on = lockbox.Mode !== "OFF";
  switched("lockbox", {
    keepsOut: on, changed: lockbox, danger: on,
    title: on ? "On." : "Off.",
    text: on
      ? "Nobody of the provider gets access that can lead to your data unless you approve it here, besides the people whom the provider's rule asks."
      : "You are told of access to your data, and not asked.",
    verb: on ? "Switch the lockbox off" : "Switch the lockbox on",
    work: async () => {
      if (on) {
        const sure = await confirmed("Switch the lockbox off?", "Operators then get in without your approval. You still see every access.", "Switch it off");
        if (!sure) return null;
      }
      const done = await writ("PutLockbox", { Mode: on ? "OFF" : "STREAMLINED" });
      return (on ? "The lockbox is off." : "The lockbox is on.") + endedNow(done);
    },
  });
}

function showSupport(role) {
  const on = role.Enabled;
  switched("support", {
    keepsOut: !on, changed: role, danger: on,
    title: on ? "Enabled." : "Disabled.",
    text: on
      ? "Operators with an approved request may work where your data can be."
      : "No operator's access that touches your account holds, whoever approved it.",
    verb: on ? "Disable the support role" : "Enable the support role",
    work: async () => {
      if (on) {
        const sure = await confirmed("Disable the support role?", "Live access that touches your account ends at once, and stays ended.", "Disable it");
        if (!sure) return null;
      }
      const done = await writ(on ? "DisableSupportRole" : "EnableSupportRole");
      return (on ? "The support role is disabled." : "The support role is enabled. What has ended stays ended.") + endedNow(done);
    },
  });
  const pretty = (text) => {
    try {
      return JSON.stringify(JSON.parse(text), null, 2);
    } catch (error) {
      return text;
    }
  };
  const policy = el("details", {}, el("summary", {}, "What the role may do"), el("pre", { tabindex: "0", "aria-label": "Policy of the support role" }, pretty(role.PolicyDocument)));
  byId("support").append(policy);
}

// --- Loading ---------------------------------------------------------------------------------------------------

// Sessions are told by the customer's own trail.
async function loadSessions() {
  const found = new Map();
  let next = null;
  for (let page = 0; page < SESSION_PAGES_MAX; page++) {
    const body = { LookupAttributes: [{ AttributeKey: "EventSource", AttributeValue: "bastion.writ.internal" }], MaxResults: PAGE };
    if (next) body.NextToken = next;
    const target = "com.amazonaws.cloudtrail.v20131101.CloudTrail_20131101.LookupEvents";
    const told = await json("cloudtrail", target, body);
    for (const event of told.Events || []) {
      const said = JSON.parse(event.CloudTrailEvent).requestParameters || {};
      if (!said.sessionId) continue;
      const session = found.get(said.sessionId) || { request: said.accessRequestId, login: said.login, host: said.hostName };
      if (event.EventName === "OperatorSessionStarted") session.began = event.EventTime;
      if (event.EventName === "OperatorSessionEnded") {
        Object.assign(session, { ended: event.EventTime, reason: said.reason, head: said.recordingHead, in: said.bytesToHost, out: said.bytesFromHost });
      }
      found.set(said.sessionId, session);
    }
    next = told.NextToken || null;
    if (!next) break;
  }
  return { found, whole: next === null };
}

// Shows a part of the page, or why it cannot be shown; the others go on.
async function part(places, work) {
  try {
    await work();
  } catch (error) {
    for (const place of places) byId(place).replaceChildren(EMPTY("This cannot be shown."));
    byId(places[0]).replaceChildren(el("p", { class: "alert" }, explain(error)));
  }
}

const openSessions = () => [...sessions.values()].filter((session) => !session.ended).length;

// True only if everything was read that could say otherwise. "Nobody" is said then, and never else.
const isQuiet = () =>
  pending.whole && granted.whole && sessionsWhole && !granted.items.some(isLive) && openSessions() === 0;

// What is said of access in the absence of any that was found.
function noAccess() {
  if (isQuiet()) return [el("strong", {}, "Nobody of the provider can get at your data now.")];
  if (!granted.whole || !pending.whole) {
    return [el("strong", {}, "It is not known whether operators can get at your data now."), " There are more requests than this page reads: look with ",
      code("aws writ list-operator-access --state GRANTED"), "."];
  }
  const inside = openSessions();
  if (inside > 0) {
    const count = inside === 1 ? "one session is" : inside + " sessions are";
    return [el("strong", {}, "No access to your data is granted now, but " + count + " not over yet.")];
  }
  return [el("strong", {}, "No access to your data is granted now."), " Not all sessions could be looked at."];
}

// First of all: can anybody get at the customer's data at this moment?
function showStanding() {
  const live = granted.items.filter(isLive);
  const inside = openSessions();
  const waiting = pending.items.length;
  const least = granted.whole ? "" : "At least ";
  const count = least + (live.length === 1 ? (granted.whole ? "One" : "one") + " operator's access" : live.length + " accesses of operators");
  const none = sessionsWhole ? "nobody is logged in" : "no session was found among those that could be looked at";
  const sessionsNow = inside === 0 ? none : inside === 1 ? "one session is running" : inside + " sessions are running";
  const text = live.length === 0 ? noAccess() : [el("strong", {}, count + " can lead to your data now"), "; " + sessionsNow + "."];
  if (waiting > 0) text.push(waiting === 1 ? " One request waits." : " " + waiting + " requests wait.");
  byId("standing").className = "standing " + (isQuiet() ? "over" : "locked");
  byId("standing").replaceChildren(...text);
}

function showAccess() {
  showStanding();
  const more = "There are more requests than this page reads.";
  cards("pending", pending.items, pendingCard, pending.whole ? "Nothing waits for you." : more);
  const none = isQuiet() ? "Nobody of the provider has access to your data now." : "No access is granted now.";
  cards("live", granted.items, liveCard, granted.whole ? none : more);
  showHistory();
}

async function page(token, state) {
  const body = { MaxResults: PAGE };
  if (state) body.State = state;
  if (token) body.NextToken = token;
  const told = await writ("ListOperatorAccess", body);
  return { items: told.OperatorAccess || [], next: told.NextToken || null };
}

// All requests in a state, however many newer ones are over. A page may be empty and still have a next one.
async function all(state) {
  const items = [];
  let next = null;
  for (let count = 0; count < OPEN_PAGES_MAX; count++) {
    const told = await page(next, state);
    items.push(...told.items);
    next = told.next;
    if (next === null) break;
  }
  return { items, whole: next === null };
}

// What waits, what is granted, and the newest page of the history.
async function loadAccess() {
  // In this order: what is granted in between is in the second list, and not in neither.
  const waits = await all("PENDING");
  const holds = await all("GRANTED");
  const newest = await page(null);
  const ids = new Set(holds.items.map((one) => one.RequestId));
  waits.items = waits.items.filter((one) => !ids.has(one.RequestId));
  [pending, granted, past, older] = [waits, holds, newest.items, newest.next];
}

async function load() {
  say(byId("done"), "", "");
  byId("standing").className = "";
  byId("standing").replaceChildren();
  await part(["pending", "live", "history"], async () => {
    await loadAccess();
    let trouble = null;
    try {
      const told = await loadSessions();
      [sessions, sessionsWhole] = [told.found, told.whole];
    } catch (error) {
      trouble = error;
      [sessions, sessionsWhole] = [new Map(), false];
    }
    showAccess();
    byId("sessions-trouble").hidden = trouble === null;
    if (trouble) byId("sessions-trouble").textContent = "Sessions and recordings cannot be shown. " + explain(trouble);
  });
  await part(["lockbox"], async () => showLockbox((await writ("GetLockbox")).Lockbox));
  await part(["support"], async () => showSupport((await writ("GetSupportRole")).SupportRole));
  byId("as-of").replaceChildren("As of ", time(now() / 1000), ".");
}

// --- Signing in and out ----------------------------------------------------------------------------------------

async function enter(id, secret, token) {
  let by = await credentials(id, secret, token);
  ends = 0;
  if (!token) {
    const value = await sts(by, "GetSessionToken", "&DurationSeconds=3600");
    ends = Date.parse(value("Expiration"));
    by = await credentials(value("AccessKeyId"), value("SecretAccessKey"), value("SessionToken"));
  }
  const me = await sts(by, "GetCallerIdentity");
  who = by;
  byId("account").textContent = me("Account");
  byId("arn").textContent = me("Arn");
  byId("ends").replaceChildren(...(ends ? ["until ", time(ends / 1000)] : ["with the temporary credentials that you gave"]));
  byId("sign-in").hidden = true;
  byId("inside").hidden = false;
  document.title = "Operators and account " + me("Account") + " · Writ";
  await load();
  byId("inside-title").focus();
}

function leave() {
  who = null;
  location.reload();
}

byId("enter").addEventListener("submit", async (event) => {
  event.preventDefault();
  const fields = ["key-id", "secret", "token"].map(byId);
  const [id, secret, token] = fields.map((field) => field.value.trim());
  const status = byId("said");
  if (id === "" || secret === "") {
    say(status, "bad", "Fill in the access key id and the secret access key.");
    fields[id === "" ? 0 : 1].focus();
    return;
  }
  byId("go").disabled = true;
  say(status, "", "Signing…");
  // The page's fields forget them at once.
  fields[1].value = "";
  fields[2].value = "";
  try {
    await enter(id, secret, token);
    say(status, "", "");
  } catch (error) {
    who = null;
    say(status, "bad", explain(error));
    fields[1].focus();
  }
  byId("go").disabled = false;
});

byId("leave").addEventListener("click", leave);
byId("refresh").addEventListener("click", async () => {
  await load();
  say(byId("done"), "good", "This is the newest.");
});
byId("older").addEventListener("click", async () => {
  await part(["history"], async () => {
    const told = await page(older);
    [past, older] = [past.concat(told.items), told.next];
    showHistory();
  });
});
byId("confirm").addEventListener("click", (event) => {
  const value = event.target.dataset && event.target.dataset.answer;
  if (value) byId("confirm").close(value);
});
// A page that the browser had put away must not come back with what it held.
window.addEventListener("pageshow", (event) => {
  if (event.persisted) location.reload();
});
setInterval(() => {
  if (who && ends && now() > ends) leave();
}, 10000);
