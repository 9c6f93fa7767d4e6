// Loads the chart library once, after the page has been painted, and dresses it in the page's own colours.
//
// The library wants to add style elements, which the page's policy forbids. It leaves that out when it finds elements
// with the ids it would use, so those are put there first; the few rules it needs stand in pages.css.

let loading = null;

/** Once the page has been painted: reading the library takes long, and a page that waits for it shows nothing. */
const painted = new Promise((resolve) => {
  if (document.hidden) resolve();
  else requestAnimationFrame(() => setTimeout(resolve));
});

export function plotly(host) {
  loading ??= painted.then(() => load(host));
  return loading;
}

function load(host) {
  return new Promise((resolve, reject) => {
    for (const id of host.dataset.guards.split(" ")) {
      const guard = document.createElement("div");
      guard.id = id;
      guard.className = "no-inline-styles";
      guard.hidden = true;
      document.body.append(guard);
    }
    const script = document.createElement("script");
    script.src = host.dataset.plotly;
    script.addEventListener("load", () => resolve(window.Plotly));
    script.addEventListener("error", () => reject(new Error("the chart library did not load")));
    document.head.append(script);
  });
}

export function colours() {
  const style = getComputedStyle(document.documentElement);
  const read = (name) => style.getPropertyValue(`--${name}`).trim();
  return {
    ink: read("ink"),
    ink2: read("ink-2"),
    ink3: read("ink-3"),
    rule: read("rule"),
    surface: read("surface"),
    visitors: read("series-1"),
    conversion: read("series-2"),
    sales: read("series-3"),
    other: read("series-4"),
    ghost: read("ghost"),
    closed: read("closed"),
    warn: read("warn-rule"),
  };
}

/** A six-digit colour with an opacity, in the form the chart library understands. */
export function faint(hex, opacity) {
  const parts = [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
  return `rgba(${parts.join(",")},${opacity})`;
}

export function baseLayout(c, narrow) {
  return {
    font: { family: getComputedStyle(document.body).fontFamily, size: narrow ? 11 : 12, color: c.ink2 },
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    showlegend: false,
    hovermode: "x unified",
    hoverlabel: { bgcolor: c.surface, bordercolor: c.rule, font: { color: c.ink, size: 12 } },
    dragmode: false,
    margin: { l: narrow ? 34 : 46, r: narrow ? 34 : 46, t: 12, b: 34 },
  };
}

/** Whole numbers with their thousands apart, as the tables beside a chart write them. */
export const WHOLE = ",";

/** The axis of people, from nothing on. */
export function countAxis(c) {
  return { tickformat: WHOLE, rangemode: "tozero", ticklabelstandoff: 6, gridcolor: c.rule, zeroline: false, fixedrange: true, color: c.ink3, nticks: 5 };
}

/** The axis of conversion, at the right and laid over that of people; `most` leaves room above the line. */
export function rateAxis(c, most) {
  return {
    overlaying: "y",
    tickmode: "auto",
    ticklabelstandoff: 6,
    side: "right",
    tickformat: ".0%",
    range: [0, most],
    showgrid: false,
    zeroline: false,
    fixedrange: true,
    color: c.conversion,
    nticks: 5,
  };
}

export const config = { displayModeBar: false, responsive: true, staticPlot: false, doubleClick: false, scrollZoom: false };

const dark = matchMedia("(prefers-color-scheme: dark)");
const formOf = (host) => `${host.clientWidth < 560 ? "narrow" : "wide"}-${dark.matches ? "dark" : "light"}`;

/** Draws now, and again when the reader's colour scheme changes or a tablet is turned. */
export async function draw(host, make) {
  const library = await plotly(host);
  const paint = async () => {
    const form = formOf(host);
    const { traces, layout } = make(colours(), form.startsWith("narrow"));
    await library.react(host, traces, layout, config);
    host.classList.remove("loading");
    host.dataset.drawn = form;
  };
  if (!host.paintAgain) {
    const again = () => host.dataset.drawn !== formOf(host) && host.paintAgain();
    dark.addEventListener("change", again);
    new ResizeObserver(again).observe(host);
  }
  host.paintAgain = paint;
  await paint();
}
