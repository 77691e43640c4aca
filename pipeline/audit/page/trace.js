// Where a label comes from, in words: the trace of an item as elements.

import { element, word } from "./elements.js";

const MOST_ROWS = 12;
const NUMBERS = new Set(["Score", "Boxes it may mean"]);

// `point(boxes)` shows boxes on the picture: [{box, kind}]; an empty list shows none.
export function traceElements(trace, regions, point) {
  const names = new Map([...regions, ...trace.regions].map((region) => [region.id, region]));
  return [
    element("h3", {}, "Where it comes from"),
    element("p", {}, trace.origin),
    ...trace.evidence.flatMap((evidence, i) => evidenceElements(evidence, i, trace, names, point)),
    ...othersElements(trace.others),
    ...pairsElements("Verifiers", Object.entries(trace.verifier_scores), (score) => score.toFixed(3)),
    madeElements(trace),
  ];
}

function evidenceElements(evidence, i, trace, names, point) {
  const title = trace.evidence.length > 1 ? `Caption ${i + 1} of ${trace.evidence.length}` : "Caption";
  return [
    element("h4", {}, title, " ", element("span", { class: "quiet" }, captionFacts(evidence))),
    element("blockquote", { dir: "auto", class: "caption" }, ...evidence.segments.map(segmentElement)),
    ...parseElements(evidence),
    ...candidateElements(evidence, names, point),
  ];
}

function captionFacts({ source, decoding, log_probability }) {
  const facts = [source === "given" ? "came with the dataset" : `written by ${source}`];
  if (decoding) facts.push(decoding);
  if (log_probability !== null) facts.push(`log probability ${log_probability.toFixed(2)}`);
  return facts.join(", ");
}

function segmentElement({ text, role }) {
  // The role is also told to those who do not see the colour.
  return role ? element("mark", { class: role, title: role, "aria-label": `${role}: ${text}` }, text) : text;
}

function parseElements({ phrases, mention }) {
  if (phrases.length === 0) return [];
  const byNumber = new Map(phrases.map((phrase) => [phrase.number, phrase]));
  const reading = mention && byNumber.has(mention.subject) && byNumber.has(mention.object)
    ? [element("p", { class: "reading" }, "Read as ", phraseWord(byNumber.get(mention.subject), "subject"), " ",
        element("mark", { class: "predicate" }, word(mention.predicate)), " ", phraseWord(byNumber.get(mention.object), "object"))]
    : [element("p", { class: "quiet" }, "What was read in it is not stored with the scene.")];
  const rows = phrases.map((phrase) => element("tr", {},
    element("td", {}, phrase.role ? element("mark", { class: phrase.role }, word(phrase.text)) : word(phrase.text)),
    element("td", {}, word(phrase.head), phrase.plural ? " (several)" : ""),
    element("td", { class: "number" }, String(phrase.regions.length)),
  ));
  return [
    ...reading,
    element("details", {}, element("summary", {}, `Parse: ${phrases.length} phrases`), table(["Phrase", "Head", "Boxes it may mean"], rows)),
  ];
}

function phraseWord(phrase, role) {
  return element("mark", { class: role }, word(phrase.text));
}

function candidateElements({ candidates, num_candidates }, names, point) {
  if (candidates.length === 0) return [];
  const rows = candidates.map((candidate) => candidateRow(candidate, names, point));
  const shown = table(["", "Subject", "Object", "Score", ""], rows.slice(0, MOST_ROWS));
  const made = [element("p", {}, num_candidates === 1 ? "It could mean only this pair:" : `It could mean ${num_candidates} pairs:`), shown];
  if (rows.length > MOST_ROWS) {
    const rest = element("button", { type: "button", class: "quiet-button" }, `Show ${rows.length - MOST_ROWS} more`);
    rest.addEventListener("click", () => {
      shown.tBodies[0].append(...rows.slice(MOST_ROWS));
      rest.remove();
    });
    made.push(rest);
  }
  if (num_candidates > candidates.length) made.push(element("p", { class: "quiet" }, `${num_candidates - candidates.length} more are not listed.`));
  return made;
}

function candidateRow(candidate, names, point) {
  const { subject, object, chosen, score, same_words, human } = candidate;
  const remarks = [
    chosen ? "this one" : "",
    score !== null && !same_words ? "score from other words" : "",
    human ? `people ${human} it` : "",
  ].filter(Boolean);
  const boxes = [["subject", subject], ["object", object]]
    .filter(([, id]) => names.has(id))
    .map(([kind, id]) => ({ kind, box: names.get(id).box }));
  const show = element("button", { type: "button", class: "quiet-button", "aria-label": `Show pair ${nameOf(names, subject)}, ${nameOf(names, object)}` }, "show");
  pointing(show, boxes, point);
  return element("tr", { class: chosen ? "chosen" : null },
    element("td", {}, show),
    element("td", {}, word(nameOf(names, subject)), ` ${subject}`),
    element("td", {}, word(nameOf(names, object)), ` ${object}`),
    element("td", { class: "number" }, score === null ? "–" : score.toFixed(2)),
    element("td", {}, remarks.join(", ")),
  );
}

// Shows boxes while a button is pointed at or has the focus, and keeps them shown after a press.
export function pointing(button, boxes, point) {
  const off = () => button.getAttribute("aria-pressed") !== "true" && point([]);
  button.setAttribute("aria-pressed", "false");
  button.addEventListener("mouseenter", () => point(boxes));
  button.addEventListener("focus", () => point(boxes));
  button.addEventListener("mouseleave", off);
  button.addEventListener("blur", off);
  button.addEventListener("click", () => {
    const on = button.getAttribute("aria-pressed") !== "true";
    document.querySelectorAll("[data-pointing]").forEach((other) => other.setAttribute("aria-pressed", "false"));
    button.setAttribute("aria-pressed", String(on));
    point(on ? boxes : []);
  });
  button.dataset.pointing = "";
}

function nameOf(names, id) {
  return names.get(id)?.name ?? "?";
}

function othersElements(others) {
  if (others.length === 0) return [];
  const rows = others.map((other) => element("tr", {},
    element("td", {}, word(other.predicate)),
    element("td", { class: "number" }, other.score.toFixed(2)),
    element("td", {}, other.source, other.state === "denied" ? ", denied" : ""),
  ));
  return [element("h4", {}, "Also said of these two"), table(["Predicate", "Score", "By"], rows)];
}

function pairsElements(title, pairs, shown) {
  if (pairs.length === 0) return [];
  return [element("h4", {}, title), element("dl", { class: "pairs" }, ...pairs.flatMap(([name, value]) => [element("dt", {}, word(name)), element("dd", {}, word(shown(value)))]))];
}

function madeElements({ stages, job, repairs, num_repairs, key, number }) {
  const parts = [
    ...pairsElements("Stages", Object.entries(stages), String),
    ...pairsElements("Scene", [["key", key], ["relation", String(number)], ...(job ? [["job", job]] : [])], String),
  ];
  if (repairs.length > 0) {
    parts.push(element("h4", {}, "Mended in the input"), element("ul", {}, ...repairs.map((repair) => element("li", {}, word(`${repair.stage}: ${repair.reason}: ${repair.detail}`)))));
  }
  if (num_repairs > repairs.length) parts.push(element("p", { class: "quiet" }, `${num_repairs - repairs.length} repairs of the scene concern other boxes.`));
  return element("details", {}, element("summary", {}, "What made it: models, revisions, job"), ...parts);
}

function table(heads, rows) {
  return element("table", {}, element("thead", {}, element("tr", {}, ...heads.map((head) => element("th", { scope: "col", class: NUMBERS.has(head) ? "number" : null }, head)))), element("tbody", {}, ...rows));
}
