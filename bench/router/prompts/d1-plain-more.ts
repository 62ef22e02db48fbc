import { passages } from "./d1-material.js";
import { type PromptFamily } from "./family.js";

/** More plain forms of demanding and hard requests. */
export const families: readonly PromptFamily[] = [
  {
    id: "d1-plain-algorithms",
    topic: "machine-learning",
    tier: 1,
    prompts: [
      "{algorithm} from scratch in numpy",
      "code {algorithm} in python",
      "Implement {algorithm} in Julia and explain each step.",
      "{algorithm}: how does it work, and when would you use it? With a small example.",
    ],
    slots: {
      algorithm: [
        "k-means",
        "naive Bayes",
        "PCA",
        "a decision tree",
        "word2vec",
        "gradient boosting",
        "DBSCAN",
        "a two-layer perceptron",
        "beam search",
      ],
    },
  },
  {
    id: "d1-plain-workings",
    topic: "electronics",
    tier: 1,
    prompts: [
      "How does {device} work?",
      "explain {device} with a drawing in ASCII",
      "Why does {device} do what it does? Take me through it, voltage by voltage.",
      "teach me {device}, then quiz me with 5 questions and answers",
    ],
    slots: {
      device: [
        "a boost converter",
        "a Schmitt trigger",
        "an H-bridge",
        "a crystal oscillator",
        "a solar charge controller",
        "a push-pull stage",
        "a flyback transformer",
        "a touch sensor",
      ],
    },
  },
  {
    id: "d1-plain-howtos",
    topic: "gardening",
    tier: 1,
    prompts: [
      "how to build {thing}, step by step",
      "{thing}: plan, tools, cost, one weekend",
      "Guide to {thing} for absolute beginners.",
      "I'd like {thing} by Easter. What do I do in which week?",
    ],
    slots: {
      thing: [
        "a raised bed",
        "a dry stone wall",
        "a small pond",
        "a cold frame",
        "a hedgehog house",
        "a rain barrel system",
        "a wildflower strip",
        "a pizza oven in the garden",
      ],
    },
  },
  {
    id: "d1-plain-summaries",
    topic: "travel",
    tier: 1,
    prompts: [
      "Summarise: {passage}",
      "{passage}\n\nsummary in 2 sentences and a catchy title",
      "Give me the gist of this for a newsletter, and rewrite the most important sentence so that it's easy to understand.\n\n{passage}",
      "Explain the following to a foreign visitor who has no idea of the background; about 120 words.\n{passage}",
    ],
    slots: { passage: passages },
  },
  {
    id: "d1-plain-derivations",
    topic: "physics",
    tier: 2,
    prompts: [
      "Derive {law} from first principles.",
      "{law}: rigorous derivation, all assumptions, where it breaks",
      "Is {law} a theorem, an approximation or an experimental fact? Settle it with a derivation and its limits.",
      "derive {law} in two independent ways & show they agree",
    ],
    slots: {
      law: [
        "the Planck spectrum",
        "the Navier-Stokes equations",
        "Ohm's law in a metal",
        "the Kutta condition",
        "Hawking radiation",
        "the fluctuation-dissipation theorem",
        "the second law of thermodynamics",
        "the Kolmogorov five-thirds spectrum",
      ],
    },
  },
  {
    id: "d1-plain-yield",
    topic: "manufacturing",
    tier: 2,
    prompts: [
      "{effect}. Find the mechanism.",
      "{effect}; what would explain all of it, and how do we test that without stopping the line?",
      "five plants, same recipe: {effect}. root cause?",
      "Consultants came and went, and still {effect}. Set up a causal investigation with competing hypotheses, an order of experiments, and a redesign of the process that removes the cause for good.",
    ],
    slots: {
      effect: [
        "adhesion fails on parts made after lunch",
        "porosity goes up when throughput goes down",
        "the best shift makes the worst castings",
        "torque drifts between audits but never during one",
        "scrap comes in runs of eleven",
        "the new furnace makes the old one better",
        "colour is off only in export lots",
      ],
    },
  },
  {
    id: "d1-plain-defences",
    topic: "security",
    tier: 2,
    prompts: [
      "Design {system}.",
      "{system}: threat model, architecture, proof of the key property",
      "How could {system} be built so that even its operator can't cheat? Trade-offs, please.",
      "we need {system} in 9 months with 5 people. architecture, sequence, what can go wrong, what we must not build",
    ],
    slots: {
      system: [
        "a password manager for companies",
        "an audit log nobody can rewrite",
        "anonymous whistleblowing at a bank",
        "a secrets vault across three clouds",
        "remote attestation for voting machines",
        "a lottery on a public chain",
        "key recovery for a lost phone",
        "a sandbox for browser extensions",
      ],
    },
  },
  {
    id: "d1-plain-strategies",
    topic: "project-management",
    tier: 2,
    prompts: [
      "Strategy for {change}.",
      "{change}: roadmap over three years, governance, risks, how we'd know that it fails",
      "Half of the directors want {change}, the other half will block it. Analyse interests, propose a path that both can live with and the decision rules for when reality disagrees.",
      "what's the hardest part of {change} and how would you design around it",
    ],
    slots: {
      change: [
        "merging two call centres",
        "leaving a vendor after 20 years",
        "one ERP for eleven subsidiaries",
        "moving a ministry to another city",
        "opening all internal data",
        "insourcing 400 developers",
        "shutting down a product that 9 percent of customers love",
      ],
    },
  },
  {
    id: "d1-plain-research",
    topic: "health",
    tier: 2,
    prompts: [
      "Plan a five-year research programme on {question}.",
      "research strategy: {question}. aims, designs, risks, stopping rules, budget 3M",
      "Synthesise what is known about {question}, where the studies contradict each other, and which trial would settle it.",
      "If you had to convince a sceptical ministry to act on {question} now, before the evidence is in, how would you weigh harm, benefit and uncertainty?",
    ],
    slots: {
      question: [
        "loneliness and heart disease",
        "screen time in toddlers",
        "long-term effects of night shifts",
        "phage therapy",
        "air filters in schools",
        "early detection of sepsis at home",
        "diet and depression",
      ],
    },
  },
  {
    id: "d1-plain-designs",
    topic: "logistics",
    tier: 2,
    prompts: [
      "Design {system}.",
      "{system}: architecture, failure modes, migration from today's phone and paper",
      "We need {system}. Nobody agrees on the requirements. Derive them, propose the architecture, justify the trade-offs and tell us what to build first.",
      "Why do attempts to build {system} fail, and which design would avoid it?",
    ],
    slots: {
      system: [
        "a control tower for 60 hauliers who distrust each other",
        "a drone delivery network for islands",
        "returns handling for forty web shops",
        "a slot booking system for a congested port",
        "an inventory system that works through wars and blackouts",
        "a dispatch system for blood couriers",
        "a parcel locker network shared by rivals",
      ],
    },
  },
];
