import { AirNativeError } from "../../lib/errors/air-error.js";
import type { DecoderSpec, NativeModel, NativeTensorDirectory } from "../../lib/native/native.js";
import { createDice, type Dice } from "./dice.js";
import { FakeAddon } from "./fake-native.js";

/** A fake addon that runs out of memory now and then, in loads and in steps. */
export class FlakyAddon extends FakeAddon {
  readonly #dice: Dice;

  /**
   * @param loads - of so many loads, about one fails
   * @param steps - of so many steps, about one fails
   */
  constructor(
    seed: number,
    readonly loads: number,
    steps: number,
  ) {
    super();
    this.#dice = createDice(seed);
    this.controls.beforeForward = () => {
      this.controls.batches.length = 0; // nobody looks at them
      if (this.#dice(steps) === 0) throw outOfMemory("step");
    };
  }

  override async loadModel(directory: NativeTensorDirectory, spec: DecoderSpec): Promise<NativeModel> {
    if (this.#dice(this.loads) === 0) throw outOfMemory("load");
    return super.loadModel(directory, spec);
  }
}

function outOfMemory(subject: string): AirNativeError {
  return new AirNativeError("AIR_ERR_OUT_OF_MEMORY", `expected memory for a ${subject} but received none`);
}
