// The page: shows an item, takes what the auditor says of it, and goes on. See the files beside it for the parts.

import { Gone, Refused, get, post } from "./calls.js";
import { byId, element, word } from "./elements.js";
import { JUDGEMENT_KEYS, pressed } from "./keys.js";
import { Picture } from "./picture.js";
import { pointing, traceElements } from "./trace.js";

const AGAIN_AFTER_MS = 1000; // while the server is gone
const picture = new Picture();

let facts; // of the sample
let auditor;
let items = []; // numbers of what is to be judged, in order
let place = 0; // in `items`
let shown = null; // the item on the screen; null while it is fetched
let verdicts = new Map(); // item number to {judgement, note}, the last word last
let busy = false; // a verdict is on its way
let unsent = null; // the verdict that the server did not take, as it was
let again = 0; // timer
const drafts = new Map(); // item number to a note that went with no verdict yet
const ahead = new Map(); // item number to a promise of the item

start();

async function start() {
  wire();
  try {
    facts = await get("/sample");
  } catch (error) {
    alarm(`The sample cannot be read: ${error.message}. Load the page again.`);
    return;
  }
  byId("note").maxLength = facts.most_note;
  const named = new URLSearchParams(location.search).get("auditor");
  const name = facts.auditor ?? named;
  if (name) enter(name);
  else askName("");
}

// Who judges

function askName(problem) {
  const dialog = byId("name-dialog");
  byId("name-problem").hidden = !problem;
  byId("name-problem").textContent = problem;
  const list = facts.auditors;
  byId("name-free").hidden = byId("name-submit").hidden = list.length > 0;
  byId("name-list").hidden = list.length === 0;
  byId("name-list").replaceChildren(...list.map((name) => element("button", { type: "submit", value: name, class: "main-button" }, word(name))));
  if (!dialog.open) dialog.showModal();
}

async function enter(name) {
  let entered;
  try {
    entered = await post("/enter", { auditor: name });
  } catch (error) {
    if (facts.auditor === null) askName(error instanceof Gone ? "The server does not answer; start it, then try again." : sentence(error));
    else alarm(sentence(error));
    return;
  }
  byId("name-dialog").close();
  ({ auditor, items } = entered);
  verdicts = new Map(entered.verdicts.map(({ item, judgement, note }) => [item, { judgement, note }]));
  history.replaceState(null, "", `?auditor=${encodeURIComponent(auditor)}`);
  byId("auditor").textContent = auditor;
  for (const id of ["who", "progress", "main"]) byId(id).hidden = false;
  showProgress(entered.progress);
  const first = unjudgedAfter(-1);
  if (items.length === 0) say("There is nothing for you to judge in this sample.");
  else await show(first ?? 0, verdicts.size ? "Going on." : "");
  if (first === null && items.length > 0) say(finished());
}

// What is judged

async function show(to, before = "") {
  place = to;
  shown = null;
  const number = items[to];
  byId("main").setAttribute("aria-busy", "true");
  let item;
  try {
    item = await fetched(number);
  } catch (error) {
    if (items[place] !== number) return;
    if (error instanceof Gone) {
      alarm("The server does not answer. What you judged is kept; start it again with the same command.", { about: "item", retry: () => show(to, before) });
      again = setTimeout(() => items[place] === number && shown === null && show(to, before), AGAIN_AFTER_MS);
    } else alarm(`Item ${number}: ${sentence(error)}`, { about: "item" });
    return;
  }
  if (items[place] !== number) return; // somebody was quicker
  if (byId("alarm").dataset.about === "item") quiet();
  shown = item;
  byId("main").removeAttribute("aria-busy");
  byId("image-problem").hidden = true;
  picture.show(item, item.image === null ? null : pictureAddress(number));
  if (item.image === null) imageProblem("This output has no pictures.");
  showWords(item);
  showTools();
  showVerdict();
  say(before, `Item ${place + 1} of ${items.length}: ${item.subject} ${item.predicate} ${item.object}.`);
  lookAhead();
}

function fetched(number) {
  if (!ahead.has(number)) {
    const promise = get(`/item/${number}`);
    promise.catch(() => ahead.delete(number));
    ahead.set(number, promise);
  }
  return ahead.get(number);
}

function lookAhead() {
  for (const number of [...ahead.keys()].slice(0, -8)) ahead.delete(number);
  const next = unjudgedAfter(place);
  if (next === null) return;
  fetched(items[next]).then((item) => {
    if (item.image !== null) new Image().src = pictureAddress(items[next]);
  }, () => {});
}

function pictureAddress(number) {
  return `/image/${number}?sample=${facts.sample}`;
}

function showWords(item) {
  byId("place").textContent = `Item ${place + 1} of ${items.length}`;
  byId("triplet").replaceChildren(
    element("span", { class: "thing subject" }, element("abbr", { title: "subject" }, "S"), " ", word(item.subject)), " ",
    element("span", { class: "predicate" }, word(item.predicate)), " ",
    element("span", { class: "thing object" }, element("abbr", { title: "object" }, "O"), " ", word(item.object)),
  );
  const said = item.text && item.text !== item.predicate ? [element("span", {}, "in words ", element("q", {}, word(item.text)))] : [];
  byId("facts").replaceChildren(
    ...said,
    element("span", {}, `score ${item.score.toFixed(2)}`),
    element("span", {}, item.probability === null ? "not calibrated" : `probability ${item.probability.toFixed(2)}`),
    element("span", {}, `source ${item.source}`),
    element("span", {}, word(item.key)),
  );
  byId("item-problem").hidden = !item.problem;
  byId("item-problem").textContent = item.problem ? `Its trace cannot be shown: ${item.problem}` : "";
  byId("trace").replaceChildren(...(item.trace === null ? [] : traceElements(item.trace, item.regions, point)));
}

function point(boxes) {
  picture.highlight(boxes);
}

function showTools() {
  byId("zoom-state").textContent = picture.view;
  byId("others-count").textContent = String(picture.others.length);
  byId("others-button").setAttribute("aria-pressed", String(picture.othersShown));
  const list = byId("others");
  list.hidden = !picture.othersShown || picture.others.length === 0;
  list.replaceChildren(...picture.others.map((region, i) => {
    const button = element("button", { type: "button", class: "quiet-button" }, `${i + 1} `, word(region.name));
    pointing(button, [{ box: region.box, kind: "other" }], point);
    return element("li", {}, button);
  }));
}

function showVerdict() {
  const number = items[place];
  const verdict = verdicts.get(number);
  for (const button of document.querySelectorAll("[data-judgement]")) {
    button.setAttribute("aria-pressed", String(button.dataset.judgement === verdict?.judgement));
  }
  byId("note").value = drafts.get(number) ?? verdict?.note ?? "";
  showKeep();
}

function showKeep() {
  const verdict = verdicts.get(items[place]);
  byId("note-keep").hidden = !verdict || verdict.note === byId("note").value;
}

function showProgress({ judged, of, precision, unseen }) {
  byId("progress-bar").max = Math.max(1, of);
  byId("progress-bar").value = judged;
  byId("progress-text").textContent = `${judged} of ${of} judged`;
  byId("precision").hidden = precision === null;
  if (precision === null) return;
  const percent = (share) => `${(100 * share).toFixed(0)} %`;
  const range = precision.interval_95 === null ? "" : ` (${percent(precision.interval_95[0])} to ${percent(precision.interval_95[1])})`;
  const missing = unseen >= 0.005 ? `, of kinds that are ${percent(1 - unseen)} of the labels` : "";
  byId("precision").textContent = `Precision so far ${percent(precision.value)}${range}${missing}`;
  byId("precision").title = "Share of labels that are right, as far as you judged: weighted by how many each item stands for, unsure left out, with a 95 % interval. Kinds (strata) without a verdict are not in it.";
}

// Judging

function judge(judgement) {
  if (shown === null || busy) return;
  if (unsent !== null) {
    say("A verdict waits to be sent. This one was not taken.");
    return;
  }
  send({ sample: facts.sample, auditor, item: items[place], judgement, note: byId("note").value }, onwards);
}

function undo() {
  if (busy || unsent !== null) return;
  const last = [...verdicts.keys()].at(-1);
  if (last === undefined) {
    say("There is nothing to take back.");
    return;
  }
  const { judgement, note } = verdicts.get(last);
  if (note && !drafts.has(last)) drafts.set(last, note);
  send({ sample: facts.sample, auditor, item: last, judgement: null, note: "" }, () => show(Math.max(0, items.indexOf(last)), `Took back: ${judgement}.`));
}

function keepNote() {
  const verdict = verdicts.get(items[place]);
  if (!verdict || busy || unsent !== null) return;
  send({ sample: facts.sample, auditor, item: items[place], judgement: verdict.judgement, note: byId("note").value }, () => {
    showVerdict();
    say("The note is kept.");
  });
}

async function send(saying, then) {
  if (busy) return;
  busy = true;
  clearTimeout(again);
  let kept;
  try {
    kept = await post("/verdict", saying);
  } catch (error) {
    const what = saying.judgement === null ? "Taking back your last verdict" : `Your verdict “${saying.judgement}”`;
    if (error instanceof Gone) {
      unsent = saying;
      alarm(`${what} is NOT KEPT yet: the server does not answer. Leave this page open and start the server again with the same command; it is then sent again.`, { retry: () => send(saying, then) });
      again = setTimeout(() => send(saying, then), AGAIN_AFTER_MS);
    } else {
      unsent = null;
      alarm(`${what} is NOT KEPT: ${sentence(error)}`);
    }
    return;
  } finally {
    busy = false;
  }
  unsent = null;
  quiet();
  verdicts.delete(saying.item);
  if (saying.judgement !== null) {
    verdicts.set(saying.item, { judgement: kept.verdict.judgement, note: kept.verdict.note });
    drafts.delete(saying.item);
  }
  showProgress(kept.progress);
  then(saying);
}

function onwards({ judgement }) {
  const next = unjudgedAfter(place);
  const done = `Kept: ${judgement}.`;
  if (next !== null) show(next, done);
  else {
    showVerdict();
    say(`${done} ${finished()}`);
  }
}

function finished() {
  return "All your items are judged. The figures are in the report: relmill audit report.";
}

// The next place without a verdict, from one on, then from the beginning; null if there is none.
function unjudgedAfter(from) {
  for (let step = 1; step <= items.length; step++) {
    const to = (from + step) % items.length;
    if (!verdicts.has(items[to])) return to;
  }
  return null;
}

function move(step) {
  const to = place + step;
  if (to < 0 || to >= items.length) say(step < 0 ? "This is the first item." : "This is the last item.");
  else show(to);
}

// What the page says

// `unseen` is read out only: it is on the screen already.
function say(text, unseen = "") {
  byId("said").replaceChildren(text, element("span", { class: "away" }, ` ${unseen}`));
}

// An alarm about an item ends when one is shown; one about a verdict, when a verdict is kept or the alarm is put away.
function alarm(text, { about = "verdict", retry = null } = {}) {
  say("");
  byId("alarm").dataset.about = about;
  byId("alarm").hidden = false;
  if (byId("alarm-text").textContent !== text) byId("alarm-text").textContent = text; // else it would be read out anew
  byId("alarm-again").hidden = retry === null;
  byId("alarm-again").onclick = retry;
  byId("alarm-away").hidden = retry !== null;
}

function quiet() {
  byId("alarm").hidden = true;
  byId("alarm-text").textContent = "";
}

function sentence(error) {
  const text = error.message || String(error);
  return /[.!?]$/.test(text) ? text : `${text}.`;
}

function imageProblem(text) {
  byId("image-problem").textContent = text;
  byId("image-problem").hidden = false;
}

// The image element does not tell why; its address does.
async function whyNoImage() {
  if (shown === null || shown.image === null) return;
  const number = items[place];
  let reason = "the browser cannot show it";
  try {
    await get(pictureAddress(number));
  } catch (error) {
    if (error instanceof Refused) reason = error.message;
  }
  if (items[place] === number) imageProblem(`The picture cannot be shown: ${reason}`);
}

// Buttons and keys

function wire() {
  const acts = {
    "previous-button": () => move(-1),
    "next-button": () => move(1),
    "undo-button": undo,
    "note-button": () => byId("note").focus(),
    "note-keep": keepNote,
    "zoom-button": zoom,
    "others-button": others,
    "light-button": lighten,
    "help-button": () => byId("help-dialog").showModal(),
    "alarm-away": quiet,
  };
  for (const [id, act] of Object.entries(acts)) byId(id).addEventListener("click", act);
  for (const button of document.querySelectorAll("[data-judgement]")) {
    button.addEventListener("click", () => judge(button.dataset.judgement));
  }
  byId("image").addEventListener("error", whyNoImage);
  byId("name-form").addEventListener("submit", (event) => {
    event.preventDefault();
    enter(event.submitter?.value || byId("name-input").value.trim());
  });
  // A name is needed; Escape would leave an empty page.
  byId("name-dialog").addEventListener("cancel", (event) => event.preventDefault());
  byId("note").addEventListener("input", () => {
    drafts.set(items[place], byId("note").value);
    showKeep();
  });
  byId("note").addEventListener("keydown", noteKey);
  document.addEventListener("keydown", key);
  addEventListener("beforeunload", (event) => {
    if (unsent !== null) event.preventDefault();
  });
}

function key(event) {
  const name = pressed(event);
  if (name === null || !byId("keys-on").checked || byId("main").hidden || document.querySelector("dialog[open]")) return;
  const acts = {
    ArrowLeft: () => move(-1), ArrowRight: () => move(1), z: undo, n: () => byId("note").focus(),
    f: zoom, o: others, l: lighten, "?": () => byId("help-dialog").showModal(),
  };
  const judgement = JUDGEMENT_KEYS[name];
  const act = judgement ? () => judge(judgement) : acts[name];
  if (!act) return;
  event.preventDefault();
  act();
}

function noteKey(event) {
  if (event.isComposing || (event.key !== "Escape" && (event.key !== "Enter" || event.shiftKey))) return;
  event.preventDefault();
  keepNote();
  byId("triplet").focus({ preventScroll: true });
}

function zoom() {
  if (shown === null) return;
  byId("zoom-state").textContent = picture.zoom();
  say(`Zoom: ${picture.view}.`);
}

function others() {
  if (shown === null) return;
  picture.showOthers(!picture.othersShown);
  showTools();
  say(picture.othersShown ? `Other boxes shown: ${picture.others.length}.` : "The other boxes are hidden.");
}

function lighten() {
  const on = byId("light-button").getAttribute("aria-pressed") !== "true";
  byId("light-button").setAttribute("aria-pressed", String(on));
  picture.lighten(on);
}
