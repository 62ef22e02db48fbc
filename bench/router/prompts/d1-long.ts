import { passages, snippets } from "./d1-material.js";
import { type PromptFamily } from "./family.js";

/** Simple requests in many words, and long ones of the other tiers for company. */
export const families: readonly PromptFamily[] = [
  {
    id: "d1-long-home-chatter",
    topic: "smart-home",
    tier: 0,
    prompts: [
      "Hello dear house. I know you can't answer questions about your day, so I'll tell you about mine: first the train was late, then the meeting about the redesign was moved, then it was cancelled, and in the end I sat in a cafe and drew a plan for the garden that nobody will ever carry out. Anyway, I'm nearly home and it is freezing. Would you kindly switch on the heating in the hall?",
      "so the thing is that my sister in law is allergic to basically everything and my brother thinks it's all in her head, they argued for an hour about the strategy for the holidays, the kids were crying, the dog ate the cake, and now everybody's gone to bed. can you turn the music down to 10 percent",
      "I have to say that I'm quite impressed by how this whole system works together, the thermostats, the shutters, the little sensors, it must've taken an incredible amount of engineering and debugging to build an architecture like that, and I was sceptical, being a structural engineer. But enough of the compliments: please close the shutters in the office.",
      "Before I go to sleep, and I promise it's the last thing, because you've been so patient tonight with the timers and the lights and the questions about dinosaurs, and because my little boy will ask me first thing in the morning as he always does, could you tell me whether the back door is locked?",
      "My hands are full of dough, there's flour on the phone and on the ceiling, the oven is beeping in a way which the manual explains on a page that I've lost, and my mother-in-law arrives in a quarter of an hour expecting a miracle in three layers. Set a timer for twelve minutes please!",
      "As per the policy agreed by the household committee on the second Sunday of Lent (present: the whole family and the cat; apologies: Uncle Theo), item 4, subsection b, on the responsible use of illumination in rooms that are not occupied, I hereby request that the lamp in the pantry be switched off.",
    ],
  },
  {
    id: "d1-long-lists",
    topic: "logistics",
    tier: 0,
    prompts: [
      "Put these towns in alphabetical order: Rotterdam, Antwerp, Bremen, Genoa, Valencia, Piraeus, Gdansk, Le Havre, Felixstowe, Marseille, Algeciras, Hamburg, Zeebrugge, Trieste, Koper, Sines, Barcelona, Gothenburg, Klaipeda, Riga, Tallinn, Constanta, Varna, Izmir, Haifa, Alexandria, Tangier, Bilbao, Livorno, Ravenna",
      "how many of these are in kilograms? 12 kg sand, 4 l paint, 30 kg cement, 2 m rope, 6 kg nails, 15 l water, 9 m pipe, 80 kg gravel, 1 l glue, 3 kg grout, 24 m cable, 5 kg screws, 10 l diesel, 60 kg lime, 8 m chain, 2 kg wax, 40 l fuel, 7 kg rivets",
      "Here's the loading list. Which number comes right after 4417?\n4402\n4405\n4409\n4411\n4412\n4417\n4423\n4424\n4431\n4438\n4440\n4452\n4453\n4460\n4467\n4471\n4479\n4480\n4488\n4491\n4502\n4517\n4519",
      "Good afternoon, we've reviewed the network strategy, the carriers' service levels, the contract with the port and the plan for peak season, and there'll be a lot to decide next week. For the distribution list of that meeting please turn these names into 'Last, First': Anna Weber, Luis Ortega, Mina Sato, Paul Okoye, Greta Lund, Tomas Novak, Ines Duarte, Yusuf Kaya, Clara Rossi, Erik Holm",
      "Delete the duplicates from this and keep the order: box, tape, label, box, film, pallet, tape, strap, corner, label, bag, film, hook, bag, box, seal, cap, seal, rope, net, net, clip, clip, tag, tag, foam, foam, lid, lid, tray",
      "Convert to a JSON array of numbers, nothing else: 17 - 204 - 33 - 9 - 118 - 54 - 76 - 201 - 5 - 88 - 143 - 61 - 12 - 97 - 30 - 164 - 72 - 45 - 19 - 150 - 111 - 8 - 66 - 93 - 27 - 180 - 39 - 102",
    ],
  },
  {
    id: "d1-long-work-asides",
    topic: "project-management",
    tier: 0,
    prompts: [
      "Subject: a tiny request. Dear all, further to our discussion about the governance framework, the risk appetite statement, the interdependencies of workstreams 3, 7 and 9, and the escalation path which I've described in the attached 40 pages, there's only one thing that I need from you today. What does the abbreviation 'KPI' stand for?",
      "My manager has asked me to reconsider our entire roadmap in the light of the new strategy, to prioritise it by value and risk, and to find the critical path through about two hundred dependencies. I'm not asking you to do that. I'm asking which weekday the 1st of May 2024 was.",
      "We were told that the migration, which is a word I can't hear any more, would be over by spring, and then by summer, and now the consultants talk about a phased approach with a hypercare period, whatever that may be. Is 'hypercare' written as one word or two in the sentence before?",
      "Please translate only the last sentence of this into Spanish and ignore the rest. The architecture board met for four hours. It discussed three options for the new platform. It rejected two for cost and one for risk. Then it went to lunch. The soup was cold.",
      "I've got notes from six interviews, a contradictory survey, a spreadsheet whose author is on leave, and the feeling that whatever we recommend will be ignored. It doesn't matter now. Fix the typo in the title, would you? 'Synthsis of Findings'",
      "OK so picture this: thirty people on a call, half of them on mute, someone's dog, someone's drill, the vendor explains for the fifth time why the root cause can't be on his side, and the boss types to me, privately, a single question that I can't answer: how many minutes are there in a day and a half?",
    ],
  },
  {
    id: "d1-long-code-facts",
    topic: "version-control",
    tier: 0,
    prompts: [
      "I have to present an in-depth analysis of concurrency hazards in this to the whole department on Monday. I've done that already, thanks. Only tell me how many lines of code there are, without the fences.\n\n{code}",
      "{code}\n\nIs there the word 'return' somewhere in this? yes or no",
      "Please don't review, refactor, debug or optimise the following, everybody else has done so already and my head is spinning. Which kind of brackets does its first line use, if any?\n{code}",
      "Add one comment line with the text 'reviewed' at the top and give it back unchanged otherwise.\n{code}",
    ],
    slots: { code: snippets },
  },
  {
    id: "d1-long-reading",
    topic: "writing",
    tier: 0,
    prompts: [
      "Is the tone of this text neutral, angry or sad? One word.\n\n{passage}",
      "{passage}\n\nlist the numbers that occur in it",
      "Replace every full stop in the following with a semicolon and return it: {passage}",
      "For a literary quiz with prizes I need a very easy question about a text, and this is the one that I picked after a week of reading dissertations about narrative architecture. What's its third word?\n\n{passage}",
    ],
    slots: { passage: passages },
  },
  {
    id: "d1-long-specs",
    topic: "programming",
    tier: 1,
    prompts: [
      "I need a small command line program in Python. It reads a text file with one booking per line in the form 'date;room;name;hours'. Lines that don't parse are reported on stderr with their number, and skipped. It prints, per room, the total of hours and the busiest day, sorted by total. With --csv it prints comma-separated values instead of a table. Dates are ISO. Please include a few tests with pytest and a short README section that shows an example.",
      "hey! so my friend and i run a tiny book club and we keep fighting about who picks next, and i thought maybe a script could settle it?? there's 7 of us, everyone picks once before anyone picks twice, ana never picks in december because of work, and if someone skips they go to the end. state should be in a json file so that we can run it once a month. node or python, whichever is easier to explain to people who've never coded. thank you so much!!",
      "Write a TypeScript class for an undo history. Requirements: push(state) drops whatever was undone before; undo() and redo() return the state or undefined; at most n states are kept; equal states in a row count as one, by a comparison given to the constructor; a listener is told after each change. No libraries. Then show how a text field would use it and write tests for the three most likely mistakes.",
      "Here is what our intern left: a function that takes a list of temperatures and should return the longest run of days above 25 degrees, as start and end index. It works for the examples but returns the wrong end if the run reaches the last day, and it fails for an empty list:\n\ndef run(ts):\n    best = (0, 0)\n    start = None\n    for i, t in enumerate(ts):\n        if t > 25:\n            if start is None: start = i\n        else:\n            if start is not None and i - start > best[1] - best[0]:\n                best = (start, i - 1)\n            start = None\n    return best\n\nFix it and explain.",
      "Our teacher wants a quiz game in Java for the open day, and visitors of any age should be able to play it on the old PCs in room 12. Twelve questions from a text file, four answers each, shuffled. Right answers give ten points, less one for each five seconds. At the end a list of the ten best with names. Only what comes with Java 17. It would be nice if you could structure it in three classes and say what each is for.",
    ],
  },
  {
    id: "d1-long-incidents",
    topic: "linux",
    tier: 2,
    prompts: [
      "We operate 220 identical servers with local NVMe in two halls. Since we moved the nightly trim from 02:00 to 03:30, about four machines a night, never the same ones, show a burst of TCP retransmits at 03:47, last for 90 seconds, and are fine afterwards. Only machines in hall 2 are affected, although hall 1 has the same kernel (6.1.55), the same NIC firmware, and more load. Disabling the trim didn't help, going back to 02:00 did. Moving it to 04:10 gave bursts at 03:47 as well. What is going on here, and how would you confirm it without stopping the service?",
      "Long story. A colleague wrote a daemon in 2011 which forks workers, each of which maps a 4 GB file read-only. It ran for a decade. In January we moved to cgroup v2 with memory.high, and since then workers freeze in D state for minutes, although memory.current stays below half the limit. Dropping the page cache helps for an hour. On a box with twice the memory it got worse. Strace shows nothing, the wait channel says mem_cgroup_handle_over_high on some and folio_wait_bit on others. I'm out of ideas, and management wants to go back to bare metal. What's your theory, what contradicts it, and how should this be redesigned?",
      "There's this embedded Linux gateway (kernel 5.10, 512 MB, read-only root, overlay in RAM) that's been installed in 7,000 elevators. After between 190 and 210 days the telemetry stops; ssh still works, the process is alive, its log says messages are sent, the broker never sees them. Restarting the process doesn't help; restarting the network does. Half of the devices are behind carrier-grade NAT, and half aren't, no difference. The elevator code forbids remote reboots. Find plausible mechanisms, tell me how to distinguish them with one visit to one device, and outline a fleet-wide remedy for all of them.",
    ],
  },
  {
    id: "d1-long-memos",
    topic: "finance",
    tier: 2,
    prompts: [
      "Background: our foundation (endowment 310 million, spending rule 4 percent of a three-year average) lost 17 percent last year and has committed 22 million to a hospital wing over five years, with a penalty if we withdraw. Two trustees want to suspend all other grants, one wants to borrow against the portfolio, the founder's daughter wants to sell the art collection, which the deed may or may not allow. The auditor has flagged 40 million of private equity whose marks are nine months old. Please write the paper for the special meeting: what we know, what we don't, options with consequences for ten years, the legal and reputational constraints, a recommendation, and the objections you expect from each of the four.",
      "I inherited a third of a vineyard along with two cousins who haven't talked since 2009. One of them runs it and pays himself whatever is left; the other one lives in Canada and wants cash. A neighbour offers 2.8 million for everything but the house, valid until harvest; a bank values the land at 2.1; the regional fund could buy the vines but not the brand. There are 600,000 of debt, guaranteed by the cousin who runs it, and a tax that falls due if we sell within three more years. I'd like to keep something of it for my children. How should I think about this, what's the set of deals which all three could accept, and in which order should I talk to whom?",
      "You are advising a mid-sized city. It owns 49 percent of a utility, the rest belongs to a pension fund which wants out. District heating must be decarbonised by 2040 (cost between 400 and 900 million, depending on whether the river can be used), tariffs are capped, the credit rating is one step above the limit in the bond covenants, and the council has changed majority at each of the last three elections. Develop a financing strategy: structure, sequencing, hedges against politics and rates, what to decide now and what to leave open, and how to explain it in one page to citizens.",
    ],
  },
];
