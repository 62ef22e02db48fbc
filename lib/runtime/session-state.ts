import { isPossibleState } from "../cache/page-table-state.js";
import type { Sequence } from "../engine/sequence.js";
import { AirError } from "../errors/air-error.js";
import type { ChatMessage } from "../model/chat-template.js";
import { at } from "../util/array-access.js";
import type { ModelCore } from "./model-core.js";
import { SessionFile, sessionFileError, type SessionHeader, writeSessionFile } from "./session-file.js";

/** What a session is made of. */
export interface SessionState {
  readonly sequence: Sequence;
  readonly messages: readonly ChatMessage[];
}

/** Bytes of pages that are copied at once, while no step can run. */
const transferBytes = 1 << 20;

/** Thrown when other sessions took the pages that were being saved. */
class PagesLost extends Error {}

/** Pages of a table that are copied at once. */
interface PageChunk {
  readonly headGroup: number;
  readonly pages: Int32Array;
  readonly bytes: number;
}

/** Writes a session to a file; nothing but preemption may change it meanwhile. See Session.save(). */
export async function saveSession(core: ModelCore, state: SessionState, path: string): Promise<void> {
  const { arena, identity } = core;
  const { sequence, messages } = state;
  for (;;) {
    const header: SessionHeader = {
      identity: { ...identity },
      pageTokens: arena.pageTokens,
      bytesPerPage: arena.headGroups.map(({ bytesPerPage }) => bytesPerPage),
      tokens: [...sequence.computed()],
      table: copyState(sequence),
      pageMass: sequence.pageMass.map((mass) => [...mass]),
      messages: messages.map(({ role, content }) => ({ role, content })),
    };
    try {
      await writeSessionFile(path, header, readPages(core, sequence, header.table.length));
      return;
    } catch (error) {
      // Without its pages, the session is saved as what it is now: a text that will be computed again.
      if (!(error instanceof PagesLost)) throw error;
    }
  }
}

function copyState({ table }: Sequence): SessionHeader["table"] {
  const { length, droppedAt, pagePositions } = table.state;
  return { length, droppedAt, pagePositions: pagePositions.map((positions) => [...positions]) };
}

/** Reads the pages of a sequence, as long as it has `length` computed tokens. */
async function* readPages(
  { engine, arena }: ModelCore,
  sequence: Sequence,
  length: number,
): AsyncGenerator<Uint8Array> {
  if (sequence.computedTokens !== length) throw new PagesLost();
  for (const { headGroup, pages, bytes } of chunksOf(sequence, arena.headGroups)) {
    const out = new Uint8Array(bytes);
    await engine.atRest(() => {
      if (sequence.computedTokens !== length) throw new PagesLost();
      arena.readPages(headGroup, pages, out);
    });
    yield out;
  }
}

function chunksOf(
  { table }: Sequence,
  headGroups: readonly { readonly bytesPerPage: number }[],
): readonly PageChunk[] {
  return headGroups.flatMap(({ bytesPerPage }, headGroup) => {
    if (bytesPerPage === 0) return [];
    const pages = Int32Array.from(table.pages(headGroup));
    const atOnce = Math.max(1, Math.floor(transferBytes / bytesPerPage));
    return Array.from({ length: Math.ceil(pages.length / atOnce) }, (_, order) => {
      const chunk = pages.slice(order * atOnce, (order + 1) * atOnce);
      return { headGroup, pages: chunk, bytes: chunk.length * bytesPerPage };
    });
  });
}

/**
 * Reads a session from a file; the caller owns the sequence. See Session.restore().
 *
 * @param prefixKey - of the sequence
 */
export async function restoreSession(
  core: ModelCore,
  path: string,
  prefixKey: string,
): Promise<SessionState> {
  const file = await SessionFile.open(path);
  try {
    const { header } = file;
    assertFits(core, header, path);
    const { messages, tokens, table } = header;
    // Without room for the pages, the text is computed again when it is needed.
    const sequence =
      core.engine.restoreSequence(tokens, table, prefixKey) ?? core.engine.createSequence(prefixKey);
    try {
      await fillPages(core, sequence, file);
      sequence.pageMass = header.pageMass.map((mass) => Float32Array.from(mass));
    } catch (error) {
      core.engine.closeSequence(sequence, asAirError(error));
      throw error;
    }
    return { sequence, messages };
  } finally {
    await file.close();
  }
}

function asAirError(error: unknown): AirError {
  if (error instanceof AirError) return error;
  return new AirError("AIR_ERR_INTERNAL", "expected a restored session but received a failure", {
    cause: error,
  });
}

async function fillPages({ engine, arena }: ModelCore, sequence: Sequence, file: SessionFile): Promise<void> {
  const length = sequence.computedTokens;
  if (length === 0) return;
  for (const { headGroup, pages, bytes } of chunksOf(sequence, arena.headGroups)) {
    const data = await file.read(bytes);
    const isHeld = await engine.atRest(() => {
      if (sequence.computedTokens !== length) return false;
      arena.writePages(headGroup, pages, data);
      return true;
    });
    if (!isHeld) return; // others took the pages: the text is computed again when it is needed
  }
  file.assertUnchanged();
}

/** Refuses what was saved with another model, with other settings, or by nothing that saves sessions. */
function assertFits({ arena, identity, vocabSize }: ModelCore, header: SessionHeader, path: string): void {
  const { identity: saved, pageTokens, bytesPerPage, tokens, table } = header;
  if (saved.model !== identity.model) {
    throw sessionFileError(
      path,
      `a session of this model (${identity.model.slice(0, 12)}..)`,
      `one of another (${saved.model.slice(0, 12)}..)`,
    );
  }
  const settings = describeSettings(identity, arena.pageTokens);
  const savedSettings = describeSettings(saved, pageTokens);
  if (settings !== savedSettings) throw sessionFileError(path, settings, savedSettings);
  const fits =
    bytesPerPage.length === arena.headGroups.length &&
    arena.headGroups.every((group, index) => group.bytesPerPage === at(bytesPerPage, index));
  if (!fits) throw sessionFileError(path, "pages as this model has them", "others");
  if (table.length !== tokens.length || tokens.some((token) => token >= vocabSize)) {
    throw sessionFileError(path, `tokens below ${vocabSize} for ${table.length} entries`, "others");
  }
  if (!isPossibleState(table, arena.headGroups.length, pageTokens)) {
    throw sessionFileError(path, "a page table", "one that cannot be");
  }
}

function describeSettings(
  { keys, values, rotateKeys, policy, heads }: ModelCore["identity"],
  pageTokens: number,
): string {
  const headsFile = heads === "" ? "no heads file" : `heads file ${heads.slice(0, 12)}..`;
  return `${keys}${rotateKeys ? " rotated" : ""} keys, ${values} values, pages of ${pageTokens}, policy "${policy}" and ${headsFile}`;
}
