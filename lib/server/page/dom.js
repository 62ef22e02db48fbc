/** Elements of the page. Text from a model only ever becomes text: nothing here, or elsewhere, parses HTML. */

/**
 * The element of the page with this id.
 *
 * @template {HTMLElement} Kind
 * @param {string} id
 * @param {new () => Kind} kind
 * @returns {Kind}
 */
export function byId(id, kind) {
  const found = document.getElementById(id);
  if (found instanceof kind) return found;
  throw new TypeError(`expected an element ${id} of the page but received none`);
}

/**
 * A new element; strings become text.
 *
 * @template {keyof HTMLElementTagNameMap} Name
 * @param {Name} name
 * @param {Readonly<Record<string, string>>} attributes
 * @param {...(Node | string)} children
 * @returns {HTMLElementTagNameMap[Name]}
 */
export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

/**
 * A new SVG element.
 *
 * @template {keyof SVGElementTagNameMap} Name
 * @param {Name} name
 * @param {Readonly<Record<string, string | number>>} attributes
 * @param {...Node} children
 * @returns {SVGElementTagNameMap[Name]}
 */
export function drawing(name, attributes, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, String(value));
  made.append(...children);
  return made;
}

/**
 * Sets the text of an element, if it is another one.
 *
 * @param {Node} target
 * @param {string} text
 */
export function setText(target, text) {
  if (target.textContent !== text) target.textContent = text;
}

/** A list of names and values, whose values change. */
export class Readout {
  /** @type {Map<string, HTMLElement>} */
  #places = new Map();

  /** @param {HTMLElement} list - a dl */
  constructor(list) {
    this.list = list;
  }

  /**
   * Sets a value; the first time, a line is added.
   *
   * @param {string} name
   * @param {string} text
   * @returns {HTMLElement} where it stands, to add a drawing to
   */
  set(name, text) {
    const place = this.#places.get(name) ?? this.#add(name);
    if (place.firstChild !== null) setText(place.firstChild, text);
    return place;
  }

  /** @param {string} name */
  #add(name) {
    const place = element("dd", {}, element("span"));
    this.#places.set(name, place);
    this.list.append(element("div", {}, element("dt", {}, name), place));
    return place;
  }
}
