import type { ChatMessage } from "../../lib/index.js";

/** A prompt whose answer repeats much of it. */
export interface RepetitivePrompt {
  readonly name: string;
  readonly messages: readonly ChatMessage[];
  /** What air-tiny-chat answers greedily; a model that answers something else measures something else. */
  readonly expected: string;
}

const sourceFile = `"""Small helpers for numbers and lists."""


def is_even(value):
    return value % 2 == 0


def largest(values):
    best = values[0]
    for value in values[1:]:
        if value > best:
            best = value
    return best


def count_words(text):
    return len(text.split())


def factorial(count):
    result = 1
    for i in range(2, count + 1):
        result *= i
    return result


def is_prime(n):
    if n < 2:
        return False
    for i in range(2, int(n ** 0.5)):
        if n % i == 0:
            return False
    return True


def fibonacci(n):
    first, second = 0, 1
    for _ in range(n):
        first, second = second, first + second
    return first


def mean(values):
    return sum(values) / len(values)


def clamp(value, low, high):
    if value < low:
        return low
    if value > high:
        return high
    return value


def report(values):
    print("largest", largest(values))
    print("mean", mean(values))
`;

const primeWithLongName = `def is_prime(number):
    if number < 2:
        return False
    for i in range(2, int(number ** 0.5) + 1):
        if number % i == 0:
            return False
    return True
`;

const isPrime = `def is_prime(n):
    if n < 2:
        return False
    for i in range(2, int(n ** 0.5) + 1):
        if n % i == 0:
            return False
    return True
`;

const keyValueCache =
  "The KV cache keeps the keys and values of earlier tokens, so that the model does not compute them again for " +
  "every new token.";

const notes = [
  "A token is a piece of text, often a word or a part of a word, that a language model reads as one unit.",
  keyValueCache,
  "A cache keeps recently used data close at hand so that it can be read again.",
].join(" ");

const python = (code: string): string => `\`\`\`python\n${code}\`\`\``;

/**
 * Four tasks of the kind that n-gram lookup is for. The bundled chat model is too small to follow instructions in
 * general; these stay within what it was trained to answer, so that of its own accord it says what repeats its prompt:
 * a function of the file with its bug fixed or its variable renamed, JSON like that in the examples, a sentence of the
 * notes.
 */
export const repetitivePrompts: readonly RepetitivePrompt[] = [
  {
    name: "edit a file",
    messages: [
      { role: "system", content: python(sourceFile) },
      { role: "user", content: "Write a Python function that checks whether a number is prime." },
    ],
    expected: python(isPrime),
  },
  {
    name: "rename a variable",
    messages: [
      { role: "system", content: python(primeWithLongName) },
      { role: "user", content: "Write a Python function to check whether a number is prime. Call it n." },
    ],
    expected: python(isPrime),
  },
  {
    name: "extract JSON",
    messages: [
      {
        role: "system",
        content:
          'Kitchen light on: {"device":"light","room":"kitchen","action":"on"} ' +
          'Office at 18 degrees: {"device":"thermostat","room":"office","action":"set","value":18}',
      },
      { role: "user", content: "Set the thermostat in the kitchen to 21 degrees." },
    ],
    expected: '{"device":"thermostat","room":"kitchen","action":"set","value":21}',
  },
  {
    name: "quote a text",
    messages: [
      { role: "system", content: notes },
      { role: "user", content: "What is a KV cache?" },
    ],
    expected: keyValueCache,
  },
];
