import { testLoad } from "../support/server-load-tests.js";

/** Shorter in CI (.ci/run), where memory has not settled by the end, so that its slope says nothing. */
const seconds = Number(process.env["AIR_LOAD_SECONDS"] ?? 300);

testLoad({ seconds, maxGrowthMiB: 256, ...(seconds >= 300 && { maxSlope: 0.1 }) });
