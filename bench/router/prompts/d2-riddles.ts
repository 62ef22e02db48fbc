import { type PromptFamily } from "./family.js";

/** Hard prompts that belong to no topic: designs, failures without a known cause, migrations, open questions. */
export const families: readonly PromptFamily[] = [
  {
    id: "d2-general-designs",
    topic: "general",
    tier: 2,
    prompts: [
      "Design {system} that {constraint}.",
      "How would you architect {system} so that it {constraint}?",
      "{system}, must be one which {constraint}. go",
      "We need {system}; it {constraint}. Constraints conflict, the team is small, there is a legacy version nobody may switch off. Give me the architecture, the riskiest assumptions and the order of work.",
    ],
    slots: {
      system: [
        "a voting system",
        "a feature flag service",
        "a search engine for medical records",
        "a warehouse robot fleet",
        "a secrets manager",
        "a ride matching market",
        "a digital identity scheme",
        "a real-time fraud detector",
        "a learning platform for prisons",
      ],
      constraint: [
        "stays correct when a third of its parts lie",
        "works offline for weeks and merges later",
        "can be audited by people who don't trust us",
        "scales to a hundred million users at a tenth of today's cost",
        "cannot leak who used it",
        "keeps working while every component is replaced",
      ],
    },
  },
  {
    id: "d2-general-puzzling-failures",
    topic: "general",
    tier: 2,
    prompts: [
      "{failure}: why?",
      "Help me debug: it happens that {failure}. Already excluded: config drift, disk, obvious locks. What else, in order of likelihood, and how do I tell them apart?",
      "{failure}. any ideas? been at it for 3 days",
      "Since the upgrade {failure}, and only in production. Construct hypotheses consistent with all of that, and the experiments.",
    ],
    slots: {
      failure: [
        "throughput halves when we double the cores",
        "two replicas return different sums from the same rows",
        "training diverges only on the third node",
        "the service deadlocks only when logging is off",
        "memory fragments although allocations are constant in size",
        "messages overtake each other within one partition",
        "the p99 doubles exactly at every full hour",
        "the checksum fails after resuming but never after a clean start",
      ],
    },
  },
  {
    id: "d2-general-migrations",
    topic: "general",
    tier: 2,
    prompts: [
      "Plan our move from {old} to {new}.",
      "We're on {old} and the board wants {new} by next summer without a day of interruption. Strategy, phases, rollback, people, and when to say no?",
      "{old} -> {new}, 12 years of history, no docs, 3 people who understand it. how would you do it",
      "Is it right at all to go from {old} to {new}? Build the case on both sides including hidden couplings and sunk costs, then decide.",
    ],
    slots: {
      old: [
        "a mainframe",
        "paper files in nine offices",
        "one giant repository",
        "a self-written ERP",
        "a monolith in Perl",
        "a proprietary cloud",
      ],
      new: [
        "services owned by teams",
        "an open-source stack",
        "a vendor's suite",
        "an event-driven design",
        "our own data centres",
        "a shared platform with a competitor",
      ],
    },
  },
  {
    id: "d2-general-open-questions",
    topic: "general",
    tier: 2,
    prompts: [
      "Design a lottery that nobody has to trust.",
      "Prove that this scheduling problem is NP-hard: jobs with release times, one machine, minimise total tardiness.",
      "How should we decide which of our 300 products to kill?",
      "Threat model for a smart lock.",
      "What would it take to make a city of a million blackout-proof for a month?",
      "our two best teams hate each other and both are right. restructure",
      "Devise an algorithm for fair cake cutting with n players and analyse envy.",
      "Migrate payroll for 60,000 people while the law changes twice.",
      "Work out a theory of why meetings grow, and an intervention that could refute it.",
      "Rank existential risks and defend your method.",
    ],
  },
];
