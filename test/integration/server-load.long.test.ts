import { testLoad } from "../support/server-load-tests.js";

testLoad({ seconds: 300, maxGrowthMiB: 256, maxSlope: 0.1 });
