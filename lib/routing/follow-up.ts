/** Words by which a short message refers to what was said before. */
const references =
  /\b(it|that|this|these|those|them|again|continue|go on|more|shorter|longer|simpler|faster|instead|the same|what about|how about|why not|elaborate|the (first|second|third|last|other|previous) (one|part|step|point))\b/i;

const closings = /^\W*(thanks?|thank you|thx|ok(ay)?|great|perfect|nice|cool|awesome|bye|got it)\b/i;

/** Most words of a message that is taken to lean on the one before. */
const mostWords = 9;

/** Whether a message cannot be judged without the one before it, such as "now make it faster" or "why?". */
export function leansOnEarlier(text: string): boolean {
  if (text.length > 120 || closings.test(text)) return false;
  const words = text.trim().split(/\s+/);
  if (words.length > mostWords) return false;
  return references.test(text) || /^\W*(why|how so|how come|and|but|now|then|also)\b/i.test(text);
}
