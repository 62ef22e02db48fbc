// The layers of docs/architecture.md. Each layer lists all that it may import from lib/; type-only imports count.
const layers = {
  errors: [],
  util: ["errors"],
  native: ["errors", "util"],
  model: ["errors", "util"],
  cache: ["errors", "util"],
  decoding: ["errors", "util"],
  constraint: ["errors", "util", "model", "decoding"],
  routing: ["errors", "util"],
  hub: ["errors", "util"],
  engine: ["errors", "util", "model", "cache", "native"],
  compression: ["errors", "util", "model", "cache", "engine", "native", "decoding", "runtime"],
  runtime: ["errors", "util", "model", "cache", "engine", "native", "decoding", "constraint"],
  tiers: [
    "errors",
    "util",
    "model",
    "native",
    "cache",
    "constraint",
    "decoding",
    "routing",
    "runtime",
    "hub",
  ],
  benchmark: ["errors", "util", "native", "runtime"],
  server: ["errors", "util", "model", "runtime", "routing", "tiers"],
};

/** lib/native/native.ts is types only: the contract that model and engine are written against. */
const nativeContract = "^lib/native/native[.]ts$";

const layerRules = Object.entries(layers).map(([layer, allowed]) => ({
  name: `layer-${layer}`,
  comment: `lib/${layer} may import from lib/: ${allowed.join(", ") || "nothing"}`,
  severity: "error",
  from: { path: `^lib/${layer}/` },
  to: {
    path: "^lib/",
    pathNot: [`^lib/(${[layer, ...allowed].join("|")})/`, ...(layer === "model" ? [nativeContract] : [])],
  },
}));

module.exports = {
  forbidden: [
    { name: "no-cycles", severity: "error", from: {}, to: { circular: true } },
    {
      name: "one-loader",
      comment: "only lib/native/load.ts loads the addon",
      severity: "error",
      from: { path: "^lib/", pathNot: "^lib/native/load[.]ts$" },
      to: { path: "node-gyp-build|[.]node$" },
    },
    {
      name: "nothing-imports-the-command-line",
      severity: "error",
      from: { path: "^lib/", pathNot: "^lib/cli/" },
      to: { path: "^lib/cli/" },
    },
    {
      name: "no-development-packages-in-lib",
      severity: "error",
      from: { path: "^lib/" },
      to: { dependencyTypes: ["npm-dev", "npm-no-pkg"] },
    },
    { name: "resolvable", severity: "error", from: { path: "^lib/" }, to: { couldNotResolve: true } },
    ...layerRules,
  ],
  options: {
    doNotFollow: { path: "node_modules" },
    tsConfig: { fileName: "tsconfig.json" },
    tsPreCompilationDeps: true,
    enhancedResolveOptions: {
      exportsFields: ["exports"],
      conditionNames: ["import", "types", "node", "default"],
    },
  },
};
