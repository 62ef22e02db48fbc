/**
 * Beginnings of prose that air-tiny-large goes on with. Greedily it soon repeats itself, as small models do, and so is
 * easy to guess; drawn at temperature 0.8 its text does not repeat.
 */
export const prosePrompts: readonly string[] = [
  "A server that answers many requests at once has to decide which of them may wait. The simplest rule is to take " +
    "them in the order in which they came, but",
  "When a program reads a file, the operating system keeps its pages in memory for as long as nobody else needs the " +
    "room. The next time that the file is opened,",
  "An index makes a table faster to search and slower to change. Before adding one, look at the queries that take the " +
    "most time and",
  "Errors should say what was expected and what was found instead. A message that only says that something failed " +
    "leaves the reader",
];
