// Finds places for the labels of boxes. A rectangle is {x, y, w, h} in pixels of the figure.

const GAP = 5;

// The place of a label that lies in the figure and covers nothing: beside its box if it can, else at the upper or lower edge
// of the figure, which no box reaches. Without a free place, null.
export function labelPlace(size, box, { room, obstacles, prefer }) {
  const above = box.y - size.h - GAP;
  const below = box.y + box.h + GAP;
  const right = box.x + box.w - size.w;
  const beside = [
    [box.x, above], [right, above], [box.x, below], [right, below],
    [box.x + box.w + GAP, box.y], [box.x + box.w + GAP, box.y + box.h - size.h],
    [box.x - size.w - GAP, box.y], [box.x - size.w - GAP, box.y + box.h - size.h],
  ];
  const middle = box.x + box.w / 2 - size.w / 2;
  const along = [middle, room.x, room.x + room.w - size.w, room.x + room.w / 2 - size.w / 2];
  const top = room.y + 1;
  const bottom = room.y + room.h - size.h - 1;
  const edges = (prefer === "top" ? [top, bottom] : [bottom, top]).flatMap((y) => along.map((x) => [within(x, room.x, room.w - size.w), y]));
  for (const [x, y] of [...beside, ...edges]) {
    const place = { x, y, ...size };
    if (inside(place, room) && !obstacles.some((obstacle) => meet(place, obstacle))) return place;
  }
  return null;
}

// The two ends of the shortest line from a label to its box, or null if they are next to each other.
export function leader(label, box) {
  const [x1, x2] = nearest(label.x, label.w, box.x, box.w);
  const [y1, y2] = nearest(label.y, label.h, box.y, box.h);
  return Math.hypot(x2 - x1, y2 - y1) > GAP + 4 ? [x1, y1, x2, y2] : null;
}

export function grown(box, by) {
  return { x: box.x - by, y: box.y - by, w: box.w + 2 * by, h: box.h + 2 * by };
}

export function meet(a, b) {
  return a.x < b.x + b.w && b.x < a.x + a.w && a.y < b.y + b.h && b.y < a.y + a.h;
}

export function within(value, start, length) {
  return Math.min(Math.max(value, start), start + Math.max(0, length));
}

function inside(a, room) {
  return a.x >= room.x && a.y >= room.y && a.x + a.w <= room.x + room.w && a.y + a.h <= room.y + room.h;
}

// The closest points of two stretches of a line; where they overlap, the middle of what they share.
function nearest(a, aLength, b, bLength) {
  if (a + aLength < b) return [a + aLength, b];
  if (b + bLength < a) return [a, b + bLength];
  const shared = (Math.max(a, b) + Math.min(a + aLength, b + bLength)) / 2;
  return [shared, shared];
}
