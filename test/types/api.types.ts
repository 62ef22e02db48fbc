// Checked by the compiler alone (npm run typecheck): the public API has the types that its documentation shows.
import { expectTypeOf } from "vitest";

import {
  type AirArgumentError,
  type AirError,
  type ChatMessage,
  type ErrorCode,
  type GeneratedChunk,
  type Generation,
  type GenerationResult,
  loadModel,
  type MemoryPlan,
  type Model,
  planModel,
  type Session,
} from "../../lib/index.js";

expectTypeOf(loadModel).parameter(0).toBeString();
expectTypeOf(loadModel).returns.resolves.toEqualTypeOf<Model>();

expectTypeOf(planModel).returns.resolves.toEqualTypeOf<MemoryPlan>();

expectTypeOf<Model["createSession"]>().returns.toEqualTypeOf<Session>();
expectTypeOf<Session["generate"]>().parameter(0).toEqualTypeOf<string | readonly ChatMessage[]>();
expectTypeOf<Session["generate"]>().returns.toEqualTypeOf<Generation>();
expectTypeOf<Generation>().toExtend<AsyncIterable<GeneratedChunk>>();
expectTypeOf<Generation["result"]>().resolves.toEqualTypeOf<GenerationResult>();
expectTypeOf<Model>().toExtend<Disposable>();
expectTypeOf<Session>().toExtend<Disposable>();

expectTypeOf<AirArgumentError>().toExtend<AirError>();
expectTypeOf<AirError["code"]>().toEqualTypeOf<ErrorCode>();

/** Never called: misuse that has to stay a compile error. */
export function misuse(session: Session): void {
  // @ts-expect-error a role that no template knows
  session.generate([{ role: "robot", content: "hello" }]);
  // @ts-expect-error an option of that name does not exist
  session.generate("hello", { temprature: 1 });
  // @ts-expect-error text is read only in chunks
  console.log(session.generate("hello").result.text);
}
