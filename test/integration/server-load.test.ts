import { testLoad } from "../support/server-load-tests.js";

// While buffers and the heap still grow to their size, memory is no more than kept in bounds.
testLoad({ seconds: 20, maxSlope: 5 });
