import { testStress } from "../support/tiers-stress-tests.js";

testStress(1000, "of 1,000, ");
