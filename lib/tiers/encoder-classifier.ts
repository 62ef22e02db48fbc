import { AirError, reasonOf } from "../errors/air-error.js";
import {
  classNames,
  type Complexity,
  type ComplexityClassifier,
  type RoutedPrompt,
} from "../routing/complexity.js";

/** The part of @huggingface/transformers that is used here. */
interface TransformersLibrary {
  pipeline(task: "text-classification", model: string): Promise<TextClassifier>;
}
type TextClassifier = (
  text: string,
  options: { readonly top_k: number },
) => Promise<readonly { readonly label: string; readonly score: number }[]>;

const packageName = "@huggingface/transformers";

export interface EncoderOptions {
  /** Milliseconds that a decision may take; later ones are the fallback's. */
  readonly budgetMs: number;
  readonly fallback: ComplexityClassifier;
  /** Imports the library, for tests. */
  readonly load?: () => Promise<unknown>;
}

/** Characters that an encoder reads; its own limit of tokens cuts further. */
const maxCharacters = 4000;

/** The class that a label names: by its number (`LABEL_2`, `2`), else by its word. */
function classOf(label: string): number {
  const number = /(\d+)$/.exec(label)?.[1];
  if (number !== undefined) return Number(number);
  return classNames.findIndex((name) => name === label.toLowerCase());
}

function textOf(prompt: RoutedPrompt): string {
  const text = typeof prompt === "string" ? prompt : (prompt.at(-1)?.content ?? "");
  return text.slice(0, maxCharacters);
}

/** A fine-tuned encoder (DistilBERT and the like) of three classes, as an ONNX model. */
class EncoderClassifier implements ComplexityClassifier {
  readonly kind = "encoder";
  readonly #classify: TextClassifier;
  readonly #options: EncoderOptions;

  constructor(classify: TextClassifier, options: EncoderOptions) {
    this.#classify = classify;
    this.#options = options;
  }

  async classify(prompt: RoutedPrompt): Promise<Complexity> {
    const { budgetMs, fallback } = this.#options;
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<undefined>((resolve) => {
      timer = setTimeout(() => {
        resolve(undefined);
      }, budgetMs);
    });
    try {
      // A model that fails on a text is as good as one that is late: a request is routed in any case.
      const classified = this.#classify(textOf(prompt), { top_k: 3 }).catch(() => undefined);
      const found = await Promise.race([classified, late]);
      return found === undefined ? await fallback.classify(prompt) : complexityOf(found);
    } finally {
      clearTimeout(timer);
    }
  }
}

function complexityOf(found: Awaited<ReturnType<TextClassifier>>): Complexity {
  const probabilities = [0, 1, 2].map(
    (tier) => found.find(({ label }) => classOf(label) === tier)?.score ?? 0,
  );
  const total = probabilities.reduce((sum, value) => sum + value, 0);
  if (!(total > 0)) {
    const labels = found.map(({ label }) => label).join(", ");
    throw new AirError(
      "AIR_ERR_CONFIG",
      `expected the labels 0, 1 and 2 (or simple, demanding, hard) for router.model but received ${labels}`,
    );
  }
  const [, demanding = 0, hard = 0] = probabilities.map((value) => value / total);
  return {
    score: demanding / 2 + hard,
    confidence: Math.max(...probabilities) / total,
    probabilities: probabilities.map((value) => value / total),
  };
}

/**
 * Loads an encoder classifier; its score is the expected class over 2.
 *
 * @param model - folder or name of an ONNX text classification model of the classes 0, 1, 2
 * @throws {AirError} AIR_ERR_CONFIG when @huggingface/transformers is not installed, or the model cannot be loaded
 */
export async function loadEncoder(model: string, options: EncoderOptions): Promise<ComplexityClassifier> {
  const { load = () => import(packageName) as Promise<unknown> } = options;
  let library: TransformersLibrary;
  try {
    library = (await load()) as TransformersLibrary;
  } catch (cause) {
    throw new AirError(
      "AIR_ERR_CONFIG",
      `expected the package ${packageName} for router.kind "encoder" but received none: run \`npm install ${packageName}\`, ` +
        'or use kind "linear"',
      { cause },
    );
  }
  try {
    return new EncoderClassifier(await library.pipeline("text-classification", model), options);
  } catch (cause) {
    throw new AirError(
      "AIR_ERR_CONFIG",
      `expected an ONNX text classifier for router.model but received ${model}: ${reasonOf(cause)}`,
      { cause },
    );
  }
}
