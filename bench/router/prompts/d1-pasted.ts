import { emails, logs, passages, tables } from "./d1-material.js";
import { type PromptFamily } from "./family.js";

/** Requests about pasted text, so that each kind of paste comes with all tiers about as often. */
export const families: readonly PromptFamily[] = [
  {
    id: "d1-paste-mail-office",
    topic: "office",
    tier: 0,
    prompts: [
      "Who is this addressed to?\n{mail}",
      "{mail}\n\non which day was it sent?",
      "Give me the greeting and the sign-off of this message, exactly as written.\n\n{mail}",
      "Is the following mail polite or rude? One word.\n{mail}",
    ],
    slots: { mail: emails },
  },
  {
    id: "d1-paste-mail-support",
    topic: "customer-support",
    tier: 0,
    prompts: [
      "Tag this with one topic:\n\n{mail}",
      "{mail}\n\nneeds an answer, yes or no?",
      "Copy every date and time in this message into a list.\n{mail}",
      "Our filter wasn't sure. Spam or not spam?\n\n{mail}",
    ],
    slots: { mail: emails },
  },
  {
    id: "d1-paste-table-business",
    topic: "small-business",
    tier: 0,
    prompts: [
      "What's in the last row of this?\n\n{table}",
      "{table}\n\nwhich separator does it use between cells: comma, semicolon, tab or pipe?",
      "Return the table with the headings in upper case.\n{table}",
      "Read me the first column, top to bottom.\n\n{table}",
    ],
    slots: { table: tables },
  },
  {
    id: "d1-paste-table-iot",
    topic: "iot",
    tier: 0,
    prompts: [
      "Largest number in here?\n{table}",
      "{table}\nmake it a bullet list",
      "Drop the last row and give me the rest.\n\n{table}",
      "Does this contain any negative numbers? Yes or no.\n\n{table}",
    ],
    slots: { table: tables },
  },
  {
    id: "d1-paste-table-logistics",
    topic: "logistics",
    tier: 1,
    prompts: [
      "Write a weekly update for the team from this table, with two highlights and a worry.\n\n{table}",
      "{table}\n\nrank the rows by how much attention they need, explain your criterion, draft a message about the top one",
      "Generate a JavaScript function that takes this as a string, parses it and returns the row with the largest last numeric column. Tests too.\n\n{table}",
      "Explain these figures to someone who hates figures, with an everyday comparison for each row.\n{table}",
    ],
    slots: { table: tables },
  },
  {
    id: "d1-paste-passage-law",
    topic: "law",
    tier: 1,
    prompts: [
      "Summarise this for a file note, neutral tone, who did what when:\n\n{passage}",
      "{passage}\n\nmake a timeline and list who might be a witness to what",
      "Draft a short letter from one of the people in this text to the local authority, based only on the facts given.\n\n{passage}",
      "Formulate five interview questions about this, each with the reason why you ask.\n{passage}",
    ],
    slots: { passage: passages },
  },
  {
    id: "d1-paste-passage-projects",
    topic: "project-management",
    tier: 2,
    prompts: [
      "{passage}\n\nWhat did these people fail to decide? Reconstruct the problem behind the problem, the options with their second-order effects over a decade, and a decision process that would survive a change of leadership.",
      "Treat the text below as the only surviving record of a larger programme. Develop competing explanations of why it went this way, weigh the evidence for each, and design the programme you'd run in its place.\n\n{passage}",
      "root causes, not symptoms, and a redesign of the whole arrangement with incentives that hold:\n{passage}",
      "Write the strategy paper which this situation calls for: goals in conflict, uncertainty, scenarios, real options, recommendation, tripwires.\n\n{passage}",
    ],
    slots: { passage: passages },
  },
  {
    id: "d1-paste-passage-law-hard",
    topic: "law",
    tier: 2,
    prompts: [
      "Analyse every liability that may arise from this under contract, tort and public law, where the law is unsettled, which facts you'd need, and how each side would best litigate or settle.\n\n{passage}",
      "{passage}\n\nmoot court: argue for the claimant, argue for the respondent, decide with reasons, then draft the dissent",
      "From these events, design a regulation that would have prevented the damage without stifling what went well; assess it against abuse, cost and constitutional limits.\n\n{passage}",
      "Three jurisdictions could claim this. Work out conflict of laws, evidence, timing and strategy.\n{passage}",
    ],
    slots: { passage: passages },
  },
  {
    id: "d1-paste-logs-cloud",
    topic: "cloud",
    tier: 0,
    prompts: [
      "{log}\n\nJust the log levels or alarm words that occur, if any.",
      "Which host, unit or program is named in line two of this?\n{log}",
      "Reverse the order of these lines:\n{log}",
      "Wrap this in a code block please, nothing else.\n\n{log}",
    ],
    slots: { log: logs },
  },
];
