import { testLoad } from "../support/server-load-tests.js";

testLoad({ seconds: 300, maxSlope: 0.1 });
