import { join } from "node:path";

import { listFolder, readNumber, readText } from "./system-files.js";

/** A board's sensor of its whole input, as Jetson boards name it (tegrastats shows the same). */
const inputRail = /^(VDD_IN|POM_5V_IN|SYS5V|VIN)/;

/**
 * Functions that read watts, one per rail of the INA power monitors that hwmon shows; the input's alone if known.
 *
 * @param sysRoot - where sysfs is mounted
 */
export function findPowerRails(sysRoot: string): readonly (() => number | undefined)[] {
  const rails: { readonly label: string; readonly watts: () => number | undefined }[] = [];
  const folder = join(sysRoot, "class/hwmon");
  for (const device of listFolder(folder).map((name) => join(folder, name))) {
    if (!/^ina\d/.test(readText(join(device, "name")) ?? "")) continue;
    for (const file of listFolder(device)) {
      const current = /^curr(\d+)_input$/.exec(file)?.[1];
      if (current === undefined) continue;
      const label = readText(join(device, `in${current}_label`)) ?? "";
      const watts = (): number | undefined => {
        const milliamperes = readNumber(join(device, file));
        const millivolts = readNumber(join(device, `in${current}_input`));
        if (milliamperes === undefined || millivolts === undefined) return undefined;
        return (milliamperes * millivolts) / 1e6;
      };
      if (watts() !== undefined) rails.push({ label, watts });
    }
  }
  const input = rails.filter(({ label }) => inputRail.test(label));
  return (input.length > 0 ? input : rails).map(({ watts }) => watts);
}
