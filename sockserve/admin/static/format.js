// Numbers, times and bytes, as people read them; and elements, whose text is never markup.

const whole = new Intl.NumberFormat("en");
const short = new Intl.NumberFormat("en", { maximumSignificantDigits: 3 });

export const count = (number) => whole.format(number);

export function rate(number) {
  return number >= 1000 ? whole.format(Math.round(number)) : short.format(number);
}

export function bytes(number) {
  for (const [size, unit] of [[1 << 30, "GiB"], [1 << 20, "MiB"], [1 << 10, "KiB"]]) {
    if (number >= size) return `${short.format(number / size)} ${unit}`;
  }
  return `${rate(number)} B`;
}

export function duration(seconds) {
  if (seconds < 1) return `${Math.max(0, Math.round(seconds * 1000))} ms`;
  const parts = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]];
  const first = parts.findIndex(([, size]) => seconds >= size);
  let left = Math.floor(seconds);
  return parts
    .slice(first, first + 2)
    .map(([unit, size]) => {
      const number = Math.floor(left / size);
      left -= number * size;
      return number ? `${number} ${unit}` : "";
    })
    .filter(Boolean)
    .join(" ");
}

export const ago = (seconds) => (seconds < 1 ? "now" : `${duration(seconds)} ago`);

/** An element with attributes; children are elements or text. */
export function make(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

/** Change the text of an element, if it has another one. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
