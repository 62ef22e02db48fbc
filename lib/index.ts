/**
 * air-runtime: runs LLMs on small machines.
 *
 * @example
 * import { loadModel } from "air-runtime";
 *
 * using model = await loadModel("model.gguf");
 * using session = model.createSession();
 * for await (const { text } of session.chat("What is the capital of France?")) process.stdout.write(text);
 */
export {
  AirArgumentError,
  AirCapacityError,
  AirError,
  AirNativeError,
  type ErrorCode,
  errorCodes,
} from "./errors/air-error.js";
export { loadModel } from "./runtime/load-model.js";
export { planModel, type PlanModelOptions } from "./runtime/plan-model.js";
export type { MemoryPlan, ModelMemoryPlan } from "./cache/memory-plan.js";
export type { MemorySuggestion } from "./cache/memory-suggestions.js";
export type { KvGroupMemory } from "./cache/kv-memory.js";
export type { PlannedHeads } from "./cache/planned-model.js";
export type { EvaluateOptions, Model, ModelInfo, ModelStats } from "./runtime/model.js";
export type { Embedding, EmbedOptions, Pooling } from "./runtime/embedding.js";
export type { ModelMemory } from "./runtime/model-memory.js";
export type { Session } from "./runtime/session.js";
export type {
  DeviceChoice,
  GenerateOptions,
  LoadModelOptions,
  SessionOptions,
  SpeculationOptions,
} from "./runtime/options.js";
export type { SpeculativeReport } from "./decoding/speculator.js";
export type { AcceptanceRule } from "./decoding/acceptance.js";
export type { ProposerName } from "./decoding/proposer.js";
export type {
  FinishReason,
  GeneratedChunk,
  Generation,
  GenerationResult,
  GenerationTimings,
} from "./runtime/generation.js";
export type { EvictionDecision, EvictionPolicy, EvictionState } from "./cache/eviction-policy.js";
export { sinkWindow, type SinkWindowOptions } from "./cache/sink-window.js";
export type { JsonSchema } from "./constraint/json-schema.js";
export type { Logprobs, TokenLogprob } from "./decoding/sampler.js";
export type { ChatMessage, ChatTemplate } from "./model/chat-template.js";
export type { ToolDefinition } from "./model/tools.js";
export type { Tokenizer } from "./model/tokenizer.js";
export type {
  Backend,
  ConversionReport,
  CpuIsa,
  CudaDevice,
  CudaDevices,
  KvType,
  LoadedDevice,
  ModelDevice,
  NativeAddon,
  PackCacheReport,
  RowOps,
  ThreadPriority,
} from "./native/native.js";
export { calibrate, type CalibrateOptions } from "./compression/calibrate.js";
export { type ComparedModel, divergence, type DivergenceResult } from "./compression/divergence.js";
export {
  checkKvPrecision,
  type KvCheckOptions,
  type KvCheckResult,
  type KvVerdict,
} from "./compression/kv-check.js";
export type { DivergenceFigures } from "./compression/divergence-tally.js";
export type { WorkProgress } from "./compression/work-meter.js";
export { formatHeadsFile, type HeadClass, type HeadsFile } from "./model/heads-file.js";
export {
  type EvaluatedModel,
  perplexity,
  type PerplexityOptions,
  type PerplexityResult,
} from "./compression/evaluate.js";
export { AirRuntime } from "./tiers/air-runtime.js";
export type {
  AirRuntimeExtras,
  RoutedOptions,
  RoutePreview,
  RuntimeEvent,
  RuntimeStats,
} from "./tiers/runtime-types.js";
export {
  type AirConfig,
  AirConfigError,
  checkConfig,
  configJsonSchema,
  type ConfigProblem,
  readConfig,
  type ResolvedConfig,
} from "./tiers/config.js";
export type { Attempt, RoutedReply, RoutedResult } from "./tiers/routed-reply.js";
export type { TierInput, TierStats } from "./tiers/tier.js";
export type { SensorReading, Sensors } from "./tiers/sensors.js";
export type {
  Complexity,
  ComplexityClassifier,
  Evidence,
  RoutedMessage,
  RoutedPrompt,
} from "./routing/complexity.js";
export type { Pressure, RouteDecision, RouteHints, RouteReason, TierState } from "./routing/decision.js";
export type { HeldPressure, HeldPressures } from "./routing/pressure-levels.js";
export { LinearClassifier, loadRouter } from "./routing/linear-classifier.js";
export {
  calibrateCascade,
  type CascadeCalibrationOptions,
  type TierConfidence,
} from "./tiers/cascade-calibration.js";
export { AirRemoteError } from "./tiers/remote/remote-error.js";
export type { RemoteTierOptions } from "./tiers/remote/remote-options.js";
export { RemoteTier, type RemoteStats } from "./tiers/remote/remote-tier.js";
