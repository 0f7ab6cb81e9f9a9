// A small chart of two series over the last minutes. What it shows is also said: in its label, and in numbers below it.

import { make, say } from "./format.js";

const SVG = "http://www.w3.org/2000/svg";
const POINTS = 90;
const WIDTH = 300;
const HEIGHT = 64;

function draw(name, attributes) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
}

export class Chart {
  /** figure: where it stands. what: names it. written: a rate in words. */
  constructor(figure, what, written) {
    this.what = what;
    this.written = written;
    this.series = { received: [], sent: [] };
    this.svg = draw("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img" });
    this.svg.append(draw("line", { class: "base", x1: 0, x2: WIDTH, y1: HEIGHT - 1, y2: HEIGHT - 1 }));
    this.area = this.svg.appendChild(draw("path", { class: "area" }));
    this.lines = {};
    for (const name of ["received", "sent"]) {
      this.lines[name] = this.svg.appendChild(draw("path", { class: name }));
    }
    this.most = make("span", { class: "most" });
    this.values = {};
    const legend = make("p", { class: "legend" });
    for (const name of ["received", "sent"]) {
      this.values[name] = make("span", { class: "value" });
      const key = make("span", { class: `key ${name}-key` });
      legend.append(make("span", { class: "series" }, key, `${name} `, this.values[name]), " ");
    }
    figure.append(make("div", { class: "plot" }, this.svg, this.most), legend);
  }

  add(received, sent) {
    for (const [name, value] of [["received", received], ["sent", sent]]) {
      const series = this.series[name];
      series.push(value);
      if (series.length > POINTS) series.shift();
      say(this.values[name], this.written(value));
    }
    const most = Math.max(...this.series.received, ...this.series.sent);
    say(this.most, most ? `at most ${this.written(most)}` : "");
    for (const name of ["received", "sent"]) this.lines[name].setAttribute("d", this.path(name, most));
    const line = this.path("received", most);
    this.area.setAttribute("d", line && `${line}L${WIDTH} ${HEIGHT}L${this.x(0)} ${HEIGHT}Z`);
    this.svg.setAttribute(
      "aria-label",
      `${this.what}, lately: ${this.written(received)} received, ${this.written(sent)} sent, at most ${this.written(most)}`,
    );
  }

  x(at) {
    return (WIDTH * (at + POINTS - this.series.received.length)) / (POINTS - 1);
  }

  path(name, most) {
    const height = (value) => HEIGHT - 2 - (most ? (value / most) * (HEIGHT - 6) : 0);
    return this.series[name]
      .map((value, at) => `${at ? "L" : "M"}${this.x(at).toFixed(1)} ${height(value).toFixed(1)}`)
      .join("");
  }
}
