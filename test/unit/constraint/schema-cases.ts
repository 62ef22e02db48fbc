/** A schema with documents that are valid and, where `invalid` has some, documents that no text may become. */
export interface SchemaCase {
  readonly name: string;
  readonly schema: Readonly<Record<string, unknown>> | boolean;
  /** JSON texts, as a model may write them. */
  readonly valid: readonly string[];
  readonly invalid: readonly string[];
}

const tree = {
  $ref: "#/$defs/node",
  $defs: {
    node: {
      type: "object",
      properties: { v: { type: "integer" }, kids: { type: "array", items: { $ref: "#/$defs/node" } } },
      required: ["v"],
    },
  },
};

/** Every supported keyword at least once. */
export const schemaCases: readonly SchemaCase[] = [
  {
    name: "required and optional properties in order",
    schema: {
      type: "object",
      properties: {
        a: { type: "integer" },
        b: { type: "boolean" },
        c: { type: "null" },
        d: { type: "string" },
      },
      required: ["b", "d"],
    },
    valid: ['{"b":true,"d":""}', '{"a":1,"b":false,"d":"x"}', '{"a": 1, "b": true, "c": null, "d": "y"}'],
    invalid: [
      "{}",
      '{"b":true}',
      '{"d":"x","b":true}',
      '{"b":true,"d":"","e":1}',
      '{"b":true,,"d":""}',
      '{ "b":true',
    ],
  },
  {
    name: "only optional properties",
    schema: { type: "object", properties: { a: { const: 1 }, b: { const: 2 }, c: { const: 3 } } },
    valid: ["{}", '{"a":1}', '{"c":3}', '{"a":1, "c":3}', '{"a":1,"b":2,"c":3}'],
    invalid: ['{"b":2,"a":1}', '{"a":1,}', '{"a":1,"a":1}', "{,"],
  },
  {
    name: "additional properties of one kind",
    schema: {
      type: "object",
      properties: { id: { type: "integer" } },
      required: ["id"],
      additionalProperties: { type: "boolean" },
    },
    valid: ['{"id":1}', '{"id":1,"on":true}', '{"id":1,"i":true,"idx":false,"\\"":true}'],
    invalid: ['{"id":1,"id":true}', '{"on":true}', '{"id":1,"\\u0069d":true}', '{"id":1,"x":1}'],
  },
  {
    name: "a record with names by pattern",
    schema: {
      type: "object",
      propertyNames: { pattern: "^[a-z]{1,3}$" },
      additionalProperties: { type: "integer" },
    },
    valid: ["{}", '{"a":1}', '{"abc":1,"de":2}'],
    invalid: ['{"A":1}', '{"abcd":1}', '{"":1}'],
  },
  {
    name: "a record with names by list",
    schema: {
      type: "object",
      propertyNames: { enum: ["x", "y"] },
      additionalProperties: { type: "integer" },
      required: ["y"],
    },
    valid: ['{"y":1}', '{"y":1,"x":2}'],
    invalid: ["{}", '{"z":1}', '{"y":1,"y":2}'],
  },
  {
    name: "arrays with counts",
    schema: { type: "array", items: { type: "boolean" }, minItems: 1, maxItems: 3 },
    valid: ["[true]", "[true,false]", "[true, false, true]"],
    invalid: ["[]", "[true,true,true,true]", "[true,]", "[,true]", "[ true]"],
  },
  {
    name: "arrays without bounds, nested",
    schema: { type: "array", items: { type: "array", items: { type: "integer", minimum: 0, maximum: 99 } } },
    valid: ["[]", "[[]]", "[[1],[],[2, 3]]"],
    invalid: ["[1]", "[[100]]", "[[]]]"],
  },
  {
    name: "a tuple with an optional item",
    schema: {
      type: "array",
      prefixItems: [{ type: "string" }, { type: "integer" }],
      items: false,
      minItems: 1,
    },
    valid: ['["a"]', '["a",1]'],
    invalid: ["[]", "[1]", '["a",1,2]', '["a","b"]'],
  },
  {
    name: "a tuple cut short by a count",
    schema: { type: "array", prefixItems: [{ const: 1 }, { const: 2 }, { const: 3 }], maxItems: 2 },
    valid: ["[1,2]"],
    invalid: ["[1]", "[1,2,3]"],
  },
  {
    name: "a tuple with a rest",
    schema: { type: "array", prefixItems: [{ const: 0 }], items: { type: "null" } },
    valid: ["[0]", "[0,null]", "[0, null, null]"],
    invalid: ["[]", "[null]", "[0,0]"],
  },
  {
    name: "enumerated values of every type",
    schema: { enum: ['a"b', "\u00e9\u{1f600}", null, true, -1.5, { x: [1, "y"] }, ["z"]] },
    valid: ['"a\\"b"', '"\u00e9\u{1f600}"', "null", "true", "-1.5", '{"x":[1,"y"]}', '["z"]'],
    invalid: ['"a"', "false", '{"x":[1]}', '"\\u00e9"'],
  },
  {
    name: "enumerated values of one type",
    schema: { type: ["string", "null"], enum: ["on", "off", 1, null] },
    valid: ['"on"', '"off"', "null"],
    invalid: ["1", '"o"'],
  },
  { name: "a constant", schema: { const: { k: "v" } }, valid: ['{"k":"v"}'], invalid: ["{}", '{"k":"w"}'] },
  {
    name: "integers within bounds",
    schema: { type: "integer", minimum: -12, exclusiveMaximum: 205 },
    valid: ["-12", "-9", "0", "7", "99", "100", "204"],
    invalid: ["-13", "-20", "205", "300", "01", "-0", "1.0", "1e1", "+1"],
  },
  {
    name: "multiples",
    schema: { type: "number", minimum: -30, maximum: 200, multipleOf: 15 },
    valid: ["-30", "0", "15", "195"],
    invalid: ["-45", "1", "16", "210"],
  },
  {
    name: "numbers within bounds",
    schema: { type: "number", exclusiveMinimum: -0.5, maximum: 12.25 },
    valid: ["-0.25", "-0.4999", "0", "0.0", "9.99", "12.25", "12.2500", "12.2", "3"],
    invalid: ["-0.5", "-0.50", "-1", "12.26", "12.250001", "13", "1e1", ".5", "1."],
  },
  {
    name: "any number",
    schema: { type: "number" },
    valid: ["0", "-0", "1.5", "-12.25e-3", "6.02E+23", "1234567890123456"],
    invalid: ["00", "1.", "-", "1e", "NaN", "Infinity", "0x1"],
  },
  {
    name: "any string",
    schema: { type: "string" },
    valid: [
      '""',
      '"a b"',
      '"\\n\\t\\"\\\\\\/\\b\\f\\r"',
      '"\\u0000\\u00E9\\ud83d\\ude00"',
      '"\u00e9\u4e2d\u{1f600}"',
    ],
    invalid: ['"', '"\n"', '"\\x"', '"\\ud83d"', '"\\ude00"', '"\\u12"', "''"],
  },
  {
    name: "strings of a length",
    schema: { type: "string", minLength: 2, maxLength: 4 },
    valid: ['"ab"', '"abcd"', '"\\n\\u00e9"', '"\u00e9\u4e2d"', '"\u{1f600}\u{1f600}"', '"a\u{1f600}b"'],
    invalid: ['""', '"a"', '"\u{1f600}"', '"abcde"', '"abc\u{1f600}"'],
  },
  {
    name: "long strings",
    schema: { type: "string", minLength: 3 },
    valid: ['"abc"', '"the quick brown fox jumps over the lazy dog"'],
    invalid: ['"ab"', '"\\n\\n"', '"\u{1f600}a"'],
  },
  {
    name: "strings by pattern",
    schema: { type: "string", pattern: "^(?:[A-Z]{2}-)?\\d{3}(\\.\\w+)*$" },
    valid: ['"123"', '"AB-123"', '"123.a_1.b"'],
    invalid: ['"12"', '"AB123"', '"123."', '"ab-123"'],
  },
  {
    name: "strings by a pattern that may match anywhere, and a length",
    schema: { type: "string", pattern: 'a"[^x\\s]|^$', maxLength: 6 },
    valid: ['""', '"a\\"b"', '"..a\\"\u00e9."'],
    invalid: ['"a"', '"a\\"x"', '"a\\" "', '"....a\\"b"'],
  },
  {
    name: "dates",
    schema: { type: "string", format: "date" },
    valid: ['"2024-02-29"', '"1999-12-31"'],
    invalid: ['"2023-02-29"', '"2024-13-01"', '"2024-04-31"', '"2024-1-1"'],
  },
  {
    name: "any of several, with constraints beside",
    schema: {
      type: "object",
      properties: { kind: { type: "string" }, n: { type: "integer", minimum: 0, maximum: 9 } },
      anyOf: [{ properties: { kind: { const: "a" } }, required: ["kind"] }, { required: ["n"] }],
    },
    valid: ['{"kind":"a"}', '{"n":3}', '{"kind":"zzz","n":3}', '{"kind":"a","n":1}'],
    invalid: ["{}", '{"kind":"b"}', '{"n":10}'],
  },
  {
    name: "one of several told apart by a property",
    schema: {
      oneOf: [
        {
          type: "object",
          properties: { t: { const: "circle" }, r: { type: "number" } },
          required: ["t", "r"],
        },
        { type: "object", properties: { t: { const: "cube" } }, required: ["t"] },
        { type: "null" },
      ],
    },
    valid: ['{"t":"circle","r":1.5}', '{"t":"cube"}', "null"],
    invalid: ['{"t":"circle"}', '{"t":"cube","r":1}', '{"t":"c"}'],
  },
  {
    name: "all of several",
    schema: {
      allOf: [
        { type: "object", properties: { a: { type: "integer", minimum: 3 } }, required: ["a"] },
        { properties: { a: { maximum: 5 }, b: { $ref: "#/definitions/flag" } }, required: ["b"] },
      ],
      definitions: { flag: { type: "boolean" } },
    },
    valid: ['{"a":3,"b":true}', '{"a":5,"b":false}'],
    invalid: ['{"a":3}', '{"a":6,"b":true}', '{"a":2,"b":true}', '{"b":true,"a":3}'],
  },
  {
    name: "recursion through definitions",
    schema: tree,
    valid: ['{"v":1}', '{"v":1,"kids":[]}', '{"v":1,"kids":[{"v":2},{"v":3,"kids":[{"v":4}]}]}'],
    invalid: ["{}", '{"v":1,"kids":[1]}', '{"v":1,"kids":[{}]}'],
  },
  {
    name: "a choice that can end where another goes on",
    schema: {
      anyOf: [
        { type: "array", items: { $ref: "#" } },
        { type: "array", items: { type: "integer" } },
        { const: 7 },
      ],
    },
    valid: ["7", "[]", "[7]", "[[7],[]]", "[1,2]", "[7,7]", "[[[1]]]"],
    invalid: ["1", "[1,[7]]", "[true]"],
  },
  {
    name: "parts that no document satisfies beside others",
    schema: {
      anyOf: [
        { type: "array", items: { type: "string", minLength: 3, maxLength: 2 }, maxItems: 2 },
        { type: "object", properties: { endless: { $ref: "#/$defs/endless" }, a: { const: 1 } } },
        { $ref: "#/$defs/endless" },
      ],
      $defs: { endless: { type: "array", items: { $ref: "#/$defs/endless" }, minItems: 1 } },
    },
    valid: ["[]", "{}", '{"a":1}'],
    invalid: ["[[", '["', '{"endless":[', '{"e'],
  },
  {
    name: "any value",
    schema: true,
    valid: ["0", '"s"', "null", "[]", '{"a":[1,{"b":{}}],"c":"d"}', '[true, "x", {}]'],
    invalid: ["{1:2}", "[1 ,2]", "nul!", "tru,"],
  },
];
