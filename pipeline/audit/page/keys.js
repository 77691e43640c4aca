// Which key does what.

export const JUDGEMENT_KEYS = {
  1: "right", r: "right",
  2: "wrong", w: "wrong",
  3: "wrong box", b: "wrong box",
  4: "wrong predicate", p: "wrong predicate",
  5: "unsure", u: "unsure",
};

// The key that a press means, or null if it is not for us: a shortcut of the browser's, a key held down, or typing.
export function pressed(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || event.repeat) return null;
  if (event.target.closest("textarea, input, select, dialog")) return null;
  if (event.key.length > 1) return event.key;
  // On a keyboard of another script, the key at the place of the Latin letter is meant.
  return /^[!-~]$/.test(event.key) ? event.key.toLowerCase() : event.code.replace(/^(Key|Digit)/, "").toLowerCase();
}
