import { testStress } from "../support/tiers-stress-tests.js";

testStress(150);
