// Elements of the page. Text only ever becomes text: nothing that the API says is taken for markup.

/** Make an element. A function among the attributes listens to the event of its name. */
export function make(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(key, value);
    else if (value === true) element.setAttribute(key, "");
    else if (value !== false && value != null) element.setAttribute(key, value);
  }
  element.append(...children.flat(Infinity).filter((child) => child != null));
  return element;
}

/** Make a table of rows of cells; nothing if there are none. */
export function table(heads, rows) {
  if (!rows.length) return null;
  return make("table", {},
    make("thead", {}, make("tr", {}, heads.map((head) => make("th", { scope: "col" }, head)))),
    make("tbody", {}, rows.map((cells) => make("tr", {}, cells.map((cell) => make("td", {}, cell))))));
}

/** Put something between the items of a list. */
export function joined(items, between) {
  return items.flatMap((item, index) => (index ? [between, item] : [item]));
}
