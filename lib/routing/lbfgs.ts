/** A smooth function to minimise: returns its value at `point` and writes its gradient. */
export type Objective = (point: Float64Array, gradient: Float64Array) => number;

/** When to stop, and how much to remember. */
export interface LbfgsOptions {
  /** Most steps; default 150. */
  readonly iterations?: number;
  /** Stops when the value falls by less than this share of itself; default 1e-6. */
  readonly tolerance?: number;
  /** Steps remembered for the curvature; default 8. */
  readonly memory?: number;
}

interface Step {
  readonly move: Float64Array;
  readonly turn: Float64Array;
  readonly curvature: number;
}

function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i += 1) sum += (a[i] ?? 0) * (b[i] ?? 0);
  return sum;
}

/** target += factor * source */
function addScaled(target: Float64Array, factor: number, source: Float64Array): void {
  for (let i = 0; i < target.length; i += 1) target[i] = (target[i] ?? 0) + factor * (source[i] ?? 0);
}

/** The two-loop recursion: minus the gradient times an estimate of the inverse Hessian. */
function direction(gradient: Float64Array, steps: readonly Step[]): Float64Array {
  const result = gradient.slice();
  const shares: number[] = [];
  for (const { move, turn, curvature } of [...steps].reverse()) {
    const share = dot(move, result) / curvature;
    shares.push(share);
    addScaled(result, -share, turn);
  }
  const last = steps.at(-1);
  const scale =
    last === undefined
      ? 1 / Math.max(1, Math.sqrt(dot(gradient, gradient)))
      : last.curvature / dot(last.turn, last.turn);
  for (let i = 0; i < result.length; i += 1) result[i] = (result[i] ?? 0) * scale;
  for (const { move, turn, curvature } of steps) {
    const share = (shares.pop() ?? 0) - dot(turn, result) / curvature;
    addScaled(result, share, move);
  }
  for (let i = 0; i < result.length; i += 1) result[i] = -(result[i] ?? 0);
  return result;
}

/** Sufficient decrease (Armijo): the share of the promised fall that a step has to bring. */
const enoughFall = 1e-4;
const mostHalvings = 30;

/**
 * Limited-memory BFGS with a backtracking line search (Liu and Nocedal, "On the limited memory BFGS method for large
 * scale optimization", 1989). Deterministic.
 *
 * @returns the point reached; `start` is not changed
 */
export function minimize(
  objective: Objective,
  start: Float64Array,
  options: LbfgsOptions = {},
): Float64Array {
  const { iterations = 150, tolerance = 1e-6, memory = 8 } = options;
  let point = start.slice();
  let gradient = new Float64Array(start.length);
  let value = objective(point, gradient);
  const steps: Step[] = [];
  for (let iteration = 0; iteration < iterations; iteration += 1) {
    const along = direction(gradient, steps);
    const slope = dot(along, gradient);
    if (!(slope < 0)) break;
    const nextGradient = new Float64Array(start.length);
    let next = point;
    let nextValue = value;
    let length = 1;
    for (let halving = 0; halving < mostHalvings; halving += 1, length /= 2) {
      next = point.slice();
      addScaled(next, length, along);
      nextValue = objective(next, nextGradient);
      if (nextValue <= value + enoughFall * length * slope) break;
    }
    if (!(nextValue < value)) break;
    const move = next.slice();
    addScaled(move, -1, point);
    const turn = nextGradient.slice();
    addScaled(turn, -1, gradient);
    const curvature = dot(move, turn);
    if (curvature > 1e-12) steps.push({ move, turn, curvature });
    if (steps.length > memory) steps.shift();
    const fall = value - nextValue;
    [point, gradient, value] = [next, nextGradient, nextValue];
    if (fall <= tolerance * Math.abs(value)) break;
  }
  return point;
}
