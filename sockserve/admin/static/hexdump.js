// The bytes of a bad frame and of those before it, with a mark where each frame begins.

import { ago, make, say } from "./format.js";

/** How many bytes fit on a line of an element. */
export function bytesOnLine(element) {
  return element.clientWidth < 500 ? 8 : 16;
}

function row(bytes, start, width, borders, bad) {
  const hex = make("span", { class: "hex" });
  const text = make("span", { class: "text" });
  for (let at = start; at < start + width; at++) {
    const byte = bytes[at];
    const kind = byte === undefined ? "none" : at >= bad ? "bad" : "good";
    const border = borders.has(at) && byte !== undefined ? " border" : "";
    const digits = byte === undefined ? "  " : byte.toString(16).padStart(2, "0");
    const printable = byte >= 0x20 && byte < 0x7f;
    hex.append(make("span", { class: `${kind}${border}` }, digits));
    text.append(make("span", { class: kind }, byte === undefined ? " " : printable ? String.fromCharCode(byte) : "·"));
  }
  const offset = make("span", { class: "offset" }, start.toString(16).padStart(2, "0"));
  return make("div", { class: "row" }, offset, hex, text);
}

/** An article about a bad frame, as the view has it. width: bytes on a line. */
export function badFrame(frame, width) {
  const bytes = frame.bytes.match(/../g)?.map((pair) => parseInt(pair, 16)) ?? [];
  const borders = new Set(frame.borders);
  const bad = frame.borders.at(-1) ?? 0;
  const dump = make("div", { class: "dump", role: "group", tabindex: "0" });
  for (let start = 0; start < bytes.length; start += width) dump.append(row(bytes, start, width, borders, bad));
  const before = frame.borders.slice(0, -1);
  const where = before.length ? `frames before it begin at byte ${before.join(", ")}; ` : "";
  dump.setAttribute("aria-label", `${bytes.length} bytes: ${where}the bad frame begins at byte ${bad}`);
  const when = make("span", { class: "when" });
  const article = make(
    "article",
    { class: "bad-frame" },
    make("h4", {}, make("code", {}, frame.peer), " ", make("span", { class: "kind" }, frame.kind), " ", when),
    make("p", {}, `${frame.framing}: ${frame.text}`),
    ...(bytes.length ? [dump] : []),
    ...(frame.hint ? [make("p", { class: "hint" }, frame.hint)] : []),
  );
  article.refresh = (now) => say(when, ago(now - frame.at));
  return article;
}
