/** Every error code of air-runtime: what it means and what to do. docs/errors.md is checked against this. */
export const errorCodes = {
  AIR_ERR_ARGUMENT: {
    meaning: "An argument or option has the wrong kind or lies outside its range.",
    remedy: "Pass a value of the kind and range that the message names.",
  },
  AIR_ERR_SHAPE: {
    meaning: "Array lengths do not fit together, or a buffer was detached.",
    remedy: "Check the lengths against the shapes in the documentation; do not transfer buffers in use.",
  },
  AIR_ERR_PAGE_RANGE: {
    meaning: "A page id, slot, length or row index lies outside its arena or batch.",
    remedy: "Take page ids from the pool that was made for this arena.",
  },
  AIR_ERR_BUSY: {
    meaning: "The handle is already at work; a runner does one forward at a time.",
    remedy: "Await the forward in flight, or create another runner or session.",
  },
  AIR_ERR_CLOSED: {
    meaning: "The object was closed.",
    remedy: "Create a new one; close() is final.",
  },
  AIR_ERR_CANCELLED: {
    meaning: "The work was stopped on request.",
    remedy: "Nothing to do; start again if you want the result.",
  },
  AIR_ERR_MODEL_FORMAT: {
    meaning: "The model file is damaged or contradicts itself.",
    remedy: "Download or convert the file again and compare its checksum.",
  },
  AIR_ERR_UNSUPPORTED: {
    meaning: "Valid, but not something this build or machine can run.",
    remedy: "Use a supported architecture, tensor type, instruction set or schema keyword; docs/ lists them.",
  },
  AIR_ERR_NO_DEVICE: {
    meaning: "The compute device that was asked for is not there.",
    remedy: "Use the cpu backend, or check the driver.",
  },
  AIR_ERR_DEVICE: {
    meaning: "The compute device failed while it worked.",
    remedy:
      "Close every model on the device and load again; if it fails again, check the device and its driver.",
  },
  AIR_ERR_OUT_OF_MEMORY: {
    meaning: "An allocation was refused.",
    remedy: "Use a smaller model, a smaller context, or int8 KV pages.",
  },
  AIR_ERR_IO: {
    meaning: "A file could not be opened, read, mapped or written.",
    remedy: "Check that the path exists and is readable; for output, that there is room.",
  },
  AIR_ERR_INTERNAL: {
    meaning: "A bug in air-runtime.",
    remedy: "Please report it with the message and the command.",
  },
  AIR_ERR_ADDON: {
    meaning: "The native addon could not be loaded.",
    remedy:
      "Run `npm rebuild air-runtime` (in a clone: `npm run install`), which needs CMake and a C++17 compiler, and read what it prints.",
  },
  AIR_ERR_KV_EXHAUSTED: {
    meaning: "No KV pages are left for this request.",
    remedy: "Close sessions, shorten the prompt, or load the model with more contextTokens.",
  },
  AIR_ERR_CONTEXT: {
    meaning: "The prompt does not fit the context.",
    remedy: "Shorten the prompt or load the model with more contextTokens (--ctx).",
  },
  AIR_ERR_HEADS_FILE: {
    meaning: "The heads file is damaged, or was calibrated for another model.",
    remedy: "Calibrate this model file (`air calibrate`), or load it without --heads.",
  },
  AIR_ERR_SESSION_FILE: {
    meaning: "The session file is damaged, or was saved with another model or other KV settings.",
    remedy: "Restore it into the model that saved it, loaded with the same options; or go on without it.",
  },
  AIR_ERR_MEMORY: {
    meaning: "The model would need more memory than there is.",
    remedy:
      "Do what the message suggests, free memory, or load it all the same with force (--force); `air plan` shows where the memory goes.",
  },
  AIR_ERR_CONFIG: {
    meaning: "The configuration file is not JSON, or says something that air does not understand.",
    remedy: "Fix what the message names; `air config check FILE` shows all that is wrong.",
  },
  AIR_ERR_ROUTER_FILE: {
    meaning: "The router file is damaged or of another version.",
    remedy: "Train it again (`air router train`), or leave it out to use the one that comes with air.",
  },
  AIR_ERR_NO_TIER: {
    meaning: "No tier can take the request now, under what it allows.",
    remedy: "Relax tier, minTier, maxTier or localOnly, add a fallback tier, or try again later.",
  },
  AIR_ERR_OVERLOADED: {
    meaning: "Too many requests wait already.",
    remedy: "Try again later, or allow more to wait (maxWaiting).",
  },
  AIR_ERR_REMOTE: {
    meaning: "A remote endpoint failed, answered nonsense or cannot be reached.",
    remedy: "Check its url, key and model; add a local tier to fall back to.",
  },
  AIR_ERR_TIMEOUT: {
    meaning: "Something took longer than it may.",
    remedy: "Allow more time, or use a smaller tier.",
  },
  AIR_ERR_TOKENIZER: {
    meaning: "The file's tokenizer is missing, damaged or of a kind that is not supported.",
    remedy: "Use a file whose tokenizer is byte-level BPE (gpt2) or SentencePiece (llama).",
  },
  AIR_ERR_TEMPLATE: {
    meaning: "The chat template is missing or failed on these messages.",
    remedy: "Use --raw (or a plain string prompt), or check the roles and their order.",
  },
  AIR_ERR_HUB: {
    meaning: "The model hub failed, answered nonsense or cannot be reached.",
    remedy: "Check the network and HF_ENDPOINT, then pull again: a download goes on where it stopped.",
  },
  AIR_ERR_HUB_ACCESS: {
    meaning: "The model hub does not let you have this model, or says that it is not there.",
    remedy:
      "Check the name; for a gated or private model accept its terms on the hub and set HF_TOKEN to a token that may read it.",
  },
  AIR_ERR_HUB_NOT_FOUND: {
    meaning: "The model hub has no such repository, revision or file.",
    remedy: "Check the name, the revision and, with a mirror, HF_ENDPOINT.",
  },
  AIR_ERR_CHECKSUM: {
    meaning: "What was downloaded is not the file that the model hub promised.",
    remedy: "Pull again; if it happens twice, a proxy or mirror changes the file, so pull from another one.",
  },
  AIR_ERR_DISK_SPACE: {
    meaning: "The disk has no room for the download.",
    remedy:
      "Free space (`air models rm`, `air models prune`), or set AIR_MODELS to a folder on a larger disk.",
  },
  AIR_ERR_OFFLINE: {
    meaning: "The network may not be used, and the model is not on this machine.",
    remedy: "Pull it once without --offline and HF_HUB_OFFLINE; `air models` lists what is here.",
  },
  AIR_ERR_NOT_PULLED: {
    meaning: "A model is neither a file nor the name of a pulled model.",
    remedy: "Pull it (`air pull owner/repo[:file]`), or give a path; `air models` lists the names.",
  },
} as const satisfies Readonly<Record<string, { readonly meaning: string; readonly remedy: string }>>;

export type ErrorCode = keyof typeof errorCodes;
