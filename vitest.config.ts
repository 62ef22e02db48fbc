import { defineConfig } from "vitest/config";

const long = "test/**/*.long.test.ts";

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
      { test: { name: "long", include: [long], testTimeout: 1_200_000, hookTimeout: 120_000 } },
    ],
    coverage: { provider: "v8", include: ["lib/**/*.ts"], reporter: ["text-summary", "html"] },
  },
});
