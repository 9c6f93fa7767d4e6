// Geometry of what is drawn on a camera's picture. Pure: points come and go as [x, y] in fractions of the frame, and
// everything that is measured is measured in frame heights (x times the aspect), as the box itself does. Which side of a
// line is inside is said by a point on it, never by the order of its ends.

const OFFSETS = [0.09, 0.06, 0.035, 0.02];

const clamp = (value) => Math.min(1, Math.max(0, value));

// Four decimals are a tenth of a pixel of the largest picture.
export const rounded = (point) => point.map((each) => Math.round(clamp(each) * 10000) / 10000);

const heights = ([x, y], aspect) => [x * aspect, y];

const pieces = (points) => points.slice(1).map((end, place) => [points[place], end]);

// Signed distance of a point from the infinite line through a piece: positive on the left of who walks along it.
const depth = ([start, end], point, aspect) => {
  const [a, b, p] = [start, end, point].map((each) => heights(each, aspect));
  const length = Math.hypot(b[0] - a[0], b[1] - a[1]) || 1;
  return ((b[1] - a[1]) * (p[0] - a[0]) - (b[0] - a[0]) * (p[1] - a[1])) / length;
};

const distanceToPiece = ([start, end], point, aspect) => {
  const [a, b, p] = [start, end, point].map((each) => heights(each, aspect));
  const [dx, dy] = [b[0] - a[0], b[1] - a[1]];
  const along = clamp(((p[0] - a[0]) * dx + (p[1] - a[1]) * dy) / (dx * dx + dy * dy || 1));
  return Math.hypot(p[0] - a[0] - along * dx, p[1] - a[1] - along * dy);
};

const nearestPiece = (points, point, aspect) => {
  const all = pieces(points);
  const far = all.map((piece) => distanceToPiece(piece, point, aspect));
  return all[far.indexOf(Math.min(...far))];
};

// +1: the inside is on the left of who walks along the line as drawn; -1: on the right.
export const sideOf = (points, inside, aspect) =>
  depth(nearestPiece(points, inside, aspect), inside, aspect) >= 0 ? 1 : -1;

const longest = (points, aspect) => {
  const all = pieces(points);
  const length = ([start, end]) => Math.hypot((end[0] - start[0]) * aspect, end[1] - start[1]);
  return all.reduce((best, piece) => (length(piece) > length(best) ? piece : best), all[0]);
};

const aside = ([start, end], side, offset, aspect) => {
  const [a, b] = [heights(start, aspect), heights(end, aspect)];
  const length = Math.hypot(b[0] - a[0], b[1] - a[1]) || 1;
  const left = [(b[1] - a[1]) / length, -(b[0] - a[0]) / length];
  const middle = [(a[0] + b[0]) / 2, (a[1] + b[1]) / 2];
  return [(middle[0] + side * offset * left[0]) / aspect, middle[1] + side * offset * left[1]];
};

// A point on the wanted side of a line: beside the middle of its longest piece, within the frame, and nearer to that
// piece than to any other that bends back.
export const insidePoint = (points, side, aspect) => {
  const piece = longest(points, aspect);
  const found = OFFSETS.map((offset) => aside(piece, side, offset, aspect));
  const fits = (point) =>
    point.every((each) => each >= 0 && each <= 1) && sideOf(points, point, aspect) === side;
  return rounded(found.find(fits) ?? found.at(-1));
};

// Where the arrow that shows the inside begins and ends.
export const arrowOf = (points, side, aspect) => {
  const piece = longest(points, aspect);
  return [aside(piece, side, 0, aspect), aside(piece, side, 0.09, aspect)];
};

export const moved = (points, place, to) => points.map((point, each) => (each === place ? rounded(to) : point));

// A whole shape by a vector, as far as it stays within the frame.
export const shifted = (points, [dx, dy]) => {
  const bounded = (by, axis) => {
    const all = points.map((point) => point[axis]);
    return Math.min(1 - Math.max(...all), Math.max(-Math.min(...all), by));
  };
  const [x, y] = [bounded(dx, 0), bounded(dy, 1)];
  return points.map((point) => rounded([point[0] + x, point[1] + y]));
};

// A further point after `place`, half-way to the next; behind the last one of a line, half-way to the one before.
export const inserted = (points, place, closed) => {
  const last = place === points.length - 1;
  const other = last ? (closed ? points[0] : points[place - 1]) : points[place + 1];
  const middle = rounded([(points[place][0] + other[0]) / 2, (points[place][1] + other[1]) / 2]);
  const at = last && !closed ? place : place + 1;
  return [...points.slice(0, at), middle, ...points.slice(at)];
};

export const removed = (points, place, least) =>
  points.length > least ? points.filter((_, each) => each !== place) : points;

// Whether something that could not count was drawn: ends on one spot, or corners that enclose nothing.
export const isDrawable = (points, closed, aspect) => {
  const different = new Set(points.map((point) => rounded(point).join())).size;
  if (different < (closed ? 3 : 2)) return false;
  const size = Math.max(...[0, 1].map((axis) => {
    const all = points.map((point) => point[axis] * (axis ? 1 : aspect));
    return Math.max(...all) - Math.min(...all);
  }));
  return size > 0.03;
};
