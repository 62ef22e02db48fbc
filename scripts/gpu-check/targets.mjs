// What the kernels are to reach, and whether a run's results do.

const decodeRows = 8;
const large = 4096 * 4096;

const measuredOf = (stages, name) =>
  stages.find(({ stage }) => stage === "bench")?.measured?.[name]?.results ?? [];
const least = (values) => (values.length === 0 ? undefined : Math.min(...values));

function modelOf(stages) {
  const report = stages.find(({ stage }) => stage === "model")?.report;
  const forward = (rows) =>
    report?.results.find((result) => result.test === "forward" && result.rows === rows);
  return { report, forward, decode: report?.results.find(({ test }) => test === "decode") };
}

function verifyCost(stages) {
  const { forward } = modelOf(stages);
  const [one, eight] = [forward(1), forward(8)];
  return one === undefined || eight === undefined ? undefined : eight.ms.p50 / one.ms.p50;
}

function overTorch(stages) {
  const { decode } = modelOf(stages);
  const eager = measuredOf(stages, "torch").find(({ bench }) => bench === "decode");
  return decode === undefined || eager === undefined ? undefined : eager.micros / 1e3 / decode.ms.p50;
}

/** The targets of the CUDA backend with what a run measured: the worst of the shapes that count. */
export function checkTargets(stages) {
  const matmul = measuredOf(stages, "matmul");
  const attention = measuredOf(stages, "attention");
  const int4 = matmul.filter(({ kind, outputs, k }) => kind === "int4" && outputs * k >= large);
  const few = int4.filter(({ rows }) => rows <= decodeRows).map((result) => result.bandwidth_fraction);
  const many = int4.filter(({ rows }) => rows === 512).map((result) => result.ceiling_fraction);
  const deep = attention
    .filter(({ kv, depth, rows }) => kv === "int8" && depth === 8192 && rows === 1)
    .map((result) => result.bandwidth_fraction);
  const atLeast = (what, measured, target, unit) => ({
    what,
    measured,
    target,
    unit,
    isMet: measured >= target,
  });
  const cost = verifyCost(stages);
  return [
    atLeast(
      "int4 matmul of 1 to 8 rows, 4096 x 4096 and larger, of read bandwidth",
      least(few),
      0.75,
      "fraction",
    ),
    atLeast("int4 matmul of 512 rows, of the ceiling of mma", least(many), 0.5, "fraction"),
    atLeast("int8 attention of one row at depth 8192, of read bandwidth", least(deep), 0.7, "fraction"),
    atLeast("7B shape, decode, times PyTorch's eager float16", overTorch(stages), 2, "times"),
    {
      what: "8-row verification, times one row",
      measured: cost,
      target: 1.15,
      unit: "at most",
      isMet: cost <= 1.15,
    },
  ];
}
