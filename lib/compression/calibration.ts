import { createHash } from "node:crypto";

import { type HeadsFile, pruningOf, queryHeadsOf } from "../model/heads-file.js";
import type { Activity, DecoderSpec } from "../native/native.js";
import type { ModelParts } from "../runtime/model.js";
import { threadOptionNames } from "../runtime/options.js";
import { pickGiven } from "../util/options.js";
import {
  type Budgets,
  type CalibrateOptions,
  defaults,
  kvPrecision,
  resolveBudgets,
} from "./calibrate-options.js";
import { CalibrationRunner } from "./calibration-runner.js";
import { type CalibrationText, divideText } from "./calibration-text.js";
import { channelShares, chooseChannelGroups, headContributions } from "./contributions.js";
import { bisectionSteps, countWithin, demote, type Demotion, orderDemotions } from "./head-classes.js";
import { chooseQueryHeads, headScoreCount } from "./head-importance.js";
import { byLayer, classesOf, type HeadSelection, keyOf, listByLayer, wholeModel } from "./head-selection.js";
import { ScoreJournal } from "./score-journal.js";
import { type Score, ScoredText } from "./scored-text.js";
import { WorkMeter } from "./work-meter.js";

/** Memory for what the whole model predicts. */
const maxReferenceBytes = 128 * 2 ** 20;

/** One calibration of a loaded model. */
export class Calibration {
  readonly #parts: ModelParts;
  readonly #options: CalibrateOptions;
  readonly #spec: DecoderSpec;
  readonly #budgets: Budgets;
  readonly #window: { readonly windowTokens: number; readonly sinkTokens: number };
  readonly #contextTokens: number;
  readonly #textSha256: string;
  readonly #tokenCount: number;
  readonly #text: CalibrationText;
  readonly #runner: CalibrationRunner;
  readonly #scored: ScoredText;
  readonly #holdout: ScoredText;
  readonly #meter: WorkMeter;
  #journal: ScoreJournal | undefined;

  constructor(parts: ModelParts, text: string, options: CalibrateOptions) {
    const { info, tokenizer, spec, addon } = parts;
    this.#parts = parts;
    this.#options = options;
    this.#spec = spec;
    this.#budgets = resolveBudgets(options, spec);
    const { windowTokens = defaults.windowTokens, sinkTokens = defaults.sinkTokens } = options;
    this.#window = { windowTokens, sinkTokens };
    this.#contextTokens = options.contextTokens ?? Math.min(info.trainedContext, 1024);
    const tokens = tokenizer.encode(text, { special: false, bos: false });
    this.#tokenCount = tokens.length;
    this.#textSha256 = createHash("sha256").update(text).digest("hex");
    this.#text = divideText({ info: { contextTokens: this.#contextTokens }, tokenizer }, tokens, {
      contextTokens: this.#contextTokens,
      scoreTokens: options.scoreTokens ?? defaults.scoreTokens,
      holdoutTokens: options.holdoutTokens ?? defaults.holdoutTokens,
      maxRows: Math.floor(maxReferenceBytes / (4 * spec.vocabSize)),
    });
    this.#runner = this.#createRunner(parts);
    const { scored, scoredRows, holdout } = this.#text;
    const holdoutRows = holdout.map(({ fed }) => [...fed.keys()]);
    this.#scored = new ScoredText(this.#runner, addon, spec.vocabSize, scored, scoredRows);
    this.#holdout = new ScoredText(this.#runner, addon, spec.vocabSize, holdout, holdoutRows);
    this.#meter = new WorkMeter(this.#plannedTokens(), options.onProgress, options.signal);
  }

  async run(): Promise<HeadsFile> {
    const spec = this.#spec;
    this.#journal = await ScoreJournal.open(this.#options.journal, this.#identity());
    await this.#meter.track("what the model predicts", this.#scored.tokenCount, () =>
      this.#scored.keepReference(),
    );
    const before = await this.#predict(wholeModel);
    const activity = await this.#measureActivity();
    const { masked, scores: queryScores } = await this.#chooseHeads(activity);
    const classes = await this.#demote(masked, before);
    const channels = this.#chooseChannels(activity);
    const selection = { masked: classes.masked, streamed: classes.streamed };
    const found = {
      kvHeads: classesOf(selection, spec),
      maskedQueryHeads: listByLayer(selection.masked, spec.layers, spec.queryHeads),
      prunedChannelGroups: channels.map((list) => [...list]),
    };
    const after = await this.#check(found, selection);
    const { info } = this.#parts;
    return {
      format: "air-heads",
      version: 1,
      model: { fingerprint: info.fingerprint, name: info.name },
      calibration: {
        textSha256: this.#textSha256,
        tokens: this.#tokenCount,
        contextTokens: this.#contextTokens,
      },
      window: this.#window,
      ...found,
      scores: {
        queryHeads: byLayer(spec.layers, spec.queryHeads, (head) => queryScores[head] ?? null),
        kvHeadsStream: byLayer(spec.layers, spec.kvHeads, (head) => classes.scoreOf(head, "stream")),
        kvHeadsDropped: byLayer(spec.layers, spec.kvHeads, (head) => classes.scoreOf(head, "dropped")),
      },
      expected: { perplexityBefore: Math.exp(before.nll), ...after, tokens: this.#holdout.rowCount },
    };
  }

  /** Frees what it made; the model stays the caller's. */
  close(): void {
    this.#runner.close();
  }

  /** What the journal's scores depend on. */
  #identity(): string {
    const { keyType, valueType, rotateKeys } = kvPrecision(this.#options);
    const { scored, scoredRows, holdout } = this.#text;
    const rows = scoredRows.reduce((sum, list) => sum + list.length, 0);
    const sizes = [this.#contextTokens, scored.length, rows, holdout.length];
    return JSON.stringify([
      "air-scores",
      2,
      this.#parts.info.fingerprint,
      this.#textSha256,
      this.#window,
      [keyType, valueType, rotateKeys],
      sizes,
    ]);
  }

  #createRunner(parts: ModelParts): CalibrationRunner {
    return new CalibrationRunner(parts, {
      contextTokens: this.#contextTokens,
      window: this.#window,
      ...kvPrecision(this.#options),
      ...pickGiven(this.#options, threadOptionNames),
    });
  }

  #plannedTokens(): number {
    const { heads, channelBudget, maxIncrease } = this.#budgets;
    const { layers, queryHeads, kvHeads } = this.#spec;
    const scored = this.#scored.tokenCount;
    const holdout = this.#holdout.tokenCount;
    const activity = heads > 0 || channelBudget > 0 ? 1 : 0;
    const trials =
      headScoreCount(layers * queryHeads, heads) + (maxIncrease === undefined ? 0 : layers * kvHeads);
    const bisection = maxIncrease === undefined ? 0 : bisectionSteps(layers * kvHeads);
    return scored * (2 + activity + trials) + holdout * (2 + bisection);
  }

  /** A score of the sampled rows, from the journal if it is there. */
  async #score(label: string, selection: HeadSelection): Promise<Score> {
    return this.#remembered(label, `score ${keyOf(selection)}`, this.#scored, selection);
  }

  /** A score of the held out text. */
  async #predict(selection: HeadSelection): Promise<Score> {
    return this.#remembered("perplexity", `holdout ${keyOf(selection)}`, this.#holdout, selection);
  }

  /**
   * By what fraction a selection raises perplexity, in the half of the windows where it does so more: what a window gains
   * in texts that are longer than the model was trained for must not pay for losses in shorter ones.
   */
  async #increase(selection: HeadSelection, before: Score): Promise<number> {
    const { nllByHalf } = await this.#predict(selection);
    const [early, late] = before.nllByHalf;
    return Math.exp(Math.max(nllByHalf[0] - early, nllByHalf[1] - late)) - 1;
  }

  async #remembered(label: string, name: string, text: ScoredText, selection: HeadSelection): Promise<Score> {
    const compute = (): Promise<Score> => text.score(selection);
    return this.#meter.track(label, text.tokenCount, () => this.#journal?.score(name, compute) ?? compute());
  }

  async #measureActivity(): Promise<Activity | undefined> {
    const { heads, channelBudget } = this.#budgets;
    if (heads === 0 && channelBudget === 0) return undefined;
    const { layers, queryHeads, headDim, feedForwardLength } = this.#spec;
    const { addon } = this.#parts;
    const activity = {
      attendedSquares: addon.allocateShared(layers * queryHeads * headDim),
      hiddenSquares: addon.allocateShared(layers * feedForwardLength),
    };
    await this.#meter.track("activity", this.#scored.tokenCount, () => this.#scored.measure(activity));
    return activity;
  }

  #columnSquares(matrix: "attention.o" | "feed_forward.down"): readonly Float32Array[] {
    const { native } = this.#parts;
    return Array.from({ length: this.#spec.layers }, (_, layer) =>
      native.columnSquares(`layers.${layer}.${matrix}.weight`),
    );
  }

  async #chooseHeads(activity: Activity | undefined) {
    const { heads, headCap } = this.#budgets;
    if (heads === 0 || activity === undefined) return { masked: new Set<number>(), scores: [] };
    return chooseQueryHeads({
      spec: this.#spec,
      count: heads,
      layerCap: headCap,
      contributions: headContributions(
        this.#spec,
        activity.attendedSquares,
        this.#columnSquares("attention.o"),
      ),
      score: async (masked) => (await this.#score("query heads", { masked, streamed: new Set() })).divergence,
    });
  }

  /** Demotes KV heads for as long as perplexity allows. */
  async #demote(masked: ReadonlySet<number>, before: Score) {
    const { maxIncrease } = this.#budgets;
    const { layers, kvHeads } = this.#spec;
    const divergences = new Map<string, number>();
    const scoreOf = (head: number, to: Demotion["to"]): number | null =>
      divergences.get(`${head} ${to}`) ?? null;
    const nothing = { masked, streamed: new Set<number>(), scoreOf };
    if (maxIncrease === undefined) return nothing;
    const heads = Array.from({ length: layers * kvHeads }, (_, head) => head).filter(
      (head) => !queryHeadsOf(head, this.#spec).every((queryHead) => masked.has(queryHead)),
    );
    const demotions: Demotion[] = [];
    const selectionOf = (ordered: readonly Demotion[], count: number): HeadSelection => {
      const { streamed, dropped } = demote(ordered, count);
      return {
        masked: new Set([...masked, ...[...dropped].flatMap((head) => queryHeadsOf(head, this.#spec))]),
        streamed,
      };
    };
    let [ordered, count]: [readonly Demotion[], number] = [[], 0];
    for (const to of ["stream", "dropped"] as const) {
      if (count < ordered.length) break; // not all of the first kind fit
      for (const head of heads) {
        const one: HeadSelection =
          to === "stream"
            ? { masked, streamed: new Set([head]) }
            : { masked: new Set([...masked, ...queryHeadsOf(head, this.#spec)]), streamed: new Set() };
        const { divergence } = await this.#score(to === "stream" ? "windows" : "dropped heads", one);
        divergences.set(`${head} ${to}`, divergence);
        demotions.push({ head, to, divergence });
      }
      const done = count;
      ordered = orderDemotions(demotions);
      const all = ordered;
      count =
        done +
        (await countWithin(all.length - done, maxIncrease, (n) =>
          this.#increase(selectionOf(all, done + n), before),
        ));
    }
    return { ...selectionOf(ordered, count), scoreOf };
  }

  #chooseChannels(activity: Activity | undefined): readonly (readonly number[])[] {
    const { channelBudget, groupCap } = this.#budgets;
    const { layers } = this.#spec;
    if (channelBudget === 0 || activity === undefined) return Array.from({ length: layers }, () => []);
    const shares = channelShares(
      this.#spec,
      activity.hiddenSquares,
      this.#columnSquares("feed_forward.down"),
    );
    return chooseChannelGroups(shares, layers, channelBudget, groupCap);
  }

  /** Measures what was found, on a model that is loaded that way if channels are pruned. */
  async #check(
    found: Pick<HeadsFile, "maskedQueryHeads" | "prunedChannelGroups">,
    selection: HeadSelection,
  ): Promise<{ readonly perplexity: number; readonly meanDivergence: number }> {
    if (found.prunedChannelGroups.every((list) => list.length === 0)) {
      const { divergence } = await this.#score("result", selection);
      return { perplexity: Math.exp((await this.#predict(selection)).nll), meanDivergence: divergence };
    }
    const pruning = pruningOf(found, this.#spec);
    const { addon, directory } = this.#parts;
    const { device } = this.#parts.native;
    const native = await addon.loadModel(directory, this.#spec, {
      backend: this.#parts.native.backend,
      ...(device !== undefined && { gpuLayers: device.layers }),
      ...pickGiven(this.#options, threadOptionNames),
      ...(pruning && { pruning }),
    });
    const runner = this.#createRunner({ ...this.#parts, native });
    try {
      const track = (text: ScoredText): Promise<Score> =>
        this.#meter.track("result", text.tokenCount, () => text.score(selection, runner));
      const { divergence } = await track(this.#scored);
      return { perplexity: Math.exp((await track(this.#holdout)).nll), meanDivergence: divergence };
    } finally {
      runner.close();
      native.close();
    }
  }
}
