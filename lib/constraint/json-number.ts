import { type Automaton, tabulate } from "./automaton.js";
import { toAutomaton } from "./determinize.js";
import { bytes, choice, literal, oneOf, optional, type Regular, repeat, sequence } from "./regular.js";

/** Bounds on a number; undefined is none. */
export interface NumberBounds {
  readonly minimum?: number | undefined;
  readonly maximum?: number | undefined;
  readonly exclusiveMinimum?: number | undefined;
  readonly exclusiveMaximum?: number | undefined;
}

/** Decimals of up to this many digits are all different as float64. */
const exactDigits = 15;
const minusByte = 0x2d;
const zeroByte = 0x30;
const nineByte = 0x39;
const minus = bytes(minusByte);
const digit = bytes(zeroByte, nineByte);
const nonZeroDigit = bytes(zeroByte + 1, nineByte);

/** Digits are limited because a model that has started to repeat one would never end the number. */
const anyNumber = toAutomaton(
  sequence(
    optional(minus),
    choice(literal("0"), sequence(nonZeroDigit, repeat(digit, 0, exactDigits))),
    optional(sequence(literal("."), repeat(digit, 1, exactDigits + 2))),
    optional(sequence(oneOf("eE"), optional(oneOf("+-")), repeat(digit, 1, 2))),
  ),
);

/** Numbers within bounds. With a bound: without exponent, and precise enough to tell values from the bound apart. */
export function numberAutomaton(bounds: NumberBounds): Automaton {
  const { minimum, maximum, exclusiveMinimum, exclusiveMaximum } = bounds;
  const given = [minimum, maximum, exclusiveMinimum, exclusiveMaximum].filter((bound) => bound !== undefined);
  if (given.length === 0) return anyNumber;
  const limit = 10 ** exactDigits - 1;
  const wholeDigits = given.map((bound) => (Math.abs(bound) > limit ? 1 : decimal(bound).whole.length));
  const fractionDigits = exactDigits - Math.max(...wholeDigits);
  return toAutomaton(decimals(scaledRange(bounds, fractionDigits, limit), fractionDigits));
}

/** Integers within bounds, and within what a float64 holds exactly. */
export function integerAutomaton(bounds: NumberBounds): Automaton {
  return toAutomaton(decimals(scaledRange(bounds, 0, Number.MAX_SAFE_INTEGER), 0));
}

/** Digits, with or without a sign, whose value is a multiple of the divisor; a state is a remainder. */
export function multiplesAutomaton(divisor: number): Automaton {
  return tabulate<number>({
    classOf: Uint8Array.from({ length: 256 }, (_, byte) => digitClass(byte)),
    start: 0,
    step: (remainder, byte) => {
      if (byte === minusByte) return remainder;
      return byte < zeroByte || byte > nineByte ? undefined : (remainder * 10 + byte - zeroByte) % divisor;
    },
    accepts: (remainder) => remainder === 0,
    name: String,
  });
}

/** 0 to 9 for a digit, 10 for the sign, 11 for the rest. */
function digitClass(byte: number): number {
  if (byte === minusByte) return 10;
  return byte < zeroByte || byte > nineByte ? 11 : byte - zeroByte;
}

interface ScaledRange {
  readonly low: bigint;
  readonly high: bigint;
}

/** The values within bounds and +-limit, times 10 to the number of fraction digits. */
function scaledRange(bounds: NumberBounds, fractionDigits: number, limit: number): ScaledRange {
  const { minimum = -limit, maximum = limit, exclusiveMinimum, exclusiveMaximum } = bounds;
  const lows = [scaleUp(Math.max(minimum, -limit), fractionDigits)];
  const highs = [-scaleUp(-Math.min(maximum, limit), fractionDigits)];
  // The first value above an exclusive bound is one above the largest that is not greater.
  if (exclusiveMinimum !== undefined && exclusiveMinimum >= -limit) {
    lows.push(1n - scaleUp(-Math.min(exclusiveMinimum, limit), fractionDigits));
  }
  if (exclusiveMaximum !== undefined && exclusiveMaximum <= limit) {
    highs.push(scaleUp(Math.max(exclusiveMaximum, -limit), fractionDigits) - 1n);
  }
  return {
    low: lows.reduce((a, b) => (a > b ? a : b)),
    high: highs.reduce((a, b) => (a < b ? a : b)),
  };
}

/** The smallest integer that is not below value * 10 ** digits. */
function scaleUp(value: number, digits: number): bigint {
  const { negative, whole, fraction } = decimal(value);
  const kept = BigInt(whole + fraction.padEnd(digits, "0").slice(0, digits));
  const rest = /[1-9]/.test(fraction.slice(digits));
  return negative ? -kept : kept + (rest ? 1n : 0n);
}

interface Decimal {
  readonly negative: boolean;
  readonly whole: string;
  readonly fraction: string;
}

/** A number in plain digits, without exponent. */
function decimal(value: number): Decimal {
  const [mantissa = "", exponent = "0"] = Math.abs(value).toString().split("e");
  const [whole = "", fraction = ""] = mantissa.split(".");
  const shift = Number(exponent);
  const digits =
    shift < 0 ? whole.padStart(whole.length - shift, "0") + fraction : whole + fraction.padEnd(shift, "0");
  const point = shift < 0 ? whole.length : whole.length + shift;
  return { negative: value < 0, whole: digits.slice(0, point), fraction: digits.slice(point) };
}

/** Decimals of the range, with up to so many digits after the point; zero has no sign. */
function decimals({ low, high }: ScaledRange, fractionDigits: number): Regular {
  const options: Regular[] = [];
  const positiveLow = low > 0n ? low : 0n;
  if (positiveLow <= high) options.push(magnitudes(positiveLow, high, fractionDigits));
  const negativeLow = high < 0n ? -high : 1n;
  if (negativeLow <= -low) options.push(sequence(minus, magnitudes(negativeLow, -low, fractionDigits)));
  return choice(...options);
}

/** 0 <= low <= high. */
function magnitudes(low: bigint, high: bigint, fractionDigits: number): Regular {
  const scale = 10n ** BigInt(fractionDigits);
  const options: Regular[] = [];
  const lowDigits = (low / scale).toString().length;
  const highDigits = (high / scale).toString().length;
  for (const wholeDigits of new Set([lowDigits, highDigits])) {
    const smallest = wholeDigits === 1 ? 0n : 10n ** BigInt(wholeDigits - 1) * scale;
    const largest = 10n ** BigInt(wholeDigits) * scale - 1n;
    const digits = wholeDigits + fractionDigits;
    options.push(
      digitsBetween(
        (low > smallest ? low : smallest).toString().padStart(digits, "0"),
        (high < largest ? high : largest).toString().padStart(digits, "0"),
        fractionDigits,
      ),
    );
  }
  if (lowDigits + 1 < highDigits) {
    // No bound matters at the lengths between the two.
    const whole = sequence(nonZeroDigit, repeat(digit, lowDigits, highDigits - 2));
    options.push(sequence(whole, anyDigits(fractionDigits, fractionDigits)));
  }
  return choice(...options);
}

/**
 * Digit strings from low to high, which are of equal length with so many digits after the point. Zeros at the end of
 * the fraction may be left out. An undefined bound is behind us: the digits before already differ from it.
 */
function digitsBetween(low: string | undefined, high: string | undefined, fractionDigits: number): Regular {
  const length = (low ?? high ?? "").length;
  const more = someDigit(low, high, fractionDigits);
  if (length > fractionDigits) return more;
  const mayEnd = low === undefined || /^0*$/.test(low);
  if (length === 0) return sequence();
  const fraction = length === fractionDigits ? sequence(literal("."), more) : more;
  return mayEnd ? optional(fraction) : fraction;
}

/** The next digit and what may follow it. */
function someDigit(low: string | undefined, high: string | undefined, fractionDigits: number): Regular {
  const length = (low ?? high ?? "").length;
  if (length === 0) return sequence();
  const lowDigit = low === undefined ? 0 : Number(low[0]);
  const highDigit = high === undefined ? 9 : Number(high[0]);
  const options: Regular[] = [];
  const add = (from: number, to: number, nextLow?: string, nextHigh?: string): void => {
    if (from > to) return;
    const rest =
      nextLow === undefined && nextHigh === undefined
        ? anyDigits(length - 1, fractionDigits)
        : digitsBetween(nextLow, nextHigh, fractionDigits);
    options.push(sequence(bytes(zeroByte + from, zeroByte + to), rest));
  };
  const restLow = low?.slice(1);
  const restHigh = high?.slice(1);
  if (low !== undefined && high !== undefined && lowDigit === highDigit) {
    add(lowDigit, lowDigit, restLow, restHigh);
  } else {
    if (low !== undefined) add(lowDigit, lowDigit, restLow, undefined);
    add(low === undefined ? 0 : lowDigit + 1, high === undefined ? 9 : highDigit - 1);
    if (high !== undefined) add(highDigit, highDigit, undefined, restHigh);
  }
  return choice(...options);
}

/** So many digits, of which those of the fraction may be left out from the end. */
function anyDigits(length: number, fractionDigits: number): Regular {
  const inFraction = Math.min(length, fractionDigits);
  const whole = repeat(digit, length - inFraction, length - inFraction);
  if (inFraction === 0) return whole;
  const fraction =
    length >= fractionDigits
      ? optional(sequence(literal("."), repeat(digit, 1, inFraction)))
      : repeat(digit, 0, inFraction);
  return sequence(whole, fraction);
}
