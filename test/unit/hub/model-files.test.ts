import { describe, expect, test } from "vitest";

import { AirError } from "../../../lib/errors/air-error.js";
import { chooseModel, type HubFile, modelsOf, quantizationOf, stemOf } from "../../../lib/hub/model-files.js";

function filesOf(...paths: readonly string[]): readonly HubFile[] {
  return paths.map((path) => ({ path, bytes: 1 << 20, digest: { kind: "sha256", hex: "a".repeat(64) } }));
}

function choose(paths: readonly string[], asked?: string): string | AirError {
  try {
    return chooseModel("acme/m", filesOf(...paths), asked).path;
  } catch (thrown) {
    expect(thrown).toBeInstanceOf(AirError);
    return thrown as AirError;
  }
}

function refusal(paths: readonly string[], asked?: string): AirError {
  const outcome = choose(paths, asked);
  expect(outcome).toBeInstanceOf(AirError);
  return outcome as AirError;
}

describe("stemOf", () => {
  test("leaves out folder, ending and part", () => {
    expect(stemOf("a/b/m-q4_0.gguf")).toBe("m-q4_0");
    expect(stemOf("a/m-Q8_0-00002-of-00003.GGUF")).toBe("m-Q8_0");
  });
});

describe("quantizationOf", () => {
  test.each([
    ["m-q4_0.gguf", "Q4_0"],
    ["m.Q4_K_M.gguf", "Q4_K_M"],
    ["m-IQ2_XXS.gguf", "IQ2_XXS"],
    ["m_bf16.gguf", "BF16"],
    ["m-fp16-00001-of-00002.gguf", "FP16"],
    ["qwen2.5-0.5b-instruct.gguf", undefined],
    ["q4_0.gguf", undefined],
  ])("of %s is %s", (path, expected) => {
    expect(quantizationOf(path)).toBe(expected);
  });
});

describe("modelsOf", () => {
  test("leaves out what is no model: other endings, vision towers, importance matrices", () => {
    const files = filesOf(
      "README.md",
      "mmproj-m-f16.gguf",
      "m.imatrix.gguf",
      "m-mmproj-f16.gguf",
      "m-q4_0.gguf",
    );
    expect(modelsOf(files).map(({ path }) => path)).toEqual(["m-q4_0.gguf"]);
  });

  test("joins parts in order, and leaves out models of which parts are missing", () => {
    const whole = ["m-q8_0-00002-of-00002.gguf", "m-q8_0-00001-of-00002.gguf"];
    const missing = ["n-q8_0-00001-of-00003.gguf", "n-q8_0-00003-of-00003.gguf"];
    const models = modelsOf(filesOf(...whole, ...missing));
    expect(models.map(({ files }) => files.map(({ path }) => path))).toEqual([[...whole].reverse()]);
  });

  test("does not join parts of different folders", () => {
    expect(modelsOf(filesOf("a/m-00001-of-00002.gguf", "b/m-00002-of-00002.gguf"))).toEqual([]);
  });
});

describe("chooseModel without a file", () => {
  test.each([
    [["m-q8_0.gguf"], "m-q8_0.gguf"],
    [["m-q8_0.gguf", "m-q4_k_m.gguf", "m-q4_0.gguf"], "m-q4_0.gguf"],
    [["m-q8_0.gguf", "m-q4_k_m.gguf", "m-q2_k.gguf"], "m-q4_k_m.gguf"],
    [["a-q4_0.gguf", "b-q4_0.gguf", "a-q4_k_m.gguf"], "a-q4_k_m.gguf"],
  ])("takes of %j %s", (paths, expected) => {
    expect(choose(paths)).toBe(expected);
  });

  test("lists what there is when nothing is preferred", () => {
    const error = refusal(["m-q8_0.gguf", "m-q6_k.gguf"]);
    expect(error.code).toBe("AIR_ERR_ARGUMENT");
    expect(error.message).toContain("m-q6_k.gguf (1.00 MiB), m-q8_0.gguf (1.00 MiB)");
  });

  test("says so when there is no GGUF file, and does not list hundreds", () => {
    expect(refusal(["model.safetensors"]).code).toBe("AIR_ERR_HUB_NOT_FOUND");
    const many = Array.from({ length: 100 }, (_, i) => `m${i}.gguf`);
    expect(refusal(many).message).toContain(" and 76 more");
  });
});

describe("chooseModel with a file", () => {
  const paths = [
    "m-q4_k_m.gguf",
    "m-q4_k_s.gguf",
    "deep/n-q8_0-00001-of-00002.gguf",
    "deep/n-q8_0-00002-of-00002.gguf",
  ];

  test.each([
    ["m-q4_k_m.gguf", "m-q4_k_m.gguf"],
    ["m-q4_k_s", "m-q4_k_s.gguf"],
    ["Q4_K_S", "m-q4_k_s.gguf"],
    ["deep/n-q8_0-00002-of-00002.gguf", "deep/n-q8_0-00001-of-00002.gguf"],
    ["N-Q8_0", "deep/n-q8_0-00001-of-00002.gguf"],
    ["q8_0", "deep/n-q8_0-00001-of-00002.gguf"],
  ])("finds %s", (asked, expected) => {
    expect(choose(paths, asked)).toBe(expected);
  });

  test("prefers the very path to other names", () => {
    expect(choose(["a/m-q4_0.gguf", "m-q4_0.gguf"], "m-q4_0.gguf")).toBe("m-q4_0.gguf");
  });

  test("lists what there is for a name that none has, and what was meant for one of several", () => {
    const none = refusal(paths, "q4_k");
    expect(none.code).toBe("AIR_ERR_HUB_NOT_FOUND");
    expect(none.message).toContain("deep/n-q8_0-00001-of-00002.gguf (2.00 MiB), m-q4_k_m.gguf");
    const several = refusal(["a-q4_0.gguf", "b-q4_0.gguf", "c-q8_0.gguf"], "Q4_0");
    expect(several.code).toBe("AIR_ERR_ARGUMENT");
    expect(several.message).toContain("one of a-q4_0.gguf (1.00 MiB), b-q4_0.gguf (1.00 MiB) for");
  });
});
