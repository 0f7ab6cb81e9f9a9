// Asks for what the page shows every second or two, and does what its buttons say.

import { bytes, count, make, say } from "./format.js";
import { Socket } from "./socket.js";

const PERIOD = 1500;

const at = (id) => document.getElementById(id);
const sockets = new Map();
let token = "";
let paused = false;
let timer = 0;
let lost = false;

function tell(text, serious = false) {
  say(at("status"), text);
  at("status").classList.toggle("serious", serious);
}

function headers(more = {}) {
  return token ? { Authorization: `Bearer ${token}`, ...more } : more;
}

async function poll() {
  clearTimeout(timer);
  try {
    const response = await fetch("view.json", { headers: headers(), cache: "no-store" });
    if (response.status === 401) {
      askForToken("The token is needed to read, too.");
      return;
    }
    if (!response.ok) throw new Error(`${response.status}`);
    show(await response.json());
    if (lost) tell("The server answers again.");
    lost = false;
  } catch (error) {
    if (!lost) tell(`The server does not answer; trying again. (${error.message})`, true);
    lost = true;
  }
  schedule();
}

function schedule() {
  clearTimeout(timer);
  if (!paused && !document.hidden) timer = setTimeout(poll, PERIOD);
}

function show(view) {
  const { gauges, counters } = view.process;
  say(at("version"), view.version);
  const workers = gauges.workers > 1 ? `${count(gauges.workers)} workers, ${count(counters.worker_restarts)} restarts, ` : "";
  say(at("program"), `${workers}memory budget ${bytes(gauges.memory_budget_bytes)}`);
  at("token-form").hidden = !view.acts || Boolean(token);
  say(at("access"), !view.acts ? "Read-only: admin_token_file is not set." : token ? "Actions are allowed." : "");
  for (const [name, socket] of Object.entries(view.sockets)) {
    // One that is gone has left its counters only.
    if (!socket.about) continue;
    if (!sockets.has(name)) add(name);
    sockets.get(name).show(socket, view.now, view.acts, gauges.workers);
  }
  for (const [name, socket] of sockets) {
    if (view.sockets[name]?.about) continue;
    socket.element.remove();
    socket.link.remove();
    sockets.delete(name);
  }
  document.querySelector("nav").hidden = sockets.size < 2;
}

function add(name) {
  const socket = new Socket(name, act);
  socket.link = make("li", {}, make("a", { href: `#${socket.id}` }, name));
  at("links").append(socket.link);
  at("sockets").append(socket.element);
  sockets.set(name, socket);
}

function askForToken(why) {
  token = "";
  at("token-form").hidden = false;
  say(at("access"), "");
  tell(why, true);
  at("token").focus();
}

async function act(request, question = "", consequence = "") {
  if (!token) {
    askForToken("Enter the token first: it is in the file that admin_token_file names.");
    return;
  }
  if (question && !(await sure(question, consequence, request.ask))) return;
  try {
    const response = await fetch("act", {
      method: "POST",
      headers: headers({ "Content-Type": "application/json" }),
      body: JSON.stringify(request),
    });
    if (response.status === 401) {
      askForToken("The token is wrong.");
      return;
    }
    const text = await response.text();
    const answer = text.startsWith("{") ? JSON.parse(text) : { error: text };
    tell(answer.done ? `${answer.done}.` : answer.error, !answer.done);
  } catch (error) {
    tell(`The server does not answer. (${error.message})`, true);
  }
  await poll();
}

/** Whether the person means it. */
function sure(question, consequence, what) {
  const dialog = at("ask");
  say(at("question"), question);
  say(at("consequence"), consequence);
  say(at("yes"), what === "drain" ? "Drain" : "Close");
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
  });
}

at("token-form").addEventListener("submit", (event) => {
  event.preventDefault();
  token = at("token").value.trim();
  at("token").value = "";
  if (!token) return;
  tell("The token is kept until this page is left.");
  at("pause").focus();
  poll();
});

at("pause").addEventListener("click", () => {
  paused = !paused;
  at("pause").setAttribute("aria-pressed", String(paused));
  if (!paused) poll();
});

document.addEventListener("visibilitychange", () => (document.hidden || paused ? clearTimeout(timer) : poll()));

poll();
