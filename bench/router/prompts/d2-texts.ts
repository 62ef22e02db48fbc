import { type PromptFamily } from "./family.js";

/** Long texts that people paste; every tier asks about the same ones. */
const mails = [
  "From: Birgit Saltmarsh\nTo: all project leads\nDate: 4 June\nSubject: Move to the new building\n\nDear all,\n\nthe move is now fixed for the last weekend of July. The carriers come on Friday at seven, so desks must be empty on Thursday evening. Each of you gets nine crates; whoever needs more must tell Jonas by 20 June. The labs move a week later because the gas lines will not have been approved. Parking is an open question: there are 41 spaces for 130 cars, and the city refuses a second exit. Finance insists that the old lease ends on 31 July, with 900 a day after that. Works council and lab safety both reserve the right to object.\n\nKind regards, Birgit",
  "Minutes, steering group, 11 September. Present: Rahel (chair), Tobias, Mwangi, Lena, Oskar (until 3 pm). 1. Budget: 84,000 of 120,000 spent, overrun likely in November since the supplier invoices in dollars. 2. Release: Lena wants to ship on 1 October without the import; Tobias says two pilot customers signed because of the import. No decision. 3. Hiring: one post approved, two needed. 4. Incident of 2 September: cause not established, logs were rotated; Mwangi suspects the nightly job. 5. Oskar leaves at the end of the year, nobody else knows the billing module. Next meeting 25 September, 2 pm, room Turing.",
  "hi, its me again about order 55871. so first you sent the blue one, i ordered green, then the green one came but in size 40 not 42, i sent it back on 3 march w/ your label and the tracking says delivered 6 march. since then nothing. i called twice, first guy (kevin?) said refund in 5 days, second lady said there is no return in the system. my card was charged 129.90 TWICE, on 19 and 22 feb. now i got a reminder from a debt collector for 34.50 which is i think the label?? i'm a customer since 2016, im not angry just tired. please sort it out. greetings, dorota wilk",
  "Transcript, call of 17 January, 09:30.\nA: We lose about four percent of the parcels on the northern route.\nB: Lose as in stolen?\nA: As in scanned in and never scanned out. Only since the new sorter. But the sorter's maker says that its count is right.\nB: And insurance?\nA: Pays up to 200 a piece until March, then the contract is up.\nB: Drivers?\nA: Three of twelve are agency. The works council doesn't want cameras. Customers don't want delays. Head office doesn't want to hear about it.\nB: What does it cost us?\nA: 61,000 last quarter, plus goodwill. Ingrid in Bremen has the sheet.\nB: Let's talk on Friday.",
  "Dear Sir or Madam, I write on behalf of the residents of Tannery Court (32 flats, built 1994). Since the pumps were replaced in autumn by Messrs Orchard & Pole the top floor has had no hot water between 6 and 8, the ground floor is overheated, and our yearly costs rose from 21,600 to 29,150. The managing agent says that the valves are ours, the installer says the design was the agent's, and the agent's engineer, Mr Quill, has retired to Madeira. Two residents withhold service charges, one has sued. We ask you for an answer by 28 February. Yours faithfully, Edith Marchbanks",
  "Weekly report, week 33. Line 1 ran at 92% of plan, line 2 at 71% (bearing on Monday, missing labels on Wednesday, bearing again on Friday). Scrap 3.8%, twice the target, nearly all from night shift on line 2, though day shift used the same batch of foil. One minor injury. Two customers, Lakeland and Perrier, complained of short fills; our scales pass calibration. Maintenance wants 48 hours of standstill, sales has promised 11 lorries until Tuesday, 20 August. Temporary staff: 9. Reported by Dieter Hamm.",
] as const;

/** Prompts about longer texts that were pasted, and about writing. */
export const families: readonly PromptFamily[] = [
  {
    id: "d2-texts-lookups",
    topic: "text-work",
    tier: 0,
    prompts: [
      "{mail}\n\nWho wrote or reported this?",
      "What is the first date that occurs in this text?\n\n{mail}",
      "how many words is this roughly? {mail}",
      "Find the sum or amount that is mentioned first:\n\n{mail}",
      "Is the tone friendly, neutral or angry? One word.\n---\n{mail}\n---",
      "I only need a file name for this, something short with dashes, the archive system does not accept spaces and my colleague who usually thinks them up is on parental leave.\n\n{mail}",
    ],
    slots: { mail: mails },
  },
  {
    id: "d2-texts-work",
    topic: "text-work",
    tier: 1,
    prompts: [
      "{mail}\n\nSummarise in four bullet points and add a list of open tasks with names.",
      "Draft an answer to this that is polite and commits us to nothing yet.\n\n{mail}",
      "rewrite so that a busy director gets it in 20 seconds, keep all the numbers\n{mail}",
      "Turn this into a structured JSON with people, dates, amounts, problems; infer the types.\n\n{mail}",
      "{mail}\n\nWrite the agenda for a 45-minute meeting about it, with times and the question behind each item.",
    ],
    slots: { mail: mails },
  },
  {
    id: "d2-texts-analysis",
    topic: "text-work",
    tier: 2,
    prompts: [
      "{mail}\n\nEverybody in it is right from where they stand. Work out the underlying structure of the conflict, three arrangements that could hold for years, and how each would be undermined.",
      "You take over as the person responsible. From the text alone infer competing causes, what evidence separates them, the order of action under uncertainty, and the liabilities you must not create.\n\n{mail}",
      "Quantify what you can, bound what you can't, and build the decision analysis for the next twelve months.\n\n{mail}",
      "what is really going on here and how would you redesign the organisation so this can't happen again\n\n{mail}",
    ],
    slots: { mail: mails },
  },
  {
    id: "d2-texts-quick",
    topic: "text-work",
    tier: 0,
    prompts: [
      "spellcheck: 'definately'",
      "lowercase this: STRATEGY AND ARCHITECTURE BOARD",
      "What is the past tense of 'to prove'?",
      "synonym for 'design'",
      "remove the double spaces: 'We  will  analyse   the  root  cause.'",
      "Translate 'threat model' into French.",
      "Is 'trade-off' hyphenated?",
      "what comes after 'Dear Sir or Madam', comma or colon, in british letters",
      "Count the words: 'Design a distributed, fault-tolerant migration strategy for the whole company'",
      "make this title case: optimising long-term governance under uncertainty",
    ],
  },
  {
    id: "d2-texts-writing",
    topic: "text-work",
    tier: 1,
    prompts: [
      "Write a cover letter for a museum guard who used to be a goalkeeper.",
      "Draft an out-of-office reply which is funny but not for everyone's boss.",
      "rewrite my bio, 100 words, third person: i'm lou, i fix accordions, before that i was a tax inspector for 14 years, i live on a boat",
      "Write a speech for a colleague's retirement: 31 years, hates fuss, loves trains.",
      "Turn these keywords into a product description: linen, apron, two pockets, washable, made by a workshop of six.",
      "Give feedback on this opening and improve it: 'It was a dark and very dark night, and the wind was windy as Jack, who was afraid, was walking.'",
      "Condense: explain in one paragraph why we are changing the supplier, reasons are price, three late deliveries, and a nicer contact person.",
      "poem for a dentist's waiting room, 12 lines, reassuring, with teeth",
    ],
  },
  {
    id: "d2-texts-synthesis",
    topic: "text-work",
    tier: 2,
    prompts: [
      "Write the constitution of a city on Mars.",
      "Five audit reports blame five departments. Design the synthesis: how to code the claims, weigh the sources, resolve contradictions and present a finding nobody can wave away.",
      "What would a just algorithm for kidney allocation be?",
      "Turn forty years of a company's board minutes into a theory of why it declined; method, coding scheme, rival narratives, falsification.",
      "Reconcile these for me: Rawls, Hayek and Sen on inheritance.",
      "Compose an argument against free will which a careful compatibilist would have to answer, then answer it.",
      "plan a 600 page handbook by 80 authors who disagree",
      "How should humanity send a message to people ten thousand years from now about nuclear waste?",
    ],
  },
];
