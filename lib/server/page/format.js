/** Numbers as people read them. */

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const precise = new Intl.NumberFormat("en", { maximumSignificantDigits: 3 });

/** @param {number} value */
export const count = (value) => whole.format(value);

/** Three digits that count. @param {number} value */
export const figure = (value) => (Math.abs(value) >= 100 ? whole : precise).format(value);

/** @param {number} share - 0 to 1 */
export const percent = (share) => `${whole.format(share * 100)} %`;

/** @param {number} milliseconds */
export const duration = (milliseconds) =>
  milliseconds < 1000 ? `${figure(milliseconds)} ms` : `${figure(milliseconds / 1000)} s`;

/** @param {number} bytes */
export const size = (bytes) =>
  bytes < 2 ** 30 ? `${figure(bytes / 2 ** 20)} MiB` : `${figure(bytes / 2 ** 30)} GiB`;

/** @param {number} degrees */
export const celsius = (degrees) => `${degrees.toFixed(1)} \u00b0C`;
