import { AirError } from "../errors/air-error.js";

/**
 * `array[index]`, checked: for an index that is in range by construction.
 *
 * @throws {AirError} AIR_ERR_INTERNAL when it is not
 */
export function at<Item>(array: ArrayLike<Item>, index: number): Item {
  const item = array[index];
  if (item === undefined) {
    throw new AirError(
      "AIR_ERR_INTERNAL",
      `expected an index below ${array.length} for an array but received ${index}`,
    );
  }
  return item;
}
