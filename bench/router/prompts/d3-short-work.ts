import type { PromptFamily } from "./family.js";

/** Short requests that look like look-ups and are work: a line of code to mend or turn around, and word problems. */
export const families: readonly PromptFamily[] = [
  {
    id: "d3-mend-one-liner",
    topic: "programming",
    tier: 1,
    prompts: [
      "Fix this: {broken}",
      "this line doesn't run, repair it: {broken}",
      "What's wrong here and how should it read? {broken}",
      "correct my code please {broken}",
      "Make this work: {broken}",
    ],
    slots: {
      broken: [
        "for i in range(10) print(i)",
        "function add(a, b) { retrun a + b }",
        'if (x = 3) { console.log("three") }',
        "SELECT name FROM users WHERE age > 30 ORDER name",
        "def mean(xs): return sum(xs) / len",
        "const total = items.reduce((sum, item) => { sum + item.price }, 0)",
        'let v = vec![1,2,3]; let w = v; println!("{:?}", v);',
        "int *p = malloc(10); p[10] = 1;",
        "while true do i = i + 1",
        "fetch(url).then(r => r.json).then(console.log)",
      ],
    },
  },
  {
    id: "d3-turn-code-around",
    topic: "programming",
    tier: 1,
    prompts: [
      "Rewrite with {style}: {code}",
      "turn this into {style}: {code}",
      "Convert to {style}. {code}",
      "Same thing but using {style}: {code}",
    ],
    slots: {
      style: [
        "async/await",
        "a list comprehension",
        "early returns",
        "a switch",
        "recursion",
        "streams",
        "pattern matching",
      ],
      code: [
        "getUser(id, function(err, user) { if (err) throw err; show(user); })",
        "out = []\nfor x in xs:\n    if x > 0:\n        out.append(x * 2)",
        "if (a) { if (b) { if (c) { run(); } } }",
        "let i = 0; while (i < list.length) { use(list[i]); i++; }",
        "db.query(sql, (e, rows) => { rows.forEach(r => save(r, () => {})) })",
        "result = None\nif kind == 1:\n    result = one()\nelif kind == 2:\n    result = two()",
      ],
    },
  },
  {
    id: "d3-chances",
    topic: "mathematics",
    tier: 1,
    prompts: [
      "There are {things}. What is the chance that {event}?",
      "I draw twice from {things}; how likely is it that {event}?",
      "A bag holds {things}. Find the probability that {event}.",
      "With {things} in a jar, what are the odds that {event}?",
    ],
    slots: {
      things: [
        "4 green and 6 white marbles",
        "ten cards numbered 1 to 10",
        "3 defective and 17 good bulbs",
        "5 mints, 2 toffees and 4 caramels",
        "8 socks, half of them black",
        "two dimes, three nickels and a quarter",
      ],
      event: [
        "both are the same",
        "the second is larger than the first",
        "at least one is not like the others",
        "none of the first kind comes up",
        "they are of different kinds",
        "the first kind comes up both times",
      ],
    },
  },
  {
    id: "d3-if-problems",
    topic: "mathematics",
    tier: 1,
    prompts: [
      "If a tank fills in 6 hours by one pipe and in 4 by another, how long do both take?",
      "if 5 printers do 200 pages in 8 minutes how many pages do 3 printers do in 20 minutes",
      "A shirt costs 20% less after a discount and then 20% more. Is it back at its price, and why?",
      "If I save 150 a month at 4% a year, when do I have 10,000?",
      "Two runners start together, one at 9 km/h and one at 11 km/h; when are they 3 km apart?",
      "If the sum of three consecutive odd numbers is 141, what are they? Show the steps.",
      "A recipe for 8 needs 350 g of flour and 3 eggs. Scale it to 11 and round sensibly.",
      "If a car loses 15% of its value each year, after how many years is it worth less than half?",
    ],
  },
  {
    id: "d3-facts-in-years",
    topic: "history",
    tier: 0,
    prompts: [
      "When did {event} begin?",
      "in which year did {event} end",
      "When was {event}?",
      "What year did {event} happen?",
    ],
    slots: {
      event: [
        "the first world war",
        "the Thirty Years' War",
        "the Korean War",
        "the American Civil War",
        "the Great Depression",
        "the moon landing",
        "the fall of Constantinople",
        "the French Revolution",
      ],
    },
  },
];
