/** What checkKvPrecision() computes unless told otherwise: prose, numbers and code, a few hundred tokens for most models. */
export const kvCheckPassage = `The harbour town wakes before the light does. Fishermen carry crates along the quay, count what the
night brought in, and argue about prices that will have changed by noon. On the hill behind them stands the old signal
tower, 42 metres high, which was built in 1871 to warn ships of the sandbank and is now a museum of instruments. A guide
explains to a group of children how a lens of glass rings, turned by a falling weight, sent one beam of light over twenty
nautical miles. "And who wound up the weight again?" asks a girl in the first row. "The keeper," says the guide, "every
three hours, all night, for thirty years."

The function below does what the keeper did: it does a small task again and again, and stops when it is told to.

function every(milliseconds, task, signal) {
  let count = 0;
  const timer = setInterval(() => {
    count += 1;
    task(count);
  }, milliseconds);
  signal.addEventListener("abort", () => clearInterval(timer), { once: true });
  return () => count;
}

const controller = new AbortController();
const turns = every(1000, (count) => console.log("wound up " + count + " times"), controller.signal);

Nobody lives in the tower any more, but the children climb its 186 steps, look out over the water to the sandbank, and ask
the guide whether the light still works. It does.
`;
