// Making elements; text is always text, never markup.
export function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) node.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

const SVG = "http://www.w3.org/2000/svg";
export function svg(tag, attributes = {}, ...children) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

export const glyph = (sign, hue = true) => make("span", { class: hue ? "glyph hue" : "glyph", "aria-hidden": "true" }, sign);

// Keeps `list` at one child for each row, and makes anew only those whose row has changed.
export function rowsOf(list, draw) {
  let before = [];
  return (rows) => {
    const keys = rows.map((row) => JSON.stringify(row));
    rows.forEach((row, place) => {
      const [old, same] = [list.children[place], keys[place] === before[place]];
      if (!old) list.append(draw(row));
      else if (!same) old.replaceWith(draw(row));
    });
    while (list.children.length > rows.length) list.lastElementChild.remove();
    before = keys;
  };
}

// Redraws `list` only when what it shows has changed.
export function whenChanged(draw) {
  let before;
  return (value, ...rest) => {
    const now = JSON.stringify(value);
    if (now === before) return;
    before = now;
    draw(value, ...rest);
  };
}
