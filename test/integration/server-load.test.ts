import { testLoad } from "../support/server-load-tests.js";

testLoad({ seconds: 20, maxGrowthMiB: 256 });
