// The picture of an item with its boxes: an SVG over the image, drawn anew at every change of size or view, in pixels of
// the screen, so that lines and letters have the same size on every picture.

import { byId, shape } from "./elements.js";
import { grown, labelPlace, leader, meet, within } from "./labels.js";

const BAND = 38; // above and below the picture; labels for which it has no room go there
const SIDE = 14; // left and right of it, for the lines of boxes that reach its edge
const SMALL = 22; // a box of fewer pixels on the screen is ringed, or it would not be found
const RING = 20;
const MOST_ENLARGED = 8;
const LINE = 7; // breadth of a box's line with its halo, as in page.css
const LABEL = { height: 22, padding: 7, letters: 30 };

const VIEWS = { whole: "whole", pair: "pair", subject: "subject", object: "object" };

export class Picture {
  #item = null;
  #view = "whole";
  #others = false;
  #highlight = [];

  constructor() {
    this.figure = byId("figure");
    this.window = byId("window");
    this.image = byId("image");
    this.boxes = byId("boxes");
    new ResizeObserver(() => this.#draw()).observe(this.figure.parentElement);
    addEventListener("resize", () => this.#draw());
    this.image.addEventListener("load", () => this.#draw());
  }

  // `address` is null for an output without pictures: then the boxes are drawn on grey.
  show(item, address) {
    this.#item = item;
    this.#view = "whole";
    this.#highlight = [];
    this.image.hidden = address === null;
    this.image.alt = described(item);
    if (address === null) this.image.removeAttribute("src");
    else this.image.src = address;
    this.#draw();
  }

  get view() {
    return VIEWS[this.#view];
  }

  get othersShown() {
    return this.#others;
  }

  // The regions that are neither subject nor object, in the order in which they are numbered.
  get others() {
    const { regions, subject_id, object_id } = this.#item;
    return regions.filter((region) => region.id !== subject_id && region.id !== object_id);
  }

  // The next view that shows something else: pair, subject, object, whole.
  zoom() {
    const views = ["whole", "pair", "subject", "object"];
    const shown = this.#visible(this.#view);
    do this.#view = views[(views.indexOf(this.#view) + 1) % views.length];
    while (this.#view !== "whole" && alike(shown, this.#visible(this.#view)));
    this.#draw();
    return this.view;
  }

  showOthers(shown) {
    this.#others = shown;
    this.#draw();
  }

  // Boxes that a part of the page points at: [{box, kind}], kind being subject, object or other.
  highlight(boxes) {
    this.#highlight = boxes;
    this.#draw();
  }

  lighten(on) {
    this.figure.classList.toggle("light", on);
  }

  // What the boxes are measured in. The stored size counts: the browser's may be turned by EXIF, boxes are not.
  #size() {
    const { width, height, regions, subject_box, object_box } = this.#item;
    const reach = (i) => Math.max(1, ...[subject_box, object_box, ...regions.map((region) => region.box)].map((box) => box[i]));
    return [width || this.image.naturalWidth || reach(2), height || this.image.naturalHeight || reach(3)];
  }

  // The part of the picture that a view shows, in the picture's pixels.
  #visible(view) {
    const [width, height] = this.#size();
    if (view === "whole") return { x: 0, y: 0, w: width, h: height };
    const { subject_box, object_box } = this.#item;
    const wanted = view === "pair" ? joined(subject_box, object_box) : rectangle(view === "subject" ? subject_box : object_box);
    const margin = Math.max(0.3 * Math.max(wanted.w, wanted.h), 0.04 * Math.max(width, height), 4);
    const wide = grown(wanted, margin);
    const x = within(wide.x, 0, width), y = within(wide.y, 0, height);
    return { x, y, w: within(wide.x + wide.w, 0, width) - x, h: within(wide.y + wide.h, 0, height) - y };
  }

  #draw() {
    if (this.#item === null) return;
    const [width, height] = this.#size();
    const room = this.#room(width, height);
    this.figure.style.height = `${room.h}px`;
    const inner = { x: SIDE, y: BAND, w: room.w - 2 * SIDE, h: room.h - 2 * BAND };
    place(this.window, inner);

    const part = this.#visible(this.#view);
    const most = this.#view === "whole" ? MOST_ENLARGED : Infinity;
    const scale = Math.min(inner.w / Math.max(part.w, 1), inner.h / Math.max(part.h, 1), most);
    const left = start(inner.x, inner.w, width * scale, (part.x + part.w / 2) * scale);
    const top = start(inner.y, inner.h, height * scale, (part.y + part.h / 2) * scale);
    place(this.image, { x: left - inner.x, y: top - inner.y, w: width * scale, h: height * scale });
    const placed = (box) => {
      const { x, y, w, h } = rectangle(box);
      return { x: left + x * scale, y: top + y * scale, w: w * scale, h: h * scale };
    };
    this.#drawBoxes(room, inner, placed);
  }

  // The figure's size: as wide as its column, as high as the picture then is, but never higher than the screen allows.
  #room(width, height) {
    const w = this.figure.parentElement.clientWidth;
    const narrow = matchMedia("(max-width: 899px)").matches;
    const most = narrow ? Math.min(0.46 * innerHeight, 1.1 * w) : Math.max(260, innerHeight - 190);
    const scale = Math.min((w - 2 * SIDE) / width, MOST_ENLARGED);
    return { x: 0, y: 0, w, h: Math.round(within(height * scale + 2 * BAND, 180, most - 180)) };
  }

  #drawBoxes(room, inner, placed) {
    const { subject, object, subject_box, object_box } = this.#item;
    const clip = shape("clipPath", { id: "clip" }, shape("rect", attributes(grown(inner, SIDE))));
    const clipped = shape("g", { "clip-path": "url(#clip)" });
    const labels = shape("g");
    this.boxes.setAttribute("viewBox", `0 0 ${room.w} ${room.h}`);
    this.boxes.replaceChildren(shape("defs", {}, clip), clipped, labels);

    // Lines lie outside of their boxes, so that nothing of a small thing is hidden; where the two boxes are nearly one,
    // the subject's line goes around the object's.
    const objectBox = placed(object_box), subjectBox = placed(subject_box);
    const objectLine = grown(objectBox, LINE / 2);
    const subjectLine = grown(subjectBox, near(subjectBox, objectBox) ? 1.5 * LINE : LINE / 2);
    const pair = [
      { kind: "object", line: objectLine, text: `O ${shortened(object)}`, prefer: "bottom" },
      { kind: "subject", line: subjectLine, text: `S ${shortened(subject)}`, prefer: "top" },
    ];
    const others = this.#others ? this.others.map((region) => grown(placed(region.box), 1)) : [];
    for (const line of others) clipped.append(framed("other", line));
    for (const { box, kind } of this.#highlight) clipped.append(framed(`${kind} shown`, grown(placed(box), LINE / 2)));
    const taken = [];
    for (const { kind, line } of pair) {
      clipped.append(framed(kind, line));
      const ring = ringOf(line);
      if (ring) clipped.append(...circles(kind, ring));
      taken.push(cut(grown(line, LINE / 2), grown(inner, SIDE)), ...(ring ? [{ x: ring.x - ring.r, y: ring.y - ring.r, w: 2 * ring.r, h: 2 * ring.r }] : []));
    }
    for (const { kind, line, text, prefer } of pair) {
      if (!meet(line, inner)) continue; // zoomed away
      const size = { w: textWidth(text) + 2 * LABEL.padding, h: LABEL.height };
      const ring = ringOf(line);
      const shown = cut(ring ? grown(line, RING - Math.min(line.w, line.h) / 2) : line, inner);
      const found = labelPlace(size, shown, { room, obstacles: taken, prefer });
      // The bands hold at least two labels side by side, so this is for a screen of a hand's breadth with long names.
      const spot = found ?? { x: 0, y: prefer === "top" ? 1 : room.h - size.h - 1, ...size };
      taken.push(spot);
      const line_ = leader(spot, shown);
      if (line_) labels.append(...leaders(kind, line_));
      labels.append(labelled(kind, spot, text));
    }
    others.forEach((line, i) => this.#number(labels, i + 1, line, inner, taken));
  }

  // The number of another box at one of its corners, where nothing else is written; else the list below has to do.
  #number(labels, number, line, inner, taken) {
    const size = { w: 8 * String(number).length + 6, h: 15 };
    const { x, y, w, h } = line;
    const corners = [
      [x, y - size.h], [x, y], [x + w - size.w, y], [x, y + h - size.h], [x + w - size.w, y + h - size.h], [x + w - size.w, y - size.h],
      [x, y + h], [x + w, y], [x - size.w, y], [x + w, y + h - size.h], [x - size.w, y + h - size.h], [x + w / 2 - size.w / 2, y - size.h],
    ];
    const free = corners
      .map(([left, top]) => ({ x: left, y: top, ...size }))
      .find((place) => within(place.x, inner.x, inner.w - size.w) === place.x && within(place.y, inner.y, inner.h - size.h) === place.y && !taken.some((other) => meet(place, other)));
    if (!free) return;
    taken.push(free);
    labels.append(labelled("other", free, String(number), 11));
  }
}

function described({ subject, predicate, object, key }) {
  return `Picture ${key}. Box S: ${subject}. Box O: ${object}. To be judged: ${subject} ${predicate} ${object}.`;
}

// Where the picture starts along one side of the window, so that `middle` of it is in the window's middle, or as near to
// it as leaves no part of the window empty that could be filled.
function start(from, length, whole, middle) {
  if (whole <= length) return from + (length - whole) / 2;
  return within(from + length / 2 - middle, from + length - whole, whole - length);
}

function rectangle([x1, y1, x2, y2]) {
  return { x: x1, y: y1, w: Math.max(0, x2 - x1), h: Math.max(0, y2 - y1) };
}

function joined(a, b) {
  return rectangle([Math.min(a[0], b[0]), Math.min(a[1], b[1]), Math.max(a[2], b[2]), Math.max(a[3], b[3])]);
}

function alike(a, b) {
  return Math.abs(a.w - b.w) < 0.2 * a.w && Math.abs(a.h - b.h) < 0.2 * a.h && Math.abs(a.x - b.x) < 0.2 * a.w && Math.abs(a.y - b.y) < 0.2 * a.h;
}

function near(a, b) {
  const edges = (box) => [box.x, box.y, box.x + box.w, box.y + box.h];
  return edges(a).every((edge, i) => Math.abs(edge - edges(b)[i]) < 8);
}

function cut(box, room) {
  const x = within(box.x, room.x, room.w), y = within(box.y, room.y, room.h);
  return { x, y, w: within(box.x + box.w, room.x, room.w) - x, h: within(box.y + box.h, room.y, room.h) - y };
}

function ringOf(line) {
  if (Math.max(line.w, line.h) >= SMALL) return null;
  return { x: line.x + line.w / 2, y: line.y + line.h / 2, r: RING };
}

// Dark, then white, then the colour: one of the three stands out from whatever lies beneath.
function framed(kind, line) {
  return shape("g", { class: `frame ${kind}` }, ...["dark", "halo", "line"].map((part) => shape("rect", { class: part, ...attributes(line) })));
}

function circles(kind, { x, y, r }) {
  return [shape("g", { class: `frame thin ${kind}` }, ...["dark", "halo", "line"].map((part) => shape("circle", { class: part, cx: x, cy: y, r })))];
}

function leaders(kind, [x1, y1, x2, y2]) {
  return [shape("g", { class: `frame thin ${kind}` }, ...["dark", "halo", "line"].map((part) => shape("line", { class: part, x1, y1, x2, y2 })))];
}

function labelled(kind, spot, text, size = 13) {
  return shape(
    "g",
    { class: `label ${kind}` },
    shape("rect", { ...attributes(spot), rx: 3 }),
    shape("text", { x: spot.x + spot.w / 2, y: spot.y + spot.h / 2, "font-size": size, "text-anchor": "middle", "dominant-baseline": "central" }, text),
  );
}

function attributes({ x, y, w, h }) {
  return { x, y, width: Math.max(0, w), height: Math.max(0, h) };
}

function place(part, { x, y, w, h }) {
  Object.assign(part.style, { left: `${x}px`, top: `${y}px`, width: `${w}px`, height: `${h}px` });
}

function shortened(name) {
  const letters = [...name];
  return letters.length > LABEL.letters ? `${letters.slice(0, LABEL.letters - 1).join("")}…` : name;
}

let ruler = null;
function textWidth(text) {
  ruler ??= document.createElement("canvas").getContext("2d");
  ruler.font = `600 13px ${getComputedStyle(document.body).fontFamily}`;
  return Math.ceil(ruler.measureText(text).width);
}
