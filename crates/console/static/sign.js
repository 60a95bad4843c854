// Signing in, and signing what changes something. The bytes that the passkey signs come from the console as they are.
import { ask, byId, explain, say, sign } from "/static/common.js";

const TOUCH = "Touch the key and enter its PIN";

// Runs `work` at a press of `button`; the page's messages go to `status`, and while it runs all of `buttons` rest.
function at(button, status, work, buttons = [button]) {
  button.addEventListener("click", async () => {
    buttons.forEach((one) => (one.disabled = true));
    try {
      await work();
    } catch (error) {
      say(status, "bad", explain(error));
      buttons.forEach((one) => (one.disabled = false));
      button.focus();
    }
  });
}

function signIn(button) {
  const status = byId("said");
  at(button, status, async () => {
    say(status, "", "Follow your browser: touch the key and enter its PIN.");
    const what = await ask("/sign-in");
    const passkey = await sign(what);
    await ask("/sign-in", { challenge: what.challenge, passkey: passkey });
    location.assign(location.pathname === "/sign-in" ? "/" : location.pathname);
  });
}

function decide(form) {
  const status = byId("said");
  const buttons = [...form.querySelectorAll("button[data-decision]")];
  const path = "/requests/" + form.dataset.request;
  form.addEventListener("submit", (event) => event.preventDefault());
  buttons.forEach((button) => {
    const decision = button.dataset.decision;
    const work = async () => {
      say(status, "", "Asking for what is to be signed…");
      const minutes = decision === "approve" ? byId("minutes").value : "";
      const what = await ask(path + "/statement", {
        decision: decision,
        slot: byId("slot").value,
        minutes: minutes === "" ? null : Number(minutes),
      });
      say(status, "", TOUCH + " to " + decision + ". Code of what you sign: " + what.code);
      const passkey = await sign(what);
      const done = await ask(path + "/decision", { statement: what.statement, passkey: passkey });
      say(status, "good", "Taken. The request is " + done.state + ".");
      location.assign(path);
    };
    at(button, status, work, buttons);
  });
}

// A call that is no statement: to withdraw, to revoke, to open or close a ticket. The passkey signs the whole call.
function call(form) {
  const status = form.querySelector(".status");
  const button = form.querySelector("button");
  const field = (name) => (form.elements[name] ? form.elements[name].value.trim() : undefined);
  // Return in a field presses the button; the press is what works.
  form.addEventListener("submit", (event) => event.preventDefault());
  at(button, status, async () => {
    const empty = [...form.querySelectorAll("input[required]")].find((input) => input.value.trim() === "");
    if (empty) {
      say(status, "bad", "Fill in: " + empty.labels[0].textContent.trim() + ".");
      button.disabled = false;
      empty.focus();
      return;
    }
    say(status, "", "Asking for what is to be signed…");
    const wanted = { act: form.dataset.act, id: form.dataset.id || field("id"), title: field("title") };
    const what = await ask("/call/message", wanted);
    say(status, "", TOUCH + " to " + what.does + ".");
    const passkey = await sign(what);
    const done = await ask("/call", { ...wanted, date: what.date, passkey: passkey });
    say(status, "good", done.said);
    location.reload();
  });
}

const go = byId("go");
if (go) signIn(go);
const form = byId("decide");
if (form) decide(form);
document.querySelectorAll("form.call").forEach(call);
