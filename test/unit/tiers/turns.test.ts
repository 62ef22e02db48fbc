import { getEventListeners } from "node:events";

import { describe, expect, test, vi } from "vitest";

import { AirError } from "../../../lib/errors/air-error.js";
import { Turns } from "../../../lib/tiers/turns.js";
import { createDice } from "../../support/dice.js";

const closed = new AirError("AIR_ERR_CLOSED", "expected an open tier but received one that was closed");

/** Enters, and notes the name once it is in. */
function arrive(turns: Turns, name: string, inside: string[], signal?: AbortSignal): Promise<void> {
  return turns.enter({ signal }).then(() => {
    inside.push(name);
  });
}

const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe("Turns", () => {
  test("lets as many in as the limit says, and the others in order of arrival", async () => {
    const turns = new Turns("small", 2, 8);
    const inside: string[] = [];
    const all = ["a", "b", "c", "d", "e"].map((name) => arrive(turns, name, inside));
    await settle();
    expect(inside).toEqual(["a", "b"]);
    expect([turns.active, turns.waiting]).toEqual([2, 3]);
    turns.leave();
    await settle();
    expect(inside).toEqual(["a", "b", "c"]);
    turns.leave();
    turns.leave();
    await Promise.all(all);
    expect(inside).toEqual(["a", "b", "c", "d", "e"]);
    turns.leave();
    turns.leave();
    expect([turns.active, turns.waiting]).toEqual([0, 0]);
  });

  test("gives a turn that is free to the first who waits, not to the one who comes in the same tick", async () => {
    const turns = new Turns("small", 1, 8);
    const inside: string[] = [];
    const all = [arrive(turns, "a", inside), arrive(turns, "b", inside)];
    await settle();
    turns.leave();
    all.push(arrive(turns, "c", inside));
    await settle();
    expect(inside).toEqual(["a", "b"]);
    turns.leave();
    await Promise.all(all);
    expect(inside).toEqual(["a", "b", "c"]);
  });

  test("refuses one more than may wait with AIR_ERR_OVERLOADED", async () => {
    const turns = new Turns("small", 1, 1);
    const inside: string[] = [];
    const all = [arrive(turns, "a", inside), arrive(turns, "b", inside)];
    expect(turns.isFull).toBe(true);
    await expect(turns.enter()).rejects.toMatchObject({
      code: "AIR_ERR_OVERLOADED",
      message: "expected fewer than 1 waiting requests for tier small but received another one",
    });
    turns.leave();
    expect(turns.isFull).toBe(false);
    turns.leave();
    await Promise.all(all);
  });

  test("lets in by priority, then users by turns, then in order of arrival", async () => {
    const turns = new Turns("small", 1, 16);
    await turns.enter();
    const inside: string[] = [];
    const all = ["a1", "a2", "a3", "b1", "b2", "c1", "a4!", "d1-"].map((name) =>
      turns
        .enter({ user: name[0], priority: name.endsWith("!") ? 1 : name.endsWith("-") ? -1 : 0 })
        .then(() => inside.push(name)),
    );
    for (let left = all.length; left > 0; left -= 1) {
      turns.leave();
      await settle();
    }
    await Promise.all(all);
    expect(inside).toEqual(["a4!", "b1", "c1", "a1", "b2", "a2", "a3", "d1-"]);
  });

  test("ends the wait of one whose deadline comes, and leaves no timer behind", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    const turns = new Turns("small", 1, 8);
    await turns.enter({ timeoutMs: 5 });
    const late = turns.enter({ timeoutMs: 20 });
    const patient = turns.enter({ timeoutMs: 30 });
    const expectation = expect(late).rejects.toMatchObject({ code: "AIR_ERR_TIMEOUT" });
    vi.advanceTimersByTime(25);
    await expectation;
    expect(turns.waiting).toBe(1);
    turns.leave();
    await patient;
    expect(vi.getTimerCount()).toBe(0);
    vi.useRealTimers();
  });

  test("takes nobody to wait where none may, and is not full while a turn is free", async () => {
    const turns = new Turns("small", 1, 0);
    expect(turns.isFull).toBe(false);
    await turns.enter();
    expect(turns.isFull).toBe(true);
    await expect(turns.enter()).rejects.toMatchObject({ code: "AIR_ERR_OVERLOADED" });
    turns.leave();
    await turns.enter();
    expect(turns.active).toBe(1);
  });

  test("ends the wait of one whose signal aborts, and of nobody else", async () => {
    const turns = new Turns("small", 1, 8);
    const inside: string[] = [];
    const abort = new AbortController();
    const first = arrive(turns, "a", inside);
    const aborted = arrive(turns, "b", inside, abort.signal);
    const last = arrive(turns, "c", inside);
    abort.abort("enough");
    await expect(aborted).rejects.toMatchObject({ code: "AIR_ERR_CANCELLED", cause: "enough" });
    expect(turns.waiting).toBe(1);
    turns.leave();
    await Promise.all([first, last]);
    expect(inside).toEqual(["a", "c"]);
  });

  test("does not take in one whose signal had aborted, or aborts once it is in", async () => {
    const turns = new Turns("small", 1, 8);
    await expect(turns.enter({ signal: AbortSignal.abort() })).rejects.toMatchObject({
      code: "AIR_ERR_CANCELLED",
    });
    expect(turns.active).toBe(0);
    const abort = new AbortController();
    await turns.enter();
    const waits = turns.enter({ signal: abort.signal });
    turns.leave();
    abort.abort(); // too late: the turn is given, and its owner has to leave
    await waits;
    expect(getEventListeners(abort.signal, "abort")).toEqual([]);
    expect([turns.active, turns.waiting]).toEqual([1, 0]);
  });

  test("lets more in when the limit rises, and waits for those inside when it falls", async () => {
    const turns = new Turns("small", 1, 8);
    const inside: string[] = [];
    const all = ["a", "b", "c", "d"].map((name) => arrive(turns, name, inside));
    turns.setLimit(3);
    await settle();
    expect(inside).toEqual(["a", "b", "c"]);
    turns.setLimit(1);
    turns.leave();
    turns.leave();
    await settle();
    expect([inside.length, turns.active, turns.limit]).toEqual([3, 1, 1]);
    turns.leave();
    await Promise.all(all);
    expect(inside.at(-1)).toBe("d");
  });

  test("refuses everybody who waits, and lets those inside finish", async () => {
    const turns = new Turns("small", 1, 8);
    await turns.enter();
    const waiting = [turns.enter(), turns.enter({ signal: new AbortController().signal })];
    turns.refuseAll(closed);
    for (const one of waiting) await expect(one).rejects.toBe(closed);
    expect([turns.active, turns.waiting]).toEqual([1, 0]);
  });

  test.each([1, 2, 3, 4])("seed %i: no turn is lost or given twice", async (seed) => {
    const dice = createDice(seed);
    const turns = new Turns("small", 2, 5);
    let inside = 0;
    let most = 0;
    const outcomes = { done: 0, refused: 0, aborted: 0 };
    const visit = async (): Promise<void> => {
      const abort = new AbortController();
      for (let ticks = dice(20); ticks > 0; ticks -= 1) await settle();
      if (dice(3) === 0)
        setImmediate(() => {
          abort.abort();
        });
      try {
        await turns.enter({ signal: abort.signal });
        inside += 1;
        most = Math.max(most, inside);
        for (let ticks = dice(4); ticks > 0; ticks -= 1) await settle();
        inside -= 1;
        outcomes.done += 1;
        turns.leave();
      } catch (error) {
        if ((error as AirError).code === "AIR_ERR_OVERLOADED") outcomes.refused += 1;
        else outcomes.aborted += 1;
      }
    };
    await Promise.all(Array.from({ length: 80 }, visit));
    expect([turns.active, turns.waiting, inside, most]).toEqual([0, 0, 0, 2]);
    expect(outcomes.done + outcomes.refused + outcomes.aborted).toBe(80);
    expect(Math.min(outcomes.done, outcomes.refused, outcomes.aborted)).toBeGreaterThan(0);
  });
});
