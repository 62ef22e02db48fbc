import { describe, expect, test } from "vitest";

// @ts-expect-error a script without types
import * as untyped from "../../../scripts/cuda-resources.mjs";

interface Kernel {
  readonly name: string;
  readonly registers: number;
  readonly spills: number;
  readonly stack: number;
  readonly shared: number;
  readonly dynamic?: number | undefined;
}
interface Script {
  readLog(text: string): readonly Kernel[];
  addDynamicShared(kernels: readonly Kernel[], text: string): readonly Kernel[];
  findFaults(kernels: readonly Kernel[]): readonly string[];
  renderTable(kernels: readonly Kernel[], compiler: string): string;
  isFresh(document: string, wanted: string): boolean;
}
const script = untyped as unknown as Script;

const log = `ptxas info    : 0 bytes gmem
ptxas info    : Compiling entry function 'air_matmul_a' for 'sm_87'
ptxas info    : Function properties for air_matmul_a
    16 bytes stack frame, 4 bytes spill stores, 8 bytes spill loads
ptxas info    : Used 251 registers, used 1 barriers, 24 bytes smem, 432 bytes cmem[0]
ptxas info    : Compiling entry function 'air_matmul_a' for 'sm_90'
    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 96 registers, used 1 barriers
`;
const kernel: Kernel = { name: "attention_1_1", registers: 100, spills: 0, stack: 0, shared: 0 };

describe("the table of kernel resources", () => {
  test("reads what ptxas says of sm_87 alone", () => {
    expect(script.readLog(log)).toEqual([
      { name: "air_matmul_a", registers: 251, spills: 12, stack: 16, shared: 24 },
    ]);
  });

  test("a matmul or attention kernel that spills is a fault, another one is not", () => {
    expect(script.findFaults([kernel])).toEqual([]);
    expect(script.findFaults([{ ...kernel, spills: 4 }])).toEqual(["attention_1_1 spills 4 bytes on sm_87"]);
    expect(script.findFaults([kernel, { ...kernel, name: "air_row_top_k", spills: 4 }])).toEqual([]);
    expect(script.findFaults([])).toHaveLength(1);
  });

  test("a block with more shared memory than Orin has is a fault", () => {
    const [most] = script.addDynamicShared([kernel], `attention_1_1 ${163 * 1024}\nother 5\n`);
    expect(script.findFaults(most === undefined ? [] : [most])).toEqual([]);
    expect(script.findFaults([{ ...kernel, shared: 1, dynamic: 163 * 1024 }])).toEqual([
      "attention_1_1 takes 166913 bytes of shared memory",
    ]);
  });

  test("is stale when a number differs, and with another compiler when a kernel does", () => {
    const table = script.renderTable([kernel], "13.0");
    expect(script.isFresh(`# CUDA\n\n${table}\n`, table)).toBe(true);
    expect(script.isFresh(table, script.renderTable([{ ...kernel, registers: 99 }], "13.0"))).toBe(false);
    expect(script.isFresh(table, script.renderTable([{ ...kernel, registers: 99 }], "12.6"))).toBe(true);
    expect(script.isFresh(table, script.renderTable([{ ...kernel, name: "attention_2_1" }], "12.6"))).toBe(
      false,
    );
    expect(script.isFresh("# CUDA\n", table)).toBe(false);
  });
});
