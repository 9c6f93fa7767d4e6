// Where people walked, under what is drawn: one thin line a person, with a dot where it ends.

const SVG = "http://www.w3.org/2000/svg";

export const showPaths = (host, paths, place, radius) => {
  host.replaceChildren();
  for (const path of paths) {
    const points = path.points.map(([x, y]) => place([x, y]));
    const way = document.createElementNS(SVG, "polyline");
    way.setAttribute("class", "path");
    way.setAttribute("points", points.map((point) => point.join(",")).join(" "));
    const end = document.createElementNS(SVG, "circle");
    end.setAttribute("class", "path-end");
    const [x, y] = points.at(-1);
    for (const [name, value] of [["cx", x], ["cy", y], ["r", radius]]) end.setAttribute(name, value);
    host.append(way, end);
  }
};
