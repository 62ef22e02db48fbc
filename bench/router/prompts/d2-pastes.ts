import { families as body } from "./d2-body.js";
import { families as engineering } from "./d2-engineering.js";
import { families as home } from "./d2-home.js";
import { families as places } from "./d2-places.js";
import { families as platforms } from "./d2-platforms.js";
import { families as press } from "./d2-press.js";
import { families as rules } from "./d2-rules.js";
import { families as storage } from "./d2-storage.js";
import { families as trade } from "./d2-trade.js";
import { families as words } from "./d2-words.js";
import { families as work } from "./d2-work.js";
import { type PromptFamily } from "./family.js";

const simple = [body, engineering, home, places, platforms, press, rules, storage, trade, words, work].flat();

/** The pastes of a simple family, so that what is pasted does not tell how hard the request is. */
function pastesOf(id: string, slot: string): readonly string[] {
  return simple.find((family) => family.id === id)?.slots?.[slot] ?? [];
}

/** Demanding and hard requests about the texts that simple families ask small things of. */
export const families: readonly PromptFamily[] = [
  {
    id: "d2-cooking-recipe-work",
    topic: "cooking",
    tier: 1,
    prompts: [
      "Rewrite this recipe for nine people and an oven that runs 20 degrees hot, with quantities and timings.\n\n{recipe}",
      "{recipe}\n\nPlan a menu around this dish with a starter and a dessert, plus a shopping list by aisle.",
      "make this vegan and nut free, tell me what changes in texture and why\n{recipe}",
      "Explain the science behind each step of this recipe: {recipe}",
    ],
    slots: { recipe: pastesOf("d2-cooking-extract", "recipe") },
  },
  {
    id: "d2-health-note-work",
    topic: "health",
    tier: 1,
    prompts: [
      "Write a letter to the patient which explains this note in plain, kind language.\n\n{note}",
      "{note}\n\nSummarise this for the family and list the questions they should ask at the next visit.",
      "turn the note into a plan for the fridge door: what, when, who, with reminders. {note}",
      "Explain every technical term in the note and why each medicine was chosen.\n{note}",
    ],
    slots: { note: pastesOf("d2-health-notes-extract", "note") },
  },
  {
    id: "d2-history-passage-work",
    topic: "history",
    tier: 1,
    prompts: [
      "{passage}\n\nWrite five comprehension questions with model answers for this text.",
      "Summarise the passage in two sentences, then retell it as a letter by an eyewitness.\n\n{passage}",
      "what does this show about everyday life back then? short paragraph w/ quotes from the text: {passage}",
      "Turn it into a scene for a school play with four roles.\n\n{passage}",
    ],
    slots: { passage: pastesOf("d2-history-passage", "passage") },
  },
  {
    id: "d2-literature-excerpt-work",
    topic: "literature",
    tier: 1,
    prompts: [
      "Continue this in the same style for about 200 words.\n\n{excerpt}",
      "{excerpt}\n\nInterpret the passage: tone, imagery, what is left unsaid.",
      "Rewrite as a poem in three stanzas and explain two decisions you made: {excerpt}",
      "write a critical paragraph comparing this with a fairy tale\n\n{excerpt}",
    ],
    slots: { excerpt: pastesOf("d2-literature-quotes", "excerpt") },
  },
  {
    id: "d2-law-clause-work",
    topic: "law",
    tier: 1,
    prompts: [
      "Explain this clause to someone without legal training and point out two things to negotiate.\n\n{clause}",
      "{clause}\n\nRedraft it in plain English so that both sides have the same rights.",
      "i want to get out of this early, write the notice letter for me. {clause}",
      "Compare what the clause means for either side in a table: {clause}",
    ],
    slots: { clause: pastesOf("d2-law-clause", "clause") },
  },
  {
    id: "d2-hr-application-work",
    topic: "human-resources",
    tier: 1,
    prompts: [
      "{application}\n\nWrite a warm invitation to an interview and six questions tailored to this person.",
      "Draft a rejection which says something true and useful to this applicant.\n\n{application}",
      "rewrite this application so that it is twice as convincing but not longer: {application}",
      "Assess strengths, gaps and risks of the applicant and suggest how to check each in a trial day.\n{application}",
    ],
    slots: { application: pastesOf("d2-hr-application", "application") },
  },
  {
    id: "d2-distributed-log-work",
    topic: "distributed-systems",
    tier: 1,
    prompts: [
      "Explain to a new colleague what happens in this log, line by line.\n\n{log}",
      "{log}\n\nWrite a Python parser for this format that counts errors per node.",
      "draft a short incident note for customers from this\n```\n{log}\n```",
      "What is the likely reason for the first error here and which three commands would you run next?\n{log}",
    ],
    slots: { log: pastesOf("d2-distributed-logs", "log") },
  },
  {
    id: "d2-devops-config-work",
    topic: "devops",
    tier: 1,
    prompts: [
      "{config}\n\nAdd a health check, a memory limit and a non-root user, and explain each change.",
      "Translate this to a Kubernetes Deployment with a Service, or to Compose if it is one already:\n{config}",
      "review this config, what would you change before production\n{config}",
      "Write a README section for newcomers on how to run and debug this.\n\n{config}",
    ],
    slots: { config: pastesOf("d2-devops-config", "config") },
  },
  {
    id: "d2-systems-error-work",
    topic: "rust-and-cpp",
    tier: 1,
    prompts: [
      "Explain this error and show a minimal program that triggers it and the fixed one.\n\n{message}",
      "{message}\n\nHow do I fix it? Give two ways and compare them.",
      "my build dies with this since this morning, walk me through it:\n```\n{message}\n```",
      "Write a regression test for the bug behind this message, as far as you can guess it.\n{message}",
    ],
    slots: { message: pastesOf("d2-systems-errors", "message") },
  },
  {
    id: "d2-health-note-reasoning",
    topic: "health",
    tier: 2,
    prompts: [
      "{note}\n\nSomething does not fit. Give the differential including rare and iatrogenic causes, how each competing risk changes the treatment, and what evidence you would weigh against the guideline.",
      "Build a decision model for this case under uncertainty about adherence, interactions and the patient's goals.\n\n{note}",
      "Multidisciplinary board: argue the case from three specialities which disagree, then reconcile them into a plan with contingencies. {note}",
      "from notes like this one, design a system that predicts deterioration without making inequality worse\n{note}",
    ],
    slots: { note: pastesOf("d2-health-notes-extract", "note") },
  },
  {
    id: "d2-history-passage-criticism",
    topic: "history",
    tier: 2,
    prompts: [
      "{passage}\n\nThis is the only surviving source. Assess its reliability, genre and silences, set out rival reconstructions and design the archival search that would decide between them.",
      "Use the passage as evidence for and against three theories of social change; which of them survives?\n\n{passage}",
      "Is this a forgery? Develop the full argument: language, anachronisms, transmission, motive, probability. {passage}",
      "build a research project around this fragment: questions, sources in other countries, method, what would disprove me\n\n{passage}",
    ],
    slots: { passage: pastesOf("d2-history-passage", "passage") },
  },
  {
    id: "d2-law-clause-strategy",
    topic: "law",
    tier: 2,
    prompts: [
      "{clause}\n\nThe other side is insolvent, abroad, and has assigned its claims twice. Analyse our position across jurisdictions and devise a strategy.",
      "Redesign this contract's risk allocation for a twenty-year relationship with volatile prices, and prove to both boards that neither can exploit it.\n\n{clause}",
      "how could each party game this clause, in equilibrium? then fix the mechanism, not the wording. {clause}",
      "Conflict of laws, unconscionability, consumer status and data duties all bear on this. Write the memorandum with likelihoods.\n{clause}",
    ],
    slots: { clause: pastesOf("d2-law-clause", "clause") },
  },
  {
    id: "d2-statistics-abstract-critique",
    topic: "statistics",
    tier: 2,
    prompts: [
      "{abstract}\n\nAssume the result is false. Reconstruct every way in which it could have come about and design the study that would catch each.",
      "Design a multi-site replication with adaptive stopping and a prior that sceptics accept:\n{abstract}",
      "can a causal claim be saved here? assumptions, identification, sensitivity bounds, and a better estimand\n\n{abstract}",
      "Should policy change on this evidence? Decision analysis with heterogeneous effects, costs of error and value of further research. {abstract}",
    ],
    slots: { abstract: pastesOf("d2-statistics-abstract", "abstract") },
  },
  {
    id: "d2-distributed-log-diagnosis",
    topic: "distributed-systems",
    tier: 2,
    prompts: [
      "{log}\n\nThis happens about once a week and never in staging. Infer the failure mode, find the invariant that is violated and redesign the protocol.",
      "From this excerpt alone: which orders of events are possible, which are excluded, and what could have been lost for good?\n```\n{log}\n```",
      "root cause? the obvious explanation was ruled out twice (clock sync ok, network ok, disks ok)\n{log}",
      "Develop the architecture in which such a log cannot occur, and the migration to it under load.\n\n{log}",
    ],
    slots: { log: pastesOf("d2-distributed-logs", "log") },
  },
  {
    id: "d2-business-invoice-forensics",
    topic: "small-business",
    tier: 2,
    prompts: [
      "{invoice}\n\nWe have 9,000 of these and suspect fraud by an insider. Design the forensic analysis, the legal route and the controls that come after.",
      "Invoices such as this arrive in 40 layouts and 6 languages. Architect an extraction system with audit trail, human review and measurable error, given that a wrong payment costs fifty times a late one.\n{invoice}",
      "What does this business live from and what will kill it? Infer unit economics from the invoice, state uncertainty, propose a strategy.\n\n{invoice}",
      "design the tax and transfer pricing setup for a group that issues these across five countries, defensible in each\n{invoice}",
    ],
    slots: { invoice: pastesOf("d2-business-invoice", "invoice") },
  },
  {
    id: "d2-testing-output-diagnosis",
    topic: "testing",
    tier: 2,
    prompts: [
      "{output}\n\nIt fails on one of nine runners, passes under the debugger and depends on the order of unrelated suites. Explain how that can be and find the cause.",
      "Every fix for this has come back within a month for three years. Diagnose the system that produces it, code, process and incentives, and re-architect.\n{output}",
      "Derive from this failure the class of bugs it belongs to and a proof technique or type discipline that removes the class.\n\n{output}",
      "same commit, same image, green yesterday. no network. go deep.\n```\n{output}\n```",
    ],
    slots: { output: pastesOf("d2-testing-output", "output").filter((output) => output.includes("FAIL")) },
  },
];
