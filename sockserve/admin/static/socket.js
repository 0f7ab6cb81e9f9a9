// One named socket on the page. What is there already is changed in place, so that nobody loses the place they are at.

import { Chart } from "./chart.js";
import { ago, bytes, count, duration, make, rate, say } from "./format.js";
import { badFrame, bytesOnLine } from "./hexdump.js";

const template = document.getElementById("socket");
const STATES = { suspend: ["open"], resume: ["suspended", "drained"], drain: ["open", "suspended"] };
const RATES = ["messages_received", "messages_sent", "bytes_received", "bytes_sent"];

const identity = (one) => `${one.worker}/${one.id}`;

function cell(label, ...children) {
  return make("td", { role: "cell", "data-label": label }, ...children);
}

/** Makes children follow a list: new ones are made in their place, and those of items that are gone are removed. */
function follow(parent, items, key, create, change) {
  const known = (parent.known ??= new Map());
  const wanted = new Set(items.map(key));
  for (const [name, child] of known) {
    if (wanted.has(name)) continue;
    if (child.contains(document.activeElement)) {
      child.classList.add("gone");
      continue;
    }
    child.remove();
    known.delete(name);
  }
  let next = parent.firstElementChild;
  for (const item of items) {
    let child = known.get(key(item));
    if (child === undefined) {
      child = create(item);
      known.set(key(item), child);
      parent.insertBefore(child, next);
    } else {
      next = child.nextElementSibling;
    }
    change(child, item);
  }
}

export class Socket {
  /** act: called with a request, and a question and its consequence if that is to be asked first. */
  constructor(name, act) {
    this.name = name;
    this.act = act;
    this.element = template.content.firstElementChild.cloneNode(true);
    const id = `socket-${encodeURIComponent(name)}`;
    this.id = id;
    this.find("h2").id = id;
    this.element.setAttribute("aria-labelledby", id);
    this.find(".connections").setAttribute("aria-label", `Connections of ${name}`);
    this.find(".endings").setAttribute("aria-label", `Connections of ${name} that have ended lately`);
    say(this.find("h2"), name);
    const [messages, traffic] = this.element.querySelectorAll("figure");
    this.charts = [
      new Chart(messages, `Messages a second of ${name}`, rate),
      new Chart(traffic, `Bytes a second of ${name}`, (number) => `${bytes(number)}/s`),
    ];
    for (const button of this.element.querySelectorAll(".actions button")) {
      button.addEventListener("click", () => this.ask(button.dataset.ask));
    }
  }

  find(selector) {
    return this.element.querySelector(selector);
  }

  ask(what) {
    const request = { ask: what, socket: this.name };
    if (what !== "drain") return this.act(request);
    const here = this.last.gauges.connections;
    const consequence =
      `It accepts no more connections, and its ${count(here)} close when they have been sent all that they are owed. ` +
      "It can be resumed after that.";
    return this.act(request, `Drain ${this.name}?`, consequence);
  }

  /** view: that of the socket. now, seconds: the server's time, and the time since the last view; 0: there is none. */
  show(view, now, acts, workers) {
    const { counters, gauges, about } = view;
    const state = this.find(".state");
    say(state, view.state);
    state.dataset.state = view.state;
    this.find(".actions").hidden = !acts;
    for (const button of this.element.querySelectorAll(".actions button")) {
      // A button that was pressed keeps the focus until it is left.
      const possible = STATES[button.dataset.ask].includes(view.state);
      button.hidden = !possible && button !== document.activeElement;
      button.setAttribute("aria-disabled", String(!possible));
    }
    this.describe(about);
    this.tiles(counters, gauges);
    this.rates(counters, now);
    this.connections(view, now, acts, workers);
    this.endings(view, now);
    this.badFrames(view, now);
    this.last = view;
    this.at = now;
  }

  describe(about) {
    const text = JSON.stringify(about);
    if (text === this.about) return;
    this.about = text;
    const places = about.endpoints.map((endpoint, at) => {
      const port = about.addresses[at]?.split(":").at(-1);
      // With port 0, the system has chosen one.
      return port && !endpoint.includes(port) ? `${endpoint} (${about.addresses[at]})` : endpoint;
    });
    const rows = [
      [about.listens ? "listens on" : "connects to", places.join(", ")],
      ["framing", about.framing],
      ["answered by", about.answers],
      ...Object.entries(about.settings),
    ];
    this.find(".about").replaceChildren(
      ...rows.map(([name, value]) => make("div", {}, make("dt", {}, name), make("dd", {}, value))),
    );
    this.find(".settings").replaceChildren(
      ...Object.entries({ ...about.settings, ...about.defaults }).map(([name, value]) =>
        make("div", {}, make("dt", {}, name), make("dd", {}, value)),
      ),
    );
  }

  tiles(counters, gauges) {
    const closed = Object.values(counters.connections_closed).reduce((sum, number) => sum + number, 0);
    const bad = Object.values(counters.bad_frames).reduce((sum, number) => sum + number, 0);
    const rows = [
      ["connections", count(gauges.connections)],
      ["waiting", count(gauges.connections_waiting)],
      ["ended", count(closed)],
      ["messages received", count(counters.messages_received)],
      ["messages sent", count(counters.messages_sent)],
      ["answers under way", count(gauges.pending_answers)],
      ["held", bytes(gauges.held_bytes)],
      ["bad frames", count(bad)],
    ];
    const create = ([name]) => make("div", {}, make("dt", {}, name), make("dd", {}));
    follow(this.find(".tiles"), rows, ([name]) => name, create, (tile, [, text]) => say(tile.lastElementChild, text));
  }

  rates(counters, now) {
    const seconds = now - this.at;
    if (!this.last || seconds <= 0) return;
    const [received, sent, bytesIn, bytesOut] = RATES.map((name) => {
      // A process that was started again counts from zero.
      return Math.max(0, counters[name] - this.last.counters[name]) / seconds;
    });
    this.charts[0].add(received, sent);
    this.charts[1].add(bytesIn, bytesOut);
  }

  connections(view, now, acts, workers) {
    const total = view.gauges.connections + view.gauges.connections_waiting;
    const shown = view.connections.length;
    const title = shown < total ? `The ${count(shown)} newest of ${count(total)} connections` : "Connections";
    say(this.find(".connections-title"), shown || total ? title : "No connections");
    const table = this.find(".connections");
    table.hidden = !shown && !table.contains(document.activeElement);
    table.classList.toggle("several", workers > 1);
    table.classList.toggle("acts", acts);
    follow(table.tBodies[0], view.connections, identity, (one) => this.row(one), (row, one) => this.refresh(row, one, now));
  }

  row(one) {
    const button = make("button", { type: "button", "aria-label": `Close ${one.peer || `connection ${one.id}`}` }, "Close…");
    button.addEventListener("click", () => {
      const request = { ask: "close", socket: this.name, id: one.id, worker: one.worker };
      this.act(request, `Close ${one.peer}?`, "It is sent what it is owed, and its further messages are not read.");
    });
    const peer = make("th", { scope: "row", role: "rowheader" }, make("code", {}, one.peer || "unix:"));
    if (one.tls) peer.append(" ", make("span", { class: "tls" }, one.tls));
    return make(
      "tr",
      { role: "row" },
      peer,
      cell("Age"),
      cell("Worker", String(one.worker)),
      cell("Messages in, out"),
      cell("Bytes in, out"),
      cell("Waits for"),
      // One that waits for its place has no number yet.
      cell("", ...(one.id ? [button] : [])),
    );
  }

  refresh(row, one, now) {
    const [, age, , messages, moved, waits] = row.cells;
    say(age, duration(now - one.since));
    say(messages, `${count(one.messages_received)}, ${count(one.messages_sent)}`);
    say(moved, `${bytes(one.bytes_received)}, ${bytes(one.bytes_sent)}`);
    say(waits, one.queued ? `${one.waits_for}; ${bytes(one.queued)} queued` : one.waits_for);
  }

  endings(view, now) {
    const table = this.find(".endings");
    table.hidden = !view.endings.length;
    this.find(".no-endings").hidden = view.endings.length > 0;
    const create = (one) =>
      make(
        "tr",
        { role: "row" },
        make("th", { scope: "row", role: "rowheader" }, make("code", {}, one.peer || "unix:")),
        cell("Reason", one.reason),
        cell("When"),
        cell("Lasted", duration(one.seconds)),
        cell("Messages in, out", `${count(one.messages_received)}, ${count(one.messages_sent)}`),
      );
    const key = (one) => `${identity(one)}/${one.at}`;
    follow(table.tBodies[0], view.endings.slice(0, 12), key, create, (row, one) => say(row.cells[2], ago(now - one.at)));
  }

  badFrames(view, now) {
    const key = (one) => `${identity(one)}/${one.at}`;
    const list = this.find(".bad-frames");
    const width = bytesOnLine(list);
    if (width !== this.width) {
      this.width = width;
      list.replaceChildren();
      list.known = undefined;
    }
    const create = (one) => badFrame(one, width);
    follow(list, view.bad_frames.slice(0, 5), key, create, (article) => article.refresh(now));
    this.find(".no-bad-frames").hidden = view.bad_frames.length > 0;
  }
}
