import { defineConfig } from "vitest/config";

const long = "test/**/*.long.test.ts";

/** Written for the CPU; the project gpu-suite runs them on a GPU. */
const onDevice = [
  "endless",
  "generate",
  "kv-check",
  "prefix-cache",
  "pruning",
  "session-files",
  "sessions",
  "speculation",
  "windows",
];

export default defineConfig({
  test: {
    projects: [
      { test: { name: "unit", include: ["test/unit/**/*.test.ts"], exclude: [long] } },
      {
        // These load the built addon and the bundled models.
        test: {
          name: "integration",
          include: ["test/{integration,golden}/**/*.test.ts"],
          exclude: [long],
          testTimeout: 60_000,
          hookTimeout: 60_000,
        },
      },
      // scripts/gpu-check.sh: the tests of the CUDA backend, with AIR_REQUIRE_GPU=1 on a real GPU.
      {
        test: {
          name: "gpu",
          include: ["test/integration/cuda-*.test.ts"],
          testTimeout: 600_000,
          hookTimeout: 600_000,
        },
      },
      {
        test: {
          name: "gpu-suite",
          include: onDevice.map((name) => `test/integration/${name}.test.ts`),
          setupFiles: ["test/support/on-device.ts"],
          testTimeout: 300_000,
          hookTimeout: 300_000,
        },
      },
      { test: { name: "long", include: [long], testTimeout: 1_200_000, hookTimeout: 120_000 } },
    ],
    coverage: { provider: "v8", include: ["lib/**/*.ts"], reporter: ["text-summary", "html"] },
  },
});
