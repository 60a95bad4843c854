// The form of a request: checked first, then signed as it was shown.
import { ask, byId, explain, say, sign } from "/static/common.js";

const form = byId("ask");
const lines = (id) => (byId(id) ? byId(id).value.split("\n") : []);

function wanted() {
  return {
    group: form.dataset.group,
    hosts: [...form.querySelectorAll("input[name=host]:checked")].map((box) => box.value),
    login: byId("login").value,
    shell: byId("shell") ? byId("shell").checked : false,
    commands: lines("commands"),
    files: lines("files"),
    ticket: byId("ticket").value,
    basis: byId("basis").value,
    account: byId("account").value,
    reason: byId("reason").value,
    start: byId("start").value,
    minutes: Number(byId("minutes").value),
  };
}

async function check() {
  const status = byId("said");
  const button = byId("check");
  button.disabled = true;
  say(status, "", "Checking…");
  byId("draft").replaceChildren();
  try {
    const what = await ask("/requests/check", wanted());
    // The console has escaped every text in it.
    byId("draft").innerHTML = what.html;
    say(status, "good", "It can be filed. See below what would come of it.");
    signing(what);
    byId("draft").focus();
  } catch (error) {
    say(status, "bad", explain(error));
    button.focus();
  }
  button.disabled = false;
}

function signing(what) {
  const filing = byId("file");
  const button = filing.querySelector("button");
  const status = filing.querySelector(".status");
  filing.addEventListener("submit", (event) => event.preventDefault());
  button.addEventListener("click", async () => {
    button.disabled = true;
    say(status, "", "Touch the key and enter its PIN. Code of what you sign: " + what.code);
    try {
      const passkey = await sign(what);
      const filed = await ask("/requests/file", { statement: what.statement, passkey: passkey });
      say(status, "good", "Filed.");
      location.assign("/requests/" + filed.id);
    } catch (error) {
      say(status, "bad", explain(error));
      button.disabled = false;
      button.focus();
    }
  });
}

// What was checked is what is signed: a change makes it void.
form.addEventListener("input", () => {
  byId("draft").replaceChildren();
  say(byId("said"), "", "");
});
form.addEventListener("submit", (event) => event.preventDefault());
byId("check").addEventListener("click", check);
