import { type LbfgsOptions, minimize } from "./lbfgs.js";

/** Examples as rows of a sparse matrix. */
export interface DesignMatrix {
  /** [rows + 1] where each row's entries start, then their number. */
  readonly starts: Int32Array;
  readonly columns: Int32Array;
  readonly values: Float32Array;
  readonly columnCount: number;
}

/** Two linear scores of the same features: the logits of "at least demanding" and of "hard". */
export interface OrdinalModel {
  /** [2] */
  readonly biases: Float64Array;
  /** [2][columns] */
  readonly weights: readonly [Float64Array, Float64Array];
}

/** How strongly weights are drawn to 0. */
export interface Regularization {
  /** On what the two boundaries share. */
  readonly shared: number;
  /** On what sets them apart; large values give proportional odds. */
  readonly apart: number;
}

/** log(1 + exp(-margin)) without overflow. */
function logLoss(margin: number): number {
  return margin > 0 ? Math.log1p(Math.exp(-margin)) : Math.log1p(Math.exp(margin)) - margin;
}

/** 1 / (1 + exp(-logit)) */
export function sigmoid(logit: number): number {
  return logit >= 0 ? 1 / (1 + Math.exp(-logit)) : Math.exp(logit) / (1 + Math.exp(logit));
}

/** The columns that have entries, and each entry's place among them: weights of the others stay 0. */
function usedColumns({ columns, columnCount }: DesignMatrix): {
  readonly used: readonly number[];
  readonly columns: Int32Array;
} {
  const place = new Int32Array(columnCount).fill(-1);
  const used: number[] = [];
  const places = columns.map((column) => {
    if (place[column] === -1) place[column] = used.push(column) - 1;
    return place[column] ?? 0;
  });
  return { used, columns: places };
}

/**
 * L2-regularised ordinal logistic regression: two logistic models of P(tier >= 1) and P(tier >= 2) whose weights are
 * u + d and u - d. Penalising d more than u couples the boundaries; with d = 0 they are proportional odds.
 *
 * @param tiers - [rows] 0, 1 or 2
 * @param rowWeights - [rows] how much each row counts
 */
export function fitOrdinal(
  matrix: DesignMatrix,
  tiers: Uint8Array,
  rowWeights: Float64Array,
  { shared, apart }: Regularization,
  options: LbfgsOptions = {},
): OrdinalModel {
  const { starts, values } = matrix;
  const { used, columns } = usedColumns(matrix);
  const columnCount = used.length;
  const offset = columnCount + 1;
  const total = rowWeights.reduce((sum, weight) => sum + weight, 0);
  const objective = (point: Float64Array, gradient: Float64Array): number => {
    let value = 0;
    for (let i = 0; i < columnCount; i += 1) {
      const common = point[i] ?? 0;
      const difference = point[offset + i] ?? 0;
      value += 0.5 * (shared * common * common + apart * difference * difference);
      gradient[i] = shared * common;
      gradient[offset + i] = apart * difference;
    }
    gradient[columnCount] = 0;
    gradient[offset + columnCount] = 0;
    for (let row = 0; row < tiers.length; row += 1) {
      const begin = starts[row] ?? 0;
      const end = starts[row + 1] ?? 0;
      let common = 0;
      let difference = 0;
      for (let at = begin; at < end; at += 1) {
        const column = columns[at] ?? 0;
        const x = values[at] ?? 0;
        common += x * (point[column] ?? 0);
        difference += x * (point[offset + column] ?? 0);
      }
      const low = common + difference + (point[columnCount] ?? 0);
      const high = common - difference + (point[offset + columnCount] ?? 0);
      const tier = tiers[row] ?? 0;
      const weight = (rowWeights[row] ?? 0) / total;
      value += weight * (logLoss(tier >= 1 ? low : -low) + logLoss(tier >= 2 ? high : -high));
      const lowSlope = weight * (sigmoid(low) - (tier >= 1 ? 1 : 0));
      const highSlope = weight * (sigmoid(high) - (tier >= 2 ? 1 : 0));
      gradient[columnCount] = (gradient[columnCount] ?? 0) + lowSlope;
      gradient[offset + columnCount] = (gradient[offset + columnCount] ?? 0) + highSlope;
      for (let at = begin; at < end; at += 1) {
        const column = columns[at] ?? 0;
        const x = values[at] ?? 0;
        gradient[column] = (gradient[column] ?? 0) + x * (lowSlope + highSlope);
        gradient[offset + column] = (gradient[offset + column] ?? 0) + x * (lowSlope - highSlope);
      }
    }
    return value;
  };
  const point = minimize(objective, new Float64Array(2 * offset), options);
  const weights: [Float64Array, Float64Array] = [
    new Float64Array(matrix.columnCount),
    new Float64Array(matrix.columnCount),
  ];
  for (const [order, column] of used.entries()) {
    const common = point[order] ?? 0;
    const difference = point[offset + order] ?? 0;
    weights[0][column] = common + difference;
    weights[1][column] = common - difference;
  }
  return { biases: Float64Array.of(point[columnCount] ?? 0, point[offset + columnCount] ?? 0), weights };
}

/** [2] logits of a row. */
export function logitsOf(model: OrdinalModel, matrix: DesignMatrix, row: number): readonly [number, number] {
  let low = model.biases[0] ?? 0;
  let high = model.biases[1] ?? 0;
  const end = matrix.starts[row + 1] ?? 0;
  for (let at = matrix.starts[row] ?? 0; at < end; at += 1) {
    const column = matrix.columns[at] ?? 0;
    const x = matrix.values[at] ?? 0;
    low += x * (model.weights[0][column] ?? 0);
    high += x * (model.weights[1][column] ?? 0);
  }
  return [low, high];
}
