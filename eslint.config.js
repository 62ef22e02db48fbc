import js from "@eslint/js";
import jsdoc from "eslint-plugin-jsdoc";
import tseslint from "typescript-eslint";

const nodeGlobals = ["process", "console", "performance", "module", "require", "URL", "Buffer"];
/** What the files of the server's page use; their types are checked too (lib/server/page/tsconfig.json). */
const browserGlobals = [
  ...["document", "fetch", "matchMedia", "performance", "sessionStorage", "setTimeout", "URL", "Headers"],
  ...["AbortController", "TextDecoderStream", "requestAnimationFrame", "cancelAnimationFrame"],
  ...["HTMLElement", "HTMLButtonElement", "HTMLDetailsElement", "HTMLFormElement", "HTMLInputElement"],
  ...["HTMLSelectElement", "HTMLTextAreaElement"],
];

const styleRules = [
  { selector: "TSEnumDeclaration", message: "Use a union of string literals." },
  { selector: "ExportDefaultDeclaration", message: "Use a named export." },
];
const throwRule = {
  selector: "ThrowStatement > NewExpression[callee.name=/^(Error|TypeError|RangeError)$/]",
  message: "Throw an AirError (lib/errors/air-error.ts).",
};

export default tseslint.config(
  { ignores: ["dist/", "build/", "build-*/", "coverage/", "prebuilds/", "bench/peers/"] },
  js.configs.recommended,
  {
    files: ["**/*.ts"],
    extends: [tseslint.configs.strictTypeChecked, tseslint.configs.stylisticTypeChecked],
    languageOptions: { parserOptions: { project: "./tsconfig.json", tsconfigRootDir: import.meta.dirname } },
    rules: {
      "@typescript-eslint/consistent-type-imports": ["error", { fixStyle: "inline-type-imports" }],
      "@typescript-eslint/explicit-module-boundary-types": "error",
      // Index signatures are read with brackets (tsconfig: noPropertyAccessFromIndexSignature).
      "@typescript-eslint/dot-notation": "off",
      "@typescript-eslint/no-unused-vars": ["error", { argsIgnorePattern: "^_" }],
      "@typescript-eslint/restrict-template-expressions": ["error", { allowNumber: true }],
      "max-lines": ["error", { max: 400 }],
      eqeqeq: "error",
      "no-restricted-syntax": ["error", ...styleRules],
    },
  },
  {
    files: ["lib/**/*.ts"],
    plugins: { jsdoc },
    settings: { jsdoc: { mode: "typescript" } },
    rules: {
      "no-restricted-syntax": ["error", ...styleRules, throwRule],
      "max-lines-per-function": ["error", { max: 80, skipBlankLines: true, skipComments: true }],
      "jsdoc/require-jsdoc": [
        "error",
        {
          publicOnly: true,
          require: { ClassDeclaration: true, FunctionDeclaration: true, MethodDefinition: false },
          contexts: ["ExportNamedDeclaration > VariableDeclaration"],
        },
      ],
      "jsdoc/check-tag-names": ["error", { definedTags: ["remarks"] }],
      "jsdoc/check-param-names": ["error", { disableMissingParamChecks: true }],
      "jsdoc/no-types": "error",
    },
  },
  {
    // Config files are read by their tools, which ask for a default export.
    files: ["*.config.ts"],
    rules: { "no-restricted-syntax": "off" },
  },
  {
    files: ["test/**/*.ts", "bench/**/*.ts", "examples/**/*.ts"],
    rules: {
      "max-lines": ["error", { max: 500 }],
      "@typescript-eslint/explicit-module-boundary-types": "off",
      // Test texts are taken apart by code points on purpose.
      "@typescript-eslint/no-misused-spread": "off",
      // vitest's matchers are typed any.
      "@typescript-eslint/no-unsafe-assignment": "off",
      "@typescript-eslint/no-unsafe-return": "off",
    },
  },
  {
    files: ["**/*.{js,mjs,cjs}"],
    ignores: ["lib/server/page/*.js"],
    languageOptions: {
      globals: Object.fromEntries(nodeGlobals.map((name) => [name, "readonly"])),
    },
  },
  {
    files: ["lib/server/page/*.js"],
    languageOptions: {
      globals: Object.fromEntries(browserGlobals.map((name) => [name, "readonly"])),
    },
    rules: {
      // Text of models and of servers becomes text, and nothing else.
      "no-restricted-properties": [
        "error",
        ...["innerHTML", "outerHTML", "insertAdjacentHTML", "write"].map((property) => ({ property })),
      ],
      "no-restricted-syntax": ["error", ...styleRules],
    },
  },
);
