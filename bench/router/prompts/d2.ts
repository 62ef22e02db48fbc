import { type PromptFamily } from "./family.js";
import { families as arts } from "./d2-arts.js";
import { families as body } from "./d2-body.js";
import { families as engineering } from "./d2-engineering.js";
import { families as family } from "./d2-family.js";
import { families as formal } from "./d2-formal.js";
import { families as general } from "./d2-general.js";
import { families as home } from "./d2-home.js";
import { families as house } from "./d2-house.js";
import { families as land } from "./d2-land.js";
import { families as nature } from "./d2-nature.js";
import { families as pastes } from "./d2-pastes.js";
import { families as places } from "./d2-places.js";
import { families as platforms } from "./d2-platforms.js";
import { families as press } from "./d2-press.js";
import { families as riddles } from "./d2-riddles.js";
import { families as rules } from "./d2-rules.js";
import { families as scripts } from "./d2-scripts.js";
import { families as sky } from "./d2-sky.js";
import { families as society } from "./d2-society.js";
import { families as storage } from "./d2-storage.js";
import { families as tasks } from "./d2-tasks.js";
import { families as texts } from "./d2-texts.js";
import { families as trade } from "./d2-trade.js";
import { families as words } from "./d2-words.js";
import { families as work } from "./d2-work.js";
import { families as wrapped } from "./d2-wrapped.js";

/** All prompt families of the second writer, one file per group of topics. */
export const families: readonly PromptFamily[] = [
  ...[home, body, house, family, places, nature, words, arts, rules, work, trade].flat(),
  ...[scripts, storage, platforms, engineering, formal, society, press, land, sky].flat(),
  ...[texts, pastes, general, tasks, riddles, wrapped].flat(),
];
